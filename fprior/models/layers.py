"""Linen layers that the models share."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.conv import conv

NEW_STATISTICS_WEIGHT = 0.1
EPSILON = 1e-5

# Weights uniform in ±1/sqrt(fan_in), as the authors' framework draws them.
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def bias_init(fan_in: int) -> Callable:
    """An initialiser uniform in ±1/sqrt(fan_in), the companion of KERNEL_INIT."""

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -1, 1) / jnp.sqrt(fan_in).astype(dtype)

    return init


class Conv(nn.Module):
    """`fprior.conv.conv` with a kernel `(width, channels, filters)` and a bias: `(B, L, C)` to `(B, L', filters)`."""

    filters: int
    width: int
    dilation: int = 1
    padding: str = "valid"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in = self.width * x.shape[-1]
        kernel = self.param("kernel", KERNEL_INIT, (self.width, x.shape[-1], self.filters))
        bias = self.param("bias", bias_init(fan_in), (self.filters,))
        return conv(x, kernel.astype(x.dtype), dilation=self.dilation, padding=self.padding) + bias.astype(x.dtype)


class Dense(nn.Module):
    """`nn.Dense` with the authors' initial distributions: `(B, C)` to `(B, features)`, computed in x's dtype."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = nn.Dense(self.features, dtype=x.dtype, kernel_init=KERNEL_INIT, bias_init=bias_init(x.shape[-1]))
        return dense(x)


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the last, `(…, C)`: scale · (x − mean) / √(var + ε) + bias.

    train=True takes mean and variance from the batch and moves the running ones, in the collection `batch_stats`,
    by a tenth of the way (with the unbiased variance, as PyTorch does). It also leaves the batch's own in the
    collection `batch_moments`, if that is mutable: in place of `batch_stats` they give the model of this very batch
    as a function of single examples, which is what an attribution prior needs.

    All of it is computed in float32 at least; the result has x's dtype.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        size = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, size)
        bias = self.param("bias", nn.initializers.zeros, size)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, size)
        running_var = self.variable("batch_stats", "var", jnp.ones, size)
        mean, var = running_mean.value, running_var.value
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if train:
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(wide, axes)
            # Two passes: the one-pass form loses its digits where the mean is large.
            var = jnp.mean((wide - mean) ** 2, axes)
            count = x.size // x.shape[-1]
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                running_mean.value += NEW_STATISTICS_WEIGHT * (mean - running_mean.value)
                running_var.value += NEW_STATISTICS_WEIGHT * (var * count / max(count - 1, 1) - running_var.value)
            if self.is_mutable_collection("batch_moments"):
                self.put_variable("batch_moments", "mean", mean)
                self.put_variable("batch_moments", "var", var)
        return ((wide - mean) * (scale * jax.lax.rsqrt(var + EPSILON)) + bias).astype(x.dtype)


def max_pool(x: jax.Array, size: int) -> jax.Array:
    """Maxima of consecutive windows of `size` positions, `(B, L, C)` to `(B, L // size, C)`; a rest is left out.

    Where several positions share the maximum the first takes the gradient.

    The windows do not overlap, so that this is a reshape and a selection. The selected position is an integer,
    computed once: the derivative of `jnp.max` compares x with its maximum instead, and a compiler that computes x
    twice, rounding differently, then finds no position that is equal, and divides by their number.
    """
    batch, length, channels = x.shape
    windows = length // size
    x = x[:, : windows * size].reshape(batch, windows, size, channels)
    chosen = jnp.argmax(jax.lax.stop_gradient(x), axis=2)
    is_chosen = jnp.arange(size)[:, None] == chosen[:, :, None]
    return jnp.sum(jnp.where(is_chosen, x, 0), axis=2)
