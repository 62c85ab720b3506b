"""Maxima, and selections by an argmax.

Of n candidates let i be the largest at the input and j at the reference. Then max(out, out₀) − out₀ moves along
candidate i and the rest along j: the first is a share (out − out₀)/(xᵢ − rᵢ) of Δᵢ if the maximum rises, the second
(out − out₀)/(xⱼ − rⱼ) of Δⱼ if it falls; neither share can leave [0, 1].

Source: the max pooling of Lundberg and Lee's DeepSHAP.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fprior.attribution.deeplift_nonlinear import nonlinear
from fprior.attribution.deeplift_tape import ENDS, Choice, Node, Operation


def _shares(at: jax.Array, ref: jax.Array, mask: jax.Array, mask_ref: jax.Array, axis: int) -> jax.Array:
    """Each candidate's share in its own change, given which one is the largest."""
    rise = _sum_where(mask, at, axis) - _sum_where(mask_ref, ref, axis)
    moves = (mask & (rise > 0)) | (mask_ref & (rise < 0))
    shares = jnp.where(moves, rise, 0) / jnp.where(moves, at - ref, 1)
    return jnp.where(mask & mask_ref & (rise == 0), 1, shares)  # nothing changed: the derivative


def _sum_where(mask: jax.Array, array: jax.Array, axis: int) -> jax.Array:
    return jnp.sum(jnp.where(mask, array, 0), axis, keepdims=True)


def _largest(array: jax.Array, axis: int) -> jax.Array:
    """The mask of the first largest element."""
    index = jnp.expand_dims(jnp.argmax(array, axis), axis)
    return lax.broadcasted_iota(index.dtype, array.shape, axis) == index


def _maximum(op: Operation, candidates: Callable, sign: int) -> Node:
    """The maximum (sign 1) or minimum (−1) over the first axis of candidates(operand, filling)."""
    (node,) = op.nodes()
    at, ref = (candidates(sign * end, -jnp.inf) for end in (node.value, node.reference))
    shares = _shares(at, ref, _largest(at, 0), _largest(ref, 0), 0)
    return op.tape.linear(*op.both(), lambda track: jnp.sum(shares * candidates(track, 0), 0), [node], sums=True)


def reduce_maximum(op: Operation) -> Node:
    axes = op.params["axes"]
    kept = [axis for axis in range(op.nodes()[0].value.ndim) if axis not in axes]

    def candidates(array: jax.Array, filling: float) -> jax.Array:
        array = array.transpose(*axes, *kept)
        return array.reshape(-1, *array.shape[len(axes) :])

    return _maximum(op, candidates, 1 if op.name == "reduce_max" else -1)


def window_maximum(op: Operation) -> Node:
    size, strides, dilation = (op.params[key] for key in ("window_dimensions", "window_strides", "window_dilation"))
    pads = [(*pad, inner - 1) for pad, inner in zip(op.params["padding"], op.params["base_dilation"], strict=True)]
    windows = op.both()[0].shape

    def candidates(array: jax.Array, filling: float) -> jax.Array:
        padded = lax.pad(array, jnp.asarray(filling, array.dtype), pads)
        starts = [[at * d for at, d in zip(offset, dilation, strict=True)] for offset in np.ndindex(*size)]
        reach = [(count - 1) * stride + 1 for count, stride in zip(windows, strides, strict=True)]
        ends = [[first + far for first, far in zip(start, reach, strict=True)] for start in starts]
        return jnp.stack([lax.slice(padded, start, end, strides) for start, end in zip(starts, ends, strict=True)])

    return _maximum(op, candidates, 1 if op.name == "reduce_window_max" else -1)


def maximum_of_two(op: Operation) -> Node:
    if len(op.nodes()) == 1:
        return nonlinear(op)
    sign, results = 1 if op.name == "max" else -1, op.both()
    ends = [[getattr(node, end) for node in op.nodes()] for end in ENDS]
    at, ref = (jnp.stack(jnp.broadcast_arrays(*[sign * end for end in pair])) for pair in ends)
    return op.with_slopes(*_shares(at, ref, _largest(at, 0), _largest(ref, 0), 0), results=results)


# A maximum written as a selection: which = (argmax(x) == iota), then select(which, 0, x), then a sum. The index has no
# track; it is followed through operations that only move it, until it is compared with a range.


