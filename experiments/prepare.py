"""Makes a data set from a genome and peaks.

    python -m experiments.prepare --config=configs/NAME.py [--config.prepare.field=value …]

Reads `config.prepare`, writes the directory `config.prepare.output`: windows around the peaks' summits, background
windows matched to them in GC content, all dealt to training, validation and test by chromosome or block, and a
manifest that counts everything dropped, with the reason.
"""

import sys
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from experiments.config import check_prepare
from experiments.launch import launch
from fprior.data.background import gc_fraction_at, sample_gc_matched, unknown_fraction_at, windows_around
from fprior.data.dataset import save_dataset
from fprior.data.genome import Genome
from fprior.data.loci import Loci, check_against_genome, concatenate, read_loci, rename_chromosomes
from fprior.data.splits import SPLITS, crosses_split, deal_blocks, split_by_block, split_by_chromosome
from fprior.errors import InputError
from fprior.files import sha256

SplitWindows = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def main(config) -> None:
    check_prepare(config)
    prepare = config.prepare
    genome = Genome(prepare.genome)
    drops: dict[str, int] = {}
    peaks, task = read_peaks(prepare, genome, drops)
    total = len(peaks) + sum(drops.values())
    split_windows = splitter(prepare, genome, peaks)
    kept = distinct_summits(peaks, prepare.min_summit_distance)
    drops[f"summit within {prepare.min_summit_distance} bp of a stronger one"] = len(peaks) - len(kept)
    positives = usable_windows(peaks[kept], genome, prepare, split_windows, drops)
    starts = windows_around(positives.summit, prepare.window)
    print(f"{len(positives):,} of {total:,} peaks are kept; drawing their background", file=sys.stderr)
    background = sample_gc_matched(
        genome,
        positives.chromosome,
        starts,
        prepare.window,
        split_windows,
        peaks,
        margin=prepare.peak_margin,
        max_unknown=prepare.max_unknown,
        per_positive=prepare.negatives_per_positive,
        tolerance=prepare.gc_tolerance,
        rng=np.random.default_rng(prepare.seed),
    )
    labels = labels_of(positives, peaks, task, len(prepare.tasks), prepare.positive_reach)
    loci = {
        "chromosome": np.concatenate([positives.chromosome, background.chromosome]),
        "start": np.concatenate([starts, background.start]),
        "split": np.concatenate(
            [split_windows(positives.chromosome, starts, starts + prepare.window)[0], background.split]
        ),
        "labels": np.concatenate([labels, np.zeros((len(background.start), labels.shape[1]), np.int8)]),
        "signal": np.concatenate([positives.signal, np.full(len(background.start), np.nan, np.float32)]),
    }
    loci["end"] = loci["start"] + prepare.window
    tokens, loci["offset"] = collect_tokens(genome, loci["chromosome"], loci["start"], prepare.window)
    manifest = {
        "name": prepare.name,
        "window": prepare.window,
        "tasks": list(prepare.tasks),
        "settings": {
            name: value for name, value in prepare.items() if name not in ("output", "genome", "peaks", "terms")
        },
        "inputs": {
            name: {"file": file.rpartition("/")[2], "sha256": sha256(file)} for name, file in inputs_of(prepare)
        },
        "peaks": total,
        "dropped": drops,
        "background": dict(background.counts),
        "loci": counts_of(loci),
        "chromosome_sizes": {str(name): int(genome.lengths[name]) for name in np.unique(loci["chromosome"])},
        "gc": gc_summary(tokens, loci, prepare.window),
    }
    save_dataset(
        prepare.output,
        manifest,
        tokens,
        loci,
        compress=prepare.compress,
        extra_files={"TERMS.txt": prepare.terms} if prepare.terms else {},
    )
    print_summary(prepare.output, manifest)


def inputs_of(prepare) -> list[tuple[str, str]]:
    """Role and path of every input file."""
    return [("genome", prepare.genome)] + [
        (f"peaks of {name}", path) for name, path in zip(prepare.tasks, prepare.peaks, strict=True)
    ]


