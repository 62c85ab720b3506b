"""What training carries from step to step."""

from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class State:
    """Everything the next step depends on, besides the data: a checkpoint of it resumes bit for bit.

    `step` int32 counts the updates made; `seed` uint32 keys every random number; `params` are learned;
    `statistics` are the model's other variable collections, such as `{"batch_stats": …}`.
    """

    step: jax.Array
    seed: jax.Array
    params: Any
    statistics: Any
    optimizer_state: Any


def init_state(model: nn.Module, optimizer: optax.GradientTransformation, seed: int, input_length: int) -> State:
    """The state before the first step; parameters are drawn from `seed`."""
    x = jnp.zeros((1, input_length, 4), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(seed), x)
    params = variables.pop("params")
    return State(
        step=jnp.int32(0),
        seed=jnp.uint32(seed),
        params=params,
        statistics=variables,
        optimizer_state=optimizer.init(params),
    )
