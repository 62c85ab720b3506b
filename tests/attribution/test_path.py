"""Integrated, expected, smooth and guided gradients: known answers, axioms, composition."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.attribution import expected_gradients, guided_backprop, integrated_gradients, smooth_grad
from fprior.models import BinaryModel

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
X = jnp.asarray(RNG.normal(size=(3, 5, 2)), jnp.float32)
REFERENCE = jnp.asarray(RNG.normal(size=(3, 5, 2)), jnp.float32)
W1 = jnp.asarray(RNG.normal(size=(10, 7)), jnp.float32)
W2 = jnp.asarray(RNG.normal(size=7), jnp.float32)


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def flat(x):
    return x.reshape(len(x), math.prod(x.shape[1:]))


def linear(x):
    return flat(x) @ W1[:, 0]


def squares(x):
    return jnp.sum(flat(x) ** 2 * W1[:, 0], axis=1)


def smooth(x, w=W1):
    return jnp.tanh(flat(x) @ w / 3) @ W2


def network(x, w=W1, relu=jax.nn.relu):
    return relu(relu(flat(x) @ w) @ (w.T @ w) - 1) @ W2


METHODS = {
    "integrated": lambda f, x, **how: integrated_gradients(f, x, 0.5, steps=8, **how),
    "expected": lambda f, x, **how: expected_gradients(f, x, REFERENCE[:2], key=KEY, samples=4, **how),
    "smooth": lambda f, x, **how: smooth_grad(f, x, key=KEY, samples=4, noise=0.3, **how),
    "guided": guided_backprop,
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
path_methods = pytest.mark.parametrize("method", list(METHODS.values())[:3], ids=list(METHODS)[:3])


# ---- all of them


@methods
def test_shape_and_dtype(method):
    for dtype in (jnp.bfloat16, jnp.float32):
        for x in (X.astype(dtype), X[:0].astype(dtype), np.asarray(X.astype(dtype))):
            attribution = jax.eval_shape(lambda: method(lambda x: network(x.astype(jnp.float32)), x))  # noqa: B023
            assert attribution.shape == x.shape and attribution.dtype == dtype


@methods
def test_arguments_are_checked(method):
    with pytest.raises(TypeError, match=r"x \(int32\) must be floating .*astype\(jnp.float32\)"):
        method(network, jnp.ones((3, 5, 2), int))
    for wrong in (lambda x: jnp.sum(network(x)), lambda x: network(x)[:, None], lambda x: jnp.zeros(2)):
        with pytest.raises(ValueError, match=r"f returned shape .* one scalar an example, \(3,\): select or sum"):
            jax.eval_shape(lambda: method(wrong, X))  # noqa: B023


@methods
def test_compiles_and_maps(method):
    close(jax.jit(lambda x: method(network, x))(X), method(network, X))

    @jax.jit
    def mapped(xs, scales):
        over_x = jax.vmap(lambda x: method(network, x))(xs)
        over_w = jax.vmap(lambda scale: method(lambda x: network(x, scale * W1), X))(scales)
        one_by_one = [method(network, x) for x in xs], [method(lambda x, s=s: network(x, s * W1), X) for s in scales]
        return (over_x, over_w), one_by_one

    (over_x, over_w), (each_x, each_w) = mapped(jnp.stack([X, 2 * X]), jnp.array([0.5, 2.0]))
    close(over_x, jnp.stack(each_x))
    close(over_w, jnp.stack(each_w), 1e-4)


@methods
def test_derivative_with_respect_to_what_f_closes_over(method):
    """Forward and reverse mode agree with differences along a direction, as a prior on the attribution needs."""
    direction = jnp.asarray(RNG.normal(size=W1.shape), jnp.float32)

    @jax.jit
    def penalty(w):
        return jnp.sum(method(lambda x: network(x, w, relu=lambda z: jnp.maximum(jnp.tanh(z), 0)), X) ** 2)

    forward = jax.jit(lambda w, d: jax.jvp(penalty, (w,), (d,))[1])(W1, direction)
    step = 1e-3
    difference = (penalty(W1 + step * direction) - penalty(W1 - step * direction)) / (2 * step)
    close(forward, difference, 2e-2)
    close(jnp.vdot(jax.jit(jax.grad(penalty))(W1), direction), forward, 1e-4)
    assert abs(forward) > 0.1


@path_methods
def test_times_input_is_optional_and_an_example_does_not_depend_on_its_batch(method):
    close(method(linear, X, times_input=False), jnp.broadcast_to(W1[:, 0].reshape(5, 2), X.shape))
    broken = X.at[2].set(jnp.nan)
    both = [method(network, x) for x in (X, broken)]
    close(both[0][:2], both[1][:2])


# ---- integrated gradients


def test_integrated_gradients_known_answers():
    close(integrated_gradients(linear, X, REFERENCE, steps=1), (X - REFERENCE) * W1[:, 0].reshape(5, 2))
    # Midpoints are exact for squares: w·(x² − r²).
    close(integrated_gradients(squares, X, REFERENCE, steps=3), (X**2 - REFERENCE**2) * W1[:, 0].reshape(5, 2))
    close(integrated_gradients(squares, X, 0.0, steps=3, times_input=False), X * W1[:, 0].reshape(5, 2))
    # A product shares its change equally when the reference is zero.
    product = integrated_gradients(lambda x: x[:, 0] * x[:, 1], jnp.array([[3.0, 4.0]]), 0.0, steps=2)
    close(product, [[6.0, 6.0]])


def test_integrated_gradients_are_complete():
    for f, tolerance in ((smooth, 1e-4), (network, 0.05)):
        change = f(X) - f(REFERENCE)
        attribution, error = integrated_gradients(f, X, REFERENCE, steps=100, return_completeness=True)
        close(jnp.sum(attribution, (1, 2)) - change, error, 1e-4)
        assert jnp.max(jnp.abs(error)) < tolerance * jnp.max(jnp.abs(change))
        average, same = integrated_gradients(f, X, REFERENCE, steps=100, times_input=False, return_completeness=True)
        close(average * (X - REFERENCE), attribution)
        close(same, error)
        _, coarse = integrated_gradients(f, X, REFERENCE, steps=2, return_completeness=True)
        assert jnp.max(jnp.abs(coarse)) > 5 * jnp.max(jnp.abs(error))


def test_reference_broadcasts():
    compiled = jax.jit(lambda reference: integrated_gradients(smooth, X, reference, steps=4))
    for reference in (REFERENCE[0], REFERENCE[0, 0], REFERENCE[:1], np.float64(0.25)):
        close(compiled(reference), compiled(jnp.broadcast_to(jnp.asarray(reference, jnp.float32), X.shape)))
    for wrong in (REFERENCE[:2], REFERENCE[None]):
        with pytest.raises(ValueError, match=r"reference \(shape .*\) must broadcast to x \(shape \(3, 5, 2\)\)"):
            integrated_gradients(smooth, X, wrong)
    with pytest.raises(ValueError, match=r"steps \(=0\) must be at least 1"):
        integrated_gradients(smooth, X, 0.0, steps=0)


# ---- expected gradients


def test_expected_gradients_converge_to_the_mean_of_integrated_gradients():
    own = jnp.stack([REFERENCE, REFERENCE[::-1]], axis=1)  # (B, R, …)

    @jax.jit
    def both():
        along = lambda reference: integrated_gradients(smooth, X, reference, steps=200)  # noqa: E731
        shared = jnp.mean(jax.vmap(along)(REFERENCE), axis=0)
        each = jnp.mean(jax.vmap(along, 1)(own), axis=0)
        drawn = [expected_gradients(smooth, X, references, key=KEY, samples=6000) for references in (REFERENCE, own)]
        return drawn, (shared, each)

    drawn, expected = both()
    close(drawn[0], expected[0], 0.01)
    close(drawn[1], expected[1], 0.01)
    assert np.max(np.abs(expected[0] - expected[1])) > 0.1


def test_every_reference_comes_up_equally_often():
    """A linear function's attribution is its weights times x less the mean of the references, if all are used."""
    weights = W1[:, 0].reshape(5, 2)
    drawn = expected_gradients(linear, X, REFERENCE, key=KEY, samples=6)
    close(drawn, (X - jnp.mean(REFERENCE, axis=0)) * weights)
    one = expected_gradients(linear, X, REFERENCE, key=KEY, samples=1) / weights
    assert not np.allclose(one, X - jnp.mean(REFERENCE, axis=0))
    for example, attribution in enumerate(one):
        assert any(np.allclose(attribution, X[example] - reference, atol=1e-5) for reference in REFERENCE)
    draw = jax.jit(lambda key: expected_gradients(smooth, X, REFERENCE, key=key, samples=3))
    assert jnp.any(jnp.abs(draw(KEY) - draw(jax.random.key(1))) > 1e-3)


