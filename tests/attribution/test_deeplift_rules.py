"""DeepLIFT: which rule holds where, what is refused, and rules of the user's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deeplift_inputs import (
    KERNEL,
    RULES,
    SQUARE_KERNEL,
    B,
    L,
    Mark,
    R,
    X,
    close,
    crooked_softplus,
    initialised,
    normal,
    weighted_sum,
)
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from fprior import deeplift
from fprior.attribution import NoRuleError, deeplift_rules, register_rule
from fprior.conv import conv

# Which rule holds where.


class Block(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x):
        x = jnp.tanh(nn.Dense(self.size)(x))
        return self.after(x)

    def after(self, x):
        return nn.LayerNorm(use_fast_variance=False)(x)


class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Block(7)(x)
        x = Block(6)(x)
        x = nn.relu(nn.Dense(5)(x))
        with jax.named_scope("gate"):
            x = jnp.tanh(x @ jnp.eye(5, 3))
        return x.sum(-1)


@pytest.mark.parametrize(
    ("rule", "sizes"),
    [
        (lambda mark: mark, [7, 7, 1, 6, 6, 1, 5, 3]),  # tanh, square and rsqrt of a block, twice; relu, tanh
        (lambda mark: {"default": mark}, [7, 7, 1, 6, 6, 1, 5, 3]),
        (lambda mark: {"tanh": mark}, [7, 6, 3]),
        (lambda mark: {"max": mark, "rsqrt": mark}, [1, 1, 5]),
        (lambda mark: {"Dense_0": mark}, [7, 6, 5]),  # activations outside of it, on what it returns
        (lambda mark: {"Model/Dense_0": mark}, [7, 6, 5]),
        (lambda mark: {"Block_0": mark}, [7, 7, 1]),
        (lambda mark: {"Block_0/LayerNorm_0": mark}, [7, 1]),  # in the method `after`, which may be left out
        (lambda mark: {"gate": mark}, [3]),
        (lambda mark: {"Block_1": mark, "default": "rescale", "tanh": "reveal_cancel"}, [6, 6, 1]),
        (lambda mark: {"tanh": mark, "Block_1": "rescale"}, [7, 3]),
        (lambda mark: {"Block_1": mark, "Block_1/Dense_0": "rescale"}, [6, 1]),
        (lambda mark: {"Model": mark, "Dense_0": "rescale"}, [7, 1, 6, 1, 3]),  # as long, but further in
        (lambda mark: {"Model": "rescale", "default": mark}, []),
    ],
)
def test_which_rule_holds_where(rule, sizes):
    x, mark = normal(2, 4), Mark()
    jax.eval_shape(lambda x: deeplift(initialised(Model(), x), x, 0 * x, rule=rule(mark)), x)
    assert mark.sizes == sizes


def test_a_function_as_a_rule():
    x = normal(2, 4)
    apply = initialised(Model(), x)

    @jax.jit
    def of(x):
        marked = deeplift(apply, x, 0 * x, rule={"Block_0": Mark(), "max": Mark(), "tanh": Mark()})
        return marked, deeplift(apply, x, 0 * x), deeplift(apply, x, 0 * x, rule=lambda g, at, ref: 1 + 0 * at)

    marked, rescaled, other = of(x)
    close(marked, rescaled, 1e-5)
    assert np.max(np.abs(other - rescaled)) > 0.1


def test_scopes_under_transformations():
    def f(x):
        with jax.named_scope("outer"), jax.named_scope("inner"):
            return jnp.sum(jnp.tanh(x), -1)

    for g in (f, jax.vmap(f), jax.jit(jax.vmap(f)), jax.checkpoint(f)):
        for key in ("outer", "inner", "outer/inner"):
            mark = Mark()
            jax.eval_shape(lambda x, r: deeplift(g, x, r, rule={key: mark}), X[0], R[0])  # noqa: B023
            assert mark.sizes


def test_rules_of_one_walk():
    """RevealCancel after the dense layer and Rescale after the convolution, as two walks would do it."""
    weights = normal(6 * 5, 7)

    def f(x):
        with jax.named_scope("first"):
            x = nn.relu(conv(x, KERNEL))
        with jax.named_scope("second"):
            return jnp.sum(nn.relu(x.reshape(B, -1) @ weights - 1), 1)

    def half(x):
        return jnp.sum(nn.relu(x.reshape(B, -1) @ weights - 1), 1)

    x, ref = nn.relu(conv(X, KERNEL)), nn.relu(conv(R, KERNEL))

    def of(rule):
        return jax.jit(lambda x, r: deeplift(f, x, r, rule=rule))(X, R)

    of_half = jax.jit(lambda x, r: deeplift(half, x, r, rule="reveal_cancel", return_multipliers=True))(x, ref)
    mixed = of({"second": "reveal_cancel"})
    close(mixed, deeplift(lambda x: jnp.sum(nn.relu(conv(x, KERNEL)) * of_half, (1, 2)), X, R), 1e-5)
    close(mixed, of({"first": "rescale", "default": "reveal_cancel"}), 1e-5)
    assert all(np.max(np.abs(mixed - of(rule))) > 1e-2 for rule in RULES)


def test_reveal_cancel_takes_a_function_with_its_own_derivative_as_a_whole():
    x, ref = jnp.array([[3.0, -2.0]]), jnp.array([[0.0, 0.0]])
    f = lambda x: crooked_softplus(x[:, 0] + x[:, 1])  # noqa: E731
    g = lambda z: np.log1p(np.exp(z))  # noqa: E731
    expected = [[0.5 * (g(3) - g(0) + g(1) - g(-2)), 0.5 * (g(-2) - g(0) + g(1) - g(3))]]
    close(deeplift(f, x, ref, rule="reveal_cancel"), expected)
    assert np.max(np.abs(deeplift(f, x, ref, rule={"exp": "reveal_cancel"}) - np.asarray(expected))) > 0.01
    close(deeplift(f, x, ref, rule={"default": "reveal_cancel", "exp": "rescale"}).sum(), np.sum(expected))


@pytest.mark.parametrize("rule", ["rescal", {"default": "linear"}, {"tanh": None}, 3])
def test_unknown_rules_are_refused(rule):
    name = repr(next(iter(rule.values())) if isinstance(rule, dict) else rule)
    with pytest.raises(ValueError, match=rf"rule \(={name}\).*\"rescale\", \"reveal_cancel\" or a function"):
        deeplift(lambda x: jnp.sum(x, (1, 2)), X, R, rule=rule)


def test_keys_that_fit_nothing_are_refused():
    x = normal(2, 4)
    apply = initialised(Model(), x)
    for key in ("Dense_1", "Dense_0/Block_0", "tahn", "dot_general"):
        with pytest.raises(ValueError, match=rf"\['{key}'\], neither a non-linear .* nor a scope.*Model/Block_0"):
            jax.eval_shape(lambda x: deeplift(apply, x, 0 * x, rule={key: "rescale", "sin": "rescale"}), x)  # noqa: B023


# What is refused.


def chosen_by_index(x):
    return jnp.take_along_axis(x[..., 0], jnp.argmax(x[..., 1], 1)[:, None], 1)[:, 0]


@pytest.mark.parametrize(
    ("primitive", "f"),
    [
        ("sort", lambda x: jnp.sort(x[..., 0], 1)[:, 0]),
        ("top_k", lambda x: lax.top_k(x[..., 0], 2)[0][:, 0]),
        ("gather", lambda x: jnp.arange(9.0)[x[:, 0, 0].astype(jnp.int32)]),
        ("dynamic_slice", lambda x: lax.dynamic_slice(x, (0, x[0, 0, 0].astype(jnp.int32), 0), (B, 1, 1))[:, 0, 0]),
        ("lt", chosen_by_index),
        ("ge", lambda x: jnp.where(jnp.argmax(x[..., 0], 1) >= 2, 1.0, 0.0)),
        ("eq", lambda x: jnp.where(jnp.argmax(x[..., 0], 1) == 2, 1.0, 0.0)),
        ("add", lambda x: jnp.where(jnp.argmax(x[..., 0], 1)[:, None] + 1 == jnp.arange(L), 1.0, 0.0).sum(1)),
        ("eq", lambda x: jnp.where(jnp.argmax(x[..., 0], 1)[:, None] == jnp.arange(L)[::-1], 1.0, 0.0).sum(1)),
        ("convert_element_type", lambda x: jnp.argmax(x[..., 0], 1).astype(jnp.float32)),
        ("while", lambda x: lax.while_loop(lambda y: y[0] < 9, lambda y: y + 1, x[:, 0, 0])),
        ("cond", lambda x: lax.cond(x[0, 0, 0] > 0, jnp.sin, jnp.cos, x[:, 0, 0])),
        ("fft", lambda x: jnp.abs(jnp.fft.rfft(x[..., 0]))[:, 0]),
    ],
)
def test_operations_without_a_rule_are_refused(primitive, f):
    def scoped(x):
        with jax.named_scope("here"):
            return f(x)

    place = r"test_deeplift_rules.py:\d+.*, scope here"
    message = rf"primitive '{primitive}' .*{place}.*register_rule\('{primitive}', rule\)"
    with pytest.raises(NoRuleError, match=message):
        deeplift(scoped, X, R)


def test_steering_must_be_known():
    """A loop or branch that depends on a traced number, not on the input."""

    def of(number):
        def f(x):
            return lax.cond(number > 1, jnp.sin, jnp.cos, x)[:, 0, 0]

        return deeplift(f, X, R)

    assert of(2.0).shape == X.shape
    with pytest.raises(NoRuleError, match=r"'cond' whose branch is not known"):
        jax.jit(of)(2.0)


def test_wrong_arguments_are_refused():
    total = lambda x: jnp.sum(x, (1, 2))  # noqa: E731
    with pytest.raises(TypeError, match=r"x \(int8\) must be floating"):
        deeplift(total, X.astype(jnp.int8), R)
    with pytest.raises(ValueError, match=r"reference \(shape \(2, 8, 4\)\) does not broadcast to x \(shape \(3,"):
        deeplift(total, X, R[:2])
    for f in (jnp.sum, lambda x: x, lambda x: jnp.sum(x, (1, 2), keepdims=True), lambda x: (total(x), total(x))):
        with pytest.raises(ValueError, match=r"f returns .*one number for each example, \(3,\)"):
            deeplift(f, X, R)
    with pytest.raises(TypeError, match="f returns int32"):
        deeplift(lambda x: jnp.argmax(x[..., 0], 1), X, R)
    with pytest.raises(ValueError, match=r"rule \(='bilinear'\) must be \"elementwise\", \"linear\" or a function"):
        register_rule("sort", "bilinear")


# Rules of the user's own.


def primitive(name, function):
    made = Primitive(name)
    made.def_impl(function)
    made.def_abstract_eval(lambda *operands: jax.make_jaxpr(function)(*operands).out_avals[0])
    mlir.register_lowering(made, mlir.lower_fun(function, multiple_results=False))
    ad.primitive_jvps[made] = lambda primals, tangents: jax.jvp(function, primals, tangents)
    batching.primitive_batchers[made] = lambda arguments, axes: (function(*arguments), axes[0])
    return made


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(deeplift_rules, "_REGISTERED", {})


def test_registered_rules(registered):
    cube, mix = primitive("my_cube", lambda x: x**3), primitive("my_mix", lambda x, w: x @ w + 2)

    def f(x):
        return jnp.sum(cube.bind(mix.bind(x, KERNEL[0])), (1, 2))

    def plain(x):
        return jnp.sum((x @ KERNEL[0] + 2) ** 3, (1, 2))

    for name, rule in (("my_mix", "linear"), ("my_cube", "elementwise")):
        with pytest.raises(NoRuleError, match=name):
            deeplift(f, X, R)
        register_rule(name, rule)
    mark = Mark()

    @jax.jit
    def of(x, ref):
        errors = [deeplift(f, x, ref, rule=rule, return_completeness=True)[1] for rule in RULES]
        return errors, deeplift(f, x, ref), deeplift(plain, x, ref), deeplift(f, x, ref, rule={"my_cube": mark})

    errors, by_rule, by_power, by_mark = of(X, R)
    assert np.max(np.abs(errors)) <= 1e-5 * np.max(np.abs(plain(X)))
    close(by_rule, by_power, 1e-3)
    close(by_rule, by_mark, 1e-3)
    assert mark.sizes == [5]


@pytest.mark.parametrize("rule", RULES)
def test_registered_function(registered, rule):
    """Of sorting: each place moves with the element that stood there before. Not a good rule, but an exact one."""

    def sorting(function, values, references):
        (at,), (ref,) = values, references
        rest = function(at)[0] - function(ref)[0] - (at - ref)
        return lambda change: [change + rest * change / (at - ref)]

    def f(x):
        return weighted_sum(jnp.tanh(jnp.sort(x @ SQUARE_KERNEL[0], 1)))

    register_rule("sort", lambda function, values, references: None)
    register_rule("sort", sorting)  # the last one counts
    _, error = deeplift(f, X, R, rule=rule, return_completeness=True)
    assert np.max(np.abs(error)) <= 1e-5 * np.max(np.abs(f(X) - f(R)))
