"""5′ ends of aligned reads, from BAM or fragment files to BigWigs; BAM needs pysam, of the extra `formats`.

Coordinates are 0-based and half-open throughout.
"""

import contextlib
import gzip
import importlib
import os
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pyBigWig

from fprior.data.names import check_name
from fprior.errors import InputError, one_line
from fprior.files import new_file

MATES = ("both", "first", "second")
_PAIRED, _REVERSE, _FIRST, _SECOND = 0x1, 0x10, 0x40, 0x80
_DROPPED_FLAGS = {  # in this order: a read counts with the first that is set
    0x4: "unmapped",
    0x100: "secondary alignments",
    0x800: "supplementary alignments",
    0x400: "duplicates",
    0x200: "failed quality control",
}
_ANY_DROPPED_FLAG = sum(_DROPPED_FLAGS)
_EXACT = 1 << 24  # BigWig stores float32, which holds every whole number up to here
_PIECE = 1 << 20  # values a write


@dataclass(frozen=True, eq=False)
class Ends:
    """The 5′ ends of the reads, or the two ends of the fragments, of a file.

    `lengths` maps each chromosome to its length in bases; `plus` and `minus` map it to sorted positions `(n,)`
    int32 of bases, one a read; `read` is the number of reads or fragments in the file; `dropped` maps each reason
    to the number of those left out for it.
    """

    lengths: dict[str, int]
    plus: dict[str, np.ndarray]
    minus: dict[str, np.ndarray]
    read: int
    dropped: dict[str, int]

    @property
    def kept(self) -> int:
        """The number of reads or fragments that were not dropped."""
        return self.read - sum(self.dropped.values())

    def counts(self, chromosome: str) -> tuple[np.ndarray, np.ndarray]:
        """The ends at each base of a chromosome, plus and minus strand, each `(length,)` uint32."""
        length = self.lengths[chromosome]
        plus, minus = (np.bincount(strand[chromosome], minlength=length) for strand in (self.plus, self.minus))
        return plus.astype(np.uint32), minus.astype(np.uint32)


class _Collector:
    """Ends as they are read."""

    def __init__(self, lengths: Mapping[str, int]):
        self.lengths = dict(lengths)
        self.strands = [{name: array("i") for name in lengths} for _ in range(2)]
        self.read = 0
        self.dropped: Counter[str] = Counter()

    def ends(self, path: Path) -> Ends:
        plus, minus = (
            {name: self._sorted(path, name, strand[name]) for name in self.lengths} for strand in self.strands
        )
        return Ends(self.lengths, plus, minus, self.read, dict(self.dropped))

    def _sorted(self, path: Path, chromosome: str, positions: array) -> np.ndarray:
        ordered = np.sort(np.frombuffer(positions, np.int32))
        length = self.lengths[chromosome]
        if len(ordered) and not 0 <= ordered[0] <= ordered[-1] < length:
            wrong = ordered[-1] if ordered[-1] >= length else ordered[0]
            raise InputError(
                f"{path}: a read has its 5′ end at {chromosome}:{wrong} (0-based), outside the {length} bases that the"
                " header gives the chromosome; align the reads again, or restore their header"
            )
        return ordered


# ---- BAM


