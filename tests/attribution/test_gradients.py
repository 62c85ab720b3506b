"""Gradient attribution: closed forms, and how it composes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior import input_gradient
from fprior.models import BinaryModel
from fprior.objectives import summed_logits

X = jnp.array([[0.5, -1.0, 2.0], [3.0, 0.0, -0.25]])


def cubes(x):
    return jnp.sum(x**3)


def close(a, b, tolerance=1e-6):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_closed_forms():
    close(input_gradient(cubes, X, times_input=False), 3 * X**2)
    close(input_gradient(cubes, X), 3 * X**3)
    close(input_gradient(cubes, X, times_input=True), 3 * X**3)
    close(input_gradient(lambda x: jnp.sum(jnp.sin(x)), X), jnp.cos(X) * X)
    close(input_gradient(lambda x: jnp.float32(7), X), 0 * X)


def test_centred():
    """Less the mean over the last axis: hypothetical scores sum to 0, and what all bases share has no part in it."""
    gradient = np.asarray(3 * X**2)
    centred = gradient - gradient.mean(-1, keepdims=True)
    close(input_gradient(cubes, X, times_input=False, centred=True), centred)
    close(input_gradient(cubes, X, centred=True), centred * X)
    close(input_gradient(lambda x: (cubes(x), x), X, centred=True, has_aux=True)[0], centred * X)
    close(input_gradient(lambda x: cubes(x) + 5 * jnp.sum(x), X, centred=True), centred * X)
    close(input_gradient(lambda x: 5 * jnp.sum(x), X, centred=True), 0 * X)


def test_shape_and_dtype_are_those_of_the_input():
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        attribution = input_gradient(cubes, X.astype(dtype))
        assert attribution.dtype == dtype and attribution.shape == X.shape
    assert input_gradient(lambda x: x**2, jnp.float32(3)) == 18
    close(input_gradient(cubes, np.asarray(X)), 3 * X**3)


def test_summed_logits_gives_each_example_its_own_gradient():
    weights = jnp.array([[1.0, 2.0], [0.5, -1.0], [0.0, 4.0]])
    assert summed_logits(X @ weights) == jnp.sum(X @ weights)
    close(input_gradient(lambda x: summed_logits(x @ weights), X, times_input=False), [[3.0, -0.5, 4.0]] * 2)


def test_has_aux():
    def objective(x):
        squares = x**2
        return jnp.sum(squares * x), {"squares": squares}

    for times_input, expected in ((True, 3 * X**3), (False, 3 * X**2)):
        attribution, aux = input_gradient(objective, X, times_input=times_input, has_aux=True)
        close(attribution, expected)
        close(aux["squares"], X**2)
    traced = jax.jit(lambda x: input_gradient(objective, x, has_aux=True))(X)
    close(traced[0], 3 * X**3)
    close(traced[1]["squares"], X**2)


def test_integer_input_is_refused():
    for x in (np.eye(4, dtype=np.int8), np.eye(4, dtype=bool), jnp.arange(3)):
        with pytest.raises(TypeError, match=rf"x \({x.dtype}\) must be floating .*astype\(jnp.float32\)"):
            input_gradient(cubes, x)


def test_objective_must_be_scalar():
    for objective in (lambda x: x**3, lambda x: jnp.sum(x**3, -1), lambda x: jnp.sum(x, keepdims=True)):
        with pytest.raises(TypeError, match="scalar"):
            input_gradient(objective, X)


def test_composes_with_jit_vmap_and_grad():
    attribute = lambda x: input_gradient(cubes, x)  # noqa: E731
    close(jax.jit(attribute)(X), 3 * X**3)
    close(jax.vmap(attribute)(X), jnp.stack([attribute(x) for x in X]))
    close(jax.vmap(attribute, 1, 1)(X), 3 * X**3)
    close(jax.grad(lambda x: jnp.sum(attribute(x)))(X), 9 * X**2)
    close(jax.jvp(attribute, (X,), (X,))[1], 9 * X**3)
    close(input_gradient(lambda x: jnp.sum(attribute(x)), X), 9 * X**3)


def test_gradient_with_respect_to_what_the_objective_closes_over():
    """How a prior trains a model: of Σ a·x², the attribution is 2·a·x² and its sum of squares 4·a²·x⁴."""

    def penalty(a):
        return jnp.sum(input_gradient(lambda x: jnp.sum(a * x**2), X) ** 2)

    close(jax.grad(penalty)(1.5), 8 * 1.5 * jnp.sum(X**4), 1e-5)


@pytest.fixture(scope="module")
def network():
    model = BinaryModel(num_tasks=2, filters=(4, 3), widths=(5, 3), pool_size=4, dense_sizes=(5,))
    rng = np.random.default_rng(0)
    x = jnp.asarray(np.eye(4, dtype=np.float32)[rng.integers(0, 4, (3, 18))])
    variables = jax.jit(model.init)(jax.random.key(0), x)

    def attribute(x, train=False):
        def objective(x):
            if train:
                logits, _ = model.apply(variables, x, train=True, mutable=["batch_stats"])
                return jnp.sum(logits**2)
            return summed_logits(model.apply(variables, x))

        return input_gradient(objective, x, times_input=False)

    return jax.jit(attribute, static_argnames="train"), x


def test_an_example_does_not_depend_on_its_batch_in_evaluation(network):
    attribute, x = network
    together = attribute(x)
    assert np.all(np.any(together != 0, axis=(1, 2)))
    close(together, jnp.concatenate([attribute(row[None]) for row in x]), 1e-6)
    close(attribute(x[::-1]), together[::-1], 1e-6)
    broken = attribute(x.at[2].set(jnp.nan))
    close(broken[:2], together[:2], 1e-6)


def test_batch_statistics_mix_examples(network):
    """So the test above can fail."""
    attribute, x = network
    other = x.at[2].set(jnp.roll(x[2], 3, 0) * 2)
    assert np.max(np.abs(attribute(x, train=True)[0] - attribute(other, train=True)[0])) > 1e-5
