"""Input files with something wrong: every case writes it and gives the fields that name it."""

import shutil

import numpy as np
import tiny
from doctor_world import CONTROL, LENGTH, MINUS, PLUS, peak_rows, reads_of, write_bigwig, write_rows

from experiments.doctor_findings import ERROR, OK, WARNING


def bed(columns: int, keep=lambda row: row):
    def write(world, folder):
        return {"peaks": (write_rows(folder / "x.bed", [keep(row)[:columns] for row in peak_rows(world)]),)}

    return write


def peaks(change):
    """The rows of the peaks, changed by their number."""

    def write(world, folder):
        rows = [change(number, list(row)) for number, row in enumerate(peak_rows(world))]
        return {"peaks": (write_rows(folder / "x.narrowPeak", rows),)}

    return write


def renamed(every: int, rename):
    return peaks(lambda number, row: row if number % every else [rename(row[0]), *row[1:]])


def at_the_end(every: int, beyond: int):
    """Every so many peaks ends so many bases beyond the end of its chromosome."""

    def change(number, row):
        if number % every:
            return row
        end = LENGTH + beyond
        return [row[0], end - 80, end, *row[3:9], 79 - max(beyond, 0)]

    return peaks(change)


def unknown(every: int):
    """A genome with N at every so many summits."""

    def write(world, folder):
        letters = {}
        for block in world.genome.read_text().split(">")[1:]:
            name, _, sequence = block.partition("\n")
            letters[name] = np.array(list(sequence.replace("\n", "")))
        for row in peak_rows(world)[::every]:
            letters[row[0]][int(row[1])] = "N"
        tiny.write_fasta(folder / "x.fa", {name: "".join(values) for name, values in letters.items()})
        return {"genome": str(folder / "x.fa")}

    return write


def track(change=None, place: int = PLUS, **options):
    """One of the tracks, changed; options of `reads_of` change how its reads are drawn."""

    def write(world, folder):
        paths = [str(world.folder / f"{name}.bw") for name in ("plus", "minus")]
        counts = reads_of(world, options.pop("kind", place), seed=7, **options)
        paths[place] = write_bigwig(folder / "x.bw", change(counts) if change else counts)
        return {"tracks": tuple(paths)}

    return write


def both_tracks(shift: int):
    def write(world, folder):
        kinds = (PLUS, MINUS)
        counts = [reads_of(world, kind, seed=kind, shift=shift) for kind in kinds]
        return {"tracks": tuple(write_bigwig(folder / f"x{kind}.bw", counts[kind]) for kind in kinds)}

    return write


def value_at(value: float, every: int):
    def change(counts):
        for values in counts.values():
            values[::every] = value
        return counts

    return change


def swapped(world, folder):
    return {"tracks": (str(world.folder / "minus.bw"), str(world.folder / "plus.bw"))}


def copied(world, folder):
    shutil.copy(world.folder / "plus.bw", folder / "x.bw")
    return {"tracks": (str(world.folder / "plus.bw"), str(folder / "x.bw"))}


def shared_by_two(world, folder):
    """Two tasks with one control, given to each."""
    names = ("plus", "minus")
    others = tuple(write_bigwig(folder / f"{names[k]}.bw", reads_of(world, k, seed=9 + k)) for k in (PLUS, MINUS))
    own = tuple(str(world.folder / f"{name}.bw") for name in names)
    controls = tuple(str(world.folder / f"control_{name}.bw") for name in names)
    other = write_rows(folder / "x.narrowPeak", peak_rows(world)[1:])
    return {"tasks": ("A", "B"), "peaks": (str(world.peaks), other), "tracks": own + others, "controls": controls * 2}


def control_like_signal(world, folder):
    counts = [reads_of(world, kind, seed=20 + kind) for kind in (PLUS, MINUS)]
    return {"controls": tuple(write_bigwig(folder / f"x{k}.bw", counts[k]) for k in (PLUS, MINUS))}


def excluded(world, folder):
    return {"exclude": (write_rows(folder / "x.bed", [("1", 5, 10)]),)}


def relaxed(world, folder):
    write = (write_rows(folder / "x.bed", [("chr1", 5, LENGTH + 10)]),)
    return {"relaxed_peaks": write, "loci": "bins", "bin_width": 40, "bin_stride": 10}


def damaged_genome(world, folder):
    (folder / "x.fa").write_text("ACGT\n")
    return {"genome": str(folder / "x.fa")}


def fields(**values):
    return lambda world, folder: values


