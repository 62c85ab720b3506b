"""Evaluates a trained run on loci that it has not seen.

    python -m experiments.evaluate --config=configs/NAME.py --workdir=runs/NAME [--config.evaluate.field=value …]

Takes the checkpoint of the best epoch and writes to the run's directory (with `--config.num_models=N` to each of its
N), for the split `config.evaluate.split`:

    evaluation_SPLIT.json   performance and interpretability, with the numbers of loci they rest on
    evaluation_SPLIT.npz    for every locus: chromosome, start, end (0-based, half-open), strand, labels, and its
                            logits, or the observed reads and predicted log counts of its profiles;
                            for every positive: its row among the loci, tokens, contributions of each base (gradient ×
                            input of the objective) and their measures, with profiles also the predicted, the
                            observed and the controls'

Importance is held against matches to `config.evaluate.motifs`, against independent regions, `config.evaluate.regions`
(footprints, peaks of a sharper assay, the true instances of a simulation), and against the summits of peaks.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments.build import dataset_of, problem_of, trained
from experiments.evaluate_places import known_places, positives_of, summits_of
from experiments.launch import launch
from experiments.member import member_configs, member_directories
from experiments.run_directory import finished_run
from fprior.attribution.gradients import GradientTimesInput
from fprior.data.dataset import Dataset
from fprior.data.splits import SPLITS
from fprior.files import write_arrays, write_json
from fprior.metrics.interpretability import (
    high_frequency_share,
    negative_share_inside,
    overlap_auprc,
    overlap_auprc_each,
    shannon_entropy,
    share_inside,
    summit_distance_spearman,
)
from fprior.metrics.performance import binary_performance
from fprior.metrics.profile import count_performance, profile_performance
from fprior.metrics.statistics import finite, spread
from fprior.training.predict import contributions, predict

OBJECTIVES = {"labels": "the summed logits", "profiles": "the weighted profile logits"}


def main(config: ConfigDict, workdir: str | None) -> None:
    members = zip(member_configs(config), member_directories(config, workdir), strict=True)
    runs = [(one, finished_run(directory, one)) for one, directory in members]
    dataset = dataset_of(config)
    masks, regions = known_places(config, dataset)
    for one, path in runs:
        print(*evaluate_run(one, dataset, path, masks, regions), sep="\n")


def evaluate_run(
    config: ConfigDict, dataset: Dataset, path: Path, masks: dict[str, np.ndarray], regions: dict[str, dict[str, Any]]
) -> list[str]:
    """Writes the evaluation of one model to its directory; returns what there is to say about it.

    `masks` and `regions` are those of `known_places`.
    """
    arrays = evaluate(config, dataset, path)
    measures = interpretability(config, dataset, arrays, masks)
    report = {**summarise(config, dataset, arrays, measures), "pooled": pooled(arrays, masks), "regions": regions}
    stem = path / f"evaluation_{config.evaluate.split}"
    write_arrays(f"{stem}.npz", {**arrays, **measures})
    write_json(f"{stem}.json", report)
    named = {**report["performance"], **report["interpretability"]}
    return [
        f"{stem}.json",
        *(f"  {name:28} {format_value(value)}" for name, value in named.items()),
        *(f"  {name:28} {format_value([value])} (all bases together)" for name, value in report["pooled"].items()),
    ]


def evaluate(config: ConfigDict, dataset: Dataset, path: Path) -> dict[str, np.ndarray]:
    """Predictions for every locus of the split, contributions for its positives."""
    length, batch_size = config.data.input_length, config.evaluate.batch_size
    model, variables, _ = trained(config, dataset, path)
    positives = positives_of(config, dataset)
    negatives = dataset.select(SPLITS.index(config.evaluate.split), positive=False)
    loci = np.concatenate([positives, negatives])
    chromosome, start, end = dataset.interval(loci, length)
    tokens = dataset.centred(positives, length)
    if config.model.outputs == "labels":
        predictions = {"logits": predict(model, variables, dataset.centred(loci, length), batch_size)}
        controls = None
    else:
        predictions, controls = predict_profiles(config, dataset, model, variables, positives, negatives)
    return {
        "chromosome": chromosome,
        "start": start,
        "end": end,
        "strand": np.full(len(loci), "+"),
        "labels": dataset.loci["labels"][loci],
        **predictions,
        "positive_rows": np.arange(len(positives)),
        "signal": dataset.loci["signal"][positives],
        "tokens": tokens,
        "contributions": contributions(
            model,
            variables,
            tokens,
            batch_size,
            attribution=GradientTimesInput(config.evaluate.centred),
            problem=problem_of(config),
            controls=controls,
        ),
    }


def predict_profiles(
    config: ConfigDict, dataset: Dataset, model: Any, variables: Any, positives: np.ndarray, negatives: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Reads and log counts `(N, T, S)` of all loci, profiles `(P, T, O, S)` of the positives; and their controls."""
    data, batch_size = config.data, config.evaluate.batch_size
    reads: list[np.ndarray] = []
    log_counts: list[np.ndarray] = []
    for loci in (negatives, positives):  # the positives' arrays are those left at the end
        profiles, counts = dataset.counts(loci, data.output_length)
        controls = counts if counts.shape[1] else None
        outputs = predict(model, variables, dataset.centred(loci, data.input_length), batch_size, controls=controls)
        reads.insert(0, profiles.sum(axis=2, dtype=np.int64))
        log_counts.insert(0, outputs[1])
    arrays = {
        "reads": np.concatenate(reads),
        "log_counts": np.concatenate(log_counts),
        "log_probabilities": np.asarray(jax.nn.log_softmax(outputs[0], axis=2)),
        "profiles": profiles,
    }
    return arrays if controls is None else {**arrays, "controls": controls}, controls


