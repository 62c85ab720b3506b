"""How clean an attribution is, whether it lies where it should, and how well two of them agree."""

import numpy as np
from jaxtyping import Float, Integer, Real, Shaped
from scipy.stats import rankdata

from fprior.errors import InputError
from fprior.metrics.arithmetic import last_of_equals, pearson, ratio
from fprior.typing import AnyArray, Values


def high_frequency_share(track: Real[AnyArray, "*batch L"], freq_limit: float) -> Float[Values, "*batch"]:
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


def shannon_entropy(track: Real[AnyArray, "*batch L"], pseudocount: float = 0.001) -> Float[Values, "*batch"]:
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


def share_inside(track: Real[AnyArray, "*batch L"], mask: Shaped[AnyArray, "*batch L"]) -> Float[Values, "*batch"]:
    """Share of a track that lies inside given positions, such as motif instances or footprints.

        Σ_{i in mask} track_i / Σ_i track_i

    Args:
      track: attribution track `(..., L)`, non-negative.
      mask: which positions, `(..., L)` bool.

    Returns:
      The share `(...)` in [0, 1]; NaN where the track is all zero, or the mask empty: there is nothing to find.

    Raises:
      InputError: the track is negative or not finite somewhere, or the shapes differ.

    Source: Tseng et al. 2020, supplementary methods 7.
    """
    track, mask = _of_one_shape("track", _checked_track(track), mask)
    share = ratio(np.where(mask, track, 0).sum(axis=-1), track.sum(axis=-1))
    return np.where(mask.any(axis=-1), share, np.nan)


def negative_share_inside(
    contributions: Real[AnyArray, "*batch L"], mask: Shaped[AnyArray, "*batch L"]
) -> Float[Values, "*batch"]:
    """Share of the importance inside given positions that argues against the prediction.

        Σ_{i in mask} max(−c_i, 0) / Σ_{i in mask} |c_i|

    Args:
      contributions: of the base that is there, with their signs, `(..., L)`.
      mask: which positions, such as motif instances, `(..., L)` bool.

    Returns:
      The share `(...)` in [0, 1]; NaN where the mask is empty, or the contributions inside it are all zero.

    Raises:
      InputError: the shapes differ.
    """
    contributions, mask = _of_one_shape("contributions", contributions, mask)
    inside = np.where(mask, contributions, 0)
    return ratio(np.maximum(-inside, 0).sum(axis=-1), np.abs(inside).sum(axis=-1))


def summit_distance_spearman(
    track: Real[AnyArray, "*batch L"], summits: Integer[AnyArray, "*batch K"]
) -> Float[Values, "*batch"]:
    """Spearman correlation of importance with the distance to the nearest summit, over the positions of a track.

        corr_i(rank of track_i, rank of min_k |i − summit_k|)

    Negative where importance lies near summits. Equal values share their mean rank.

    Args:
      track: attribution track `(..., L)`, non-negative.
      summits: positions in the track, 0 to L − 1, `(..., K)` whole numbers; where there are fewer than K, −1 fills up.

    Returns:
      The correlation `(...)` in [−1, 1]; NaN where there is no summit, or the track is constant.

    Raises:
      InputError: the track is negative or not finite somewhere, a summit is not in it, or the shapes do not fit.

    Source: Tseng et al. 2020, section 7.
    """
    track, summits = _checked_track(track), np.asarray(summits)
    length = track.shape[-1]
    if summits.shape[:-1] != track.shape[:-1]:
        raise InputError(f"summits (shape {summits.shape}) must be (..., K) for the track's (..., L), {track.shape}")
    if not np.issubdtype(summits.dtype, np.integer) or np.any((summits < -1) | (summits >= length)):
        raise InputError(f"summits must be whole numbers from 0 to {length - 1}, or −1 where there is none")
    distance = np.full(track.shape, np.inf)
    for summit in np.moveaxis(summits, -1, 0)[..., None]:  # one of each track at a time: (..., K, L) can be large
        distance = np.where(summit < 0, distance, np.minimum(distance, np.abs(np.arange(length) - summit)))
    return pearson(rankdata(track, axis=-1), rankdata(distance, axis=-1))


