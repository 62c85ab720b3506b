"""Trains a model, with or without an attribution prior.

    python -m experiments.train --config=configs/NAME.py --workdir=runs/NAME [--config.section.field=value …]

The same command goes on where an interrupted run stopped, and ends in the same parameters to the bit. SIGTERM and
Ctrl-C save first. The directory holds the record of the run, its log (log.jsonl, tensorboard/) and checkpoints of
the latest state and of the best epoch.
"""

import math
import signal
import sys
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from experiments.build import batch_plan, dataset_of, recipe_of
from experiments.launch import launch
from experiments.run_directory import RESULT, run_directory
from fprior.data.dataset import BatchPlan, Dataset, Examples, batch_at, examples_of
from fprior.data.splits import TRAIN, VALID
from fprior.errors import InputError
from fprior.files import write_json
from fprior.losses import binary_cross_entropy
from fprior.metrics.performance import binary_performance
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import Log
from fprior.training.predict import contributions, predict
from fprior.training.state import State, init_state
from fprior.training.step import Recipe, gradient_report, train_step

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} steps [{elapsed}<{remaining}, ends {eta:%H:%M}{postfix}]"


def main(config, workdir: str | None) -> None:
    dataset = dataset_of(config)
    plan = batch_plan(config, dataset)
    examples = examples_of(dataset, TRAIN)
    if not all(len(dataset.select(VALID, positive=kind)) for kind in (True, False)):
        raise InputError(f"{dataset.path}: the valid split lacks positives or negatives; prepare it with another split")
    steps_per_epoch = math.ceil(len(examples.positives) / plan.positives)
    recipe = recipe_of(config, dataset, plan, steps_per_epoch)
    if recipe.prior is not None and recipe.attributed == "training":
        print(
            "note: config.prior.attributed='training' differentiates through the batch's statistics; the gradient of"
            " summed logits is then rounding error after a batch-normalised last layer (see BUILD_NOTES.md)",
            file=sys.stderr,
        )
    with run_directory(workdir, config, dataset) as path, Checkpoints(path / "checkpoints") as checkpoints:
        if (path / RESULT).exists():
            print(f"{path}: this run is finished; choose another --workdir to train again")
            return
        state = init_state(recipe.model, recipe.optimizer, config.seed, config.data.input_length)
        history: list[dict[str, float]] = []
        if checkpoints.step("latest") is not None:
            state, progress = checkpoints.restore("latest", state)
            history = progress["history"]
        with Log(path, int(state.step)) as log:
            run = Run(config, recipe, plan, examples, dataset, checkpoints, log, steps_per_epoch)
            reason = run.train(state, history)
        if reason == "stopped":
            print(f"{path}: saved; the same command goes on from here")
            return
        write_json(path / RESULT, run.result(reason))
        print(f"{path}: finished ({reason}); best epoch {run.best()['epoch']:.0f}")


