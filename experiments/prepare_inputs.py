"""Makes sure that the input files of `experiments.prepare` stay what they are while it reads them."""

import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fprior.errors import InputError

Stamp = tuple[int, ...] | None


def stamps_of(paths: Iterable[str]) -> dict[str, Stamp]:
    """What tells each file from another in its place, or from itself after a change: device, number, size, time."""
    return {path: _stamp(path) for path in paths}


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:  # whoever reads the file says so
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def unchanged_after(pieces: Iterable[np.ndarray], stamps: Mapping[str, Stamp]) -> Iterator[np.ndarray]:
    """The pieces, the last that are read.

    Raises:
      InputError: after them, if one of the files is no longer as it was when the stamps were taken.
    """
    yield from pieces
    for path, stamp in stamps.items():
        if _stamp(path) != stamp:
            raise InputError(
                f"{path}: was changed while it was read, so that windows, counts and checksums may come from two files;"
                " prepare again"
            )
