"""The places that importance should lie in: matches to motifs, independent regions, and the summits of peaks."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments.prepare_checks import given
from fprior.data.dataset import Dataset
from fprior.data.loci import Loci, read_loci
from fprior.data.motif_scan import motif_positions, read_motifs
from fprior.data.regions import INSTANCES, PEAKS, positions_inside, region_mask, regions_used
from fprior.data.splits import SPLITS
from fprior.errors import InputError

# Words in config.evaluate.regions: file of the data set itself, and what to say where it has none.
OWN = {
    "peaks": (PEAKS, "was prepared before peaks were kept; prepare it again"),
    "instances": (INSTANCES, "is no simulated data set"),
}


def positives_of(config: ConfigDict, dataset: Dataset) -> np.ndarray:
    """The positives of the split that is evaluated.

    Raises:
      InputError: there are none.
    """
    positives = dataset.select(SPLITS.index(config.evaluate.split), positive=True)
    if not len(positives):
        raise InputError(f"config.evaluate.split (={config.evaluate.split!r}): {dataset.path} has no positives there")
    return positives


def known_places(config: ConfigDict, dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """Masks `(P, L)` of the positives' inputs by the name of a motif or a region set; and how many regions are in use.

    Raises:
      InputError: a file cannot be read, has no such motif, or none of its regions overlaps a positive.
    """
    evaluate, positives = config.evaluate, positives_of(config, dataset)
    tokens = dataset.centred(positives, config.data.input_length)
    motifs = read_motifs(evaluate.motif_file, given(evaluate.motifs))
    masks = {name: motif_positions(tokens, matrix) for name, matrix in motifs.items()}
    counts = {}
    for name, (path, regions) in known_regions(config, dataset).items():
        masks[name], counts[name] = _regions_at(regions, path, config, dataset, positives)
    return masks, counts


def known_regions(config: ConfigDict, dataset: Dataset) -> dict[str, tuple[str, Loci]]:
    """The file and the regions of each of `config.evaluate.regions`, by name.

    Raises:
      InputError: a file cannot be read, or the data set has none of its own.
    """
    evaluate, found = config.evaluate, {}
    for name, file in zip(given(evaluate.region_names), given(evaluate.regions), strict=True):
        path = dataset.path / OWN[file][0] if file in OWN else file
        if file in OWN and not Path(path).is_file():
            own, reason = OWN[file]
            raise InputError(
                f"config.evaluate.regions (={evaluate.regions}): {dataset.path} {reason} (it has no {own}); or name a"
                " BED file"
            )
        found[name] = str(path), read_loci(path)
    return found


def _regions_at(
    regions: Loci, path: str, config: ConfigDict, dataset: Dataset, positives: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    length = config.data.input_length
    chromosome, start, _ = dataset.interval(positives, length)
    if not np.isin(regions.chromosome, dataset.loci["chromosome"]).any():
        ours, theirs = regions.chromosome[0], dataset.loci["chromosome"][0]
        raise InputError(
            f"{path}: none of its chromosomes ({str(ours)!r} …) is in {dataset.path} ({str(theirs)!r} …); name them"
            " alike, or give regions of the same assembly"
        )
    used = regions_used(regions, chromosome, start, length)
    if not used:
        raise InputError(
            f"{path}: none of its {len(regions):,} regions overlaps one of the {len(positives):,} positives of"
            f" config.evaluate.split (={config.evaluate.split!r}); give regions of the same assembly and chromosomes"
        )
    mask = region_mask(regions, chromosome, start, length)
    touched = int(mask.any(axis=1).sum())
    print(
        f"{path}: {used:,} of {len(regions):,} regions overlap {touched:,} of {len(positives):,} positives",
        file=sys.stderr,
    )
    return mask, {"file": path, "regions": len(regions), "used": used, "positives_with_some": touched}


def summits_of(dataset: Dataset, positives: np.ndarray, length: int) -> np.ndarray | None:
    """Where summits lie in the inputs, the positive's own and its neighbours': `(P, K)`, filled up with −1.

    None for a data set whose windows do not lie around summits: bins of the genome, or simulated sequences.
    """
    if dataset.manifest.get("settings", {}).get("loci", "summits") != "summits":
        return None
    chromosome, start, _ = dataset.interval(positives, length)
    summits = dataset.loci["start"][positives] + dataset.window // 2
    return positions_inside(chromosome, summits, chromosome, start, length)
