"""Loci at every bin of the genome: labels by the peaks that cover it, negatives drawn at random from the others."""

import sys
from collections import Counter
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.prepare_peaks import Peaks
from experiments.prepare_summits import Windows
from fprior.data import bins
from fprior.data.background import SplitWindows, gc_and_unknown_at, windows_around
from fprior.data.genome import Genome
from fprior.data.loci import Loci, touching
from fprior.data.matching import draw_random
from fprior.errors import InputError


class _Scanned(NamedTuple):
    """The usable bins of one kind on one chromosome: arrays `(n,)`, `labels` `(n, T)`."""

    start: np.ndarray  # int32, of the bin
    split: np.ndarray
    gc: np.ndarray  # float32
    labels: np.ndarray
    signal: np.ndarray


def windows_of_bins(prepare: ConfigDict, genome: Genome, peaks: Peaks, split_windows: SplitWindows) -> Windows:
    """All bins that are positive for some task, and negatives at random; adds the peaks that made none to the drops.

    Bins lie on the chromosomes that have peaks. Bins that are ambiguous for some task and positive for none are
    counted and left out. One chromosome is in memory at a time.
    """
    counts: Counter = Counter()
    drops: dict[str, Counter] = {kind: Counter() for kind in ("positive", "negative")}
    names = np.unique(peaks.loci.chromosome).tolist()
    found: dict[str, list[_Scanned]] = {"positive": [], "negative": []}
    for name in tqdm(names, desc="labelling bins", unit="chromosome", disable=None):
        tokens = genome.tokens(name, 0, genome.lengths[name])
        starts, labels, is_of = _label(prepare, len(tokens), peaks, name)
        counts.update(all=len(starts), **{kind: int(mask.sum()) for kind, mask in is_of.items()})
        for kind, scanned in found.items():
            usable, gc, split = _usable(
                prepare, tokens, name, starts[is_of[kind]], split_windows, peaks.excluded, drops[kind]
            )
            chosen = np.flatnonzero(is_of[kind])[usable]
            scanned.append(_scanned(prepare, peaks, name, starts[chosen], split, gc, labels, chosen, kind))
    _count_barren(prepare, peaks, names, found["positive"])
    positives, negatives = (np.repeat(range(len(names)), [len(s.start) for s in found[kind]]) for kind in found)
    if not len(positives):
        raise InputError(f"config.prepare.peaks (={prepare.peaks}): no positive bin is left; {_told(counts, drops)}")
    print(f"{len(positives):,} of {counts['positive']:,} positive bins are kept", file=sys.stderr)
    drawn = _draw(prepare, found, len(negatives))
    return _gather(prepare, np.array(names), found, positives, negatives, drawn, counts, drops)


def _told(counts: Counter, drops: dict[str, Counter]) -> str:
    return f"bins: {dict(counts)}, dropped: {dict(drops['positive'])}"


def _label(
    prepare: ConfigDict, length: int, peaks: Peaks, name: str
) -> tuple[np.ndarray, dict[int, np.ndarray], dict[str, np.ndarray]]:
    """The starts of a chromosome's bins, their labels by task, and which bins are of which kind."""
    starts = bins.bin_starts(length, prepare.bin_width, prepare.bin_stride)
    labels = {}
    positive, ambiguous = (np.zeros(len(starts), bool) for _ in range(2))
    for task in range(len(prepare.tasks)):
        strict, relaxed = task_peaks(peaks, task, name)
        labels[task] = bins.label_bins(starts, prepare.bin_width, strict, relaxed, prepare.bin_overlap)
        positive |= labels[task] == 1
        ambiguous |= labels[task] == -1
    ambiguous &= ~positive
    return starts, labels, {"positive": positive, "ambiguous": ambiguous, "negative": ~(positive | ambiguous)}


def task_peaks(peaks: Peaks, task: int, name: str) -> tuple[bins.Peaks, bins.Peaks]:
    """The strict peaks of a task on a chromosome, and the relaxed ones, to which those too weak belong."""
    mine = (peaks.task == task) & (peaks.loci.chromosome == name)
    strict, weak = (_on_chromosome(peaks.loci[mine & (peaks.strong == strong)], name) for strong in (True, False))
    if not peaks.relaxed:
        return strict, weak
    relaxed = _on_chromosome(peaks.relaxed[task], name)
    return strict, bins.Peaks(*(np.concatenate(pair) for pair in zip(weak, relaxed, strict=True)))


def _on_chromosome(loci: Loci, name: str) -> bins.Peaks:
    here = loci.chromosome == name
    return bins.Peaks(loci.start[here], loci.end[here], loci.signal[here])


