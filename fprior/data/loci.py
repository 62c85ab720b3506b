"""Loci of BED and narrowPeak files, and how they fit a genome.

Coordinates are 0-based and half-open throughout.
"""

import gzip
import os
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from fprior.data.genome import Genome
from fprior.data.names import check_name
from fprior.errors import InputError

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Loci:
    """Parallel arrays `(n,)`, one element a locus.

    `chromosome` str; `start`, `end` int64; `summit` int64, the absolute position of the summit, or the
    midpoint where the file gives none; `signal` float32, NaN where the file gives none.
    """

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray
    summit: np.ndarray
    signal: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: np.ndarray) -> "Loci":
        """The loci at a mask, a slice or an array of indices."""
        return Loci(*(getattr(self, field.name)[index] for field in fields(self)))


# ---- reading


def read_loci(path: str | os.PathLike) -> Loci:
    """The loci of a BED (3 or more columns) or narrowPeak file, plain or gzip, in file order.

    A file is narrowPeak if its name says so (`.narrowPeak`, `.narrowPeak.gz`), or if its first locus has 10
    columns with integers in 2, 3, 10 and numbers in 7–9. Signal is column 7 of narrowPeak, column 5 of BED
    where that is a number. Raises InputError, with the line number, for a line that is not of the format, and
    for a file without loci.
    """
    path = Path(path)
    rows = _read_rows(path)
    count = len(rows[0][1])
    named = path.name.removesuffix(".gz").endswith(".narrowPeak")
    if count < 3 or (named and count != 10):
        needed = "10 for narrowPeak" if named else "3 or more for BED"
        raise InputError(f"{path}, line {rows[0][0]}: {count} columns; {needed} are needed, separated by tabs")
    narrow_peak = named or _looks_like_narrow_peak(rows[0][1])
    loci = []
    for number, columns in rows:
        if len(columns) != count:
            raise InputError(
                f"{path}, line {number}: {len(columns)} columns, but {count} in the lines before;"
                " give every line the same columns"
            )
        loci.append(_parse(columns, narrow_peak, f"{path}, line {number}"))
    chromosome, start, end, summit, signal = zip(*loci, strict=True)
    starts, ends, summits = (np.array(values, np.int64) for values in (start, end, summit))
    return Loci(np.array(chromosome, np.str_), starts, ends, summits, np.array(signal, np.float32))


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The number and the columns of every line that holds a locus; at least one."""
    lines = enumerate((line.removesuffix("\r") for line in _read_text(path).split("\n")), 1)
    rows = [
        (number, line.split("\t") if "\t" in line else line.split())
        for number, line in lines
        if line.strip() and not line.startswith("#") and line.split(None, 1)[0] not in ("track", "browser")
    ]
    if not rows:
        raise InputError(f"{path}: there are no loci in the file; give BED or narrowPeak with at least one")
    return rows


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of a BED or narrowPeak file")
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip ({error}); copy or download it again") from error
    elif path.suffix == ".gz":
        raise InputError(f"{path}: the name ends in .gz but the file is no gzip; rename it or compress it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error.reason}); give BED or narrowPeak") from error


def _integer(text: str) -> int | None:
    """int() alone would also take '1_000', ' 5' and digits of other scripts."""
    return int(text) if re.fullmatch("-?[0-9]{1,18}", text) else None


def _number(text: str) -> float:
    """A finite float32, or NaN. float() alone would also take '1_0' and digits of other scripts."""
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return np.nan
    value = float(text)
    return value if abs(value) <= _LARGEST else np.nan


def _looks_like_narrow_peak(columns: list[str]) -> bool:
    return (
        len(columns) == 10
        and all(_integer(columns[i]) is not None for i in (1, 2, 9))
        and not any(np.isnan(_number(column)) for column in columns[6:9])
    )


def _parse(columns: list[str], narrow_peak: bool, where: str) -> tuple[str, int, int, int, float]:
    """Chromosome, start, end, summit and signal of one line."""
    chromosome, start, end = columns[0], _integer(columns[1]), _integer(columns[2])
    if not chromosome:
        raise InputError(f"{where}: column 1 is empty; name the chromosome there")
    check_name(chromosome, where)
    if start is None or end is None:
        raise InputError(
            f"{where}: start {columns[1]!r} and end {columns[2]!r} must be integers;"
            " correct them, or begin a header line with '#'"
        )
    if not 0 <= start < end:
        raise InputError(f"{where}: start {start} and end {end} enclose nothing; BED needs 0 <= start < end")
    middle = (start + end) // 2
    if not narrow_peak:
        return chromosome, start, end, middle, _number(columns[4]) if len(columns) > 4 else np.nan
    signal, offset = _number(columns[6]), _integer(columns[9])
    if np.isnan(signal):
        raise InputError(f"{where}: signal {columns[6]!r} in column 7 must be a finite number; correct it")
    if offset is None or not -1 <= offset < end - start:
        raise InputError(
            f"{where}: summit offset {columns[9]!r} in column 10 must be an integer inside the peak,"
            f" 0 to {end - start - 1}, or -1 for none; correct it"
        )
    return chromosome, start, end, middle if offset == -1 else start + offset, signal


def concatenate(parts: Sequence[Loci]) -> Loci:
    """All loci of several sets, in order."""
    return Loci(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Loci)))


def strongest(loci: Loci, fraction: float, path: str | os.PathLike) -> np.ndarray:
    """Which loci are among the `fraction`, above 0 and at most 1, with the highest signal: a mask `(n,)`.

    Of equal signals the first of the file are taken, and one locus at least. Raises InputError, which names the
    file `path`, for another fraction, and if `fraction` is below 1 and a locus has no signal.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction (={fraction}) must be above 0 and at most 1")
    if fraction == 1:
        return np.ones(len(loci), bool)
    if np.isnan(loci.signal).any():
        raise InputError(
            f"{path}: {np.isnan(loci.signal).sum()} of {len(loci)} loci have no signal (column 7 of narrowPeak,"
            f" 5 of BED), which prepare.top_fraction (={fraction}) needs; add it, or set top_fraction to 1"
        )
    chosen = np.zeros(len(loci), bool)
    chosen[np.argsort(-loci.signal, kind="stable")[: max(1, round(fraction * len(loci)))]] = True
    return chosen


