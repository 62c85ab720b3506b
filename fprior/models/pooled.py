"""The model of the TAL–GATA simulation: convolutions whose outputs are averaged over the whole sequence."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fprior.models.layers import Conv


class PooledModel(nn.Module):
    """Valid convolutions with ReLU, global average pooling, one hidden dense layer, one logit a task.

    Layers are called Conv_0, Conv_1, …, Dense_0 and logits, so that rules of `deeplift` can name them.

    Attributes:
      num_tasks: T, the number of logits.
      filters: filters of each convolution.
      widths: kernel width of each convolution, as many as `filters`.
      dense_size: units of the hidden dense layer.
      dropout: rate of the dropout after it.

    Source: Shrikumar, Greenside and Kundaje, ICML 2017, appendix F.2.
    """

    num_tasks: int = 3
    filters: Sequence[int] = (50, 50)
    widths: Sequence[int] = (11, 11)
    dense_size: int = 50
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `(B, T)` of one-hot x `(B, L, 4)`; train=True draws dropout from the rng stream `dropout`.

        Raises:
          ValueError: L is too short for the convolutions.
        """
        shortest = self.shortest_input()
        if x.shape[1] < shortest:
            raise ValueError(f"x has length {x.shape[1]}; these widths need at least {shortest}")
        for filters, width in zip(self.filters, self.widths, strict=True):
            x = nn.relu(Conv(filters, width)(x))
        x = jnp.mean(x, axis=1)
        x = nn.relu(nn.Dense(self.dense_size)(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_tasks, name="logits")(x)

    def shortest_input(self) -> int:
        """The shortest input, in bases, that the convolutions fit into."""
        return 1 + sum(width - 1 for width in self.widths)
