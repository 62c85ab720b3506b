"""The first layer for an all-zero reference."""

import jax.numpy as jnp
import numpy as np
import pytest

from fprior.attribution import normalize_first_layer
from fprior.conv import conv
from fprior.sequence import encode, one_hot

RNG = np.random.default_rng(0)
KERNEL = jnp.asarray(RNG.normal(1, 2, size=(5, 4, 3)), jnp.float32)
BIAS = jnp.asarray(RNG.normal(size=3), jnp.float32)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_outputs_on_one_hot_sequences_are_kept():
    kernel, bias = normalize_first_layer(KERNEL, BIAS)
    assert kernel.shape == KERNEL.shape and bias.shape == BIAS.shape
    x = one_hot(RNG.integers(0, 4, (6, 40)))
    for dilation in (1, 3):
        close(conv(x, kernel, dilation=dilation) + bias, conv(x, KERNEL, dilation=dilation) + BIAS)
    close(jnp.sum(kernel, axis=1), 0)
    assert jnp.max(jnp.abs(kernel - KERNEL)) > 0.1 and jnp.max(jnp.abs(bias - BIAS)) > 0.1


def test_zeros_stand_for_the_average_sequence():
    _, bias = normalize_first_layer(KERNEL[:2], BIAS)
    every = one_hot(np.stack(np.meshgrid(range(4), range(4)), -1).reshape(16, 2))
    close(bias, jnp.mean(conv(every, KERNEL[:2]) + BIAS, axis=(0, 1)))


def test_unknown_bases_and_padding_count_as_the_average_base():
    kernel, bias = normalize_first_layer(KERNEL, BIAS)
    average = jnp.broadcast_to(0.25, (1, 1, 4))
    x = one_hot(encode("ACGTNACGGT"))[None]
    close(conv(x, kernel) + bias, conv(jnp.where(x.any(2, keepdims=True), x, average), KERNEL) + BIAS)
    padded = jnp.concatenate([average, average, x[:, :4], average, average], axis=1)
    close(conv(x[:, :4], kernel, padding="same") + bias, conv(padded, KERNEL) + BIAS)


def test_other_shapes_and_dtypes():
    kernel, bias = normalize_first_layer(np.asarray(KERNEL[0]), np.asarray(BIAS))
    close(kernel, KERNEL[0] - jnp.mean(KERNEL[0], axis=0))
    close(bias, BIAS + jnp.mean(KERNEL[0], axis=0))
    kernel, bias = normalize_first_layer(KERNEL.astype(jnp.bfloat16), BIAS)
    assert kernel.dtype == jnp.bfloat16 and bias.dtype == jnp.float32
    for wrong in ((KERNEL, BIAS[:2]), (BIAS, BIAS), (KERNEL, BIAS[None])):
        with pytest.raises(ValueError, match=r"kernel \(shape .*\) must be \(K, 4, O\) and bias \(shape .*\) \(O,\)"):
            normalize_first_layer(*wrong)
