"""A GC-bias series: its numbers, its page, and its command line from nothing to the page and back."""

import csv
import dataclasses
import io
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import tiny

from experiments.conditions import parse_conditions
from experiments.config import default_config
from experiments.gc_series_page import series_page
from experiments.gc_series_results import MEASURES, PRODUCT, Series, SeriesModel, sequence_measures
from experiments.gc_series_rows import as_csv, rows_of, slope_of
from fprior.data.dataset import open_dataset
from fprior.data.scores import read_scores
from fprior.metrics.statistics import paired_test, unpaired_test

# ---- numbers


def test_a_slope_is_that_of_the_line_per_per_cent():
    biases = np.array([0.0, 0.01, 0.02, 0.04])
    assert slope_of(biases, 5 - 300 * biases) == pytest.approx(-3)
    assert slope_of(biases, np.full(4, 1e6)) == 0
    noise = np.array([1.0, -2.0, 0.5, 3.0])
    assert slope_of(biases, noise) == pytest.approx(np.polyfit(100 * biases, noise, 1)[0])
    assert slope_of(biases, noise + 300 * biases) == pytest.approx(slope_of(biases, noise) + 3)


def test_a_slope_leaves_out_what_is_undefined():
    assert slope_of([0, 0.01, 0.02], [1.0, math.nan, 5.0]) == pytest.approx(2)
    assert math.isnan(slope_of([0, 0.01], [math.nan, 1.0]))
    assert math.isnan(slope_of([0, 0.01], [math.nan, math.inf]))


def test_measures_of_sequences():
    """One sequence of four bases, TGCA; its instance is GC. Another one without any contribution."""
    hypothetical = np.zeros((2, 4, 4), np.float32)
    hypothetical[0, 0] = [-1, 1, 1, -1]  # A, C, G, T
    hypothetical[0, 3] = [0, 2, 0, -2]
    hypothetical[0, 1:3] = [[0, 0, 8, 0], [0, -6, 0, 0]]
    tokens = np.array([[3, 2, 1, 0]] * 2)
    contributions = np.take_along_axis(hypothetical, tokens[..., None], axis=2)[..., 0]
    instances = np.array([[False, True, True, False]] * 2)
    scores = {"hypothetical": hypothetical, "tokens": tokens, "contributions": contributions}
    found = sequence_measures(scores, instances)
    assert set(found) == set(MEASURES) - {"auroc"}
    np.testing.assert_allclose(found["background_gc_importance"], [(2 / 8 + 2 / 8) / 2, np.nan])
    np.testing.assert_allclose(found["background_at_importance"], [-(2 / 8 + 2 / 8) / 2, np.nan])
    np.testing.assert_allclose(found[PRODUCT], [-(2 * 2 + 2 * 2) / 64 / 2, np.nan])
    np.testing.assert_allclose(found["importance_in_instances"], [14, 0])
    np.testing.assert_allclose(found["share_in_instances"], [14 / 15, np.nan])
    only_c = dict(scores, tokens=np.array([[3, 0, 1, 0]] * 2))
    np.testing.assert_allclose(sequence_measures(only_c, instances)["gc_importance_in_instances"], [6, 0])


SLOPES = {"none": -0.1, "fourier": -0.02, "fourier_all": -0.1}  # of all measures, per per cent of bias
BIASES = [0.0, 0.01, 0.03]
RECORD = {
    "command": "python -m experiments.train",
    "versions": {"python": "3.11"},
    "devices": ["cpu: cpu"],
    "dataset": {"loci": {"test": {"positives": 30, "negatives": 30}}},
}


def series_of(names=("none", "fourier"), seeds=3, noise=1e-3):
    rng = np.random.default_rng(0)

    def model(bias, condition, seed):
        level = 1 + 100 * bias * SLOPES[condition.name]
        sequences = {name: level + noise * rng.normal(size=30) for name in MEASURES if name != "auroc"}
        path = Path(f"runs/s/models/gc_{bias}/{condition.name}/seed_{seed}")
        return SeriesModel(bias, condition.name, seed, path, level + noise * rng.normal(), sequences)

    conditions = parse_conditions(names)
    models = [model(bias, one, seed) for bias in BIASES for one in conditions for seed in range(seeds)]
    return Series(default_config(), conditions, {}, list(range(seeds)), BIASES, models, RECORD)


