"""What a comparison says in plain words: in which measures a condition is better than the first one, or worse."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from experiments.compare_numbers import without_task
from experiments.compare_results import Comparison, Row
from experiments.published import OVERLAP, SHARE, SUMMIT
from fprior.metrics.statistics import holm
from fprior.report.page import key_values, note

LEVEL = 0.05  # of p, corrected for the number of conditions that one measure is compared in
BETTER, WORSE, HIGHER, LOWER = "better", "worse", "higher", "lower"
UNCLEAR, TOO_FEW, UNDEFINED = "unclear", "too few models", "undefined"
MAIN = (  # the measures that the answer is made of; with them what lies in regions, overlaps them and reaches them
    "validation_loss",
    "auroc",
    "auprc",
    "accuracy",
    "nats_per_read",
    "count_pearson",
    "jaccard",
    "jaccard_subset",
    SUMMIT,
    "deepshap.high_frequency_share",
    "deepshap.entropy_bits",
)
READING = (
    "In the tables, mean ± standard deviation is over the seeds; the difference is that of the means from the first"
    " condition, with its 95 % bootstrap interval over sequences. Effect: rank-biserial correlation over sequences,"
    " from −1 (lower than the first condition in every one) to 1. p, sequences: two-sided Wilcoxon signed-rank test of"
    " each sequence's mean over the seeds; it answers for other sequences seen by the same models. p, seeds: two-sided"
    " Mann–Whitney test; it answers for other models trained alike. Both are printed uncorrected. The verdicts better"
    f" and worse take p below {LEVEL:g} after Holm's correction for the number of conditions: over sequences where"
    " there is such a test, and over seeds too where there are enough of them for p to be that small; the rest is"
    " unclear. Many measures are compared here, and they depend on each other: one alone that stands out means little."
)

PHRASES = {
    BETTER: "Better",
    WORSE: "Worse",
    UNCLEAR: "No difference that the spread allows to state",
    TOO_FEW: "Too few models to say anything of",
}

Verdicts = Mapping[tuple[str, str], str]  # (measure, condition) → one of the words above


def verdicts(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """What can be said of every measure under every condition but the first, by (measure, condition).

    Better or worse (higher or lower where neither is), unclear: no difference that the spread allows to state, too few
    models to state any, or undefined.
    """
    found = {}
    for measure in dict.fromkeys(row.measure for row in rows):
        tested = [row for row in rows if row.measure == measure and (row.by_sequence or row.by_seed)]
        over_sequences, over_seeds = (
            holm(np.array([test.p_value if test else np.nan for test in tests]))
            for tests in ([row.by_sequence for row in tested], [row.by_seed for row in tested])
        )
        for row, of_sequences, of_seeds in zip(tested, over_sequences, over_seeds, strict=True):
            found[measure, row.condition] = _verdict(row, of_sequences, of_seeds, len(tested))
    return found


def _verdict(row: Row, of_sequences: float, of_seeds: float, conditions: int) -> str:
    """The verdict, of the corrected p over sequences and over seeds; NaN where there is no such test."""
    if np.isnan(of_sequences) and np.isnan(of_seeds):
        return UNDEFINED
    enough = row.by_seed is not None and conditions * row.by_seed.smallest_p < LEVEL
    if np.isnan(of_sequences) and not enough:
        return TOO_FEW
    stated = [p for p in (of_sequences, of_seeds if enough else np.nan) if not np.isnan(p)]
    direction = _direction(row, enough)
    if max(stated) >= LEVEL or direction == 0:
        return UNCLEAR
    if row.better == 0:
        return HIGHER if direction > 0 else LOWER
    return BETTER if row.better * direction > 0 else WORSE


def _direction(row: Row, seeds: bool) -> int:
    """1 where the condition is higher, −1 where it is lower; 0 where means, ranks and, with `seeds`, seeds disagree."""
    tests = [
        test
        for test in (row.by_sequence, row.by_seed if seeds else None)
        if test and test.effect_size == test.effect_size
    ]
    signs = {int(np.sign(value)) for test in tests for value in (test.mean_difference, test.effect_size)}
    return signs.pop() if len(signs) == 1 else 0


def _is_main(row: Row) -> bool:
    name = without_task(row.measure)
    return name in MAIN or name.startswith((SHARE, OVERLAP, "motifs.recall_area_"))


def summary_section(comparison: Comparison, rows: Sequence[Row], said: Verdicts) -> str:
    main = [row for row in rows if _is_main(row)]
    first, *others = comparison.conditions
    parts = [f"<p>{escape(comparison.question.text)}</p>"]
    if others:
        items = "".join(f"<li>{_answer(c.name, c.title, first.title, main, said)}</li>" for c in others)
        parts.append(f"<ul>{items}</ul>")
    else:
        parts.append(note("There is one condition: what it would be compared with was not trained."))
    parts.append(key_values(_counts(comparison)))
    parts += [note(text) for text in _warnings(comparison, rows)]
    parts.append(f"<p>{escape(READING)}</p>")
    return "\n".join(parts)


def _answer(name: str, title: str, first_title: str, main: Sequence[Row], said: Verdicts) -> str:
    """The verdicts of one condition, those for the worse said as plainly as those for the better."""
    by_word: dict[str, list[Row]] = {}
    for row in main:
        if row.condition == name and (row.measure, name) in said:
            by_word.setdefault(said[row.measure, name], []).append(row)
    total = sum(len(found) for word, found in by_word.items() if word != UNDEFINED)
    if not total:
        return f"<strong>{escape(title)}</strong> against {escape(first_title)}: no main measure has a value."
    counts = f"of {total} main measures, {len(by_word.get(BETTER, []))} better, {len(by_word.get(WORSE, []))} worse"
    start = f"<strong>{escape(title[:1].upper() + title[1:])}</strong> against {escape(first_title)}: {counts}."
    said_of = {
        word: _listed(by_word[word], main, numbers=word in (BETTER, WORSE))
        for word in (BETTER, WORSE, UNCLEAR, TOO_FEW)
        if word in by_word
    }
    return " ".join([start, *(f"{PHRASES[word]}: {escape(names)}." for word, names in said_of.items())])


def _listed(found: Sequence[Row], main: Sequence[Row], *, numbers: bool) -> str:
    """The measures of these rows, with `numbers` their two means; of several tasks only in how many of them."""
    names = []
    for base in dict.fromkeys(without_task(row.measure) for row in found):
        these = [row for row in found if without_task(row.measure) == base]
        tasks = {row.measure for row in main if without_task(row.measure) == base}
        if len(tasks) > 1:
            names.append(f"{base} in {len(these)} of {len(tasks)} tasks")
        else:
            row = these[0]
            means = f" ({_number(row.mean)} against {_number(_first_mean(row, main))})" * numbers
            names.append(row.title + means)
    return "; ".join(names)


def _first_mean(row: Row, rows: Sequence[Row]) -> float:
    """The same measure under the first condition, which is the one that has no test."""
    return next(other.mean for other in rows if other.measure == row.measure)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _counts(comparison: Comparison) -> dict[str, object]:
    conditions, seeds = len(comparison.conditions), len(comparison.seeds)
    models = sum(len(results) for results in comparison.results.values())
    counts: dict[str, object] = {"models": f"{models} = {conditions} × {seeds}, conditions × seeds"}
    parts = sum(len(results) for results in comparison.subset_results.values())
    if parts:
        counts["models of a part of the positives"] = parts
    if comparison.trials:
        counts["models that choose weights"] = len(comparison.trials)
    counts["loci"] = f"{len(comparison.loci['start']):,} positives of the {comparison.split} split"
    return counts


def _warnings(comparison: Comparison, rows: Sequence[Row]) -> list[str]:
    texts = []
    tests = [row.by_seed for row in rows if row.by_seed is not None]
    smallest = min((test.smallest_p for test in tests if not np.isnan(test.smallest_p)), default=np.nan)
    others = len(comparison.conditions) - 1
    if others and len(comparison.seeds) == 1:
        texts.append(
            "One seed each. Models that differ in nothing but the seed differ too: what is said here is said of these"
            " models, and whether the condition is the reason takes several seeds of each."
        )
    elif others * smallest >= LEVEL:
        texts.append(
            f"The smallest p that the Mann–Whitney test can give with these numbers of seeds is {smallest:.2g}"
            + (f", and {min(others * smallest, 1):.2g} corrected for {others} comparisons" if others > 1 else "")
            + ". So measures that have no value of single sequences cannot be told apart, and the others are told apart"
            " by sequences alone: that says nothing of other models."
        )
    elif others and np.isfinite(smallest):
        texts.append(
            f"The smallest p that the Mann–Whitney test can give with these numbers of seeds is {smallest:.2g}."
        )
    if others and comparison.split != "test":
        texts.append(f"Measured on the {comparison.split} split, which had a part in choosing the models.")
    return texts
