"""Finds motifs in a run's attributions: TF-MoDISco's patterns, what they resemble, where they lie.

    python -m experiments.motifs --config=configs/NAME.py --workdir=runs/NAME [--config.motifs.field=value …]

Reads attributions_NAME.h5 of the run, where NAME is that of `experiments.attribute` with the same config, and writes to
the run's directory motifs_NAME/, whole or not at all:

    patterns.h5      the patterns as modisco-lite writes them, with their seqlets
    patterns.meme    their trimmed probabilities, to scan other sequences with
    seqlets.bed      the pieces of the inputs that patterns are made of
    matches.csv      the known motifs (`config.motifs.file`) that each pattern resembles, with q-values
    instances.bed    where the patterns lie, with contribution match, sequence match, importance, and the input
    recall.csv       how many of `config.evaluate.regions` the most important instances reach
    baseline.csv     known motifs that a plain scan finds enriched in the same sequences, without a model
    motifs.json      all settings, versions, counts, time and memory
    motifs.html      all of it on one page, with logos

Instances are called in the loci that the patterns come from, or in those of another file of the same model, such as
patterns of training peaks in test peaks: `--config.attribute.split=train --config.motifs.instances=test`. Finished
patterns are not looked for again unless the attributions or a setting changed. That nothing is found is a result: the
page says why that may be.
"""

import contextlib
import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments.build import dataset_of
from experiments.compare_training import Stopped, stopping
from experiments.launch import launch
from experiments.motifs_calls import as_bed, instances_of, recall_of, seqlets_of
from experiments.motifs_page import motifs_page
from experiments.motifs_results import (
    BASELINE_COLUMNS,
    MATCH_COLUMNS,
    RECALL_COLUMNS,
    Result,
    recall_rows,
    record_of,
)
from experiments.motifs_sources import Sources, read_sources
from experiments.run_directory import alone, finished_run, provenance
from fprior.data.dataset import Dataset
from fprior.data.splits import SPLITS
from fprior.files import csv_text, read_json, write_atomically, write_json
from fprior.motifs.discovery import discover, why_none
from fprior.motifs.enrichment import enrichment
from fprior.motifs.matching import match
from fprior.motifs.patterns import write_meme

RECORD, PAGE = "motifs.json", "motifs.html"
STOPPED_STATUS = 1
AGAIN = "delete its directory: the motifs are found again"


def main(config: ConfigDict, workdir: str | None) -> None:
    path = finished_run(workdir, config)
    try:
        with stopping():
            folder = motifs_of_run(config, dataset_of(config), path, "motifs")
    except Stopped:
        print(f"{path}: stopped; nothing was written, and the same command begins again", file=sys.stderr)
        sys.exit(STOPPED_STATUS)
    print(*summary(read_json(folder / RECORD, AGAIN), folder), sep="\n")


def motifs_of_run(config: ConfigDict, dataset: Dataset, path: Path, command: str) -> Path:
    """Writes the motifs of the run in that directory, if they are not there; returns their directory.

    Args:
      command: the name of the command that asks for them, for their record.

    Raises:
      InputError: what they are found in is missing or wrong, or another process makes them.
    """
    sources = read_sources(config, dataset, path)
    folder = path / f"motifs_{sources.name}"
    with locked(folder):
        if is_current(folder, sources.settings):
            print(f"{folder}: made before from the same attributions with the same settings", file=sys.stderr)
        else:
            with replaced(folder) as fresh:
                write_all(find(config, dataset, sources, fresh), provenance(command, config), fresh)
    return folder


# ---- one process, and whole or not at all


def locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Holds the results for this process alone.

    Raises:
      InputError: the run's directory cannot be written, or another process uses it for the same.
    """
    lock = folder.with_name(f".{folder.name}.lock")
    return alone(lock, str(folder), f"make {folder.parent} writable", "another process is making it; wait for that one")


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A directory that takes the place of `folder` when the block ends without error; else nothing is left of it.

    Its names are fixed, so that what a killed process left behind goes too; `locked` keeps others away.
    """
    fresh, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)


