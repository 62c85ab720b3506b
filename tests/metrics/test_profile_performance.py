"""Profile performance: the authors' numbers, slow plain versions, and properties."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from profile_inputs import log_softmax, one_profile, random_inputs
from reference import load_reference
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score

from fprior.metrics import profile
from fprior.metrics.profile import (
    binned_auprc,
    binned_correlations,
    count_performance,
    jensen_shannon_divergence,
    multinomial_nll,
    nats_per_read,
    profile_performance,
)

GROUP = "profile_metrics/"
ARCHIVE = {key.removeprefix(GROUP): value for key, value in load_reference().items() if key.startswith(GROUP)}
INPUTS = ["true_profiles", "log_pred_profiles", "log_pred_counts"]
THEIRS = {
    "nll": ["multinomial_nll"],
    "jsd": ["jensen_shannon_divergence"],
    "auprc_binned": ["binned_auprc", "positive_bins", "ambiguous_bins", "negative_bins"],
    "pearson_binned": ["binned_pearson"],
    "spearman_binned": ["binned_spearman"],
    "mse_binned": ["binned_squared_error"],
    "pearson_total": ["count_pearson"],
    "spearman_total": ["count_spearman"],
    "mse_total": ["count_squared_error"],
}


# The authors' numbers.


def test_every_reference_number_is_tested():
    assert set(ARCHIVE) == {*INPUTS, *THEIRS}


@pytest.mark.parametrize("key", THEIRS)
def test_reference(key):
    measures = profile_performance(*(ARCHIVE[name] for name in INPUTS))
    ours = [measures[name] for name in THEIRS[key]]
    ours = np.stack(ours, axis=-1) if len(ours) > 1 else ours[0]
    assert ours.dtype == np.float64 and np.any(ARCHIVE[key] != 0)
    np.testing.assert_allclose(ours, ARCHIVE[key], rtol=1e-10, atol=0)


# Slow plain versions.


def plain_bins(values, size):
    """`(O, S)`: position after position, both strands of each in turn."""
    flat = [value for position in values for value in position]
    return np.array([max(flat[start : start + size]) for start in range(0, len(flat), size)])


def plain_smoothed(track):
    """Weights of a Gaussian of deviation 3 at −3 ... 3; beyond an end lies the mirror image of what is before it."""
    weights = np.exp(-0.5 * (np.arange(-3, 4) / 3) ** 2)
    mirrored = np.concatenate([track[2::-1], track, track[:-4:-1]])
    return np.array([weights @ mirrored[i : i + 7] for i in range(len(track))]) / weights.sum()


def each_profile(profiles, log_probabilities):
    for example, task in np.ndindex(profiles.shape[:2]):
        yield (example, task), profiles[example, task], log_probabilities[example, task]


def test_likelihood_is_scipys_multinomial():
    profiles, log_probabilities, _ = random_inputs()
    likelihood = multinomial_nll(profiles, log_probabilities)
    for at, reads, log_p in each_profile(profiles, log_probabilities):
        p = np.exp(log_p)
        strands = [scipy.stats.multinomial.logpmf(k, k.sum(), q / q.sum()) for k, q in zip(reads.T, p.T, strict=True)]
        assert likelihood[at] == pytest.approx(-np.mean(strands))


def test_nats_per_read_read_by_read():
    profiles, log_probabilities, _ = random_inputs()
    nats = nats_per_read(profiles, log_probabilities)
    for at, reads, log_p in each_profile(profiles, log_probabilities):
        assert nats[at] == pytest.approx(-np.mean(np.repeat(log_p.ravel(), reads.ravel().astype(int))))


@pytest.mark.parametrize("sigma", [0, 3])
def test_divergence_is_scipys(sigma):
    profiles, log_probabilities, _ = random_inputs()
    divergence = jensen_shannon_divergence(profiles, log_probabilities, smooth_sigma=sigma)
    smoothed = plain_smoothed if sigma else np.asarray
    for at, reads, log_p in each_profile(profiles, log_probabilities):
        if not reads.sum(axis=0).all():
            assert at == (1, 0) and np.isnan(divergence[at])
            continue
        pairs = zip(reads.T, np.exp(log_p).T, strict=True)
        assert divergence[at] == pytest.approx(
            np.mean([jensenshannon(smoothed(k), smoothed(p)) ** 2 for k, p in pairs])
        )


def test_auprc_is_scikit_learns():
    profiles, log_probabilities, _ = random_inputs()
    sizes, some_left_out = (1, 3, 4, 10), 0
    result = binned_auprc(profiles, log_probabilities, bin_sizes=sizes)
    assert all(values.shape == (3, 2, 4) for values in result.values())
    for at, reads, log_p in each_profile(profiles, log_probabilities):
        shares = reads / np.maximum(reads.sum(axis=0), 1)
        for i, size in enumerate(sizes):
            share = plain_bins(shares, size)
            positive = (plain_bins(reads, size) >= 3) & (share >= 0.015)
            kept = positive | (share <= 0.005)
            expected = average_precision_score(positive[kept], plain_bins(np.exp(log_p), size)[kept])
            assert result["binned_auprc"][*at, i] == pytest.approx(expected)
            assert result["positive_bins"][*at, i] == positive.sum()
            assert result["ambiguous_bins"][*at, i] == np.sum(~kept)
            assert result["negative_bins"][*at, i] == np.sum(kept & ~positive)
            some_left_out += np.sum(~kept)
    assert some_left_out > 0


def test_correlations_are_scipys():
    profiles, log_probabilities, _ = random_inputs()
    sizes = (1, 3, 4, 10)
    result = binned_correlations(profiles, log_probabilities, bin_sizes=sizes)
    assert all(values.shape == (3, 2, 4) for values in result.values())
    for at, reads, log_p in each_profile(profiles, log_probabilities):
        for i, size in enumerate(sizes):
            share = plain_bins(reads / np.maximum(reads.sum(axis=0), 1), size)
            probability = plain_bins(np.exp(log_p), size)
            assert result["binned_pearson"][*at, i] == pytest.approx(scipy.stats.pearsonr(share, probability)[0])
            assert result["binned_spearman"][*at, i] == pytest.approx(scipy.stats.spearmanr(share, probability)[0])
            assert result["binned_squared_error"][*at, i] == pytest.approx(np.mean((share - probability) ** 2))


def test_count_performance_is_scipys():
    profiles, _, log_counts = random_inputs((9, 3, 20, 2))
    result = count_performance(profiles.sum(axis=2), log_counts)
    for task in range(3):
        observed, predicted = np.log(1 + profiles[:, task].sum(axis=1)).ravel(), log_counts[:, task].ravel()
        assert result["count_pearson"][task] == pytest.approx(scipy.stats.pearsonr(observed, predicted)[0])
        assert result["count_spearman"][task] == pytest.approx(scipy.stats.spearmanr(observed, predicted)[0])
        assert result["count_squared_error"][task] == pytest.approx(np.mean((observed - predicted) ** 2))


# Properties.


def test_likelihood_is_highest_at_the_observed_shares():
    rng = np.random.default_rng(1)
    profiles = rng.poisson(3, (2, 2, 20, 2)) + 1.0
    best = np.log(profiles / profiles.sum(axis=2, keepdims=True))
    for measure in (multinomial_nll, nats_per_read):
        for _ in range(20):
            other = log_softmax(best + 0.05 * rng.normal(size=best.shape))
            assert np.all(measure(profiles, other) > measure(profiles, best))


def test_likelihoods_of_all_outcomes_sum_to_one():
    """Three reads on three positions: ten profiles."""
    p = np.array([0.2, 0.3, 0.5])
    outcomes = np.array([(i, j, 3 - i - j) for i in range(4) for j in range(4 - i)], float)
    nll = multinomial_nll(outcomes[:, None, :, None], np.tile(np.log(p)[None, None, :, None], (10, 1, 1, 1)))
    assert np.exp(-nll).sum() == pytest.approx(1)


def test_nats_per_read_of_a_uniform_prediction():
    profiles, _, _ = random_inputs()
    np.testing.assert_allclose(nats_per_read(profiles, log_softmax(np.zeros_like(profiles))), np.log(33))


@pytest.mark.parametrize("sigma", [0, 3])
def test_divergence_is_a_symmetric_distance(sigma):
    rng = np.random.default_rng(2)
    p, q = (log_softmax(2 * rng.normal(size=(4, 3, 50, 2))) for _ in range(2))
    forth, back = (jensen_shannon_divergence(np.exp(a), b, smooth_sigma=sigma) for a, b in [(p, q), (q, p)])
    np.testing.assert_allclose(forth, back, rtol=1e-12)
    assert np.all((forth > 0) & (forth < np.log(2)))
    assert np.all(np.abs(jensen_shannon_divergence(7 * np.exp(p), p, smooth_sigma=sigma)) < 1e-15)


def test_divergence_of_profiles_that_do_not_meet_is_log_two():
    reads, probabilities = np.repeat([5, 0], 10), np.repeat([0, 0.1], 10)
    apart = jensen_shannon_divergence(*one_profile(reads, probabilities), smooth_sigma=0)
    assert apart.item() == pytest.approx(np.log(2))
    assert jensen_shannon_divergence(*one_profile(reads, probabilities)).item() < np.log(2)


def test_the_number_of_reads_moves_only_what_counts_them():
    profiles, log_probabilities, log_counts = random_inputs()
    once = profile_performance(profiles, log_probabilities, log_counts)
    thrice = profile_performance(3 * profiles, log_probabilities, log_counts)
    unmoved = [
        "nats_per_read",
        "jensen_shannon_divergence",
        "binned_pearson",
        "binned_spearman",
        "binned_squared_error",
    ]
    for name in unmoved:
        np.testing.assert_allclose(thrice[name], once[name], rtol=1e-9)
    assert np.all(thrice["multinomial_nll"] > once["multinomial_nll"])


def test_count_correlations_do_not_depend_on_scale():
    profiles, _, log_counts = random_inputs((9, 3, 20, 2))
    counts = profiles.sum(axis=2)
    plain, scaled, turned = (count_performance(counts, x) for x in (log_counts, 3 * log_counts + 1, -log_counts))
    for name in ("count_pearson", "count_spearman"):
        np.testing.assert_allclose(scaled[name], plain[name])
        np.testing.assert_allclose(turned[name], -plain[name])
    perfect = count_performance(counts, np.log1p(counts))
    np.testing.assert_allclose([perfect["count_pearson"], perfect["count_spearman"]], 1)
    assert np.all(perfect["count_squared_error"] == 0)


def test_correlation_of_small_differences_between_large_counts():
    """A hundred million reads more at each position: the reads' spread, and so the correlation, is as before."""
    rng = np.random.default_rng(3)
    few, log_probabilities = rng.poisson(5, (2, 1, 100, 1)), log_softmax(rng.normal(size=(2, 1, 100, 1)))
    many = binned_correlations(few + 10**8, log_probabilities, bin_sizes=[1])
    few = binned_correlations(few, log_probabilities, bin_sizes=[1])
    np.testing.assert_allclose(many["binned_pearson"], few["binned_pearson"], rtol=1e-6)
    np.testing.assert_allclose(many["binned_spearman"], few["binned_spearman"])


