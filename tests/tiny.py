"""A synthetic genome with peaks, a config that trains on it in seconds, and the command lines as functions."""

import atexit
import functools
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
MOTIF = "CCACCAGGGGGCGC"
CHROMOSOMES = ("chr1", "chr2", "chr3", "chr4")
LENGTH = 60_000  # bases of a chromosome
SPACING = 1_500  # bases between the summits on a chromosome
LINE = 60  # letters a line of the FASTA

CONFIG = """\
from experiments.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = {dataset!r}
    config.data.input_length = 60
    config.data.jitter = 10
    config.data.batch_size = 16
    config.model.filters = (6,)
    config.model.widths = (9,)
    config.model.pool_size = 10
    config.model.dense_sizes = (8,)
    config.prior.freq_limit = 9.0
    config.train.epochs = 2
    config.train.learning_rate = 1e-2
    config.train.checkpoint_every = 5
    config.train.log_every = 3
    config.train.gradients_every = 5
    config.evaluate.batch_size = 64
    config.prepare.output = {dataset!r}
    config.prepare.name = "tiny"
    config.prepare.genome = {genome!r}
    config.prepare.peaks = ({peaks!r},)
    config.prepare.tasks = ("MOTIF",)
    config.prepare.window = 80
    config.prepare.negatives_per_positive = 3
    config.prepare.min_summit_distance = 50
    config.prepare.positive_reach = 20
    config.prepare.peak_margin = 50
    config.prepare.block_size = 10_000
    config.prepare.gc_tolerance = 0.1
    return config
"""


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error line of a command that refused its input, after checking that there is nothing but it."""
        assert self.status == 2, self
        assert "Traceback" not in self.err, self.err
        assert self.err.startswith("error: ") and self.err.count("\n") == 1, self.err
        return self.err


class World(NamedTuple):
    """The files of one synthetic experiment."""

    folder: Path
    genome: Path
    peaks: Path
    dataset: Path
    config: Path

    def command(self, name: str, *arguments: str, **options) -> Outcome:
        """`python -m experiments.NAME --config=… arguments`."""
        return command(name, f"--config={self.config}", *arguments, **options)

    def peak_lines(self) -> list[str]:
        return self.peaks.read_text().splitlines(keepends=True)


def make_world(folder: Path, seed: int = 0) -> World:
    """Writes genome, peaks and config; the data set is made by `experiments.prepare` from them."""
    world = World(folder, folder / "genome.fa", folder / "peaks.narrowPeak", folder / "dataset", folder / "config.py")
    sequences, peaks = synthesise(seed)
    write_fasta(world.genome, sequences)
    world.peaks.write_text("".join("\t".join(map(str, peak)) + "\n" for peak in peaks))
    paths = {"dataset": str(world.dataset), "genome": str(world.genome), "peaks": str(world.peaks)}
    world.config.write_text(CONFIG.format(**paths))
    return world


def synthesise(seed: int) -> tuple[dict[str, str], list[tuple]]:
    """Random chromosomes with the motif at every summit, and the lines of the narrowPeak file."""
    rng = np.random.default_rng(seed)
    sequences, peaks = {}, []
    for chromosome in CHROMOSOMES:
        letters = np.array(list("ACGT"))[rng.integers(0, 4, LENGTH)]
        for summit in range(SPACING, LENGTH - SPACING, SPACING):
            summit += int(rng.integers(-200, 200))
            letters[summit - len(MOTIF) // 2 :][: len(MOTIF)] = list(MOTIF)
            signal = round(float(rng.uniform(1, 100)), 3)
            peaks.append((chromosome, summit - 40, summit + 40, f"p{len(peaks)}", 0, ".", signal, -1, -1, 40))
        sequences[chromosome] = "".join(letters)
    return sequences, peaks


def write_fasta(path: Path, sequences: dict[str, str]) -> None:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt") as file:
        for name, sequence in sequences.items():
            file.write(f">{name}\n")
            file.writelines(sequence[i : i + LINE] + "\n" for i in range(0, len(sequence), LINE))


def contents(folder: Path) -> set[str]:
    """The names of everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# ---- command lines


@functools.cache
def _server() -> tuple[subprocess.Popen, str]:
    folder = tempfile.TemporaryDirectory()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.command_server"],
        cwd=ROOT,
        env=environment() | compilation_cache(folder.name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def close() -> None:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        folder.cleanup()

    atexit.register(close)
    return process, folder.name


def environment() -> dict[str, str]:
    settings = {"JAX_PLATFORMS": "cpu", "OPENBLAS_NUM_THREADS": "1", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    return {**os.environ, **settings}


def compilation_cache(folder: str) -> dict[str, str]:
    """What the many runs of the tests compile is the same each time."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/compiled",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


class Interrupt(NamedTuple):
    """A signal that a command receives just before the moment-th time that it opens or changes a file in a folder."""

    signal: int
    moment: int
    folder: str


def command(name: str, *arguments: str, interrupt: Interrupt | None = None) -> Outcome:
    """Runs a command as `python -m experiments.NAME` does, in a process of its own."""
    process, folder = _server()
    order = {"name": name, "arguments": [str(argument) for argument in arguments], "interrupt": interrupt}
    order |= {key: f"{folder}/{key}" for key in ("out", "err", "moments")}
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    status = process.stdout.readline()
    assert status, "the server of commands has died"
    return Outcome(int(status), Path(order["out"]).read_text(), Path(order["err"]).read_text())


def moments() -> int:
    """How many moments the last command with an `interrupt` lived to see."""
    return Path(_server()[1], "moments").stat().st_size


def start(name: str, *arguments: str, **options) -> subprocess.Popen:
    """Starts `python -m experiments.NAME`."""
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finish(process: subprocess.Popen, timeout: float = 120) -> Outcome:
    """Waits for what `start` started."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)
