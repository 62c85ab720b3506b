"""Feeds every reader and the config with files and values made by machine, valid and damaged.

    python -m tests.fuzz_inputs [--cases=10000] [--seed=0] [--targets=fasta,bed]

A valid input must be read as what was written. A damaged one must be refused by an `InputError` of one line, or be read
as what a slow and plain reader makes of it: never another exception, never a hang, never a crash of the process, never
a repair in silence. Each target runs in a process of its own. Prints the counts; exit status 0 if all held, else 1.
"""

import argparse
import faulthandler
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from fprior.errors import InputError
from tests.forked import fork, status_of

SLOWEST = 20  # seconds that a case may take before it counts as a hang


class Target(NamedTuple):
    """One reader: inputs for it, and what must hold when it reads one from a folder."""

    cases: SearchStrategy
    check: Callable[[Path, Any], bool]  # True if the input was read, False if it was refused


def read(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any | None:
    """What a reader returns; None if it refuses its input, after a look at the message."""
    try:
        return call(*arguments, **options)
    except InputError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, f"not one line: {message!r}"
        assert message.isprintable(), f"not fit for a terminal: {message!r}"
        return None


def fuzz(target: Target, folder: Path, cases: int, number: int) -> Counter:
    """Tries so many cases; how many were read and how many refused. Raises what a case raises, smallest case first."""
    counts: Counter = Counter()

    @seed(number)
    @settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def tried(case: Any) -> None:
        faulthandler.dump_traceback_later(SLOWEST, exit=True, file=sys.__stderr__)
        try:
            counts["read" if target.check(folder, case) else "refused"] += 1
        finally:
            faulthandler.cancel_dump_traceback_later()

    tried()
    return counts


def fuzz_apart(name: str, target: Target, cases: int, number: int) -> Counter | None:
    """`fuzz` in a process of its own; None if it failed, with the reason printed."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz_{name}."))
    results, writer = os.pipe()

    def fuzz_and_report() -> None:
        counts = fuzz(target, folder, cases, number)
        os.write(writer, f"{counts['read']} {counts['refused']}".encode())

    child = fork(fuzz_and_report)
    os.close(writer)
    status = status_of(child)
    with os.fdopen(results) as file:
        text = file.read()
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        print(f"{name}: {how}; its last case is in {folder}", flush=True)
        return None
    for file in folder.rglob("*"):
        file.unlink() if file.is_file() else None
    return Counter(dict(zip(("read", "refused"), map(int, text.split()), strict=True)))


def main() -> int:
    from tests.fuzz_formats import FORMATS
    from tests.fuzz_records import RECORDS

    targets = FORMATS | RECORDS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", default=",".join(targets), help="names, separated by commas")
    options = parser.parse_args()
    names = options.targets.split(",")
    total, failed = Counter(), []
    for name in names:
        counts = fuzz_apart(name, targets[name], -(-options.cases // len(names)), options.seed)
        if counts is None:
            failed.append(name)
            continue
        total += counts
        print(
            f"{name:>16}  {counts['read']:>7,} read as written  {counts['refused']:>7,} refused in one line", flush=True
        )
    print(f"{'all':>16}  {total['read']:>7,} read as written  {total['refused']:>7,} refused in one line")
    print(f"failed: {', '.join(failed)}" if failed else f"{sum(total.values()):,} cases: none failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
