"""Simulated sequences with instances of one motif near their middle, and sequences without.

Every instance is kept with its place, strand and strength, so that attributions can be held against what was put
there. The background of the sequences with the motif may be richer in G and C than that of the others, which offers a
model another way to tell them apart.

Source: Tseng et al. 2020, sections 7 and 9; what the paper leaves open is as in the authors' simulation: one instance
on either strand, at most 100 bases from the middle.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fprior.data.motif_scan import read_frequencies
from fprior.data.simulation import Motif, check_background, sample_letters, sample_places
from fprior.errors import InputError
from fprior.sequence import ALPHABET

UNIFORM = (0.25, 0.25, 0.25, 0.25)
PSEUDOCOUNT = 1e-5  # as the authors have it for this simulation


@dataclass(frozen=True, eq=False)
class MotifSimulation:
    """Simulated sequences and what was put into them.

    Attributes:
      tokens: `(N, L)` uint8.
      labels: `(N,)` int8, 1 for the sequences with instances.
      instances: the M instances as arrays `(M,)`: `sequence`, index; `start`, the first base; `reverse`, whether the
        motif is on the opposite strand; `strength`, the log-odds of its letters against the background.
    """

    tokens: np.ndarray
    labels: np.ndarray
    instances: dict[str, np.ndarray]


def motif_of(path: str | os.PathLike, name: str) -> Motif:
    """The motif of this name in a file; see `fprior.data.motif_scan.read_frequencies`, which also raises."""
    return Motif(name, read_frequencies(path, [name])[name])


def biased_background(background: Sequence[float], gc_bias: float) -> tuple[float, ...]:
    """The background with gc_bias more of G and C, half of it each, and as much less of A and T.

    Raises:
      InputError: background is not four positive probabilities that sum to 1, or there is too little A or T.
    """
    check_background(background)
    biased = tuple(p + sign * gc_bias / 2 for p, sign in zip(background, (-1, 1, 1, -1), strict=True))
    if min(biased) <= 0:
        raise InputError(f"gc_bias (={gc_bias}) leaves a base of background (={background}) no share; lower it")
    return biased


def simulate_motif(
    motif: Motif,
    num_sequences: int,
    length: int,
    *,
    seed: int,
    first: int = 0,
    instances: int = 1,
    reach: int = 100,
    background: Sequence[float] = UNIFORM,
    gc_bias: float = 0.0,
) -> MotifSimulation:
    """Background letters, and in every sequence of an even number instances of a motif that do not overlap.

    Letters are drawn independently from the background, instances from the motif's smoothed frequencies; each is on
    either strand with a probability of one half. Every placement without overlap inside the middle W + 2 · reach bases
    is as likely as any other. Nothing keeps the background from looking like the motif by chance.

    Sequence i depends on seed, i and the other settings alone: the numbers first … first + num_sequences − 1 are the
    same whatever else is simulated. What is drawn does not depend on gc_bias: with more of it, some letters A and T of
    the background turn into C and G, and nothing else changes.

    Args:
      motif: of W bases.
      num_sequences: N.
      length: L.
      seed: not negative.
      first: number of the first sequence.
      instances: in each sequence of an even number.
      reach: how far from the middle the single instance may be, in bases; all lie within W + 2 · reach.
      background: probabilities of A, C, G, T.
      gc_bias: added to the share of G and C in the background of the sequences with instances, half to each.

    Raises:
      InputError: a number is out of range, or the instances have no room.

    Source: Tseng et al. 2020, sections 7 and 9.
    """
    region = len(motif) + 2 * reach
    _check(motif, num_sequences, length, seed, first, instances, reach)
    backgrounds = biased_background(background, gc_bias), tuple(background)
    frequencies = motif.smoothed(PSEUDOCOUNT)
    odds = [motif.log_odds(letters, PSEUDOCOUNT) for letters in (background, background[::-1])]
    tokens = np.empty((num_sequences, length), np.uint8)
    labels = 1 - (first + np.arange(num_sequences)) % 2
    found: dict[str, list] = {"sequence": [], "start": [], "reverse": [], "strength": []}
    for i in range(num_sequences):
        rng = np.random.default_rng([seed, first + i])
        tokens[i] = rng.choice(len(ALPHABET), length, p=backgrounds[(first + i) % 2])
        if not labels[i]:
            continue
        for start in (length - region) // 2 + sample_places(rng, [len(motif)] * instances, region):
            reverse, letters = rng.random() < 0.5, sample_letters(rng, frequencies)
            tokens[i, start : start + len(motif)] = (len(ALPHABET) - 1 - letters)[::-1] if reverse else letters
            strength = odds[reverse][np.arange(len(motif)), letters].sum()
            for name, value in zip(found, (i, start, reverse, strength), strict=True):
                found[name].append(value)
    types = {"sequence": np.int64, "start": np.int64, "reverse": bool, "strength": np.float64}
    return MotifSimulation(
        tokens, labels.astype(np.int8), {name: np.array(values, types[name]) for name, values in found.items()}
    )


def _check(motif: Motif, num_sequences: int, length: int, seed: int, first: int, instances: int, reach: int) -> None:
    for name, value, least in (
        ("num_sequences", num_sequences, 1),
        ("seed", seed, 0),
        ("first", first, 0),
        ("instances", instances, 1),
        ("reach", reach, 0),
    ):
        if value < least:
            raise InputError(f"{name} (={value}) must be at least {least}")
    region = len(motif) + 2 * reach
    if region > length:
        raise InputError(
            f"reach (={reach}) must be at most {(length - len(motif)) // 2}, so that instances of {len(motif)} bases"
            f" lie inside {length} bases"
        )
    if instances * len(motif) > region:
        raise InputError(
            f"instances (={instances}) of {len(motif)} bases must fit into the {region} bases that reach (={reach})"
            " leaves them; set a larger reach"
        )
