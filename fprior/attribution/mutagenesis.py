"""In-silico mutagenesis: what every substitution of a base does to a prediction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from fprior.typing import AnyArray

_BASES = 4


class Local(NamedTuple):
    """The first part of a model, of which a substitution reaches only a window.

    Attributes:
      features: maps one-hot `(N, L, 4)` to `(N, L', …)`, for any L from `width` on; feature j is the same function of
        the bases j·stride … j·stride + width − 1 for every j, and L' = (L − width) // stride + 1. Valid convolutions
        and pooling with their activations are of this kind; padding, or anything that knows the position, is not.
      width: bases that one feature sees, the receptive field.
      stride: bases from one feature to the next.
    """

    features: Callable[[jax.Array], jax.Array]
    width: int
    stride: int = 1


def in_silico_mutagenesis(
    f: Callable[[jax.Array], jax.Array],
    x: Float[AnyArray, "B L 4"],
    *,
    batch_size: int = 256,
    centred: bool = True,
    local: Local | tuple | None = None,
) -> Float[jax.Array, "B L 4"]:
    """The change of f by each substitution of a single base.

        score[n, l, b] = f(x[n] with base b at position l) − f(x[n]),   less its mean over b by default

    Before centring the score of the base that is there is 0. At an unknown base (a row of zeros) there is nothing to
    substitute, and all four scores are 0.

    Sequences are taken one after the other, and the 3·L mutants of each in batches, so that memory holds one batch
    at a time. It is an ordinary JAX computation: call it through `jax.jit` where it is called more than once, or
    every call compiles anew.

    With `local`, the model is given in two parts, f(features(x)). Features of the unchanged sequence are computed
    once; of a mutant, only those that see the substituted base, from the bases that they see. The result is the
    same. The work on features falls from L positions to 2·width, about; that of f stays, so let `features` go up to
    the layer that mixes all positions, its pooling included.

    Args:
      f: maps `(N, L, 4)` to `(N,)`, treating sequences independently; with `local`, `(N, L', …)` to `(N,)`.
      x: one-hot `(B, L, 4)`, of a floating dtype; unknown bases are rows of zeros.
      batch_size: the most mutants that are evaluated at once, at least 1.
      centred: subtract from the scores their mean over the four bases.
      local: the model's first part, a `Local` or the tuple `(features, width)` or `(features, width, stride)`.

    Returns:
      Scores `(B, L, 4)`, of x's dtype. If x is traced (within `jit`, say), a sequence that has a row neither one-hot
      nor of zeros cannot be refused; its scores are NaN.

    Raises:
      TypeError: x is not floating.
      ValueError: x has another shape or a row that is neither one-hot nor zeros; batch_size is below 1; f does not
        return `(N,)`; the features' length is not that of `local`.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x ({x.dtype}) must be floating; pass x.astype(jnp.float32)")
    if x.ndim != 3 or x.shape[2] != _BASES or not x.shape[1]:
        raise ValueError(f"x (shape {x.shape}) must be one-hot (B, L, {_BASES}) with L at least 1")
    if batch_size < 1:
        raise ValueError(f"batch_size (={batch_size}) must be at least 1")
    if not isinstance(x, jax.core.Tracer):
        # In NumPy: inside `jit` even operations on an array that is known are traced.
        bad = np.argwhere(~_is_row(np.asarray(x)))
        if len(bad):
            example, position = bad[0]
            raise ValueError(
                f"x[{example}, {position}] (={np.asarray(x)[example, position]}) must be one-hot or zeros; "
                "mutagenesis is of sequences"
            )
    mutants = _Whole(f) if local is None else _Windows(f, Local(*local), x.shape[1])

    def of_sequence(sequence: jax.Array) -> jax.Array:
        return _scores(mutants, sequence, batch_size)

    scores = jnp.where(jnp.all(_is_row(x), axis=1)[:, None, None], lax.map(of_sequence, x), jnp.nan)
    return scores - jnp.mean(scores, axis=2, keepdims=True) if centred else scores


def _is_row(x: Any) -> Any:
    """Which rows of x are one-hot or zeros, for NumPy and JAX alike."""
    return ((x == 0) | (x == 1)).all(2) & (x.sum(2) <= 1)


