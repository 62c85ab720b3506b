"""Several processes of one program: all compute the same, the first one leads and writes."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from fprior.errors import InputError

T = TypeVar("T")


def leads() -> bool:
    """Whether this is the first process, or the only one."""
    return jax.process_index() == 0


def agreed(tree: Any) -> Any:
    """What the first process has here, to the bit, in all of them: NumPy arrays; with one process the tree itself.

    All processes must call it with arrays of the same shapes and dtypes. What is decided by a number that each process
    has measured or read for itself must be agreed on first, or one goes on and waits for the others forever.
    """
    if jax.process_count() == 1:
        return tree
    arrays = jax.tree.map(np.asarray, tree)
    # As bytes: the broadcast is a sum, in single precision at most.
    sent = jax.tree.map(lambda array: np.frombuffer(array.tobytes(), np.uint8), arrays)
    received = multihost_utils.broadcast_one_to_all(sent)
    return jax.tree.map(
        lambda array, bytes_: np.frombuffer(bytes_.tobytes(), array.dtype).reshape(array.shape), arrays, received
    )


def by_the_first(call: Callable[[], T]) -> T | None:
    """Calls a function in the first process while the others wait; its value there, None elsewhere.

    Raises:
      InputError: it failed; the first process raises what the function raised.
    """
    failure, value = None, None
    if leads():
        try:
            value = call()
        except Exception as error:
            failure = error
    failed = bool(agreed(np.bool_(failure is not None)))
    if failure is not None:
        raise failure
    if failed:
        raise InputError("the first process has failed; what it said is the reason")
    return value


def wait_for_all(name: str) -> None:
    """Waits until every process has come to the place of that name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def stop_is_due(first: int, last: int) -> bool:
    """Whether a process has been asked to end, by SIGTERM, and all are to stop after this step.

    All processes must call it with the same steps, and pass over none: `first` to `last` are those since the last call.
    """
    return any([multihost_utils.reached_preemption_sync_point(step) for step in range(first, last + 1)])
