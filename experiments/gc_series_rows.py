"""The rows of a GC-bias series' tables: every measure by bias and condition, and its slope over the biases."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress

from experiments.compare_results import Row
from experiments.compare_rows import BOOTSTRAP_SEED, COLUMNS, cells_of
from experiments.gc_series_results import MEASURES, Series
from fprior.files import csv_text
from fprior.metrics.statistics import PairedTest, UnpairedTest, describe, paired_test, unpaired_test

PERCENT = 100.0  # slopes are those of one more per cent
SLOPE = "slope"


@dataclass(frozen=True)
class SeriesRow(Row):
    """One measure of one condition at one bias, beside the first condition; or its slope over the biases.

    Attributes:
      bias: as a share of all bases; None for the slope, whose values are those of seeds, per per cent of bias.
    """

    bias: float | None


def rows_of(series: Series) -> list[SeriesRow]:
    """All rows, the biases of one measure after one another and then its slope."""
    rows: list[SeriesRow] = []
    for measure in MEASURES:
        for bias in series.biases:
            rows += _at_bias(series, measure, bias)
        rows += _slopes(series, measure)
    return rows


def slope_of(biases: Sequence[float], values: Sequence[float]) -> float:
    """Slope of the least-squares line through values at biases, per per cent of bias.

        Σ (x − x̄)(y − ȳ) / Σ (x − x̄)²,   x = 100 · bias

    Args:
      biases: `(B,)`, all different, as shares of all bases.
      values: `(B,)`; those that are not finite are left out.

    Returns:
      The slope; NaN with fewer than two values.
    """
    x, y = PERCENT * np.asarray(biases, np.float64), np.asarray(values, np.float64)
    known = np.isfinite(y)
    return float(linregress(x[known], y[known]).slope) if known.sum() > 1 else math.nan


def _at_bias(series: Series, measure: str, bias: float) -> Iterator[SeriesRow]:
    of_seeds, of_sequences = {}, {}
    for condition in series.conditions:
        models = series.of(bias, condition.name)
        of_seeds[condition.name] = [model.value(measure) for model in models]
        if all(measure in model.sequences for model in models):
            each = np.stack([model.sequences[measure] for model in models])
            of_sequences[condition.name] = np.asarray(describe(each).mean)
    first = series.conditions[0].name
    for name, values in of_seeds.items():
        by_sequence = by_seed = None
        if name != first:
            by_seed = unpaired_test(np.array(values), np.array(of_seeds[first]))
            if of_sequences:
                by_sequence = paired_test(of_sequences[name], of_sequences[first], seed=BOOTSTRAP_SEED)
        yield _row(measure, name, values, by_sequence, by_seed, bias)


def _slopes(series: Series, measure: str) -> Iterator[SeriesRow]:
    slopes = {}
    for condition in series.conditions:
        table = np.array([[m.value(measure) for m in series.of(bias, condition.name)] for bias in series.biases])
        slopes[condition.name] = [slope_of(series.biases, of_seed) for of_seed in table.T]
    first = series.conditions[0].name
    for name, values in slopes.items():
        by_seed = None if name == first else unpaired_test(np.array(values), np.array(slopes[first]))
        yield _row(measure, name, values, None, by_seed, None)


def _row(
    measure: str,
    condition: str,
    values: Sequence[float],
    by_sequence: PairedTest | None,
    by_seed: UnpairedTest | None,
    bias: float | None,
) -> SeriesRow:
    table, title, better = MEASURES[measure]
    summary = describe(np.array(values, np.float64))
    mean, deviation = float(summary.mean), float(summary.standard_deviation)
    return SeriesRow(
        table, measure, title, better, condition, tuple(values), mean, deviation, by_sequence, by_seed, bias
    )


def as_csv(rows: Iterable[SeriesRow]) -> str:
    """The rows as a table in a file: numbers in full, empty where there is none."""
    cells = ([SLOPE if row.bias is None else row.bias, *cells_of(row)] for row in rows)
    return csv_text(["bias", *COLUMNS], cells)
