"""Training, validation and test: by whole chromosomes or by blocks, never by single loci."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from fprior.errors import InputError

SPLITS = ("train", "valid", "test")  # the meaning of 0, 1 and 2 in every split array
TRAIN, VALID, TEST = range(3)


def split_by_chromosome(chromosomes: np.ndarray, *, test: Collection[str], valid: Collection[str]) -> np.ndarray:
    """The split `(n,)` uint8 of loci whose test and validation sets are whole chromosomes.

    Raises InputError for a name that no locus has, and for one that is in both.
    """
    both = sorted(set(test) & set(valid))
    if both:
        raise InputError(f"chromosome {both[0]!r} is in test (={test}) and in valid (={valid}); keep one")
    split = np.full(len(chromosomes), TRAIN, np.uint8)
    for label, names in ((VALID, valid), (TEST, test)):
        absent = sorted(set(names) - set(np.unique(chromosomes).tolist()))
        if absent:
            raise InputError(
                f"{SPLITS[label]} chromosome {absent[0]!r} has no loci; those that have some are"
                f" {', '.join(np.unique(chromosomes))}"
            )
        split[np.isin(chromosomes, list(names))] = label
    return split


def deal_chromosomes(lengths: Mapping[str, int], num_folds: int) -> dict[str, int]:
    """The fold, 0 to `num_folds` − 1, of every chromosome of `lengths`, in bases.

    The longest chromosome that is left goes onto the fold with the fewest bases so far; the order of `lengths`
    has no influence. Raises InputError for fewer than three folds, and for fewer chromosomes than folds.
    """
    if num_folds < 3:
        raise InputError(f"num_folds (={num_folds}) must be at least 3: test, validation and training")
    if len(lengths) < num_folds:
        raise InputError(f"num_folds (={num_folds}) exceeds the {len(lengths)} chromosomes with loci; lower it")
    filled = [0] * num_folds
    folds = {}
    for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
        folds[name] = filled.index(min(filled))
        filled[folds[name]] += lengths[name]
    return folds


def fold_chromosomes(folds: Mapping[str, int], fold: int) -> tuple[list[str], list[str]]:
    """The test and the validation chromosomes if fold number `fold` is test: validation is the next one, cyclic.

    Raises InputError for a fold that does not exist.
    """
    num_folds = max(folds.values()) + 1
    if not 0 <= fold < num_folds:
        raise InputError(f"fold (={fold}) must be from 0 to {num_folds - 1}")
    test, validation = ([name for name in folds if folds[name] == k] for k in (fold, (fold + 1) % num_folds))
    return test, validation


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks `(n,)` that tile the chromosomes: `chromosome` str, `start` int64, `split` uint8."""

    chromosome: np.ndarray
    start: np.ndarray
    split: np.ndarray
    block_size: int


def deal_blocks(
    lengths: Mapping[str, int], block_size: int, *, fractions: tuple[float, float, float], seed: int
) -> Blocks:
    """Cuts chromosomes into blocks of `block_size` bases and deals these at random to the splits.

    `lengths` are those of the chromosomes, `fractions` those of the blocks that become train, valid and test.
    Loci have no influence, so that adding some moves none between splits. Raises InputError if the fractions
    do not add up to 1, and if a split with a positive fraction gets no block.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(f"fractions (={fractions}) must be three numbers >= 0, train, valid, test, with sum 1")
    if block_size < 1:
        raise InputError(f"block_size (={block_size}) must be at least 1 base")
    starts = [np.arange(0, length, block_size, dtype=np.int64) for length in lengths.values()]
    counts = [len(block_starts) for block_starts in starts]
    sizes: np.ndarray = np.diff(np.rint(np.cumsum(fractions) * sum(counts)).astype(np.int64), prepend=0)
    for name, fraction, size in zip(SPLITS, fractions, sizes, strict=True):
        if fraction > 0 and size == 0:
            raise InputError(f"block_size (={block_size}) leaves no block of {sum(counts)} to {name}; lower it")
    split = np.random.default_rng(seed).permutation(np.repeat(np.arange(3, dtype=np.uint8), sizes))
    return Blocks(np.repeat(np.array(list(lengths), np.str_), counts), np.concatenate(starts), split, block_size)


def split_by_block(chromosomes: np.ndarray, positions: np.ndarray, blocks: Blocks) -> np.ndarray:
    """The split `(n,)` uint8 of the blocks that hold the positions; InputError for one outside all blocks."""
    return blocks.split[_block_index(chromosomes, positions, blocks)]


def crosses_split(
    chromosomes: np.ndarray, starts: np.ndarray, ends: np.ndarray, split: np.ndarray, blocks: Blocks
) -> np.ndarray:
    """Which windows `[start, end)` touch a block of another split than their own: a mask `(n,)`."""
    first = _block_index(chromosomes, starts, blocks)
    last = _block_index(chromosomes, np.asarray(ends) - 1, blocks)
    one_hot = blocks.split[:, None] == np.arange(3)
    total = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(one_hot, 0)])
    return total[last + 1, split] - total[first, split] != last + 1 - first


def check_disjoint(chromosomes: np.ndarray, starts: np.ndarray, ends: np.ndarray, split: np.ndarray) -> int:
    """The number of windows `[start, end)` `(n,)`, after making sure that no two of different splits overlap.

    Raises InputError, which names two such windows.
    """
    names, code = np.unique(chromosomes, return_inverse=True)
    order = np.lexsort((starts, code))
    base = code[order].astype(np.int64) << 40  # puts the chromosomes one after another
    begins, stops, owner = base + starts[order], base + ends[order], split[order]
    for label, name in enumerate(SPLITS):
        # How far windows of the other splits reach that begin before this one.
        reach = np.maximum.accumulate(np.where(owner == label, -1, stops))
        hit = np.flatnonzero((owner[1:] == label) & (begins[1:] < reach[:-1]))
        if hit.size:
            last = hit[0] + 1
            first = np.flatnonzero((owner[:last] != label) & (stops[:last] > begins[last]))[0]
            pair = [f"{names[code[i]]}:{starts[i]}-{ends[i]}" for i in order[[first, last]]]
            raise InputError(f"{pair[0]} of {SPLITS[owner[first]]} overlaps {pair[1]} of {name}; drop one of them")
    return len(order)


def _block_index(chromosomes: np.ndarray, positions: np.ndarray, blocks: Blocks) -> np.ndarray:
    names, first, counts = np.unique(blocks.chromosome, return_index=True, return_counts=True)
    which = np.searchsorted(names, chromosomes).clip(max=len(names) - 1)
    offset = np.asarray(positions, np.int64) // blocks.block_size
    outside = np.flatnonzero((names[which] != chromosomes) | (offset < 0) | (offset >= counts[which]))
    if outside.size:
        at = f"{chromosomes[outside[0]]}:{positions[outside[0]]}"
        raise InputError(f"{at} lies outside all blocks; deal the blocks with the length of its chromosome")
    return first[which] + offset
