"""Simulated data sets: the files agree, other commands work on them, and importance is held against the truth."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from refusals import refusal

from experiments import simulate
from experiments.config import check_config
from fprior.data.dataset import open_dataset
from fprior.data.loci import read_loci
from fprior.data.motif_simulation import motif_of, simulate_motif
from fprior.data.splits import SPLITS
from fprior.files import sha256
from fprior.metrics.interpretability import overlap_auprc, overlap_auprc_each, share_inside

MOTIF, WIDTH = "MA0080.7", 13
INPUT, JITTER, REACH = 80, 6, 20
SEQUENCES = 840

CONFIG = """\
from experiments.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = config.simulate.output = {output!r}
    config.data.input_length = 80
    config.data.jitter = 6
    config.data.batch_size = 16
    config.model.filters = (8,)
    config.model.widths = (13,)
    config.model.pool_size = 17
    config.model.dense_sizes = ()
    config.prior.weight = 0.0
    config.train.epochs = 3
    config.train.learning_rate = 1e-2
    config.evaluate.motifs = ("MA0080.7",)
    config.evaluate.regions = ("instances",)
    config.evaluate.region_names = ("true",)
    config.simulate.name = "toy"
    config.simulate.task = "SPI1"
    config.simulate.motif = "MA0080.7"
    config.simulate.sequences = 840
    config.simulate.instances = 2
    config.simulate.reach = 20
    config.simulate.gc_bias = 0.1
    config.simulate.seed = 3
    return config
