"""Simulated sequences: counts, placement, letters, and that the kept truth is what is in the sequences."""

import numpy as np
import pytest

from fprior.data.simulation import (
    BACKGROUND,
    GATA1,
    KINDS,
    MOTIFS,
    TAL1,
    Motif,
    match_strengths,
    simulate,
    top_matches,
    truncated_poisson,
)
from fprior.errors import InputError
from fprior.sequence import decode, encode

N, LENGTH = 2000, 200


@pytest.fixture(scope="module")
def data():
    return simulate(N, LENGTH, seed=3)


def places(data) -> np.ndarray:
    """Which bases are part of an instance `(N, L)`, counted as often as they are."""
    covered = np.zeros(data.tokens.shape, int)
    for sequence, motif, start in zip(*(data.instances[n] for n in ("sequence", "motif", "start")), strict=True):
        covered[sequence, start : start + len(MOTIFS[motif])] += 1
    return covered


def test_kinds_and_labels_are_equal_shares_and_agree_with_the_instances(data):
    assert np.bincount(data.kind).tolist() == [N // 4] * 4
    counts = np.zeros((N, 2), int)
    np.add.at(counts, (data.instances["sequence"], data.instances["motif"]), 1)
    np.testing.assert_array_equal(counts, data.counts)
    names = {KINDS[kind]: set(map(tuple, data.labels[data.kind == kind].tolist())) for kind in range(4)}
    assert names == {"none": {(0, 0, 0)}, "GATA1 only": {(0, 1, 0)}, "TAL1 only": {(0, 0, 1)}, "both": {(1, 1, 1)}}


@pytest.mark.parametrize(
    ("kind", "motif", "mean"), [("GATA1 only", 0, 2), ("TAL1 only", 1, 2), ("both", 0, 1), ("both", 1, 1)]
)
def test_counts_follow_the_truncated_poisson(data, kind, motif, mean):
    counts = data.counts[data.kind == KINDS.index(kind), motif]
    assert counts.min() == 1 and counts.max() == 3
    expected = truncated_poisson(mean)
    share = np.bincount(counts, minlength=4)[1:] / len(counts)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(counts))


def test_truncated_poisson_by_hand():
    np.testing.assert_allclose(truncated_poisson(1.0), np.array([6, 3, 1]) / 10)
    np.testing.assert_allclose(truncated_poisson(2.0), np.array([6, 6, 4]) / 16)


def test_instances_do_not_overlap_and_lie_inside(data):
    assert places(data).max() == 1
    widths = np.array([len(motif) for motif in MOTIFS])[data.instances["motif"]]
    assert data.instances["start"].min() == 0
    assert np.max(data.instances["start"] + widths) == LENGTH


def test_each_place_is_as_likely_as_any_other():
    """One instance alone: its start is uniform."""
    data = simulate(8000, 72, seed=5)
    single = (data.counts.sum(axis=1) == 1)[data.instances["sequence"]] & (data.instances["motif"] == 0)
    starts = np.bincount(data.instances["start"][single], minlength=63)
    expected = single.sum() / 63
    assert np.sum((starts - expected) ** 2 / expected) < 62 + 5 * np.sqrt(2 * 62)


def test_background_has_its_frequencies_and_instances_those_of_the_motif(data):
    outside = data.tokens[places(data) == 0]
    share = np.bincount(outside, minlength=4) / outside.size
    np.testing.assert_allclose(share, BACKGROUND, atol=4 * np.sqrt(0.25 / outside.size))
    for number, motif in enumerate(MOTIFS):
        chosen = data.instances["motif"] == number
        rows, starts = data.instances["sequence"][chosen], data.instances["start"][chosen]
        letters = data.tokens[rows[:, None], starts[:, None] + np.arange(len(motif))]
        share = np.stack([np.mean(letters == base, axis=0) for base in range(4)], axis=1)
        np.testing.assert_allclose(share, motif.smoothed(), atol=4 * np.sqrt(0.25 / len(rows)))


