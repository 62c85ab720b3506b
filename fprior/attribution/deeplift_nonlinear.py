"""Non-linear functions of each element: the multipliers that Rescale and RevealCancel give them.

A secant of a function g is the slope for which slope · (at − ref) = g(at) − g(ref). It is made from g, both points,
g at both, and the parameters of the primitive.

Source: Shrikumar, Greenside and Kundaje, ICML 2017, sections 3.5.1 (Rescale) and 3.5.2 (RevealCancel).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from fprior.attribution.deeplift_tape import ENDS, Node, Operation

Params = Mapping[str, Any]  # of a primitive


def _derivative(g: Callable, point: jax.Array) -> jax.Array:
    return jax.jvp(g, (point,), (jnp.ones_like(point),))[1]


def _quotient(near: Callable, derivative: Callable = _derivative) -> Callable:
    """(g(at) − g(ref)) / (at − ref), but the derivative half way where |at − ref| ≤ near(ε, at, ref)."""

    def secant(
        g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params
    ) -> jax.Array:
        close = (at == ref) | (jnp.abs(at - ref) <= near(float(jnp.finfo(at.dtype).eps), at, ref))
        # Either branch is finite also where it is not taken, or its derivative would be NaN there.
        run = jnp.where(close, 1, at - ref)
        middle = jnp.where(close, 0.5 * at + 0.5 * ref, at)
        return jnp.where(close, derivative(g, middle), (g_at - g_ref) / run)

    return secant


# How near is near. A quotient over a run h is off by ε·|g|/h, from rounding, and the derivative half way by |g‴|·h²/24.
# At h = ε^⅓, in units of the length over which g bends, both are of the order of ε^⅔, and what the derivative costs in
# summation to delta, |g‴|·h³/24, is less than the rounding of g. For functions with a singular point that length is the
# distance to it. A piecewise linear g has nothing to fear from rounding, and the derivative half way would miss its
# kinks: there only a run of 0 is near. Of any other function nothing is known: a run of a few roundings is near, so
# that a kink within it costs no more than rounding does.
_bends_nowhere = _quotient(lambda eps, at, ref: 0)
# JAX gives a tie of max and min the slope ½. Taken is 0, as frameworks do for relu at 0.
_picks = _quotient(lambda eps, at, ref: 0, lambda g, point: jnp.floor(_derivative(g, point)))
_bends_over_1 = _quotient(lambda eps, at, ref: eps ** (1 / 3))
_bends_at_0 = _quotient(lambda eps, at, ref: eps ** (1 / 3) * jnp.minimum(jnp.abs(at), jnp.abs(ref)))
_bends_at_minus_1 = _quotient(lambda eps, at, ref: eps ** (1 / 3) * jnp.minimum(jnp.abs(1 + at), jnp.abs(1 + ref)))
_unknown = _quotient(lambda eps, at, ref: 16 * eps * jnp.maximum(jnp.abs(at), jnp.abs(ref)))

# Forms without a small denominator.


def _integer_pow(
    g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params
) -> jax.Array:
    """(bⁿ − aⁿ)/(b − a) = Σ bᵏ·aⁿ⁻¹⁻ᵏ; for n < 0 that of |n|, times −aⁿ·bⁿ."""
    total, power = jnp.zeros_like(at), jnp.ones_like(at)
    for _ in range(abs(params["y"])):
        total, power = total * at + power, power * ref
    return total if params["y"] >= 0 else -total * g_at * g_ref


def _square(g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params) -> jax.Array:
    return at + ref


def _one_minus_square(
    g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params
) -> jax.Array:
    """Of the primitive that JAX has for the derivative of tanh from 0.12 on."""
    return -(at + ref)


def _sqrt(g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params) -> jax.Array:
    return 1 / (g_at + g_ref)


def _rsqrt(g: Callable, at: jax.Array, ref: jax.Array, g_at: jax.Array, g_ref: jax.Array, params: Params) -> jax.Array:
    return -((g_at * g_ref) ** 2) / (g_at + g_ref)


SECANTS: dict[str, Callable] = {
    **dict.fromkeys(("abs", "ceil", "clamp", "floor", "rem", "round", "sign"), _bends_nowhere),
    **dict.fromkeys(("max", "min"), _picks),
    **dict.fromkeys(("atan", "asinh", "cos", "cosh", "erf", "erfc", "exp", "exp2"), _bends_over_1),
    **dict.fromkeys(("expm1", "logistic", "sin", "sinh", "tanh"), _bends_over_1),
    **dict.fromkeys(("log", "pow"), _bends_at_0),
    **dict.fromkeys(("acos", "acosh", "asin", "atan2", "atanh", "bessel_i0e", "bessel_i1e"), _unknown),
    **dict.fromkeys(("cbrt", "digamma", "erf_inv", "lgamma", "tan"), _unknown),
    "integer_pow": _integer_pow,
    "log1p": _bends_at_minus_1,
    "one_minus_square": _one_minus_square,
    "rsqrt": _rsqrt,
    "sqrt": _sqrt,
    "square": _square,
}
# RevealCancel asks for g at the reference plus the positive part of a change alone, and plus the negative part alone.
# These need not be defined there.
_NOT_EVERYWHERE = {"acos", "acosh", "asin", "atan2", "atanh", "digamma", "erf_inv", "lgamma", "log", "log1p", "pow"}
_NOT_EVERYWHERE |= {"rem", "rsqrt", "sqrt", "tan"}


def _slope(op: Operation, g: Callable, node: Node, g_at: jax.Array, g_ref: jax.Array) -> Any:
    """The multiplier of g by the rule that holds here: a pair by RevealCancel."""
    at, ref = node.value, node.reference
    if callable(op.rule):
        return op.rule(g, at, ref)
    secant = SECANTS.get(op.name, _unknown)
    not_everywhere = op.name in _NOT_EVERYWHERE or (op.name == "integer_pow" and op.params["y"] < 0)
    if op.rule == "rescale" or not_everywhere:
        return secant(g, at, ref, g_at, g_ref, op.params)
    assert node.delta is not None, "RevealCancel has pairs"
    with_up, with_down = (ref + part for part in node.delta)
    g_up, g_down = g(with_up), g(with_down)
    # ½·(g(ref + Δ⁺) − g(ref)) + ½·(g(ref + Δ⁻ + Δ⁺) − g(ref + Δ⁻)), over Δ⁺; then the same with Δ⁻ and Δ⁺ exchanged.
    first = secant(g, with_up, ref, g_up, g_ref, op.params), secant(g, with_down, ref, g_down, g_ref, op.params)
    last = secant(g, at, with_down, g_at, g_down, op.params), secant(g, at, with_up, g_at, g_up, op.params)
    return 0.5 * first[0] + 0.5 * last[0], 0.5 * first[1] + 0.5 * last[1]


def nonlinear(op: Operation) -> Node:
    """An elementwise function of one operand that depends on the input; of two, the mean of the two orders."""
    places = [i for i, operand in enumerate(op.operands) if isinstance(operand, Node)]
    if not all(jnp.issubdtype(node.value.dtype, jnp.floating) for node in op.nodes()):
        raise op.error("of integers that depend on the input")
    results = op.both()

    def alone(place: int, operands: Sequence[Any]) -> Callable:
        return lambda z: op.bind(*[z if i == place else operand for i, operand in enumerate(operands)])

    if len(places) == 1:
        (node,) = op.nodes()
        return op.tape.elementwise(
            *results, [(node, _slope(op, alone(places[0], op.operands), node, *results))], raw=True
        )
    if len(places) > 2:
        raise op.error("of more than two operands that depend on the input")
    parts = []
    for place in places:
        node, slopes = op.operands[place], []
        for end in ENDS:
            g = alone(place, [getattr(o, end) if isinstance(o, Node) else o for o in op.operands])
            slopes.append(_slope(replace(op, rule="rescale"), g, node, g(node.value), g(node.reference)))
        parts.append((node, 0.5 * slopes[0] + 0.5 * slopes[1]))
    return op.tape.elementwise(*results, parts)
