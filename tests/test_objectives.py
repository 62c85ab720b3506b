"""The scalars that are attributed, against plain NumPy, and what their gradients pass through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.objectives import PROFILE_WEIGHTS, profile_objective, profile_weights, summed_logits, summed_tasks

SHAPE = (3, 2, 5, 2)  # B, T, O, S
LOGITS = np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)
both = pytest.mark.parametrize("weighting", PROFILE_WEIGHTS)


def plain_weights(logits, weighting):
    """Strand by strand."""
    logits = np.asarray(logits, np.float64)
    weights = np.empty(logits.shape)
    for b, t, s in np.ndindex(logits.shape[0], logits.shape[1], logits.shape[3]):
        exponentials = np.exp(logits[b, t, :, s])
        weights[b, t, :, s] = exponentials / exponentials.sum()
    return np.log(weights) if weighting == "log_probabilities" else weights


def plain_objective(logits, weights):
    logits = np.asarray(logits, np.float64)
    total = np.zeros(len(logits))
    for b, t, s in np.ndindex(logits.shape[0], logits.shape[1], logits.shape[3]):
        strand = logits[b, t, :, s]
        total[b] += sum(weights[b, t, :, s] * (strand - strand.mean()))
    return total


@both
def test_plain_version(weighting):
    np.testing.assert_allclose(profile_weights(LOGITS, weighting), plain_weights(LOGITS, weighting), rtol=1e-5)
    found = profile_objective(LOGITS, weighting)
    assert found.shape == (3,) and found.dtype == jnp.float32
    np.testing.assert_allclose(found, plain_objective(LOGITS, plain_weights(LOGITS, weighting)), rtol=1e-5)


def test_probabilities_are_the_default():
    np.testing.assert_array_equal(profile_objective(LOGITS), profile_objective(LOGITS, "probabilities"))
    np.testing.assert_array_equal(profile_weights(LOGITS), profile_weights(LOGITS, "probabilities"))
    assert np.all(np.abs(profile_objective(LOGITS) - profile_objective(LOGITS, "log_probabilities")) > 0.1)


@both
def test_no_gradient_passes_through_the_weights(weighting):
    """∂/∂x_i Σ w (x − mean x) with w held fixed is w_i − mean w. Numerically: with the weights of the first logits."""
    weights = plain_weights(LOGITS, weighting)
    gradient = np.asarray(jax.grad(lambda logits: jnp.sum(profile_objective(logits, weighting)))(LOGITS))
    np.testing.assert_allclose(gradient, weights - weights.mean(2, keepdims=True), rtol=1e-4, atol=1e-6)
    way = np.random.default_rng(1).normal(size=SHAPE)
    numeric = {}
    for name, at in (("fixed", lambda _: weights), ("moving", lambda logits: plain_weights(logits, weighting))):
        ahead, behind = (LOGITS + size * way for size in (1e-5, -1e-5))
        numeric[name] = (plain_objective(ahead, at(ahead)) - plain_objective(behind, at(behind))).sum() / 2e-5
    analytic = np.sum(gradient * way)
    np.testing.assert_allclose(analytic, numeric["fixed"], rtol=1e-4)
    assert abs(analytic - numeric["moving"]) > 0.1


@both
def test_a_constant_added_to_a_strand_changes_nothing(weighting):
    constants = np.random.default_rng(2).normal(0, 3, (3, 2, 1, 2)).astype(np.float32)
    moved = LOGITS + constants
    np.testing.assert_allclose(profile_weights(moved, weighting), profile_weights(LOGITS, weighting), rtol=1e-4)
    np.testing.assert_allclose(profile_objective(moved, weighting), profile_objective(LOGITS, weighting), rtol=1e-4)
    gradient = jax.grad(lambda logits: jnp.sum(profile_objective(logits, weighting)))(LOGITS)
    np.testing.assert_allclose(gradient.sum(2), 0, atol=1e-5)  # so also to first order


@both
def test_flat_and_extreme_logits(weighting):
    """A flat profile scores 0; a spike of a million, the height of the spike above the mean, or nothing infinite."""
    np.testing.assert_array_equal(profile_objective(np.full(SHAPE, 7, np.float32), weighting), 0)
    spike = np.zeros((1, 1, 5, 1), np.float32)
    spike[0, 0, 3] = 1e6
    value, gradient = jax.value_and_grad(lambda logits: profile_objective(logits, weighting)[0])(spike)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    if weighting == "probabilities":
        np.testing.assert_allclose(value, 0.8e6)


def test_given_weights():
    """Those of other logits are not those of the logits themselves."""
    weights = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    np.testing.assert_allclose(profile_objective(LOGITS, weights), plain_objective(LOGITS, weights), rtol=1e-4)
    for weighting in PROFILE_WEIGHTS:
        own = profile_weights(LOGITS, weighting)
        np.testing.assert_array_equal(profile_objective(LOGITS, own), profile_objective(LOGITS, weighting))


def test_examples_do_not_mix():
    broken = LOGITS.copy()
    broken[1] = np.nan
    found = profile_objective(broken)
    assert np.isnan(found[1])
    np.testing.assert_array_equal(found[np.array([0, 2])], profile_objective(LOGITS)[np.array([0, 2])])


def test_sums_of_logits():
    logits = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(summed_tasks(logits), [1, 5, 9])
    assert summed_logits(logits) == 15


@pytest.mark.parametrize("function", [profile_weights, profile_objective])
def test_an_unknown_weighting_is_named(function):
    with pytest.raises(ValueError, match=r"weights \(='softmax'\) must be one of \('probabilities'"):
        function(LOGITS, "softmax")
