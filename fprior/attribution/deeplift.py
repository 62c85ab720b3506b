"""DeepLIFT as a transformation of a program: contributions of the input to the difference from a reference.

The program is walked operation by operation, at the input and at the reference at once. What each operation does to a
difference between the two is in `deeplift_rules`, `deeplift_nonlinear` and `deeplift_maxima`, how it is kept in
`deeplift_tape`; here are the function to call, the walk through calls, loops and branches, and which rule holds where.
"""

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Literal
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from fprior.attribution import deeplift_rules
from fprior.attribution.deeplift_nonlinear import nonlinear
from fprior.attribution.deeplift_rules import is_elementwise, is_nonlinear
from fprior.attribution.deeplift_tape import ENDS, Node, NoRuleError, Operation, Tape
from fprior.attribution.scans import scan_operands
from fprior.typing import AnyArray

Rule = str | Callable[[Callable, jax.Array, jax.Array], jax.Array]

RESCALE, REVEAL_CANCEL = "rescale", "reveal_cancel"


@overload
def deeplift(
    f: Callable[[jax.Array], jax.Array],
    x: AnyArray,
    reference: ArrayLike,
    *,
    rule: Rule | Mapping[str, Rule] = ...,
    return_multipliers: bool = ...,
    return_completeness: typing.Literal[False] = ...,
) -> jax.Array: ...
@overload
def deeplift(
    f: Callable[[jax.Array], jax.Array],
    x: AnyArray,
    reference: ArrayLike,
    *,
    rule: Rule | Mapping[str, Rule] = ...,
    return_multipliers: bool = ...,
    return_completeness: typing.Literal[True],
) -> tuple[jax.Array, jax.Array]: ...
def deeplift(
    f: Callable[[jax.Array], jax.Array],
    x: Float[AnyArray, " B *shape"],
    reference: Num[ArrayLike, "..."],
    *,
    rule: Rule | Mapping[str, Rule] = RESCALE,
    return_multipliers: bool = False,
    return_completeness: bool = False,
) -> Float[jax.Array, " B *shape"] | tuple[Float[jax.Array, " B *shape"], Float[jax.Array, " B"]]:
    """What each element of x contributes to f(x) − f(reference), by DeepLIFT.

        contribution = multiplier · (x − reference),    Σ contributions of an example = f(x) − f(reference)

    Differences from reference pass through f as derivatives do, but by rules that are exact for finite differences.
    A non-linear function g of one quantity multiplies by (g(x) − g(x₀)) / (x − x₀) (Rescale; the derivative, where x
    and x₀ are too close for a quotient). A product is the mean of changing one factor first and the other first, and so
    is everything bilinear: matrix products, convolutions, attention. A maximum rises along what is largest at the input
    and falls along what was largest at the reference. A comparison is a step, and moves with the quantities compared.
    RevealCancel instead propagates positive and negative parts of differences apart, so that parts that cancel are
    seen: Δy⁺ = ½ (g(x₀ + Δx⁺) − g(x₀)) + ½ (g(x₀ + Δx⁻ + Δx⁺) − g(x₀ + Δx⁻)), and Δy⁻ likewise; sums are divided by
    the sign of weight · difference (the Linear rule). Functions that are not defined everywhere (logarithm, roots, …),
    products, quotients, maxima and comparisons keep the rules above.

    f may be any JAX function of functions that JAX can trace: no layers are needed, none are marked. It is evaluated
    once at x and once at the reference. The result can be compiled, mapped, and differentiated with respect to what f
    closes over (a prior on it trains a model); `stop_gradient` in f, on something that depends on x, is passed through.

    Which rule holds at an operation: rule is one rule, or a mapping from where to rules. A rule is "rescale",
    "reveal_cancel", or a function rule(g, x, x₀) that returns multipliers of an elementwise g, of its result's shape.
    The keys of a mapping are, first come first served,
      1. scopes: names of Flax modules or of `jax.named_scope`, outer ones first, such as "Dense_0" or "Model/Dense_0".
         A key fits when its names occur in an operation's scope in this order; others may stand between. Of several
         that fit the one with most names holds, then the one whose last name is innermost. An operation outside the
         layer whose result it works on counts as in that layer: an activation after `Dense_0()`, in the parent's code,
         fits "Dense_0".
      2. non-linear primitives, as `jax.make_jaxpr` prints them: "tanh", "logistic", "max" (of relu), …;
         "custom_jvp_call" is a function with a derivative rule of its own, which RevealCancel takes as a whole.
      3. "default"; Rescale, if there is none.

    Args:
      f: maps a batch `(B, …)` to one number for each example `(B,)`, each a function of that example alone.
      x: the input, `(B, …)`, of a floating dtype.
      reference: what x is compared with; of x's shape, or one that broadcasts to it.
      rule: see above.
      return_multipliers: return the multipliers, not their products with x − reference.
      return_completeness: return a pair, the second Σ contributions − (f(x) − f(reference)), `(B,)`: rounding.

    Returns:
      Contributions (or multipliers), of x's shape and dtype; and the error of completeness, if asked for.

    Raises:
      TypeError: x is not floating, or f's result is not.
      ValueError: shapes do not fit, a rule is unknown, or a key of `rule` names no scope of f and no primitive.
      NoRuleError: f does something to its input that has no exact rule, such as sorting it, using it as an index, or
        branching on it. The message names the primitive, its line and scope; `register_rule` adds a rule.

    Source: Shrikumar, Greenside and Kundaje, ICML 2017, sections 3.2 to 3.5; for maxima Lundberg and Lee's DeepSHAP.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x ({x.dtype}) must be floating; pass x.astype(jnp.float32)")
    reference = _like(reference, x)
    rules = _Rules(rule)
    program = jax.make_jaxpr(f)(x)
    if len(program.out_avals) != 1 or program.out_avals[0].shape != x.shape[:1]:
        shapes = ", ".join(str(aval.shape) for aval in program.out_avals)
        raise ValueError(
            f"f returns {shapes} for x {x.shape}; it must return one number for each example, {x.shape[:1]}"
        )
    if not jnp.issubdtype(program.out_avals[0].dtype, jnp.floating):
        raise TypeError(f"f returns {program.out_avals[0].dtype}; it must return floating numbers")
    tape = Tape(x, reference, pairs=rules.reveal_cancel)
    (out,) = _Walk(tape, rules).run(program.jaxpr, program.consts, [tape.input], _Place())
    rules.check_keys()
    if isinstance(out, Node):
        multipliers, change = tape.multipliers(out), out.value - out.reference
    else:
        multipliers, change = jnp.zeros_like(x), jnp.zeros_like(out)
    contributions = multipliers * (x - reference)
    result = multipliers if return_multipliers else contributions
    if not return_completeness:
        return result
    return result, jnp.sum(contributions, axis=tuple(range(1, x.ndim))) - change


def _like(reference: Any, x: jax.Array) -> jax.Array:
    reference = jnp.asarray(reference)
    try:
        return jnp.broadcast_to(reference.astype(x.dtype), x.shape)
    except ValueError:
        raise ValueError(f"reference (shape {reference.shape}) does not broadcast to x (shape {x.shape})") from None


class _Rules:
    """Which rule holds at an operation."""

    def __init__(self, rule: Rule | Mapping[str, Rule]):
        self._of = dict(rule) if isinstance(rule, Mapping) else {"default": rule}
        for key, chosen in self._of.items():
            if not callable(chosen) and chosen not in (RESCALE, REVEAL_CANCEL):
                where = f" for {key!r}" if isinstance(rule, Mapping) else ""
                raise ValueError(f'rule (={chosen!r}){where} must be "{RESCALE}", "{REVEAL_CANCEL}" or a function')
        self._scopes = {key: tuple(key.split("/")) for key in self._of if key != "default"}
        self._seen: set[tuple[str, ...]] = set()
        self.reveal_cancel = REVEAL_CANCEL in [chosen for chosen in self._of.values() if not callable(chosen)]

    def at(self, path: tuple[str, ...], primitive: str) -> Rule:
        self._seen.add(path)
        fitting = [(len(names), depth, key) for key, names in self._scopes.items() if (depth := _depth(names, path))]
        if fitting:
            return self._of[max(fitting)[2]]
        return self._of.get(primitive, self._of.get("default", RESCALE))

    def names(self, primitives: set[str]) -> bool:
        return not primitives.isdisjoint(self._of)

    def check_keys(self) -> None:
        """A key that can fit nothing is a typing error."""
        known = {"default", "custom_jvp_call"}
        unknown = [
            key
            for key in self._of
            if key not in known
            and not is_nonlinear(key)
            and not any(_depth(self._scopes[key], path) for path in self._seen)
        ]
        if unknown:
            scopes = sorted({"/".join(path) for path in self._seen if path})
            raise ValueError(
                f"rule has keys {unknown}, neither a non-linear primitive nor a scope of f; it has {scopes}"
            )


def _depth(names: tuple[str, ...], path: tuple[str, ...]) -> tuple[int, ...]:
    """Where in the path the names stand, the last of them first and each as far in as possible; () if they do not."""
    places, end = [], len(path)
    for name in reversed(names):
        while end > 0 and path[end - 1] != name:
            end -= 1
        if end == 0:
            return ()
        places.append(end)
        end -= 1
    return tuple(places)


_CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
}


class _Place(NamedTuple):
    """Where in the source an operation is: its scope and its line."""

    scope: tuple[str, ...] = ()
    line: str = "an unknown line"

    def of(self, equation: Any) -> "_Place":
        """In here. What JAX traced before, elsewhere, has no line; then it is that of the call."""
        source = equation.source_info
        return _Place(self.scope + _names(source.name_stack), source_info_util.summarize(source) or self.line)


class _Walk:
    """Carries a program's quantities from one operation to the next: a Node where it depends on the input."""

    def __init__(self, tape: Tape, rules: _Rules):
        self._tape = tape
        self._rules = rules

    def run(self, program: Any, constants: Sequence[Any], operands: Sequence[Any], place: _Place) -> list[Any]:
        known = dict(zip([*program.constvars, *program.invars], [*constants, *operands], strict=True))

        def read(variable: Any) -> Any:
            return variable.val if isinstance(variable, Literal) else known[variable]

        for equation in _needed(program):
            operands = [read(variable) for variable in equation.invars]
            if any(isinstance(operand, Node) for operand in operands):
                results = self._equation(equation, operands, place, program)
            else:
                results = _constant(equation, operands, program)
            known.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in program.outvars]

    def _equation(self, equation: Any, operands: list[Any], place: _Place, program: Any) -> list[Any]:
        own = place.of(equation)
        nodes = [operand for operand in operands if isinstance(operand, Node)]
        name = equation.primitive.name

        def error(what: str = "") -> NoRuleError:
            return NoRuleError(
                f"deeplift has no rule for the primitive {name!r} {what + ' ' if what else ''}"
                f"(at {own.line}, scope {'/'.join(own.scope) or 'none'}), which works on something that depends on the "
                f"input; rewrite it, or add one with fprior.attribution.register_rule({name!r}, rule)"
            )

        latest = max(nodes, key=lambda node: -1 if node.slot is None else node.slot).path
        path = latest if latest[: len(own.scope)] == own.scope else own.scope
        rule = self._rules.at(path, name)
        if name in _CALLS and not self._is_one_function(equation, operands, rule):
            inner = _inner(equation)
            return self.run(inner.jaxpr, inner.consts, operands, own)
        if name in ("scan", "while", "cond"):
            return getattr(self, f"_{name}")(equation.params, operands, own, error)

        def follow(function: Callable) -> Any:
            other = jax.make_jaxpr(function)(*[o.value if isinstance(o, Node) else o for o in operands])
            return self.run(other.jaxpr, other.consts, operands, own)

        def bind(*given: Any) -> Any:
            if name in _CALLS:
                return _evaluate(equation, given, program)[0]
            return equation.primitive.bind(*given, **equation.params)

        operation = Operation(name, equation.params, operands, bind, rule, self._tape, follow, error)
        made = nonlinear(operation) if name in _CALLS else deeplift_rules.apply(operation)
        made = made if isinstance(made, list) else [made]
        return [replace(node, path=path) if isinstance(node, Node) else node for node in made]

    def _is_one_function(self, equation: Any, operands: Sequence[Any], rule: Rule) -> bool:
        """A call that RevealCancel takes as a whole: its author gave it a derivative, and it is elementwise.

        Rescale does not care, since a chain of secant slopes is the secant slope of the chain.
        """
        nodes = [operand for operand in operands if isinstance(operand, Node)]
        if rule != REVEAL_CANCEL or equation.primitive.name != "custom_jvp_call" or len(nodes) != 1:
            return False
        shapes = [variable.aval.shape for variable in equation.outvars]
        primitives = _elementwise_primitives(_inner(equation).jaxpr)
        return shapes == [nodes[0].value.shape] and primitives is not None and not self._rules.names(primitives)

    # Loops and branches are followed, so what steers them must not depend on the input and be known at this point.

    def _scan(self, params: Mapping[str, Any], operands: Sequence[Any], place: _Place, error: Callable) -> list:
        if params["length"] == 0:
            raise error("of length 0")
        body, (fixed, carried) = params["jaxpr"], scan_operands(params)
        last = fixed + carried
        constants, carry, xs = operands[:fixed], operands[fixed:last], operands[last:]
        rows: list[Sequence[Any]] = [()] * params["length"]
        for i in reversed(range(len(rows))) if params["reverse"] else range(len(rows)):
            here = [self._moved(lambda x, i=i: lax.index_in_dim(x, i, keepdims=False), [x], error) for x in xs]
            results = self.run(body.jaxpr, body.consts, [*constants, *carry, *here], place)
            carry, rows[i] = results[:carried], results[carried:]
        return [*carry, *(self._moved(lambda *ys: jnp.stack(ys), list(ys), error) for ys in zip(*rows, strict=True))]

    def _while(self, params: Mapping[str, Any], operands: Sequence[Any], place: _Place, error: Callable) -> list:
        condition, body = params["cond_jaxpr"], params["body_jaxpr"]
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        carry = operands[last:]
        while True:
            (again,) = self.run(condition.jaxpr, condition.consts, [*operands[:first], *carry], place)
            if not _steering(again, error, "whose number of rounds"):
                return list(carry)
            carry = self.run(body.jaxpr, body.consts, [*operands[first:last], *carry], place)

    def _cond(self, params: Mapping[str, Any], operands: Sequence[Any], place: _Place, error: Callable) -> list:
        which, branches = _steering(operands[0], error, "whose branch"), params["branches"]
        branch = branches[min(max(int(which), 0), len(branches) - 1)]
        return self.run(branch.jaxpr, branch.consts, operands[1:], place)

    def _moved(self, function: Callable, operands: Sequence[Any], error: Callable) -> Any:
        """A function that only moves elements, of operands of one shape of which some depend on the input."""
        nodes = [operand for operand in operands if isinstance(operand, Node)]
        if not nodes:
            with jax.ensure_compile_time_eval() if _all_known_integers(operands) else nullcontext():
                return function(*operands)
        if any(node.slot is None for node in nodes):
            raise error("over an argmax of the input")
        at, ref = (function(*[getattr(o, e) if isinstance(o, Node) else o for o in operands]) for e in ENDS)

        def track(*tracks: jax.Array) -> jax.Array:
            given = iter(tracks)
            return function(*[next(given) if isinstance(o, Node) else jnp.zeros_like(tracks[0]) for o in operands])

        return self._tape.linear(at, ref, track, nodes, sums=False)


