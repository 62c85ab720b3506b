"""In-silico mutagenesis: a slow plain loop, known answers, unknown bases, and the windowed way."""

from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.attribution import Local, in_silico_mutagenesis
from fprior.conv import conv
from fprior.models.layers import max_pool
from fprior.sequence import UNKNOWN, one_hot

RNG = np.random.default_rng(0)
LENGTH = 17
TOKENS = RNG.integers(0, 4, (3, LENGTH))
TOKENS[1, [0, 5, 6]] = UNKNOWN
X = one_hot(TOKENS)
WEIGHTS = jnp.asarray(RNG.integers(-3, 4, (LENGTH, 4)), jnp.float32)


def additive(x):
    return jnp.sum(x * WEIGHTS, axis=(1, 2)) + 5


def small_integers(*shape):
    return jnp.asarray(RNG.integers(-2, 3, shape), jnp.float32)


class Parts:
    """A convolutional network of small integers, exact in float32, in two parts."""

    def __init__(self, widths=(3, 4), dilation=1, pool=1, length=LENGTH):
        sizes = (4, *[5] * (len(widths) - 1), 3)
        self.kernels = [small_integers(w, *size) for w, size in zip(widths, pairwise(sizes), strict=True)]
        self.dilation, self.pool = dilation, pool
        width = 1 + sum(w - 1 for w in widths) * dilation
        self.local = (self.features, width + pool - 1, pool)
        self.weights = small_integers((length - width + 1) // pool, 3)

    def features(self, x):
        for kernel in self.kernels:
            x = nn.relu(conv(x, kernel, dilation=self.dilation) - 1)
        return max_pool(x, self.pool)

    def rest(self, h):
        return nn.relu(jnp.sum(h * self.weights, axis=2)) @ jnp.ones(h.shape[1]) - jnp.sum(h, axis=(1, 2)) ** 2 / 64

    def whole(self, x):
        return self.rest(self.features(x))


def by_hand(f, x, centred):
    """One mutant after the other."""
    f = jax.jit(f)
    scores = np.zeros(x.shape, np.float32)
    for n, sequence in enumerate(np.asarray(x)):
        for position in np.flatnonzero(sequence.any(1)):
            for base in range(4):
                mutant = sequence.copy()
                mutant[position] = np.eye(4)[base]
                scores[n, position, base] = f(mutant[None])[0] - f(sequence[None])[0]
    return scores - scores.mean(-1, keepdims=True) if centred else scores


def test_a_plain_loop_finds_the_same():
    parts = Parts()
    expected = {centred: by_hand(parts.whole, X, centred) for centred in (True, False)}
    for batch_size, centred in ((1, True), (7, False), (51, True), (1000, False)):
        scores = in_silico_mutagenesis(parts.whole, X, batch_size=batch_size, centred=centred)
        np.testing.assert_array_equal(scores, expected[centred])
    assert scores.dtype == jnp.float32 and np.abs(scores).max() > 1


def test_additive_model():
    present = jnp.sum(X * WEIGHTS, axis=2, keepdims=True)
    known = jnp.any(X != 0, axis=2, keepdims=True)
    plain = in_silico_mutagenesis(additive, X, centred=False)
    np.testing.assert_array_equal(plain, jnp.where(known, WEIGHTS - present, 0))
    np.testing.assert_array_equal(plain * X, 0)
    centred = in_silico_mutagenesis(additive, X)
    expected = jnp.where(known, WEIGHTS - jnp.mean(WEIGHTS, axis=1, keepdims=True), 0)
    np.testing.assert_array_equal(centred, expected)
    # A sequence's scores sum to its value less the mean value of all sequences with the same unknown bases.
    rest = jnp.sum(known * jnp.mean(WEIGHTS, axis=1)[:, None], axis=(1, 2)) + 5
    np.testing.assert_array_equal(jnp.sum(centred * X, axis=(1, 2)), additive(X) - rest)


def test_unknown_bases_have_no_scores():
    for centred in (True, False):
        scores = in_silico_mutagenesis(Parts().whole, X, centred=centred)
        np.testing.assert_array_equal(np.any(scores != 0, axis=2)[1, [0, 5, 6]], False)
        assert np.any(scores[1, [1, 4, 7]])
    np.testing.assert_array_equal(in_silico_mutagenesis(additive, jnp.zeros((1, LENGTH, 4))), 0)


@pytest.mark.parametrize(
    "parts, length",
    [
        (Parts(), LENGTH),
        (Parts(dilation=2), LENGTH),
        (Parts(pool=3), LENGTH),  # two bases at the end are in no pool
        (Parts(pool=4), LENGTH),
        (Parts((1,), pool=5), LENGTH),
        (Parts((5, 8), length=12), 12),  # one feature, which sees all
        (Parts((5, 6), length=12), 12),  # three features, each of which sees nearly all
        (Parts((1, 1)), LENGTH),
    ],
    ids=["plain", "dilated", "pool 3", "pool 4", "pool apart", "one feature", "wide", "width 1"],
)
def test_windows_change_nothing(parts, length):
    x = X[:, :length]
    how = {"batch_size": 7, "centred": False}
    expected = jax.jit(lambda x: in_silico_mutagenesis(parts.whole, x, **how))(x)
    np.testing.assert_array_equal(
        jax.jit(lambda x: in_silico_mutagenesis(parts.rest, x, local=parts.local, **how))(x), expected
    )
    assert np.abs(expected).max() > 0.5


def test_stride_without_overlap():
    """Features of every second base alone: the bases between them do not matter, nor does what lies past the last."""

    def features(x):
        return x[:, ::2]

    def rest(h):
        return jnp.sum(h * WEIGHTS[: h.shape[1]], axis=(1, 2))

    for length in (LENGTH, LENGTH - 1):
        x = X[:, :length]
        expected = in_silico_mutagenesis(lambda x: rest(features(x)), x, centred=False)
        np.testing.assert_array_equal(
            in_silico_mutagenesis(rest, x, centred=False, local=Local(features, 1, 2)), expected
        )
        np.testing.assert_array_equal(expected[:, 1::2], 0)
        assert np.any(expected)


def test_features_see_windows_only():
    """So that the test of equality is one of the windowed way."""
    parts, lengths = Parts(), []

    def features(x):
        lengths.append(x.shape[:2])
        return parts.features(x)

    in_silico_mutagenesis(parts.rest, X, batch_size=10, local=(features, 6))
    assert set(lengths) == {(1, LENGTH), (9, 11)}  # six batches of nine; 2 · 6 − 1 bases


def test_compiles_and_differentiates():
    parts = Parts()
    expected = in_silico_mutagenesis(parts.whole, X)
    compiled = jax.jit(lambda x: in_silico_mutagenesis(parts.rest, x, local=parts.local))
    np.testing.assert_array_equal(compiled(X), expected)
    np.testing.assert_array_equal(compiled(X[:0]), expected[:0])
    np.testing.assert_array_equal(jax.vmap(compiled)(X[None]), expected[None])

    def penalty(scale):
        return jnp.sum(in_silico_mutagenesis(lambda x: scale * parts.whole(x), X) ** 2)

    np.testing.assert_allclose(jax.jit(jax.grad(penalty))(3.0), 6 * np.sum(np.square(expected)), rtol=1e-5)


def test_what_is_no_sequence_is_refused_or_not_a_number():
    wrong = X.at[2, 3, :2].set(0.5)
    for bad in (wrong, X.at[2, 3].set(1.0), X.at[2, 3, 0].set(jnp.nan), X.at[2, 3].multiply(-1)):
        with pytest.raises(ValueError, match=r"x\[2, 3\] \(=.*\) must be one-hot or zeros"):
            in_silico_mutagenesis(additive, bad)
    scores = jax.jit(lambda x: in_silico_mutagenesis(additive, x))(wrong)
    assert np.all(np.isnan(scores[2])) and not np.any(np.isnan(scores[:2]))


def test_arguments_are_checked():
    with pytest.raises(TypeError, match=r"x \(int8\) must be floating"):
        in_silico_mutagenesis(additive, X.astype(jnp.int8))
    for wrong in (X[0], X[:, :, :3], X[:, :0]):
        with pytest.raises(ValueError, match=r"x \(shape .*\) must be one-hot \(B, L, 4\)"):
            in_silico_mutagenesis(additive, wrong)
    with pytest.raises(ValueError, match=r"batch_size \(=0\) must be at least 1"):
        in_silico_mutagenesis(additive, X, batch_size=0)
    with pytest.raises(ValueError, match=r"f returned shape \(\) for 1 sequences; it must return .* \(1,\)"):
        in_silico_mutagenesis(lambda x: jnp.sum(x), X)
    parts = Parts()
    for width, stride, message in (
        (5, 1, r"features returned shape \(1, 12, 3\) where width \(=5\) and stride \(=1\) say length 13"),
        (7, 1, r".* say length 11"),
        (6, 2, r".* say length 6"),
        (0, 1, r"width \(=0\) and stride \(=1\) must be at least 1"),
        (18, 1, r"width \(=18\) must be at most x's length \(17\)"),
    ):
        with pytest.raises(ValueError, match="local: " + message):
            in_silico_mutagenesis(parts.rest, X, local=(parts.features, width, stride))
