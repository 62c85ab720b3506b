"""Prepare, train, evaluate, report on a synthetic genome; and what happens when something is wrong."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from experiments import build, run_directory, train
from experiments.config import check_config
from experiments.member import no_gain
from fprior.data.dataset import open_dataset
from fprior.errors import InputError
from fprior.sequence import decode
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log
from fprior.training.state import init_state

OFF = "--config.prior.weight=0"


class Finished(NamedTuple):
    world: tiny.World
    with_prior: Path
    without: Path
    page: Path
    outcomes: dict[str, tiny.Outcome]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Everything from the genome to the page, with and without the prior."""
    world = tiny.make_world(tmp_path_factory.mktemp("finished"))
    runs = {"with": (world.folder / "runs/with", []), "without": (world.folder / "runs/without", [OFF])}
    outcomes = {"prepare": world.command("prepare")}
    for name, (workdir, extra) in runs.items():
        for command in ("train", "evaluate"):
            outcomes[f"{command} {name}"] = world.command(command, f"--workdir={workdir}", *extra)
    page = world.folder / "pages" / "page.html"
    pairs = f"with prior={runs['with'][0]},without prior={runs['without'][0]}"
    outcomes["report"] = tiny.command("report", f"--runs={pairs}", f"--output={page}")
    for name, outcome in outcomes.items():
        assert outcome.status == 0, (name, outcome.err)
    return Finished(world, runs["with"][0], runs["without"][0], page, outcomes)


@pytest.fixture
def world(tmp_path) -> tiny.World:
    """Genome, peaks and config, nothing prepared."""
    return tiny.make_world(tmp_path)


def test_manifest_adds_up(finished):
    manifest = json.loads((finished.world.dataset / "manifest.json").read_text())
    lines = finished.world.peaks.read_text().splitlines()
    positives = sum(counts["positives"] for counts in manifest["loci"].values())
    negatives = sum(counts["negatives"] for counts in manifest["loci"].values())
    assert manifest["peaks"] == len(lines) == positives + sum(manifest["dropped"].values())
    assert negatives == 3 * positives > 300
    assert manifest["inputs"]["genome"]["file"] == "genome.fa" and len(manifest["inputs"]["genome"]["sha256"]) == 64
    out = finished.outcomes["prepare"].out
    for counts in manifest["loci"].values():
        assert re.search(rf"\b{counts['positives']}  positives to", out)


def test_windows_are_centred_on_the_motif(finished):
    dataset = open_dataset(finished.world.dataset)
    sequences, _ = tiny.synthesise(0)
    everything = np.arange(len(dataset.loci["start"]))
    for split in range(3):
        positives = dataset.select(split, positive=True)
        middle = [decode(tokens) for tokens in dataset.centred(positives, len(tiny.MOTIF))]
        assert len(positives) > 10 and middle == [tiny.MOTIF] * len(positives)
    columns = zip(*dataset.interval(everything, 80), dataset.centred(everything, 80), strict=True)
    for chromosome, start, end, tokens in columns:
        assert decode(tokens) == sequences[str(chromosome)][start:end]


