"""Makes a data set of simulated sequences, half of which have instances of one motif.

    python -m experiments.simulate --config=configs/NAME.py [--config.simulate.field=value …]

Reads `config.simulate` and writes the directory `config.simulate.output`, a data set like those of
`experiments.prepare`, with which training, evaluation, attribution and reports work alike. Its windows, as long as
`config.data` reads with jitter, lie side by side on one chromosome, `simulated`; `instances.bed` has the true
instances there: chromosome, start, end, motif, strength (log-odds, natural logarithm) and strand.
"""

import io
import math
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.launch import launch
from experiments.prepare import counts_of, gc_summary, positives_of
from experiments.stages import Stages
from fprior.data.dataset import save_dataset
from fprior.data.motif_scan import SHIPPED
from fprior.data.motif_simulation import MotifSimulation, motif_of, simulate_motif
from fprior.data.regions import INSTANCES
from fprior.data.simulation import Motif
from fprior.data.splits import SPLITS, check_disjoint
from fprior.errors import InputError
from fprior.files import sha256
from fprior.report.data_figure import data_figure
from fprior.report.figures import to_svg

CHROMOSOME = "simulated"
PIECE = 500  # sequences simulated at a time


def main(config: ConfigDict) -> None:
    check_simulate(config)
    simulate, window = config.simulate, window_of(config)
    stage = Stages()
    with stage("reading the motif"):
        motif = motif_of(simulate.motif_file, simulate.motif)
        check_inside(config, motif)
    with stage("simulating"):
        splits = split_of(simulate)
        data = simulate_all(simulate, motif, window, splits)
    with stage("writing"):
        loci = loci_of(data, splits, window)
        gc = np.isin(data.tokens, (1, 2)).mean(axis=1)
        manifest = describe(simulate, motif, data, loci, gc, window)
        files = {
            INSTANCES: instances_bed(motif, data, window),
            "data.svg": to_svg(data_figure(gc, positives_of(loci), manifest["loci"])),
        }
        save_dataset(simulate.output, manifest, data.tokens.reshape(-1), loci, extra_files=files)
    print_summary(simulate.output, manifest)
    stage.print()


def check_simulate(config: ConfigDict) -> None:
    """Checks what only this command needs."""
    simulate = config.simulate
    for name in ("output", "name", "motif", "task"):
        if not simulate[name]:
            raise InputError(f"config.simulate.{name} is empty; set it")
    if Path(simulate.output).exists():
        raise InputError(f"config.simulate.output (={simulate.output!r}) exists already; delete it or choose another")
    if 0 in np.bincount(split_of(simulate)[::2], minlength=len(SPLITS)):
        raise InputError(
            f"config.simulate.fractions (={simulate.fractions}) of config.simulate.sequences (={simulate.sequences})"
            " leave a split without sequences; raise them"
        )


def check_inside(config: ConfigDict, motif: Motif) -> None:
    """Raises InputError if an input without jitter may cut an instance, or the instances do not fit."""
    simulate, length = config.simulate, config.data.input_length
    region = len(motif) + 2 * simulate.reach
    if region > length:
        raise InputError(
            f"config.simulate.reach (={simulate.reach}) must be at most {(length - len(motif)) // 2}, so that instances"
            f" of {simulate.motif} ({len(motif)} bases) lie inside config.data.input_length (={length})"
        )
    if simulate.instances * len(motif) > region:
        raise InputError(
            f"config.simulate.instances (={simulate.instances}) of {simulate.motif} ({len(motif)} bases) must fit into"
            f" {region} bases; set a larger config.simulate.reach"
        )


def window_of(config: ConfigDict) -> int:
    """Bases of a sequence: what `config.data` reads, wherever jitter puts it."""
    return config.data.input_length + 2 * config.data.jitter


def split_of(simulate: ConfigDict) -> np.ndarray:
    """The split `(N,)` uint8 of each sequence: pairs of a positive and a negative, in order."""
    pairs = simulate.sequences // 2
    edges = [round(math.fsum(simulate.fractions[:parts]) * pairs) for parts in range(1, len(SPLITS))]
    return np.repeat(np.searchsorted(edges, np.arange(pairs), side="right").astype(np.uint8), 2)


