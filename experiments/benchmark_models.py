"""What the benchmarks time: models and batches of the paper's sizes, on our convolutions or plain ones."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from experiments import measure
from fprior import fourier_prior
from fprior.data.batches import Batch
from fprior.models import BinaryModel, ProfileModel
from fprior.models.layers import KERNEL_INIT
from fprior.training.problem import Profiles
from fprior.training.state import State, init_state
from fprior.training.step import Recipe, train_step


@dataclass(frozen=True)
class Sizes:
    """Of the models and their batches; the defaults are the paper's, and half of a batch is positive.

    `batch` and `length` are the binary model's; the profile model has half as many sequences, and `length` is what it
    predicts.
    """

    batch: int = 256
    length: int = 1000
    filters: int = 64
    pool: int = 40
    repeats: int = 5
    peak: int = 4096
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    genome: int = 3_100_000_000

    @property
    def profile_margin(self) -> int:
        """By how much the profile model's input is longer than its output."""
        return ProfileModel(output_length=0, dilations=self.dilations).shortest_input()


QUICK = Sizes(batch=8, length=120, filters=4, pool=10, repeats=1, peak=256, dilations=(1, 2), genome=40_000_000)

Row = tuple[str, float, str]  # what, value, unit


class PlainBinaryModel(BinaryModel):
    """The binary model on `flax.linen.Conv`, what a user would write."""

    def _convolve(self, x: jax.Array, filters: int, width: int) -> jax.Array:
        return nn.Conv(filters, (width,), padding="VALID", kernel_init=KERNEL_INIT)(x)


class PlainProfileModel(ProfileModel):
    """The profile model on `flax.linen.Conv`."""

    def _convolve(
        self, x: jax.Array, filters: int, width: int, dilation: int = 1, name: str | None = None
    ) -> jax.Array:
        how: dict[str, Any] = {
            "padding": "VALID",
            "kernel_dilation": (dilation,),
            "kernel_init": KERNEL_INIT,
            "name": name,
        }
        return nn.Conv(filters, (width,), **how)(x)


def model_of(sizes: Sizes, kind: type[BinaryModel] = BinaryModel, **how: Any) -> BinaryModel:
    return kind(filters=(sizes.filters,) * 3, pool_size=sizes.pool, **how)


def recipe_of(sizes: Sizes, *, prior: bool = True, attributed: str = "batch", model: nn.Module | None = None) -> Recipe:
    return Recipe(
        model=model or model_of(sizes),
        optimizer=optax.adam(1e-3),
        prior=partial(fourier_prior, freq_limit=sizes.length * 0.15) if prior else None,
        prior_rows=sizes.batch // 2,
        attributed=attributed,
    )


def profile_recipe_of(
    sizes: Sizes, kind: type[ProfileModel] = ProfileModel, *, prior: bool = True, rows: int | None = -1
) -> Recipe:
    """Of the profile model with one task, two strands and matched controls; the prior on the first half by default."""
    length = sizes.length + sizes.profile_margin
    return Recipe(
        model=kind(controls="matched", output_length=sizes.length, filters=sizes.filters, dilations=sizes.dilations),
        optimizer=optax.adam(1e-3),
        prior=partial(fourier_prior, freq_limit=length * 0.15) if prior else None,
        prior_rows=sizes.batch // 4 if rows == -1 else rows,
        problem=Profiles(),
    )


def random_profile_batch(sizes: Sizes) -> Batch:
    """Half as many random sequences as of labels, as in the paper, with random reads."""
    count, keys = sizes.batch // 2, jax.random.split(jax.random.key(1), 3)
    letters = jax.random.randint(keys[0], (count, sizes.length + sizes.profile_margin), 0, 4)
    reads, controls = (
        jax.random.poisson(key, 0.05, (count, 1, sizes.length, 2)).astype(jnp.float32) for key in keys[1:]
    )
    labels = (jnp.arange(count) < count // 2).astype(jnp.int8)[:, None]
    return Batch(jax.nn.one_hot(letters, 4), labels, jnp.zeros(count, jnp.int32), reads, controls)


def random_batch(sizes: Sizes) -> Batch:
    """Random sequences, the first half labelled positive."""
    letters = jax.random.randint(jax.random.key(1), (sizes.batch, sizes.length), 0, 4)
    labels = (jnp.arange(sizes.batch) < sizes.batch // 2).astype(jnp.int8)[:, None]
    return Batch(jax.nn.one_hot(letters, 4), labels, jnp.zeros(sizes.batch, jnp.int32))


class Stepper:
    """A compiled training step with its state; calling it makes a step."""

    def __init__(self, recipe: Recipe, batch: Batch) -> None:
        self._batch = batch
        shape = None if batch.controls is None else batch.controls.shape[1:]
        self.state: State = init_state(recipe.model, recipe.optimizer, 0, batch.x.shape[1], shape)
        self.step = partial(train_step, recipe=recipe)
        began = time.perf_counter()
        self.compiled = jax.jit(self.step, donate_argnums=0).lower(self.state, batch).compile()
        self.compile_seconds = time.perf_counter() - began

    def __call__(self) -> Any:
        self.state, info = self.compiled(self.state, self._batch)
        return info

    def arithmetic(self) -> float:
        return measure.arithmetic(self.step, self.state, self._batch)


def step_rows(kind: str, steppers: dict[str, "Stepper"], sizes: Sizes) -> tuple[list[Row], dict[str, float]]:
    """What the prior costs one model; and the seconds of each step."""
    seconds = measure.times(steppers, sizes.repeats)
    peak = measure.matrix_multiply_peak(sizes.peak)
    rate = {name: stepper.arithmetic() / seconds[name] for name, stepper in steppers.items()}
    rows = [
        ("step with the prior", seconds["with"], "s"),
        ("step without", seconds["without"], "s"),
        ("with / without", seconds["with"] / seconds["without"], ""),
        ("  the same of their arithmetic", _ratio(steppers, "with", "without"), ""),
        ("matrix-multiply peak", peak / 1e9, "GFLOP/s"),
        ("share of it, step with the prior", rate["with"] / peak, ""),
        ("share of it, step without", rate["without"] / peak, ""),
        ("compile time with the prior", steppers["with"].compile_seconds, "s"),
        ("compile time without", steppers["without"].compile_seconds, "s"),
        ("temporary memory with the prior", measure.temporary_memory(steppers["with"].compiled) / 1e6, "MB"),
        ("temporary memory without", measure.temporary_memory(steppers["without"].compiled) / 1e6, "MB"),
    ]
    return [(f"{kind}: {what}", value, unit) for what, value, unit in rows], seconds


def plain_row(what: str, recipe: Recipe, batch: Batch, closed: "Stepper") -> Row:
    """How much slower the step of a model on plain convolutions is."""
    taken = measure.times({"plain": Stepper(recipe, batch), "closed": closed}, 1)
    return f"plain flax.linen.Conv / closed: {what}", taken["plain"] / taken["closed"], ""


def _ratio(steppers: dict[str, "Stepper"], a: str, b: str) -> float:
    return steppers[a].arithmetic() / steppers[b].arithmetic()
