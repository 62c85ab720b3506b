"""`experiments.doctor`: a clean experiment passes, and whatever is wrong with one has a line that says so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from doctor_world import CONTROL, LENGTH, config_of, reads_of, write_bigwig
from spoiled_inputs import INPUTS

from experiments import doctor, doctor_machine, doctor_steps
from experiments.doctor_dataset import dataset_findings
from experiments.doctor_findings import ERROR, OK, SKIPPED, WARNING, Finding, examine
from experiments.doctor_inputs import input_findings
from experiments.models import model_config
from fprior.data.dataset import Dataset, open_dataset, save_dataset


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


# ---- input files


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
