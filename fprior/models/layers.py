"""Linen layers that the models share."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.conv import conv

# Weights uniform in ±1/sqrt(fan_in), as the authors' framework draws them.
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def bias_init(fan_in: int) -> Callable:
    """An initialiser uniform in ±1/sqrt(fan_in), the companion of KERNEL_INIT."""

    def init(key, shape, dtype=jnp.float32):
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
    """`nn.Dense` with the authors' initial distributions: `(B, C)` to `(B, features)`."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(self.features, kernel_init=KERNEL_INIT, bias_init=bias_init(x.shape[-1]))(x)


def max_pool(x: jax.Array, size: int) -> jax.Array:
    """Maxima of consecutive windows of `size` positions, `(B, L, C)` to `(B, L // size, C)`; a rest is left out.

    The windows do not overlap, so this is a reshape, whose derivatives of every order stay elementwise.
    Where several positions share the maximum the gradient is divided evenly between them.
    """
    batch, length, channels = x.shape
    windows = length // size
    return jnp.max(x[:, : windows * size].reshape(batch, windows, size, channels), axis=2)
