"""The closed convolution: its definition, its derivatives of every order, and the transformations it lives under."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from fprior.conv import conv, forward_p, input_gradient_p, weight_gradient_p

# batch, length, channels, filters, width, dilation, padding
CASES = [
    (2, 9, 3, 2, 3, 1, "valid"),
    (1, 10, 2, 2, 5, 2, "same"),  # a batch of one
    (2, 11, 2, 2, 4, 3, "same"),  # an odd reach: one zero more after the end than before the start
    (2, 9, 1, 2, 3, 4, "valid"),  # an output of length one
    (2, 5, 2, 3, 1, 1, "same"),  # width one
    (2, 3, 2, 2, 4, 2, "same"),  # a reach beyond the input
]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def arrays(case, seed=0, dtype=np.float64):
    batch, length, channels, filters, width, _, _ = case
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(batch, length, channels)), rng.normal(size=(width, channels, filters))
    return jnp.asarray(x, dtype), jnp.asarray(w, dtype)


def ours(case):
    return lambda x, w: conv(x, w, dilation=case[5], padding=case[6])


def xla(case):
    def plain(x, w):
        how = {"rhs_dilation": (case[5],), "dimension_numbers": ("NWC", "WIO", "NWC")}
        return lax.conv_general_dilated(x, w, (1,), case[6].upper(), **how)

    return plain


def close(a, b, tolerance=1e-10):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), a, b)


def bent(f):
    """A scalar whose derivatives of every order in x and w are non-zero."""
    return lambda x, w: jnp.sum(jnp.sin(f(x, w)))


def derivatives(f, seed=7):
    """The value, and the first, second, third derivatives in (x, w), contracted with fixed random directions.

    Each derivative is with respect to both arguments at once, so the contractions hold every mixed one.
    """

    def contracted(g):
        def scalar(x, w):
            rng = np.random.default_rng(seed)
            return sum(jnp.sum(part * rng.normal(size=part.shape)) for part in g(x, w))

        return scalar

    first = jax.grad(bent(f), (0, 1))
    second = jax.grad(contracted(first), (0, 1))
    third = jax.grad(contracted(second), (0, 1))
    return jax.jit(lambda x, w: (f(x, w), first(x, w), second(x, w), third(x, w)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_xla_up_to_the_third_derivative(case):
    x, w = arrays(case)
    close(derivatives(ours(case))(x, w), derivatives(xla(case))(x, w), 1e-9)


def test_mixed_derivatives_one_by_one():
    case = CASES[1]
    x, w = arrays(case)

    def every_mixture(f):
        loss = bent(f)

        def second_of(i, j):
            inner = jax.grad(loss, i)
            return jax.grad(lambda x, w: jnp.sum(inner(x, w) ** 3), j)

        return jax.jit(lambda x, w: [second_of(i, j)(x, w) for i in (0, 1) for j in (0, 1)])

    close(every_mixture(ours(case))(x, w), every_mixture(xla(case))(x, w), 1e-9)


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_definition(dilation, padding):
    """The formula of the docstring, term by term; even and odd widths."""
    for width in (2, 3):
        case = (2, 9, 2, 3, width, dilation, padding)
        x, w = (np.asarray(a) for a in arrays(case))
        reach = (width - 1) * dilation
        low = reach // 2 if padding == "same" else 0
        length = 9 if padding == "same" else 9 - reach
        y = np.zeros((2, length, 3))
        for position in range(length):
            for k in range(width):
                source = position + k * dilation - low
                if 0 <= source < 9:
                    y[:, position] += x[:, source] @ w[k]
        close(conv(jnp.asarray(x), jnp.asarray(w), dilation=dilation, padding=padding), y)


@pytest.mark.parametrize("case", [CASES[1], CASES[2], CASES[3]], ids=str)
def test_three_contractions_of_one_trilinear_form(case):
    """<F(x, w), y> = <x, I(y, w)> = <w, W(x, y)>."""
    x, w = arrays(case)
    reach = (case[4] - 1) * case[5]
    how = {"dilation": case[5], "pads": (reach // 2, reach - reach // 2) if case[6] == "same" else (0, 0)}
    forward = forward_p.bind(x, w, **how)
    close(forward, ours(case)(x, w))
    y = jnp.asarray(np.random.default_rng(1).normal(size=forward.shape))
    form = jnp.vdot(forward, y)
    backward, of_weights = input_gradient_p.bind(y, w, **how), weight_gradient_p.bind(x, y, **how)
    assert backward.shape == x.shape and of_weights.shape == w.shape
    close([jnp.vdot(x, backward), jnp.vdot(w, of_weights)], [form, form])


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_numerical_derivatives_to_third_order(mode):
    case = (1, 4, 1, 2, 2, 2, "same")
    check_grads(jax.jit(ours(case)), arrays(case), order=3, modes=[mode], atol=1e-4, rtol=1e-4)


def test_weight_gradient_in_pieces_of_the_batch():
    """Large inputs are taken piece by piece on a CPU; here in two pieces that are not alike."""
    batch, length, channels = 41, 900, 128
    with jax.enable_x64(False):
        x, w = arrays((batch, length, channels, 2, 3, 2, "same"), dtype=np.float32)
        y = jnp.asarray(np.random.default_rng(1).normal(size=(batch, length, 2)), jnp.float32)
        found = jax.jit(jax.grad(lambda w: jnp.vdot(conv(x, w, dilation=2, padding="same"), y)))(w)
    padded = np.pad(x.astype(np.float64), ((0, 0), (2, 2), (0, 0)))
    expected = [np.einsum("blc,blo->co", padded[:, 2 * k :][:, :length], y) for k in range(3)]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5 * np.max(np.abs(expected)))


def test_linear_in_both_arguments():
    case = CASES[2]
    f = jax.jit(ours(case))
    (x, w), (u, v) = arrays(case), arrays(case, seed=1)
    close(f(2 * x - 3 * u, w), 2 * f(x, w) - 3 * f(u, w))
    close(f(x, 2 * w - 3 * v), 2 * f(x, w) - 3 * f(x, v))
    close(jax.linear_transpose(lambda x: f(x, w), x)(f(u, w))[0], jax.vjp(lambda x: f(x, w), u)[1](f(u, w))[0])


def test_forward_mode_and_what_is_built_on_it():
    case = (2, 6, 2, 2, 3, 2, "same")
    (x, w), directions = arrays(case), arrays(case, seed=1)
    f, plain = ours(case), xla(case)

    def forward_mode(f):
        tangent = jax.linearize(f, x, w)[1](*directions)
        hessians = [jax.hessian(bent(f), i)(x, w) for i in (0, 1)]
        return jax.jvp(f, (x, w), directions), tangent, hessians, jax.jacfwd(jax.jacrev(bent(f), 1), 0)(x, w)

    close(jax.jit(lambda: forward_mode(f))(), jax.jit(lambda: forward_mode(plain))())


def test_rematerialisation_jit_and_eager_agree():
    case = CASES[0]
    x, w = arrays(case)
    gradient = jax.grad(bent(ours(case)), (0, 1))
    close(jax.grad(bent(jax.checkpoint(ours(case))), (0, 1))(x, w), gradient(x, w))
    close(jax.jit(gradient)(x, w), gradient(x, w))
    close(jax.jit(ours(case))(x, w), ours(case)(x, w))
    with jax.disable_jit():
        close(ours(case)(x, w), xla(case)(x, w))


@pytest.mark.parametrize(
    ("axes", "out_axis"),
    [((2, None), 1), ((None, 3), 2), ((0, 0), 0), ((1, 2), 3)],
    ids=str,
)
def test_vmap(axes, out_axis):
    """Of the value, both gradients and a second derivative; a loop over the mapped axis is the definition."""
    case = (2, 6, 2, 2, 3, 2, "same")
    x, w = arrays(case)
    many = 3
    rng = np.random.default_rng(3)
    mapped = [
        a if axis is None else jnp.asarray(np.moveaxis(rng.normal(size=(many, *a.shape)), 0, axis))
        for a, axis in zip((x, w), axes, strict=True)
    ]
    loss = bent(ours(case))

    def several(x, w):
        second = jax.grad(lambda w: jnp.sum(jax.grad(loss, 0)(x, w) ** 2))(w)
        return ours(case)(x, w), *jax.grad(loss, (0, 1))(x, w), second

    batched = jax.jit(jax.vmap(several, axes, (out_axis, 0, 0, 0)))(*mapped)
    one = jax.jit(several)
    for i in range(many):
        arguments = [a if axis is None else jnp.take(a, i, axis) for a, axis in zip(mapped, axes, strict=True)]
        close((jnp.take(batched[0], i, out_axis), *(b[i] for b in batched[1:])), one(*arguments))


def test_vmap_of_vmap():
    case = (1, 5, 2, 2, 2, 1, "valid")
    x, w = arrays(case)
    xs, ws = jnp.stack([x, 2 * x]), jnp.stack([w, -w, 3 * w])
    table = jax.vmap(jax.vmap(ours(case), (None, 0)), (0, None))(xs, ws)
    factors = jnp.outer(jnp.array([1, 2]), jnp.array([1, -1, 3]))
    close(table, factors[:, :, None, None, None] * ours(case)(x, w))


def test_shard_map_with_a_replicated_kernel():
    """Per-device data, one kernel: its gradient of first and second order is summed over devices by JAX itself.

    The output specification claims a replicated gradient, and `shard_map` refuses one that is not.
    """
    case = CASES[1]
    x, w = arrays(case)
    loss = bent(ours(case))

    def penalty(x, w):
        return jnp.sum(jax.grad(loss, 0)(x, w) ** 2)

    mesh = jax.make_mesh((1,), ("device",), axis_types=(AxisType.Auto,))
    rows, same = P("device"), P()
    gradients = [jax.grad(loss, 1), jax.grad(penalty, 1)]
    for gradient in gradients:
        sharded = jax.shard_map(gradient, mesh=mesh, in_specs=(rows, same), out_specs=same)
        close(jax.jit(sharded)(x, w), gradient(x, w))
    of_input = jax.shard_map(jax.grad(penalty, 0), mesh=mesh, in_specs=(rows, same), out_specs=rows)
    close(jax.jit(of_input)(x, w), jax.grad(penalty, 0)(x, w))
    values = jax.shard_map(ours(case), mesh=mesh, in_specs=(rows, same), out_specs=rows)
    close(jax.jit(values)(x, w), ours(case)(x, w))


def test_derivatives_never_leave_the_three_primitives():
    """XLA's own convolution appears nowhere in a traced derivative; its second derivative is what is slow."""
    case = CASES[0]
    x, w = arrays(case)

    def third(f):
        first = jax.grad(bent(f), 0)
        second = jax.grad(lambda x, w: jnp.sum(first(x, w) ** 2), 1)
        return jax.grad(lambda x, w: jnp.sum(second(x, w) ** 2), (0, 1))

    program = str(jax.make_jaxpr(third(ours(case)))(x, w))
    assert "conv_general_dilated" not in program
    names = {p.name for p in (forward_p, input_gradient_p, weight_gradient_p)}
    assert set(re.findall(r"\bconv_\w+", program)) == names
    assert "conv_general_dilated" in str(jax.make_jaxpr(third(xla(case)))(x, w))  # so the search can find it


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 3e-2)])
def test_lower_precision(dtype, tolerance):
    """The dtype stays, in values and derivatives, and they agree with those of float64."""
    case = (2, 9, 2, 2, 3, 2, "same")
    x, w = (a.astype(dtype) for a in arrays(case))

    def several(x, w):
        penalty = jax.grad(lambda x, w: jnp.sum(jax.grad(bent(ours(case)), 0)(x, w) ** 2), 1)
        return ours(case)(x, w), *jax.grad(bent(ours(case)), (0, 1))(x, w), penalty(x, w)

    low, double = jax.jit(several)(x, w), jax.jit(several)(x.astype(jnp.float64), w.astype(jnp.float64))
    for ours_, exact in zip(low, double, strict=True):
        assert ours_.dtype == dtype
        scale = np.max(np.abs(exact))
        np.testing.assert_allclose(np.asarray(ours_, np.float64), exact, rtol=0, atol=tolerance * scale)


