"""The synthetic genome of `tiny` with reads: BigWigs of counts around its motifs, and a config of a profile model."""

from pathlib import Path

import numpy as np
import pyBigWig
import tiny

SHIFT = 15  # bases between the strands' reads on either side of a summit

CONFIG = """\
from experiments.models import model_config


def get_profile_config(config):
    config.model = model_config("profile")
    config.model.filters = 4
    config.model.first_width = 9
    config.model.dilations = (1, 2)
    config.model.profile_width = 11
    config.data.input_length = 82
    config.data.output_length = 60
    config.data.jitter = 8
    config.prior.freq_limit = 12.0
    config.prior.weight = "auto"
    config.prior.auto_steps = 4
    config.prepare.window = 98
    config.prepare.background = "random"
    config.prepare.negatives_per_positive = 1
    config.prepare.tracks = {tracks!r}
    config.prepare.controls = {controls!r}
    return config
"""


def make_world(folder: Path, seed: int = 0) -> tiny.World:
    """As `tiny.make_world`, with tracks in the folder: plus.bw, minus.bw, control_plus.bw, control_minus.bw."""
    world = tiny.make_world(folder, seed)
    _, peaks = tiny.synthesise(seed)
    write_tracks(folder, peaks, seed)
    paths = {
        kind: tuple(str(folder / f"{prefix}{strand}.bw") for strand in ("plus", "minus"))
        for kind, prefix in (("tracks", ""), ("controls", "control_"))
    }
    text = world.config.read_text().replace("    return config", "    return get_profile_config(config)")
    world.config.write_text(CONFIG.format(**paths) + "\n\n" + text)
    return world


def write_tracks(folder: Path, peaks: list[tuple], seed: int) -> None:
    """Reads end around the summits, plus to the left and minus to the right, the more the higher the signal."""
    rng = np.random.default_rng([seed, 1])
    for name, shift, enriched in (
        ("plus", -SHIFT, True),
        ("minus", SHIFT, True),
        ("control_plus", 0, False),
        ("control_minus", 0, False),
    ):
        counts = {chromosome: rng.poisson(0.01, tiny.LENGTH) for chromosome in tiny.CHROMOSOMES}
        if enriched:
            for chromosome, start, _, _, _, _, signal, *_ in peaks:
                ends = start + 40 + shift + rng.normal(0, 4, rng.poisson(10 + signal / 5)).round().astype(int)
                np.add.at(counts[chromosome], ends, 1)
        write_bigwig(folder / f"{name}.bw", counts)


def write_bigwig(path: Path, counts: dict[str, np.ndarray]) -> None:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, len(values)) for name, values in counts.items()])
        for name, values in counts.items():
            at = np.flatnonzero(values)
            heights = values[at].astype(float).tolist()
            file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(), values=heights)
