"""What a model learns: the loss of its outputs, and the number of each example that is attributed.

A problem and the model's outputs belong together; all else in training is the same for both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from fprior.data.batches import Batch
from fprior.losses import binary_cross_entropy, profile_loss
from fprior.objectives import profile_objective, profile_weights, summed_tasks

Losses = dict[str, jax.Array]


@dataclass(frozen=True)
class Labels:
    """Bound or not, task by task: the model's outputs are logits `(B, T)`.

    Attributes:
      class_averaged: see `fprior.losses.binary_cross_entropy`.
    """

    class_averaged: bool = True

    def losses(self, logits: jax.Array, batch: Batch) -> Losses:
        return {"correctness": binary_cross_entropy(logits, batch.labels, class_averaged=self.class_averaged)}

    def objective(self, logits: jax.Array, weights: jax.Array | None = None) -> jax.Array:
        return summed_tasks(logits)

    def weights(self, logits: jax.Array) -> None:
        return None


@dataclass(frozen=True)
class Profiles:
    """Where reads end, and how many: the model's outputs have `profile_logits` and `log_counts`.

    Attributes:
      count_weight: see `fprior.losses.profile_loss`.
      weighting: see `fprior.objectives.profile_objective`.
    """

    count_weight: float = 20.0
    weighting: str = "probabilities"

    def losses(self, outputs: Any, batch: Batch) -> Losses:
        assert batch.profiles is not None, "the batches of data sets with tracks have profiles"
        logits, log_counts = outputs
        return profile_loss(logits, log_counts, batch.profiles, count_weight=self.count_weight)

    def objective(self, outputs: Any, weights: jax.Array | None = None) -> jax.Array:
        logits, _ = outputs
        return profile_objective(logits, self.weighting if weights is None else weights)

    def weights(self, outputs: Any) -> jax.Array:
        logits, _ = outputs
        return profile_weights(logits, self.weighting)


Problem = Labels | Profiles
LABELS = Labels()


def apply(model: Any, variables: Any, x: jax.Array, controls: jax.Array | None, **how: Any) -> Any:
    """`model.apply`, with the controls where there are any."""
    return model.apply(variables, x, *([] if controls is None else [controls]), **how)


def objective_of(
    problem: Problem, outputs_of: Callable[[jax.Array], Any], at: jax.Array | None = None
) -> Callable[[jax.Array], jax.Array]:
    """The function of sequences `(n, L, 4)` to one scalar each `(n,)` that is attributed.

    `at` are the sequences whose outputs weigh those of all others: DeepLIFT and paths compare an input with something
    else, and the weights are to be the input's throughout. Gradients at the input itself need none.
    """
    weights = None if at is None else problem.weights(outputs_of(at))
    return lambda x: problem.objective(outputs_of(x), weights)