X, W = jnp.zeros((2, 9, 3), jnp.float32), jnp.zeros((4, 3, 5), jnp.float32)


@pytest.mark.parametrize(
    ("x", "w", "how", "message"),
    [
        (X[0], W, {}, r"x \(shape \(9, 3\)\) must be \(B, L, C\)"),
        (X, W[0], {}, r"w \(shape \(3, 5\)\) must be \(K, C, O\)"),
        (X[..., :2], W, {}, r"x .* has 2 channels but w .* takes 3"),
        (X.astype(jnp.bfloat16), W, {}, r"x \(bfloat16\) and w \(float32\) must have one floating dtype"),
        (X.astype(jnp.int32), W.astype(jnp.int32), {}, r"x \(int32\) and w \(int32\)"),
        (X, W, {"dilation": 0}, r"dilation \(=0\) must be at least 1"),
        (X, W, {"padding": "SAME"}, r"padding \(='SAME'\) must be \"valid\" or \"same\""),
        (X, W, {"dilation": 3}, r"x \(length 9\) is shorter than the kernel's reach \(10 positions\)"),
    ],
)
def test_errors_name_the_argument(x, w, how, message):
    with pytest.raises(ValueError, match=message):
        conv(x, w, **how)


def test_the_shortest_input_that_fits():
    assert conv(X, W[:3], dilation=4).shape == (2, 1, 5)
    assert conv(X[:, :1], W, dilation=4, padding="same").shape == (2, 1, 5)
