"""DeepLIFT: closed forms, worked numbers, independent implementations, and how it composes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deeplift_inputs import (
    KERNEL,
    RNG,
    RULES,
    B,
    C,
    L,
    R,
    X,
    close,
    initialised,
    normal,
    relu,
    reused,
    rounding,
    weighted_sum,
)
from jax import lax
from reference import load_reference

from fprior import deeplift
from fprior.conv import conv
from fprior.models import BinaryModel, from_torch_state
from fprior.models.layers import max_pool

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
