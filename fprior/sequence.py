"""DNA as arrays: letters, one-byte tokens, one-hot, reverse complement.

A token is 0, 1, 2, 3 for A, C, G, T of either case and 4 for every other letter (N and the other IUPAC codes).
One-hot is `(..., L, 4)` in the same order; token 4 is a row of zeros.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Integer, Num, UInt8

from fprior.typing import AnyArray

ALPHABET = "ACGT"
UNKNOWN = 4  # the token of every letter outside the alphabet

_TOKEN_OF_BYTE = np.full(256, UNKNOWN, np.uint8)
for _token, _letter in enumerate(ALPHABET):
    _TOKEN_OF_BYTE[[ord(_letter), ord(_letter.lower())]] = _token
_BYTE_OF_TOKEN = np.frombuffer((ALPHABET + "N").encode(), np.uint8)


def encode(sequence: str | bytes) -> UInt8[np.ndarray, " L"]:
    """The tokens `(L,)` uint8 of a sequence; letters other than A, C, G, T (either case) become 4."""
    if isinstance(sequence, str):
        sequence = sequence.encode("ascii")
    return _TOKEN_OF_BYTE[np.frombuffer(sequence, np.uint8)]


def decode(tokens: Integer[AnyArray, " L"]) -> str:
    """The upper-case letters of tokens `(L,)`; token 4 is written N."""
    return _BYTE_OF_TOKEN[np.asarray(tokens)].tobytes().decode()


def one_hot(tokens: Integer[AnyArray, "*batch L"], dtype: DTypeLike = jnp.float32) -> Num[jax.Array, "*batch L 4"]:
    """One-hot `(..., L, 4)` of tokens `(..., L)`; token 4 gives a row of zeros."""
    return jax.nn.one_hot(tokens, len(ALPHABET), dtype=dtype)


def reverse_complement(x: Num[AnyArray, "*batch L 4"]) -> Num[jax.Array, "*batch L 4"]:
    """The opposite strand of one-hot (or any base-resolved array) `(..., L, 4)`: both last axes flipped.

    A and T, C and G swap under the flip of the last axis because the alphabet is in the order A, C, G, T.
    """
    return jnp.flip(x, (-2, -1))


def reverse_complement_tokens(tokens: Integer[AnyArray, "*batch L"]) -> Integer[jax.Array, "*batch L"]:
    """The opposite strand of tokens `(..., L)`: 3 − token in reverse order; token 4 stays 4."""
    flipped = jnp.flip(tokens, -1)
    return jnp.where(flipped == UNKNOWN, flipped, (3 - flipped).astype(flipped.dtype))
