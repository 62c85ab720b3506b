"""The checks of `experiments.doctor` on the tracks of a data set, for a model that learns profiles."""

from collections.abc import Iterator

import numpy as np
from ml_collections import ConfigDict

from experiments.build import layout_of
from experiments.doctor_findings import ERROR, OK, WARNING, Verdict
from fprior.data.dataset import Dataset
from fprior.data.splits import SPLITS

MOST = 2000  # positives that are looked at
SEED = 0
SILENT_SHARE = 0.05  # of positives that may be without reads
_AGAIN = "prepare the data set again"


def tracks_missing(config: ConfigDict, dataset: Dataset) -> str:
    """What is wrong with a data set without tracks for a model that learns some; empty if nothing is."""
    if config.model.outputs != "profiles" or layout_of(config, dataset) is not None:
        return ""
    return (
        f"{dataset.path}: there are no tracks, which config.model (={config.model.name!r}) learns; prepare a data set"
        " with config.prepare.tracks"
    )


def check_columns(dataset: Dataset) -> Iterator[Verdict]:
    """Columns that are empty, and positives without a read of any task."""
    counts = counts_of_positives(dataset, dataset.window)
    total = counts.sum(axis=1)
    names = column_names(dataset)
    empty = [name for name, reads in zip(names, total.sum(axis=0), strict=True) if reads == 0]
    for name in empty:
        yield ERROR, f"{dataset.path}: no read of {name} in {len(total):,} positives; {_AGAIN} with another file"
    layout = dataset.layout
    assert layout is not None, "asked of data sets with tracks"
    signal = total[:, : layout.tasks * layout.strands].sum(axis=1)
    silent = int((signal == 0).sum())
    text = f"{dataset.path}: {silent:,} of {len(total):,} positives without reads; median {np.median(signal):g} reads"
    if silent > SILENT_SHARE * len(total):
        yield WARNING, f"{text}; their profiles teach nothing: {_AGAIN} with tracks of the peaks' own experiment"
    elif not empty:
        yield OK, text


def check_focus(config: ConfigDict, dataset: Dataset) -> Iterator[Verdict]:
    """The fraction of the positives' reads that lie outside the profile that is learned."""
    layout = dataset.layout
    assert layout is not None, "asked of data sets with tracks"
    length, columns = config.data.output_length, layout.tasks * layout.strands
    inside, stored = (
        int(counts_of_positives(dataset, width)[..., :columns].sum(dtype=np.int64))
        for width in (min(length, dataset.window), dataset.window)
    )
    if not stored:
        return  # an error of the columns
    outside, even = 1 - inside / stored, 1 - length / dataset.window
    text = (
        f"{dataset.path}: {outside:.1%} of the positives' reads lie outside the middle {length} of"
        f" {dataset.window} bases, {even:.1%} if spread evenly"
    )
    if outside > even:
        yield (
            WARNING,
            f"{text}: they do not gather around the summits; {_AGAIN} with tracks and peaks of one experiment",
        )
    else:
        yield OK, text


def counts_of_positives(dataset: Dataset, length: int) -> np.ndarray:
    """Counts `(n, length, columns)` in the middle of the windows of some positives of all splits."""
    loci = np.concatenate([dataset.select(split, positive=True) for split in range(len(SPLITS))])
    if len(loci) > MOST:
        loci = np.sort(np.random.default_rng(SEED).choice(loci, MOST, replace=False))
    first = dataset.loci["offset"][loci] + (dataset.window - length) // 2
    assert dataset.tracks is not None, "asked of data sets with tracks"
    return np.asarray(dataset.tracks[first[:, None] + np.arange(length)])


def column_names(dataset: Dataset) -> list[str]:
    """Of the tracks' columns; their numbers where the manifest has no names."""
    assert dataset.layout is not None, "asked of data sets with tracks"
    named = dataset.manifest["tracks"].get("columns")
    return list(named) if named else [f"column {number}" for number in range(1, dataset.layout.columns + 1)]