def simulate_all(simulate: ConfigDict, motif: Motif, window: int, splits: np.ndarray) -> MotifSimulation:
    """All sequences; the background of positives is biased in the splits that the config names."""
    parts, edges = [], np.flatnonzero(np.diff(splits, prepend=splits[0])).tolist()
    firsts = sorted({*range(0, len(splits), PIECE), *edges})
    with tqdm(total=len(splits), desc="simulating", unit="sequence", disable=None) as bar:
        for first, end in zip(firsts, [*firsts[1:], len(splits)], strict=True):
            biased = SPLITS[splits[first]] in simulate.gc_bias_in
            part = simulate_motif(
                motif,
                end - first,
                window,
                seed=simulate.seed,
                first=first,
                instances=simulate.instances,
                reach=simulate.reach,
                background=simulate.background,
                gc_bias=simulate.gc_bias if biased else 0.0,
            )
            part.instances["sequence"] = first + part.instances["sequence"]
            parts.append(part)
            bar.update(end - first)
    return MotifSimulation(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.labels for part in parts]),
        {name: np.concatenate([part.instances[name] for part in parts]) for name in parts[0].instances},
    )


def loci_of(data: MotifSimulation, splits: np.ndarray, window: int) -> dict[str, np.ndarray]:
    """The columns of the data set; the signal of a positive is the total strength of its instances."""
    count = len(data.labels)
    start = window * np.arange(count)
    strength = np.bincount(data.instances["sequence"], data.instances["strength"], minlength=count)
    return {
        "chromosome": np.full(count, CHROMOSOME),
        "start": start,
        "end": start + window,
        "offset": start,
        "split": splits,
        "labels": data.labels[:, None],
        "signal": np.where(data.labels == 1, strength, np.nan).astype(np.float32),
    }


def instances_bed(motif: Motif, data: MotifSimulation, window: int) -> str:
    """The instances as BED6."""
    columns = (data.instances[name].tolist() for name in ("sequence", "start", "reverse", "strength"))
    with io.StringIO() as text:
        for sequence, start, reverse, strength in zip(*columns, strict=True):
            start += window * sequence
            strand = "-" if reverse else "+"
            text.write(f"{CHROMOSOME}\t{start}\t{start + len(motif)}\t{motif.name}\t{strength:.4f}\t{strand}\n")
        return text.getvalue()


def describe(
    simulate: ConfigDict, motif: Motif, data: MotifSimulation, loci: dict, gc: np.ndarray, window: int
) -> dict:
    """The manifest."""
    shipped = SHIPPED / f"{simulate.motif_file}.meme"
    source = shipped if shipped.is_file() else Path(simulate.motif_file)
    return {
        "name": simulate.name,
        "window": window,
        "tasks": [simulate.task],
        "settings": {"loci": "simulated", "background": "random"},
        "simulation": {name: value for name, value in simulate.items() if name not in ("output", "motif_file")},
        "motif": {"name": motif.name, "frequencies": motif.frequencies.round(6).tolist()},
        "inputs": {"motifs": {"file": source.name, "sha256": sha256(source)}},
        "instances": len(data.instances["start"]),
        "peaks": int(data.labels.sum()),  # what the format calls the candidates for positives; all are kept
        "dropped": {},
        "background": {},
        "loci": counts_of(loci),
        "leakage": {
            "windows_checked": check_disjoint(loci["chromosome"], loci["start"], loci["end"], loci["split"]),
            "overlaps_between_splits": 0,
        },
        "chromosome_sizes": {CHROMOSOME: int(loci["end"][-1])},
        "gc": gc_summary(gc, positives_of(loci)),
    }


def print_summary(output: str, manifest: dict) -> None:
    rows = []
    for split, counts in manifest["loci"].items():
        rows += [(f"{count:,}", f"{kind} to {split}") for kind, count in counts.items()]
    rows.append((f"{manifest['instances']:,}", f"instances of {manifest['motif']['name']}"))
    rows += [(f"{gc['mean']:.3f}", f"mean GC of {kind}") for kind, gc in manifest["gc"].items()]
    width = max(len(number) for number, _ in rows)
    print(output, *(f"  {number:>{width}}  {text}" for number, text in rows), sep="\n")


if __name__ == "__main__":
    launch(main)
