"""Whether a difference is more than chance: means and their errors, tests over pairs and over seeds.

A value that is not finite is undefined: it is left out, and the number of those left out is part of the result. Sums
are float64 and taken about the mean. Differences and effects are those of the first argument against the second; they
change sign when the two change places.

A test over sequences answers for other sequences seen by the same models, a test over seeds for other models of the
same kind. With a few thousand sequences nearly every difference is significant; how large it is, the effect says.
"""

import itertools
import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fprior.errors import InputError
from fprior.metrics.arithmetic import ratio

_ENUMERATED = 20_000  # so many ways to draw signs or groups are tried one by one, which is exact with ties too
_UNTIED_PAIRS = 2_500  # without ties the distribution is known, and soon computed up to this product of the counts


@dataclass(frozen=True)
class Summary:
    """Mean of the defined values along the first axis, and how sure it is; each `(...)`, a number for values `(N,)`.

    Attributes:
      mean: NaN without a value.
      standard_deviation: of the values, √(Σ (x − mean)² / (count − 1)); NaN with fewer than two.
      standard_error: of the mean, standard_deviation / √count.
      count: how many values are defined.
      undefined: how many are not.
    """

    mean: np.ndarray
    standard_deviation: np.ndarray
    standard_error: np.ndarray
    count: np.ndarray
    undefined: np.ndarray


def describe(values: np.ndarray) -> Summary:
    """Mean, standard deviation and standard error along the first axis.

    Args:
      values: `(N, ...)`.

    Raises:
      InputError: values has no axis.
    """
    values = np.asarray(values, np.float64)
    if not values.ndim:
        raise InputError(f"values (={values}) must have an axis to be averaged over")
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = ratio(np.where(known, values, 0).sum(axis=0), count)
    squares = np.square(np.where(known, values, mean) - mean).sum(axis=0)
    deviation = np.sqrt(ratio(squares, np.maximum(count - 1, 0)))
    return Summary(mean, deviation, deviation / np.sqrt(np.maximum(count, 1)), count, len(values) - count)


def spread(values: np.ndarray, of: str) -> dict[str, float | int | None]:
    """What `describe` says of values `(N,)`, as JSON keeps it: `mean`, `standard_error`, `undefined`, and the count.

    `of` is what the values are of, such as sequences: the name of the count.
    """
    summary = describe(values)
    return {
        "mean": finite(summary.mean),
        "standard_error": finite(summary.standard_error),
        of: int(summary.count),
        "undefined": int(summary.undefined),
    }


