"""The reference numbers, which `reference_values.md` describes.

A checkout may have a newer archive beside it; the committed copy serves everywhere else.
"""

from pathlib import Path

import numpy as np

_HERE = Path(__file__).resolve().parent
_BESIDE = _HERE.parents[1] / "shared" / "reference" / "reference_values.npz"
_COMMITTED = _HERE / "reference_values.npz"


def load_reference() -> dict[str, np.ndarray]:
    """Every array of the archive by its key."""
    with np.load(_BESIDE if _BESIDE.exists() else _COMMITTED, allow_pickle=False) as archive:
        return dict(archive)
