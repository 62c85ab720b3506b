"""DeepLIFT: summation to delta, worked numbers, independent implementations, how it composes, which rule holds."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from reference import load_reference

from fprior import deeplift
from fprior.attribution import NoRuleError, deeplift_rules, register_rule
from fprior.conv import conv
from fprior.models import BinaryModel, from_torch_state
from fprior.models.layers import BatchNorm, max_pool

RULES = ("rescale", "reveal_cancel")
B, L, C = 3, 8, 4
RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def close(a, b, tolerance=1e-6):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


X, R = normal(B, L, C), normal(B, L, C)
KERNEL, SQUARE_KERNEL, DENSE = normal(3, C, 5), normal(3, C, C), normal(L * C, 6)
GRID = normal(3, 3, 1, 2)


def weighted_sum(y):
    """One number for each example, in which no two elements have the same weight."""
    weights = np.cos(np.arange(y[0].size)).reshape(1, *y.shape[1:])
    return jnp.sum(y * jnp.asarray(weights, y.dtype), axis=tuple(range(1, y.ndim)))


def rounding(at, ref):
    """What the error of completeness may be: 1e-5 of the difference of the outputs, or of the larger output if that is
    more, as the outputs' own rounding is a share of the outputs."""
    return 1e-5 * np.maximum(np.abs(at - ref), np.maximum(np.abs(at), np.abs(ref)))


def initialised(module, *inputs, **options):
    """A Flax module with statistics and weights that are not the trivial ones, as a function."""
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **options))
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(1)
    variables = jax.tree.unflatten(tree, [jnp.asarray(rng.uniform(0.2, 1, leaf.shape), leaf.dtype) for leaf in leaves])
    variables = jax.tree.map(lambda a: a * jnp.asarray(np.sign(rng.normal(size=a.shape)), a.dtype), variables)
    if "batch_stats" in variables:
        statistics = variables["batch_stats"]
        variables["batch_stats"] = jax.tree.map_with_path(
            lambda path, a: jnp.abs(a) if "var" in str(path) else a, statistics
        )
    return lambda x: module.apply(variables, x, **options)


@jax.custom_vjp
def crooked_tanh(x):
    return jnp.tanh(x)


crooked_tanh.defvjp(lambda x: (jnp.tanh(x), None), lambda _, ct: (7 * ct,))


@jax.custom_jvp
def crooked_softplus(x):
    return jnp.log1p(jnp.exp(x))


crooked_softplus.defjvp(lambda x, change: (crooked_softplus(*x), nn.sigmoid(x[0]) * change[0]))


def dense(x):
    return x.reshape(len(x), -1) @ DENSE


def reused(x):
    for _ in range(2):
        x = nn.relu(conv(x, SQUARE_KERNEL, padding="same"))
    return x


def attention(x):
    scores = jnp.where(np.tri(L, dtype=bool), jnp.einsum("bqc,bkc->bqk", x, x) / 2, -jnp.inf)
    return jnp.einsum("bqk,bkc->bqc", nn.softmax(scores), jnp.tanh(x))


def recurrent(x):
    def step(state, row):
        state = jnp.tanh(0.5 * state @ SQUARE_KERNEL[0] + row)
        return state, state * row

    state, rows = lax.scan(step, x[:, 0], x.swapaxes(0, 1), reverse=True)
    return jnp.concatenate([state[:, None], rows.swapaxes(0, 1)], 1)


