"""What motif discovery reads: attributions, known motifs and independent regions, checked before anything is found."""

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from ml_collections import ConfigDict

from experiments.attribute import name_of
from experiments.evaluate_places import known_regions
from experiments.motifs_calls import check_reach
from fprior.data.dataset import Dataset
from fprior.data.loci import Loci
from fprior.data.motif_scan import read_all_motifs
from fprior.data.scores import read_scores
from fprior.errors import InputError
from fprior.files import sha256

TOOLS = ("modisco-lite", "memelite")
OF_LOCI = ("split", "loci", "genome", "loci_sha256", "genome_sha256")  # settings that say which loci, not how
NO_MATTER = ("memory_gigabytes",)  # to the scores


class Sources(NamedTuple):
    """Everything that the results depend on.

    run, name: the run, and the attributions that patterns are looked for in.
    what, origin: what was attributed and what the loci are, in words.
    loci, places: columns of the score files for patterns and for instances; the same object if they are the same.
    split: whose positives the loci are, None for the loci of a file.
    window: bases in the middle of each input that patterns are looked for in.
    q_value: at most, of what is called a match or enriched.
    motifs: known ones, name → probabilities `(W, 4)`.
    regions: name → file and regions that instances are held against; none where no_regions says why.
    settings: the same as JSON, with checksums: equal settings give equal results.
    """

    run: str
    name: str
    what: str
    origin: str
    loci: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    split: str | None
    window: int
    q_value: float
    motifs: dict[str, np.ndarray]
    regions: dict[str, tuple[str, Loci]]
    no_regions: str
    settings: dict[str, Any]


def read_sources(config: ConfigDict, dataset: Dataset, path: Path) -> Sources:
    """Reads and checks all of it.

    Raises:
      InputError: a tool is not installed, attributions are missing or were made otherwise, or a file is wrong.
    """
    versions = {tool: version_of(tool) for tool in ("fprior", *TOOLS)}
    name, other = name_of(config), config.motifs.instances
    motifs = read_all_motifs(config.motifs.file)
    loci, attributed = read_attributions(path, name, _expected(config))
    places, placed = loci, attributed
    if other and other != name:
        places, placed = read_attributions(path, other, _how(_expected(config)))
    regions, no_regions = _regions(config, dataset, placed)
    for label, (file, known) in regions.items():
        check_reach(label, file, known, places)
    settings = {
        "motifs": dict(config.motifs),
        "attributions": attributed,
        "instances": placed,
        "known_motifs_sha256": _digest(motifs),
        "regions": {label: {"file": file, "sha256": sha256(file)} for label, (file, _) in regions.items()},
        "versions": versions,
    }
    length = loci["tokens"].shape[1]
    split = None if attributed["settings"]["loci"] else attributed["settings"]["split"]
    return Sources(
        run=path.name,
        name=name,
        what=what_of(config, dataset),
        origin=f"positives of the split {split}" if split else f"loci of {attributed['settings']['loci']}",
        loci=loci,
        places=places,
        split=split,
        window=min(config.motifs.window, length - length % 2),
        q_value=config.motifs.q_value,
        motifs=motifs,
        regions=regions,
        no_regions=no_regions,
        settings=settings,
    )


def _regions(config: ConfigDict, dataset: Dataset, placed: dict[str, Any]) -> tuple[dict[str, tuple[str, Loci]], str]:
    """Regions to hold instances against, and why there are none."""
    if placed["settings"]["loci"]:
        return {}, f"Instances are called in loci of a file ({placed['settings']['loci']}), not in those of a split."
    regions = known_regions(config, dataset)
    return regions, "" if regions else "config.evaluate.regions names no regions."


def what_of(config: ConfigDict, dataset: Dataset) -> str:
    """What was attributed, in words."""
    task = config.attribute.task
    kind = "logit" if config.model.outputs == "labels" else config.attribute.head
    if len(dataset.tasks) == 1:
        return f"the {kind} of {dataset.tasks[0]}"
    return f"the {kind} of {dataset.tasks[task]}" if task >= 0 else f"the {kind}s of all {len(dataset.tasks)} tasks"


def read_attributions(path: Path, name: str, expected: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The columns of attributions_NAME.h5; and its name, checksum and settings.

    Raises:
      InputError: there is none, it is damaged, or one of its settings is not the expected one.
    """
    file = path / f"attributions_{name}.h5"
    if not file.is_file():
        found = sorted(one.stem.removeprefix("attributions_") for one in path.glob("attributions_*.h5"))
        raise InputError(
            f"{file}: missing; run experiments.attribute first, for {name!r} with the same config (there are"
            f" attributions of: {', '.join(found) or 'none'})"
        )
    columns = read_scores(file)
    try:
        with h5py.File(file) as opened:
            settings = json.loads(opened.attrs["settings"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); run experiments.attribute again") from error
    for field, value in expected.items():
        if settings.get(field) != value:
            raise InputError(
                f"{file}: was made with config.attribute.{field}={settings.get(field)!r}, not {value!r}; give the same,"
                " or run experiments.attribute again"
            )
    return columns, {"file": file.name, "sha256": sha256(file), "settings": settings}


def version_of(tool: str) -> str:
    """The version of an installed package.

    Raises:
      InputError: it is not installed.
    """
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError as error:
        raise InputError(f"{tool} is not installed, which motifs need; pip install 'fprior[motifs]'") from error


def _expected(config: ConfigDict) -> dict[str, Any]:
    return {field: value for field, value in config.attribute.items() if field not in NO_MATTER}


def _how(settings: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in settings.items() if field not in OF_LOCI}


def _digest(motifs: dict[str, np.ndarray]) -> str:
    """A checksum of names and probabilities, which is the same wherever the file lies."""
    text = json.dumps({name: np.asarray(matrix).tolist() for name, matrix in motifs.items()})
    return hashlib.sha256(text.encode()).hexdigest()
