"""Sequences with one planted motif each, attributions that are its log-odds plus noise, and the pattern they make."""

from typing import NamedTuple

import numpy as np

from fprior.data.motif_scan import read_frequencies
from fprior.motifs.patterns import Pattern
from fprior.sequence import reverse_complement_tokens

NAME = "MA0139.2_CTCF"
FREQUENCIES = read_frequencies("jaspar2026_core_vertebrates", [NAME])[NAME]
WIDTH = len(FREQUENCIES)
LOG_ODDS = np.log2((FREQUENCIES + 0.01) / 1.04 / 0.25)


class Planted(NamedTuple):
    """Tokens `(N, L)`, hypothetical contributions `(N, L, 4)`, and where in each sequence the motif is `(N,)`."""

    tokens: np.ndarray
    hypothetical: np.ndarray
    start: np.ndarray
    reverse: np.ndarray


def plant(number: int, length: int, *, seed: int, margin: int = 25, noise: float = 0.05) -> Planted:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 4, (number, length)).astype(np.uint8)
    hypothetical = noise * rng.standard_normal((number, length, 4))
    start = rng.integers(margin, length - margin - WIDTH, number)
    reverse = rng.integers(0, 2, number).astype(bool)
    for row, scores, begin, opposite in zip(tokens, hypothetical, start, reverse, strict=True):
        word = np.array([rng.choice(4, p=p) for p in FREQUENCIES])
        row[begin : begin + WIDTH] = reverse_complement_tokens(word) if opposite else word
        scores[begin : begin + WIDTH] += LOG_ODDS[::-1, ::-1] if opposite else LOG_ODDS
    return Planted(tokens, hypothetical.astype(np.float32), start, reverse)


def pattern_of(planted: Planted, name: str = "positive_0") -> Pattern:
    """What TF-MoDISco should make of them: the planted places as seqlets, three bases wider on either side."""
    rows = np.arange(len(planted.start))
    columns = planted.start[:, None] - 3 + np.arange(WIDTH + 6)
    one_hot = planted.tokens[rows[:, None], columns][..., None] == np.arange(4)
    hypothetical = planted.hypothetical[rows[:, None], columns]
    one_hot, hypothetical = (
        np.where(planted.reverse[:, None, None], array[:, ::-1, ::-1], array) for array in (one_hot, hypothetical)
    )
    contributions = one_hot * hypothetical
    return Pattern(
        name=name,
        sign=1,
        probabilities=one_hot.mean(axis=0),
        contributions=contributions.mean(axis=0),
        hypothetical=hypothetical.mean(axis=0),
        locus=rows,
        start=columns[:, 0],
        end=columns[:, -1] + 1,
        strand=np.where(planted.reverse, "-", "+"),
        seqlet_contributions=contributions.astype(np.float32),
    )
