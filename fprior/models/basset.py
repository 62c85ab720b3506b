"""Basset: is a sequence accessible, in each of many cell types."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.models.layers import BatchNorm, Conv, Dense, max_pool


class BassetModel(nn.Module):
    """Three valid convolutions, each with a max pool, and two wide dense layers to one logit a task.

        convolution → batch norm → ReLU → max pool → dropout   for each of `filters`
        dense → batch norm → ReLU → dropout                    for each of `dense_sizes`

    With the paper's sizes 600 bases become 582, 194, 184, 46, 40 and 10 positions, and 2,000 inputs of the first dense
    layer. The paper drops out hidden dense units alone. It trains with RMSprop and rescales weight vectors that grow
    longer than 7, which is no part of the model and not done here. Variables are in the collections `params` and
    `batch_stats`.

    Attributes:
      num_tasks: T, the number of logits; 164 cell types in the paper.
      filters: filters of each convolution.
      widths: kernel width of each convolution, as many as `filters`.
      pool_sizes: width and stride of each max pool, as many as `filters`; what the last window does not fill is left
        out.
      dense_sizes: units of each dense layer.
      conv_dropout: dropout rate after each max pool.
      dense_dropout: dropout rate after each dense layer.
      dtype: in which convolutions, activations and hidden dense layers are computed, such as `jnp.bfloat16`; None
        is x's own. Parameters, batch statistics and the logits stay as they are.

    Source: Kelley, Snoek and Rinn, Genome Research 2016, with the sizes of the model they published.
    """

    num_tasks: int = 1
    filters: Sequence[int] = (300, 200, 200)
    widths: Sequence[int] = (19, 11, 7)
    pool_sizes: Sequence[int] = (3, 4, 4)
    dense_sizes: Sequence[int] = (1000, 1000)
    conv_dropout: float = 0.0
    dense_dropout: float = 0.3
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `(B, T)` of one-hot x `(B, L, 4)`.

        train=True normalises by the batch's statistics, updates the running ones (make `batch_stats` mutable) and
        draws dropout from the rng stream `dropout`.

        Raises:
          ValueError: L is too short to fill one window of every max pool.
        """
        shortest = self.shortest_input()
        if x.shape[1] < shortest:
            raise ValueError(f"x has length {x.shape[1]}; these widths and pool_sizes need at least {shortest}")
        if self.dtype is not None:
            x = x.astype(self.dtype)
        for filters, width, pool_size in zip(self.filters, self.widths, self.pool_sizes, strict=True):
            x = max_pool(nn.relu(BatchNorm()(Conv(filters, width)(x), train=train)), pool_size)
            x = nn.Dropout(self.conv_dropout, deterministic=not train)(x)
        x = x.reshape(x.shape[0], -1)
        for size in self.dense_sizes:
            x = nn.relu(BatchNorm()(Dense(size)(x), train=train))
            x = nn.Dropout(self.dense_dropout, deterministic=not train)(x)
        return Dense(self.num_tasks, name="logits")(x.astype(jnp.promote_types(x.dtype, jnp.float32)))

    def shortest_input(self) -> int:
        """The shortest input, in bases, that fills one window of every max pool."""
        length = 1
        for width, pool_size in zip(reversed(self.widths), reversed(self.pool_sizes), strict=True):
            length = length * pool_size + width - 1
        return length