def test_references_are_checked():
    for wrong in (REFERENCE[0], REFERENCE[:, :4], REFERENCE[None], REFERENCE[:0], jnp.zeros((3, 0, 5, 2))):
        with pytest.raises(ValueError, match=r"references \(shape .*\) must be \(R, …\) or \(B, R, …\)"):
            expected_gradients(smooth, X, wrong, key=KEY, samples=2)
    with pytest.raises(ValueError, match=r"samples \(=0\) must be at least 1"):
        expected_gradients(smooth, X, REFERENCE, key=KEY, samples=0)


# ---- smooth gradients


def test_smooth_grad_known_answers():
    weights = W1[:, 0].reshape(5, 2)
    close(smooth_grad(linear, X, key=KEY, samples=2, noise=9.0), X * weights)
    plain = jax.grad(lambda x: jnp.sum(smooth(x)))(X)
    close(smooth_grad(smooth, X, key=KEY, samples=3, noise=0.0), plain * X)
    # E (x + ε)³′ = 3 x² + 3 σ²
    cubes = jax.jit(lambda x: smooth_grad(lambda x: x**3, x, key=KEY, samples=1, noise=0.5, times_input=False))
    drawn = cubes(jnp.full(20_000, 2.0))
    close(jnp.mean(drawn), 12.75, 0.01)
    assert jnp.std(drawn) > 1
    many = smooth_grad(lambda x: x**3, jnp.full(20, 2.0), key=KEY, samples=1000, noise=0.5, times_input=False)
    close(many, 12.75, 0.05)
    with pytest.raises(ValueError, match=r"samples \(=0\) must be at least 1"):
        smooth_grad(smooth, X, key=KEY, samples=0, noise=1.0)


