"""`experiments.doctor`: a clean experiment passes, and whatever is wrong with one has a line that says so."""

import importlib.util
import json
import shutil
from pathlib import Path

import ml_collections
import numpy as np
import pyBigWig
import pytest
import tiny

from experiments import doctor, doctor_machine, doctor_steps
from experiments.doctor_dataset import dataset_findings
from experiments.doctor_findings import ERROR, OK, SKIPPED, WARNING, Finding, examine
from experiments.doctor_inputs import input_findings
from experiments.models import model_config
from fprior.data.dataset import Dataset, open_dataset, save_dataset

LENGTH = 240_000  # of a chromosome: enough for a hundred positives in each split
PLUS, MINUS, CONTROL = 0, 1, 2


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    """A clean experiment on stranded reads, with its data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "LENGTH", LENGTH)
        world = tiny.make_world(tmp_path_factory.mktemp("doctor"))
    for kind, name in enumerate(("plus", "minus", "control_plus", "control_minus")):
        write_bigwig(world.folder / f"{name}.bw", reads_of(world, min(kind, CONTROL), seed=kind))
    paths = {name: str(world.folder / f"{name}.bw") for name in ("plus", "minus", "control_plus", "control_minus")}
    lines = (
        f"    config.prepare.tracks = ({paths['plus']!r}, {paths['minus']!r})",
        f"    config.prepare.controls = ({paths['control_plus']!r}, {paths['control_minus']!r})",
        "    config.prepare.fractions = (0.4, 0.3, 0.3)",
        "    config.prepare.gc_tolerance = 0.02",
        "    config.prepare.negatives_per_positive = 1",
        "    return config\n",
    )
    world.config.write_text(world.config.read_text().replace("    return config\n", "\n".join(lines)))
    outcome = world.command("prepare")
    assert outcome.status == 0, outcome
    return world


def reads_of(world, kind: int, seed: int, heights=40.0, shift: int = 30, background: float = 0.01) -> dict:
    """Counts of every chromosome: an even background, and but for controls a heap beside every summit."""
    rng, counts = np.random.default_rng(seed), {}
    for name in tiny.CHROMOSOMES:
        counts[name] = rng.poisson(background, LENGTH).astype(float)
        summits = [int(row[1]) + int(row[9]) for row in peak_rows(world) if row[0] == name]
        if kind != CONTROL:
            side = shift // 2 * (1 if kind == MINUS else -1)
            at = np.repeat(summits, rng.poisson(heights, len(summits))) + side
            np.add.at(counts[name], np.clip(at + rng.normal(0, 4, len(at)).astype(int), 0, LENGTH - 1), 1)
    return counts


def write_bigwig(path: Path, counts: dict) -> str:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, len(values)) for name, values in counts.items()])
        for name, values in counts.items():
            at = np.flatnonzero(values)
            if len(at):
                file.addEntries([name] * len(at), at.tolist(), ends=(at + 1).tolist(), values=values[at].tolist())
    return str(path)


def peak_rows(world) -> list[list[str]]:
    return [line.split("\t") for line in world.peaks.read_text().splitlines()]


def write_rows(path: Path, rows) -> str:
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return str(path)


def config_of(world, **changes) -> ml_collections.ConfigDict:
    """The config of the world with some fields changed: section__field=value."""
    spec = importlib.util.spec_from_file_location("tiny_config", world.config)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    for name, value in changes.items():
        section, _, field = name.partition("__")
        config[section][field] = value
    return config


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def assert_finds(findings: list[Finding], status: str, check: str, *words: str) -> None:
    """There is a line of that status and check that has all the words."""
    lines = [finding for finding in findings if finding.status == status and finding.check == check]
    assert any(all(word in line.text for word in words) for line in lines), findings
    assert not any("itself failed" in finding.text for finding in findings), findings


# ---- the command


def test_clean_experiment(world):
    before = listing(world.folder)
    outcome = world.command("doctor", "--config.prior.weight='auto'")
    *rows, last = outcome.out.splitlines()
    assert outcome.status == 0, outcome.out
    assert all(row.startswith("ok  ") for row in rows), outcome.out
    assert last == f"{len(rows)} ok, 0 warnings, 0 errors"
    assert len({row.index(row.split("  ", 2)[2].strip()) for row in rows}) == 1  # aligned
    assert all(f"\nok  {check} " in outcome.out for check in ("training step", "memory", "prior's gradient", "genome"))
    assert "before that 200 steps without the prior" in outcome.out and "norm " in outcome.out
    assert listing(world.folder) == before


def test_errors_end_in_status_1(world):
    before = listing(world.folder)
    outcome = world.command("doctor", "--fast=true", "--config.prepare.peaks=('absent.bed',)")
    assert outcome.status == 1
    assert "absent.bed: there is no such file; correct config.prepare.peaks" in outcome.out
    assert "Traceback" not in outcome.err and outcome.out.splitlines()[-1].endswith(" 0 warnings, 1 errors")
    assert "skipped  training step" in outcome.out
    assert listing(world.folder) == before


def test_wrong_usage(world):
    assert "--fast" in world.command("doctor", "--fast=yes").error


def test_warnings_leave_status_0(world):
    outcome = world.command("doctor", "--fast=true", "--config.prior.freq_limit=25", "--config.prepare.genome=")
    assert outcome.status == 0 and "1 warnings, 0 errors" in outcome.out
    assert "skipped  input files" in outcome.out and "60 / (shortest motif)" not in outcome.out
    assert "set it to the input length / (shortest motif)" in outcome.out


# ---- which groups are looked at


def test_missing_inputs_of_a_prepared_data_set_are_no_error(world):
    absent = {"prepare__genome": "absent.fa", "prepare__peaks": ("absent.bed",)}
    absent |= {"prepare__tracks": ("",), "prepare__controls": ("",)}
    findings = list(doctor.all_findings(config_of(world, **absent), fast=True))
    assert_finds(findings, SKIPPED, "input files", "prepared already")
    findings = list(doctor.all_findings(config_of(world, data__dataset="", **absent), fast=True))
    assert_finds(findings, ERROR, "input files", "absent.fa")
    assert_finds(findings, SKIPPED, "data set", "config.data.dataset is empty")


def test_data_set_that_is_not_there(world, tmp_path):
    config = config_of(world, data__dataset=str(tmp_path / "none"), prepare__output=str(tmp_path / "none"))
    assert_finds(doctor.open_if_there(config)[1], SKIPPED, "data set", "run experiments.prepare")
    config = config_of(world, data__dataset=str(tmp_path / "none"))
    assert_finds(doctor.open_if_there(config)[1], ERROR, "data set", "none", "make one with")


def test_check_that_crashes_is_an_error():
    assert examine("this", lambda: 1 / 0)[0][:2] == (ERROR, "this")


# ---- input files: every case writes something wrong and gives the fields that name it


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


@pytest.mark.parametrize("case", INPUTS.values(), ids=INPUTS)
def test_input_files(world, tmp_path, case):
    write, *expected = case
    changes = {f"prepare__{name}": value for name, value in write(world, tmp_path).items()}
    assert_finds(list(input_findings(config_of(world, **changes))), *expected)


# ---- the data set


def rebuilt(world, folder, change) -> Dataset:
    """The data set, written again after `change(tokens, loci, tracks, manifest)` has changed them in place."""
    dataset = open_dataset(world.dataset)
    parts = np.array(dataset.tokens), {name: np.array(values) for name, values in dataset.loci.items()}
    tracks, manifest = np.array(dataset.tracks), json.loads(json.dumps(dataset.manifest))
    change(*parts, tracks, manifest)
    manifest = {name: value for name, value in manifest.items() if name not in ("format", "files", "bases")}
    tracks = [tracks] if "tracks" in manifest else None
    save_dataset(folder / "set", manifest, parts[0], parts[1], tracks=tracks, track_dtype=np.uint16)
    return open_dataset(folder / "set")


def bases_of(loci, positive: bool) -> np.ndarray:
    """The places in the letters of all windows of positives or negatives."""
    chosen = (loci["labels"] == 1).any(axis=1) == positive
    return (loci["offset"][chosen][:, None] + np.arange(80)).ravel()


def without_test(tokens, loci, tracks, manifest):
    loci["labels"][loci["split"] == 2] = 0


def few_in_test(tokens, loci, tracks, manifest):
    loci["labels"][np.flatnonzero((loci["labels"][:, 0] == 1) & (loci["split"] == 2))[30:]] = 0


def overlapping(tokens, loci, tracks, manifest):
    first = np.flatnonzero(loci["split"] == 0)[0]
    for name in ("chromosome", "start", "end"):
        loci[name][np.flatnonzero(loci["split"] == 2)[0]] = loci[name][first]


def poor_negatives(tokens, loci, tracks, manifest):
    tokens[bases_of(loci, False)[::4]] = 0


def poor_and_random(tokens, loci, tracks, manifest):
    poor_negatives(tokens, loci, tracks, manifest)
    manifest["settings"]["background"] = "random"


def ambiguous_negatives(tokens, loci, tracks, manifest):
    loci["labels"][np.flatnonzero(loci["labels"][:, 0] == 0)[::2]] = -1


def no_tracks(tokens, loci, tracks, manifest):
    del manifest["tracks"]


def empty_column(tokens, loci, tracks, manifest):
    tracks[:, 1] = 0


def silent_positives(tokens, loci, tracks, manifest):
    tracks[bases_of(loci, True)[: 80 * 100]] = 0


def reads_at_the_edges(tokens, loci, tracks, manifest):
    tracks[bases_of(loci, True).reshape(-1, 80)[:, 20:60].ravel()] = 0


DATASETS = {
    "no positives": (without_test, ERROR, "splits", "test has 0 positives", "another split"),
    "task without positives": (without_test, WARNING, "labels", "no positive of task MOTIF", "another split"),
    "few positives": (few_in_test, WARNING, "splits", "test has 30 positives", "another split"),
    "leakage": (overlapping, ERROR, "leakage", "overlaps", "prepare the data set again"),
    "GC": (poor_negatives, WARNING, "GC content", "a model may learn GC", "gc_tolerance"),
    "GC of random background": (poor_and_random, WARNING, "GC content", "as expected", "background='gc'"),
    "ambiguous": (ambiguous_negatives, WARNING, "labels", "ambiguous", "relaxed peaks"),
    "no tracks": (no_tracks, ERROR, "tracks", "there are no tracks", "config.prepare.tracks"),
    "empty column": (empty_column, ERROR, "reads", "no read of MOTIF −", "another file"),
    "silent positives": (silent_positives, WARNING, "reads", "100 of", "peaks' own experiment"),
    "reads at the edges": (reads_at_the_edges, WARNING, "focus of reads", "do not gather", "one experiment"),
}


def of_profiles(world, **changes):
    """The world's config with a profile model."""
    config = config_of(world, data__output_length=40, **changes)
    with config.unlocked():
        config.model = model_config("profile")
    small = {"filters": 4, "first_width": 5, "dilations": (1,), "profile_width": 5}
    config.model.update(small)
    return config


