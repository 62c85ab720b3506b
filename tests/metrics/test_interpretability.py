"""Cleanness of attributions, worked by hand."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fprior.errors import InputError
from fprior.metrics.interpretability import (
    continuous_jaccard,
    cosine_similarity,
    gc_reliance,
    high_frequency_share,
    negative_share_inside,
    overlap_auprc,
    overlap_auprc_each,
    shannon_entropy,
    share_inside,
    summit_distance_spearman,
)


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


def test_negative_share_inside_worked_example():
    contributions = np.array([[1.0, -2.0, 3.0, -4.0], [5.0, 0.0, 0.0, -1.0], [-1.0, -1.0, 0.0, 0.0]])
    mask = np.array([[True, True, True, False], [False, True, True, False], [True, True, False, True]])
    np.testing.assert_allclose(negative_share_inside(contributions, mask), [2 / 6, np.nan, 1], rtol=1e-12)
    assert np.isnan(negative_share_inside(contributions[0], np.zeros(4, bool)))


def test_negative_and_positive_share_make_one():
    rng = np.random.default_rng(0)
    contributions, mask = rng.normal(size=(2, 3, 50)), rng.random((2, 3, 50)) < 0.3
    share = negative_share_inside(contributions, mask)
    assert share.shape == (2, 3) and np.all((share > 0) & (share < 1))
    np.testing.assert_allclose(share + negative_share_inside(-contributions, mask), 1, rtol=1e-12)
    outside = np.where(mask, contributions, 100 * contributions)
    np.testing.assert_array_equal(negative_share_inside(outside, mask), share)


def test_importance_around_a_summit_falls_with_the_distance():
    track = np.exp(-np.abs(np.arange(50) - 20) / 5)
    both = np.maximum(track, track[::-1])  # the second summit is at 49 − 20
    np.testing.assert_allclose(summit_distance_spearman(track, np.array([20])), -1, rtol=1e-12)
    np.testing.assert_allclose(summit_distance_spearman(both, np.array([29, 20])), -1, rtol=1e-12)
    np.testing.assert_allclose(summit_distance_spearman(1 / track, np.array([20, -1])), 1, rtol=1e-12)
    assert -1 < summit_distance_spearman(both, np.array([20, -1])) < 0


def test_summit_correlation_of_a_batch_is_scipys_and_padding_adds_nothing():
    rng = np.random.default_rng(0)
    track, summits = rng.integers(0, 9, (2, 3, 40)), rng.integers(-1, 40, (2, 3, 4))
    summits[0, 0] = -1
    ours = summit_distance_spearman(track, summits)
    for i in np.ndindex(2, 3):
        there = summits[i][summits[i] >= 0]
        if len(there):
            distance = np.abs(np.arange(40)[:, None] - there).min(axis=1)
            np.testing.assert_allclose(ours[i], stats.spearmanr(track[i], distance).statistic, rtol=1e-9)
    assert np.isnan(ours[0, 0]) and np.sum(np.isnan(ours)) == 1
    padded = np.concatenate([np.full((2, 3, 2), -1), summits, summits[..., :1]], axis=-1)
    np.testing.assert_array_equal(summit_distance_spearman(track, padded), ours)
    np.testing.assert_allclose(summit_distance_spearman(np.exp(track), summits), ours, rtol=1e-12)  # ranks alone count


def test_no_summit_correlation_without_summit_or_variation():
    assert np.isnan(summit_distance_spearman(np.arange(5.0), np.array([], int)))
    assert np.isnan(summit_distance_spearman(np.full(5, 1 / 3), np.array([2])))
    assert np.isnan(summit_distance_spearman(np.arange(5.0), np.arange(5)))  # every position is a summit


@pytest.mark.parametrize(
    ("track", "summits", "message"),
    [
        (np.ones((2, 8)), np.ones(3, int), r"summits \(shape \(3,\)\) must be \(\.\.\., K\)"),
        (np.ones(8), np.array([8]), "summits must be whole numbers from 0 to 7, or −1"),
        (np.ones(8), np.array([-2]), "summits must be whole numbers"),
        (np.ones(8), np.array([1.5]), "summits must be whole numbers"),
        (-np.ones(8), np.array([1]), "track must be non-negative"),
    ],
)
def test_summit_errors_name_the_argument(track, summits, message):
    with pytest.raises(InputError, match=message):
        summit_distance_spearman(track, summits)


def test_overlap_auprc_worked_example():
    """Ranked + − + −: precisions 1, ½, ⅔, ½ at recalls ½, ½, 1, 1; the curve starts at the first base."""
    track, mask = np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False])
    assert overlap_auprc(track, mask) == pytest.approx((1 / 2 + 2 / 3) / 4)
    assert overlap_auprc(track, track > 0.5) == pytest.approx(1 - 1 / 2)


def test_overlap_auprc_without_ties_is_the_area_under_scikit_learns_curve():
    rng = np.random.default_rng(0)
    track, mask = rng.gamma(0.5, size=(3, 80)), rng.random((3, 80)) < 0.3
    precision, recall, _ = metrics.precision_recall_curve(mask.ravel(), track.ravel())
    # Its last point is no call at all, with precision 1.
    assert overlap_auprc(track, mask) == pytest.approx(metrics.auc(recall[:-1], precision[:-1]), rel=1e-12)


def test_overlap_auprc_pools_what_its_other_form_keeps_apart():
    """Each sequence is ranked perfectly by itself, but the background of the first outdoes the second."""
    track = np.array([[3.0, 4.0, 5.0], [1.0, 2.0, 2.5]])
    mask = np.array([[False, True, True], [False, True, True]])
    np.testing.assert_allclose(overlap_auprc_each(track, mask), [1 / 2, 1 / 2], rtol=1e-12)
    assert overlap_auprc(track, mask) == overlap_auprc(track.ravel(), mask.ravel()) < 1 - 1 / 4
    assert overlap_auprc(track / track[:, :1], mask) == pytest.approx(1 - 1 / 4)


def test_overlap_auprc_depends_on_ranks_alone_and_not_on_the_order_of_equals():
    rng = np.random.default_rng(0)
    track, mask = rng.integers(0, 5, (2, 3, 60)).astype(float), rng.random((2, 3, 60)) < 0.3
    each, shuffle = overlap_auprc_each(track, mask), rng.permutation(60)
    assert each.shape == (2, 3)
    np.testing.assert_allclose(overlap_auprc_each(np.exp(track), mask), each, rtol=1e-12)
    np.testing.assert_allclose(overlap_auprc_each(track[..., shuffle], mask[..., shuffle]), each, rtol=1e-12)


def test_equal_importance_gains_nothing():
    """Ties are worth what their orders are worth on average; no importance at all, the share of the mask."""
    rng = np.random.default_rng(0)
    mask = rng.random(400) < 0.2
    track = np.where(rng.random(400) < 0.1 + 0.5 * mask, rng.gamma(2, size=400), 0)  # most of it is zero
    broken = [overlap_auprc(track + 1e-9 * rng.random(400), mask) for _ in range(200)]
    assert overlap_auprc(track, mask) == pytest.approx(np.mean(broken), abs=0.01)
    assert overlap_auprc(0 * track, mask) == pytest.approx(mask.mean() * (1 - 1 / 400))


def test_no_overlap_auprc_of_an_empty_or_a_full_mask():
    track = np.arange(8.0).reshape(2, 4)
    mask = np.array([[False] * 4, [True] * 4])
    np.testing.assert_array_equal(overlap_auprc_each(track, mask), [np.nan, np.nan])
    assert np.isnan(overlap_auprc(track[0], mask[0])) and np.isnan(overlap_auprc(track, np.ones_like(mask)))
    assert overlap_auprc(track, mask) == pytest.approx(1 - 1 / 4)  # together the sequences have both kinds of bases


def test_gc_reliance_worked_example():
    """One background position prefers G and C, one nothing; the third has the maximum and is a motif's."""
    scores = np.array([[-1.0, 1.0, 1.0, -2.0], [1.0, 0.0, 0.0, 1.0], [0.0, 4.0, 0.0, 0.0]])
    found = gc_reliance(scores, np.array([False, False, True]))
    assert found["background_gc_importance"] == pytest.approx((2 / 4 + 0) / 2)
    assert found["background_at_importance"] == pytest.approx((-3 / 4 + 2 / 4) / 2)
    assert found["background_gc_at_product"] == pytest.approx((2 / 4) * (-3 / 4) / 2)


