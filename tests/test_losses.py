"""Binary cross entropy: classes averaged apart, labels left out, and the batches in which a class is missing.

Profile losses: SciPy's multinomial, profiles without reads, and where the minimum lies.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.test_util import check_grads

from fprior.losses import binary_cross_entropy, count_error, masked_mean, multinomial_nll, profile_loss

averaged = pytest.mark.parametrize("class_averaged", [True, False])


def plain(logits, labels, class_averaged):
    """Entry by entry, with the logarithms written out."""
    by_class = {0: [], 1: []}
    for logit, label in zip(np.ravel(logits).tolist(), np.ravel(labels).tolist(), strict=True):
        if label in by_class:
            probability = 1 / (1 + np.exp(-logit))
            by_class[label].append(-np.log(probability if label == 1 else 1 - probability))
    groups = [values for values in by_class.values() if values]
    if not class_averaged:
        groups = [[value for values in groups for value in values]]
    return np.mean([np.mean(values) for values in groups])


def example():
    rng = np.random.default_rng(0)
    labels = np.array([[1, 0], [0, 0], [-1, 1], [0, -1], [0, 2], [0, 0.5]], np.float32)
    return rng.normal(size=labels.shape).astype(np.float32), labels


def loss_and_gradient(logits, labels, class_averaged=True):
    of = partial(binary_cross_entropy, labels=jnp.asarray(labels), class_averaged=class_averaged)
    return jax.value_and_grad(of)(jnp.asarray(logits))


@averaged
def test_plain_version(class_averaged):
    logits, labels = example()
    loss = binary_cross_entropy(logits, labels, class_averaged=class_averaged)
    assert loss.shape == () and loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, plain(logits, labels, class_averaged), rtol=1e-6)


def test_classes_are_averaged_apart_by_default():
    logits, labels = example()
    apart, together = (plain(logits, labels, averaged) for averaged in (True, False))
    assert abs(apart - together) > 0.01
    np.testing.assert_allclose(binary_cross_entropy(logits, labels), apart, rtol=1e-6)


def test_more_negatives_of_the_same_kind_change_nothing():
    logits, labels = np.array([[1.0], [2.0], [-1.0]], np.float32), np.array([[1], [0], [0]])
    more = [0, 1, 2, 1, 2]
    np.testing.assert_allclose(
        binary_cross_entropy(logits[more], labels[more]), binary_cross_entropy(logits, labels), rtol=1e-6
    )


@averaged
def test_numerical_gradient(class_averaged):
    logits, labels = example()
    with jax.enable_x64(True):
        of = jax.jit(partial(binary_cross_entropy, labels=labels, class_averaged=class_averaged))
        check_grads(of, (jnp.asarray(logits, jnp.float64),), order=1, modes=["rev"], atol=1e-5, rtol=1e-5)


@averaged
def test_left_out_labels_do_not_count_and_pull_at_nothing(class_averaged):
    logits, labels = example()
    left_out = ~np.isin(labels, (0, 1))
    loss, gradient = loss_and_gradient(logits, labels, class_averaged)
    np.testing.assert_array_equal(gradient[left_out], 0)
    assert np.all(np.asarray(gradient)[~left_out] != 0)
    logits[left_out] = 1e4
    np.testing.assert_array_equal(loss_and_gradient(logits, labels, class_averaged)[0], loss)
    labels[left_out] = np.nan
    np.testing.assert_array_equal(loss_and_gradient(logits, labels, class_averaged)[0], loss)


@averaged
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone(label, class_averaged):
    """The other is left out of the average, not counted as 0."""
    logits = example()[0]
    labels = np.full(logits.shape, label)
    labels[0, 0] = -1
    loss, gradient = loss_and_gradient(logits, labels, class_averaged)
    np.testing.assert_allclose(loss, plain(logits, labels, class_averaged), rtol=1e-6)
    assert np.all((np.asarray(gradient) > 0) == ((label == 0) & (labels != -1)))


@averaged
def test_no_label_counts(class_averaged):
    logits = example()[0]
    for labels in (np.full(logits.shape, -1), np.full(logits.shape, np.nan, np.float32)):
        loss, gradient = loss_and_gradient(logits, labels, class_averaged)
        assert loss == 0
        np.testing.assert_array_equal(gradient, 0)


def test_extreme_logits():
    """The loss of a confident error grows as the logit; that of a confident hit is 0; nothing overflows."""
    for wrong, label in ((-1e4, 1), (1e4, 0)):
        loss, gradient = loss_and_gradient([[wrong]], [[label]])
        np.testing.assert_allclose(loss, 1e4)
        np.testing.assert_allclose(gradient, [[1.0 if label == 0 else -1.0]])
        loss, gradient = loss_and_gradient([[-wrong]], [[label]])
        assert loss == 0 and gradient == 0
    loss, gradient = loss_and_gradient([[np.float32(3e38)]], [[0]])
    assert np.isfinite(loss) and np.isfinite(gradient)


@averaged
def test_bfloat16_is_computed_in_single(class_averaged):
    logits, labels = example()
    half = jnp.asarray(logits, jnp.bfloat16)
    loss, gradient = loss_and_gradient(half, labels, class_averaged)
    assert loss.dtype == jnp.float32 and gradient.dtype == jnp.bfloat16
    single = binary_cross_entropy(half.astype(jnp.float32), labels, class_averaged=class_averaged)
    np.testing.assert_array_equal(loss, single)
    for dtype in (jnp.int8, jnp.bfloat16):  # labels of any dtype
        whole = jnp.asarray(np.where(np.isin(labels, (0, 1)), labels, -1), dtype)
        loss = binary_cross_entropy(half, whole, class_averaged=class_averaged)
        np.testing.assert_allclose(loss, single, rtol=1e-6)


@pytest.mark.parametrize(("logits", "labels"), [((4, 2), (4,)), ((4, 1), (4, 2)), ((4,), (4, 1))])
def test_shapes_must_agree(logits, labels):
    with pytest.raises(ValueError, match=rf"logits \(shape \({logits[0]},.* and labels \(shape \({labels[0]},"):
        binary_cross_entropy(jnp.zeros(logits), jnp.zeros(labels))


def test_masked_mean():
    values, mask = jnp.array([1.0, 2.0, jnp.nan, 6.0]), jnp.array([True, False, False, True])
    assert masked_mean(values, mask) == 3.5
    np.testing.assert_array_equal(jax.grad(masked_mean)(values, mask), [0.5, 0, 0, 0.5])
    nothing = jnp.zeros(4, bool)
    assert masked_mean(values, nothing) == 0
    np.testing.assert_array_equal(jax.grad(masked_mean)(values, nothing), 0)


# ---- profiles


def profiles_example(shape=(3, 2, 9, 2)):
    """Logits, counts and reads `(B, T, O, S)`; one strand without reads, one with a single read."""
    rng = np.random.default_rng(0)
    reads = rng.poisson(3, shape).astype(np.float32)
    reads[1, 0, :, 1] = 0
    reads[2, 1, :, 0] = np.eye(shape[2])[4]
    counts = rng.normal(3, 1, (*shape[:2], shape[3]))
    return rng.normal(size=shape).astype(np.float32), counts.astype(np.float32), reads


def plain_multinomial(logits, reads):
    """Strand by strand, by SciPy."""
    losses = np.empty((*logits.shape[:2], logits.shape[3]))
    for b, t, s in np.ndindex(losses.shape):
        strand = reads[b, t, :, s].astype(int)
        probabilities = scipy.special.softmax(logits[b, t, :, s].astype(np.float64))
        losses[b, t, s] = -scipy.stats.multinomial.logpmf(strand, strand.sum(), probabilities)
    return losses


def test_multinomial_of_scipy():
    logits, _, reads = profiles_example()
    found = multinomial_nll(logits, reads)
    assert found.shape == (3, 2, 2) and found.dtype == jnp.float32
    np.testing.assert_allclose(found, plain_multinomial(logits, reads), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(multinomial_nll(logits[0, 0], reads[0, 0]), found[0, 0], rtol=1e-6)
    np.testing.assert_array_equal(multinomial_nll(logits, reads.astype(np.uint16)), found)


def test_multinomial_of_thousands_of_reads():
    """log N! alone is 10^5 times the float32 rounding there; what counts is small beside it."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, 1, 1000, 1)).astype(np.float32)
    reads = rng.poisson(5 * np.exp(logits)).astype(np.float32)
    np.testing.assert_allclose(multinomial_nll(logits, reads), plain_multinomial(logits, reads), rtol=1e-4)


