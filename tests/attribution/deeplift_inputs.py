"""Inputs, references, weights and small networks that the tests of DeepLIFT share."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fprior.conv import conv

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


@jax.custom_jvp
def crooked_softplus(x):
    return jnp.log1p(jnp.exp(x))


crooked_softplus.defjvp(lambda x, change: (crooked_softplus(*x), nn.sigmoid(x[0]) * change[0]))


def rounding(at, ref):
    """What the error of completeness may be: 1e-5 of the difference of the outputs, or of the larger output if that is
    more, as the outputs' own rounding is a share of the outputs."""
    return 1e-5 * np.maximum(np.abs(at - ref), np.maximum(np.abs(at), np.abs(ref)))


def relu(x):
    return np.maximum(x, 0)


def reused(x):
    for _ in range(2):
        x = nn.relu(conv(x, SQUARE_KERNEL, padding="same"))
    return x


class Mark:
    """A rule that is Rescale, and counts where it was asked."""

    def __init__(self):
        self.sizes = []

    def __call__(self, g, at, ref):
        self.sizes.append(at.shape[-1])
        return (g(at) - g(ref)) / jnp.where(at == ref, 1, at - ref)
