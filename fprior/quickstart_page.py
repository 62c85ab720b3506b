"""The page, the record and the printed table of `fprior.quickstart`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fprior.metrics.statistics import describe, finite, paired_test, spread
from fprior.report.figures import learning_curves, to_svg
from fprior.report.page import MISSING, Section, figure, key_values, note, page, table
from fprior.report.peak_figure import QUANTILES, chosen_peaks, locus_name, peak_svg

PERFORMANCE = {"auroc": "auROC ↑", "auprc": "auPRC ↑"}
MEASURES = {
    "high_frequency_share": "high-frequency share ↓",
    "entropy_bits": "Shannon entropy, bits ↓",
    "share_in_peaks": "share of importance in peaks ↑",
    "share_in_motif": "share in matches to CTCF's motif ↑",
}
CAUTION = (
    "One seed of each model: two that differ in nothing but the seed differ in all of these numbers too, and one run"
    " cannot say by how much. Run other seeds before you believe a difference: --seed=1 --output=ANOTHER_DIRECTORY."
)


class Inputs(NamedTuple):
    """The P peaks that are explained: where their inputs lie (0-based), their signal, and their tokens `(P, L)`."""

    chromosome: np.ndarray
    start: np.ndarray
    signal: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True, eq=False)
class Explained:
    """A trained model on the test split.

    `performance` and `measures` have at least the names of `PERFORMANCE` and `MEASURES`; a measure is `(P,)`,
    `probabilities` `(P,)`, `contributions` `(P, L)`; `log` are the entries of its log.
    """

    label: str
    performance: Mapping[str, float]
    probabilities: np.ndarray
    contributions: np.ndarray
    measures: Mapping[str, np.ndarray]
    log: Sequence[Mapping]


def as_text(models: Sequence[Explained]) -> str:
    """The table for a terminal: of the measures of attributions the means over peaks."""
    rows = [(title, [model.performance[name] for model in models]) for name, title in PERFORMANCE.items()]
    for name, title in MEASURES.items():
        rows.append((title, [float(describe(model.measures[name]).mean) for model in models]))
    lines = [_counts(models[0]), f"{'':36}" + "".join(f"{model.label:>15}" for model in models)]
    lines += [f"{title:36}" + "".join(f"{_plain(value):>15}" for value in values) for title, values in rows]
    return "\n".join(lines)


def _counts(model: Explained) -> str:
    positives, negatives = (model.performance[kind] for kind in ("positives", "negatives"))
    return f"Held-out blocks of the genome: {positives:,.0f} peaks, {negatives:,.0f} places of the background."


def as_json(models: Sequence[Explained]) -> dict[str, Any]:
    """Every measure of every model; of those of attributions mean, standard error and numbers of peaks."""
    return {
        "performance": {m.label: {name: finite(value) for name, value in m.performance.items()} for m in models},
        "interpretability": {m.label: {name: spread(m.measures[name], "peaks") for name in MEASURES} for m in models},
    }


def report(models: Sequence[Explained], inputs: Inputs, settings: Mapping[str, Any]) -> str:
    """The page that compares two models."""
    lead = (
        "A model that tells CTCF's binding sites in GM12878 from background of the same GC, trained with the Fourier"
        " attribution prior and without: same first parameters, same batches. " + _counts(models[0])
    )
    curves = to_svg(learning_curves({model.label: model.log for model in models}))
    told = (
        "Thin: single training batches; bold: validation. Cosine and ratio compare the parameter gradients of the prior"
        " with those of the correctness loss."
    )
    sections = [
        Section("Measures", measures_section(models)),
        Section("The same peaks, explained by both", peaks_section(models, inputs)),
        Section("Learning curves", figure(curves, told, "Learning curves of both models")),
        Section("How it was made", key_values(settings)),
    ]
    return page("fprior: CTCF with and without the Fourier attribution prior", lead, sections)


def measures_section(models: Sequence[Explained]) -> str:
    first, second = models
    rows: list[list[Any]] = []
    for name, title in PERFORMANCE.items():
        values = [model.performance[name] for model in models]
        rows.append([title, None, *map(_plain, values), _signed(values[0] - values[1])])
    for name, title in MEASURES.items():
        test = paired_test(first.measures[name], second.measures[name], seed=0)
        summaries = [describe(model.measures[name]) for model in models]
        cells = [f"{_plain(summary.mean)} ± {_plain(summary.standard_error)}" for summary in summaries]
        interval = ", ".join(_signed(end) for end in test.interval)
        rows.append([title, test.pairs, *cells, f"{_signed(test.mean_difference)} [{interval}]"])
    columns = ["", "peaks", first.label, second.label, f"{first.label} − {second.label}"]
    caption = (
        "Arrows: whether higher or lower is better. Attributions are centred gradient × input of the logit, their"
        " measures mean ± standard error over the peaks for which both models have one. Difference: with its 95 %"
        " bootstrap interval over peaks, which says nothing about other seeds."
    )
    return table(rows, columns, caption) + note(CAUTION)


def _plain(value: float | np.ndarray) -> str:
    return f"{value:.3f}" if np.isfinite(value) else MISSING


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−") if np.isfinite(value) else MISSING


def peaks_section(models: Sequence[Explained], inputs: Inputs) -> str:
    text = (
        f"The peaks are not picked by eye: they are those at the quantiles {', '.join(map(str, QUANTILES))} of the"
        " signal of all held-out peaks. The letters show the bases around the summit, in the middle."
    )
    chosen = chosen_peaks(inputs.signal)
    return "\n".join([f"<p>{text}</p>", *(peak_figure(models, inputs, *peak) for peak in chosen.items())])


def peak_figure(models: Sequence[Explained], inputs: Inputs, index: int, quantile: float) -> str:
    chromosome, start = str(inputs.chromosome[index]), int(inputs.start[index])
    tracks = {model.label: model.contributions[index] for model in models}
    svg, alt = peak_svg(tracks, inputs.tokens[index], chromosome, start)
    name = locus_name(chromosome, start, inputs.tokens.shape[1])
    predicted = ", ".join(f"{model.label} {model.probabilities[index]:.3f}" for model in models)
    return figure(svg, f"{name}, quantile {quantile:g} of the signal. Predicted probability: {predicted}.", alt)
