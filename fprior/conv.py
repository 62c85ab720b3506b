"""One-dimensional convolution whose derivatives of every order run on three fast kernels.

The convolution is a trilinear form: for x (B, L, C), w (K, C, O), y (B, L', O)

    <conv(x, w), y> = sum over b, l, k, c, o of  x[b, l + k*dilation - padding, c] * w[k, c, o] * y[b, l, o]

is linear in each of x, w, y. Leaving one of them out gives three bilinear contractions: the forward pass
F(x, w), the input gradient I(y, w) and the weight gradient W(x, y). The derivative of each with respect to
either argument is one of the other two:

    d/dx F -> I    d/dw F -> W    d/dy I -> F    d/dw I -> W    d/dx W -> I    d/dy W -> F

Each contraction is a JAX primitive whose derivative rules say just this, so that differentiation of any order
and mode never leaves the three. JAX's own rules reach the same numbers through convolutions of convolutions
in shapes for which XLA has no fast code (on a CPU an order of magnitude slower in the second derivative).
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Float

from fprior.typing import AnyArray

_CHANNELS_LAST = ("NWC", "WIO", "NWC")


def conv(
    x: Float[AnyArray, "B L C"], w: Float[AnyArray, "K C O"], *, dilation: int = 1, padding: str = "valid"
) -> Float[jax.Array, "B L_out O"]:
    """Cross-correlation along the length, stride 1: what deep learning calls a convolution.

        y[b, l, o] = sum over k, c of  x[b, l + k * dilation - low, c] * w[k, c, o]

    Args:
      x: input `(B, L, C)`.
      w: kernel `(K, C, O)`, of x's dtype.
      dilation: distance in positions between neighbouring kernel taps, at least 1.
      padding: `"valid"` (low = 0, L' = L − (K − 1)·dilation) or `"same"` (L' = L; zeros at the ends, the
        smaller half of (K − 1)·dilation before the start, as in PyTorch and XLA).

    Returns:
      y `(B, L', O)`.

    Raises:
      ValueError: shapes, dtypes, dilation or padding do not fit; the message names the argument.
    """
    if x.ndim != 3 or w.ndim != 3:
        raise ValueError(f"x (shape {x.shape}) must be (B, L, C) and w (shape {w.shape}) must be (K, C, O)")
    if x.shape[2] != w.shape[1]:
        raise ValueError(f"x (shape {x.shape}) has {x.shape[2]} channels but w (shape {w.shape}) takes {w.shape[1]}")
    if x.dtype != w.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x ({x.dtype}) and w ({w.dtype}) must have one floating dtype; cast one of them")
    if dilation < 1:
        raise ValueError(f"dilation (={dilation}) must be at least 1")
    reach = (w.shape[0] - 1) * dilation
    if padding == "same":
        pads = (reach // 2, reach - reach // 2)
    elif padding == "valid":
        pads = (0, 0)
    else:
        raise ValueError(f'padding (={padding!r}) must be "valid" or "same"')
    if x.shape[1] + sum(pads) <= reach:
        raise ValueError(f"x (length {x.shape[1]}) is shorter than the kernel's reach ({reach + 1} positions)")
    return forward_p.bind(*_vary_alike(x, w), dilation=dilation, pads=pads)


def _vary_alike(a: AnyArray, b: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Under `jax.shard_map`, casts both to vary over the same mesh axes; the cast's transpose is the psum that
    a replicated kernel's gradient needs. A no-op elsewhere."""
    varying = [jax.typeof(array).mat.varying for array in (a, b)]
    if varying[0] == varying[1]:
        return a, b
    missing = [tuple(sorted(other - own)) for own, other in (varying, varying[::-1])]
    first, second = (
        lax.pcast(array, axes, to="varying") if axes else array for array, axes in zip((a, b), missing, strict=True)
    )
    return first, second


# The three kernels in terms of XLA's convolution. `pads` and `dilation` are those of the forward pass.


def _forward(x: jax.Array, w: jax.Array, *, dilation: int, pads: tuple[int, int]) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1,), [pads], rhs_dilation=(dilation,), dimension_numbers=_CHANNELS_LAST)


def _input_gradient(y: jax.Array, w: jax.Array, *, dilation: int, pads: tuple[int, int]) -> jax.Array:
    """A forward pass over y with the kernel turned around, so that it uses the same fast code."""
    reach = (w.shape[0] - 1) * dilation
    turned = jnp.flip(w, 0).swapaxes(1, 2)
    return _forward(y, turned, dilation=dilation, pads=(reach - pads[0], reach - pads[1]))


def _weight_gradient(x: jax.Array, y: jax.Array, *, dilation: int, pads: tuple[int, int]) -> jax.Array:
    """A convolution with batch and channels exchanged and y as its kernel, the form that cuDNN recognises."""
    return lax.conv_general_dilated(x, y, (dilation,), [pads], dimension_numbers=("CWN", "IWO", "WNC"))


