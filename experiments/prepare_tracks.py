"""The tracks of reads that `experiments.prepare` stores beside the letters."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiments.prepare_checks import given
from fprior.data.genome import Genome
from fprior.data.tracks import BigWig, check_tracks


class Tracks(NamedTuple):
    """The files, one a column of what is stored: for each task its strands, then the same of the controls.

    `columns` are their names; `groups` name what is one but for the strand, `(C,)`; `controls` is none, shared or
    matched.
    """

    files: tuple[BigWig, ...]
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    strands: int
    controls: str

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned integer that holds every count."""
        return np.min_scalar_type(max(file.largest for file in self.files))


def name_columns(prepare: ConfigDict) -> tuple[list[tuple[str, str, str]], int, str]:
    """Path, group and name of every column; the number of strands; and which kind the controls are."""
    tracks, controls, tasks = given(prepare.tracks), given(prepare.controls), list(prepare.tasks)
    if not tracks:
        return [], 0, "none"
    strands = len(tracks) // len(tasks)
    kind = "none" if not controls else "matched" if len(controls) == len(tracks) else "shared"
    groups = tasks + {"none": [], "shared": ["control"], "matched": [f"control of {task}" for task in tasks]}[kind]
    signs = (" +", " −") if strands == 2 else ("",)
    names = [(group, group + sign) for group in groups for sign in signs]
    return [(path, *pair) for path, pair in zip(tracks + controls, names, strict=True)], strands, kind


def open_tracks(prepare: ConfigDict, genome: Genome, chromosomes: np.ndarray) -> Tracks | None:
    """The tracks, checked against the genome on `chromosomes`; None where the config names none."""
    named, strands, kind = name_columns(prepare)
    if not named:
        return None
    paths, groups, columns = zip(*named, strict=True)
    files = tuple(BigWig(path) for path in paths)
    check_tracks(files, genome.lengths, chromosomes.tolist(), partial_genome=prepare.partial_genome)
    return Tracks(files, columns, groups, strands, kind)


def reads_summary(tracks: Tracks, reads: np.ndarray, positive: np.ndarray) -> dict[str, dict[str, int]]:
    """By column: reads in positives and in negatives, and the positive windows without any. `reads` is `(n, C)`."""
    return {
        name: {
            "positives": int(reads[positive, column].sum()),
            "negatives": int(reads[~positive, column].sum()),
            "positive_windows_without_reads": int((reads[positive, column] == 0).sum()),
        }
        for column, name in enumerate(tracks.columns)
    }


def reads_by_group(tracks: Tracks, reads: np.ndarray) -> Mapping[str, np.ndarray]:
    """The reads `(n,)` of every window, strands together, by group."""
    groups = np.array(tracks.groups)
    return {name: reads[:, groups == name].sum(axis=1) for name in dict.fromkeys(tracks.groups)}
