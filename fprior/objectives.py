"""From a model's outputs to the scalar whose attribution is asked for."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fprior.typing import AnyArray


def summed_logits(logits: Float[AnyArray, "B T"]) -> Float[jax.Array, ""]:
    """The sum of all logits `(B, T)` over tasks and examples, a scalar.

    Examples do not mix in a model without batch statistics, so the gradient of this sum is every example's own.
    """
    return jnp.sum(logits)


def summed_tasks(logits: Float[AnyArray, "B T"]) -> Float[jax.Array, " B"]:
    """The sum of all logits `(B, T)` over tasks, one scalar an example `(B,)`."""
    return jnp.sum(logits, axis=-1)


PROFILE_WEIGHTS = ("probabilities", "log_probabilities")


def profile_weights(
    profile_logits: Float[AnyArray, "*batch O S"], weights: str = "probabilities"
) -> Float[jax.Array, "*batch O S"]:
    """What `profile_objective` weighs the logits `(…, O, S)` by: their softmax, or its logarithm, without a gradient.

    Raises:
      ValueError: `weights` is none of PROFILE_WEIGHTS.
    """
    if weights not in PROFILE_WEIGHTS:
        raise ValueError(f"weights (={weights!r}) must be one of {PROFILE_WEIGHTS}")
    function = jax.nn.softmax if weights == "probabilities" else jax.nn.log_softmax
    return jax.lax.stop_gradient(function(profile_logits, axis=-2))


def profile_objective(
    profile_logits: Float[AnyArray, "B T O S"], weights: str | Float[AnyArray, "B T O S"] = "probabilities"
) -> Float[jax.Array, " B"]:
    """How peaked the predicted profiles are where they are high, one scalar an example.

        Σ over positions, tasks, strands of  weight · (logit − mean of the logits over positions)

    Args:
      profile_logits: `(B, T, O, S)`.
      weights: `"probabilities"` weighs by the softmax over positions, `"log_probabilities"` by its logarithm, as the
        authors' code does; no gradient passes through either. Or the weights themselves, of the logits' shape:
        those of the input keep them fixed where the function is also evaluated elsewhere (DeepLIFT, paths).

    Returns:
      `(B,)`.

    Source: Tseng et al. 2020, supplementary methods 1; the weighting of BPNet's profile contributions.
    """
    if isinstance(weights, str):
        weights = profile_weights(profile_logits, weights)
    centred = profile_logits - jnp.mean(profile_logits, axis=-2, keepdims=True)
    return jnp.sum(weights * centred, axis=(1, 2, 3))