@pytest.mark.parametrize("case", DATASETS.values(), ids=DATASETS)
def test_data_set(world, tmp_path, case):
    change, status, check, *words = case
    findings = list(dataset_findings(of_profiles(world), rebuilt(world, tmp_path, change)))
    assert_finds(findings, status, check, str(tmp_path / "set"), *words)


def test_data_set_in_order(world, tmp_path):
    findings = list(dataset_findings(of_profiles(world), rebuilt(world, tmp_path, lambda *parts: None)))
    assert {finding.status for finding in findings} == {OK}, findings
    assert {"reads", "focus of reads"} <= {finding.check for finding in findings}


def test_changed_file(world, tmp_path):
    shutil.copytree(world.dataset, tmp_path / "set")
    with open(tmp_path / "set" / "tokens.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x04")
    findings = list(dataset_findings(config_of(world), open_dataset(tmp_path / "set")))
    assert_finds(findings, ERROR, "checksums", "tokens.npy", "prepare the data set again")


def test_narrow_window(world):
    findings = list(dataset_findings(config_of(world, data__jitter=20), open_dataset(world.dataset)))
    assert_finds(findings, ERROR, "window", "jitter (=20)", "prepare a wider data set")


# ---- the machine


def test_unused_accelerator(monkeypatch, tmp_path):
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(doctor_machine, "ACCELERATORS", {"cuda": (str(tmp_path / "nvidia*"),)})
    assert_finds(examine("device", doctor_machine.check_device), WARNING, "device", "pip install 'fprior[cuda]'")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert_finds(examine("device", doctor_machine.check_device), WARNING, "device", "unset JAX_PLATFORMS")
    monkeypatch.setattr(doctor_machine, "ACCELERATORS", {"cuda": (str(tmp_path / "other*"),)})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_finds(examine("device", doctor_machine.check_device), OK, "device", "JAX uses cpu")


