"""DeepLIFT: contributions sum to the difference of the outputs, whatever the layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deeplift_inputs import (
    DENSE,
    GRID,
    KERNEL,
    SQUARE_KERNEL,
    B,
    C,
    L,
    R,
    X,
    close,
    crooked_softplus,
    initialised,
    reused,
    rounding,
    weighted_sum,
)
from jax import lax

from fprior import deeplift
from fprior.conv import conv
from fprior.models.layers import BatchNorm, max_pool


@jax.custom_vjp
def crooked_tanh(x):
    return jnp.tanh(x)


crooked_tanh.defvjp(lambda x: (jnp.tanh(x), None), lambda _, ct: (7 * ct,))


def dense(x):
    return x.reshape(len(x), -1) @ DENSE


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
