"""Matches with known motifs: Tomtom's numbers under our names, q-values over all motifs, the best first."""

import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from planted import NAME, pattern_of, plant
from scipy.stats import false_discovery_control

from fprior.data.motif_scan import read_all_motifs
from fprior.errors import InputError
from fprior.motifs import matching
from fprior.motifs.matching import Match, match


@pytest.fixture(scope="module")
def pattern():
    return pattern_of(plant(100, 80, seed=7))


@pytest.fixture(scope="module")
def motifs():
    return read_all_motifs("jaspar2026_core_vertebrates")


@pytest.fixture
def tomtom(monkeypatch):
    """Stands in for Tomtom, which takes minutes to compile: a table of p-values by target, and what it was given."""
    calls = []

    def stand_in(queries, targets):
        calls.append((queries, targets))
        shape = len(queries), len(targets)
        p = np.tile(np.linspace(0.9, 1e-9, len(targets)), (len(queries), 1))
        offsets, overlaps = np.full(shape, -2.0), np.arange(shape[1]) * np.ones(shape)
        return p, -p, offsets, overlaps, np.ones(shape) * (np.arange(shape[1]) % 2)

    monkeypatch.setattr(matching, "memelite", lambda: SimpleNamespace(tomtom=stand_in))
    return calls


def test_the_best_come_first_with_q_values_over_all_motifs(pattern, tomtom, capsys):
    motifs = {f"M{i}": np.full((5 + i % 7, 4), 0.25) for i in range(60)}
    (matches,) = match([pattern], motifs, top=2).values()
    q = false_discovery_control(np.linspace(0.9, 1e-9, 60))
    assert matches[0] == Match("positive_0", "M59", 1e-9, pytest.approx(q[59]), 59, -2, "-")
    assert (matches[1].motif, matches[1].strand) == ("M58", "+") and matches[1].q_value > matches[0].q_value
    assert q[59] == pytest.approx(60e-9, rel=1e-6)
    assert len(match([pattern], motifs, top=99)["positive_0"]) == 60
    assert "only" not in capsys.readouterr().err


def test_tomtom_sees_trimmed_probabilities_bases_first(pattern, tomtom):
    other = dataclasses.replace(pattern.reverse_complement(), name="negative_0")
    found = match([pattern, other], {"A": np.full((6, 4), 0.25), "B": np.full((8, 4), 0.25)})
    assert list(found) == ["positive_0", "negative_0"]
    queries, targets = tomtom[0]
    np.testing.assert_array_equal(queries[0], pattern.probabilities[pattern.trimmed()].T)
    np.testing.assert_array_equal(queries[1], queries[0][::-1, ::-1])
    assert [target.shape for target in targets] == [(4, 6), (4, 8)]


def test_few_known_motifs_are_remarked_on(pattern, tomtom, capsys):
    match([pattern], {"A": np.full((6, 4), 0.25)})
    assert "only 1 known motifs" in capsys.readouterr().err


def test_no_pattern_has_no_match(motifs):
    assert match([], motifs) == {}


def test_what_cannot_be_matched(pattern, motifs, monkeypatch):
    with pytest.raises(InputError, match="motifs"):
        match([pattern], {})
    with pytest.raises(InputError, match=r"top \(=0\)"):
        match([pattern], motifs, top=0)
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(InputError, match=r"pip install 'fprior\[motifs\]'"):
        match([pattern], motifs)


@pytest.mark.slow
def test_planted_motif_is_found_in_jaspar(pattern, motifs):
    """Read in either direction; and one of any words matches nothing. (Tomtom compiles for a minute or two.)"""
    noise = dataclasses.replace(
        pattern, name="noise", probabilities=np.random.default_rng(8).dirichlet([0.3] * 4, len(pattern.probabilities))
    )
    mirrored = dataclasses.replace(pattern.reverse_complement(), name="mirrored")
    found = match([pattern, mirrored, noise], motifs, top=3)
    for name, strand in (("positive_0", "+"), ("mirrored", "-")):
        best = found[name][0]
        assert (best.motif, best.strand) == (NAME, strand) and best.q_value < 1e-5 and best.overlap >= 10
    start = pattern.trimmed().start
    assert found["positive_0"][0].offset == start - 3  # of the trimmed pattern in the motif, as it was planted
    assert found["noise"][0].q_value > 0.05