@pytest.mark.parametrize("free, status", [(10, ERROR), (100_000, WARNING), (10**12, OK)])
def test_disk(world, monkeypatch, free, status):
    usage = shutil.disk_usage(".")._replace(free=free)
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda path: usage)
    found = examine("disk", doctor_machine.check_disk, config_of(world), open_dataset(world.dataset))
    assert_finds(found, status, "disk", "are free in the current directory")


@pytest.mark.parametrize("placement, words", [("auto", "on the device"), ("host", "though they would fit")])
def test_placement(world, placement, words):
    config = config_of(world, speed__placement=placement)
    found = examine("placement", doctor_machine.check_placement, config, open_dataset(world.dataset))
    assert_finds(found, OK, "placement", words)


def test_data_too_large_for_the_device(world, monkeypatch):
    monkeypatch.setattr(doctor_machine, "fits_on_device", lambda dataset, plan: False)
    config = config_of(world, speed__placement="device")
    found = examine("placement", doctor_machine.check_placement, config, open_dataset(world.dataset))
    assert_finds(found, WARNING, "placement", "config.speed.placement='auto'")


@pytest.mark.parametrize("needed, status", [(50, OK), (90, WARNING)])
def test_memory(world, needed, status):
    measured = doctor_steps.Measured(1.0, 1.0, needed, [], None)
    found = examine("memory", doctor_steps.check_memory, config_of(world), measured, 100)
    assert_finds(found, status, "memory", f"{needed}%", *(["lower config.data.batch_size"] if status != OK else []))


