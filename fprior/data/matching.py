"""Which candidates become the background of which positives: at random, or of the same GC fraction."""

import numpy as np

from fprior.data.splits import SPLITS
from fprior.errors import InputError

_ROUNDING = 1e-9  # GC fractions are ratios of small integers: 0.52 − 0.50 is within a tolerance of 0.02


def draw_random(
    positive_split: np.ndarray, candidate_split: np.ndarray, *, per_positive: int, rng: np.random.Generator
) -> np.ndarray:
    """The indices `(positives, per_positive)` int64 of candidates with each positive's split, none used twice.

    Raises InputError if a split has too few candidates.
    """
    if per_positive < 1:
        raise InputError(f"per_positive (={per_positive}) must be at least 1")
    drawn = np.empty((len(positive_split), per_positive), np.int64)
    for split in np.unique(positive_split):
        wanted, available = _supply(positive_split, candidate_split, split, per_positive)
        choice = rng.choice(available, len(wanted) * per_positive, replace=False)
        drawn[wanted] = choice.reshape(-1, per_positive)
    return drawn


def _supply(
    positive_split: np.ndarray, candidate_split: np.ndarray, split: int, per_positive: int
) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the positives and of the candidates of one split; InputError for too few of these."""
    wanted = np.flatnonzero(positive_split == split)
    available = np.flatnonzero(candidate_split == split)
    if len(available) < len(wanted) * per_positive:
        raise InputError(
            f"{SPLITS[split]} has {len(available)} background windows for {len(wanted)} positives with"
            f" per_positive (={per_positive}) each; lower per_positive or the margin, or add chromosomes"
        )
    return wanted, available


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
        wanted, available = _supply(positive_split, candidate_split, split, per_positive)
        values = np.repeat(positive_gc[wanted], per_positive)
        choice = _match_values(values, candidate_gc[available], tolerance, rng)
        matched[wanted] = available[choice].reshape(-1, per_positive)
    difference = np.abs(candidate_gc[matched] - positive_gc[:, None])
    return matched, int((difference > tolerance + _ROUNDING).sum())


def _match_values(wanted: np.ndarray, available: np.ndarray, tolerance: float, rng: np.random.Generator) -> np.ndarray:
    """For each wanted value the index of one available value, none twice."""
    wanted_order, wanted_keys = _random_rank_in_bin(wanted, tolerance, rng)
    order, keys = _random_rank_in_bin(available, tolerance, rng)
    _, wanted_same, same = np.intersect1d(wanted_keys, keys, assume_unique=True, return_indices=True)
    choice = np.full(len(wanted), -1)
    choice[wanted_order[wanted_same]] = order[same]
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
