"""The second group of checks of `experiments.doctor`: the prepared data set, and how it suits the config."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from scipy.stats import ks_2samp
from tqdm import tqdm

from experiments.build import batch_plan, layout_of
from experiments.doctor_findings import ERROR, OK, WARNING, Finding, Verdict, examine, in_bytes, in_time
from experiments.doctor_reads import check_columns, check_focus, tracks_missing
from fprior.data.background import gc_fraction
from fprior.data.dataset import Dataset
from fprior.data.splits import SPLITS, TRAIN, check_disjoint
from fprior.errors import InputError
from fprior.files import sha256

FEW_POSITIVES = 100  # in a split
MOST = 2000  # positives, and negatives, whose GC content is looked at
SEED = 0
GC_DIFFERENCE = 0.02  # of the means of positives and negatives
GC_DISTANCE, GC_CHANCE = 0.1, 0.01  # Kolmogorov and Smirnov's between them; and its p-value, lest it be noise
AMBIGUOUS_SHARE = 0.2  # of labels
_AGAIN = "prepare the data set again"


def dataset_findings(config: ConfigDict, dataset: Dataset) -> Iterator[Finding]:
    """Of all checks on the data set."""
    yield from examine("checksums", check_checksums, dataset)
    yield from examine("window", check_window, config, dataset)
    yield from examine("splits", check_splits, dataset)
    yield from examine("leakage", check_leakage, dataset)
    yield from examine("labels", check_labels, dataset)
    yield from examine("GC content", check_gc, dataset)
    if tracks_missing(config, dataset):
        yield from examine("tracks", lambda: [(ERROR, tracks_missing(config, dataset))])
        return
    if layout_of(config, dataset) is not None:
        yield from examine("reads", check_columns, dataset)
        yield from examine("focus of reads", check_focus, config, dataset)


def check_checksums(dataset: Dataset) -> Iterator[Verdict]:
    """Of all files: `open_dataset` looks at the small ones only."""
    began, total, wrong = time.perf_counter(), 0, []
    files = dataset.manifest["files"]
    for name in tqdm(files, desc="checksums", unit="file", disable=None):
        total += (dataset.path / name).stat().st_size
        if sha256(dataset.path / name) != files[name]:
            wrong.append(name)
    for name in wrong:
        yield ERROR, f"{dataset.path / name}: its checksum is not the manifest's; copy it again, or {_AGAIN}"
    if not wrong:
        seconds = in_time(time.perf_counter() - began)
        yield OK, f"{dataset.path}: {len(files)} files, {in_bytes(total)}, as they were written (checked in {seconds})"


def check_splits(dataset: Dataset) -> Iterator[Verdict]:
    """The loci of each split."""
    for index, name in enumerate(SPLITS):
        positives, negatives = (len(dataset.select(index, positive=positive)) for positive in (True, False))
        text = f"{dataset.path}: {name} has {positives:,} positives and {negatives:,} negatives"
        if not positives or not negatives:
            kind = "negatives" if positives else "positives"
            yield ERROR, f"{text}; without {kind} there is nothing to measure: {_AGAIN} with another split"
        elif positives < FEW_POSITIVES:
            yield WARNING, f"{text}, which is few to learn from or to measure on; {_AGAIN} with another split"
        else:
            yield OK, text


def check_leakage(dataset: Dataset) -> Iterator[Verdict]:
    loci = dataset.loci
    try:
        count = check_disjoint(loci["chromosome"], loci["start"], loci["end"], loci["split"])
    except InputError as error:
        yield ERROR, f"{dataset.path}: {error}, that is: {_AGAIN}"
    else:
        yield OK, f"{dataset.path}: of {count:,} stored windows none overlaps one of another split"


def check_window(config: ConfigDict, dataset: Dataset) -> Iterator[Verdict]:
    plan = batch_plan(config, dataset)  # raises if it is too narrow
    needed = f"config.data.input_length + 2 · jitter = {plan.input_length + 2 * plan.jitter}"
    yield OK, f"{dataset.path}: stored windows of {dataset.window} bases hold {needed}"


def check_labels(dataset: Dataset) -> Iterator[Verdict]:
    """The positives of every task, how many loci are negative, and how many labels are ambiguous."""
    labels, split = dataset.loci["labels"], dataset.loci["split"]
    lacking = False
    for task, name in enumerate(dataset.tasks):
        positives = [int((labels[split == index, task] == 1).sum()) for index in range(len(SPLITS))]
        for index in (i for i, count in enumerate(positives) if count == 0):
            lacking = True
            status = ERROR if index == TRAIN else WARNING
            yield status, f"{dataset.path}: {SPLITS[index]} has no positive of task {name}; {_AGAIN} with another split"
    positive = int((labels == 1).any(axis=1).sum())
    negative = int((labels == 0).all(axis=1).sum())
    ambiguous, unused = (labels == -1).mean(), len(labels) - positive - negative
    text = (
        f"{dataset.path}: {negative / max(positive, 1):.1f} negatives for each positive (batches hold as many of"
        f" both); {ambiguous:.1%} of labels ambiguous"
    )
    if ambiguous > AMBIGUOUS_SHARE:
        yield WARNING, f"{text}, {unused:,} loci unused; {_AGAIN} with fewer relaxed peaks or a higher top_fraction"
    elif not lacking:
        yield OK, text + (f", {unused:,} loci unused" if unused else "")


def check_gc(dataset: Dataset) -> Iterator[Verdict]:
    """Whether GC content alone would tell positives from negatives."""
    positive, negative = (gc_of_loci(dataset, kind) for kind in (True, False))
    if not len(positive) or not len(negative):
        return  # an error of the splits
    difference, test = positive.mean() - negative.mean(), ks_2samp(positive, negative, method="asymp")
    text = (
        f"{dataset.path}: mean GC of positives {positive.mean():.3f}, of negatives {negative.mean():.3f};"
        f" Kolmogorov–Smirnov distance {test.statistic:.2f}"
    )
    apart = test.statistic > GC_DISTANCE and test.pvalue < GC_CHANCE
    if abs(difference) <= GC_DIFFERENCE and not apart:
        yield OK, text
    elif drawn_at_random(dataset.manifest):
        yield WARNING, f"{text}, as expected of a random background; a model may learn GC: compare with background='gc'"
    else:
        yield WARNING, f"{text}; a model may learn GC: {_AGAIN} with a lower gc_tolerance or fewer negatives a positive"


def gc_of_loci(dataset: Dataset, positive: bool) -> np.ndarray:
    """The GC fraction of the stored windows of some positives or negatives, those with known bases."""
    loci = np.concatenate([dataset.select(split, positive=positive) for split in range(len(SPLITS))])
    if len(loci) > MOST:
        loci = np.sort(np.random.default_rng(SEED).choice(loci, MOST, replace=False))
    values = np.array([gc_fraction(tokens) for tokens in dataset.centred(loci, dataset.window)])
    return values[np.isfinite(values)]


def drawn_at_random(manifest: Mapping[str, Any]) -> bool:
    """Whether the negatives were drawn whatever their GC content, as those of bins always are."""
    settings = manifest.get("settings", {})
    return settings.get("background") == "random" or settings.get("loci") == "bins"
