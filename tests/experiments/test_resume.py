"""Killed at any moment and started again with the same command, a run ends in the same bits."""

import functools
import json
import random
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from experiments import build
from fprior.data.dataset import open_dataset
from fprior.training.checkpoint import SERIES, Checkpoints
from fprior.training.log import FILE
from fprior.training.state import State, init_state

NEVER = 10**9


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    """Dropout is on: its random numbers must come back too."""
    world = tiny.make_world(tmp_path_factory.mktemp("world"))
    text = world.config.read_text()
    dropout = "    config.model.conv_dropout = 0.2\n    config.model.dense_dropout = 0.2\n    return config"
    world.config.write_text(text.replace("    return config", dropout))
    assert world.command("prepare").status == 0
    return world


@pytest.fixture(scope="module")
def uninterrupted(world) -> tuple[Path, int]:
    """A run without interruption, and how many moments there are at which it could have been killed."""
    run = world.folder / "uninterrupted"
    outcome = world.command("train", f"--workdir={run}", interrupt=tiny.Interrupt(signal.SIGKILL, NEVER, str(run)))
    assert outcome.status == 0, outcome.err
    assert restored(world, run, "latest")[0].step == 28
    return run, tiny.moments()


@functools.cache
def like(world) -> State:
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    model = build.model_of(config, open_dataset(world.dataset))
    return init_state(model, build.optimizer_of(config), 0, config.data.input_length)


def restored(world, run: Path, series: str) -> tuple[State, dict]:
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore(series, like(world))


def assert_same_run(world, run: Path, expected: Path) -> None:
    """Parameters, statistics and optimiser to the bit; every entry of the log, none twice; the same best epoch."""
    for series in SERIES:
        (ours, our_record), (theirs, their_record) = (restored(world, path, series) for path in (run, expected))
        assert our_record == their_record
        for x, y in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    assert (run / FILE).read_text() == (expected / FILE).read_text()
    assert json.loads((run / "result.json").read_text()) == json.loads((expected / "result.json").read_text())


def train_killed(world, run: Path, moments: list[int]) -> int:
    """Starts training again and again, killed at the given moments, then leaves it alone; how often it was killed."""
    killed = 0
    for moment in moments:
        interrupt = tiny.Interrupt(signal.SIGKILL, moment, str(run))
        outcome = world.command("train", f"--workdir={run}", interrupt=interrupt)
        assert outcome.status in (-signal.SIGKILL, 0), outcome
        killed += outcome.status != 0
    outcome = world.command("train", f"--workdir={run}")
    assert outcome.status == 0, outcome
    return killed


def random_moments(seed: int, total: int, count: int) -> list[int]:
    """Moments early enough for many to fall into one training of `total` moments."""
    return [random.Random(seed).randint(1, max(2, 2 * total // count)) for _ in range(count)]


def test_killed(world, uninterrupted, tmp_path):
    """The first kills are while the run's record is written, two are anywhere, the last is in the second epoch."""
    expected, total = uninterrupted
    moments = [*range(2, 7), *random_moments(1, total, 10)[:2], 2 * total // 3]
    assert train_killed(world, tmp_path / "run", moments) == len(moments)
    assert_same_run(world, tmp_path / "run", expected)


def wait_for(path: Path, process, deadline: float = 120) -> None:
    end = time.monotonic() + deadline
    while not (path.exists() and (path.is_dir() or path.stat().st_size)):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.005)


def test_killed_from_outside(world, uninterrupted, tmp_path):
    """`python -m` itself, killed while it writes the checkpoint of step 5; it compiles for itself, without a cache."""
    run = tmp_path / "run"
    process = tiny.start("train", f"--config={world.config}", f"--workdir={run}")
    wait_for(run / "checkpoints" / "latest" / "5", process)
    process.kill()
    tiny.finish(process)
    assert not (run / "result.json").exists()
    assert world.command("train", f"--workdir={run}").status == 0
    assert_same_run(world, run, uninterrupted[0])


def test_terminated_from_outside(world, uninterrupted, tmp_path):
    """SIGTERM as soon as the log is there: the step under way is done, saved, and the process leaves with status 0."""
    run = tmp_path / "run"
    process = tiny.start("train", f"--config={world.config}", f"--workdir={run}")
    wait_for(run / FILE, process)
    process.terminate()
    asked = time.monotonic()
    outcome = tiny.finish(process)
    assert outcome.status == 0 and "saved; the same command goes on from here" in outcome.out, outcome
    assert "Traceback" not in outcome.err and time.monotonic() - asked < 60
    assert 1 <= restored(world, run, "latest")[0].step < 28
    assert not (run / "result.json").exists()
    assert world.command("train", f"--workdir={run}").status == 0
    assert_same_run(world, run, uninterrupted[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_terminated_in_the_middle(world, uninterrupted, tmp_path, number):
    expected, total = uninterrupted
    run = tmp_path / "run"
    interrupt = tiny.Interrupt(number, 3 * total // 4, str(run))
    outcome = world.command("train", f"--workdir={run}", interrupt=interrupt)
    assert outcome.status == 0 and "saved" in outcome.out
    assert 14 < restored(world, run, "latest")[0].step < 28
    assert world.command("train", f"--workdir={run}").status == 0
    assert_same_run(world, run, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_25_times(world, uninterrupted, tmp_path, seed):
    expected, total = uninterrupted
    assert train_killed(world, tmp_path / "run", random_moments(100 + seed, total, 25)) >= 5
    assert_same_run(world, tmp_path / "run", expected)


@pytest.mark.slow
def test_killed_at_25_moments_of_its_beginning_and_of_a_checkpoint(world, uninterrupted, tmp_path):
    """Each kill once on a fresh run, so that every moment of the first checkpoint is met."""
    expected, total = uninterrupted
    for number in range(25):
        run = tmp_path / str(number)
        assert train_killed(world, run, [1 + number * total // 60]) == 1
        assert_same_run(world, run, expected)


@pytest.mark.slow
def test_killed_by_the_clock(world, uninterrupted, tmp_path):
    """Moments inside orbax's own threads, which no hook sees."""
    run, rng = tmp_path / "run", random.Random(7)
    for _ in range(25):
        process = tiny.start("train", f"--config={world.config}", f"--workdir={run}")
        wait_for(run / FILE, process)
        with_steps = time.monotonic() + rng.uniform(2, 9)
        while process.poll() is None and time.monotonic() < with_steps:
            time.sleep(0.01)
        process.kill()
        tiny.finish(process)
    assert world.command("train", f"--workdir={run}").status == 0
    assert_same_run(world, run, uninterrupted[0])