def test_profiles_without_reads_lose_nothing_and_pull_at_nothing():
    """Exactly, however many positions; a count of 0 is still to be predicted."""
    logits = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    reads = np.zeros((1000, 2), np.float32)
    losses, pull = multinomial_nll(logits, reads), jax.grad(lambda logits: multinomial_nll(logits, reads).sum())(logits)
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(pull, 0)
    np.testing.assert_array_equal(count_error(np.array([0, 2], np.float32), reads), [0, 4])


def test_a_constant_added_to_the_logits_of_a_strand_changes_no_loss():
    logits, _, reads = profiles_example()
    moved = logits + np.random.default_rng(1).normal(0, 3, (3, 2, 1, 2)).astype(np.float32)
    np.testing.assert_allclose(multinomial_nll(moved, reads), multinomial_nll(logits, reads), rtol=1e-5, atol=1e-5)


def test_the_empirical_distribution_has_the_least_loss():
    """There the gradient, N · softmax − k, is 0; and every step away from it costs."""
    _, _, reads = profiles_example()
    reads = reads + 1
    logits, counts = np.log(reads), np.log1p(reads.sum(2))
    gradient = jax.grad(lambda logits, counts: profile_loss(logits, counts, reads)["correctness"], argnums=(0, 1))
    for pull in gradient(logits, counts):
        np.testing.assert_allclose(pull, 0, atol=1e-5)
    least = multinomial_nll(logits, reads)
    for seed in range(3):
        away = logits + 0.3 * np.random.default_rng(seed).normal(size=logits.shape).astype(np.float32)
        assert np.all(multinomial_nll(away, reads) > least)
    np.testing.assert_array_equal(count_error(counts, reads), 0)


