"""A report as one HTML file without scripts: nothing is fetched, and it reads on a telephone and on paper."""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from numbers import Integral, Real
from typing import Any, NamedTuple

from fprior.errors import InputError

MISSING = "–"

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1e21; --faint: #5c6168; --rule: #d5d8dc;
  --tint: #f4f5f6; --mark: #fdf1cf; --link: #0a5a9c; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e4e6e9; --faint: #a0a6ae;
  --rule: #3a3f46; --tint: #1f2226; --mark: #4a3d14; --link: #7ab8f0; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif;
  counter-reset: table figure; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 1.9rem; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 1rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h1, h2, h3, p, li, dd, figcaption { overflow-wrap: anywhere; }
p, ul, ol, .contents { max-width: 44rem; }
a { color: var(--link); }
code { font-size: .92em; }
.lead { font-size: 1.1rem; color: var(--faint); margin: 0 0 1.5rem; }
.contents { font-size: .95rem; border-left: 3px solid var(--rule); padding-left: 1rem; }
.contents ol { margin: 0; padding-left: 1.3rem; }
.note { background: var(--tint); border-left: 3px solid var(--faint); padding: .6rem 1rem; }
.scroll { overflow-x: auto; }
.table { margin: 1.5rem 0; }
.table .scroll { /* a shadow at an edge beyond which there is more */
  background: linear-gradient(to right, var(--paper) 40%, transparent) left / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(to right, var(--rule), transparent) left / 1rem 100% no-repeat scroll,
    linear-gradient(to left, var(--rule), transparent) right / 1rem 100% no-repeat scroll; }
table { width: max-content; border-collapse: collapse; font-size: .925rem;
  font-variant-numeric: lining-nums tabular-nums; }
figcaption { color: var(--faint); font-size: .925rem; line-height: 1.45; max-width: 44rem; }
.table figcaption { margin-bottom: .5rem; }
.table figcaption::before { counter-increment: table; content: "Table " counter(table) ". "; }
.figure figcaption::before { counter-increment: figure; content: "Figure " counter(figure) ". "; }
figcaption::before { font-weight: 600; color: var(--ink); }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: baseline; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--faint); font-weight: 600; }
tbody th { font-weight: 400; }
tbody th, tbody td { max-width: 20rem; overflow-wrap: break-word; }
tr > :first-child { position: sticky; left: 0; background: var(--paper); padding-left: 0; }
.number { text-align: right; white-space: nowrap; }
.best { background: var(--mark); font-weight: 600; }
.figure { margin: 2rem 0; }
.card { background: #fff; border: 1px solid var(--rule); border-radius: 4px; padding: .75rem;
  margin-bottom: .6rem; }