def test_bins():
    """A bin takes positions with all their strands; here both strands have all their reads in the first of two bins."""
    reads = np.zeros((1, 1, 4, 2))
    reads[0, 0, 0, 0] = reads[0, 0, 1, 1] = 10
    uniform = log_softmax(np.zeros_like(reads))
    result = binned_auprc(reads, uniform, bin_sizes=(1, 2, 4, 8, 99))
    assert result["positive_bins"].tolist() == [[[2, 2, 1, 1, 1]]]
    assert result["negative_bins"].tolist() == [[[6, 2, 1, 0, 0]]]


def test_bins_of_one_are_the_values():
    profiles, _, _ = random_inputs()
    np.testing.assert_array_equal(profile._binned(profiles, 1), profiles.reshape(3, 2, 66))


def test_thresholds_are_met_when_equal():
    """Shares of 200 reads: 3 reach 0.015, 1 does not exceed 0.005; of 100 reads, 2 are 0.02 but too few."""
    reads = np.array([3, 2, 1, 194, 0])
    result = binned_auprc(*one_profile(reads, np.full(5, 0.2)), bin_sizes=[1])
    assert [result[f"{kind}_bins"].item() for kind in ("positive", "ambiguous", "negative")] == [2, 1, 2]
    result = binned_auprc(*one_profile([2, 98, 0], np.full(3, 1 / 3)), bin_sizes=[1])
    assert [result[f"{kind}_bins"].item() for kind in ("positive", "ambiguous", "negative")] == [1, 1, 1]
    few = binned_auprc(*one_profile([2, 98, 0], np.full(3, 1 / 3)), bin_sizes=[1], positive_count=2)
    assert few["positive_bins"].item() == 2


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.4, 0.3, 0.2, 0.1], 1),
        ([0.1, 0.2, 0.3, 0.4], (1 / 3 + 1 / 2) / 2),
        ([0.4, 0.1, 0.3, 0.2], (1 + 1 / 2) / 2),
        ([0.4, 0.2, 0.2, 0.2], (1 + 1 / 2) / 2),
        ([0.25, 0.25, 0.25, 0.25], 1 / 2),
    ],
    ids=["perfect", "reversed", "one low", "a tie", "all equal"],
)
def test_auprc_by_hand(probabilities, expected):
    result = binned_auprc(*one_profile([9, 9, 0, 0], probabilities), bin_sizes=[1])
    assert result["binned_auprc"].item() == pytest.approx(expected)


