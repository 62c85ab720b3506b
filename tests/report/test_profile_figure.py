"""The figure of observed and expected profiles."""

import numpy as np
import pytest
from legible import assert_apart, renderer_of

from fprior.errors import InputError
from fprior.report.figures import to_svg
from fprior.report.profile_figure import SMOOTHING, profile_rows

START, LENGTH = 5000, 200


def arrays(strands=2, runs=("prior", "none"), controls=True, seed=0):
    rng = np.random.default_rng(seed)
    shape = (LENGTH, strands)
    return {
        "observed": rng.poisson(0.3, shape),
        "predictions": {label: 10.0**i * rng.gamma(1, 1, shape) for i, label in enumerate(runs)},
        "controls": rng.poisson(0.1, shape) if controls else None,
    }


def figure_of(**changes):
    place = {"start": START, "window": (4900, 5300), "title": "a peak", "chromosome": "chr1"}
    return profile_rows(**{**arrays(), **place, **changes})


def names(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def drawn(ax):
    """All corners of what is drawn from data: `(n, 2)`."""
    sticks = [path.vertices for collection in ax.collections for path in collection.get_paths()]
    lines = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 2]
    return np.concatenate([*sticks, *lines, np.zeros((0, 2))])


@pytest.mark.parametrize("strands", [1, 2])
@pytest.mark.parametrize("runs", [(), ("prior",), ("prior", "none", "third")])
@pytest.mark.parametrize("controls", [True, False])
def test_a_row_for_everything(strands, runs, controls):
    given = arrays(strands, runs, controls)
    figure = figure_of(**given)
    assert len(figure.axes) == 1 + len(runs) + controls
    titles = names(figure)
    assert titles[0].startswith("observed: ") and titles[0].endswith(" reads")
    assert [title.split(":")[0] for title in titles[1:]] == [*runs, *(["control"] if controls else [])]
    assert ("down: − strand" in figure.axes[0].get_title(loc="right")) == (strands == 2)
    assert to_svg(figure).startswith("<svg")


