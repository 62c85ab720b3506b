"""Motifs that TF-MoDISco found: read from modisco-lite's file, trimmed, mirrored, and written for other scanners."""

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass

import h5py
import numpy as np

from fprior.errors import InputError
from fprior.files import write_atomically
from fprior.sequence import ALPHABET

TRIM = 0.3  # of the largest position of a contribution-weight matrix, as modisco-lite trims its logos
PSEUDOCOUNT = 0.001  # added to each probability before its logarithm, as TF-MoDISco has it
GROUPS = {"pos_patterns": ("positive", 1), "neg_patterns": ("negative", -1)}


@dataclass(frozen=True, eq=False)
class Pattern:
    """A motif of TF-MoDISco and its S seqlets, the stretches of the inputs that were aligned to make it.

    Attributes:
      name: `positive_0`, `negative_2`: the sign of its contributions and TF-MoDISco's rank by number of seqlets.
      sign: +1 or −1.
      probabilities: `(W, 4)`, how often each base is at each position of the seqlets.
      contributions: `(W, 4)`, the contribution-weight matrix (CWM): the seqlets' mean contributions.
      hypothetical: `(W, 4)`, the seqlets' mean hypothetical contributions.
      locus, start, end: `(S,)` int64, the seqlets: index of the input, first base and one after the last base, counted
        from the start of the whole input.
      strand: `(S,)`, "+" where the seqlet reads as the pattern does, "-" where its opposite strand does.
      seqlet_contributions: `(S, W, 4)` float32, each seqlet's contributions, read as the pattern reads.
    """

    name: str
    sign: int
    probabilities: np.ndarray
    contributions: np.ndarray
    hypothetical: np.ndarray
    locus: np.ndarray
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray
    seqlet_contributions: np.ndarray

    @property
    def information_content(self) -> np.ndarray:
        """Bits `(W,)` by which a base at each position is known better than if all were equally frequent.

        Σ_b p_b log₂(p_b / ¼),   p_b = (probability_b + 0.001) / 1.004
        """
        smoothed = (self.probabilities + PSEUDOCOUNT) / (1 + len(ALPHABET) * PSEUDOCOUNT)
        return (smoothed * np.log2(smoothed * len(ALPHABET))).sum(axis=1)

    def trimmed(self, threshold: float = TRIM) -> slice:
        """From the first to the last position that matters, at least one position wide.

            Σ_b |CWM_ib| ≥ threshold · max_j Σ_b |CWM_jb|

        Raises:
          InputError: threshold is not in (0, 1].
        """
        if not 0 < threshold <= 1:
            raise InputError(f"threshold (={threshold}) must be in (0, 1], a share of the largest position")
        size = np.abs(self.contributions).sum(axis=1)
        kept = np.flatnonzero(size >= threshold * size.max())
        return slice(int(kept[0]), int(kept[-1]) + 1)

    def reverse_complement(self) -> "Pattern":
        """The same pattern read on the opposite strand; its seqlets stay where they are."""
        return dataclasses.replace(
            self,
            probabilities=self.probabilities[::-1, ::-1],
            contributions=self.contributions[::-1, ::-1],
            hypothetical=self.hypothetical[::-1, ::-1],
            strand=np.where(self.strand == "+", "-", "+"),
            seqlet_contributions=self.seqlet_contributions[:, ::-1, ::-1],
        )


def read_patterns(path: str | os.PathLike, offset: int) -> list[Pattern]:
    """The patterns of a file of modisco-lite, positive ones first, in TF-MoDISco's order; none where it found none.

    Args:
      path: HDF5, as `modisco motifs` writes it.
      offset: bases of an input before the window that TF-MoDISco saw; it is added to the seqlets' places.

    Raises:
      InputError: the file is missing, or not modisco-lite's.
    """
    try:
        with h5py.File(path) as file:
            return [
                _pattern(file[group][key], f"{word}_{number}", sign, offset)
                for group, (word, sign) in GROUPS.items()
                if group in file
                for number, key in sorted((int(key.removeprefix("pattern_")), key) for key in file[group])
            ]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a file of modisco-lite ({error})") from error


def write_meme(path: str | os.PathLike, patterns: Iterable[Pattern]) -> None:
    """Writes the trimmed probabilities of the patterns in MEME's minimal format, by name, for other scanners."""
    letters = " ".join(f"{letter} {1 / len(ALPHABET)}" for letter in ALPHABET)
    lines = ["MEME version 4", "", f"ALPHABET= {ALPHABET}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", letters, ""]
    for pattern in patterns:
        rows = pattern.probabilities[pattern.trimmed()]
        lines += [f"MOTIF {pattern.name}"]
        lines += [f"letter-probability matrix: alength= 4 w= {len(rows)} nsites= {len(pattern.locus)} E= 0"]
        lines += [*(" ".join(f"{value:.6f}" for value in row) for row in rows), ""]
    write_atomically(path, "\n".join(lines))


def _pattern(group: h5py.Group, name: str, sign: int, offset: int) -> Pattern:
    seqlets = group["seqlets"]
    return Pattern(
        name=name,
        sign=sign,
        probabilities=group["sequence"][:].astype(np.float64),
        contributions=group["contrib_scores"][:].astype(np.float64),
        hypothetical=group["hypothetical_contribs"][:].astype(np.float64),
        locus=seqlets["example_idx"][:].astype(np.int64),
        start=seqlets["start"][:].astype(np.int64) + offset,
        end=seqlets["end"][:].astype(np.int64) + offset,
        strand=np.where(seqlets["is_revcomp"][:], "-", "+"),
        seqlet_contributions=seqlets["contrib_scores"][:].astype(np.float32),
    )