# ---- overlap


def touching(starts: np.ndarray, ends: np.ndarray, region_starts: np.ndarray, region_ends: np.ndarray) -> np.ndarray:
    """How many regions each window `[start, end)` overlaps, `(n,)` int64; all on one chromosome, none empty."""
    # Of the regions that begin before a window ends, those that end before it begins miss it.
    begun = np.searchsorted(np.sort(region_starts), ends, side="left")
    return begun - np.searchsorted(np.sort(region_ends), starts, side="right")


def touches_any(chromosomes: np.ndarray, starts: np.ndarray, ends: np.ndarray, regions: Loci) -> np.ndarray:
    """Which windows `[start, end)` overlap one of the regions: a mask `(n,)`."""
    touched = np.zeros(len(starts), bool)
    for name in np.intersect1d(chromosomes, regions.chromosome):
        here, there = chromosomes == name, regions.chromosome == name
        touched[here] = touching(starts[here], ends[here], regions.start[there], regions.end[there]) > 0
    return touched


# ---- loci and the genome


def rename_chromosomes(loci: Loci, how: str) -> Loci:
    """The loci with UCSC names (`how="add_chr"`: 1 → chr1, MT → chrM) or Ensembl names (`"remove_chr"`).

    Names that are in the wanted form already stay. Raises InputError for any other `how`.
    """
    if how not in ("add_chr", "remove_chr"):
        raise InputError(f"prepare.chromosome_names (={how!r}) must be 'add_chr' or 'remove_chr'")
    names, index = np.unique(loci.chromosome, return_inverse=True)
    if how == "add_chr":
        renamed = ["chrM" if n == "MT" else n if n.startswith("chr") else f"chr{n}" for n in names]
    else:
        renamed = ["MT" if n == "chrM" else n.removeprefix("chr") for n in names]
    return Loci(np.array(renamed, np.str_)[index], loci.start, loci.end, loci.summit, loci.signal)


def is_named(chromosomes: np.ndarray, names: Collection[str]) -> np.ndarray:
    """Which chromosomes are among `names`, whichever style either has (chrY or Y, chrM or MT): a mask `(n,)`."""
    found = [name for name in np.unique(chromosomes).tolist() if _bare(name) in set(map(_bare, names))]
    return np.isin(chromosomes, found)


def _bare(name: str) -> str:
    bare = name.removeprefix("chr")
    return "M" if bare == "MT" else bare


def check_against_genome(
    loci: Loci, genome: Genome, path: str | os.PathLike, *, partial_genome: bool = False
) -> tuple[np.ndarray, dict[str, int]]:
    """Which loci lie on the genome: a mask `(n,)`, and the number of others by reason.

    With `partial_genome` the FASTA is known to hold chromosomes in part, and loci beyond the ends are dropped.
    Raises InputError, which names the file `path`, if no chromosome is known, with the remedy where only the
    names differ, and otherwise if a locus ends beyond its chromosome.
    """
    kept = np.isin(loci.chromosome, list(genome.lengths))
    if not kept.any():
        ours, theirs = str(loci.chromosome[0]), next(iter(genome.lengths))
        for how in ("add_chr", "remove_chr"):
            if np.isin(rename_chromosomes(loci, how).chromosome, list(genome.lengths)).any():
                raise InputError(
                    f"{path}: chromosomes are named like {ours!r}, in {genome.path} like {theirs!r};"
                    f" set prepare.chromosome_names={how!r}"
                )
        raise InputError(
            f"{path}: none of its chromosomes ({ours!r} …) is in {genome.path} ({theirs!r} …);"
            " give the FASTA of the same assembly"
        )
    names, index = np.unique(loci.chromosome, return_inverse=True)
    lengths = np.array([genome.lengths.get(name, np.inf) for name in names])  # the unknown only drop out
    beyond = loci.end > lengths[index]
    if beyond.any() and not partial_genome:
        first = np.argmax(beyond)
        name, start, end = (values[first] for values in (loci.chromosome, loci.start, loci.end))
        raise InputError(
            f"{path}: {beyond.sum()} loci, the first {name}:{start}-{end}, end beyond their chromosome"
            f" ({name} has {genome.lengths[name]} bases in {genome.path}); the assembly is probably wrong:"
            " give the FASTA that the loci were called on, or set prepare.partial_genome=True if it holds"
            " chromosomes in part"
        )
    dropped, counts = np.unique(loci.chromosome[~kept], return_counts=True)
    drops = {f"on {name}, not in the genome": int(n) for name, n in zip(dropped, counts, strict=True)}
    if beyond.any():
        drops["beyond the end of a partial chromosome"] = int(beyond.sum())
    return kept & ~beyond, drops