def is_bam(path: str | os.PathLike) -> bool:
    """Whether the content of a file is BAM; InputError if there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a BAM or fragment file")
    with contextlib.suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
        return file.read(4) == b"BAM\1"
    return False


def read_bam(path: str | os.PathLike, *, min_mapping_quality: int = 30, mates: str = "both") -> Ends:
    """The 5′ ends of the reads of a BAM file, in any order and without an index, in one pass over the file.

    The end is the leftmost aligned base of a read on the plus strand, the rightmost on the minus strand. Dropped and
    counted by reason: unmapped reads, secondary and supplementary alignments, duplicates that are marked as such,
    reads that failed quality control, and reads of a mapping quality below the least, by default the 30 of ENCODE's
    ChIP-seq pipeline. Its filter (`samtools view -F 1804 -q 30`, and `-f 2` for pairs) also leaves out reads without a
    proper mate, which are kept here, and has no rule for supplementary alignments. `mates` of a pair is "both",
    "first" or "second"; a read that has no mate is always used. Raises InputError for a file that is missing, no BAM
    or cut short, for wrong arguments, and where pysam is not installed.
    """
    path = Path(path)
    if mates not in MATES:
        raise InputError(f"mates (={mates!r}) must be one of {', '.join(MATES)}")
    if not 0 <= min_mapping_quality <= 255:
        raise InputError(f"min_mapping_quality (={min_mapping_quality}) must be within 0 and 255")
    if not is_bam(path):
        raise InputError(f"{path}: not a BAM file, by its content; `samtools view -b` makes one of SAM or CRAM")
    unwanted = {"both": 0, "first": _SECOND, "second": _FIRST}[mates]
    library = _library(path)
    try:
        with _silenced(library), library.AlignmentFile(str(path), "rb") as file:
            collector = _Collector(dict(zip(file.references, file.lengths, strict=True)))
            _collect_bam(file, collector, min_mapping_quality, unwanted)
    except (OSError, ValueError, KeyError, OverflowError, NotImplementedError) as error:
        raise InputError(f"{path}: damaged BAM ({one_line(error)}); copy or write it again") from error
    return collector.ends(path)


def _collect_bam(file: Iterable, collector: _Collector, min_mapping_quality: int, unwanted: int) -> None:
    """Adds the ends of the reads of an open BAM; `unwanted` is the flag of the mate to leave out."""
    for read in file:
        collector.read += 1
        flag = read.flag
        reason = _reason(flag, read.mapping_quality < min_mapping_quality, unwanted)
        end = None if reason else read.reference_end
        if reason or end is None:
            collector.dropped[reason or "aligned without bases"] += 1
        else:
            minus = bool(flag & _REVERSE)
            collector.strands[minus][read.reference_name].append(end - 1 if minus else read.reference_start)


def _reason(flag: int, low_quality: bool, unwanted: int) -> str | None:
    """Why a read is dropped."""
    if flag & _ANY_DROPPED_FLAG:
        return next(reason for bit, reason in _DROPPED_FLAGS.items() if flag & bit)
    if low_quality:
        return "low mapping quality"
    return "the other mate" if flag & _PAIRED and flag & unwanted else None


def _library(path: Path) -> ModuleType:
    try:
        return importlib.import_module("pysam")
    except ImportError as error:
        raise InputError(
            f"{path}: BAM files need pysam, which is not installed; pip install 'fprior[formats]'"
        ) from error


@contextlib.contextmanager
def _silenced(pysam: ModuleType) -> Iterator[None]:
    """Keeps the library from printing what it also raises."""
    verbosity, hooks = pysam.set_verbosity(0), (sys.excepthook, sys.unraisablehook)
    # A damaged file fails once more when it is closed.
    sys.excepthook = lambda *_: None
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)
        sys.excepthook, sys.unraisablehook = hooks


# ---- fragments


def read_fragments(path: str | os.PathLike, *, lengths: Mapping[str, int], shift: tuple[int, int] = (0, 0)) -> Ends:
    """The two ends of the fragments of a tab-separated file: chromosome, start, end, and columns that are not used.

    A fragment has an end at `start + shift[0]` on the plus strand and at `end - 1 + shift[1]` on the minus strand, in
    bases. 10x files, plain or gzip, are already corrected for Tn5 and need no shift. A line counts once, whatever its
    column of multiplicity says: that counts PCR duplicates. Dropped and counted by reason: fragments on chromosomes
    without a length, and beyond their chromosome after the shift. Raises InputError, with the line number, for a line
    that is no fragment or ends beyond its chromosome; for a damaged file; and for one without known chromosomes.
    """
    path = Path(path)
    collector = _Collector(lengths)
    plus, minus = collector.strands
    for where, columns in _rows(path):
        collector.read += 1
        chromosome, start, end = columns[0], *_bounds(columns, where)
        if chromosome not in lengths:
            collector.dropped["on chromosomes without a length"] += 1
            continue
        length = lengths[chromosome]
        if end > length:
            raise InputError(f"{where}: end {end} is beyond {chromosome}, which has {length} bases; give its assembly")
        left, right = start + shift[0], end - 1 + shift[1]
        if min(left, right) < 0 or max(left, right) >= length:
            collector.dropped["beyond the chromosome after the shift"] += 1
            continue
        plus[chromosome].append(left)
        minus[chromosome].append(right)
    if collector.read == collector.dropped["on chromosomes without a length"]:
        some = ", ".join(list(lengths)[:3])
        raise InputError(f"{path}: there are no fragments on the chromosomes with a length, {some} …; name them alike")
    return collector.ends(path)


def read_lengths(path: str | os.PathLike) -> dict[str, int]:
    """Chromosome → bases of a tab-separated file of both, such as hg38.chrom.sizes or genome.fa.fai.

    Raises InputError, with the line number, for a line that is not of the format, and for a file without any.
    """
    path = Path(path)
    lengths: dict[str, int] = {}
    for where, columns in _rows(path):
        length = _integer(columns[1]) if len(columns) > 1 else None
        if not columns[0] or not length or length >= 2**31:
            raise InputError(
                f"{where}: no chromosome and length; give a name and 1 to {2**31 - 1} bases, with a tab between"
            )
        if columns[0] in lengths:
            raise InputError(f"{where}: {columns[0]} is there twice; give each chromosome one line")
        lengths[check_name(columns[0], where)] = length
    if not lengths:
        raise InputError(f"{path}: there are no chromosomes in the file; give one a line, name and length")
    return lengths


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where it is, and the columns, of every line but comments and empty ones."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a tab-separated file")
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rt", encoding="utf-8") if compressed else open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                line = line.rstrip("\r\n")
                if line and not line.startswith("#"):
                    yield f"{path}, line {number}", line.split("\t")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error.reason}); give tab-separated text") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip ({error}); copy or download it again") from error


def _bounds(columns: list[str], where: str) -> tuple[int, int]:
    """Start and end of a fragment."""
    if len(columns) < 3 or not columns[0]:
        raise InputError(f"{where}: {len(columns)} columns; chromosome, start and end are needed, separated by tabs")
    start, end = _integer(columns[1]), _integer(columns[2])
    if start is None or end is None or not start < end:
        raise InputError(
            f"{where}: start {columns[1]!r} and end {columns[2]!r} must be integers, 0 <= start < end; correct them"
        )
    return start, end


def _integer(text: str) -> int | None:
    """int() alone would also take '1_000', ' 5' and digits of other scripts."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


