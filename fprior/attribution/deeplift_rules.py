"""What each operation of a program does to a difference from reference: the rules of `deeplift`, by primitive."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fprior.attribution import deeplift_maxima
from fprior.attribution.deeplift_nonlinear import SECANTS, nonlinear
from fprior.attribution.deeplift_tape import ENDS, Node, Operation

# Sums, products, quotients, logic: of degree one in each operand, so that the mean of the two orders is exact.


def _multiply(op: Operation) -> Node:
    a, b = op.operands
    return op.with_slopes(lambda: op.tape.mean(b), lambda: op.tape.mean(a))


def _divide(op: Operation) -> Node:
    """a · (1/b), with Δ(1/b) = −Δb / (b·b₀)."""
    a, b = op.operands
    if not isinstance(b, Node):
        return op.with_slopes(1 / b, None)
    at, ref = 1 / b.value, 1 / b.reference
    return op.with_slopes(0.5 * at + 0.5 * ref, -op.tape.mean(a) * at * ref)


def _logic(op: Operation) -> Node:
    """Of truth values as 0 and 1: a·b, a + b − a·b, a + b − 2·a·b and 1 − a."""
    if op.nodes()[0].value.dtype != jnp.bool_:
        raise op.error("of the bits of integers that depend on the input")
    if op.name == "not":
        return op.with_slopes(-1)
    a, b = (op.tape.mean(operand) for operand in op.operands)
    slopes = {"and": (b, a), "or": (1 - b, 1 - a), "xor": (1 - 2 * b, 1 - 2 * a)}
    return op.with_slopes(*slopes[op.name])


def _compare(op: Operation) -> Node:
    """A step as the difference of the operands passes 0: the secant of the step, and 0 where it was not passed."""
    (a, a_ref), (b, b_ref) = (op.tape.ends(operand) for operand in op.operands)
    slope = _step((a - b) - (a_ref - b_ref), *(results := op.both()), op.tape.dtype)
    return op.with_slopes(slope, -slope, results=results)


def _step(run: jax.Array, at: jax.Array, ref: jax.Array, dtype: Any) -> jax.Array:
    change = at.astype(dtype) - ref.astype(dtype)
    return change / jnp.where(change == 0, 1, run).astype(dtype)


def _is_finite(op: Operation) -> Node:
    (node,), results = op.nodes(), op.both()
    return op.with_slopes(_step(node.value - node.reference, *results, op.tape.dtype), results=results)


def _convert(op: Operation) -> Node:
    (node,), dtype, results = op.nodes(), op.params["new_dtype"], op.both()
    if jnp.issubdtype(dtype, jnp.floating):
        return op.tape.linear(*results, lambda track: track.astype(dtype), [node], sums=False)
    if node.value.dtype == jnp.bool_ and jnp.issubdtype(dtype, jnp.integer):
        return replace(node, value=results[0], reference=results[1])
    at, ref = op.tape.ends(node)
    return op.with_slopes(_step(at - ref, *results, op.tape.dtype), results=results)


# Layers: bilinear in their two operands.


def _bilinear(op: Operation) -> Node:
    a, b = op.operands
    parts = []
    if isinstance(a, Node):
        parts.append((op.bind, a, op.tape.mean(b)))
    if isinstance(b, Node):
        parts.append((lambda track, weights: op.bind(weights, track), b, op.tape.mean(a)))
    return op.tape.weighted(*op.both(), parts)


# Operations that move or add up elements.


def _linear(moved: Sequence[int] | None, *, sums: bool = False) -> Callable:
    """Of operations that are linear with coefficients ≥ 0 in the operands `moved` (None: all) for fixed others."""

    def rule(op: Operation) -> Any:
        places = range(len(op.operands)) if moved is None else moved
        if any(isinstance(o, Node) and i not in places for i, o in enumerate(op.operands)):
            raise op.error("at indices that depend on the input")
        at, ref = op.both()
        several = isinstance(at, list | tuple)

        def track_of(output: int | None) -> Callable:
            def function(*tracks: jax.Array) -> Any:
                given = iter(tracks)
                result = op.bind(
                    *[
                        next(given) if isinstance(o, Node) else _zeros(op, o) if i in places else o
                        for i, o in enumerate(op.operands)
                    ]
                )
                return result if output is None else result[output]

            return function

        if not several:
            return op.tape.linear(at, ref, track_of(None), op.nodes(), sums=sums)
        return [op.tape.linear(at[i], ref[i], track_of(i), op.nodes(), sums=sums) for i in range(len(at))]

    return rule


def _zeros(op: Operation, array: Any) -> jax.Array:
    """The track of an operand that does not depend on the input."""
    return jnp.zeros(jnp.shape(array), op.tape.track_dtype(array))


def _same(op: Operation) -> Any:
    """Values and tracks pass. So does `stop_gradient`: it changes derivatives, and what is explained is values."""
    return list(op.operands) if op.name in ("device_put", "optimization_barrier") else op.operands[0]


def _select(op: Operation) -> Node:
    """which ? b : a, for a fixed `which` a choice of tracks, else a + which · (b − a)."""
    which, *cases = op.operands
    if not isinstance(which, Node):
        return _linear(range(1, len(op.operands)))(op)
    if which.value.dtype != jnp.bool_:
        raise op.error("between cases by an integer that depends on the input")
    a, b = cases
    choice = which.choice
    if choice is not None and isinstance(b, Node) and b.slot == choice.source.slot and not isinstance(a, Node):
        return deeplift_maxima.chosen(op, which, a, b, choice)
    (p, p_ref), (a_at, a_ref), (b_at, b_ref) = (op.tape.ends(operand) for operand in op.operands)
    half = 0.5 * p + 0.5 * p_ref
    # Where `which` does not change, the case not taken may be infinite.
    jump = jnp.where(p == p_ref, 0, 0.5 * ((b_at - a_at) + (b_ref - a_ref)))
    return op.with_slopes(jump, 1 - half, half)


# Operations that others define.


def _clamp(op: Operation) -> Any:
    low, _, high = op.operands
    if not isinstance(low, Node) and not isinstance(high, Node):
        return nonlinear(op)
    return op.follow(lambda low, x, high: jnp.minimum(jnp.maximum(x, low), high))


def _product(op: Operation) -> Any:
    """One factor after the other."""

    def function(x: jax.Array) -> jax.Array:
        for axis in op.params["axes"]:
            x = reduce(jnp.multiply, [lax.index_in_dim(x, i, axis) for i in range(x.shape[axis])])
        return x.squeeze(op.params["axes"])

    return op.follow(function)


def _cumulative_product(op: Operation) -> Any:
    axis, backwards = op.params["axis"], op.params["reverse"]

    def function(x: jax.Array) -> jax.Array:
        slices = [lax.index_in_dim(x, i, axis) for i in range(x.shape[axis])]
        partial = list(accumulate(slices[::-1] if backwards else slices, jnp.multiply))
        return jnp.concatenate(partial[::-1] if backwards else partial, axis)

    return op.follow(function)


def _cumulative(function: Callable, nothing: float) -> Callable:
    """Of every prefix by itself, which `nothing` fills up to the whole length."""

    def rule(op: Operation) -> Any:
        axis = op.params["axis"]

        def prefixes(x: jax.Array) -> jax.Array:
            places = jnp.arange(x.shape[axis])
            inside = (places >= places[:, None]) if op.params["reverse"] else (places <= places[:, None])
            x = jnp.moveaxis(x, axis, -1)
            return jnp.moveaxis(function(jnp.where(inside, x[..., None, :], nothing), axis=-1), -1, axis)

        return op.follow(prefixes)

    return rule


RULES: dict[str, Callable] = {
    **dict.fromkeys(SECANTS, nonlinear),
    **dict.fromkeys(("max", "min"), deeplift_maxima.maximum_of_two),
    **dict.fromkeys(("add", "add_any"), lambda op: op.with_slopes(1, 1)),
    "sub": lambda op: op.with_slopes(1, -1),
    "neg": lambda op: op.with_slopes(-1),
    "mul": _multiply,
    "div": _divide,
    "clamp": _clamp,
    "convert_element_type": _convert,
    "is_finite": _is_finite,
    "select_n": _select,
    **dict.fromkeys(("eq", "ge", "gt", "le", "lt", "ne"), _compare),
    **dict.fromkeys(("and", "not", "or", "xor"), _logic),
    **dict.fromkeys(("dot_general", "conv_general_dilated"), _bilinear),
    **dict.fromkeys(("conv_forward", "conv_input_gradient", "conv_weight_gradient"), _bilinear),
    **dict.fromkeys(("broadcast_in_dim", "expand_dims", "reshape", "rev", "slice", "split", "tile"), _linear([0])),
    **dict.fromkeys(
        ("dynamic_slice", "gather", "sharding_constraint", "squeeze", "transpose", "unstack"), _linear([0])
    ),
    **dict.fromkeys(("concatenate", "pad", "stack"), _linear(None)),
    "dynamic_update_slice": _linear([0, 1]),
    "scatter": _linear([0, 2]),
    "scatter-add": _linear([0, 2], sums=True),
    **dict.fromkeys(("cumsum", "reduce_sum", "reduce_window_sum"), _linear([0], sums=True)),
    **dict.fromkeys(("copy", "copy_p", "device_put", "name", "optimization_barrier", "stop_gradient"), _same),
    "reduce_precision": lambda op: op.with_slopes(1),
    **dict.fromkeys(("reduce_max", "reduce_min"), deeplift_maxima.reduce_maximum),
    **dict.fromkeys(("reduce_window_max", "reduce_window_min"), deeplift_maxima.window_maximum),
    **dict.fromkeys(("argmax", "argmin"), deeplift_maxima.argmax),
    "reduce_prod": _product,
    "cumprod": _cumulative_product,
    "cummax": _cumulative(jnp.max, -np.inf),
    "cummin": _cumulative(jnp.min, np.inf),
    "cumlogsumexp": _cumulative(jax.nn.logsumexp, -np.inf),
}

_REGISTERED: dict[str, Any] = {}


def register_rule(primitive_name: str, rule: str | Callable) -> None:
    """Tells `deeplift` what to do with a primitive, for the rest of the process; it comes before a rule of our own.

    Args:
      primitive_name: as an error names it, and as `jax.make_jaxpr` prints it.
      rule: `"elementwise"`, a function of each element, which is treated as a non-linearity (by Rescale, RevealCancel
        or what else `deeplift` is told); `"linear"`, linear or affine in the operands that depend on the input for
        fixed others (JAX must know its derivative); or a function `rule(function, values, references)`, given the
        operation as a function of its operands and its operands at the input and at the reference. It returns a linear
        function of as many differences (zeros for an operand that does not depend on the input), of the result's
        shape, which for the differences values − references is function(*values) − function(*references).

    Raises:
      ValueError: the rule is a name other than these.
    """
    if not callable(rule) and rule not in ("elementwise", "linear"):
        raise ValueError(f'rule (={rule!r}) must be "elementwise", "linear" or a function')
    _REGISTERED[primitive_name] = rule


def apply(op: Operation) -> Any:
    """The Node, or the list of them, that an operation on at least one Node makes."""
    registered = _REGISTERED.get(op.name)
    if registered == "elementwise":
        return nonlinear(op)
    if registered is not None:
        return _of_user(op, _derivative_of if registered == "linear" else registered)
    if any(node.slot is None for node in op.nodes()):
        return deeplift_maxima.of_index(op)
    if op.name not in RULES:
        raise op.error()
    return RULES[op.name](op)


def is_nonlinear(primitive_name: str) -> bool:
    """Whether Rescale, RevealCancel or a user's function may be chosen for it."""
    return primitive_name in SECANTS or _REGISTERED.get(primitive_name) == "elementwise"