class Run:
    """The training loop and what it looks at; all that must survive a restart is in the checkpoints."""

    def __init__(
        self,
        config,
        recipe: Recipe,
        plan: BatchPlan,
        examples: Examples,
        dataset: Dataset,
        checkpoints: Checkpoints,
        log: Log,
        steps_per_epoch: int,
    ):
        self._train, self._select_on = config.train, config.train.select_on
        self._recipe, self._examples = recipe, examples
        self._dataset, self._checkpoints, self._log = dataset, checkpoints, log
        self._steps_per_epoch = steps_per_epoch
        self._length, self._batch_size = config.data.input_length, config.evaluate.batch_size
        self._history: list[dict[str, float]] = []
        self._stop_requested = False

        def step(state: State, examples: Examples) -> tuple[State, dict[str, jax.Array]]:
            return train_step(state, batch_at(examples, plan, state.seed, state.step), recipe=recipe)

        def report(state: State, examples: Examples) -> dict[str, jax.Array]:
            return gradient_report(state, batch_at(examples, plan, state.seed, state.step), recipe=recipe)

        self._step = jax.jit(step, donate_argnums=0)
        self._report = jax.jit(report)

    def train(self, state: State, history: list[dict[str, float]]) -> str:
        """Trains to the end; returns why it ended: `"epochs"`, `"no further gain"` or `"stopped"` by a signal."""
        self._history = history
        total = self._train.epochs * self._steps_per_epoch
        first = step = int(state.step)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request_stop)
        pending = None  # the numbers of the step before, read while this one runs
        with tqdm(total=total, initial=first, bar_format=BAR, disable=None, dynamic_ncols=True) as bar:
            while step < total and not self._gain_is_over():
                if self._recipe.prior is not None and step % self._train.gradients_every == 0:
                    if pending is not None:
                        self._log_step(step, pending, bar)
                        pending = None
                    self._log_gradients(state, step + 1)
                state, info = self._step(state, self._examples)
                if pending is not None:
                    self._log_step(step, pending, bar)
                pending, step = info, step + 1
                bar.update()
                epoch_ends = step % self._steps_per_epoch == 0
                if not (epoch_ends or self._stop_requested or step % self._train.checkpoint_every == 0):
                    continue
                self._log_step(step, pending, bar)  # also makes sure that what is saved is finite
                pending = None
                if epoch_ends:
                    self._validate(state, step)
                self._checkpoints.save("latest", state, {"history": self._history})
                if self._stop_requested:
                    return "stopped"
        return "no further gain" if step < total else "epochs"

    def best(self) -> dict[str, float]:
        """The history entry of the best epoch."""
        return min(self._history, key=lambda entry: entry[f"loss/{self._select_on}"])

    def result(self, reason: str) -> dict[str, Any]:
        return {"ended": reason, "steps": self._history[-1]["step"], "best": self.best(), "history": self._history}

    def _request_stop(self, *_: object) -> None:
        self._stop_requested = True

    def _gain_is_over(self) -> bool:
        patience = self._train.stop_after_epochs
        losses = [entry[f"loss/{self._select_on}"] for entry in self._history]
        if not patience or len(losses) <= patience:
            return False
        return min(losses[-patience:]) > min(losses[:-patience]) - self._train.stop_gain

    def _log_gradients(self, state: State, step: int) -> None:
        """Logs the gradients that the update to `step` is made of; a resumed run writes them once, like its losses."""
        report = jax.device_get(self._report(state, self._examples))
        self._log.write("gradients", step, step / self._steps_per_epoch, report)
        if step == 1 and report["gradient_norm/prior"] == 0:
            raise InputError(
                "config.prior: its gradient with respect to the parameters is exactly zero at the first step, so it"
                " cannot train anything; the attribution does not depend on the parameters, or its track is all zero"
                " (set config.prior.weight=0 to train without a prior)"
            )

    def _log_step(self, step: int, info: dict[str, jax.Array], bar: tqdm) -> None:
        values = {name: float(value) for name, value in jax.device_get(info).items()}
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise InputError(
                f"step {step}: {', '.join(f'{name} is {values[name]}' for name in broken)}; the last checkpoint before"
                " it is kept: lower config.train.learning_rate or config.prior.weight"
            )
        if step % self._train.log_every == 0:
            self._log.write("train", step, step / self._steps_per_epoch, values)
        shown = {name.removeprefix("loss/"): f"{value:.3f}" for name, value in values.items() if "loss/" in name}
        last = {f"valid {name}": f"{self._history[-1][name]:.3f}" for name in ("auroc",) if self._history}
        bar.set_postfix({**shown, **last}, refresh=False)

    def _validate(self, state: State, step: int) -> None:
        """Measures the validation split; keeps the state if it is the best so far."""
        values = self._validation(state)
        epoch = step / self._steps_per_epoch
        self._history.append({"step": step, "epoch": epoch, **values})
        self._log.write("validation", step, epoch, values)
        text = ", ".join(f"{name.removeprefix('loss/')} {value:.4f}" for name, value in values.items())
        tqdm.write(f"epoch {epoch:.0f}: validation {text}", file=sys.stderr)
        if self.best() is self._history[-1]:
            self._checkpoints.save("best", state, {"epoch": epoch, **values})

    def _validation(self, state: State) -> dict[str, float]:
        model, variables = self._recipe.model, {"params": state.params, **state.statistics}
        positives, negatives = (self._dataset.select(VALID, positive=kind) for kind in (True, False))
        loci = np.concatenate([positives, negatives])
        labels = self._dataset.loci["labels"][loci]
        logits = predict(model, variables, self._dataset.centred(loci, self._length), self._batch_size)
        loss = binary_cross_entropy(logits, labels, class_averaged=self._train.class_averaged)
        values = {"loss/correctness": float(loss), "loss/total": float(loss)}
        if self._recipe.prior is not None:
            tokens = self._dataset.centred(positives, self._length)
            tracks = np.abs(contributions(model, variables, tokens, self._batch_size, centred=self._recipe.centred))
            values["loss/prior"] = float(jax.numpy.mean(self._recipe.prior(tracks)))
            values["loss/total"] += float(self._recipe.prior_weight(state.step)) * values["loss/prior"]
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
        values["auroc"] = float(np.nanmean(binary_performance(labels, probabilities)["auroc"]))
        return values


if __name__ == "__main__":
    launch(main, workdir="directory of the run")
