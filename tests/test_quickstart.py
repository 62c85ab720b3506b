"""The quickstart of the library, tiny: what it leaves behind, whether its comparison is fair, what it refuses."""

import dataclasses
import json
import re
import signal

import numpy as np
import pytest

from fprior import quickstart
from fprior.data.dataset import open_dataset
from fprior.quickstart_page import (
    CAUTION,
    MEASURES,
    Explained,
    Inputs,
    as_json,
    as_text,
    measures_section,
    peaks_section,
)
from fprior.report.peak_figure import LOGO_WIDTH
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log
from fprior.training.state import init_state

TINY = {"LENGTH": 200, "JITTER": 10, "FREQ_LIMIT": 30.0, "FILTERS": (3, 3, 3), "POSITIVES": 4, "AT_ONCE": 512}
STEPS = 3


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TINY.items():
            patch.setattr(quickstart, name, value)
        yield


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart") / "new" / "run"
    quickstart.main(str(folder), 7, STEPS)
    return folder


def test_what_it_leaves_behind(folder):
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
    assert {path.name for path in folder.iterdir()} == {"report.html", "measures.json", "fourier", "none"}
    record = json.loads((folder / "measures.json").read_text())
    assert record["settings"]["seed"] == 7 and f"{STEPS} steps" in record["settings"]["training"]
    for label in ("Fourier prior", "no prior"):
        assert 0 <= record["performance"][label]["auroc"] <= 1
        spreads = record["interpretability"][label]
        assert set(spreads) == set(MEASURES)
        assert all(spread["peaks"] + spread["undefined"] == 320 for spread in spreads.values())
    page = (folder / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page) and CAUTION in page
    assert page.count("quantile 1 of the signal") == 1 and page.count("<svg") == 5


def test_both_models_start_alike_on_the_same_batches(folder):
    first, last = (
        [[e for e in read_log(folder / name) if e["kind"] == "train"][i] for name in ("fourier", "none")]
        for i in (0, -1)
    )
    assert first[0]["loss/correctness"] == pytest.approx(first[1]["loss/correctness"], rel=1e-5)
    assert last[0]["loss/correctness"] != last[1]["loss/correctness"]
    assert "loss/prior" in first[0] and "loss/prior" not in first[1]


def test_the_prior_pulls_at_the_parameters(folder):
    (report,) = [entry for entry in read_log(folder / "fourier") if entry["kind"] == "gradients"]
    assert report["gradient_norm/prior"] > 0


@pytest.fixture(scope="module")
def start(tiny):
    recipe = quickstart.recipes_of(open_dataset(quickstart.DATASET))["none"]
    return init_state(recipe.model, recipe.optimizer, 0, TINY["LENGTH"])


def test_the_checkpoint_that_is_measured_can_be_read_back(folder, start):
    dataset = open_dataset(quickstart.DATASET)
    recipe = quickstart.recipes_of(dataset)["none"]
    with Checkpoints(folder / "none" / "checkpoints", read_only=True) as checkpoints:
        best, progress = checkpoints.restore("best", start)
        latest, _ = checkpoints.restore("latest", start)
    assert int(best.step) == int(latest.step) == STEPS
    assert quickstart.validate(dataset, recipe, best) == pytest.approx(progress)


