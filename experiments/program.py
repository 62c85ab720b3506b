"""The compiled training step of one model or of several, and the data that it is fed.

It is compiled once, before the first step; from then on nothing is traced again. States are donated. Examples lie on
the device, or their windows are gathered on the host ahead of the step that needs them. With a mesh of devices the
examples lie on each of them; of windows every process gathers those that its own devices work on.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from fprior.data.batches import Ahead, Batch, BatchPlan, Examples, HostWindows, Windows, assemble, batch_at, examples_of
from fprior.data.dataset import Dataset
from fprior.data.splits import TRAIN
from fprior.training.processes import agreed
from fprior.training.sharding import (
    DATA,
    EVERYWHERE,
    MODELS,
    by_models,
    from_host,
    from_process,
    moved,
    on_every_device,
    own_block,
    readable,
)
from fprior.training.state import State
from fprior.training.step import Recipe, gradient_report, train_step, train_steps

DEVICE_SHARE = 0.25  # of the device's memory that the letters may take; the rest is for the activations

Numbers = dict[str, jax.Array]


class Program:
    """Training steps of models that differ in their seeds alone; a context manager.

    With one seed `states` is a `State`; with N, its leaves have a first axis of N models. With a mesh in the recipe
    they lie on its devices, as `stack_states` leaves them.

    Attributes:
      steps_per_call: the most steps that one call makes.
      on_device: whether the examples lie there.
    """

    def __init__(
        self, config: ConfigDict, recipe: Recipe, plan: BatchPlan, dataset: Dataset, seeds: Sequence[int]
    ) -> None:
        self.steps_per_call = config.speed.steps_per_call
        self._recipe, self._plan, self._models, self._mesh = recipe, plan, len(seeds), recipe.mesh
        fits = fits_on_device(dataset, plan)
        if self._mesh is not None:
            fits = bool(agreed(np.bool_(fits)))
        self.on_device = {"auto": fits, "device": True, "host": False}[config.speed.placement]
        self._in_turn = {"auto": jax.default_backend() == "cpu", "turn": True, "vmap": False}[config.speed.models]
        self._step: Any = None
        self._report = jax.jit(self._over_models(self._report_of_one), **self._placed())
        if self.on_device:
            how = {} if self._mesh is None else {"place": partial(from_host, mesh=self._mesh)}
            self._examples = examples_of(dataset, TRAIN, tracks=plan.layout is not None, **how)
        else:
            windows = HostWindows(dataset, TRAIN, plan)
            models, self._rows = own_block(self._mesh, len(seeds), plan.positives + plan.negatives)
            self._own_models, depth = models, 2 * self.steps_per_call
            self._ahead = Ahead(
                lambda step: _stack([windows(seeds[model], step, self._rows) for model in models]), depth=depth
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self.on_device:
            self._ahead.__exit__(*error)

    def compile(self, states: State, step: int) -> float:
        """Compiles the step for states like these; returns the seconds it took."""
        call = self._over_models(self._one_step if self.steps_per_call == 1 else self._several_steps)
        arguments = self._arguments(step, 1)
        began = time.perf_counter()
        self._step = jax.jit(call, donate_argnums=0, **self._placed()).lower(states, *arguments).compile()
        return time.perf_counter() - began

    def __call__(self, states: State, step: int, count: int) -> tuple[State, Numbers]:
        """Makes `count` steps, the next of which is `step`; returns the states and the numbers for `to_host`."""
        arguments = self._arguments(step, count)
        with jax.transfer_guard("disallow"):  # nothing else moves between host and device
            states, numbers = self._step(states, *arguments)
            return states, readable(numbers, self._mesh)

    def report(self, states: State, step: int) -> list[dict[str, float]]:
        """For each model the `gradient_report` of the step to come, which is `step`."""
        source = self._examples if self.on_device else self._put(self._windows(step))
        return self.to_host(readable(self._report(states, source), self._mesh), 1)[0]

    def to_host(self, numbers: Numbers, count: int) -> list[list[dict[str, float]]]:
        """For each of the `count` steps of a call, for each model: value by name."""
        arrays = {name: np.reshape(value, (self._models, -1)) for name, value in jax.device_get(numbers).items()}
        return [
            [{name: float(array[model, step]) for name, array in arrays.items()} for model in range(self._models)]
            for step in range(count)
        ]

    def _one_step(self, state: State, source: Examples | Windows) -> tuple[State, Numbers]:
        return train_step(state, self._batch(state, source), recipe=self._recipe)

    def _several_steps(self, state: State, source: Examples | Windows, count: jax.Array) -> tuple[State, Numbers]:
        def batch_of(state: State, i: jax.Array) -> Batch:
            return self._batch(state, source if self.on_device else jax.tree.map(lambda leaf: leaf[i], source))

        return train_steps(state, batch_of, count, recipe=self._recipe, most=self.steps_per_call)

    def _report_of_one(self, state: State, source: Examples | Windows) -> Numbers:
        return gradient_report(state, self._batch(state, source), recipe=self._recipe)

    def _batch(self, state: State, source: Examples | Windows) -> Batch:
        if self.on_device:
            assert isinstance(source, Examples), "they lie on the device"
            return batch_at(source, self._plan, state.seed, state.step)
        # On every device: it works on other rows of the batch than of the windows, and letters are quickly sent.
        return assemble(on_every_device(source, self._mesh), self._plan)

    def _over_models(self, function: Callable) -> Callable:
        """The function of one model's state and source as one of all models'.

        A CPU is busy with one model and gains nothing from several at a time, whose convolutions it would have to
        take apart again; an accelerator has room for more. Devices that have models of their own work side by side.
        """
        if self._models == 1:
            return function

        def at_once(states: State, source: Examples | Windows, *rest: jax.Array) -> Any:
            axes = (0, None if self.on_device else 0, *(None for _ in rest))
            return jax.vmap(function, in_axes=axes)(states, source, *rest)

        def in_turn(states: State, source: Examples | Windows, *rest: jax.Array) -> Any:
            if self.on_device:
                return jax.lax.map(lambda state: function(state, source, *rest), states)
            return jax.lax.map(lambda pair: function(*pair, *rest), (states, source))

        stacked = PartitionSpec(MODELS)
        in_specs = (stacked, EVERYWHERE if self.on_device else stacked)

        def on_devices(states: State, source: Examples | Windows, *rest: jax.Array) -> Any:
            call, specs = in_turn if self._in_turn else at_once, (*in_specs, *(EVERYWHERE for _ in rest))
            return by_models(call, self._mesh, specs)(states, source, *rest)

        return on_devices

    def _placed(self) -> dict[str, Any]:
        """Where the results of a compiled function are to lie, for `jax.jit`; those of a model on its own devices."""
        return {} if self._mesh is None else {"out_shardings": NamedSharding(self._mesh, spec_of(self._models))}

    def _windows(self, step: int) -> Windows:
        """The windows of a step, of all models if there are several."""
        windows = self._ahead.get(step)
        return windows if self._models > 1 else jax.tree.map(lambda leaf: leaf[0], windows)

    def _arguments(self, step: int, count: int) -> tuple[Any, ...]:
        """What the compiled step takes besides the states."""
        source: Examples | Windows
        if self.on_device:
            source = self._examples
        elif self.steps_per_call == 1:
            source = self._put(self._windows(step))
        else:
            steps = [self._windows(step + min(i, count - 1)) for i in range(self.steps_per_call)]
            source = self._put(_stack(steps, axis=0 if self._models == 1 else 1), steps=True)
        if self.steps_per_call == 1:
            return (source,)
        return source, jax.device_put(np.int32(count)) if self._mesh is None else from_host(np.int32(count), self._mesh)

    def _put(self, windows: Windows, *, steps: bool = False) -> Windows:
        """Windows of this process on the device, or as its part of those on all devices.

        Their axes: the models if there are several, the steps of a call if it makes several, rows, and what a row has.
        """
        if self._mesh is None:
            return jax.device_put(windows)
        models, rows = ([self._models] if self._models > 1 else []), self._plan.positives + self._plan.negatives
        shape = [*models, *([self.steps_per_call] if steps else []), rows]
        first = [*(self._own_models.start for _ in models), *([0] if steps else []), self._rows.start]
        spec = PartitionSpec(*(MODELS for _ in models), *([None] if steps else []), DATA)
        sharding = NamedSharding(self._mesh, spec)

        def put(leaf: np.ndarray) -> jax.Array:
            rest = leaf.shape[len(shape) :]
            return from_process(leaf, (*first, *(0 for _ in rest)), (*shape, *rest), sharding)

        return jax.tree.map(put, windows)


def _stack(trees: Sequence[Any], axis: int = 0) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis), *trees)


def spec_of(models: int) -> PartitionSpec:
    """How states of so many models lie on a mesh."""
    return EVERYWHERE if models == 1 else PartitionSpec(MODELS)


def stack_states(states: Sequence[State], mesh: Mesh | None = None) -> State:
    """One state of several models, as `Program` takes it; theirs lie on every device of the mesh."""
    if len(states) == 1:
        return states[0]
    return moved(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), mesh, spec_of(len(states)))


def state_of(states: State, model: int, models: int, mesh: Mesh | None = None) -> State:
    """One model's own state out of it, on every device of the mesh."""
    if models == 1:
        return states
    placed: dict[str, Any] = {} if mesh is None else {"out_shardings": NamedSharding(mesh, EVERYWHERE)}
    return jax.jit(_one_of, **placed)(states, np.int32(model))


def _one_of(states: State, model: jax.Array) -> State:
    return jax.tree.map(lambda leaf: leaf[model], states)


def fits_on_device(dataset: Dataset, plan: BatchPlan) -> bool:
    """Whether the data set's letters, and its counts where needed, take no more than their share of the memory."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    memory = statistics.get("bytes_limit", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    needed = dataset.tokens.nbytes if plan.layout is None else dataset.nbytes
    return len(dataset.tokens) < 2**31 and needed <= DEVICE_SHARE * memory