def test_step_too_large_for_the_device_is_not_run(world, monkeypatch):
    monkeypatch.setattr(doctor_machine, "device_memory", lambda: 1000)
    monkeypatch.setattr(doctor_steps, "_run", lambda program, states: pytest.fail("it was run"))
    config = config_of(world, prior__weight=0.0)
    findings = list(doctor_machine.step_findings(config, open_dataset(world.dataset), True))
    assert [finding.status for finding in findings] == [ERROR]
    assert_finds(findings, ERROR, "training step", "of the 1.0 kB of the device", "lower config.data.batch_size (=16)")


@pytest.mark.parametrize("norm, status", [(0.0, ERROR), (float("nan"), ERROR), (0.5, OK)])
def test_gradient_and_loss(norm, status):
    report = {"gradient_norm/prior": norm, "gradient_norm/correctness": 1.0, "gradient_cosine": 0.0}
    measured = doctor_steps.Measured(1.0, 1.0, 1, [{"loss/total": norm}], [report])
    assert_finds(examine("gradient", doctor_steps.check_gradients, measured), status, "gradient")
    lost = ERROR if np.isnan(norm) else OK
    assert_finds(examine("loss", doctor_steps.check_loss, measured), lost, "loss")


def test_steps_without_a_data_set(world):
    findings = list(doctor_machine.machine_findings(of_profiles(world, prior__weight=0.0), None, fast=False))
    assert {finding.status for finding in findings} == {OK}, findings
    assert_finds(findings, OK, "training step", "random data", "the data set will tell")
    assert_finds(findings, OK, "prior's gradient", "there is no prior")
