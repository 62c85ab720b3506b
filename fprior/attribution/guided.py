"""Guided backprop: the gradient with another rule for ReLU, of any JAX function.

The program that the function traces to is evaluated with a ReLU of our own in place of each that is found in it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun, jaxprs_in_params, primitives
from jaxtyping import Float

from fprior.attribution.path import floating, scalars_of
from fprior.attribution.scans import scan_operands
from fprior.typing import AnyArray


def guided_backprop(
    f: Callable[[jax.Array], jax.Array], x: Float[AnyArray, " B *shape"], *, times_input: bool = True
) -> Float[jax.Array, " B *shape"]:
    """The gradient with every ReLU passing back only what is positive, times x by default.

        backward through z → max(z, 0):   ct · [z > 0] · [ct > 0]

    f is any JAX function. Its program is searched for floating-point `max(z, 0)`, `where(z > 0, z, 0)` and
    `z · (z > 0)` (and the same turned around) with a zero written in the program, also inside `jit`,
    `jax.checkpoint`, `scan` and `cond`. That includes any that are no activation, such as the one in a cross entropy:
    let f return logits. A function with a derivative rule of its own (`softplus`, say) keeps that rule, unless it is
    made of maximum and minimum alone, as `jax.nn.relu` and `relu6` are. Leaky and smooth activations have their
    ordinary gradient.

    Args:
      f: maps `(B, …)` to `(B,)`.
      x: the input `(B, …)`, of a floating dtype.
      times_input: multiply by x; False returns the modified gradient.

    Returns:
      The attribution, of x's shape and dtype.

    Raises:
      TypeError: x is not floating.
      ValueError: f has no ReLU (the result would be the plain gradient) or does not return `(B,)`.
      NotImplementedError: f has a ReLU inside an operation that cannot be looked through; the message names it.

    Source: Springenberg et al., "Striving for simplicity: the all convolutional net", ICLR 2015 workshop.
    """
    x = floating(x)
    program = jax.make_jaxpr(lambda x: jnp.sum(scalars_of(f, x)))(x)
    rewriter = _GuidedReLU()

    def guided(x: jax.Array) -> jax.Array:
        return rewriter.evaluate(program.jaxpr, _as_values(program.consts), _as_values([x]))[0].array

    gradient = jax.grad(guided)(x)
    if not rewriter.found:
        raise ValueError("f has no ReLU, so that guided backprop would be the plain gradient; use input_gradient")
    return gradient * x if times_input else gradient


# ---- the program of f, evaluated with another ReLU


@jax.custom_vjp
def _guided_relu(z: jax.Array) -> jax.Array:
    return jnp.maximum(z, 0)


def _guided_relu_forward(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.maximum(z, 0), z > 0


def _guided_relu_backward(active: jax.Array, ct: jax.Array) -> tuple[jax.Array]:
    return (jnp.where(active & (ct > 0), ct, 0),)


_guided_relu.defvjp(_guided_relu_forward, _guided_relu_backward)


class _Value(NamedTuple):
    """An array of the program, and what its text says of it."""

    array: Any
    is_zero: bool = False  # a constant zero, of any shape
    sign_of: Any = None  # the array z of which this is z > 0 or z ≥ 0; or, if not `positive`, z < 0 or z ≤ 0
    positive: bool = True


def _as_values(arrays: Any) -> list[_Value]:
    return [_Value(array) for array in arrays]


class _GuidedReLU:
    """Evaluates a jaxpr with each ReLU in it replaced; `found` counts them."""

    def __init__(self) -> None:
        self.found = 0

    def evaluate(self, jaxpr: Jaxpr, consts: list[_Value], arguments: list[_Value]) -> list[_Value]:
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(atom: Any) -> _Value:
            if isinstance(atom, Literal):
                return _Value(atom.val, is_zero=bool(np.all(np.asarray(atom.val) == 0)))
            return values[atom]

        for eqn in jaxpr.eqns:
            results = self._apply(jaxpr, eqn, [read(atom) for atom in eqn.invars])
            values.update(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, jaxpr: Jaxpr, eqn: JaxprEqn, inputs: list[_Value]) -> list[_Value]:
        z = _rectified(eqn, inputs)
        if z is not None:
            self.found += 1
            return [_Value(_guided_relu(z))]
        inner = self._inside(eqn, inputs)
        if inner is not None:
            return inner
        results = _bind(jaxpr, eqn, inputs)
        return [_described(eqn, inputs, results[0])] if len(results) == 1 else _as_values(results)

    def _inside(self, eqn: JaxprEqn, inputs: list[_Value]) -> list[_Value] | None:
        """The results of an equation that has programs of its own; None for one that is to be applied as it is."""
        primitive, params = eqn.primitive, eqn.params
        if primitive is primitives.custom_jvp_call_p:
            return self._closed(params["call_jaxpr"], inputs) if _made_of_extrema(params["call_jaxpr"].jaxpr) else None
        if primitive is primitives.custom_vjp_call_p:
            return None
        if primitive is primitives.jit_p:
            return self._closed(params["jaxpr"], inputs)
        if primitive is primitives.closed_call_p:
            return self._closed(params["call_jaxpr"], inputs)
        if primitive is primitives.remat_p:
            how = {"policy": params["policy"], "prevent_cse": params["prevent_cse"]}
            run = self._on_arrays(params["jaxpr"], [], inputs)
            return _as_values(jax.checkpoint(run, **how)(*[value.array for value in inputs]))
        if primitive is primitives.cond_p:
            index, *operands = inputs
            branches = [self._on_arrays(branch.jaxpr, branch.consts, operands) for branch in params["branches"]]
            return _as_values(lax.switch(index.array, branches, *[value.array for value in operands]))
        if primitive is primitives.scan_p:
            return self._scan(params, inputs)
        if not any(map(_has_relu, jaxprs_in_params(params))):
            return None
        raise NotImplementedError(
            f"f has a ReLU inside the operation {primitive.name!r}, which guided_backprop does not look through; "
            "write that part of f without it"
        )

    def _closed(self, closed: ClosedJaxpr, inputs: list[_Value]) -> list[_Value]:
        return self.evaluate(closed.jaxpr, _as_values(closed.consts), inputs)

    def _on_arrays(self, jaxpr: Jaxpr, consts: Any, like: list[_Value]) -> Callable[..., list]:
        """A function of arrays, for a transformation of JAX; which of them are zero is known from `like`."""

        def run(*arrays: Any) -> list:
            arguments = [_Value(array, old.is_zero) for array, old in zip(arrays, like, strict=True)]
            return [value.array for value in self.evaluate(jaxpr, _as_values(consts), arguments)]

        return run

    def _scan(self, params: dict[str, Any], inputs: list[_Value]) -> list[_Value]:
        fixed, carried = scan_operands(params)
        constants, rest = inputs[:fixed], [value.array for value in inputs[fixed:]]
        like = [*constants, *_as_values(rest)]
        run = self._on_arrays(params["jaxpr"].jaxpr, params["jaxpr"].consts, like)

        def body(carry: list, slices: list) -> tuple[list, list]:
            results = run(*[value.array for value in constants], *carry, *slices)
            return results[:carried], results[carried:]

        how = {name: params[name] for name in ("length", "reverse", "unroll")}
        carry, stacked = lax.scan(body, rest[:carried], rest[carried:], **how)
        return _as_values([*carry, *stacked])


def _bind(jaxpr: Jaxpr, eqn: JaxprEqn, inputs: list[_Value]) -> list:
    """The results of an equation of jaxpr as it is: of a program that is nothing but it, which JAX can run."""
    variables = {a: value.array for a, value in zip(eqn.invars, inputs, strict=True) if not isinstance(a, Literal)}
    program = jaxpr.replace(constvars=[], invars=list(variables), outvars=eqn.outvars, eqns=[eqn], effects=eqn.effects)
    return jaxpr_as_fun(ClosedJaxpr(program, ()))(*variables.values())


def _rectified(eqn: JaxprEqn, inputs: list[_Value]) -> Any:
    """z, if the equation is max(z, 0), where(z > 0, z, 0) or z · (z > 0) of floating z; else None."""
    out = _aval(eqn.outvars[0])
    z = None
    if eqn.primitive is primitives.max_p:
        z = next((value.array for value, other in (inputs, inputs[::-1]) if other.is_zero and not value.is_zero), None)
    elif eqn.primitive is primitives.mul_p:
        z = next((a.array for a, b in (inputs, inputs[::-1]) if b.sign_of is a.array and b.positive), None)
    elif eqn.primitive is primitives.select_n_p and len(inputs) == 3:
        condition, if_false, if_true = inputs
        kept, dropped = (if_true, if_false) if condition.positive else (if_false, if_true)
        z = kept.array if dropped.is_zero and condition.sign_of is kept.array else None
    fits = z is not None and jnp.issubdtype(out.dtype, jnp.floating) and jnp.shape(z) == out.shape
    return z if fits else None


_KEEPS_ZERO = (primitives.broadcast_in_dim_p, primitives.convert_element_type_p, primitives.reshape_p)
_GREATER, _LESS = (primitives.gt_p, primitives.ge_p), (primitives.lt_p, primitives.le_p)


def _described(eqn: JaxprEqn, inputs: list[_Value], result: Any) -> _Value:
    """The result of an equation, with what is known of it."""
    if eqn.primitive in _KEEPS_ZERO:
        (value,) = inputs
        converted = eqn.primitive is primitives.convert_element_type_p
        return _Value(result, value.is_zero, value.sign_of if converted else None, value.positive)
    if eqn.primitive in _GREATER + _LESS:
        greater = eqn.primitive in _GREATER
        first, second = inputs
        for z, bound, positive in ((first, second, greater), (second, first, not greater)):
            if bound.is_zero and not z.is_zero:
                return _Value(result, sign_of=z.array, positive=positive)
    return _Value(result)


def _aval(variable: Any) -> Any:
    """Its shape and dtype; JAX's own annotation promises less."""
    return variable.aval


def _made_of_extrema(jaxpr: Jaxpr) -> bool:
    extrema = (primitives.max_p, primitives.min_p)
    return all(
        eqn.primitive in extrema or (eqn.primitive is primitives.jit_p and _made_of_extrema(eqn.params["jaxpr"].jaxpr))
        for eqn in jaxpr.eqns
    )


def _has_relu(jaxpr: Jaxpr) -> bool:
    """Whether it says max(…, 0) of floats anywhere."""
    return any(
        any(map(_has_relu, jaxprs_in_params(eqn.params)))
        or (
            eqn.primitive is primitives.max_p
            and jnp.issubdtype(_aval(eqn.outvars[0]).dtype, jnp.floating)
            and any(isinstance(atom, Literal) and np.all(np.asarray(atom.val) == 0) for atom in eqn.invars)
        )
        for eqn in jaxpr.eqns
    )