def test_numerical_gradient_of_the_profile_loss():
    logits, counts, reads = profiles_example()
    with jax.enable_x64(True):
        of = jax.jit(lambda logits, counts: profile_loss(logits, counts, reads, count_weight=3.0)["correctness"])
        arguments = jnp.asarray(logits, jnp.float64), jnp.asarray(counts, jnp.float64)
        check_grads(of, arguments, order=1, modes=["rev"], atol=1e-5, rtol=1e-5)
        share = scipy.special.softmax(arguments[0], axis=2)
        expected = (reads.sum(2, keepdims=True) * share - reads) / (3 * 2 * 2)
        np.testing.assert_allclose(jax.grad(of)(*arguments), expected, rtol=1e-6, atol=1e-9)


def test_profile_loss_is_the_weighted_sum_of_two_means():
    logits, counts, reads = profiles_example()
    profile = plain_multinomial(logits, reads).mean()
    error = ((counts - np.log(1 + reads.sum(2))) ** 2).mean()
    np.testing.assert_allclose(count_error(counts, reads), (counts - np.log(1 + reads.sum(2))) ** 2, rtol=1e-5)
    for weight, options in ((20, {}), (0.5, {"count_weight": 0.5})):
        found = profile_loss(logits, counts, reads, **options)
        assert {value.shape for value in found.values()} == {()}
        expected = {"correctness": profile + weight * error, "profile": profile, "counts": error}
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5)


def test_extreme_profile_logits():
    """Reads where the model is sure that there are none cost what the logit says; elsewhere nothing overflows."""
    logits = np.array([[1e4], [0], [0]], np.float32)
    for reads, expected in (([0, 1, 0], 1e4), ([5, 0, 0], 0)):
        of = lambda logits, reads=reads: multinomial_nll(logits, np.array(reads, np.float32)[:, None])[0]  # noqa: E731
        loss, gradient = jax.value_and_grad(of)(logits)
        np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)
        assert np.all(np.isfinite(gradient))


def test_profile_losses_of_bfloat16_are_computed_in_single():
    logits, _, reads = profiles_example()
    half = jnp.asarray(logits, jnp.bfloat16)
    found = multinomial_nll(half, reads)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, multinomial_nll(half.astype(jnp.float32), reads))


@pytest.mark.parametrize("function", [multinomial_nll, lambda a, b: profile_loss(a, jnp.zeros((4, 1, 2)), b)])
@pytest.mark.parametrize(("logits", "reads"), [((4, 1, 9, 2), (4, 1, 8, 2)), ((4, 1, 9, 2), (1, 1, 9, 2))])
def test_profile_shapes_must_agree(function, logits, reads):
    shown = [str(shape).replace("(", r"\(").replace(")", r"\)") for shape in (logits, reads)]
    with pytest.raises(ValueError, match=rf"profile_logits \(shape {shown[0]}\) and profiles \(shape {shown[1]}\)"):
        function(jnp.zeros(logits), jnp.zeros(reads))
