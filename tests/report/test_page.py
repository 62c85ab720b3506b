import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from fprior.errors import InputError
from fprior.report import figures, page

HOSTILE = '<script>alert("x")</script>&"\''
VOID = {"meta", "img", "br", "path", "use"}


class Tree(HTMLParser):
    """Every element with its attributes and text; fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, "text": "", **dict(attributes)})

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]


def cells(rows, **options):
    columns = [f"column {j}" for j in range(len(rows[0]))]
    return [cell["text"] for cell in Tree(page.table(rows, columns, "caption", **options)).all("td")]


def whole(sections=1):
    figure = Figure((3, 2))
    figures.draw_logo(figure.add_subplot(), np.eye(4))
    body = "\n".join(
        [
            page.figure(figures.to_svg(figure), "a logo", "four letters"),
            page.figure(figures.to_png_base64(figure, 40), "a logo", "four letters"),
            page.table([["a", 1]], ["name", "value"], "numbers"),
            page.note("note"),
            page.key_values({"seed": 1}),
        ]
    )
    return page.page("Title", "Lead.", [page.Section(f"Part {i}", body) for i in range(sections)])


def test_a_page_is_well_formed_and_declares_itself():
    html = whole()
    tree = Tree(html)
    assert html.startswith("<!DOCTYPE html>")
    assert tree.all("html")[0]["lang"] == "en"
    assert [meta.get("charset") or meta.get("name") for meta in tree.all("meta")] == ["utf-8", "viewport"]
    assert [(heading["tag"], heading["text"]) for heading in tree.all("h1", "h2")] == [
        ("h1", "Title"),
        ("h2", "Part 0"),
    ]


def test_a_page_loads_nothing():
    html = re.sub(r'xmlns(:\w+)?="[^"]*"', "", whole())
    assert "://" not in html and "@import" not in html
    assert not Tree(html).all("script", "link", "iframe", "object")
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', html))
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)", html))


@pytest.mark.parametrize("count", [3, 4])
def test_more_than_three_sections_are_listed(count):
    tree = Tree(whole(count))
    links = [link for link in tree.all("a") if link["text"].startswith("Part")]
    assert len(links) == (count if count > 3 else 0)
    headings = {heading["id"]: heading["text"] for heading in tree.all("h2")}
    assert all(headings[link["href"][1:]] == link["text"] for link in links)


@pytest.mark.parametrize(
    "html",
    [
        page.page(HOSTILE, "", []),
        page.page("", HOSTILE, []),
        page.page("", "", [page.Section(HOSTILE, "")] * 4),
        page.table([[HOSTILE, 1]], ["a", "b"], ""),
        page.table([["a", HOSTILE]], ["a", "b"], ""),
        page.table([["a", 1]], [HOSTILE, "b"], ""),
        page.table([["a", 1]], ["a", "b"], HOSTILE),
        page.figure("", HOSTILE, ""),
        page.figure("", "", HOSTILE),
        page.note(HOSTILE),
        page.key_values({HOSTILE: 1}),
        page.key_values({"a": HOSTILE}),
    ],
)
def test_hostile_text_is_escaped_and_shown_as_it_is(html):
    tree = Tree(html)
    assert not tree.all("script")
    assert any(HOSTILE in (element["text"], element.get("aria-label")) for element in tree.elements)


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan")])
def test_a_missing_value_is_an_en_dash(missing):
    assert cells([["a", missing], ["b", 1.5]]) == ["–", "1.500"]
    assert Tree(page.key_values({"a": missing})).all("dd")[0]["text"] == "–"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.95121, 0.05, 0], ["0.9512", "0.0500", "0"]),
        ([123.456, 7.0], ["123.5", "7.00"]),
        ([432.123, 0.95121, 0.0], ["432.1", "0.951", "0.0"]),
        ([12345.6, np.float32(0.5)], ["12,346", "0.500"]),
        ([1234567, np.int64(-3), 0.25], ["1,234,567", "−3", "0.2500"]),
        ([3.21e-12, -0.00012, 0.5], ["3.2e−12", "−0.00012", "0.5000"]),
        ([math.inf, -math.inf], ["∞", "−∞"]),
        ([True, False], ["yes", "no"]),
    ],
)
def test_numbers_keep_their_significant_digits(values, shown):
    assert cells([["row", value] for value in values]) == shown


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([1, 2.5, None], True),
        (["0.659 ± 0.027", "12 %", "<1e-5", "−3"], True),
        ([1, "chr1"], False),
        (["chr1:1-2", "1 of 3"], False),
        ([None, None], False),
    ],
)
def test_columns_of_numbers_are_right_aligned(values, right):
    tree = Tree(page.table([["row", value] for value in values], ["name", "value"], ""))
    column = tree.all("td") + tree.all("th")[1:2]
    assert {cell.get("class") for cell in column} == {"number" if right else None}


def test_rows_are_labelled_and_highlights_stand_where_asked():
    tree = Tree(page.table([[17, 1, 2], [18, 3, 4]], ["seed", "x", "y"], "", highlight=[(1, 2)]))
    assert [(head["scope"], head["text"]) for head in tree.all("th")] == [
        ("col", "seed"),
        ("col", "x"),
        ("col", "y"),
        ("row", "17"),
        ("row", "18"),
    ]
    assert not any("class" in label for label in tree.all("th") if label["scope"] == "row")
    assert [cell["text"] for cell in tree.all("td") if "best" in cell["class"]] == ["4"]


def test_a_table_may_have_no_rows():
    assert len(Tree(page.table([], ["name", "value"], "")).all("th")) == 2


def test_rows_and_highlights_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"rows\[1\]"):
        page.table([["a", 1], ["b"]], ["name", "value"], "")
    with pytest.raises(InputError, match=r"\(1, 0\)"):
        page.table([["a", 1]], ["name", "value"], "", highlight=[(1, 0)])


def test_settings_are_written_short():
    values = {"rate": 1e-3, "weight": 1.0, "window": 1000, "controls": True}
    shown = [element["text"] for element in Tree(page.key_values(values)).all("dd")]
    assert shown == ["0.001", "1", "1,000", "yes"]
