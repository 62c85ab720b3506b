"""The letters and the counts of stored windows, in pieces, and how many reads every window has.

Windows that overlap or touch are stored once, as a region. Regions are ordered by chromosome and start, and one
chromosome of the genome is in memory at a time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fprior.data.genome import Genome
from fprior.data.tracks import BigWig
from fprior.errors import InputError

_PIECE = 1 << 20  # bases of the tracks in memory at a time


class Regions(NamedTuple):
    """Arrays `(R,)`, one element a region `[start, end)`, and `offset` `(n,)`, where each window starts in all."""

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray
    offset: np.ndarray

    @property
    def bases(self) -> int:
        return int((self.end - self.start).sum())


def merge_windows(chromosome: np.ndarray, start: np.ndarray, width: int) -> Regions:
    """The regions of windows `(n,)` of one width."""
    names, code = np.unique(chromosome, return_inverse=True)
    order = np.lexsort((start, code))
    begins, codes = start[order], code[order]
    opens = np.ones(len(order), bool)
    opens[1:] = (codes[1:] != codes[:-1]) | (begins[1:] > begins[:-1] + width)
    first = begins[opens]
    last = begins[np.append(opens[1:], True)] + width
    before = np.cumsum(last - first) - (last - first)
    region = np.cumsum(opens) - 1
    offset = np.empty(len(order), np.int64)
    offset[order] = before[region] + begins - first[region]
    return Regions(names[codes[opens]], first, last, offset)


def token_pieces(genome: Genome, regions: Regions) -> Iterator[np.ndarray]:
    """The tokens `(n,)` uint8 of every region in turn."""
    for name in tqdm(np.unique(regions.chromosome), desc="writing letters", unit="chromosome", disable=None):
        tokens = genome.tokens(str(name), 0, genome.lengths[str(name)])
        here = regions.chromosome == name
        for start, end in zip(regions.start[here], regions.end[here], strict=True):
            yield tokens[start:end]


def track_pieces(files: tuple[BigWig, ...], regions: Regions) -> Iterator[np.ndarray]:
    """The counts `(n, C)` uint32 of every region in turn, a column a file; long regions in several pieces."""
    rows = zip(regions.chromosome.tolist(), regions.start.tolist(), regions.end.tolist(), strict=True)
    for name, start, end in tqdm(rows, desc="writing tracks", total=len(regions.start), unit="region", disable=None):
        for at in range(start, end, _PIECE):
            stop = min(at + _PIECE, end)
            yield np.stack([file.counts(name, at, stop) for file in files], axis=1)


def reads_of_windows(files: tuple[BigWig, ...], chromosome: np.ndarray, start: np.ndarray, width: int) -> np.ndarray:
    """The counts `(n, C)` int64 of every window, summed over its bases."""
    names, code = np.unique(chromosome, return_inverse=True)
    order = np.lexsort((start, code))
    begins, codes = start[order], code[order]
    # Neighbours are read together as long as little between them is read in vain.
    opens = np.ones(len(order), bool)
    opens[1:] = (codes[1:] != codes[:-1]) | (begins[1:] > begins[:-1] + 2 * width)
    opens[1:] |= begins[1:] // _PIECE != begins[:-1] // _PIECE
    edges = np.append(np.flatnonzero(opens), len(order))
    reads = np.empty((len(order), len(files)), np.int64)
    spans = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    for first, last in tqdm(spans, desc="counting reads", total=len(edges) - 1, unit="region", disable=None):
        left, right = int(begins[first]), int(begins[last - 1]) + width
        at = begins[first:last] - left
        for column, file in enumerate(files):
            total = np.cumsum(file.counts(str(names[codes[first]]), left, right), dtype=np.int64)
            total = np.concatenate([[0], total])
            reads[order[first:last], column] = total[at + width] - total[at]
    return reads


def check_reads(files: tuple[BigWig, ...], reads: np.ndarray) -> None:
    """Raises InputError for a track without any read in the positive windows, `reads` `(n, C)`."""
    for file, total in zip(files, reads.sum(axis=0), strict=True):
        if total == 0:
            raise InputError(
                f"{file.path}: there is no read in any of the {len(reads)} positive windows; give tracks and peaks of"
                " one experiment"
            )
