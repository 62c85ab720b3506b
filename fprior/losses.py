"""Correctness losses: how well the outputs fit the labels, or the observed profiles."""

import jax
import jax.numpy as jnp
import optax
from jax.scipy.special import gammaln
from jaxtyping import Bool, Float, Real

from fprior.typing import AnyArray


def binary_cross_entropy(
    logits: Float[AnyArray, "B T"], labels: Real[AnyArray, "B T"], *, class_averaged: bool = True
) -> Float[jax.Array, ""]:
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


def masked_mean(values: Float[AnyArray, "*shape"], mask: Bool[AnyArray, "*shape"]) -> Float[jax.Array, ""]:
    """Mean, a scalar, of the values where a mask of their shape is true; 0, with zero gradient, where none is."""
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.maximum(jnp.sum(mask), 1).astype(values.dtype)


def multinomial_nll(
    profile_logits: Float[AnyArray, "*batch O S"], profiles: Real[AnyArray, "*batch O S"]
) -> Float[jax.Array, "*batch S"]:
    """Negative logarithm of the multinomial probability of observed profiles, given how many reads each has.

        −log N! + Σ_i log k_i! − Σ_i k_i log p_i,   N = Σ_i k_i,   p = softmax(logits) over the positions i

    Args:
      profile_logits: `(…, O, S)`; every strand is a distribution of its own.
      profiles: counts `(…, O, S)`.

    Returns:
      `(…, S)`, at least float32; 0 for a profile without reads.

    Raises:
      ValueError: the two differ in shape.
    """
    if profile_logits.shape != profiles.shape:
        raise ValueError(f"profile_logits (shape {profile_logits.shape}) and profiles (shape {profiles.shape}) differ")
    profile_logits = profile_logits.astype(jnp.promote_types(profile_logits.dtype, jnp.float32))
    profiles = profiles.astype(profile_logits.dtype)
    arrangements = _log_factorial(jnp.sum(profiles, axis=-2)) - jnp.sum(_log_factorial(profiles), axis=-2)
    return -arrangements - jnp.sum(profiles * jax.nn.log_softmax(profile_logits, axis=-2), axis=-2)


def _log_factorial(counts: AnyArray) -> jax.Array:
    """log k!; 0 for 0 exactly, where `gammaln` is 5e-7 in float32, which the many positions without reads add up."""
    return jnp.where(counts > 0, gammaln(counts + 1), 0)


def count_error(
    log_counts: Float[AnyArray, "*batch S"], profiles: Real[AnyArray, "*batch O S"]
) -> Float[jax.Array, "*batch S"]:
    """Squared error `(…, S)` of the predicted log(1 + number of reads) `(…, S)` for observed profiles `(…, O, S)`."""
    return jnp.square(log_counts - jnp.log1p(jnp.sum(profiles, axis=-2).astype(log_counts.dtype)))


def profile_loss(
    profile_logits: Float[AnyArray, "B T O S"],
    log_counts: Float[AnyArray, "B T S"],
    profiles: Real[AnyArray, "B T O S"],
    *,
    count_weight: float = 20.0,
) -> dict[str, Float[jax.Array, ""]]:
    """Loss of predicted profiles and read counts, averaged over examples, tasks and strands.

        multinomial negative log-likelihood + count_weight · (log_counts − log(1 + N))²

    Args:
      profile_logits: `(B, T, O, S)`.
      log_counts: `(B, T, S)`, of 1 + the number of reads.
      profiles: observed counts `(B, T, O, S)`.
      count_weight: see above.

    Returns:
      Scalars by name: `profile` and `counts`, the two means, and `correctness`, their weighted sum.

    Raises:
      ValueError: shapes do not fit.

    Source: Tseng et al. 2020, supplementary methods 2.2.
    """
    profile = jnp.mean(multinomial_nll(profile_logits, profiles))
    counts = jnp.mean(count_error(log_counts, profiles))
    return {"correctness": profile + count_weight * counts, "profile": profile, "counts": counts}