LAYERS = {
    "dense": dense,
    "dense, relu": lambda x: nn.relu(dense(x)),
    "our convolution": lambda x: nn.relu(conv(x, KERNEL)),
    "our convolution, dilated": lambda x: nn.relu(conv(x, KERNEL, dilation=2, padding="same")),
    "nn.Conv": initialised(nn.Sequential([nn.Conv(5, (3,), strides=2), nn.relu]), X),
    "nn.Conv, dilated, grouped": initialised(
        nn.Conv(4, (3,), kernel_dilation=2, feature_group_count=2, padding="VALID"), X
    ),
    "two dimensions": lambda x: nn.relu(
        lax.conv_general_dilated(x[..., None], GRID, (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    ),
    "residual": lambda x: nn.relu(x + conv(nn.relu(x), SQUARE_KERNEL, padding="same")),
    "reused layer": reused,
    "nn.BatchNorm": initialised(nn.BatchNorm(use_running_average=True), X),
    "our BatchNorm": lambda x: nn.relu(initialised(BatchNorm(), X, train=False)(nn.relu(x))),
    "layer norm": initialised(nn.LayerNorm(), X),
    "max pool": lambda x: nn.max_pool(x, (3,), (2,)),
    "max pool, same": lambda x: nn.max_pool(nn.relu(x), (3,), (1,), padding="SAME"),
    "our max pool": lambda x: max_pool(nn.relu(x), 3),
    "average pool": lambda x: nn.relu(nn.avg_pool(nn.relu(x), (3,), (2,)) - 0.4),
    "our max pool, mapped": lambda x: jax.vmap(lambda row: max_pool(row[None], 3)[0])(x),
    "gelu": lambda x: nn.gelu(3 * x, approximate=False),
    "gelu, tanh": lambda x: nn.gelu(3 * x),
    "softplus": nn.softplus,
    "sigmoid, tanh": lambda x: nn.sigmoid(jnp.tanh(x)),
    "elu, selu, celu": lambda x: nn.elu(x) - nn.selu(x[:, ::-1]) * nn.celu(x),
    "leaky relu, relu6": lambda x: nn.leaky_relu(x) + nn.relu6(7 * x),
    "hard swish, silu": lambda x: nn.hard_swish(2 * x) - nn.silu(x),
    "softmax": lambda x: nn.softmax(2 * x),
    "log softmax": lambda x: nn.log_softmax(2 * x),
    "gated": nn.glu,
    "attention": attention,
    "nn.MultiHeadDotProductAttention": initialised(nn.MultiHeadDotProductAttention(num_heads=2), X),
    "scan": recurrent,
    "loops": lambda x: lax.while_loop(
        lambda carry: carry[0] < 2,
        lambda carry: (carry[0] + 1, jnp.sin(carry[1])),
        (0, lax.fori_loop(0, 3, lambda i, y: jnp.tanh(y) * (i + 1), x)),
    )[1],
    "branch": lambda x: lax.switch(np.int32(1), [jnp.sin, jnp.tanh], x),
    "remat, jit": jax.checkpoint(jax.jit(lambda x: jnp.tanh(x) * x)),
    "custom rules": lambda x: crooked_softplus(crooked_tanh(x)),
    "moments": lambda x: jnp.stack([x.mean(2), x.std(2), x.var(2), nn.logsumexp(x, axis=2)], 1),
    "extrema": lambda x: (
        jnp.concatenate([x.max(1), x.min(2), jnp.maximum(x[:, 0], x[:, 1])], 1) * x.min((1, 2))[:, None]
    ),
    "clipped": lambda x: jnp.clip(x, -0.5, 0.5) + jnp.clip(x, -1, jnp.abs(x[:, :1])) + jnp.minimum(x, x[:, :1]),
    "cumulative": lambda x: jnp.cumsum(x, 1) + lax.cumlogsumexp(x, 1) * lax.cummax(x, 1, reverse=True),
    "products": lambda x: jnp.cumprod(x, 1) + x.prod(2, keepdims=True) - lax.cummin(x, 1),
    "powers": lambda x: jnp.abs(x) ** 1.5 + jnp.exp(x) ** jnp.tanh(x) + x**3 + 1 / (x**2 + 1) ** 2 - jnp.square(x),
    "functions": lambda x: jnp.log1p(x * x) + jnp.expm1(x) + jnp.sqrt(x * x + 1) + lax.rsqrt(x * x + 1) + jnp.floor(x),
    "more functions": lambda x: jnp.sign(x) * lax.erf(x) + jnp.cos(x) - jnp.arctan2(x, 2.0) + x / (1 + x[:, :1] ** 2),
    "norm": lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
    "moved": lambda x: jnp.pad(jnp.flip(jnp.roll(x, 1, 1), 2), ((0, 0), (1, 0), (0, 0)), constant_values=3.0) ** 2,
    "indexed": lambda x: x[:, np.array([0, 2])] * x[:, -1:] + jnp.split(x, 4, 1)[1] + jnp.take(x, np.array([1, 1]), 1),
    "updated": lambda x: x.at[:, 0].set(0).at[:, 1].add(1).at[:, 2].set(x[:, 3] * 2) + jnp.tile(x[:, :1], (1, L, 1)),
    "conditions": lambda x: jnp.where((x > x[:, :1]) & ~(x[:, 1:2] < 1) | (x > 2), x, jnp.sin(x)),
    "one-hot": lambda x: nn.one_hot(jnp.argmax(x, -1), C) * x,
    "smallest": lambda x: jnp.sum(jnp.where(jnp.argmin(x, 1)[:, None] == jnp.arange(L)[:, None], x, 0.5), 1),
    "integers": lambda x: jnp.floor(x).astype(jnp.int32).astype(jnp.float32) * x,
    "gradient inside": jax.grad(lambda x: jnp.sum(jnp.tanh(x) ** 3)),
}
WITHOUT_A_GRADIENT = ("loops", "custom rules")  # JAX has none of a while loop, and a wrong one of `crooked_tanh`
REVEALED = (
    *("dense, relu", "our convolution", "residual", "our BatchNorm", "layer norm", "max pool", "our max pool"),
    *("average pool", "gelu", "softplus", "sigmoid, tanh", "leaky relu, relu6", "softmax", "attention", "scan"),
    *("custom rules", "moments", "conditions", "indexed"),
)


@pytest.mark.parametrize(
    ("name", "rule"), [(name, "rescale") for name in LAYERS] + [(name, "reveal_cancel") for name in REVEALED]
)
def test_contributions_sum_to_the_difference(name, rule):
    """And of x with itself: contributions 0, multipliers the gradient."""

    def f(x):
        return weighted_sum(LAYERS[name](x))

    @jax.jit
    def explained(x, reference):
        lifted = deeplift(f, x, reference, rule=rule, return_multipliers=True, return_completeness=True)
        gradient = jnp.nan if name in WITHOUT_A_GRADIENT else jax.grad(lambda x: jnp.sum(f(x)))(x)
        return *lifted, f(x), f(reference), gradient

    multipliers, error, at, ref, _ = explained(X, R)
    allowed = rounding(at, ref)
    assert multipliers.shape == X.shape and error.shape == (B,)
    assert np.any(np.abs(at - ref) > 0.1)
    sums = np.sum(np.asarray(multipliers, np.float64) * np.asarray(X - R, np.float64), (1, 2))
    assert np.all(np.abs(sums - (at - ref)) <= allowed) and np.all(np.abs(error) <= allowed)

    multipliers, error, at, ref, gradient = explained(X, X)
    assert np.all(np.isfinite(multipliers))
    assert np.all(np.abs(error) <= rounding(at, ref))
    if name not in WITHOUT_A_GRADIENT:
        close(multipliers, gradient, 2e-5)


# Closed forms, worked numbers, independent implementations.


def test_a_linear_model_is_gradient_times_difference():
    weights = normal(5, 2)

    def f(x):
        return weighted_sum(nn.avg_pool(conv(x, KERNEL, padding="same") + 2, (2,), (2,)) @ weights)

    gradient = jax.grad(lambda x: jnp.sum(f(x)))(X)
    for rule in RULES:
        found = jax.jit(lambda x, r: deeplift(f, x, r, rule=rule, return_completeness=True))(X, R)  # noqa: B023
        close(found[0], gradient * (X - R), 1e-5)
        close(found[1], 0 * found[1], 1e-5)


def minimum(x):
    return x[:, 0] - nn.relu(x[:, 0] - x[:, 1])


def test_minimum():
    """o = min(i₁, i₂) = i₁ − relu(i₁ − i₂), reference 0: half of it each by RevealCancel, else all to the smaller."""
    x = jnp.array([[3.0, 2.0], [1.0, 4.0], [0.5, 2.5]])
    i1, i2 = np.asarray(x).T

    @jax.jit
    def of(x):
        revealed = [deeplift(minimum, x, 0 * x, rule="reveal_cancel", return_multipliers=m) for m in (False, True)]
        return jax.grad(lambda x: jnp.sum(minimum(x)))(x) * x, deeplift(minimum, x, 0 * x), *revealed

    by_gradient, by_rescale, by_reveal_cancel, multipliers = of(x)
    all_to_one = np.stack([np.where(i1 < i2, i1, 0), np.where(i1 < i2, 0, i2)], 1)
    close(by_gradient, all_to_one)
    close(by_rescale, all_to_one)
    close(by_reveal_cancel, np.tile(np.minimum(i1, i2)[:, None] / 2, 2))
    # Appendix C: the multiplier of i₁ is 1 less that of h₁⁺, that of i₂ is that of h₁⁻.
    rest = np.maximum(0, i1 - i2)
    close(multipliers, np.stack([1 - 0.5 * (i1 + rest) / i1, 0.5 * (i1 - rest) / i2], 1))


def relu(x):
    return np.maximum(x, 0)


def test_rescale_by_hand():
    """Convolution, relu, max pool with overlap, dense, relu, dense; layer by layer in NumPy, backwards with loops."""
    first, second, third = RNG.normal(size=(3, C, 5)), RNG.normal(size=(15, 4)), RNG.normal(size=4)
    windows = [range(0, 3), range(2, 5), range(3, 6)]  # of the six positions of the convolution

    def f(x):
        rows = relu(np.stack([np.einsum("bkc,kco->bo", x[:, i : i + 3], first) for i in range(6)], 1) - 0.3)
        pooled = np.stack([rows[:, w.start : w.stop].max(1) for w in windows], 1).reshape(len(x), -1)
        return rows, pooled @ second + 0.1

    def net(x):
        x = nn.relu(conv(x, jnp.asarray(first, x.dtype)) - 0.3)
        x = jnp.stack([nn.max_pool(x[:, w.start : w.stop], (3,))[:, 0] for w in windows], 1)
        return nn.relu(x.reshape(len(x), -1) @ second.astype(x.dtype) + 0.1) @ third.astype(x.dtype)

    x, ref = np.asarray(X, np.float64), np.asarray(R, np.float64)
    (rows, hidden), (rows0, hidden0) = f(x), f(ref)
    multipliers = third * (relu(hidden) - relu(hidden0)) / (hidden - hidden0) @ second.T
    multipliers = multipliers.reshape(B, 3, 5)
    of_rows = np.zeros_like(rows)
    for b in range(B):
        for w, window in enumerate(windows):
            for o in range(5):
                i = window[np.argmax(rows[b, window, o])]
                j = window[np.argmax(rows0[b, window, o])]
                out, out0 = rows[b, i, o], rows0[b, j, o]
                if out > out0:
                    of_rows[b, i, o] += multipliers[b, w, o] * (out - out0) / (rows[b, i, o] - rows0[b, i, o])
                elif out < out0:
                    of_rows[b, j, o] += multipliers[b, w, o] * (out - out0) / (rows[b, j, o] - rows0[b, j, o])
    of_x = np.zeros_like(x)
    for i in range(6):
        before = np.einsum("bkc,kco->bo", x[:, i : i + 3], first) - 0.3
        before0 = np.einsum("bkc,kco->bo", ref[:, i : i + 3], first) - 0.3
        slope = (relu(before) - relu(before0)) / (before - before0)
        of_x[:, i : i + 3] += np.einsum("bo,kco->bkc", of_rows[:, i] * slope, first)
    close(jax.jit(lambda x, r: deeplift(net, x, r, return_multipliers=True))(X, R), of_x, 2e-5)


def test_reveal_cancel_by_hand():
    """Dense, relu, dense, relu, dense, by appendix B's formula for dense layers and section 3.5.2's for relu."""
    weights = [RNG.normal(size=shape) for shape in ((5, 7), (7, 6), (6, 1))]
    x, ref = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5))
    x[0, :3] = ref[0, :3]  # differences of 0

    def net(x):
        for i, w in enumerate(weights):
            x = x @ jnp.asarray(w, x.dtype) + 0.1
            x = nn.relu(x) if i < 2 else x
        return x[:, 0]

    def divided(difference, weight):
        """Δy⁺ and Δy⁻ of a dense layer."""
        terms = difference[:, :, None] * weight
        return relu(terms).sum(1), -relu(-terms).sum(1)

    def through_dense(difference, weight, up, down):
        positive, negative = weight.T * (weight.T > 0), weight.T * (weight.T < 0)
        return (
            (up @ positive) * (difference > 0)
            + (up @ negative) * (difference < 0)
            + (down @ positive) * (difference < 0)
            + (down @ negative) * (difference > 0)
            + (0.5 * (up + down) @ weight.T) * (difference == 0)
        )

    at, at0, differences, slopes = x, ref, [], []
    for weight in weights[:2]:
        differences.append(at - at0)
        up, down = divided(at - at0, weight)
        at, at0 = at @ weight + 0.1, at0 @ weight + 0.1
        rises = 0.5 * (relu(at0 + up) - relu(at0)) + 0.5 * (relu(at0 + up + down) - relu(at0 + down))
        falls = 0.5 * (relu(at0 + down) - relu(at0)) + 0.5 * (relu(at0 + up + down) - relu(at0 + up))
        # Where a part is 0 its multiplier matters to inputs that do not differ: the mean derivative, as it shrinks.
        no_rise, no_fall = (0.5 * (at0 > 0) + 0.5 * (at0 + other > 0) for other in (down, up))
        rises, falls = np.where(up == 0, no_rise, rises), np.where(down == 0, no_fall, falls)
        slopes.append((rises / np.where(up == 0, 1, up), falls / np.where(down == 0, 1, down)))
        at, at0 = relu(at), relu(at0)
    last = np.tile(weights[2].T, (4, 1))
    for difference, weight, (up, down) in zip(differences[::-1], weights[1::-1], slopes[::-1], strict=True):
        last = through_dense(difference, weight, last * up, last * down)
    with jax.enable_x64(True):

        @jax.jit
        def of(x, ref):
            multipliers = deeplift(net, x, ref, rule="reveal_cancel", return_multipliers=True)
            return multipliers, deeplift(net, x, ref, rule="reveal_cancel"), deeplift(net, x, ref)

        multipliers, contributions, by_rescale = of(x, ref)
        close(multipliers, last, 1e-10)
        close(contributions, last * (x - ref), 1e-10)
        close(contributions.sum(1), net(x) - net(ref), 1e-12)
        assert np.max(np.abs(contributions - by_rescale)) > 0.1  # so that the rules differ here


