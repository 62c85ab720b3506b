"""What training carries from step to step."""

from typing import Any

import flax
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


def init_state(
    model: Any,
    optimizer: optax.GradientTransformation,
    seed: int,
    input_length: int,
    control_shape: tuple[int, ...] | None = None,
) -> State:
    """The state before the first step; parameters are drawn from `seed`.

    `control_shape` is that of one example's controls, `(control sets, O, S)`, for a model that reads them.
    """
    inputs = [jnp.zeros((1, input_length, 4), jnp.float32)]
    if control_shape is not None:
        inputs.append(jnp.zeros((1, *control_shape), jnp.float32))
    variables = dict(jax.jit(model.init)(jax.random.key(seed), *inputs))
    params = variables.pop("params")
    return State(
        step=jnp.int32(0),
        seed=jnp.uint32(seed),
        params=params,
        statistics=variables,
        optimizer_state=optimizer.init(params),
    )
