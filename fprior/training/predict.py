"""Predictions and attributions of many sequences, in batches of one shape."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fprior.objectives import summed_tasks
from fprior.sequence import UNKNOWN, one_hot


def predict(model: nn.Module, variables: Any, tokens: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits `(N, T)` float32 of tokens `(N, L)`, from the model in evaluation."""
    return _in_batches(partial(_logits, model, variables), tokens, batch_size)


def contributions(
    model: nn.Module, variables: Any, tokens: np.ndarray, batch_size: int, *, attribution: Callable
) -> np.ndarray:
    """Contributions `(N, L)` float32 of the bases that are there to the summed logits of each sequence.

    An unknown base contributes 0 to gradient × input. The absolute value is the track that the attribution priors look
    at. `attribution` is that of `fprior.training.step.Recipe`, hashable; what it draws is the same every time.
    """
    return _in_batches(partial(_contributions, model, attribution, variables), tokens, batch_size)


@partial(jax.jit, static_argnums=0)
def _logits(model: nn.Module, variables: Any, tokens: jax.Array) -> jax.Array:
    return model.apply(variables, one_hot(tokens), train=False)


@partial(jax.jit, static_argnums=(0, 1))
def _contributions(model: nn.Module, attribution: Callable, variables: Any, tokens: jax.Array) -> jax.Array:
    def f(x: jax.Array) -> jax.Array:
        return summed_tasks(model.apply(variables, x, train=False))

    return jnp.sum(attribution(f, one_hot(tokens), jax.random.key(0)), axis=-1)


def _in_batches(function: Any, tokens: np.ndarray, batch_size: int) -> np.ndarray:
    """Applies a compiled function to batches that all have one shape, so that it compiles once."""
    if not len(tokens):
        return np.asarray(function(np.full((batch_size, tokens.shape[1]), UNKNOWN, np.uint8)))[:0]
    return np.concatenate([np.asarray(function(batch))[:count] for batch, count in _padded(tokens, batch_size)])


def _padded(tokens: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, int]]:
    for first in range(0, len(tokens), batch_size):
        batch = np.asarray(tokens[first : first + batch_size])
        missing = batch_size - len(batch)
        yield np.pad(batch, ((0, missing), (0, 0)), constant_values=UNKNOWN), len(batch)