def test_numbers_of_reads_stand_beside_the_names():
    observed = np.zeros((LENGTH, 2), np.uint16)
    observed[3] = 1200, 7
    figure = figure_of(observed=observed, predictions={"run": np.full((LENGTH, 2), (0.5, 10))}, controls=5 * observed)
    assert names(figure) == [
        "observed: 1,200 +, 7 − reads",
        "run: 100.0 + 2,000.0 reads expected",
        "control: 6,000 +, 35 − reads",
    ]
    single = figure_of(observed=observed[:, :1], predictions={"run": np.full((LENGTH, 1), 0.5)}, controls=None)
    assert names(single) == ["observed: 1,200 reads", "run: 100.0 reads expected"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_sticks_stand_where_reads_end_and_minus_hangs_down(dtype):
    observed = np.zeros((LENGTH, 2), dtype)
    observed[[3, 90], 0] = 2, 5
    observed[[3, 199], 1] = 4, 1
    ax = figure_of(observed=observed, predictions={}, controls=None).axes[0]
    sticks = sorted(tuple(np.ravel(path.vertices)) for group in ax.collections for path in group.get_paths())
    at = START + 0.5
    expected = [(3, 2), (90, 5), (3, -4), (199, -1)]
    assert sticks == sorted((at + position, 0, at + position, height) for position, height in expected)


@pytest.mark.parametrize("strands", [1, 2])
def test_expected_profiles_are_scaled_to_the_reads_observed_strand_by_strand(strands):
    given = arrays(strands, ("run",))
    (line, *more) = (
        line for line in figure_of(**given).axes[1].lines if len(line.get_xdata()) == LENGTH
    )  # the zero line has two points
    assert len(more) == strands - 1
    expected = given["predictions"]["run"]
    for sign, strand, curve in zip((1, -1), range(strands), (line, *more), strict=False):
        np.testing.assert_array_equal(curve.get_xdata(), START + np.arange(LENGTH) + 0.5)
        share = expected[:, strand] / expected[:, strand].sum()
        np.testing.assert_allclose(curve.get_ydata(), sign * share * given["observed"][:, strand].sum())


def test_smoothing_keeps_the_number_of_reads():
    observed = np.zeros((LENGTH, 1))
    observed[100] = 50
    area = figure_of(observed=observed, predictions={"run": np.ones((LENGTH, 1))}, controls=None).axes[1].collections[0]
    outline = area.get_paths()[0].vertices
    heights = {x: y for x, y in outline if y > 0}
    np.testing.assert_allclose(sum(heights.values()), 50, rtol=1e-3)
    width = np.sqrt(sum(y * (x - START - 100.5) ** 2 for x, y in heights.items()) / 50)
    np.testing.assert_allclose(width, SMOOTHING, rtol=0.05)


@pytest.mark.parametrize("strands", [1, 2])
@pytest.mark.parametrize("scale", [1, 1000])
def test_limits_contain_everything(strands, scale):
    given = arrays(strands)
    given["observed"] = scale * given["observed"]
    given["predictions"]["none"][17] *= 500
    figure = figure_of(**given)
    for ax in figure.axes:
        corners = drawn(ax)
        (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
        assert len(corners) and left <= corners[:, 0].min() and corners[:, 0].max() <= right
        assert low <= corners[:, 1].min() and corners[:, 1].max() <= high
        assert ax.get_xlim() == (4900, 5300)
        assert low == (-high if strands == 2 else 0)


@pytest.mark.parametrize("strands", [1, 2])
def test_no_reads_at_all(strands):
    """Observed, expected or both: axes with a height, and nothing that is not finite."""
    given, nothing = arrays(strands), np.zeros((LENGTH, strands))
    for change in (
        {"observed": nothing.astype(int), "controls": nothing.astype(int)},
        {"predictions": {"run": nothing}},
        {"observed": nothing, "predictions": {"run": nothing}, "controls": None},
    ):
        figure = figure_of(**given | change)
        for ax in figure.axes:
            assert np.all(np.isfinite(drawn(ax))) and ax.get_ylim()[1] > 0
        assert "nan" not in to_svg(figure).lower()


def test_predictions_of_any_number_type():
    given = arrays(runs=("run",))
    curves = []
    for dtype in (np.float64, np.float32, np.int64):
        given["predictions"] = {"run": np.ceil(arrays()["predictions"]["prior"]).astype(dtype)}
        lines = figure_of(**given).axes[1].lines
        curves.append([line.get_ydata() for line in lines if len(line.get_xdata()) == LENGTH])
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
    np.testing.assert_allclose(curves[2], curves[0], rtol=1e-5)


def test_arguments_are_left_as_they_were():
    given = arrays()
    before = arrays()
    figure_of(**given)
    np.testing.assert_array_equal(given["observed"], before["observed"])
    for label, expected in before["predictions"].items():
        np.testing.assert_array_equal(given["predictions"][label], expected)


def test_equal_figures_give_equal_svg():
    svg = to_svg(figure_of())
    assert svg == to_svg(figure_of())
    assert svg != to_svg(figure_of(**arrays(seed=1)))


def test_no_text_lies_on_another():
    given = arrays(runs=("with the Fourier prior", "without"))
    given["observed"] = 3_000 * given["observed"]  # some 100,000 reads on either strand
    figure = figure_of(**given)
    renderer = renderer_of(figure)
    texts = [text for ax in figure.axes for text in (ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label)]
    assert_apart([*texts, *figure.texts], figure, renderer)


def test_hostile_names_are_escaped():
    label = 'x_{$ id="a" <script>1</script> &'
    svg = to_svg(figure_of(**arrays(runs=(label,)), title=label, chromosome=label))
    assert "<script" not in svg and svg.count("&lt;script&gt;") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"observed": np.zeros((LENGTH - 1, 2))},
        {"observed": np.zeros((LENGTH, 1))},
        {"controls": np.zeros((LENGTH, 1))},
        {"predictions": {"run": np.zeros((LENGTH, 2)), "other": np.zeros((LENGTH, 2, 1))}},
        {"observed": np.zeros((LENGTH, 3)), "predictions": {}, "controls": None},
        {"observed": np.zeros(LENGTH), "predictions": {}, "controls": None},
    ],
)
def test_shapes_that_do_not_fit_are_refused(change):
    with pytest.raises(InputError, match=r"must all be \(O, 1\) or \(O, 2\), not \["):
        figure_of(**change)
