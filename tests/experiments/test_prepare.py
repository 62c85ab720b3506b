"""`experiments.prepare` with tracks, bins, folds, excluded regions and the strongest peaks; and what it refuses."""

import json
import re

import numpy as np
import pyBigWig
import pytest
import tiny

from fprior.data.dataset import open_dataset
from fprior.data.genome import Genome


@pytest.fixture
def world(tmp_path) -> tiny.World:
    return tiny.make_world(tmp_path)


def argument(field: str, value: object) -> str:
    return f"--config.prepare.{field}={value}"


def prepared(world, *arguments):
    """The data set and its manifest."""
    outcome = world.command("prepare", *arguments)
    assert outcome.status == 0, outcome.err
    dataset = open_dataset(world.dataset)
    loci = dataset.loci
    assert dataset.manifest["leakage"] == {"windows_checked": len(loci["start"]), "overlaps_between_splits": 0}
    return dataset, dataset.manifest, outcome


def refused(world, *arguments) -> str:
    """The error line; nothing is left behind."""
    before = {str(path) for path in world.folder.rglob("*")}
    outcome = world.command("prepare", *arguments)
    *progress, error = outcome.err.splitlines()
    assert outcome.status == 2 and error.startswith("error: ") and "Traceback" not in outcome.err, outcome
    assert all("are kept" in line for line in progress)
    assert {str(path) for path in world.folder.rglob("*")} == before
    return error


def peak_table(world) -> list[list[str]]:
    return [line.split("\t") for line in world.peaks.read_text().splitlines()]


def write_bed(path, rows, line_end: str = "\n") -> str:
    path.write_bytes("".join("\t".join(map(str, row)) + line_end for row in rows).encode())
    return str(path)


