"""Types that annotations share.

Shapes are written as in the docstrings, with jaxtyping: `Float[jax.Array, "*batch L 4"]` is a floating array
`(..., L, 4)`. They are documentation until `jaxtyping.install_import_hook` turns them into checks, as the tests do.
"""

from typing import TYPE_CHECKING

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray
"""For arguments that JAX converts by itself."""

if TYPE_CHECKING:
    Values = np.ndarray
else:
    # NumPy gives a number where no axis is left, which can do what an array of shape () can.
    Values = np.ndarray | np.float64