def interpretability(
    config: ConfigDict, dataset: Dataset, arrays: dict[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Measures of each positive's attribution, by name; `masks` `(P, L)` are the places it should lie in."""
    contributions, length = arrays["contributions"], config.data.input_length
    tracks = np.abs(contributions)
    measures = {
        "high_frequency_share": high_frequency_share(tracks, config.prior.freq_limit),
        "entropy_bits": shannon_entropy(tracks),
    }
    summits = summits_of(dataset, positives_of(config, dataset), length)
    if summits is not None:
        measures["summit_distance_spearman"] = summit_distance_spearman(tracks, summits)
    for name, mask in masks.items():
        measures[f"share_in_{name}"] = share_inside(tracks, mask)
        measures[f"overlap_auprc_{name}"] = overlap_auprc_each(tracks, mask)
        measures[f"negative_share_in_{name}"] = negative_share_inside(contributions, mask)
    return measures


def pooled(arrays: dict[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """Measures of all positives' bases together, by name, as JSON."""
    tracks = np.abs(arrays["contributions"])
    return {f"overlap_auprc_{name}": finite(overlap_auprc(tracks, mask)) for name, mask in masks.items()}


def summarise(
    config: ConfigDict, dataset: Dataset, arrays: dict[str, np.ndarray], measures: dict[str, np.ndarray]
) -> dict[str, Any]:
    """All measures of one evaluation, as JSON."""
    performance = label_performance(config, arrays) if "logits" in arrays else profile_summary(arrays)
    return {
        "split": config.evaluate.split,
        "tasks": list(dataset.tasks),
        "performance": {name: [finite(value) for value in values] for name, values in performance.items()},
        "interpretability": {name: spread(values, "sequences") for name, values in measures.items()},
        "freq_limit": config.prior.freq_limit,
        "attribution": f"{'centred ' if config.evaluate.centred else ''}gradient × input of"
        f" {OBJECTIVES[config.model.outputs]}",
    }


def label_performance(config: ConfigDict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measures by name, each `(T,)`."""
    probabilities = np.asarray(jax.nn.sigmoid(arrays["logits"].astype(np.float64)), np.float64)
    upsampling = config.evaluate.negative_upsampling
    return binary_performance(arrays["labels"], probabilities, negative_upsampling=upsampling)


def profile_summary(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Measures by name, each `(T,)`: of the profiles and counts of positives, and of the counts of all loci."""
    peaks = len(arrays["positive_rows"])
    observed, log_probabilities = arrays["profiles"], arrays["log_probabilities"].astype(np.float64)
    of_peaks = profile_performance(observed, log_probabilities, arrays["log_counts"][:peaks])
    crossed = -(observed * log_probabilities).sum(axis=(0, 2, 3))
    reads = observed.sum(axis=(0, 2, 3), dtype=np.float64)
    result = {"nats_per_read": np.divide(crossed, reads, out=np.full_like(crossed, np.nan), where=reads > 0)}
    for name, values in of_peaks.items():
        if name == "nats_per_read":
            continue  # of single examples: a peak with few reads would weigh as much as one with many
        if values.ndim == 3:
            result |= {f"{name}_{size}": mean_of_known(values[..., i]) for i, size in enumerate(("1", "4", "10"))}
        else:
            result[name] = mean_of_known(values) if values.ndim == 2 else values
    for name, values in count_performance(arrays["reads"], arrays["log_counts"]).items():
        result[f"{name}_all_loci"] = values
    tasks = observed.shape[1]
    return result | {"positives": np.full(tasks, peaks), "negatives": np.full(tasks, len(arrays["reads"]) - peaks)}


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean `(T,)` over the examples of `(N, T)` for which a measure is defined; NaN if it is for none."""
    known = np.isfinite(values)
    totals, counts = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
    return np.divide(totals, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def format_value(value: Any) -> str:
    if not isinstance(value, dict):
        return ", ".join("undefined" if item is None else f"{item:.4f}".removesuffix(".0000") for item in value)
    if value["mean"] is None:
        return f"undefined (n = 0, {value['undefined']} without a value)"
    error = "" if value["standard_error"] is None else f" ± {value['standard_error']:.4f}"
    return f"{value['mean']:.4f}{error} (mean, standard error; n = {value['sequences']})"


if __name__ == "__main__":
    launch(main, workdir="directory of a trained run")
