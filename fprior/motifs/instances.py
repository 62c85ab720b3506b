"""Where a pattern lies: windows that read like it and whose contributions look like it."""

import numpy as np

from fprior.data.motif_scan import FALSE_POSITIVE_RATE
from fprior.motifs.patterns import Pattern

PERCENTILE = 10  # of the seqlets' own contribution matches, which a call has to reach


def call_instances(
    pattern: Pattern,
    hypothetical: np.ndarray,
    tokens: np.ndarray,
    *,
    false_positive_rate: float = FALSE_POSITIVE_RATE,
    percentile: float = PERCENTILE,
) -> dict[str, np.ndarray]:
    """The instances of a pattern in attributed sequences.

    Args:
      pattern: as `fprior.motifs.patterns.read_patterns` returns it.
      hypothetical: hypothetical contributions `(N, L, 4)`.
      tokens: `(N, L)`.

    Returns:
      Columns `(K,)`, ordered by locus and start: `locus`, `start`, `end`, `strand` ("+", "-"), `contribution_match` in
      [−1, 1], `sequence_match` in bits, `importance`.
    """
    raise NotImplementedError


def recall_curve(
    instances: dict[str, np.ndarray], regions: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How many independent regions the most important instances reach.

    Args:
      instances: of `call_instances`; those of several patterns may be concatenated.
      regions: locus, start, end `(R,)` each, in the coordinates of the instances.

    Returns:
      calls `(K,)`: 1 … K; recalled `(K,)`: how many of the R regions the first of them overlap, cumulatively.
    """
    raise NotImplementedError
