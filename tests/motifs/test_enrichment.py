"""What a plain scan finds: the planted motif, and nothing in sequences without."""

import sys

import numpy as np
import pytest
from planted import NAME, plant
from scipy.stats import fisher_exact

from fprior.data.motif_scan import motif_positions, read_all_motifs, read_motifs
from fprior.errors import InputError
from fprior.motifs.enrichment import enrichment
from fprior.sequence import UNKNOWN

N, LENGTH = 80, 100


@pytest.fixture(scope="module")
def motifs():
    """Every tenth of the shipped motifs, and CTCF's."""
    every = read_all_motifs("jaspar2026_core_vertebrates")
    return {name: every[name] for i, name in enumerate(every) if i % 10 == 0 or name == NAME}


@pytest.fixture(scope="module")
def positives():
    return plant(N, LENGTH, seed=9).tokens


@pytest.fixture(scope="module")
def negatives():
    return np.random.default_rng(10).integers(0, 4, (3 * N, LENGTH)).astype(np.uint8)


def test_planted_motif_comes_first(positives, negatives, motifs):
    """With counts as our own scan has them, and Fisher's p-value."""
    rows = enrichment(positives, negatives, motifs)
    assert sorted(row.motif for row in rows) == sorted(motifs)
    best = rows[0]
    matrix = read_motifs("jaspar2026_core_vertebrates", [NAME])[NAME]
    own = [motif_positions(tokens, matrix).any(axis=1).sum() for tokens in (positives, negatives)]
    assert best.motif == NAME and best.q_value < 1e-20 and best.odds_ratio > 50
    assert abs(best.positives - own[0]) <= 3 and abs(best.negatives - own[1]) <= 3
    for row in rows[:3]:
        table = [[row.positives, N - row.positives], [row.negatives, 3 * N - row.negatives]]
        assert row.p_value == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-9)
    assert [row.q_value for row in rows] == sorted(row.q_value for row in rows)
    assert all(row.q_value >= row.p_value for row in rows)


def test_nothing_is_enriched_in_alike_sequences(negatives, motifs):
    rows = enrichment(negatives[::2], negatives[1::2], motifs)
    assert rows[0].q_value > 0.05


def test_fewer_in_positives_is_no_enrichment(positives, negatives, motifs):
    rows = {row.motif: row for row in enrichment(negatives, positives, motifs)}
    assert rows[NAME].p_value > 0.99 and rows[NAME].odds_ratio < 0.05


def test_blocks_do_not_matter(positives, negatives, motifs, monkeypatch):
    expected = enrichment(positives, negatives, motifs)
    monkeypatch.setattr("fprior.motifs.enrichment.BLOCK", 33)
    assert enrichment(positives, negatives, motifs) == expected


def test_sequences_without_a_match(motifs):
    """Of unknown bases, and shorter than the motif."""
    nothing = np.full((4, LENGTH), UNKNOWN, np.uint8)
    for tokens in (nothing, nothing[:, :5], np.zeros((1, 5), np.uint8)):
        assert all(row.p_value == row.q_value == 1 and row.positives == 0 for row in enrichment(tokens, tokens, motifs))


def test_what_cannot_be_compared(positives, negatives, motifs, monkeypatch):
    for arguments, word in (
        ((positives[:0], negatives, motifs), "positives"),
        ((positives, negatives[:0], motifs), "negatives"),
        ((positives, negatives, {}), "motifs"),
        ((positives[:, 1:], negatives, motifs), "equally long"),
    ):
        with pytest.raises(InputError, match=word):
            enrichment(*arguments)
    monkeypatch.setitem(sys.modules, "memelite", None)
    with pytest.raises(InputError, match=r"pip install 'fprior\[motifs\]'"):
        enrichment(positives, negatives, motifs)
