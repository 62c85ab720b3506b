"""The first layer's weights, made ready for an all-zero reference."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from fprior.typing import AnyArray


def normalize_first_layer(
    kernel: Float[AnyArray, "*taps C O"], bias: Float[AnyArray, " O"]
) -> tuple[Float[jax.Array, "*taps C O"], Float[jax.Array, " O"]]:
    """The same convolution on one-hot sequences, with weights that sum to zero over the bases at each tap.

        kernel′[k, b, o] = kernel[k, b, o] − m[k, o],   bias′[o] = bias[o] + Σ over k of m[k, o],
        m[k, o] = mean over bases b of kernel[k, b, o]

    One base is 1 at each position, so each tap takes m from its weight and the bias gives it back. The output for a
    sequence of zeros, bias′, is then the output averaged over all sequences, which makes zeros a fair reference for
    an attribution by differences.

    What changes is the output where a row of x is not one-hot. An unknown base (a row of zeros) now counts as the
    average of the four bases instead of as nothing. So do the zeros of padding: under "same" padding outputs near
    the ends change, under "valid" padding none does.

    Args:
      kernel: `(K, 4, O)`, or any `(…, C, O)` whose input is one-hot over C and whose taps are the axes before it.
      bias: `(O,)`.

    Returns:
      kernel′ and bias′, of the same shapes and dtypes.

    Raises:
      ValueError: the shapes do not fit.

    Source: Shrikumar, Greenside and Kundaje, "Learning important features through propagating activation
    differences", ICML 2017, appendix K.
    """
    kernel, bias = jnp.asarray(kernel), jnp.asarray(bias)
    if kernel.ndim < 2 or bias.shape != kernel.shape[-1:]:
        raise ValueError(f"kernel (shape {kernel.shape}) must be (K, 4, O) and bias (shape {bias.shape}) (O,)")
    mean = jnp.mean(kernel, axis=-2, keepdims=True)
    return kernel - mean, bias + jnp.sum(mean, axis=tuple(range(kernel.ndim - 1))).astype(bias.dtype)
