"""How well predicted profiles and read counts fit the observed ones.

Observed profiles are read counts `(N, T, O, S)`: examples, tasks, positions, strands. A predicted profile is a
distribution over the positions of one strand, given by its logarithm in the same shape; each strand has its own.

A *bin* of size b is b successive values of a task's profile with its strands interleaved (position 0 strand 0,
position 0 strand 1, position 1 strand 0, ...), and its value is their maximum. So the authors' code does it, and so the
published numbers were made: with two strands a bin of size 4 covers two positions. The last bin may be shorter.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real
from scipy.ndimage import gaussian_filter1d
from scipy.special import gammaln, rel_entr
from scipy.stats import rankdata

from fprior.errors import InputError
from fprior.metrics.arithmetic import last_of_equals, pearson, ratio
from fprior.typing import AnyArray

_VALUES_AT_ONCE = 2**21  # of a profile array; the largest temporaries then take tens of megabytes
_NORMALIZE = "apply log_softmax to logits over the positions (axis 2)"


def profile_performance(
    true_profiles: Real[AnyArray, "N T O S"],
    log_probabilities: Real[AnyArray, "N T O S"],
    log_counts: Real[AnyArray, "N T S"],
    *,
    bin_sizes: Sequence[int] = (1, 4, 10),
) -> dict[str, Float[np.ndarray, "..."]]:
    """Every measure of this module, some examples at a time.

    Args:
      true_profiles: `(N, T, O, S)`; observed reads.
      log_probabilities: `(N, T, O, S)`; predicted log-probabilities of the positions, in nats.
      log_counts: `(N, T, S)`; predicted log(1 + reads).
      bin_sizes: the Z sizes of bins.

    Returns:
      Float64 arrays. `(N, T)`: `multinomial_nll`, `nats_per_read`, `jensen_shannon_divergence`. `(N, T, Z)`: those of
      `binned_auprc` and `binned_correlations`. `(T,)`: those of `count_performance`.

    Raises:
      InputError: shapes do not fit, or a value is none that the measures are defined for.

    Source: the authors' code for Tseng et al. 2020.
    """
    true_profiles, log_probabilities = np.asarray(true_profiles), np.asarray(log_probabilities)
    _check_shapes(true_profiles, log_probabilities)
    counts = count_performance(true_profiles.sum(axis=2, dtype=np.float64), log_counts)
    step = max(1, _VALUES_AT_ONCE // true_profiles[:1].size) if len(true_profiles) else 1
    parts = []
    for start in range(0, max(1, len(true_profiles)), step):
        some = true_profiles[start : start + step], log_probabilities[start : start + step]
        parts.append(
            {
                "multinomial_nll": multinomial_nll(*some),
                "nats_per_read": nats_per_read(*some),
                "jensen_shannon_divergence": jensen_shannon_divergence(*some),
                **binned_auprc(*some, bin_sizes=bin_sizes),
                **binned_correlations(*some, bin_sizes=bin_sizes),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} | counts


def multinomial_nll(
    true_profiles: Real[AnyArray, "N T O S"], log_probabilities: Real[AnyArray, "N T O S"]
) -> Float[np.ndarray, "N T"]:
    """Multinomial negative log-likelihood of the reads on each strand given their number, averaged over the strands.

        − log n! + Σ_o log k_o! − Σ_o k_o log p_o,   n = Σ_o k_o

    Args:
      true_profiles: reads k `(N, T, O, S)`.
      log_probabilities: log p `(N, T, O, S)`.

    Returns:
      `(N, T)` float64, in nats; a strand without reads counts as 0, reads where p = 0 give infinity.

    Raises:
      InputError: see `profile_performance`.

    Source: the authors' code for Tseng et al. 2020.
    """
    reads, log_probabilities = _checked(true_profiles, log_probabilities)
    arrangements = gammaln(1 + reads.sum(axis=2)) - gammaln(1 + reads).sum(axis=2)
    return np.mean(_cross_entropy(reads, log_probabilities) - arrangements, axis=-1)


def nats_per_read(
    true_profiles: Real[AnyArray, "N T O S"], log_probabilities: Real[AnyArray, "N T O S"]
) -> Float[np.ndarray, "N T"]:
    """Cross entropy of a read's position, over the reads of all strands of a task.

        − Σ_{o,s} k_os log p_os / Σ_{o,s} k_os

    Unlike the likelihood it does not grow with the number of reads; a uniform prediction has log O.

    Args:
      true_profiles: reads k `(N, T, O, S)`.
      log_probabilities: log p `(N, T, O, S)`; each strand sums to 1 by itself.

    Returns:
      `(N, T)` float64, in nats; NaN without reads, infinite where a read lies at p = 0.

    Raises:
      InputError: see `profile_performance`.
    """
    reads, log_probabilities = _checked(true_profiles, log_probabilities)
    return ratio(_cross_entropy(reads, log_probabilities).sum(axis=-1), reads.sum(axis=(2, 3)))


def jensen_shannon_divergence(
    true_profiles: Real[AnyArray, "N T O S"], log_probabilities: Real[AnyArray, "N T O S"], *, smooth_sigma: float = 3.0
) -> Float[np.ndarray, "N T"]:
    """Jensen–Shannon divergence of the smoothed profiles of each strand, averaged over the strands.

        ½ Σ_o q_o log(q_o / m_o) + ½ Σ_o p_o log(p_o / m_o),   m = (q + p) / 2

    q (observed) and p (predicted) are smoothed with a Gaussian that is cut off at one standard deviation, the profile
    being reflected at its ends, and then divided by their sums. The prior's smoothing pads with zeros instead.

    Args:
      true_profiles: reads `(N, T, O, S)`.
      log_probabilities: log of the predicted profile `(N, T, O, S)`.
      smooth_sigma: standard deviation in positions; 0: no smoothing.

    Returns:
      `(N, T)` float64, in nats, in [0, log 2]; NaN where a strand of the task has no reads.

    Raises:
      InputError: see `profile_performance`; or smooth_sigma is negative.

    Source: the authors' code for Tseng et al. 2020, smoothing included.
    """
    reads, log_probabilities = _checked(true_profiles, log_probabilities)
    if not 0 <= smooth_sigma < np.inf:
        raise InputError(f"smooth_sigma (={smooth_sigma}) must be finite and not negative; 0 turns smoothing off")
    observed = _smoothed_distribution(reads, smooth_sigma)
    predicted = _smoothed_distribution(np.exp(log_probabilities), smooth_sigma)
    # q log(q / m) written with 2q and 2m: halving the smallest numbers would give 0, and an infinite ratio.
    doubled = observed + predicted
    terms = rel_entr(2 * observed, doubled) + rel_entr(2 * predicted, doubled)
    per_strand = np.maximum(terms.sum(axis=2) / 4, 0)  # rounding alone can make it negative
    return per_strand.mean(axis=-1)


def binned_auprc(
    true_profiles: Real[AnyArray, "N T O S"],
    log_probabilities: Real[AnyArray, "N T O S"],
    *,
    bin_sizes: Sequence[int] = (1, 4, 10),
    positive_probability: float = 0.015,
    positive_count: float = 3,
    negative_probability: float = 0.005,
) -> dict[str, Float[np.ndarray, "N T Z"]]:
    """Average precision of the bins with many reads, ranked by predicted probability, over a task's strands.

        mean over positive bins i of (positives / (positives + negatives)) among bins with p ≥ p_i

    A bin is positive when its largest count and its largest share of its strand's reads both reach their thresholds,
    negative when its largest share is at most the lower threshold, and otherwise ambiguous and left out.

    Args:
      true_profiles: reads `(N, T, O, S)`.
      log_probabilities: log of the predicted profile `(N, T, O, S)`.
      bin_sizes: the Z sizes of bins, see the module.
      positive_probability: least share of a strand's reads in a positive bin.
      positive_count: least number of reads in a positive bin.
      negative_probability: largest share in a negative bin, below positive_probability.

    Returns:
      Float64 arrays `(N, T, Z)`: `binned_auprc`, NaN without positives and 1 without negatives; and the numbers
      `positive_bins`, `ambiguous_bins`, `negative_bins`. A strand without reads is all negative.

    Raises:
      InputError: see `profile_performance`; or the thresholds are not in order.

    Source: the authors' code for Tseng et al. 2020.
    """
    reads, log_probabilities = _checked(true_profiles, log_probabilities)
    if not 0 <= negative_probability < positive_probability:
        raise InputError(
            f"negative_probability (={negative_probability}) must be at least 0 and below positive_probability "
            f"(={positive_probability}), or a bin could be both"
        )
    if not positive_count > 0:
        raise InputError(f"positive_count (={positive_count}) must be positive")
    shares, probabilities = _shares(reads), np.exp(log_probabilities)
    results = []
    for size in _checked_sizes(bin_sizes):
        share = _binned(shares, size)
        positive = (_binned(reads, size) >= positive_count) & (share >= positive_probability)
        negative = share <= negative_probability
        results.append(
            {
                "binned_auprc": _average_precision(_binned(probabilities, size), positive, negative),
                "positive_bins": positive.sum(axis=-1, dtype=np.float64),
                "ambiguous_bins": np.sum(~positive & ~negative, axis=-1, dtype=np.float64),
                "negative_bins": negative.sum(axis=-1, dtype=np.float64),
            }
        )
    return _stacked(results)


def binned_correlations(
    true_profiles: Real[AnyArray, "N T O S"],
    log_probabilities: Real[AnyArray, "N T O S"],
    *,
    bin_sizes: Sequence[int] = (1, 4, 10),
) -> dict[str, Float[np.ndarray, "N T Z"]]:
    """Correlation and mean squared difference of observed and predicted profiles, over the bins of a task's strands.

    The observed profile of a strand is its reads divided by their number, 0 everywhere when there are none; both
    profiles are probabilities, not logarithms. Spearman's correlation gives ties their mean rank.

    Args:
      true_profiles: reads `(N, T, O, S)`.
      log_probabilities: log of the predicted profile `(N, T, O, S)`.
      bin_sizes: the Z sizes of bins, see the module.

    Returns:
      Float64 arrays `(N, T, Z)`: `binned_pearson` and `binned_spearman`, NaN where either profile has one value in all
      its bins (no reads; a uniform prediction); `binned_squared_error`.

    Raises:
      InputError: see `profile_performance`.

    Source: the authors' code for Tseng et al. 2020.
    """
    reads, log_probabilities = _checked(true_profiles, log_probabilities)
    shares, probabilities = _shares(reads), np.exp(log_probabilities)
    sizes = _checked_sizes(bin_sizes)
    agreements = [_agreement(_binned(shares, size), _binned(probabilities, size)) for size in sizes]
    return {f"binned_{name}": values for name, values in _stacked(agreements).items()}


def count_performance(
    true_counts: Real[AnyArray, "N T S"], log_counts: Real[AnyArray, "N T S"]
) -> dict[str, Float[np.ndarray, " T"]]:
    """Correlation and mean squared difference of log(1 + reads), task by task, over all examples and strands.

    Args:
      true_counts: `(N, T, S)`; observed reads, not their logarithm.
      log_counts: `(N, T, S)`; predicted log(1 + reads), in nats.

    Returns:
      Float64 arrays `(T,)`: `count_pearson`, `count_spearman`, NaN where either side is constant (as with one example
      and one strand); `count_squared_error`, NaN without examples.

    Raises:
      InputError: shapes differ, a count is negative, or a value is not finite.

    Source: the authors' code for Tseng et al. 2020.
    """
    true_counts, log_counts = np.asarray(true_counts, np.float64), np.asarray(log_counts, np.float64)
    if true_counts.shape != log_counts.shape or true_counts.ndim != 3:
        raise InputError(
            f"true_counts (shape {true_counts.shape}) and log_counts (shape {log_counts.shape}) must be (N, T, S)"
        )
    _check_reads("true_counts", true_counts)
    if not np.all(np.isfinite(log_counts)):
        raise InputError("log_counts must be finite; predict log(1 + reads), which is 0 without reads")
    # One row per task; its length is spelled out because reshape cannot infer it without examples.
    rows = true_counts.shape[1], true_counts.shape[0] * true_counts.shape[2]
    observed, predicted = (a.swapaxes(0, 1).reshape(rows) for a in (np.log1p(true_counts), log_counts))
    return {f"count_{name}": values for name, values in _agreement(observed, predicted).items()}


def _check_shapes(true_profiles: np.ndarray, log_probabilities: np.ndarray) -> None:
    shape = true_profiles.shape
    if shape != log_probabilities.shape or len(shape) != 4 or 0 in shape[1:]:
        raise InputError(
            f"true_profiles (shape {shape}) and log_probabilities (shape {log_probabilities.shape}) must both be "
            "(N, T, O, S), with at least one task, position and strand"
        )


def _checked(true_profiles: AnyArray, log_probabilities: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, once they are known to be counts and log-probabilities of one shape."""
    reads, log_probabilities = np.asarray(true_profiles, np.float64), np.asarray(log_probabilities, np.float64)
    _check_shapes(reads, log_probabilities)
    _check_reads("true_profiles", reads)
    # Above 0 first: the exponential of a large logit would overflow.
    if not np.all(log_probabilities <= 0.01):
        raise InputError(f"log_probabilities (up to {log_probabilities.max():.3g}) must be at most 0; {_NORMALIZE}")
    totals = np.exp(log_probabilities).sum(axis=2)
    if not np.all(np.abs(totals - 1) <= 0.01):  # room for the rounding of half-precision models
        worst = totals.flat[np.argmax(np.abs(totals - 1))]
        raise InputError(f"log_probabilities of a profile sum to a probability of {worst:.3g}; {_NORMALIZE}")
    return reads, log_probabilities


