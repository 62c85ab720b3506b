"""How clean an attribution is."""

import numpy as np

from fprior.errors import InputError


def high_frequency_share(track: np.ndarray, freq_limit: float) -> np.ndarray:
    """Share of a track's Fourier magnitude in components above `freq_limit`.

        Σ_{i > freq_limit} m_i / Σ_{i ≥ 1} m_i,   m = |FFT(track)|, i < ⌊L/2⌋

    Args:
      track: attribution track `(..., L)`, |Σ over bases of score × one-hot|.
      freq_limit: in cycles per track; the prior's own limit is the natural choice.

    Returns:
      The share `(...)` in [0, 1]; NaN for a track that is constant up to rounding.

    Raises:
      InputError: the track is too short or freq_limit not positive.

    Source: Tseng et al. 2020, supplementary methods 4.
    """
    track = np.asarray(track, np.float64)
    if track.shape[-1] < 4:
        raise InputError(f"track has length {track.shape[-1]}; at least 4 positions are needed")
    if not freq_limit > 0:
        raise InputError(f"freq_limit (={freq_limit}) must be positive")
    magnitudes = np.abs(np.fft.fft(track))[..., 1 : track.shape[-1] // 2]
    index = np.arange(1, 1 + magnitudes.shape[-1])
    total = magnitudes.sum(-1)
    high = magnitudes[..., index > freq_limit].sum(-1)
    # What rounding leaves of a constant track; the prior draws the same line.
    rounding = 4 * np.finfo(np.float64).eps * len(index) * np.linalg.norm(track, axis=-1)
    return np.divide(high, total, out=np.full_like(total, np.nan), where=total > rounding)


def shannon_entropy(track: np.ndarray, pseudocount: float = 0.001) -> np.ndarray:
    """Shannon entropy, in bits, of a track read as a distribution over positions.

        − Σ_i p_i log2 p_i,   p_i = (track_i + pseudocount) / Σ_j (track_j + pseudocount)

    Args:
      track: attribution track `(..., L)`, non-negative.
      pseudocount: positive, in units of the track; it keeps the logarithm finite, and pulls a track whose sum
        is not far above L · pseudocount towards the uniform log2 L.

    Returns:
      The entropy `(...)` in [0, log2 L]; log2 L for an all-zero track.

    Raises:
      InputError: the track is negative somewhere or the pseudocount not positive.

    Source: Tseng et al. 2020, supplementary methods 4.
    """
    track = np.asarray(track, np.float64)
    if np.any(track < 0):
        raise InputError("track must be non-negative: pass |attribution| summed over bases")
    if not pseudocount > 0:
        raise InputError(f"pseudocount (={pseudocount}) must be positive")
    share = track + pseudocount
    share = share / share.sum(axis=-1, keepdims=True)
    return -np.sum(share * np.log2(share), axis=-1)


def share_inside(track: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share of a track that lies inside given positions, such as motif instances or footprints.

        Σ_{i in mask} track_i / Σ_i track_i

    Args:
      track: attribution track `(..., L)`, non-negative.
      mask: which positions, `(..., L)` bool.

    Returns:
      The share `(...)` in [0, 1]; NaN where the track is all zero, or the mask empty: there is nothing to find.

    Raises:
      InputError: the track is negative somewhere, or the shapes differ.

    Source: Tseng et al. 2020, supplementary methods 7.
    """
    track, mask = np.asarray(track, np.float64), np.asarray(mask, bool)
    if track.shape != mask.shape:
        raise InputError(f"mask (shape {mask.shape}) must have the track's shape, {track.shape}")
    if np.any(track < 0):
        raise InputError("track must be non-negative: pass |attribution| summed over bases")
    total, inside = track.sum(axis=-1), np.where(mask, track, 0).sum(axis=-1)
    defined = (total > 0) & mask.any(axis=-1)
    return np.divide(inside, total, out=np.full_like(total, np.nan), where=defined)
