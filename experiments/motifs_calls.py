"""Seqlets and instances of patterns in the genome, their BED files, and the independent regions that they reach."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fprior.data.loci import Loci, concatenate, touches_any
from fprior.data.regions import regions_used
from fprior.errors import InputError
from fprior.motifs.instances import call_instances, recall_curve
from fprior.motifs.patterns import Pattern

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} patterns [{elapsed}<{remaining}, ends {eta:%H:%M}]"
PLACE = ("chromosome", "start", "end", "pattern", "strand", "locus", "locus_start", "locus_end")
STRENGTH = ("contribution_match", "sequence_match", "importance")
BED = (*PLACE[:4], "score", *PLACE[4:5], *STRENGTH, *PLACE[5:])  # six columns of BED, then more
FULL_SCORE = 1000  # of BED: a contribution match of 1

Columns = Mapping[str, np.ndarray]


class Recall(NamedTuple):
    """What the calls of positive patterns reach of a set of independent regions.

    calls, reached: `(K,)`, 1 … K and how many regions the K most important calls overlap.
    chance: the same two for calls at random places of the same loci.
    regions, within: of the set, and how many of them overlap a locus and could be reached.
    hits: calls that overlap a region.
    """

    calls: np.ndarray
    reached: np.ndarray
    chance: tuple[np.ndarray, np.ndarray]
    regions: int
    within: int
    hits: int


# ---- places


def seqlets_of(patterns: Iterable[Pattern], loci: Columns) -> dict[str, np.ndarray]:
    """The seqlets of all patterns in the genome: the columns of `PLACE`."""
    return _joined(in_genome(one.name, loci, one.locus, one.start, one.end, one.strand) for one in patterns)


def instances_of(patterns: Sequence[Pattern], loci: Columns) -> dict[str, np.ndarray]:
    """The instances of all patterns in attributed loci: the columns of `PLACE` and `STRENGTH`.

    Args:
      patterns: may be empty.
      loci: of a score file.
    """
    found = []
    for one in tqdm(patterns, desc="instances", bar_format=BAR, disable=None, file=sys.stderr):
        calls = call_instances(one, loci["hypothetical"], loci["tokens"])
        places = in_genome(one.name, loci, *(calls[name] for name in ("locus", "start", "end", "strand")))
        found.append({**places, **{name: calls[name] for name in STRENGTH}})
    return _joined(found, STRENGTH)


def in_genome(
    name: str, loci: Columns, locus: np.ndarray, start: np.ndarray, end: np.ndarray, strand: np.ndarray
) -> dict[str, np.ndarray]:
    """Places of a pattern in inputs as columns of `PLACE`; `start` and `end` count from the start of what was read."""
    forward = loci["strand"][locus] == "+"
    first, last = loci["start"][locus], loci["end"][locus]
    return {
        "chromosome": loci["chromosome"][locus],
        "start": np.where(forward, first + start, last - end),
        "end": np.where(forward, first + end, last - start),
        "pattern": np.full(len(locus), name),
        "strand": np.where((strand == "+") == forward, "+", "-"),
        "locus": locus,
        "locus_start": first,
        "locus_end": last,
    }


def _joined(parts: Iterable[Columns], strength: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The columns of all parts, one after another; empty ones where there is no part."""
    parts = list(parts)
    texts = ("chromosome", "pattern", "strand")
    none = {name: np.empty(0, np.str_ if name in texts else np.int64) for name in PLACE}
    none |= {name: np.empty(0) for name in strength}
    return {name: np.concatenate([part[name] for part in parts] or [empty]) for name, empty in none.items()}


