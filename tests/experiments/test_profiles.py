"""Profile models from BigWigs to the page, models of the user's own, and λ by measurement."""

import json
import re
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
import tiny_profile

from experiments import build
from experiments.prior_weight import RECORD, SHARE
from fprior.data.dataset import open_dataset
from fprior.data.scores import read_scores
from fprior.models import ProfileModel
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log

OFF = "--config.prior.weight=0"
FEW = "--config.attribute.num_references=2"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    world = tiny_profile.make_world(tmp_path_factory.mktemp("world"))
    succeed(world, "prepare")
    return world


@pytest.fixture(scope="module")
def runs(world) -> dict[str, Path]:
    """Trained and evaluated, with the prior and without."""
    made = {}
    for name, extra in (("with", []), ("without", [OFF])):
        made[name] = world.folder / "runs" / name
        for command in ("train", "evaluate"):
            succeed(world, command, f"--workdir={made[name]}", *extra)
    return made


def succeed(world: tiny.World, command: str, *arguments: str, **options) -> tiny.Outcome:
    outcome = world.command(command, *arguments, **options)
    assert outcome.status == 0, outcome.err
    return outcome


def config_of(world: tiny.World):
    scope: dict = {}
    exec(world.config.read_text(), scope)
    return scope["get_config"]()


def arrays_of(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "evaluation_test.npz", allow_pickle=False) as archive:
        return dict(archive)


# ---- from BigWigs to a page


def test_the_data_set_has_the_reads_of_the_files(world):
    dataset = open_dataset(world.dataset)
    assert dataset.layout.strands == 2 and dataset.layout.controls == "matched"
    assert dataset.manifest["tracks"]["columns"] == ["MOTIF +", "MOTIF −", "control of MOTIF +", "control of MOTIF −"]
    positives = dataset.select(0, positive=True)
    profiles, controls = dataset.counts(positives, 60)
    plus, minus = profiles[:, 0, :, 0].sum(0), profiles[:, 0, :, 1].sum(0)
    middle = np.arange(60)
    assert (middle @ minus) / minus.sum() - (middle @ plus) / plus.sum() > tiny_profile.SHIFT
    assert profiles.sum() > 20 * controls.sum() > 0


def test_training_lowers_the_loss_and_logs_its_parts(runs):
    log = read_log(runs["with"])
    first, last = (next(e for e in entries if e["kind"] == "validation") for entries in (log, log[::-1]))
    assert last["loss/correctness"] < first["loss/correctness"]
    for entry in (first, last):
        parts = entry["loss/profile"] + 20 * entry["loss/counts"]
        np.testing.assert_allclose(entry["loss/correctness"], parts, rtol=1e-6)
        assert 0 < entry["loss/prior"] < 1 and entry["nats_per_read"] < 1.2 * np.log(60)


