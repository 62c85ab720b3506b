"""Whether the texts of a figure can be read."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg


def renderer_of(figure):
    """The renderer that the figure was drawn with: texts have a place afterwards."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return renderer


def in_view(axis):
    """The labels of the ticks that are drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def assert_apart(texts, figure, renderer):
    """No text lies on another one, or beyond the edge of the figure."""
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
