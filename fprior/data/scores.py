"""Attribution scores on disk: HDF5 with their loci, BigWig for genome browsers, arrays for TF-MoDISco."""

import os
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pyBigWig

from fprior.errors import InputError, one_line
from fprior.files import new_file, write_arrays
from fprior.sequence import UNKNOWN

# Columns of a score file, one row a locus; `scores` of METHOD.md are hypothetical contributions times the sequence.
COLUMNS = {
    "chromosome": "chromosome",
    "start": "first base of the input, 0-based",
    "end": "one after its last base",
    "strand": "strand that was read",
    "tokens": "0 … 3 for A, C, G, T and 4 for unknown, (N, L)",
    "hypothetical": "hypothetical contributions, (N, L, 4)",
    "contributions": "contributions of the bases that are there, (N, L)",
    "output": "the number that was attributed: the model's output for the locus",
    "completeness_error": "sum of contributions less the difference of the output from the references' mean output",
}
_KINDS = {"chromosome": "U", "strand": "U", "start": "iu", "end": "iu", "tokens": "u"}  # the others are real numbers


def actual_contributions(hypothetical: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The contributions `(N, L)` of the bases that are there, 0 where they are unknown."""
    known = tokens != UNKNOWN
    chosen = np.take_along_axis(hypothetical, np.where(known, tokens, 0)[..., None].astype(np.int64), -1)[..., 0]
    return np.where(known, chosen, 0).astype(np.float32)


def write_scores(path: str | os.PathLike, columns: Mapping[str, np.ndarray], attributes: Mapping[str, str]) -> None:
    """Writes an HDF5 file with the columns of `COLUMNS`, whole or not at all; `attributes` say how they were made."""
    if set(columns) != set(COLUMNS):
        raise ValueError(f"columns must be {sorted(COLUMNS)}, not {sorted(columns)}")
    with new_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(attributes)
        for name, values in columns.items():
            text = values.dtype.kind == "U"
            data = values.astype(h5py.string_dtype()) if text else values
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if values.ndim > 1 else {}
            file.create_dataset(name, data=data, **packed).attrs["meaning"] = COLUMNS[name]


def read_scores(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The columns that `write_scores` wrote.

    Raises:
      InputError: the file is missing, damaged or no score file; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; experiments.attribute writes it")
    try:
        with h5py.File(path) as file:
            columns = {name: _column(file[name]) for name in COLUMNS}
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{path}: cannot be read as a score file ({one_line(error)}); run experiments.attribute again"
        ) from error
    count, length = columns["tokens"].shape if columns["tokens"].ndim == 2 else (0, 0)
    shapes = {"tokens": (count, length), "contributions": (count, length), "hypothetical": (count, length, 4)}
    for name, values in columns.items():
        if values.shape != shapes.get(name, (count,)) or values.dtype.kind not in _KINDS.get(name, "f"):
            raise InputError(
                f"{path}: {name} holds {values.dtype} {values.shape}, which does not fit the other columns; run"
                " experiments.attribute again"
            )
    return columns


def _column(data: h5py.Dataset) -> np.ndarray:
    return data.asstr()[:].astype(str) if data.dtype.kind == "O" else data[:]


def write_bigwig(path: str | os.PathLike, columns: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> int:
    """Writes the contributions as a BigWig track; where inputs overlap, their mean. Returns how many bases overlap.

    Args:
      path: the file, written whole or not at all.
      columns: of a score file.
      sizes: chromosome → length.
    """
    overlapping = 0
    with new_file(path) as temporary, pyBigWig.open(str(temporary), "w") as file:
        chromosomes = sorted(set(columns["chromosome"]))
        file.addHeader([(name, int(sizes[name])) for name in chromosomes])
        for name in chromosomes:
            rows = columns["chromosome"] == name
            length = columns["contributions"].shape[1]
            positions = (columns["start"][rows][:, None] + np.arange(length)).ravel()
            bases, index, counts = np.unique(positions, return_inverse=True, return_counts=True)
            values = np.bincount(index, columns["contributions"][rows].ravel().astype(np.float64)) / counts
            overlapping += int((counts > 1).sum())
            for run in np.split(np.arange(len(bases)), np.flatnonzero(np.diff(bases) != 1) + 1):
                file.addEntries(name, int(bases[run[0]]), values=values[run].tolist(), span=1, step=1)
    return overlapping


def write_modisco(folder: str | os.PathLike, stem: str, columns: Mapping[str, np.ndarray]) -> tuple[Path, Path]:
    """Writes what modisco-lite reads, `STEM_sequences.npz` and `STEM_hypothetical.npz`, both `(N, 4, L)`."""
    one_hot = (columns["tokens"][:, None, :] == np.arange(4)[:, None]).astype(np.int8)
    paths = Path(folder) / f"{stem}_sequences.npz", Path(folder) / f"{stem}_hypothetical.npz"
    for path, array in zip(paths, (one_hot, columns["hypothetical"].swapaxes(1, 2)), strict=True):
        write_arrays(path, {"arr_0": array})
    return paths
