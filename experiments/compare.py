"""Does the prior help? Trains models under several conditions with several seeds, and tells what differs.

    python -m experiments.compare --config=configs/NAME.py --seeds=5 [--conditions=none,fourier,l2,fourier+l2]
        [--question=NAME] [--workdir=runs/compare_NAME] [--require="jaccard>=0.3"] [--config.section.field=value …]

Every model is a run of `experiments.train` under WORKDIR/models, measured on the same held-out loci
(`config.evaluate.split`) by input gradients and by DeepSHAP. The first condition is what the others are compared with;
without `--conditions` they are those of the question, `prior` by default. Writes to the directory

    QUESTION.html    one page: performance, stability, placement and cleanness of attributions, motifs, examples, the
                     paper's own numbers beside ours
    QUESTION.csv     the same numbers in full: a row for each measure and condition
    QUESTION.json    the config, the conditions with their weights, versions

and with `--config.compare.motifs=True` (also later: only the motifs are then looked for)

    QUESTION_motifs.csv      the known motifs found: a row for each of them and condition
    models/…/motifs_SPLIT/   every model's own, as `experiments.motifs` writes them

Interrupted, the same command goes on; finished models are neither trained nor measured again, also by another question
with the same directory. `--require` makes the exit status 1 where a threshold is not met: see
experiments/requirements.py. The conditions and the questions are listed in experiments/conditions.py.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiments.build import dataset_of
from experiments.compare_measures import Models, measure_all, similarity, stability
from experiments.compare_motif_numbers import known_csv, known_motifs
from experiments.compare_motifs import check_motifs, motifs_of_all
from experiments.compare_page import compare_page
from experiments.compare_results import Comparison, ModelResult, Row, Trial
from experiments.compare_rows import as_csv, rows_of
from experiments.compare_training import Planned, Stopped, changed, planned, stopping, train_all
from experiments.conditions import QUESTIONS, Condition, parse_conditions, swept_words
from experiments.config import with_changes
from experiments.evaluate_places import known_places
from experiments.launch import config_file, launch
from experiments.requirements import Requirement, parse_requirements
from experiments.run_directory import RECORD, alone, provenance, read_record, read_result
from fprior.errors import InputError
from fprior.files import write_atomically, write_json

UNMET_STATUS = 1
Weights = Mapping[str, float]  # of the words of conditions that have one


def main(
    config: ConfigDict,
    workdir: str | None,
    seeds: str | None,
    conditions: str | None,
    question: str | None,
    require: str | None,
) -> None:
    asked = question or "prior"
    if asked not in QUESTIONS:
        raise InputError(f"--question (={asked!r}) must be one of {', '.join(QUESTIONS)}")
    chosen = parse_conditions(conditions.split(",") if conditions is not None else QUESTIONS[asked].conditions)
    requirements = parse_requirements(require, [condition.name for condition in chosen])
    config = settled(config)
    plan = Plan(config, chosen, seeds_of(config, seeds), Path(workdir or f"runs/compare_{Path(config_file()).stem}"))
    known_places(config, dataset_of(config))  # raises for wrong motifs or regions before anything is trained
    if config.compare.motifs:
        check_motifs(config)
    with locked(plan.path):
        try:
            with stopping():
                weights, trials = plan.sweep()
                plan.train(weights)
                comparison = plan.measure(weights, trials, asked)
        except Stopped:
            print(f"{plan.path}: saved; the same command goes on from here")
            return
        rows = rows_of(comparison)
        write_atomically(plan.path / f"{asked}.csv", as_csv(rows))
        write_atomically(plan.path / f"{asked}.html", compare_page(comparison, rows))
        if comparison.motifs:
            known = known_motifs(comparison.motifs, config.motifs.q_value)
            write_atomically(plan.path / f"{asked}_motifs.csv", known_csv(known))
        changes = {one.name: dict(one.overrides(config, weights)) for one in chosen}
        record = {**provenance("compare", config), "conditions": changes, "seeds": plan.seeds}
        write_json(plan.path / f"{asked}.json", record)
    print(plan.path / f"{asked}.html")
    print(plan.path / f"{asked}.csv")
    check(requirements, rows)


def settled(config: ConfigDict) -> ConfigDict:
    """The config with what a comparison decides itself."""
    if config.num_models != 1:
        raise InputError(f"config.num_models (={config.num_models}) must be 1; --seeds says how many models there are")
    if config.attribute.loci:
        raise InputError(
            f"config.attribute.loci (={config.attribute.loci!r}) must be empty: a comparison attributes the positives"
            " of config.evaluate.split"
        )
    return with_changes(config, {"attribute.split": config.evaluate.split})


def seeds_of(config: ConfigDict, seeds: str | None) -> list[int]:
    """The seeds of the models of every condition: config.seed and those that follow."""
    if seeds is None or not seeds.isdecimal() or int(seeds) < 1:
        raise InputError(f"--seeds (={seeds!r}) must be a whole number from 1; five tell more than chance")
    return list(range(config.seed, config.seed + int(seeds)))


class Plan:
    """The models of a comparison and where they lie."""

    def __init__(self, config: ConfigDict, conditions: Sequence[Condition], seeds: list[int], path: Path) -> None:
        self.config, self.conditions, self.seeds, self.path = config, conditions, seeds, path
        for weights in self._trials():  # raises for what does not go together before anything is trained
            for condition in conditions:
                changed(config, condition.overrides(config, weights).items(), seeds[-1])

    def sweep(self) -> tuple[Weights, tuple[Trial, ...]]:
        """Trains one model for each weight of each word that has one; the weights with the lowest validation loss."""
        chosen: dict[str, float] = {}
        trials: list[Trial] = []
        models = {
            (word, weight): self._models(Condition(word, (word,)), {word: weight}, self.seeds[:1])[0]
            for word in swept_words(self.conditions)
            for weight in self.config.compare[word]
            if len(self.config.compare[word]) > 1
        }
        train_all(list(models.values()))
        for word in swept_words(self.conditions):
            best = {w: read_result(model.path)["best"] for (name, w), model in models.items() if name == word}
            losses = {weight: entry["loss/correctness"] for weight, entry in best.items()}
            chosen[word] = min(losses, key=lambda weight: losses[weight]) if losses else self.config.compare[word][0]
            trials += [
                Trial(word, weight, losses[weight], round(best[weight]["epoch"]), weight == chosen[word])
                for weight in losses
            ]
        return chosen, tuple(trials)

    def train(self, weights: Weights) -> None:
        """Trains all models, those of a seed after one another."""
        models = [
            model
            for seed in self.seeds
            for condition in self.conditions
            for model in (*self._models(condition, weights, [seed]), *self._subset_models(condition, weights, [seed]))
        ]
        train_all(models)

    def measure(self, weights: Weights, trials: tuple[Trial, ...], question: str) -> Comparison:
        """Measures all models, which are trained."""
        results, subset = (self._measured(make, weights) for make in (self._models, self._subset_models))
        found = motifs_of_all(self.config, self._flat(self._models, weights)) if self.config.compare.motifs else []
        split = self.config.evaluate.split
        first = results[self.conditions[0].name][0]
        return Comparison(
            config=self.config,
            question=QUESTIONS[question],
            conditions=tuple(self.conditions),
            results=results,
            record=read_record(str(first.path)),
            split=split,
            tasks=tuple(dataset_of(self.config).tasks),
            loci=loci_of(first.path, split),
            stability={name: stability(models, split) for name, models in results.items()},
            subset={
                name: similarity(zip(results[name], models, strict=True), split)
                for name, models in subset.items()
                if models
            },
            subset_results=subset,
            trials=trials,
            weights=dict(weights),
            motifs={c.name: [one for one in found if one.condition == c.name] for c in self.conditions if found},
        )

    def _models(self, condition: Condition, weights: Weights, seeds: Sequence[int]) -> list[Planned]:
        changes = condition.overrides(self.config, weights)
        return planned(changes, seeds, self.path / "models" / label(condition, weights))

    def _subset_models(self, condition: Condition, weights: Weights, seeds: Sequence[int]) -> list[Planned]:
        """The same models on a part of the positives; none where that is not asked for."""
        compare = self.config.compare
        if compare.subset_fraction == 1:
            return []
        changes = condition.overrides(self.config, weights)
        changes |= {"data.top_fraction": compare.subset_fraction}
        if compare.subset_epochs:
            changes["train.epochs"] = compare.subset_epochs
        return planned(changes, seeds, self.path / "models" / f"{label(condition, weights)}.subset")

    def _trials(self) -> Iterator[Weights]:
        """Weights such that each of the sweep comes up once."""
        words = swept_words(self.conditions)
        for number in range(max((len(self.config.compare[word]) for word in words), default=1)):
            yield {word: self.config.compare[word][number % len(self.config.compare[word])] for word in words}

    def _measured(self, make: Callable[..., list[Planned]], weights: Weights) -> dict[str, list[ModelResult]]:
        """The results of models by condition."""
        results = measure_all(self.config, self._flat(make, weights))
        return {c.name: [result for result in results if result.condition == c.name] for c in self.conditions}

    def _flat(self, make: Callable[..., list[Planned]], weights: Weights) -> Models:
        """The models of all conditions that `_models` or `_subset_models` plans, with their configs."""
        return [
            (condition.name, changed(self.config, one.changes, one.seed), one.path)
            for condition in self.conditions
            for one in make(condition, weights, self.seeds)
        ]


def label(condition: Condition, weights: Weights) -> str:
    """The directory of a condition's models, which names its weights: another weight is another model."""
    return "+".join(f"{word}={weights[word]:g}" if word in weights else word for word in condition.words)


