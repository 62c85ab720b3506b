"""Attribution priors against slow plain versions, and on their singular points."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from prior_tracks import (
    PRIORS,
    all_boundaries,
    all_priors,
    fourier,
    losses_and_gradient,
    numerical_gradient,
    one_of_a_kind,
    random_track,
)

from fprior import fourier_prior, input_gradient, smoothness_prior, sparsity_prior
from fprior.priors import smooth, track_of


def plain_smooth(track, sigma):
    if sigma == 0:
        return np.array(track)
    reach = int(np.floor(sigma + 0.5))
    weight = {d: np.exp(-d * d / (2 * sigma * sigma)) for d in range(-reach, reach + 1)}
    total = sum(weight.values())
    smoothed = np.zeros(len(track))
    for i in range(len(track)):
        for d, w in weight.items():
            if 0 <= i + d < len(track):
                smoothed[i] += track[i + d] * w / total
    return smoothed


def plain_fourier(track, *, freq_limit, softness=0.2, smooth_sigma=3.0, normalization="paper", boundary="periodic"):
    track = plain_smooth(track, smooth_sigma)
    length = len(track)
    position = np.arange(length)
    if boundary == "taper":
        fade = max(0.1 * length, 0.5)
        window = np.ones(length)
        for i in range(length):
            from_end = min(i, length - 1 - i) + 0.5
            if from_end < fade:
                window[i] = (1 - np.cos(np.pi * from_end / fade)) / 2
        constant = abs(np.sum(window * track))
        track = window * (track - track.mean())
    kept = total = 0.0
    if boundary == "cosine":  # half cycles, each a cosine that is flat at both ends
        constant = abs(2 * np.sum(track))
        components = [
            (i / 2, abs(2 * np.sum(track * np.cos(np.pi * i * (position + 0.5) / length)))) for i in range(1, length)
        ]
    else:
        cycle = 1.0
        if boundary == "reflect":
            track, cycle = np.concatenate([track, track[::-1]]), 0.5
        n = len(track)
        if boundary != "taper":
            constant = abs(np.sum(track))
        components = [
            (cycle * i, abs(np.sum(track * np.exp(-2j * np.pi * i * np.arange(n) / n)))) for i in range(1, n // 2 + 1)
        ]
    for cycles, magnitude in components:
        if cycles <= freq_limit:
            weight = 1.0
        else:
            weight = 0.0 if softness is None else 1 / (1 + (cycles - freq_limit) ** softness)
        kept += weight * magnitude
        total += magnitude
    return 1 - kept / (total + (constant if normalization == "reference" else 0))


def plain_smoothness(track):
    return sum(abs(b - a) for a, b in pairwise(track))


def plain_sparsity(track):
    return -sum(abs(a - b) for a in track for b in track) / (len(track) * sum(track))


ARGUMENTS = [
    (12, {"freq_limit": 2.0}),
    (13, {"freq_limit": 2.5, "softness": None, "smooth_sigma": 0.0, "normalization": "reference"}),
    (13, {"freq_limit": 0.4, "softness": 1.5, "smooth_sigma": 1.2}),
    (12, {"freq_limit": 3, "softness": 0.2, "smooth_sigma": 0, "normalization": "reference"}),
]


@all_boundaries
@pytest.mark.parametrize(("length", "how"), ARGUMENTS)
def test_fourier_prior_and_its_gradient_are_those_of_the_plain_version(length, how, boundary):
    track = random_track(length, seed=length)
    plain = partial(plain_fourier, boundary=boundary, **how)
    with jax.enable_x64(True):
        loss, gradient = losses_and_gradient(partial(fourier, boundary=boundary, **how), track, jnp.float64)
    np.testing.assert_allclose(loss, plain(track), rtol=1e-12)
    np.testing.assert_allclose(gradient, numerical_gradient(plain, track), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("prior", "plain"), [(smoothness_prior, plain_smoothness), (sparsity_prior, plain_sparsity)])
@pytest.mark.parametrize("length", [2, 12, 13])
def test_other_priors_and_their_gradients_are_those_of_the_plain_versions(prior, plain, length):
    track = random_track(length, seed=length)
    with jax.enable_x64(True):
        loss, gradient = losses_and_gradient(prior, track, jnp.float64)
    np.testing.assert_allclose(loss, plain(track), rtol=1e-12)
    np.testing.assert_allclose(gradient, numerical_gradient(plain, track, 1e-7), rtol=1e-5, atol=1e-7)


@one_of_a_kind
def test_numerical_derivatives(name):
    with jax.enable_x64(True):
        track = jnp.asarray(random_track(2, 9, seed=1) + 0.1)
        check_grads(PRIORS[name], (track,), order=1, modes=["fwd"], atol=1e-5, rtol=1e-5)


def test_numerical_second_derivative():
    with jax.enable_x64(True):
        track = jnp.asarray(random_track(8, seed=2) + 0.1)
        prior = partial(fourier, freq_limit=1.5, smooth_sigma=1)
        check_grads(prior, (track,), order=2, modes=["rev"], atol=1e-4, rtol=1e-4)


@one_of_a_kind
def test_through_the_input_gradient_of_a_network(name):
    """What training does: the prior of a network's input gradient, differentiated in its parameters."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        x = jnp.asarray(rng.normal(size=(2, 10, 4)))
        params = (jnp.asarray(rng.normal(size=(4, 3))), jnp.asarray(rng.normal(size=(10, 3))))

        def network(params, x):
            return jnp.sum(jnp.tanh(jnp.einsum("blc,ch->blh", x, params[0])) * params[1])

        @jax.jit
        def loss(params):
            return jnp.mean(PRIORS[name](track_of(input_gradient(partial(network, params), x))))

        direction = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)), params)
        exact = jax.jit(jax.grad(loss))(params)
        exact = sum(jnp.vdot(g, d) for g, d in zip(exact, direction, strict=True))

        def along(t):
            return loss(jax.tree.map(lambda p, d: p + t * d, params, direction))

        assert abs(exact) > 1e-3
        np.testing.assert_allclose((along(1e-6) - along(-1e-6)) / 2e-6, exact, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0, 0.4, 1, 2.5, 3.0, 5])
