"""The checks of `experiments.doctor` that compile the config's own training step and make a few."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.build import batch_plan, initial_state, recipe_of
from experiments.config import has_prior
from experiments.doctor_findings import ERROR, OK, WARNING, Verdict, in_bytes, in_time
from experiments.measure import temporary_memory
from experiments.prepare_checks import given
from experiments.prepare_tracks import name_columns
from experiments.program import Program, stack_states
from fprior.data.batches import pools_of
from fprior.data.dataset import Dataset, TrackLayout
from fprior.data.splits import TRAIN
from fprior.errors import InputError

CALLS = 5  # that are timed, after one that is not
FULL = 0.8  # of the device's memory
READS = 0.05  # a base, of the stand-in's tracks


class Measured(NamedTuple):
    """Of the training step: seconds to compile it and to make one, and bytes that it needs.

    `losses` and `gradients` have one element a model: the last step's losses, and the report of gradients before the
    first step, which is None without a prior.
    """

    compiling: float
    seconds: float
    needed: int
    losses: list[dict[str, float]]
    gradients: list[dict[str, float]] | None


class MeasuredProgram(Program):
    """A program that shows what it compiled."""

    @property
    def compiled(self) -> Any:
        return self._step


def stand_in(config: ConfigDict) -> Dataset:
    """A data set of random letters and counts of the shapes that the config asks for, where none is prepared."""
    data, prepare, rng = config.data, config.prepare, np.random.default_rng(config.seed)
    tasks = given(prepare.tasks) or ("task",)
    _, strands, controls = name_columns(prepare) if given(prepare.tracks) else (None, 2, "none")
    window, half = data.input_length + 2 * data.jitter, data.batch_size // 2
    labels = np.repeat(np.array([1, 0], np.int8), half)[:, None].repeat(len(tasks), axis=1)
    loci = {"offset": np.arange(2 * half) * window, "labels": labels, "split": np.full(2 * half, TRAIN, np.uint8)}
    manifest, tracks = {"window": window, "tasks": tasks}, None
    if config.model.outputs == "profiles":
        manifest["tracks"] = {"strands": strands, "controls": controls}
        columns = TrackLayout(len(tasks), strands, controls).columns
        tracks = rng.poisson(READS, (2 * half * window, columns)).astype(np.uint8)
    tokens = rng.integers(0, 4, 2 * half * window).astype(np.uint8)
    return Dataset(Path("random data"), manifest, tokens, loci, tracks)


def measure(config: ConfigDict, dataset: Dataset, memory: int) -> Measured:
    """Compiles the step and, if it fits into so many bytes, makes a few.

    Raises:
      InputError: it does not, or the device cannot run it.
    """
    plan, seeds = batch_plan(config, dataset), range(config.seed, config.seed + config.num_models)
    weight = 1.0 if config.prior.weight == "auto" else None  # for time and gradient any will do
    recipe = recipe_of(config, dataset, plan, steps_per_epoch(config, dataset), weight)
    states = stack_states([initial_state(config, dataset, recipe.model, seed) for seed in seeds])
    try:
        with MeasuredProgram(config, recipe, plan, dataset, seeds) as program:
            compiling = program.compile(states, 0)
            needed = bytes_needed(program)
            if needed > memory:  # where it runs nevertheless, the operating system may end this process
                raise InputError(f"{memory_text(needed, memory)}; {_less_memory(config)}")
            gradients = program.report(states, 0) if has_prior(config) else None
            seconds, losses = _run(program, states)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"it does not run on this device ({reason}); {_less_memory(config)}") from error
    return Measured(compiling, seconds, needed, losses, gradients)


def bytes_needed(program: MeasuredProgram) -> int:
    """What the compiled step holds at a time: parameters and data that it reads, and all that is temporary."""
    return temporary_memory(program.compiled) + program.compiled.memory_analysis().argument_size_in_bytes


def _run(program: Program, states: Any) -> tuple[float, list[dict[str, float]]]:
    """Median seconds a step, and the losses of each model at the last."""
    count, taken = program.steps_per_call, []
    for call in tqdm(range(CALLS + 1), desc="timing steps", unit="call", disable=None):
        began = time.perf_counter()
        states, numbers = program(states, call * count, count)
        jax.block_until_ready(numbers)
        taken.append((time.perf_counter() - began) / count)
    return float(np.median(taken[1:])), program.to_host(numbers, count)[-1]


def steps_per_epoch(config: ConfigDict, dataset: Dataset) -> int:
    """Steps in which every positive is read once."""
    return math.ceil(len(pools_of(dataset, TRAIN).positives) / (config.data.batch_size // 2))


def check_time(config: ConfigDict, dataset: Dataset, measured: Measured, is_real: bool) -> Iterator[Verdict]:
    """How long a step, an epoch and the whole training take, validation not counted."""
    text = (
        f"{in_time(measured.seconds)} a step on {dataset.path} (median of {CALLS} calls), compiled in"
        f" {in_time(measured.compiling)}"
    )
    if not is_real:
        yield OK, f"{text}; how many make an epoch, the data set will tell"
        return
    steps, epochs = steps_per_epoch(config, dataset), config.train.epochs
    epoch = steps * measured.seconds
    text += f"; {steps:,} steps an epoch: {in_time(epoch)}, at most {epochs} epochs: {in_time(epochs * epoch)}"
    if config.prior.weight == "auto":
        text += f"; before that {config.prior.auto_steps} steps without the prior"
    yield OK, f"{text}; validation comes on top"


def check_memory(config: ConfigDict, measured: Measured, memory: int) -> Iterator[Verdict]:
    """Whether the compiled step leaves some of the device's memory to others; `measure` refuses one that needs more."""
    text = memory_text(measured.needed, memory)
    if measured.needed > FULL * memory:
        yield WARNING, f"{text}; {_less_memory(config)}"
    else:
        yield OK, text


def memory_text(needed: int, memory: int) -> str:
    """What a step needs beside what the device has."""
    return f"the compiled step needs {in_bytes(needed)}, {needed / memory:.0%} of the {in_bytes(memory)} of the device"


def _less_memory(config: ConfigDict) -> str:
    return f"lower config.data.batch_size (={config.data.batch_size}), or set config.speed.placement='host'"


def check_loss(measured: Measured) -> Iterator[Verdict]:
    """Whether the loss is a number after a few steps."""
    totals = [losses["loss/total"] for losses in measured.losses]
    if all(map(math.isfinite, totals)):
        yield OK, f"finite after {CALLS + 1} calls: {', '.join(f'{total:.4g}' for total in totals)}"
    else:
        yield ERROR, f"not finite after {CALLS + 1} calls: {totals}; lower config.train.learning_rate"


def check_gradients(measured: Measured) -> Iterator[Verdict]:
    """Whether the prior can train anything; `experiments.train` stops where it cannot."""
    if measured.gradients is None:
        yield OK, "there is no prior (config.prior.weight=0)"
        return
    norms = [report["gradient_norm/prior"] for report in measured.gradients]
    if not all(norms) or not all(map(math.isfinite, norms)):
        yield (
            ERROR,
            f"config.prior: the norm of its gradient is {norms}; it can train nothing: set config.prior.weight=0",
        )
        return
    report = measured.gradients[0]
    yield (
        OK,
        f"norm {norms[0]:.3g} at the first step, unweighted, beside {report['gradient_norm/correctness']:.3g} of the"
        f" correctness loss; cosine {report['gradient_cosine']:.2f}",
    )
