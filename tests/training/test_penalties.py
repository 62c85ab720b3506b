"""What is added to the loss of a training step: regularisers of the parameters, and the prior's weight by epoch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from plain_step import BATCH, ROWS, STATE, close, make_state, recipe, same

from experiments.build import prior_weight_of
from fprior.models import ProfileModel
from fprior.training.problem import Profiles
from fprior.training.step import train_step


def in_double(params) -> np.ndarray:
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(params)])


@pytest.mark.parametrize("weights", [{"l1": 0.3}, {"l2": 0.2}, {"l1": 0.3, "l2": 0.2}], ids="+".join)
def test_regularisers_add_their_gradient_and_are_logged(weights):
    """l1 · sign θ and 2 · l2 · θ, over all parameters, on top of what is learned without them."""
    step = jax.jit(train_step, static_argnames="recipe")
    (without, plain), (after, info) = (step(STATE, BATCH, recipe=recipe(**w)) for w in ({}, weights))
    l1, l2 = weights.get("l1", 0), weights.get("l2", 0)
    expected = jax.tree.map(lambda new, old: new - l1 * jnp.sign(old) - 2 * l2 * old, without.params, STATE.params)
    close(after.params, expected, rtol=1e-4, atol=1e-5)
    theta = in_double(STATE.params)
    sums = {"l1": np.abs(theta).sum(), "l2": np.square(theta).sum()}
    assert set(info) == set(plain) | {f"loss/{name}" for name in weights}
    for name in weights:
        np.testing.assert_allclose(info[f"loss/{name}"], sums[name], rtol=1e-6)
    total = plain["loss/total"] + sum(weight * sums[name] for name, weight in weights.items())
    np.testing.assert_allclose(info["loss/total"], total, rtol=1e-6)
    close(after.statistics, without.statistics)


def test_a_regulariser_without_weight_leaves_no_trace():
    zeros = recipe(l1=0.0, l2=0.0)
    programs = [jax.jit(partial(train_step, recipe=here)).lower(STATE, BATCH) for here in (recipe(), zeros)]
    assert programs[0].as_text() == programs[1].as_text()
    assert set(programs[0].out_info[1]) == {"loss/correctness", "loss/prior", "loss/total", "prior_weight"}


def test_regularisers_at_zero_have_no_gradient():
    state = STATE.replace(params=jax.tree.map(jnp.zeros_like, STATE.params))
    step = jax.jit(train_step, static_argnames="recipe")
    with_, without = (step(state, BATCH, recipe=recipe(prior=None, l1=w, l2=w)) for w in (1.0, 0.0))
    assert same(with_[0].params, without[0].params)
    assert with_[1]["loss/l1"] == with_[1]["loss/l2"] == 0 and np.isfinite(with_[1]["loss/total"])


def test_regularisers_of_a_profile_model():
    model = ProfileModel(output_length=8, filters=3, first_width=5, dilations=(1, 2), profile_width=5)
    state = make_state(model)
    counts = jnp.asarray(np.random.default_rng(0).poisson(2, (2 * ROWS, 1, 8, 2)), jnp.float32)
    batch = BATCH._replace(labels=BATCH.labels[:, :1], profiles=counts)
    here = recipe(model=model, problem=Profiles(), l1=0.1, l2=0.2)
    _, info = jax.jit(partial(train_step, recipe=here))(state, batch)
    assert {"loss/profile", "loss/counts", "loss/prior", "loss/l1", "loss/l2"} < set(info)
    theta = in_double(state.params)
    total = info["loss/correctness"] + info["loss/prior"] + 0.1 * np.abs(theta).sum() + 0.2 * np.square(theta).sum()
    np.testing.assert_allclose(info["loss/total"], total, rtol=1e-6)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["l1", "l2"])
def test_a_regulariser_needs_a_weight_that_is_a_number_from_0_on(name, weight):
    with pytest.raises(ValueError, match=rf"{name} \(={weight}\).*must be 0 or positive"):
        recipe(**{name: weight})


@pytest.mark.parametrize(
    ("anneal", "speed", "expected"),
    [
        ("none", 1.0, [4, 4, 4, 4]),
        ("inflate", 1.0, [4 * (2 / (1 + np.exp(-e)) - 1) for e in range(4)]),
        ("deflate", 0.3, [4 * np.exp(-0.3 * e) for e in range(4)]),
    ],
)
def test_prior_weight_by_epoch(anneal, speed, expected):
    weight = prior_weight_of(ConfigDict({"prior": {"anneal": anneal, "anneal_speed": speed}}), 10, 4.0)
    values = [float(weight(jnp.int32(step))) for step in range(40)]
    np.testing.assert_allclose(values, np.repeat(expected, 10), rtol=1e-6)
    here = recipe(prior_weight=weight)
    _, info = train_step(STATE.replace(step=jnp.int32(25)), BATCH, recipe=here)
    np.testing.assert_allclose(info["prior_weight"], expected[2], rtol=1e-6)