def test_smooth(sigma):
    track = random_track(2, 3, 7)
    with jax.enable_x64(True):
        ours = smooth(jnp.asarray(track), sigma)
    np.testing.assert_allclose(ours, np.apply_along_axis(plain_smooth, -1, track, sigma), rtol=1e-12)


def test_smooth_spreads_a_spike_over_seven_positions_and_loses_nothing_inside():
    spike = np.zeros(20, np.float32)
    spike[10] = 1
    smoothed = smooth(jnp.asarray(spike), 3.0)
    assert np.flatnonzero(smoothed).tolist() == list(range(7, 14))
    np.testing.assert_allclose(smoothed.sum(), 1, rtol=1e-6)


def test_track_of():
    attribution = jnp.array([[[1.0, -2.0, 0.0, 0.0], [0.0, 0.0, 0.0, -0.5]]])
    np.testing.assert_array_equal(track_of(attribution), [[3.0, 0.5]])


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize(("length", "dtype"), [(11, jnp.float32), (10, jnp.bfloat16)])
def test_all_zero_track(name, length, dtype):
    """Fourier: nothing of it is at low frequencies, loss 1. The others: 0. No gradient, and no NaN, anywhere."""
    tracks = random_track(4, length)
    tracks[1] = 0
    losses, gradient = losses_and_gradient(PRIORS[name], tracks, dtype)
    assert losses[1] == (1 if name.startswith("fourier") else 0)
    np.testing.assert_array_equal(gradient[1], 0)
    assert np.all(np.isfinite(gradient)) and np.any(gradient[0] != 0)


@all_boundaries
@pytest.mark.parametrize(("length", "normalization"), [(101, "paper"), (1000, "reference")])
def test_constant_track_has_no_signal(boundary, length, normalization):
    """Rounding leaves something in every component; it must not be taken for a signal."""
    prior = partial(fourier, freq_limit=1, smooth_sigma=0, boundary=boundary, normalization=normalization)
    losses, gradient = losses_and_gradient(prior, np.full((3, length), [[0.1], [1.0], [1e6 / 3]]))
    np.testing.assert_array_equal(losses, 1)
    np.testing.assert_array_equal(gradient, 0)


@all_boundaries
def test_faint_signal_on_a_constant_is_a_signal(boundary):
    position = (np.arange(200) + 0.5) / 200
    tracks = np.stack([1 + 1e-4 * np.cos(2 * np.pi * cycles * position) for cycles in (40, 5)])
    losses = fourier(tracks, freq_limit=10, softness=None, smooth_sigma=0, boundary=boundary)
    assert losses[0] > 0.9 and losses[1] < 0.1


def test_single_spike_has_all_frequencies_alike():
    """The mean of 1 − weight over components, known in closed form, wherever the spike is."""
    for length in (20, 21):
        components = length // 2
        expected = (components - 4) / components
        spikes = np.eye(length, dtype=np.float32)
        prior = partial(fourier, freq_limit=4, softness=None, smooth_sigma=0)
        np.testing.assert_allclose(prior(spikes), expected, rtol=1e-5)
        np.testing.assert_allclose(prior(spikes, normalization="reference"), 1 - 4 / (components + 1), rtol=1e-5)


@all_priors
def test_single_spike_has_a_finite_gradient(prior):
    assert np.all(np.isfinite(losses_and_gradient(prior, np.eye(11)[[0, 3, 5, 10]])[1]))


def test_sparsity_of_extremes():
    np.testing.assert_allclose(PRIORS["sparsity"](np.ones(8, np.float32)), 0)
    np.testing.assert_allclose(PRIORS["sparsity"](np.eye(8, dtype=np.float32)), -2 * 7 / 8, rtol=1e-6)