def test_the_best_epoch_is_kept_whichever_it_is(start, tmp_path, monkeypatch):
    dataset = open_dataset(quickstart.DATASET)
    losses = iter([0.7, 0.5, 0.6])
    monkeypatch.setattr(quickstart, "validate", lambda *_: {"loss/correctness": next(losses), "auroc": 0.5})
    monkeypatch.setattr(quickstart, "POSITIVES", 500)  # so that an epoch is a few steps
    monkeypatch.setattr(quickstart, "step_of", lambda state, examples, **_: (state.replace(step=state.step + 1), {}))
    (tmp_path / "none").mkdir()
    recipe = quickstart.recipes_of(dataset)["none"]
    epoch = -(-len(dataset.select(0, positive=True)) // 500)
    quickstart.train(dataset, recipe, start, tmp_path / "none", 3 * epoch)
    with Checkpoints(tmp_path / "none" / "checkpoints", read_only=True) as checkpoints:
        assert int(checkpoints.restore("best", start)[0].step) == 2 * epoch
        assert int(checkpoints.restore("latest", start)[0].step) == 3 * epoch


# ---- the table and the page


def explained(label: str, peaks: int = 3, **measures: np.ndarray) -> Explained:
    rng = np.random.default_rng(len(label))
    given = {name: rng.uniform(size=peaks) for name in MEASURES} | measures
    performance = {"auroc": 0.9, "auprc": 0.8, "positives": peaks, "negatives": 5}
    return Explained(label, performance, rng.uniform(size=peaks), rng.normal(size=(peaks, 100)), given, [])


def inputs(peaks: int = 3) -> Inputs:
    tokens = np.random.default_rng(0).integers(0, 5, (peaks, 100)).astype(np.uint8)
    return Inputs(np.full(peaks, "chr1"), np.full(peaks, 50), np.full(peaks, np.nan), tokens)


def test_the_table_shows_means_and_what_has_none():
    nothing = np.full(3, np.nan)
    pair = [explained("a", entropy_bits=np.array([1.0, 2, np.nan])), explained("b", entropy_bits=nothing)]
    (line,) = [line for line in as_text(pair).splitlines() if "entropy" in line]
    assert line.split()[-2:] == ["1.500", "–"]
    spread = as_json(pair)["interpretability"]["b"]["entropy_bits"]
    assert spread == {"mean": None, "standard_error": None, "peaks": 0, "undefined": 3}
    page = measures_section(pair)
    assert "nan" not in page and "– ± –" in page and "– [–, –]" in page


def test_the_difference_is_that_of_the_same_peaks():
    a = explained("a", share_in_peaks=np.array([0.5, 0.6, 0.7]))
    b = dataclasses.replace(a, label="b", measures={**a.measures, "share_in_peaks": np.array([0.4, 0.5, 0.6])})
    assert "+0.100 [+0.100, +0.100]" in measures_section([a, b])
    assert "−0.100 [−0.100, −0.100]" in measures_section([b, a])


def test_a_single_peak_is_drawn_once():
    page = peaks_section([explained("a", 1), explained("b", 1)], inputs(1))
    assert page.count("of the signal. Predicted") == 1
    middle = slice(50 - LOGO_WIDTH // 2, 50 + LOGO_WIDTH // 2)
    letters = "".join("ACGTN"[token] for token in inputs(1).tokens[0, middle])
    assert f"sequence {letters}" in page


# ---- wrong input


@pytest.mark.parametrize(
    "flag, named",
    [
        ("--seed=-1", "--seed (='-1')"),
        ("--seed=4294967296", "--seed (='4294967296')"),
        ("--seed=two", "--seed (='two')"),
        ("--steps=0", "--steps (='0')"),
        ("--steps=1e3", "--steps (='1e3')"),
        ("--steps=", "--steps (='')"),
        ("--step=3", "--step=3"),
        ("runs", "runs"),
        ("--seed", "--seed"),
    ],
)
def test_wrong_flags_end_in_one_line(flag, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status_of(flag) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and err.count("\n") == 1 and named in err
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quickstart, "run", lambda *_: pytest.fail("trained"))
    (tmp_path / "file").write_text("mine")
    file = tmp_path / "file"
    for output, reason in (("file", ": exists"), ("file/below", f": {file} exists"), ("x" * 300, "cannot be written")):
        assert status_of(f"--output={tmp_path / output}") == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: --output={tmp_path / output}: ") and reason in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing(number, tmp_path, monkeypatch, capsys):
    def stopped_half_way(folder, seed, steps):
        (folder / "measures.json").write_text("{")
        signal.raise_signal(number)

    monkeypatch.setattr(quickstart, "run", stopped_half_way)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored in the background of a shell
    try:
        assert status_of(f"--output={tmp_path / 'run'}") == 130
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert "nothing was written" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_is_asked_for_arrives(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(quickstart, "main", lambda *values: seen.append(values))
    assert status_of() == status_of("--output=there", "--seed=3", "--steps=10") == 0
    assert seen == [("fprior_quickstart", 0, quickstart.STEPS), ("there", 3, 10)]


def status_of(*arguments: str) -> int:
    before = signal.getsignal(signal.SIGTERM)
    try:
        return quickstart.command(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