def test_rows_have_every_bias_and_the_slope():
    series = series_of()
    rows = rows_of(series)
    keys = [(row.measure, row.bias, row.condition) for row in rows]
    assert keys == [(m, bias, name) for m in MEASURES for bias in [*BIASES, None] for name in ("none", "fourier")]
    found = dict(zip(keys, rows, strict=True))
    row, first = (found[PRODUCT, 0.03, name] for name in ("fourier", "none"))
    assert first.by_seed is first.by_sequence is None
    own, others = ([m.sequences[PRODUCT] for m in series.of(0.03, name)] for name in ("fourier", "none"))
    np.testing.assert_allclose(row.values, [values.mean() for values in own])
    assert row.deviation == pytest.approx(np.std(row.values, ddof=1))
    assert row.by_sequence == paired_test(np.mean(own, axis=0), np.mean(others, axis=0), seed=0)
    assert row.by_seed == unpaired_test(np.array(row.values), np.array(first.values))
    auroc = found["auroc", 0.01, "fourier"]
    assert auroc.by_sequence is None and auroc.values == tuple(m.auroc for m in series.of(0.01, "fourier"))


def test_slopes_are_those_of_seeds():
    series = series_of()
    slopes = {row.condition: row for row in rows_of(series) if row.measure == "auroc" and row.bias is None}
    for name, row in slopes.items():
        assert row.mean == pytest.approx(SLOPES[name], abs=2e-3) and len(row.values) == 3
        of_seed = [series.of(bias, name)[1].auroc for bias in BIASES]
        assert row.values[1] == pytest.approx(slope_of(BIASES, of_seed))
    test = slopes["fourier"].by_seed
    assert test.mean_difference == pytest.approx(0.08, abs=2e-3)
    assert (test.effect_size, test.p_value) == (1.0, pytest.approx(0.1))


def test_the_file_has_the_numbers_in_full():
    rows = rows_of(series_of())
    lines = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line["bias"] == ("slope" if row.bias is None else str(row.bias))
        assert float(line["mean"]) == row.mean and tuple(map(float, line["values"].split())) == row.values
        assert line["p_seeds"] == (str(row.by_seed.p_value) if row.by_seed else "")


# ---- the page


def page_of(series) -> str:
    return series_page(series, rows_of(series))


def test_the_page_says_what_few_seeds_cannot_show():
    page = page_of(series_of(seeds=3))
    assert "too few seeds for a verdict" in page and "can give is 0.1" in page
    assert "for each per cent of bias" in page and "+3 %" in page and "slope per 1 %" in page
    assert "One seed each" in page_of(series_of(seeds=1))
    assert "15 models of a condition" in page_of(series_of(seeds=5))


def test_the_page_says_which_slopes_differ():
    page = page_of(series_of(("none", "fourier", "fourier_all"), seeds=6))
    assert "it is higher, so that reliance grows less with the bias" in page
    assert page.count("so that reliance") == 1 and "no difference that the spread over seeds allows to state" in page
    assert "Holm" in page and "can give is" not in page
    turned = page_of(series_of(("fourier", "none"), seeds=6))
    assert "it is lower, so that reliance grows more with the bias" in turned


def test_a_page_of_one_condition_or_of_nothing_that_is_defined():
    assert "There is one condition" in page_of(series_of(("none",)))
    series = series_of()
    nothing = {name: np.full(30, np.nan) for name in MEASURES if name != "auroc"}
    models = [dataclasses.replace(model, sequences=nothing, auroc=math.nan) for model in series.models]
    page = page_of(dataclasses.replace(series, models=models))
    assert "a slope is undefined" in page and "no data" in page and ">nan" not in page.lower()


# ---- the command line

