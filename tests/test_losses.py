"""Binary cross entropy: classes averaged apart, labels left out, and the batches in which a class is missing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fprior.losses import binary_cross_entropy, masked_mean

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
