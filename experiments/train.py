"""Trains a model, with or without an attribution prior; or several at once that differ in their seeds.

    python -m experiments.train --config=configs/NAME.py --workdir=runs/NAME [--config.section.field=value …]

The same command goes on where an interrupted run stopped, and ends in the same parameters to the bit. SIGTERM and
Ctrl-C save first. The directory holds the record of the run, its log (log.jsonl, tensorboard/) and checkpoints of
the latest state and of the best epoch. With `--config.num_models=N` it holds N such directories, seed_0, seed_1, …,
each what a run with that seed alone would leave. All devices share the work; with `--config.distributed=True` those of
several processes, each started with this same command (see experiments/devices.py and the README).
"""

import contextlib
import dataclasses
import math
import os
import signal
import sys
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.build import batch_plan, dataset_of, initial_state, model_of, recipe_of
from experiments.devices import mesh_of
from experiments.launch import launch, seconds_since_start
from experiments.member import Member, open_members
from experiments.prior_weight import weight_of
from experiments.program import Numbers, Program, stack_states, state_of
from experiments.validation import SCORE
from fprior.data.batches import pools_of
from fprior.data.splits import TRAIN, VALID
from fprior.errors import InputError
from fprior.training.processes import agreed, stop_is_due
from fprior.training.sharding import from_host
from fprior.training.state import State
from fprior.training.step import Recipe

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} steps [{elapsed}<{remaining}, ends {eta:%H:%M}{postfix}]"


def main(config: ConfigDict, workdir: str | None) -> None:
    stop = StopRequest(config.distributed)
    dataset = dataset_of(config)
    plan = batch_plan(config, dataset)
    steps_per_epoch = math.ceil(len(pools_of(dataset, TRAIN).positives) / plan.positives)
    mesh = mesh_of(config, plan)
    pools_of(dataset, VALID)  # raises where there is nothing to validate on
    model_of(config, dataset)  # raises where a model of the user's own cannot be made, before anything is written
    with open_members(config, workdir, dataset) as members:
        if all(member.finished for member in members):
            print(f"{workdir}: this run is finished; choose another --workdir to train again")
            return
        automatic = config.prior.weight == "auto"
        weight = config.prior.weight
        if automatic:
            weight = float(agreed(np.float64(weight_of(config, dataset, [member.path for member in members]))))
        recipe = dataclasses.replace(recipe_of(config, dataset, plan, steps_per_epoch, weight), mesh=mesh)
        warn_of_noise(recipe)
        # Killed between two models' checkpoints, they go on from the step that all of them have. Finished ones only
        # keep their place: what the others compute must not depend on how many are left.
        step = min(member.latest_step() for member in members if not member.finished)
        initial = [initial_state(config, dataset, recipe.model, member.seed) for member in members]
        initial = [from_host(agreed(state), mesh) for state in initial]
        states = stack_states(
            [
                dataclasses.replace(state, step=state.step + step) if member.finished else member.restore(state, step)
                for member, state in zip(members, initial, strict=True)
            ],
            mesh,
        )
        with contextlib.ExitStack() as stack:
            for member in members:
                if not member.finished:
                    stack.enter_context(member.open_log(step, dataset, recipe))
            program = stack.enter_context(Program(config, recipe, plan, dataset, [m.seed for m in members]))
            compiling = program.compile(states, step)
            print(
                f"started in {seconds_since_start() - compiling:.1f} s, the step compiled in {compiling:.1f} s;"
                f" data on the {'device' if program.on_device else 'host'}{_layout(recipe)}",
                file=sys.stderr,
            )
            Run(config, recipe, members, program, steps_per_epoch, stop).train(states, step)
        if not all(member.finished for member in members):
            print(f"{workdir}: saved; the same command goes on from here")


def warn_of_noise(recipe: Recipe) -> None:
    if recipe.prior is not None and recipe.attributed == "training":
        print(
            "note: config.prior.attributed='training' differentiates through the batch's statistics; the gradient of"
            " summed logits is then rounding error after a batch-normalised last layer (see BUILD_NOTES.md)",
            file=sys.stderr,
        )