def test_evaluation_keeps_every_profile_with_its_locus(world, runs):
    arrays, dataset = arrays_of(runs["with"]), open_dataset(world.dataset)
    positives = dataset.select(2, positive=True)
    profiles, controls = dataset.counts(positives, 60)
    np.testing.assert_array_equal(arrays["profiles"], profiles)
    np.testing.assert_array_equal(arrays["controls"], controls)
    np.testing.assert_allclose(np.exp(arrays["log_probabilities"]).sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_array_equal(arrays["reads"][: len(positives)], profiles.sum(axis=2))
    assert len(arrays["log_counts"]) == len(arrays["labels"]) == 2 * len(positives)


def test_measures_are_those_of_the_arrays(runs):
    arrays = arrays_of(runs["with"])
    measures = json.loads((runs["with"] / "evaluation_test.json").read_text())["performance"]
    cost = -(arrays["profiles"] * arrays["log_probabilities"].astype(np.float64)).sum() / arrays["profiles"].sum()
    np.testing.assert_allclose(measures["nats_per_read"], [cost], rtol=1e-12)
    observed = np.log1p(arrays["reads"][:, 0].ravel())
    np.testing.assert_allclose(
        measures["count_pearson_all_loci"], [np.corrcoef(observed, arrays["log_counts"][:, 0].ravel())[0, 1]], rtol=1e-6
    )


def test_page_shows_profiles_above_logos(world, runs):
    page = world.folder / "page.html"
    pairs = ",".join(f"{name} prior={path}" for name, path in runs.items())
    outcome = tiny.command("report", f"--runs={pairs}", f"--output={page}")
    assert outcome.status == 0, outcome.err
    text = page.read_text()
    assert "nats per read" in text and "auROC" not in text
    assert text.count("reads expected") == 2 * 4 and text.count("control: ") == 4
    peaks = [part for part in text.split('<figure class="figure">') if "MOTIF: reads at" in part]
    assert len(peaks) == 4
    for part in peaks:
        assert part.index("reads expected") < part.index("the part shown in letters")
    weight = json.loads((runs["with"] / RECORD).read_text())["weight"]
    assert f"auto: {weight:.4g}" in text


def test_a_page_compares_one_kind_of_model(world, runs, tmp_path):
    other = tiny.make_world(tmp_path)
    for command in ("prepare", "train", "evaluate"):
        succeed(other, command, *([] if command == "prepare" else [f"--workdir={tmp_path}/run", OFF]))
    error = tiny.command("report", f"--runs=a={runs['with']},b={tmp_path}/run", f"--output={tmp_path}/page.html").error
    assert "profiles" in error and "labels" in error


@pytest.mark.parametrize("head", ["profile", "counts"])
def test_attributions_of_both_heads_are_complete(world, runs, head):
    succeed(world, "attribute", f"--workdir={runs['with']}", FEW, f"--config.attribute.head={head}")
    columns = read_scores(runs["with"] / "attributions_test.h5")
    assert np.max(np.abs(columns["completeness_error"])) < 1e-5 * max(1, np.ptp(columns["output"]))
    if head == "counts":
        arrays = arrays_of(runs["with"])
        expected = arrays["log_counts"][arrays["positive_rows"]].sum(axis=(1, 2))
        np.testing.assert_allclose(columns["output"], expected, rtol=1e-4, atol=1e-5)


def test_loci_of_a_file_have_no_controls_and_this_is_said(world, runs):
    outcome = succeed(
        world,
        "attribute",
        f"--workdir={runs['with']}",
        FEW,
        f"--config.attribute.loci={world.peaks}",
        f"--config.attribute.genome={world.genome}",
    )
    assert "controls" in outcome.err and "0" in outcome.err
    assert len(read_scores(runs["with"] / "attributions_peaks.h5")["start"]) > 100


# ---- λ by measurement


def test_weight_is_half_of_the_loss_without_the_prior(runs):
    record = json.loads((runs["with"] / RECORD).read_text())
    assert record["weight"] == SHARE * min(record["losses"]) == SHARE * record["correctness"]
    steps = [entry for entry in read_log(runs["with"]) if entry["kind"] == "train"]
    assert steps and all(entry["prior_weight"] == pytest.approx(record["weight"], rel=1e-6) for entry in steps)
    assert not (runs["without"] / RECORD).exists()


def test_weight_does_not_depend_on_the_seed_and_is_measured_once(world, runs, tmp_path):
    outcome = succeed(world, "train", f"--workdir={tmp_path}/run", "--config.seed=3", "--config.train.epochs=1")
    assert outcome.err.count("λ = ") == 1
    assert json.loads((tmp_path / "run" / RECORD).read_text()) == json.loads((runs["with"] / RECORD).read_text())


def test_interrupted_while_measuring_and_after_it_ends_in_the_same_bits(world, runs, tmp_path):
    run = tmp_path / "run"
    at_weight = tiny.Interrupt(signal.SIGKILL, 12, str(run))
    assert world.command("train", f"--workdir={run}", interrupt=at_weight).status != 0
    again = succeed(world, "train", f"--workdir={run}")
    assert "finished" in again.out
    assert_same_parameters(world, run, runs["with"])


def state_of(world: tiny.World, run: Path):
    config, dataset = config_of(world), open_dataset(world.dataset)
    like = build.initial_state(config, dataset, build.model_of(config, dataset), 0)
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore("latest", like)[0]


def assert_same_parameters(world: tiny.World, run: Path, other: Path) -> None:

    for a, b in zip(*(jax.tree.leaves(state_of(world, path)) for path in (run, other)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_data_on_the_host_give_the_same_bits(world, runs, tmp_path):
    succeed(world, "train", f"--workdir={tmp_path}/run", "--config.speed.placement=host")
    assert_same_parameters(world, tmp_path / "run", runs["with"])


@pytest.mark.slow
def test_several_models_are_each_as_if_alone(world, tmp_path):
    gently = ("--config.train.epochs=1", "--config.train.learning_rate=1e-4")  # rounding has no time to grow
    succeed(world, "train", f"--workdir={tmp_path}/alone", *gently)
    succeed(world, "train", f"--workdir={tmp_path}/run", "--config.num_models=2", *gently)
    alone, together = (state_of(world, tmp_path / run).params for run in ("alone", "run/seed_0"))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert (tmp_path / "run" / "seed_1" / RECORD).exists()


# ---- models of one's own

OWN = """
import flax.linen as nn
import jax
import jax.numpy as jnp


class Labels(nn.Module):
    num_tasks: int
    filters: int = 3

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.Conv(self.filters, (9,), padding="VALID")(x))
        return nn.Dense(self.num_tasks)(jnp.max(x, axis=1))


class Profiles(nn.Module):
    num_tasks: int
    num_strands: int
    output_length: int

    @nn.compact
    def __call__(self, x, controls, *, train=False):
        x = nn.relu(nn.Conv(4, (23,), padding="VALID")(x))[:, : self.output_length]
        logits = nn.Dense(self.num_tasks * self.num_strands)(x).reshape(*x.shape[:2], self.num_tasks, self.num_strands)
        counts = nn.Dense(self.num_tasks * self.num_strands)(x.mean(1)).reshape(-1, self.num_tasks, self.num_strands)
        return logits.swapaxes(1, 2) + 0.1 * controls, counts


def init(key, x, *, num_tasks, width):
    return {"kernel": jax.random.normal(key, (width, 4, num_tasks)) / 4}


def apply(params, x, *, num_tasks, width):
    how = {"window_strides": (1,), "padding": "VALID", "dimension_numbers": ("NWC", "WIO", "NWC")}
    return jax.nn.softplus(jax.lax.conv_general_dilated(x, params["kernel"], **how)).sum(axis=1)
"""

SECTIONS = {
    "labels": 'model_config("own_models_{n}:Labels", filters=5)',
    "profiles": 'model_config("own_models_{n}:Profiles", outputs="profiles")',
    "pure": 'model_config("own_models_{n}:apply", init="own_models_{n}:init", width=7)',
}


@pytest.fixture
def own(world, tmp_path, monkeypatch):
    """Writes a config of the world with a model of the user's own, and removes its module afterwards."""
    module = tiny.ROOT / f"own_models_{tmp_path.name.replace('-', '_')}.py"
    module.write_text(OWN)

    def write(section: str) -> tiny.World:
        model = section.replace("{n}", module.stem.removeprefix("own_models_"))
        text = world.config.read_text()
        path = tmp_path / "config.py"
        path.write_text(
            text.replace("    return get_profile_config(config)", f"    config = get_profile_config(config)\n"
                         f"    config.model = {model}\n    return config")
        )  # fmt: skip
        return world._replace(config=path)

    yield write
    module.unlink()


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_model_of_ones_own_goes_all_the_way(own, kind, tmp_path):
    world = own(SECTIONS[kind])
    weight = [] if kind == "profiles" else ["--config.prior.weight=1.0"]
    for command in ("train", "evaluate", "attribute"):
        extra = [FEW] if command == "attribute" else []
        succeed(world, command, f"--workdir={tmp_path}/run", *weight, *extra)
    gradients = [entry for entry in read_log(tmp_path / "run") if entry["kind"] == "gradients"]
    assert gradients and all(entry["gradient_norm/prior"] > 0 for entry in gradients)
    columns = read_scores(tmp_path / "run" / "attributions_test.h5")
    assert np.max(np.abs(columns["completeness_error"])) < 1e-5 * max(1, np.ptp(columns["output"]))
    page = tmp_path / "page.html"
    outcome = tiny.command("report", f"--runs=own={tmp_path}/run", f"--output={page}")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("section", "part"),
    [
        ('model_config("own_models_{n}:Nothing")', "config.model.name"),
        ('model_config("own_models_{n}:Labels", widht=3)', "widht"),
        ('model_config("own_models_{n}:apply", width=7)', "config.model.init"),
        ('model_config("own_models_{n}:Labels", outputs="logits")', "config.model.outputs"),
    ],
)
def test_a_wrong_model_of_ones_own_is_named(own, section, part, tmp_path):
    error = own(section).command("train", f"--workdir={tmp_path}/run", "--config.prior.weight=1.0").error
    assert part in error
    assert not (tmp_path / "run").exists()


# ---- what does not fit


def test_profiles_need_tracks(world, tmp_path):
    plain = tiny.make_world(tmp_path)
    assert plain.command("prepare").status == 0
    error = world.command("train", f"--workdir={tmp_path}/run", f"--config.data.dataset={plain.dataset}").error
    assert "has no tracks" in error and "config.prepare.tracks" in error
    assert not (tmp_path / "run").exists()


def test_labels_may_be_learned_from_a_data_set_with_tracks(world, tmp_path):
    labels = tiny.make_world(tmp_path)
    succeed(labels, "train", f"--workdir={tmp_path}/run", f"--config.data.dataset={world.dataset}", OFF)


@pytest.mark.parametrize("length", ["--config.data.output_length=61", "--config.data.input_length=81"])
def test_output_must_fit_the_input(world, tmp_path, length):
    error = world.command("train", f"--workdir={tmp_path}/run", length).error
    assert re.search("config.data.(input|output)_length", error)


def test_shipped_data_set_is_what_the_config_of_its_name_says():
    scope: dict = {}
    exec((tiny.ROOT / "configs" / "ctcf_profile.py").read_text(), scope)
    config = scope["get_config"]()
    dataset = open_dataset(config.data.dataset)
    for name, value in dataset.manifest["settings"].items():
        expected = config.prepare[name]
        assert value == (list(expected) if isinstance(expected, tuple) else expected), name
    model = build.model_of(config, dataset)
    assert isinstance(model, ProfileModel) and (model.controls, model.num_strands) == ("matched", 2)
    build.batch_plan(config, dataset)  # raises where the windows are too narrow