# ---- BigWigs


def write_bigwigs(prefix: str | os.PathLike, ends: Ends, *, strands: int = 2) -> list[Path]:
    """Writes PREFIX_plus.bw and PREFIX_minus.bw, or with `strands=1` their sum PREFIX.bw; returns the paths.

    Every file has all chromosomes; bases without ends are gaps. If one cannot be written, none is replaced. Raises
    InputError for another number of strands, and for a count that BigWig cannot hold exactly.
    """
    if strands not in (1, 2):
        raise InputError(f"strands (={strands}) must be 1 or 2")
    files = {"_plus.bw": [ends.plus], "_minus.bw": [ends.minus]} if strands == 2 else {".bw": [ends.plus, ends.minus]}
    paths = [Path(f"{prefix}{suffix}") for suffix in files]
    with contextlib.ExitStack() as stack:
        temporaries = [stack.enter_context(new_file(path)) for path in paths]
        for temporary, parts in zip(temporaries, files.values(), strict=True):
            _write_bigwig(temporary, parts, ends.lengths)
    return paths


def _write_bigwig(path: Path, parts: list[dict[str, np.ndarray]], lengths: Mapping[str, int]) -> None:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for name in lengths:
            positions, counts = np.unique(np.concatenate([part[name] for part in parts]), return_counts=True)
            if np.max(counts, initial=0) > _EXACT:
                worst = positions[np.argmax(counts)]
                raise InputError(f"{name}:{worst} (0-based) has over {_EXACT:,} reads; remove duplicates first")
            for at in range(0, len(positions), _PIECE):
                piece = slice(at, at + _PIECE)
                file.addEntries(name, positions[piece].tolist(), values=counts[piece].astype(float).tolist(), span=1)
