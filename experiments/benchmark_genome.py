"""A data set of the human genome's size from end to end: time of each stage, and the most memory it takes.

The genome is random, and so are 100,000 peaks of four tasks and eight tracks of reads around them. Each stage runs in a
process of its own, whose peak memory is measured.
"""

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig

Row = tuple[str, float, str]

CONFIG = """\
from experiments.config import default_config
from experiments.models import model_config

def get_config():
    config = default_config()
    config.data.dataset = config.prepare.output = {output!r}
    config.data.input_length, config.data.output_length, config.data.batch_size = 1346, 1000, 64
    config.model = model_config("profile")
    config.model.filters = 8
    config.prior.freq_limit = 200.0
    config.prepare.name = "synthetic"
    config.prepare.genome = {genome!r}
    config.prepare.peaks, config.prepare.tasks = {peaks!r}, {tasks!r}
    config.prepare.tracks = {tracks!r}
    config.prepare.window, config.prepare.negatives_per_positive = 1602, 1
    config.prepare.background = {background!r}
    config.prepare.split = "chromosome"
    config.prepare.num_folds = 5
    return config
"""
TASKS, LINE = 4, 100
READS_OF_A_PEAK = 30  # on each strand
STEPS = 10


def genome_rows(bases: int, peaks: int, chromosomes: int = 20) -> list[Row]:
    """The rows of the benchmark for a genome and peaks of this size."""
    with tempfile.TemporaryDirectory() as folder:
        config = synthesise(Path(folder), bases // chromosomes // LINE * LINE, chromosomes, peaks)
        rows: list[Row] = [("bases of the genome", bases, ""), ("peaks", peaks, ""), ("tracks", 2 * TASKS, "")]
        command = [sys.executable, "-m", "experiments.prepare", f"--config={config}"]
        began = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(run.stderr)
        rows.append(("prepare", time.perf_counter() - began, "s"))
        stages = run.stderr.rpartition(" s: ")[2].split(", ")
        for stage in stages:
            name, seconds, _ = stage.rsplit(" ", 2)
            rows.append((f"  {name}", float(seconds), "s"))
        rows.append(("  most memory", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, "GB"))
        size = sum(file.stat().st_size for file in (config.parent / "data").iterdir())
        rows.append(("size of the data set", size / 1e9, "GB"))
        return rows + in_a_process(train_a_little, str(config))


def in_a_process(function: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    """What the function returns from a fresh process, and the most memory that took."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_with_memory, (function, *arguments))


def _with_memory(function: Callable[..., list[Row]], *arguments: Any) -> list[Row]:
    rows = function(*arguments)
    return [*rows, ("  most memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "GB")]


def train_a_little(config_file: str) -> list[Row]:
    """Opens the data set, trains some steps on windows from the host, and measures the validation split."""
    from experiments.build import batch_plan, dataset_of, initial_state, recipe_of
    from experiments.program import Program
    from experiments.validation import Validation

    scope: dict[str, Any] = {}
    exec(Path(config_file).read_text(), scope)
    config = scope["get_config"]()
    config.speed.placement = "host"
    began = time.perf_counter()
    dataset = dataset_of(config)
    rows: list[Row] = [("opening the data set", time.perf_counter() - began, "s")]
    plan = batch_plan(config, dataset)
    recipe = recipe_of(config, dataset, plan, 1)
    state = initial_state(config, dataset, recipe.model, 0)
    with Program(config, recipe, plan, dataset, [0]) as program:
        rows.append(("compiling the step", program.compile(state, 0), "s"))
        began = time.perf_counter()
        for step in range(STEPS):
            state, numbers = program(state, step, 1)
        program.to_host(numbers, 1)
    rows.append(
        ("a step on windows from the host (8 filters, batch 64 × 2)", (time.perf_counter() - began) / STEPS, "s")
    )
    began = time.perf_counter()
    Validation(config, dataset, recipe)(state)
    return [*rows, ("validation on all loci of the split", time.perf_counter() - began, "s")]


def synthesise(folder: Path, length: int, chromosomes: int, peaks: int, seed: int = 0) -> Path:
    """Writes genome, peaks, tracks and a config of them; returns the config's path."""
    rng = np.random.default_rng(seed)
    names = [f"chr{number}" for number in range(1, chromosomes + 1)]
    with open(folder / "genome.fa", "wb") as file:
        for name in names:
            lines = np.full((length // LINE, LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (length // LINE, LINE), np.uint8)]
            file.write(f">{name}\n".encode() + lines.tobytes())
    per_chromosome = peaks // TASKS // chromosomes
    tracks, files = [], []
    for task in range(TASKS):
        # On a grid, so that they lie apart as peaks do.
        grid = rng.choice(length // 5000 - 2, (chromosomes, per_chromosome))
        summits = np.sort((grid + 1) * 5000 + rng.integers(0, 2000, grid.shape), axis=1)
        peak_file = folder / f"{task}.narrowPeak"
        with open(peak_file, "w") as out:
            for name, row in zip(names, summits, strict=True):
                for summit in row.tolist():
                    signal = 1 + summit % 97
                    out.write(f"{name}\t{summit - 100}\t{summit + 100}\t.\t0\t.\t{signal}\t-1\t-1\t100\n")
        files.append(str(peak_file))
        for strand, shift in (("plus", -50), ("minus", 50)):
            tracks.append(str(folder / f"{task}_{strand}.bw"))
            _write_reads(tracks[-1], names, length, summits + shift, rng)
    config = folder / "config.py"
    values = {"output": str(folder / "data"), "genome": str(folder / "genome.fa"), "peaks": tuple(files)}
    values |= {"tasks": tuple(f"T{task}" for task in range(TASKS)), "tracks": tuple(tracks), "background": "gc"}
    config.write_text(CONFIG.format(**values))
    return config


def _write_reads(path: str, names: list[str], length: int, centres: np.ndarray, rng: np.random.Generator) -> None:
    """A BigWig of reads around the centres `(chromosomes, n)`, and as many anywhere."""
    with pyBigWig.open(path, "w") as file:
        file.addHeader([(name, length) for name in names])
        for name, row in zip(names, centres, strict=True):
            near = (row[:, None] + rng.normal(0, 40, (len(row), READS_OF_A_PEAK))).astype(np.int64).ravel()
            far = rng.integers(0, length, near.size)
            at, counts = np.unique(np.concatenate([near, far]).clip(0, length - 1), return_counts=True)
            file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(), values=counts.astype(float).tolist())
