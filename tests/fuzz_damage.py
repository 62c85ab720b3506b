"""What happens to files: bytes that go missing, change, come twice or come in; JSON with values of any kind."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# Bytes with a meaning in some format or to some library, and what names in files should never do.
TOKENS = [
    *(b"\0", b"\t", b"\n", b"\r\n", b"\r", b" ", b">", b"#", b"-1", b"nan", b"inf", b"1e400", b"1_0", b"9" * 25),
    *("\u0663\u2028\ufeff\x1c".encode()[at:] for at in (0, 2, 5, 8)),
    *(b"\xff\xfe", b"\x1f\x8b", b"\x80\x04\x95", b"../../x", b"/etc/passwd", b"chr1", b"A" * 300, b"[" * 100_000),
    *(number.to_bytes(size, "little") for size in (4, 8) for number in (1, 2**31, 256**size - 1)),
]  # fmt: skip

_PLACE = st.integers(0, 2**20)
EDITS = st.lists(
    st.tuples(st.sampled_from(["cut", "flip", "insert", "overwrite", "delete", "repeat"]), _PLACE, _PLACE)
    | st.tuples(st.sampled_from(["insert", "overwrite"]), _PLACE, st.sampled_from(TOKENS)),
    max_size=4,
)


def damaged(content: bytes, edits: Sequence[tuple[str, int, int | bytes]]) -> bytes:
    """The content after the edits, in turn."""
    for kind, place, what in edits:
        at = place % (len(content) + 1)
        token = what if isinstance(what, bytes) else bytes([what % 256])
        size = what % 64 + 1 if isinstance(what, int) else len(what)
        before, here, after = content[:at], content[at : at + size], content[at + size :]
        content = {
            "cut": before,
            "flip": before + bytes(byte ^ 1 << size % 8 for byte in here[:1]) + here[1:] + after,
            "insert": before + token + here + after,
            "overwrite": before + token + content[at + len(token) :],
            "delete": before + after,
            "repeat": before + here + here + after,
        }[kind]
    return content


# ---- JSON

_LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["../../x", "/etc/passwd", "\0", "tokens.npy/..", "x" * 300, 0, 1, -1, 2**63, "", [], {}])
)  # fmt: skip
VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
JSON_EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(["set", "remove"]), VALUES), max_size=3)


def edited(value: Any, edits: Sequence[tuple[int, str, Any]]) -> Any:
    """The JSON value with some of its parts, at any depth, replaced or removed."""
    value = copy.deepcopy(value)
    for number, kind, new in edits:
        places = list(_places(value))
        if not places:
            return new
        holder, key = places[number % len(places)]
        if kind == "set":
            holder[key] = new
        else:
            del holder[key]
    return value


def _places(value: Any):
    """Holder and key of all parts."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(part)
