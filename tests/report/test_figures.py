import base64
import io
import itertools
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.path import Path

from fprior.errors import InputError
from fprior.report import figures
from fprior.report.figures import Positions

HOSTILE = 'run $x_{$ id="a" <script>1</script> &amp;'


def logo(scores, start=0):
    ax = Figure().add_subplot()
    figures.draw_logo(ax, scores, start)
    return ax


def letters(ax):
    """(letter, base) -> the part of that letter's outline over that base."""
    names = {colour.lower(): letter for letter, colour in figures.LETTERS.items()}
    found = {}
    for collection in ax.collections:
        (path,) = collection.get_paths()
        letter = names[to_hex(collection.get_facecolor()[0])]
        ends = np.flatnonzero(np.append(path.codes[1:] == Path.MOVETO, True)) + 1
        for begin, end in itertools.pairwise([0, *ends]):
            part = Path(path.vertices[begin:end], path.codes[begin:end])
            base = int(np.floor(part.get_extents().x0))
            found.setdefault((letter, base), []).append(part)
    return {key: Path.make_compound_path(*parts) for key, parts in found.items()}


def spans(ax):
    boxes = {key: path.get_extents() for key, path in letters(ax).items()}
    return {key: (box.y0, box.y1) for key, box in boxes.items()}


def test_letters_are_as_high_as_their_scores_and_the_largest_is_outermost():
    found = spans(logo([[1, 3, 2, -1], [0, -2, -0.5, 0.25]], start=7))
    expected = {
        ("A", 7): (0, 1),
        ("G", 7): (1, 3),
        ("C", 7): (3, 6),
        ("T", 7): (-1, 0),
        ("G", 8): (-0.5, 0),
        ("C", 8): (-2.5, -0.5),
        ("T", 8): (0, 0.25),
    }
    assert found.keys() == expected.keys()
    for key, span in expected.items():
        np.testing.assert_allclose(found[key], span, atol=1e-12, err_msg=str(key))


@pytest.mark.parametrize("column", range(4))
def test_negative_letters_stand_upright(column):
    scores = np.zeros((2, 4))
    scores[:, column] = 2, -2
    above, below = (path for _, path in sorted(letters(logo(scores)).items()))
    np.testing.assert_allclose(above.vertices - [0, 2], below.vertices - [1, 0], atol=1e-12)


def test_letters_stay_over_their_base():
    ax = logo(np.random.default_rng(0).normal(size=(30, 4)), start=100)
    for (_, base), path in letters(ax).items():
        box = path.get_extents()
        assert base <= box.x0 < box.x1 <= base + 1
    assert ax.get_xlim() == (100, 130)


def test_a_long_logo_is_four_collections_inside_its_limits():
    scores = np.random.default_rng(1).normal(size=(200, 4))
    ax = logo(scores)
    assert len(ax.collections) == 4
    assert all(isinstance(collection, PathCollection) for collection in ax.collections)
    low, high = ax.get_ylim()
    assert low < np.minimum(scores, 0).sum(1).min() and high > np.maximum(scores, 0).sum(1).max()


