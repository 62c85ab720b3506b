"""The permutation that is asked for single elements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fprior.data.permutation import permuted_index

compiled = jax.jit(permuted_index, static_argnums=2)


def permutation(seed: int, size: int) -> np.ndarray:
    return np.asarray(compiled(keys(seed, size), jnp.arange(size), size))


def keys(seed: int, count: int) -> jax.Array:
    return jnp.broadcast_to(jax.random.key(seed), (count,))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 4097])
def test_bijection_around_powers_of_two(size):
    assert np.array_equal(np.sort(permutation(0, size)), np.arange(size))


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_bijection(size, seed):
    assert np.array_equal(np.sort(permutation(seed, size)), np.arange(size))


def test_every_index_has_its_own_key():
    size = 100
    index = jnp.arange(size)
    mixed = jnp.where(index < 50, keys(1, size), keys(2, size))
    expected = np.where(index < 50, permutation(1, size), permutation(2, size))
    assert np.array_equal(permuted_index(mixed, index, size), expected)


def test_depends_on_the_key_and_only_on_it():
    assert np.array_equal(permutation(1, 500), permutation(1, 500))
    agree = np.mean(permutation(1, 500) == permutation(2, 500))
    assert agree < 0.02  # two random permutations agree at one place in 500


@pytest.mark.parametrize("size", [7, 16, 24])
def test_uniform(size):
    """Each element lands on each place equally often, and so does each pair of neighbours on each pair of places."""
    count = 4000
    many = jax.random.split(jax.random.key(20), count)
    places = np.stack([compiled(many, jnp.full(count, index), size) for index in range(size)], axis=1)
    for index in range(size):
        observed = np.bincount(places[:, index], minlength=size)
        assert stats.chisquare(observed).pvalue > 1e-4
    difference = np.bincount((places[:, 1] - places[:, 0]) % size, minlength=size)
    assert difference[0] == 0
    assert stats.chisquare(difference[1:]).pvalue > 1e-4


def test_largest_size_stays_in_range():
    size = 2**30
    index = jnp.array([0, 1, size // 2, size - 2, size - 1], jnp.int32)
    permuted = np.asarray(permuted_index(keys(0, 5), index, size))
    assert permuted.dtype == np.int32
    assert permuted.min() >= 0 and permuted.max() < size and len(set(permuted.tolist())) == 5


@pytest.mark.parametrize("size", [0, -1, 2**30 + 1])
def test_size_is_checked(size):
    with pytest.raises(ValueError, match=rf"size \(={size}\)"):
        permuted_index(keys(0, 1), jnp.zeros(1, jnp.int32), size)
