"""A reference genome in 2bit, as one-byte tokens; needs py2bit, of the extra `formats`."""

import importlib
import os
import struct
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from fprior.data.genome import Genome
from fprior.data.names import check_name
from fprior.errors import InputError, one_line
from fprior.sequence import encode

_MAGIC = bytes.fromhex("4327411a")  # little-endian; the other byte order is as rare as the machines that wrote it
_PIECE = 1 << 24  # bases a read
_COPY_AGAIN = "copy, download or write it again"


class TwoBitGenome(Genome):
    """Random access to the chromosomes of a 2bit file: a `Genome` that is read in another way.

    `path` is the file; `lengths` maps each chromosome to its length in bases, in file order. Raises InputError for a
    file that is missing, truncated, damaged or no 2bit file, and where py2bit is not installed.
    """

    def __init__(self, two_bit_path: str | os.PathLike):
        self.path = Path(two_bit_path)
        self.lengths = _read_lengths(self.path)
        try:
            self._file = _library(self.path).open(str(self.path))
        except RuntimeError as error:
            raise _damaged(self.path, one_line(error)) from error

    def tokens(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """The tokens `(end - start,)` uint8 of `[start, end)`, 0-based: 0–3 for A, C, G, T, either case, 4 for N.

        Raises InputError for an unknown chromosome, and for coordinates outside 0 <= start <= end <= length.
        """
        if chromosome not in self.lengths:
            some = ", ".join(list(self.lengths)[:3])
            raise InputError(f"{self.path}: chromosome {chromosome!r} is not in the file, which has {some} …")
        length = self.lengths[chromosome]
        if not 0 <= start <= end <= length:
            raise InputError(
                f"{self.path}: {chromosome}:{start}-{end} is outside the chromosome; keep 0 <= start <= end <= {length}"
            )
        tokens = np.empty(end - start, np.uint8)
        for at in range(start, end, _PIECE):  # never empty: py2bit takes 0-0 for the whole chromosome
            stop = min(at + _PIECE, end)
            tokens[at - start : stop - start] = encode(self._file.sequence(chromosome, int(at), int(stop)))
        return tokens


def open_genome(path: str | os.PathLike) -> Genome:
    """The genome of a FASTA or a 2bit file; 2bit if its name ends in .2bit or its first bytes say so."""
    path = Path(path)
    if path.name.lower().endswith(".2bit"):
        return TwoBitGenome(path)
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(4) == _MAGIC:
                return TwoBitGenome(path)
    return Genome(path)


def _library(path: Path) -> ModuleType:
    try:
        return importlib.import_module("py2bit")
    except ImportError as error:
        raise InputError(
            f"{path}: 2bit files need py2bit, which is not installed; pip install 'fprior[formats]', or give FASTA"
        ) from error


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: damaged or truncated 2bit file ({reason}); {_COPY_AGAIN}")


# ---- the structure of the file, beyond whose end py2bit reads without a word


def _read_lengths(path: Path) -> dict[str, int]:
    """Chromosome → bases of a 2bit file in which all records are whole."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a 2bit file")
    with open(path, "rb") as file:
        head = file.read(16)
        if head[:4] != _MAGIC:
            raise InputError(f"{path}: not a little-endian 2bit file, by its first four bytes; give 2bit or FASTA")
        if len(head) != 16:
            raise _damaged(path, "it ends within the header")
        version, count = struct.unpack_from("<II", head, 4)
        if version != 0:
            raise InputError(f"{path}: 2bit of version {version}, not 0; write it with faToTwoBit without -long")
        try:
            offsets = _read_index(path, file, count)
            lengths = {name: _check_record(file, offset, path.stat().st_size) for name, offset in offsets.items()}
        except _DamageError as error:
            raise _damaged(path, str(error)) from error
    if not lengths:
        raise InputError(f"{path}: there are no chromosomes in the file; give one with at least one")
    return lengths


class _DamageError(Exception):
    """What is wrong in the structure of a file."""


def _read_index(path: Path, file: BinaryIO, count: int) -> dict[str, int]:
    """Chromosome → offset of its record."""
    offsets = {}
    for _ in range(count):
        size = file.read(1)
        entry = file.read(size[0] + 4) if size else b""
        if not size or len(entry) != size[0] + 4:
            raise _DamageError("it ends within the index")
        try:
            name = entry[:-4].decode()
        except UnicodeDecodeError as error:
            raise _DamageError("a name in the index is not text") from error
        check_name(name, path)
        if name in offsets:
            raise _DamageError(f"{name!r} is twice in the index")
        offsets[name] = int.from_bytes(entry[-4:], "little")
    return offsets


def _check_record(file: BinaryIO, offset: int, file_size: int) -> int:
    """The length in bases of a record that ends within the file and whose unknown bases are within it."""
    file.seek(offset)
    length = _integer(file)
    unknown = _read_blocks(file, file_size).astype(np.int64)
    starts, ends = unknown[0], unknown.sum(0)
    if (ends > length).any() or (starts[1:] < ends[:-1]).any():
        raise _DamageError(f"the blocks of N of the record at byte {offset} do not fit its {length} bases")
    _read_blocks(file, file_size)  # lower case
    if file.tell() + 4 + (length + 3) // 4 > file_size:
        raise _DamageError(f"it ends within the record at byte {offset}")
    return length


def _read_blocks(file: BinaryIO, file_size: int) -> np.ndarray:
    """Starts and sizes `(2, n)` of the blocks of a kind."""
    count = _integer(file)
    if file.tell() + 8 * count > file_size:
        raise _DamageError(f"it ends within the {count} blocks at byte {file.tell()}")
    return np.frombuffer(file.read(8 * count), "<u4").reshape(2, count)


def _integer(file: BinaryIO) -> int:
    content = file.read(4)
    if len(content) != 4:
        raise _DamageError(f"it ends before byte {file.tell() + 4 - len(content)}")
    return int.from_bytes(content, "little")
