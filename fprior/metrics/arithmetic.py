"""What the measures share: ratios and correlations that have a stated value at singular points."""

import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from fprior.typing import AnyArray, Values


def ratio(
    part: Shaped[AnyArray | np.generic, "..."] | float,
    whole: Shaped[AnyArray | np.generic, "..."] | float,
    nothing: float = np.nan,
) -> Float[Values, "..."]:
    """part / whole in float64, and `nothing` where the whole is 0; shapes that broadcast, a scalar of scalars."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), whole)
    return np.divide(part, whole, out=np.full(part.shape, nothing), where=whole != 0)[()]


def last_of_equals(ordered: Shaped[np.ndarray, "*batch N"]) -> Int[np.ndarray, "*batch N"]:
    """For each place along the last axis of `(..., N)`, the index of the last of the equal values it is among."""
    index = np.broadcast_to(np.arange(ordered.shape[-1]), ordered.shape).copy()
    index[..., :-1][ordered[..., :-1] == ordered[..., 1:]] = ordered.shape[-1]
    return np.minimum.accumulate(index[..., ::-1], axis=-1)[..., ::-1]


def pearson(first: Real[np.ndarray, "*batch N"], second: Real[np.ndarray, "*batch N"]) -> Float[Values, "*batch"]:
    """Pearson correlation `(...)` along the last axis of `(..., N)`; NaN where either is constant."""
    # Asked of the values: the rounded mean of equal values can differ from them, which leaves a spread above 0.
    constant = np.all(first == first[..., :1], axis=-1) | np.all(second == second[..., :1], axis=-1)
    first, second = _centred(first), _centred(second)
    spread = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    correlation = ratio(np.sum(first * second, axis=-1), np.where(constant, 0, spread))
    return np.clip(correlation, -1, 1)


def _centred(values: np.ndarray) -> np.ndarray:
    return values - ratio(values.sum(axis=-1, keepdims=True), values.shape[-1])
