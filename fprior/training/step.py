"""One training step: correctness loss + λ · attribution prior + regularisers, as pure functions of state and batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from fprior.attribution.gradients import GradientTimesInput, input_gradient
from fprior.data.batches import Batch
from fprior.errors import InputError
from fprior.priors import track_of
from fprior.training.problem import LABELS, Losses, Problem, apply, objective_of
from fprior.training.sharding import by_rows, split_rows
from fprior.training.state import State
from fprior.typing import AnyArray

ATTRIBUTED = ("batch", "evaluation", "training")
PARAMETER_LOSSES = {  # of each parameter, to be summed over all
    # As |θ|, whose derivative at 0, where many parameters begin, jnp.abs takes to be 1.
    "l1": lambda theta: theta * jax.lax.stop_gradient(jnp.sign(theta)),
    "l2": jnp.square,
}

Attribution = Callable[[Callable[[jax.Array], jax.Array], jax.Array, jax.Array], jax.Array]  # (f, x, key)


@dataclass(frozen=True)
class Recipe:
    """What is trained and how; static under `jax.jit`.

    Attributes:
      model: called as `model.apply(variables, x, train=…)`, with controls after x where the batch has any; gives
        the outputs that the problem is about.
      optimizer: turns gradients into updates.
      prior: attribution track `(…, L)` → loss `(…)`; None trains without a prior.
      prior_weight: λ as a function of the step.
      prior_rows: the prior is put on the first so many sequences of a batch (`batch_at` puts positives first);
        None puts it on all.
      attributed: which model is attributed inside the prior. All three are one where there are neither batch
        statistics nor dropout.
        `"batch"`: the model that normalises by this batch's statistics, held constant while the input varies, so
        that every example's attribution is its own. Needs `fprior.models.layers.BatchNorm`.
        `"evaluation"`: the model as it is evaluated, with its running statistics, which lag behind the parameters.
        `"training"`: the training pass, differentiated through the batch's statistics too, as in the authors'
        code. After a batch-normalised last hidden layer the summed logits of a batch do not depend on its inputs,
        so that this gradient is zero but for rounding: see BUILD_NOTES.md.
      centred: see `input_gradient`.
      attribution: in place of the gradient × input: maps a function f of sequences `(n, L, 4)` to one scalar each
        `(n,)`, the sequences and a key for what it draws, to contributions `(n, L, 4)`; differentiable with respect
        to what f closes over. Not with `attributed="training"`, where there is no function of single sequences.
      problem: what is learned, with the loss and the objective that is attributed.
      l1: weight of Σ|θ| over all parameters θ in the loss; 0 leaves the term out.
      l2: weight of Σθ², likewise.
      mesh: the devices that share the rows of every batch, see `fprior.training.sharding`; their number must divide the
        batch's rows and those of the prior. None leaves all to one device.
    """

    model: Any
    optimizer: optax.GradientTransformation
    prior: Callable[[AnyArray], jax.Array] | None = None
    prior_weight: Callable[[jax.Array], jax.Array] = lambda step: jnp.float32(1)
    prior_rows: int | None = None
    attributed: str = "batch"
    centred: bool = True
    attribution: Attribution | None = None
    problem: Problem = LABELS
    l1: float = 0.0
    l2: float = 0.0
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        if self.attribution is not None and self.attributed == "training":
            raise ValueError(
                "attributed (='training') knows no function of single sequences, which attribution needs;"
                " choose 'batch' or 'evaluation'"
            )
        if self.attributed not in ATTRIBUTED:
            raise ValueError(f"attributed (={self.attributed!r}) must be one of {ATTRIBUTED}")
        if not 0 <= self.l1 < float("inf") or not 0 <= self.l2 < float("inf"):
            raise ValueError(f"l1 (={self.l1}) and l2 (={self.l2}) must be 0 or positive numbers")


def train_step(state: State, batch: Batch, *, recipe: Recipe) -> tuple[State, dict[str, jax.Array]]:
    """Updates the state by one batch.

    Returns:
      The next state, and scalars for the log: `loss/correctness` and the parts of it that the problem names, those of
      `loss/prior`, `loss/l1` and `loss/l2` that the recipe has, unweighted, `loss/total`, and with a prior
      `prior_weight`.
    """

    def total(params: Any) -> tuple[jax.Array, tuple[Losses, Any]]:
        losses, statistics = losses_of(params, state, batch, recipe)
        return total_loss(losses, weights), (losses, statistics)

    weights = loss_weights(recipe, state.step)
    gradients, (losses, statistics) = jax.grad(total, has_aux=True)(state.params)
    updates, optimizer_state = recipe.optimizer.update(gradients, state.optimizer_state, state.params)
    info = {f"loss/{name}": value for name, value in losses.items()}
    info["loss/total"] = total_loss(losses, weights)
    if recipe.prior is not None:
        info["prior_weight"] = weights["prior"]
    next_state = replace(
        state,
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        statistics=statistics,
        optimizer_state=optimizer_state,
    )
    return next_state, info


def loss_weights(recipe: Recipe, step: jax.Array) -> dict[str, Any]:
    """The weight at a step of every loss that the recipe adds to the correctness loss, by name."""
    weights: dict[str, Any] = {}
    if recipe.prior is not None:
        weights["prior"] = recipe.prior_weight(step)
    return weights | {name: getattr(recipe, name) for name in PARAMETER_LOSSES if getattr(recipe, name)}


def total_loss(losses: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """Correctness loss + Σ weight · loss over the weights' names: what is minimised, in training and validation."""
    total = losses["correctness"]
    for name, weight in weights.items():
        total = total + weight * losses[name]
    return total


