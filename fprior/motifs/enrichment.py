"""What is found without a model: known motifs that occur in more positives than negatives."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control, hypergeom
from tqdm import tqdm

from fprior.data.motif_scan import FALSE_POSITIVE_RATE
from fprior.errors import InputError
from fprior.motifs.matching import memelite
from fprior.sequence import ALPHABET, UNKNOWN

BLOCK = 2_000  # sequences scanned at a time


@dataclass(frozen=True)
class Enrichment:
    """How much more often a known motif occurs in the positives.

    Attributes:
      motif: its name.
      positives, negatives: how many of them have at least one match.
      odds_ratio: of a match in a positive to one in a negative, ½ added to each of the four counts.
      p_value: one-sided, Fisher's exact test.
      q_value: the false discovery rate if all motifs up to this one are taken as enriched.
    """

    motif: str
    positives: int
    negatives: int
    odds_ratio: float
    p_value: float
    q_value: float


def enrichment(
    positives: np.ndarray,
    negatives: np.ndarray,
    motifs: Mapping[str, np.ndarray],
    *,
    false_positive_rate: float = FALSE_POSITIVE_RATE,
) -> list[Enrichment]:
    """Known motifs by how much more of the positives than of the negatives have a match, the clearest first.

    Matches are FIMO's, as memelite computes them, on both strands, at a p-value of `false_positive_rate` against equal
    bases; a word with an unknown base is no match. The q-values are Benjamini and Hochberg's.

    Args:
      positives, negatives: tokens `(P, L)` and `(Q, L)`; of one length, because longer sequences have more matches.
      motifs: name → probabilities `(W, 4)`, as `fprior.data.motif_scan.read_all_motifs` returns them.

    Raises:
      InputError: memelite is not installed, there are no motifs, positives or negatives, or the lengths differ.

    Source: Grant, Bailey and Noble, FIMO: scanning for occurrences of a given motif, Bioinformatics 2011.
    """
    for name, given in (("positives", positives), ("negatives", negatives), ("motifs", motifs)):
        if not len(given):
            raise InputError(f"{name} (=[]) is empty; a comparison needs positives, negatives and known motifs")
    if positives.shape[1] != negatives.shape[1]:
        raise InputError(
            f"positives of {positives.shape[1]} bases and negatives of {negatives.shape[1]} must be equally long;"
            " cut the longer ones"
        )
    total = len(positives) + len(negatives)
    with tqdm(total=total, desc="scanning with known motifs", disable=None, file=sys.stderr) as bar:
        with_match = [_sequences_with(tokens, motifs, false_positive_rate, bar) for tokens in (positives, negatives)]
    p = hypergeom.sf(  # Fisher's exact test of "greater", for all motifs at once
        with_match[0] - 1, total, sum(with_match), len(positives)
    )
    q = false_discovery_control(p)
    odds = [
        (found + 0.5) / (len(given) - found + 0.5)
        for found, given in zip(with_match, (positives, negatives), strict=True)
    ]
    ratio = odds[0] / odds[1]
    names = list(motifs)
    return [
        Enrichment(names[i], int(with_match[0][i]), int(with_match[1][i]), float(ratio[i]), float(p[i]), float(q[i]))
        for i in np.lexsort((-ratio, p))
    ]


def _sequences_with(tokens: np.ndarray, motifs: Mapping[str, np.ndarray], rate: float, bar: tqdm) -> np.ndarray:
    """How many of the sequences have a match to each motif, int64."""
    fimo, total = memelite().fimo, np.zeros(len(motifs), np.int64)
    matrices = {name: np.asarray(rows, np.float64).T for name, rows in motifs.items()}
    for begin in range(0, len(tokens), BLOCK):
        block = tokens[begin : begin + BLOCK]
        one_hot = (block[:, None, :] == np.arange(len(ALPHABET))[:, None]).astype(np.int8)
        hits = fimo(matrices, one_hot, threshold=rate)
        unknown = np.cumsum(np.pad(block == UNKNOWN, ((0, 0), (1, 0))), axis=1)  # FIMO may match what is all unknown
        for i, table in enumerate(hits):
            sequence, start, end = (table[name].to_numpy(np.int64) for name in ("sequence_name", "start", "end"))
            total[i] += len(np.unique(sequence[unknown[sequence, end] == unknown[sequence, start]]))
        bar.update(len(block))
    return total
