"""The files of an experiment on stranded reads, and its config."""

import importlib.util
from pathlib import Path

import ml_collections
import numpy as np
import pyBigWig
import tiny

LENGTH = 240_000  # of a chromosome: enough for a hundred positives in each split
PLUS, MINUS, CONTROL = 0, 1, 2


def reads_of(world, kind: int, seed: int, heights=40.0, shift: int = 30, background: float = 0.01) -> dict:
    """Counts of every chromosome: an even background, and but for controls a heap beside every summit."""
    rng, counts = np.random.default_rng(seed), {}
    for name in tiny.CHROMOSOMES:
        counts[name] = rng.poisson(background, LENGTH).astype(float)
        summits = [int(row[1]) + int(row[9]) for row in peak_rows(world) if row[0] == name]
        if kind != CONTROL:
            side = shift // 2 * (1 if kind == MINUS else -1)
            at = np.repeat(summits, rng.poisson(heights, len(summits))) + side
            np.add.at(counts[name], np.clip(at + rng.normal(0, 4, len(at)).astype(int), 0, LENGTH - 1), 1)
    return counts


def write_bigwig(path: Path, counts: dict) -> str:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, len(values)) for name, values in counts.items()])
        for name, values in counts.items():
            at = np.flatnonzero(values)
            if len(at):
                file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(), values=values[at].tolist())
    return str(path)


def peak_rows(world) -> list[list[str]]:
    return [line.split("\t") for line in world.peaks.read_text().splitlines()]


def write_rows(path: Path, rows) -> str:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return str(path)


def config_of(world, **changes) -> ml_collections.ConfigDict:
    """The config of the world with some fields changed: section__field=value."""
    spec = importlib.util.spec_from_file_location("tiny_config", world.config)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    for name, value in changes.items():
        section, _, field = name.partition("__")
        config[section][field] = value
    return config
