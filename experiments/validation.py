"""What is measured of a model on the validation split at the end of every epoch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments.build import model_of
from fprior.data.dataset import Dataset
from fprior.data.splits import VALID
from fprior.losses import binary_cross_entropy
from fprior.metrics.performance import binary_performance
from fprior.training.predict import contributions, predict, profile_losses
from fprior.training.problem import Labels, Profiles
from fprior.training.state import State
from fprior.training.step import Recipe, attribution_of, loss_weights, parameter_losses, total_loss

# What stands for a model's performance, by its outputs: key in the log, and name.
SCORE = {"labels": ("auroc", "auROC"), "profiles": ("nats_per_read", "nats per read")}


class Validation:
    """Measures states of one run's model: the losses, weighted like those of training, and its score.

    The devices of the recipe's mesh share the sequences; a state must lie on all of them.
    """

    def __init__(self, config: ConfigDict, dataset: Dataset, recipe: Recipe, most: int | None = None) -> None:
        """`most` is how many positives and negatives are measured at most, spread over the split; None is all."""
        self._config, self._dataset, self._recipe = config, dataset, recipe
        self._model = model_of(config, dataset)
        self._positives, self._negatives = (
            _spread(dataset.select(VALID, positive=positive), most) for positive in (True, False)
        )

    def __call__(self, state: State) -> dict[str, float]:
        """`loss/correctness` and its parts, `loss/total`, what else the total is made of, and the score."""
        variables = {"params": state.params, **state.statistics}
        measure = self._labels if self._config.model.outputs == "labels" else self._profiles
        values = measure(variables)
        losses = {"correctness": values["loss/correctness"]}
        if self._recipe.prior is not None:
            losses["prior"] = self._prior(variables)
        losses |= jax.tree.map(float, parameter_losses(state.params, self._recipe))
        weights = jax.tree.map(float, loss_weights(self._recipe, state.step))
        totals = {"loss/correctness": losses["correctness"], "loss/total": total_loss(losses, weights)}
        return totals | values | {f"loss/{name}": loss for name, loss in losses.items()}

    def _labels(self, variables: Any) -> dict[str, float]:
        loci = np.concatenate([self._positives, self._negatives])
        labels, problem = self._dataset.loci["labels"][loci], self._recipe.problem
        assert isinstance(problem, Labels), "the one of models of labels"
        logits = predict(self._model, variables, *self._inputs(loci), mesh=self._recipe.mesh)
        loss = binary_cross_entropy(logits, labels, class_averaged=problem.class_averaged)
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
        auroc = binary_performance(labels, probabilities)["auroc"]
        return {"loss/correctness": float(loss), "auroc": float(np.nanmean(auroc))}

    def _profiles(self, variables: Any) -> dict[str, float]:
        """Positives and negatives weigh the same, as they do in a batch; the score is that of positives."""
        problem, parts = self._recipe.problem, []
        assert isinstance(problem, Profiles), "the one of models of profiles"
        for loci in (self._positives, self._negatives):
            profiles, controls = self._counts(loci)
            tokens, batch_size = self._inputs(loci)
            mesh = self._recipe.mesh
            parts.append(
                profile_losses(self._model, variables, tokens, profiles, batch_size, controls=controls, mesh=mesh)
            )
        profile, counts = (
            np.mean([part[name].mean(dtype=np.float64) for part in parts]) for name in ("profile", "counts")
        )
        peaks = parts[0]
        reads = peaks["reads"].sum(dtype=np.float64)
        return {
            "loss/correctness": float(profile + problem.count_weight * counts),
            "loss/profile": float(profile),
            "loss/counts": float(counts),
            "nats_per_read": float(peaks["cross_entropy"].sum(dtype=np.float64) / reads) if reads else float("nan"),
        }

    def _prior(self, variables: Any) -> float:
        assert self._recipe.prior is not None, "asked of runs with a prior"
        tracks = contributions(
            self._model,
            variables,
            *self._inputs(self._positives),
            attribution=attribution_of(self._recipe),
            problem=self._recipe.problem,
            controls=self._counts(self._positives)[1] if self._config.model.outputs == "profiles" else None,
            mesh=self._recipe.mesh,
        )
        return float(jnp.mean(self._recipe.prior(np.abs(tracks))))

    def _inputs(self, loci: np.ndarray) -> tuple[np.ndarray, int]:
        return self._dataset.centred(loci, self._config.data.input_length), self._config.evaluate.batch_size

    def _counts(self, loci: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Profiles, and controls if there are any."""
        profiles, controls = self._dataset.counts(loci, self._config.data.output_length)
        return profiles, controls if controls.size else None


def _spread(loci: np.ndarray, most: int | None) -> np.ndarray:
    if most is None or len(loci) <= most:
        return loci
    return loci[np.linspace(0, len(loci) - 1, most).round().astype(np.int64)]
