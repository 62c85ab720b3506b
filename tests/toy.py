"""A small data set over a genome with unknown bases: three splits, two tasks."""

import numpy as np

from fprior.data.dataset import save_dataset
from fprior.sequence import decode, encode

WINDOW = 20
POSITIVES, NEGATIVES, AMBIGUOUS = 13, 29, 3  # of split 0
GENOME = decode(np.random.default_rng(5).integers(0, 5, 3000))  # with N


def make_loci(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tokens of a genome without its first 100 bases, and loci of three splits and two tasks upon it."""
    labels = np.array(
        [[1, 0]] * (POSITIVES - 1) + [[1, -1]] + [[0, 0]] * NEGATIVES + [[-1, 0]] * AMBIGUOUS + [[1, 1], [0, 0]] * 2,
        np.int8,
    )
    count = len(labels)
    start = rng.integers(101, 2979, count)
    start[[0, POSITIVES]] = 100, 3000 - WINDOW  # both ends of what is stored
    split = np.zeros(count, np.uint8)
    split[-4:] = 1, 1, 2, 2
    order = rng.permutation(count)
    columns = {
        "chromosome": np.full(count, "chr1"),
        "start": start,
        "end": start + WINDOW,
        "offset": start - 100,
        "split": split,
        "labels": labels,
        "signal": np.where(labels[:, 0] == 1, 2.5, np.nan).astype(np.float32),
    }
    return encode(GENOME)[100:], {name: column[order] for name, column in columns.items()}


MANIFEST = {"name": "toy", "window": WINDOW, "tasks": ["A", "B"], "peaks": 17}


def save(path, **options):
    tokens, loci = make_loci(np.random.default_rng(0))
    save_dataset(path, MANIFEST, tokens, loci, **options)
    return path
