"""Fourier components of tracks over one or several axes: their magnitudes, frequencies and weights."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Num

from fprior.typing import AnyArray

BOUNDARIES = ("periodic", "reflect", "taper", "cosine")
TAPERED_SHARE = 0.1  # of the track's length, at each end
AXES_AT_ONCE = 3  # XLA transforms no more


def magnitudes_of(
    track: Float[jax.Array, "..."], boundary: str, axes: int
) -> tuple[Float[jax.Array, "*batch"], Float[jax.Array, "*batch F"], Float[np.ndarray, "{axes} F"]]:
    """Magnitudes of the Fourier components of a real track, such that their sum counts every wave once.

    The components at a frequency and at its negative are one wave, of one magnitude. Over several axes a real
    transform holds some of them twice, where the last frequency is 0 or the highest; each is given as half.

    Args:
      track: `(..., L1, …, Ln)`, float32 or float64.
      boundary: what the transform sees beyond the ends, one of BOUNDARIES, see `fprior.fourier_prior`.
      axes: n.

    Returns:
      The magnitude of the constant component `(...)`, those of the others `(..., F)`, and the others' frequencies
      without their signs `(n, F)`, in cycles per track along every axis.
    """
    over = tuple(range(-axes, 0))
    lengths = track.shape[-axes:]
    constant, halves = None, 1
    if boundary == "cosine":
        for axis in over:
            track = jax.scipy.fft.dct(track, type=2, axis=axis)
        magnitudes, (cycles, counts) = absolute(track), _cosine_waves(lengths)
    else:
        if boundary == "taper":
            window = jnp.asarray(_taper(lengths), track.dtype)
            constant = jnp.abs(jnp.sum(window * track, axis=over))
            track = window * (track - jnp.mean(track, axis=over, keepdims=True))
        if boundary == "reflect":
            for axis in over:
                track = jnp.concatenate([track, jnp.flip(track, axis)], axis=axis)
            halves = 2
        magnitudes = jnp.abs(_transform(track, over))  # its derivative at 0 is 0; sqrt(re² + im²) would give NaN there
        cycles, counts = _plane_waves(track.shape[-axes:])
    magnitudes = magnitudes.reshape(*track.shape[:-axes], len(counts))
    if constant is None:
        constant = magnitudes[..., 0]
    return constant, jnp.asarray(counts[1:], track.dtype) * magnitudes[..., 1:], cycles[:, 1:] / halves


def frequency_weights(
    cycles: Num[np.ndarray, "n F"], limits: Sequence[float], softness: float | None
) -> Float[np.ndarray, " F"]:
    """How far components at `cycles (n, F)` are left alone: `(F,)`, 1 up to the limits, falling beyond them.

    See `fprior.fourier_prior`. Distances are taken in space stretched so that the limits' ellipsoid is the ball of the
    same volume, whose radius is their geometric mean; with one axis this stretches nothing.
    """
    along = np.asarray(limits, float)
    radius_limit = np.prod(along ** (1 / len(along)))
    radius = np.sqrt(np.sum((cycles * (radius_limit / along)[:, None]) ** 2, axis=0))
    above = radius - radius_limit
    above = np.where(above > 8 * np.finfo(float).eps * radius_limit, above, 0)  # rounding puts none beyond the limit
    if softness is None:
        return (above == 0).astype(float)
    return np.where(above > 0, 1 / (1 + above**softness), 1.0)


def absolute(x: Num[AnyArray, "*shape"]) -> Num[jax.Array, "*shape"]:
    """|x| of real x of any shape, with derivative sign(x), 0 at 0; that of `jnp.abs` is 1 there."""
    return lax.stop_gradient(jnp.sign(x)) * x


def _transform(track: jax.Array, over: tuple[int, ...]) -> jax.Array:
    transform = jnp.fft.rfftn(track, axes=over[-AXES_AT_ONCE:])
    for axis in over[:-AXES_AT_ONCE]:
        transform = jnp.fft.fft(transform, axis=axis)
    return transform


def _plane_waves(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies `(n, F)` of a real transform's components, and how much of a wave each of them is, `(F,)`."""
    kept = lengths[-1] // 2 + 1
    index = np.indices((*lengths[:-1], kept)).reshape(len(lengths), -1)
    length = np.array(lengths)[:, None]
    negative = -index % length
    held_twice = (negative[-1] < kept) & np.any(negative != index, axis=0)
    return np.minimum(index, length - index), np.where(held_twice, 0.5, 1.0)


def _cosine_waves(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The same of a cosine transform. A product of k cosines is 2^(k − 1) waves: those of the mirrored track."""
    index = np.indices(lengths).reshape(len(lengths), -1)
    return index / 2, 2.0 ** (np.count_nonzero(index, axis=0) - 1)


def _taper(lengths: Sequence[int]) -> np.ndarray:
    """1 inside, falling as half a cosine to 0 over the outer TAPERED_SHARE of every axis at either end."""
    window = np.ones(())
    for length in lengths:
        from_end = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        faded = np.clip(from_end / max(TAPERED_SHARE * length, 0.5), 0, 1)
        window = window[..., None] * (0.5 - 0.5 * np.cos(np.pi * faded))
    return window
