"""Tables as text: every cell comes back as it was, and what is no number is empty."""

import csv
import io
import math

import numpy as np
import pytest

from fprior.files import csv_text

COLUMNS = ("name", "value")


@pytest.mark.parametrize("name", ["CTCF", "", "a,b", 'a "b"', "a\nb", " a "])
def test_texts_and_numbers_come_back_in_full(name):
    values = (0.1 + 0.2, 1e-300, -3, np.float64(1 / 3))
    text = csv_text(COLUMNS, [(name, value) for value in values])
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert tuple(head) == COLUMNS
    assert [(cell, float(number)) for cell, number in rows] == [(name, value) for value in values]
    assert "\r" not in text and text.endswith("\n")


@pytest.mark.parametrize("nothing", [None, math.nan, np.float64("nan"), np.float32("nan")])
def test_what_is_no_number_is_an_empty_cell(nothing):
    assert csv_text(COLUMNS, [("a", nothing), ("b", 0.0)]) == "name,value\na,\nb,0.0\n"


def test_a_table_without_rows_is_its_head():
    assert csv_text(COLUMNS, []) == "name,value\n"