def _steering(value: Any, error: Callable, what: str) -> Any:
    if isinstance(value, Node):
        raise error(f"{what} depends on the input")
    if isinstance(value, jax.core.Tracer):
        raise error(f"{what} is not known before it is run")
    return np.asarray(value)


def _needed(program: Any) -> list[Any]:
    """The equations on which the results depend: what is not used needs no rule."""
    wanted, kept = {v for v in program.outvars if not isinstance(v, Literal)}, []
    for equation in reversed(program.eqns):
        if not wanted.isdisjoint(equation.outvars):
            wanted.update(v for v in equation.invars if not isinstance(v, Literal))
            kept.append(equation)
    return kept[::-1]


def _evaluate(equation: Any, operands: Sequence[Any], program: Any) -> list[Any]:
    """One equation, as a program of its own: only so do functions in it keep the derivative rules given to them."""
    given = {v: o for v, o in zip(equation.invars, operands, strict=True) if not isinstance(v, Literal)}
    names = {"arg_names": ("",) * len(given), "result_paths": ("",) * len(equation.outvars)}
    alone = program.replace(
        constvars=[],
        invars=list(given),
        outvars=equation.outvars,
        eqns=[equation],
        debug_info=program.debug_info._replace(**names),
    )
    return jax.core.eval_jaxpr(alone, [], *given.values())


