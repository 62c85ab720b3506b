"""The windows around peaks, and at random, on which `experiments.doctor` looks at the genome and at tracks."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.doctor_findings import ERROR, OK, WARNING, Verdict
from fprior.data.background import windows_around
from fprior.data.genome import Genome
from fprior.data.loci import Loci, concatenate, touches_any
from fprior.errors import InputError
from fprior.sequence import UNKNOWN

MOST = 200  # windows around the peaks of a task, and as many at random
TRIES = 20  # candidates for every random window
SEED = 0
LOST_SHARE = 0.05  # of the windows that may have too many unknown bases


class Spans(NamedTuple):
    """Windows of one width: arrays `(n,)`."""

    chromosome: np.ndarray
    start: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


class Sample(NamedTuple):
    """What is looked at.

    `around_peaks`, the windows of each task; `at_random`, windows that touch no peak; `unknown` `(n,)`, the fraction
    of unknown bases in all windows around peaks; `peaks`, all loci of each task.
    """

    around_peaks: list[Spans]
    at_random: Spans
    unknown: np.ndarray
    peaks: list[Loci]


def draw_sample(prepare: ConfigDict, genome: Genome, peaks: list[Loci]) -> Sample:
    """Draws from the peaks of each task that lie on the genome, the same windows every time."""
    rng = np.random.default_rng(SEED)
    around = [_around(prepare, genome, loci, rng) for loci in peaks]
    unknown = np.concatenate([_unknown(genome, spans, prepare.window) for spans in around])
    return Sample(around, _at_random(prepare, genome, concatenate(peaks), rng), unknown, peaks)


def _around(prepare: ConfigDict, genome: Genome, loci: Loci, rng: np.random.Generator) -> Spans:
    starts = windows_around(loci.summit, prepare.window)
    lengths = np.array([genome.lengths[name] for name in loci.chromosome.tolist()])
    inside = np.flatnonzero((starts >= 0) & (starts + prepare.window <= lengths))
    if not len(inside):
        raise InputError(
            f"config.prepare.window (={prepare.window}): no window around a peak lies within its chromosome; reduce it"
        )
    chosen = np.sort(rng.choice(inside, min(MOST, len(inside)), replace=False))
    return Spans(loci.chromosome[chosen], starts[chosen])


def _at_random(prepare: ConfigDict, genome: Genome, peaks: Loci, rng: np.random.Generator) -> Spans:
    """Windows on the chromosomes with peaks that touch none, with no more unknown bases than are allowed."""
    names = np.unique(peaks.chromosome)
    room = np.array([max(0, genome.lengths[name] - prepare.window) for name in names.tolist()])
    if not room.any():
        raise InputError(f"config.prepare.window (={prepare.window}) is longer than all chromosomes; reduce it")
    which = rng.choice(len(names), TRIES * MOST, p=room / room.sum())
    start = (rng.random(TRIES * MOST) * room[which]).astype(np.int64)
    free = ~touches_any(names[which], start, start + prepare.window, peaks)
    free = np.flatnonzero(free)[: 2 * MOST]
    spans = Spans(names[which][free], start[free])
    known = np.flatnonzero(_unknown(genome, spans, prepare.window) <= prepare.max_unknown)[:MOST]
    if not len(known):
        raise InputError("config.prepare.peaks: no random window is free of peaks and unknown bases; check the peaks")
    return Spans(spans.chromosome[known], spans.start[known])


def _unknown(genome: Genome, spans: Spans, width: int) -> np.ndarray:
    """The fraction `(n,)` of unknown bases."""
    rows = zip(spans.chromosome.tolist(), spans.start.tolist(), strict=True)
    return np.array([(genome.tokens(name, start, start + width) == UNKNOWN).mean() for name, start in rows])


def check_unknown(prepare: ConfigDict, sample: Sample) -> Iterator[Verdict]:
    """How many windows of the sample have more unknown bases than are allowed."""
    lost = sample.unknown > prepare.max_unknown
    text = (
        f"{lost.sum():,} of {len(lost):,} sampled windows around peaks have more than {prepare.max_unknown:.0%} unknown"
        " bases"
    )
    if lost.all():
        yield ERROR, f"{text}; give another genome than {prepare.genome}, or raise config.prepare.max_unknown"
    elif lost.mean() > LOST_SHARE:
        yield WARNING, f"{text} and would be dropped; raise config.prepare.max_unknown if they matter"
    else:
        yield OK, text
