"""What a comparison has measured: of every model, and of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.conditions import Condition, Question
from fprior.metrics.statistics import PairedTest, UnpairedTest

ATTRIBUTIONS = {"gradient": "gradient × input", "deepshap": "DeepSHAP"}  # every model is measured by both


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One trained model, measured on the loci of one split.

    Attributes:
      condition, seed: which model.
      path: its run directory.
      history: validation at the end of every epoch; `best`, the entry of the epoch that was taken.
      performance: measure → one value a task, None where it is undefined; as in evaluation_SPLIT.json.
      measures: (attribution, measure) → one value a positive `(P,)`, NaN where it is undefined.
      pooled: (attribution, measure) → one value over the bases of all positives.
      contributions: attribution → contributions of the bases that are there, `(P, L)`.
    """

    condition: str
    seed: int
    path: Path
    history: list[dict[str, float]]
    best: dict[str, float]
    performance: Mapping[str, list[float | None]]
    measures: Mapping[tuple[str, str], np.ndarray]
    pooled: Mapping[tuple[str, str], float | None]
    contributions: Mapping[str, np.ndarray]


class FoundPattern(NamedTuple):
    """A positive pattern of a model.

    name: TF-MoDISco's rank by number of seqlets, `positive_0` first.
    contributions: its contribution-weight matrix `(W, 4)`; trimmed: the positions of it that matter.
    seqlets, instances: how many.
    bits: of information in the trimmed pattern.
    matches: q of the known motifs most like it, best first.
    """

    name: str
    contributions: np.ndarray
    trimmed: slice
    seqlets: int
    instances: int
    bits: float
    matches: Mapping[str, float]


class Reached(NamedTuple):
    """What the calls of positive patterns reach of a set of regions.

    reached: `(K,)`, how many regions the 1 … K most important calls overlap; at_random: the same at random places.
    regions: how many overlap a locus and could be reached.
    """

    reached: np.ndarray
    at_random: np.ndarray
    regions: int


@dataclass(frozen=True, eq=False)
class ModelMotifs:
    """What was found in the attributions of one model.

    Attributes:
      condition, seed: which model.
      path: of motifs.html.
      patterns: the positive ones, by rank.
      why_none: the likely reason where there is no positive pattern; "" where there is one.
      failed: whether the search itself failed, for the reason in `why_none`: nothing is known of the model's motifs.
      recall: region set → what its calls reach.
      scan: known motif → q of its enrichment in the same sequences by a plain scan, which needs no model; empty where
        there are no negatives.
    """

    condition: str
    seed: int
    path: Path
    patterns: tuple[FoundPattern, ...]
    why_none: str
    failed: bool
    recall: Mapping[str, Reached]
    scan: Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """One model of the sweep that chooses a weight: word of the condition, its weight, and how it did."""

    word: str
    weight: float
    loss: float  # the best validation loss
    epoch: int
    chosen: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """All that a comparison's tables and page are made of.

    Attributes:
      config: of the experiment; its own prior is the one that is judged.
      question: which the conditions answer.
      conditions: the first is the one that the others are compared with.
      results: condition → its models, in the order of the seeds.
      record: the record of the first model's run, with the data set's manifest.
      split, tasks: what was measured.
      loci: `chromosome`, `start`, `end`, `signal` and `tokens` `(P, L)` of the positives.
      stability: condition → mean continuous Jaccard similarity over all pairs of seeds, one value a positive `(P,)`;
        empty with one seed.
      subset: condition → the same between each model and the one of its seed that saw only a part of the positives;
        empty where that was not asked for.
      subset_results: condition → models trained on that part.
      trials: the sweep.
      weights: word of a condition → its weight, of the words that have one.
      motifs: condition → what was found in its models, in the order of the seeds; empty where that was not asked for.
    """

    config: Any
    question: Question
    conditions: tuple[Condition, ...]
    results: Mapping[str, list[ModelResult]]
    record: Mapping[str, Any]
    split: str
    tasks: tuple[str, ...]
    loci: Mapping[str, np.ndarray]
    stability: Mapping[str, np.ndarray]
    subset: Mapping[str, np.ndarray]
    subset_results: Mapping[str, list[ModelResult]]
    trials: tuple[Trial, ...]
    weights: Mapping[str, float]
    motifs: Mapping[str, list[ModelMotifs]]

    @property
    def seeds(self) -> list[int]:
        return [model.seed for model in self.results[self.conditions[0].name]]


@dataclass(frozen=True)
class Row:
    """One measure of one condition, beside the first condition.

    Attributes:
      table: performance, stability, summits, regions, cleanness or motifs.
      measure: its name in files and for `--require`, such as deepshap.entropy_bits or auroc.
      title: its name on the page.
      better: 1 if higher is better, −1 if lower is, 0 if neither.
      condition: which.
      values: one for each seed (for the similarity of seeds one in all: it is a measure of pairs).
      mean, deviation: over them; the deviation is NaN for one value.
      by_sequence: against the first condition, each sequence's mean over the seeds paired; None where a measure has no
        value of single sequences, and for the first condition itself.
      by_seed: against the first condition, the seeds' values; None likewise.
    """

    table: str
    measure: str
    title: str
    better: int
    condition: str
    values: tuple[float, ...]
    mean: float
    deviation: float
    by_sequence: PairedTest | None
    by_seed: UnpairedTest | None