def as_bed(places: Columns) -> str:
    """The text of a BED file by chromosome and position: its six columns, then those that places have besides.

    The score is 1,000 times the contribution match, 0 where that is negative; seqlets, which have none, have 0.
    """
    count = len(places["start"])
    score = np.zeros(count, np.int64)
    if "contribution_match" in places:
        score = np.rint(FULL_SCORE * np.clip(places["contribution_match"], 0, 1)).astype(np.int64)
    columns = {name: {**places, "score": score}[name] for name in BED if name in places or name == "score"}
    texts = [
        [f"{value:.6g}" for value in values] if name in STRENGTH else [str(value) for value in values]
        for name, values in columns.items()
    ]
    order = np.lexsort((places["end"], places["start"], places["chromosome"]))
    rows = list(zip(*texts, strict=True))
    lines = ["#" + "\t".join(columns), *("\t".join(rows[index]) for index in order)]
    return "\n".join(lines) + "\n"


# ---- independent regions


def check_reach(name: str, path: str, regions: Loci, loci: Columns) -> None:
    """Raises InputError if none of the regions overlaps one of the loci: they are of another assembly, or misnamed."""
    if not regions_used(regions, loci["chromosome"], loci["start"], loci["tokens"].shape[1]):
        raise InputError(
            f"{path} (config.evaluate.region_names: {name}): none of its {len(regions):,} regions overlaps one of the"
            f" {len(loci['start']):,} loci in which instances are called; give regions of the same assembly and"
            " chromosomes, or leave them out"
        )


def recall_of(instances: Columns, positive: Sequence[str], regions: Loci, loci: Columns) -> Recall:
    """How many regions the most important instances of the positive patterns overlap, and as many at random places.

    What is called in several inputs that overlap counts once, with its largest importance. Random places are drawn
    anew for every call, evenly over its own input, with its width and rank.
    """
    calls = _sites(instances, positive)
    inputs = _as_loci(loci)
    reachable = regions[touches_any(regions.chromosome, regions.start, regions.end, inputs)]
    island = _islands(concatenate([inputs, reachable]))
    targets = island[len(inputs) :], reachable.start, reachable.end
    placed = {**calls, "locus": island[calls["locus"]]}
    widths = calls["end"] - calls["start"]
    spare = calls["locus_end"] - calls["locus_start"] - widths
    start = calls["locus_start"] + np.random.default_rng(0).integers(0, spare + 1)
    drawn = {**placed, "start": start, "end": start + widths}
    hits = touches_any(calls["chromosome"], calls["start"], calls["end"], regions)
    chance = recall_curve(drawn, targets)
    return Recall(*recall_curve(placed, targets), chance, len(regions), len(reachable), int(hits.sum()))


def _as_loci(places: Columns) -> Loci:
    start, end = places["start"], places["end"]
    return Loci(places["chromosome"], start, end, (start + end) // 2, np.full(len(start), np.nan, np.float32))


def _islands(places: Loci) -> np.ndarray:
    """A number `(n,)` for each place, the same for all that overlap, directly or through others.

    In them a region is looked for among few calls; between two inputs that overlap it would count twice.
    """
    shift = np.unique(places.chromosome, return_inverse=True)[1] * (int(places.end.max()) + 1)
    start, end = places.start + shift, places.end + shift
    order = np.argsort(start, kind="stable")
    reach = np.maximum.accumulate(end[order])
    numbers = np.empty(len(places), np.int64)
    numbers[order] = np.cumsum(np.append(False, start[order][1:] >= reach[:-1]))
    return numbers


def _sites(instances: Columns, positive: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of the positive patterns, the most important first, each place in the genome once a pattern."""
    order = np.argsort(-instances["importance"], kind="stable")
    order = order[np.isin(instances["pattern"][order], positive)]
    columns = [instances[name][order] for name in ("pattern", "chromosome", "start", "strand")]
    codes = [np.unique(values, return_inverse=True)[1] for values in columns]
    first = np.unique(np.stack(codes, axis=1), axis=0, return_index=True)[1] if len(order) else np.empty(0, np.int64)
    kept = order[np.sort(first)]
    return {name: values[kept] for name, values in instances.items()}
