"""A call in a process of its own."""

import os
import sys
import traceback
from collections.abc import Callable


def fork(call: Callable[[], object]) -> int:
    """The id of a new process that makes the call and ends.

    Its exit status is that of the SystemExit that the call raises, 1 with a traceback for any other exception, else 0.
    """
    child = os.fork()
    if child:
        return child
    try:
        call()
        status = 0
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def status_of(process: int) -> int:
    """Waits for the end of a process; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