def test_gc_reliance_is_of_each_sequence_and_without_a_scale():
    rng = np.random.default_rng(0)
    scores, left_out = rng.normal(size=(2, 3, 40, 4)), rng.random((2, 3, 40)) < 0.2
    found = gc_reliance(scores, left_out)
    rescaled = gc_reliance(scores * rng.gamma(2, size=(2, 3, 1, 1)), left_out)
    complement = gc_reliance(scores[..., ::-1], left_out)
    for name, values in found.items():
        assert values.shape == (2, 3)
        np.testing.assert_allclose(rescaled[name], values, rtol=1e-9)
        np.testing.assert_allclose(complement[name], values, rtol=1e-9)
    scores[left_out] = np.minimum(scores[left_out], 0)  # below the maximum, which may have been there
    changed = gc_reliance(np.where(left_out[..., None], scores - 1, scores), left_out)
    for name, values in gc_reliance(scores, left_out).items():
        np.testing.assert_array_equal(changed[name], values)


def test_no_gc_reliance_without_background_or_scale():
    for scores, left_out in ((np.ones((5, 4)), np.ones(5, bool)), (-np.ones((5, 4)), np.zeros(5, bool))):
        assert all(np.isnan(values) for values in gc_reliance(scores, left_out).values())
    with pytest.raises(InputError, match=r"left_out \(shape \(4,\)\) must be \(\.\.\., L\)"):
        gc_reliance(np.ones((5, 4)), np.zeros(4, bool))
    with pytest.raises(InputError, match=r"contributions \(shape \(2, 5\)\) must be \(\.\.\., L, 4\)"):
        gc_reliance(np.ones((2, 5)), np.zeros((2, 5), bool))


