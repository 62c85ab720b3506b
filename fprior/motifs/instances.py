"""Where a pattern lies: windows that read like it and whose contributions look like it."""

from collections.abc import Mapping

import numpy as np

from fprior.data.motif_scan import FALSE_POSITIVE_RATE, motif_matches, scoring_matrix
from fprior.data.scores import actual_contributions
from fprior.errors import InputError
from fprior.motifs.patterns import Pattern
from fprior.sequence import ALPHABET

PERCENTILE = 10  # of the seqlets' own contribution matches, which a call has to reach
BLOCK = 8_192  # windows compared at a time


def call_instances(
    pattern: Pattern,
    hypothetical: np.ndarray,
    tokens: np.ndarray,
    *,
    false_positive_rate: float = FALSE_POSITIVE_RATE,
    percentile: float = PERCENTILE,
) -> dict[str, np.ndarray]:
    """The instances of a pattern in attributed sequences, on both strands.

    A window as wide as the trimmed pattern is an instance if
      - its log-odds reach the threshold that a share of `false_positive_rate` of random words reaches, and
      - its contribution match reaches the `percentile` of the contribution matches of the pattern's own seqlets, so
        that what TF-MoDISco took as this motif would mostly be called, whatever the model's noise is.
    Of windows that overlap, those with the best contribution match stay.

    Args:
      pattern: as `fprior.motifs.patterns.read_patterns` returns it; the sequences may be others than its seqlets'.
      hypothetical: hypothetical contributions `(N, L, 4)`.
      tokens: `(N, L)`; a window with an unknown base is no instance.
      false_positive_rate: of a position and a strand.
      percentile: in [0, 100].

    Returns:
      Columns `(K,)`, ordered by locus and start: `locus`, index of the sequence; `start`, `end`; `strand`, "+" where
      the window reads as the pattern does, else "-"; `contribution_match` in [−1, 1]; `sequence_match`, its log-odds
      in bits; `importance`, the sum of the window's absolute contributions.

    Raises:
      InputError: the shapes do not fit, contributions of a window that reads like the pattern are not finite,
        percentile is not in [0, 100], or the pattern has no seqlets.

    Source: TF-MoDISco, Shrikumar et al. 2018, for the contribution match.
    """
    if hypothetical.shape != (*tokens.shape, len(ALPHABET)):
        raise InputError(f"hypothetical (of shape {hypothetical.shape}) must be {(*tokens.shape, 4)}, as tokens are")
    if not 0 <= percentile <= 100:
        raise InputError(f"percentile (={percentile}) must be in [0, 100]")
    if not len(pattern.seqlet_contributions):
        raise InputError(f"pattern {pattern.name!r} has no seqlets to learn from how well its instances match")
    kept = pattern.trimmed()
    weights, width = pattern.contributions[kept], kept.stop - kept.start
    threshold = np.percentile(contribution_match(pattern.seqlet_contributions[:, kept], weights), percentile)
    found = motif_matches(tokens, scoring_matrix(pattern.probabilities[kept]), false_positive_rate)
    match, importance = _compare(found, hypothetical, tokens, weights)
    good = np.flatnonzero(match >= threshold)
    best = good[_best_of_overlapping(found["sequence"][good], found["start"][good], match[good], width)]
    return {
        "locus": found["sequence"][best],
        "start": found["start"][best],
        "end": found["start"][best] + width,
        "strand": np.where(found["reverse"][best], "-", "+"),
        "contribution_match": match[best],
        "sequence_match": found["score"][best],
        "importance": importance[best],
    }