def _constant(equation: Any, operands: Sequence[Any], program: Any) -> list[Any]:
    """An operation that does not depend on the input. Known integers stay known, also while compiling: they steer."""
    integers = all(jnp.issubdtype(v.aval.dtype, jnp.integer) or v.aval.dtype == jnp.bool_ for v in equation.outvars)
    with jax.ensure_compile_time_eval() if integers and _all_known_integers(operands) else nullcontext():
        return _evaluate(equation, operands, program)


def _all_known_integers(operands: Iterable[Any]) -> bool:
    return all(not isinstance(o, jax.core.Tracer) and jnp.result_type(o).kind in "iub" for o in operands)


def _inner(equation: Any) -> Any:
    program = equation.params["jaxpr"] if "jaxpr" in equation.params else equation.params["call_jaxpr"]
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())


def _elementwise_primitives(program: Any) -> set[str] | None:
    """The names of its primitives, if all of them work on each element alone."""
    names: set[str] = set()
    for equation in program.eqns:
        name = equation.primitive.name
        if name in _CALLS:
            inside = _elementwise_primitives(_inner(equation).jaxpr)
            if inside is None:
                return None
            names |= inside
        elif is_elementwise(name):
            names.add(name)
        elif name != "stop_gradient" and not (name == "broadcast_in_dim" and equation.invars[0].aval.shape == ()):
            return None
    return names


def _names(stack: Any) -> tuple[str, ...]:
    """The scopes of a name stack, which prints them as "Model/Dense_0", or "vmap(Model/Dense_0)" under a transform."""
    return tuple(name for name in re.sub(r"\b\w+\(|\)", "", str(stack)).split("/") if name)
