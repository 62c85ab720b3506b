"""Observed and predicted profiles of one locus, strand against strand."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter1d

from fprior.errors import InputError
from fprior.report.figures import FAINT, HEAD, INK, LEFT, RIGHT, ROW, STEPS, WIDTH, plain, stack, styles_of

SMOOTHING = 10  # bases, standard deviation: a single locus has too few reads to be seen base by base
HEIGHT = 0.75  # inches, of a row
GREY = "#BDBDB5"


def profile_rows(
    observed: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    controls: np.ndarray | None,
    start: int,
    window: tuple[int, int],
    title: str,
    chromosome: str,
) -> Figure:
    """Observed reads, what each run expects over the same smoothed, and the control's reads, in rows.

    Expected profiles are scaled to the observed number of reads of each strand, so that shapes can be compared where
    the numbers differ; the expected number stands beside the run's name.

    Args:
      observed: reads that end at each position, `(O, S)`; with two strands the second is drawn downwards.
      predictions: run → expected reads at each position `(O, S)`.
      controls: the control's reads `(O, S)`, or None.
      start: genomic position of the first of the O, 0-based.
      window: what the horizontal axis shows, so that the figure lines up with that of the input.
      title: above the figure.
      chromosome: for the axis.

    Raises:
      InputError: shapes differ, or there are neither one nor two strands.
    """
    shapes = {observed.shape, *(p.shape for p in predictions.values()), *([] if controls is None else [controls.shape])}
    if len(shapes) > 1 or observed.ndim != 2 or observed.shape[1] not in (1, 2):
        raise InputError(f"profiles of one locus must all be (O, 1) or (O, 2), not {sorted(shapes)}")
    count = 1 + len(predictions) + (controls is not None)
    figure, axes = stack([HEIGHT] * count, [ROW + HEAD] + [ROW] * (count - 1))
    _draw_reads(axes[0], observed, start, "observed", INK)
    smoothed = gaussian_filter1d(observed.astype(float), SMOOTHING, axis=0, mode="nearest")
    for ax, (label, style) in zip(axes[1:], styles_of(predictions).items(), strict=False):
        _draw_expected(ax, predictions[label], observed, smoothed, start, label, style["color"])
    if controls is not None:
        _draw_reads(axes[-1], controls, start, "control", FAINT)
    for ax in axes:
        plain(ax)
        ax.set_xlim(window)
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.yaxis.set_major_locator(MaxNLocator(3, steps=STEPS))
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.3g}")  # downwards is the other strand
        ax.yaxis.set_label_coords(-0.56 / (WIDTH - LEFT - RIGHT), 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(8, steps=STEPS, integer=True))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.tick_params(labelbottom=ax is axes[-1])
    note = "up: + strand, down: − strand; " if observed.shape[1] == 2 else ""
    axes[0].set_title(
        f"{note}grey: observed, smoothed by {SMOOTHING} bp; lines: expected, scaled to as many",
        loc="right",
        fontsize=8,
        color=FAINT,
    )
    axes[-1].set_xlabel(f"position on {chromosome}, 0-based", fontsize=8.5, color=INK, parse_math=False)
    top = 1 - 0.1 / figure.get_figheight()
    figure.text(0.01, top, title, va="top", fontsize=11, weight="bold", color=INK, parse_math=False)
    return figure


def _name(ax: Axes, label: str, colour: str, unit: str) -> None:
    ax.set_title(label, loc="left", fontsize=9, pad=4, color=colour, weight="bold", parse_math=False)
    ax.set_ylabel(unit, fontsize=8, color=INK)


def _draw_reads(ax: Axes, reads: np.ndarray, start: int, label: str, colour: str) -> None:
    """A stick for every position at which reads end."""
    for sign, strand in zip((1, -1), reads.T, strict=False):
        at = np.flatnonzero(strand)
        ax.vlines(start + at + 0.5, 0, sign * strand[at].astype(float), color=colour, linewidth=0.8)
    top = max(float(reads.max()), 1.0) * 1.1
    ax.set_ylim(-top if reads.shape[1] == 2 else 0, top)
    total = ", ".join(f"{strand.sum():,.0f} {sign}" for sign, strand in zip("+−", reads.T, strict=False))
    _name(ax, f"{label}: {total if reads.shape[1] == 2 else f'{reads.sum():,.0f}'} reads", colour, "reads")


def _draw_expected(
    ax: Axes, expected: np.ndarray, observed: np.ndarray, smoothed: np.ndarray, start: int, label: str, colour: str
) -> None:
    totals = expected.sum(axis=0)
    scaled = np.divide(expected * observed.sum(axis=0), totals, out=np.zeros(expected.shape), where=totals > 0)
    positions = start + np.arange(len(expected)) + 0.5
    for sign, strand, seen in zip((1, -1), scaled.T, smoothed.T, strict=False):
        ax.fill_between(positions, sign * seen, color=GREY, linewidth=0)
        ax.plot(positions, sign * strand, color=colour, linewidth=1.1)
    top = 1.1 * max(float(scaled.max()), float(smoothed.max()), 1e-6)
    ax.set_ylim(-top if expected.shape[1] == 2 else 0, top)
    numbers = " + ".join(f"{total:,.1f}" for total in totals)
    _name(ax, f"{label}: {numbers} reads expected", colour, "reads\nper base")
