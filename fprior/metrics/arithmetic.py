"""What the measures share: ratios and correlations that have a stated value at singular points."""

import numpy as np


def ratio(part: np.ndarray | float, whole: np.ndarray | float, nothing: float = np.nan) -> np.ndarray:
    """part / whole in float64, and `nothing` where the whole is 0; a scalar of scalars."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), whole)
    return np.divide(part, whole, out=np.full(part.shape, nothing), where=whole != 0)[()]


def last_of_equals(ordered: np.ndarray) -> np.ndarray:
    """For each place along the last axis, the index of the last of the equal values it is among."""
    index = np.broadcast_to(np.arange(ordered.shape[-1]), ordered.shape).copy()
    index[..., :-1][ordered[..., :-1] == ordered[..., 1:]] = ordered.shape[-1]
    return np.minimum.accumulate(index[..., ::-1], axis=-1)[..., ::-1]


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis; NaN where either is constant."""
    # Asked of the values: the rounded mean of equal values can differ from them, which leaves a spread above 0.
    constant = np.all(first == first[..., :1], axis=-1) | np.all(second == second[..., :1], axis=-1)
    first, second = _centred(first), _centred(second)
    spread = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    correlation = ratio(np.sum(first * second, axis=-1), np.where(constant, 0, spread))
    return np.clip(correlation, -1, 1)


def _centred(values: np.ndarray) -> np.ndarray:
    return values - ratio(values.sum(axis=-1, keepdims=True), values.shape[-1])
