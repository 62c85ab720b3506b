"""The tables of a report: performance, and how clean the attributions are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.measure_names import described, is_measure, order_of
from fprior.metrics.interpretability import high_frequency_share
from fprior.metrics.statistics import describe, paired_test
from fprior.report.page import note, table

# Measure → its name, and what a higher value means: better (1), worse (−1).
PERFORMANCE = {
    "labels": {
        "auroc": ("auROC", 1),
        "auprc": ("auPRC", 1),
        "accuracy": ("accuracy at 0.5", 1),
        "positive_accuracy": ("accuracy, positives", 1),
        "negative_accuracy": ("accuracy, negatives", 1),
    },
    "profiles": {
        "nats_per_read": ("nats per read", -1),
        "multinomial_nll": ("multinomial negative log-likelihood", -1),
        "jensen_shannon_divergence": ("Jensen–Shannon divergence", -1),
        "binned_auprc_10": ("auPRC of bins of 10", 1),
        "binned_pearson_10": ("Pearson correlation, bins of 10", 1),
        "binned_spearman_10": ("Spearman correlation, bins of 10", 1),
        "count_pearson": ("counts in peaks: Pearson correlation", 1),
        "count_spearman": ("counts in peaks: Spearman correlation", 1),
        "count_squared_error": ("counts in peaks: squared error of the log", -1),
        "count_pearson_all_loci": ("counts in all loci: Pearson correlation", 1),
        "count_squared_error_all_loci": ("counts in all loci: squared error of the log", -1),
    },
}


ARROWS = {1: " ↑", -1: " ↓", 0: ""}


@dataclass
class Evaluated:
    """A run and its evaluation on one split."""

    label: str
    record: dict[str, Any]
    result: dict[str, Any]
    log: list[dict]
    measures: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def outputs(self) -> str:
        return self.record["config"]["model"].get("outputs", "labels")  # runs from before profiles say nothing


def performance_section(runs: list[Evaluated]) -> str:
    parts = []
    for task, task_name in enumerate(runs[0].measures["tasks"]):
        rows, marked = [], set()
        for i, (name, (title, sign)) in enumerate(PERFORMANCE[runs[0].outputs].items()):
            values = [run.measures["performance"][name][task] for run in runs]
            rows.append([title, *values])
            known = [(sign * value, j) for j, value in enumerate(values) if value is not None]
            if known and len(runs) > 1:
                marked.add((i, 1 + max(known)[1]))
        caption = f"{task_name}: {_counts(runs[0], task)} The better value of a row is marked."
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


def _counts(run: Evaluated, task: int) -> str:
    counts = run.measures["performance"]
    positives, negatives = (f"{counts[kind][task]:,.0f}" for kind in ("positives", "negatives"))
    kind = run.record["dataset"].get("settings", {}).get("background", "gc")
    background = {"gc": "GC-matched", "random": "random"}[kind]
    text = f"{positives} positives and {negatives} {background} negatives."
    if run.outputs == "profiles":
        positions = run.arrays["profiles"].shape[2]
        text += (
            f" Profiles are measured in peaks; a uniform one costs {np.log(positions):.2f} nats per read. Bins and"
            " divergence are those of the paper, averaged over peaks."
        )
    return text


def interpretability_section(runs: list[Evaluated]) -> str:
    limit = runs[0].measures["freq_limit"]
    shared = [name for name in runs[0].arrays if all(name in run.arrays for run in runs) and is_measure(name)]
    rows = []
    for name in sorted(shared, key=order_of):
        values = [run.arrays[name] for run in runs]
        if name == "high_frequency_share":  # one limit for all, also where the runs had different ones
            values = [high_frequency_share(np.abs(run.arrays["contributions"]), limit) for run in runs]
        _, title, better = described(name)
        row = [f"{title}{ARROWS[better]}", int(np.isfinite(values).all(axis=0).sum())]
        for this in values:
            summary = describe(this)
            error = "" if np.isnan(summary.standard_error) else f" ± {summary.standard_error:.4f}"
            row.append(None if np.isnan(summary.mean) else f"{summary.mean:.4f}{error}")
        for other in values[1:]:
            test = paired_test(values[0], other, seed=0)
            low, high = test.interval
            interval = "" if np.isnan(low) else f" [{low:.4f}, {high:.4f}]"
            row.append(f"{test.mean_difference:.4f}{interval}" if test.pairs else None)
            row += [f"{test.effect_size:.2f}", f"{test.p_value:.1e}"] if test.pairs else [None, None]
        rows.append(row)
    columns = ["", "sequences", *(run.label for run in runs)]
    for run in runs[1:]:
        columns += [f"{runs[0].label} − {run.label}", "effect", "p"]
    caption = (
        f"Arrows: whether higher or lower is better. Mean ± standard error over the positives of the"
        f" {runs[0].measures['split']} split, {len(runs[0].arrays['contributions']):,} in all, for which a measure is"
        f" defined (sequences: for which it is in every run); attribution: {runs[0].measures['attribution']}."
        f" High-frequency share: Fourier magnitude above {limit:g} cycles per input over all but the constant"
        " component. Difference: mean and 95 % bootstrap interval over sequences, which says nothing about other seeds."
        " Effect: rank-biserial correlation, from −1 (the first is lower in every sequence) to 1. p: two-sided Wilcoxon"
        " signed-rank test. All are paired by sequence."
    )
    return table(rows, columns, caption)
