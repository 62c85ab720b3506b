"""Compares evaluated runs on one self-contained HTML page.

    python -m experiments.report --runs=LABEL=DIRECTORY[,LABEL=DIRECTORY …] --output=PAGE.html [--split=test]

The runs must have been evaluated on the same loci (`experiments.evaluate`). The first run is the one the others are
compared with.
"""

import itertools
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from experiments.launch import launch
from experiments.run_directory import RESULT, read_record
from fprior.errors import InputError
from fprior.files import write_atomically
from fprior.metrics.interpretability import high_frequency_share, shannon_entropy
from fprior.report.figures import Positions, attribution_pair, learning_curves, to_svg
from fprior.report.page import Section, figure, key_values, note, page, table
from fprior.sequence import decode
from fprior.training.log import read_log

PEAK_QUANTILES = (1.0, 0.75, 0.5, 0.25)  # of the signal of the positives: the peaks that are drawn
LOGO_WIDTH = 80

# Measure → what a higher value means: better (1), worse (−1).
PERFORMANCE = {
    "auroc": ("auROC", 1),
    "auprc": ("auPRC", 1),
    "accuracy": ("accuracy at 0.5", 1),
    "positive_accuracy": ("accuracy, positives", 1),
    "negative_accuracy": ("accuracy, negatives", 1),
}


@dataclass
class Evaluated:
    """A run and its evaluation on one split."""

    label: str
    record: dict[str, Any]
    result: dict[str, Any]
    log: list[dict]
    measures: dict[str, Any]
    arrays: dict[str, np.ndarray]


def main(runs: str | None, output: str | None, split: str | None) -> None:
    if not output:
        raise InputError("--output is missing; name the page to write, for example --output=report.html")
    evaluated = [read_run(label, Path(directory), split or "test") for label, directory in parse_runs(runs)]
    check_same_loci(evaluated)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, report(evaluated))
    print(output)


def parse_runs(runs: str | None) -> list[tuple[str, str]]:
    """Label and directory of each run on the command line."""
    parts = [part.partition("=") for part in (runs or "").split(",") if part]
    if not parts or not all(label and directory for label, _, directory in parts):
        raise InputError(f"--runs (={runs!r}) must be LABEL=DIRECTORY, separated by commas")
    labels = [label for label, _, _ in parts]
    if len(set(labels)) != len(labels):
        raise InputError(f"--runs (={runs!r}): two runs have one label; give each its own")
    return [(label, directory) for label, _, directory in parts]


