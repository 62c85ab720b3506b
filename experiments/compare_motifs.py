"""The motifs of a comparison's models: found as `experiments.motifs` finds them, and read back."""

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.build import dataset_of
from experiments.compare_measures import BAR, Models
from experiments.compare_results import FoundPattern, ModelMotifs, Reached
from experiments.motifs import AGAIN, RECORD, motifs_of_run
from experiments.motifs_sources import TOOLS, version_of
from fprior.data.motif_scan import read_all_motifs
from fprior.errors import InputError
from fprior.files import read_json
from fprior.motifs.patterns import Pattern, read_patterns

ONLY_NEGATIVE = "All patterns found argue against the prediction."


def check_motifs(config: ConfigDict) -> None:
    """Raises InputError if motifs could not be found after the training: a tool, a file or a setting is wrong."""
    for tool in TOOLS:
        version_of(tool)
    read_all_motifs(config.motifs.file)
    if config.motifs.instances not in ("", config.evaluate.split):
        raise InputError(
            f"config.motifs.instances (={config.motifs.instances!r}) must be empty: a comparison calls instances in the"
            " positives of config.evaluate.split"
        )


def motifs_of_all(config: ConfigDict, models: Models) -> list[ModelMotifs]:
    """The motifs of all models, in order; those that were found before with the same settings are read.

    The search may fail in the attributions of a single model, such as one that learned nothing: the others go on.

    Raises:
      InputError: it fails for every model.
    """
    dataset, found = dataset_of(config), []
    with tqdm(models, bar_format=BAR, desc="motifs", disable=None, file=sys.stderr) as bar:
        for condition, one, path in bar:
            try:
                folder = motifs_of_run(one, dataset, path, "compare")
            except InputError as error:
                print(f"{path}: its motifs could not be looked for: {error}", file=sys.stderr)
                found.append(ModelMotifs(condition, one.seed, path, (), str(error), True, {}, {}))
            else:
                found.append(read_motifs(folder, condition, one.seed))
    if found and all(model.failed for model in found):
        raise InputError(f"motifs could be looked for in none of the models: {found[0].path}: {found[0].why_none}")
    return found


def read_motifs(folder: Path, condition: str, seed: int) -> ModelMotifs:
    """What `experiments.motifs` wrote to a directory."""
    record = read_json(folder / RECORD, AGAIN)
    known = {one["name"]: one for one in record["patterns"]}
    patterns = tuple(
        _found(known[one.name], one)
        for one in read_patterns(folder / "patterns.h5", 0)  # where its seqlets lie is not asked
        if one.sign > 0
    )
    return ModelMotifs(
        condition,
        seed,
        folder / "motifs.html",
        patterns,
        "" if patterns else record["why_none"] or ONLY_NEGATIVE,
        False,
        _recall(folder, record["recall"]),
        {row["motif"]: float(row["q_value"]) for row in _rows(folder / "baseline.csv")},
    )


def _found(known: Mapping[str, Any], one: Pattern) -> FoundPattern:
    matches = {match["motif"]: match["q_value"] for match in known["matches"]}
    numbers = known["seqlets"], known["instances"], known["information_bits"]
    return FoundPattern(one.name, one.contributions, one.trimmed(), *numbers, matches)


def _recall(folder: Path, ends: Mapping[str, Mapping[str, Any]]) -> dict[str, Reached]:
    """The curves of recall.csv, whose rows are in the order of the calls; empty ones where nothing is called."""
    curves: dict[str, list[tuple[int, int]]] = {name: [] for name in ends}
    for row in _rows(folder / "recall.csv"):
        curves[row["regions"]].append((int(row["reached"]), int(row["reached_at_random"])))
    points = {name: np.array(values, np.int64).reshape(-1, 2).T for name, values in curves.items()}
    return {name: Reached(points[name][0], points[name][1], end["regions_at_loci"]) for name, end in ends.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
