"""Priors over several axes against slow plain versions, on singular points, and under what must change nothing."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from prior_tracks import all_boundaries, fourier, losses_and_gradient, numerical_gradient, random_track

from fprior import fourier_prior, smoothness_prior
from fprior.priors import NORMALIZATIONS, smooth

smoothness = jax.jit(smoothness_prior, static_argnames="axes")

# Slow plain versions, of one track, by the formulas alone.


def plain_fourier(track, *, freq_limit, softness=0.2, smooth_sigma=3.0, normalization="paper", boundary="periodic"):
    """Walks over the full complex transform, one wave for every pair of a frequency and its negative."""
    axes, cycle = track.ndim, 1.0
    limits, sigmas = np.broadcast_to(freq_limit, axes), np.broadcast_to(smooth_sigma, axes)
    for axis, sigma in enumerate(sigmas):
        reach = int(sigma + 0.5)
        kernel = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * sigma**2)) if sigma else np.ones(1)
        spread = partial(np.convolve, kernel / kernel.sum())
        track = np.apply_along_axis(lambda row, spread=spread, r=reach: spread(row)[r : r + len(row)], axis, track)
    constant = abs(track.sum())
    if boundary == "taper":
        window = np.ones(track.shape)
        for place in np.ndindex(track.shape):
            for i, length in zip(place, track.shape, strict=True):
                from_end, fade = min(i, length - 1 - i) + 0.5, max(0.1 * length, 0.5)
                window[place] *= (1 - np.cos(np.pi * min(from_end / fade, 1))) / 2
        constant = abs(np.sum(window * track))
        track = window * (track - track.mean())
    if boundary in ("reflect", "cosine"):
        for axis in range(axes):
            track = np.concatenate([track, np.flip(track, axis)], axis)
        cycle, constant = 0.5, constant * 2**axes
    magnitudes, seen, kept, total = np.abs(np.fft.fftn(track)), set(), 0.0, 0.0
    mean_limit = np.exp(np.mean(np.log(limits)))
    for place in np.ndindex(track.shape):
        negative = tuple(-i % length for i, length in zip(place, track.shape, strict=True))
        if negative in seen or not any(place):
            continue
        seen.add(place)
        cycles = [cycle * min(i, n) for i, n in zip(place, negative, strict=True)]
        rho = np.sqrt(sum((c / limit) ** 2 for c, limit in zip(cycles, limits, strict=True)))
        weight = 1.0 if rho <= 1 else 0.0 if softness is None else 1 / (1 + (mean_limit * (rho - 1)) ** softness)
        kept += weight * magnitudes[place]
        total += magnitudes[place]
    return 1 - kept / (total + (constant if normalization == "reference" else 0))


def plain_smoothness(track):
    places = set(np.ndindex(track.shape))
    return sum(
        abs(track[place] - track[neighbour])
        for place in places
        for axis in range(track.ndim)
        if (neighbour := tuple(i + (k == axis) for k, i in enumerate(place))) in places
    )


ARGUMENTS = [
    ((4, 6), {"freq_limit": 1.0}),
    ((5, 4), {"freq_limit": (1.3, 0.8), "softness": None, "smooth_sigma": 0, "normalization": "reference"}),
    ((3, 5), {"freq_limit": (0.4, 2.0), "softness": 1.5, "smooth_sigma": (0, 1.2)}),
    ((2, 4, 3), {"freq_limit": 0.7, "smooth_sigma": (0, 1, 0), "normalization": "reference"}),
]


@all_boundaries
@pytest.mark.parametrize(("shape", "how"), ARGUMENTS)
def test_fourier_prior_and_its_gradient_are_those_of_the_plain_version(shape, how, boundary):
    track = random_track(*shape, seed=len(shape))
    plain = partial(plain_fourier, boundary=boundary, **how)
    with jax.enable_x64(True):
        prior = partial(fourier, boundary=boundary, axes=len(shape), **how)
        loss, gradient = losses_and_gradient(prior, track, jnp.float64)
    np.testing.assert_allclose(loss, plain(track), rtol=1e-12)
    np.testing.assert_allclose(gradient, numerical_gradient(plain, track), rtol=1e-5, atol=1e-8)


def test_four_axes():
    """More than XLA transforms at once."""
    track = random_track(2, 3, 2, 3)
    with jax.enable_x64(True):
        loss = fourier(track, freq_limit=0.9, smooth_sigma=0, axes=4)
    np.testing.assert_allclose(loss, plain_fourier(track, freq_limit=0.9, smooth_sigma=0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2)])
def test_smoothness_and_its_gradient_are_those_of_the_plain_version(shape):
    track = random_track(*shape)
    with jax.enable_x64(True):
        loss, gradient = losses_and_gradient(partial(smoothness, axes=len(shape)), track, jnp.float64)
    np.testing.assert_allclose(loss, plain_smoothness(track), rtol=1e-12)
    np.testing.assert_allclose(gradient, numerical_gradient(plain_smoothness, track, 1e-7), rtol=1e-5, atol=1e-7)


def test_numerical_second_derivative():
    with jax.enable_x64(True):
        track = jnp.asarray(random_track(3, 3, seed=2) + 0.1)
        prior = partial(fourier, freq_limit=1.0, smooth_sigma=1, axes=2)
        check_grads(prior, (track,), order=2, modes=["rev"], atol=1e-4, rtol=1e-4)


# One axis is the special case.


@pytest.mark.parametrize("length", [12, 13])
def test_one_axis_is_the_one_dimensional_formula_to_the_bit(length):
    """Written out as it stands in the paper; neither the half counts nor the stretched radius leave a trace."""

    @jax.jit
    def written_out(track):
        track = track / jax.lax.stop_gradient(jnp.max(track, axis=-1, keepdims=True))
        magnitudes = jnp.abs(jnp.fft.rfft(smooth(track, 3.0)))[..., 1:]
        above = np.maximum(np.arange(1, length // 2 + 1) - 2.3, 0)
        weights = jnp.asarray(np.where(above > 0, 1 / (1 + above**0.2), 1.0), track.dtype)
        return 1 - jnp.sum(weights * magnitudes, axis=-1) / jnp.sum(magnitudes, axis=-1)

    track = jnp.asarray(random_track(4, length), jnp.float32)
    ours = partial(fourier, freq_limit=2.3)
    np.testing.assert_array_equal(ours(track), written_out(track))
    np.testing.assert_array_equal(ours(track), fourier(track, freq_limit=(2.3,), smooth_sigma=(3.0,), axes=1))
    gradients = [losses_and_gradient(prior, track)[1] for prior in (ours, written_out)]
    np.testing.assert_array_equal(*gradients)


@all_boundaries
def test_an_axis_of_length_one_is_none(boundary):
    track = random_track(3, 11).astype(np.float32)
    for normalization in NORMALIZATIONS:
        of = partial(fourier, smooth_sigma=(0, 1), freq_limit=2.0, normalization=normalization, boundary=boundary)
        flat = fourier(track, smooth_sigma=1, freq_limit=2.0, normalization=normalization, boundary=boundary)
        np.testing.assert_allclose(of(track[:, None], axes=2), flat, rtol=1e-5)


@pytest.mark.parametrize("length", [8, 9])
def test_waves_along_one_axis_cost_what_they_cost_in_one_dimension(length):
    """A track that is the same along the other axis has no other components."""
    row = random_track(length).astype(np.float32)
    track = np.tile(row, (5, 1))
    how = {"freq_limit": 1.7, "smooth_sigma": 0}
    np.testing.assert_allclose(fourier(track, axes=2, **how), fourier(row, **how), rtol=2e-5)
    np.testing.assert_allclose(fourier(track.T, axes=2, **how), fourier(row, **how), rtol=2e-5)


# Invariances and meaning.


@all_boundaries
@pytest.mark.parametrize("shape", [(6, 6), (5, 8)])
def test_transposing_and_flipping_change_nothing(shape, boundary):
    track = random_track(*shape, seed=4).astype(np.float32)
    of = partial(fourier, boundary=boundary, axes=2)
    how, swapped = (
        {"freq_limit": (1.5, 2.5), "smooth_sigma": (1, 0)},
        {"freq_limit": (2.5, 1.5), "smooth_sigma": (0, 1)},
    )
    loss, gradient = losses_and_gradient(partial(of, **how), track)
    for flipped in (np.flip(track, 0), np.flip(track, 1), np.flip(track)):
        np.testing.assert_allclose(of(flipped, **how), loss, rtol=1e-5)
    transposed_loss, transposed_gradient = losses_and_gradient(partial(of, **swapped), track.T)
    np.testing.assert_allclose(transposed_loss, loss, rtol=1e-5)
    np.testing.assert_allclose(transposed_gradient.T, gradient, atol=1e-5 * np.max(np.abs(gradient)))


def test_circular_shifts_change_nothing_of_a_periodic_track():
    track = random_track(6, 5).astype(np.float32)
    shifted = np.stack([np.roll(track, shift, (0, 1)) for shift in itertools.product(range(0, 6, 2), range(5))])
    losses = fourier(shifted, freq_limit=1.0, smooth_sigma=0, axes=2)
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_cosine_transform_is_that_of_the_mirror_image():
    tracks = random_track(2, 5, 6).astype(np.float32)
    for normalization in NORMALIZATIONS:
        of = partial(fourier, tracks, freq_limit=(1.0, 1.5), smooth_sigma=0, normalization=normalization, axes=2)
        np.testing.assert_allclose(of(boundary="cosine"), of(boundary="reflect"), rtol=1e-5)


def test_the_limit_is_an_ellipse():
    """Waves of so many cycles along both axes, against limits 6 and 3; the hard cut scores 0 inside and 1 outside."""
    y, x = np.meshgrid(np.arange(24) / 24, np.arange(20) / 20, indexing="ij")
    inside, outside = [(6, 0), (0, 3), (3, 2), (4, -2)], [(7, 0), (0, 4), (6, 1), (-5, 2)]
    tracks = np.stack([1 + np.cos(2 * np.pi * (i * y + k * x)) for i, k in (*inside, *outside)])
    losses = fourier(tracks, freq_limit=(6.0, 3.0), softness=None, smooth_sigma=0, axes=2)
    np.testing.assert_allclose(losses, [0] * 4 + [1] * 4, atol=1e-4)
    soft = fourier(tracks, freq_limit=(6.0, 3.0), softness=2.0, smooth_sigma=0, axes=2)
    beyond = np.sqrt(6 * 3) * (np.array([7 / 6, 4 / 3]) - 1)
    np.testing.assert_allclose(soft[4:6], 1 - 1 / (1 + beyond**2), atol=1e-4)


@pytest.mark.parametrize("limit", [3, 4, 5, 7])
def test_a_component_at_the_limit_is_not_penalised(limit):
    """The geometric mean of three equal limits is not exactly the limit."""
    wave = 1 + np.cos(2 * np.pi * limit * np.arange(16) / 16)
    track = np.broadcast_to(wave, (2, 2, 16))
    assert abs(fourier(track, freq_limit=limit, smooth_sigma=0, softness=0.2, axes=3)) < 1e-5


def test_low_frequencies_score_lower():
    y, x = np.indices((32, 32))
    blob = np.exp(-((y - 12) ** 2 + (x - 20) ** 2) / 18)
    tracks = np.stack([blob, blob * random_track(32, 32), random_track(32, 32)])
    losses = fourier(tracks, freq_limit=5.0, smooth_sigma=0, axes=2)
    assert losses[0] < 0.1 and losses[0] < losses[1] - 0.2 and losses[1] < losses[2]


# Singular points, shapes, errors.


@all_boundaries
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_constant_and_zero_tracks_have_no_signal(boundary, normalization):
    for shape in ((7, 11), (30, 64)):
        levels = np.array([0, 0.1, 1, 1e6 / 3])[:, None, None]
        tracks = jnp.asarray(np.broadcast_to(levels, (4, *shape)), jnp.float32)
        how = {"freq_limit": 1.0, "smooth_sigma": 0, "boundary": boundary, "normalization": normalization, "axes": 2}
        losses, gradient = losses_and_gradient(partial(fourier, **how), tracks)
        np.testing.assert_array_equal(losses, 1)
        np.testing.assert_array_equal(gradient, 0)


def test_single_spike_is_finite_everywhere():
    spikes = np.eye(12, dtype=np.float32).reshape(12, 3, 4)
    losses, gradient = losses_and_gradient(partial(fourier, freq_limit=1.0, smooth_sigma=0, axes=2), spikes)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_batch_axes_and_scale():
    tracks = random_track(2, 3, 5, 4).astype(np.float32)
    of = partial(fourier, freq_limit=1.0, smooth_sigma=1, axes=2)
    losses = of(tracks)
    assert losses.shape == (2, 3) and of(tracks[0, 0]).shape == () and of(tracks[:, :0]).shape == (2, 0)
    np.testing.assert_allclose(of(tracks[1, 2]), losses[1, 2], rtol=1e-5)
    np.testing.assert_allclose(of(1e20 * tracks), losses, rtol=1e-5)
    one_axis = smoothness(tracks, axes=1)
    np.testing.assert_array_equal(one_axis, smoothness(tracks))
    assert one_axis.shape == (2, 3, 5) and smoothness(tracks, axes=3).shape == (2,)


@pytest.mark.parametrize(
    ("track", "how", "message"),
    [
        (np.ones((3, 4)), {"axes": 0}, r"axes \(=0\) must be a positive whole number"),
        (np.ones((3, 4)), {"axes": 2.0}, r"axes \(=2.0\)"),
        (np.ones((3, 4)), {"axes": 3}, r"track \(shape \(3, 4\)\) has fewer axes than axes \(=3\)"),
        (np.ones((3, 4)), {"freq_limit": (1, 2, 3)}, r"freq_limit \(=\(1, 2, 3\)\) must be one number, or as many"),
        (np.ones((3, 4)), {"freq_limit": (1, 0)}, r"freq_limit \(=\(1, 0\)\) must be positive"),
        (np.ones((3, 4)), {"freq_limit": (1, np.inf)}, r"freq_limit .* must be positive and finite"),
        (np.ones((3, 4)), {"smooth_sigma": (1,)}, r"smooth_sigma \(=\(1,\)\) must be one number, or as many"),
        (np.ones((3, 4)), {"smooth_sigma": (1, -1)}, r"smooth_sigma \(=-1\) must be 0"),
        (np.ones((1, 1)), {}, r"track has positions \(1, 1\); .* at least 2"),
    ],
)
def test_errors_name_the_argument(track, how, message):
    with pytest.raises(ValueError, match=message):
        fourier_prior(track, **{"freq_limit": 2, "axes": 2, **how})
    if "axes" in how:
        with pytest.raises(ValueError, match=message):
            smoothness_prior(track, axes=how["axes"])