"""


def config_for(path: Path, **changes):
    scope: dict = {}
    exec(CONFIG.format(output=str(path)), scope)
    config = scope["get_config"]()
    config.update_from_flattened_dict({f"simulate.{name}": value for name, value in changes.items()})
    check_config(config)
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`dataset` and `config.py`."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate.main(config_for(folder / "dataset"))
    (folder / "config.py").write_text(CONFIG.format(output=str(folder / "dataset")))
    return folder


@pytest.fixture(scope="module")
def dataset(folder):
    return open_dataset(folder / "dataset")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """Trained and evaluated."""
    for command in ("train", "evaluate"):
        outcome = tiny.command(command, f"--config={folder / 'config.py'}", f"--workdir={folder / 'run'}")
        assert outcome.status == 0, outcome.err
    return folder / "run"


# ---- the data set


def test_loci_lie_side_by_side_with_half_positives_in_each_split(dataset):
    loci, window = dataset.loci, INPUT + 2 * JITTER
    assert dataset.window == window and set(loci["chromosome"]) == {"simulated"}
    np.testing.assert_array_equal(loci["start"], window * np.arange(SEQUENCES))
    np.testing.assert_array_equal(loci["offset"], loci["start"])
    np.testing.assert_array_equal(loci["end"], loci["start"] + window)
    for split, pairs in enumerate((336, 42, 42)):
        for positive in (True, False):
            assert len(dataset.select(split, positive=positive)) == pairs
    assert dataset.manifest["loci"]["train"] == {"positives": 336, "negatives": 336}
    assert dataset.manifest["chromosome_sizes"] == {"simulated": window * SEQUENCES}


def test_tokens_are_those_of_the_simulation(dataset):
    motif = motif_of("jaspar2024_selected", MOTIF)
    for split, bias in enumerate((0.1, 0.0, 0.0)):  # the training positives alone are biased
        index = dataset.select(split, positive=True)[5]
        expected = simulate_motif(
            motif, 1, dataset.window, seed=3, first=int(index), instances=2, reach=REACH, gc_bias=bias
        )
        np.testing.assert_array_equal(dataset.centred(np.array([index]), dataset.window), expected.tokens)
        strength = expected.instances["strength"].sum()
        assert dataset.loci["signal"][index] == pytest.approx(strength, rel=1e-5)
    assert np.isnan(dataset.loci["signal"][dataset.loci["labels"][:, 0] == 0]).all()


def test_instances_lie_in_the_inputs_and_match_the_motif(dataset):
    instances = read_loci(dataset.path / "instances.bed")
    columns = [line.split("\t") for line in (dataset.path / "instances.bed").read_text().splitlines()]
    assert len(columns) == SEQUENCES == dataset.manifest["instances"]
    assert {row[3] for row in columns} == {MOTIF} and {row[5] for row in columns} == {"+", "-"}
    row, within = np.divmod(instances.start, dataset.window)
    assert set(dataset.loci["labels"][row, 0]) == {1} and set(instances.end - instances.start) == {WIDTH}
    assert within.min() >= JITTER and within.max() + WIDTH <= dataset.window - JITTER
    letters = dataset.tokens[instances.start[:, None] + np.arange(WIDTH)]
    letters = np.where(np.array([r[5] == "-" for r in columns])[:, None], 3 - letters[:, ::-1], letters)
    frequencies = motif_of("jaspar2024_selected", MOTIF).smoothed(1e-5)
    strength = np.log(frequencies[np.arange(WIDTH), letters] / 0.25).sum(axis=1)
    np.testing.assert_allclose(instances.signal, strength, atol=1e-3)


def test_gc_bias_is_in_the_training_positives_alone(dataset):
    instances = read_loci(dataset.path / "instances.bed")
    mask = np.zeros(len(dataset.tokens), bool)
    mask[(instances.start[:, None] + np.arange(WIDTH)).ravel()] = True
    for split, expected in enumerate((0.6, 0.5, 0.5)):
        for positive in (True, False):
            rows = dataset.select(split, positive=positive)[:, None] * dataset.window + np.arange(dataset.window)
            background = dataset.tokens[rows][~mask[rows]]
            gc = np.isin(background, (1, 2)).mean()
            assert abs(gc - (expected if positive else 0.5)) < 4 * np.sqrt(0.25 / background.size)


def test_manifest_says_where_everything_is_from(dataset):
    manifest = dataset.manifest
    assert manifest["simulation"]["seed"] == 3 and manifest["simulation"]["gc_bias"] == 0.1
    assert manifest["inputs"]["motifs"]["file"] == "jaspar2024_selected.meme"
    assert manifest["motif"]["name"] == MOTIF and len(manifest["motif"]["frequencies"]) == WIDTH
    assert manifest["files"]["instances.bed"] == sha256(dataset.path / "instances.bed")
    assert "data.svg" in manifest["files"] and len(manifest["inputs"]["motifs"]["sha256"]) == 64


def test_the_same_settings_give_the_same_bytes(dataset, tmp_path):
    simulate.main(config_for(tmp_path / "again"))
    assert json.loads((tmp_path / "again" / "manifest.json").read_text()) == json.loads(
        (dataset.path / "manifest.json").read_text()
    )
    simulate.main(config_for(tmp_path / "other", seed=4))
    other = open_dataset(tmp_path / "other")
    assert np.mean(other.tokens[:1000] == dataset.tokens[:1000]) < 0.5


def test_bias_where_the_config_wants_it(tmp_path):
    simulate.main(config_for(tmp_path / "all", gc_bias_in=SPLITS, gc_bias=0.3))
    manifest = open_dataset(tmp_path / "all").manifest
    assert manifest["gc"]["positives"]["mean"] > manifest["gc"]["negatives"]["mean"] + 0.15
    simulate.main(config_for(tmp_path / "none", gc_bias_in=(), gc_bias=0.3))
    manifest = open_dataset(tmp_path / "none").manifest
    assert abs(manifest["gc"]["positives"]["mean"] - manifest["gc"]["negatives"]["mean"]) < 0.03


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"output": ""}, "config.simulate.output is empty"),
        ({"name": ""}, "config.simulate.name is empty"),
        ({"task": ""}, "config.simulate.task is empty"),
        ({"motif": ""}, "config.simulate.motif is empty"),
        ({"motif": "MA9999.9"}, "has no motif 'MA9999.9'"),
        ({"motif_file": "nowhere.meme"}, "nowhere.meme: there is no such file"),
        ({"reach": 34}, "config.simulate.reach (=34) must be at most 33"),
        ({"reach": 6}, "config.simulate.instances (=2) of MA0080.7 (13 bases) must fit into 25 bases"),
        ({"sequences": 8}, "config.simulate.fractions (=(0.8, 0.1, 0.1)) of config.simulate.sequences (=8)"),
        ({"gc_bias": 0.6}, "gc_bias (=0.6)"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path, changes, part):
    config = config_for(tmp_path / "dataset", **changes)
    assert part in refusal(simulate.main, config)
    assert not list(tmp_path.iterdir())


def test_an_existing_directory_is_left_alone(tmp_path):
    (tmp_path / "dataset").mkdir()
    assert "exists already" in refusal(simulate.main, config_for(tmp_path / "dataset"))
    assert not list((tmp_path / "dataset").iterdir())


def test_the_command_line(folder, tmp_path):
    arguments = [f"--config={folder / 'config.py'}", f"--config.simulate.output={tmp_path / 'new'}"]
    outcome = tiny.finish(tiny.start("simulate", *arguments))
    assert outcome.status == 0, outcome.err
    assert "336  positives to train" in outcome.out and "840  instances of MA0080.7" in outcome.out
    assert open_dataset(tmp_path / "new").manifest["files"] == open_dataset(folder / "dataset").manifest["files"]


# ---- its evaluation


def evaluation(run: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(run / "evaluation_test.npz", allow_pickle=False) as archive:
        return json.loads((run / "evaluation_test.json").read_text()), dict(archive)


def test_the_model_learns_and_importance_is_measured_in_the_true_instances(run, dataset):
    report, arrays = evaluation(run)
    assert report["performance"]["auroc"][0] > 0.85
    positives = dataset.select(2, positive=True)
    instances = read_loci(dataset.path / "instances.bed")
    bases = (instances.start[:, None] + np.arange(WIDTH)).ravel()
    mask = np.isin(dataset.loci["start"][positives, None] + JITTER + np.arange(INPUT), bases)
    assert set(mask.sum(axis=1)) == {2 * WIDTH}
    track = np.abs(arrays["contributions"])
    np.testing.assert_allclose(arrays["share_in_true"], share_inside(track, mask))
    np.testing.assert_allclose(arrays["overlap_auprc_true"], overlap_auprc_each(track, mask))
    assert report["pooled"]["overlap_auprc_true"] == pytest.approx(overlap_auprc(track, mask))
    inside = np.where(mask, arrays["contributions"], 0).astype(np.float64)
    negative = -np.minimum(inside, 0).sum(axis=1) / np.abs(inside).sum(axis=1)
    np.testing.assert_allclose(arrays["negative_share_in_true"], negative, rtol=1e-6)
    means = report["interpretability"]
    assert means["share_in_true"]["mean"] > 1.5 * mask.mean()  # what a flat track has
    assert means["share_in_true"]["mean"] == pytest.approx(arrays["share_in_true"].mean())


def test_motif_matches_get_the_same_measures(run):
    report, arrays = evaluation(run)
    for name in (f"share_in_{MOTIF}", f"overlap_auprc_{MOTIF}", f"negative_share_in_{MOTIF}"):
        assert arrays[name].shape == (42,) and 0 < report["interpretability"][name]["mean"] < 1
    assert 0 < report["pooled"][f"overlap_auprc_{MOTIF}"] < 1


def test_regions_in_use_are_counted(run, folder):
    (counts,) = evaluation(run)[0]["regions"].values()
    assert counts == {
        "file": str(folder / "dataset" / "instances.bed"),
        "regions": 840,
        "used": 84,
        "positives_with_some": 42,
    }


def test_simulated_sequences_have_no_summits(run):
    report, arrays = evaluation(run)
    assert "summit_distance_spearman" not in arrays and "summit_distance_spearman" not in report["interpretability"]


def test_report_of_a_simulated_data_set(run, tmp_path):
    outcome = tiny.command("report", f"--runs=simulated={run}", f"--output={tmp_path / 'page.html'}")
    assert outcome.status == 0, outcome.err
    assert "random negatives" in (tmp_path / "page.html").read_text()


# ---- the shipped configs


def shipped(name: str):
    scope: dict = {}
    exec((tiny.ROOT / "configs" / f"{name}.py").read_text(), scope)
    config = scope["get_config"]()
    check_config(config)
    for command in ("simulate", "train", "evaluate"):
        assert f"python -m experiments.{command} --config=configs/{name}.py" in " ".join(scope["__doc__"].split())
    assert "Time: " in scope["__doc__"] and "Expected" in scope["__doc__"]
    assert config.data.dataset == config.simulate.output
    return config


def test_the_series_of_gc_bias_differs_in_the_bias_alone():
    plain, biased = shipped("simulated_spi1"), shipped("gc_bias")
    assert (plain.simulate.gc_bias, biased.simulate.gc_bias) == (0.0, 0.04)
    biased.simulate.gc_bias = 0.0
    for name in ("output", "name"):
        biased.simulate[name] = plain.simulate[name]
    biased.data.dataset = plain.data.dataset
    assert biased.to_json() == plain.to_json()


def test_true_instances_lie_inside_the_inputs_of_the_shipped_config():
    config = shipped("simulated_spi1")
    motif = motif_of("jaspar2024_selected", MOTIF)
    simulate.check_inside(config, motif)
    assert config.evaluate.regions == ("instances",)