def is_elementwise(primitive_name: str) -> bool:
    known = RULES.get(primitive_name)
    plain = {
        "add",
        "add_any",
        "sub",
        "neg",
        "mul",
        "div",
        "clamp",
        "convert_element_type",
        "is_finite",
        "select_n",
        "copy",
    }
    return is_nonlinear(primitive_name) or primitive_name in plain or known in (_compare, _logic)


def _derivative_of(function: Callable, values: Sequence[Any], references: Sequence[Any]) -> Callable:
    """The rule "linear": the derivative, which is the same everywhere."""
    places = [i for i, value in enumerate(values) if jnp.issubdtype(jnp.result_type(value), jnp.floating)]

    def of_floating(*given: Any) -> Any:
        operands = list(values)
        for place, value in zip(places, given, strict=True):
            operands[place] = value
        return function(*operands)

    def push(*changes: Any) -> Any:
        return jax.jvp(of_floating, tuple(values[i] for i in places), tuple(changes[i] for i in places))[1]

    return push


def _of_user(op: Operation, rule: Callable) -> Any:
    at, ref = op.both()
    values, references = ([getattr(o, e) if isinstance(o, Node) else o for o in op.operands] for e in ENDS)
    push = rule(op.bind, values, references)

    def track_of(output: int | None) -> Callable:
        def function(*tracks: jax.Array) -> Any:
            given = iter(tracks)
            result = push(*[next(given) if isinstance(o, Node) else _zeros(op, o) for o in op.operands])
            return result if output is None else result[output]

        return function

    if not isinstance(at, list | tuple):
        return op.tape.general(at, ref, track_of(None), op.nodes())
    return [op.tape.general(at[i], ref[i], track_of(i), op.nodes()) for i in range(len(at))]
