"""What must hold of a data set's manifest and loci before anything is read by them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fprior.errors import InputError

FORMAT = 1
CONTROLS = ("none", "shared", "matched")
UNUSED = 255  # in place of a split, for loci that are left out

# Loci columns: name → dtype kind. `start` and `end` bound the stored window, `offset` is where it starts in the
# tokens, `split` is 0 train, 1 valid, 2 test, `labels` `(N, T)` are 1, 0, or −1 for ambiguous.
COLUMNS = {
    "chromosome": "U",
    "start": "i",
    "end": "i",
    "offset": "i",
    "split": "u",
    "labels": "i",
    "signal": "f",
}
_AGAIN = "prepare the data set again"


def check_manifest(path: Path, manifest: Any) -> None:
    """Raises InputError, which names the file `path`, unless the manifest says all that reading needs."""
    if not isinstance(manifest, dict) or not _is_count(manifest.get("format")) or manifest["format"] != FORMAT:
        raise InputError(f"{path}: not a data set of format {FORMAT}; prepare it again with this version")
    absent = [name for name in ("window", "tasks", "bases", "files") if name not in manifest]
    if absent:
        raise InputError(f"{path}: {absent[0]!r} is missing; {_AGAIN}")
    files, tasks = manifest["files"], manifest["tasks"]
    wrong = {
        "window": not _is_count(manifest["window"]) or manifest["window"] < 1,
        "bases": not _is_count(manifest["bases"]),
        "tasks": not isinstance(tasks, list) or not tasks or not all(isinstance(task, str) and task for task in tasks),
        "files": not isinstance(files, dict) or not all(_is_entry(*entry) for entry in files.items()),
        "tracks": not _are_tracks(manifest.get("tracks")),
        "chromosome_sizes": not _are_sizes(manifest.get("chromosome_sizes", {})),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"{path}: {name!r} is not what experiments.prepare writes there; {_AGAIN}")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_entry(name: str, checksum: Any) -> bool:
    """Whether it is a file of the directory itself, and no path that leads out of it."""
    return name.isprintable() and name == Path(name).name and isinstance(checksum, str)


def _are_tracks(value: Any) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and type(value.get("strands")) is int
        and value["strands"] in (1, 2)
        and isinstance(value.get("controls"), str)
        and value["controls"] in CONTROLS
    )


def _are_sizes(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_count(size) for size in value.values())


def check_loci(path: Path, manifest: Mapping[str, Any], loci: Mapping[str, np.ndarray]) -> None:
    """Raises InputError, which names the file `path`, unless the columns fit one another and the manifest."""
    count, window = loci["start"].shape[:1], manifest["window"]
    for name, values in loci.items():
        shape = (*count, len(manifest["tasks"])) if name == "labels" else count
        if values.dtype.kind != COLUMNS[name] or not count or values.shape != shape:
            raise InputError(
                f"{path}: {name} holds {values.dtype} {values.shape}, which does not fit the other columns or the"
                f" manifest; {_AGAIN}"
            )
    wrong = {
        "chromosome": np.array([not name.isprintable() for name in np.unique(loci["chromosome"]).tolist()]),
        "start": (loci["start"] < 0) | (loci["start"] > 2**62),
        "end": loci["end"] - window != loci["start"],
        "offset": (loci["offset"] < 0) | (loci["offset"] > manifest["bases"] - window),
        "split": (loci["split"] > 2) & (loci["split"] != UNUSED),
        "labels": (loci["labels"] < -1) | (loci["labels"] > 1),
        "signal": np.isinf(loci["signal"]),
    }
    for name, rows in wrong.items():
        if rows.any():
            raise InputError(f"{path}: {rows.sum()} values of {name} are none that prepare writes; {_AGAIN}")
