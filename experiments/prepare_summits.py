"""Loci around the summits of peaks, and their background."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.prepare_peaks import Peaks
from fprior.data.background import (
    Background,
    SplitWindows,
    sample_gc_matched,
    sample_random,
    unknown_fraction_at,
    windows_around,
)
from fprior.data.genome import Genome
from fprior.data.loci import Loci, touches_any
from fprior.errors import InputError


class Windows(NamedTuple):
    """The stored windows, positives first: parallel arrays `(n,)`, one element a locus.

    `chromosome` str; `start` int64; `split` uint8; `labels` `(n, T)` int8; `signal` float32, NaN for negatives;
    `gc` float. `background` counts the candidates for negatives, and of them those dropped by reason; `notes` is
    whatever else the manifest says about how the loci were found.
    """

    chromosome: np.ndarray
    start: np.ndarray
    split: np.ndarray
    labels: np.ndarray
    signal: np.ndarray
    gc: np.ndarray
    background: Mapping[str, int]
    notes: Mapping[str, object]


def windows_of_summits(prepare: ConfigDict, genome: Genome, peaks: Peaks, split_windows: SplitWindows) -> Windows:
    """A window around every summit that is kept, and its background; adds the peaks dropped to `peaks.drops`."""
    strong = peaks.loci[peaks.strong]
    kept = distinct_summits(strong, prepare.min_summit_distance)
    peaks.drops[f"summit within {prepare.min_summit_distance} bp of a stronger one"] = len(strong) - len(kept)
    positives = usable_windows(strong[kept], genome, prepare, split_windows, peaks)
    print(f"{len(positives):,} of {peaks.total:,} peaks are kept; drawing their background", file=sys.stderr)
    starts = windows_around(positives.summit, prepare.window)
    background = sample_background(prepare, genome, positives, starts, split_windows, peaks)
    labels = labels_of(positives, peaks, len(prepare.tasks), prepare.positive_reach)
    split, _ = split_windows(positives.chromosome, starts, starts + prepare.window)
    count = len(background.start)
    return Windows(
        np.concatenate([positives.chromosome, background.chromosome]),
        np.concatenate([starts, background.start]),
        np.concatenate([split, background.split]),
        np.concatenate([labels, np.zeros((count, labels.shape[1]), np.int8)]),
        np.concatenate([positives.signal, np.full(count, np.nan, np.float32)]),
        np.concatenate([background.positive_gc, background.gc]),
        background.counts,
        {},
    )


def distinct_summits(peaks: Loci, distance: int) -> np.ndarray:
    """Indices of the peaks without a stronger one whose summit is closer than `distance`, strongest first considered.

    Peaks without a signal count as the weakest; ties keep the order of the file.
    """
    strength = np.nan_to_num(peaks.signal, nan=-np.inf)
    kept = []
    # With bins as wide as the distance only the own and the neighbouring bins can hold a summit that is closer.
    bins: dict[tuple[str, int], list[int]] = {}
    for index in np.argsort(-strength, kind="stable"):
        chromosome, summit = str(peaks.chromosome[index]), int(peaks.summit[index])
        home = summit // max(distance, 1)
        near = (s for b in (home - 1, home, home + 1) for s in bins.get((chromosome, b), ()))
        if all(abs(summit - other) >= distance for other in near):
            bins.setdefault((chromosome, home), []).append(summit)
            kept.append(index)
    return np.sort(np.array(kept, np.int64))


def usable_windows(
    candidates: Loci, genome: Genome, prepare: ConfigDict, split_windows: SplitWindows, peaks: Peaks
) -> Loci:
    """Those whose windows lie inside their chromosome and their split, clear of excluded regions and unknown bases."""
    drops = peaks.drops
    starts = windows_around(candidates.summit, prepare.window)
    lengths = np.array([genome.lengths[name] for name in candidates.chromosome.tolist()])
    inside = (starts >= 0) & (starts + prepare.window <= lengths)
    drops["window leaves its chromosome"] = int((~inside).sum())
    candidates, starts = candidates[inside], starts[inside]
    if peaks.excluded is not None:
        touched = touches_any(candidates.chromosome, starts, starts + prepare.window, peaks.excluded)
        drops["touches an excluded region"] = int(touched.sum())
        candidates, starts = candidates[~touched], starts[~touched]
    _, crosses = split_windows(candidates.chromosome, starts, starts + prepare.window)
    drops["window touches two splits"] = int(crosses.sum())
    candidates, starts = candidates[~crosses], starts[~crosses]
    unknown = np.empty(len(candidates))
    for name in np.unique(candidates.chromosome):
        here = candidates.chromosome == name
        tokens = genome.tokens(str(name), 0, genome.lengths[str(name)])
        unknown[here] = unknown_fraction_at(tokens, starts[here], prepare.window)
    known = (unknown <= prepare.max_unknown) & (unknown < 1)
    drops[f"more than {prepare.max_unknown:.0%} unknown bases"] = int((~known).sum())
    if not known.any():
        raise InputError(f"config.prepare.peaks (={prepare.peaks}): no peak is left; dropped: {drops}")
    return candidates[known]


def sample_background(
    prepare: ConfigDict, genome: Genome, positives: Loci, starts: np.ndarray, split_windows: SplitWindows, peaks: Peaks
) -> Background:
    """The negatives; peaks that are too weak to be positives keep them away like the others."""
    sample, options = sample_random, {}
    if prepare.background == "gc":
        sample, options = sample_gc_matched, {"tolerance": prepare.gc_tolerance}
    return sample(
        genome,
        positives.chromosome,
        starts,
        prepare.window,
        split_windows,
        peaks.loci,
        margin=prepare.peak_margin,
        excluded=peaks.excluded,
        max_unknown=prepare.max_unknown,
        per_positive=prepare.negatives_per_positive,
        rng=np.random.default_rng(prepare.seed),
        **options,
    )


def labels_of(positives: Loci, peaks: Peaks, num_tasks: int, reach: int) -> np.ndarray:
    """Labels `(n, T)` int8: 1 if a peak of the task has its summit within `reach` bases of the locus's, else 0.

    −1, ambiguous, where all peaks that do are too weak for `top_fraction`.
    """
    labels = np.zeros((len(positives), num_tasks), np.int8)
    for name in np.unique(positives.chromosome):
        here = np.flatnonzero(positives.chromosome == name)
        on_it = peaks.loci.chromosome == name
        for index in range(num_tasks):
            for value, strong in ((-1, False), (1, True)):
                mine = on_it & (peaks.task == index) & (peaks.strong == strong)
                near = _has_near(positives.summit[here], peaks.loci.summit[mine], reach)
                labels[here[near], index] = value
    return labels


def _has_near(positions: np.ndarray, summits: np.ndarray, reach: int) -> np.ndarray:
    """Which positions have a summit within `reach` bases."""
    summits = np.sort(summits)
    first = np.searchsorted(summits, positions - reach, side="left")
    return np.searchsorted(summits, positions + reach, side="right") > first
