"""A reference genome in FASTA, plain or bgzip, as one-byte tokens."""

import bisect
import os
import re
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pyfaidx
from Bio import bgzf

from fprior.data.names import check_name
from fprior.errors import InputError, one_line
from fprior.sequence import encode

_IS_IUPAC = np.zeros(256, bool)
_IS_IUPAC[np.frombuffer(b"ACGTURYSWKMBDHVNacgturyswkmbdhvn", np.uint8)] = True
_PIECE = 1 << 20  # bases a read: Bio.bgzf takes time quadratic in the length of one read

_CANNOT_INDEX = (
    OSError,  # no end-of-file block: a download cut between two blocks
    ValueError,  # duplicate name; bytes that are not text; a block without a bgzip header
    RuntimeError,  # wrong checksum of a block
    struct.error,  # file cut within a block
    zlib.error,
    pyfaidx.FastaIndexingError,
)


class Genome:
    """Random access to the chromosomes of a FASTA file, plain or bgzip.

    `path` is the file; `lengths` maps each chromosome to its length in bases, in file order. The index is
    built anew in a temporary directory (about 15 s for 10⁹ bases) and kept in memory: it is never stale,
    nothing is written beside the FASTA, and processes do not disturb each other. Raises InputError for a file
    that is missing, empty, damaged, not FASTA or compressed other than by bgzip, and for duplicate names and
    lines of unequal length.
    """

    def __init__(self, fasta_path: str | os.PathLike):
        self.path = Path(fasta_path)
        _check_container(self.path)
        try:
            with tempfile.TemporaryDirectory() as directory:
                self._fasta = pyfaidx.Faidx(self.path, indexname=f"{directory}/fai", gzi_indexname=f"{directory}/gzi")
        except _CANNOT_INDEX as error:
            raise InputError(
                f"{self.path}: cannot be read as FASTA ({one_line(error)}); give a complete FASTA file, plain or"
                " bgzip, with unique names and equal line lengths"
            ) from error
        self.lengths = {name: record.rlen for name, record in self._fasta.index.items()}
        for name in self.lengths:
            self._check_last_line(check_name(name, self.path))

    def tokens(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """The tokens `(end - start,)` uint8 of `[start, end)`, 0-based: 0–3 for A, C, G, T, 4 for any other.

        Raises InputError for an unknown chromosome, for coordinates outside 0 <= start <= end <= length, and
        for a character that is no IUPAC letter.
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
        for at in range(start, end, _PIECE):
            letters = self._letters(chromosome, at, min(at + _PIECE, end))
            tokens[at - start : at - start + len(letters)] = encode(letters)
        return tokens

    def _letters(self, chromosome: str, start: int, end: int) -> bytes:
        """The checked letters of a non-empty interval."""
        first, last = (self._offset(chromosome, position) for position in (start, end - 1))
        letters = self._bytes(first, last + 1 - first).translate(None, b"\r\n")
        if len(letters) != end - start:
            raise InputError(f"{self.path}: {chromosome}:{start}-{end} was cut short; restore the file, it has changed")
        wrong = np.flatnonzero(~_IS_IUPAC[np.frombuffer(letters, np.uint8)])
        if wrong.size:
            letter = letters[wrong[0] : wrong[0] + 1].decode("latin-1")
            raise InputError(
                f"{self.path}: {chromosome}:{start + wrong[0]} (0-based) is {letter!r}, no IUPAC letter;"
                " write N for an unknown base"
            )
        return letters

    def _offset(self, chromosome: str, position: int) -> int:
        """Where the letter of a 0-based position stands in the uncompressed file."""
        record = self._fasta.index[chromosome]
        return record.offset + position // record.lenc * record.lenb + position % record.lenc

    def _bytes(self, offset: int, size: int) -> bytes:
        """Bytes of the uncompressed file; fewer at its end."""
        file = self._fasta.file
        if isinstance(file, bgzf.BgzfReader):
            # Not Faidx.fetch: it fails where a read starts on the boundary of a full block of 65,536 bytes.
            blocks = self._fasta.gzi_index
            block = blocks[bisect.bisect_right(blocks, offset, key=lambda block: block.ustart) - 1]
            offset = bgzf.make_virtual_offset(block.cstart, offset - block.ustart)
        file.seek(offset)
        return file.read(size)

    def _check_last_line(self, chromosome: str) -> None:
        """pyfaidx lets the last line of a record be longer than the others, which shifts its coordinates."""
        length = self.lengths[chromosome]
        if length == 0:
            return
        # The last letter, the end of its line, at most one blank line, and the next record or the file's end.
        tail = self._bytes(self._offset(chromosome, length - 1), 8)
        if not re.fullmatch(rb"[^\r\n](\r?\n){0,2}(>.*)?", tail, re.DOTALL):
            raise InputError(
                f"{self.path}: the last line of {chromosome} is longer than its others; wrap all lines alike,"
                " as `seqtk seq -l 60` does"
            )


def _check_container(path: Path) -> None:
    """Raises InputError unless `path` is a plain file, or a bgzip file that is named as such."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a FASTA file")
    with open(path, "rb") as file:
        head = file.read(14)
    if not head:
        raise InputError(f"{path}: the file is empty; give a FASTA file with at least one record")
    compressed = head.startswith(b"\x1f\x8b")
    if compressed != path.name.lower().endswith((".gz", ".bgz")):
        remedy = "rename it to end in .gz" if compressed else "rename it, or compress it with `bgzip`"
        raise InputError(f"{path}: the name and the content disagree about compression; {remedy}")
    if compressed and (len(head) < 14 or not head[3] & 4 or head[12:] != b"BC"):
        raise InputError(f"{path}: plain gzip, which has no random access; `gunzip` it, or recompress it with `bgzip`")
