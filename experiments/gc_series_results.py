"""What is measured of every model of a GC-bias series."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiments.compare_results import ModelResult
from experiments.conditions import Condition
from experiments.evaluate_places import positives_of
from experiments.measure_names import Described
from fprior.data.dataset import Dataset
from fprior.data.loci import read_loci
from fprior.data.regions import INSTANCES, region_mask
from fprior.data.scores import read_scores
from fprior.metrics.interpretability import gc_reliance, share_inside
from fprior.metrics.statistics import describe
from fprior.sequence import ALPHABET

# Section of the page, title, and 1 if higher is better, 0 if neither. The first one is what figure 5 shows.
PRODUCT = "background_gc_at_product"
MEASURES = {
    PRODUCT: Described("reliance", "background: G/C importance × A/T importance", 0),
    "background_gc_importance": Described("reliance", "background: G/C importance", 0),
    "background_at_importance": Described("reliance", "background: A/T importance", 0),
    "share_in_instances": Described("motif", "share of importance in the instances", 1),
    "importance_in_instances": Described("motif", "importance in the instances (logits)", 0),
    "gc_importance_in_instances": Described("motif", "importance of G and C in the instances (logits)", 0),
    "auroc": Described("performance", "auROC", 1),
}


@dataclass(frozen=True, eq=False)
class SeriesModel:
    """One trained model of the series.

    Attributes:
      bias: of the training positives' background, as a share of all bases.
      condition, seed: which model.
      path: its run directory.
      auroc: on all loci of the split; NaN where it is undefined.
      sequences: every other measure → one value a positive `(P,)`, NaN where it is undefined.
    """

    bias: float
    condition: str
    seed: int
    path: Path
    auroc: float
    sequences: Mapping[str, np.ndarray]

    def value(self, measure: str) -> float:
        """The measure of the model: the mean over the sequences that have one."""
        return self.auroc if measure == "auroc" else float(describe(self.sequences[measure]).mean)


@dataclass(frozen=True, eq=False)
class Series:
    """All that the tables and the page of a series are made of.

    Attributes:
      config: of the experiment.
      conditions: the first is the one that the others are compared with.
      weights: word of a condition → its weight, of the words that have one.
      seeds, biases: of the models; biases ascend.
      models: of every bias, condition and seed.
      record: the record of the first model's run.
    """

    config: Any
    conditions: tuple[Condition, ...]
    weights: Mapping[str, float]
    seeds: list[int]
    biases: list[float]
    models: list[SeriesModel]
    record: Mapping[str, Any]

    def of(self, bias: float, condition: str) -> list[SeriesModel]:
        """The models of a bias and a condition, in the order of the seeds."""
        return [model for model in self.models if (model.bias, model.condition) == (bias, condition)]


def series_model(bias: float, config: ConfigDict, dataset: Dataset, result: ModelResult) -> SeriesModel:
    """A model of the series, whose DeepSHAP scores lie in its run's directory."""
    scores = read_scores(result.path / f"attributions_{config.attribute.split}.h5")
    auroc = result.performance["auroc"][0]
    return SeriesModel(
        bias,
        result.condition,
        result.seed,
        result.path,
        float("nan") if auroc is None else auroc,
        sequence_measures(scores, instance_mask(config, dataset)),
    )


def instance_mask(config: ConfigDict, dataset: Dataset) -> np.ndarray:
    """Which bases of the positives' inputs lie in a true instance, `(P, L)`."""
    length = config.data.input_length
    chromosome, start, _ = dataset.interval(positives_of(config, dataset), length)
    return region_mask(read_loci(dataset.path / INSTANCES), chromosome, start, length)


def sequence_measures(scores: Mapping[str, np.ndarray], instances: np.ndarray) -> dict[str, np.ndarray]:
    """All measures of attributions by name, each `(P,)`.

        importance in the instances = Σ_{i in instances} |c_i|, c_i the contribution of the base that is there

    in logits, and the same over the bases that are G or C. For the background see `fprior.metrics.gc_reliance`.

    Args:
      scores: columns of `fprior.data.scores`: `hypothetical` `(P, L, 4)`, `contributions` and `tokens` `(P, L)`.
      instances: which bases lie in a true instance, `(P, L)` bool; the others are background.
    """
    track = np.abs(np.asarray(scores["contributions"], np.float64))
    gc = np.isin(scores["tokens"], [ALPHABET.index("G"), ALPHABET.index("C")])
    return {
        **gc_reliance(scores["hypothetical"], instances),
        "share_in_instances": share_inside(track, instances),
        "importance_in_instances": np.where(instances, track, 0).sum(axis=1),
        "gc_importance_in_instances": np.where(instances & gc, track, 0).sum(axis=1),
    }
