"""Batches of one shape must give what one call does, whatever the number of sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.attribution.gradients import GradientTimesInput
from fprior.losses import count_error, multinomial_nll, profile_loss
from fprior.models import BinaryModel, ProfileModel, ProfileOutputs
from fprior.objectives import profile_objective
from fprior.sequence import one_hot
from fprior.training.predict import contributions, predict, profile_losses
from fprior.training.problem import Profiles

N, LENGTH = 7, 20
PROFILE = ProfileModel(
    num_tasks=2, controls="matched", output_length=8, filters=3, first_width=5, dilations=(1, 2), profile_width=3
)
BINARY = BinaryModel(num_tasks=2, filters=(3,), widths=(5,), pool_size=4, dense_sizes=())
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 5, (N, LENGTH)).astype(np.uint8)
CONTROLS = RNG.poisson(2, (N, 2, 8, 2)).astype(np.uint16)
PROFILES = RNG.poisson(3, (N, 2, 8, 2)).astype(np.uint16)
PROFILES[2, 1] = 0
sizes = pytest.mark.parametrize("batch_size", [N, 3, 16])


@functools.cache
def variables_of(model):
    inputs = (TOKENS, CONTROLS) if isinstance(model, ProfileModel) else (TOKENS,)
    x, *rest = inputs
    return jax.jit(model.init)(jax.random.key(0), one_hot(x), *(jnp.asarray(a, jnp.float32) for a in rest))


@functools.cache
def whole() -> ProfileOutputs:
    return jax.jit(PROFILE.apply)(variables_of(PROFILE), one_hot(TOKENS), CONTROLS.astype(np.float32))


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@sizes
def test_predictions_are_those_of_one_call(batch_size):
    found = predict(PROFILE, variables_of(PROFILE), TOKENS, batch_size, controls=CONTROLS)
    assert isinstance(found, ProfileOutputs) and all(type(array) is np.ndarray for array in found)
    for ours, expected in zip(found, whole(), strict=True):
        close(ours, expected)
    logits = predict(BINARY, variables_of(BINARY), TOKENS, batch_size)
    assert type(logits) is np.ndarray
    close(logits, jax.jit(BINARY.apply)(variables_of(BINARY), one_hot(TOKENS)))


@sizes
def test_contributions_are_those_of_one_call(batch_size):
    how = {"attribution": GradientTimesInput(), "problem": Profiles(), "controls": CONTROLS}
    found = contributions(PROFILE, variables_of(PROFILE), TOKENS, batch_size, **how)
    assert found.shape == (N, LENGTH) and found.dtype == np.float32
    x, controls = one_hot(TOKENS), CONTROLS.astype(np.float32)
    objective = lambda x: jnp.sum(profile_objective(PROFILE.apply(variables_of(PROFILE), x, controls)[0]))  # noqa: E731
    gradient = jax.jit(jax.grad(objective))(x)
    expected = (x * (gradient - gradient.mean(-1, keepdims=True))).sum(-1)
    close(found, expected)
    assert np.max(np.abs(expected)) > 1e-3
    np.testing.assert_array_equal(found[TOKENS == 4], 0)


@sizes
def test_profile_losses_are_those_of_the_examples(batch_size):
    found = profile_losses(PROFILE, variables_of(PROFILE), TOKENS, PROFILES, batch_size, controls=CONTROLS)
    logits, log_counts = whole()
    reads = PROFILES.astype(np.float32)
    log_probabilities = np.asarray(jax.nn.log_softmax(logits, axis=2), np.float64)
    expected = {
        "profile": multinomial_nll(logits, reads),
        "counts": count_error(log_counts, reads),
        "cross_entropy": -(PROFILES * log_probabilities).sum(2),
        "reads": PROFILES.sum(2),
        "log_counts": log_counts,
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == (N, 2, 2)
        close(found[name], value, 1e-4)
    assert all(found[name][2, 1].tolist() == [0, 0] for name in ("profile", "cross_entropy", "reads"))
    total = found["profile"].mean() + 20 * found["counts"].mean()
    close(total, profile_loss(logits, log_counts, reads)["correctness"], 1e-4)


def test_no_sequences():
    nothing = slice(0, 0)
    logits, log_counts = predict(PROFILE, variables_of(PROFILE), TOKENS[nothing], 3, controls=CONTROLS[nothing])
    assert logits.shape == (0, 2, 8, 2) and log_counts.shape == (0, 2, 2)
    assert predict(BINARY, variables_of(BINARY), TOKENS[nothing], 3).shape == (0, 2)
    inputs = TOKENS[nothing], PROFILES[nothing], 3
    found = profile_losses(PROFILE, variables_of(PROFILE), *inputs, controls=CONTROLS[nothing])
    assert {value.shape for value in found.values()} == {(0, 2, 2)}
    how = {"attribution": GradientTimesInput(), "problem": Profiles(), "controls": CONTROLS[nothing]}
    assert contributions(PROFILE, variables_of(PROFILE), TOKENS[nothing], 3, **how).shape == (0, LENGTH)


def test_controls_go_with_their_sequences():
    order = np.random.default_rng(1).permutation(N)
    shuffled = predict(PROFILE, variables_of(PROFILE), TOKENS[order], 3, controls=CONTROLS[order])
    wrong = predict(PROFILE, variables_of(PROFILE), TOKENS[order], 3, controls=CONTROLS)
    close(shuffled.profile_logits, whole().profile_logits[order])
    assert np.max(np.abs(wrong.profile_logits - shuffled.profile_logits)) > 1e-2


def test_a_model_that_reads_controls_needs_them():
    with pytest.raises(ValueError, match=r"controls \(shape None\) must be"):
        predict(PROFILE, variables_of(PROFILE), TOKENS, 3)
