"""A prepared data set, which is a directory of

    manifest.json   what it is made of: inputs with checksums, settings, counts of everything kept and dropped
    tokens.npy      uint8 `(bases,)`: the letters of all stored windows, overlapping windows stored once
    loci.npz        parallel arrays, one element a locus (`Loci columns` below)

`tokens.npy.gz` stands for `tokens.npy` where size matters more than being mapped into memory.
"""

import gzip
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fprior.errors import InputError
from fprior.files import new_directory, sha256, write_json

FORMAT = 1
SHIPPED = Path(__file__).parent.parent / "datasets"

# Loci columns: name → (dtype kind, trailing dimensions). `start` and `end` bound the stored window, `offset` is
# where it starts in the tokens, `split` is 0 train, 1 valid, 2 test, `labels` are 1, 0, or −1 for ambiguous.
_COLUMNS = {
    "chromosome": "U",
    "start": "i",
    "end": "i",
    "offset": "i",
    "split": "u",
    "labels": "i",
    "signal": "f",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as read from its directory; `loci` maps each column's name to its array `(N, …)`."""

    path: Path
    manifest: Mapping[str, Any]
    tokens: np.ndarray
    loci: Mapping[str, np.ndarray]

    @property
    def window(self) -> int:
        """Bases stored for every locus: the longest input plus twice the largest jitter."""
        return self.manifest["window"]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.manifest["tasks"])

    def select(self, split: int, *, positive: bool) -> np.ndarray:
        """Indices of the split's loci that are positive in some task, or negative in every task."""
        labels = self.loci["labels"]
        wanted = (labels == 1).any(axis=1) if positive else (labels == 0).all(axis=1)
        return np.flatnonzero(wanted & (self.loci["split"] == split))

    def centred(self, indices: np.ndarray, length: int) -> np.ndarray:
        """Tokens `(n, length)` of the middle of the stored windows of these loci."""
        first = self.loci["offset"][indices] + (self.window - length) // 2
        return np.asarray(self.tokens[first[:, None] + np.arange(length)])

    def interval(self, indices: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chromosome, start and end of what `centred` returns."""
        start = self.loci["start"][indices] + (self.window - length) // 2
        return self.loci["chromosome"][indices], start, start + length


def open_dataset(name: str | os.PathLike) -> Dataset:
    """Opens a data set by its directory, or by its name if it ships with the package.

    Raises:
      InputError: there is no such data set, or it is damaged; the message names the file and the remedy.
    """
    path = Path(name)
    if not path.exists() and (SHIPPED / path.name).is_dir() and path.name == str(name):
        path = SHIPPED / path
    manifest_path = path / "manifest.json"
    if not manifest_path.is_file():
        shipped = sorted(p.name for p in SHIPPED.iterdir()) if SHIPPED.is_dir() else []
        raise InputError(
            f"{name}: no data set is there (no manifest.json); make one with `python -m experiments.prepare`,"
            f" or use one that ships with fprior: {', '.join(shipped)}"
        )
    try:
        manifest = json.loads(manifest_path.read_text())
    except ValueError as error:
        raise InputError(f"{manifest_path}: not JSON ({error}); prepare the data set again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{manifest_path}: not a data set of format {FORMAT}; prepare it again with this version")
    absent = [name for name in ("window", "tasks", "bases", "files") if name not in manifest]
    if absent:
        raise InputError(f"{manifest_path}: {absent[0]!r} is missing; prepare the data set again")
    for file, checksum in manifest["files"].items():
        # Checking 3 GB of tokens at every start would take longer than reading them: their size is checked below.
        if not (path / file).is_file():
            raise InputError(f"{path / file}: missing, but the manifest lists it; prepare the data set again")
        if file == "loci.npz" and sha256(path / file) != checksum:
            raise InputError(f"{path / file}: its checksum is not the manifest's; prepare the data set again")
    try:
        with np.load(path / "loci.npz", allow_pickle=False) as archive:
            loci = {column: archive[column] for column in _COLUMNS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path / 'loci.npz'}: cannot be read ({error}); prepare the data set again") from error
    tokens = _load_tokens(path, manifest)
    return Dataset(path, manifest, tokens, loci)


def _load_tokens(path: Path, manifest: Mapping[str, Any]) -> np.ndarray:
    (name,) = (file for file in manifest["files"] if file.startswith("tokens.npy"))
    try:
        if name.endswith(".gz"):
            with gzip.open(path / name) as file:
                tokens = np.lib.format.read_array(file, allow_pickle=False)
                file.read(1)  # gzip compares the checksum where the file ends
        else:
            tokens = np.load(path / name, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path / name}: cannot be read ({error}); prepare the data set again") from error
    if tokens.dtype != np.uint8 or tokens.shape != (manifest["bases"],):
        raise InputError(
            f"{path / name}: holds {tokens.dtype} {tokens.shape}, the manifest says {manifest['bases']} bases;"
            " prepare the data set again"
        )
    return tokens


def save_dataset(
    path: str | os.PathLike,
    manifest: Mapping[str, Any],
    tokens: np.ndarray,
    loci: Mapping[str, np.ndarray],
    *,
    compress: bool = False,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Writes a data set directory in one step: it is there whole or not at all.

    Args:
      path: the directory, which must not exist.
      manifest: `name`, `window`, `tasks` and whatever else tells where the data come from; the format, the
        number of bases and the checksums of the files are added.
      tokens: uint8 `(bases,)`.
      loci: the columns of the module's docstring.
      compress: write `tokens.npy.gz`.
      extra_files: name → text of files to put beside them (terms, figures).

    Raises:
      InputError: the directory exists or cannot be written.
    """
    if set(loci) != set(_COLUMNS) or any(loci[name].dtype.kind != kind for name, kind in _COLUMNS.items()):
        raise ValueError(f"loci must have exactly the columns {_COLUMNS}")
    if Path(path).exists():
        raise InputError(f"{path}: exists already; delete it or choose another output")
    try:
        with new_directory(path) as directory:
            _write_files(directory, manifest, tokens, loci, compress, extra_files or {})
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error


def _write_files(
    directory: Path,
    manifest: Mapping[str, Any],
    tokens: np.ndarray,
    loci: Mapping[str, np.ndarray],
    compress: bool,
    extra_files: Mapping[str, str],
) -> None:
    if compress:
        # No file name and no time in the header: the same data give the same bytes.
        with open(directory / "tokens.npy.gz", "wb") as raw:
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
                np.lib.format.write_array(file, tokens, allow_pickle=False)
    else:
        np.save(directory / "tokens.npy", tokens, allow_pickle=False)
    np.savez_compressed(directory / "loci.npz", allow_pickle=False, **loci)
    for name, text in extra_files.items():
        (directory / name).write_text(text)
    checksums = {file.name: sha256(file) for file in sorted(directory.iterdir())}
    write_json(
        directory / "manifest.json",
        {"format": FORMAT, **manifest, "bases": len(tokens), "files": checksums},
    )
