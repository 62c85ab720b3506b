"""Bins that tile a chromosome, and their labels by the peaks that cover them.

Everything here is about one chromosome at a time and runs over arrays: a human genome has 62 million bins of
200 bases every 50. Coordinates are 0-based and half-open.
"""

from typing import NamedTuple

import numpy as np

from fprior.errors import InputError

_ROUNDING = 1e-9  # 0.35 of 200 bases are 70, not 70.00000000000001


class Peaks(NamedTuple):
    """Peaks of one task on one chromosome, arrays `(n,)`: `start`, `end` int64 and `signal` float32, NaN for none."""

    start: np.ndarray
    end: np.ndarray
    signal: np.ndarray


def bin_starts(length: int, width: int, stride: int) -> np.ndarray:
    """The starts `(n,)` int64 of all bins of `width` bases, one every `stride`, that a chromosome of `length` holds."""
    if width < 1 or stride < 1:
        raise InputError(f"bin_width (={width}) and bin_stride (={stride}) must be at least 1 base")
    return np.arange(0, max(length - width + 1, 0), stride, dtype=np.int64)


def covered_bases(starts: np.ndarray, width: int, peaks: Peaks) -> np.ndarray:
    """How many bases of each bin `[start, start + width)` the peaks cover, `(n,)` int64.

    A base under several peaks counts once.
    """
    begins, ends = _merged(peaks.start, peaks.end)
    if not len(begins):
        return np.zeros(len(starts), np.int64)
    # The covered bases left of a position grow by one a base inside an interval and stay outside: a line through
    # the borders, with slopes of exactly 1 and 0.
    borders = np.stack([begins, ends], axis=1).ravel()
    before = np.repeat(np.cumsum(ends - begins), 2)
    before[::2] -= ends - begins
    left, right = (np.interp(positions, borders, before) for positions in (starts, starts + width))
    return np.rint(right - left).astype(np.int64)


def _merged(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The union of intervals as starts and ends of intervals that neither overlap nor touch, ascending."""
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    opens = np.ones(len(starts), bool)
    opens[1:] = starts[1:] > reach[:-1]
    return starts[opens], reach[np.append(opens[1:], True)] if len(starts) else reach


def label_bins(starts: np.ndarray, width: int, strict: Peaks, relaxed: Peaks | None, overlap: float) -> np.ndarray:
    """Labels `(n,)` int8 of bins for one task: 1, 0 or −1 for ambiguous.

    A bin is positive if the strict peaks together cover at least the fraction `overlap` of it, else ambiguous
    if the relaxed ones do, else negative. A bin that a strict peak covers by less is negative, as in the labels
    of the paper: what makes a bin ambiguous is a weaker peak, not the edge of a strong one. Raises InputError
    for an `overlap` outside (0, 1].
    """
    if not 0 < overlap <= 1:
        raise InputError(f"bin_overlap (={overlap}) must be above 0 and at most 1")
    needed = np.ceil(overlap * width - _ROUNDING)
    labels = np.zeros(len(starts), np.int8)
    if relaxed is not None:
        labels[covered_bases(starts, width, relaxed) >= needed] = -1
    labels[covered_bases(starts, width, strict) >= needed] = 1
    return labels


def largest_signal(starts: np.ndarray, width: int, peaks: Peaks) -> np.ndarray:
    """The largest signal `(n,)` float32 of the peaks that overlap each bin; NaN without any. `starts` ascend."""
    first = np.searchsorted(starts, peaks.start - width, side="right")
    count = np.searchsorted(starts, peaks.end, side="left") - first
    # Every peak beside every bin that it overlaps.
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    largest = np.full(len(starts), np.nan, np.float32)
    np.fmax.at(largest, np.repeat(first, count) + within, np.repeat(peaks.signal, count))
    return largest
