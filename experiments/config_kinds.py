"""The kind of value that every field of a config holds: that of its default."""

from typing import Any

from fprior.errors import InputError, one_line

LARGEST = 2**63  # of what arrays and file formats hold
SEVERAL_LINES = ("terms",)  # texts of any characters
FREE = ("weight",)  # a number or "auto"


def check_kinds(section: str, values: Any, defaults: Any) -> None:
    """Checks that fields have the kind of their defaults; a config lets None and other things pass.

    Args:
      section: what the fields are called before their own name, such as "config.data".
      values, defaults: mappings of fields; those of both are checked.

    Raises:
      InputError: names the field, its value and the kind.
    """
    for name in sorted(set(defaults) & set(values)):
        value, default = values[name], defaults[name]
        if name not in FREE and not _is_like(value, default):
            raise InputError(f"{section}.{name} (={_shown(value)}) must be {_kind(default)}")
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, str) and not item.isprintable() and name not in SEVERAL_LINES:
                raise InputError(
                    f"{section}.{name} (={_shown(value)}) must be without line breaks or control characters"
                )
            if isinstance(item, int) and abs(item) >= LARGEST:
                raise InputError(f"{section}.{name} (={_shown(value)}) must be nearer to 0 than 2^63")


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, tuple) and (all(map(_is_number, value)) or all(isinstance(i, str) for i in value))
    if isinstance(default, float):
        return _is_number(value)
    return type(value) is type(default)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(default: Any) -> str:
    if isinstance(default, tuple):
        return "a tuple of numbers, or of texts in quotes"
    kinds = {bool: "True or False", int: "a whole number", float: "a number", str: "a text in quotes"}
    return kinds[type(default)]


def _shown(value: Any) -> str:
    try:
        return one_line(repr(value))
    except ValueError:  # Python does not write out whole numbers of thousands of digits
        return "a number of thousands of digits"
