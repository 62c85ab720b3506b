"""Where motifs match sequences: matrices of MEME files, scanned by Biopython."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from Bio import motifs

from fprior.errors import InputError
from fprior.sequence import decode

PSEUDOCOUNT = 0.01  # added to each probability of a matrix, so that none is 0
FALSE_POSITIVE_RATE = 1e-4  # of a position of random sequence with equal bases, as FIMO has it by default


SHIPPED = Path(__file__).parent / "jaspar"


def read_motifs(path: str | os.PathLike, names: Sequence[str]) -> dict[str, Any]:
    """Position-specific scoring matrices of a MEME file, by name.

    Args:
      path: in MEME's minimal format, or the name of a file that ships with fprior (`jaspar2024_selected`).
      names: of the motifs that are wanted.

    Raises:
      InputError: the file is missing, or no minimal MEME file, or has no motif of such a name.
    """
    shipped = SHIPPED / f"{path}.meme"
    path = shipped if shipped.is_file() else Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give motifs in MEME's minimal format")
    try:
        with open(path) as file:
            found = motifs.parse(file, "minimal")
    except (ValueError, IndexError, UnicodeDecodeError, StopIteration) as error:
        raise InputError(f"{path}: cannot be read as MEME's minimal format ({error})") from error
    known = {motif.name: motif for motif in found}
    matrices = {}
    for name in names:
        if name not in known:
            raise InputError(f"{path}: has no motif {name!r}; it has {', '.join(sorted(known)) or 'none'}")
        motif = known[name]
        probabilities = {base: np.asarray(motif.pwm[base]) + PSEUDOCOUNT for base in "ACGT"}
        total = sum(probabilities.values())
        matrices[name] = motifs.matrix.PositionWeightMatrix(
            "ACGT", {base: list(values / total) for base, values in probabilities.items()}
        ).log_odds()
    return matrices


def motif_positions(tokens: np.ndarray, matrix: Any, false_positive_rate: float = FALSE_POSITIVE_RATE) -> np.ndarray:
    """Mask `(N, L)` of the bases of tokens `(N, L)` that lie in a match to the motif, on either strand.

    A match scores at least as much as a share of `false_positive_rate` of random words with equal bases does.
    """
    width = matrix.length
    threshold = matrix.distribution(precision=10**3).threshold_fpr(false_positive_rate)
    mask = np.zeros(tokens.shape, bool)
    if tokens.shape[1] < width:
        return mask
    strands = (matrix, matrix.reverse_complement())
    for row, sequence in zip(mask, tokens, strict=True):
        text = decode(sequence)
        for strand in strands:
            scores = np.atleast_1d(strand.calculate(text))
            for start in np.flatnonzero(scores >= threshold):  # NaN, where a base is unknown, is no match
                row[start : start + width] = True
    return mask
