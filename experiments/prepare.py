"""Makes a data set from a genome, peaks and tracks.

    python -m experiments.prepare --config=configs/NAME.py [--config.prepare.field=value …]

Reads `config.prepare`, writes the directory `config.prepare.output`: windows around the peaks' summits and background
windows, or bins of the genome with their labels, all dealt to training, validation and test by chromosome or block;
the counts of reads in them; a manifest that counts everything dropped, with the reason; and a figure, `data.svg`.
"""

from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from experiments.config import check_prepare
from experiments.launch import launch
from experiments.prepare_bins import windows_of_bins
from experiments.prepare_checks import given
from experiments.prepare_inputs import stamps_of, unchanged_after
from experiments.prepare_peaks import Peaks, read_peaks, splitter
from experiments.prepare_store import check_reads, merge_windows, reads_of_windows, token_pieces, track_pieces
from experiments.prepare_summits import Windows, windows_of_summits
from experiments.prepare_tracks import Tracks, name_columns, open_tracks, reads_by_group, reads_summary
from experiments.stages import Stages
from fprior.data.dataset import save_dataset
from fprior.data.genome import Genome
from fprior.data.regions import PEAKS
from fprior.data.splits import SPLITS, check_disjoint
from fprior.data.two_bit import open_genome
from fprior.files import sha256
from fprior.report.data_figure import data_figure
from fprior.report.figures import to_svg

_FILES = ("output", "genome", "peaks", "relaxed_peaks", "tracks", "controls", "exclude", "terms")


def main(config: ConfigDict) -> None:
    check_prepare(config)
    prepare = config.prepare
    stamps = stamps_of(path for _, path in inputs_of(prepare))
    stage = Stages()
    with stage("indexing the genome"):
        genome = open_genome(prepare.genome)
    with stage("reading peaks"):
        peaks = read_peaks(prepare, genome)
        tracks = open_tracks(prepare, genome, np.unique(peaks.loci.chromosome))
    find = {"summits": windows_of_summits, "bins": windows_of_bins}[prepare.loci]
    with stage("choosing windows"):
        windows = find(prepare, genome, peaks, splitter(prepare, genome, peaks.loci))
    regions = merge_windows(windows.chromosome, windows.start, prepare.window)
    loci = {
        "chromosome": windows.chromosome,
        "start": windows.start,
        "split": windows.split,
        "labels": windows.labels,
        "signal": windows.signal,
        "end": windows.start + prepare.window,
        "offset": regions.offset,
    }
    with stage("checksums of the inputs"):
        manifest = describe(prepare, genome, peaks, windows, loci)
    files = {PEAKS: peaks_as_bed(prepare, peaks)}
    reads: Mapping[str, np.ndarray] = {}
    if prepare.terms:
        files["TERMS.txt"] = prepare.terms
    if tracks:
        with stage("counting reads"):
            reads = describe_reads(manifest, tracks, loci, prepare.window)
    with stage("writing"):
        files["data.svg"] = to_svg(data_figure(windows.gc, positives_of(loci), manifest["loci"], reads))
        tokens, counts = token_pieces(genome, regions), None
        if tracks:
            counts = unchanged_after(track_pieces(tracks.files, regions), stamps)
        else:
            tokens = unchanged_after(tokens, stamps)
        save_dataset(
            prepare.output,
            manifest,
            tokens,
            loci,
            bases=regions.bases,
            tracks=counts,
            compress=prepare.compress,
            extra_files=files,
            **({"track_dtype": tracks.dtype} if tracks else {}),
        )
    print_summary(prepare.output, manifest)
    stage.print()


def describe(prepare: ConfigDict, genome: Genome, peaks: Peaks, windows: Windows, loci: dict[str, np.ndarray]) -> dict:
    """The manifest, but for the tracks.

    Raises:
      InputError: windows of different splits overlap.
    """
    return {
        "name": prepare.name,
        "window": prepare.window,
        "tasks": list(prepare.tasks),
        "settings": {name: value for name, value in prepare.items() if name not in _FILES},
        "inputs": {
            name: {"file": file.rpartition("/")[2], "sha256": sha256(file)} for name, file in inputs_of(prepare)
        },
        "peaks": peaks.total,
        "dropped": peaks.drops,
        **windows.notes,
        "background": dict(windows.background),
        "loci": counts_of(loci),
        "leakage": {
            "windows_checked": check_disjoint(loci["chromosome"], loci["start"], loci["end"], loci["split"]),
            "overlaps_between_splits": 0,
        },
        "chromosome_sizes": {str(name): int(genome.lengths[name]) for name in np.unique(loci["chromosome"])},
        "gc": gc_summary(windows.gc, positives_of(loci)),
    }


