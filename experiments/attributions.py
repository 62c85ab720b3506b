"""The attributions that a prior can be put on, by name: each is a `Recipe.attribution`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fprior.attribution.deeplift import deeplift
from fprior.attribution.guided import guided_backprop
from fprior.attribution.path import expected_gradients, integrated_gradients, smooth_grad

BACKGROUND = 0.25  # the reference inside a prior: every base alike, which costs no shuffles in the compiled step
PATH_STEPS = 8  # of integrated gradients: as many gradients a training step
SAMPLES = 4  # of expected gradients and smooth grad
NOISE = 0.1  # of smooth grad, in units of the one-hot input

Function = Callable[[jax.Array], jax.Array]


def _of_the_bases_that_are_there(contributions: jax.Array, x: jax.Array) -> jax.Array:
    """What all bases of a position contribute is written to the one that is there; unknown ones get 0."""
    return jnp.sum(contributions, axis=-1, keepdims=True) * x


def _background(x: jax.Array) -> jax.Array:
    return jnp.full_like(x, BACKGROUND) * jnp.sum(x, axis=-1, keepdims=True)  # unknown bases stay unknown


def _integrated_gradients(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    return _of_the_bases_that_are_there(integrated_gradients(f, x, _background(x), steps=PATH_STEPS), x)


def _expected_gradients(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    draw, points = jax.random.split(key)
    sequences = jax.random.randint(draw, (SAMPLES, x.shape[1]), 0, 4)
    references = jax.nn.one_hot(sequences, 4, dtype=x.dtype)
    return _of_the_bases_that_are_there(expected_gradients(f, x, references, key=points, samples=SAMPLES), x)


def _smooth_grad(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    return smooth_grad(f, x, key=key, samples=SAMPLES, noise=NOISE)


def _guided_backprop(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    return guided_backprop(f, x)


def _deeplift(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    return _of_the_bases_that_are_there(deeplift(f, x, _background(x)), x)


def _reveal_cancel(f: Function, x: jax.Array, key: jax.Array) -> jax.Array:
    return _of_the_bases_that_are_there(deeplift(f, x, _background(x), rule="reveal_cancel"), x)


ATTRIBUTIONS = {
    "input_gradient": None,  # the recipe's own, `centred` or not
    "integrated_gradients": _integrated_gradients,
    "expected_gradients": _expected_gradients,
    "smooth_grad": _smooth_grad,
    "guided_backprop": _guided_backprop,
    "deeplift": _deeplift,
    "reveal_cancel": _reveal_cancel,
}
