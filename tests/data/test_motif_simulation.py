"""One motif in random sequence: the kept truth is what is there, and GC bias changes nothing but the background."""

import numpy as np
import pytest

from fprior.data.motif_simulation import UNIFORM, biased_background, motif_of, simulate_motif
from fprior.data.simulation import Motif
from fprior.errors import InputError
from fprior.sequence import decode

N, LENGTH, REACH = 1200, 300, 40
NAME = "MA0080.7"


@pytest.fixture(scope="module")
def motif() -> Motif:
    return motif_of("jaspar2024_selected", NAME)


@pytest.fixture(scope="module")
def data(motif):
    return simulate_motif(motif, N, LENGTH, seed=3, instances=2, reach=REACH)


def letters_on_own_strand(data, width: int) -> np.ndarray:
    """The tokens of every instance, read along the motif."""
    rows, starts, reverse = (data.instances[name] for name in ("sequence", "start", "reverse"))
    found = data.tokens[rows[:, None], starts[:, None] + np.arange(width)].astype(int)
    return np.where(reverse[:, None], 3 - found[:, ::-1], found)


def covered(data, width: int) -> np.ndarray:
    """In how many instances each base is, `(N, L)`."""
    places = np.zeros(data.tokens.shape, int)
    for sequence, start in zip(data.instances["sequence"], data.instances["start"], strict=True):
        places[sequence, start : start + width] += 1
    return places


def test_the_motif_is_the_files(motif):
    """The pseudocount that the scan adds is off again: first and last row as JASPAR prints them."""
    assert decode(motif.frequencies.argmax(axis=1)) == "AAAGAGGAAGTGG"
    np.testing.assert_allclose(motif.frequencies[0], [0.632436, 0.065239, 0.216801, 0.085524], atol=1e-5)
    np.testing.assert_allclose(motif.frequencies[-1], [0.220479, 0.110050, 0.548195, 0.121276], atol=1e-5)


def test_positives_have_all_instances_and_negatives_none(data):
    assert data.labels.tolist() == [1, 0] * (N // 2)
    np.testing.assert_array_equal(np.bincount(data.instances["sequence"], minlength=N), 2 * data.labels)


def test_instances_are_apart_and_near_the_middle(data, motif):
    assert covered(data, len(motif)).max() == 1
    first = (LENGTH - len(motif)) // 2 - REACH
    assert data.instances["start"].min() == first
    assert data.instances["start"].max() == first + 2 * REACH


def test_each_place_is_as_likely_as_any_other(motif):
    starts = simulate_motif(motif, 2 * N, 120, seed=5, reach=9).instances["start"]
    counts, expected = np.bincount(starts - starts.min(), minlength=19), N / 19
    assert len(counts) == 19
    assert np.sum((counts - expected) ** 2 / expected) < 18 + 5 * np.sqrt(2 * 18)


def test_letters_follow_the_motif_on_both_strands(data, motif):
    letters, reverse = letters_on_own_strand(data, len(motif)), data.instances["reverse"]
    assert abs(reverse.mean() - 0.5) < 4 * np.sqrt(0.25 / len(reverse))
    for strand in (False, True):
        chosen = letters[reverse == strand]
        share = np.stack([np.mean(chosen == base, axis=0) for base in range(4)], axis=1)
        np.testing.assert_allclose(share, motif.frequencies, atol=4 * np.sqrt(0.25 / len(chosen)))


def test_strength_is_that_of_the_letters_that_are_there(data, motif):
    odds = np.log(motif.frequencies * (1 - 1e-5) + 1e-5 / 4) - np.log(0.25)
    expected = odds[np.arange(len(motif)), letters_on_own_strand(data, len(motif))].sum(axis=1)
    np.testing.assert_allclose(data.instances["strength"], expected, atol=1e-9)


def test_strength_against_an_uneven_background_goes_by_the_strand(motif):
    background = (0.4, 0.3, 0.2, 0.1)
    data = simulate_motif(motif, 40, 100, seed=1, reach=20, background=background)
    letters, reverse = letters_on_own_strand(data, len(motif)), data.instances["reverse"]
    assert 0 < reverse.sum() < 20
    frequencies = motif.smoothed(1e-5)[np.arange(len(motif)), letters]
    there = np.array(background)[np.where(reverse[:, None], 3 - letters, letters)]
    np.testing.assert_allclose(data.instances["strength"], np.log(frequencies / there).sum(axis=1), atol=1e-9)


def test_background_is_uniform_and_biased_in_positives_alone(motif):
    data = simulate_motif(motif, N, LENGTH, seed=7, reach=REACH, gc_bias=0.04)
    outside = covered(data, len(motif)) == 0
    for label, expected in ((0, UNIFORM), (1, (0.23, 0.27, 0.27, 0.23))):
        letters = data.tokens[(data.labels == label)[:, None] & outside]
        share = np.bincount(letters, minlength=4) / letters.size
        np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / letters.size))


def test_bias_turns_some_a_and_t_into_c_and_g_and_changes_nothing_else(data, motif):
    biased = simulate_motif(motif, N, LENGTH, seed=3, instances=2, reach=REACH, gc_bias=0.04)
    for name, values in data.instances.items():
        np.testing.assert_array_equal(biased.instances[name], values)
    changed = biased.tokens != data.tokens
    assert 0.03 < changed[data.labels == 1].mean() < 0.05 and not changed[data.labels == 0].any()
    assert set(zip(data.tokens[changed], biased.tokens[changed], strict=True)) == {(0, 1), (3, 2)}


def test_the_seed_and_the_number_decide_a_sequence(data, motif):
    settings = {"instances": 2, "reach": REACH}
    part = simulate_motif(motif, 51, LENGTH, seed=3, first=101, **settings)
    np.testing.assert_array_equal(part.tokens, data.tokens[101:152])
    np.testing.assert_array_equal(part.labels, data.labels[101:152])
    inside = (data.instances["sequence"] >= 101) & (data.instances["sequence"] < 152)
    np.testing.assert_array_equal(part.instances["sequence"] + 101, data.instances["sequence"][inside])
    np.testing.assert_array_equal(part.instances["start"], data.instances["start"][inside])
    other = simulate_motif(motif, 40, LENGTH, seed=4, **settings)
    assert np.mean(other.tokens == data.tokens[:40]) < 0.5


def test_the_tightest_fit(motif):
    data = simulate_motif(motif, 4, 3 * len(motif), seed=0, instances=3, reach=len(motif))
    assert data.instances["start"].tolist() == [0, 13, 26] * 2


def test_biased_background_by_hand():
    np.testing.assert_allclose(biased_background((0.3, 0.2, 0.2, 0.3), 0.1), (0.25, 0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_sequences": 0}, "num_sequences .=0. must be at least 1"),
        ({"seed": -1}, "seed"),
        ({"first": -1}, "first"),
        ({"instances": 0}, "instances .=0. must be at least 1"),
        ({"instances": 2, "reach": 6}, "instances .=2. of 13 bases must fit"),
        ({"reach": -1}, "reach .=-1. must be at least 0"),
        ({"reach": 44}, "reach .=44. must be at most 43"),
        ({"background": (0.5, 0.5, 0.0, 0.0)}, "background"),
        ({"gc_bias": 0.5}, "gc_bias .=0.5. leaves a base"),
    ],
)
def test_impossible_requests_are_refused(motif, arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_motif(motif, **{"num_sequences": 4, "length": 100, "seed": 0, "reach": 20, **arguments})