def describe_reads(manifest: dict, tracks: Tracks, loci: dict[str, np.ndarray], width: int) -> Mapping[str, np.ndarray]:
    """Adds the tracks to the manifest; returns the reads `(n,)` of every window by group of tracks."""
    reads = reads_of_windows(tracks.files, loci["chromosome"], loci["start"], width)
    positive = positives_of(loci)
    check_reads(tracks.files, reads[positive])
    manifest["tracks"] = {"strands": tracks.strands, "controls": tracks.controls, "columns": list(tracks.columns)}
    manifest["reads"] = reads_summary(tracks, reads, positive)
    return reads_by_group(tracks, reads)


def peaks_as_bed(prepare: ConfigDict, peaks: Peaks) -> str:
    """The peaks on the genome, so that importance can be held against them: `config.evaluate.regions`."""
    columns = zip(peaks.loci.chromosome, peaks.loci.start, peaks.loci.end, peaks.task, strict=True)
    return "".join(f"{name}\t{start}\t{end}\t{prepare.tasks[task]}\n" for name, start, end, task in columns)


def inputs_of(prepare: ConfigDict) -> list[tuple[str, str]]:
    """Role and path of every input file."""
    named = [("genome", prepare.genome)]
    named += [(f"peaks of {name}", path) for name, path in zip(prepare.tasks, prepare.peaks, strict=True)]
    named += [
        (f"relaxed peaks of {name}", path)
        for name, path in zip(prepare.tasks, given(prepare.relaxed_peaks), strict=False)
    ]
    named += [(f"excluded regions {number}", path) for number, path in enumerate(given(prepare.exclude), 1)]
    return named + [(f"track {column}", path) for path, _, column in name_columns(prepare)[0]]


def positives_of(loci: dict[str, np.ndarray]) -> np.ndarray:
    """Which loci are positive for some task: a mask `(n,)`."""
    return (loci["labels"] == 1).any(axis=1)


def counts_of(loci: dict[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """Positives and negatives in each split."""
    positive = positives_of(loci)
    return {
        name: {
            "positives": int((positive & (loci["split"] == index)).sum()),
            "negatives": int((~positive & (loci["split"] == index)).sum()),
        }
        for index, name in enumerate(SPLITS)
    }


def gc_summary(gc: np.ndarray, positive: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of the GC fraction of positives and negatives."""
    return {
        kind: {"mean": round(float(values.mean()), 4), "standard_deviation": round(float(values.std()), 4)}
        for kind, values in (("positives", gc[positive]), ("negatives", gc[~positive]))
    }


def print_summary(output: str, manifest: dict) -> None:
    rows = [(f"{manifest['peaks']:,}", "peaks")]
    rows += [(f"−{count:,}", f"dropped: {reason}") for reason, count in manifest["dropped"].items() if count]
    bins = dict(manifest.get("bins", {}))
    dropped = bins.pop("positives_dropped", {})
    rows += [(f"{count:,}", f"bins: {kind}") for kind, count in bins.items()]
    rows += [(f"−{count:,}", f"positive bins dropped: {reason}") for reason, count in dropped.items() if count]
    for split, counts in manifest["loci"].items():
        rows += [(f"{count:,}", f"{kind} to {split}") for kind, count in counts.items()]
    rows += [(f"{count:,}", f"background windows: {reason}") for reason, count in manifest["background"].items()]
    rows += [(f"{gc['mean']:.3f}", f"mean GC of {kind}") for kind, gc in manifest["gc"].items()]
    for column, counts in manifest.get("reads", {}).items():
        rows += [(f"{counts[kind]:,}", f"reads of {column} in {kind}") for kind in ("positives", "negatives")]
        rows.append((f"{counts['positive_windows_without_reads']:,}", f"positives without reads of {column}"))
    width = max(len(number) for number, _ in rows)
    print(output, *(f"  {number:>{width}}  {text}" for number, text in rows), sep="\n")


if __name__ == "__main__":
    launch(main)