def is_current(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the results there are of these settings, which include the checksums of all that is read."""
    record = folder / RECORD
    return record.is_file() and read_json(record, AGAIN)["settings"] == json.loads(json.dumps(settings))


# ---- what is found


def find(config: ConfigDict, dataset: Dataset, sources: Sources, folder: Path) -> Result:
    """Everything, in the order of the page; patterns.h5 is written on the way."""
    loci = sources.loci
    seconds: dict[str, float] = {}
    read = loci["tokens"], loci["hypothetical"], folder / "patterns.h5"
    with timed(seconds, f"patterns in {len(loci['start']):,} loci"):
        patterns = discover(
            *read,
            window=sources.window,
            max_seqlets=config.motifs.max_seqlets,
            leiden_runs=config.motifs.leiden_runs,
        )
        none = None if patterns else why_none(*read, window=sources.window)
    with timed(seconds, f"matches to {len(sources.motifs):,} known motifs"):
        matches = match(patterns, sources.motifs) if patterns else {}
    with timed(seconds, f"instances in {len(sources.places['start']):,} loci"):
        instances = instances_of(patterns, sources.places)
        positive = [one.name for one in patterns if one.sign > 0]
        recall = {
            name: recall_of(instances, positive, regions, sources.places)
            for name, (_, regions) in sources.regions.items()
        }
    with timed(seconds, "the scan without a model"):
        negatives = negatives_of(dataset, sources)
        baseline = enrichment(loci["tokens"], negatives, sources.motifs) if len(negatives) else []
    seqlets = seqlets_of(patterns, loci)
    return Result(sources, patterns, none, matches, seqlets, instances, recall, baseline, len(negatives), seconds)


@contextlib.contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Says on standard error what is being done, and notes how long it took."""
    print(what, file=sys.stderr, flush=True)
    start = time.monotonic()
    yield
    seconds[what] = round(time.monotonic() - start, 1)


def negatives_of(dataset: Dataset, sources: Sources) -> np.ndarray:
    """Tokens `(Q, L)` of the negatives of the split whose positives the loci are; none for the loci of a file."""
    length = sources.loci["tokens"].shape[1]
    if sources.split is None:
        return np.empty((0, length), np.int8)
    return dataset.centred(dataset.select(SPLITS.index(sources.split), positive=False), length)


def write_all(result: Result, made: dict[str, Any], folder: Path) -> None:
    """Writes all but patterns.h5, which is there; `made` is how."""
    write_meme(folder / "patterns.meme", result.patterns)
    write_atomically(folder / "seqlets.bed", as_bed(result.seqlets))
    write_atomically(folder / "instances.bed", as_bed(result.instances))
    best = [match for one in result.patterns for match in result.matches[one.name]]
    write_atomically(folder / "matches.csv", csv_text(MATCH_COLUMNS, map(astuple, best)))
    write_atomically(folder / "recall.csv", csv_text(RECALL_COLUMNS, recall_rows(result.recall)))
    write_atomically(folder / "baseline.csv", csv_text(BASELINE_COLUMNS, map(astuple, result.baseline)))
    record = record_of(result, made, peak_memory())
    write_atomically(folder / PAGE, motifs_page(result, record))
    write_json(folder / RECORD, record)


def peak_memory() -> float:
    """The most memory that this process or one that it started took, in gigabytes."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6


def summary(record: dict[str, Any], folder: Path) -> list[str]:
    """What there is to say about the results."""
    lines = [f"{folder / PAGE}"]
    if record["why_none"]:
        lines.append(f"  no pattern found: {record['why_none']}")
    for one in record["patterns"]:
        best = next(iter(one["matches"]), None)
        like = f"{best['motif']} (q = {best['q_value']:.1e})" if best else "nothing known"
        counts = f"{one['seqlets']:6,} seqlets, {one['instances']:6,} instances"
        lines.append(f"  {one['name']:12} {counts}; most like {like}")
    for name, one in record["recall"].items():
        reached = f"{one['reached']:,} of {one['regions_at_loci']:,} regions"
        lines.append(f"  {name}: {one['calls']:,} calls reach {reached}, at random places {one['reached_at_random']:,}")
    took = sum(record["seconds"].values())
    return [*lines, f"  {took:.0f} s, {record['peak_memory_gigabytes']:.1f} GB"]


if __name__ == "__main__":
    launch(main, workdir="directory of a trained run")