def contribution_match(contributions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Continuous Jaccard similarity of windows' contributions with a contribution-weight matrix, size left out.

        Σ_ib sign(p_ib) sign(q_ib) min(|p_ib|, |q_ib|) / Σ_ib max(|p_ib|, |q_ib|)
        p = contributions / Σ_ib |contributions_ib|,   q = weights / Σ_ib |weights_ib|

    Unlike `fprior.metrics.interpretability.continuous_jaccard`, which compares hypothetical contributions position by
    position, it divides by the sum over the whole window: of actual contributions only one base at each position is not
    zero, and divided by its own size nothing but its sign would be left.

    Args:
      contributions: actual contributions, zero at the bases that are not there, `(..., W, 4)`.
      weights: `(W, 4)`.

    Returns:
      The similarity `(...)` in [−1, 1], 1 for a positive multiple; 0 where either is all zero.
    """
    p, q = (_share(np.asarray(values, np.float64)) for values in (contributions, weights))
    shared = (np.sign(p) * np.sign(q) * np.minimum(np.abs(p), np.abs(q))).sum(axis=(-2, -1))
    union = np.maximum(np.abs(p), np.abs(q)).sum(axis=(-2, -1))
    return shared / np.where(union > 0, union, 1)


def recall_curve(
    instances: Mapping[str, np.ndarray], regions: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How many independent regions the most important instances reach.

    Args:
      instances: of `call_instances`; those of several patterns may be concatenated. They are taken in the order of
        their importance, the largest first.
      regions: locus, start and end `(R,)` of each, counted as the instances are.

    Returns:
      calls `(K,)`: 1 … K; recalled `(K,)`: how many of the R regions overlap at least one of that many instances.

    Source: Tseng et al. 2020, figure 3B.
    """
    order = np.argsort(-instances["importance"], kind="stable")
    total = len(order)
    locus, start, end = (
        np.concatenate([instances[name][order], column])
        for name, column in zip(("locus", "start", "end"), regions, strict=True)
    )
    # One axis for all loci, on which places of different loci are apart; calls come first, by rank, then regions.
    shift = np.unique(locus, return_inverse=True)[1] * (end.max(initial=0) - start.min(initial=0) + 1)
    start, end = start + shift, end + shift
    by_start = np.argsort(start[:total])
    widest = (end - start)[:total].max(initial=0)
    # What overlaps a region starts before its end, and before its start by less than the widest call.
    low = np.searchsorted(start[by_start], start[total:] - widest, side="right")
    high = np.searchsorted(start[by_start], end[total:], side="left")
    region = np.repeat(np.arange(len(low)), high - low)
    before = np.cumsum(high - low) - (high - low)
    call = by_start[np.arange(len(region)) + (low - before)[region]]
    overlap = end[call] > start[total:][region]
    first = np.full(len(low), total)  # the rank of the first instance that overlaps a region
    np.minimum.at(first, region[overlap], call[overlap])
    return np.arange(1, total + 1), np.cumsum(np.bincount(first, minlength=total + 1)[:total])


def _compare(
    found: Mapping[str, np.ndarray], hypothetical: np.ndarray, tokens: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The contribution match and the importance `(M,)` of each of the windows found, a block of them at a time."""
    match, importance = np.zeros(len(found["start"])), np.zeros(len(found["start"]))
    for begin in range(0, len(match), BLOCK):
        block = slice(begin, begin + BLOCK)
        rows, columns = found["sequence"][block, None], found["start"][block, None] + np.arange(len(weights))
        bases = tokens[rows, columns]
        size = actual_contributions(hypothetical[rows, columns], bases).astype(np.float64)
        if not np.isfinite(size).all():
            raise InputError("hypothetical has values that are not finite; leave these sequences out")
        windows = size[..., None] * (bases[..., None] == np.arange(len(ALPHABET)))
        windows = np.where(found["reverse"][block, None, None], windows[:, ::-1, ::-1], windows)
        match[block], importance[block] = contribution_match(windows, weights), np.abs(size).sum(axis=1)
    return match, importance


def _best_of_overlapping(locus: np.ndarray, start: np.ndarray, match: np.ndarray, width: int) -> np.ndarray:
    """Indices of the windows that stay, ordered by locus and start: each overlaps no better one that stays."""
    taken: dict[int, list[int]] = {}
    kept = []
    for index in np.lexsort((start, locus, -match)):
        others = taken.setdefault(int(locus[index]), [])
        if all(abs(start[index] - other) >= width for other in others):
            others.append(start[index])
            kept.append(index)
    stay = np.array(kept, np.int64)
    return stay[np.lexsort((start[stay], locus[stay]))]


def _share(values: np.ndarray) -> np.ndarray:
    total = np.abs(values).sum(axis=(-2, -1), keepdims=True)
    return values / np.where(total > 0, total, 1)
