"""What motif discovery found, as one object for the page, and as the numbers of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from experiments.motifs_calls import Recall
from experiments.motifs_sources import Sources
from fprior.motifs.enrichment import Enrichment
from fprior.motifs.matching import Match
from fprior.motifs.patterns import Pattern
from fprior.sequence import ALPHABET

MATCH_COLUMNS = tuple(field.name for field in fields(Match))
BASELINE_COLUMNS = tuple(field.name for field in fields(Enrichment))
RECALL_COLUMNS = ("regions", "calls", "reached", "reached_at_random")
CONSENSUS = 0.5  # a base that is less frequent is written in lower case


@dataclass(frozen=True, eq=False)
class Result:
    """Everything that was found.

    Attributes:
      sources: what it was found in.
      patterns: as TF-MoDISco ranks them, positive ones first.
      why_none: the likely reason where there is none; None where there are some.
      matches: pattern → known motifs like it, best first.
      seqlets, instances: columns, see experiments/motifs_calls.py.
      recall: region set → what instances reach of it.
      baseline: known motifs by how enriched they are; none where there are no negatives.
      negatives: how many sequences the loci were held against.
      seconds: of each part of the work.
    """

    sources: Sources
    patterns: Sequence[Pattern]
    why_none: str | None
    matches: Mapping[str, Sequence[Match]]
    seqlets: Mapping[str, np.ndarray]
    instances: Mapping[str, np.ndarray]
    recall: Mapping[str, Recall]
    baseline: Sequence[Enrichment]
    negatives: int
    seconds: Mapping[str, float]


def called(result: Result, pattern: str) -> Match | None:
    """The known motif that a pattern is taken for: its best match, if that is good enough to be called one."""
    best = next(iter(result.matches.get(pattern, ())), None)
    return best if best is not None and best.q_value <= result.sources.q_value else None


def consensus(pattern: Pattern) -> str:
    """The most frequent base at each trimmed position, in lower case where it is in less than half of the seqlets."""
    rows = pattern.probabilities[pattern.trimmed()]
    letters = [ALPHABET[index] for index in rows.argmax(axis=1)]
    shares = rows.max(axis=1)
    return "".join(one if share >= CONSENSUS else one.lower() for one, share in zip(letters, shares, strict=True))


def record_of(result: Result, provenance: Mapping[str, Any], gigabytes: float) -> dict[str, Any]:
    """The numbers of the page as JSON, with how they were made and the most memory that it took."""
    return {
        **provenance,
        "settings": result.sources.settings,
        "window": result.sources.window,
        "counts": {
            "loci": len(result.sources.loci["start"]),
            "loci_of_instances": len(result.sources.places["start"]),
            "patterns": len(result.patterns),
            "positive_patterns": sum(one.sign > 0 for one in result.patterns),
            "patterns_with_a_match": sum(called(result, one.name) is not None for one in result.patterns),
            "seqlets": len(result.seqlets["start"]),
            "instances": len(result.instances["start"]),
        },
        "why_none": result.why_none,
        "patterns": [_pattern(result, one) for one in result.patterns],
        "recall": {name: _recall(result, name, one) for name, one in result.recall.items()},
        "no_recall": result.sources.no_regions or None,
        "baseline": {
            "motifs": len(result.baseline),
            "negatives": result.negatives,
            "enriched": sum(one.q_value <= result.sources.q_value for one in result.baseline),
        },
        "seconds": dict(result.seconds),
        "peak_memory_gigabytes": round(gigabytes, 2),
    }


def _pattern(result: Result, one: Pattern) -> dict[str, Any]:
    trimmed = one.trimmed()
    loci = result.instances["locus"][result.instances["pattern"] == one.name]
    return {
        "name": one.name,
        "seqlets": len(one.locus),
        "loci_with_seqlets": len(np.unique(one.locus)),
        "width": trimmed.stop - trimmed.start,
        "information_bits": float(one.information_content[trimmed].sum()),
        "consensus": consensus(one),
        "matches": [{name: getattr(match, name) for name in MATCH_COLUMNS[1:]} for match in result.matches[one.name]],
        "instances": len(loci),
        "loci_with_instances": len(np.unique(loci)),
    }


def _recall(result: Result, name: str, one: Recall) -> dict[str, Any]:
    return {
        "file": result.sources.regions[name][0],
        "regions": one.regions,
        "regions_at_loci": one.within,
        "calls": len(one.calls),
        "calls_in_regions": one.hits,
        "reached": int(one.reached[-1]) if len(one.reached) else 0,
        "reached_at_random": int(one.chance[1][-1]) if len(one.reached) else 0,
    }


def recall_rows(recall: Mapping[str, Recall]) -> list[tuple[str, int, int, int]]:
    """A row, beneath `RECALL_COLUMNS`, for each number of calls of each region set."""
    return [
        (name, int(calls), int(reached), int(at_random))
        for name, one in recall.items()
        for calls, reached, at_random in zip(one.calls, one.reached, one.chance[1], strict=True)
    ]
