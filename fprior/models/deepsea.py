"""DeepSEA: which of many chromatin features a sequence has."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.models.layers import Conv, Dense, max_pool


class DeepSEAModel(nn.Module):
    """Three valid convolutions with max pools between them, and one wide dense layer to one logit a task.

        convolution → ReLU → max pool → dropout   for each of `filters` but the last
        convolution → ReLU → dropout → dense → ReLU

    With the paper's sizes 1,000 bases become 993, 248, 241, 60 and 53 positions, and 50,880 inputs of the dense layer.
    There is no batch norm: all variables are in the collection `params`. The paper's code replaces what ReLU cuts off
    by 1e-6 rather than 0. The paper trains by stochastic gradient descent with a penalty on the squared parameters
    (5e-7), one on the absolute outputs of the last layer (1e-8), and weight vectors no longer than 0.9; none of these
    is part of the model.

    Attributes:
      num_tasks: T, the number of logits; 919 chromatin features in the paper.
      filters: filters of each convolution.
      widths: kernel width of each convolution, as many as `filters`.
      pool_size: width and stride of the max pools; what the last window does not fill is left out.
      dense_size: units of the dense layer.
      conv_dropout: dropout rate after each max pool.
      dense_dropout: dropout rate of what the dense layer reads.
      dtype: in which convolutions, activations and the hidden dense layer are computed, such as `jnp.bfloat16`; None
        is x's own. Parameters and the logits stay as they are.

    Source: Zhou and Troyanskaya, Nature Methods 2015, supplementary note on the model's configuration.
    """

    num_tasks: int = 1
    filters: Sequence[int] = (320, 480, 960)
    widths: Sequence[int] = (8, 8, 8)
    pool_size: int = 4
    dense_size: int = 925
    conv_dropout: float = 0.2
    dense_dropout: float = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `(B, T)` of one-hot x `(B, L, 4)`; train=True draws dropout from the rng stream `dropout`.

        Raises:
          ValueError: L is too short for the convolutions and one window of every max pool.
        """
        shortest = self.shortest_input()
        if x.shape[1] < shortest:
            raise ValueError(f"x has length {x.shape[1]}; these widths and pool_size need at least {shortest}")
        if self.dtype is not None:
            x = x.astype(self.dtype)
        for i, (filters, width) in enumerate(zip(self.filters, self.widths, strict=True)):
            if i:
                x = nn.Dropout(self.conv_dropout, deterministic=not train)(max_pool(x, self.pool_size))
            x = nn.relu(Conv(filters, width)(x))
        x = nn.Dropout(self.dense_dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        x = nn.relu(Dense(self.dense_size)(x))
        return Dense(self.num_tasks, name="logits")(x.astype(jnp.promote_types(x.dtype, jnp.float32)))

    def shortest_input(self) -> int:
        """The shortest input, in bases, that leaves the last convolution one position."""
        length = self.widths[-1]
        for width in reversed(self.widths[:-1]):
            length = length * self.pool_size + width - 1
        return length
