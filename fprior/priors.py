"""Attribution priors: losses on a per-position attribution track `(..., L)`, one number per track.

Images, spectrograms and volumes have tracks over several axes, `(..., L1, …, Ln)`: `axes=n`. The track is
non-negative by convention, |attribution| summed over bases (`track_of`). Every prior is a pure function,
differentiable almost everywhere; at its singular points (an all-zero track, ties) it is finite and its gradient is
a valid subgradient, zero where there is nothing to improve.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Num

from fprior.spectrum import BOUNDARIES, absolute, frequency_weights, magnitudes_of
from fprior.typing import AnyArray

NORMALIZATIONS = ("paper", "reference")


def track_of(attribution: Num[AnyArray, "*batch L 4"]) -> Num[jax.Array, "*batch L"]:
    """The non-negative track `(..., L)` of an attribution `(..., L, 4)`: |attribution| summed over bases."""
    return jnp.sum(absolute(attribution), axis=-1)


def fourier_prior(
    track: Float[AnyArray, "..."],
    *,
    freq_limit: float | Sequence[float],
    softness: float | None = 0.2,
    smooth_sigma: float | Sequence[float] = 3.0,
    normalization: str = "paper",
    boundary: str = "periodic",
    axes: int = 1,
) -> Float[jax.Array, "..."]:
    """Share of a track's Fourier magnitude at high frequencies, softly counted: the Fourier attribution prior.

        loss = 1 − Σ_{i≥1} w_i m_i / Σ_i m_i,   m = |rfft(smoothed track)|,
        w_i = 1 for i ≤ freq_limit,  1 / (1 + (i − freq_limit)^softness) above

    Component i has a period of L/i positions, so `freq_limit` = L / (shortest motif). The constant component
    m_0 never enters the upper sum. Over n axes a component has n frequencies i_1 … i_n, and the sums run over all
    waves in the track, one for every pair of a component and its complex conjugate:

        w_i = 1 for ρ ≤ 1,  1 / (1 + (T (ρ − 1))^softness) above,
        ρ² = Σ_k (i_k / freq_limit_k)²,   T^n = Π_k freq_limit_k

    which for n = 1 is the formula above. Transposing or flipping the track changes nothing beyond rounding.

    Args:
      track: attribution track `(..., L)`, or `(..., L1, …, Ln)`, non-negative, of at least 2 positions. Half precision
        is computed in float32.
      freq_limit: the highest component that is not penalised, in cycles per track along an axis, positive and finite;
        one number for all axes or one for each.
      softness: exponent of the decay above the limit; None is the hard cut (weight 0 above).
      smooth_sigma: standard deviation, in positions, of the Gaussian that smooths the track first (`smooth`);
        0 for none; one number for all axes or one for each.
      normalization: `"paper"` leaves m_0 out of the lower sum, so that the loss spans [0, 1]; `"reference"`
        keeps it in, as the authors' published code does, so that the loss has a floor at m_0's share.
      boundary: what the transform sees beyond the ends of every axis. `"periodic"`: the other end. `"reflect"`: the
        track's mirror image (a transform of length 2L, components counted in halves). `"cosine"`: the same numbers,
        by a discrete cosine transform of the track itself. `"taper"`: the mean is taken out and the outer 10 %
        at either end are faded to it by a cosine bell.
      axes: how many of the last axes are positions: 1 for sequences, 2 for images.

    Returns:
      The loss `(...)`, float32 or float64. A track that is zero, or constant up to rounding, has nothing to
      share out: loss 1 with zero gradient.

    Raises:
      ValueError: an argument is out of its range; the message names it.

    Source: Tseng, Shrikumar, Kundaje, NeurIPS 2020, section 2.1; over several axes it is our extension.
    """
    track, over = _as_float(track, "track", axes), tuple(range(-axes, 0))
    limits, sigmas = _for_each("freq_limit", freq_limit, axes), _for_each("smooth_sigma", smooth_sigma, axes)
    _check_fourier_arguments(track.shape[-axes:], freq_limit, softness, normalization, boundary)
    track = _unit_peak(track, over)
    for axis, sigma in zip(over, sigmas, strict=True):
        track = smooth(track, sigma, axis)
    constant, magnitudes, cycles = magnitudes_of(track, boundary, axes)
    total = jnp.sum(magnitudes, axis=-1)
    # Rounding leaves about eps·‖track‖ in each component of a constant track; that is not a signal.
    norm = jnp.sqrt(jnp.sum(lax.stop_gradient(track) ** 2, over))
    has_signal = ~(total <= 4 * jnp.finfo(track.dtype).eps * cycles.shape[-1] * norm)  # true of NaN, which must show
    if normalization == "reference":
        total = total + constant
    weights = jnp.asarray(frequency_weights(cycles, limits, softness), track.dtype)
    kept = jnp.sum(weights * magnitudes, axis=-1)
    # The inner `where` keeps 0/0 out of the derivative, the outer one out of the value.
    return 1 - jnp.where(has_signal, kept / jnp.where(has_signal, total, 1), 0)


def smoothness_prior(track: Float[AnyArray, "..."], *, axes: int = 1) -> Float[jax.Array, "..."]:
    """Total variation of a track: Σ_i |a_{i+1} − a_i|; over several axes, of all pairs of neighbours along any of them.

    Args:
      track: attribution track `(..., L)`, or `(..., L1, …, Ln)`.
      axes: how many of the last axes are positions.

    Returns:
      The loss `(...)`, at least 0; 0 for a constant track or a single position.

    Raises:
      ValueError: an argument is out of its range; the message names it.

    Source: Erion et al. 2019, as used by Tseng et al. 2020, section 8.2.
    """
    track, over = _as_float(track, "track", axes), tuple(range(-axes, 0))
    return reduce(add, [jnp.sum(absolute(jnp.diff(track, axis=axis)), axis=over) for axis in over])


def sparsity_prior(track: Float[AnyArray, "*batch L"]) -> Float[jax.Array, "*batch"]:
    """Minus the Gini index of a track, doubled: − Σ_ij |a_i − a_j| / (L · Σ_i a_i).

    Computed in O(L log L): Σ_ij |a_i − a_j| = 2 Σ_i a_i · (number below a_i − number above a_i), whose bracket
    is piecewise constant; held constant it gives the derivative, with sign(0) = 0 at ties.

    Args:
      track: attribution track `(..., L)`, non-negative.

    Returns:
      The loss `(...)` in (−2, 0]; 0 with zero gradient for an all-zero track.

    Source: Erion et al. 2019, as used by Tseng et al. 2020, section 8.2.
    """
    track = _unit_peak(_as_float(track, "track", 1), (-1,))
    length = track.shape[-1]

    def rank_balance(row: jax.Array) -> jax.Array:
        ordered = jnp.sort(row)
        below = jnp.searchsorted(ordered, row, side="left")
        not_above = jnp.searchsorted(ordered, row, side="right")
        return below - (length - not_above)

    rows = lax.stop_gradient(track).reshape(-1, length)
    balance = jax.vmap(rank_balance)(rows).reshape(track.shape).astype(track.dtype)
    spread = 2 * jnp.sum(balance * track, axis=-1)
    total = jnp.sum(track, axis=-1)
    nonzero = ~(total <= 0)  # true of NaN, which must show in the loss
    return -jnp.where(nonzero, spread / (length * jnp.where(nonzero, total, 1)), 0)


def smooth(track: Float[AnyArray, "*shape"], sigma: float, axis: int = -1) -> Float[jax.Array, "*shape"]:
    """Gaussian smoothing of an array of any shape along an axis, cut off at one standard deviation, with zeros beyond
    the ends.

    The kernel has 2·round(sigma) + 1 taps, exp(−d²/(2 sigma²)) divided by their sum. sigma = 0: unchanged.

    Raises:
      ValueError: sigma is negative.
    """
    if not sigma >= 0:
        raise ValueError(f"smooth_sigma (={sigma}) must be 0 (no smoothing) or positive")
    track = jnp.asarray(track)
    if sigma == 0:
        return track
    reach = int(sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).astype(track.dtype)
    length = track.shape[axis]
    widths = [(0, 0)] * track.ndim
    widths[axis] = (reach, reach)
    padded = jnp.pad(track, widths)
    # A sum of shifted copies: for seven taps faster than a convolution, and its derivative is its own kind.
    return reduce(add, [tap * lax.slice_in_dim(padded, k, k + length, axis=axis) for k, tap in enumerate(kernel)])


def _as_float(array: AnyArray, name: str, axes: int) -> jax.Array:
    """The array in at least float32: rfft refuses half precision, and its sums would not survive it."""
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} ({array.dtype}) must be of a floating dtype")
    if isinstance(axes, bool) or not isinstance(axes, int) or axes < 1:
        raise ValueError(f"axes (={axes!r}) must be a positive whole number: how many axes of the track are positions")
    if array.ndim == 0:
        raise ValueError(f"{name} must be (..., L), not a scalar")
    if array.ndim < axes:
        raise ValueError(f"{name} (shape {array.shape}) has fewer axes than axes (={axes}) says are positions")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _for_each(name: str, value: Any, axes: int) -> tuple[float, ...]:
    """One value for every axis."""
    values = (value,) * axes if np.ndim(value) == 0 else tuple(value)
    if len(values) != axes:
        raise ValueError(f"{name} (={value}) must be one number, or as many as there are axes (={axes})")
    return values


def _unit_peak(track: jax.Array, over: tuple[int, ...]) -> jax.Array:
    """The track over its largest |value|, itself if that is 0; for losses that scaling leaves as they are.

    The divisor is held constant, which for such a loss changes no derivative. Without it the squares in the
    derivative of a quotient overflow or vanish for tracks around 1e±20 in single precision.
    """
    peak = lax.stop_gradient(jnp.max(jnp.abs(track), axis=over, keepdims=True))
    return track / jnp.where(peak > 0, peak, 1)


def _check_fourier_arguments(
    lengths: Sequence[int],
    freq_limit: float | Sequence[float],
    softness: float | None,
    normalization: str,
    boundary: str,
) -> None:
    if math.prod(lengths) < 2:
        shape = f"length {lengths[0]}" if len(lengths) == 1 else f"positions {lengths}"
        raise ValueError(f"track has {shape}; a Fourier transform needs at least 2 positions")
    if not all(0 < limit < math.inf for limit in np.atleast_1d(freq_limit)):
        raise ValueError(f"freq_limit (={freq_limit}) must be positive and finite; L / (shortest motif) is usual")
    if softness is not None and not softness > 0:
        raise ValueError(f"softness (={softness}) must be positive, or None for a hard cut")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization (={normalization!r}) must be one of {NORMALIZATIONS}")
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary (={boundary!r}) must be one of {BOUNDARIES}")
