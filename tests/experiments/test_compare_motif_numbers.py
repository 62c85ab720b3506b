"""Numbers of the motifs in a comparison, where they are known."""

import csv
import io
import math

import numpy as np
import pytest
from compared_models import NONE, RNG, SHAPES, model, pattern

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
from experiments.compare_results import Reached

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
