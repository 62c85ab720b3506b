"""Binary performance, worked by hand."""

import numpy as np
import pytest

from fprior.errors import InputError
from fprior.metrics.performance import binary_performance

LABELS, PROBABILITIES = np.array([1, 0, 1, 0]), np.array([0.9, 0.6, 0.4, 0.1])


def of_one_task(labels, probabilities, **how):
    result = binary_performance(np.array(labels)[:, None], np.array(probabilities, float)[:, None], **how)
    assert all(value.shape == (1,) and value.dtype == np.float64 for value in result.values())
    return {name: value[0] for name, value in result.items()}


def test_worked_example():
    """Ranked + − + −. Precision at recall 0, ½, ½, 1: 1, 1, ½, ⅔, and then ½; of four pairs three are in order."""
    assert of_one_task(LABELS, PROBABILITIES) == pytest.approx(
        {
            "accuracy": 1 / 2,
            "positive_accuracy": 1 / 2,
            "negative_accuracy": 1 / 2,
            "auroc": 3 / 4,
            "precision": 1 / 2,
            "recall": 1 / 2,
            "auprc": 1 / 2 + (1 / 2 + 2 / 3) / 4,
            "corrected_precision": 1 / 2,
            "corrected_auprc": 1 / 2 + (1 / 2 + 2 / 3) / 4,
            "positives": 2,
            "negatives": 2,
        }
    )


def test_correction_for_left_out_negatives():
    """With three negatives for each there is: precision 1, ¼, 2/5 in place of 1, ½, ⅔; nothing else moves."""
    corrected = of_one_task(LABELS, PROBABILITIES, negative_upsampling=3)
    plain = of_one_task(LABELS, PROBABILITIES)
    assert corrected["corrected_precision"] == pytest.approx(1 / 4)
    assert corrected["corrected_auprc"] == pytest.approx(1 / 2 + (1 / 4 + 2 / 5) / 4)
    for name in plain:
        if not name.startswith("corrected"):
            assert corrected[name] == plain[name]


def test_correction_is_what_repeating_the_negatives_gives():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 60), rng.integers(0, 9, 60) / 8
    repeats = np.where(labels == 1, 1, 4)
    corrected = of_one_task(labels, probabilities, negative_upsampling=4)
    repeated = of_one_task(np.repeat(labels, repeats), np.repeat(probabilities, repeats))
    assert corrected["corrected_auprc"] == pytest.approx(repeated["auprc"])
    assert corrected["corrected_precision"] == pytest.approx(repeated["precision"])


def test_one_half_is_a_negative_call_for_accuracy_and_a_positive_one_for_precision():
    result = of_one_task([1, 0, 0], [0.5, 0.5, 0.1])
    assert result["accuracy"] == pytest.approx(2 / 3)
    assert (result["positive_accuracy"], result["negative_accuracy"]) == (0, 1)
    assert (result["precision"], result["recall"]) == (0.5, 1)


def test_auroc_counts_ties_half_and_is_that_of_all_pairs():
    rng = np.random.default_rng(1)
    labels, probabilities = rng.integers(0, 2, 50), rng.integers(0, 6, 50) / 5
    above = probabilities[labels == 1][:, None] - probabilities[labels == 0]
    assert of_one_task(labels, probabilities)["auroc"] == pytest.approx(np.mean((above > 0) + 0.5 * (above == 0)))


def test_perfect_and_reversed_ranking():
    perfect, reversed_ = of_one_task([1, 1, 0], [0.9, 0.8, 0.2]), of_one_task([0, 0, 1], [0.9, 0.8, 0.2])
    assert perfect["auroc"] == perfect["auprc"] == perfect["accuracy"] == perfect["precision"] == 1
    assert reversed_["auroc"] == reversed_["accuracy"] == reversed_["precision"] == reversed_["recall"] == 0


def test_tasks_are_apart_and_other_labels_left_out():
    labels = np.column_stack([LABELS, [1, -1, 0, 0], [0, 0, 2, 1]]).astype(np.float32)
    probabilities = np.column_stack([PROBABILITIES, PROBABILITIES, PROBABILITIES])
    result = binary_performance(labels, probabilities)
    kept = [slice(None), [0, 2, 3], [0, 1, 3]]
    for task, rows in enumerate(kept):
        alone = of_one_task(labels[rows, task], probabilities[rows, task])
        assert {name: value[task] for name, value in result.items()} == pytest.approx(alone)
    assert result["positives"].tolist() == [2, 1, 1] and result["negatives"].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("labels", "undefined", "defined"),
    [
        ([1, 1, -1], {"negative_accuracy"}, {"accuracy": 0.5, "positive_accuracy": 0.5, "precision": 1, "recall": 0.5}),
        ([0, 0, -1], {"positive_accuracy", "recall"}, {"accuracy": 0.5, "negative_accuracy": 0.5, "precision": 0}),
        ([-1, -1, -1], {"accuracy", "positive_accuracy", "negative_accuracy", "recall"}, {"precision": 0}),
    ],
    ids=["no negatives", "no positives", "nothing"],
)
def test_a_missing_class(labels, undefined, defined):
    """NaN where the measure needs it, without a warning; precision without a positive call is 0."""
    result = of_one_task(labels, [0.9, 0.2, 0.7])
    curves = {"auroc", "auprc", "corrected_auprc"}
    assert {name for name, value in result.items() if np.isnan(value)} == undefined | curves
    assert {name: result[name] for name in defined} == defined
    assert result["corrected_precision"] == result["precision"]


def test_no_positive_call():
    result = of_one_task([1, 0], [0.3, 0.2])
    assert (result["precision"], result["corrected_precision"], result["recall"]) == (0, 0, 0)
    assert result["auroc"] == 1


def test_no_examples():
    result = binary_performance(np.zeros((0, 2)), np.zeros((0, 2)))
    assert np.all(np.isnan(result["auroc"])) and result["positives"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("labels", "probabilities", "factor", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), 1, r"labels \(shape \(3, 2\)\) and probabilities \(shape \(3, 1\)\)"),
        (np.zeros(3), np.zeros(3), 1, r"must both be \(N, T\)"),
        (np.zeros((2, 1)), np.array([[0.5], [1.5]]), 1, r"probabilities must lie in \[0, 1\]; apply a sigmoid"),
        (np.zeros((2, 1)), np.array([[0.5], [-0.1]]), 1, "probabilities"),
        (np.zeros((2, 1)), np.array([[0.5], [np.nan]]), 1, "probabilities"),
        (np.zeros((2, 1)), np.zeros((2, 1)), 0.5, r"negative_upsampling \(=0.5\) must be at least 1"),
        (np.zeros((2, 1)), np.zeros((2, 1)), np.nan, r"negative_upsampling \(=nan\)"),
    ],
)
def test_errors_name_the_argument(labels, probabilities, factor, message):
    with pytest.raises(InputError, match=message):
        binary_performance(labels, probabilities, negative_upsampling=factor)