def test_a_sum_is_one_sum_however_it_is_written():
    """The Linear rule divides a, b and c of a + b + c by sign, also when a + b comes first; so is scaled c."""
    x = jnp.array([[3.0, -2.0, -4.0, 1.5]])
    written = [
        lambda x: nn.relu(x @ jnp.array([1.0, 1.0, 1.0, -2.0])),
        lambda x: nn.relu(x[:, 0] + x[:, 1] + x[:, 2] - 2 * x[:, 3]),
        lambda x: nn.relu(jnp.sum(x * jnp.array([1.0, 1.0, 1.0, -2.0]), 1)),
        lambda x: nn.relu(-0.5 * (-2 * (x[:, 2] + x[:, 1]) - 2 * (x[:, 0] + x[:, 3] * -2.0))),
    ]
    expected, *others = jax.jit(lambda x: [deeplift(f, x, 0 * x, rule="reveal_cancel") for f in written])(x)
    assert np.sum(np.abs(expected)) > 1
    for other in others:
        close(other, expected)


def test_maximum():
    """From (2, 5, 0) to (7, 4, 1) the maximum rises from 5 to 7: all along the first, 2/5 of its change; back, it falls
    from 7 to 5, all along the first again. From (6, 0) to (1, 3) it falls from 6 to 3, along the first."""
    for f in (
        lambda x: x.max(1),
        lambda x: jnp.maximum(jnp.maximum(x[:, 0], x[:, 1]), x[:, 2]),
        lambda x: nn.max_pool(x[..., None], (3,))[:, 0, 0],
        lambda x: max_pool(x[..., None], 3)[:, 0, 0],
        lambda x: -jnp.min(-x, 1),
    ):
        high, low = jnp.array([[7.0, 4.0, 1.0]]), jnp.array([[2.0, 5.0, 0.0]])
        of = jax.jit(lambda x, r: deeplift(f, x, r, return_multipliers=True))  # noqa: B023
        close(of(high, low), [[0.4, 0, 0]])
        close(of(low, high), [[0.4, 0, 0]])
        close(of(jnp.array([[1.0, 3.0, -9.0]]), jnp.array([[6.0, 0.0, -9.0]])), [[0.6, 0, 0]])
        close(of(jnp.array([[2.0, 2.0, 1.0]]), jnp.array([[2.0, 2.0, 1.0]])).sum(), 1)


