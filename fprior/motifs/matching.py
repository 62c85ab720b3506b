"""Which known motifs the patterns resemble: Tomtom, as memelite computes it."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from scipy.stats import false_discovery_control

from fprior.errors import InputError
from fprior.motifs.patterns import Pattern

FEW = 50  # known motifs; with fewer, the p-values depend on which they are


@dataclass(frozen=True)
class Match:
    """A known motif that resembles a pattern.

    Attributes:
      pattern, motif: their names.
      p_value: of an alignment at least as good by chance, over all offsets and both strands.
      q_value: the false discovery rate if all motifs up to this one are taken as matches of the pattern.
      overlap: positions that are aligned.
      offset: of the trimmed pattern's first position from the motif's, read on that strand.
      strand: "-" where the motif's opposite strand is aligned.
    """

    pattern: str
    motif: str
    p_value: float
    q_value: float
    overlap: int
    offset: int
    strand: str


def match(patterns: Sequence[Pattern], motifs: Mapping[str, np.ndarray], *, top: int = 3) -> dict[str, list[Match]]:
    """The `top` known motifs most like each pattern, best first, by pattern's name.

    Tomtom compares the trimmed probabilities with every motif on both strands. The q-values are Benjamini and
    Hochberg's over all motifs, for each pattern by itself. Tomtom compares positions as they are, so that stretches
    where no base is preferred resemble each other too: where a pattern has little information, a small q-value says
    little.

    Args:
      patterns: may be empty.
      motifs: name → probabilities `(W, 4)`, as `fprior.data.motif_scan.read_all_motifs` returns them.
      top: motifs to keep for each pattern; fewer where there are fewer.

    Raises:
      InputError: memelite is not installed, motifs is empty, or top is not positive.

    Source: Gupta et al., Quantifying similarity between motifs, Genome Biology 2007.
    """
    if not motifs:
        raise InputError("motifs is empty: there is nothing to match with; give motifs of a MEME file that has some")
    if top < 1:
        raise InputError(f"top (={top}) must be at least 1")
    if not patterns:
        return {}
    if len(motifs) < FEW:
        print(f"only {len(motifs)} known motifs: the p-values of Tomtom would differ with others", file=sys.stderr)
    p_values, offsets, overlaps, strands = _tomtom(patterns, list(motifs.values()))
    names = list(motifs)
    matches = {}
    for pattern, p, offset, overlap, strand in zip(patterns, p_values, offsets, overlaps, strands, strict=True):
        q = false_discovery_control(p)
        matches[pattern.name] = [
            Match(
                pattern.name,
                names[i],
                float(p[i]),
                float(q[i]),
                int(overlap[i]),
                int(offset[i]),
                "-" if strand[i] else "+",
            )
            for i in np.argsort(p, kind="stable")[:top]
        ]
    return matches


def memelite() -> ModuleType:
    """The module of this name, imported when it is needed: it takes seconds, and is an extra.

    Raises:
      InputError: it is not installed.
    """
    try:
        import memelite
    except ImportError as error:
        raise InputError("memelite is not installed; run: pip install 'fprior[motifs]'") from error
    return memelite


def _tomtom(patterns: Sequence[Pattern], targets: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """p-values, offsets, overlaps and strands, each `(patterns, targets)`."""
    queries = [pattern.probabilities[pattern.trimmed()].T for pattern in patterns]
    print("comparing with known motifs (the first time, Tomtom compiles for about a minute)", file=sys.stderr)
    tomtom = memelite().tomtom
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "tomtom was given", UserWarning)  # said above, once and in our words
        p, _, offsets, overlaps, strands = tomtom(queries, [np.asarray(target).T for target in targets])
    return np.clip(p, 0, 1), offsets, overlaps, strands
