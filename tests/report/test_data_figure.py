"""The figure of a data set."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fprior.report.data_figure import data_figure
from fprior.report.figures import to_svg

LOCI = {"train": {"positives": 3, "negatives": 4000}, "valid": {"positives": 0, "negatives": 0}}
POSITIVE = np.arange(60) < 20


def panels(figure):
    return [ax for ax in figure.axes if ax.axison]


@pytest.mark.parametrize("count", range(8))
def test_a_panel_a_track_beside_gc_and_loci(count):
    rng = np.random.default_rng(0)
    reads = {f"t{i}_$x$ <&": rng.poisson(i, 60) for i in range(count)}
    figure = data_figure(rng.random(60), POSITIVE, LOCI, reads)
    titles = [ax.get_title(loc="left") for ax in panels(figure)]
    assert titles == ["GC content", "loci of each split", *(f"reads: {name}" for name in reads)]
    svg = to_svg(figure)
    assert "4,000" in svg and to_svg(data_figure(rng.random(60), POSITIVE, LOCI)) != svg


def test_histograms_are_shares_of_each_kind():
    gc, reads = np.where(POSITIVE, 0.7, 0.3), np.where(POSITIVE, 50, 0)
    gc[25] = np.nan
    for ax in (panels(data_figure(gc, POSITIVE, LOCI, {"a": reads}))[i] for i in (0, 2)):
        positive, negative = (patch.get_data() for patch in ax.patches)
        assert positive.values.sum() == pytest.approx(100) and negative.values.sum() == pytest.approx(100)
        assert positive.values[-1] == 100 and negative.values[0] == 100


def test_no_text_lies_on_another():
    rng = np.random.default_rng(0)
    loci = {name: {"positives": 123_456, "negatives": 1_234_567} for name in ("train", "valid", "test")}
    figure = data_figure(rng.random(60), POSITIVE, loci, {f"control of task {i}": rng.poisson(9, 60) for i in range(4)})
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [
        text for ax in figure.axes for text in (*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label)
    ]
    boxes = [text.get_window_extent(renderer) for text in [*texts, *figure.texts] if text.get_text()]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_values_that_are_all_alike():
    figure = data_figure(np.full(60, 0.5), POSITIVE, LOCI, {"a": np.zeros(60, int)})
    assert to_svg(figure).startswith("<svg")
    assert to_svg(data_figure(np.full(60, np.nan), POSITIVE, LOCI)).startswith("<svg")
