"""Figures of a report: sequence logos, learning curves and attribution tracks, and their markup for a page.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing. Positions are
0-based, and the base at position p covers [p, p + 1): a half-open interval is drawn as it is written.
"""

import base64
import functools
import hashlib
import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from fprior.errors import InputError

LETTERS = {"A": "#109648", "C": "#255C99", "G": "#F7B32B", "T": "#D62839"}
LETTER_WIDTH = 0.94  # of a base: a run of equal letters must not merge into one bar
KEY_LINES = 11  # of the legend of learning curves; more make the figure higher
SCORE = ("auroc", "auROC")  # key in a log, and its name
MAX_LOGO = 80  # bases; more are illegible at the width of a page

# Okabe and Ito's palette for the colour-blind, without its yellow, which is too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # a dash pattern for every time round the palette
STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
INK, FAINT, TINT = "#222222", "#6B6B6B", "#F0F0EA"

# Inches.
WIDTH, LEFT, RIGHT = 10.0, 0.85, 0.4
HEAD, ROW, LANE, FOOT = 0.36, 0.25, 0.17, 0.5
TRACK, LOGO = 0.85, 1.05
PANEL_GAP, KEY_LINE = 0.9, 0.18
CHARACTER = 0.075  # the widest an average character of an annotation gets


# ---- sequence logo


@functools.cache
def _glyph(letter: str) -> Path:
    """A bold letter whose outline fills the unit square."""
    path = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = path.get_extents()
    return Path((path.vertices - box.min) / box.size, path.codes)


