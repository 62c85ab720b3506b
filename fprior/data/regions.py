"""Regions of the genome, such as footprints, peaks of a sharper assay or true motif instances, seen from inputs."""

import numpy as np

from fprior.data.loci import Loci, touches_any

PEAKS = "peaks.bed"  # in the directory of a prepared data set: the peaks of all tasks
INSTANCES = "instances.bed"  # in the directory of a simulated data set: the true instances of its motif
NONE = -1  # fills rows that have fewer positions than others


def region_mask(regions: Loci, chromosome: np.ndarray, start: np.ndarray, length: int) -> np.ndarray:
    """Which bases of the inputs lie in a region: a mask `(N, L)`.

        mask[n, i] = any over regions on chromosome[n] of region start <= start[n] + i < region end

    Args:
      regions: in any order; they may overlap, and reach beyond an input.
      chromosome, start: `(N,)`, of inputs on the forward strand.
      length: L.
    """
    mask = np.zeros((len(start), length), bool)
    for name in np.intersect1d(chromosome, regions.chromosome):
        there, rows = regions.chromosome == name, np.flatnonzero(chromosome == name)
        begins, ends = _merge(regions.start[there], regions.end[there])
        first = np.searchsorted(ends, start[rows], side="right")
        last = np.searchsorted(begins, start[rows] + length, side="left")
        for row, one, other in zip(rows, first, last, strict=True):
            for begin, end in zip(begins[one:other] - start[row], ends[one:other] - start[row], strict=True):
                mask[row, max(begin, 0) : end] = True
    return mask


def regions_used(regions: Loci, chromosome: np.ndarray, start: np.ndarray, length: int) -> int:
    """How many of the regions overlap one of the inputs `(N,)` of that length."""
    middle, signal = start + length // 2, np.full(len(start), np.nan, np.float32)
    inputs = Loci(chromosome, start, start + length, middle, signal)
    return int(touches_any(regions.chromosome, regions.start, regions.end, inputs).sum())


def positions_inside(
    at_chromosome: np.ndarray, at: np.ndarray, chromosome: np.ndarray, start: np.ndarray, length: int
) -> np.ndarray:
    """Where positions, such as the summits of peaks, lie in each input: `(N, K)` int64, ascending.

    Args:
      at_chromosome, at: `(M,)`, the positions in the genome; those that occur twice count once.
      chromosome, start: `(N,)`, of inputs on the forward strand.
      length: of an input.

    Returns:
      Distances from the start of the input, 0 … length − 1; K is the largest number of them in an input, at least 1,
      and rows with fewer end in −1.
    """
    found = [np.empty(0, np.int64)] * len(start)
    for name in np.intersect1d(chromosome, at_chromosome):
        rows, there = np.flatnonzero(chromosome == name), np.unique(at[at_chromosome == name])
        first, last = (np.searchsorted(there, start[rows] + edge) for edge in (0, length))
        for row, one, other in zip(rows, first, last, strict=True):
            found[row] = there[one:other] - start[row]
    padded = np.full((len(start), max(map(len, found), default=1) or 1), NONE, np.int64)
    for filled, positions in zip(padded, found, strict=True):
        filled[: len(positions)] = positions
    return padded


def _merge(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends, ascending, of the intervals without overlap that cover the same bases."""
    order = np.argsort(starts)
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    opens = np.append(True, starts[1:] > reach[:-1])
    return starts[opens], reach[np.append(opens[1:], True)]
