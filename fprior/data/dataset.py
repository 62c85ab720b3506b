"""A prepared data set, which is a directory of

    manifest.json   what it is made of: inputs with checksums, settings, counts of everything kept and dropped
    tokens.npy      uint8 `(bases,)`: the letters of all stored windows, overlapping windows stored once
    tracks.npy      unsigned integers `(bases, columns)`, where there are any: counts at the same bases (`TrackLayout`)
    loci.npz        parallel arrays, one element a locus (`COLUMNS` of dataset_checks)

`tokens.npy.gz` stands for `tokens.npy` where size matters more than being mapped into memory, `tracks.npy.gz` likewise.
"""

import contextlib
import gzip
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fprior.data.dataset_checks import COLUMNS as _COLUMNS
from fprior.data.dataset_checks import FORMAT, UNUSED, check_loci, check_manifest
from fprior.data.splits import TRAIN
from fprior.errors import InputError, one_line
from fprior.files import new_directory, read_json, sha256, write_json

SHIPPED = Path(__file__).parent.parent / "datasets"


@dataclass(frozen=True)
class TrackLayout:
    """What the columns of the tracks are: for each task its strands, then the same of the controls.

    `strands` is 1, or 2 for plus and minus. Controls are `"matched"` (those of each task), `"shared"` (one set of
    strands for all tasks) or `"none"`.
    """

    tasks: int
    strands: int
    controls: str

    @property
    def control_sets(self) -> int:
        return {"none": 0, "shared": 1, "matched": self.tasks}[self.controls]

    @property
    def columns(self) -> int:
        return (self.tasks + self.control_sets) * self.strands

    def split(self, counts: Any) -> tuple[Any, Any]:
        """Profiles `(n, T, O, S)` and controls `(n, control sets, O, S)` of counts `(n, O, columns)`, NumPy or JAX."""
        sets = counts.reshape(*counts.shape[:-1], self.tasks + self.control_sets, self.strands)
        sets = sets.swapaxes(-3, -2)
        return sets[..., : self.tasks, :, :], sets[..., self.tasks :, :, :]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as read from its directory; `loci` maps each column's name to its array `(N, …)`."""

    path: Path
    manifest: Mapping[str, Any]
    tokens: np.ndarray
    loci: Mapping[str, np.ndarray]
    tracks: np.ndarray | None = None

    @property
    def window(self) -> int:
        """Bases stored for every locus: the longest input plus twice the largest jitter."""
        return self.manifest["window"]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.manifest["tasks"])

    @property
    def layout(self) -> TrackLayout | None:
        """Of the tracks; None where there are none."""
        described = self.manifest.get("tracks")
        return described and TrackLayout(len(self.tasks), described["strands"], described["controls"])

    @property
    def nbytes(self) -> int:
        """Of tokens and tracks, uncompressed."""
        return self.tokens.nbytes + (0 if self.tracks is None else self.tracks.nbytes)

    def select(self, split: int, *, positive: bool) -> np.ndarray:
        """Indices of the split's loci that are positive in some task, or negative in every task."""
        labels = self.loci["labels"]
        wanted = (labels == 1).any(axis=1) if positive else (labels == 0).all(axis=1)
        return np.flatnonzero(wanted & (self.loci["split"] == split))

    def with_strongest(self, fraction: float) -> "Dataset":
        """The data set whose training positives are the `fraction` of them with the highest signal; no other changes.

        Of equal signals the first are taken, and one positive at least. Raises InputError if `fraction` is below 1 and
        a training positive has no signal.
        """
        positives = self.select(TRAIN, positive=True)
        if fraction == 1 or not len(positives):
            return self
        signal = self.loci["signal"][positives]
        if np.isnan(signal).any():
            raise InputError(
                f"{self.path}: {np.isnan(signal).sum()} of {len(positives)} training positives have no signal, which"
                f" data.top_fraction (={fraction}) needs; prepare from peaks with one, or set top_fraction to 1"
            )
        split = self.loci["split"].copy()
        split[positives[np.argsort(-signal, kind="stable")[max(1, round(fraction * len(positives))) :]]] = UNUSED
        return replace(self, loci={**self.loci, "split": split})

    def centred(self, indices: np.ndarray, length: int) -> np.ndarray:
        """Tokens `(n, length)` of the middle of the stored windows of these loci."""
        first = self.loci["offset"][indices] + (self.window - length) // 2
        return np.asarray(self.tokens[first[:, None] + np.arange(length)])

    def counts(self, indices: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Profiles `(n, T, length, S)` and controls `(n, control sets, length, S)` of the middle of these loci."""
        assert self.layout is not None and self.tracks is not None, "asked of data sets with tracks"
        first = self.loci["offset"][indices] + (self.window - length) // 2
        return self.layout.split(np.asarray(self.tracks[first[:, None] + np.arange(length)]))

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
    manifest = read_json(manifest_path, "prepare the data set again")
    check_manifest(manifest_path, manifest)
    for file, checksum in manifest["files"].items():
        # Checking 3 GB of tokens at every start would take longer than reading them: their size is checked below.
        if not (path / file).is_file():
            raise InputError(f"{path / file}: missing, but the manifest lists it; prepare the data set again")
        if file == "loci.npz" and sha256(path / file) != checksum:
            raise InputError(f"{path / file}: its checksum is not the manifest's; prepare the data set again")
    try:
        with np.load(path / "loci.npz", allow_pickle=False) as archive:
            loci = {column: archive[column] for column in _COLUMNS}
    except Exception as error:  # of a damaged header, NumPy passes on what Python's own parser and zlib raise
        raise InputError(
            f"{path / 'loci.npz'}: cannot be read ({one_line(error)}); prepare the data set again"
        ) from error
    check_loci(path / "loci.npz", manifest, loci)
    shape = (manifest["bases"],)
    tokens = _load_array(path, manifest, "tokens", shape, "u")
    if tokens.dtype != np.uint8:
        raise InputError(f"{path}: its tokens are {tokens.dtype}, not uint8; prepare the data set again")
    dataset = Dataset(path, manifest, tokens, loci)
    if dataset.layout is None:
        return dataset
    tracks = _load_array(path, manifest, "tracks", (*shape, dataset.layout.columns), "u")
    return Dataset(path, manifest, tokens, loci, tracks)


def _load_array(path: Path, manifest: Mapping[str, Any], stem: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """`STEM.npy`, mapped into memory, or `STEM.npy.gz`, read."""
    name = next((file for file in manifest["files"] if file.startswith(f"{stem}.npy")), None)
    if name is None:
        raise InputError(f"{path / 'manifest.json'}: lists no {stem}.npy; prepare the data set again")
    try:
        if name.endswith(".gz"):
            with gzip.open(path / name) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
                file.read(1)  # gzip compares the checksum where the file ends
        else:
            array = np.load(path / name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # as above
        raise InputError(f"{path / name}: cannot be read ({one_line(error)}); prepare the data set again") from error
    if array.dtype.kind != kind or array.shape != shape:
        raise InputError(
            f"{path / name}: holds {array.dtype} {array.shape}, the manifest says {shape}; prepare the data set again"
        )
    return array


def save_dataset(
    path: str | os.PathLike,
    manifest: Mapping[str, Any],
    tokens: np.ndarray | Iterable[np.ndarray],
    loci: Mapping[str, np.ndarray],
    *,
    bases: int | None = None,
    tracks: Iterable[np.ndarray] | None = None,
    track_dtype: Any = np.uint16,
    compress: bool = False,
    extra_files: Mapping[str, str | bytes] | None = None,
) -> None:
    """Writes a data set directory in one step: it is there whole or not at all.

    Args:
      path: the directory, which must not exist.
      manifest: `name`, `window`, `tasks` and whatever else tells where the data come from, with tracks also
        `tracks`: `{"strands": 1 or 2, "controls": "none", "shared" or "matched"}`; the format, the number of bases
        and the checksums of the files are added.
      tokens: uint8 `(bases,)`, or pieces of it in order, so that no more than one has to be in memory.
      loci: the columns of the module's docstring.
      bases: the length of all pieces together, where tokens are pieces.
      tracks: pieces `(n, columns)` of the counts at the same bases, in order.
      track_dtype: unsigned; what the counts are stored as.
      compress: write `tokens.npy.gz` and `tracks.npy.gz`.
      extra_files: name → content of files to put beside them (terms, figures).

    Raises:
      InputError: the directory exists or cannot be written, or a count does not fit into `track_dtype`.
      ValueError: columns or lengths do not fit one another.
    """
    if set(loci) != set(_COLUMNS) or any(loci[name].dtype.kind != kind for name, kind in _COLUMNS.items()):
        raise ValueError(f"loci must have exactly the columns {_COLUMNS}")
    if (tracks is None) != ("tracks" not in manifest):
        raise ValueError("tracks and manifest['tracks'] belong together")
    if isinstance(tokens, np.ndarray):
        tokens, bases = [tokens], len(tokens)
    if bases is None:
        raise ValueError("bases (=None) must be the length of all pieces of tokens together")
    if Path(path).exists():
        raise InputError(f"{path}: exists already; delete it or choose another output")
    try:
        with new_directory(path) as directory:
            _write_pieces(directory / "tokens.npy", tokens, (bases,), np.uint8, compress)
            if tracks is not None:
                layout = TrackLayout(
                    len(manifest["tasks"]), manifest["tracks"]["strands"], manifest["tracks"]["controls"]
                )
                _write_pieces(directory / "tracks.npy", tracks, (bases, layout.columns), track_dtype, compress)
            np.savez_compressed(directory / "loci.npz", allow_pickle=False, **loci)
            for name, content in (extra_files or {}).items():
                (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            checksums = {file.name: sha256(file) for file in sorted(directory.iterdir())}
            write_json(directory / "manifest.json", {"format": FORMAT, **manifest, "bases": bases, "files": checksums})
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another output") from error


def _write_pieces(path: Path, pieces: Iterable[np.ndarray], shape: tuple[int, ...], dtype: Any, compress: bool) -> None:
    """Writes an array of that shape piece by piece, as `PATH` or `PATH.gz`."""
    dtype, rows = np.dtype(dtype), 0
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(f"{path}.gz" if compress else path, "wb"))
        if compress:
            # No file name and no time in the header: the same data give the same bytes.
            file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for piece in pieces:
            if piece.shape[1:] != shape[1:]:
                raise ValueError(f"a piece for {path.name} has the shape {piece.shape}, not {('n', *shape[1:])}")
            if piece.dtype != dtype and piece.size and piece.max() > np.iinfo(dtype).max:
                raise InputError(f"a count of {piece.max()} does not fit into {dtype}; store it as a wider integer")
            if piece.dtype.kind != "u" and piece.size and not (piece.min() >= 0 and np.array_equal(piece, piece // 1)):
                raise InputError(f"a piece for {path.name} has values that are no counts; give whole numbers from 0")
            file.write(np.ascontiguousarray(piece, dtype).tobytes())
            rows += len(piece)
    if rows != shape[0]:
        raise ValueError(f"the pieces for {path.name} have {rows} rows together, not {shape[0]}")
