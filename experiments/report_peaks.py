"""The peaks of a report: observed and predicted profiles, and what every base contributes."""

import numpy as np

from experiments.report_tables import Evaluated
from fprior.report.figures import to_svg
from fprior.report.page import figure
from fprior.report.peak_figure import QUANTILES, chosen_peaks, locus_name, peak_svg
from fprior.report.profile_figure import profile_rows


def peaks_section(runs: list[Evaluated]) -> str:
    text = (
        f"The peaks are not picked by eye: they are those at the quantiles {', '.join(map(str, QUANTILES))} of"
        " the signal of all positives of the split. The logos show the bases around the summit, in the middle."
    )
    chosen = chosen_peaks(runs[0].arrays["signal"])
    return "\n".join([f"<p>{text}</p>", *(peak_figure(runs, *peak) for peak in chosen.items())])


def peak_figure(runs: list[Evaluated], index: int, quantile: float) -> str:
    arrays = runs[0].arrays
    row = arrays["positive_rows"][index]
    chromosome, start, end = str(arrays["chromosome"][row]), int(arrays["start"][row]), int(arrays["end"][row])
    tracks = {run.label: run.arrays["contributions"][index] for run in runs}
    svg, alt = peak_svg(tracks, arrays["tokens"][index], chromosome, start)
    caption = f"{locus_name(chromosome, start, end - start)}, quantile {quantile:g} of the signal."
    if runs[0].outputs == "labels":
        caption += f" Predicted probability: {_probabilities(runs, row)}."
    else:
        svg = profiles_svg(runs, index, chromosome, start, end) + svg
        caption += " Above the contributions, the reads that end at each base: observed, expected by each run, control."
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
