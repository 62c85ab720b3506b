"""What the operands of a scan in a traced program are."""

from collections.abc import Mapping
from typing import Any


def scan_operands(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many operands every round of a scan sees alike, and how many it carries on; the rest is sliced.

    Args:
      params: those of the scan's equation. JAX counts there up to 0.11, and has trees of the operands from 0.12 on.
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(constants), len(carry)
