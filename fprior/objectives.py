"""From a model's outputs to the scalar whose attribution is asked for."""

import jax
import jax.numpy as jnp


def summed_logits(logits: jax.Array) -> jax.Array:
    """The sum of all logits `(B, T)` over tasks and examples, a scalar.

    Examples do not mix in a model without batch statistics, so the gradient of this sum is every example's own.
    """
    return jnp.sum(logits)


def summed_tasks(logits: jax.Array) -> jax.Array:
    """The sum of all logits `(B, T)` over tasks, one scalar an example `(B,)`."""
    return jnp.sum(logits, axis=-1)
