"""Evaluates a trained run on loci that it has not seen.

    python -m experiments.evaluate --config=configs/NAME.py --workdir=runs/NAME [--config.evaluate.field=value …]

Takes the checkpoint of the best epoch and writes to the run's directory (with `--config.num_models=N` to each of its
N), for the split `config.evaluate.split`:

    evaluation_SPLIT.json   performance and interpretability, with the numbers of loci they rest on
    evaluation_SPLIT.npz    for every locus: chromosome, start, end (0-based, half-open), strand, labels, logits;
                            for every positive: its row among the loci, tokens, and contributions of each base
                            (gradient × input of the summed logits)
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.build import dataset_of, trained
from experiments.launch import launch
from experiments.member import member_configs, member_directories
from experiments.run_directory import finished_run
from fprior.attribution.gradients import GradientTimesInput
from fprior.data.dataset import Dataset
from fprior.data.splits import SPLITS
from fprior.errors import InputError
from fprior.files import write_arrays, write_json
from fprior.metrics.interpretability import high_frequency_share, shannon_entropy
from fprior.metrics.performance import binary_performance
from fprior.training.predict import contributions, predict


def main(config, workdir: str | None) -> None:
    members = zip(member_configs(config), member_directories(config, workdir), strict=True)
    runs = [(one, finished_run(directory, one)) for one, directory in members]
    dataset = dataset_of(config)
    for one, path in runs:
        evaluate_run(one, dataset, path)


def evaluate_run(config, dataset: Dataset, path: Path) -> None:
    """Writes the evaluation of one model to its directory and prints the measures."""
    arrays = evaluate(config, dataset, path)
    report = summarise(config, dataset, arrays)
    stem = path / f"evaluation_{config.evaluate.split}"
    write_arrays(f"{stem}.npz", arrays)
    write_json(f"{stem}.json", report)
    print(f"{stem}.json")
    for name, value in {**report["performance"], **report["interpretability"]}.items():
        print(f"  {name:22} {format_value(value)}")


def evaluate(config, dataset: Dataset, path: Path) -> dict[str, np.ndarray]:
    """Predictions for every locus of the split, contributions for its positives."""
    length, batch_size = config.data.input_length, config.evaluate.batch_size
    model, variables, _ = trained(config, dataset, path)
    split = SPLITS.index(config.evaluate.split)
    positives, negatives = (dataset.select(split, positive=kind) for kind in (True, False))
    if not len(positives):
        raise InputError(f"config.evaluate.split (={config.evaluate.split!r}): {dataset.path} has no positives there")
    loci = np.concatenate([positives, negatives])
    chromosome, start, end = dataset.interval(loci, length)
    tokens = dataset.centred(positives, length)
    attribution = GradientTimesInput(config.evaluate.centred)
    return {
        "chromosome": chromosome,
        "start": start,
        "end": end,
        "strand": np.full(len(loci), "+"),
        "labels": dataset.loci["labels"][loci],
        "logits": predict(model, variables, dataset.centred(loci, length), batch_size),
        "positive_rows": np.arange(len(positives)),
        "signal": dataset.loci["signal"][positives],
        "tokens": tokens,
        "contributions": contributions(model, variables, tokens, batch_size, attribution=attribution),
    }


def summarise(config, dataset: Dataset, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The measures of one evaluation, as JSON."""
    probabilities = np.asarray(jax.nn.sigmoid(arrays["logits"].astype(np.float64)), np.float64)
    performance = binary_performance(
        arrays["labels"], probabilities, negative_upsampling=config.evaluate.negative_upsampling
    )
    tracks = np.abs(arrays["contributions"])
    limit = config.prior.freq_limit
    measures = {"high_frequency_share": high_frequency_share(tracks, limit), "entropy_bits": shannon_entropy(tracks)}
    return {
        "split": config.evaluate.split,
        "tasks": list(dataset.tasks),
        "performance": {name: [finite(value) for value in values] for name, values in performance.items()},
        "interpretability": {name: spread(values) for name, values in measures.items()},
        "freq_limit": limit,
        "attribution": f"{'centred ' if config.evaluate.centred else ''}gradient × input of the summed logits",
    }


def spread(values: np.ndarray) -> dict[str, float | int | None]:
    """Mean and standard error over the sequences that have a value, and how many have none."""
    known = values[np.isfinite(values)]
    count = len(known)
    return {
        "mean": finite(known.mean()) if count else None,
        "standard_error": finite(known.std(ddof=1) / np.sqrt(count)) if count > 1 else None,
        "sequences": count,
        "undefined": len(values) - count,
    }


def finite(value: float) -> float | None:
    """JSON has no NaN; what is undefined is null."""
    return float(value) if np.isfinite(value) else None


def format_value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:.4f} ± {value['standard_error']:.4f} (mean, standard error; n = {value['sequences']})"
    return ", ".join("undefined" if item is None else f"{item:.4f}".removesuffix(".0000") for item in value)


if __name__ == "__main__":
    launch(main, workdir="directory of a trained run")
