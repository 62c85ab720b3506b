"""How well predictions fit the labels."""

import numpy as np
from jaxtyping import Float, Real, Shaped
from sklearn import metrics

from fprior.errors import InputError
from fprior.metrics.arithmetic import ratio
from fprior.typing import AnyArray


def binary_performance(
    labels: Shaped[AnyArray, "N T"], probabilities: Real[AnyArray, "N T"], *, negative_upsampling: float = 1.0
) -> dict[str, Float[np.ndarray, " T"]]:
    """Performance of binary predictions, task by task, over the examples whose label is 0 or 1.

    Where negatives were down-sampled for prediction, precision is too high. With a factor u = (negatives there
    are) / (negatives predicted), the corrected precision at a threshold is TP / (TP + u · FP).

    Args:
      labels: `(N, T)`; 1 positive, 0 negative, any other value is left out.
      probabilities: `(N, T)` in [0, 1]; a prediction is positive from 0.5 on.
      negative_upsampling: u, at least 1.

    Returns:
      Arrays `(T,)` float64: `accuracy`, `positive_accuracy`, `negative_accuracy`, which round as the authors do
      (0.5 is negative); `auroc`; `precision`, `recall`, `auprc` (trapezoids under the precision–recall curve);
      `corrected_precision`, `corrected_auprc`; and the numbers of examples `positives`, `negatives`.
      NaN where a task has no positives or no negatives and the measure needs both.

    Raises:
      InputError: shapes differ, a probability is not in [0, 1], or the factor is below 1.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape or labels.ndim != 2:
        raise InputError(
            f"labels (shape {labels.shape}) and probabilities (shape {probabilities.shape}) must both be (N, T)"
        )
    if not np.all((probabilities >= 0) & (probabilities <= 1)):
        raise InputError("probabilities must lie in [0, 1]; apply a sigmoid to logits first")
    if not negative_upsampling >= 1:
        raise InputError(f"negative_upsampling (={negative_upsampling}) must be at least 1")
    tasks = [_one_task(y, p, negative_upsampling) for y, p in zip(labels.T, probabilities.T, strict=True)]
    return {name: np.array([task[name] for task in tasks], np.float64) for name in tasks[0]}


def _one_task(labels: np.ndarray, probabilities: np.ndarray, upsampling: float) -> dict[str, float]:
    kept = (labels == 0) | (labels == 1)
    labels, probabilities = labels[kept] == 1, probabilities[kept]
    called = probabilities > 0.5
    at_threshold = probabilities >= 0.5
    true_calls, false_calls = np.sum(at_threshold & labels), np.sum(at_threshold & ~labels)
    both = labels.any() and not labels.all()
    return {
        "accuracy": ratio(np.sum(called == labels), len(labels)),
        "positive_accuracy": ratio(np.sum(called & labels), labels.sum()),
        "negative_accuracy": ratio(np.sum(~called & ~labels), np.sum(~labels)),
        "auroc": metrics.roc_auc_score(labels, probabilities) if both else np.nan,
        "precision": ratio(true_calls, true_calls + false_calls, nothing=0.0),
        "recall": ratio(true_calls, labels.sum()),
        "auprc": _auprc(labels, probabilities, 1.0) if both else np.nan,
        "corrected_precision": ratio(true_calls, true_calls + upsampling * false_calls, nothing=0.0),
        "corrected_auprc": _auprc(labels, probabilities, upsampling) if both else np.nan,
        "positives": labels.sum(),
        "negatives": np.sum(~labels),
    }


def _auprc(labels: np.ndarray, probabilities: np.ndarray, upsampling: float) -> float:
    weights = np.where(labels, 1.0, upsampling)
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities, sample_weight=weights)
    return metrics.auc(recall, precision)
