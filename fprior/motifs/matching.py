"""Which known motifs the patterns resemble: Tomtom, as memelite computes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fprior.motifs.patterns import Pattern


@dataclass(frozen=True)
class Match:
    """A known motif that resembles a pattern.

    Attributes:
      pattern, motif: their names.
      p_value: of an alignment at least as good by chance, over all offsets and both strands.
      q_value: the false discovery rate if all motifs up to this one are taken as matches of the pattern.
      overlap: positions that are aligned.
      offset: of the motif's first position from the trimmed pattern's first.
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
    Hochberg's over all motifs, for each pattern by itself.

    Args:
      patterns: may be empty.
      motifs: name → probabilities `(W, 4)`, as `fprior.data.motif_scan.read_all_motifs` returns them.
      top: motifs to keep for each pattern; fewer where there are fewer.

    Raises:
      InputError: memelite is not installed, motifs is empty, or top is not positive.
    """
    raise NotImplementedError
