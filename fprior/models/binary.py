"""The binary model: is a sequence bound or not, for each of several tasks."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.models.layers import BatchNorm, Conv, Dense, max_pool


class BinaryModel(nn.Module):
    """Three valid convolutions, a wide max pool and two dense layers to one logit a task.

    Every hidden layer is convolution (or dense) → ReLU → batch norm → dropout. Variables are in the collections
    `params` and `batch_stats`.

    Attributes:
      num_tasks: T, the number of logits.
      filters: filters of each convolution.
      widths: kernel width of each convolution, as many as `filters`.
      pool_size: width and stride of the max pool; what the last window does not fill is left out.
      dense_sizes: units of each dense layer.
      conv_dropout: dropout rate after each convolution.
      dense_dropout: dropout rate after each dense layer.
      dtype: in which convolutions, activations and hidden dense layers are computed, such as `jnp.bfloat16`; None
        is x's own. Parameters, batch statistics and the logits stay as they are.

    Source: Tseng et al. 2020, supplementary methods 2.1.
    """

    num_tasks: int = 1
    filters: Sequence[int] = (64, 64, 64)
    widths: Sequence[int] = (15, 15, 13)
    pool_size: int = 40
    dense_sizes: Sequence[int] = (50, 15)
    conv_dropout: float = 0.0
    dense_dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `(B, T)` of one-hot x `(B, L, 4)`.

        train=True normalises by the batch's statistics, updates the running ones (make `batch_stats` mutable) and
        draws dropout from the rng stream `dropout`.

        Raises:
          ValueError: L is too short for the convolutions and one pool window.
        """
        shortest = self.shortest_input()
        if x.shape[1] < shortest:
            raise ValueError(f"x has length {x.shape[1]}; these widths and pool_size need at least {shortest}")
        if self.dtype is not None:
            x = x.astype(self.dtype)
        for filters, width in zip(self.filters, self.widths, strict=True):
            x = self._normalise(nn.relu(self._convolve(x, filters, width)), self.conv_dropout, train)
        x = max_pool(x, self.pool_size)
        x = x.reshape(x.shape[0], -1)
        for size in self.dense_sizes:
            x = self._normalise(nn.relu(Dense(size)(x)), self.dense_dropout, train)
        return Dense(self.num_tasks, name="logits")(x.astype(jnp.promote_types(x.dtype, jnp.float32)))

    def shortest_input(self) -> int:
        """The shortest input, in bases, that fills one pool window."""
        return self.pool_size + sum(width - 1 for width in self.widths)

    def _convolve(self, x: jax.Array, filters: int, width: int) -> jax.Array:
        return Conv(filters, width)(x)

    def _normalise(self, x: jax.Array, dropout: float, train: bool) -> jax.Array:
        return nn.Dropout(dropout, deterministic=not train)(BatchNorm()(x, train=train))