@pytest.mark.parametrize("rule", RULES)
def test_our_max_pool_is_a_maximum(rule):
    def of(pool):
        def f(x):
            return weighted_sum(jnp.tanh(conv(pool(nn.relu(conv(x, KERNEL, padding="same"))), normal_kernel)))

        return jax.jit(lambda x, r: deeplift(f, x, r, rule=rule, return_multipliers=True))(X, R)

    normal_kernel = KERNEL[:2].swapaxes(1, 2)
    close(of(lambda x: max_pool(x, 3)), of(lambda x: nn.max_pool(x, (3,), (3,))))


def test_a_product_is_the_mean_of_both_orders():
    f = lambda x: x[:, 0] * x[:, 1]  # noqa: E731
    close(deeplift(f, jnp.array([[3.0, 5.0]]), jnp.array([[1.0, 2.0]])), [[2 * 3.5, 3 * 2.0]])
    quotient = deeplift(lambda x: x[:, 0] / x[:, 1], jnp.array([[3.0, 5.0]]), jnp.array([[1.0, 2.0]]))
    close(quotient, [[2 * 0.5 * (1 / 5 + 1 / 2), (1 / 5 - 1 / 2) * 2.0]])


def test_an_elementwise_function_has_its_secant_slope_however_it_is_written():
    functions = [nn.relu, nn.leaky_relu, nn.gelu, nn.softplus, nn.elu, nn.silu, jnp.abs, nn.hard_tanh, nn.relu6]
    x, ref = normal(40, len(functions)) * 3, normal(40, len(functions)) * 3

    @jax.jit
    def of(x, ref):
        each = lambda x: jnp.stack([g(x[:, i]) for i, g in enumerate(functions)], 1)  # noqa: E731
        found = deeplift(lambda x: jnp.sum(each(x), 1), x, ref, return_multipliers=True)
        return found, (each(x) - each(ref)) / (x - ref)

    close(*of(x, ref), 1e-4)


