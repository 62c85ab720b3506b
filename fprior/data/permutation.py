"""A random permutation that can be asked for single elements.

Shuffling by sorting costs O(n log n) time and O(n) memory a call; a batch needs a few dozen elements of the
epoch's order. A Feistel network is a bijection of the integers below a power of four made of cheap hashes;
stepping on from results of n and more until one is below n ("cycle walking") makes it a bijection of 0 … n − 1.
"""

import jax
import jax.numpy as jnp

_ROUNDS = 8


def permuted_index(keys: jax.Array, index: jax.Array, size: int) -> jax.Array:
    """π_key(index), where π_key is a pseudo-random permutation of 0 … size − 1.

    Args:
      keys: typed PRNG keys `(n,)`; equal keys give the same permutation.
      index: int32 `(n,)`, each in 0 … size − 1.
      size: of the permuted set, 1 to 2³⁰.

    Returns:
      int32 `(n,)` in 0 … size − 1.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
    """
    if not 1 <= size <= 2**30:
        raise ValueError(f"size (={size}) must be from 1 to 2^30")
    half_bits = max(1, -(-(size - 1).bit_length() // 2))
    mask = jnp.uint32(2**half_bits - 1)
    round_keys = jax.vmap(lambda key: jax.random.bits(key, (_ROUNDS,), jnp.uint32))(keys)

    def network(value: jax.Array) -> jax.Array:
        left, right = value >> half_bits, value & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_mix(right ^ round_keys[:, number]) & mask)
        return (left << half_bits) | right

    def walk_on(value: jax.Array) -> jax.Array:
        return jnp.where(value < size, value, network(value))

    first = network(index.astype(jnp.uint32))
    return jax.lax.while_loop(lambda value: jnp.any(value >= size), walk_on, first).astype(jnp.int32)


def _mix(value: jax.Array) -> jax.Array:
    """Spreads every bit of a uint32 over all others (the finaliser of MurmurHash3)."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
