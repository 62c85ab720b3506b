"""Predictions and attributions of many sequences, in batches of one shape."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from fprior.losses import count_error, multinomial_nll
from fprior.sequence import UNKNOWN, one_hot
from fprior.training.problem import LABELS, Problem, apply, objective_of
from fprior.training.sharding import DATA, MODELS, from_host, readable


def predict(
    model: Any,
    variables: Any,
    tokens: np.ndarray,
    batch_size: int,
    *,
    controls: np.ndarray | None = None,
    mesh: Mesh | None = None,
) -> Any:
    """The model's outputs in evaluation for tokens `(N, L)`, with controls `(N, …)` if it reads them: NumPy arrays.

    With a `mesh`, here as in all functions below, the variables lie on all its devices, which share every batch.
    """
    return _in_batches(partial(_outputs, model, variables), (tokens, controls), batch_size, mesh)


def contributions(
    model: Any,
    variables: Any,
    tokens: np.ndarray,
    batch_size: int,
    *,
    attribution: Callable,
    problem: Problem = LABELS,
    controls: np.ndarray | None = None,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Contributions `(N, L)` float32 of the bases that are there to the problem's objective of each sequence.

    An unknown base contributes 0 to gradient × input. The absolute value is the track that the attribution priors look
    at. `attribution` is that of `fprior.training.step.Recipe`, hashable; what it draws is the same every time.
    """
    function = partial(_contributions, model, attribution, problem, variables)
    return _in_batches(function, (tokens, controls), batch_size, mesh)


def profile_losses(
    model: Any,
    variables: Any,
    tokens: np.ndarray,
    profiles: np.ndarray,
    batch_size: int,
    *,
    controls: np.ndarray | None = None,
    mesh: Mesh | None = None,
) -> dict[str, np.ndarray]:
    """What `fprior.losses.profile_loss` averages, of each example, task and strand `(N, T, S)`, and more of the kind.

    `profile` is the multinomial negative log-likelihood, `counts` the squared error of log(1 + reads),
    `cross_entropy` Σ −k log p, `reads` Σ k, and `log_counts` the predicted log(1 + reads).
    """
    function = partial(_profile_losses, model, variables)
    return _in_batches(function, (tokens, controls, profiles), batch_size, mesh)


@partial(jax.jit, static_argnums=0)
def _outputs(model: Any, variables: Any, tokens: jax.Array, controls: jax.Array | None) -> Any:
    return apply(model, variables, one_hot(tokens), _floats(controls), train=False)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _contributions(
    model: Any,
    attribution: Callable,
    problem: Problem,
    variables: Any,
    tokens: jax.Array,
    controls: jax.Array | None,
) -> jax.Array:
    x = one_hot(tokens)
    f = objective_of(problem, lambda x: apply(model, variables, x, _floats(controls), train=False), at=x)
    return jnp.sum(attribution(f, x, jax.random.key(0)), axis=-1)


@partial(jax.jit, static_argnums=0)
def _profile_losses(
    model: Any, variables: Any, tokens: jax.Array, controls: jax.Array | None, profiles: jax.Array
) -> dict[str, jax.Array]:
    logits, log_counts = apply(model, variables, one_hot(tokens), _floats(controls), train=False)
    profiles = profiles.astype(jnp.float32)
    return {
        "profile": multinomial_nll(logits, profiles),
        "counts": count_error(log_counts, profiles),
        "cross_entropy": -jnp.sum(profiles * jax.nn.log_softmax(logits, axis=-2), axis=-2),
        "reads": jnp.sum(profiles, axis=-2),
        "log_counts": log_counts,
    }


def _floats(counts: jax.Array | None) -> jax.Array | None:
    return None if counts is None else counts.astype(jnp.float32)


Arrays = tuple[np.ndarray, *tuple[np.ndarray | None, ...]]  # the first are tokens


def _in_batches(function: Callable, arrays: Arrays, batch_size: int, mesh: Mesh | None) -> Any:
    """Applies a compiled function to batches that all have one shape, so that it compiles once.

    One of the arrays that is None is passed as None.
    """
    parts, rows = [], PartitionSpec((MODELS, DATA))
    if mesh is not None:
        batch_size = math.ceil(batch_size / mesh.size) * mesh.size
    for batch, count in _padded(arrays, batch_size):
        outputs, tree = jax.tree.flatten(readable(function(*from_host(batch, mesh, rows)), mesh))
        parts.append([np.asarray(output)[:count] for output in outputs])
    return jax.tree.unflatten(tree, [np.concatenate(outputs) for outputs in zip(*parts, strict=True)])


def _padded(arrays: Arrays, batch_size: int) -> Iterator[tuple[list[np.ndarray | None], int]]:
    """At least one batch, and how many rows of it are not padding."""
    total = len(arrays[0])
    fillers = [UNKNOWN] + [0] * (len(arrays) - 1)
    for first in range(0, max(total, 1), batch_size):
        rows = [None if array is None else np.asarray(array[first : first + batch_size]) for array in arrays]
        padded = [None if row is None else _pad(row, batch_size, f) for row, f in zip(rows, fillers, strict=True)]
        yield padded, min(batch_size, total - first)


def _pad(rows: np.ndarray, size: int, filler: int) -> np.ndarray:
    missing = [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1)
    return np.pad(rows, missing, constant_values=filler)
