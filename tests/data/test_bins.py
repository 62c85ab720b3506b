"""Bins and their labels, against a plain count of every base."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fprior.data.bins import Peaks, bin_starts, covered_bases, label_bins, largest_signal
from fprior.errors import InputError

LENGTH = 120

INTERVALS = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 40), st.integers(0, 9)), max_size=8)
GRIDS = st.tuples(st.integers(1, 30), st.integers(1, 12))


def make_peaks(intervals) -> Peaks:
    table = np.array(intervals, np.int64).reshape(-1, 3)
    return Peaks(table[:, 0], np.minimum(table[:, 0] + table[:, 1], LENGTH), table[:, 2].astype(np.float32))


def mask_of(peaks: Peaks) -> np.ndarray:
    mask = np.zeros(LENGTH, bool)
    for start, end in zip(peaks.start, peaks.end, strict=True):
        mask[start:end] = True
    return mask


@given(st.integers(0, LENGTH), GRIDS)
@settings(deadline=None)
def test_all_bins_that_fit(length, grid):
    width, stride = grid
    expected = [start for start in range(0, length, stride) if start + width <= length]
    assert bin_starts(length, width, stride).tolist() == expected


@given(INTERVALS, GRIDS)
@settings(deadline=None)
def test_coverage_equals_counting_bases(intervals, grid):
    width, stride = grid
    peaks, starts = make_peaks(intervals), bin_starts(LENGTH, width, stride)
    mask = mask_of(peaks)
    assert covered_bases(starts, width, peaks).tolist() == [mask[s : s + width].sum() for s in starts]


@given(INTERVALS, INTERVALS, GRIDS, st.sampled_from([0.01, 0.3, 0.5, 0.7, 1.0]))
@settings(deadline=None)
def test_labels_equal_a_mask_of_every_base(strict, relaxed, grid, overlap):
    width, stride = grid
    strict, relaxed, starts = make_peaks(strict), make_peaks(relaxed), bin_starts(LENGTH, width, stride)
    for weaker in (relaxed, None):
        labels = label_bins(starts, width, strict, weaker, overlap)
        assert labels.dtype == np.int8
        for start, label in zip(starts, labels, strict=True):
            share, weak = (
                0 if peaks is None else np.mean(mask_of(peaks)[start : start + width]) for peaks in (strict, weaker)
            )
            assert label == (1 if share >= overlap else -1 if weak >= overlap else 0)


@given(INTERVALS, GRIDS, st.data())
@settings(deadline=None)
def test_largest_signal_equals_looking_at_every_peak(intervals, grid, data):
    width, stride = grid
    peaks, starts = make_peaks(intervals), bin_starts(LENGTH, width, stride)
    starts = starts[np.array(data.draw(st.lists(st.booleans(), min_size=len(starts), max_size=len(starts))), bool)]
    near = [(peaks.start < start + width) & (peaks.end > start) for start in starts]
    expected = [peaks.signal[mask].max() if mask.any() else np.nan for mask in near]
    np.testing.assert_array_equal(largest_signal(starts, width, peaks), np.array(expected, np.float32))


def test_half_of_a_bin_is_enough_and_a_base_less_is_not():
    starts = np.array([0])
    for covered, label in ((99, 0), (100, 1)):
        peaks = Peaks(np.array([0]), np.array([covered]), np.zeros(1, np.float32))
        assert label_bins(starts, 200, peaks, None, 0.5).tolist() == [label]
    peaks = Peaks(np.array([0]), np.array([70]), np.zeros(1, np.float32))
    assert label_bins(starts, 200, peaks, None, 0.35).tolist() == [1]  # 0.35 · 200 is a little more than 70


@pytest.mark.parametrize("overlap", [0.0, -0.5, 1.1, float("nan")])
def test_overlap_must_be_a_share(overlap):
    none = make_peaks([])
    with pytest.raises(InputError, match=r"bin_overlap \(=.*\) must be above 0"):
        label_bins(np.array([0]), 200, none, None, overlap)


@pytest.mark.parametrize("width, stride", [(0, 50), (200, 0)])
def test_bins_must_have_a_size(width, stride):
    with pytest.raises(InputError, match="must be at least 1 base"):
        bin_starts(1000, width, stride)


def test_a_whole_chromosome_takes_seconds():
    """Five million bins, as on chr1, with 50,000 peaks: nothing may loop over bins."""
    rng = np.random.default_rng(0)
    begin = rng.integers(0, 249_000_000, 50_000)
    peaks = Peaks(begin, begin + 300, rng.random(50_000).astype(np.float32))
    starts = bin_starts(249_250_621, 200, 50)
    labels = label_bins(starts, 200, peaks, peaks, 0.5)
    positive = starts[labels == 1]
    assert len(starts) == 4_985_009 and 200_000 < len(positive) < 400_000
    assert np.isfinite(largest_signal(positive, 200, peaks)).all()
