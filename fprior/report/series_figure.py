"""The figure of a series: how measures change along one setting, a line for every condition, a dot for every model.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fprior.errors import InputError
from fprior.report.figures import FAINT, INK, STEPS, plain, styles_of

COLUMNS = 3  # panels side by side, at most
FEWEST_COLUMNS = 2  # whose width a single panel has
TITLE_WIDTH = 14  # characters of a panel's title, or of the name of its axis, to an inch
DODGE = 0.05  # of the smallest step along the setting, between the dots of two conditions

# Inches.
WIDTH, LEFT, RIGHT = 10.0, 0.8, 0.2
KEY, KEY_LINE = 0.1, 0.22
PANEL, HEAD, LINE, FOOT, GAP, SIDE = 2.2, 0.34, 0.15, 0.55, 0.25, 0.75

Values = Mapping[str, Mapping[str, np.ndarray]]  # measure → condition → values


def series_lines(at: Sequence[float], values: Values, axis: str) -> Figure:
    """A panel for every measure, in it a line for every condition through its means, and a dot for every model.

    The dots of the conditions stand side by side at every value of the setting, so that none hides another, in the
    order of the conditions. Values that are not finite are left out; a line passes over a place without any.

    Args:
      at: `(X,)`, values of the setting, ascending.
      values: name of a measure → name of a condition → `(X, S)`, one value for each value of the setting and model.
      axis: what the setting is called.

    Raises:
      InputError: at is empty or not ascending, there is no measure or condition, the measures differ in their
        conditions, or values do not have X rows.

    Source: Tseng et al. 2020, figure 5.
    """
    places = np.asarray(at, float)
    names = _checked(places, values)
    styles = styles_of(names)
    figure, panels = _panels(styles, list(values), axis)
    offsets = _offsets(places, len(names))
    for ax, by_condition in zip(panels, values.values(), strict=True):
        _dress(ax, places)
        drawn = [
            _draw(ax, places + offset, np.asarray(numbers, float), style)
            for offset, numbers, style in zip(offsets, by_condition.values(), styles.values(), strict=True)
        ]
        if not any(drawn):
            ax.set_yticks([])
            ax.text(0.5, 0.5, "no data", transform=ax.transAxes, ha="center", va="center", fontsize=9, color=FAINT)
    return figure


def _checked(at: np.ndarray, values: Values) -> list[str]:
    """The names of the conditions."""
    if at.ndim != 1 or not len(at) or not np.all(np.isfinite(at)) or np.any(np.diff(at) <= 0):
        raise InputError(f"at (={at}) must be one or more finite values, ascending")
    names = [list(by_condition) for by_condition in values.values()]
    if not names or not names[0] or any(name != names[0] for name in names):
        raise InputError(f"values must have one or more measures of the same conditions, in order; not {names}")
    for measure, by_condition in values.items():
        for name, numbers in by_condition.items():
            if np.ndim(numbers) != 2 or len(numbers) != len(at):
                raise InputError(
                    f"values[{measure!r}][{name!r}] (shape {np.shape(numbers)}) must be (X, S) for {len(at)} values of"
                    " the setting"
                )
    return names[0]


def _offsets(at: np.ndarray, conditions: int) -> np.ndarray:
    step = np.diff(at).min(initial=np.inf)
    return (np.arange(conditions) - (conditions - 1) / 2) * DODGE * (step if np.isfinite(step) else 1.0)


def _draw(ax: Axes, at: np.ndarray, values: np.ndarray, style: Mapping) -> bool:
    """Whether there was anything to draw."""
    known = np.isfinite(values)
    some = known.any(axis=1)
    means = np.array([numbers[kept].mean() for numbers, kept in zip(values[some], known[some], strict=True)])
    ax.plot(at[some], means, **style, linewidth=1.6)
    across = np.broadcast_to(at[:, None], values.shape)
    ax.scatter(across[known], values[known], s=16, color=style["color"], alpha=0.75, linewidths=0, zorder=2.5)
    return bool(some.any())


def _panels(styles: Mapping[str, Mapping], measures: list[str], axis: str) -> tuple[Figure, list[Axes]]:
    """Axes beneath a key of the conditions; as many columns as leave the last row fullest."""
    rows = -(-len(measures) // COLUMNS)
    columns = max(-(-len(measures) // rows), FEWEST_COLUMNS)
    wide = (WIDTH - LEFT - RIGHT - (columns - 1) * SIDE) / columns
    *titles, below = (textwrap.wrap(text, int(TITLE_WIDTH * wide)) or [""] for text in (*measures, axis))
    head, foot = HEAD + LINE * (max(map(len, titles)) - 1), FOOT + LINE * (len(below) - 1)
    key = KEY + KEY_LINE * len(styles)
    down = head + PANEL + foot + GAP
    height = key + rows * down - GAP
    figure, panels = Figure(figsize=(WIDTH, height)), []
    _key(figure.add_axes((LEFT / WIDTH, 1 - key / height, 1 - (LEFT + RIGHT) / WIDTH, key / height)), styles)
    for index, title in enumerate(titles):
        left, top = LEFT + (index % columns) * (wide + SIDE), key + head + (index // columns) * down
        ax = figure.add_axes((left / WIDTH, 1 - (top + PANEL) / height, wide / WIDTH, PANEL / height))
        ax.set_title("\n".join(title), loc="left", fontsize=9, color=INK, parse_math=False)
        ax.set_xlabel("\n".join(below), fontsize=8.5, color=INK, parse_math=False)
        panels.append(ax)
    return figure, panels


def _key(ax: Axes, styles: Mapping[str, Mapping]) -> None:
    """Names of the conditions above the panels, where they can hide nothing."""
    ax.set_axis_off()
    ax.set(xlim=(0, WIDTH - LEFT - RIGHT), ylim=(len(styles) + KEY / KEY_LINE, 0))
    for line, (name, style) in enumerate(styles.items(), 1):
        ax.plot([0, 0.4], [line, line], **style, linewidth=1.6)
        ax.scatter([0.2], [line], s=16, color=style["color"], linewidths=0)
        ax.text(0.55, line, name, va="center_baseline", fontsize=9, color=INK, parse_math=False)


def _dress(ax: Axes, at: np.ndarray) -> None:
    plain(ax)
    ax.set_xticks(at)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS, min_n_ticks=3))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.5g}".replace("-", "−"))
    ax.margins(x=0.08, y=0.1)
