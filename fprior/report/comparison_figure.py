"""Figures of a comparison: a dot for every seed, the spread over sequences, sequence against sequence.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import gaussian_kde

from fprior.errors import InputError
from fprior.report.figures import FAINT, INK, STEPS, TINT, plain, styles_of

COLUMNS = 3
NAME_WIDTH, TITLE_WIDTH = 22, 34  # characters in a line of a condition's name, and of a panel's title
POINTS = 80  # at which a density is drawn
QUANTILES = (0.25, 0.5, 0.75)

# Inches.
WIDTH, NAMES, LEFT, RIGHT = 10.0, 1.75, 0.75, 0.2
HEAD, FOOT, GAP, SIDE = 0.42, 0.42, 0.78, 0.35
LANE, LINE = 0.34, 0.15
SQUARE, BELOW = 2.4, 0.15  # of a scatter plot, and of the name of its axis

Values = Mapping[str, Mapping[str, np.ndarray]]  # measure → condition → values


def seed_dots(values: Values) -> Figure:
    """A panel for every measure, in it a row for every condition and a dot for every model.

    The bar is the mean. The dots of a row are spread upwards and downwards in the order of the models, so that equal
    ones stay apart; values that are not finite are left out.

    Args:
      values: name of a measure → name of a condition → one value a model `(S,)`.

    Raises:
      InputError: there is no measure or condition, or the measures differ in their conditions.
    """
    return _rows(values, _draw_dots)


def distributions(values: Values) -> Figure:
    """A panel for every measure, in it for every condition the density of its values over sequences.

    The thin line is the median, the bar goes from the first quartile to the third. Densities are estimated with
    Gaussian kernels (Scott's rule), cut at the smallest and the largest value and drawn equally high; values that are
    all alike are a line alone. Values that are not finite are left out.

    Args:
      values: name of a measure → name of a condition → one value a sequence `(P,)`.

    Raises:
      InputError: there is no measure or condition, or the measures differ in their conditions.
    """
    return _rows(values, _draw_density)


def paired_scatter(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], names: tuple[str, str]) -> Figure:
    """A panel for every measure, in it a dot for every sequence: its value under one condition against another.

    Both axes have one scale and the diagonal is drawn, as in figure 2 of Tseng et al. 2020; sequences for which a
    value is not finite are left out.

    Args:
      pairs: name of a measure → the values under the first condition `(P,)` and under the second.
      names: of the first condition (across) and of the second (up).

    Raises:
      InputError: there is no measure, or the two arrays of one differ in shape.
    """
    if not pairs:
        raise InputError("pairs is empty; give a measure and its values under two conditions")
    for name, (first, second) in pairs.items():
        if np.shape(first) != np.shape(second):
            shapes = f"{np.shape(first)} and {np.shape(second)}"
            raise InputError(f"pairs[{name!r}] (shapes {shapes}) must hold as many values for both conditions")
    titles, more = _wrapped(pairs)
    down, across = SQUARE + BELOW + GAP + more, (WIDTH - LEFT) / COLUMNS
    height = HEAD + -(-len(pairs) // COLUMNS) * down - GAP + FOOT
    figure, colour = Figure(figsize=(WIDTH, height)), styles_of(names)[names[1]]["color"]
    for index, (title, pair) in enumerate(zip(titles, pairs.values(), strict=True)):
        left, top = LEFT + (index % COLUMNS) * across, HEAD + more + (index // COLUMNS) * down
        ax = figure.add_axes((left / WIDTH, 1 - (top + SQUARE) / height, SQUARE / WIDTH, SQUARE / height))
        first, second = (np.asarray(numbers, float) for numbers in pair)
        known = np.isfinite(first) & np.isfinite(second)
        _dress(ax, title)
        ax.set_xlabel(names[0], fontsize=8.5, color=INK, parse_math=False)
        ax.set_ylabel(names[1], fontsize=8.5, color=INK, parse_math=False)
        if known.any():
            ax.scatter(first[known], second[known], s=7, color=colour, alpha=0.4, linewidths=0)
            _one_scale(ax, np.concatenate([first[known], second[known]]))
        else:
            _say_nothing_is_there(ax)
    return figure


def _one_scale(ax: Axes, values: np.ndarray) -> None:
    air = 0.05 * float(np.ptp(values)) or 0.5
    limits = values.min() - air, values.max() + air
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=STEPS))
    ax.set(xlim=limits, ylim=limits)
    ax.plot(limits, limits, color=FAINT, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0.5)


def _rows(values: Values, draw: Callable[[Axes, np.ndarray, int, str], None]) -> Figure:
    """Panels in which `draw` has put what is finite of every condition, at its place from the top in its colour."""
    figure, panels = _panels(values)
    styles = styles_of(_conditions(values))
    for ax, by_condition in zip(panels, values.values(), strict=True):
        finite = [np.asarray(numbers, float)[np.isfinite(numbers)] for numbers in by_condition.values()]
        for place, (numbers, style) in enumerate(zip(finite, styles.values(), strict=True)):
            if len(numbers):
                draw(ax, numbers, place, style["color"])
        if not any(map(len, finite)):
            _say_nothing_is_there(ax)
    return figure


def _draw_dots(ax: Axes, values: np.ndarray, place: int, colour: str) -> None:
    offsets = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else 0.0
    ax.scatter(values, np.full(len(values), place) + offsets, s=16, color=colour, alpha=0.75, linewidths=0)
    ax.vlines(values.mean(), place - 0.36, place + 0.36, color=INK, linewidth=1.3)


def _conditions(values: Values) -> list[str]:
    names = [list(by_condition) for by_condition in values.values()]
    if not names or not names[0] or any(name != names[0] for name in names):
        raise InputError(f"values must have one or more measures of the same conditions, in order; not {names}")
    return names[0]


def _panels(values: Values) -> tuple[Figure, list[Axes]]:
    """Panels side by side with the conditions' names at the left end of every row, the first condition on top."""
    names = [textwrap.fill(name, NAME_WIDTH) for name in _conditions(values)]
    lane = max(LANE, 0.1 + LINE * max(name.count("\n") + 1 for name in names))
    tall = lane * len(names)
    titles, more = _wrapped(values)
    down = tall + GAP + more
    height = HEAD + -(-len(values) // COLUMNS) * down - GAP + FOOT
    wide = (WIDTH - NAMES - RIGHT - (COLUMNS - 1) * SIDE) / COLUMNS
    figure, panels = Figure(figsize=(WIDTH, height)), []
    for index, title in enumerate(titles):
        left, top = NAMES + (index % COLUMNS) * (wide + SIDE), HEAD + more + (index // COLUMNS) * down
        ax = figure.add_axes((left / WIDTH, 1 - (top + tall) / height, wide / WIDTH, tall / height))
        _dress(ax, title)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks(range(len(names)), names if index % COLUMNS == 0 else [], fontsize=8.5, parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        for place in range(1, len(names), 2):
            ax.axhspan(place - 0.5, place + 0.5, color=TINT, linewidth=0, zorder=0)
        panels.append(ax)
    return figure, panels


def _wrapped(titles: Iterable[str]) -> tuple[list[str], float]:
    """The titles in lines, and the inches that the second line and those after it need."""
    lines = [textwrap.wrap(title, TITLE_WIDTH) or [""] for title in titles]
    return ["\n".join(line) for line in lines], LINE * (max(map(len, lines)) - 1)


def _dress(ax: Axes, title: str) -> None:
    plain(ax)
    ax.set_title(title, loc="left", fontsize=9, color=INK, parse_math=False)
    ax.margins(x=0.08)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS, min_n_ticks=3))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.5g}".replace("-", "−"))


def _say_nothing_is_there(ax: Axes) -> None:
    ax.set_xticks([])
    ax.text(0.5, 0.5, "no data", transform=ax.transAxes, ha="center", va="center", fontsize=9, color=FAINT)


def _draw_density(ax: Axes, values: np.ndarray, place: int, colour: str) -> None:
    low, middle, high = np.quantile(values, QUANTILES)
    if np.ptp(values) > 1e-9 * np.abs(values).max():  # a kernel has no width where all values are alike
        at = np.linspace(values.min(), values.max(), POINTS)
        density = gaussian_kde(values)(at)
        half = 0.42 * density / density.max()
        ax.fill_between(at, place - half, place + half, color=colour, alpha=0.45, linewidth=0)
    ax.hlines(place, low, high, color=INK, linewidth=2.4)
    ax.vlines(middle, place - 0.36, place + 0.36, color=INK, linewidth=1.3)
