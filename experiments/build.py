"""From a config to the objects that it describes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.attributions import ATTRIBUTIONS
from fprior.data.batches import BatchPlan
from fprior.data.dataset import Dataset, open_dataset
from fprior.errors import InputError
from fprior.models import BinaryModel
from fprior.priors import fourier_prior, smoothness_prior, sparsity_prior
from fprior.training.checkpoint import Checkpoints
from fprior.training.state import init_state
from fprior.training.step import Recipe

MODELS = {"binary": BinaryModel}


def dataset_of(config) -> Dataset:
    """The data set that the config names."""
    if not config.data.dataset:
        raise InputError("config.data.dataset is empty; name a data set that ships with fprior or a directory")
    return open_dataset(config.data.dataset)


def batch_plan(config, dataset: Dataset) -> BatchPlan:
    """What a training batch is made of."""
    data = config.data
    half = data.batch_size // 2
    return BatchPlan(dataset.window, data.input_length, half, half, data.jitter, data.reverse_complement)


def model_of(config, dataset: Dataset) -> BinaryModel:
    """The model, with one logit for each task of the data set."""
    sizes = {name: value for name, value in config.model.items() if name != "name"}
    return MODELS[config.model.name](num_tasks=len(dataset.tasks), **sizes)


def prior_of(config) -> Callable[[jax.Array], jax.Array]:
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


def prior_weight_of(config, steps_per_epoch: int) -> Callable[[jax.Array], jax.Array]:
    """λ as a function of the step; annealing goes by whole epochs, the first being 0."""
    prior = config.prior

    def weight(step: jax.Array) -> jax.Array:
        decay = jnp.exp(-prior.anneal_speed * (step // steps_per_epoch))
        factor = {"none": jnp.ones_like(decay), "inflate": 2 / (1 + decay) - 1, "deflate": decay}[prior.anneal]
        return prior.weight * factor

    return weight


def optimizer_of(config) -> optax.GradientTransformation:
    """Adam, with the optimiser's other settings at their usual values."""
    return optax.adam(config.train.learning_rate)


def trained(config, dataset: Dataset, path: Path) -> tuple[Any, Any, int]:
    """The model of the run in that directory, its variables at the best epoch, and that epoch's step."""
    model = model_of(config, dataset)
    state = init_state(model, optimizer_of(config), config.seed, config.data.input_length)
    with Checkpoints(path / "checkpoints", read_only=True) as checkpoints:
        state, _ = checkpoints.restore("best", state)
    return model, {"params": state.params, **state.statistics}, int(state.step)


def recipe_of(config, dataset: Dataset, plan: BatchPlan, steps_per_epoch: int) -> Recipe:
    """Everything a training step needs besides state and batch."""
    model = model_of(config, dataset)
    if config.train.compute_dtype != "float32":
        model = model.clone(dtype=jnp.dtype(config.train.compute_dtype))
    return Recipe(
        model=model,
        optimizer=optimizer_of(config),
        prior=prior_of(config) if config.prior.weight > 0 else None,
        prior_weight=prior_weight_of(config, steps_per_epoch),
        prior_rows=plan.leading_positives if config.prior.examples == "positives" else None,
        attributed=config.prior.attributed,
        centred=config.prior.centred,
        attribution=ATTRIBUTIONS[config.prior.attribution],
        class_averaged=config.train.class_averaged,
    )
