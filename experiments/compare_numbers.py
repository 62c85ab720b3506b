"""The numbers of a comparison: by sequence, of all bases together, and as text."""

import math
import re
from collections.abc import Iterable

import numpy as np

from experiments.compare_results import Comparison, Row
from fprior.metrics.statistics import describe

SIMILARITIES = ("jaccard", "jaccard_subset")  # between models: between seeds, and between all and a part of the data


def without_task(measure: str) -> str:
    """auroc[CTCF] → auroc."""
    return re.sub(r"\[.*\]$", "", measure)


def rows_of(rows: Iterable[Row], measure: str) -> list[Row]:
    """The rows of one measure, the first condition's first."""
    return [row for row in rows if row.measure == measure]


def measures_of(rows: Iterable[Row]) -> list[str]:
    """Their names, in the order in which they come."""
    return list(dict.fromkeys(row.measure for row in rows))


def sequence_means(comparison: Comparison, condition: str, measure: str) -> np.ndarray | None:
    """Each sequence's mean over the seeds `(P,)`; None where a measure has no value of single sequences."""
    if measure in SIMILARITIES:
        values = (comparison.stability if measure == "jaccard" else comparison.subset).get(condition, np.empty(0))
        return values if len(values) else None
    attribution, _, name = measure.partition(".")
    each = [model.measures.get((attribution, name)) for model in comparison.results[condition]]
    return None if any(v is None for v in each) else describe(np.array(each)).mean


def is_pooled(comparison: Comparison, measure: str) -> bool:
    """Whether a model's value is that of all bases together, and not the mean of the sequences' own."""
    attribution, _, name = measure.partition(".")
    return any((attribution, name) in model.pooled for models in comparison.results.values() for model in models)


def number_text(value: float, decimals: int) -> str | None:
    """None for NaN, which a table shows as a dash."""
    # Adding 0 takes the sign from what is rounded to nothing.
    return None if math.isnan(value) else f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def p_text(p: float | None) -> str | None:
    """p with two digits; "<1e−300" below the smallest number there is."""
    if p is None or math.isnan(p):
        return None
    if p == 0:
        return "<1e−300"
    return (f"{p:.1e}" if p < 1e-3 else f"{p:.2g}").replace("-", "−")


def decimals_of(rows: Iterable[Row]) -> int:
    """The decimals that two digits of the largest deviation need, or four digits of a mean where there is none."""
    rows = list(rows)
    deviation = max((row.deviation for row in rows if row.deviation > 0), default=0.0)
    mean = max((abs(row.mean) for row in rows if math.isfinite(row.mean)), default=0.0)
    size, digits = (deviation, 2) if deviation else (mean, 4)
    return min(max(digits - 1 - math.floor(math.log10(size)), 0), 6) if size else 4


def spread_text(row: Row, decimals: int) -> str | None:
    """Mean ± standard deviation over the seeds; the mean alone of one seed."""
    mean, deviation = number_text(row.mean, decimals), number_text(row.deviation, decimals)
    return mean if mean is None or deviation is None else f"{mean} ± {deviation}"