def _letter_floors(scores: np.ndarray) -> np.ndarray:
    """The lower edge `(L, 4)` of every letter; of two with one sign the larger lies further from zero."""
    magnitude = np.abs(scores)
    order = np.argsort(magnitude, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    tops = np.cumsum(np.maximum(ranked, 0), axis=1)
    bottoms = np.cumsum(np.minimum(ranked, 0), axis=1)
    floors = np.empty_like(scores)
    np.put_along_axis(floors, order, np.where(ranked > 0, tops - ranked, bottoms), axis=1)
    return floors


def _compound(letter: str, left: np.ndarray, floor: np.ndarray, height: np.ndarray) -> Path:
    glyph = _glyph(letter)
    corner = np.stack([left, floor], axis=1)[:, None]
    size = np.stack([np.full_like(height, LETTER_WIDTH), height], axis=1)[:, None]
    vertices = corner + size * glyph.vertices
    return Path(vertices.reshape(-1, 2), np.tile(np.asarray(glyph.codes), len(left)))


def _limits(low: float, high: float) -> tuple[float, float]:
    """y limits that contain zero and some air; (-1, 1) where there is nothing to show."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return -1.0, 1.0
    air = 0.05 * (high - low)
    return low - air * (low < 0), high + air


def draw_logo(ax: Axes, scores: np.ndarray, start: int = 0) -> None:
    """Draws `scores (L, 4)`, order A, C, G, T, as letters as high as their scores; base 0 is at `start`.

    Positive letters are stacked upwards from zero and negative ones downwards, the largest outermost. Raises
    InputError for another shape or a score that is not finite.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or scores.shape[1] != 4:
        raise InputError(f"scores (shape {scores.shape}) must have the shape (L, 4)")
    if not np.isfinite(scores).all():
        row = int(np.argmin(np.isfinite(scores).all(axis=1)))
        raise InputError(f"scores (row {row}: {scores[row]}) must be finite; leave such rows out")
    floors = _letter_floors(scores)
    for column, (letter, colour) in enumerate(LETTERS.items()):
        rows = np.flatnonzero(scores[:, column])
        if rows.size:
            left = start + rows + (1 - LETTER_WIDTH) / 2
            path = _compound(letter, left, floors[rows, column], np.abs(scores[rows, column]))
            ax.add_collection(PathCollection([path], facecolors=colour, linewidths=0), autolim=False)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.set_xlim(start, start + max(len(scores), 1))
    low, high = np.minimum(scores, 0).sum(axis=1), np.maximum(scores, 0).sum(axis=1)
    ax.set_ylim(_limits(low.min(initial=0), high.max(initial=0)))
    ax.xaxis.set_major_locator(MaxNLocator(10, steps=STEPS, integer=True))
    ax.xaxis.set_major_formatter("{x:,.0f}")


# ---- learning curves


def styles_of(labels: Iterable[str]) -> dict[str, dict]:
    """A colour for every label, and another dash pattern each time the palette starts again."""
    size = len(PALETTE)
    return {
        label: {"color": PALETTE[i % size], "linestyle": DASHES[i // size % len(DASHES)]}
        for i, label in enumerate(labels)
    }


def _series(history: Iterable[Mapping], kind: str, *keys: str) -> np.ndarray:
    """Epochs and the values of `keys`, as rows, from entries of that kind that have them all; None is NaN."""
    keys = ("epoch", *keys)
    entries = [entry for entry in history if entry.get("kind") == kind and all(key in entry for key in keys)]
    return np.array([[entry[key] for entry in entries] for key in keys], dtype=float)


def _norm_ratio(history: Iterable[Mapping]) -> np.ndarray:
    epoch, prior, task = _series(history, "gradients", "gradient_norm/prior", "gradient_norm/correctness")
    usable = (prior > 0) & (task > 0)  # a logarithmic axis has no place for the rest
    return np.stack([epoch, np.divide(prior, task, out=np.full_like(prior, np.nan), where=usable)])


def _curve(ax: Axes, series: np.ndarray, style: dict, width: float = 1.8, **options: Any) -> None:
    epochs, values = series
    marker = "o" if len(epochs) <= 40 and width > 1 else None  # a line alone would hide a single point
    if np.isfinite(values).any():
        ax.plot(epochs, values, **style, linewidth=width, marker=marker, markersize=3, **options)


def _run_curves(axes: Sequence[Axes], history: Iterable[Mapping], style: dict, score: str) -> None:
    for ax, key in zip(axes[:2], ("loss/correctness", "loss/prior"), strict=True):
        _curve(ax, _series(history, "train", key), style, width=0.7, alpha=0.55, zorder=1.8)
        _curve(ax, _series(history, "validation", key), style)
    _curve(axes[2], _series(history, "validation", score), style)
    _curve(axes[3], _series(history, "gradients", "gradient_cosine"), style, width=1.2)
    _curve(axes[4], _norm_ratio(history), style, width=1.2)


def plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=INK, length=3)


def _dress_panel(ax: Axes, title: str) -> None:
    plain(ax)
    ax.set_title(title, loc="left", fontsize=9.5, color=INK)
    ax.set_xlabel("epoch", fontsize=8.5, color=INK)
    if not ax.lines:
        ax.tick_params(length=0, labelbottom=False, labelleft=False)  # the positions of ticks are shared
        ax.text(0.5, 0.5, "no data", transform=ax.transAxes, ha="center", va="center", fontsize=9, color=FAINT)


def _logarithmic(ax: Axes) -> None:
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 10 * low:  # a whole decade, so that at least two ticks are in sight
        middle = (low * high) ** 0.5
        ax.set_ylim(middle / 10**0.5, middle * 10**0.5)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(which="minor", length=1.5)


def _key(ax: Axes, names: Mapping[str, list[str]], styles: Mapping[str, dict]) -> None:
    """A legend in a panel of its own, where it can hide nothing; `names` are the labels, cut into lines."""
    ax.set_axis_off()
    thin, bold = {"linewidth": 0.7}, {"linewidth": 1.8}
    rows = [(names[label], style | bold) for label, style in styles.items()]
    rows += [(["training"], thin | {"color": FAINT}), (["validation"], bold | {"color": FAINT})]
    y = 0.5
    for lines, style in rows:
        ax.plot([0, 0.1], [y, y], **style)
        ax.text(0.14, y - 0.4, "\n".join(lines), va="top", fontsize=9, color=INK, parse_math=False)
        y += len(lines)
    ax.set(xlim=(0, 1), ylim=(max(y, KEY_LINES), 0))


def learning_curves(histories: Mapping[str, Sequence[Mapping]], score: tuple[str, str] = SCORE) -> Figure:
    """Losses, validation score and the prior's gradient against the task's, by epoch, a colour for every run.

    `histories` maps a run's label to its log entries (`kind`: train, validation or gradients), `score` is the key and
    the name of what validation measures besides. A key that a run never logged leaves that panel without the run; None
    or NaN leaves a gap.
    """
    names = {label: textwrap.wrap(label, 34) or [""] for label in histories}
    panel = KEY_LINE * max(2 + sum(map(len, names.values())), KEY_LINES)
    height = HEAD + 2 * panel + PANEL_GAP + FOOT
    figure = Figure(figsize=(WIDTH, height))
    margins = {"left": 0.06, "right": 0.985, "top": 1 - HEAD / height, "bottom": FOOT / height}
    grid = figure.subplots(2, 3, gridspec_kw={**margins, "hspace": PANEL_GAP / panel, "wspace": 0.24})
    *axes, key = grid.flat
    for ax in axes[1:]:
        ax.sharex(axes[0])
    styles = styles_of(histories)
    for label, history in histories.items():
        _run_curves(axes, history, styles[label], score[0])
    titles = (
        "correctness loss",
        "prior loss",
        f"validation {score[1]}",
        "cosine of task and prior gradient",
        "gradient norm, prior / task",
    )
    for ax, title in zip(axes, titles, strict=True):
        _dress_panel(ax, title)
    if axes[3].lines:
        axes[3].set_ylim(-1.05, 1.05)
        axes[3].axhline(0, color=FAINT, linewidth=0.6)
    if axes[4].lines:
        _logarithmic(axes[4])
    _key(key, names, styles)
    return figure


# ---- attributions of one locus


class Positions(NamedTuple):
    """Where an attribution lies, 0-based: its window's `start`, the `summit`, the logo's first base."""

    chromosome: str
    start: int
    summit: int
    logo_start: int


class _Bar(NamedTuple):
    lane: int
    left: float
    right: float
    label: str
    label_first: bool


def _pack(annotations: Iterable[tuple[int, int, str]], start: int, end: int) -> list[_Bar]:
    """Annotations cut to [start, end), in lanes such that neither bars nor labels touch."""
    inch = (end - start) / (WIDTH - LEFT - RIGHT)  # in bases
    lanes: list[float] = []  # how far each is filled
    bars = []
    for left, right, label in sorted(annotations):
        if left >= end or right <= start:
            continue
        left, right = max(left, start), min(right, end)
        room = inch * (CHARACTER * len(label) + 0.1)
        label_first = right + room > end
        begin, stop = (left - room, right) if label_first else (left, right + room)
        lane = next((i for i, filled in enumerate(lanes) if filled <= begin), len(lanes))
        lanes[lane : lane + 1] = [stop]
        bars.append(_Bar(lane, left, right, label, label_first))
    return bars


def _room(bars: Sequence[_Bar]) -> float:
    """Inches that the lanes of these bars take."""
    return LANE * (1 + max((bar.lane for bar in bars), default=-1))


def _draw_bars(ax: Axes, bars: Iterable[_Bar], height: float) -> None:
    """Draws bars above an Axes that is `height` inches high, over the line that names its run."""
    boxes = []
    for bar in bars:
        low = 1 + (ROW + bar.lane * LANE) / height
        high = low + 0.05 / height
        boxes.append([(bar.left, low), (bar.left, high), (bar.right, high), (bar.right, low)])
        edge, shift, align = (bar.left, -3, "right") if bar.label_first else (bar.right, 3, "left")
        ax.annotate(
            bar.label,
            (edge, (low + high) / 2),
            (shift, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=7.5,
            color=INK,
            parse_math=False,
            annotation_clip=False,
        )
    transform = ax.get_xaxis_transform()
    ax.add_collection(
        PolyCollection(boxes, facecolors=INK, linewidths=0, transform=transform, clip_on=False), autolim=False
    )


def stack(heights: Sequence[float], gaps: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure with Axes one under another, each `heights[i]` inches high and `gaps[i]` below the last."""
    total = sum(heights) + sum(gaps) + FOOT
    figure = Figure(figsize=(WIDTH, total))
    axes, top = [], total
    for height, gap in zip(heights, gaps, strict=True):
        top -= gap + height
        box = (LEFT / WIDTH, top / total, (WIDTH - LEFT - RIGHT) / WIDTH, height / total)
        axes.append(figure.add_axes(box))
    return figure, axes


def _draw_track(ax: Axes, track: np.ndarray, start: int, colour: str) -> None:
    ax.stairs(track, start + np.arange(len(track) + 1), fill=True, facecolor=colour, edgecolor=colour, linewidth=0.3)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.set_xlim(start, start + len(track))
    ax.set_ylim(_limits(track.min(), track.max()))
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=STEPS, integer=True))
    ax.xaxis.set_major_formatter("{x:,.0f}")


def _dress_rows(axes: Sequence[Axes], styles: Mapping[str, dict], positions: Positions, note: str) -> None:
    """Names the runs, the scales and the position, which only the last row numbers."""
    for ax, (label, style) in zip(axes, styles.items(), strict=True):
        plain(ax)
        ax.set_title(label, loc="left", fontsize=9, pad=4, color=style["color"], weight="bold", parse_math=False)
        ax.set_ylabel("score,\nown scale", fontsize=8, color=INK)
        ax.yaxis.set_label_coords(-0.6 / (WIDTH - LEFT - RIGHT), 0.5)
        ax.yaxis.set_major_locator(MaxNLocator(3, steps=STEPS))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", "−"))
        ax.tick_params(labelbottom=ax is axes[-1])
        low, high = ax.get_xlim()
        if low <= positions.summit < high:
            ax.axvline(positions.summit + 0.5, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0.5)
    axes[0].set_title(note, loc="right", fontsize=8, pad=4, color=FAINT)
    axes[-1].set_xlabel(f"position on {positions.chromosome}, 0-based", fontsize=8.5, color=INK, parse_math=False)


def _check_pair(tracks: Mapping[str, np.ndarray], logos: Mapping[str, np.ndarray], positions: Positions) -> None:
    if not tracks or list(tracks) != list(logos):
        raise InputError(f"tracks ({list(tracks)}) and logos ({list(logos)}) must name the same runs, in order")
    lengths = {len(track) for track in tracks.values()}
    widths = {len(logo) for logo in logos.values()}
    if len(lengths) > 1 or len(widths) > 1 or 0 in lengths | widths or max(widths) > MAX_LOGO:
        raise InputError(
            f"tracks (of {sorted(lengths)} bases) and logos (of {sorted(widths)} bases) must each have "
            f"one length, not 0, and a logo at most {MAX_LOGO} bases"
        )
    if not all(np.ndim(track) == 1 and np.isfinite(track).all() for track in tracks.values()):
        raise InputError("every track must be finite and of the shape (L,)")
    offset = positions.logo_start - positions.start
    if not 0 <= offset <= min(lengths) - max(widths):
        raise InputError(f"positions ({positions}) put the logo outside the window of {min(lengths)} bases")


def attribution_pair(
    tracks: Mapping[str, np.ndarray],
    logos: Mapping[str, np.ndarray],
    positions: Positions,
    title: str,
    annotations: Sequence[tuple[int, int, str]] = (),
) -> Figure:
    """One locus as each run explains it: signed tracks `(L,)`, and logos `(W, 4)`, W <= 80, of a part.

    Rows of a kind share their positions, and every row has its own scale of scores. `annotations` are
    half-open intervals with a label, drawn as bars above. Raises InputError for arrays that are not finite,
    that do not fit one another or that do not fit `positions`.
    """
    _check_pair(tracks, logos, positions)
    runs, length, width = len(tracks), *(len(next(iter(arrays.values()))) for arrays in (tracks, logos))
    logo_end = positions.logo_start + width
    unlabelled = [(left, right, "") for left, right, _ in annotations]
    track_bars = _pack(unlabelled, positions.start, positions.start + length)
    logo_bars = _pack(annotations, positions.logo_start, logo_end)
    gaps = [ROW] * (2 * runs)
    gaps[0] += HEAD + _room(track_bars)
    gaps[runs] += FOOT + _room(logo_bars)
    figure, axes = stack([TRACK] * runs + [LOGO] * runs, gaps)
    styles = styles_of(tracks)
    for label, track_ax, logo_ax in zip(tracks, axes[:runs], axes[runs:], strict=True):
        track_ax.axvspan(positions.logo_start, logo_end, color=TINT, linewidth=0, zorder=0)
        _draw_track(track_ax, np.asarray(tracks[label], dtype=float), positions.start, styles[label]["color"])
        logo_ax.set_facecolor(TINT)
        draw_logo(logo_ax, logos[label], positions.logo_start)
    _dress_rows(axes[:runs], styles, positions, "dashed: summit; shaded: the part shown in letters")
    _dress_rows(axes[runs:], styles, positions, "the shaded part")
    _draw_bars(axes[0], track_bars, TRACK)
    _draw_bars(axes[runs], logo_bars, LOGO)
    top = 1 - 0.1 / figure.get_figheight()
    figure.text(0.01, top, title, va="top", fontsize=11, weight="bold", color=INK, parse_math=False)
    return figure


# ---- markup

_TAG = re.compile(r"<[^>]+>")  # matplotlib escapes > in attributes and text
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_STYLE = re.compile(r'<style type="text/css">.*?</style>', re.DOTALL)
_SIZE = re.compile(r'width="[^"]*pt" height="[^"]*pt"|height="[^"]*pt" width="[^"]*pt"')


def _fit(figure: Figure) -> str:
    """CSS that lets a figure follow the page's width, but not down to where its text is illegible."""
    natural = 96 * figure.get_figwidth()
    return f"width:100%;min-width:{0.9 * natural:.0f}px;max-width:{1.25 * natural:.0f}px"


def to_svg(figure: Figure) -> str:
    """The figure as an <svg> element for HTML; equal figures give equal text, different ones disjoint ids."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fprior"}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    prefix = f"f{hashlib.sha256(svg.encode()).hexdigest()[:10]}-"
    svg = _TAG.sub(lambda tag: _ID.sub(rf"\g<1>{prefix}", tag[0]), svg)
    svg = _STYLE.sub("", svg, count=1)  # it would style the whole page; the root element hands the same down
    look = f"{_fit(figure)};stroke-linejoin:round;stroke-linecap:butt"
    return _SIZE.sub(f'width="100%" style="{look}"', svg, count=1)


def to_png_base64(figure: Figure, dpi: float = 144) -> str:
    """The figure as an <img> element that holds its pixels, for one whose SVG would exceed some 300 kB."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" style="{_fit(figure)}" src="data:image/png;base64,{data}">'
