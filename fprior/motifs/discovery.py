"""TF-MoDISco on attributions: modisco-lite's command line, in a process of its own."""

from pathlib import Path

import numpy as np

from fprior.motifs.patterns import Pattern

WINDOW = 400
MAX_SEQLETS = 20_000
LEIDEN_RUNS = 2


def discover(
    tokens: np.ndarray,
    hypothetical: np.ndarray,
    output: Path,
    *,
    window: int = WINDOW,
    max_seqlets: int = MAX_SEQLETS,
    leiden_runs: int = LEIDEN_RUNS,
) -> list[Pattern]:
    """TF-MoDISco's patterns of attributed sequences.

    Args:
      tokens: `(N, L)`.
      hypothetical: hypothetical contributions `(N, L, 4)`.
      output: the file of modisco-lite that is written.
    """
    raise NotImplementedError


def why_none(tokens: np.ndarray, hypothetical: np.ndarray, *, window: int = WINDOW) -> str:
    """The likely reason why TF-MoDISco found no pattern, as a sentence."""
    raise NotImplementedError