CONFIG = """\
from experiments.config import default_config


def get_config():
    config = default_config()
    config.data.input_length = 80
    config.data.jitter = 0
    config.data.batch_size = 16
    config.model.filters = (6,)
    config.model.widths = (13,)
    config.model.pool_size = 17
    config.model.dense_sizes = ()
    config.prior.freq_limit = 9.0
    config.train.epochs = 2
    config.train.learning_rate = 1e-2
    config.attribute.num_references = 2
    config.evaluate.regions = ("instances",)
    config.evaluate.region_names = ("instances",)
    config.simulate.name = "toy"
    config.simulate.task = "SPI1"
    config.simulate.motif = "MA0080.7"
    config.simulate.sequences = 300
    config.simulate.reach = 20
    return config
"""
ASKED = ("--seeds=1", "--biases=0.2,0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    (folder / "config.py").write_text(CONFIG)
    return folder


def gc_series(folder: Path, *arguments: str, workdir: str = "out", **options) -> tiny.Outcome:
    where = f"--config={folder / 'config.py'}", f"--workdir={folder / workdir}"
    return tiny.command("gc_series", *where, *arguments, **options)


@pytest.fixture(scope="module")
def interrupted(folder) -> list[tuple[tiny.Outcome, list[str]]]:
    """Stopped in the middle of the second data set, then of the first measurement; what was there each time."""
    found = []
    for place in ("data/.gc_0.2.", "models/gc_0/none/seed_0/.evaluation_test"):
        interrupt = tiny.Interrupt(signal.SIGTERM, 2, str(folder / "out" / place))
        outcome = gc_series(folder, *ASKED, interrupt=interrupt)
        found.append((outcome, sorted(str(p.relative_to(folder / "out")) for p in (folder / "out").rglob("*"))))
    return found


@pytest.fixture(scope="module")
def finished(folder, interrupted) -> tiny.Outcome:
    return gc_series(folder, *ASKED)


@pytest.fixture(scope="module")
def rows(folder, finished) -> dict[tuple[str, str, str], dict[str, str]]:
    with open(folder / "out" / "gc_series.csv", newline="") as file:
        return {(row["measure"], row["bias"], row["condition"]): row for row in csv.DictReader(file)}


def test_interrupted_it_saves_and_goes_on(folder, interrupted, finished):
    (simulating, first), (measuring, second) = interrupted
    for outcome, names in interrupted:
        assert outcome.status == 0 and "saved; the same command goes on from here" in outcome.out, outcome.err
        assert not any(Path(name).name.startswith(".gc_") for name in names) and "gc_series.html" not in names
    assert "data/gc_0/manifest.json" in first and "data/gc_0.2" not in first and "training" not in simulating.err
    assert measuring.err.count("training ") == 4 and "models/gc_0.2/fourier/seed_0/result.json" in second
    assert not any("evaluation_test" in name for name in second)
    assert finished.status == 0, finished.err
    assert "training" not in finished.err and "simulating" not in finished.err
    assert finished.out.split() == [str(folder / "out" / f"gc_series.{kind}") for kind in ("html", "csv")]


def test_data_sets_and_models_are_those_of_their_bias(folder, finished):
    gc = {}
    for bias in ("0", "0.2"):
        dataset = open_dataset(folder / "out" / "data" / f"gc_{bias}")
        assert dataset.manifest["simulation"]["gc_bias"] == float(bias)
        assert dataset.manifest["name"] == f"toy_{bias}"
        gc[bias] = [np.isin(dataset.centred(dataset.select(s, positive=True), 80), (1, 2)).mean() for s in range(3)]
        for name, weight in (("none", 0.0), ("fourier", 1.0)):
            record = json.loads((folder / f"out/models/gc_{bias}/{name}/seed_0/run.json").read_text())
            assert record["config"]["data"]["dataset"] == str(dataset.path)
            assert record["config"]["simulate"]["gc_bias"] == float(bias)
            assert record["config"]["prior"]["weight"] == weight
    assert gc["0.2"][0] > gc["0"][0] + 0.1 and gc["0.2"][1:] == gc["0"][1:]  # measured without the bias


def test_numbers_are_those_of_the_models(folder, rows):
    for bias in ("0", "0.2"):
        run, dataset = folder / f"out/models/gc_{bias}/fourier/seed_0", folder / f"out/data/gc_{bias}"
        key = lambda measure: (measure, str(float(bias)), "fourier")  # noqa: B023, E731
        auroc = json.loads((run / "evaluation_test.json").read_text())["performance"]["auroc"][0]
        assert float(rows[key("auroc")]["mean"]) == auroc
        scores = read_scores(run / "attributions_test.h5")
        mask = np.zeros(scores["tokens"].shape, bool)
        for line in (dataset / "instances.bed").read_text().splitlines():
            start, end = map(int, line.split("\t")[1:3])
            inside = (scores["start"] <= start) & (end <= scores["end"])
            for row in np.flatnonzero(inside):
                mask[row, start - scores["start"][row] : end - scores["start"][row]] = True
        assert set(mask.sum(axis=1)) == {13}
        products = []
        for hypothetical, motif in zip(scores["hypothetical"].astype(float), mask, strict=True):
            a, c, g, t = hypothetical[~motif].T / hypothetical.max()
            products.append(np.mean((g + c) * (a + t)))
        np.testing.assert_allclose(float(rows[key(PRODUCT)]["mean"]), np.mean(products), rtol=1e-5)
        inside = (np.abs(scores["contributions"].astype(float)) * mask).sum(axis=1)
        np.testing.assert_allclose(float(rows[key("importance_in_instances")]["mean"]), inside.mean())


def test_the_slope_is_that_between_the_two_biases(rows):
    at = [float(rows["auroc", bias, "none"]["mean"]) for bias in ("0.0", "0.2")]
    np.testing.assert_allclose(float(rows["auroc", "slope", "none"]["mean"]), (at[1] - at[0]) / 20)


def test_the_record_says_what_was_done(folder, finished):
    record = json.loads((folder / "out" / "gc_series.json").read_text())
    assert record["biases"] == [0.0, 0.2] and record["seeds"] == [0]
    assert record["conditions"] == {"none": {"prior.weight": 0.0}, "fourier": {}}
    assert (folder / "out" / "gc_series.html").read_text().endswith("</html>\n")


def test_nothing_is_done_twice(folder, finished):
    names = ("result.json", "evaluation_test.npz", "attributions_test.h5", "manifest.json")
    files = [path for path in (folder / "out").rglob("*") if path.name in names]
    assert len(files) == 14
    before = {path: path.stat().st_mtime_ns for path in files}
    again = gc_series(folder, *ASKED, "--conditions=fourier,none")
    assert again.status == 0 and "training" not in again.err, again.err
    assert {path: path.stat().st_mtime_ns for path in files} == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--config.simulate.seed=4",), ("out/data/gc_0:", "config.simulate.seed;")),
        (("--config.simulate.motif=MA0139.1",), ("config.simulate.motif;",)),
        (("--config.data.jitter=3",), ("config.data.input_length or jitter",)),
        (("--config.train.epochs=3",), ("gc_0/none/seed_0", "config.train.epochs was 2, is 3")),
    ],
)
def test_another_series_is_refused_its_directory(folder, finished, arguments, parts):
    error = gc_series(folder, *ASKED, *arguments).error
    assert all(part in error for part in parts), error


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--seeds=none",), ("--seeds",)),
        (("--seeds=1", "--biases=0.02"), ("--biases", "two or more")),
        (("--seeds=1", "--biases=0.02,0.020"), ("--biases", "different")),
        (("--seeds=1", "--biases=0,-0.02"), ("--biases", "from 0 on")),
        (("--seeds=1", "--biases=0,nan"), ("--biases",)),
        (("--seeds=1", "--biases=0;0.1"), ("--biases", "0;0.1")),
        (("--seeds=1", "--biases=0,0.5"), ("--biases", "no share")),
        (("--seeds=1", "--conditions=none,l3"), ("--conditions", "l3")),
        (("--seeds=1", "--conditions=none,l2"), ("config.compare.l2", "single weight")),
        (("--seeds=1", "--config.simulate.gc_bias=0.1"), ("--config.simulate.gc_bias", "--biases")),
        (("--seeds=1", "--config.data.dataset=data/x"), ("--config.data.dataset",)),
        (("--seeds=1", "--config.evaluate.split=train"), ("config.evaluate.split", "config.simulate.gc_bias_in")),
        (("--seeds=1", "--config.simulate.motif="), ("config.simulate.motif is empty",)),
        (("--seeds=1", "--config.simulate.motif=MA9999.9"), ("MA9999.9",)),
        (("--seeds=1", "--config.simulate.reach=40"), ("config.simulate.reach",)),
        (("--seeds=1", "--config.attribute.loci=a.bed"), ("config.attribute.loci",)),
        (("--seeds=1", "--config.prior.weight=0"), ("config.prior.weight", "fourier")),
    ],
)
def test_wrong_input_is_refused_before_anything_is_made(folder, arguments, parts):
    outcome = gc_series(folder, *arguments, workdir="wrong")
    for part in parts:
        assert part in outcome.error
    assert not (folder / "wrong").exists()
