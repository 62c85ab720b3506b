"""Attribution priors: losses on a per-position attribution track `(..., L)`, one number per track.

The track is non-negative by convention, |attribution| summed over bases (`track_of`). Every prior is a pure
function, differentiable almost everywhere; at its singular points (an all-zero track, ties) it is finite and
its gradient is a valid subgradient, zero where there is nothing to improve.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NORMALIZATIONS = ("paper", "reference")
BOUNDARIES = ("periodic", "reflect", "taper", "cosine")
TAPERED_SHARE = 0.1  # of the track's length, at each end


def track_of(attribution: jax.Array) -> jax.Array:
    """The non-negative track `(..., L)` of an attribution `(..., L, 4)`: |attribution| summed over bases."""
    return jnp.sum(_absolute(attribution), axis=-1)


def fourier_prior(
    track: jax.Array,
    *,
    freq_limit: float,
    softness: float | None = 0.2,
    smooth_sigma: float = 3.0,
    normalization: str = "paper",
    boundary: str = "periodic",
) -> jax.Array:
    """Share of a track's Fourier magnitude at high frequencies, softly counted: the Fourier attribution prior.

        loss = 1 − Σ_{i≥1} w_i m_i / Σ_i m_i,   m = |rfft(smoothed track)|,
        w_i = 1 for i ≤ freq_limit,  1 / (1 + (i − freq_limit)^softness) above

    Component i has a period of L/i positions, so `freq_limit` = L / (shortest motif). The constant component
    m_0 never enters the upper sum.

    Args:
      track: attribution track `(..., L)`, non-negative, L at least 2. Half precision is computed in float32.
      freq_limit: the highest component that is not penalised, in cycles per track; 0 < freq_limit.
      softness: exponent of the decay above the limit; None is the hard cut (weight 0 above).
      smooth_sigma: standard deviation, in positions, of the Gaussian that smooths the track first (`smooth`);
        0 for none.
      normalization: `"paper"` leaves m_0 out of the lower sum, so that the loss spans [0, 1]; `"reference"`
        keeps it in, as the authors' published code does, so that the loss has a floor at m_0's share.
      boundary: what the transform sees beyond the ends. `"periodic"`: the other end. `"reflect"`: the track's
        mirror image (a transform of length 2L, components counted in halves). `"cosine"`: the same numbers,
        by a discrete cosine transform of the track itself. `"taper"`: the mean is taken out and the outer 10 %
        at either end are faded to it by a cosine bell.

    Returns:
      The loss `(...)`, float32 or float64. A track that is zero, or constant up to rounding, has nothing to
      share out: loss 1 with zero gradient.

    Raises:
      ValueError: an argument is out of its range; the message names it.

    Source: Tseng, Shrikumar, Kundaje, NeurIPS 2020, section 2.1.
    """
    track = _as_float(track, "track")
    length = track.shape[-1]
    _check_fourier_arguments(length, freq_limit, softness, normalization, boundary)
    track = smooth(_unit_peak(track), smooth_sigma)
    constant, magnitudes, cycles = _spectrum(track, boundary)
    total = jnp.sum(magnitudes, axis=-1)
    # Rounding leaves about eps·‖track‖ in each component of a constant track; that is not a signal.
    rounding = 4 * jnp.finfo(track.dtype).eps * len(cycles) * jnp.sqrt(jnp.sum(lax.stop_gradient(track) ** 2, -1))
    has_signal = ~(total <= rounding)  # true of NaN, which must show in the loss
    if normalization == "reference":
        total = total + constant
    weights = jnp.asarray(_frequency_weights(cycles, freq_limit, softness), track.dtype)
    kept = jnp.sum(weights * magnitudes, axis=-1)
    # The inner `where` keeps 0/0 out of the derivative, the outer one out of the value.
    return 1 - jnp.where(has_signal, kept / jnp.where(has_signal, total, 1), 0)


def smoothness_prior(track: jax.Array) -> jax.Array:
    """Total variation of a track: Σ_i |a_{i+1} − a_i|.

    Args:
      track: attribution track `(..., L)`.

    Returns:
      The loss `(...)`, at least 0; 0 for a constant track or L = 1.

    Source: Erion et al. 2019, as used by Tseng et al. 2020, section 8.2.
    """
    track = _as_float(track, "track")
    return jnp.sum(_absolute(jnp.diff(track, axis=-1)), axis=-1)


def sparsity_prior(track: jax.Array) -> jax.Array:
    """Minus the Gini index of a track, doubled: − Σ_ij |a_i − a_j| / (L · Σ_i a_i).

    Computed in O(L log L): Σ_ij |a_i − a_j| = 2 Σ_i a_i · (number below a_i − number above a_i), whose bracket
    is piecewise constant; held constant it gives the derivative, with sign(0) = 0 at ties.

    Args:
      track: attribution track `(..., L)`, non-negative.

    Returns:
      The loss `(...)` in (−2, 0]; 0 with zero gradient for an all-zero track.

    Source: Erion et al. 2019, as used by Tseng et al. 2020, section 8.2.
    """
    track = _unit_peak(_as_float(track, "track"))
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


def smooth(track: jax.Array, sigma: float) -> jax.Array:
    """Gaussian smoothing along the last axis, truncated at one standard deviation, zeros beyond the ends.

    The kernel has 2·round(sigma) + 1 taps, exp(−d²/(2 sigma²)) divided by their sum. sigma = 0: unchanged.

    Raises:
      ValueError: sigma is negative.
    """
    if not sigma >= 0:
        raise ValueError(f"smooth_sigma (={sigma}) must be 0 (no smoothing) or positive")
    if sigma == 0:
        return track
    reach = int(sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).astype(track.dtype)
    length = track.shape[-1]
    padded = jnp.pad(track, [(0, 0)] * (track.ndim - 1) + [(reach, reach)])
    # A sum of shifted copies: for seven taps faster than a convolution, and its derivative is its own kind.
    return sum(tap * lax.slice_in_dim(padded, k, k + length, axis=-1) for k, tap in enumerate(kernel))


def _spectrum(track: jax.Array, boundary: str) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Magnitude of the constant component `(...)`, of the others `(..., F)`, and these in cycles per track."""
    length = track.shape[-1]
    if boundary == "cosine":
        transform = jax.scipy.fft.dct(track, type=2, axis=-1)
        magnitudes = _absolute(transform)
        return magnitudes[..., 0], magnitudes[..., 1:], np.arange(1, length) / 2
    if boundary == "taper":
        window = jnp.asarray(_taper(length), track.dtype)
        constant = jnp.abs(jnp.sum(window * track, axis=-1))
        track = window * (track - jnp.mean(track, axis=-1, keepdims=True))
        return constant, _magnitude(jnp.fft.rfft(track))[..., 1:], np.arange(1, length // 2 + 1)
    halves = 1
    if boundary == "reflect":
        track = jnp.concatenate([track, jnp.flip(track, -1)], axis=-1)
        halves = 2
    magnitudes = _magnitude(jnp.fft.rfft(track))
    return magnitudes[..., 0], magnitudes[..., 1:], np.arange(1, magnitudes.shape[-1]) / halves


def _absolute(x: jax.Array) -> jax.Array:
    """|x| of real x with derivative sign(x), 0 at 0; that of `jnp.abs` is 1 there."""
    return x * lax.stop_gradient(jnp.sign(x))


def _magnitude(transform: jax.Array) -> jax.Array:
    return jnp.abs(transform)  # its derivative at 0 is 0; sqrt(re² + im²) would give NaN there


def _taper(length: int) -> np.ndarray:
    """1 inside, falling as half a cosine to 0 over the outer TAPERED_SHARE of the length at either end."""
    from_end = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    faded = np.clip(from_end / max(TAPERED_SHARE * length, 0.5), 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * faded)


def _frequency_weights(cycles: np.ndarray, freq_limit: float, softness: float | None) -> np.ndarray:
    above = np.maximum(cycles - freq_limit, 0)
    if softness is None:
        return (above == 0).astype(float)
    return np.where(above > 0, 1 / (1 + above**softness), 1.0)


def _as_float(array: jax.Array, name: str) -> jax.Array:
    """The array in at least float32: rfft refuses half precision, and its sums would not survive it."""
    array = jnp.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} ({array.dtype}) must be of a floating dtype")
    if array.ndim == 0:
        raise ValueError(f"{name} must be (..., L), not a scalar")
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _unit_peak(track: jax.Array) -> jax.Array:
    """The track over its largest |value|, itself if that is 0; for losses that scaling leaves as they are.

    The divisor is held constant, which for such a loss changes no derivative. Without it the squares in the
    derivative of a quotient overflow or vanish for tracks around 1e±20 in single precision.
    """
    peak = lax.stop_gradient(jnp.max(jnp.abs(track), axis=-1, keepdims=True))
    return track / jnp.where(peak > 0, peak, 1)


def _check_fourier_arguments(length, freq_limit, softness, normalization, boundary):
    if length < 2:
        raise ValueError(f"track has length {length}; a Fourier transform needs at least 2 positions")
    if not 0 < freq_limit:
        raise ValueError(f"freq_limit (={freq_limit}) must be positive; L / (shortest motif) is usual")
    if softness is not None and not softness > 0:
        raise ValueError(f"softness (={softness}) must be positive, or None for a hard cut")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization (={normalization!r}) must be one of {NORMALIZATIONS}")
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary (={boundary!r}) must be one of {BOUNDARIES}")
