"""How long each part of a command takes."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Stages:
    """Seconds by stage, in order; `print` says them in one line on standard error."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def print(self) -> None:
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        print(f"took {sum(self.seconds.values()):.1f} s: {parts}", file=sys.stderr)
