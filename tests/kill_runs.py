"""Kills a small training run again and again, and shows that nothing is lost.

    python -m tests.kill_runs [--kills=100] [--epochs=40] [--seed=0]

One kill in three hits a checkpoint that is being written, the others come at random moments, from before the first
file to after the last. After every kill all complete checkpoints are restored and the log and the record are read;
the same command then goes on. A run that ends in spite of the kills is compared with one that was left alone, and the
next begins. About 6 s a kill on two CPU cores. Exit status 0 if nothing was lost, else 1.
"""

import argparse
import logging
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from experiments import build, prepare, train
from experiments.launch import launch
from experiments.run_directory import RECORD, RESULT, read_record
from fprior.data.dataset import open_dataset
from fprior.training.checkpoint import _COMPLETE, SERIES, Checkpoints
from fprior.training.log import FILE, read_log
from fprior.training.state import State, init_state
from tests import tiny
from tests.forked import fork, status_of

EVERY = 5  # steps between checkpoints
SETTINGS = f"""\
    config.train.epochs = {{epochs}}
    config.train.stop_after_epochs = 0
    config.train.checkpoint_every = {EVERY}
    config.train.log_every = 1
    config.model.conv_dropout = 0.2
    config.model.dense_dropout = 0.2
    return config"""
COMMANDS = {"prepare": (prepare.main, {}), "train": (train.main, {"workdir": "directory"})}
POLL = 0.001  # seconds between looks at the directory
AFTER_START = 4.0  # seconds: kills at random moments come so long after the first entry of the log, at most


class LostError(Exception):
    """What should have survived a kill and did not."""


# ---- commands in processes of their own


class Launcher:
    """Runs commands one at a time, each in a fork of a process that has imported everything and started no JAX."""

    def __init__(self, folder: Path):
        self.output = folder / "output.txt"
        orders, replies = os.pipe(), os.pipe()
        fork(partial(_serve, orders, replies, self.output, folder / "compiled"))
        os.close(orders[0])
        os.close(replies[1])
        self._orders, self._replies = os.fdopen(orders[1], "w"), os.fdopen(replies[0])

    def start(self, *arguments: str) -> int:
        """Starts `python -m experiments.ARGUMENTS`; the id of its process."""
        print(*arguments, sep="\t", file=self._orders, flush=True)
        return int(self._replies.readline())

    def has_ended(self, within: float) -> bool:
        """Whether the command ends within so many seconds."""
        return bool(select.select([self._replies], [], [], within)[0])

    def status(self) -> int:
        """Waits for the end of the command; its exit status, negative for a signal."""
        return int(self._replies.readline())


def _serve(orders: tuple[int, int], replies: tuple[int, int], output: Path, compiled: Path) -> None:
    """Reads orders from one pipe and replies through the other, until the orders end."""
    os.close(orders[1])
    os.close(replies[0])
    with os.fdopen(orders[0]) as lines, os.fdopen(replies[1], "w") as answers:
        for line in lines:
            child = fork(partial(_command, line.rstrip("\n").split("\t"), output, compiled))
            print(child, file=answers, flush=True)
            print(status_of(child), file=answers, flush=True)


def _command(arguments: list[str], output: Path, compiled: Path) -> None:
    """Does what `python -m` does."""
    for number in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    jax.config.update("jax_compilation_cache_dir", str(compiled))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    sys.argv = [f"experiments/{arguments[0]}.py", *arguments[1:]]
    main, options = COMMANDS[arguments[0]]
    launch(main, **options)


# ---- what a directory holds


class Found(NamedTuple):
    """What a kill left: the newest complete checkpoint, the last entry of the log, incomplete checkpoints."""

    checkpoint: int
    logged: int
    incomplete: int


def incomplete(run: Path) -> list[Path]:
    """The checkpoints that are being written, or were when the process ended."""
    folders = [folder for series in SERIES for folder in (run / "checkpoints" / series).glob("[0-9]*")]
    return [folder for folder in folders if not (folder / _COMPLETE).exists()]


def look(run: Path, like: State) -> Found:
    """Reads all that is in the directory of a run that was killed.

    Raises:
      Exception: whatever a reader raises for a damaged file; LostError if the log has gaps.
    """
    if (run / RECORD).exists():
        read_record(str(run))
    newest = 0
    if (run / "checkpoints" / "best").is_dir():
        with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
            newest = checkpoints.step("latest") or 0
            for series in SERIES:
                for folder in (run / "checkpoints" / series).glob("[0-9]*"):
                    if (folder / _COMPLETE).exists() and int(folder.name) != restored_step(checkpoints, folder, like):
                        raise LostError(f"{folder}: holds another step")
    steps = [entry["step"] for entry in read_log(run) if entry["kind"] == "train"]
    if steps != list(range(1, len(steps) + 1)):
        raise LostError(f"{run / FILE}: has gaps, or entries twice")
    return Found(newest, len(steps), len(incomplete(run)))


def restored_step(checkpoints: Checkpoints, folder: Path, like: State) -> int:
    state, _ = checkpoints.restore(folder.parent.name, like, int(folder.name))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params)):
        raise LostError(f"{folder}: its parameters are not finite")
    return int(state.step)


def contents(run: Path, like: State) -> dict[str, object]:
    """All that a finished run must have in common with one that was left alone."""
    found: dict[str, object] = {name: (run / name).read_text() for name in (FILE, RESULT)}
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        for series in SERIES:
            state, progress = checkpoints.restore(series, like)
            found[series] = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
            found[f"progress of {series}"] = progress
    return found


# ---- the experiment


