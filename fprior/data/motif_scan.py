"""Where motifs match sequences: probabilities of MEME files, scanned as log-odds by Biopython."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from Bio.motifs.matrix import PositionWeightMatrix

from fprior.data.names import check_name
from fprior.errors import InputError
from fprior.sequence import ALPHABET, decode

PSEUDOCOUNT = 0.01  # added to each probability of a matrix, so that none is 0
FALSE_POSITIVE_RATE = 1e-4  # of a position of random sequence with equal bases, as FIMO has it by default
SHIPPED = Path(__file__).parent / "jaspar"
BINS = 1_000  # of the distribution of scores, for each position of a motif
SINGLE_PRECISION = 1e-4  # bits by which scores may miss; of a short motif the best word alone is at the threshold
ROUNDING = 0.02  # by which the probabilities of a position may miss 1: files give as few as two digits


def read_all_motifs(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Probabilities of A, C, G, T `(W, 4)` of every motif of a MEME file, by name; each row sums to 1.

    Args:
      path: in MEME's minimal format, or the name of a file that ships with fprior: `jaspar2026_core_vertebrates` (all
        1,019 motifs of vertebrates) or `jaspar2024_selected` (23 of them, in the versions that papers used).

    Raises:
      InputError: the file is missing, or no minimal MEME file of DNA, or two of its motifs have the same name, or one
        has a name that cannot be printed.
    """
    shipped = SHIPPED / f"{path}.meme"
    path = shipped if shipped.is_file() else Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give motifs in MEME's minimal format")
    try:
        motifs = _parse(path.read_text().splitlines())
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as MEME's minimal format ({error})") from error
    for name in motifs:
        check_name(name, path, "motif")
    return motifs


def read_frequencies(path: str | os.PathLike, names: Sequence[str]) -> dict[str, np.ndarray]:
    """As `read_all_motifs`, the motifs of these names only, in their order.

    Raises:
      InputError: as `read_all_motifs`, and if the file has no motif of such a name.
    """
    known = read_all_motifs(path)
    for name in names:
        if name not in known:
            raise InputError(f"{path}: has no motif {name!r}; it has {', '.join(sorted(known)) or 'none'}")
    return {name: known[name] for name in names}


def read_motifs(path: str | os.PathLike, names: Sequence[str]) -> dict[str, Any]:
    """Scoring matrices of motifs of a MEME file, by name, in the order of `names`; see `read_frequencies`."""
    return {name: scoring_matrix(probabilities) for name, probabilities in read_frequencies(path, names).items()}


def scoring_matrix(probabilities: np.ndarray) -> Any:
    """Biopython's position-specific scoring matrix of probabilities `(W, 4)`.

    log₂((probability + 0.01) / 1.04 / ¼)
    """
    smoothed = (probabilities + PSEUDOCOUNT) / (probabilities + PSEUDOCOUNT).sum(axis=1, keepdims=True)
    return PositionWeightMatrix(ALPHABET, dict(zip(ALPHABET, smoothed.T.tolist(), strict=True))).log_odds()


def score_threshold(matrix: Any, false_positive_rate: float) -> float:
    """The score, in bits, that a share of `false_positive_rate` of random words with equal bases reaches.

    It is what Biopython's `matrix.distribution(precision=1000).threshold_fpr` returns after a second or two; here the
    distribution of the sum of scores is built position by position in whole arrays.
    """
    scores = np.array([matrix[base] for base in ALPHABET])
    least, most = min(0.0, float(scores.min(axis=0).sum())), max(0.0, float(scores.max(axis=0).sum()))
    bins = BINS * matrix.length
    step = (most - least) / (bins - 1) or 1.0  # all scores are 0 where a motif prefers no base
    moves = np.floor(scores / step + 0.5).astype(np.int64)
    density, index = np.zeros(bins), np.arange(bins)
    density[-int(np.floor(least / step + 0.5))] = 1
    for column in moves.T:
        shifted = [np.bincount(np.clip(index + move, 0, bins - 1), density, bins) for move in column]
        density = reduce(np.add, shifted) / len(column)
    reached = np.searchsorted(np.cumsum(density[::-1]), false_positive_rate)
    return least + max(bins - 1 - reached, 0) * step