def _check_reads(name: str, reads: np.ndarray) -> None:
    wrong = ~((reads >= 0) & (reads < np.inf))
    if wrong.any():
        raise InputError(f"{name} (with a value {reads[wrong][0]:.3g}) must be reads, finite and not negative")


def _checked_sizes(bin_sizes: Sequence[int]) -> tuple[int, ...]:
    if len(bin_sizes) == 0 or not all(isinstance(size, int | np.integer) and size >= 1 for size in bin_sizes):
        raise InputError(f"bin_sizes (={tuple(bin_sizes)}) must be one or more whole numbers from 1 on")
    return tuple(bin_sizes)


def _cross_entropy(reads: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    """− Σ_o k_o log p_o, `(N, T, S)`; 0 · log 0 is 0."""
    terms = np.multiply(reads, log_probabilities, out=np.zeros_like(reads), where=reads > 0)
    return -terms.sum(axis=2)


def _shares(reads: np.ndarray) -> np.ndarray:
    return ratio(reads, reads.sum(axis=2, keepdims=True), nothing=0.0)


def _smoothed_distribution(profiles: np.ndarray, sigma: float) -> np.ndarray:
    if sigma > 0:
        profiles = gaussian_filter1d(profiles, sigma, axis=2, mode="reflect", truncate=1)
    return ratio(profiles, profiles.sum(axis=2, keepdims=True))


def _binned(profiles: np.ndarray, size: int) -> np.ndarray:
    """Largest value in each bin, `(N, T, O, S)` to `(N, T, ⌈O · S / size⌉)`."""
    examples, tasks, length, strands = profiles.shape
    flat = profiles.reshape(examples, tasks, length * strands)
    missing = -flat.shape[-1] % size
    padded = np.pad(flat, [(0, 0), (0, 0), (0, missing)])  # 0 is below any count or probability
    return padded.reshape(examples, tasks, padded.shape[-1] // size, size).max(axis=-1)


def _average_precision(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Average precision along the last axis; equal scores are called together."""
    order = np.argsort(-scores, axis=-1)
    scores, positive, negative = (np.take_along_axis(a, order, axis=-1) for a in (scores, positive, negative))
    last = last_of_equals(scores)
    found = np.take_along_axis(positive.cumsum(axis=-1), last, axis=-1)
    called = np.take_along_axis((positive | negative).cumsum(axis=-1), last, axis=-1)
    precision = found / np.maximum(called, 1)  # where nothing is called yet, nothing is positive either
    return ratio(np.sum(precision * positive, axis=-1), positive.sum(axis=-1))


def _agreement(observed: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "pearson": pearson(observed, predicted),
        "spearman": pearson(rankdata(observed, axis=-1), rankdata(predicted, axis=-1)),
        "squared_error": ratio(np.square(observed - predicted).sum(axis=-1), observed.shape[-1]),
    }


def _stacked(results: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([result[name] for result in results], axis=-1) for name in results[0]}
