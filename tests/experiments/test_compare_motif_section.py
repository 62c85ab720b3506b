"""Motifs in a comparison: its rows, and the section of the page."""

from pathlib import Path

import pytest
from compared_models import model, pattern
from html_tables import Page
from tiny_comparison import comparison_of

from experiments.compare_motif_section import MOST_KNOWN, motifs_section
from experiments.compare_page import compare_page
from experiments.compare_results import ModelMotifs
from experiments.compare_rows import motif_rows, rows_of
from experiments.compare_summary import verdicts
from experiments.requirements import parse_requirements


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