def train_steps(
    state: State, batch_of: Callable[[State, jax.Array], Batch], count: jax.Array, *, recipe: Recipe, most: int
) -> tuple[State, dict[str, jax.Array]]:
    """The first `count` of at most `most` steps in one call, so that short steps do not wait for their dispatch.

    Args:
      state: before the first step.
      batch_of: the batch of a state, which knows its step, and of the step's place in this call, from 0.
      count: int32 scalar; it may vary from call to call without another compilation.
      recipe: as in `train_step`.
      most: how long the returned scalars are (static).

    Returns:
      The state after the last step, and what `train_step` returns for the log as arrays `(most,)`, of which the
      first `count` are filled.
    """

    def body(i: jax.Array, carry: tuple[State, dict[str, jax.Array]]) -> tuple[State, dict[str, jax.Array]]:
        state, infos = carry
        state, info = train_step(state, batch_of(state, i), recipe=recipe)
        return state, {name: infos[name].at[i].set(value) for name, value in info.items()}

    _, like = jax.eval_shape(lambda state: train_step(state, batch_of(state, jnp.int32(0)), recipe=recipe), state)
    infos = {name: jnp.zeros(most, value.dtype) for name, value in like.items()}
    return jax.lax.fori_loop(0, count, body, (state, infos))


def losses_of(params: Any, state: State, batch: Batch, recipe: Recipe) -> tuple[Losses, Any]:
    """The unweighted losses of a batch by name, and the model's updated statistics."""
    key = jax.random.fold_in(jax.random.key(state.seed), state.step)
    batch = split_rows(batch, recipe.mesh)
    problem, model = recipe.problem, recipe.model

    def training_pass(x: jax.Array) -> tuple[jax.Array, tuple[Any, Any]]:
        outputs, updated = apply(
            model,
            {"params": params, **state.statistics},
            x,
            batch.controls,
            train=True,
            mutable=[*state.statistics, "batch_moments"],
            rngs={"dropout": key},
        )
        return jnp.sum(problem.objective(outputs)), (outputs, updated)

    rows = slice(recipe.prior_rows)
    attribution = None
    if recipe.prior is not None and recipe.attributed == "training":
        attribution, (outputs, updated) = input_gradient(training_pass, batch.x, centred=recipe.centred, has_aux=True)
        attribution = attribution[rows]
    else:
        _, (outputs, updated) = training_pass(batch.x)
    moments = updated.pop("batch_moments", None)
    if recipe.prior is not None and recipe.attributed != "training":
        statistics = state.statistics
        if recipe.attributed == "batch":
            statistics = _with_moments(statistics, moments)
        positives = batch.x[rows], None if batch.controls is None else batch.controls[rows]
        x, controls = split_rows(positives, recipe.mesh)

        def outputs_of(x: jax.Array) -> Any:
            return apply(model, {"params": params, **statistics}, x, controls, train=False)

        f = objective_of(problem, outputs_of, at=None if recipe.attribution is None else x)
        attribution = attribution_of(recipe)(f, x, jax.random.fold_in(key, 1))

    losses = problem.losses(outputs, batch)
    if recipe.prior is not None and attribution is not None:
        losses["prior"] = jnp.mean(by_rows(recipe.prior, recipe.mesh)(track_of(attribution)))
    return losses | parameter_losses(params, recipe), updated


def parameter_losses(params: Any, recipe: Recipe) -> Losses:
    """Those of `l1`, Σ|θ|, and `l2`, Σθ², over all parameters θ, that the recipe gives a weight; unweighted.

    The gradient of either is 0 at a parameter that is exactly 0.
    """
    return {
        name: jnp.asarray(sum(jnp.sum(function(leaf)) for leaf in jax.tree.leaves(params)))
        for name, function in PARAMETER_LOSSES.items()
        if getattr(recipe, name)
    }


def attribution_of(recipe: Recipe) -> Attribution:
    """What the prior looks at: the recipe's attribution, or else gradient × input."""
    return recipe.attribution or GradientTimesInput(recipe.centred)


def _with_moments(statistics: Any, moments: Any) -> Any:
    """The statistics with the batch's own in place of the running ones."""
    if "batch_stats" not in statistics:
        return statistics
    own: Any = jax.tree.structure(statistics["batch_stats"])
    if own != jax.tree.structure(moments):
        raise InputError(
            "prior.attributed (='batch') needs every batch normalisation of the model to be"
            " fprior.models.layers.BatchNorm, which reports the batch's statistics; use it or set 'evaluation'"
        )
    return {**statistics, "batch_stats": moments}


def gradient_report(state: State, batch: Batch, *, recipe: Recipe) -> dict[str, jax.Array]:
    """How hard each loss pulls at the parameters, and whether they pull the same way; changes nothing.

    Returns:
      `gradient_norm/correctness`, `gradient_norm/prior` (Euclidean, of the unweighted losses) and
      `gradient_cosine`, their cosine similarity (0 if one is zero).
    """

    def gradient_of(name: str) -> Any:
        return jax.grad(lambda params: losses_of(params, state, batch, recipe)[0][name])(state.params)

    task, prior = gradient_of("correctness"), gradient_of("prior")
    task_norm, prior_norm = optax.tree.norm(task), optax.tree.norm(prior)
    product = task_norm * prior_norm
    cosine = jnp.where(product > 0, optax.tree.vdot(task, prior) / jnp.where(product > 0, product, 1), 0)
    return {
        "gradient_norm/correctness": task_norm,
        "gradient_norm/prior": prior_norm,
        "gradient_cosine": cosine,
    }
