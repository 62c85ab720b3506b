"""Trains a tiny model in every layout of devices and processes, and holds each against the same on one device.

    python -m tests.layouts [LAYOUT …] [--json=FILE]

Devices are simulated on the CPU, processes are real and talk through gloo. For every layout the table has the largest
difference in anything that was logged, relative to the larger of its size and FLOOR, and in any parameter at the end.
They come from the order in which sums over the batch are made: 1e-7 of a sum in single precision, which the steps of
Adam add up. Ends with status 1 if a difference is above its limit. About ten minutes on two CPU cores.
"""

import argparse
import functools
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments import build, prepare, train
from experiments.build import initial_state, model_of
from experiments.launch import launch
from fprior.data.dataset import open_dataset
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log
from fprior.training.state import State
from tests import tiny
from tests.forked import fork, status_of

FLOOR = 0.01  # of the size of a logged number
FLOORS = {"gradient_cosine": 1.0}  # a sum over unit vectors, which is rounded as if it were 1, whatever comes out
# Adam's ε, far above rounding. Where a unit of a layer before a batch normalisation is positive for a whole batch, the
# gradient of its bias is zero but for rounding, which the usual 1e-8 makes a step as long as any other.
EPSILON = 1e-3
LOGGED, PARAMETERS = 3e-4, 1e-5  # the limits; a single step of the learning rate is 1e-3
SETTINGS = ["--config.train.learning_rate=1e-3"]  # large steps make a difference of rounding grow
STEPS, STOPPED = 28, 17  # all, and those before an interruption
HOST, CALLS = "--config.speed.placement=host", "--config.speed.steps_per_call=3"
# What is compiled runs for seconds; and one device may wait long for another, where all of them are two cores.
FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_collective_call_warn_stuck_timeout_seconds=300"
    " --xla_cpu_collective_call_terminate_timeout_seconds=600"
)


class Layout(NamedTuple):
    """Processes with so many devices each.

    `then`: they are interrupted, and as many devices go on. `started`: what tells the processes of each other, as by
    hand or as SLURM does. `terminated`: the last process is, by SIGTERM, and all are started again.
    """

    devices: int
    processes: int = 1
    models: int = 1
    arguments: tuple[str, ...] = ()
    then: int | None = None
    started: str = "hand"
    terminated: bool = False


LAYOUTS = {
    "2 devices": Layout(2),
    "4 devices": Layout(4),
    "8 devices": Layout(8),
    "8 devices, data on the host": Layout(8, arguments=(HOST,)),
    "8 devices, 3 steps a call": Layout(8, arguments=(CALLS,)),
    "8 devices, 3 steps a call, data on the host": Layout(8, arguments=(CALLS, HOST)),
    "8 devices, 2 models": Layout(8, models=2),
    "8 devices, 2 models, data on the host": Layout(8, models=2, arguments=(HOST,)),
    "8 devices, 4 models": Layout(8, models=4),
    "8 devices, 3 models": Layout(8, models=3),
    "4 devices, 8 models at once": Layout(4, models=8, arguments=("--config.speed.models=vmap",)),
    "2 processes": Layout(1, 2),
    "2 processes, as under SLURM": Layout(1, 2, started="slurm"),
    "2 processes, one terminated": Layout(1, 2, terminated=True),
    "2 processes of 4 devices": Layout(4, 2),
    "2 processes of 4 devices, data on the host": Layout(4, 2, arguments=(HOST,)),
    "2 processes of 4 devices, 2 models": Layout(4, 2, models=2),
    "2 processes of 2 devices, 2 models, data on the host": Layout(2, 2, models=2, arguments=(HOST, CALLS)),
    "4 processes": Layout(1, 4),
    "4 processes of 2 devices, data on the host": Layout(2, 4, arguments=(HOST,)),
    "saved on 4 devices, then 4": Layout(4, then=4),
    "saved on 4 devices, then 2": Layout(4, then=2),
    "saved on 4 devices, then 1": Layout(4, then=1),
}


class Row(NamedTuple):
    """What came of a layout: the mesh, the largest differences from one device, and whether no bit differs."""

    name: str
    mesh: str
    logged: float
    parameters: float
    same_bits: bool

    @property
    def fits(self) -> bool:
        return self.logged <= LOGGED and self.parameters <= PARAMETERS


# ---- runs, each in processes of its own, forked from this one, which has imported JAX and not used it


def start(main: Callable[[], None], environment: dict[str, str], output: Path) -> int:
    """Calls it in a process of its own; its id."""

    def call() -> None:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.environ.update(environment)
        main()

    return fork(call)


def wait(children: list[int], output: Path) -> None:
    for child in children:
        assert status_of(child) == 0, output.read_text()


def command(main: Callable[..., None], arguments: list[str], **options) -> None:
    sys.argv = ["command", *arguments]
    launch(main, **options)


