"""Attribution by the gradient with respect to the input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from fprior.typing import AnyArray


@overload
def input_gradient(
    objective: Callable[[jax.Array], Any],
    x: AnyArray,
    *,
    times_input: bool = ...,
    centred: bool = ...,
    has_aux: Literal[False] = ...,
) -> jax.Array: ...
@overload
def input_gradient(
    objective: Callable[[jax.Array], tuple[Any, Any]],
    x: AnyArray,
    *,
    times_input: bool = ...,
    centred: bool = ...,
    has_aux: Literal[True],
) -> tuple[jax.Array, Any]: ...
def input_gradient(
    objective: Callable[[jax.Array], Any],
    x: Float[AnyArray, "*shape"],
    *,
    times_input: bool = True,
    centred: bool = False,
    has_aux: bool = False,
) -> Float[jax.Array, "*shape"] | tuple[Float[jax.Array, "*shape"], Any]:
    """The gradient of a scalar objective with respect to x, times x by default.

        ∂ objective(x) / ∂x · x

    It is an ordinary JAX computation: differentiate it again with respect to anything that `objective` closes
    over (that is how an attribution prior trains a model), compile it, or map it.

    Args:
      objective: maps x to a real scalar; for a batch, the sum over examples gives each example's own gradient.
      x: the input, any shape, of a floating dtype.
      times_input: multiply by x; False returns the plain gradient.
      centred: subtract from the gradient its mean over the last axis first. One-hot bases always sum to one, so the
        part of a gradient that is equal for all bases says nothing about the function on sequences, but it does
        enter gradient × input, and a prior on that can be satisfied by it alone (Majdandzic, Rajesh and Koo,
        Genome Biology 2023).
      has_aux: `objective` returns `(scalar, aux)`, and so does this function return `(attribution, aux)`: the
        forward pass is shared with whatever else needs its outputs.

    Returns:
      The attribution, of x's shape and dtype (and aux, if asked for).

    Raises:
      TypeError: x is not floating (a one-hot array of integers has no gradient), or the objective's value is
        not a scalar.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x ({x.dtype}) must be floating to have a gradient; pass x.astype(jnp.float32)")
    result = jax.grad(objective, has_aux=has_aux)(x)
    gradient, *aux = result if has_aux else (result,)
    if centred:
        gradient = gradient - jnp.mean(gradient, axis=-1, keepdims=True)
    attribution = gradient * x if times_input else gradient
    return (attribution, *aux) if has_aux else attribution


@dataclass(frozen=True)
class GradientTimesInput:
    """`input_gradient` of a function of single examples, as a value: two with the same `centred` are equal.

    Called with f, which maps `(n, …)` to one scalar each `(n,)`, with x `(n, …)` and a key that it does not need.
    """

    centred: bool = True

    def __call__(
        self,
        f: Callable[[jax.Array], jax.Array],
        x: Float[AnyArray, " n *shape"],
        key: Key[jax.Array, ""] | None = None,
    ) -> Float[jax.Array, " n *shape"]:
        return input_gradient(lambda x: jnp.sum(f(x)), x, centred=self.centred)
