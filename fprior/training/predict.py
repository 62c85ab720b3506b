"""Predictions and attributions of many sequences, in batches of one shape."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fprior.attribution import input_gradient
from fprior.objectives import summed_logits
from fprior.sequence import UNKNOWN, one_hot


def predict(model: nn.Module, variables: Any, tokens: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits `(N, T)` float32 of tokens `(N, L)`, from the model in evaluation."""
    return _in_batches(partial(_logits, model, variables), tokens, batch_size)


def contributions(
    model: nn.Module, variables: Any, tokens: np.ndarray, batch_size: int, *, centred: bool
) -> np.ndarray:
    """Gradient × input of the summed logits, `(N, L)` float32: the contribution of each base that is there.

    An unknown base contributes 0. Its absolute value is the track that the attribution priors look at. `centred` is
    that of `input_gradient`.
    """
    return _in_batches(partial(_contributions, model, centred, variables), tokens, batch_size)


@partial(jax.jit, static_argnums=0)
def _logits(model: nn.Module, variables: Any, tokens: jax.Array) -> jax.Array:
    return model.apply(variables, one_hot(tokens), train=False)


@partial(jax.jit, static_argnums=(0, 1))
def _contributions(model: nn.Module, centred: bool, variables: Any, tokens: jax.Array) -> jax.Array:
    def objective(x: jax.Array) -> jax.Array:
        return summed_logits(model.apply(variables, x, train=False))

    return jnp.sum(input_gradient(objective, one_hot(tokens), centred=centred), axis=-1)


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
