"""Every attribution by name can be inside a prior: it has contributions and a gradient in the parameters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.attributions import ATTRIBUTIONS
from experiments.config import check_config, default_config
from fprior import fourier_prior
from fprior.data.batches import Batch
from fprior.errors import InputError
from fprior.models import BinaryModel
from fprior.sequence import one_hot
from fprior.training.predict import contributions
from fprior.training.state import init_state
from fprior.training.step import Recipe, attribution_of, gradient_report, train_step

LENGTH, ROWS = 32, 4
TOKENS = np.random.default_rng(0).integers(0, 4, (2 * ROWS, LENGTH)).astype(np.uint8)
TOKENS[0, 9] = 4
BATCH = Batch(one_hot(jnp.asarray(TOKENS)), jnp.repeat(jnp.array([[1], [0]], jnp.int8), ROWS, 0), jnp.arange(2 * ROWS))


def recipe(name: str) -> Recipe:
    return Recipe(
        model=BinaryModel(filters=(4,), widths=(5,), pool_size=7, dense_sizes=(6,)),
        optimizer=optax.sgd(1e-2),
        prior=partial(fourier_prior, freq_limit=5.0),
        prior_rows=ROWS,
        attribution=ATTRIBUTIONS[name],
    )


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_trains(name):
    state = init_state(recipe(name).model, recipe(name).optimizer, 0, LENGTH)
    report = jax.jit(partial(gradient_report, recipe=recipe(name)))(state, BATCH)
    assert 0 < report["gradient_norm/prior"] < np.inf
    next_state, info = jax.jit(partial(train_step, recipe=recipe(name)))(state, BATCH)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((next_state.params, info)))
    variables = {"params": state.params, **state.statistics}
    tracks = contributions(recipe(name).model, variables, TOKENS, 3, attribution=attribution_of(recipe(name)))
    assert tracks.shape == TOKENS.shape and np.abs(tracks).sum() > 0
    assert tracks[0, 9] == 0  # an unknown base


def test_they_differ():
    state = init_state(recipe("deeplift").model, optax.sgd(1.0), 0, LENGTH)
    variables = {"params": state.params, **state.statistics}
    tracks = [
        contributions(recipe(name).model, variables, TOKENS, 8, attribution=attribution_of(recipe(name)))
        for name in ATTRIBUTIONS
    ]
    for i, one in enumerate(tracks):
        assert not any(np.allclose(one, other, rtol=1e-3, atol=1e-6) for other in tracks[:i]), list(ATTRIBUTIONS)[i]


def test_needs_a_function_of_single_sequences():
    config = default_config()
    config.data.dataset, config.prior.attribution, config.prior.attributed = "x", "deeplift", "training"
    with pytest.raises(InputError, match=r"config\.prior\.attribution \(='deeplift'\)"):
        check_config(config)
    with pytest.raises(ValueError, match="single sequences"):
        Recipe(model=None, optimizer=None, attributed="training", attribution=ATTRIBUTIONS["deeplift"])
