"""Thresholds that a comparison has to meet, for continuous use: --require="jaccard>=0.3,fourier-none:auroc>=-0.01"."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.compare_results import Row
from fprior.errors import InputError

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FORM = re.compile(r"(?:(?P<condition>[^:<>=]+):)?(?P<measure>[^:<>=]+)(?P<sign>>=|<=|>|<)(?P<number>[^<>=]+)")


@dataclass(frozen=True)
class Requirement:
    """A threshold for the mean over seeds of a measure, of a condition or of the difference of two."""

    text: str
    condition: str
    less: str  # the condition that is subtracted; empty for none
    measure: str
    sign: str
    threshold: float

    def value(self, rows: Sequence[Row]) -> float:
        """The number that is held against the threshold; NaN where it is undefined, which meets no threshold."""
        means = {row.condition: row.mean for row in rows if row.measure == self.measure}
        if not means:
            known = ", ".join(dict.fromkeys(row.measure for row in rows))
            raise InputError(f"--require: {self.text!r}: {self.measure!r} is none of the measures {known}")
        return means[self.condition] - (means[self.less] if self.less else 0.0)

    def met_by(self, value: float) -> bool:
        return _COMPARISONS[self.sign](value, self.threshold)


def parse_requirements(text: str | None, conditions: Sequence[str]) -> list[Requirement]:
    """The requirements of a command line, `[CONDITION[-CONDITION]:]MEASURE>=NUMBER` with commas between them.

    Without a condition the second one is meant, or the only one: the first is what the others are compared with.

    Raises:
      InputError: one is not of this form, or names a condition that is not compared.
    """
    return [_parse(part.replace(" ", ""), conditions) for part in (text or "").split(",") if part.strip()]


def _parse(text: str, conditions: Sequence[str]) -> Requirement:
    found = _FORM.fullmatch(text)
    try:
        threshold = float(found["number"]) if found else None
    except ValueError:
        threshold = None
    if found is None or threshold is None:
        raise InputError(
            f"--require: {text!r} must be [CONDITION[-CONDITION]:]MEASURE, one of {', '.join(_COMPARISONS)}, and a"
            " number"
        )
    condition, _, less = (found["condition"] or conditions[min(1, len(conditions) - 1)]).partition("-")
    for name in filter(None, (condition, less)):
        if name not in conditions:
            raise InputError(f"--require: {text!r}: {name!r} is none of the conditions {', '.join(conditions)}")
    return Requirement(text, condition, less, found["measure"], found["sign"], threshold)