@pytest.mark.parametrize("at", [1e-3, 0.3, 2.0, 50.0])
def test_multipliers_of_small_differences(at):
    """Float32 multipliers against float64 ones, for differences from large to nothing: never wrong by 0.1 %."""
    functions = [jnp.log, jnp.sqrt, lax.rsqrt, jnp.reciprocal, lambda x: x**1.7, jnp.log1p, jnp.square]
    if at < 10:
        functions += [jnp.tanh, jnp.exp, nn.sigmoid, lax.erf, jnp.sin, jnp.expm1, lambda x: x**5, lambda x: x**-3]
    steps = np.float32(at) * np.float32([0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 0])
    x = np.tile((np.float32(at) + steps)[:, None], len(functions))

    def total(x):
        return sum(g(x[:, i]) for i, g in enumerate(functions))

    def of(x):
        return deeplift(total, x, jnp.asarray(np.float32(at), x.dtype), return_multipliers=True)

    single = np.asarray(jax.jit(of)(x), np.float64)
    with jax.enable_x64(True):
        double, derivative = jax.jit(lambda x: (of(x), jax.grad(lambda x: jnp.sum(total(x)))(x)))(x.astype(np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-3)
    np.testing.assert_allclose(double[-3:], derivative[-3:], rtol=1e-5)


def test_stop_gradient_is_passed_through():
    def f(x):
        return jnp.sum(lax.stop_gradient(x) * jnp.exp(x - lax.stop_gradient(x)), (1, 2))

    close(deeplift(f, X, R), X - R, 1e-5)


def test_what_is_not_used_needs_no_rule():
    def f(x):
        jnp.sort(x, 1)
        return lax.scan(lambda c, row: (c + row, jnp.tanh(row)), 0 * x[:, 0, 0], x[:, :, 0].T)[0]

    close(jax.jit(lambda x, r: deeplift(f, x, r))(X, R)[..., 0], (X - R)[..., 0])
    close(deeplift(lambda x: jnp.arange(3.0), X, R, return_completeness=True)[0], 0 * X)


# The models, and the reference numbers.


@pytest.fixture(scope="module")
def model():
    module = BinaryModel(num_tasks=2, filters=(4, 3), widths=(5, 3), pool_size=4, dense_sizes=(6, 5))
    rng = np.random.default_rng(2)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (3, 26))]
    shuffled = np.stack([row[rng.permutation(26)] for row in x])
    return initialised(module, x), jnp.asarray(x), jnp.asarray(shuffled)


