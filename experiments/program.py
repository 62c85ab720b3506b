"""The compiled training step of one model or of several, and the data that it is fed.

It is compiled once, before the first step; from then on nothing is traced again. States are donated. Examples lie on
the device, or their windows are gathered on the host ahead of the step that needs them.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fprior.data.batches import Ahead, Batch, BatchPlan, Examples, HostWindows, Windows, assemble, batch_at, examples_of
from fprior.data.dataset import Dataset
from fprior.data.splits import TRAIN
from fprior.training.state import State
from fprior.training.step import Recipe, gradient_report, train_step, train_steps

DEVICE_SHARE = 0.25  # of the device's memory that the letters may take; the rest is for the activations

Numbers = dict[str, jax.Array]


class Program:
    """Training steps of models that differ in their seeds alone; a context manager.

    With one seed `states` is a `State`; with N, its leaves have a first axis of N models.

    Attributes:
      steps_per_call: the most steps that one call makes.
      on_device: whether the examples lie there.
    """

    def __init__(self, config, recipe: Recipe, plan: BatchPlan, dataset: Dataset, seeds: Sequence[int]):
        self.steps_per_call = config.speed.steps_per_call
        self.on_device = {"auto": fits_on_device(dataset, plan), "device": True, "host": False}[config.speed.placement]
        self._recipe, self._plan, self._models = recipe, plan, len(seeds)
        self._in_turn = {"auto": jax.default_backend() == "cpu", "turn": True, "vmap": False}[config.speed.models]
        self._step: Any = None
        self._report = jax.jit(self._over_models(self._report_of_one))
        if self.on_device:
            self._examples = examples_of(dataset, TRAIN, tracks=plan.layout is not None)
        else:
            windows = HostWindows(dataset, TRAIN, plan)
            depth = 2 * self.steps_per_call
            self._ahead = Ahead(lambda step: _stack([windows(seed, step) for seed in seeds]), depth=depth)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *error: object) -> None:
        if not self.on_device:
            self._ahead.__exit__(*error)

    def compile(self, states: State, step: int) -> float:
        """Compiles the step for states like these; returns the seconds it took."""
        call = self._over_models(self._one_step if self.steps_per_call == 1 else self._several_steps)
        arguments = self._arguments(step, 1)
        began = time.perf_counter()
        self._step = jax.jit(call, donate_argnums=0).lower(states, *arguments).compile()
        return time.perf_counter() - began

    def __call__(self, states: State, step: int, count: int) -> tuple[State, Numbers]:
        """Makes `count` steps, the next of which is `step`; returns the states and the numbers for `to_host`."""
        with jax.transfer_guard("disallow"):  # nothing moves between host and device unless it is asked for
            return self._step(states, *self._arguments(step, count))

    def report(self, states: State, step: int) -> list[dict[str, float]]:
        """For each model the `gradient_report` of the step to come, which is `step`."""
        source = self._examples if self.on_device else jax.device_put(self._windows(step))
        return self.to_host(self._report(states, source), 1)[0]

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
            return batch_at(source, self._plan, state.seed, state.step)
        return assemble(source, self._plan)

    def _over_models(self, function: Callable) -> Callable:
        """The function of one model's state and source as one of all models'.

        A CPU is busy with one model and gains nothing from several at a time, whose convolutions it would have to
        take apart again; an accelerator has room for more.
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

        return in_turn if self._in_turn else at_once

    def _windows(self, step: int) -> Windows:
        """The windows of a step, of all models if there are several."""
        windows = self._ahead.get(step)
        return windows if self._models > 1 else jax.tree.map(lambda leaf: leaf[0], windows)

    def _arguments(self, step: int, count: int) -> tuple[Any, ...]:
        """What the compiled step takes besides the states."""
        if self.on_device:
            source = self._examples
        elif self.steps_per_call == 1:
            source = jax.device_put(self._windows(step))
        else:
            steps = [self._windows(step + min(i, count - 1)) for i in range(self.steps_per_call)]
            source = jax.device_put(_stack(steps, axis=0 if self._models == 1 else 1))
        return (source,) if self.steps_per_call == 1 else (source, jax.device_put(np.int32(count)))


def _stack(trees: Sequence[Any], axis: int = 0) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis), *trees)


def stack_states(states: Sequence[State]) -> State:
    """One state of several models, as `Program` takes it."""
    return states[0] if len(states) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def state_of(states: State, model: int, models: int) -> State:
    """One model's own state out of it."""
    return states if models == 1 else jax.tree.map(lambda leaf: leaf[model], states)


def fits_on_device(dataset: Dataset, plan: BatchPlan) -> bool:
    """Whether the data set's letters, and its counts where needed, take no more than their share of the memory."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    memory = statistics.get("bytes_limit", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    needed = dataset.tokens.nbytes if plan.layout is None else dataset.nbytes
    return len(dataset.tokens) < 2**31 and needed <= DEVICE_SHARE * memory
