"""Correctness losses: how well the outputs fit the labels. Each maps logits and labels to one scalar."""

import jax
import jax.numpy as jnp
import optax


def binary_cross_entropy(logits: jax.Array, labels: jax.Array, *, class_averaged: bool = True) -> jax.Array:
    """Binary cross entropy over all examples and tasks whose label is 0 or 1.

        class_averaged:      mean over the classes present of (mean over that class's entries)
        not class_averaged:  mean over entries

    Averaging the classes apart makes the loss independent of how many negatives a batch holds.

    Args:
      logits: `(B, T)`.
      labels: `(B, T)`; 1 positive, 0 negative, any other value (−1 by convention: ambiguous) is left out.
      class_averaged: see above.

    Returns:
      A scalar of logits' dtype, at least float32; 0 when no label is 0 or 1, a class without entries is left
      out of the average.

    Raises:
      ValueError: logits and labels differ in shape.

    Source: Tseng et al. 2020, supplementary methods 2.2, and the authors' code for the class average.
    """
    if logits.shape != labels.shape:
        raise ValueError(f"logits (shape {logits.shape}) and labels (shape {labels.shape}) must have one shape")
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    entropy = optax.sigmoid_binary_cross_entropy(logits, (labels == 1).astype(logits.dtype))
    positive, negative = labels == 1, labels == 0
    if not class_averaged:
        return masked_mean(entropy, positive | negative)
    present = jnp.any(positive).astype(logits.dtype) + jnp.any(negative).astype(logits.dtype)
    total = masked_mean(entropy, positive) + masked_mean(entropy, negative)
    return total / jnp.maximum(present, 1)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of the values where mask is true; 0, with zero gradient, where none is."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1).astype(values.dtype)