@pytest.mark.parametrize("rule", [*RULES, {"Dense_0": "reveal_cancel", "Dense_1": "reveal_cancel"}])
def test_binary_model(model, rule):
    apply, x, shuffled = model

    @jax.jit
    def of(x, reference):
        f = lambda x: apply(x)[:, 0]  # noqa: E731
        return *deeplift(f, x, reference, rule=rule, return_completeness=True), f(x), f(reference)

    together = of(x, shuffled)[0]
    for reference in (shuffled, jnp.zeros_like(x), jnp.full_like(x, 0.25)):
        contributions, error, at, ref = of(x, reference)
        assert np.all(np.abs(at - ref) > 0.01)
        assert np.all(np.abs(error) <= rounding(at, ref))
        assert np.sum(np.abs(contributions)) > np.sum(np.abs(at - ref))
    # An example does not depend on its batch.
    close(of(x[::-1], shuffled[::-1])[0], together[::-1])
    broken = of(x.at[2].set(jnp.nan), shuffled)[0]
    close(broken[:2], together[:2])
    assert np.all(np.isnan(broken[2]).any())


@pytest.mark.parametrize("task", [0, 1])
def test_hypothetical_deepshap_scores_of_an_independent_implementation(task):
    """For base b, Σ over bases of (onehot(b) − reference) · multiplier, averaged over the references."""
    archive = load_reference()
    prefix = "deepshap/weights/"
    weights = {key.removeprefix(prefix): value for key, value in archive.items() if key.startswith(prefix)}
    size = {name: len(array) for name, array in weights.items() if array.ndim}
    network = BinaryModel(
        num_tasks=size["out_map_fc.weight"],
        filters=[size[f"conv_layers.{i}.weight"] for i in (0, 4, 8)],
        dense_sizes=[size[f"fc_layers.{i}.weight"] for i in (0, 4)],
    )
    variables = from_torch_state(network, weights)
    x, references = archive["deepshap/input"], archive["deepshap/references"]

    @jax.jit
    @jax.vmap  # over examples; the references are the batch
    def scores(x, references):
        f = lambda x: network.apply(variables, x)[:, task]  # noqa: E731
        multipliers = deeplift(f, jnp.broadcast_to(x, references.shape), references, return_multipliers=True)
        return jnp.mean(multipliers - jnp.sum(references * multipliers, -1, keepdims=True), 0)

    theirs = archive[f"deepshap/hypothetical_task{task}"]
    assert np.max(np.abs(scores(x, references) - theirs)) <= 1e-5 * np.max(np.abs(theirs))