def _usable(
    prepare: ConfigDict, tokens: np.ndarray, name: str, starts: np.ndarray, split_windows: SplitWindows,
    excluded: Loci | None, drops: Counter,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The indices of the bins whose stored windows can be used, their GC and their split; counts the others."""
    window = prepare.window
    first = stored_windows(prepare, starts)
    usable = np.arange(len(starts))

    def keep(good: np.ndarray, reason: str) -> None:
        nonlocal usable, first
        drops[reason] += int((~good).sum())
        usable, first = usable[good], first[good]

    keep((first >= 0) & (first + window <= len(tokens)), "window leaves its chromosome")
    if excluded is not None:
        there = excluded.chromosome == name
        touched = touching(first, first + window, excluded.start[there], excluded.end[there])
        keep(touched == 0, "touches an excluded region")
    split, crosses = split_windows(np.full(len(first), name), first, first + window)
    keep(~crosses, "window touches two splits")
    split = split[~crosses]
    gc, unknown = gc_and_unknown_at(tokens, first, window)
    known = (unknown <= prepare.max_unknown) & (unknown < 1)
    keep(known, f"more than {prepare.max_unknown:.0%} unknown bases")
    return usable, gc[known].astype(np.float32), split[known]


def stored_windows(prepare: ConfigDict, starts: np.ndarray) -> np.ndarray:
    """The starts of the windows around the middles of bins."""
    return windows_around(np.asarray(starts, np.int64) + prepare.bin_width // 2, prepare.window)


def _scanned(
    prepare: ConfigDict, peaks: Peaks, name: str, starts: np.ndarray, split: np.ndarray, gc: np.ndarray,
    labels: dict[int, np.ndarray], chosen: np.ndarray, kind: str,
) -> _Scanned:  # fmt: skip
    """Labels and signals are only put together for positives: those of negatives are 0 and NaN."""
    if kind == "negative":
        return _Scanned(starts.astype(np.int32), split, gc, np.zeros((0, len(labels)), np.int8), np.zeros(0, "f4"))
    table = np.stack([labels[task][chosen] for task in labels], axis=1)
    signal = np.full(len(chosen), np.nan, np.float32)
    for task in labels:
        mine = table[:, task] == 1
        own = bins.largest_signal(starts[mine], prepare.bin_width, task_peaks(peaks, task, name)[0])
        signal[mine] = np.fmax(signal[mine], own)
    return _Scanned(starts.astype(np.int32), split, gc, table, signal)


def _count_barren(prepare: ConfigDict, peaks: Peaks, names: list[str], positives: list[_Scanned]) -> None:
    """Counts the peaks that lie in no positive bin of their task that is kept."""
    barren = 0
    for name, scanned in zip(names, positives, strict=True):
        for task in range(len(prepare.tasks)):
            strict, _ = task_peaks(peaks, task, name)
            starts = scanned.start[scanned.labels[:, task] == 1].astype(np.int64)
            barren += int((touching(strict.start, strict.end, starts, starts + prepare.bin_width) == 0).sum())
    peaks.drops["in no positive bin"] = barren


def _draw(prepare: ConfigDict, found: dict[str, list[_Scanned]], available: int) -> np.ndarray:
    """The indices of the negatives that are kept, ascending."""
    if prepare.negatives_per_positive == 0:
        return np.arange(available)
    splits = (np.concatenate([scanned.split for scanned in found[kind]]) for kind in ("positive", "negative"))
    rng = np.random.default_rng(prepare.seed)
    return np.sort(draw_random(*splits, per_positive=prepare.negatives_per_positive, rng=rng).ravel())


def _gather(
    prepare: ConfigDict, names: np.ndarray, found: dict[str, list[_Scanned]], positives: np.ndarray,
    negatives: np.ndarray, drawn: np.ndarray, counts: Counter, drops: dict[str, Counter],
) -> Windows:  # fmt: skip
    def column(field: str) -> np.ndarray:
        parts = (np.concatenate([getattr(s, field) for s in found[kind]]) for kind in ("positive", "negative"))
        first, second = parts
        return np.concatenate([first, second[drawn]])

    signal, labels = (np.concatenate([getattr(s, name) for s in found["positive"]]) for name in ("signal", "labels"))
    return Windows(
        names[np.concatenate([positives, negatives[drawn]])],
        stored_windows(prepare, column("start")),
        column("split"),
        np.concatenate([labels, np.zeros((len(drawn), labels.shape[1]), np.int8)]),
        np.concatenate([signal, np.full(len(drawn), np.nan, np.float32)]),
        column("gc"),
        {"candidates": counts["negative"], **drops["negative"]},
        {"bins": {**counts, "positives_dropped": dict(drops["positive"])}},
    )