def write_bigwig(path, seed: int, lengths=None) -> tuple[str, dict[str, np.ndarray]]:
    """A BigWig of random counts, mostly 0, and the counts."""
    lengths = lengths or dict.fromkeys(tiny.CHROMOSOMES, tiny.LENGTH)
    rng, counts = np.random.default_rng(seed), {}
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        for name, length in lengths.items():
            counts[name] = rng.poisson(0.05, length).astype(np.uint32)
            counts[name][: length // 50] = 0
            counts[name][length // 2] = 300 + seed  # more than a byte holds
            at = np.flatnonzero(counts[name])
            file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(),
                            values=counts[name][at].astype(float).tolist())  # fmt: skip
    return str(path), counts


def tuple_of(*paths: str) -> str:
    return "(" + ",".join(repr(path) for path in paths) + ",)"


BINS = (argument("loci", "bins"), argument("window", 120), argument("bin_width", 40), argument("bin_stride", 10))
LOCI = {"summits": (), "bins": BINS}


# ---- background, exclusion, the strongest, folds


def test_random_background(world):
    dataset, manifest, _ = prepared(world, argument("background", "random"))
    assert "off GC tolerance" not in manifest["background"]
    assert len(dataset.select(0, positive=False)) == 3 * len(dataset.select(0, positive=True)) > 0


@pytest.mark.parametrize("loci", ["summits", "bins"])
def test_no_window_touches_an_excluded_region(world, loci):
    regions = [("chr3", 20_000, 26_000), ("chr1", 0, 9_000), ("chr1", 100, 200), ("chrZ", 5, 10)]
    content = [("track name=x",), ("# a comment",), *regions, ("",)]  # unsorted, with headers, overlapping
    path = write_bed(world.folder / "regions.bed", content, "\r\n")
    other = write_bed(world.folder / "more.bed", [("chr2", 0, 5_000, "low")])
    dataset, manifest, outcome = prepared(world, argument("exclude", tuple_of(path, other)), *LOCI[loci])
    columns = zip(*(dataset.loci[name] for name in ("chromosome", "start", "end")), strict=True)
    for name, start, end in columns:
        assert not any(name == n and start < e and end > s for n, s, e in [*regions, ("chr2", 0, 5_000)])
    reason = "touches an excluded region"
    dropped = manifest["dropped"] if loci == "summits" else manifest["bins"]["positives_dropped"]
    assert dropped[reason] > 0 and manifest["background"][reason] > 0
    assert re.search(rf"−{dropped[reason]} .*dropped: {reason}", outcome.out)
    assert {"excluded regions 1", "excluded regions 2"} <= set(manifest["inputs"])


@pytest.mark.parametrize("loci", ["summits", "bins"])
def test_everything_is_excluded(world, loci):
    path = write_bed(world.folder / "regions.bed", [(name, 0, tiny.LENGTH) for name in tiny.CHROMOSOMES])
    error = refused(world, argument("exclude", tuple_of(path)), *LOCI[loci])
    assert "is left" in error and "touches an excluded region" in error


def test_excluded_regions_of_another_genome(world):
    path = write_bed(world.folder / "regions.bed", [("1", 5, 9)])
    error = refused(world, argument("exclude", tuple_of(path)))
    assert error.startswith(f"error: {path}: ") and "chromosome_names" in error


def test_the_strongest_peaks(world):
    rows = peak_table(world)
    dataset, manifest, _ = prepared(world, argument("top_fraction", 0.25))
    count = round(0.25 * len(rows))
    threshold = sorted((float(row[6]) for row in rows), reverse=True)[count - 1]
    signal = dataset.loci["signal"]
    assert signal[np.isfinite(signal)].min() >= np.float32(threshold)
    assert manifest["dropped"]["not among the strongest 0.25 of their task"] == len(rows) - count
    positives = sum(counts["positives"] for counts in manifest["loci"].values())
    assert manifest["peaks"] == positives + sum(manifest["dropped"].values()) == len(rows)
    negative = ~np.isfinite(signal)
    for name, start, end in zip(*(dataset.loci[c][negative] for c in ("chromosome", "start", "end")), strict=True):
        assert not any(row[0] == name and int(row[1]) - 50 < end and int(row[2]) + 50 > start for row in rows)


def test_a_weak_peak_of_another_task_makes_its_label_ambiguous(world):
    rows = peak_table(world)
    second = world.folder / "second.narrowPeak"
    lines = ["\t".join([*row[:6], str(1 if index % 2 else 9), *row[7:]]) for index, row in enumerate(rows)]
    second.write_text("\n".join(lines[:-20]) + "\n")
    for row in rows:
        row[6] = "5"
    world.peaks.write_text("".join("\t".join(row) + "\n" for row in rows))
    arguments = argument("peaks", tuple_of(str(world.peaks), str(second))), argument("tasks", "('A','B')")
    dataset, _, _ = prepared(world, *arguments, argument("top_fraction", 0.5))
    labels = dataset.loci["labels"]
    assert {tuple(row) for row in labels.tolist()} == {(1, 1), (1, -1), (-1, 1), (0, 0)}


def test_the_strongest_need_a_signal(world):
    path = write_bed(world.folder / "peaks.bed", [row[:3] for row in peak_table(world)])
    error = refused(world, argument("peaks", tuple_of(path)), argument("top_fraction", 0.5))
    assert error.startswith(f"error: {path}: ") and "no signal" in error


def test_chromosomes_that_are_left_out(world):
    rows = peak_table(world)
    text = "".join("\t".join(["chrY", *row[1:]]) + "\n" for row in rows[:7])
    world.peaks.write_text(world.peaks.read_text() + text)
    dataset, manifest, outcome = prepared(world, argument("leave_out_chromosomes", "('Y','4')"))
    assert set(dataset.loci["chromosome"]) == {"chr1", "chr2", "chr3"}
    assert manifest["dropped"]["on chrY, which is left out"] == 7
    assert manifest["dropped"]["on chr4, which is left out"] == sum(row[0] == "chr4" for row in rows)
    assert "on chr4, which is left out" in outcome.out


def test_nothing_but_chromosomes_that_are_left_out(world):
    assert "no peak is left" in refused(
        world, argument("leave_out_chromosomes", str(tiny.CHROMOSOMES).replace(" ", ""))
    )


@pytest.mark.parametrize("fold", range(4))
def test_folds(world, fold):
    arguments = argument("split", "chromosome"), argument("num_folds", 4), argument("fold", fold)
    dataset, _, _ = prepared(world, *arguments)
    splits = {(str(c), int(s)) for c, s in zip(dataset.loci["chromosome"], dataset.loci["split"], strict=True)}
    expected = [0, 0, 0, 0]
    expected[fold], expected[(fold + 1) % 4] = 2, 1
    assert splits == set(zip(tiny.CHROMOSOMES, expected, strict=True))


def test_more_folds_than_chromosomes(world):
    error = refused(world, argument("split", "chromosome"), argument("num_folds", 5))
    assert "num_folds (=5) exceeds the 4 chromosomes" in error


# ---- tracks


CASES = {  # files of tracks and controls → strands, controls, columns; of tasks A and B, or A alone
    ("A", 1, 0): (1, "none", ["A"]),
    ("A", 2, 2): (2, "matched", ["A +", "A −", "control of A +", "control of A −"]),
    ("AB", 2, 1): (1, "shared", ["A", "B", "control"]),
    ("AB", 4, 2): (2, "shared", ["A +", "A −", "B +", "B −", "control +", "control −"]),
    ("AB", 2, 2): (1, "matched", ["A", "B", "control of A", "control of B"]),
}


@pytest.mark.parametrize("case", CASES)
def test_tracks_are_those_of_the_files(world, case):
    tasks, num_tracks, num_controls = case
    files = [write_bigwig(world.folder / f"{i}.bw", i) for i in range(num_tracks + num_controls)]
    paths = [path for path, _ in files]
    arguments = [argument("tracks", tuple_of(*paths[:num_tracks]))]
    if num_controls:
        arguments.append(argument("controls", tuple_of(*paths[num_tracks:])))
    arguments += [argument("tasks", tuple_of(*tasks)), argument("peaks", tuple_of(*[str(world.peaks)] * len(tasks)))]
    dataset, manifest, outcome = prepared(world, *arguments)
    strands, controls, columns = CASES[case]
    assert manifest["tracks"] == {"strands": strands, "controls": controls, "columns": columns}
    assert dataset.tracks.shape == (len(dataset.tokens), len(files)) and dataset.tracks.dtype == np.uint16
    genome, reads = Genome(world.genome), []
    for name, start, end, offset in zip(
        *(dataset.loci[c] for c in ("chromosome", "start", "end", "offset")), strict=True
    ):
        stored = dataset.tracks[offset : offset + end - start]
        expected = np.stack([counts[str(name)][start:end] for _, counts in files], axis=1)
        np.testing.assert_array_equal(stored, expected)
        np.testing.assert_array_equal(
            dataset.tokens[offset : offset + end - start], genome.tokens(str(name), start, end)
        )
        reads.append(expected.sum(axis=0))
    reads, positive = np.array(reads), (dataset.loci["labels"] == 1).any(axis=1)
    for column, name in enumerate(columns):
        assert manifest["reads"][name] == {
            "positives": reads[positive, column].sum(),
            "negatives": reads[~positive, column].sum(),
            "positive_windows_without_reads": (reads[positive, column] == 0).sum(),
        }
        assert f"track {name}" in manifest["inputs"] and f"reads of {name} in positives" in outcome.out
    assert manifest["reads"][columns[0]]["positive_windows_without_reads"] > 0
    svg = (world.dataset / "data.svg").read_text()
    assert all(f"reads: {name}" in svg for name in tasks) and ("control" in svg) == bool(num_controls)


def test_track_without_a_chromosome(world):
    path, _ = write_bigwig(world.folder / "a.bw", 0, dict.fromkeys(tiny.CHROMOSOMES[:3], tiny.LENGTH))
    error = refused(world, argument("tracks", tuple_of(path)))
    assert error.startswith(f"error: {path}: ") and "'chr4'" in error


@pytest.mark.parametrize("partial", [False, True])
def test_track_of_a_shorter_chromosome(world, partial):
    lengths = dict.fromkeys(tiny.CHROMOSOMES, tiny.LENGTH) | {"chr2": tiny.LENGTH - 1}
    path, _ = write_bigwig(world.folder / "a.bw", 0, lengths)
    error = refused(world, argument("tracks", tuple_of(path)), argument("partial_genome", partial))
    assert error.startswith(f"error: {path}: chr2 has 59999 bases, but 60000 in the genome")


def test_track_without_reads_in_positives(world):
    path = str(world.folder / "a.bw")
    with pyBigWig.open(path, "w") as file:
        file.addHeader([(name, tiny.LENGTH) for name in tiny.CHROMOSOMES])
        file.addEntries(["chr1"], [5], ends=[6], values=[3.0])
    error = refused(world, argument("tracks", tuple_of(path)))
    assert error.startswith(f"error: {path}: there is no read in any of the")


# ---- bins


def masks_of(rows) -> dict[str, np.ndarray]:
    masks = {name: np.zeros(tiny.LENGTH, bool) for name in tiny.CHROMOSOMES}
    for row in rows:
        masks[row[0]][int(row[1]) : int(row[2])] = True
    return masks


def test_bins_equal_a_mask_of_every_base(world):
    """Two tasks, relaxed peaks, and all negatives, against a loop over bins."""
    rows = peak_table(world)
    files = {"A": rows[::2], "B": rows[1::3], "relaxed A": rows[:40], "relaxed B": rows[::5]}
    files["A"][3][1:3] = [str(int(files["A"][3][1]) + 30), str(int(files["A"][3][1]) + 49)]  # narrower than half a bin
    paths = {name: write_bed(world.folder / f"{name}.bed", [row[:3] for row in v]) for name, v in files.items()}
    dataset, manifest, outcome = prepared(
        world, *BINS, argument("tasks", "('A','B')"), argument("peaks", tuple_of(paths["A"], paths["B"])),
        argument("relaxed_peaks", tuple_of(paths["relaxed A"], paths["relaxed B"])),
        argument("negatives_per_positive", 0), argument("split", "chromosome"), argument("num_folds", 3),
    )  # fmt: skip
    masks = {name: masks_of(v) for name, v in files.items()}
    expected, counts = {}, dict.fromkeys(("all", "positive", "ambiguous", "negative", "left", "left positive"), 0)
    for name in tiny.CHROMOSOMES:
        for start in range(0, tiny.LENGTH - 39, 10):
            share = {key: mask[name][start : start + 40].mean() >= 0.5 for key, mask in masks.items()}
            labels = tuple(1 if share[t] else -1 if share[f"relaxed {t}"] else 0 for t in "AB")
            kind = "positive" if 1 in labels else "ambiguous" if -1 in labels else "negative"
            counts["all"] += 1
            counts[kind] += 1
            inside = 0 <= start - 40 and start + 80 <= tiny.LENGTH
            counts["left"] += not inside and kind == "negative"
            if inside and kind != "ambiguous":
                expected[name, start - 40] = labels
    loci = dataset.loci
    found = zip(loci["chromosome"].tolist(), loci["start"].tolist(), map(tuple, loci["labels"].tolist()), strict=True)
    assert {(name, start): labels for name, start, labels in found} == expected
    assert len(loci["start"]) == len(expected) and counts["ambiguous"] > 50 and (-1 == loci["labels"]).sum() > 50
    assert {k: manifest["bins"][k] for k in ("all", "positive", "ambiguous", "negative")} == {
        k: counts[k] for k in ("all", "positive", "ambiguous", "negative")
    }
    assert manifest["background"]["window leaves its chromosome"] == counts["left"] > 0
    assert manifest["dropped"]["in no positive bin"] == 1
    assert {"relaxed peaks of A", "relaxed peaks of B"} <= set(manifest["inputs"])
    assert re.search(rf"{counts['ambiguous']:,} +bins: ambiguous", outcome.out)


def test_signal_of_bins_and_drawn_negatives(world):
    rows = peak_table(world)
    dataset, manifest, _ = prepared(world, *BINS, argument("negatives_per_positive", 2))
    loci = dataset.loci
    positive = loci["labels"][:, 0] == 1
    for name, start, signal in zip(*(loci[c][positive] for c in ("chromosome", "start", "signal")), strict=True):
        near = [float(r[6]) for r in rows if r[0] == name and int(r[1]) < start + 80 and int(r[2]) > start + 40]
        assert signal == np.float32(max(near))
    assert np.isnan(loci["signal"][~positive]).all()
    for counts in manifest["loci"].values():
        assert counts["negatives"] == 2 * counts["positives"] > 0
    pairs = list(zip(loci["chromosome"].tolist(), loci["start"].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    bins = manifest["bins"]
    assert bins["positive"] == positive.sum() + sum(bins["positives_dropped"].values())


def test_bins_under_weak_peaks_are_no_negatives(world):
    rows = peak_table(world)
    dataset, manifest, _ = prepared(world, *BINS, argument("top_fraction", 0.2), argument("negatives_per_positive", 0))
    everything = masks_of(rows)
    negative = dataset.loci["labels"][:, 0] == 0
    for name, start in zip(*(dataset.loci[c][negative] for c in ("chromosome", "start")), strict=True):
        assert everything[str(name)][start + 40 : start + 80].mean() < 0.5
    assert manifest["bins"]["ambiguous"] > manifest["bins"]["positive"]


# ---- fields that do not fit


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tracks": "('a','b','c')"}, "config.prepare.tracks (=('a', 'b', 'c')) must be 1 files"),
        ({"tracks": "('a','a')"}, "must be different files"),
        ({"tracks": "('a','')"}, "has an empty name"),
        ({"tracks": "('a','b')", "controls": "('c',)"}, "config.prepare.controls (=('c',)) must be 2 files"),
        ({"controls": "('c',)"}, "without config.prepare.tracks"),
        ({"loci": "bins", "relaxed_peaks": "('a','b')"}, "must be one file for each of the 1 tasks"),
        ({"relaxed_peaks": "('a',)"}, "unless config.prepare.loci='bins'"),
        ({"loci": "bins", "window": 199}, "config.prepare.window (=199) must be at least config.prepare.bin_width"),
        ({"negatives_per_positive": 0}, "must be at least 1 with config.prepare.loci='summits'"),
        ({"num_folds": 3}, "unless config.prepare.split='chromosome'"),
        ({"fold": 1}, "must be 0 unless config.prepare.num_folds is set"),
        ({"split": "chromosome", "num_folds": 3, "fold": 3}, "config.prepare.fold (=3) must be from 0 to 2"),
        ({"tracks": "('none.bw',)"}, "none.bw: there is no such file"),
        ({"exclude": "('none.bed',)"}, "none.bed: there is no such file"),
    ],
)
def test_fields_that_do_not_fit(world, changes, words):
    assert words in refused(world, *(argument(field, value) for field, value in changes.items()))


def test_every_file_but_no_path_is_in_the_manifest(world):
    path, _ = write_bigwig(world.folder / "a.bw", 0)
    _, manifest, _ = prepared(world, argument("tracks", tuple_of(path)))
    assert set(manifest["inputs"]) == {"genome", "peaks of MOTIF", "track MOTIF"}
    assert str(world.folder) not in json.dumps({key: manifest[key] for key in manifest if key != "files"})
