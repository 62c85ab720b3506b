"""Letters, tokens, one-hot, and the opposite strand."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fprior.sequence import (
    ALPHABET,
    UNKNOWN,
    decode,
    encode,
    one_hot,
    reverse_complement,
    reverse_complement_tokens,
)

PARTNER = dict(zip("ACGTN", "TGCAN", strict=True))
letters = st.text("ACGTN", max_size=30)


def opposite_strand(sequence):
    return "".join(PARTNER[letter] for letter in reversed(sequence))


@pytest.mark.parametrize(
    ("sequence", "tokens"),
    [
        ("ACGT", [0, 1, 2, 3]),
        ("acgt", [0, 1, 2, 3]),
        ("NnRYKMSWBDHVU-.* ", [4] * 17),
        ("", []),
        ("gATTACAn", [2, 0, 3, 3, 0, 1, 0, 4]),
    ],
)
def test_encode(sequence, tokens):
    for given_as in (sequence, sequence.encode()):
        encoded = encode(given_as)
        assert encoded.dtype == np.uint8 and encoded.tolist() == tokens


def test_encode_every_byte():
    tokens = encode(bytes(range(256)))
    known = {byte: token for byte, token in enumerate(tokens) if token != UNKNOWN}
    assert known == {ord(c): i for i, c in enumerate(ALPHABET)} | {ord(c.lower()): i for i, c in enumerate(ALPHABET)}


def test_encode_refuses_letters_that_are_not_bytes():
    with pytest.raises(UnicodeEncodeError):
        encode("ACGΤ")  # a Greek capital tau


@settings(deadline=None, derandomize=True)
@given(letters)
def test_decode_inverts_encode(sequence):
    assert decode(encode(sequence)) == sequence
    assert decode(encode(sequence.lower())) == sequence


def test_decode_refuses_a_token_beyond_the_unknown():
    with pytest.raises(IndexError):
        decode(np.array([0, 5]))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int8])
def test_one_hot(dtype):
    encoded = one_hot(encode("ACNGT"), dtype)
    assert encoded.dtype == dtype
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(encoded.astype(jnp.float32), expected)


def test_one_hot_of_a_batch_and_its_default():
    tokens = np.stack([encode("ACG"), encode("NNN")])
    encoded = one_hot(tokens)
    assert encoded.shape == (2, 3, 4) and encoded.dtype == jnp.float32
    np.testing.assert_array_equal(encoded[0], np.eye(4)[:3])
    np.testing.assert_array_equal(encoded[1], 0)


@pytest.mark.parametrize("sequence", ["ACGTNA", "GGNACA", "NNNNNN", "GAATTC"])
def test_opposite_strand(sequence):
    """Of tokens and of one-hot, against letters; one-hot of the one is the other."""
    tokens = encode(sequence)
    flipped = reverse_complement_tokens(tokens)
    assert flipped.dtype == np.uint8
    assert decode(flipped) == opposite_strand(sequence)
    np.testing.assert_array_equal(reverse_complement(one_hot(tokens)), one_hot(flipped))


def test_opposite_strand_is_its_own_inverse_and_takes_examples_apart():
    tokens = np.stack([encode("ACGTNA"), encode("TTTNCC")])
    flipped = reverse_complement_tokens(tokens)
    assert [decode(row) for row in flipped] == ["TNACGT", "GGNAAA"]
    np.testing.assert_array_equal(reverse_complement_tokens(flipped), tokens)
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(reverse_complement(reverse_complement(x)), x)
    np.testing.assert_array_equal(reverse_complement(x), x[:, :, ::-1, ::-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32])
def test_tokens_keep_their_dtype(dtype):
    flipped = reverse_complement_tokens(jnp.arange(5, dtype=dtype))
    assert flipped.dtype == dtype and flipped.tolist() == [4, 0, 1, 2, 3]
