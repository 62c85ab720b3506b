"""The figures of a comparison."""

import numpy as np
import pytest
from legible import assert_apart, in_view, renderer_of

from fprior.errors import InputError
from fprior.report.comparison_figure import distributions, paired_scatter, seed_dots
from fprior.report.figures import to_svg

CONDITIONS = ("no prior", "Fourier prior", "Fourier prior on integrated gradients + dropout")
ROWS = (seed_dots, distributions)


def values_of(measures=2, conditions=CONDITIONS, count=7, scale=1.0):
    rng = np.random.default_rng(0)
    return {
        f"measure {i}": {name: scale * rng.normal(place, 0.1, count) for place, name in enumerate(conditions)}
        for i in range(measures)
    }


def dots(ax):
    """The dots of every condition: `(S, 2)` each."""
    return [np.asarray(group.get_offsets()) for group in ax.collections if len(group.get_offsets()) > 1]


def means(ax):
    """Where the vertical bars stand, from the top."""
    lines = [path.vertices for group in ax.collections for path in group.get_paths() if len(path.vertices) == 2]
    return [line[0, 0] for line in lines if line[0, 0] == line[1, 0] and line[0, 1] != line[1, 1]]


@pytest.mark.parametrize("draw", ROWS)
@pytest.mark.parametrize("measures", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_panel_a_measure_with_names_at_the_left(draw, measures, count):
    figure = draw(values_of(measures, count=count))
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"measure {i}" for i in range(measures)]
    for index, ax in enumerate(figure.axes):
        names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels() if label.get_text()]
        assert names == (list(CONDITIONS) if index % 3 == 0 else [])
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first condition is on top
    assert to_svg(figure).startswith("<svg")


def test_every_model_is_a_dot_in_the_row_of_its_condition():
    values = values_of(1)
    (ax,) = seed_dots(values).axes
    for place, (drawn, numbers) in enumerate(zip(dots(ax), values["measure 0"].values(), strict=True)):
        np.testing.assert_allclose(drawn[:, 0], numbers)
        assert np.all(np.abs(drawn[:, 1] - place) < 0.5) and len(set(drawn[:, 1])) == len(drawn)
    np.testing.assert_allclose(means(ax), [numbers.mean() for numbers in values["measure 0"].values()])


def test_distributions_show_median_quartiles_and_range():
    values = values_of(1, count=500)
    (ax,) = distributions(values).axes
    np.testing.assert_allclose(means(ax), [np.median(numbers) for numbers in values["measure 0"].values()])
    areas = [group.get_paths()[0].vertices for group in ax.collections if len(group.get_paths()[0].vertices) > 20]
    for place, (area, numbers) in enumerate(zip(areas, values["measure 0"].values(), strict=True)):
        assert area[:, 0].min() == numbers.min() and area[:, 0].max() == numbers.max()
        widest = area[np.argmax(area[:, 1]), 0]
        assert abs(widest - place) < 0.1 and np.ptp(area[:, 1]) == pytest.approx(0.84)


@pytest.mark.parametrize("draw", ROWS)
def test_undefined_values_are_left_out(draw):
    values = values_of(2)
    values["measure 0"]["no prior"][:3] = np.nan, np.inf, -np.inf
    values["measure 0"]["Fourier prior"][:] = np.nan
    values["measure 1"] = {name: np.full(7, np.nan) for name in CONDITIONS}
    figure = draw(values)
    first, second = figure.axes
    known = values["measure 0"]["no prior"][3:]
    assert means(first)[0] == pytest.approx(known.mean() if draw is seed_dots else np.median(known))
    assert len(means(first)) == 2 and not means(second)
    assert [text.get_text() for text in second.texts] == ["no data"] and not first.texts
    assert "nan" not in to_svg(figure).lower()


@pytest.mark.parametrize("draw", ROWS)
@pytest.mark.parametrize("level", [0.0, 1.0, -1e-30, 1e12])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_values_that_are_all_alike(draw, level, count):
    figure = draw({"measure": dict.fromkeys(CONDITIONS, np.full(count, level))})
    assert means(figure.axes[0]) == [level] * 3
    assert to_svg(figure).startswith("<svg")


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_any_scale(scale):
    for draw in ROWS:
        figure = draw(values_of(scale=scale))
        assert all(ax.get_xlim()[0] <= min(means(ax)) <= max(means(ax)) <= ax.get_xlim()[1] for ax in figure.axes)


def test_a_scatter_plot_has_one_scale_and_leaves_out_what_has_no_partner():
    first, second = np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, np.nan, 1.0, 9.0])
    (ax,) = paired_scatter({"entropy": (first, second)}, ("none", "prior")).axes
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[1, 2], [4, 9]])
    assert ax.get_xlim() == ax.get_ylim() and ax.get_xlim()[0] < 1 and ax.get_xlim()[1] > 9
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("none", "prior")


@pytest.mark.parametrize("values", [np.full(4, np.nan), np.empty(0), np.full(4, 2.0)])
def test_scatter_plots_without_anything_to_show(values):
    (ax,) = paired_scatter({"entropy": (values, values)}, ("none", "prior")).axes
    assert bool(ax.texts) == (not np.isfinite(values).any())
    assert to_svg(ax.figure).startswith("<svg")


@pytest.mark.parametrize("kind", ["dots", "distributions", "scatter"])
def test_no_text_lies_on_another(kind):
    titles = [f"gradient × input: correlation with the distance from the nearest summit, task {i}" for i in range(5)]
    values = dict(zip(titles, values_of(5, scale=1234.5).values(), strict=True))
    if kind == "scatter":
        pairs = {title: tuple(of.values())[:2] for title, of in values.items()}
        figure = paired_scatter(pairs, ("no prior", "Fourier prior on all examples"))
    else:
        figure = (seed_dots if kind == "dots" else distributions)(values)
    renderer = renderer_of(figure)
    texts = [
        text
        for ax in figure.axes
        for text in (ax._left_title, ax.xaxis.label, ax.yaxis.label, *in_view(ax.xaxis), *in_view(ax.yaxis))
    ]
    assert_apart(texts, figure, renderer)


def test_hostile_names_are_escaped():
    name = "x_{$ <script>1</script> &"
    values = {name: {name: np.arange(3.0)}}
    for svg in (*(to_svg(draw(values)) for draw in ROWS),
                to_svg(paired_scatter({name: (np.arange(3.0), np.arange(3.0))}, (name, "b")))):  # fmt: skip
        assert "<script" not in svg and "&lt;script&gt;" in svg


@pytest.mark.parametrize("draw", ROWS)
@pytest.mark.parametrize(
    "values",
    [{}, {"a": {}}, {"a": {"x": [1.0]}, "b": {"y": [1.0]}}, {"a": {"x": [1.0]}, "b": {"x": [1.0], "y": [1.0]}}],
)
def test_measures_of_different_conditions_are_refused(draw, values):
    with pytest.raises(InputError, match="one or more measures of the same conditions"):
        draw(values)


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="pairs is empty"):
        paired_scatter({}, ("a", "b"))
    with pytest.raises(InputError, match=r"pairs\['m'\] \(shapes \(2,\) and \(3,\)\)"):
        paired_scatter({"m": (np.zeros(2), np.zeros(3))}, ("a", "b"))


def test_equal_figures_give_equal_svg():
    for draw in ROWS:
        assert to_svg(draw(values_of())) == to_svg(draw(values_of()))
