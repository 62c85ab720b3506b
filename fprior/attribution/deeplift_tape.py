"""Differences from reference, and what linear functions make of them: the bookkeeping of `deeplift`.

Every quantity that depends on the input is a `Node`: its value at the input, its value at the reference, and a *track*,
a linear function of a change of the input that gives value − reference for the change input − reference. A rule
computes an operation's result at both points and its track from the tracks of its operands, so that this holds again;
at the output it is summation to delta. Tracks are not evaluated on the way but recorded on a `Tape`, and the transpose
of the record gives the multipliers.

For RevealCancel a track is a pair that sums to the track above, and gives Δ⁺ ≥ 0 and Δ⁻ ≤ 0 for input − reference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Track = tuple[jax.Array, ...]  # one array, or a pair


@dataclass(frozen=True, eq=False)
class Choice:
    """Where an index, or a mask made of it, came from: the argmax (sign 1) or argmin (−1) of `source` along `axis`.

    `labels` says of each element of an index array which window of the source it is an index into.
    """

    source: "Node"
    axis: int
    sign: int
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Node:
    """A quantity that depends on the input.

    Attributes:
      value: what it is at the input.
      reference: what it is at the reference.
      slot: where its track is on the tape; None for an index, which has none.
      delta: (Δ⁺, Δ⁻), if the tape keeps pairs.
      raw: Δ⁺ and Δ⁻ are two parts of one quantity, as a non-linearity left them. The Linear rule sorts the terms of a
        sum by the sign of each whole term, so it joins such parts first; those of a partial sum are terms already.
      path: the scope of the operation that made it.
      choice: of an index or a mask, the argmax behind it.
    """

    value: jax.Array
    reference: jax.Array
    slot: int | None
    delta: Track | None = None
    raw: bool = False
    path: tuple[str, ...] = ()
    choice: Choice | None = None


Step = Callable[..., Track]  # from the sources' tracks to the result's


class Tape:
    """A record of tracks. Slot 0 holds the change of the input; each step fills the next slot from earlier ones.

    Attributes:
      input: the node of the input itself.
      pairs: whether tracks are pairs.
      dtype: of the tracks of quantities that are not floating themselves (truth values, indices).
    """

    def __init__(self, value: jax.Array, reference: jax.Array, pairs: bool):
        self.pairs = pairs
        self.dtype = value.dtype
        self._steps: list[tuple[Step, list[int]]] = []
        self.input = Node(value, reference, 0, self._first(value - reference) if pairs else None, raw=pairs)

    def _first(self, change: jax.Array) -> Track:
        return (change, jnp.zeros_like(change)) if self.pairs else (change,)

    def multipliers(self, node: Node) -> jax.Array:
        """The transpose of a node's track, at ones, of the input's shape.

        Of a batch of scalars that are functions of one example each, these are every example's own multipliers.
        """

        def track(change: jax.Array) -> jax.Array:
            tracks = [self._first(change)]
            for step, sources in self._steps:
                tracks.append(step(*[tracks[slot] for slot in sources]))
            return _total(tracks[_slot(node)])

        change = jax.ShapeDtypeStruct(self.input.value.shape, self.input.value.dtype)
        return jax.linear_transpose(track, change)(jnp.ones_like(node.value))[0]

    def track_dtype(self, array: Any) -> Any:
        dtype = jnp.result_type(array)
        return dtype if jnp.issubdtype(dtype, jnp.floating) else self.dtype

    def floating(self, array: Any) -> jax.Array:
        return jnp.asarray(array, self.track_dtype(array))

    def ends(self, operand: Any) -> tuple[jax.Array, jax.Array]:
        """The operand at the input and at the reference, as floating numbers."""
        if isinstance(operand, Node):
            return self.floating(operand.value), self.floating(operand.reference)
        return self.floating(operand), self.floating(operand)

    def mean(self, operand: Any) -> jax.Array:
        """The operand half way between input and reference."""
        at, ref = self.ends(operand)
        return 0.5 * at + 0.5 * ref if isinstance(operand, Node) else at

    def record(self, value: Any, reference: Any, step: Step, sources: Sequence[Node], raw: bool = False) -> Node:
        """`step` maps the sources' tracks, tuples of one array or two, linearly to the result's."""
        delta = step(*[source.delta for source in sources]) if self.pairs else None
        return Node(value, reference, self._add(step, sources), delta, raw)

    def _add(self, step: Step, sources: Sequence[Node]) -> int:
        self._steps.append((step, [_slot(source) for source in sources]))
        return len(self._steps)

    def joined(self, node: Node) -> Node:
        """With the whole difference in Δ⁺ or in Δ⁻, by its sign, and half of it in each where it is 0."""
        if not self.pairs:
            return node
        at, ref = self.ends(node)
        change = jnp.where(at == ref, 0, at - ref)  # both may be −∞, where a mask put it
        weight = _share_of_positive(change)

        def step(track: Track) -> Track:
            whole = track[0] + track[1]
            return weight * whole, (1 - weight) * whole

        # Not what the step makes of its delta: rounding begins anew, and so does the compiler's work on a long chain.
        delta = jnp.maximum(change, 0), jnp.minimum(change, 0)
        return replace(node, slot=self._add(step, [node]), delta=delta, raw=False)

    def _terms(self, nodes: Sequence[Node]) -> list[Node]:
        return [self.joined(node) if node.raw else node for node in nodes]

    def linear(self, value: Any, reference: Any, function: Callable, sources: Sequence[Node], *, sums: bool) -> Node:
        """The track function(*tracks), for a linear function with coefficients ≥ 0.

        sums=False: every element of the result is one element of one source, as in a reshape.
        """
        if sums or len(sources) > 1:
            sources = self._terms(sources)

        def step(*tracks: Track) -> Track:
            return tuple(function(*parts) for parts in zip(*tracks, strict=True))

        return self.record(value, reference, step, sources, raw=any(source.raw for source in sources))

    def elementwise(self, value: Any, reference: Any, parts: Sequence[tuple[Node, Any]], *, raw: bool = False) -> Node:
        """The track Σ slope · track over parts (node, slope); with pairs, a slope may be one too, for Δ⁺ and Δ⁻.

        A negative slope makes a positive part negative, so it exchanges the two.
        """
        if len(parts) > 1:
            nodes = self._terms([node for node, _ in parts])
        else:
            nodes = [node for node, _ in parts]
            raw = raw or nodes[0].raw
        slopes = [slope for _, slope in parts]
        shape, dtype = jnp.shape(value), self.track_dtype(value)

        def times(slope: Any, track: jax.Array) -> jax.Array:
            return jnp.broadcast_to(jnp.asarray(slope, dtype) * track.astype(dtype), shape)

        def step(*tracks: Track) -> Track:
            if not self.pairs:
                return (_total([times(slope, track) for slope, (track,) in zip(slopes, tracks, strict=True)]),)
            positive, negative = [], []
            for slope, (up, down) in zip(slopes, tracks, strict=True):
                of_up, of_down = slope if isinstance(slope, tuple) else (slope, slope)
                positive += [times(jnp.maximum(of_up, 0), up), times(jnp.minimum(of_down, 0), down)]
                negative += [times(jnp.maximum(of_down, 0), down), times(jnp.minimum(of_up, 0), up)]
            return _total(positive), _total(negative)

        return self.record(value, reference, step, nodes, raw)

    def weighted(self, value: Any, reference: Any, parts: Sequence[tuple[Callable, Node, jax.Array]]) -> Node:
        """The track Σ function(track, weights) over parts: the Linear rule, terms sorted by the sign of weight · Δ.

        Source: Shrikumar, Greenside and Kundaje 2017, section 3.5.1 and appendix B.
        """
        nodes = [self.joined(node) for _, node, _ in parts]
        functions = [(function, weights) for function, _, weights in parts]

        def step(*tracks: Track) -> Track:
            if not self.pairs:
                return (_total([f(track, weights) for (f, weights), (track,) in zip(functions, tracks, strict=True)]),)
            positive, negative = [], []
            for (f, weights), (up, down) in zip(functions, tracks, strict=True):
                above, below = jnp.maximum(weights, 0), jnp.minimum(weights, 0)
                positive += [f(up, above), f(down, below)]
                negative += [f(down, above), f(up, below)]
            return _total(positive), _total(negative)

        return self.record(value, reference, step, nodes)

    def general(self, value: Any, reference: Any, function: Callable, sources: Sequence[Node]) -> Node:
        """The track function(*tracks), for any linear function; what it makes of Δ⁺ and Δ⁻ is sorted by sign."""
        sources = self._terms(sources)

        def both(tracks: Sequence[Any]) -> list[jax.Array]:
            return [function(*parts) for parts in zip(*tracks, strict=True)]

        shares = [_share_of_positive(part) for part in both([s.delta for s in sources])] if self.pairs else []

        def step(*tracks: Track) -> Track:
            parts = both(tracks)
            if not self.pairs:
                return tuple(parts)
            up = _total([share * part for share, part in zip(shares, parts, strict=True)])
            return up, _total([(1 - share) * part for share, part in zip(shares, parts, strict=True)])

        return self.record(value, reference, step, sources)


def _slot(node: Node) -> int:
    assert node.slot is not None, "an index has no track; the rules let none come here"
    return node.slot


def _total(terms: Sequence[jax.Array]) -> jax.Array:
    """Their sum; the built-in one begins by adding to a constant, which is not linear."""
    return reduce(add, terms)


def _share_of_positive(change: jax.Array) -> jax.Array:
    """1 where the change is positive, 0 where it is negative, ½ where it is 0."""
    return (0.5 * (1 + jnp.sign(change))).astype(change.dtype)


class NoRuleError(NotImplementedError):
    """The program does something to its input for which `deeplift` has no exact rule."""


ENDS = ("value", "reference")  # the attributes of a Node


@dataclass(frozen=True)
class Operation:
    """One operation, as its rule sees it.

    Attributes:
      name: of the primitive.
      params: of the primitive.
      operands: a Node for each operand that depends on the input, an array for each other.
      bind: the operation as a function of its operands.
      rule: how non-linearities are treated here: a name, or a function.
      tape: where tracks are recorded.
      follow: walks a function of the operands instead, for an operation that others define.
      error: the NoRuleError that names this operation and says what about it has no rule.
    """

    name: str
    params: Mapping[str, Any]
    operands: Sequence[Any]
    bind: Callable
    rule: Any
    tape: Tape
    follow: Callable = field(repr=False)
    error: Callable[..., NoRuleError] = field(repr=False)

    def nodes(self) -> list[Node]:
        return [operand for operand in self.operands if isinstance(operand, Node)]

    def both(self, function: Callable | None = None) -> tuple[Any, Any]:
        """The result at the input and at the reference."""
        function = function or self.bind
        at = function(*[o.value if isinstance(o, Node) else o for o in self.operands])
        return at, function(*[o.reference if isinstance(o, Node) else o for o in self.operands])

    def with_slopes(self, *slopes: Any, results: tuple[Any, Any] | None = None) -> Node:
        """Elementwise: one slope, or a function that makes it, for each operand; those of constants are ignored."""
        parts = [
            (operand, slope() if callable(slope) else slope)
            for operand, slope in zip(self.operands, slopes, strict=True)
            if isinstance(operand, Node)
        ]
        return self.tape.elementwise(*(results or self.both()), parts)