def train_once(layout: Layout, world: tiny.World, run: Path, *, stop: bool = False) -> None:
    """One start of training in that layout; if asked for it ends after STOPPED steps."""
    arguments = [f"--config={world.config}", f"--workdir={run}", f"--config.num_models={layout.models}"]
    arguments += [*SETTINGS, *layout.arguments]
    if layout.processes > 1:
        arguments.append("--config.distributed=True")
    output, port = run.with_suffix(".txt"), free_port()

    def main(terminated: bool) -> None:
        build.optimizer_of = lambda config: optax.adam(config.train.learning_rate, eps=EPSILON)
        if stop:
            train.StopRequest.granted = lambda self, step, count: step >= STOPPED
        if terminated:
            terminate_at(run / "log.jsonl")
        command(train.main, arguments, processes=True, workdir="directory")

    children = []
    for process in range(layout.processes):
        environment = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={layout.devices} {FLAGS}"}
        if layout.processes > 1:
            environment |= place(layout, process, port)
        terminated = layout.terminated and process == layout.processes - 1 and not run.exists()
        children.append(start(functools.partial(main, terminated), environment, output))
    wait(children, output)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def place(layout: Layout, process: int, port: int) -> dict[str, str]:
    if layout.started == "hand":
        names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
        return dict(zip(names, (f"localhost:{port}", str(layout.processes), str(process)), strict=True))
    count, number = str(layout.processes), str(process)
    slurm = {"JOB_ID": str(port), "STEP_NODELIST": "localhost", "NTASKS": count, "PROCID": number, "LOCALID": number}
    return {f"SLURM_{name}": value for name, value in slurm.items()} | {"SLURM_STEP_NUM_NODES": "1"}


def terminate_at(path: Path) -> None:
    """Sends this process SIGTERM when there is something in the file."""

    def watch() -> None:
        while not (path.exists() and path.stat().st_size):
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def finish(layout: Layout, world: tiny.World, run: Path) -> Path:
    """All starts that the layout asks for; the directory of the run."""
    if layout.then is not None:
        train_once(layout, world, run, stop=True)
        assert not list(run.glob("**/result.json"))
        layout = layout._replace(devices=layout.then)
    if layout.terminated:
        train_once(layout, world, run)
        assert not list(run.glob("**/result.json")), "it was terminated too late"
    train_once(layout, world, run)
    return run


# ---- comparison


def members(run: Path) -> list[Path]:
    return sorted(path.parent for path in run.glob("**/result.json"))


def parameters(run: Path, world: tiny.World) -> list[np.ndarray]:
    """Those of the last checkpoint."""
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        state, _ = checkpoints.restore("latest", like(world))
    assert state.step == STEPS
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]


@functools.cache
def like(world: tiny.World) -> State:
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    dataset = open_dataset(world.dataset)
    return initial_state(config, dataset, model_of(config, dataset), seed=0)


def difference(name: str, run: Path, expected: Path, world: tiny.World) -> Row:
    logged = largest = 0.0
    ours, theirs = members(run), members(expected)
    assert 0 < len(ours) <= len(theirs)
    same = True
    for own, reference in zip(ours, theirs, strict=False):
        for entry, other in zip(read_log(own), read_log(reference), strict=True):
            assert entry.keys() == other.keys() and entry["kind"] == other["kind"] and entry["step"] == other["step"]
            for key in entry.keys() - {"kind"}:
                logged = max(logged, abs(entry[key] - other[key]) / max(abs(other[key]), FLOORS.get(key, FLOOR)))
        for x, y in zip(parameters(own, world), parameters(reference, world), strict=True):
            largest = max(largest, float(np.max(np.abs(x - y))))
            same = same and x.tobytes() == y.tobytes()
    layout = LAYOUTS[name]
    mesh = "1 device"
    if (layout.then or layout.devices) * layout.processes > 1:
        mesh = run.with_suffix(".txt").read_text().rpartition(" devices: ")[2].partition("\n")[0]
    return Row(name, mesh, logged, largest, same)


def rows(names: list[str], folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Trains all layouts and what they are held against, then compares."""
    world = tiny.make_world(folder)
    said = folder / "prepare.txt"
    wait([start(lambda: command(prepare.main, [f"--config={world.config}"]), {}, said)], said)
    runs: dict[str, tuple[Path, Path]] = {}
    most = max(LAYOUTS[name].models for name in names)
    for number, name in enumerate(names):
        layout = LAYOUTS[name]
        # What goes on with as many devices must be what was never interrupted, to the bit.
        goes_on = layout.then == layout.devices
        alike = Layout(layout.devices, models=layout.models) if goes_on else Layout(1, models=most)
        run, expected = folder / f"run_{number}", folder / f"{alike.devices}_devices_{alike.models}_models"
        if not expected.exists():
            say(f"{name}: training what it is held against")
            finish(alike, world, expected)
        say(f"{name}: training")
        runs[name] = finish(layout, world, run), expected
    return [difference(name, *directories, world) for name, directories in runs.items()]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.layouts", description=__doc__.splitlines()[0])
    parser.add_argument("layouts", nargs="*", metavar="LAYOUT", default=[], help="some of them, by name")
    parser.add_argument("--json", help="a file for the table")
    options = parser.parse_args(arguments)
    names = options.layouts or list(LAYOUTS)
    if unknown := sorted(set(names) - set(LAYOUTS)):
        parser.error(f"there is no layout {', '.join(unknown)}; choose from {', '.join(LAYOUTS)}")
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax narrates
    jax.config.update("jax_platforms", "cpu")
    # A CPU has 32 programs under way at most, of whatever device: they can be those that wait for the others'.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_enable_compilation_cache", False)  # nothing of this is for later
    with tempfile.TemporaryDirectory() as folder:
        found = rows(names, Path(folder), lambda text: print(text, file=sys.stderr, flush=True))
    print(f"{'layout':54} {'mesh':22} {'logged':>8} {'parameters':>10}")
    for row in found:
        print(f"{row.name:54} {row.mesh:22} {row.logged:8.1e} {row.parameters:10.1e}{'' if row.fits else '  TOO MUCH'}")
    if options.json:
        Path(options.json).write_text(json.dumps([row._asdict() | {"fits": row.fits} for row in found]))
    wrong = sum(not row.fits for row in found)
    print(f"{len(found) - wrong} of {len(found)} layouts train what one device trains")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
