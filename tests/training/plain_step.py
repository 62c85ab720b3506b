"""A model, a state and a batch of eight, and the mathematics of a training step written out plainly."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fprior import fourier_prior
from fprior.data.batches import Batch
from fprior.models import BinaryModel
from fprior.sequence import one_hot
from fprior.training.state import State, init_state
from fprior.training.step import Recipe

LENGTH, ROWS = 32, 4  # ROWS positives, then as many negatives
MODEL = BinaryModel(num_tasks=2, filters=(4,), widths=(5,), pool_size=7, dense_sizes=(6,))
PRIOR = partial(fourier_prior, freq_limit=5.0)
SGD = optax.sgd(1.0)  # the parameters move by the gradient


def make_batch(seed: int = 0) -> Batch:
    tokens = np.random.default_rng(seed).integers(0, 5, (2 * ROWS, LENGTH))
    labels = np.repeat([[1, 0], [0, 0]], ROWS, axis=0)
    labels[1] = 1, -1
    return Batch(one_hot(tokens), jnp.asarray(labels, jnp.int8), jnp.arange(2 * ROWS))


@functools.cache
def make_state(model=MODEL, optimizer=SGD, seed: int = 3) -> State:
    """A state whose running statistics are those of no batch."""
    state = init_state(model, optimizer, seed, LENGTH)
    return state.replace(statistics=jax.tree.map(lambda leaf: leaf * 1.3 + 0.1, state.statistics))


BATCH, STATE = make_batch(), make_state()


def recipe(**changes) -> Recipe:
    return Recipe(**{"model": MODEL, "optimizer": SGD, "prior": PRIOR, "prior_rows": ROWS} | changes)


def close(a, b, **tolerance) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(partial(np.testing.assert_allclose, **{"rtol": 2e-5, "atol": 2e-6} | tolerance), a, b)


def same(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


def plain_correctness(params, state: State = STATE, batch: Batch = BATCH):
    """Mean cross entropy of the positives and of the negatives, averaged, and the new statistics."""
    logits, statistics = MODEL.apply({"params": params, **state.statistics}, batch.x, train=True, mutable="batch_stats")
    probability = jax.nn.sigmoid(logits)
    positive, negative = batch.labels == 1, batch.labels == 0
    loss = -jnp.sum(jnp.where(positive, jnp.log(probability), 0)) / positive.sum()
    return (loss - jnp.sum(jnp.where(negative, jnp.log(1 - probability), 0)) / negative.sum()) / 2, statistics


def track(x, gradient):
    """|(gradient − its mean over the bases) × input|, summed over bases."""
    return jnp.abs(x * (gradient - gradient.sum(-1, keepdims=True) / 4)).sum(-1)


def plain_prior(params, mode: str, batch: Batch = BATCH, rows: int = ROWS):
    """The prior's mean over the first rows, each example's gradient taken by itself."""
    variables = {"params": params, **STATE.statistics}
    if mode == "training":
        training = partial(MODEL.apply, variables, train=True, mutable="batch_stats")
        tracks = track(batch.x, jax.grad(lambda x: training(x)[0].sum())(batch.x))[:rows]
    else:
        if mode == "batch":
            _, updated = MODEL.apply(variables, batch.x, train=True, mutable=["batch_stats", "batch_moments"])
            variables = {"params": params, "batch_stats": updated["batch_moments"]}
        gradient = jax.grad(lambda x: MODEL.apply(variables, x[None]).sum())
        tracks = [track(x, gradient(x)) for x in batch.x[:rows]]
    return jnp.mean(jnp.stack([PRIOR(one) for one in tracks]))


@functools.cache
def plain_gradients(mode: str):
    task = jax.jit(jax.grad(lambda params: plain_correctness(params)[0]))
    return task(STATE.params), jax.jit(jax.grad(plain_prior), static_argnums=1)(STATE.params, mode)
