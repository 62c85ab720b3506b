"""Motifs in a comparison: measures whose values are known, the section of the page, and the search in every model.

TF-MoDISco itself is stood in for: what it finds is tested in tests/motifs.
"""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from test_compare_page import Page
from tiny_comparison import comparison_of
from tiny_motifs import Discovery, simulated, stub_enrichment, stub_match, write_patterns, write_run

from experiments import compare, compare_motifs, motifs, motifs_sources, simulate
from experiments.compare_motif_numbers import (
    extended,
    known_csv,
    known_motifs,
    matrix_similarity,
    motif_counts,
    reads_alike,
    recall_area,
    set_similarity,
    similarity,
)
from experiments.compare_motif_section import MOST_KNOWN, motifs_section
from experiments.compare_page import compare_page
from experiments.compare_results import FoundPattern, ModelMotifs, Reached
from experiments.compare_rows import motif_rows, rows_of
from experiments.compare_summary import verdicts
from experiments.config import with_changes
from experiments.requirements import parse_requirements
from fprior.errors import InputError

RNG = np.random.default_rng(0)
SHAPES = {name: RNG.normal(size=(10, 4)) for name in "abc"}
NONE = Reached(np.empty(0, np.int64), np.empty(0, np.int64), 10)


def pattern(shape="a", matches=None, *, seqlets=100, instances=50, rank=0) -> FoundPattern:
    matches = {"CTCF": 1e-9} if matches is None else matches
    return FoundPattern(f"positive_{rank}", SHAPES[shape], slice(2, 9), seqlets, instances, 12.5, matches)