def finite(value: float | np.ndarray) -> float | None:
    """The number, or None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def bootstrap_interval(
    values: np.ndarray, *, seed: int, confidence: float = 0.95, resamples: int = 2_000
) -> tuple[float, float]:
    """Confidence interval of the mean of the defined values, by resampling them.

    Bias-corrected and accelerated (BCa); of percentiles where that has no solution.

    Args:
      values: `(N,)`.
      seed: of the resampling.
      confidence: of the interval, between 0 and 1.
      resamples: how many; the ends' own error shrinks with their square root.

    Returns:
      The lower and the upper end; both NaN with fewer than two values, both the mean where all are the same.

    Raises:
      InputError: values is not `(N,)`, or confidence or resamples is out of range.

    Source: Efron, Journal of the American Statistical Association 82 (1987).
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence (={confidence}) must lie between 0 and 1")
    if not resamples >= 2:
        raise InputError(f"resamples (={resamples}) must be at least 2")
    known = _known("values", values)
    if len(known) < 2:
        return math.nan, math.nan
    centre, scale = known.mean(), np.ptp(known)
    if not scale:
        return float(known[0]), float(known[0])
    # About 0 and of size 1, since the acceleration divides by the third power of the spread, which can underflow.
    scaled = (known - centre) / scale
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            low, high = stats.bootstrap(
                (scaled,),
                np.mean,
                confidence_level=confidence,
                n_resamples=resamples,
                method=method,
                batch=max(1, 2**22 // len(known)),
                random_state=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            break
    return float(centre + scale * low), float(centre + scale * high)


@dataclass(frozen=True)
class PairedTest:
    """Result of `paired_test`.

    Attributes:
      mean_difference: mean of a − b over the pairs.
      interval: its 95 % bootstrap interval.
      p_value: of the two-sided Wilcoxon signed-rank test; 0.0 below the smallest number there is.
      effect_size: matched-pairs rank-biserial correlation, in [−1, 1]: the share of the rank sum that speaks for a > b
        less the share that speaks for a < b.
      pairs: how many pairs are defined on both sides.
      left_out: how many are not.
    """

    mean_difference: float
    interval: tuple[float, float]
    p_value: float
    effect_size: float
    pairs: int
    left_out: int

    @property
    def smallest_p(self) -> float:
        """The smallest p that so many pairs can give: 2 / 2^pairs, such as 0.0625 for five."""
        return min(1.0, 2.0 ** (1 - self.pairs)) if self.pairs else math.nan


def paired_test(a: np.ndarray, b: np.ndarray, *, seed: int) -> PairedTest:
    """Whether paired values differ: two-sided Wilcoxon signed-rank test, with the difference and its effect size.

        R± = sum of the ranks of |a − b| over the pairs where a − b is positive (negative)
        effect = (R+ − R−) / (R+ + R−)

    Pairs without any difference count for the mean but have no rank (Wilcoxon's own way). The test is exact with up to
    14 pairs, and without ties with up to 50; above it is the normal approximation.

    Args:
      a: `(N,)`; for instance a measure of N sequences' attributions by one model.
      b: `(N,)`, of the same sequences by the other.
      seed: of the bootstrap interval.

    Returns:
      See `PairedTest`. If nothing differs p is 1 and the effect 0; without pairs all are NaN.

    Raises:
      InputError: a and b are not both `(N,)`.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945); Kerby, Comprehensive Psychology 3 (2014).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"a (shape {a.shape}) and b (shape {b.shape}) must be the two values of N pairs, both (N,)")
    both = np.isfinite(a) & np.isfinite(b)
    difference = a[both] - b[both]
    pairs, left_out = len(difference), int(np.sum(~both))
    if not pairs:
        return PairedTest(math.nan, (math.nan, math.nan), math.nan, math.nan, 0, left_out)
    p_value, effect = _signed_rank(difference[difference != 0])
    interval = bootstrap_interval(difference, seed=seed)
    return PairedTest(float(difference.mean()), interval, p_value, effect, pairs, left_out)


@dataclass(frozen=True)
class UnpairedTest:
    """Result of `unpaired_test`.

    Attributes:
      mean_difference: mean of a less mean of b.
      p_value: of the two-sided Mann–Whitney test.
      effect_size: Cliff's delta, in [−1, 1]: the share of all pairs of a value of a and one of b in which a's is the
        larger less the share in which b's is. (The common-language effect size, ties halved, is (1 + delta) / 2.)
      counts: how many values of a and of b are defined.
      left_out: how many of both are not.
    """

    mean_difference: float
    p_value: float
    effect_size: float
    counts: tuple[int, int]
    left_out: int

    @property
    def smallest_p(self) -> float:
        """The smallest p that so many values can give: 2 over the number of ways to divide them into such groups."""
        return min(1.0, 2 / math.comb(sum(self.counts), self.counts[0])) if all(self.counts) else math.nan


def unpaired_test(a: np.ndarray, b: np.ndarray) -> UnpairedTest:
    """Whether values of two groups differ, such as those of seeds: two-sided Mann–Whitney U test.

        U = number of pairs of values with a > b, ties counted half;   delta = 2 U / (n · m) − 1

    The test is exact for small groups (up to 8 against 8), and without ties up to 50 against 50; otherwise it is the
    normal approximation with its corrections for ties and continuity. Few seeds bound what it can say: the smallest p
    is 2 / C(n + m, n), which is 0.1 for 3 against 3, 0.029 for 4 and 4, 0.0079 for 5 and 5 (`UnpairedTest.smallest_p`).

    Args:
      a: `(N,)`; for instance the auROC of N seeds of one kind of model.
      b: `(M,)`, of the other kind.

    Returns:
      See `UnpairedTest`. If all values are equal p is 1 and the effect 0; if a group is empty they are NaN.

    Raises:
      InputError: a or b has not one axis.

    Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947); Cliff, Psychological Bulletin 114 (1993).
    """
    first, second = _known("a", a), _known("b", b)
    counts = len(first), len(second)
    left_out = np.size(a) + np.size(b) - sum(counts)
    if not all(counts):
        return UnpairedTest(math.nan, math.nan, math.nan, counts, left_out)
    p_value, delta = _rank_sum(first, second)
    return UnpairedTest(float(first.mean() - second.mean()), p_value, delta, counts, left_out)


def holm(p_values: np.ndarray) -> np.ndarray:
    """p values of several comparisons, corrected so that the chance of any false finding among them stays below p.

        p'_(k) = max_{j ≤ k} min(1, (K − j + 1) · p_(j)),   p_(1) ≤ … ≤ p_(K)

    Holm's correction holds whatever the dependence between the comparisons, and measures of one and the same model do
    depend on each other. The false discovery rate would promise less: a page makes few claims, and each is read alone.

    Args:
      p_values: `(K,)`; NaN where there was nothing to test, which does not count as a comparison.

    Returns:
      The corrected ones `(K,)`, NaN where they were.

    Raises:
      InputError: p_values has not one axis, or one does not lie in [0, 1].

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    p_values = np.asarray(p_values, np.float64)
    if p_values.ndim != 1 or np.any((p_values < 0) | (p_values > 1)):
        raise InputError(f"p_values (={p_values}) must be (K,), each in [0, 1] or NaN")
    order = np.argsort(p_values)[: np.sum(~np.isnan(p_values))]  # NaN sorts last
    corrected = np.full_like(p_values, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1)
    return corrected


def _known(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise InputError(f"{name} (shape {values.shape}) must be (N,)")
    return values[np.isfinite(values)]


def _signed_rank(difference: np.ndarray) -> tuple[float, float]:
    """p and effect of differences other than 0."""
    count = len(difference)
    if not count:
        return 1.0, 0.0
    ranks = stats.rankdata(np.abs(difference))
    signed = np.sum(np.sign(difference) * ranks)
    effect = float(signed / ranks.sum())
    if 2**count <= _ENUMERATED:
        signs = np.array(list(itertools.product((-1, 1), repeat=count)))
        return _two_sided(signs @ ranks, signed), effect
    return float(stats.wilcoxon(difference).pvalue), effect


def _rank_sum(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """p and Cliff's delta of two groups."""
    pooled = np.concatenate([first, second])
    n, m = len(first), len(second)
    ranks = stats.rankdata(pooled)
    rank_sum = ranks[:n].sum()
    delta = float(2 * (rank_sum - n * (n + 1) / 2) / (n * m) - 1)
    if (ranks == ranks[0]).all():  # SciPy says 1 or NaN, by its version
        return 1.0, delta
    if math.comb(n + m, n) <= _ENUMERATED:
        groups = np.array(list(itertools.combinations(ranks, n)))
        return _two_sided(groups.sum(axis=1), rank_sum), delta
    untied = len(np.unique(pooled)) == n + m
    method = "exact" if untied and n * m <= _UNTIED_PAIRS else "asymptotic"
    return float(stats.mannwhitneyu(first, second, method=method).pvalue), delta


def _two_sided(possible: np.ndarray, observed: float) -> float:
    """Twice the smaller tail. Ranks are multiples of ½, so that their sums are exact and compare as they should."""
    return min(1.0, 2 * min(float(np.mean(possible <= observed)), float(np.mean(possible >= observed))))
