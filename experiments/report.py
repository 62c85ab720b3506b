"""Compares evaluated runs on one self-contained HTML page.

    python -m experiments.report --runs=LABEL=DIRECTORY[,LABEL=DIRECTORY …] --output=PAGE.html [--split=test]

The runs must have been evaluated on the same loci (`experiments.evaluate`). The first run is the one the others are
compared with.
"""

import itertools
import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from experiments.launch import launch
from experiments.prior_weight import read_weight
from experiments.report_peaks import peaks_section
from experiments.report_tables import Evaluated, interpretability_section, performance_section
from experiments.run_directory import RESULT, read_record, read_result
from experiments.validation import SCORE
from fprior.errors import InputError
from fprior.files import read_json, write_atomically
from fprior.report.figures import learning_curves, to_svg
from fprior.report.page import Section, figure, key_values, page, table
from fprior.training.log import read_log


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
    result, measures = read_result(directory), read_json(f"{stem}.json", "run experiments.evaluate again")
    if record["config"]["prior"]["weight"] == "auto":
        record["config"]["prior"]["weight"] = f"auto: {read_weight(directory):.4g}"
    return Evaluated(label, record, result, read_log(directory), measures, arrays)


def check_same_loci(runs: list[Evaluated]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.outputs != first.outputs:
            raise InputError(
                f"--runs: {first.label} learned {first.outputs}, {run.label} {run.outputs}; compare one kind"
            )
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
        for name in dict.fromkeys(name for run in runs for name in run.record["config"][section])
        if len({json.dumps(run.record["config"][section].get(name)) for run in runs}) > 1
    ]
    rows: list[list[Any]] = [
        [f"{s}.{n}", *(str(run.record["config"][s].get(n, "–")) for run in runs)] for s, n in differing
    ]
    rows.append(["seed", *(str(run.record["config"]["seed"]) for run in runs)])
    rows.append(["best epoch", *(int(run.result["best"]["epoch"]) for run in runs)])
    rows.append(["epochs trained", *(round(run.result["history"][-1]["epoch"]) for run in runs)])
    config = first["config"]
    settings = {
        "input length": f"{config['data']['input_length']} bp",
        "model": config["model"]["name"],
        **{name: str(value) for name, value in config["model"].items() if name not in ("name", "outputs")},
        "prior": f"{config['prior']['name']}, freq_limit {config['prior']['freq_limit']:g}",
        "device": ", ".join(first["devices"]),
        "versions": ", ".join(f"{name} {version}" for name, version in first["versions"].items()),
    }
    commands = "".join(f"<p>{escape(run.label)}: <code>{escape(run.record['command'])}</code></p>" for run in runs)
    caption = "What differs between the runs. The best epoch is the one with the lowest validation loss."
    return table(rows, ["", *(run.label for run in runs)], caption) + key_values(settings) + commands


def curves_section(runs: list[Evaluated]) -> str:
    svg = to_svg(learning_curves({run.label: run.log for run in runs}, SCORE[runs[0].outputs]))
    caption = (
        "Thin: single training batches; bold: validation. Cosine and ratio compare the parameter gradients of the prior"
        " with those of the correctness loss; both are before weighting."
    )
    return figure(svg, caption, "Learning curves of all runs")


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
                **{f"mean GC of {kind}": values["mean"] for kind, values in dataset.get("gc", {}).items()},
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