def test_no_window_is_in_two_splits(finished):
    loci = open_dataset(finished.world.dataset).loci
    blocks = {}
    for chromosome, start, end, split in zip(*(loci[c] for c in ("chromosome", "start", "end", "split")), strict=True):
        for block in {start // 10_000, (end - 1) // 10_000}:
            assert blocks.setdefault((chromosome, block), split) == split


def test_run_directory_is_enough_to_run_it_again(finished):
    record = json.loads((finished.without / "run.json").read_text())
    assert record["config_file"] == str(finished.world.config) and record["overrides"] == {"prior.weight": 0.0}
    assert record["config"]["prior"]["weight"] == 0 and record["config"]["seed"] == 0
    assert "--workdir" in record["command"] and OFF in record["command"]
    assert {"jax", "jaxlib", "python", "fprior"} <= set(record["versions"]) and record["devices"]
    assert record["dataset"]["files"] == json.loads((finished.world.dataset / "manifest.json").read_text())["files"]
    result = json.loads((finished.without / "result.json").read_text())
    assert result["ended"] == "epochs" and [entry["epoch"] for entry in result["history"]] == [1, 2]
    assert result["best"] == min(result["history"], key=lambda entry: entry["loss/correctness"])


def test_log_has_losses_gradient_norms_and_cosine(finished):
    log = read_log(finished.with_prior)
    gradients = [entry for entry in log if entry["kind"] == "gradients"]
    assert [entry["step"] for entry in gradients] == [1, 6, 11, 16, 21, 26]
    for entry in gradients:
        assert entry["gradient_norm/prior"] > 0 and entry["gradient_norm/correctness"] > 0
        assert -1 <= entry["gradient_cosine"] <= 1 and entry["gradient_cosine"] != 0
    steps = [entry for entry in log if entry["kind"] == "train"]
    assert [entry["step"] for entry in steps] == list(range(3, 28, 3))
    for entry in steps:
        total = entry["loss/correctness"] + entry["prior_weight"] * entry["loss/prior"]
        assert entry["loss/total"] == pytest.approx(total, rel=1e-5)
    assert [entry["step"] for entry in log if entry["kind"] == "validation"] == [14, 28]
    assert [entry["step"] for entry in log] == sorted(entry["step"] for entry in log)
    kinds = {entry["kind"] for entry in read_log(finished.without)}
    assert kinds == {"train", "validation"}
    assert "loss/prior" not in read_log(finished.without)[0]


def test_the_model_learns_the_motif(finished):
    for name in ("with", "without"):
        measures = json.loads((finished.world.folder / "runs" / name / "evaluation_test.json").read_text())
        assert measures["performance"]["auroc"][0] > 0.85
        assert measures["performance"]["positives"] == [measures["interpretability"]["entropy_bits"]["sequences"]]


def test_evaluation_keeps_every_locus(finished):
    dataset = open_dataset(finished.world.dataset)
    with np.load(finished.with_prior / "evaluation_test.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    test = {
        (str(c), int(s) + 10, int(s) + 70)
        for c, s, split in zip(*(dataset.loci[name] for name in ("chromosome", "start", "split")), strict=True)
        if split == 2
    }
    ours = list(zip(arrays["chromosome"].tolist(), arrays["start"].tolist(), arrays["end"].tolist(), strict=True))
    assert set(ours) == test and len(ours) == len(test)
    assert set(arrays["strand"]) == {"+"} and len(arrays["strand"]) == len(test)
    assert arrays["logits"].shape == arrays["labels"].shape == (len(test), 1)
    sequences, _ = tiny.synthesise(0)
    for row, tokens, contribution in zip(
        *(arrays[n] for n in ("positive_rows", "tokens", "contributions")), strict=True
    ):
        chromosome, start, end = ours[row]
        assert arrays["labels"][row, 0] == 1 and decode(tokens) == sequences[chromosome][start:end]
        assert contribution.shape == (60,)
    assert (arrays["labels"] == 1).sum() == len(arrays["positive_rows"])


def test_page_has_both_labels(finished):
    page = finished.page.read_text()
    assert "with prior" in page and "without prior" in page and "prior.weight" in page
    assert page.count("<svg") >= 5
    assert tiny.contents(finished.page.parent) == {"page.html"}


def test_finished_run_is_not_trained_again(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.with_prior.rglob("*") if path.name != ".lock"}
    outcome = finished.world.command("train", f"--workdir={finished.with_prior}")
    assert outcome.status == 0 and "finished" in outcome.out and "another --workdir" in outcome.out
    assert {p: p.stat().st_mtime_ns for p in finished.with_prior.rglob("*") if p.name != ".lock"} == before


def test_prepare_again_gives_the_same_bytes(finished, tmp_path):
    outcome = finished.world.command("prepare", f"--config.prepare.output={tmp_path / 'again'}")
    assert outcome.status == 0
    for path in finished.world.dataset.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


# ---- prepare


def test_prepare_does_not_overwrite(finished):
    before = {path.name: path.read_bytes() for path in finished.world.dataset.iterdir()}
    error = finished.world.command("prepare").error
    assert str(finished.world.dataset) in error and "exists already" in error
    assert {path.name: path.read_bytes() for path in finished.world.dataset.iterdir()} == before


def test_chromosome_names_that_differ(world, finished):
    """The fix that the error offers is the fix."""
    world.peaks.write_text("".join(line.removeprefix("chr") for line in world.peak_lines()))
    error = world.command("prepare").error
    fix = re.search(r"prepare\.chromosome_names='(\w+)'", error)
    assert "'1'" in error and "'chr1'" in error and fix
    assert world.command("prepare", f"--config.prepare.chromosome_names={fix[1]}").status == 0
    ours, theirs = (open_dataset(folder) for folder in (world.dataset, finished.world.dataset))
    assert np.array_equal(ours.tokens, theirs.tokens)
    assert all(np.array_equal(ours.loci[n], theirs.loci[n], equal_nan=n == "signal") for n in ours.loci)


def test_lower_case_is_read_as_upper_case(world, finished):
    text = world.genome.read_text()
    world.genome.write_text(re.sub("[ACGT]+", lambda match: match[0].lower(), text))
    assert world.command("prepare").status == 0
    assert np.array_equal(open_dataset(world.dataset).tokens, open_dataset(finished.world.dataset).tokens)


# ---- train, evaluate and report refuse


def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_work_directory_of_another_config(finished, command):
    before = tiny.contents(finished.with_prior)
    error = finished.world.command(
        command, f"--workdir={finished.with_prior}", "--config.train.learning_rate=0.5", "--config.seed=3"
    ).error
    assert "config.train.learning_rate was 0.01, is 0.5" in error and "config.seed was 0, is 3" in error
    assert tiny.contents(finished.with_prior) == before


def test_run_from_before_a_field_was_there(finished, tmp_path):
    """It is taken to have been at its default, which is what the run did."""
    run = copied(finished.with_prior, tmp_path)
    record = json.loads((run / "run.json").read_text())
    del record["config"]["prior"]["attribution"]
    (run / "run.json").write_text(json.dumps(record))
    assert finished.world.command("evaluate", f"--workdir={run}").status == 0
    changed = finished.world.command("evaluate", f"--workdir={run}", "--config.prior.attribution=deeplift")
    assert "config.prior.attribution was 'input_gradient', is 'deeplift'" in changed.error


def test_settings_of_evaluation_may_differ(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    assert finished.world.command("evaluate", f"--workdir={run}", "--config.evaluate.split=valid").status == 0
    assert (run / "evaluation_valid.npz").is_file() and (run / "evaluation_test.npz").is_file()


def test_work_directory_of_another_data_set(finished, tmp_path):
    other = tmp_path / "other"
    assert finished.world.command("prepare", f"--config.prepare.output={other}", "--config.prepare.seed=5").status == 0
    run = copied(finished.with_prior, tmp_path)
    original = tmp_path / "original"
    finished.world.dataset.rename(original)
    shutil.copytree(other, finished.world.dataset)
    try:
        assert "checksums differ" in finished.world.command("train", f"--workdir={run}").error
    finally:
        shutil.rmtree(finished.world.dataset)
        original.rename(finished.world.dataset)


def test_evaluate_before_training_is_finished(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    (run / "result.json").unlink()
    error = finished.world.command("evaluate", f"--workdir={run}").error
    assert "not finished" in error and "experiments.train" in error


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_directory_that_is_not_a_run(finished, tmp_path, command):
    (tmp_path / "thesis.txt").write_text("precious")
    assert "run" in finished.world.command(command, f"--workdir={tmp_path}").error
    assert tiny.contents(tmp_path) == {"thesis.txt"}


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_work_directory_that_is_a_file(finished, tmp_path, command):
    path = tmp_path / "file"
    path.write_text("precious")
    for workdir in (path, path / "below"):
        assert str(workdir) in finished.world.command(command, f"--workdir={workdir}").error
    assert path.read_text() == "precious" and tiny.contents(tmp_path) == {"file"}


def test_read_only_work_directory(finished, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; a path that nobody can write is tested above")
    tmp_path.chmod(0o555)
    assert "cannot be written" in finished.world.command("train", f"--workdir={tmp_path / 'run'}").error


def test_one_process_a_work_directory(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    with open(run / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process is using it" in finished.world.command("train", f"--workdir={run}").error
    assert finished.world.command("train", f"--workdir={run}").status == 0


def test_damaged_record(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    (run / "run.json").write_text("{")
    for command in ("train", "evaluate"):
        assert str(run / "run.json") in finished.world.command(command, f"--workdir={run}").error


def test_damaged_checkpoint(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    (file,) = (run / "checkpoints" / "best").glob("*/state/_METADATA")
    file.write_text("")
    error = finished.world.command("evaluate", f"--workdir={run}").error
    assert str(file.parent.parent) in error and "damaged" in error


@pytest.mark.parametrize(
    ("runs", "part"),
    [
        ("a={0},a={1}", "two runs have one label"),
        ("{0}", "LABEL=DIRECTORY"),
        ("", "LABEL=DIRECTORY"),
        ("a={0}/nothing", "not a run"),
    ],
)
def test_report_refuses(finished, tmp_path, runs, part):
    named = runs.format(finished.with_prior, finished.without)
    assert part in tiny.command("report", f"--runs={named}", f"--output={tmp_path / 'page.html'}").error
    assert not tiny.contents(tmp_path)


def test_report_of_runs_that_are_not_evaluated(finished, tmp_path):
    run = copied(finished.with_prior, tmp_path)
    (run / "evaluation_test.npz").unlink()
    error = tiny.command("report", f"--runs=a={run}", f"--output={tmp_path / 'page.html'}").error
    assert "evaluation_test.npz: missing" in error and "experiments.evaluate" in error


# ---- the loop watches over itself


def test_loss_that_is_not_finite_stops(finished, tmp_path):
    """An absurd learning rate: the first loss is finite, the next is not."""
    arguments = [
        f"--workdir={tmp_path / 'run'}",
        "--config.train.learning_rate=1e30",
        "--config.train.checkpoint_every=1",
    ]
    errors = []
    for _ in range(2):  # the checkpoint before is valid: the second process goes on from there to the same end
        outcome = finished.world.command("train", *arguments)
        assert outcome.status == 2 and "Traceback" not in outcome.err
        errors.append(outcome.err.splitlines()[-1])
    assert (
        re.match(rf"error: {tmp_path}/run, step 2: .*loss/\w+ is (nan|inf|-inf)", errors[0])
        and "learning_rate" in errors[0]
    )
    assert errors[0] == errors[1]
    assert [path.name for path in (tmp_path / "run/checkpoints/latest").iterdir()] == ["1"]
    assert not (tmp_path / "run" / "result.json").exists()


@contextlib.contextmanager
def signals_kept():
    numbers = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


def test_prior_without_a_gradient_stops_at_the_first_step(finished, tmp_path, monkeypatch):
    scope: dict = {}
    exec(finished.world.config.read_text(), scope)
    config = scope["get_config"]()
    check_config(config)
    monkeypatch.setattr(build, "prior_of", lambda config: lambda track: jnp.full(track.shape[:-1], 0.5))
    monkeypatch.setattr(run_directory, "overrides", dict)
    monkeypatch.setattr(run_directory, "config_file", lambda: str(finished.world.config))
    with signals_kept(), pytest.raises(InputError, match="exactly zero at the first step"):
        train.main(config, str(tmp_path / "run"))
    (entry,) = read_log(tmp_path / "run")
    assert entry["step"] == 1 and entry["gradient_norm/prior"] == 0
    dataset = open_dataset(finished.world.dataset)
    state = init_state(build.model_of(config, dataset), build.optimizer_of(config), 0, 60)
    with Checkpoints(tmp_path / "run" / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.step("latest") is None
        with pytest.raises(InputError, match="no checkpoint"):
            checkpoints.restore("latest", state)


@pytest.mark.parametrize(("patience", "gain", "epochs"), [(0, 0.001, 6), (3, 0.001, 5), (2, 0.001, 4), (3, 0.0, 6)])
def test_early_stopping(patience, gain, epochs):
    """No gain of `gain` in the last `patience` epochs over the best before them."""
    losses: list[float] = []
    for loss in (0.9, 0.7, 0.6995, 0.6999, 0.71, 0.5):
        if no_gain(losses, patience, gain):
            break
        losses.append(loss)
    assert len(losses) == epochs
