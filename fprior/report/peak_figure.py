"""The peaks of a page: which are shown, and what every base of one contributes by several models."""

from collections.abc import Mapping

import numpy as np

from fprior.report.figures import Positions, attribution_pair, to_svg
from fprior.sequence import decode

QUANTILES = (1.0, 0.75, 0.5, 0.25)  # of the peaks' signal
LOGO_WIDTH = 80  # bases


def chosen_peaks(signal: np.ndarray) -> dict[int, float]:
    """The peaks at QUANTILES of their signal `(n,)`, so that none is picked by eye: index → quantile.

    Peaks without a signal (NaN) count as the lowest.
    """
    order = np.argsort(np.nan_to_num(signal, nan=-np.inf), kind="stable")
    chosen: dict[int, float] = {}
    for quantile in QUANTILES:
        chosen.setdefault(int(order[round(quantile * (len(order) - 1))]), quantile)
    return chosen


def locus_name(chromosome: str, start: int, length: int) -> str:
    """The interval as genome browsers write it, from 1 and with its last base."""
    return f"{chromosome}:{start + 1:,}-{start + length:,}"


def peak_svg(tracks: Mapping[str, np.ndarray], tokens: np.ndarray, chromosome: str, start: int) -> tuple[str, str]:
    """The contributions of all bases, above them those around the summit as letters, model by model.

    Args:
      tracks: label of a model → contributions `(L,)`.
      tokens: the bases `(L,)`, 0 to 3; any other letter is drawn as none. The summit is in the middle.
      chromosome: where it lies,
      start: and the first base, from 0.

    Returns:
      The SVG, and its text for those who cannot see it.
    """
    length = len(tokens)
    width = min(LOGO_WIDTH, length)
    first = (length - width) // 2
    shown = slice(first, first + width)
    one_hot = tokens[shown, None] == np.arange(4)
    logos = {label: one_hot * track[shown, None] for label, track in tracks.items()}
    name = locus_name(chromosome, start, length)
    positions = Positions(chromosome, start, start + length // 2, start + first)
    svg = to_svg(attribution_pair(dict(tracks), logos, positions, name))
    return svg, f"Contribution of every base of {name} and logos around its summit, sequence {decode(tokens[shown])}"