def _scores(mutants: "_Whole | _Windows", sequence: jax.Array, batch_size: int) -> jax.Array:
    """Scores `(L, 4)` of one sequence, before centring."""
    length = sequence.shape[0]
    present = jnp.argmax(sequence, axis=1)
    original = mutants.prepare(sequence)
    baseline = mutants.evaluate(original[None])[0]

    # Mutant 3·l + k − 1 has at position l the base k after the one that is there (k = 1, 2, 3). As many batches as
    # are needed, all of the smallest size that does; what is left over in the last repeats the last mutant.
    count = length * (_BASES - 1)
    batches = -(-count // batch_size)
    size = -(-count // batches)
    index = jnp.minimum(jnp.arange(batches * size), count - 1).reshape(batches, size)

    def of_batch(index: jax.Array) -> jax.Array:
        position, shift = index // (_BASES - 1), index % (_BASES - 1) + 1
        base = jax.nn.one_hot((present[position] + shift) % _BASES, _BASES, dtype=sequence.dtype)
        return mutants.evaluate(mutants.mutated(sequence, original, position, base))

    changes = lax.map(of_batch, index).reshape(-1)[:count].reshape(length, _BASES - 1) - baseline
    unchanged_first = jnp.pad(changes, ((0, 0), (1, 0)))
    back = (jnp.arange(_BASES) - present[:, None]) % _BASES
    scores = jnp.take_along_axis(unchanged_first, back, axis=1)
    return jnp.where(jnp.any(sequence != 0, axis=1, keepdims=True), scores, 0).astype(sequence.dtype)


class _Whole:
    """Mutants as sequences, on which f is evaluated."""

    def __init__(self, f: Callable[[jax.Array], jax.Array]):
        self._f = f

    def prepare(self, sequence: jax.Array) -> jax.Array:
        return sequence

    def mutated(self, sequence: jax.Array, original: jax.Array, position: jax.Array, base: jax.Array) -> jax.Array:
        return _with_base(jnp.broadcast_to(sequence, (len(position), *sequence.shape)), position, base)

    def evaluate(self, x: jax.Array) -> jax.Array:
        values = self._f(x)
        if jnp.shape(values) != x.shape[:1]:
            raise ValueError(
                f"f returned shape {jnp.shape(values)} for {x.shape[0]} sequences; it must return one scalar each, "
                f"{x.shape[:1]}: select or sum its outputs"
            )
        return values


class _Windows(_Whole):
    """Mutants as features, in which those that see the mutated base are replaced."""

    def __init__(self, f: Callable[[jax.Array], jax.Array], local: Local, length: int):
        super().__init__(f)
        features, width, stride = local
        if width < 1 or stride < 1:
            raise ValueError(f"local: width (={width}) and stride (={stride}) must be at least 1")
        if length < width:
            raise ValueError(f"local: width (={width}) must be at most x's length ({length})")
        self._features, self._width, self._stride = features, width, stride
        self._outputs = (length - width) // stride + 1
        # As many features see one base at most, and they see a window of so many.
        self._count = min(-(-width // stride), self._outputs)
        self._window = (self._count - 1) * stride + width

    def prepare(self, sequence: jax.Array) -> jax.Array:
        return self._checked(self._features(sequence[None]), self._outputs)[0]

    def mutated(self, sequence: jax.Array, original: jax.Array, position: jax.Array, base: jax.Array) -> jax.Array:
        # Feature j sees the position if j·stride ≤ position < j·stride + width. At the ends there are fewer; the
        # window then also has features that do not change.
        first = -((self._width - 1 - position) // self._stride)
        first = jnp.clip(first, 0, self._outputs - self._count)
        start = first * self._stride
        windows = jax.vmap(lambda start: lax.dynamic_slice_in_dim(sequence, start, self._window))(start)
        changed = self._checked(self._features(_with_base(windows, position - start, base)), self._count)
        return jax.vmap(lambda part, first: lax.dynamic_update_slice_in_dim(original, part, first, 0))(changed, first)

    def _checked(self, features: jax.Array, expected: int) -> jax.Array:
        if features.ndim < 2 or features.shape[1] != expected:
            raise ValueError(
                f"local: features returned shape {features.shape} where width (={self._width}) and stride "
                f"(={self._stride}) say length {expected}; give those of its layers together, without padding"
            )
        return features


def _with_base(x: jax.Array, position: jax.Array, base: jax.Array) -> jax.Array:
    """x `(N, L, 4)` with base[n] at position[n]; a position outside of 0 … L − 1 changes nothing."""
    return jnp.where((jnp.arange(x.shape[1]) == position[:, None])[..., None], base[:, None], x)
