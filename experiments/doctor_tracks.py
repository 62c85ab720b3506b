"""The checks of `experiments.doctor` on BigWigs, on a sample of windows around peaks and at random."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.doctor_findings import ERROR, OK, WARNING, Finding, Verdict, attempt, examine
from experiments.doctor_sample import MOST, SEED, Sample, Spans
from experiments.prepare_tracks import name_columns
from fprior.data.genome import Genome
from fprior.data.tracks import BigWig, check_tracks, strand_shift

ENRICHED = 2.0  # reads around peaks, as a multiple of those at random, that a signal should have at least
FEW_READS = 10  # in a window around a peak
ALIKE = 0.9  # correlation of a control with the signal
SHIFTS = (10, 250)  # bases from the plus to the minus strand, outside of which they are no 5′ ends of fragments


class Column(NamedTuple):
    """A track or a control: its name, file, the tasks that it serves, and whether it is a control."""

    name: str
    path: str
    tasks: tuple[int, ...]
    is_control: bool

    @property
    def check(self) -> str:
        """Its name in the table."""
        return f"track {self.name}"


class Reads(NamedTuple):
    """The reads of a column in the windows around the peaks of each of its tasks, and in those at random."""

    around_peaks: list[np.ndarray]
    at_random: np.ndarray

    def of_task(self, place: int) -> np.ndarray:
        """In the windows of one of its tasks and in those at random `(n,)`."""
        return np.concatenate([self.around_peaks[place], self.at_random])


def track_findings(prepare: ConfigDict, genome: Genome, sample: Sample) -> Iterator[Finding]:
    """Of all checks on tracks and controls."""
    columns, strands = columns_of(prepare)
    files: list[BigWig | None] = []
    reads: list[Reads | None] = []
    for column in tqdm(columns, desc="reading tracks", unit="track", disable=None):
        file, one, lines = read_findings(prepare, genome, sample, column)
        files.append(file)
        reads.append(one)
        yield from lines
    yield from pair_findings(prepare, sample, columns, strands, files, reads)


def read_findings(
    prepare: ConfigDict, genome: Genome, sample: Sample, column: Column
) -> tuple[BigWig | None, Reads | None, list[Finding]]:
    """The file of a column and its reads, None where it cannot be read; and the findings about it alone."""
    file, lines = attempt(column.check, _open, prepare, genome, sample, column.path)
    if file is None:
        return None, None, lines
    reads, lines = attempt(column.check, _read, prepare, file, sample, column)
    if reads is not None:
        lines = examine(column.check, check_reads, column, reads)
    return file, reads, lines


def pair_findings(
    prepare: ConfigDict,
    sample: Sample,
    columns: list[Column],
    strands: int,
    files: list[BigWig | None],
    reads: list[Reads | None],
) -> Iterator[Finding]:
    """Of the checks on plus and minus, and on signal and control, of every task whose tracks can be read."""
    for task, name in enumerate(prepare.tasks):
        mine = slice(task * strands, (task + 1) * strands)
        ours = [one for one in reads[mine] if one is not None]
        if len(ours) < strands:
            continue  # an error of the track
        if strands == 2:
            yield from examine(f"strands of {name}", check_strands, *files[mine], sample, task)
        signal = reduce(np.add, [one.of_task(0) for one in ours])
        for first in range(len(prepare.tasks) * strands, len(columns), strands):
            control = slice(first, first + strands)
            served = columns[first].tasks
            others = [one for one in reads[control] if one is not None]
            if task in served and len(others) == len(reads[control]):
                background = reduce(np.add, [one.of_task(served.index(task)) for one in others])
                yield from examine(f"control of {name}", check_control, columns[control], signal, background)


def columns_of(prepare: ConfigDict) -> tuple[list[Column], int]:
    """All columns, and how many strands there are."""
    named, strands, kind = name_columns(prepare)
    tasks, columns = len(prepare.tasks), []
    for index, (path, _, name) in enumerate(named):
        group = index // strands
        served = (group % tasks,) if group < tasks or kind == "matched" else tuple(range(tasks))
        columns.append(Column(name, path, served, group >= tasks))
    return columns, strands


def _open(prepare: ConfigDict, genome: Genome, sample: Sample, path: str) -> BigWig:
    """The file, once its chromosomes are known to be those of the genome wherever there are peaks."""
    file = BigWig(path)
    names = np.unique(np.concatenate([loci.chromosome for loci in sample.peaks])).tolist()
    check_tracks([file], genome.lengths, names, partial_genome=prepare.partial_genome)
    return file


def _read(prepare: ConfigDict, file: BigWig, sample: Sample, column: Column) -> Reads:
    """Raises for a value that is no count."""

    def reads(spans: Spans) -> np.ndarray:
        rows = zip(spans.chromosome.tolist(), spans.start.tolist(), strict=True)
        return np.array([file.counts(name, at, at + prepare.window).sum(dtype=np.int64) for name, at in rows])

    return Reads([reads(sample.around_peaks[task]) for task in column.tasks], reads(sample.at_random))


def check_reads(column: Column, reads: Reads) -> Iterator[Verdict]:
    """Whether there are reads, enough of them, and more around peaks; of a control only whether there are some."""
    around, at_random = np.concatenate(reads.around_peaks), reads.at_random
    if not around.any():
        empty = "anywhere in the sample" if not at_random.any() else f"in {len(around)} sampled windows around peaks"
        yield ERROR, f"{column.path}: there is no read {empty}; give tracks and peaks of one experiment"
        return
    ratio = around.mean() / at_random.mean() if at_random.any() else np.inf
    text = (
        f"{column.path}: {around.mean():.3g} reads in a window around a peak, {at_random.mean():.3g} in one at random"
        f" ({ratio:.1f}-fold)"
    )
    if column.is_control:
        yield OK, text
        return
    enriched, enough = ratio >= ENRICHED, around.mean() >= FEW_READS
    if not enriched:
        yield WARNING, f"{text}; the peaks are hardly enriched: give tracks and peaks of one experiment and assembly"
    if not enough:
        yield WARNING, f"{text}; that is little to learn a profile from: sequence deeper, or pool replicates"
    if enriched and enough:
        yield OK, text


def check_strands(plus: BigWig, minus: BigWig, sample: Sample, task: int) -> Iterator[Verdict]:
    """Whether the minus strand's reads lie to the right of the plus strand's, on the chromosome with most peaks."""
    loci = sample.peaks[task]
    names, counts = np.unique(loci.chromosome, return_counts=True)
    name = str(names[np.argmax(counts)])
    summits = loci.summit[loci.chromosome == name]
    centres = np.random.default_rng(SEED).choice(summits, min(MOST, len(summits)), replace=False)
    shift = strand_shift(plus, minus, name, centres.tolist())
    text = (
        f"{plus.path} and {minus.path}: the minus strand lies {abs(shift)} bases to the"
        f" {'left' if shift < 0 else 'right'} of the plus strand around"
        f" {len(centres)} summits on {name}"
    )
    if shift < -SHIFTS[0]:
        yield ERROR, f"{text}: plus and minus are swapped; exchange them in config.prepare.tracks"
    elif shift <= SHIFTS[0]:
        yield (
            WARNING,
            f"{text}, in ChIP-seq by about the length of a fragment; give 5′ ends by strand, unshifted, not coverage",
        )
    elif shift > SHIFTS[1]:
        yield WARNING, f"{text}, which is long for a fragment; make sure that tracks and peaks are of one experiment"
    else:
        yield OK, text


def check_control(columns: Sequence[Column], signal: np.ndarray, control: np.ndarray) -> Iterator[Verdict]:
    """Whether the reads `(n,)` of the control tell the peaks from the other windows as those of the signal do."""
    files = " and ".join(column.path for column in columns)
    if signal.std() == 0 or control.std() == 0:
        yield OK, f"{files}: its reads do not vary between windows"
        return
    correlation = np.corrcoef(signal, control)[0, 1]
    text = f"{files}: its reads correlate by {correlation:.2f} with those of the signal between {len(signal)} windows"
    if correlation > ALIKE:
        yield WARNING, f"{text}; give the input or mock experiment in config.prepare.controls, not one with the factor"
    else:
        yield OK, text
