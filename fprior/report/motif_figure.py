"""Figures of motifs: contribution-weight matrices as logos, and how many independent regions their instances reach.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from fprior.errors import InputError
from fprior.report.figures import FAINT, INK, STEPS, draw_logo, plain, styles_of

INVISIBLE = 0.01  # of the largest position of a matrix; smaller letters are not drawn, which keeps pages small
CHANCE = {"color": FAINT, "linestyle": (0, (2, 2))}
COLUMNS = 2  # panels side by side, at most

# Inches.
WIDTH, LEFT, RIGHT = 10.0, 0.65, 0.15
BETWEEN = 0.35  # the logos of two strands
TITLE, LOGO, TICKS = 0.3, 0.85, 0.22
KEY, KEY_LINE = 0.1, 0.22
PANEL, HEAD, FOOT, SCALE = 2.4, 0.34, 0.5, 1.0  # the last is left of a panel, for the numbers of its axis

Curve = tuple[np.ndarray, np.ndarray]


# ---- logos


def motif_logos(matrices: Mapping[str, np.ndarray]) -> Figure:
    """A row for every motif: its matrix `(W, 4)`, order A, C, G, T, as a logo, and read on the opposite strand.

    Letters are as high as their scores, positive ones upwards, and equally wide in all rows; every row has its own
    scale of scores. Letters of less than a hundredth of the largest position are left out.

    Args:
      matrices: title of a row → its matrix, such as a trimmed contribution-weight matrix.

    Raises:
      InputError: there is no motif, or a matrix has another shape or a score that is not finite.
    """
    if not matrices:
        raise InputError("matrices must have one or more motifs")
    scores = {title: _checked(title, matrix) for title, matrix in matrices.items()}
    row = TITLE + LOGO + TICKS
    height = len(scores) * row
    width = (WIDTH - LEFT - RIGHT - BETWEEN) / 2
    letter = width / max(map(len, scores.values()))
    figure = Figure(figsize=(WIDTH, height))
    for place, (title, matrix) in enumerate(scores.items()):
        bottom = height - (place + 1) * row + TICKS
        for side, logo in enumerate((matrix, matrix[::-1, ::-1])):
            left = LEFT + side * (width + BETWEEN)
            box = (left / WIDTH, bottom / height, letter * len(logo) / WIDTH, LOGO / height)
            ax = figure.add_axes(box)
            draw_logo(ax, logo)
            _dress_logo(ax, side)
        top = (bottom + LOGO + 0.07) / height
        figure.text(LEFT / WIDTH, top, title, va="bottom", fontsize=9, color=INK, weight="bold", parse_math=False)
    return figure


def _checked(title: str, matrix: np.ndarray) -> np.ndarray:
    """The matrix without what cannot be seen."""
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or matrix.shape[1] != 4 or not len(matrix) or not np.isfinite(matrix).all():
        raise InputError(f"matrices[{title!r}] (shape {matrix.shape}) must be (W, 4) for W of 1 or more, and finite")
    return np.where(np.abs(matrix) < INVISIBLE * np.abs(matrix).sum(axis=1).max(), 0, matrix)


def _dress_logo(ax: Axes, side: int) -> None:
    plain(ax)
    ax.tick_params(labelsize=7)
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=STEPS))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", "−"))
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=True))
    if side:  # the scale is that of the strand beside it
        ax.tick_params(labelleft=False)


# ---- recall


def recall_curves(
    curves: Mapping[str, Mapping[str, Curve]],
    chance: Mapping[str, Curve],
    totals: Mapping[str, int],
    spread: Mapping[str, Mapping[str, Curve]] | None = None,
) -> Figure:
    """A panel for every set of regions: how many of them the most important calls reach, a line for every model.

    Args:
      curves: name of a region set → label → calls `(K,)`, ascending from 1, and the regions that so many of the most
        important calls overlap `(K,)`; as `fprior.motifs.instances.recall_curve` returns them. K may be 0.
      chance: region set → the same for calls at random places, drawn in grey dashes; a set may be absent.
      totals: region set → how many regions there are to find.
      spread: region set → label → the lowest and the highest number of regions `(K,)` at the calls of its curve, which
        is then a mean; shaded.

    Raises:
      InputError: there is no region set, the sets differ in their labels, or the two arrays of a curve in length.

    Source: Tseng et al. 2020, figure 3B.
    """
    labels = _labels(curves)
    styles = styles_of(labels)
    keys = styles | ({"at random places": CHANCE} if chance else {})
    columns = min(len(curves), COLUMNS)
    rows = -(-len(curves) // columns)
    head = KEY + KEY_LINE * len(keys)
    height = head + rows * (HEAD + PANEL + FOOT)
    wide = (WIDTH - RIGHT) / COLUMNS - SCALE
    figure = Figure(figsize=(WIDTH, height))
    handles = [Line2D([], [], linewidth=1.8, **style) for style in keys.values()]
    legend = figure.legend(
        handles, list(keys), loc="upper left", fontsize=8.5, frameon=False, bbox_to_anchor=(SCALE / WIDTH, 1)
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    for place, (name, by_label) in enumerate(curves.items()):
        left, down = SCALE + place % columns * (wide + SCALE), place // columns * (HEAD + PANEL + FOOT)
        bottom = height - head - down - HEAD - PANEL
        ax = figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, PANEL / height))
        drawn = [_draw(ax, chance[name], CHANCE)] if name in chance else []
        for label, (low, high) in (spread or {}).get(name, {}).items():
            _shade(ax, by_label[label][0], low, high, styles[label])
        drawn += [_draw(ax, by_label[label], styles[label]) for label in labels]
        _dress_panel(ax, f"{name}: of {totals[name]:,}", any(drawn))
    return figure


def _labels(curves: Mapping[str, Mapping[str, Curve]]) -> list[str]:
    names = [list(by_label) for by_label in curves.values()]
    if not names or not names[0] or any(name != names[0] for name in names):
        raise InputError(f"curves must have one or more region sets of the same labels, in order; not {names}")
    for name, by_label in curves.items():
        for label, (calls, recalled) in by_label.items():
            if np.shape(calls) != np.shape(recalled) or np.ndim(calls) != 1:
                raise InputError(
                    f"curves[{name!r}][{label!r}] (shapes {np.shape(calls)}, {np.shape(recalled)}) must be (K,) twice"
                )
    return names[0]


def _draw(ax: Axes, curve: Curve, style: Mapping) -> bool:
    """Steps from no call and no region on, without the places where nothing changes; whether there are any calls."""
    calls, recalled = (np.concatenate([[0], values]) for values in curve)
    if len(calls) == 1:
        return False
    kept = np.append(True, np.diff(recalled) != 0)
    kept[-1] = True
    ax.step(calls[kept], recalled[kept], where="post", linewidth=1.6, **style)
    return True


def _shade(ax: Axes, calls: np.ndarray, low: np.ndarray, high: np.ndarray, style: Mapping) -> None:
    calls, low, high = (np.concatenate([[0], values]) for values in (calls, low, high))
    ax.fill_between(calls, low, high, step="post", color=style["color"], alpha=0.15, linewidth=0)


def _dress_panel(ax: Axes, title: str, drawn: bool) -> None:
    plain(ax)
    ax.set_title(title, loc="left", fontsize=9.5, color=INK, parse_math=False)
    ax.set_xlabel("calls, the most important first", fontsize=8.5, color=INK)
    ax.set_ylabel("regions reached", fontsize=8.5, color=INK)
    if drawn:
        ax.set_xlim(left=0)
        ax.set_ylim(0, max(1.05 * ax.get_ylim()[1], 1))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=STEPS, integer=True))
            axis.set_major_formatter("{x:,.0f}")
    else:
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        ax.text(0.5, 0.5, "no calls", transform=ax.transAxes, ha="center", va="center", fontsize=9, color=FAINT)