def make_launcher_and_world(folder: Path, epochs: int) -> tuple[Launcher, tiny.World]:
    world = tiny.make_world(folder)
    settings = SETTINGS.format(epochs=epochs)
    world.config.write_text(world.config.read_text().replace("    return config", settings))
    launcher = Launcher(folder)
    launcher.start("prepare", f"--config={world.config}")
    if launcher.status():
        raise LostError(f"experiments.prepare failed: {launcher.output.read_text()}")
    return launcher, world


def like_of(world: tiny.World) -> State:
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    model = build.model_of(config, open_dataset(world.dataset))
    return init_state(model, build.optimizer_of(config), 0, config.data.input_length)


class Killer:
    """Kills runs of one config, and checks what they leave."""

    def __init__(self, launcher: Launcher, world: tiny.World, seed: int):
        self._launcher, self._world, self._random = launcher, world, random.Random(seed)
        self.like = like_of(world)
        self.kills = self.on_purpose = self.half_written = self.most_lost = self.finished = 0
        self._startup = 0.0
        uninterrupted = world.folder / "uninterrupted"
        self._start(uninterrupted)
        began = time.monotonic()
        while not self._ended(0.01) and not (uninterrupted / FILE).exists():
            self._startup = time.monotonic() - began
        self._has_finished()
        self.seconds = time.monotonic() - began
        self._expected = contents(uninterrupted, self.like)

    def _start(self, run: Path) -> int:
        return self._launcher.start("train", f"--config={self._world.config}", f"--workdir={run}")

    def _ended(self, within: float) -> bool:
        return self._launcher.has_ended(within)

    def _has_finished(self) -> bool:
        """Waits for the process; False if it was killed, True if it ended well."""
        status = self._launcher.status()
        if status not in (0, -signal.SIGKILL):
            tail = self._launcher.output.read_text()[-2000:]
            raise LostError(f"experiments.train ended with status {status}: {tail}")
        return status == 0

    def kill_one_run(self, run: Path, most: int, bar: tqdm) -> None:
        """Trains with at most so many kills, then to the end, and compares."""
        before = Found(0, 0, 0)
        for _ in range(most):
            pid = self._start(run)
            on_purpose = self.kills % 3 == 2
            ended = self._wait_for_a_checkpoint(run) if on_purpose else self._wait_at_random()
            if not ended:
                os.kill(pid, signal.SIGKILL)
            if self._has_finished():
                break
            self.kills += 1
            self.on_purpose += on_purpose
            before = self._check(run, before)
            bar.update()
            bar.set_postfix({"step": before.checkpoint, "runs finished": self.finished}, refresh=False)
        else:
            self._start(run)
            self._has_finished()
        found = contents(run, self.like)
        different = [name for name, value in self._expected.items() if found[name] != value]
        if different:
            raise LostError(f"{run}: {', '.join(different)} differ from those of the uninterrupted run")
        self.finished += 1

    def _wait_at_random(self) -> bool:
        """Whether the run ended before the moment came."""
        return self._ended(self._random.uniform(0, self._startup + AFTER_START))

    def _wait_for_a_checkpoint(self, run: Path) -> bool:
        """Waits for the first, second or third write from now on; whether the run ended before."""
        left_over = set(incomplete(run))  # what an earlier kill left goes first
        for _ in range(self._random.randint(1, 3)):
            while not (being_written := set(incomplete(run)) - left_over):
                left_over &= set(incomplete(run))
                if self._ended(POLL):
                    return True
            left_over = being_written
        return self._ended(self._random.uniform(0, 0.01))

    def _check(self, run: Path, before: Found) -> Found:
        found = look(run, self.like) if run.exists() else Found(0, 0, 0)
        if found.checkpoint < before.checkpoint:
            raise LostError(f"{run}: step {before.checkpoint} was complete, the newest is now {found.checkpoint}")
        if found.logged < before.checkpoint:
            raise LostError(f"{run}: went on from step {found.logged}, before the checkpoint {before.checkpoint}")
        self.half_written += found.incomplete > 0
        self.most_lost = max(self.most_lost, found.logged - found.checkpoint)
        if self.most_lost > EVERY:
            raise LostError(f"{run}: {self.most_lost} steps lost, a checkpoint is due every {EVERY}")
        return found


def experiment(folder: Path, kills: int, epochs: int, seed: int) -> Killer:
    launcher, world = make_launcher_and_world(folder, epochs)
    print("training without interruption …", flush=True)
    killer = Killer(launcher, world, seed)
    print(f"… took {killer.seconds:.0f} s", flush=True)
    with tqdm(total=kills, desc="kills", mininterval=5) as bar:
        while killer.kills < kills:
            killer.kill_one_run(folder / f"run_{killer.finished}", kills - killer.kills, bar)
    return killer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40, help="of a run; 14 steps each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax narrates every file it reads
    folder = Path(tempfile.mkdtemp(prefix="kill_runs."))
    try:
        killer = experiment(folder, options.kills, options.epochs, options.seed)
    except Exception as error:  # whatever a reader raises is a loss
        print(f"LOST: {type(error).__name__}: {error}\nthe files are in {folder}")
        return 1
    print(
        f"{killer.kills:>6,}  kills by SIGKILL, {killer.on_purpose:,} of them on purpose in the write of a checkpoint"
    )
    print(f"{killer.half_written:>6,}  left a checkpoint half written")
    print(f"{killer.most_lost:>6,}  steps at most between the last checkpoint and the kill; one is due every {EVERY}")
    print(f"{killer.finished:>6,}  runs finished: each equal to the uninterrupted one to the bit")
    print("nothing lost")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
