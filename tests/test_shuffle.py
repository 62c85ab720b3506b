"""Shuffles: the counts, uniformity over all possible sequences, and what a key decides."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fprior import shuffle
from fprior.sequence import UNKNOWN, encode
from fprior.shuffle import dinucleotide_shuffle, gc_background

KEY = jax.random.key(0)


def dinucleotides(tokens):
    """Counts of all 25 pairs of neighbouring tokens."""
    tokens = np.asarray(tokens, int)
    return np.bincount(5 * tokens[:-1] + tokens[1:], minlength=25)


def stretches(tokens):
    """The runs of known bases, in order."""
    known = np.flatnonzero(np.asarray(tokens) != UNKNOWN)
    return np.split(np.asarray(tokens)[known], np.flatnonzero(np.diff(known) > 1) + 1)


def assert_shuffled(shuffled, original):
    np.testing.assert_array_equal(shuffled == UNKNOWN, np.asarray(original) == UNKNOWN)
    for ours, theirs in zip(stretches(shuffled), stretches(original), strict=True):
        np.testing.assert_array_equal(dinucleotides(ours), dinucleotides(theirs))
        np.testing.assert_array_equal(ours[[0, -1]] if len(ours) else [], theirs[[0, -1]] if len(theirs) else [])


def random_tokens(*shape, unknown=0.0):
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 4, shape, np.uint8)
    return np.where(rng.random(shape) < unknown, np.uint8(UNKNOWN), tokens)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    letters=st.sampled_from(["ACGT", "AC", "ACGTN", "AN", "AAAAAAAAC", "CGGGGGT"]).flatmap(
        lambda alphabet: st.text(st.sampled_from(alphabet), max_size=80)
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_counts_are_kept_in_every_stretch(letters, seed):
    original = encode(letters)
    shuffled = dinucleotide_shuffle(original, 3, key=jax.random.key(seed))
    assert shuffled.shape == (3, len(letters)) and shuffled.dtype == np.uint8
    for one in shuffled:
        assert_shuffled(one, original)


@pytest.mark.parametrize("unknown", [0.0, 0.01, 0.5])
def test_counts_of_long_sequences(unknown):
    tokens = random_tokens(5, 1500, unknown=unknown)
    shuffled = dinucleotide_shuffle(tokens, 4, key=KEY)
    for original, several in zip(tokens, shuffled, strict=True):
        for one in several:
            assert_shuffled(one, original)
    if unknown < 0.5:
        assert np.mean(shuffled == tokens[:, None]) < 0.35  # as for unrelated sequences


@pytest.mark.parametrize("letters", ["", "G", "N", "GT", "NN", "NA", "AN", "AAAAAAAA", "NNNN", "ACGT", "ANCNG"])
def test_sequences_without_another_order(letters):
    tokens = encode(letters)
    np.testing.assert_array_equal(dinucleotide_shuffle(tokens, 2, key=KEY), [tokens, tokens])


def orders(original):
    """All sequences with the first base and the dinucleotide counts of a known one, by brute force."""
    counts = dinucleotides(original)
    tails = product(np.unique(original), repeat=len(original) - 1)
    return {
        sequence
        for sequence in ((original[0], *tail) for tail in tails)
        if np.array_equal(dinucleotides(sequence), counts)
    }


@pytest.mark.parametrize(
    "letters, number",
    [("ACAGATACA", 12), ("AACCAACCA", 18), ("AACAGCAG", 6), ("ACCACCCAA", 12), ("ACGTACGTA", 1), ("GAGGTATGA", 30)],
)
def test_every_order_is_equally_likely(letters, number):
    possible = orders(tuple(encode(letters)))
    assert len(possible) == number
    draws = 4000
    # Several stretches, each with all the orders, and the pairs of two.
    tokens = encode(f"N{letters}NN{letters}")
    shuffled = dinucleotide_shuffle(tokens, draws, key=jax.random.key(3))
    ranks = {sequence: rank for rank, sequence in enumerate(sorted(possible))}
    size = len(letters)
    first = [ranks[tuple(row)] for row in shuffled[:, 1 : size + 1].tolist()]
    second = [ranks[tuple(row)] for row in shuffled[:, size + 3 :].tolist()]
    if number > 1:
        assert stats.chisquare(np.bincount(first, minlength=number)).pvalue > 1e-3
        assert stats.chisquare(np.bincount(second, minlength=number)).pvalue > 1e-3
        both = number * np.array(first) + second
        assert stats.chisquare(np.bincount(both, minlength=number**2)).pvalue > 1e-3


def test_the_likely_last_transition_does_not_trap_the_walk():
    """A to A a thousand times and one way out: taking it first would strand the rest."""
    tokens = encode("A" * 500 + "C" * 500 + "G" * 500 + "T")
    shuffled = dinucleotide_shuffle(tokens, 3, key=KEY)
    np.testing.assert_array_equal(shuffled, [tokens] * 3)
    tokens = encode("AC" * 300 + "GT" * 300 + "A")
    for one in dinucleotide_shuffle(tokens, 20, key=KEY):
        assert_shuffled(one, tokens)


@pytest.mark.parametrize("function", [dinucleotide_shuffle, gc_background])
def test_what_the_key_decides(function, monkeypatch):
    tokens = random_tokens(6, 60, unknown=0.02)
    drawn = function(tokens, 7, key=KEY)
    np.testing.assert_array_equal(drawn, function(tokens, 7, key=jax.random.key(0)))
    other = function(tokens, 7, key=jax.random.key(1))
    assert np.all(np.any(drawn != other, axis=-1))
    known = tokens[:, None] != UNKNOWN
    assert np.mean((drawn == other)[np.broadcast_to(known, drawn.shape)]) < 0.45
    # All shuffles of a batch differ, also those of one sequence given twice.
    same = function(np.stack([tokens[0]] * 2), 10, key=KEY).reshape(20, 60)
    assert len(np.unique(same, axis=0)) == 20
    # A sequence's own do not depend on the others, nor on how many are asked for, nor on the size of blocks.
    mates = np.stack([*tokens[:5], encode("ACNAN" * 12)])
    np.testing.assert_array_equal(function(mates, 7, key=KEY)[:5], drawn[:5])
    np.testing.assert_array_equal(function(tokens[:2], 3, key=KEY), drawn[:2, :3])
    for block in (1, 150, 1000):
        monkeypatch.setattr(shuffle, "_BLOCK", block)
        np.testing.assert_array_equal(function(tokens, 7, key=KEY), drawn)


@pytest.mark.parametrize("function", [dinucleotide_shuffle, gc_background])
def test_shapes(function):
    for shape in ((5,), (2, 5), (2, 3, 5), (0, 5), (2, 0), (2, 1)):
        drawn = function(random_tokens(*shape), 4, key=KEY)
        assert drawn.shape == (*shape[:-1], 4, shape[-1]) and drawn.dtype == np.uint8
    tokens = random_tokens(2, 3, 30)
    drawn = function(tokens, 4, key=KEY)
    np.testing.assert_array_equal(drawn, function(tokens.reshape(6, 30), 4, key=KEY).reshape(2, 3, 4, 30))
    for same in (tokens.tolist(), tokens.astype(np.int64), jnp.asarray(tokens)):
        np.testing.assert_array_equal(function(same, 4, key=KEY), drawn)


@pytest.mark.parametrize("function", [dinucleotide_shuffle, gc_background])
def test_arguments_are_checked(function):
    tokens = random_tokens(8)
    for wrong in (np.zeros((5, 4)), np.zeros(5, bool), np.array(list("ACGT"))):
        with pytest.raises(TypeError, match=r"tokens \(.*\) must be integers; pass sequence.encode"):
            function(wrong, 2, key=KEY)
    with pytest.raises(ValueError, match=r"tokens \(a scalar\) must have"):
        function(np.uint8(1), 2, key=KEY)
    for wrong in (np.array([0, 5]), np.array([0, -1])):
        with pytest.raises(ValueError, match=r"tokens \(from .* to .*\) must be in 0 … 4"):
            function(wrong, 2, key=KEY)
    with pytest.raises(ValueError, match=r"num(_shuffles)? \(=0\) must be at least 1"):
        function(tokens, 0, key=KEY)
    for wrong in (0, np.random.default_rng(0), jax.random.key_data(KEY), jax.random.split(KEY)):
        with pytest.raises(TypeError, match=r"key \(.*\) must be one typed PRNG key; pass jax.random.key\(seed\)"):
            function(tokens, 2, key=wrong)


def test_length_has_a_limit(monkeypatch):
    monkeypatch.setattr(shuffle, "_LONGEST", 7)
    with pytest.raises(ValueError, match=r"tokens \(length 8\) must have at most 7 positions"):
        dinucleotide_shuffle(random_tokens(8), 1, key=KEY)


def test_gc_background_has_the_gc_content():
    tokens = np.stack([encode(letters * 500) for letters in ("AATG", "GCCC", "ATTT", "ACGN", "NNNN")])
    drawn = gc_background(tokens, 20, key=KEY)
    for rows, original, strong in zip(drawn, tokens, (0.25, 1, 0, 2 / 3, np.nan), strict=True):
        np.testing.assert_array_equal(rows == UNKNOWN, np.broadcast_to(original == UNKNOWN, rows.shape))
        known = rows[rows != UNKNOWN]
        if known.size:
            expected = known.size * np.array([1 - strong, strong, strong, 1 - strong]) / 2
            observed = np.bincount(known, minlength=4)
            np.testing.assert_array_equal(observed[expected == 0], 0)
            assert stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3
    # Neighbours are independent.
    pairs = dinucleotides(gc_background(encode("AG" * 20_000), 1, key=KEY)[0]).reshape(5, 5)[:4, :4]
    assert stats.chi2_contingency(pairs).pvalue > 1e-3
