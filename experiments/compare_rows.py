"""The rows of a comparison's tables: every measure of every condition, and its difference from the first condition."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from experiments.compare_results import ATTRIBUTIONS, Comparison, ModelResult, Row
from experiments.report_tables import PERFORMANCE
from fprior.metrics.statistics import describe, paired_test, unpaired_test

BOOTSTRAP_SEED = 0
JACCARD = "continuous Jaccard similarity"
# Measures of single sequences: name or prefix → (table, title, better).
MEASURES = {
    "high_frequency_share": ("cleanness", "high-frequency share", -1),
    "entropy_bits": ("cleanness", "Shannon entropy (bits)", -1),
    "end_share": ("cleanness", "share of importance at the window's ends", 0),
    "gc_reliance": ("cleanness", "reliance on the background's GC", 0),
    "summit_distance_spearman": ("summits", "correlation of importance with distance to the summit", -1),
    "share_in_": ("regions", "share of importance in {}", 1),
    "overlap_auprc_": ("regions", "auPRC of overlap with {}", 1),
    "negative_share_in_": ("regions", "negative share of the importance in {}", 0),
}
PEAKS = "peaks"  # the name of the data set's own peaks among the regions: they belong to the table of summits
COLUMNS = (
    "table measure condition mean deviation values difference low high p_sequences effect_sequences sequences"
    " p_seeds effect_seeds smallest_p_seeds"
).split()


def rows_of(comparison: Comparison) -> list[Row]:
    """All rows, table by table, the conditions of one measure after one another."""
    return [*performance_rows(comparison), *stability_rows(comparison), *sequence_rows(comparison)]


def performance_rows(comparison: Comparison) -> Iterator[Row]:
    """Of the validation loss and of the measures of each task, one value a seed."""
    select = f"loss/{comparison.config.train.select_on}"
    losses = {name: [model.best[select] for model in models] for name, models in comparison.results.items()}
    yield from _of_seeds("validation_loss", "best validation loss", -1, losses)
    for name, (title, better) in PERFORMANCE[comparison.config.model.outputs].items():
        for task, task_name in enumerate(comparison.tasks):
            values = {
                condition: [_number(model.performance[name][task]) for model in models]
                for condition, models in comparison.results.items()
            }
            several = len(comparison.tasks) > 1
            yield from _of_seeds(
                f"{name}[{task_name}]" if several else name,
                f"{title}, {task_name}" if several else title,
                better,
                values,
            )


def stability_rows(comparison: Comparison) -> Iterator[Row]:
    """Of the similarity between models, one value a sequence."""
    known = (
        ("jaccard", f"{JACCARD} of DeepSHAP between seeds", comparison.stability),
        ("jaccard_subset", f"{JACCARD} of DeepSHAP between all and part of the data", comparison.subset),
    )
    for name, title, of_condition in known:
        values = {condition: array for condition, array in of_condition.items() if len(array)}
        yield from _of_sequences("stability", name, title, 1, values, {c: [_mean(v)] for c, v in values.items()})


def sequence_rows(comparison: Comparison) -> Iterator[Row]:
    """Of the measures of attributions, one value a sequence and seed."""
    first = comparison.results[comparison.conditions[0].name][0]
    for attribution, name in sorted(first.measures, key=_place):
        table, title, better = _described(name)
        title = f"{title}, {ATTRIBUTIONS[attribution]}"
        values = {
            condition: _mean_over_seeds([model.measures[attribution, name] for model in models])
            for condition, models in comparison.results.items()
        }
        of_seeds = {
            condition: [_of_one_model(model, attribution, name) for model in models]
            for condition, models in comparison.results.items()
        }
        yield from _of_sequences(table, f"{attribution}.{name}", title, better, values, of_seeds)


def _of_one_model(model: ModelResult, attribution: str, name: str) -> float:
    """The mean over sequences; the paper's area under the curve is that of all bases together."""
    pooled = model.pooled.get((attribution, name))
    return _mean(model.measures[attribution, name]) if pooled is None else _number(pooled)


def _place(key: tuple[str, str]) -> tuple[int, str, int]:
    """Measures in the order of MEASURES, those of input gradients before those of DeepSHAP."""
    attribution, name = key
    place = next(i for i, known in enumerate(MEASURES) if name.startswith(known))
    return place, name, list(ATTRIBUTIONS).index(attribution)


def _described(name: str) -> tuple[str, str, int]:
    known = next(known for known in MEASURES if name.startswith(known))
    table, title, better = MEASURES[known]
    place = name.removeprefix(known)
    return "summits" if place == PEAKS else table, title.format(place), better


def _of_seeds(measure: str, title: str, better: int, values: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    first = next(iter(values))
    for condition, numbers in values.items():
        test = None if condition == first else unpaired_test(np.array(numbers), np.array(values[first]))
        yield _row("performance", measure, title, better, condition, numbers, None, test)


def _of_sequences(
    table: str,
    measure: str,
    title: str,
    better: int,
    values: Mapping[str, np.ndarray],
    of_seeds: Mapping[str, Sequence[float]],
) -> Iterator[Row]:
    first = next(iter(values), None)
    for condition, array in values.items():
        by_sequence = by_seed = None
        if condition != first:
            by_sequence = paired_test(array, values[first], seed=BOOTSTRAP_SEED)
            if table != "stability":
                by_seed = unpaired_test(np.array(of_seeds[condition]), np.array(of_seeds[first]))
        yield _row(table, measure, title, better, condition, of_seeds[condition], by_sequence, by_seed)


def _row(table, measure, title, better, condition, numbers, by_sequence, by_seed) -> Row:
    summary = describe(np.array(numbers, np.float64))
    mean, deviation = float(summary.mean), float(summary.standard_deviation)
    return Row(table, measure, title, better, condition, tuple(numbers), mean, deviation, by_sequence, by_seed)


def _mean_over_seeds(values: Sequence[np.ndarray]) -> np.ndarray:
    """Each sequence's mean over the seeds for which it has a value."""
    return np.asarray(describe(np.stack(values)).mean)


def _mean(values: np.ndarray) -> float:
    return float(describe(values).mean)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as a table in a file: numbers in full, empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        pairs, seeds = row.by_sequence, row.by_seed
        cells = [row.table, row.measure, row.condition, row.mean, row.deviation, " ".join(map(repr, row.values))]
        cells += (
            [pairs.mean_difference, *pairs.interval, pairs.p_value, pairs.effect_size, pairs.pairs]
            if pairs
            else ([seeds.mean_difference if seeds else None, *[None] * 5])
        )
        cells += [seeds.p_value, seeds.effect_size, seeds.smallest_p] if seeds else [None] * 3
        writer.writerow(["" if cell is None or cell != cell else cell for cell in cells])
    return text.getvalue()
