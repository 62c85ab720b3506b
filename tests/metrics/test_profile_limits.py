"""Profile performance where there is nothing to measure, and of wrong inputs."""

import re

import numpy as np
import pytest
from profile_inputs import PER_PROFILE, log_softmax, one_profile, random_inputs

from fprior.errors import InputError
from fprior.metrics.profile import (
    binned_auprc,
    binned_correlations,
    count_performance,
    jensen_shannon_divergence,
    multinomial_nll,
    nats_per_read,
    profile_performance,
)

# Nothing to measure.


def test_no_reads():
    """Without reads on any strand; each is NaN but what has a value: the likelihood of nothing is 1."""
    _, log_probabilities, log_counts = random_inputs()
    result = profile_performance(np.zeros_like(log_probabilities), log_probabilities, log_counts)
    undefined = "nats_per_read|jensen_shannon_divergence|binned_(auprc|pearson|spearman)|count_(pearson|spearman)"
    for name, values in result.items():
        assert np.all(np.isnan(values) == bool(re.fullmatch(undefined, name))), name
    assert np.all(result["multinomial_nll"] == 0)
    assert np.all(result["positive_bins"] == 0) and np.all(result["ambiguous_bins"] == 0)
    assert np.all(result["negative_bins"][..., 0] == 66)


def test_no_reads_on_one_strand():
    """The likelihood averages a 0 in, the divergence is undefined, the pooled measures keep the other strand's."""
    profiles, log_probabilities, log_counts = random_inputs()
    result = profile_performance(profiles, log_probabilities, log_counts)
    other = profiles[1:2, :1, :, 1:], log_probabilities[1:2, :1, :, 1:]
    assert np.isnan(result["jensen_shannon_divergence"]).tolist() == [[False, False], [True, False], [False, False]]
    assert result["multinomial_nll"][1, 0] == pytest.approx(multinomial_nll(*other).item() / 2)
    assert result["nats_per_read"][1, 0] == pytest.approx(nats_per_read(*other).item())
    assert np.all(np.isfinite(result["binned_auprc"][1, 0])) and np.all(np.isfinite(result["binned_pearson"][1, 0]))


@pytest.mark.parametrize("length", [7, 49, 1000])
def test_a_uniform_profile_has_no_correlation(length):
    """Not even that of the rounding of its mean."""
    rng = np.random.default_rng(4)
    reads, uniform = rng.poisson(3, (1, 1, length, 1)), np.full((1, 1, length, 1), -np.log(length))
    for inputs in [(reads, uniform), (np.full(reads.shape, 3), log_softmax(rng.normal(size=reads.shape)))]:
        result = binned_correlations(*inputs, bin_sizes=[1])
        assert np.isnan(result["binned_pearson"]) and np.isnan(result["binned_spearman"])
        assert result["binned_squared_error"] > 0


def test_constant_predicted_counts_have_no_correlation():
    profiles, _, log_counts = random_inputs((9, 3, 20, 2))
    result = count_performance(profiles.sum(axis=2), np.full_like(log_counts, 0.1))
    assert np.all(np.isnan(result["count_pearson"])) and np.all(np.isnan(result["count_spearman"]))


def test_auprc_without_positives_or_negatives():
    few = binned_auprc(*one_profile([2, 2, 0, 0], np.full(4, 0.25)), bin_sizes=[1, 4])
    assert np.all(np.isnan(few["binned_auprc"])) and few["negative_bins"].tolist() == [[[2, 0]]]
    full = binned_auprc(*one_profile([9, 9, 9, 9], np.full(4, 0.25)), bin_sizes=[1, 4])
    assert np.all(full["binned_auprc"] == 1) and np.all(full["negative_bins"] == 0)


def test_a_probability_of_zero():
    """Without reads there it adds nothing; with reads the profile could not have been."""
    possible, impossible = one_profile([3, 0], [1, 0]), one_profile([2, 1], [1, 0])
    assert multinomial_nll(*possible) == nats_per_read(*possible) == 0
    assert multinomial_nll(*impossible) == nats_per_read(*impossible) == np.inf


@pytest.mark.parametrize("sigma", [0, 3])
def test_divergence_of_probabilities_too_small_to_halve(sigma):
    reads, log_probabilities = one_profile([4, 0, 4], [0.5, 5e-324, 0.5])
    assert np.exp(log_probabilities).min() == 5e-324
    assert np.isfinite(jensen_shannon_divergence(reads, log_probabilities, smooth_sigma=sigma))


