"""Random tracks, and priors with their gradients, analytical and numerical."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior import fourier_prior, smoothness_prior, sparsity_prior
from fprior.priors import BOUNDARIES

SETTINGS = ("freq_limit", "softness", "smooth_sigma", "normalization", "boundary", "axes")
fourier = jax.jit(fourier_prior, static_argnames=SETTINGS)  # one compilation in place of one an operation

PRIORS = {
    "fourier-periodic": partial(fourier, freq_limit=3.3),
    **{f"fourier-{b}": partial(fourier, freq_limit=3.3, smooth_sigma=0, boundary=b) for b in BOUNDARIES[1:]},
    "smoothness": jax.jit(smoothness_prior),
    "sparsity": jax.jit(sparsity_prior),
}
all_priors = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
# Where every boundary would say the same.
one_of_a_kind = pytest.mark.parametrize("name", ["fourier-periodic", "fourier-taper", "smoothness", "sparsity"])
all_boundaries = pytest.mark.parametrize("boundary", BOUNDARIES)


def random_track(*shape, seed=0):
    return np.random.default_rng(seed).gamma(0.5, size=shape)


@cache
def differentiated(prior):
    def total(track):
        losses = prior(track)
        return jnp.sum(losses), losses

    return jax.jit(jax.grad(total, has_aux=True))


def losses_and_gradient(prior, track, dtype=jnp.float32):
    """The loss of each track, and the gradient of their sum, which is every track's own."""
    gradient, losses = differentiated(prior)(jnp.asarray(track, dtype))
    return losses, gradient


def numerical_gradient(f, track, step=1e-6):
    moves = step * np.eye(track.size).reshape(track.size, *track.shape)
    slopes = [(f(track + move) - f(track - move)) / (2 * step) for move in moves]
    return np.reshape(slopes, track.shape)