def _layout(recipe: Recipe) -> str:
    if recipe.mesh is None:
        return ""
    return f"; {recipe.mesh.size} devices: " + " × ".join(f"{size} {axis}" for axis, size in recipe.mesh.shape.items())


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a wish that the loop grants after its next step.

    Several processes stop after the same step. JAX itself listens for SIGTERM then, and tells all of them.
    """

    def __init__(self, together: bool) -> None:
        self._made, self._together = False, together
        if self._together:
            signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._make)

    def _make(self, *_: object) -> None:
        self._made = True

    def granted(self, step: int, count: int) -> bool:
        """Whether to stop after this step, which is the last of so many since the last call."""
        return stop_is_due(step - count + 1, step) if self._together else self._made


class Run:
    """The training loop."""

    def __init__(
        self,
        config: ConfigDict,
        recipe: Recipe,
        members: Sequence[Member],
        program: Program,
        steps_per_epoch: int,
        stop: StopRequest,
    ) -> None:
        self._train, self._has_prior = config.train, recipe.prior is not None
        self._score, self._score_name = SCORE[config.model.outputs]
        self._members, self._program, self._mesh = members, program, recipe.mesh
        self._steps_per_epoch = steps_per_epoch
        self._total = config.train.epochs * steps_per_epoch
        self._stop = stop

    def train(self, states: State, step: int) -> None:
        """Trains from `step` to the end, or until a stop is asked for."""
        self._finish_those_without_gain()
        pending = None  # the numbers of the call before, read while this one runs
        with tqdm(total=self._total, initial=step, bar_format=BAR, disable=None, dynamic_ncols=True) as bar:
            while step < self._total and self._training():
                if self._has_prior and step % self._train.gradients_every == 0:
                    self._log_steps(pending, bar)
                    pending = None
                    self._log_gradients(self._program.report(states, step), step + 1)
                count = self._steps_to_make(step)
                states, numbers = self._program(states, step, count)
                self._log_steps(pending, bar)
                pending = (step, count, numbers)
                step += count
                bar.update(count)
                epoch_ends, stops = step % self._steps_per_epoch == 0, self._stop.granted(step, count)
                if not (epoch_ends or stops or step % self._train.checkpoint_every == 0):
                    continue
                self._log_steps(pending, bar)  # also makes sure that what is saved is finite
                pending = None
                self._save(states, step, epoch_ends)
                if stops:
                    return
        for _, member in self._training():
            member.finish("epochs")

    def _training(self) -> list[tuple[int, Member]]:
        """The models that are not finished, with their places."""
        return [(place, member) for place, member in enumerate(self._members) if not member.finished]

    def _steps_to_make(self, step: int) -> int:
        """As many as one call may, up to the next step at which something else is done."""
        stops = [self._steps_per_epoch, self._train.checkpoint_every]
        if self._has_prior:
            stops.append(self._train.gradients_every)
        return min(self._program.steps_per_call, *(every - step % every for every in stops))

    def _save(self, states: State, step: int, epoch_ends: bool) -> None:
        for place, member in self._training():
            state = state_of(states, place, len(self._members), self._mesh)
            if epoch_ends:
                member.validate(state, step, step / self._steps_per_epoch)
            member.save(state)
        self._finish_those_without_gain()

    def _finish_those_without_gain(self) -> None:
        for _, member in self._training():
            if member.gain_is_over():
                member.finish("no further gain")

    def _log_gradients(self, reports: list[dict[str, float]], step: int) -> None:
        """Logs the gradients that the update to `step` is made of; a resumed run writes them once, like its losses."""
        for place, member in self._training():
            member.write("gradients", step, step / self._steps_per_epoch, reports[place])
            if step == 1 and reports[place]["gradient_norm/prior"] == 0:
                raise InputError(
                    "config.prior: its gradient with respect to the parameters is exactly zero at the first step, so"
                    " it cannot train anything; the attribution does not depend on the parameters, or its track is all"
                    " zero (set config.prior.weight=0 to train without a prior)"
                )

    def _log_steps(self, pending: tuple[int, int, Numbers] | None, bar: tqdm) -> None:
        """Logs the numbers of a call, once they are there."""
        if pending is None:
            return
        first, count, numbers = pending
        for step, rows in enumerate(self._program.to_host(numbers, count), first + 1):
            for place, member in self._training():
                self._log_step(member, step, rows[place])
        shown = {
            name.removeprefix("loss/"): f"{np.mean([rows[place][name] for place, _ in self._training()]):.3f}"
            for name in rows[0]
            if "loss/" in name
        }
        scores = [member.history[-1][self._score] for _, member in self._training() if member.history]
        last = {f"valid {self._score_name}": f"{np.mean(scores):.3f}"} if scores else {}
        bar.set_postfix({**shown, **last}, refresh=False)

    def _log_step(self, member: Member, step: int, values: dict[str, float]) -> None:
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise InputError(
                f"{member.path}, step {step}: {', '.join(f'{name} is {values[name]}' for name in broken)}; the last"
                " checkpoint before it is kept: lower config.train.learning_rate or config.prior.weight"
            )
        if step % self._train.log_every == 0:
            member.write("train", step, step / self._steps_per_epoch, values)


if __name__ == "__main__":
    launch(main, processes=True, workdir="directory of the run")
