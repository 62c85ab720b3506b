"""Cleanness of attributions, worked by hand."""

import numpy as np
import pytest

from fprior.errors import InputError
from fprior.metrics.interpretability import high_frequency_share, shannon_entropy, share_inside


def wave(cycles, length=40):
    return np.cos(2 * np.pi * cycles * np.arange(length) / length)


def test_a_pure_wave_is_on_one_side_of_the_limit():
    track = 3 + wave(7)
    shares = [high_frequency_share(track, limit) for limit in (6, 6.5, 7, 8)]
    np.testing.assert_allclose(shares, [1, 1, 0, 0], atol=1e-12)


def test_mixed_waves_share_by_amplitude():
    """The constant component is in neither sum, nor is the highest one (20 cycles of 40 positions)."""
    track = 5 + 3 * wave(2) + 1 * wave(11) + 9 * wave(20)
    np.testing.assert_allclose(high_frequency_share(track, 10), 1 / 4, rtol=1e-12)
    np.testing.assert_allclose(high_frequency_share(1e-30 * track, 10), 1 / 4, rtol=1e-12)


def test_a_spike_has_all_frequencies_alike():
    for length in (40, 41):  # components 1 … 19
        np.testing.assert_allclose(high_frequency_share(np.eye(length)[5], 4), 15 / 19, rtol=1e-12)


def test_share_of_each_track_of_a_batch():
    tracks = np.stack([[wave(1), wave(9)], [wave(9) + wave(1), 0 * wave(1)]])
    np.testing.assert_allclose(high_frequency_share(tracks, 5), [[0, 1], [0.5, np.nan]], atol=1e-12)
    assert high_frequency_share(wave(3), 5).shape == ()


def test_no_variation_has_no_share():
    """Zero, or constant: what the transform leaves of it is rounding, of every size and length."""
    for length in (4, 7, 100, 997):
        for constant in (0.0, 0.1, 1 / 3, 1e6 / 3, 1e-12 / 3):
            assert np.isnan(high_frequency_share(np.full(length, constant), 1))
    assert np.isnan(high_frequency_share(np.array([1.0, np.nan, 2.0, 0.0]), 1))
    assert high_frequency_share(1 + 1e-9 * wave(7), 5) == pytest.approx(1, abs=1e-4)  # faint, but there


@pytest.mark.parametrize(
    ("track", "limit", "message"),
    [
        (np.ones(3), 1, "track has length 3; at least 4"),
        (np.ones(8), 0, r"freq_limit \(=0\) must be positive"),
        (np.ones(8), np.nan, r"freq_limit \(=nan\)"),
    ],
)
def test_share_errors_name_the_argument(track, limit, message):
    with pytest.raises(InputError, match=message):
        high_frequency_share(track, limit)


def test_entropy_worked_example():
    """Shares ⅓, ⅓, ⅙, ⅙."""
    expected = 2 / 3 * np.log2(3) + 1 / 3 * np.log2(6)
    np.testing.assert_allclose(shannon_entropy(np.array([1, 1, 0, 0]), pseudocount=1), expected, rtol=1e-12)
    np.testing.assert_allclose(shannon_entropy(np.array([2, 2, 1, 1]), pseudocount=1e-300), expected, rtol=1e-12)


def test_entropy_of_extremes():
    tracks = np.stack([np.zeros(8), np.full(8, 3.0), 1e9 * np.eye(8)[2]])
    np.testing.assert_allclose(shannon_entropy(tracks), [3, 3, 0], atol=1e-9)
    assert 0 < shannon_entropy(np.eye(8)[2]) < 0.1


def test_entropy_default_pseudocount_is_a_thousandth():
    track = np.random.default_rng(0).gamma(0.5, size=(2, 3, 9))
    entropy = shannon_entropy(track)
    assert entropy.shape == (2, 3)
    np.testing.assert_array_equal(entropy, shannon_entropy(track, pseudocount=0.001))
    assert np.all(entropy < shannon_entropy(track, pseudocount=0.01))


@pytest.mark.parametrize(
    ("track", "pseudocount", "message"),
    [
        (np.array([1.0, -0.1]), 0.001, "track must be non-negative"),
        (np.ones(4), 0, r"pseudocount \(=0\) must be positive"),
        (np.ones(4), np.nan, r"pseudocount \(=nan\)"),
    ],
)
def test_entropy_errors_name_the_argument(track, pseudocount, message):
    with pytest.raises(InputError, match=message):
        shannon_entropy(track, pseudocount)


def test_share_inside_worked_example():
    track = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 5.0, 0.0, 0.0]])
    mask = np.array([[False, True, False, True], [True, False, True, True]])
    np.testing.assert_array_equal(share_inside(track, mask), [0.6, 0])
    np.testing.assert_array_equal(share_inside(track[0], np.ones(4, bool)), 1)
    np.testing.assert_array_equal(share_inside(track[0], mask[0].astype(np.int8)), 0.6)


def test_share_inside_and_outside_make_one_whatever_the_scale():
    rng = np.random.default_rng(0)
    track, mask = rng.gamma(0.5, size=(2, 3, 50)), rng.random((2, 3, 50)) < 0.3
    inside = share_inside(track, mask)
    assert inside.shape == (2, 3) and np.all((inside > 0) & (inside < 1))
    np.testing.assert_allclose(inside + share_inside(track, ~mask), 1, rtol=1e-12)
    for scale in (1e-30, 1e30):
        np.testing.assert_allclose(share_inside(scale * track, mask), inside, rtol=1e-12)


def test_no_share_inside_where_there_is_nothing_to_find():
    """An empty mask, or a track of zeros; a track that is zero inside the mask has the share 0."""
    track = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    mask = np.array([[False, False], [True, True], [False, True]])
    np.testing.assert_array_equal(share_inside(track, mask), [np.nan, np.nan, 0])


@pytest.mark.parametrize(
    ("track", "mask", "message"),
    [
        (np.array([1.0, -0.1]), np.ones(2, bool), "track must be non-negative"),
        (np.ones((2, 4)), np.ones(4, bool), r"mask \(shape \(4,\)\) must have the track's shape, \(2, 4\)"),
    ],
)
def test_share_inside_errors_name_the_argument(track, mask, message):
    with pytest.raises(InputError, match=message):
        share_inside(track, mask)