def overlap_auprc(track: Real[AnyArray, "*batch L"], mask: Shaped[AnyArray, "*batch L"]) -> float:
    """Area under the precision–recall curve of the bases of all sequences, ranked together by importance.

        Σ_{k ≥ 2} (r_k − r_{k−1}) (p_k + p_{k−1}) / 2,   p_k = h_k / k,   r_k = h_k / P

    with h_k how many of the k most important bases are in the mask (peaks, footprints, motif instances), and P of all
    bases. Among bases of equal importance the hits are spread evenly, so that a track that is zero in most places gains
    nothing by it, and one that is the same everywhere has the share of the mask. As in the authors' code the curve
    starts with the first base, which leaves at most 1 − 1 / P.

    Args:
      track: attribution track `(..., L)`, non-negative.
      mask: which positions, `(..., L)` bool.

    Returns:
      The area in [0, 1); NaN when the mask is empty, or full.

    Raises:
      InputError: the track is negative or not finite somewhere, or the shapes differ.

    Source: Tseng et al. 2020, section 7.
    """
    track, mask = _of_one_shape("track", _checked_track(track), mask)
    return float(_overlap_auprc(track.ravel(), mask.ravel()))


def overlap_auprc_each(
    track: Real[AnyArray, "*batch L"], mask: Shaped[AnyArray, "*batch L"]
) -> Float[Values, "*batch"]:
    """`overlap_auprc` of each sequence by itself, for tests that pair sequences.

    Args:
      track: attribution track `(..., L)`, non-negative.
      mask: which positions, `(..., L)` bool.

    Returns:
      The areas `(...)` in [0, 1); NaN where a mask is empty, or full.

    Raises:
      InputError: the track is negative or not finite somewhere, or the shapes differ.
    """
    track, mask = _of_one_shape("track", _checked_track(track), mask)
    return _overlap_auprc(track, mask)


def gc_reliance(
    contributions: Real[AnyArray, "*batch L 4"], left_out: Shaped[AnyArray, "*batch L"]
) -> dict[str, Float[Values, "*batch"]]:
    """How heavily a model tells G and C from A and T in the background, outside motif instances.

        mean over background positions i of g_i · a_i,   g_i = (c_iC + c_iG) / m,   a_i = (c_iA + c_iT) / m

    with m the largest contribution of the whole sequence. A model that counts G and C gives them and A and T opposite
    signs, and the product is negative; one that ignores the background has 0.

    Args:
      contributions: hypothetical ones, of every base at every position, `(..., L, 4)`. (Of those of the base that is
        there, one of g and a is always 0.)
      left_out: the positions that are not background, `(..., L)` bool.

    Returns:
      The background's means `(...)`: `background_gc_importance` of g, `background_at_importance` of a and
      `background_gc_at_product` of their product. NaN where nothing is left, or no contribution is positive.

    Raises:
      InputError: the shapes do not fit.

    Source: Tseng et al. 2020, section 9 and figure 5.
    """
    contributions, left_out = _checked_scores("contributions", contributions), np.asarray(left_out, bool)
    if left_out.shape != contributions.shape[:-1]:
        raise InputError(
            f"left_out (shape {left_out.shape}) must be (..., L) for the contributions' (..., L, 4),"
            f" {contributions.shape}"
        )
    largest = contributions.max(axis=(-2, -1), keepdims=True)
    scaled = ratio(contributions, np.where(largest > 0, largest, 0))
    gc, at = scaled[..., [1, 2]].sum(axis=-1), scaled[..., [0, 3]].sum(axis=-1)
    background = ~left_out
    means = {"gc_importance": gc, "at_importance": at, "gc_at_product": gc * at}
    return {
        f"background_{name}": ratio(np.where(background, values, 0).sum(axis=-1), background.sum(axis=-1))
        for name, values in means.items()
    }