# How it composes.


def test_references_broadcast():
    f = jax.jit(lambda reference: deeplift(lambda x: weighted_sum(jnp.tanh(conv(x, KERNEL))), X, reference))
    close(f(R[:1]), f(jnp.broadcast_to(R[:1], X.shape)))
    close(f(R[0]), f(R[:1]))
    close(f(jnp.zeros(())), f(jnp.zeros_like(X)))
    close(f(np.zeros((L, C), np.int8)), f(jnp.zeros_like(X)))


def test_jit_and_vmap():
    def of(x, reference):
        return deeplift(lambda x: weighted_sum(max_pool(nn.relu(conv(x, KERNEL)), 2)), x, reference)

    expected = of(X, R)
    close(jax.jit(of)(X, R), expected)
    close(jax.jit(jax.vmap(lambda x, r: of(x[None], r[None])[0]))(X, R), expected)
    close(jax.jit(jax.vmap(of, (None, 0)))(X, jnp.stack([R, X])), jnp.stack([expected, 0 * X]))


def test_each_convolution_is_computed_once_at_the_input_once_at_the_reference_and_once_back():
    text = str(jax.make_jaxpr(lambda x, r: deeplift(lambda x: weighted_sum(reused(x)), x, r))(X, R))
    assert text.count("conv_forward[") == 4
    assert text.count("conv_input_gradient[") == 2
    assert "conv_weight_gradient" not in text


