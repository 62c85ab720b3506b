"""DeepSHAP: DeepLIFT averaged over several references, and the scores that other bases would have had."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, jaxprs_in_params
from jaxtyping import Float, Key, Num

from fprior.attribution.deeplift import Rule, deeplift
from fprior.sequence import UNKNOWN, one_hot
from fprior.shuffle import dinucleotide_shuffle, gc_background
from fprior.typing import AnyArray

REFERENCES = ("shuffle", "gc", "zeros")


@overload
def deepshap(
    f: Callable[..., jax.Array],
    x: AnyArray,
    *arguments: Any,
    references: str | AnyArray = ...,
    num_references: int = ...,
    key: jax.Array | None = ...,
    hypothetical: bool = ...,
    rule: Rule | Mapping[str, Rule] = ...,
    pairs_per_call: int | None = ...,
    memory_budget: float = ...,
    return_completeness: Literal[False] = ...,
) -> jax.Array: ...
@overload
def deepshap(
    f: Callable[..., jax.Array],
    x: AnyArray,
    *arguments: Any,
    references: str | AnyArray = ...,
    num_references: int = ...,
    key: jax.Array | None = ...,
    hypothetical: bool = ...,
    rule: Rule | Mapping[str, Rule] = ...,
    pairs_per_call: int | None = ...,
    memory_budget: float = ...,
    return_completeness: Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
def deepshap(
    f: Callable[..., jax.Array],
    x: Float[AnyArray, "B L 4"],
    *arguments: Any,
    references: str | Num[AnyArray, "G L 4"] | Num[AnyArray, "B G L 4"] = "shuffle",
    num_references: int = 10,
    key: Key[jax.Array, ""] | None = None,
    hypothetical: bool = True,
    rule: Rule | Mapping[str, Rule] = "rescale",
    pairs_per_call: int | None = None,
    memory_budget: float = 2e9,
    return_completeness: bool = False,
) -> Float[jax.Array, "B L 4"] | tuple[Float[jax.Array, "B L 4"], Float[jax.Array, " B"]]:
    """DeepLIFT contributions of one-hot sequences, averaged over G references each.

        contributions[b, l]   = mean over g of  m_g[b, l] · (x[b, l] − r_g[b, l])
        hypothetical[b, l, a] = mean over g of  Σ over bases c of  m_g[b, l, c] · (onehot(a)[c] − r_g[b, l, c])

    where m_g are the multipliers of x against its reference r_g. The hypothetical contribution of a base is what it
    would contribute if it stood there and the multipliers stayed; times x it gives those of the sequence itself,
    of which each position has one number.

    Args:
      f: maps one-hot `(n, L, 4)` to one scalar per example `(n,)`; any JAX function, see `deeplift`.
      x: one-hot `(B, L, 4)`, floating.
      arguments: whatever else f takes, arrays or trees of arrays whose first axis is that of x: f(x, *arguments). An
        example's are the same for it and its references.
      references: the caller's own, `(G, L, 4)` for all examples or `(B, G, L, 4)`; or how to make them:
        `"shuffle"` keeps each sequence's dinucleotide counts, `"gc"` draws bases with its GC content, `"zeros"` is
        the all-zero reference (one of them).
      num_references: G, where they are made.
      key: of the shuffles and draws; needed for `"shuffle"` and `"gc"`.
      hypothetical: return hypothetical contributions rather than contributions.
      rule: see `deeplift`.
      pairs_per_call: pairs of example and reference that are computed together; None takes as many as fit.
      memory_budget: bytes that a call may take, by a bound from above: all intermediate results of a pair, times
        three for their values at x, at the reference and their multipliers.
      return_completeness: return also the completeness error of each example.

    Returns:
      `(B, L, 4)`; with return_completeness a tuple with the mean over references of
      Σ contributions − (f(x) − f(reference)), `(B,)`.

    Raises:
      ValueError: shapes do not fit, a key is missing, `references` is no known way to make them.
      TypeError: x is not floating.

    Source: Lundberg and Lee, NeurIPS 2017; Shrikumar, Greenside and Kundaje, ICML 2017. Hypothetical contributions
    as TF-MoDISco uses them.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x ({x.dtype}) must be floating; pass x.astype(jnp.float32)")
    if x.ndim != 3 or x.shape[-1] != 4:
        raise ValueError(f"x (shape {x.shape}) must be one-hot (B, L, 4)")
    if isinstance(references, str):
        references = make_references(x, references, num_references=num_references, key=key)
    references = jnp.asarray(references, x.dtype)
    if references.ndim == 3:
        references = jnp.broadcast_to(references, (x.shape[0], *references.shape))
    count = references.shape[1] if references.ndim == 4 else 0
    if references.shape != (x.shape[0], count, *x.shape[1:]) or not count:
        raise ValueError(
            f"references (shape {references.shape}) must be (G, L, 4) or (B, G, L, 4) with x of shape {x.shape}"
        )
    if pairs_per_call is None:
        pairs_per_call = max(1, int(memory_budget // (3 * _bytes_of_a_pair(f, x, arguments))))

    def of_reference(x: jax.Array, reference: jax.Array, arguments: Any) -> tuple[jax.Array, jax.Array]:
        multipliers, error = deeplift(
            lambda x: f(x, *arguments), x, reference, rule=rule, return_multipliers=True, return_completeness=True
        )
        if not hypothetical:
            return multipliers * (x - reference), error
        # Σ over c of m[c] · (onehot(a)[c] − r[c]) = m[a] − Σ over c of m[c] · r[c]
        return multipliers - jnp.sum(multipliers * reference, axis=-1, keepdims=True), error

    def of_examples(x: jax.Array, references: jax.Array, arguments: Any) -> tuple[jax.Array, jax.Array]:
        # Mapped over references alone, what depends on x alone is computed once for all of them.
        scores, error = jax.vmap(of_reference, in_axes=(None, 1, None))(x, references, arguments)
        return jnp.mean(scores, axis=0), jnp.mean(error, axis=0)

    scores, error = _in_chunks(of_examples, (x, references, arguments), max(1, pairs_per_call // count))
    return (scores, error) if return_completeness else scores


def make_references(
    x: Float[AnyArray, "B L 4"], how: str, *, num_references: int = 10, key: Key[jax.Array, ""] | None = None
) -> Float[jax.Array, "B G L 4"]:
    """References `(B, G, L, 4)` of one-hot x `(B, L, 4)`, made in one of the ways of `deepshap`.

    Unknown bases, which are all-zero rows, stay where they are.

    Raises:
      ValueError: the way is unknown, or needs a key.
    """
    if how == "zeros":
        return jnp.zeros((x.shape[0], 1, *x.shape[1:]), x.dtype)
    if how not in REFERENCES:
        raise ValueError(f"references (={how!r}) must be an array or one of {', '.join(REFERENCES)}")
    if key is None:
        raise ValueError(f"key (=None) is needed for references={how!r}; pass jax.random.key(seed)")
    rows = np.asarray(x)
    tokens = np.where(rows.any(-1), rows.argmax(-1), UNKNOWN).astype(np.uint8)
    make = dinucleotide_shuffle if how == "shuffle" else gc_background
    return one_hot(jnp.asarray(make(tokens, num_references, key=key)), x.dtype)


def _in_chunks(function: Callable, arrays: Any, size: int) -> tuple[jax.Array, jax.Array]:
    """Applies the function to so many examples at a time, in one loop of one program."""
    count = jax.tree.leaves(arrays)[0].shape[0]
    if count <= size:
        return function(*arrays)
    chunks = -(-count // size)
    size = -(-count // chunks)  # as even as can be

    def chunked(a: jax.Array) -> jax.Array:
        a = jnp.asarray(a)
        padded = jnp.concatenate([a, jnp.broadcast_to(a[:1], (chunks * size - count, *a.shape[1:]))])
        return padded.reshape(chunks, size, *a.shape[1:])

    results = jax.lax.map(lambda parts: function(*parts), jax.tree.map(chunked, arrays))
    return jax.tree.map(lambda a: a.reshape(chunks * size, *a.shape[2:])[:count], results)


def _bytes_of_a_pair(f: Callable, x: jax.Array, arguments: Any) -> int:
    """All intermediate results of one example."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *jnp.shape(a)[1:]), jnp.result_type(a)), (x, *arguments))
    return max(1, _bytes(jax.make_jaxpr(f)(*one).jaxpr))


def _bytes(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inner = list(jaxprs_in_params(equation.params))
        total += sum(map(_bytes, inner))
        if not inner:
            shapes: list[Any] = [out.aval for out in equation.outvars]
            total += sum(shape.size * shape.dtype.itemsize for shape in shapes)
    return total
