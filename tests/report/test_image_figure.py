"""The figure of images and tracks over two axes."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fprior.errors import InputError
from fprior.report.image_figure import image_rows

VALUES = np.random.default_rng(0).uniform(size=(2, 5, 7))
BOXES = [(0, 1, 3, 4), (2, 0, 3, 4)]


def test_a_row_an_example_and_a_column_a_title():
    figure = image_rows({"picture": VALUES, "$x": 100 * VALUES, "nothing": 0 * VALUES}, BOXES)
    FigureCanvasAgg(figure).draw()
    assert [text.get_text() for text in figure.texts] == ["picture", "$x", "nothing"]
    assert len(figure.axes) == 6
    for place, ax in enumerate(figure.axes):
        column, row = divmod(place, 2)
        image = ax.images[0]
        np.testing.assert_allclose(image.get_array(), VALUES[row] * (1, 100, 0)[column])
        low, high = image.get_clim()
        assert low == 0 and high == pytest.approx(VALUES[row].max() * (1, 100, 0)[column] or 1)
        frame = ax.patches[0]
        assert (frame.get_y(), frame.get_x()) == (BOXES[row][0] - 0.5, BOXES[row][1] - 0.5)
        assert (frame.get_height(), frame.get_width()) == (3, 4)
    tops = [ax.get_position().y1 for ax in figure.axes[:2]]
    assert tops[0] > tops[1] and figure.texts[0].get_window_extent().y0 > figure.axes[0].get_window_extent().y1


@pytest.mark.parametrize(
    ("columns", "boxes", "message"),
    [
        ({}, BOXES, "one or more titles"),
        ({"a": VALUES, "b": VALUES[:1]}, BOXES, "one shape"),
        ({"a": VALUES[:0]}, [], "at least 1"),
        ({"a": VALUES}, BOXES[:1], r"boxes \(1\) must be as many"),
        ({"a": VALUES, "b": -VALUES}, BOXES, r"columns\['b'\] must be finite and non-negative"),
        ({"a": np.full_like(VALUES, np.nan)}, BOXES, r"columns\['a'\]"),
    ],
)
def test_wrong_input_is_refused(columns, boxes, message):
    with pytest.raises(InputError, match=message):
        image_rows(columns, boxes)