def test_smoothness_grows_with_scale():
    track = random_track(11)
    scales = np.array([1, 1e-20, 1e7, 1e20])
    losses, gradient = losses_and_gradient(PRIORS["smoothness"], scales[:, None] * track)
    np.testing.assert_allclose(np.asarray(losses, np.float64), plain_smoothness(track) * scales, rtol=1e-5)
    np.testing.assert_array_equal(gradient, np.asarray(gradient)[[0, 0, 0, 0]])


@all_boundaries
@pytest.mark.parametrize("how", [{"smooth_sigma": 0}, {"normalization": "reference"}])
def test_two_positions(boundary, how):
    track = np.array([0.2, 1.0])
    ours = fourier(track, freq_limit=0.3, boundary=boundary, **how)
    np.testing.assert_allclose(ours, plain_fourier(track, freq_limit=0.3, boundary=boundary, **how), atol=1e-6)


@pytest.mark.parametrize(("length", "softness"), [(10, None), (11, 0.2)])
def test_limit_at_or_above_the_highest_component(length, softness):
    track = random_track(3, length)
    for limit in (length // 2, 10 * length):
        np.testing.assert_allclose(fourier(track, freq_limit=limit, softness=softness), 0, atol=1e-6)
    assert np.all(fourier(track, freq_limit=length // 2 - 1, softness=softness, smooth_sigma=0) > 1e-3)


def test_component_at_the_limit_is_not_penalised_and_the_next_is():
    track = 1 + np.cos(2 * np.pi * 6 * np.arange(30) / 30)
    of = partial(fourier, track, smooth_sigma=0, softness=None)
    np.testing.assert_allclose([of(freq_limit=5), of(freq_limit=6), of(freq_limit=7)], [1, 0, 0], atol=1e-5)
    soft = fourier(track, smooth_sigma=0, softness=2.0, freq_limit=4)
    np.testing.assert_allclose(soft, 1 - 1 / (1 + 2.0**2), atol=1e-5)


def test_ties_have_the_gradient_of_the_pairwise_definition():
    """Σ_ij |a_i − a_j| with sign(0) = 0, at tracks full of ties."""
    tracks = np.array(
        [[2, 1, 1, 0, 0, 2, 0.5], [0, 0, 0, 3, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 1, 5]], np.float64
    )
    losses, gradients = losses_and_gradient(PRIORS["sparsity"], tracks)
    for a, loss, gradient in zip(tracks, losses, gradients, strict=True):
        length, total = len(a), a.sum()
        spread = np.abs(a[:, None] - a).sum()
        expected = -2 * np.sign(a[:, None] - a).sum(1) / (length * total) + spread / (length * total**2)
        np.testing.assert_allclose(loss, -spread / (length * total), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_flat_stretches_have_no_smoothness_gradient():
    np.testing.assert_array_equal(losses_and_gradient(smoothness_prior, [1.0, 1.0, 1.0, 2.0])[1], [0, 0, -1, 1])


def test_defaults():
    track = random_track(40)
    spelt_out = fourier(track, freq_limit=9, softness=0.2, smooth_sigma=3.0, normalization="paper", boundary="periodic")
    np.testing.assert_array_equal(fourier(track, freq_limit=9), spelt_out)


@pytest.mark.parametrize(
    ("track", "how", "message"),
    [
        (np.ones(5), {"freq_limit": 0}, r"freq_limit \(=0\) must be positive"),
        (np.ones(5), {"freq_limit": float("nan")}, r"freq_limit \(=nan\) must be positive"),
        (np.ones(5), {"softness": 0}, r"softness \(=0\) must be positive, or None"),
        (np.ones(5), {"softness": -1.0}, r"softness \(=-1.0\)"),
        (np.ones(5), {"smooth_sigma": -1}, r"smooth_sigma \(=-1\) must be 0 .* or positive"),
        (np.ones(5), {"smooth_sigma": float("nan")}, r"smooth_sigma \(=nan\)"),
        (np.ones(5), {"normalization": "Paper"}, r"normalization \(='Paper'\) must be one of"),
        (np.ones(5), {"boundary": "zero"}, r"boundary \(='zero'\) must be one of .*taper"),
        (np.ones(1), {}, r"track has length 1; .* at least 2"),
        (np.ones(5, int), {}, r"track \(int32\) must be of a floating dtype"),
        (np.ones(5, np.complex64), {}, r"track \(complex64\) must be of a floating dtype"),
        (np.float32(1), {}, r"track must be \(..., L\), not a scalar"),
    ],
)
def test_errors_name_the_argument(track, how, message):
    with pytest.raises(ValueError, match=message):
        fourier_prior(track, **{"freq_limit": 2, **how})


@pytest.mark.parametrize("prior", [smoothness_prior, sparsity_prior])
def test_other_priors_refuse_the_same_tracks(prior):
    for track in (np.ones(5, int), np.float32(1)):
        with pytest.raises(ValueError, match="track"):
            prior(track)


def test_limit_is_required_and_keyword_only():
    with pytest.raises(TypeError):
        fourier_prior(np.ones(5))
    with pytest.raises(TypeError):
        fourier_prior(np.ones(5), 2)
