"""Logos of motifs and curves of regions reached."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from fprior.errors import InputError
from fprior.report.figures import LETTERS, to_svg
from fprior.report.motif_figure import motif_logos, recall_curves

WORD = "CCACTAGGGGGCGCTA"


def matrix_of(word=WORD, scale=1.0):
    return scale * np.eye(4)[["ACGT".index(letter) for letter in word]]


def letters(ax):
    """Base → the positions of its letters in a logo."""
    bases = {to_rgba(colour): base for base, colour in LETTERS.items()}
    found = {}
    for group in ax.collections:
        (path,) = group.get_paths()
        places, points = np.unique(np.floor(path.vertices[:, 0]), return_counts=True)
        found[bases[tuple(group.get_facecolor()[0])]] = places[points > 4].tolist()  # few: where a curve is pulled to
    return found


def texts_of(figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in figure.axes:
        texts += (ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label)
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_visible() and text.get_text()]
    return boxes, figure.bbox


def check_texts(figure):
    boxes, page = texts_of(figure)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


# ---- logos


def test_a_row_a_motif_with_its_opposite_strand():
    figure = motif_logos({"first": matrix_of("AAC"), "second": matrix_of("GGGGGG", scale=-2.0)})
    assert [text.get_text() for text in figure.texts] == ["first", "second"]
    forward, backward, *_ = figure.axes
    assert forward.get_xlim() == backward.get_xlim() == (0, 3)
    assert letters(forward) == {"A": [0, 1], "C": [2]}
    assert letters(backward) == {"G": [0], "T": [1, 2]}
    assert figure.axes[2].get_ylim()[0] < -2 and figure.axes[2].get_ylim()[1] < 1  # negative contributions hang


def test_letters_are_equally_wide_in_all_rows():
    figure = motif_logos({"long": matrix_of(WORD * 2), "short": matrix_of(WORD[:4]), "one": matrix_of("A")})
    widths = [ax.get_position().width / np.diff(ax.get_xlim())[0] for ax in figure.axes]
    np.testing.assert_allclose(widths, widths[0])


def test_letters_that_cannot_be_seen_are_left_out():
    faint = matrix_of("AC") + 1e-3 * matrix_of("GT")
    assert len(figure_letters(faint)) == 2
    assert len(figure_letters(matrix_of("AC") + 0.1 * matrix_of("GT"))) == 4
    assert not figure_letters(np.zeros((3, 4)))


def figure_letters(matrix):
    return letters(motif_logos({"motif": matrix}).axes[0])


@pytest.mark.parametrize("scale", [1e-7, 1.0, 12345.6])
@pytest.mark.parametrize("count", [1, 12])
def test_no_text_of_logos_lies_on_another(scale, count):
    titles = [f"positive_{i}: like MA0139.2_CTCF, q = 1.0e-09; 1,234 seqlets" for i in range(count)]
    check_texts(motif_logos({title: matrix_of(WORD[: i + 1], scale) for i, title in enumerate(titles)}))


@pytest.mark.parametrize("bad", [np.zeros((0, 4)), np.zeros((3, 3)), np.zeros(4), np.full((2, 4), np.nan)])
def test_no_matrix_of_a_motif_is_refused(bad):
    with pytest.raises(InputError, match=r"matrices\['bad'\]"):
        motif_logos({"good": matrix_of(), "bad": bad})


def test_no_motif_is_refused():
    with pytest.raises(InputError, match="one or more motifs"):
        motif_logos({})


# ---- recall


def curve(*reached):
    return np.arange(1, len(reached) + 1), np.array(reached, np.int64)


def test_curves_begin_at_nothing_and_end_where_the_calls_end():
    figure = recall_curves(
        {"peaks": {"calls": curve(1, 1, 1, 2, 2, 2)}}, {"peaks": curve(0, 0, 1, 1, 1, 1)}, {"peaks": 9}
    )
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "peaks: of 9"
    chance, drawn = (line.get_xydata().tolist() for line in ax.lines)
    assert drawn == [[0, 0], [1, 1], [4, 2], [6, 2]]
    assert chance == [[0, 0], [3, 1], [6, 1]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["calls", "at random places"]
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 2


def test_nothing_that_is_called_and_nothing_that_is_reached():
    figure = recall_curves({"a": {"calls": curve()}, "b": {"calls": curve(0, 0)}}, {}, {"a": 3, "b": 1})
    none, zero = figure.axes
    assert [text.get_text() for text in none.texts] == ["no calls"] and not none.lines
    assert zero.lines[0].get_xydata().tolist() == [[0, 0], [2, 0]] and not zero.texts
    assert len(figure.legends[0].get_texts()) == 1


@pytest.mark.parametrize("sets", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 20_000])
def test_no_text_of_curves_lies_on_another(sets, count):
    reached = np.arange(count) // 2 * 1000
    labels = ("no prior", "Fourier prior: {$_ &")
    values = {f"set {i}": dict.fromkeys(labels, curve(*reached)) for i in range(sets)}
    figure = recall_curves(values, {"set 0": curve(*reached)}, dict.fromkeys(values, 10**7))
    assert len(figure.axes) == sets
    check_texts(figure)


def test_hostile_names_are_escaped_and_equal_figures_give_equal_svg():
    name = "x_{$ <script>1</script> &"
    svg = to_svg(recall_curves({name: {name: curve(1)}}, {}, {name: 1}))
    assert "<script" not in svg and "&lt;script&gt;" in svg
    assert "<script" not in to_svg(motif_logos({name: matrix_of()}))
    assert to_svg(motif_logos({"a": matrix_of()})) == to_svg(motif_logos({"a": matrix_of()}))


@pytest.mark.parametrize(
    "curves, part",
    [
        ({}, "one or more region sets"),
        ({"a": {}}, "one or more region sets"),
        ({"a": {"x": curve(1)}, "b": {"y": curve(1)}}, "one or more region sets"),
        ({"a": {"x": (np.arange(2), np.arange(3))}}, r"curves\['a'\]\['x'\] \(shapes \(2,\), \(3,\)\)"),
    ],
)
def test_curves_that_do_not_fit_are_refused(curves, part):
    with pytest.raises(InputError, match=part):
        recall_curves(curves, {}, {"a": 1, "b": 1})