def loci_of(path: Path, split: str) -> dict[str, np.ndarray]:
    """The positives that were measured, from a run's evaluation."""
    with np.load(path / f"evaluation_{split}.npz", allow_pickle=False) as archive:
        rows = archive["positive_rows"]
        loci = {name: archive[name][rows] for name in ("chromosome", "start", "end")}
        return loci | {name: archive[name] for name in ("signal", "tokens")}


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the directory of a comparison for this process alone.

    Raises:
      InputError: it cannot be written, holds something else, or another process uses it.
    """
    if (path / RECORD).exists():
        raise InputError(f"--workdir={path}: holds a single run; choose another directory for the comparison")
    with alone(path / ".lock", f"--workdir={path}"):
        yield


def check(requirements: Sequence[Requirement], rows: Sequence[Row]) -> None:
    """Prints whether each requirement is met; ends the process with a status of its own if one is not."""
    values = [one.value(rows) for one in requirements]
    for one, value in zip(requirements, values, strict=True):
        print(f"{'met' if one.met_by(value) else 'NOT MET'}: {one.text} ({value:.4g})")
    if not all(one.met_by(value) for one, value in zip(requirements, values, strict=True)):
        sys.exit(UNMET_STATUS)


if __name__ == "__main__":
    launch(
        main,
        workdir="directory of the comparison; runs/compare_NAME by default",
        seeds="models of every condition",
        conditions="what is compared, separated by commas; by default those of the question",
        question=f"which conditions and which page: {', '.join(QUESTIONS)}",
        require="thresholds, such as jaccard>=0.3,fourier-none:auroc>=-0.01",
    )
