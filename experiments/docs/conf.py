"""Sphinx builds the guide and the reference with this: `make docs`. Nothing is fetched."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

project = "fprior"
html_title = "fprior"
html_theme = "furo"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["guide.css"]
highlight_language = "text"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # signatures say it
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"
default_role = "code"

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
ITEM = re.compile(r" +(-|\d\.) ")
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
MARKUP = re.compile(r"[\\*|]|_(?!\w)")  # what reStructuredText would take for markup


def as_restructured_text(lines: list[str]) -> list[str]:
    """A docstring of this project, which is plain text with `code` in backticks, as reStructuredText.

    Indented blocks before the first section are formulas and commands, and stay as they are.
    """
    text: list[str] = []
    blocks: list[str] = []
    for line in _with_literal_blocks(lines):
        if line.startswith("\0"):
            text.append(f"\0{len(blocks)}")
            blocks.append(line[1:])
        else:
            text.append(line)
    marked = _escaped("\n".join(text))
    return [blocks[int(line[1:])] if line.startswith("\0") else line for line in marked.split("\n")]


def _with_literal_blocks(lines: list[str]) -> Iterator[str]:
    """The lines, with `::` before every indented block, whose own lines are marked by a leading NUL.

    An indented list is no such block: it loses its indentation and is given the blank lines around it.
    """
    block, margin, sections, blank = None, 0, False, True
    for line in lines:
        sections = sections or bool(SECTION.fullmatch(line.rstrip()))
        indented = line.startswith(" ") and not sections
        if indented and block is None:
            block = "list" if ITEM.match(line) else "literal" if blank else None
            margin = len(line) - len(line.lstrip())
            if block == "literal":
                yield from ("::", "")
            elif block == "list" and not blank:
                yield ""
        elif line.strip() and not indented:
            if block == "list" and not blank:
                yield ""
            block = None
        blank = not line.strip()
        if indented and block:
            line = f"\0{line}" if block == "literal" else line[margin:]
        yield line


def _escaped(text: str) -> str:
    """Text whose code is in double backticks, and which holds no other markup."""
    parts, last = [], 0
    for span in CODE.finditer(text):
        parts += [MARKUP.sub(r"\\\g<0>", text[last : span.start()]), f"``{span[2]}``"]
        last = span.end()
        if text[last : last + 1].isalnum():
            parts.append("\\ ")  # a literal ends at a space or a sign
    return "".join([*parts, MARKUP.sub(r"\\\g<0>", text[last:])])


def _translate(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_restructured_text(lines)


def _shorten(
    app: Any, kind: str, name: str, thing: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Arrays of JAX by their public name."""
    arguments, result = (
        text and re.sub(r"[\w.~]*jaxlib\._jax\.Array", "Array", text) for text in (signature, returned)
    )
    return arguments, result


def _skip(app: Any, kind: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out the fields of named tuples, of which Python says no more than their number."""
    return True if (getattr(thing, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _translate, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-skip-member", _skip)