.card svg, .card img { display: block; height: auto; margin: 0 auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; font-size: .95rem; }
dt { color: var(--faint); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media (max-width: 40rem) { main { padding-top: 1.5rem; } h1 { font-size: 1.5rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
  tbody th, tbody td { max-width: 9rem; } tbody th { overflow-wrap: anywhere; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --faint: #444; --rule: #bbb;
  --tint: #f4f4f4; --mark: #e8e8e8; --link: #000; }
  table { width: auto; } .table .scroll { background: none; }
  html { font-size: 9.5pt; } tbody th { min-width: 8rem; }
  main { max-width: none; padding: 0; } .scroll { overflow: visible; }
  .card { border: 0; padding: 0; } .card svg, .card img { min-width: 0 !important; }
  figure, tr, .note { break-inside: avoid; } h2, h3, .table figcaption { break-after: avoid; } }
"""


class Section(NamedTuple):
    """A heading and the HTML beneath it; the title is escaped, the body is not."""

    title: str
    body_html: str


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A complete HTML document; `title` and `lead` are plain text; more than three sections are listed."""
    numbered = [(f"section-{i}", escape(heading), content) for i, (heading, content) in enumerate(sections, 1)]
    contents = ""
    if len(numbered) > 3:
        links = "\n".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading, _ in numbered)
        contents = f'<nav class="contents" aria-label="Contents">\n<ol>\n{links}\n</ol>\n</nav>\n'
    body = "\n".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{heading}</h2>\n{content}\n</section>'
        for name, heading, content in numbered
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n{contents}</header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and math.isnan(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _places(value: float) -> int:
    """Decimals, four at most, that show a number with four significant digits."""
    return min(max(3 - math.floor(math.log10(abs(value))), 0), 4)


def _decimals(values: Iterable[Any]) -> int:
    """The decimals that a column's largest float needs."""
    floats = [v for v in values if _is_number(v) and not isinstance(v, Integral)]
    return min((_places(v) for v in floats if v and math.isfinite(v)), default=4)


def _text(value: Any, decimals: int) -> str:
    if _is_missing(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{value:,}".replace("-", "−")
    if not _is_number(value):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value and abs(value) < 1e-3:
        return f"{value:.2g}".replace("-", "−")
    if value:
        decimals = max(decimals, _places(value) - 1)  # small among large, it keeps three significant digits
    return f"{value:,.{decimals}f}".replace("-", "−")


# Text that is right-aligned like a number: "0.659 ± 0.027", "12 %", "<1e-5".
_NUMERIC = re.compile(r"[<>≤≥+−-]*\d[\d.,]*(e[+−-]?\d+)?( ?%)?( ± [\d.,e+−-]+)?")


def _is_numeric_column(values: Collection[Any]) -> bool:
    present = [v for v in values if not _is_missing(v)]
    return bool(present) and all(bool(_NUMERIC.fullmatch(v)) if isinstance(v, str) else _is_number(v) for v in present)


def _cell(tag: str, text: str, numeric: bool, best: bool = False, scope: str = "") -> str:
    classes = " ".join(["number"] * numeric + ["best"] * best)
    attributes = f' class="{classes}"' * bool(classes) + f' scope="{scope}"' * bool(scope)
    return f"<{tag}{attributes}>{escape(text)}</{tag}>"


def _check_table(rows: Sequence[Sequence[Any]], columns: Sequence[str], marked: Collection[tuple[int, int]]) -> None:
    for i, row in enumerate(rows):
        if len(row) != len(columns):
            raise InputError(f"rows[{i}] has {len(row)} cells for {len(columns)} columns; use None for no value")
    for i, j in marked:
        if not (0 <= i < len(rows) and 0 <= j < len(columns)):
            raise InputError(f"highlight ({i}, {j}) must lie in the table of {len(rows)} x {len(columns)} cells")


def table(
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str],
    caption: str,
    highlight: Collection[tuple[int, int]] | None = None,
) -> str:
    """An HTML table whose first column labels the rows; the cells (row, column) in `highlight` stand out.

    Numbers are right-aligned, the floats of a column rounded alike; None and NaN are an en dash. Raises
    InputError for a row that is not as long as `columns`, or a highlight outside the table.
    """
    marked = set(highlight or ())
    _check_table(rows, columns, marked)
    by_column = [[row[j] for row in rows] for j in range(len(columns))]
    numeric = [j > 0 and _is_numeric_column(values) for j, values in enumerate(by_column)]
    decimals = [_decimals(values) for values in by_column]
    head = "".join(_cell("th", name, numeric[j], scope="col") for j, name in enumerate(columns))

    def cell(i: int, j: int) -> str:
        text = _text(rows[i][j], decimals[j])
        tag, scope = ("td", "") if j else ("th", "row")
        return _cell(tag, text, numeric[j], (i, j) in marked, scope)

    lines = ["".join(cell(i, j) for j in range(len(columns))) for i in range(len(rows))]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<figure class="table">\n<figcaption>{escape(caption)}</figcaption>\n'
        f'<div class="scroll" tabindex="0">\n<table>\n'
        f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</figure>"
    )


def figure(svg_or_img_html: str, caption: str, alt: str) -> str:
    """A figure with its caption; `alt` says in words what it shows, to those who cannot see it."""
    return (
        f'<figure class="figure">\n<div class="card scroll" tabindex="0">\n'
        f'<div role="img" aria-label="{escape(alt)}">\n{svg_or_img_html}\n</div>\n</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def note(text: str) -> str:
    """A paragraph of plain text, set apart from the rest."""
    return f'<p class="note">{escape(text)}</p>'


def _setting(value: Any) -> str:
    """A float as short as it can be written, unlike one in a column."""
    return f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else _text(value, 0)


def key_values(mapping: Mapping[str, Any]) -> str:
    """Names and values, such as a run's settings, as a list of definitions; None and NaN are an en dash."""
    items = "\n".join(f"<dt>{escape(key)}</dt><dd>{escape(_setting(value))}</dd>" for key, value in mapping.items())
    return f"<dl>\n{items}\n</dl>"