INPUTS = {
    "genome of another format": (damaged_genome, ERROR, "genome", "x.fa", "complete FASTA"),
    "names": (renamed(1, lambda n: n[3:]), ERROR, "peaks 1: chromosomes", "x.narrowPeak", "chromosome_names='add_chr'"),
    "some names": (
        renamed(3, lambda n: n[3:]), WARNING, "peaks 1: chromosomes", "x.narrowPeak", "chromosome_names='add_chr'",
    ),
    "unknown chromosome": (
        renamed(4, lambda n: "chrUn"), WARNING, "peaks 1: chromosomes", "x.narrowPeak", "chrUn", "same assembly",
    ),
    "excluded names": (excluded, ERROR, "excluded regions 1: chromosomes", "x.bed", "chromosome_names='add_chr'"),
    "relaxed beyond": (relaxed, ERROR, "relaxed peaks 1: chromosomes", "x.bed", "partial_genome=True"),
    "beyond": (at_the_end(50, 30), ERROR, "peaks 1: chromosomes", "x.narrowPeak", "partial_genome=True"),
    "not a BED": (bed(2), ERROR, "peaks 1", "x.bed", "3 or more for BED"),
    "no summits": (bed(6), WARNING, "peaks 1: summits", "x.bed", "0 of", "give narrowPeak"),
    "some summits": (
        peaks(lambda number, row: [*row[:9], -1 if number % 2 else row[9]]),
        WARNING, "peaks 1: summits", "x.narrowPeak", "call all summits",
    ),
    "no signal": (bed(3), WARNING, "peaks 1: signal", "x.bed", "add it as column 7"),
    "one signal": (
        peaks(lambda number, row: [*row[:6], 5, *row[7:]]), WARNING, "peaks 1: signal", "x.narrowPeak", "signal 5",
    ),
    "signal is needed": (
        lambda world, folder: bed(3)(world, folder) | {"top_fraction": 0.5},
        ERROR, "peaks 1: signal", "x.bed", "set top_fraction to 1",
    ),
    "unsorted": (
        lambda world, folder: {"peaks": (write_rows(folder / "x.narrowPeak", peak_rows(world)[:3][::-1] * 2),)},
        OK, "peaks 1: chromosomes", "x.narrowPeak", "3 duplicates", "not sorted",
    ),
    "windows leave": (at_the_end(10, 0), WARNING, "peaks 1: windows", "x.narrowPeak", "reduce config.prepare.window"),
    "all windows leave": (fields(window=LENGTH + 1), ERROR, "peaks 1: windows", "peaks.narrowPeak", "reduce"),
    "some unknown bases": (unknown(5), WARNING, "unknown bases", "raise config.prepare.max_unknown"),
    "all bases unknown": (unknown(1), ERROR, "unknown bases", "x.fa", "give another genome"),
    "too few tracks": (fields(tracks=("a", "b", "c"), controls=("",)), ERROR, "prepare fields", "2, plus and minus"),
    "track of no peaks": (fields(tasks=("A", "B")), ERROR, "prepare fields", "config.prepare.tasks"),
    "one file twice": (copied, ERROR, "same files", "plus.bw", "x.bw", "give different files"),
    "control twice": (shared_by_two, WARNING, "same files", "control_plus.bw", "give it once"),
    "missing track": (fields(tracks=("no.bw",)), ERROR, "input files", "no.bw", "config.prepare.tracks"),
    "damaged track": (
        lambda world, folder: {"tracks": (write_rows(folder / "x.bw", [(1,)]),), "controls": ("",)},
        ERROR, "track MOTIF", "x.bw", "give a BigWig",
    ),
    "track lengths": (
        track(lambda counts: {name: values[:-100] for name, values in counts.items()}),
        ERROR, "track MOTIF +", "x.bw", "one assembly",
    ),
    "track names": (
        track(lambda counts: {name[3:]: values for name, values in counts.items()}),
        ERROR, "track MOTIF +", "x.bw", "names of the genome",
    ),
    "empty track": (track(value_at(0.0, 1)), ERROR, "track MOTIF +", "x.bw", "one experiment"),
    "no enrichment": (track(kind=CONTROL, background=1.0), WARNING, "track MOTIF +", "x.bw", "1.0-fold", "assembly"),
    "few reads": (track(heights=3.0, background=0.001), WARNING, "track MOTIF +", "x.bw", "pool replicates"),
    "fractions": (track(value_at(0.5, 10)), ERROR, "track MOTIF +", "x.bw", "raw counts"),
    "negative": (track(value_at(-2.0, 10), MINUS), ERROR, "track MOTIF −", "x.bw", "absolute values"),
    "NaN": (track(value_at(np.nan, 10)), ERROR, "track MOTIF +", "x.bw", "leave"),
    "swapped": (swapped, ERROR, "strands of MOTIF", "minus.bw", "swapped", "exchange them"),
    "no shift": (both_tracks(0), WARNING, "strands of MOTIF", "x0.bw", "give 5′ ends by strand"),
    "long shift": (both_tracks(280), WARNING, "strands of MOTIF", "x0.bw", "one experiment"),
    "control like the signal": (control_like_signal, WARNING, "control of MOTIF", "x0.bw", "give the input or mock"),
}  # fmt: skip