def model(condition, seed, *patterns, why="", failed=False, calls=8, scan=None) -> ModelMotifs:
    """Its calls reach a region each."""
    reached = Reached(np.arange(1, calls + 1), np.arange(1, calls + 1) // 2, 10)
    recall = {} if failed else {"peaks": reached if patterns else NONE}
    scan = {} if failed else {"CTCF": 1e-5, "SP1": 0.4} if scan is None else scan
    why = why if patterns else why or "few seqlets"
    path = Path(f"{condition}/{seed}")
    return ModelMotifs(condition, seed, path, patterns, why, failed, recall, scan)


# ---- two matrices


def slow_similarity(a, b) -> float:
    """The definition, frame by frame."""
    best = 0.0
    for turned in (b, b[::-1, ::-1]):
        for offset in range(-len(b) + 1, len(a)):
            frame = np.zeros((2, len(a) + 2 * len(b), 4))
            frame[0, len(b) : len(b) + len(a)] = a / np.abs(a).sum()
            frame[1, len(b) + offset : 2 * len(b) + offset] = turned / np.abs(b).sum()
            size = np.abs(frame)
            best = max(best, (np.prod(np.sign(frame), axis=0) * size.min(axis=0)).sum() / size.max(axis=0).sum())
    return best


@pytest.mark.parametrize(("long", "short"), [(10, 10), (12, 5), (3, 9), (1, 1)])
def test_similarity_of_matrices_is_its_definition(long, short):
    a, b = np.abs(RNG.normal(size=(long, 4))), RNG.normal(size=(short, 4))
    assert matrix_similarity(a, b) == pytest.approx(slow_similarity(a, b))
    assert matrix_similarity(a, b) == pytest.approx(matrix_similarity(b, a))
    assert 0 <= matrix_similarity(a, b) <= 1


def test_the_same_matrix_wherever_and_however_it_is_read():
    a = SHAPES["a"]
    for same in (a, 3 * a, a[::-1, ::-1], np.pad(a, ((4, 9), (0, 0)))):
        assert matrix_similarity(a, same) == pytest.approx(1)
    assert matrix_similarity(a, SHAPES["b"]) < 0.6
    assert matrix_similarity(np.abs(a), -np.abs(a)) == 0  # what argues against is not alike
    assert matrix_similarity(a, np.zeros_like(a)) == 0
    assert reads_alike(a, a) and not reads_alike(a, a[::-1, ::-1])


# ---- sets of patterns


def test_patterns_count_as_much_as_they_are_used():
    both = [pattern("a", seqlets=300), pattern("b", seqlets=100, rank=1)]
    between = matrix_similarity(SHAPES["a"], SHAPES["b"])
    assert similarity(both, both[::-1]) == pytest.approx(1)
    assert similarity(both, both[:1]) == pytest.approx(((300 + 100 * between) / 400 + 1) / 2)
    assert similarity(both, both[:1]) == pytest.approx(similarity(both[:1], both))


def test_models_without_patterns():
    some, none = model("x", 0, pattern()), model("x", 1)
    assert similarity(some.patterns, none.patterns) == 0
    assert math.isnan(similarity((), ()))
    assert set_similarity([some, none, some]) == pytest.approx(1 / 3)
    assert math.isnan(set_similarity([none, none])) and math.isnan(set_similarity([some]))
    failed = model("x", 2, why="no", failed=True)
    assert set_similarity([some, some, failed]) == pytest.approx(1)
    assert math.isnan(set_similarity([some, failed]))
    assert motif_counts(none, 0.05)["positive_patterns"] == 0 and math.isnan(motif_counts(none, 0.05)["known_share"])
    assert all(math.isnan(value) for value in motif_counts(failed, 0.05).values())


def test_counts_of_a_model():
    one = model("x", 0, pattern(), pattern("b", {"SP1": 0.2}, instances=7, rank=1), pattern("c", {}, rank=2))
    assert motif_counts(one, 0.05) == {"positive_patterns": 3, "known_share": 1 / 3, "instances": 107}
    assert motif_counts(one, 0.5)["known_share"] == 2 / 3


# ---- regions reached


def test_area_under_the_curve():
    every = np.arange(1, 11)
    assert recall_area(Reached(every, every, 10)) == pytest.approx(0.55)  # ½ (1 + 1/R)
    assert recall_area(NONE) == 0
    assert recall_area(Reached(np.array([10]), np.array([0]), 10)) == 1
    short, more = Reached(every[:4], every[:4], 10), Reached(np.append(every[:4], [4] * 50), np.empty(54), 10)
    assert recall_area(short) == recall_area(more) == pytest.approx((1 + 2 + 3 + 4 * 7) / 100)  # useless calls: nothing
    late = np.concatenate([np.zeros(10, int), every])
    assert recall_area(Reached(late, late, 10)) == 0  # that many calls reach everything in the end, too late
    assert extended(np.array([2, 5]), np.array([0, 1, 2, 9])).tolist() == [0, 2, 5, 5]


# ---- known motifs


def test_a_family_is_one_motif_and_each_pattern_counts_once():
    found = {
        "none": [model("none", 0, pattern(matches={"CTCFL": 1e-7, "CTCF": 1e-5})), model("none", 1)],
        "fourier": [
            model("fourier", 0, pattern(matches={"CTCF": 1e-9}), pattern("b", {"SP1": 1e-3, "CTCF": 0.5}, rank=1)),
            model("fourier", 1, pattern(seqlets=300), pattern("b", {"CTCF": 1e-6}, seqlets=11, rank=1)),
        ],
    }
    known = known_motifs(found, 0.05)
    assert list(known) == ["CTCF", "SP1"]  # CTCFL is the best match of one, CTCF a match of three
    none, fourier = known["CTCF"]
    assert (none.models, none.found, none.best_q, none.scan) == (2, 1, 1e-5, 1e-5)
    assert (fourier.found, fourier.best_q, fourier.seqlets, fourier.instances) == (2, 1e-9, (100 + 311) / 2, 75)
    none, fourier = known["SP1"]
    assert (none.found, fourier.found) == (0, 1) and math.isnan(none.best_q) and math.isnan(none.seqlets)
    rows = list(csv.DictReader(io.StringIO(known_csv(known))))
    assert [(row["motif"], row["condition"], row["found"]) for row in rows] == [
        ("CTCF", "none", "1"),
        ("CTCF", "fourier", "2"),
        ("SP1", "none", "0"),
        ("SP1", "fourier", "1"),
    ]
    assert rows[2]["best_q"] == "" and float(rows[1]["best_q"]) == 1e-9


def test_names_do_not_depend_on_the_order_of_models_and_conditions():
    groups = {
        name: [
            model(name, s, *(pattern("abc"[i], m, rank=i) for i, m in enumerate(of))) for s, of in enumerate(of_seeds)
        ]
        for name, of_seeds in {
            "x": [[{"A": 1e-3, "B": 1e-3}], [{"B": 1e-3, "C": 1e-2}, {"D": 1e-9}]],
            "y": [[{"C": 1e-4}], [{"A": 1e-3}, {"D": 1e-3, "A": 0.9}]],
        }.items()
    }
    turned = {name: of[::-1] for name, of in list(groups.items())[::-1]}
    found, again = known_motifs(groups, 0.05), known_motifs(turned, 0.05)
    assert list(found) == list(again)
    assert {name: sorted(map(str, of)) for name, of in found.items()} == {
        name: sorted(map(str, of)) for name, of in again.items()
    }


# ---- rows and page


def found_in(seeds=5, names=("none", "fourier")):
    """The first condition finds CTCF with one seed of two, the others CTCF and SP1 with each."""
    alone = [model(names[0], s, *[pattern(instances=60 + s)] * (s % 2 == 0), calls=5) for s in range(seeds)]
    other = pattern("b", {"SP1": 1e-4}, rank=1)
    rest = {name: [model(name, s, pattern(), other, calls=10) for s in range(seeds)] for name in names[1:]}
    return {names[0]: alone, **rest}


def test_rows_have_every_seed_and_can_be_required():
    comparison = comparison_of(("none", "fourier"), motifs=found_in())
    rows = rows_of(comparison)
    values = {(row.measure, row.condition): row for row in rows if row.table == "motifs"}
    assert {measure for measure, _ in values} == {
        f"motifs.{name}"
        for name in (
            "positive_patterns",
            "known_share",
            "instances",
            "reached_peaks",
            "recall_area_peaks",
            "similarity",
        )
    }
    assert values["motifs.positive_patterns", "none"].values == (1, 0, 1, 0, 1)
    area = values["motifs.recall_area_peaks", "fourier"]
    assert area.values == (0.55,) * 5 and area.by_seed.p_value < 0.05
    assert verdicts(rows)["motifs.recall_area_peaks", "fourier"] == "better"
    assert values["motifs.similarity", "fourier"].mean == pytest.approx(1)
    assert values["motifs.similarity", "none"].mean == pytest.approx(3 / 9)  # of ten pairs one has no pattern at all
    text = "motifs.recall_area_peaks>=0.5,fourier-none:motifs.similarity>=0.7,none:motifs.known_share<1"
    required = parse_requirements(text, ["none", "fourier"])
    assert [one.met_by(one.value(rows)) for one in required] == [True, False, False]
    assert not [row for row in rows_of(comparison_of()) if row.table == "motifs"]


def section_of(names, motifs) -> str:
    comparison = comparison_of(names, motifs=motifs, seeds=len(motifs[names[0]]), subset=False, sweep=False)
    return motifs_section(comparison, list(motif_rows(comparison)))


def page_of(names, motifs) -> Page:
    return Page(section_of(names, motifs))


def test_the_section_shows_both_conditions_side_by_side():
    html = section_of(("none", "fourier"), found_in())
    page = Page(html)
    found = page.table("Known motifs of jaspar2026")
    assert found[0] == ["known motif", "scan alone, q", "no prior", "Fourier prior"]
    assert [line[0] for line in found[1:]] == ["CTCF", "SP1"]
    assert found[1][2:] == ["3 of 5", "5 of 5"] and found[2][2:] == ["missed", "5 of 5"]
    marked = [part.split("</td>")[0] for part in html.split('<td class="best">')[1:]]
    assert marked == ["5 of 5"]  # SP1's: the other condition missed it, while both found CTCF
    best = [part.split("</td>")[0] for part in html.split('<td class="number best">')[1:]]
    assert best == ["0.55 ± 0.00", "1.000"]  # area and similarity; shares that are equal have no best
    assert "of the 2 here 1, of all 2 known motifs 1 have q ≤ 0.05" in page.text
    details = page.table("The same motifs where they were found.")
    assert [line[:2] for line in details[1:]] == [
        ["CTCF", "no prior"],
        ["CTCF", "Fourier prior"],
        ["SP1", "Fourier prior"],
    ]
    without = page.table("2 of 10 models without a positive pattern")
    assert without[1:] == [["no prior", "1", "few seqlets"], ["no prior", "3", "few seqlets"]]
    measures = page.table("Motifs of a model: mean")
    assert measures[1][:3] == ["positive patterns", "0.60 ± 0.55", "2.00 ± 0.00"]
    assert measures[2][:3] == ["share of them like a known motif (q ≤ 0.05)", "1.000 ± 0.000", "1.000 ± 0.000"]
    assert "model of seed 0" in page.text and "figure 3B" in page.text
    assert "positive_0, like CTCF, q = 1.0e-09; 100 seqlets" in page.text  # over the logo
    assert "nan" not in page.text.lower()


def test_six_conditions_stay_readable():
    names = ("none", "fourier", "smoothness", "sparsity", "l2", "fourier+l2")
    page = page_of(names, found_in(1, names))
    found = page.table("Known motifs of")
    assert len(found[0]) == 8 and found[2][2:] == ["missed", *["1 of 1"] * 5]
    assert max(len(rows[0]) for caption, rows in page.tables if "otif" in caption) <= 12


def test_what_many_patterns_leave_out_is_counted():
    many = [pattern(matches={f"M{i:02}": 1e-3}, rank=i) for i in range(MOST_KNOWN + 3)]
    page = page_of(("none", "fourier"), {"none": [model("none", 0, *many)], "fourier": [model("fourier", 0)]})
    assert len(page.table("Known motifs of")) == 1 + MOST_KNOWN and "Not shown: 3 found in fewer models" in page.text


@pytest.mark.parametrize("names", [("none",), ("none", "fourier")])
def test_no_model_finds_anything(names):
    page = page_of(names, {name: [model(name, seed, why="<noise>") for seed in (0, 1)] for name in names})
    assert page.table(f"{2 * len(names)} of {2 * len(names)} models without")[1] == ["no prior", "0", "<noise>"]
    assert "No positive pattern of any model is like a known motif" in page.text and "no calls" in page.text
    assert "Without a value (–): share of them like a known motif (q ≤ 0.05), similarity" in page.text


def test_patterns_that_are_like_no_known_motif():
    page = page_of(("none",), {"none": [model("none", 0, pattern(matches={}), scan={})]})
    assert "No positive pattern of any model is like a known motif" in page.text
    assert "positive_0, like no known motif (q ≤ 0.05); 100 seqlets" in page.text


def test_a_failed_search_is_said_and_counts_in_no_number():
    failed = model("none", 0, why="modisco-lite ended with status 1", failed=True)
    motifs = {
        "none": [failed, model("none", 1, pattern())],
        "fourier": [model("fourier", s, pattern()) for s in (0, 1)],
    }
    page = page_of(("none", "fourier"), motifs)
    assert "In 1 of them the search failed" in page.text and "ended with status 1" in page.text
    assert page.table("Known motifs of")[1][2:] == ["1 of 1", "2 of 2"]
    assert "Without a positive pattern in this seed: no prior." in page.text
    all_failed = page_of(
        ("none", "fourier"), {**motifs, "none": [failed]} | {"fourier": [model("fourier", 0, pattern())]}
    )
    assert all_failed.table("Known motifs of")[1][2:] == ["–", "1 of 1"]


def test_without_motifs_the_page_says_how_to_have_them():
    assert "--config.compare.motifs=True" in motifs_section(comparison_of(), [])


def test_the_section_is_on_the_page():
    comparison = comparison_of(("none",), seeds=1, motifs={"none": [model("none", 0)]}, subset=False, places=False)
    assert "1 of 1 models without a positive pattern" in compare_page(comparison, rows_of(comparison))


def test_without_regions_there_is_no_curve():
    found = {"none": [ModelMotifs("none", 0, Path("x"), (pattern(),), "", False, {}, {})]}
    page = page_of(("none",), found)
    assert "No independent regions were given" in page.text and "figure 3B" not in page.text


# ---- the search


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    config = simulated(tmp_path_factory.mktemp("simulated"))
    simulate.main(config)
    config.compare.motifs, config.prior.freq_limit = True, 12.0
    return config


@pytest.fixture
def stubbed(world, monkeypatch):
    """The tools stood in for."""
    monkeypatch.setattr(motifs, "provenance", lambda command, config: {"command": f"python -m experiments.{command}"})
    monkeypatch.setattr(motifs, "discover", Discovery(world))
    monkeypatch.setattr(motifs, "match", stub_match)
    monkeypatch.setattr(motifs, "enrichment", stub_enrichment)
    monkeypatch.setattr(motifs, "motifs_page", lambda result, record: "a page takes a second")


@pytest.fixture
def models(world, tmp_path, stubbed):
    """Two finished and measured models."""
    found = []
    for seed, condition in enumerate(("none", "fourier")):
        path = tmp_path / "models" / condition / f"seed_{seed}"
        write_run(world, path)
        found.append((condition, world, path))
    return found


def test_what_is_read_is_what_was_found(world, models, capsys):
    found = compare_motifs.motifs_of_all(world, models)
    assert [(one.condition, one.path) for one in found] == [
        (condition, path / "motifs_test" / "motifs.html") for condition, _, path in models
    ]
    folder = models[0][2] / "motifs_test"
    record = json.loads((folder / "motifs.json").read_text())
    assert record["command"] == "python -m experiments.compare"
    (one,), known = found[0].patterns, record["patterns"][0]  # the negative one is left out
    assert (one.name, one.seqlets, one.instances) == ("positive_0", known["seqlets"], known["instances"])
    assert one.matches == {"MA0080.7": 1e-9} and one.bits == known["information_bits"]
    assert one.trimmed.stop - one.trimmed.start == known["width"] <= len(one.contributions)
    reached, end = found[0].recall["true"], record["recall"]["true"]
    assert (len(reached.reached), reached.reached[-1], reached.regions) == (
        end["calls"],
        end["reached"],
        end["regions_at_loci"],
    )
    assert reached.at_random[-1] == end["reached_at_random"] and found[0].scan["MA0080.7"] == 1e-8
    assert "motifs: 100%" in capsys.readouterr().err or not capsys.readouterr().err
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = compare_motifs.motifs_of_all(world, models)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(motifs.discover.calls) == 2 and motif_counts(again[0], 0.05) == motif_counts(found[0], 0.05)


def test_a_model_without_patterns_or_with_negative_ones_alone(world, models, monkeypatch):
    motifs.discover.finds = False
    monkeypatch.setattr(motifs, "why_none", lambda *_, **__: "only 3 seqlets.")
    (one,) = compare_motifs.motifs_of_all(world, models[:1])
    assert one.patterns == () and one.why_none == "only 3 seqlets." and not one.failed
    assert recall_area(one.recall["true"]) == 0 and one.scan
    motifs.discover.finds = True
    found = Discovery(world)

    def negative(tokens, hypothetical, output, **settings):
        patterns = [one for one in found(tokens, hypothetical, output, **settings) if one.sign < 0]
        write_patterns(output, patterns)
        return patterns

    monkeypatch.setattr(motifs, "discover", negative)
    (one,) = compare_motifs.motifs_of_all(world, models[1:])
    assert one.patterns == () and one.why_none == compare_motifs.ONLY_NEGATIVE


def test_one_model_fails_and_the_others_go_on(world, models, capsys):
    def fails():
        motifs.discover.then = None
        raise InputError("modisco-lite ended with status 1")

    motifs.discover.then = fails
    failed, found = compare_motifs.motifs_of_all(world, models)
    assert failed.failed and "status 1" in failed.why_none and not found.failed and len(found.patterns) == 1
    assert "could not be looked for: modisco-lite ended" in capsys.readouterr().err
    assert not (models[0][2] / "motifs_test").exists()
    again, _ = compare_motifs.motifs_of_all(world, models)  # it is tried again, the other is not
    assert not again.failed and len(motifs.discover.calls) == 3


def test_a_search_that_fails_everywhere_is_an_error(world, models):
    def fails():
        raise InputError("modisco-lite ended with status 1")

    motifs.discover.then = fails
    with pytest.raises(InputError, match=r"none of the models.*seed_0.*status 1"):
        compare_motifs.motifs_of_all(world, models)


# ---- the command


@pytest.fixture
def command(world, tmp_path, models, monkeypatch):
    """`compare` of measured models; `command.trained` tells how often it came to the training."""
    comparison = comparison_of(("none", "fourier"), seeds=1)
    trained = []

    def measured(config, asked):
        return [comparison.results[condition][0] for condition, *_ in asked]

    loci = {"chromosome": np.array(["chr1"]), "start": np.array([0]), "end": np.array([80]), "signal": np.zeros(1)}
    monkeypatch.setattr(compare, "train_all", trained.append)
    monkeypatch.setattr(compare, "measure_all", measured)
    monkeypatch.setattr(compare, "compare_page", lambda comparison, rows: f"<html>{len(comparison.motifs)}</html>\n")
    monkeypatch.setattr(compare, "loci_of", lambda path, split: loci)
    monkeypatch.setattr(compare, "read_record", lambda path: {})
    monkeypatch.setattr(compare, "provenance", lambda command, config: {})
    monkeypatch.setattr(compare.Plan, "_flat", lambda self, make, weights: models)
    monkeypatch.setattr(compare, "stability", lambda models, split: np.empty(0))
    monkeypatch.setattr(compare, "similarity", lambda models, split: np.empty(0))

    def call(**changes):
        out = tmp_path / "out"
        compare.main(with_changes(world, changes), str(out), "1", "none,fourier", None, "motifs.positive_patterns>=1")
        return out

    call.trained = trained
    return call


def test_motifs_are_switched_on_in_a_finished_comparison(command, capsys):
    with pytest.raises(InputError, match=r"motifs\.positive_patterns.*none of the measures"):
        command(**{"compare.motifs": False})
    assert not motifs.discover.calls
    out = command()
    assert "met: motifs.positive_patterns>=1" in capsys.readouterr().out
    rows = list(csv.DictReader((out / "prior_motifs.csv").read_text().splitlines()))
    assert [(row["motif"], row["condition"], row["found"]) for row in rows] == [
        ("MA0080.7", "none", "1"),
        ("MA0080.7", "fourier", "1"),
    ]
    assert "motifs.recall_area_true" in (out / "prior.csv").read_text()
    command()
    assert len(motifs.discover.calls) == 2  # once for each model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"motifs.instances": "train"}, ("config.motifs.instances", "train")),
        ({"motifs.file": "no/such.meme"}, ("no/such.meme",)),
        ({}, ("fprior[motifs]",)),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_trained(command, monkeypatch, changes, words):
    if not changes:

        def missing(name):
            raise motifs_sources.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(motifs_sources.metadata, "version", missing)
    with pytest.raises(InputError) as caught:
        command(**changes)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
    assert not command.trained
    command_off = {**changes, "compare.motifs": False}
    with pytest.raises(InputError, match="none of the measures"):
        command(**command_off)  # which is no matter where motifs are not asked for
