"""What the checks of `experiments.doctor` find, and the table that they are shown in."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fprior.errors import InputError

OK, WARNING, ERROR, SKIPPED = "ok", "warning", "error", "skipped"

Verdict = tuple[str, str]  # status and text


class Finding(NamedTuple):
    """One line of the table: `text` is what `check` found and, if it is no `"ok"`, the remedy."""

    status: str
    check: str
    text: str


def examine(check: str, function: Callable[..., Iterable[Verdict]], *arguments: Any) -> list[Finding]:
    """The findings of a check, whose function gives or yields verdicts; whatever it raises is an error among them."""
    found = []
    try:
        for status, text in function(*arguments):
            found.append(Finding(status, check, text))
    except Exception as error:  # one check that fails must not hide what the others find
        found.append(failure(check, error))
    return found


def attempt(check: str, function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[Finding]]:
    """The value of the function and no finding, or None and the error that it raised."""
    try:
        return function(*arguments), []
    except Exception as error:  # as in `examine`
        return None, [failure(check, error)]


def failure(check: str, error: Exception) -> Finding:
    """The error line of a check that raised."""
    text = " ".join(str(error).split())
    if not isinstance(error, InputError):
        text = f"this check itself failed ({type(error).__name__}: {text}); please report it as a bug"
    return Finding(ERROR, check, text)


def table(findings: Sequence[Finding]) -> str:
    """Aligned columns, and a last line that counts."""
    widths = [max((len(finding[column]) for finding in findings), default=0) for column in (0, 1)]
    lines = [f"{status:<{widths[0]}}  {check:<{widths[1]}}  {text}" for status, check, text in findings]
    counts = {status: sum(finding.status == status for finding in findings) for status in (OK, WARNING, ERROR)}
    return "\n".join([*lines, f"{counts[OK]} ok, {counts[WARNING]} warnings, {counts[ERROR]} errors"])


def in_bytes(number: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"


def in_time(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"