def read_peaks(prepare, genome: Genome, drops: dict[str, int]) -> tuple[Loci, np.ndarray]:
    """The peaks of all tasks that lie on the genome, and the task index of each."""
    parts, tasks = [], []
    for index, path in enumerate(prepare.peaks):
        loci = read_loci(path)
        if prepare.chromosome_names != "as_is":
            loci = rename_chromosomes(loci, prepare.chromosome_names)
        kept, dropped = check_against_genome(loci, genome, path, partial_genome=prepare.partial_genome)
        for reason, count in dropped.items():
            drops[reason] = drops.get(reason, 0) + count
        if not kept.any():
            raise InputError(f"{path}: no peak is left on {prepare.genome}; {dropped}")
        parts.append(loci[kept])
        tasks.append(np.full(kept.sum(), index))
    return concatenate(parts), np.concatenate(tasks)


def splitter(prepare, genome: Genome, peaks: Loci) -> SplitWindows:
    """The function that tells the split of windows, and which of them touch two."""
    names = np.unique(peaks.chromosome).tolist()
    if prepare.split == "chromosome":
        for field in ("valid_chromosomes", "test_chromosomes"):
            absent = set(prepare[field]) - set(names)
            if absent:
                raise InputError(f"config.prepare.{field} (={prepare[field]}): no peaks on {', '.join(sorted(absent))}")

        def by_chromosome(chromosome, start, end):
            test, valid = (
                [n for n in field if n in chromosome] for field in (prepare.test_chromosomes, prepare.valid_chromosomes)
            )
            return split_by_chromosome(chromosome, test=test, valid=valid), np.zeros(len(chromosome), bool)

        return by_chromosome
    lengths = {name: genome.lengths[name] for name in genome.lengths if name in names}
    blocks = deal_blocks(lengths, prepare.block_size, fractions=prepare.fractions, seed=prepare.seed)

    def by_block(chromosome, start, end):
        split = split_by_block(chromosome, (start + end) // 2, blocks)
        return split, crosses_split(chromosome, start, end, split, blocks)

    return by_block


def distinct_summits(peaks: Loci, distance: int) -> np.ndarray:
    """Indices of the peaks without a stronger one whose summit is closer than `distance`, strongest first considered.

    Peaks without a signal count as the weakest; ties keep the order of the file.
    """
    strength = np.nan_to_num(peaks.signal, nan=-np.inf)
    kept = []
    # With bins as wide as the distance only the own and the neighbouring bins can hold a summit that is closer.
    bins: dict[tuple[str, int], list[int]] = {}
    for index in np.argsort(-strength, kind="stable"):
        chromosome, summit = str(peaks.chromosome[index]), int(peaks.summit[index])
        home = summit // max(distance, 1)
        near = (s for b in (home - 1, home, home + 1) for s in bins.get((chromosome, b), ()))
        if all(abs(summit - other) >= distance for other in near):
            bins.setdefault((chromosome, home), []).append(summit)
            kept.append(index)
    return np.sort(np.array(kept, np.int64))


def usable_windows(peaks: Loci, genome: Genome, prepare, split_windows: SplitWindows, drops: dict[str, int]) -> Loci:
    """The peaks whose windows lie inside their chromosome and their split and have few enough unknown bases."""
    starts = windows_around(peaks.summit, prepare.window)
    lengths = np.array([genome.lengths[name] for name in peaks.chromosome.tolist()])
    inside = (starts >= 0) & (starts + prepare.window <= lengths)
    drops["window leaves its chromosome"] = int((~inside).sum())
    peaks, starts = peaks[inside], starts[inside]
    _, crosses = split_windows(peaks.chromosome, starts, starts + prepare.window)
    drops["window touches two splits"] = int(crosses.sum())
    peaks, starts = peaks[~crosses], starts[~crosses]
    unknown = np.empty(len(peaks))
    for name in np.unique(peaks.chromosome):
        here = peaks.chromosome == name
        tokens = genome.tokens(str(name), 0, genome.lengths[str(name)])
        unknown[here] = unknown_fraction_at(tokens, starts[here], prepare.window)
    known = (unknown <= prepare.max_unknown) & (unknown < 1)
    drops[f"more than {prepare.max_unknown:.0%} unknown bases"] = int((~known).sum())
    if not known.any():
        raise InputError(f"config.prepare.peaks (={prepare.peaks}): no peak is left; dropped: {drops}")
    return peaks[known]


def labels_of(positives: Loci, peaks: Loci, task: np.ndarray, num_tasks: int, reach: int) -> np.ndarray:
    """Labels `(n, T)` int8: 1 if a peak of the task has its summit within `reach` bases of the locus's, else 0."""
    labels = np.zeros((len(positives), num_tasks), np.int8)
    for name in np.unique(positives.chromosome):
        here = np.flatnonzero(positives.chromosome == name)
        for index in range(num_tasks):
            summits = np.sort(peaks.summit[(peaks.chromosome == name) & (task == index)])
            first = np.searchsorted(summits, positives.summit[here] - reach, side="left")
            last = np.searchsorted(summits, positives.summit[here] + reach, side="right")
            labels[here, index] = last > first
    return labels


def collect_tokens(
    genome: Genome, chromosome: np.ndarray, start: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of all windows, overlapping ones stored once, and the offset `(n,)` int64 of each window in them."""
    pieces, offset, length = [], np.empty(len(start), np.int64), 0
    for name in tqdm(np.unique(chromosome), desc="collecting windows", unit="chromosome", disable=None):
        here = np.flatnonzero(chromosome == name)
        here = here[np.argsort(start[here], kind="stable")]
        tokens = genome.tokens(str(name), 0, genome.lengths[str(name)])
        begins = start[here]
        opens = np.concatenate([[True], begins[1:] > begins[:-1] + width])  # all windows have one width
        first = begins[opens]
        last = np.concatenate([begins[:-1][opens[1:]], begins[-1:]]) + width
        region = np.cumsum(opens) - 1
        region_offset = length + np.concatenate([[0], np.cumsum(last - first)[:-1]])
        offset[here] = region_offset[region] + begins - first[region]
        pieces += [tokens[a:b] for a, b in zip(first, last, strict=True)]
        length += int((last - first).sum())
    return np.concatenate(pieces), offset


def counts_of(loci: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Positives and negatives in each split."""
    positive = (loci["labels"] == 1).any(axis=1)
    return {
        name: {
            "positives": int((positive & (loci["split"] == index)).sum()),
            "negatives": int((~positive & (loci["split"] == index)).sum()),
        }
        for index, name in enumerate(SPLITS)
    }


def gc_summary(tokens: np.ndarray, loci: dict[str, np.ndarray], width: int) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of the GC fraction of positives and negatives."""
    gc = gc_fraction_at(tokens, loci["offset"], width)
    positive = (loci["labels"] == 1).any(axis=1)
    return {
        kind: {"mean": round(float(values.mean()), 4), "standard_deviation": round(float(values.std()), 4)}
        for kind, values in (("positives", gc[positive]), ("negatives", gc[~positive]))
    }


def print_summary(output: str, manifest: dict) -> None:
    rows = [(f"{manifest['peaks']:,}", "peaks")]
    rows += [(f"−{count:,}", f"dropped: {reason}") for reason, count in manifest["dropped"].items() if count]
    for split, counts in manifest["loci"].items():
        rows += [(f"{count:,}", f"{kind} to {split}") for kind, count in counts.items()]
    rows += [(f"{count:,}", f"background windows: {reason}") for reason, count in manifest["background"].items()]
    rows += [(f"{gc['mean']:.3f}", f"mean GC of {kind}") for kind, gc in manifest["gc"].items()]
    width = max(len(number) for number, _ in rows)
    print(output, *(f"  {number:>{width}}  {text}" for number, text in rows), sep="\n")


if __name__ == "__main__":
    launch(main)
