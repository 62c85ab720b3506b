"""The checks of `experiments.doctor` on files of peaks and regions."""

import gzip
import re
from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from experiments.doctor_files import InputFile
from experiments.doctor_findings import ERROR, OK, WARNING, Finding, Verdict, attempt, examine
from fprior.data.background import windows_around
from fprior.data.genome import Genome
from fprior.data.loci import Loci, check_against_genome, is_named, read_loci, rename_chromosomes, strongest
from fprior.errors import InputError

KNOWN_SHARE = 0.95  # of a file's loci that should lie on the genome's chromosomes
LOST_SHARE = 0.05  # of the windows that may leave their chromosome


def loci_findings(prepare: ConfigDict, genome: Genome, file: InputFile) -> tuple[Loci | None, list[Finding]]:
    """The loci of a file that lie on the genome and are not left out, or None; and the findings."""
    loci, findings = attempt(file.check, _read, prepare, file)
    if loci is None:
        return None, findings
    findings += examine(f"{file.check}: chromosomes", check_chromosomes, prepare, genome, file, loci)
    on_genome, _ = attempt(file.check, _on_genome, genome, file, loci)  # its error is among the findings
    if file.field == "peaks":
        if prepare.loci == "summits":
            findings += examine(f"{file.check}: summits", check_summits, file)
        findings += examine(f"{file.check}: signal", check_signal, prepare, file, loci)
        if on_genome is not None:
            findings += examine(f"{file.check}: windows", check_windows, prepare, genome, file, on_genome)
    return on_genome, findings


def _read(prepare: ConfigDict, file: InputFile) -> Loci:
    loci = read_loci(file.path)
    if prepare.chromosome_names != "as_is":
        loci = rename_chromosomes(loci, prepare.chromosome_names)
    if file.field == "exclude":
        return loci
    loci = loci[~is_named(loci.chromosome, prepare.leave_out_chromosomes)]
    if not len(loci):
        raise InputError(f"{file.path}: all loci lie on chromosomes in config.prepare.leave_out_chromosomes")
    return loci


def _on_genome(genome: Genome, file: InputFile, loci: Loci) -> Loci:
    kept, drops = check_against_genome(loci, genome, file.path, partial_genome=True)
    if not kept.any():
        raise InputError(f"{file.path}: no locus is left on {genome.path}; {drops}")
    return loci[kept]


def check_chromosomes(prepare: ConfigDict, genome: Genome, file: InputFile, loci: Loci) -> Iterator[Verdict]:
    """Names and bounds; order and duplicates are mentioned."""
    # Raises if no name is known, and for loci beyond the ends.
    kept, _ = check_against_genome(loci, genome, file.path, partial_genome=prepare.partial_genome)
    known = np.isin(loci.chromosome, list(genome.lengths))
    text = f"{file.path}: {known.mean():.1%} of {len(loci):,} loci on chromosomes of the genome"
    if beyond := int((known & ~kept).sum()):
        text += f", {beyond:,} of them beyond the ends, which are dropped"
    if known.mean() < KNOWN_SHARE and not prepare.partial_genome:
        yield WARNING, f"{text}; {_remedy_for_names(genome, loci)}"
    else:
        yield OK, text + _order_of(loci)


def _remedy_for_names(genome: Genome, loci: Loci) -> str:
    shares = {
        how: np.isin(rename_chromosomes(loci, how).chromosome, list(genome.lengths)).mean()
        for how in ("add_chr", "remove_chr")
    }
    best = max(shares, key=lambda how: shares[how])
    if shares[best] > np.isin(loci.chromosome, list(genome.lengths)).mean():
        return f"set config.prepare.chromosome_names={best!r}, with which it is {shares[best]:.1%}"
    unknown = np.setdiff1d(loci.chromosome, list(genome.lengths))
    return f"the others ({', '.join(unknown[:3])} …) are dropped: give the FASTA of the same assembly if they matter"


def _order_of(loci: Loci) -> str:
    """Duplicates and disorder, which do no harm."""
    names, code = np.unique(loci.chromosome, return_inverse=True)
    rows = np.stack([code, loci.start, loci.end, loci.summit], axis=1)
    twice = len(rows) - len(np.unique(rows, axis=0))
    # Sorted: starts rise within a chromosome, and no chromosome comes back.
    same = code[1:] == code[:-1]
    in_order = (loci.start[1:][same] >= loci.start[:-1][same]).all() and (~same).sum() == len(names) - 1
    return (f"; {twice:,} duplicates" if twice else "") + ("" if in_order else "; not sorted, which does no harm")


def check_summits(file: InputFile) -> Iterator[Verdict]:
    """Whether windows will lie around summits, or around midpoints for want of them."""
    summits, total = count_summits(file.path)
    text = f"{file.path}: {summits:,} of {total:,} loci have a summit"
    if summits == 0:
        yield (
            WARNING,
            f"{text}, all windows would lie around the midpoints of the loci; give narrowPeak with summits (column 10)"
            " if the peak caller wrote some",
        )
    elif summits < total:
        yield WARNING, f"{text}, the others' windows would lie around midpoints; call all summits, or drop those loci"
    else:
        yield OK, text


def count_summits(path: str) -> tuple[int, int]:
    """How many loci of a file have a summit of their own, and how many loci there are.

    Reads column 10 of a file that `read_loci` accepts, which does not keep whether a summit was given.
    """
    positions = read_loci(path).summit.tolist()
    with open(path, "rb") as file:
        opened = gzip.open if file.read(2) == b"\x1f\x8b" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="\n") as file:
        lines = [line.rstrip("\r\n") for line in file if line.strip() and not line.startswith("#")]
    lines = [line for line in lines if line.split(None, 1)[0] not in ("track", "browser")]
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines]
    summits = sum(
        len(row) == 10 and re.fullmatch("[0-9]+", row[9]) is not None and int(row[1]) + int(row[9]) == position
        for row, position in zip(rows, positions, strict=True)
    )
    return summits, len(rows)


def check_signal(prepare: ConfigDict, file: InputFile, loci: Loci) -> Iterator[Verdict]:
    strongest(loci, prepare.top_fraction, file.path)  # raises where it needs a signal
    unknown = int(np.isnan(loci.signal).sum())
    needed = "which decides between summits that are close to each other; the first of the file are taken"
    if unknown:
        text = f"{file.path}: {unknown:,} of {len(loci):,} loci have no signal, {needed}"
        yield WARNING, f"{text}; add it as column 7 of narrowPeak or column 5 of BED"
    elif len(loci) > 1 and (loci.signal == loci.signal[0]).all():
        text = f"{file.path}: all loci have the signal {loci.signal[0]:g}, {needed}"
        yield WARNING, f"{text}; write the real one as column 7 of narrowPeak or column 5 of BED"
    else:
        yield OK, f"{file.path}: signals from {loci.signal.min():g} to {loci.signal.max():g}"


def check_windows(prepare: ConfigDict, genome: Genome, file: InputFile, loci: Loci) -> Iterator[Verdict]:
    """How many of the stored windows would leave their chromosome."""
    starts = windows_around(loci.summit, prepare.window)
    lengths = np.array([genome.lengths[name] for name in loci.chromosome.tolist()])
    leaves = (starts < 0) | (starts + prepare.window > lengths)
    text = f"{file.path}: {leaves.sum():,} of {len(loci):,} windows of {prepare.window} bases leave their chromosome"
    if leaves.all():
        yield ERROR, f"{text}; reduce config.prepare.window"
    elif leaves.mean() > LOST_SHARE:
        yield WARNING, f"{text} and would be dropped; reduce config.prepare.window"
    else:
        yield OK, text
