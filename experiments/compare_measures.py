"""Measures the models of a comparison, each once: predictions, input gradients and DeepSHAP on the same loci."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.attribute import attribute_run, settings_of
from experiments.build import dataset_of
from experiments.compare_results import ModelResult
from experiments.evaluate import evaluate_run, interpretability, pooled
from experiments.evaluate_places import known_places
from experiments.run_directory import finished_run, read_result
from fprior.data.dataset import Dataset
from fprior.data.scores import read_scores
from fprior.files import read_json, write_json
from fprior.metrics.interpretability import continuous_jaccard, gc_reliance, share_inside

MEASURED = "compared.json"  # in a run's directory: what the measures were made with
AGAIN = "delete it: the model is measured again"
ENDS = 0.05  # of the input at either end, for the share of importance there
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} models [{elapsed}<{remaining}, ends {eta:%H:%M}]"

Models = Sequence[tuple[str, Any, Path]]  # condition, config and run directory of each


def measure_all(config: ConfigDict, models: Models) -> list[ModelResult]:
    """The results of all models, in order; those that were measured before with the same settings are read.

    All are held against the limit of frequencies of `config`, that of the experiment, whatever their own is.
    """
    if not models:
        return []
    dataset = dataset_of(config)
    masks, regions = known_places(config, dataset)
    results = []
    with tqdm(models, bar_format=BAR, desc="measuring", disable=None, file=sys.stderr) as bar:
        for condition, one, path in bar:
            finished_run(str(path), one)
            measured_with = _settings(one, masks)
            if not _is_measured(path, measured_with):
                evaluate_run(one, dataset, path, masks, regions)
                attribute_run(one, dataset, path)
                write_json(path / MEASURED, measured_with)
            results.append(result_of(config, condition, one.seed, dataset, path, masks))
    return results


def _settings(config: ConfigDict, masks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """All that the measures depend on, besides the run and the files of motifs and regions, which `masks` stand for."""
    places = {name: [int(mask.sum()), int(np.flatnonzero(mask).sum())] for name, mask in masks.items()}
    evaluate = {name: value for name, value in config.evaluate.items() if name != "batch_size"}
    return json.loads(json.dumps({"evaluate": evaluate, "attribute": settings_of(config), "places": places}))


def _is_measured(path: Path, settings: Mapping[str, Any]) -> bool:
    record = path / MEASURED
    return record.is_file() and read_json(record, AGAIN) == settings


def result_of(
    config: ConfigDict, condition: str, seed: int, dataset: Dataset, path: Path, masks: Mapping[str, np.ndarray]
) -> ModelResult:
    """The result of a model that was measured."""
    split = config.evaluate.split
    with np.load(path / f"evaluation_{split}.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    summary = read_json(path / f"evaluation_{split}.json", AGAIN)
    result = read_result(path)
    scores = read_scores(path / f"attributions_{config.attribute.split}.h5")
    contributions = {"gradient": arrays["contributions"], "deepshap": scores["contributions"]}
    measures: dict[tuple[str, str], np.ndarray] = {}
    together: dict[tuple[str, str], float | None] = {}
    for attribution, values in contributions.items():
        own = {**arrays, "contributions": values}
        of_sequences = interpretability(config, dataset, own, masks) | {"end_share": end_share(values)}
        measures |= {(attribution, name): value for name, value in of_sequences.items()}
        together |= {(attribution, name): value for name, value in pooled(own, masks).items()}
    background = ~np.any(list(masks.values()), axis=0) if masks else np.ones(values.shape, bool)
    reliance = gc_reliance(scores["hypothetical"], ~background)
    measures["deepshap", "gc_reliance"] = reliance["background_gc_at_product"]
    return ModelResult(
        condition,
        seed,
        path,
        result["history"],
        result["best"],
        summary["performance"],
        measures,
        together,
        contributions,
    )


def end_share(contributions: np.ndarray) -> np.ndarray:
    """Share `(P,)` of the importance that lies at the ends of the window; NaN where there is none at all."""
    length = contributions.shape[1]
    margin = max(1, round(ENDS * length))
    ends = np.ones(contributions.shape, bool)
    ends[:, margin : length - margin] = False
    return share_inside(np.abs(contributions), ends)


def stability(results: Sequence[ModelResult], split: str) -> np.ndarray:
    """Continuous Jaccard similarity of DeepSHAP between all pairs of models, for each positive `(P,)`.

    The mean over pairs and positions; empty with fewer than two models.
    """
    return similarity(combinations(results, 2), split)


def similarity(pairs: Iterable[tuple[ModelResult, ModelResult]], split: str) -> np.ndarray:
    """Continuous Jaccard similarity per position, averaged over pairs of models, `(P,)`; empty without any."""
    pairs = list(pairs)
    if not pairs:
        return np.empty(0)
    paths = {model.path for pair in pairs for model in pair}
    scores = {path: read_scores(path / f"attributions_{split}.h5")["hypothetical"] for path in paths}
    length = next(iter(scores.values())).shape[1]
    return np.mean([continuous_jaccard(scores[a.path], scores[b.path]) / length for a, b in pairs], axis=0)
