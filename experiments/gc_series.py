"""Does the prior keep a model from counting G and C? Trains models at several GC biases, and draws figure 5.

    python -m experiments.gc_series --config=configs/gc_bias.py --seeds=3 [--conditions=none,fourier]
        [--workdir=runs/gc_series] [--biases=0,0.01,0.02,0.03,0.04] [--config.section.field=value …]

For every bias a data set is simulated as by `experiments.simulate`, whose training positives have so much more G and C
in their background; on each of them the conditions of `experiments.compare` are trained with the same seeds, and
measured on positives without the bias. The first condition is what the others are compared with. A weight that
`compare` would choose, such as that of L2, has to be given, and is the same at every bias. In the directory

    gc_series.html   one page: reliance on the background's GC against the bias, what is left of the importance in the
                     motif, auROC, and the slopes over the biases
    gc_series.csv    the same numbers in full: a row for each measure, bias and condition, and for each slope
    gc_series.json   the config, the conditions with their weights, versions
    data/gc_BIAS     the data sets
    models/gc_BIAS   the models, each a run of `experiments.train`

Interrupted, the same command goes on; what is finished is neither simulated nor trained nor measured again.
"""

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from experiments import run_directory
from experiments.build import dataset_of
from experiments.compare import Weights, label, locked, seeds_of, settled
from experiments.compare_measures import measure_all
from experiments.compare_training import Planned, Stopped, changed, planned, stopping, train_all
from experiments.conditions import Condition, parse_conditions, swept_words
from experiments.config import with_changes
from experiments.evaluate_places import known_places
from experiments.gc_series_data import (
    bias_label,
    biases_of,
    check_dataset,
    check_undecided,
    dataset_changes,
    simulate_missing,
)
from experiments.gc_series_page import series_page
from experiments.gc_series_results import Series, series_model
from experiments.gc_series_rows import as_csv, rows_of
from experiments.launch import launch
from experiments.run_directory import RECORD, provenance, read_record
from fprior.errors import InputError
from fprior.files import write_atomically, write_json

NAME = "gc_series"
DEFAULT_CONDITIONS = "none,fourier"


def main(
    config: ConfigDict, workdir: str | None, seeds: str | None, conditions: str | None, biases: str | None
) -> None:
    chosen = parse_conditions((DEFAULT_CONDITIONS if conditions is None else conditions).split(","))
    config = settled(config)
    check(config)
    path = Path(workdir or f"runs/{NAME}")
    plan = Plan(config, chosen, seeds_of(config, seeds), biases_of(config, biases), path)
    with locked(path):
        try:
            with stopping():
                plan.simulate()
                plan.train()
                series = plan.measure()
        except Stopped:
            print(f"{path}: saved; the same command goes on from here")
            return
        rows = rows_of(series)
        write_atomically(path / f"{NAME}.csv", as_csv(rows))
        write_atomically(path / f"{NAME}.html", series_page(series, rows))
        changes = {one.name: dict(one.overrides(config, plan.weights)) for one in chosen}
        record = {**provenance(NAME, config), "conditions": changes, "seeds": plan.seeds, "biases": plan.biases}
        write_json(path / f"{NAME}.json", record)
    print(path / f"{NAME}.html")
    print(path / f"{NAME}.csv")


def check(config: ConfigDict) -> None:
    """Checks what this command needs besides a config that is right.

    Raises:
      InputError: names the field, its value and the remedy.
    """
    check_undecided()
    split, biased = config.evaluate.split, config.simulate.gc_bias_in
    if split in biased:
        raise InputError(
            f"config.evaluate.split (={split!r}) must not be in config.simulate.gc_bias_in (={biased}): models are held"
            " against sequences without the bias"
        )
    if config.model.outputs != "labels":
        raise InputError(
            f"config.model.outputs (={config.model.outputs!r}) must be 'labels': simulated sequences have no tracks"
        )


class Plan:
    """The models of a series, where they and their data sets lie, and the weights of their conditions."""

    def __init__(
        self, config: ConfigDict, conditions: Sequence[Condition], seeds: list[int], biases: list[float], path: Path
    ) -> None:
        self.config, self.conditions, self.seeds, self.biases, self.path = config, conditions, seeds, biases, path
        self.weights = weights_of(config, conditions)
        for bias in biases:  # raises for what does not go together before anything is simulated or trained
            check_dataset(self._at(bias))
            for _, model in self._models(bias):
                one = changed(config, model.changes, model.seed)
                if (model.path / RECORD).exists():
                    run_directory.check_config(str(model.path), one)

    def simulate(self) -> None:
        """Simulates the data sets that are not there."""
        for bias in self.biases:
            simulate_missing(self._at(bias))

    def train(self) -> None:
        """Trains all models, those of a seed after one another."""
        first = self._at(self.biases[0])
        known_places(first, dataset_of(first))  # raises for wrong motifs or regions before anything is trained
        models = [model for bias in self.biases for _, model in self._models(bias)]
        train_all(sorted(models, key=lambda model: model.seed))

    def measure(self) -> Series:
        """Measures all models, which are trained."""
        models = []
        for bias in self.biases:
            config = self._at(bias)
            dataset = dataset_of(config)
            flat = [(name, changed(self.config, one.changes, one.seed), one.path) for name, one in self._models(bias)]
            models += [series_model(bias, config, dataset, result) for result in measure_all(config, flat)]
        record = read_record(str(models[0].path))
        return Series(self.config, tuple(self.conditions), self.weights, self.seeds, self.biases, models, record)

    def _at(self, bias: float) -> ConfigDict:
        """The config of a bias."""
        return with_changes(self.config, dataset_changes(self.config, bias, self.path / "data"))

    def _models(self, bias: float) -> list[tuple[str, Planned]]:
        """The models of a bias, each with the name of its condition."""
        folder = self.path / "models" / f"gc_{bias_label(bias)}"
        data = dataset_changes(self.config, bias, self.path / "data")
        return [
            (one.name, model)
            for one in self.conditions
            for model in planned(
                {**one.overrides(self.config, self.weights), **data}, self.seeds, folder / label(one, self.weights)
            )
        ]


def weights_of(config: ConfigDict, conditions: Sequence[Condition]) -> Weights:
    """The weight of each word that has one, the only one that the config gives.

    Raises:
      InputError: it gives several; one chosen at every bias anew would be a second thing that changes with it.
    """
    words = swept_words(conditions)
    for word in words:
        if len(config.compare[word]) > 1:
            raise InputError(
                f"config.compare.{word} (={config.compare[word]}) must be a single weight, the same at every bias;"
                f" give one, such as --config.compare.{word}='({config.compare[word][0]},)'"
            )
    return {word: config.compare[word][0] for word in words}


if __name__ == "__main__":
    launch(
        main,
        workdir=f"directory of the series; runs/{NAME} by default",
        seeds="models of every condition and bias",
        conditions=f"what is compared, separated by commas; {DEFAULT_CONDITIONS} by default",
        biases="G and C added to the training positives' background, as shares of all bases, separated by commas",
    )
