"""Windows of the genome: their composition, and background drawn at random or matched to positives in GC content."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fprior.data.genome import Genome
from fprior.data.loci import Loci, touching
from fprior.data.matching import draw_random, match_gc
from fprior.errors import InputError
from fprior.sequence import UNKNOWN


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
    return gc_and_unknown_at(tokens, starts, width)[0]


def unknown_fraction_at(tokens: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """The fraction `(n,)` of unknown bases in windows on one chromosome; raises as `gc_fraction_at`."""
    return gc_and_unknown_at(tokens, starts, width)[1]


def gc_and_unknown_at(tokens: np.ndarray, starts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """`gc_fraction_at` and `unknown_fraction_at` in one pass."""
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
    belongs to), `gc` float64, `split` uint8; and `positive_gc` float64, one a positive. `counts` holds the number
    of candidates, of those dropped by reason, and, where GC is matched, of matches off the tolerance.
    """

    chromosome: np.ndarray
    start: np.ndarray
    positive: np.ndarray
    gc: np.ndarray
    split: np.ndarray
    positive_gc: np.ndarray
    counts: Counter


SplitWindows = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def sample_gc_matched(
    genome: Genome,
    chromosomes: np.ndarray,
    starts: np.ndarray,
    width: int,
    split_windows: SplitWindows,
    peaks: Loci,
    *,
    margin: int = 0,
    excluded: Loci | None = None,
    max_unknown: float = 0.0,
    per_positive: int = 1,
    tolerance: float = 0.02,
    rng: np.random.Generator,
) -> Background:
    """Background windows with the GC fraction and the split of the positives at `chromosomes`, `starts`.

    They are drawn without replacement from a grid of step `width` on the chromosomes that hold positives: no
    two overlap, and none overlaps a positive, a peak extended by `margin` bases on both sides, an excluded region
    or another split. `split_windows(chromosomes, starts, ends)` gives the split of windows, and which of them
    touch another. One chromosome is in memory at a time. Raises InputError for positives that leave their
    chromosome or touch two splits, and as `match_gc`.
    """
    split = _split_of_positives(chromosomes, starts, width, split_windows)
    scan = _scan(genome, chromosomes, starts, width, peaks, margin, excluded, max_unknown)
    scan, grid_split = _within_one_split(scan, width, split_windows)
    matched, scan.counts["off GC tolerance"] = match_gc(
        scan.positive_gc, split, scan.gc, grid_split, per_positive=per_positive, tolerance=tolerance, rng=rng
    )
    return _chosen(scan, grid_split, matched)


def sample_random(
    genome: Genome,
    chromosomes: np.ndarray,
    starts: np.ndarray,
    width: int,
    split_windows: SplitWindows,
    peaks: Loci,
    *,
    margin: int = 0,
    excluded: Loci | None = None,
    max_unknown: float = 0.0,
    per_positive: int = 1,
    rng: np.random.Generator,
) -> Background:
    """Background windows as `sample_gc_matched`, but drawn at random, whatever their GC fraction."""
    split = _split_of_positives(chromosomes, starts, width, split_windows)
    scan = _scan(genome, chromosomes, starts, width, peaks, margin, excluded, max_unknown)
    scan, grid_split = _within_one_split(scan, width, split_windows)
    return _chosen(scan, grid_split, draw_random(split, grid_split, per_positive=per_positive, rng=rng))


class _Scan(NamedTuple):
    """GC of the positives; chromosome, start and GC of the candidates; the number of these, and of drops."""

    positive_gc: np.ndarray
    chromosome: np.ndarray
    start: np.ndarray
    gc: np.ndarray
    counts: Counter


def _split_of_positives(
    chromosomes: np.ndarray, starts: np.ndarray, width: int, split_windows: SplitWindows
) -> np.ndarray:
    if len(starts) == 0:
        raise InputError("there are no positive windows to match; give at least one")
    split, crosses = split_windows(chromosomes, starts, starts + width)
    if crosses.any():
        raise InputError(f"{crosses.sum()} positive windows touch two splits; drop them (see crosses_split)")
    return split


def _scan(
    genome: Genome,
    chromosomes: np.ndarray,
    starts: np.ndarray,
    width: int,
    peaks: Loci,
    margin: int,
    excluded: Loci | None,
    max_unknown: float,
) -> _Scan:
    gc, found = np.empty(len(starts)), []
    counts: Counter[str] = Counter()
    for name in np.unique(chromosomes).tolist():
        here, near = chromosomes == name, peaks.chromosome == name
        tokens = genome.tokens(name, 0, genome.lengths.get(name, 0))  # raises for an unknown name
        gc[here] = gc_fraction_at(tokens, starts[here], width)
        blocked_starts = np.concatenate([starts[here], peaks.start[near] - margin])
        blocked_ends = np.concatenate([starts[here] + width, peaks.end[near] + margin])
        there = None if excluded is None else excluded[excluded.chromosome == name]
        grid, grid_gc, drops = background_candidates(tokens, width, blocked_starts, blocked_ends, max_unknown, there)
        found.append((np.full(len(grid), name), grid, grid_gc))
        counts.update(candidates=len(tokens) // width, **drops)
    names, grids, grids_gc = (np.concatenate(values) for values in zip(*found, strict=True))
    return _Scan(gc, names, grids, grids_gc, counts)


def _within_one_split(scan: _Scan, width: int, split_windows: SplitWindows) -> tuple[_Scan, np.ndarray]:
    """The candidates that touch one split, and their splits `(n,)`."""
    split, crosses = split_windows(scan.chromosome, scan.start, scan.start + width)
    scan.counts["touches two splits"] = int(crosses.sum())
    chromosome, start, gc = (values[~crosses] for values in (scan.chromosome, scan.start, scan.gc))
    return _Scan(scan.positive_gc, chromosome, start, gc, scan.counts), split[~crosses]


def _chosen(scan: _Scan, split: np.ndarray, matched: np.ndarray) -> Background:
    positive, at = np.repeat(np.arange(len(matched)), matched.shape[1]), matched.ravel()
    return Background(
        scan.chromosome[at], scan.start[at], positive, scan.gc[at], split[at], scan.positive_gc, scan.counts
    )


def background_candidates(
    tokens: np.ndarray,
    width: int,
    blocked_starts: np.ndarray,
    blocked_ends: np.ndarray,
    max_unknown: float,
    excluded: Loci | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The free windows of one chromosome's grid 0, width, 2 width …: starts, GC, number of others by reason.

    A window is free if it overlaps no interval `[blocked_start, blocked_end)` and no excluded region, and if at
    most the fraction `max_unknown` of its bases is unknown and one at least is known.
    """
    grid = np.arange(len(tokens) // width, dtype=np.int64) * width
    free = grid[touching(grid, grid + width, blocked_starts, blocked_ends) == 0]
    drops = {"near a peak": len(grid) - len(free)}
    if excluded is not None:
        touched = touching(free, free + width, excluded.start, excluded.end) > 0
        drops["touches an excluded region"] = int(touched.sum())
        free = free[~touched]
    gc, unknown = gc_and_unknown_at(tokens, free, width)
    known = (unknown <= max_unknown) & (unknown < 1)
    return free[known], gc[known], {**drops, "unknown bases": int((~known).sum())}