def continuous_jaccard(a: Real[AnyArray, "*batch L 4"], b: Real[AnyArray, "*batch L 4"]) -> Float[Values, "*batch"]:
    """Continuous Jaccard similarity of two attributions of the same sequences, such as those of two seeds.

        Σ_i Σ_b sign(p_ib) sign(q_ib) min(|p_ib|, |q_ib|) / Σ_b max(|p_ib|, |q_ib|)
        p_i = a_i / Σ_b |a_ib|,   q_i = b_i / Σ_b |b_ib|

    The size of the scores at a position plays no part, only how they are divided among its bases. Positions without
    any score in one of the two count as 0. Divide by L for a mean in [−1, 1] that does not depend on the length.

    Args:
      a: hypothetical contributions, of every base at every position, `(..., L, 4)`. (Of those of the base that is there
        it would only compare the signs.)
      b: the other ones, of the same shape.

    Returns:
      The similarity `(...)` in [−L, L], L for a positive multiple of the other and −L for a negative one; NaN where
      both are all zero: there is no position to compare.

    Raises:
      InputError: the shapes differ, or are not `(..., L, 4)`.

    Source: Tseng et al. 2020, section 6, after TF-MoDISco.
    """
    p, q = (ratio(scores, np.abs(scores).sum(axis=-1, keepdims=True), nothing=0.0) for scores in _checked_pair(a, b))
    smaller = np.sign(p) * np.sign(q) * np.minimum(np.abs(p), np.abs(q))
    larger = np.maximum(np.abs(p), np.abs(q)).sum(axis=-1)
    similarity = ratio(smaller.sum(axis=-1), larger, nothing=0.0)
    return np.where(np.any(larger > 0, axis=-1), similarity.sum(axis=-1), np.nan)[()]


def cosine_similarity(a: Real[AnyArray, "*batch L 4"], b: Real[AnyArray, "*batch L 4"]) -> Float[Values, "*batch"]:
    """Cosine of the angle between two attributions of the same sequences.

        Σ_ib a_ib b_ib / √(Σ_ib a_ib² · Σ_ib b_ib²)

    Args:
      a: contributions `(..., L, 4)`.
      b: the other ones, of the same shape.

    Returns:
      The similarity `(...)` in [−1, 1]; NaN where either is all zero.

    Raises:
      InputError: the shapes differ, or are not `(..., L, 4)`.
    """
    a, b = _checked_pair(a, b)
    norms = np.linalg.norm(a, axis=(-2, -1)) * np.linalg.norm(b, axis=(-2, -1))
    return np.clip(ratio(np.sum(a * b, axis=(-2, -1)), norms), -1, 1)


def _checked_track(track: AnyArray) -> np.ndarray:
    track = np.asarray(track, np.float64)
    if not np.all((track >= 0) & (track < np.inf)):
        raise InputError("track must be non-negative and finite: pass |attribution| summed over bases")
    return track


def _of_one_shape(name: str, values: AnyArray, mask: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    values, mask = np.asarray(values, np.float64), np.asarray(mask, bool)
    if values.shape != mask.shape:
        raise InputError(f"mask (shape {mask.shape}) must have the shape of {name}, {values.shape}")
    return values, mask


def _overlap_auprc(track: np.ndarray, mask: np.ndarray) -> Values:
    order = np.argsort(-track, axis=-1)
    track, hits = (np.take_along_axis(a, order, axis=-1) for a in (track, mask.astype(np.float64)))
    last = last_of_equals(track)
    first = track.shape[-1] - 1 - last_of_equals(track[..., ::-1])[..., ::-1]
    found = hits.cumsum(axis=-1)
    of_equals = np.take_along_axis(found, last, axis=-1) - np.take_along_axis(found - hits, first, axis=-1)
    found = np.cumsum(of_equals / (last - first + 1), axis=-1)
    precision = found / np.arange(1, 1 + track.shape[-1])
    area = np.trapezoid(precision, found, axis=-1)
    return ratio(area, np.where(mask.all(axis=-1), 0, mask.sum(axis=-1)))


def _checked_pair(a: AnyArray, b: AnyArray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _checked_scores("a", a), _checked_scores("b", b)
    if a.shape != b.shape:
        raise InputError(f"a (shape {a.shape}) and b (shape {b.shape}) must be attributions of the same sequences")
    return a, b


def _checked_scores(name: str, scores: AnyArray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim < 2 or scores.shape[-1] != 4:
        raise InputError(f"{name} (shape {scores.shape}) must be (..., L, 4): a score for every base at every position")
    return scores
