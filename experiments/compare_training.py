"""The models of a comparison: trained one after the other, or all seeds of a condition at once on an accelerator.

Every model is a run of `experiments.train` in a directory of its own, so that each can be looked at, gone on with and
made again by itself. What is finished is not trained again.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiments.conditions import Overrides
from experiments.config import check_config, with_changes
from experiments.launch import config_file, overrides
from experiments.run_directory import RESULT
from fprior.errors import InputError


@dataclass(frozen=True)
class Planned:
    """A model to be trained: what differs from the config, its seed and its directory."""

    changes: tuple[tuple[str, object], ...]
    seed: int
    path: Path

    @property
    def finished(self) -> bool:
        return (self.path / RESULT).is_file()


class Stopped(Exception):
    """The command was asked to stop; what it had done so far is kept."""


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Makes SIGTERM and Ctrl-C a `Stopped` wherever they come; what was being written is left out."""

    def stop(*_: object) -> None:
        raise Stopped

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def planned(changes: Overrides, seeds: Iterable[int], directory: Path) -> list[Planned]:
    """A model for each seed, in `directory`/seed_S."""
    return [Planned(tuple(sorted(changes.items())), seed, directory / f"seed_{seed}") for seed in seeds]


def changed(config: ConfigDict, changes: Iterable[tuple[str, object]], seed: int) -> Any:
    """The config of one model, checked.

    Raises:
      InputError: a value is wrong, alone or with the others.
    """
    one = with_changes(config, {**dict(changes), "seed": seed, "num_models": 1})
    check_config(one)
    return one


def train_all(models: Sequence[Planned]) -> None:
    """Trains those that are not finished; prints which, and when all will be.

    Raises:
      InputError: the training of a model failed; it has said why.
      Stopped: on SIGTERM or Ctrl-C, which the training in progress was told.
    """
    waiting = [model for model in models if not model.finished]
    together = bool(waiting) and _backend() != "cpu"  # a CPU is busy with one model
    began, done = time.monotonic(), 0
    while waiting:
        group = [m for m in waiting if m.changes == waiting[0].changes and m.path.parent == waiting[0].path.parent]
        group = _consecutive(group) if together else group[:1]
        _announce(group, done, len(waiting), time.monotonic() - began)
        _train(group)
        done += len(group)
        waiting = [model for model in waiting if model not in group]


def _backend() -> str:
    """What JAX runs on, asked in another process: this one must not take the accelerator from those that train."""
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def _consecutive(models: list[Planned]) -> list[Planned]:
    """The first of the models whose seeds follow on one another, as those of one program do."""
    first = models[0].seed
    return [model for number, model in enumerate(models) if model.seed == first + number]


def _announce(group: Sequence[Planned], done: int, waiting: int, seconds: float) -> None:
    names = ", ".join(str(model.path) for model in group)
    text = f"training {names}: {waiting} models are left"
    if done:
        end = time.localtime(time.time() + seconds / done * waiting)
        text += f", all of which end at about {time.strftime('%a %H:%M', end)}"
    print(text, file=sys.stderr, flush=True)


def _train(group: Sequence[Planned]) -> None:
    """Runs `experiments.train` on models of one condition with consecutive seeds."""
    first = group[0]
    workdir = first.path if len(group) == 1 else first.path.parent
    fields = {**overrides(), **dict(first.changes), "seed": first.seed, "num_models": len(group)}
    arguments = [f"--config={config_file()}", f"--workdir={workdir}"]
    arguments += [f"--config.{name}={value}" for name, value in fields.items()]
    child = subprocess.Popen([sys.executable, "-m", "experiments.train", *arguments], stdout=subprocess.DEVNULL)
    stopped = wait_for(child)
    if child.returncode:
        raise InputError(f"{workdir}: its training ended with status {child.returncode}; what it said stands above")
    if not all(model.finished for model in group):
        if not stopped:
            raise InputError(f"{workdir}: its training was stopped from outside; the same command goes on from there")
        raise Stopped


def wait_for(child: subprocess.Popen) -> bool:
    """Waits for a command to end, passing on wishes that it may stop; whether there was one."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        child.terminate()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        child.wait()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    return stopped
