"""The figure of a series."""

import itertools

import numpy as np
import pytest
from legible import assert_apart, in_view, renderer_of

from fprior.errors import InputError
from fprior.report.figures import to_svg
from fprior.report.series_figure import series_lines

CONDITIONS = ("no prior", "Fourier prior", "Fourier prior on integrated gradients + dropout")
AT = (0.0, 1.0, 2.0, 4.0)
AXIS = "G and C added (%)"


def values_of(measures=2, conditions=CONDITIONS, count=3, scale=1.0):
    rng = np.random.default_rng(0)
    return {
        f"measure {i}": {
            name: scale * rng.normal(place, 0.1, (len(AT), count)) for place, name in enumerate(conditions)
        }
        for i in range(measures)
    }


def panels(figure):
    """All axes but the key of the conditions."""
    return figure.axes[1:]


def dots(ax):
    return [np.asarray(group.get_offsets()) for group in ax.collections]


@pytest.mark.parametrize("measures, columns", [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (7, 3)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_panel_a_measure_in_rows_that_are_full(measures, columns, count):
    figure = series_lines(AT, values_of(measures, count=count), AXIS)
    assert [ax.get_title(loc="left") for ax in panels(figure)] == [f"measure {i}" for i in range(measures)]
    assert len({round(ax.get_position().x0, 4) for ax in panels(figure)}) == columns
    assert {ax.get_xlabel() for ax in panels(figure)} == {AXIS}
    assert [text.get_text() for text in figure.axes[0].texts] == list(CONDITIONS)
    assert to_svg(figure).startswith("<svg")


def test_lines_go_through_means_and_every_model_is_a_dot_at_its_place():
    values = values_of(1)
    (ax,) = panels(series_lines(AT, values, AXIS))
    np.testing.assert_array_equal(ax.get_xticks(), AT)
    for line, drawn, numbers in zip(ax.lines, dots(ax), values["measure 0"].values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), numbers.mean(axis=1))
        np.testing.assert_allclose(line.get_xdata(), AT, atol=0.1)
        np.testing.assert_allclose(drawn[:, 1], numbers.ravel())
        np.testing.assert_allclose(drawn[:, 0], np.repeat(line.get_xdata(), 3))
    across = np.array([drawn[0, 0] for drawn in dots(ax)])
    assert np.all(np.diff(across) > 0) and across.mean() == pytest.approx(0)  # side by side, about the place itself
    assert len({line.get_color() for line in ax.lines}) == 3


def test_undefined_values_are_left_out():
    values = values_of(2)
    first = values["measure 0"]["no prior"]
    first[0, 1:], first[2] = np.nan, (np.nan, np.inf, -np.inf)
    values["measure 0"]["Fourier prior"][:] = np.nan
    values["measure 1"] = {name: np.full((4, 3), np.nan) for name in CONDITIONS}
    one, two = panels(series_lines(AT, values, AXIS))
    np.testing.assert_allclose(one.lines[0].get_ydata(), [first[0, 0], first[1].mean(), first[3].mean()])
    np.testing.assert_allclose(one.lines[0].get_xdata(), [0, 1, 4], atol=0.1)
    assert [len(drawn) for drawn in dots(one)] == [7, 0, 12] and not one.texts
    assert [text.get_text() for text in two.texts] == ["no data"]
    assert "nan" not in to_svg(one.figure).lower()


@pytest.mark.parametrize("level", [0.0, 1.0, -1e-30, 1e12])
@pytest.mark.parametrize("at", [(0.0,), (0.0, 1e-3), (-5.0, 0.0, 1e6)])
def test_values_that_are_all_alike(level, at):
    values = {"measure": {"none": np.full((len(at), 1), level)}}
    (ax,) = panels(series_lines(at, values, AXIS))
    assert ax.get_xlim()[0] < at[0] and at[-1] < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < level < ax.get_ylim()[1]
    assert to_svg(ax.figure).startswith("<svg")


@pytest.mark.parametrize("measures", [1, 3, 4, 5])
@pytest.mark.parametrize("scale", [1e-6, 1234.5])
def test_no_text_lies_on_another(measures, scale):
    titles = [f"background: importance of G and C times that of A and T, DeepSHAP, task {i}" for i in range(measures)]
    values = dict(zip(titles, values_of(measures, scale=scale).values(), strict=True))
    figure = series_lines(AT, values, "G and C that were added to the background of the training positives (%)")
    renderer = renderer_of(figure)
    texts = list(figure.axes[0].texts)
    for ax in panels(figure):
        texts += (ax._left_title, ax.xaxis.label, ax.yaxis.offsetText, *in_view(ax.xaxis), *in_view(ax.yaxis))
    assert_apart(texts, figure, renderer)
    for ax, box in itertools.product(panels(figure), (text.get_window_extent() for text in figure.axes[0].texts)):
        assert not ax.get_window_extent(renderer).overlaps(box)


def test_hostile_names_are_escaped():
    name = "x_{$ <script>1</script> &"
    svg = to_svg(series_lines((0, 1), {name: {name: np.ones((2, 1))}}, name))
    assert "<script" not in svg and "&lt;script&gt;" in svg


@pytest.mark.parametrize(
    "at, values, part",
    [
        ((), {"a": {"x": np.zeros((0, 1))}}, "at "),
        ((1, 0), {"a": {"x": np.zeros((2, 1))}}, "at "),
        ((1, 1), {"a": {"x": np.zeros((2, 1))}}, "at "),
        ((0, np.nan), {"a": {"x": np.zeros((2, 1))}}, "at "),
        ((0, 1), {}, "one or more measures"),
        ((0, 1), {"a": {}}, "one or more measures"),
        ((0, 1), {"a": {"x": np.zeros((2, 1))}, "b": {"y": np.zeros((2, 1))}}, "one or more measures"),
        ((0, 1), {"a": {"x": np.zeros((3, 1))}}, r"values\['a'\]\['x'\] \(shape \(3, 1\)\)"),
        ((0, 1), {"a": {"x": np.zeros(2)}}, r"values\['a'\]\['x'\] \(shape \(2,\)\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(at, values, part):
    with pytest.raises(InputError, match=part):
        series_lines(at, values, AXIS)


def test_equal_figures_give_equal_svg():
    assert to_svg(series_lines(AT, values_of(), AXIS)) == to_svg(series_lines(AT, values_of(), AXIS))
