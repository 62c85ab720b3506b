"""Properties of attribution priors: what changes nothing, from batches to reversal, and what the loss is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from prior_tracks import PRIORS, all_boundaries, all_priors, fourier, losses_and_gradient, one_of_a_kind, random_track

from fprior.priors import BOUNDARIES

SCALE_FREE = [name for name in PRIORS if name != "smoothness"]
scale_free = pytest.mark.parametrize("prior", [PRIORS[name] for name in SCALE_FREE], ids=SCALE_FREE)


@scale_free
def test_scale_changes_nothing(prior):
    """Squares of such numbers are beyond single precision."""
    scales = np.array([1, 1e-20, 1e7, 1e20])[:, None]
    tracks = scales * random_track(11)
    losses, gradient = losses_and_gradient(prior, tracks)
    np.testing.assert_allclose(losses, losses[jnp.zeros(4, int)], rtol=1e-5)
    gradient = np.asarray(gradient, np.float64) * scales
    np.testing.assert_allclose(gradient[1:], gradient[[0, 0, 0]], atol=1e-5 * np.max(np.abs(gradient[0])), rtol=0)


@one_of_a_kind
def test_batch_axes(name):
    prior = PRIORS[name]
    tracks = random_track(2, 3, 11).astype(np.float32)
    losses = prior(tracks)
    assert losses.shape == (2, 3)
    one_by_one = [[prior(track) for track in row] for row in tracks]
    assert one_by_one[0][0].shape == ()
    np.testing.assert_allclose(losses, one_by_one, rtol=1e-5)
    assert prior(tracks[:1, 0]).shape == (1,)
    np.testing.assert_allclose(prior(tracks[:1, 0]), losses[:1, 0], rtol=1e-5)
    np.testing.assert_allclose(prior(tracks[:, ::-1]), losses[:, ::-1], rtol=1e-5)  # examples permuted


@all_priors
def test_an_example_does_not_depend_on_its_batch(prior):
    """Not even where another is NaN, infinite, or huge; nor does its gradient."""
    track = random_track(11).astype(np.float32)
    others = [np.full(11, np.nan), np.full(11, np.inf), 1e20 * track[::-1]]
    alone, alone_gradient = losses_and_gradient(prior, np.stack([track] * 4))
    losses, gradient = losses_and_gradient(prior, np.stack([track, *others]))
    np.testing.assert_allclose(losses[0], alone[0], rtol=1e-5)
    np.testing.assert_allclose(gradient[0], alone_gradient[0], rtol=1e-4, atol=1e-6)
    assert np.isnan(losses[1])  # a broken track shows


@all_priors
def test_bfloat16_is_computed_in_single(prior):
    track = jnp.asarray(random_track(4, 10), jnp.bfloat16)
    losses, gradient = losses_and_gradient(prior, track, jnp.bfloat16)
    single, single_gradient = losses_and_gradient(prior, track)
    assert losses.dtype == jnp.float32 and gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(losses, single, rtol=1e-5)
    np.testing.assert_allclose(gradient.astype(jnp.float32), single_gradient, rtol=1e-2, atol=1e-3)


def test_float16_is_computed_in_single():
    """Its largest number is 65504; a sum of such tracks is beyond it."""
    track = jnp.asarray(6e4 * random_track(11) / np.max(random_track(11)), jnp.float16)
    for prior in (PRIORS["fourier-periodic"], PRIORS["fourier-cosine"], PRIORS["sparsity"]):
        loss = prior(track)
        assert loss.dtype == jnp.float32
        np.testing.assert_allclose(loss, prior(track.astype(jnp.float32)), rtol=1e-5)


@one_of_a_kind
def test_single_and_double_precision_agree(name):
    prior = PRIORS[name]
    track = random_track(4, 11).astype(np.float32)
    loss, gradient = losses_and_gradient(prior, track)
    with jax.enable_x64(True):
        exact_loss, exact_gradient = losses_and_gradient(prior, track, jnp.float64)
        assert exact_loss.dtype == exact_gradient.dtype == jnp.float64
    assert loss.dtype == gradient.dtype == jnp.float32
    np.testing.assert_allclose(loss, exact_loss, rtol=1e-5)
    np.testing.assert_allclose(gradient, exact_gradient, atol=1e-5 * np.max(np.abs(exact_gradient)))


@one_of_a_kind
def test_composes_with_jit_vmap_and_grad(name):
    prior = PRIORS[name]
    tracks = random_track(4, 11).astype(np.float32)
    losses, gradient = losses_and_gradient(prior, tracks)
    by_column = jax.jit(jax.vmap(jax.value_and_grad(prior), 1))(tracks.T)
    np.testing.assert_allclose(by_column[0], losses, rtol=1e-5)
    np.testing.assert_allclose(by_column[1], gradient, rtol=1e-4, atol=1e-6)


@all_priors
def test_reversal_changes_nothing(prior):
    tracks = random_track(4, 11).astype(np.float32)
    (losses, gradient), (of_reversed, reversed_) = (losses_and_gradient(prior, t) for t in (tracks, tracks[:, ::-1]))
    np.testing.assert_allclose(of_reversed, losses, rtol=1e-5)
    np.testing.assert_allclose(reversed_[:, ::-1], gradient, atol=1e-5 * np.max(np.abs(gradient)))


def test_circular_shift_changes_nothing_of_a_periodic_track():
    track = random_track(13).astype(np.float32)
    shifted = np.stack([np.roll(track, shift) for shift in range(13)])
    for normalization in ("paper", "reference"):
        losses = fourier(shifted, freq_limit=2, smooth_sigma=0, normalization=normalization)
        np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
    assert np.ptp(fourier(shifted, freq_limit=2, smooth_sigma=0, boundary="reflect")) > 1e-3


def test_sparsity_does_not_know_positions():
    track = random_track(13).astype(np.float32)
    mixed = np.random.default_rng(0).permutation(track)
    np.testing.assert_allclose(PRIORS["sparsity"](mixed), PRIORS["sparsity"](track), rtol=1e-5)


@all_boundaries
@settings(deadline=None, max_examples=20, derandomize=True)
@given(track=st_numpy.arrays(np.float32, (4, 16), elements=st.floats(0, 1e6, width=32)))
def test_spans_zero_to_one(track, boundary):
    for normalization in ("paper", "reference"):
        loss = fourier(track, freq_limit=3, normalization=normalization, boundary=boundary)
        assert np.all(loss >= -1e-5) and np.all(loss <= 1 + 1e-5)


@all_boundaries
def test_low_frequencies_score_lower(boundary):
    position = (np.arange(200) + 0.5) / 200
    tracks = np.stack([1 + np.cos(2 * np.pi * cycles * position) for cycles in (3, 12, 50)])
    motif = np.zeros((1, 200))
    motif[0, 90:110] = np.hanning(20)
    tracks = np.concatenate([tracks, motif, random_track(1, 200)])
    losses = fourier(tracks, freq_limit=20, boundary=boundary, smooth_sigma=0)
    assert losses[0] < 0.05 and losses[1] < 0.1 and losses[2] > 0.6 and losses[3] < losses[4]


def test_only_a_periodic_transform_sees_a_jump_between_the_ends():
    ramp = np.linspace(0, 1, 100)
    losses = {b: fourier(ramp, freq_limit=10, boundary=b, smooth_sigma=0) for b in BOUNDARIES}
    assert losses["periodic"] > 3 * losses["reflect"] and losses["periodic"] > 2 * losses["taper"]


def test_cosine_transform_is_that_of_the_mirror_image():
    tracks = random_track(2, 15).astype(np.float32)
    for normalization in ("paper", "reference"):
        both = [
            fourier(tracks, freq_limit=2.5, normalization=normalization, boundary=boundary)
            for boundary in ("cosine", "reflect")
        ]
        np.testing.assert_allclose(*both, rtol=1e-5)


def test_reference_normalization_has_the_constant_as_its_floor():
    """A smooth track on a high pedestal: the paper's loss is near 0, the published code's near 1."""
    track = 100 + np.cos(2 * np.pi * np.arange(50) / 50)
    paper, reference = (
        fourier(track, freq_limit=5, smooth_sigma=0, normalization=kind) for kind in ("paper", "reference")
    )
    assert paper < 0.01 and reference > 0.99
