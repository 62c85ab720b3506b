"""The README's code is run as it stands, in a training loop without Flax."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

README = Path(__file__).parent.parent / "README.md"


def readme_block() -> str:
    (block,) = re.findall(r"<!-- tested[^\n]*\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    return block


def logits_of(params, x):
    features = jax.nn.relu(
        jax.lax.conv_general_dilated(x, params["w"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    )
    return jnp.mean(features, axis=1) @ params["v"]


def squared_error(logits, y):
    return jnp.mean((logits - y) ** 2)


def test_the_penalty_in_somebody_elses_training_loop():
    namespace = {"jnp": jnp, "logits_of": logits_of, "your_loss": squared_error}
    exec(readme_block(), namespace)
    loss = namespace["loss"]
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.nn.one_hot(jax.random.randint(keys[0], (8, 60), 0, 4), 4)
    y = jax.random.normal(keys[1], (8,))
    params = {"w": jax.random.normal(keys[2], (7, 4, 5)), "v": jax.random.normal(keys[3], (5,))}
    task_alone = jax.grad(lambda p: squared_error(logits_of(p, x), y))(params)
    with_penalty = jax.grad(loss)(params, x, y)
    assert not np.allclose(task_alone["w"], with_penalty["w"])
    optimizer = optax.adam(1e-2)
    state, step = optimizer.init(params), jax.jit(jax.value_and_grad(loss))
    losses = []
    for _ in range(20):
        value, gradients = step(params, x, y)
        updates, state = optimizer.update(gradients, state)
        params = optax.apply_updates(params, updates)
        losses.append(float(value))
    assert losses[-1] < losses[0] and np.all(np.isfinite(losses))


def test_the_example_is_as_short_as_it_says():
    body = readme_block().split("\n\n", 1)[1].strip().splitlines()
    assert len(body) == 5