def read_run(label: str, directory: Path, split: str) -> Evaluated:
    record = read_record(str(directory))
    stem = directory / f"evaluation_{split}"
    for path in (directory / RESULT, Path(f"{stem}.json"), Path(f"{stem}.npz")):
        if not path.is_file():
            command = "experiments.train" if path.name == RESULT else "experiments.evaluate"
            raise InputError(f"{path}: missing; run {command} with --workdir={directory} first")
    with np.load(f"{stem}.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    result, measures = (json.loads(Path(path).read_text()) for path in (directory / RESULT, f"{stem}.json"))
    return Evaluated(label, record, result, read_log(directory), measures, arrays)


def check_same_loci(runs: list[Evaluated]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name in ("chromosome", "start", "end", "labels"):
            if not np.array_equal(first.arrays[name], run.arrays[name]):
                raise InputError(
                    f"--runs: {first.label} and {run.label} were evaluated on different loci ({name} differs);"
                    " evaluate both on one data set, split and input length"
                )


def report(runs: list[Evaluated]) -> str:
    """The page."""
    dataset, config = runs[0].record["dataset"], runs[0].record["config"]
    split = runs[0].measures["split"]
    unseen = ", which played no part in training or in choosing the epoch" if split == "test" else ""
    lead = (
        f"{dataset['name']}: {', '.join(dataset['tasks'])}. {len(runs)} models, trained alike but for what the table of"
        f" runs shows, measured on the {split} split{unseen}."
    )
    sections = [
        Section("Runs", runs_section(runs)),
        Section("Performance", performance_section(runs)),
        Section("Interpretability", interpretability_section(runs)),
        Section("Learning curves", curves_section(runs)),
        Section(f"Attributions of {split} peaks", peaks_section(runs)),
        Section("Data", data_section(dataset, config)),
    ]
    return page(f"{dataset['name']}: {' vs '.join(run.label for run in runs)}", lead, sections)


def runs_section(runs: list[Evaluated]) -> str:
    first = runs[0].record
    differing = [
        (section, name)
        for section in ("data", "model", "prior", "train")
        for name in first["config"][section]
        if len({json.dumps(run.record["config"][section][name]) for run in runs}) > 1
    ]
    rows = [[f"{s}.{n}", *(str(run.record["config"][s][n]) for run in runs)] for s, n in differing]
    rows.append(["seed", *(str(run.record["config"]["seed"]) for run in runs)])
    rows.append(["best epoch", *(int(run.result["best"]["epoch"]) for run in runs)])
    rows.append(["epochs trained", *(round(run.result["history"][-1]["epoch"]) for run in runs)])
    config = first["config"]
    settings = {
        "input length": f"{config['data']['input_length']} bp",
        "model": config["model"]["name"],
        "filters": str(tuple(config["model"]["filters"])),
        "prior": f"{config['prior']['name']}, freq_limit {config['prior']['freq_limit']:g}",
        "device": ", ".join(first["devices"]),
        "versions": ", ".join(f"{name} {version}" for name, version in first["versions"].items()),
    }
    commands = "".join(f"<p>{escape(run.label)}: <code>{escape(run.record['command'])}</code></p>" for run in runs)
    caption = "What differs between the runs. The best epoch is the one with the lowest validation loss."
    return table(rows, ["", *(run.label for run in runs)], caption) + key_values(settings) + commands


def performance_section(runs: list[Evaluated]) -> str:
    parts = []
    for task, task_name in enumerate(runs[0].measures["tasks"]):
        rows, marked = [], set()
        for i, (name, (title, sign)) in enumerate(PERFORMANCE.items()):
            values = [run.measures["performance"][name][task] for run in runs]
            rows.append([title, *values])
            known = [(sign * value, j) for j, value in enumerate(values) if value is not None]
            if known and len(runs) > 1:
                marked.add((i, 1 + max(known)[1]))
        counts = runs[0].measures["performance"]
        caption = (
            f"{task_name}: {counts['positives'][task]:,.0f} positives and {counts['negatives'][task]:,.0f} GC-matched"
            " negatives. The better value of a row is marked."
        )
        parts.append(table(rows, ["", *(run.label for run in runs)], caption, marked))
    seeds = {run.record["config"]["seed"] for run in runs}
    if len(seeds) == 1:
        parts.append(
            note(
                "One seed each. Models that differ in nothing but the seed differ in performance too: whether the prior"
                " changes it takes several seeds of both."
            )
        )
    return "\n".join(parts)


def interpretability_section(runs: list[Evaluated]) -> str:
    measures = {
        "high-frequency share": lambda run: high_frequency_share(
            np.abs(run.arrays["contributions"]), runs[0].measures["freq_limit"]
        ),
        "Shannon entropy (bits)": lambda run: shannon_entropy(np.abs(run.arrays["contributions"])),
    }
    rows = []
    for name, measure in measures.items():
        values = [measure(run) for run in runs]
        row = [name]
        for this in values:
            known = this[np.isfinite(this)]
            row.append(f"{known.mean():.4f} ± {known.std(ddof=1) / np.sqrt(len(known)):.4f}")
        for other in values[1:]:
            both = np.isfinite(values[0]) & np.isfinite(other)
            difference = (values[0] - other)[both]
            p = stats.wilcoxon(difference).pvalue if np.any(difference) else 1.0
            row += [f"{difference.mean():.4f}", f"{p:.1e}"]
        rows.append(row)
    columns = ["", *(run.label for run in runs)]
    for run in runs[1:]:
        columns += [f"{runs[0].label} − {run.label}", "p"]
    caption = (
        f"Lower is cleaner. Mean ± standard error over {len(runs[0].arrays['contributions']):,} positives of the"
        f" {runs[0].measures['split']} split; attribution: {runs[0].measures['attribution']}. High-frequency share:"
        f" Fourier magnitude above {runs[0].measures['freq_limit']:g} cycles per input over all but the constant"
        " component. p: two-sided Wilcoxon signed-rank test, paired by sequence."
    )
    return table(rows, columns, caption)


def curves_section(runs: list[Evaluated]) -> str:
    svg = to_svg(learning_curves({run.label: run.log for run in runs}))
    caption = (
        "Thin: single training batches; bold: validation. Cosine and ratio compare the parameter gradients of the prior"
        " with those of the correctness loss; both are before weighting."
    )
    return figure(svg, caption, "Learning curves of all runs")


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
    probabilities = ", ".join(
        f"{run.label} {1 / (1 + np.exp(-float(run.arrays['logits'][row].mean()))):.3f}" for run in runs
    )
    caption = f"{name}, quantile {quantile:g} of the signal. Predicted probability: {probabilities}."
    alt = f"Contribution of every base of {name} and logos around its summit, sequence {decode(bases)}"
    return figure(svg, caption, alt)


def data_section(dataset: dict[str, Any], config: dict[str, Any]) -> str:
    counts = [[split, *counts.values()] for split, counts in dataset["loci"].items()]
    drops = [["peaks read", dataset["peaks"]]]
    drops += [[f"dropped: {reason}", -count] for reason, count in dataset["dropped"].items()]
    drops += [["kept as positives", dataset["peaks"] - sum(dataset["dropped"].values())]]
    kinds = list(itertools.chain.from_iterable(dataset["loci"].values()))[:2]
    parts = [
        table(counts, ["split", *kinds], "Loci in each split; no window touches two."),
        table(drops, ["", "peaks"], "From the peak files to the positives."),
        key_values(
            {
                "mean GC of positives": dataset["gc"]["positives"]["mean"],
                "mean GC of negatives": dataset["gc"]["negatives"]["mean"],
                "stored window": f"{dataset['window']} bp",
                "jitter in training": f"±{config['data']['jitter']} bp",
            }
        ),
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    launch(
        main,
        needs_config=False,
        runs="LABEL=DIRECTORY, separated by commas",
        output="page to write",
        split="evaluated split; test by default",
    )
