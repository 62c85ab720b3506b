"""From a config to the objects that it describes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments.attributions import ATTRIBUTIONS
from experiments.models import build_model
from fprior.data.batches import BatchPlan
from fprior.data.dataset import Dataset, TrackLayout, open_dataset
from fprior.errors import InputError
from fprior.priors import fourier_prior, smoothness_prior, sparsity_prior
from fprior.training.checkpoint import Checkpoints
from fprior.training.problem import Labels, Problem, Profiles
from fprior.training.state import State, init_state
from fprior.training.step import Recipe
from fprior.typing import AnyArray


def dataset_of(config: ConfigDict) -> Dataset:
    """The data set that the config names, with as many of its training positives as the config says.

    Raises:
      InputError: there is none, or it has no tracks or signals and the config needs some.
    """
    if not config.data.dataset:
        raise InputError("config.data.dataset is empty; name a data set that ships with fprior or a directory")
    dataset = open_dataset(config.data.dataset).with_strongest(config.data.top_fraction)
    if layout_of(config, dataset) is None and config.model.outputs == "profiles":
        raise InputError(
            f"config.data.dataset (={config.data.dataset!r}) has no tracks, which config.model (={config.model.name!r})"
            " learns; prepare one with config.prepare.tracks"
        )
    return dataset


def layout_of(config: ConfigDict, dataset: Dataset) -> TrackLayout | None:
    """The tracks that the model learns; None for a model of labels, which needs none even where there are some."""
    return dataset.layout if config.model.outputs == "profiles" else None


def batch_plan(config: ConfigDict, dataset: Dataset) -> BatchPlan:
    """What a training batch is made of."""
    data, layout = config.data, layout_of(config, dataset)
    half = data.batch_size // 2
    length = data.output_length if layout else 0
    return BatchPlan(
        dataset.window, data.input_length, half, half, data.jitter, data.reverse_complement, length, layout
    )


def model_of(config: ConfigDict, dataset: Dataset) -> Any:
    """The model, for the tasks of the data set and its tracks."""
    return build_model(config, len(dataset.tasks), layout_of(config, dataset))


def problem_of(config: ConfigDict) -> Problem:
    """What the model learns."""
    if config.model.outputs == "profiles":
        return Profiles(config.train.count_weight, config.prior.profile_weights)
    return Labels(config.train.class_averaged)


def initial_state(config: ConfigDict, dataset: Dataset, model: Any, seed: int) -> State:
    """The state before the first step."""
    layout = layout_of(config, dataset)
    shape = None
    if layout is not None and layout.control_sets:
        shape = (layout.control_sets, config.data.output_length, layout.strands)
    return init_state(model, optimizer_of(config), seed, config.data.input_length, shape)


def prior_of(config: ConfigDict) -> Callable[[AnyArray], jax.Array]:
    """The prior as a function of the attribution track alone."""
    prior = config.prior
    if prior.name == "smoothness":
        return smoothness_prior
    if prior.name == "sparsity":
        return sparsity_prior
    return partial(
        fourier_prior,
        freq_limit=prior.freq_limit,
        softness=None if prior.hard_cut else prior.softness,
        smooth_sigma=prior.smooth_sigma,
        normalization=prior.normalization,
        boundary=prior.boundary,
    )


def prior_weight_of(config: ConfigDict, steps_per_epoch: int, weight: float) -> Callable[[jax.Array], jax.Array]:
    """λ as a function of the step, from its full weight; annealing goes by whole epochs, the first being 0."""
    prior = config.prior

    def at(step: jax.Array) -> jax.Array:
        decay = jnp.exp(-prior.anneal_speed * (step // steps_per_epoch))
        factor = {"none": jnp.ones_like(decay), "inflate": 2 / (1 + decay) - 1, "deflate": decay}[prior.anneal]
        return weight * factor

    return at


def optimizer_of(config: ConfigDict) -> optax.GradientTransformation:
    """Adam, with the optimiser's other settings at their usual values."""
    return optax.adam(config.train.learning_rate)


def trained(config: ConfigDict, dataset: Dataset, path: Path) -> tuple[Any, Any, int]:
    """The model of the run in that directory, its variables at the best epoch, and that epoch's step."""
    model = model_of(config, dataset)
    state = initial_state(config, dataset, model, config.seed)
    with Checkpoints(path / "checkpoints", read_only=True) as checkpoints:
        state, _ = checkpoints.restore("best", state)
    return model, {"params": state.params, **state.statistics}, int(state.step)


def recipe_of(
    config: ConfigDict, dataset: Dataset, plan: BatchPlan, steps_per_epoch: int, weight: float | None = None
) -> Recipe:
    """Everything a training step needs besides state and batch; `weight` is λ where the config leaves it open."""
    weight = config.prior.weight if weight is None else weight
    model = model_of(config, dataset)
    if config.train.compute_dtype != "float32":
        model = model.clone(dtype=jnp.dtype(config.train.compute_dtype))
    return Recipe(
        model=model,
        optimizer=optimizer_of(config),
        prior=prior_of(config) if weight > 0 else None,
        prior_weight=prior_weight_of(config, steps_per_epoch, weight),
        prior_rows=plan.leading_positives if config.prior.examples == "positives" else None,
        attributed=config.prior.attributed,
        centred=config.prior.centred,
        attribution=ATTRIBUTIONS[config.prior.attribution],
        problem=problem_of(config),
        l1=config.train.l1,
        l2=config.train.l2,
    )