@pytest.mark.parametrize("length", [0, 5])
def test_a_logo_with_nothing_to_show_draws_no_letter(length):
    ax = logo(np.zeros((length, 4)))
    assert not ax.collections
    assert ax.get_xlim()[0] < ax.get_xlim()[1] and ax.get_ylim()[0] < 0 < ax.get_ylim()[1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused_by_row(value):
    scores = np.zeros((5, 4))
    scores[3, 1] = value
    with pytest.raises(InputError, match="row 3"):
        logo(scores)


@pytest.mark.parametrize("shape", [(4,), (4, 5), (2, 3, 4)])
def test_a_logo_of_another_shape_is_refused(shape):
    with pytest.raises(InputError, match="shape"):
        logo(np.zeros(shape))


def entry(kind, epoch, **values):
    return {"kind": kind, "step": int(10 * epoch), "epoch": epoch} | {
        key.replace("__", "/"): value for key, value in values.items()
    }


def histories():
    with_prior = [
        entry("train", 0.1, loss__correctness=0.7, loss__prior=0.9),
        entry("train", 0.2, loss__correctness=0.6, loss__prior=0.8),
        entry("validation", 1.0, loss__correctness=0.5, loss__prior=0.7, auroc=0.8),
        entry("gradients", 0.1, gradient_norm__correctness=2.0, gradient_norm__prior=1.0, gradient_cosine=0.3),
        entry("gradients", 0.2, gradient_norm__correctness=2.0, gradient_norm__prior=0.0, gradient_cosine=None),
    ]
    without = [entry("train", 0.1, loss__correctness=0.7), entry("validation", 1.0, loss__correctness=0.6)]
    return {"prior": with_prior, "none": without}


def words(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_curves_show_every_run_where_it_has_data():
    figure = figures.learning_curves(histories())
    correctness, prior, auroc, cosine, ratio, key = figure.axes
    assert [len(ax.lines) for ax in (correctness, prior, auroc, ratio)] == [4, 2, 1, 1]
    np.testing.assert_array_equal(ratio.lines[0].get_ydata(), [0.5, np.nan])
    np.testing.assert_array_equal(cosine.lines[0].get_ydata(), [0.3, np.nan])
    colours = [line.get_color() for line in correctness.lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert correctness.lines[0].get_linewidth() < correctness.lines[1].get_linewidth()
    assert [text.get_text() for text in key.texts] == ["prior", "none", "training", "validation"]
    assert "no data" not in words(figure)


def test_a_panel_without_data_says_so():
    assert words(figures.learning_curves({"none": histories()["none"]})).count("no data") == 4
    assert words(figures.learning_curves({})).count("no data") == 5
    empty = [entry("validation", 1.0, auroc=None), entry("validation", 2.0, auroc=float("nan"))]
    assert words(figures.learning_curves({"run": empty})).count("no data") == 5


def test_no_two_of_many_runs_look_alike():
    figure = figures.learning_curves({str(i): histories()["none"] for i in range(20)})
    looks = {(line.get_color(), str(line._dash_pattern)) for line in figure.axes[0].lines[1::2]}
    assert len(looks) == 20


def test_labels_in_the_key_lie_apart_and_on_the_figure():
    labels = ["a label that goes on and on, " * 3 + str(i) for i in range(5)]
    figure = figures.learning_curves({label: histories()["prior"] for label in labels})
    assert_apart([text.get_window_extent() for text in figure.axes[5].texts], figure)


def assert_apart(boxes, figure):
    for one, other in itertools.combinations(boxes, 2):
        assert min(one.x1, other.x1) <= max(one.x0, other.x0) or min(one.y1, other.y1) <= max(one.y0, other.y0)
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


POSITIONS = Positions("chr1", start=1000, summit=1100, logo_start=1080)


def pair(labels=("prior", "none"), annotations=(), seed=0):
    random = np.random.default_rng(seed)
    tracks = {label: 10.0**i * random.normal(size=200) for i, label in enumerate(labels)}
    logos = {label: random.normal(size=(40, 4)) for label in labels}
    return figures.attribution_pair(tracks, logos, POSITIONS, "a peak", annotations)


def test_rows_share_positions_and_keep_their_own_scale():
    axes = pair().axes
    assert [ax.get_xlim() for ax in axes] == [(1000, 1200)] * 2 + [(1080, 1120)] * 2
    assert axes[1].get_ylim()[1] > 5 * axes[0].get_ylim()[1]
    assert all("own scale" in ax.get_ylabel() for ax in axes)
    assert [ax.get_title(loc="left") for ax in axes] == ["prior", "none"] * 2
    assert all(1100.5 in line.get_xdata() for ax in axes for line in ax.lines[-1:])
    for ax in axes[:2]:
        span = ax.patches[0].get_extents().transformed(ax.transData.inverted())
        np.testing.assert_allclose([span.x0, span.x1], [1080, 1120])


def test_annotations_lie_apart_and_on_the_figure():
    inside = [(1080, 1092, "SPI1"), (1085, 1095, "RUNX1"), (1084, 1099, HOSTILE), (1110, 1125, "GATA::TAL1")]
    figure = pair(annotations=[*inside, (1150, 1160, "CTCF"), (900, 950, "outside")])
    labels = [text for text in figure.axes[2].texts if text.get_text()]
    assert {text.get_text() for text in labels} == {label for _, _, label in inside}
    assert_apart([text.get_window_extent() for text in labels], figure)
    assert len(figure.axes[0].collections[-1].get_paths()) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracks": {}, "logos": {}}, "same runs"),
        ({"logos": {"b": np.zeros((8, 4))}}, "same runs"),
        ({"tracks": {"a": np.zeros(0)}}, "not 0"),
        ({"logos": {"a": np.zeros((81, 4))}}, "at most 80"),
        ({"tracks": {"a": np.full(100, np.nan)}}, "finite"),
        ({"tracks": {"a": np.zeros((100, 4))}}, "shape"),
        ({"logos": {"a": np.full((8, 4), np.nan)}}, "finite"),
        ({"positions": Positions("chr1", 0, 50, 93)}, "outside"),
        ({"positions": Positions("chr1", 0, 50, -1)}, "outside"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    arguments = {
        "tracks": {"a": np.zeros(100)},
        "logos": {"a": np.zeros((8, 4))},
        "positions": Positions("chr1", 0, 50, 92),
    }
    figures.attribution_pair(**arguments, title="fits")
    with pytest.raises(InputError, match=message):
        figures.attribution_pair(**arguments | change, title="does not")


def ids(svg):
    return set(re.findall(r'\bid="([^"]*)"', svg))


def test_equal_figures_give_equal_svg_and_others_disjoint_ids():
    before = dict(matplotlib.rcParams)
    figure = pair()
    svg = figures.to_svg(figure)
    assert svg == figures.to_svg(figure) == figures.to_svg(pair())
    other = figures.to_svg(pair(seed=1))
    assert ids(svg) and ids(other) and not ids(svg) & ids(other)
    assert dict(matplotlib.rcParams) == before


def test_svg_is_self_contained():
    svg = figures.to_svg(pair())
    references = set(re.findall(r'(?:url\(|href=")#([^")]*)', svg))
    assert references and references <= ids(svg)
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg)
    assert "<style" not in svg  # it would leak into the page
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and root.get("width") == "100%" and root.get("height") is None
    assert [float(x) for x in root.get("viewBox").split()[:3]] == [0, 0, 720]


@pytest.mark.parametrize("draw", [pair, lambda labels: figures.learning_curves({label: [] for label in labels})])
def test_hostile_labels_are_escaped_and_shown_as_they_are(draw):
    label = HOSTILE[:34]
    svg = figures.to_svg(draw(labels=[label]))
    assert "<script" not in svg
    assert label in ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter()]


def test_png_has_the_resolution_asked_for():
    figure = Figure(figsize=(3, 2))
    markup = figures.to_png_base64(figure, dpi=50)
    data = base64.b64decode(re.fullmatch(r'<img .*src="data:image/png;base64,([^"]*)">', markup)[1])
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (100, 150)
    assert markup == figures.to_png_base64(figure, dpi=50)