def argmax(op: Operation) -> Node:
    (node,), (axis,), results = op.nodes(), op.params["axes"], op.both()
    labels = np.arange(results[0].size).reshape(results[0].shape)
    choice = Choice(node, axis, 1 if op.name == "argmax" else -1, labels)
    return Node(*results, slot=None, choice=choice)


def of_index(op: Operation) -> Node:
    """What may be done to an argmax of the input: move it, and compare it with a range."""
    (at, ref), (node, *more) = op.both(), op.nodes()
    assert node.choice is not None, "an index has one"
    same = op.name in ("copy", "stop_gradient") or (
        op.name == "convert_element_type" and jnp.issubdtype(op.params["new_dtype"], jnp.integer)
    )
    if same:
        return replace(node, value=at, reference=ref)
    if op.name in _MOVES and len(op.operands) == 1:
        with jax.ensure_compile_time_eval():
            labels = np.asarray(op.bind(jnp.asarray(node.choice.labels)))
        return replace(node, value=at, reference=ref, choice=replace(node.choice, labels=labels))
    if op.name == "eq" and not more:
        return _one_hot(op, node, at, ref)
    raise op.error("of an argmax of the input (its equality with a range has one)")


_MOVES = {"broadcast_in_dim", "expand_dims", "reshape", "rev", "slice", "squeeze", "transpose"}


def _one_hot(op: Operation, node: Node, at: jax.Array, ref: jax.Array) -> Node:
    """argmax(x) == range along its axis: 1 at i and no longer at j. What decides is xᵢ − xⱼ; its change is > 0."""
    (other,) = (operand for operand in op.operands if not isinstance(operand, Node))
    assert node.choice is not None, "an index has one"
    choice, shape = node.choice, node.choice.source.value.shape
    windows = np.delete(shape, choice.axis)
    of_window = np.expand_dims(np.arange(windows.prod()).reshape(windows), choice.axis)
    along = np.expand_dims(np.arange(shape[choice.axis]), tuple(a for a in range(len(shape)) if a != choice.axis))

    def equal(a: np.ndarray, b: np.ndarray) -> bool:
        return np.array_equal(np.broadcast_to(a, shape), np.broadcast_to(b, shape))

    known = at.shape == shape and not isinstance(other, jax.core.Tracer)
    if not (known and equal(choice.labels, of_window) and equal(np.asarray(other), along)):
        raise op.error("of an argmax of the input with anything but the range along its axis")
    source, dtype = choice.source, op.tape.track_dtype(choice.source.value)
    swap = at.astype(dtype) - ref.astype(dtype)
    gap = jnp.sum(swap * (source.value - source.reference), choice.axis, keepdims=True)
    scale = swap / jnp.where(gap == 0, 1, gap)

    def function(track: jax.Array) -> jax.Array:
        return scale * jnp.sum(swap * track, choice.axis, keepdims=True)

    return replace(op.tape.general(at, ref, function, [source]), choice=choice)


def chosen(op: Operation, which: Node, other: jax.Array, source: Node, choice: Choice) -> Node:
    """select(one-hot, other, x): element i goes from `other` to xᵢ, element j from rⱼ to `other`.

    As of a maximum, each moves along its own candidate by its share; the rest, ±(min(out, out₀) − other), along what
    decided between them. It is what makes each element exact, and is gone when they are summed.
    """
    sign, axis, mask, mask_ref = choice.sign, choice.axis, which.value, which.reference
    at, ref = source.value, source.reference
    shares = _shares(sign * at, sign * ref, mask, mask_ref, axis)
    swap = mask.astype(at.dtype) - mask_ref.astype(at.dtype)
    gap = jnp.sum(swap * (at - ref), axis, keepdims=True)
    out, out_ref = _sum_where(mask, at, axis), _sum_where(mask_ref, ref, axis)
    lower = sign * jnp.minimum(sign * out, sign * out_ref)
    rest = swap * (lower - other) / jnp.where(gap == 0, 1, gap)

    def function(track: jax.Array) -> jax.Array:
        return shares * track + rest * jnp.sum(swap * track, axis, keepdims=True)

    return op.tape.linear(*op.both(), function, [source], sums=True)
