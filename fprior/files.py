"""Writing files and directories so that a reader sees the old state or the new one, never a part."""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fprior.errors import InputError, one_line


def write_atomically(path: str | os.PathLike, content: bytes | str) -> None:
    """Replaces `path` by `content` in one step; on any failure the old file stays as it was."""
    if isinstance(content, str):
        content = content.encode()
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def write_arrays(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a compressed .npz of arrays, none of them pickled, atomically."""
    with new_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


@contextlib.contextmanager
def new_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary file beside `path` that replaces it, synced to disk, when the block ends without error."""
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        yield Path(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only the owner can read
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as comma-separated values: the names of its columns, then its rows; None and NaN are empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None or cell != cell else cell for cell in row] for row in rows)
    return text.getvalue()


def read_json(path: str | os.PathLike, remedy: str) -> Any:
    """The value of a JSON file.

    Raises:
      InputError: the file is missing, or no JSON; the message names it and ends in the remedy.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not JSON ({one_line(error)}); {remedy}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not JSON (nested too deep); {remedy}") from error


@contextlib.contextmanager
def new_directory(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary directory beside `path` that is renamed to `path` when the block ends without error.

    Raises FileExistsError if `path` exists already. If the block fails, nothing is left behind.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 checksum of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