@pytest.mark.parametrize("at_once", [1, 300, 10**9])
def test_performance_is_its_parts_whatever_the_pieces(monkeypatch, at_once):
    monkeypatch.setattr(profile, "_VALUES_AT_ONCE", at_once)
    profiles, log_probabilities, log_counts = random_inputs((5, 2, 33, 2))
    whole = profile_performance(profiles, log_probabilities, log_counts, bin_sizes=(2, 5))
    inputs, sizes = (profiles, log_probabilities), {"bin_sizes": (2, 5)}
    parts = {
        "multinomial_nll": multinomial_nll(*inputs),
        "nats_per_read": nats_per_read(*inputs),
        "jensen_shannon_divergence": jensen_shannon_divergence(*inputs),
        **binned_auprc(*inputs, **sizes),
        **binned_correlations(*inputs, **sizes),
        **count_performance(profiles.sum(axis=2), log_counts),
    }
    assert whole.keys() == parts.keys()
    for name in parts:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-13)


def test_whole_numbers_and_float32_serve_and_stay_as_they_were():
    profiles, log_probabilities, log_counts = random_inputs()
    given = profiles.astype(np.int32), log_probabilities.astype(np.float32), log_counts.astype(np.float32)
    kept = [array.copy() for array in given]
    result = profile_performance(*given)
    expected = profile_performance(*(array.astype(np.float64) for array in given))
    for name in expected:
        assert result[name].dtype == np.float64
        np.testing.assert_array_equal(result[name], expected[name])
    for array, copy in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