def motif_matches(
    tokens: np.ndarray, matrix: Any, false_positive_rate: float = FALSE_POSITIVE_RATE
) -> dict[str, np.ndarray]:
    """Matches to a motif in tokens `(N, L)` on either strand.

    A match scores at least as much as a share of `false_positive_rate` of random words with equal bases does; where the
    best word of a short motif alone is more frequent than that, it is the only match. A word with an unknown base is
    none.

    Returns:
      Columns `(M,)`: `sequence`, index; `start`, the first base; `reverse`, whether it is on the opposite strand;
      `score`, the log-odds in bits. A word that matches on both strands is there twice.
    """
    threshold = score_threshold(matrix, false_positive_rate) - SINGLE_PRECISION
    strands = ((False, matrix), (True, matrix.reverse_complement()))
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), np.empty(0))]
    for index, sequence in enumerate(tokens if tokens.shape[1] >= matrix.length else ()):
        text = decode(sequence)
        for reverse, strand in strands:
            scores = np.atleast_1d(strand.calculate(text))
            start = np.flatnonzero(scores >= threshold)  # NaN, where a base is unknown, is no match
            if len(start):
                found.append((np.full(len(start), index), start, np.full(len(start), reverse), scores[start]))
    names = ("sequence", "start", "reverse", "score")
    return {name: np.concatenate(parts) for name, parts in zip(names, zip(*found, strict=True), strict=True)}


def motif_positions(tokens: np.ndarray, matrix: Any, false_positive_rate: float = FALSE_POSITIVE_RATE) -> np.ndarray:
    """Mask `(N, L)` of the bases of tokens `(N, L)` that lie in a match to the motif; see `motif_matches`."""
    mask = np.zeros(tokens.shape, bool)
    matches = motif_matches(tokens, matrix, false_positive_rate)
    for sequence, start in zip(matches["sequence"], matches["start"], strict=True):
        mask[sequence, start : start + matrix.length] = True
    return mask


def _parse(lines: Sequence[str]) -> dict[str, np.ndarray]:
    """Own code, because Biopython's reader rounds probabilities to counts, which `nsites= 1` makes zeros of."""
    if not lines or not lines[0].startswith("MEME version"):
        raise ValueError("its first line is no 'MEME version'")
    if f"ALPHABET={ALPHABET}" not in (line.replace(" ", "") for line in lines):
        raise ValueError(f"it has no line 'ALPHABET= {ALPHABET}'")
    motifs: dict[str, np.ndarray] = {}
    name, rest = None, iter(lines)
    for line in rest:
        if line.startswith("MOTIF"):
            name = _unused_name(line, name, motifs)
        elif line.startswith("letter-probability matrix:"):
            if name is None:
                raise ValueError(f"{line!r} follows no 'MOTIF'")
            motifs[name], name = _probabilities(line, name, rest), None
    if name is not None:
        raise ValueError(f"motif {name!r} has no 'letter-probability matrix:'")
    return motifs


def _unused_name(line: str, open_motif: str | None, motifs: dict[str, np.ndarray]) -> str:
    if open_motif is not None:
        raise ValueError(f"motif {open_motif!r} has no 'letter-probability matrix:'")
    words = line.split()
    if len(words) < 2:
        raise ValueError("a motif has no name")
    if words[1] in motifs:
        raise ValueError(f"two of its motifs are named {words[1]!r}")
    return words[1]


def _probabilities(header: str, name: str, lines: Iterator[str]) -> np.ndarray:
    """The rows `(W, 4)` that follow the header of a matrix."""
    promised = re.search(r"\bw=\s*(\d{1,6})\b", header)
    if promised is None:
        raise ValueError(f"motif {name!r} has no width 'w= ' in {header!r}")
    width = int(promised[1])
    rows = [[float(word) for word in next(lines, "").split()] for _ in range(width)]
    if not rows or any(len(row) != len(ALPHABET) for row in rows):
        raise ValueError(f"motif {name!r} has not the {width} rows of {len(ALPHABET)} numbers that it promises")
    values = np.array(rows)
    total = values.sum(axis=1, keepdims=True)
    if not (np.all(values >= 0) and np.all(np.abs(total - 1) <= ROUNDING)):
        raise ValueError(f"motif {name!r} has a row that is no probabilities")
    return values / total