def _weight_gradient_on_cpu(x: jax.Array, y: jax.Array, *, dilation: int, pads: tuple[int, int]) -> jax.Array:
    """The same in the one layout for which a CPU has fast code. XLA finds that layout by itself, but not inside
    loops (fifty times slower there); and it transposes the whole of x at once, element by element across memory,
    where pieces of the batch that fit into the cache take half the time."""
    pieces = max(1, min(_MOST_PIECES, x.size // _PIECE))
    bounds = [x.shape[0] * i // pieces for i in range(pieces + 1)]

    def of(first: int, last: int) -> jax.Array:
        lhs, rhs = x[first:last].transpose(2, 1, 0), y[first:last].transpose(1, 0, 2)
        return lax.conv_general_dilated(lhs, rhs, (dilation,), [pads], dimension_numbers=_CHANNELS_LAST)

    return reduce(add, [of(first, last) for first, last in pairwise(bounds) if last > first]).transpose(1, 0, 2)


_PIECE, _MOST_PIECES = 2**21, 8  # elements of x (8 MB in float32); every piece is more to compile


def _primitive(name: str, kernel: Callable, on_cpu: Callable | None = None) -> Primitive:
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(kernel, static_argnames=("dilation", "pads")))  # outside jit

    # Tracing the kernel gives the shape and, under a mesh, XLA's own sharding and varying-axes rules with it.
    primitive.def_abstract_eval(lambda a, b, **how: jax.make_jaxpr(partial(kernel, **how))(a, b).out_avals[0])
    mlir.register_lowering(primitive, mlir.lower_fun(kernel, multiple_results=False))
    if on_cpu is not None:
        mlir.register_lowering(primitive, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
    return primitive


forward_p = _primitive("conv_forward", _forward)
input_gradient_p = _primitive("conv_input_gradient", _input_gradient)
weight_gradient_p = _primitive("conv_weight_gradient", _weight_gradient, _weight_gradient_on_cpu)

# A rule receives the cotangent of the result and both arguments, of which the one it is for is unknown.
ad.defbilinear(
    forward_p,
    lambda ct, x, w, **how: input_gradient_p.bind(ct, w, **how),
    lambda ct, x, w, **how: weight_gradient_p.bind(x, ct, **how),
)
ad.defbilinear(
    input_gradient_p,
    lambda ct, y, w, **how: forward_p.bind(ct, w, **how),
    lambda ct, y, w, **how: weight_gradient_p.bind(ct, y, **how),
)
ad.defbilinear(
    weight_gradient_p,
    lambda ct, x, y, **how: input_gradient_p.bind(y, ct, **how),
    lambda ct, x, y, **how: forward_p.bind(x, ct, **how),
)


# vmap. A mapped axis that only the batched argument has joins the batch, which costs nothing; else the mapped
# problems are independent (several models, or per-example weight gradients) and run one after the other.


def _fold_into_batch(a: jax.Array) -> jax.Array:
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


def _batch_with_kernel(primitive: Primitive) -> Callable:
    def rule(arguments: Sequence[Any], axes: Sequence[Any], **how: Any) -> tuple[jax.Array, int]:
        a, w = arguments
        if axes[1] is None:
            a = jnp.moveaxis(a, axes[0], 0)
            out = primitive.bind(_fold_into_batch(a), w, **how)
            return out.reshape(*a.shape[:2], *out.shape[1:]), 0
        return _one_by_one(primitive, arguments, axes, how), 0

    return rule


def _one_by_one(primitive: Primitive, arguments: Sequence[Any], axes: Sequence[Any], how: dict[str, Any]) -> jax.Array:
    mapped = [jnp.moveaxis(a, axis, 0) for a, axis in zip(arguments, axes, strict=True) if axis is not None]

    def one(slices: Sequence[jax.Array]) -> jax.Array:
        following = iter(slices)
        a, b = (a if axis is None else next(following) for a, axis in zip(arguments, axes, strict=True))
        return primitive.bind(a, b, **how)

    # Slices of a loop are copies; written out, the compiler reads them in place.
    count = mapped[0].shape[0]
    if count <= _MOST_WRITTEN_OUT:
        return jnp.stack([one([a[i] for a in mapped]) for i in range(count)])
    return lax.map(one, mapped)


_MOST_WRITTEN_OUT = 16


batching.primitive_batchers[forward_p] = _batch_with_kernel(forward_p)
batching.primitive_batchers[input_gradient_p] = _batch_with_kernel(input_gradient_p)
batching.primitive_batchers[weight_gradient_p] = lambda arguments, axes, **how: (
    _one_by_one(weight_gradient_p, arguments, axes, how),
    0,
)