@pytest.mark.parametrize("rule", RULES)
def test_gradient_with_respect_to_what_f_closes_over(rule):
    """How a prior on contributions trains a model: against finite differences, also where differences are 0."""

    def network(params, x):
        x = max_pool(nn.softplus(conv(x, params["conv"]) + params["bias"]), 2)
        if rule == "rescale":
            x = nn.softmax((x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 0.1)) * jnp.tanh(x)
        return nn.relu(x.reshape(len(x), -1) @ params["dense"]) @ params["last"]

    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        shapes = {"conv": (3, C, 5), "bias": (5,), "dense": (15, 6), "last": (6,)}
        params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
        direction = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
        x, ref = jnp.asarray(rng.normal(size=(2, L, C))), jnp.asarray(rng.normal(size=(2, L, C)))
        ref = ref.at[0, :5].set(x[0, :5]).at[1].set(x[1])  # parts, and a whole example, that do not differ

        @jax.jit
        @jax.value_and_grad
        def penalty(params):
            multipliers = deeplift(lambda x: network(params, x), x, ref, rule=rule, return_multipliers=True)
            return jnp.sum(multipliers**2)

        gradient = penalty(params)[1]
        assert all(np.all(np.isfinite(leaf)) and np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
        slope = sum(jnp.vdot(gradient[name], direction[name]) for name in shapes)
        step = 1e-6
        ahead, behind = (
            penalty({name: params[name] + sign * step * direction[name] for name in shapes})[0] for sign in (1, -1)
        )
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtype_and_strict_promotion(dtype):
    kernel = KERNEL.astype(dtype)

    def f(x):
        x = nn.relu(conv(x, kernel))
        gated = nn.max_pool(nn.gelu(x), (2,), (2,)) * nn.sigmoid(x[:, :3])
        return jnp.sum(gated, (1, 2)) + jnp.max(jnp.where(x > 1, x**2, x), (1, 2))

    @jax.jit
    def of(x, reference):
        both = [
            deeplift(f, x, reference, rule=rule, return_multipliers=True, return_completeness=True) for rule in RULES
        ]
        return both, f(x)

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        both, at = of(X.astype(dtype), R.astype(dtype))
    for multipliers, error in both:
        assert multipliers.dtype == dtype and multipliers.shape == X.shape
        assert np.max(np.abs(error)) <= 20 * jnp.finfo(dtype).eps * np.max(np.abs(at))


# Which rule holds where.


class Mark:
    """A rule that is Rescale, and counts where it was asked."""

    def __init__(self):
        self.sizes = []

    def __call__(self, g, at, ref):
        self.sizes.append(at.shape[-1])
        return (g(at) - g(ref)) / jnp.where(at == ref, 1, at - ref)


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

    message = rf"primitive '{primitive}' .*test_deeplift.py:\d+.*, scope here.*register_rule\('{primitive}', rule\)"
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