def test_jaccard_worked_example():
    """Shares ½, ½, 0, 0 and ½, 0, −½, 0: ½ of 3/2 in common. The other position agrees but for its sign."""
    a = np.array([[3.0, 3.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    b = np.array([[1.0, 0.0, -1.0, 0.0], [-9.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(continuous_jaccard(a, b), 1 / 3 - 1, rtol=1e-12)
    np.testing.assert_allclose(cosine_similarity(a, b), (3 - 9) / np.sqrt(19 * 83), rtol=1e-12)


@pytest.mark.parametrize("similarity", [continuous_jaccard, cosine_similarity])
def test_similarity_runs_from_opposite_to_equal(similarity):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2, 3, 30, 4))
    a[0, 1, 7:12] = b[0, 1, 7:12] = 0  # as an unknown base has it
    assert similarity(a, b).shape == (2, 3)
    full = 1 if similarity is cosine_similarity else np.sum(np.any(a != 0, axis=-1), axis=-1)
    np.testing.assert_allclose(similarity(a, 2.5 * a), full, rtol=1e-12)
    np.testing.assert_allclose(similarity(a, -a), -np.asarray(full), rtol=1e-12)
    np.testing.assert_allclose(similarity(b, a), similarity(a, b), rtol=1e-12)
    np.testing.assert_allclose(similarity(a, -b), -similarity(a, b), rtol=1e-9)
    np.testing.assert_allclose(similarity(1e-90 * a, 1e90 * b), similarity(a, b), rtol=1e-9)
    assert np.all(np.abs(similarity(a, b)) < 0.5 * full)


def test_jaccard_takes_all_positions_alike():
    """Whatever the size of the scores there; a position that one of the two leaves empty is a disagreement."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 30, 4))
    np.testing.assert_allclose(continuous_jaccard(a * rng.gamma(1, size=(5, 30, 1)), b), continuous_jaccard(a, b))
    half = np.where(np.arange(30)[:, None] < 15, a, 0)
    np.testing.assert_allclose(continuous_jaccard(a, half), 15, rtol=1e-12)


@pytest.mark.parametrize("similarity", [continuous_jaccard, cosine_similarity])
def test_no_similarity_of_nothing(similarity):
    a = np.ones((2, 6, 4))
    a[1] = 0
    np.testing.assert_array_equal(similarity(a, a), [1 if similarity is cosine_similarity else 6, np.nan])
    assert np.isnan(cosine_similarity(a[0], a[1])) and continuous_jaccard(a[0], a[1]) == 0


@pytest.mark.parametrize("similarity", [continuous_jaccard, cosine_similarity])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 6)), np.ones((2, 6)), r"a \(shape \(2, 6\)\) must be \(\.\.\., L, 4\)"),
        (np.ones((6, 4)), np.ones((5, 4)), r"a \(shape \(6, 4\)\) and b \(shape \(5, 4\)\)"),
    ],
)
def test_similarity_errors_name_the_argument(similarity, a, b, message):
    with pytest.raises(InputError, match=message):
        similarity(a, b)


@pytest.mark.parametrize("measure", [share_inside, overlap_auprc, overlap_auprc_each])
@pytest.mark.parametrize(
    ("track", "mask", "message"),
    [
        (np.array([1.0, -0.1]), np.ones(2, bool), "track must be non-negative"),
        (np.array([1.0, np.nan]), np.ones(2, bool), "track must be non-negative and finite"),
        (np.array([1.0, np.inf]), np.ones(2, bool), "track must be non-negative and finite"),
        (np.ones((2, 4)), np.ones(4, bool), r"mask \(shape \(4,\)\) must have the shape of track, \(2, 4\)"),
    ],
)
def test_errors_of_measures_inside_a_mask_name_the_argument(measure, track, mask, message):
    with pytest.raises(InputError, match=message):
        measure(track, mask)


def test_negative_share_errors_name_the_argument():
    with pytest.raises(InputError, match=r"mask \(shape \(4,\)\) must have the shape of contributions"):
        negative_share_inside(np.ones((2, 4)), np.ones(4, bool))
