"""A figure of a data set: GC content and reads of its positives and negatives, and the loci of each split.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fprior.report.figures import FAINT, INK, PALETTE

KINDS = ("positives", "negatives")
COLUMNS = 3
BINS = 40

# Inches.
WIDTH, PANEL, GAP, HEAD, FOOT = 10.0, 1.9, 0.85, 0.62, 0.5


def data_figure(
    gc: np.ndarray,
    positive: np.ndarray,
    loci: Mapping[str, Mapping[str, int]],
    reads: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Histograms of GC fraction and of reads a window, and bars of the loci of each split.

    Args:
      gc: `(n,)` GC fraction of every stored window.
      positive: `(n,)` bool.
      loci: split → kind (positives, negatives) → number.
      reads: name of a track → reads `(n,)` in every stored window.
    """
    reads = reads or {}
    panels = 2 + len(reads)
    columns = 2 if panels in (2, 4) else COLUMNS
    rows = -(-panels // columns)
    height = HEAD + rows * PANEL + (rows - 1) * GAP + FOOT
    figure = Figure(figsize=(WIDTH, height))
    margins = {"left": 0.07, "right": 0.985, "top": 1 - HEAD / height, "bottom": FOOT / height}
    axes = figure.subplots(rows, columns, gridspec_kw={**margins, "hspace": GAP / PANEL, "wspace": 0.3}).ravel()
    _histograms(axes[0], gc, positive, _even_edges(gc))
    _dress(axes[0], "GC content", "GC fraction of a window", "% of windows")
    _bars(axes[1], loci)
    for ax, (name, values) in zip(axes[2:], reads.items(), strict=False):
        _histograms(ax, np.log10(1 + values.astype(float)), positive, _count_edges(values))
        _dress(ax, f"reads: {name}", "log10(1 + reads in a window)", "% of windows")
    for ax in axes[panels:]:
        ax.set_axis_off()
    _key(figure, height)
    return figure


def _even_edges(values: np.ndarray) -> np.ndarray:
    """The edges of bins of equal width; (0, 1) where there is nothing to show."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _count_edges(counts: np.ndarray) -> np.ndarray:
    """The edges, in log10(1 + count), of bins that hold one whole number or more: no bin is empty by its width."""
    whole = np.unique(np.rint(np.geomspace(1, counts.max(initial=0) + 2, BINS + 1)))
    return np.log10(whole - 0.5)


def _histograms(ax: Axes, values: np.ndarray, positive: np.ndarray, edges: np.ndarray) -> None:
    """Steps of the share of the positives, and of the negatives, in every bin."""
    for index, mask in enumerate((positive, ~positive)):
        counts, _ = np.histogram(values[mask & np.isfinite(values)], edges)
        ax.stairs(100 * counts / max(counts.sum(), 1), edges, color=PALETTE[index], linewidth=1.4)
    ax.set_ylim(bottom=0)


def _bars(ax: Axes, loci: Mapping[str, Mapping[str, int]]) -> None:
    """Two bars a split, with their numbers, on a logarithmic axis: there are often many negatives a positive."""
    largest = max((count for counts in loci.values() for count in counts.values()), default=1)
    for index, kind in enumerate(KINDS):
        places = np.arange(len(loci)) + 0.4 * (index - 0.5)
        counts = [split[kind] for split in loci.values()]
        ax.bar(places, np.maximum(counts, 0.5), 0.36, bottom=0, color=PALETTE[index])
        for place, count in zip(places, counts, strict=True):
            ax.annotate(f"{count:,}", (place, max(count, 0.5)), (0, 2), textcoords="offset points", ha="center",
                        fontsize=6.5, color=INK)  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(0.5, max(largest, 1) * 4)
    _dress(ax, "loci of each split", "", "loci")
    ax.set_xticks(np.arange(len(loci)), list(loci))


def _dress(ax: Axes, title: str, label: str, side: str) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=INK, length=3)
    ax.set_title(title, loc="left", fontsize=9.5, color=INK, parse_math=False)
    ax.set_xlabel(label, fontsize=8.5, color=INK)
    ax.set_ylabel(side, fontsize=8.5, color=INK)
    if ax.get_yscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.yaxis.set_major_locator(MaxNLocator(4))


def _key(figure: Figure, height: float) -> None:
    """The names of the two colours, above all panels."""
    for index, kind in enumerate(KINDS):
        figure.text(0.07 + 0.1 * index, 1 - 0.1 / height, kind, va="top", fontsize=10, weight="bold",
                    color=PALETTE[index])  # fmt: skip
    figure.text(0.29, 1 - 0.12 / height, "stored windows", va="top", fontsize=8.5, color=FAINT)
