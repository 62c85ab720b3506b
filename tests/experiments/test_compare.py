"""A comparison from its command line: models like any other, measured once, and numbers that can be checked."""

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import tiny

from fprior.data.scores import read_scores
from fprior.metrics.interpretability import continuous_jaccard, high_frequency_share
from fprior.metrics.statistics import paired_test, unpaired_test

CONDITIONS = "--conditions=none,fourier+l2"
ASKED = ("--seeds=2", CONDITIONS, "--require=auroc>=0.1, none:deepshap.entropy_bits<0")
FIELDS = (
    "--config.compare.l2=(1e-4,1e-2)",
    "--config.compare.subset_fraction=0.5",
    "--config.attribute.num_references=2",
    "--config.evaluate.regions=('peaks','sites.bed')",
    "--config.evaluate.region_names=('peaks','sites')",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    world = tiny.make_world(tmp_path_factory.mktemp("world"))
    assert world.command("prepare").status == 0
    lines = [line.split("\t") for line in world.peaks.read_text().splitlines()]
    middles = [(chromosome, (int(start) + int(end)) // 2) for chromosome, start, end, *_ in lines]
    (world.folder / "sites.bed").write_text("".join(f"{name}\t{at - 7}\t{at + 7}\n" for name, at in middles))
    return world


def compare(world, *arguments: str, **options) -> tiny.Outcome:
    fields = [field.replace("sites.bed", str(world.folder / "sites.bed")) for field in FIELDS]
    return world.command("compare", f"--workdir={world.folder / 'out'}", *fields, *arguments, **options)


@pytest.fixture(scope="module")
def interrupted(world) -> tiny.Outcome:
    """Stopped while it measured its first model."""
    place = world.folder / "out" / "models" / "none" / "seed_0" / ".evaluation_test"
    return compare(world, *ASKED, interrupt=tiny.Interrupt(signal.SIGTERM, 2, str(place)))


@pytest.fixture(scope="module")
def finished(world, interrupted) -> tiny.Outcome:
    return compare(world, *ASKED)


@pytest.fixture(scope="module")
def chosen(world, finished) -> str:
    """The weight that the sweep chose, as it stands in the names of directories."""
    losses = {
        weight: result_of(world, f"l2={weight}/seed_0")["best"]["loss/correctness"] for weight in ("0.0001", "0.01")
    }
    return min(losses, key=losses.get)


def result_of(world, run: str) -> dict:
    return json.loads((world.folder / "out" / "models" / run / "result.json").read_text())


def rows_of(world) -> dict[tuple[str, str], dict[str, str]]:
    with open(world.folder / "out" / "prior.csv", newline="") as file:
        return {(row["measure"], row["condition"]): row for row in csv.DictReader(file)}


def evaluation(world, run: str) -> dict[str, np.ndarray]:
    with np.load(world.folder / "out" / "models" / run / "evaluation_test.npz") as archive:
        return dict(archive)


def test_stopped_in_the_middle(world, interrupted, finished):
    assert interrupted.status == 0 and "saved; the same command goes on" in interrupted.out
    assert "training" in interrupted.err and "training" not in finished.err
    assert not list((world.folder / "out").rglob(".evaluation*"))


def test_what_is_written(world, finished, chosen):
    assert finished.status == 1, finished.err  # of the two thresholds one is not met
    assert "met: auroc>=0.1" in finished.out and "NOT MET: none:deepshap.entropy_bits<0" in finished.out
    models = {path.name for path in (world.folder / "out" / "models").iterdir()}
    both = f"fourier+l2={chosen}"
    assert models == {"l2=0.0001", "l2=0.01", "none", "none.subset", both, f"{both}.subset"}
    page = (world.folder / "out" / "prior.html").read_text()
    assert page.endswith("</html>\n") and "L2" in page and "Choice of weights" in page
    record = json.loads((world.folder / "out" / "prior.json").read_text())
    assert record["seeds"] == [0, 1]
    assert record["conditions"]["fourier+l2"] == {"train.l2": float(chosen)}


def test_a_model_is_the_one_that_train_makes(world, finished, chosen):
    workdir = world.folder / "alone"
    own = world.command("train", f"--workdir={workdir}", "--config.seed=1", f"--config.train.l2={chosen}")
    assert own.status == 0
    assert json.loads((workdir / "result.json").read_text()) == result_of(world, f"fourier+l2={chosen}/seed_1")


def test_part_of_the_data(world, finished):
    """Half of the positives make half of the steps."""
    assert 2 * result_of(world, "none.subset/seed_0")["steps"] == result_of(world, "none/seed_0")["steps"]


def test_numbers_are_those_of_the_models(world, finished, chosen):
    rows, both = rows_of(world), f"fourier+l2={chosen}"
    entropy = {
        name: [evaluation(world, f"{name}/seed_{seed}")["entropy_bits"] for seed in (0, 1)] for name in ("none", both)
    }
    row = rows["gradient.entropy_bits", "fourier+l2"]
    means = [float(values.mean()) for values in entropy[both]]
    np.testing.assert_allclose(np.array(row["values"].split(), float), means)
    np.testing.assert_allclose(float(row["deviation"]), np.std(means, ddof=1))
    test = paired_test(np.mean(entropy[both], axis=0), np.mean(entropy["none"], axis=0), seed=0)
    assert float(row["p_sequences"]) == test.p_value and float(row["difference"]) == test.mean_difference
    assert float(row["p_seeds"]) == unpaired_test(means, [v.mean() for v in entropy["none"]]).p_value
    assert rows["gradient.entropy_bits", "none"]["p_sequences"] == ""
    pooled = json.loads((world.folder / "out" / "models" / "none" / "seed_1" / "evaluation_test.json").read_text())
    value = float(rows["gradient.overlap_auprc_sites", "none"]["values"].split()[1])
    assert value == pooled["pooled"]["overlap_auprc_sites"]
    assert rows["gradient.overlap_auprc_peaks", "none"]["mean"] == ""  # inputs lie inside: nothing to tell apart


def test_stability_is_that_of_hypothetical_scores(world, finished):
    folder = world.folder / "out" / "models"

    def similar(one: str, other: str) -> np.ndarray:
        a, b = (read_scores(folder / run / "attributions_test.h5")["hypothetical"] for run in (one, other))
        return continuous_jaccard(a, b) / a.shape[1]

    rows = rows_of(world)
    between = similar("none/seed_0", "none/seed_1").mean()
    np.testing.assert_allclose(float(rows["jaccard", "none"]["mean"]), between)
    parts = [similar(f"none/seed_{seed}", f"none.subset/seed_{seed}").mean() for seed in (0, 1)]
    np.testing.assert_allclose(float(rows["jaccard_subset", "none"]["mean"]), np.mean(parts))


def test_nothing_is_done_twice(world, finished):
    """Another question of the same models trains nothing, and measures only what is new."""
    files = [*(world.folder / "out" / "models").rglob("result.json"), *(world.folder / "out").rglob("*.npz")]
    before = {path: path.stat().st_mtime_ns for path in files}
    again = compare(world, "--seeds=1", "--conditions=none", "--question=negative_scores")
    assert again.status == 0, again.err
    assert "training" not in again.err
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert (world.folder / "out" / "negative_scores.html").is_file()
    once_more = compare(world, "--seeds=1", "--conditions=none", "--config.evaluate.motifs=('MA0139.1',)")
    assert once_more.status == 0, once_more.err
    changed = {path for path in files if path.stat().st_mtime_ns != before[path]}
    assert changed and not any("l2" in str(path) or "seed_1" in str(path) for path in changed)


def test_high_frequencies_are_the_same_for_all_conditions(world, finished):
    """A prior with another limit is held against that of the experiment."""
    conditions = ("--seeds=1", "--conditions=none,fourier_10bp", "--config.compare.subset_fraction=1.0")
    assert compare(world, *conditions, "--question=short_motifs").status == 0
    contributions = evaluation(world, "fourier_10bp/seed_0")["contributions"]
    with open(world.folder / "out" / "short_motifs.csv", newline="") as file:
        rows = {(row["measure"], row["condition"]): row for row in csv.DictReader(file)}
    value = float(rows["gradient.high_frequency_share", "fourier_10bp"]["mean"])
    np.testing.assert_allclose(value, high_frequency_share(np.abs(contributions), 9.0).mean())  # 60 bases / 9: 6.7
    assert abs(value - high_frequency_share(np.abs(contributions), 6.0).mean()) > 0.01


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((CONDITIONS,), ("--seeds",)),
        (("--seeds=0",), ("--seeds",)),
        (("--seeds=two",), ("--seeds", "two")),
        (("--seeds=1", "--conditions=none,l3"), ("--conditions", "l3")),
        (("--seeds=1", "--question=why"), ("--question", "why", "boundary")),
        (("--seeds=1", "--require=auroc>>1"), ("--require",)),
        (("--seeds=1", "--config.num_models=2"), ("config.num_models", "--seeds")),
        (("--seeds=1", "--config.prior.weight=0", "--conditions=fourier"), ("config.prior.weight", "fourier")),
        (("--seeds=1", "--config.attribute.loci=a.bed"), ("config.attribute.loci",)),
        (("--seeds=1", "--config.evaluate.motifs=('MA9999.9',)"), ("MA9999.9",)),
        (("--seeds=1", "--config.compare.dropout=(0.5,2.0)"), ("config.compare.dropout",)),
    ],
)
def test_wrong_input_is_refused_before_anything_is_trained(world, tmp_path, arguments, parts):
    outcome = world.command("compare", f"--workdir={tmp_path / 'out'}", *arguments)
    for part in parts:
        assert part in outcome.error
    assert not Path(tmp_path / "out").exists()


def test_a_run_is_no_place_for_a_comparison(world, finished):
    workdir = world.folder / "out" / "models" / "none" / "seed_0"
    assert "single run" in world.command("compare", f"--workdir={workdir}", "--seeds=1", "--conditions=none").error
