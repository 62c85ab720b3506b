"""The rows of a comparison's tables: every measure of every condition, and its difference from the first condition."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from experiments.compare_motif_numbers import motif_counts, reached_share, recall_area, set_similarity
from experiments.compare_results import ATTRIBUTIONS, Comparison, ModelResult, Row
from experiments.measure_names import described, order_of
from experiments.report_tables import PERFORMANCE
from fprior.files import csv_text
from fprior.metrics.statistics import PairedTest, UnpairedTest, describe, paired_test, unpaired_test

BOOTSTRAP_SEED = 0
JACCARD = "continuous Jaccard similarity"
MOTIFS = {  # measure of a model → its title, which takes the largest q, and which way is better
    "positive_patterns": ("positive patterns", 0),
    "known_share": ("share of them like a known motif (q ≤ {})", 1),
    "instances": ("instances of positive patterns", 0),
}
COLUMNS = (
    "table measure condition mean deviation values difference low high p_sequences effect_sequences sequences"
    " p_seeds effect_seeds smallest_p_seeds"
).split()


def rows_of(comparison: Comparison) -> list[Row]:
    """All rows, table by table, the conditions of one measure after one another."""
    return [
        *performance_rows(comparison),
        *stability_rows(comparison),
        *sequence_rows(comparison),
        *motif_rows(comparison),
    ]


def performance_rows(comparison: Comparison) -> Iterator[Row]:
    """Of the validation loss and of the measures of each task, one value a seed."""
    select = f"loss/{comparison.config.train.select_on}"
    losses = {name: [model.best[select] for model in models] for name, models in comparison.results.items()}
    yield from _of_seeds("performance", "validation_loss", "best validation loss", -1, losses)
    for name, (title, better) in PERFORMANCE[comparison.config.model.outputs].items():
        for task, task_name in enumerate(comparison.tasks):
            values = {
                condition: [_number(model.performance[name][task]) for model in models]
                for condition, models in comparison.results.items()
            }
            several = len(comparison.tasks) > 1
            yield from _of_seeds(
                "performance",
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
    attributions = list(ATTRIBUTIONS)
    for attribution, name in sorted(first.measures, key=lambda key: (order_of(key[1]), attributions.index(key[0]))):
        table, title, better = described(name)
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


def motif_rows(comparison: Comparison) -> Iterator[Row]:
    """Of the motifs of each model, one value a seed, and of the similarity of seeds, one value in all."""
    motifs, q_value = comparison.motifs, comparison.config.motifs.q_value
    if not motifs:
        return
    counted = {condition: [motif_counts(model, q_value) for model in models] for condition, models in motifs.items()}
    for name, (title, better) in MOTIFS.items():
        values = {condition: [measures[name] for measures in of] for condition, of in counted.items()}
        yield from _of_seeds("motifs", f"motifs.{name}", title.format(f"{q_value:g}"), better, values)
    for name in next(model.recall for models in motifs.values() for model in models if not model.failed):
        for measure, title, better, value in (
            ("reached", "share of {} reached by all calls", 0, reached_share),
            ("recall_area", "area under the curve of {} reached", 1, recall_area),
        ):
            values = {
                condition: [_number(None if model.failed else value(model.recall[name])) for model in models]
                for condition, models in motifs.items()
            }
            yield from _of_seeds("motifs", f"motifs.{measure}_{name}", title.format(name), better, values)
    for condition, models in motifs.items():
        if len(models) > 1:
            title = "similarity of the patterns between seeds"
            yield _row("motifs", "motifs.similarity", title, 1, condition, [set_similarity(models)], None, None)


def _of_one_model(model: ModelResult, attribution: str, name: str) -> float:
    """The mean over sequences; the paper's area under the curve is that of all bases together."""
    pooled = model.pooled.get((attribution, name))
    return _mean(model.measures[attribution, name]) if pooled is None else _number(pooled)


def _of_seeds(
    table: str, measure: str, title: str, better: int, values: Mapping[str, Sequence[float]]
) -> Iterator[Row]:
    first = next(iter(values))
    for condition, numbers in values.items():
        test = None if condition == first else unpaired_test(np.array(numbers), np.array(values[first]))
        yield _row(table, measure, title, better, condition, numbers, None, test)


def _of_sequences(
    table: str,
    measure: str,
    title: str,
    better: int,
    values: Mapping[str, np.ndarray],
    of_seeds: Mapping[str, Sequence[float]],
) -> Iterator[Row]:
    first = next(iter(values), "")
    for condition, array in values.items():
        by_sequence = by_seed = None
        if condition != first:
            by_sequence = paired_test(array, values[first], seed=BOOTSTRAP_SEED)
            if table != "stability":
                by_seed = unpaired_test(*(np.array(of_seeds[name], np.float64) for name in (condition, first)))
        yield _row(table, measure, title, better, condition, of_seeds[condition], by_sequence, by_seed)


def _row(
    table: str,
    measure: str,
    title: str,
    better: int,
    condition: str,
    numbers: Sequence[float],
    by_sequence: PairedTest | None,
    by_seed: UnpairedTest | None,
) -> Row:
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
    return csv_text(COLUMNS, map(cells_of, rows))


def cells_of(row: Row) -> list[object]:
    """The cells of a row beneath `COLUMNS`."""
    pairs, seeds = row.by_sequence, row.by_seed
    cells = [row.table, row.measure, row.condition, row.mean, row.deviation, " ".join(map(repr, row.values))]
    cells += (
        [pairs.mean_difference, *pairs.interval, pairs.p_value, pairs.effect_size, pairs.pairs]
        if pairs
        else [seeds.mean_difference if seeds else None, *[None] * 5]
    )
    return cells + ([seeds.p_value, seeds.effect_size, seeds.smallest_p] if seeds else [None] * 3)