# ---- guided backprop


def guided_by_hand(x, w=W1):
    """Of `network`, by the rule."""
    first = flat(x) @ w
    second = jax.nn.relu(first) @ (w.T @ w) - 1
    ct = jnp.broadcast_to(W2, second.shape)
    ct = jnp.where((second > 0) & (ct > 0), ct, 0) @ (w.T @ w)
    return (jnp.where((first > 0) & (ct > 0), ct, 0) @ w.T).reshape(x.shape)


RELUS = {
    "jax.nn": jax.nn.relu,
    "maximum": lambda z: jnp.maximum(z, 0),
    "maximum, zero first": lambda z: jnp.maximum(0.0, z),
    "zeros_like": lambda z: jnp.maximum(z, jnp.zeros_like(z)),
    "clip": lambda z: jnp.clip(z, 0),
    "where": lambda z: jnp.where(z > 0, z, 0),
    "where, turned": lambda z: jnp.where(0 <= z, z, jnp.zeros_like(z)),
    "where not": lambda z: jnp.where(z < 0, 0, z),
    "where not, turned": lambda z: jnp.where(0 >= z, 0, z),
    "mask": lambda z: z * (z > 0),
    "mask first": lambda z: (z > 0) * z,
    "relu6": lambda z: 1e3 * jax.nn.relu6(z / 1e3),
    "jit": jax.jit(jax.nn.relu),
    "checkpoint": jax.checkpoint(lambda z: jnp.maximum(z, 0) * 1.0),
    "vmap": jax.vmap(jax.nn.relu),
    "cond": lambda z: jax.lax.cond(z[0, 0] > 1e3, jnp.sin, jax.nn.relu, z),
    "scan": lambda z: jax.lax.scan(lambda zero, row: (zero, jnp.maximum(row, 0)), jnp.zeros(()), z)[1],
    "scan over a carry": lambda z: jax.lax.fori_loop(0, 1, lambda i, z: jax.nn.relu(z), z),
    "map": lambda z: jax.lax.map(jax.nn.relu, z),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_guided_backprop_in_every_way_to_write_it(relu):
    attribution = jax.jit(lambda x: guided_backprop(lambda x: network(x, relu=relu), x, times_input=False))(X)
    close(attribution, guided_by_hand(X), 1e-4)


def test_guided_backprop_is_not_the_gradient():
    """So that a ReLU missed above would show."""
    assert jnp.max(jnp.abs(guided_by_hand(X) - jax.grad(lambda x: jnp.sum(network(x)))(X))) > 1


def test_guided_backprop_at_zero_and_of_the_input():
    x = jnp.array([[-1.0, 0.0, 2.0]])
    signs = jnp.array([1.0, 1.0, -1.0])
    for sign in (1, -1):
        attribution = guided_backprop(lambda x, s=sign: jax.nn.relu(x) @ (s * signs), x, times_input=False)
        close(attribution, [[0, 0, 0 if sign == 1 else 1]])
    close(guided_backprop(lambda x: jnp.sum(jax.nn.relu(x), 1), x), [[0, 0, 2]])


def test_what_is_no_relu_keeps_its_derivative():
    """Next to a ReLU, of which the function must have one."""

    x = X[:, 0] + 0.3
    own = guided_backprop(lambda x: jax.nn.relu(flat(x) @ W2[:2]), x, times_input=False)

    def check(g):
        @jax.jit
        def both(x):
            f = lambda x: -jnp.sum(g(flat(x)), 1) + jax.nn.relu(flat(x) @ W2[:2])  # noqa: E731
            return guided_backprop(f, x, times_input=False), jax.grad(lambda x: -jnp.sum(g(flat(x))))(x)

        attribution, gradient = both(x)
        close(attribution, gradient + own)
        assert jnp.min(gradient) < -0.1

    check(jax.nn.softplus)
    check(jax.nn.gelu)
    check(jax.nn.leaky_relu)
    check(jax.nn.elu)
    check(jnp.abs)
    check(lambda z: jnp.maximum(z, 1e-3))
    check(lambda z: jnp.maximum(z, z[:, ::-1]))
    check(lambda z: jnp.where(z[:, ::-1] > 0, z, 0))
    check(lambda z: jnp.where(z > 0, z, 0.1))
    check(lambda z: jnp.where(z < 0, z, 0))
    check(lambda z: z * (z < 0))
    check(lambda z: jnp.take(z, jnp.maximum(jnp.argmax(z, 1), 0), axis=1))

    @jax.custom_vjp
    def doubled(z):
        return jnp.maximum(z, 0)

    doubled.defvjp(lambda z: (jnp.maximum(z, 0), None), lambda _, ct: (2 * ct,))
    check(doubled)


def test_guided_backprop_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"f has no ReLU.*input_gradient"):
        guided_backprop(smooth, X)

    def looped(x):
        return jax.lax.while_loop(lambda z: jnp.sum(z) > 1e9, jax.nn.relu, flat(x)) @ W1[:, 0]

    with pytest.raises(NotImplementedError, match=r"f has a ReLU inside the operation 'while'"):
        guided_backprop(looped, X)


def test_guided_backprop_of_a_linen_model(monkeypatch):
    """With the ReLU of the model exchanged for one with the other rule, its plain gradient is the answer."""
    model = BinaryModel(filters=(4, 3), widths=(5, 3), pool_size=4, dense_sizes=(5,))
    x = jnp.asarray(np.eye(4, dtype=np.float32)[RNG.integers(0, 4, (3, 18))])
    variables = jax.jit(model.init)(KEY, x)

    def f(x):
        return model.apply(variables, x)[:, 0]

    @jax.custom_vjp
    def other(z):
        return jnp.maximum(z, 0)

    other.defvjp(lambda z: (jnp.maximum(z, 0), z), lambda z, ct: (ct * (z > 0) * (ct > 0),))
    attribution = jax.jit(lambda x: guided_backprop(f, x))(x)
    plain = jax.jit(jax.grad(lambda x: jnp.sum(f(x))))(x) * x
    monkeypatch.setattr(nn, "relu", other)
    expected = jax.jit(jax.grad(lambda x: jnp.sum(f(x))))(x) * x
    close(attribution, expected, 1e-6)
    assert jnp.max(jnp.abs(plain - expected)) > 1e-4
