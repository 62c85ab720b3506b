"""What `experiments.prepare` reads of peaks and regions, and how it splits windows."""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.prepare_checks import given
from fprior.data.background import SplitWindows
from fprior.data.genome import Genome
from fprior.data.loci import (
    Loci,
    check_against_genome,
    concatenate,
    is_named,
    read_loci,
    rename_chromosomes,
    strongest,
)
from fprior.data.splits import (
    crosses_split,
    deal_blocks,
    deal_chromosomes,
    fold_chromosomes,
    split_by_block,
    split_by_chromosome,
)
from fprior.errors import InputError


class Peaks(NamedTuple):
    """The peaks of all tasks that lie on the genome.

    `loci`; `task` `(n,)` int, the index of each one's task; `strong` `(n,)` bool, those within `top_fraction`;
    `relaxed`, the relaxed peaks of every task, or nothing; `excluded`, the regions that no window may touch;
    `total`, the number of peaks in the files; `drops`, of those dropped by reason.
    """

    loci: Loci
    task: np.ndarray
    strong: np.ndarray
    relaxed: tuple[Loci, ...]
    excluded: Loci | None
    total: int
    drops: dict[str, int]


def read_peaks(prepare: ConfigDict, genome: Genome) -> Peaks:
    """All peaks and regions that the config names."""
    drops: dict[str, int] = {}
    parts, tasks, strong, total = [], [], [], 0
    for index, path in enumerate(prepare.peaks):
        loci = _read(prepare, path)
        total += len(loci)
        loci = _on_genome(prepare, genome, loci, path, drops)
        chosen = strongest(loci, prepare.top_fraction, path)
        parts.append(loci)
        tasks.append(np.full(len(loci), index))
        strong.append(chosen)
    mask = np.concatenate(strong)
    if prepare.top_fraction < 1:
        drops[f"not among the strongest {prepare.top_fraction:.4g} of their task"] = int((~mask).sum())
    relaxed = tuple(_on_genome(prepare, genome, _read(prepare, p), p, {}) for p in given(prepare.relaxed_peaks))
    return Peaks(
        concatenate(parts), np.concatenate(tasks), mask, relaxed, _read_excluded(prepare, genome), total, drops
    )


def _read(prepare: ConfigDict, path: str) -> Loci:
    loci = read_loci(path)
    return loci if prepare.chromosome_names == "as_is" else rename_chromosomes(loci, prepare.chromosome_names)


def _on_genome(prepare: ConfigDict, genome: Genome, loci: Loci, path: str, drops: dict[str, int]) -> Loci:
    """The loci on the chromosomes that are used; adds the number of others to `drops`, by reason."""
    left_out = is_named(loci.chromosome, prepare.leave_out_chromosomes)
    names, counts = np.unique(loci.chromosome[left_out], return_counts=True)
    dropped = {f"on {name}, which is left out": int(n) for name, n in zip(names, counts, strict=True)}
    loci = loci[~left_out]
    if len(loci):
        kept, others = check_against_genome(loci, genome, path, partial_genome=prepare.partial_genome)
        loci, dropped = loci[kept], dropped | others
    for reason, count in dropped.items():
        drops[reason] = drops.get(reason, 0) + count
    if not len(loci):
        raise InputError(f"{path}: no peak is left on {prepare.genome}; {dropped}")
    return loci


def _read_excluded(prepare: ConfigDict, genome: Genome) -> Loci | None:
    """The regions that no window may touch; those off a genome in part do no harm."""
    parts = []
    for path in given(prepare.exclude):
        loci = _read(prepare, path)
        check_against_genome(loci, genome, path, partial_genome=prepare.partial_genome)
        parts.append(loci)
    return concatenate(parts) if parts else None


def splitter(prepare: ConfigDict, genome: Genome, peaks: Loci) -> SplitWindows:
    """The function that tells the split of windows, and which of them touch two."""
    names = np.unique(peaks.chromosome).tolist()
    lengths = {name: genome.lengths[name] for name in genome.lengths if name in names}
    if prepare.split == "chromosome":
        return _by_chromosome(*_held_out(prepare, lengths))
    blocks = deal_blocks(lengths, prepare.block_size, fractions=prepare.fractions, seed=prepare.seed)

    def by_block(chromosome: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        split = split_by_block(chromosome, (start + end) // 2, blocks)
        return split, crosses_split(chromosome, start, end, split, blocks)

    return by_block


def _by_chromosome(test: list[str], valid: list[str]) -> SplitWindows:
    def by_chromosome(chromosome: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        present = ([name for name in names if name in chromosome] for names in (test, valid))
        split = split_by_chromosome(chromosome, **dict(zip(("test", "valid"), present, strict=True)))
        return split, np.zeros(len(chromosome), bool)

    return by_chromosome


def _held_out(prepare: ConfigDict, lengths: dict[str, int]) -> tuple[list[str], list[str]]:
    """The test and the validation chromosomes."""
    if prepare.num_folds:
        return fold_chromosomes(deal_chromosomes(lengths, prepare.num_folds), prepare.fold)
    for field in ("valid_chromosomes", "test_chromosomes"):
        absent = set(prepare[field]) - set(lengths)
        if absent:
            raise InputError(f"config.prepare.{field} (={prepare[field]}): no peaks on {', '.join(sorted(absent))}")
    return list(prepare.test_chromosomes), list(prepare.valid_chromosomes)
