"""Windows of the genome: their composition, and background matched to positives in GC content."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fprior.data.genome import Genome
from fprior.data.loci import Loci
from fprior.data.splits import SPLITS
from fprior.errors import InputError
from fprior.sequence import UNKNOWN

_ROUNDING = 1e-9  # GC fractions are ratios of small integers: 0.52 − 0.50 is within a tolerance of 0.02


def windows_around(summits: np.ndarray, width: int) -> np.ndarray:
    """The starts of windows of `width` with the summit at index width // 2; they may leave the chromosome."""
    return np.asarray(summits, np.int64) - width // 2


def gc_fraction(tokens: np.ndarray) -> float:
    """(G + C) / (A + C + G + T) of one sequence; NaN without any known base."""
    return float(gc_fraction_at(tokens, np.zeros(1, np.int64), len(tokens))[0])


def gc_fraction_at(tokens: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """(G + C) / (A + C + G + T) `(n,)` of windows on one chromosome; NaN without any known base.

    `tokens` are those of the whole chromosome. Raises InputError for a window that leaves it.
    """
    return _gc_and_unknown(tokens, starts, width)[0]


def unknown_fraction_at(tokens: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """The fraction `(n,)` of unknown bases in windows on one chromosome; raises as `gc_fraction_at`."""
    return _gc_and_unknown(tokens, starts, width)[1]


def _gc_and_unknown(tokens: np.ndarray, starts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    outside = np.flatnonzero((starts < 0) | (starts + width > len(tokens)))
    if outside.size:
        raise InputError(
            f"the window at {starts[outside[0]]} of width (={width}) leaves its chromosome of {len(tokens)}"
            " bases; drop it"
        )
    known = _window_sums(tokens != UNKNOWN, starts, width)
    strong = _window_sums((tokens == 1) | (tokens == 2), starts, width)  # C and G
    gc = np.divide(strong, known, out=np.full(len(starts), np.nan), where=known > 0)
    return gc, (width - known) / max(width, 1)


def _window_sums(mask: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    total = np.zeros(len(mask) + 1, np.min_scalar_type(len(mask)))  # 4 bytes a base for a human chromosome
    np.cumsum(mask, dtype=total.dtype, out=total[1:])
    return (total[starts + width] - total[starts]).astype(np.int64)


class Background(NamedTuple):
    """Windows without peaks, `per_positive` for each positive window in turn.

    Arrays `(n,)`: `chromosome` str, `start` int64, `positive` int64 (the index of the positive that a window
    is matched to), `gc` float64, `split` uint8. `counts` holds the number of candidates, of those dropped by
    reason, and of matches off the GC tolerance.
    """

    chromosome: np.ndarray
    start: np.ndarray
    positive: np.ndarray
    gc: np.ndarray
    split: np.ndarray
    counts: Counter


def sample_gc_matched(
    genome: Genome,
    chromosomes: np.ndarray,
    starts: np.ndarray,
    width: int,
    split_windows: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    excluded: Loci,
    *,
    margin: int = 0,
    max_unknown: float = 0.0,
    per_positive: int = 1,
    tolerance: float = 0.02,
    rng: np.random.Generator,
) -> Background:
    """Background windows with the GC fraction and the split of the positives at `chromosomes`, `starts`.

    They are drawn without replacement from a grid of step `width` on the chromosomes that hold positives: no
    two overlap, and none overlaps a positive, an excluded locus extended by `margin` bases on both sides, or
    another split. `split_windows(chromosomes, starts, ends)` gives the split of windows, and which of them
    touch another. One chromosome is in memory at a time. Raises InputError for positives that leave their
    chromosome or touch two splits, and as `match_gc`.
    """
    if len(starts) == 0:
        raise InputError("there are no positive windows to match; give at least one")
    split, crosses = split_windows(chromosomes, starts, starts + width)
    if crosses.any():
        raise InputError(f"{crosses.sum()} positive windows touch two splits; drop them (see crosses_split)")
    gc, names, grid, grid_gc, counts = _scan(genome, chromosomes, starts, width, excluded, margin, max_unknown)
    grid_split, crosses = split_windows(names, grid, grid + width)
    counts["touches two splits"] = int(crosses.sum())
    names, grid, grid_gc, grid_split = (values[~crosses] for values in (names, grid, grid_gc, grid_split))
    matched, counts["off GC tolerance"] = match_gc(
        gc, split, grid_gc, grid_split, per_positive=per_positive, tolerance=tolerance, rng=rng
    )
    positive, at = np.repeat(np.arange(len(starts)), per_positive), matched.ravel()
    return Background(names[at], grid[at], positive, grid_gc[at], grid_split[at], counts)


def _scan(
    genome: Genome,
    chromosomes: np.ndarray,
    starts: np.ndarray,
    width: int,
    excluded: Loci,
    margin: int,
    max_unknown: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Counter]:
    """GC of the positives; chromosome, start and GC of the candidates; the number of these, and of drops."""
    gc, found, counts = np.empty(len(starts)), [], Counter()
    for name in np.unique(chromosomes).tolist():
        here, near = chromosomes == name, excluded.chromosome == name
        tokens = genome.tokens(name, 0, genome.lengths.get(name, 0))  # raises for an unknown name
        gc[here] = gc_fraction_at(tokens, starts[here], width)
        blocked_starts = np.concatenate([starts[here], excluded.start[near] - margin])
        blocked_ends = np.concatenate([starts[here] + width, excluded.end[near] + margin])
        grid, grid_gc, drops = background_candidates(tokens, width, blocked_starts, blocked_ends, max_unknown)
        found.append((np.full(len(grid), name), grid, grid_gc))
        counts.update(candidates=len(tokens) // width, **drops)
    return gc, *(np.concatenate(values) for values in zip(*found, strict=True)), counts


def background_candidates(
    tokens: np.ndarray, width: int, blocked_starts: np.ndarray, blocked_ends: np.ndarray, max_unknown: float
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The free windows of one chromosome's grid 0, width, 2 width …: starts, GC, number of others by reason.

    A window is free if it overlaps no interval `[blocked_start, blocked_end)`, and if at most the fraction
    `max_unknown` of its bases is unknown and one at least is known.
    """
    grid = np.arange(len(tokens) // width, dtype=np.int64) * width
    # +1 where the first blocked window begins, −1 after the last: their running sum counts the intervals.
    change = np.zeros(len(grid) + 1, np.int64)
    np.add.at(change, (blocked_starts // width).clip(0, len(grid)), 1)
    np.add.at(change, ((blocked_ends - 1) // width + 1).clip(0, len(grid)), -1)
    free = grid[np.cumsum(change[:-1]) == 0]
    gc, unknown = _gc_and_unknown(tokens, free, width)
    known = (unknown <= max_unknown) & (unknown < 1)
    drops = {"near a peak": len(grid) - len(free), "unknown bases": int((~known).sum())}
    return free[known], gc[known], drops


def match_gc(
    positive_gc: np.ndarray,
    positive_split: np.ndarray,
    candidate_gc: np.ndarray,
    candidate_split: np.ndarray,
    *,
    per_positive: int,
    tolerance: float = 0.02,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """The indices `(positives, per_positive)` int64 of candidates with each positive's split and GC fraction.

    No candidate is used twice. A match is random within a bin of GC of width `tolerance`; where a bin runs
    out, the nearest GC that is left is taken. Returned beside is how many differ by more than `tolerance`.
    Raises InputError if a split has too few candidates, and for a GC fraction of NaN.
    """
    if per_positive < 1 or tolerance <= 0:
        raise InputError(f"per_positive (={per_positive}) must be at least 1, tolerance (={tolerance}) above 0")
    for name, gc in (("positive", positive_gc), ("candidate", candidate_gc)):
        if np.isnan(gc).any():
            raise InputError(f"{np.isnan(gc).sum()} {name} windows have no known base (GC is NaN); drop them")
    matched = np.empty((len(positive_gc), per_positive), np.int64)
    for split in np.unique(positive_split):
        wanted = np.flatnonzero(positive_split == split)
        available = np.flatnonzero(candidate_split == split)
        if len(available) < len(wanted) * per_positive:
            raise InputError(
                f"{SPLITS[split]} has {len(available)} background windows for {len(wanted)} positives with"
                f" per_positive (={per_positive}) each; lower per_positive or the margin, or add chromosomes"
            )
        values = np.repeat(positive_gc[wanted], per_positive)
        choice = _match_values(values, candidate_gc[available], tolerance, rng)
        matched[wanted] = available[choice].reshape(-1, per_positive)
    difference = np.abs(candidate_gc[matched] - positive_gc[:, None])
    return matched, int((difference > tolerance + _ROUNDING).sum())


def _match_values(wanted: np.ndarray, available: np.ndarray, tolerance: float, rng: np.random.Generator) -> np.ndarray:
    """For each wanted value the index of one available value, none twice."""
    order, keys = zip(*(_random_rank_in_bin(v, tolerance, rng) for v in (wanted, available)), strict=True)
    _, *same = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    choice = np.full(len(wanted), -1)
    choice[order[0][same[0]]] = order[1][same[1]]
    left = rng.permutation(np.flatnonzero(choice < 0))
    if left.size:
        free = np.ones(len(available), bool)
        free[choice[choice >= 0]] = False
        free = rng.permutation(np.flatnonzero(free))  # a stable sort keeps equal values in random order
        free = free[np.argsort(available[free], kind="stable")]
        choice[left] = free[_nearest_unused(wanted[left], available[free])]
    return choice


def _random_rank_in_bin(values: np.ndarray, width: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An order of the values, and in that order their keys: the bin, and a random rank within it."""
    bins = np.floor(values / width).astype(np.int64)
    order = rng.permutation(len(values))
    order = order[np.argsort(bins[order], kind="stable")]
    rank = np.arange(len(values)) - np.searchsorted(bins[order], bins[order])
    return order, bins[order] << 40 | rank


def _nearest_unused(wanted: np.ndarray, available: np.ndarray) -> np.ndarray:
    """For each wanted value in turn, the index of the nearest of the ascending `available` not yet used."""
    padded = [-np.inf, *available.tolist(), np.inf]
    below, above = list(range(len(padded))), list(range(len(padded)))  # links past what is used
    chosen = np.empty(len(wanted), np.int64)
    places = np.searchsorted(padded, wanted).tolist()
    for i, (value, place) in enumerate(zip(wanted.tolist(), places, strict=True)):
        low, high = _follow(below, place - 1), _follow(above, place)
        pick = low if value - padded[low] <= padded[high] - value else high
        below[pick], above[pick] = pick - 1, pick + 1
        chosen[i] = pick - 1
    return chosen


def _follow(links: list[int], at: int) -> int:
    """The end of a chain of links; halves it on the way, which keeps the total time nearly linear."""
    while links[at] != at:
        links[at] = links[links[at]]
        at = links[at]
    return at