def test_strength_is_that_of_the_letters_that_are_there(data):
    for number, motif in enumerate(MOTIFS):
        found = match_strengths(data.tokens, motif.log_odds())
        chosen = data.instances["motif"] == number
        rows, starts = data.instances["sequence"][chosen], data.instances["start"][chosen]
        np.testing.assert_allclose(found[rows, starts], data.instances["strength"][chosen], rtol=0, atol=1e-12)


def test_the_seed_decides_everything_and_fewer_are_the_first_of_more(data):
    again, fewer, other = simulate(N, LENGTH, seed=3), simulate(40, LENGTH, seed=3), simulate(40, LENGTH, seed=4)
    np.testing.assert_array_equal(again.tokens, data.tokens)
    np.testing.assert_array_equal(again.instances["start"], data.instances["start"])
    np.testing.assert_array_equal(fewer.tokens, data.tokens[:40])
    assert np.mean(other.tokens == fewer.tokens) < 0.5


def test_a_part_keeps_its_instances(data):
    part = data.part(100, 140)
    np.testing.assert_array_equal(part.tokens, data.tokens[100:140])
    assert part.instances["sequence"].min() >= 0 and part.instances["sequence"].max() < 40
    assert len(part.instances["start"]) == part.counts.sum()
    first = part.instances["sequence"][0], part.instances["start"][0], part.instances["motif"][0]
    strength = match_strengths(part.tokens, MOTIFS[first[2]].log_odds())[first[:2]]
    assert strength == pytest.approx(part.instances["strength"][0])


def test_the_matrices_are_those_of_the_sources():
    for motif, consensus in ((GATA1, "GCAGATAAGG"), (TAL1, "CTGAACAGATGGT")):
        np.testing.assert_allclose(motif.frequencies.sum(axis=1), 1, atol=2e-6)
        assert decode(motif.frequencies.argmax(axis=1)) == consensus
    of_g_or_c, of_a_or_t = 0.359788 * 0.476190 * 0.947090 * 0.507937, 0.666667 * 0.878307 * 0.973545
    by_hand = np.log(of_g_or_c / 0.2**5 * of_a_or_t / 0.3**5)  # one G, one A and one T are certain
    strength = match_strengths(encode("GCAGATAAGG")[None], GATA1.log_odds())[0, 0]
    assert strength == pytest.approx(by_hand, abs=0.01)  # the pseudocount


def test_match_strengths_by_hand():
    odds = np.array([[1.0, 2, 3, 4], [10, 20, 30, 40]])
    np.testing.assert_array_equal(match_strengths(encode("ACGT")[None], odds), [[21, 32, 43]])
    with pytest.raises(ValueError, match="must not be longer"):
        match_strengths(encode("A")[None], odds)


def test_top_matches_do_not_overlap():
    strengths = np.array([[0.0, 5, 6, 5, 4, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 2]])
    starts, found = top_matches(strengths, 2, 2)
    np.testing.assert_array_equal(starts, [[2, 4], [8, 0]])
    np.testing.assert_array_equal(found, [[6, 4], [2, 1]])
    with pytest.raises(ValueError, match="may not fit"):
        top_matches(strengths, 4, 2)


def test_smoothing_leaves_no_letter_impossible():
    motif = Motif("sharp", np.eye(4))
    np.testing.assert_allclose(motif.smoothed(0.04).sum(axis=1), 1)
    assert motif.smoothed(0.04).min() == pytest.approx(0.01)
    assert np.isfinite(motif.log_odds()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_sequences": 0}, "num_sequences"),
        ({"length": 68}, "length .=68. must be at least 69"),
        ({"seed": -1}, "seed"),
        ({"background": (0.5, 0.5, 0.5, 0.5)}, "background"),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate(**{"num_sequences": 4, "length": 100, "seed": 0, **arguments})


def test_the_shortest_length_has_room_for_everything():
    data = simulate(400, 69, seed=0)
    assert places(data).max() == 1