def test_no_examples():
    result = profile_performance(np.zeros((0, 2, 30, 2)), np.zeros((0, 2, 30, 2)), np.zeros((0, 2, 2)))
    for name, values in result.items():
        if name.startswith("count_"):
            assert values.shape == (2,) and np.all(np.isnan(values))
        else:
            assert values.shape in [(0, 2), (0, 2, 3)]


# Wrong inputs.


@pytest.mark.parametrize("measure", [*PER_PROFILE, lambda *inputs: profile_performance(*inputs, np.zeros((2, 1, 2)))])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k, p: (k[0], p[0]), r"true_profiles \(shape \(1, 5, 2\)\) and .* must both be \(N, T, O, S\)"),
        (lambda k, p: (k, p[:1]), r"log_probabilities \(shape \(1, 1, 5, 2\)\)"),
        (lambda k, p: (k[..., :0], p[..., :0]), "at least one task, position and strand"),
        (lambda k, p: (k - 2, p), r"true_.* \(with a value -\d+\) must be reads, finite and not negative"),
        (lambda k, p: (k * np.nan, p), r"true_.* \(with a value nan\)"),
        (lambda k, p: (k + np.inf, p), r"true_.* \(with a value inf\)"),
        (lambda k, p: (k, p + 900), r"log_probabilities \(up to .*\) must be at most 0; apply log_softmax"),
        (lambda k, p: (k, p * np.nan), "log_probabilities .*apply log_softmax"),
        (lambda k, p: (k, p - 1), r"sum to a probability of 0\.368; apply log_softmax to logits over the positions"),
        (lambda k, p: (k, np.exp(p)), "log_probabilities .*apply log_softmax"),
    ],
    ids=["axes", "shapes", "no strand", "negative", "nan", "inf", "logits", "nan logs", "not normalised", "not logs"],
)
def test_wrong_profiles(measure, change, message):
    with pytest.raises(InputError, match=message):
        measure(*change(np.ones((2, 1, 5, 2)), log_softmax(np.zeros((2, 1, 5, 2)))))


@pytest.mark.parametrize("measure", [binned_auprc, binned_correlations])
@pytest.mark.parametrize("sizes", [(), (0,), (1, -4), (2.5,), (np.nan,)])
def test_wrong_bin_sizes(measure, sizes):
    with pytest.raises(InputError, match=r"bin_sizes \(=\(.*\)\) must be one or more whole numbers from 1 on"):
        measure(*one_profile([1, 2], [0.5, 0.5]), bin_sizes=sizes)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"positive_probability": 0.005},
            r"negative_probability \(=0.005\) must be .* below positive_probability \(=0.005",
        ),
        ({"negative_probability": -0.1}, r"negative_probability \(=-0.1\)"),
        ({"negative_probability": np.nan}, r"negative_probability \(=nan\)"),
        ({"positive_count": 0}, r"positive_count \(=0\) must be positive"),
    ],
)
def test_wrong_thresholds(how, message):
    with pytest.raises(InputError, match=message):
        binned_auprc(*one_profile([1, 2], [0.5, 0.5]), **how)


@pytest.mark.parametrize("sigma", [-1, np.nan, np.inf])
def test_wrong_smoothing(sigma):
    with pytest.raises(InputError, match=rf"smooth_sigma \(={sigma}\)"):
        jensen_shannon_divergence(*one_profile([1, 2], [0.5, 0.5]), smooth_sigma=sigma)


@pytest.mark.parametrize(
    ("counts", "log_counts", "message"),
    [
        (
            np.zeros((3, 2, 1)),
            np.zeros((3, 2, 2)),
            r"true_counts \(shape \(3, 2, 1\)\) and log_counts \(shape \(3, 2, 2\)\)",
        ),
        (np.zeros((3, 2)), np.zeros((3, 2)), r"must be \(N, T, S\)"),
        (np.full((3, 2, 1), -1), np.zeros((3, 2, 1)), r"true_counts \(with a value -1\)"),
        (np.zeros((3, 2, 1)), np.full((3, 2, 1), -np.inf), r"log_counts must be finite; predict log\(1 \+ reads\)"),
    ],
)
def test_wrong_counts(counts, log_counts, message):
    with pytest.raises(InputError, match=message):
        count_performance(counts, log_counts)
