"""The peaks of a report: observed and predicted profiles, and what every base contributes."""

import numpy as np

from experiments.report_tables import Evaluated
from fprior.report.figures import Positions, attribution_pair, to_svg
from fprior.report.page import figure
from fprior.report.profile_figure import profile_rows
from fprior.sequence import decode

PEAK_QUANTILES = (1.0, 0.75, 0.5, 0.25)  # of the signal of the positives: the peaks that are drawn
LOGO_WIDTH = 80


def peaks_section(runs: list[Evaluated]) -> str:
    signal = runs[0].arrays["signal"]
    order = np.argsort(np.nan_to_num(signal, nan=-np.inf), kind="stable")
    chosen = [int(order[round(quantile * (len(order) - 1))]) for quantile in PEAK_QUANTILES]
    parts = [
        f"<p>The peaks are not picked by eye: they are those at the quantiles {', '.join(map(str, PEAK_QUANTILES))} of"
        " the signal of all positives of the split. The logos show the bases around the summit, in the middle.</p>"
    ]
    for quantile, index in zip(PEAK_QUANTILES, dict.fromkeys(chosen), strict=False):
        parts.append(peak_figure(runs, index, quantile))
    return "\n".join(parts)


def peak_figure(runs: list[Evaluated], index: int, quantile: float) -> str:
    arrays = runs[0].arrays
    row = arrays["positive_rows"][index]
    chromosome, start, end = (arrays[name][row] for name in ("chromosome", "start", "end"))
    length = int(end - start)
    width = min(LOGO_WIDTH, length)
    first = (length - width) // 2
    tracks = {run.label: run.arrays["contributions"][index] for run in runs}
    bases = arrays["tokens"][index][first : first + width]
    one_hot = bases[:, None] == np.arange(4)
    logos = {label: one_hot * track[first : first + width, None] for label, track in tracks.items()}
    name = f"{chromosome}:{start + 1:,}-{end:,}"
    positions = Positions(str(chromosome), int(start), int(start) + length // 2, int(start) + first)
    svg = to_svg(attribution_pair(tracks, logos, positions, name))
    caption = f"{name}, quantile {quantile:g} of the signal."
    if runs[0].outputs == "labels":
        caption += f" Predicted probability: {_probabilities(runs, row)}."
    else:
        svg = profiles_svg(runs, index, str(chromosome), int(start), int(end)) + svg
        caption += " Above the contributions, the reads that end at each base: observed, expected by each run, control."
    alt = f"Contribution of every base of {name} and logos around its summit, sequence {decode(bases)}"
    return figure(svg, caption, alt)


def _probabilities(runs: list[Evaluated], row: int) -> str:
    return ", ".join(f"{run.label} {1 / (1 + np.exp(-float(run.arrays['logits'][row].mean()))):.3f}" for run in runs)


def profiles_svg(runs: list[Evaluated], index: int, chromosome: str, start: int, end: int) -> str:
    """A figure for every task of the peak, lined up with the input from start to end."""
    arrays, figures = runs[0].arrays, []
    row, observed = arrays["positive_rows"][index], arrays["profiles"][index]
    first = start + (end - start - observed.shape[1]) // 2
    for task, name in enumerate(runs[0].measures["tasks"]):
        expected = {
            run.label: np.exp(run.arrays["log_probabilities"][index, task].astype(np.float64))
            * np.expm1(run.arrays["log_counts"][row, task].astype(np.float64)).clip(0)
            for run in runs
        }
        controls = arrays.get("controls")
        if controls is not None:
            controls = controls[index, min(task, controls.shape[1] - 1)]
        title = f"{name}: reads at {chromosome}:{start + 1:,}-{end:,}"
        drawn = profile_rows(observed[task], expected, controls, first, (start, end), title, chromosome)
        figures.append(to_svg(drawn))
    return "".join(figures)
