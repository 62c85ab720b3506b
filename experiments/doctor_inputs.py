"""The first group of checks of `experiments.doctor`: the input files that `config.prepare` names."""

from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from experiments.doctor_files import check_different, check_fields, check_present, input_files
from experiments.doctor_findings import ERROR, OK, SKIPPED, Finding, Verdict, attempt, examine
from experiments.doctor_loci import loci_findings
from experiments.doctor_sample import check_unknown, draw_sample
from experiments.doctor_tracks import track_findings
from experiments.prepare_checks import given
from fprior.data.genome import Genome
from fprior.data.loci import Loci
from fprior.data.two_bit import open_genome


def input_findings(config: ConfigDict) -> Iterator[Finding]:
    """Of all checks on the input files."""
    prepare, files = config.prepare, input_files(config.prepare)
    yield from examine("input files", check_present, files)
    yield from examine("same files", check_different, prepare, files)
    fields = examine("prepare fields", check_fields, config)
    yield from fields
    genome = None
    lines: list[Finding] = []
    if Path(prepare.genome).is_file():
        genome, lines = attempt("genome", open_genome, prepare.genome)
    yield from lines
    if genome is None:
        yield Finding(SKIPPED, "peaks and tracks", "they cannot be checked without the genome")
        return
    yield from examine("genome", describe_genome, prepare, genome)
    peaks: list[Loci] = []
    for file in files:
        if file.field in ("peaks", "relaxed_peaks", "exclude") and Path(file.path).is_file():
            usable, lines = loci_findings(prepare, genome, file)
            yield from lines
            if file.field == "peaks" and usable is not None:
                peaks.append(usable)
    if any(finding.status == ERROR for finding in fields) or len(peaks) != len(prepare.peaks):
        yield Finding(SKIPPED, "tracks", "they cannot be checked without fitting fields and peaks on the genome")
        return
    yield from sample_findings(prepare, genome, peaks)


def sample_findings(prepare: ConfigDict, genome: Genome, peaks: list[Loci]) -> Iterator[Finding]:
    """Of the checks that read a sample of windows."""
    sample, lines = attempt("sample", draw_sample, prepare, genome, peaks)
    yield from lines
    if sample is None:
        return
    yield from examine("unknown bases", check_unknown, prepare, sample)
    if given(prepare.tracks):
        yield from track_findings(prepare, genome, sample)
    else:
        yield Finding(SKIPPED, "tracks", "config.prepare.tracks names none")


def describe_genome(prepare: ConfigDict, genome: Genome) -> Iterator[Verdict]:
    bases = sum(genome.lengths.values())
    partial = ", some in part (config.prepare.partial_genome)" if prepare.partial_genome else ""
    yield OK, f"{genome.path}: {len(genome.lengths):,} chromosomes, {bases:,} bases{partial}"
