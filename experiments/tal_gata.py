"""The TAL–GATA simulation of the DeepLIFT paper: simulates, trains, scores, and holds the methods against the truth.

    python -m experiments.tal_gata --config=configs/tal_gata.py --workdir=runs/tal_gata [--config.section.field=value …]

The directory must not exist; it holds, all at the end or nothing:

    tal_gata.json   performance, measures of the scores, the paper's claims against them, motifs, config and versions
    tal_gata.html   the same as one self-contained page, with the figures of the paper's appendix

Motifs are TF-MoDISco's, which needs the extra `motifs`; without it the page says what to install.

Everything follows from `config.seed`.

Source: Shrikumar, Greenside and Kundaje, "Learning important features through propagating activation differences",
ICML 2017, section 4.2 and appendices F to J.
"""

import itertools
import math
import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from tqdm import tqdm

from experiments.config_values import DROPOUT, Check, at_least, positive
from experiments.launch import CONFIG, launch, seconds_since_start
from experiments.member import no_gain
from experiments.run_directory import provenance
from experiments.tal_gata_motifs import find_motifs, left_out, record
from experiments.tal_gata_motifs_page import verdict
from experiments.tal_gata_page import VERDICTS, report
from experiments.tal_gata_scores import (
    Scores,
    claims,
    completeness,
    matches_of,
    measure,
    score_all,
    score_shuffled,
)
from fprior.data.batches import Batch
from fprior.data.simulation import BACKGROUND, KINDS, MOST, MOTIFS, TASKS, Simulation, simulate
from fprior.errors import InputError
from fprior.files import new_directory, write_atomically, write_json
from fprior.losses import binary_cross_entropy
from fprior.metrics.performance import binary_performance
from fprior.models.pooled import PooledModel
from fprior.sequence import one_hot
from fprior.training.predict import predict
from fprior.training.problem import Labels
from fprior.training.state import State, init_state
from fprior.training.step import Recipe, train_step

RESULT, PAGE = "tal_gata.json", "tal_gata.html"
PUBLISHED_AUROC = (0.985, 0.983, 0.997)  # of TASKS


def main(workdir: str | None) -> None:
    config = read_config()
    if not workdir:
        raise InputError("--workdir is missing; name the directory of this run, for example --workdir=runs/tal_gata")
    try:
        with new_directory(workdir) as path:
            result, page = run(config)
            write_json(path / RESULT, result)
            write_atomically(path / PAGE, page)
    except FileExistsError as error:
        raise InputError(f"--workdir={workdir}: exists already; delete it or choose another") from error
    except OSError as error:
        raise InputError(f"--workdir={workdir}: cannot be written ({error.strerror}); choose another") from error
    for task, auroc in result["test"]["auroc"].items():
        print(f"test auROC, task {task}: {auroc:.4f}")
    for claim in result["claims"]:
        print(f"[{VERDICTS[claim['holds']]}] {claim['claim']}")
    if result["motifs"]["left_out"]:
        print(result["motifs"]["left_out"])
    else:
        print(*(verdict(motif, found) for motif, found in result["motifs"]["found"].items()), sep="\n")
    print(f"{workdir}/{PAGE} after {seconds_since_start():.0f} s")


def run(config: ml_collections.ConfigDict) -> tuple[dict[str, Any], str]:
    """The result, as JSON, and the page."""
    model = PooledModel(len(TASKS), **config.model)
    data = simulate(config.data.sequences, config.data.length, seed=config.seed)
    train, valid, test = splits(data, config.data.fractions)
    params, history = fit(model, train, valid, config)
    logits = predict(model, {"params": params}, test.tokens, config.scores.batch_size)
    scores = score_all(model, params, test.tokens, config.scores)
    shuffled = score_shuffled(model, params, test.tokens, config.seed, config.scores)
    matches = [matches_of(test.tokens, number, config.scores.matches) for number in range(len(MOTIFS))]
    background = jnp.broadcast_to(jnp.array(BACKGROUND), (1, config.data.length, 4))
    at_background = np.asarray(model.apply({"params": params}, background))[0]
    margin = model.shortest_input() - 1
    measures = measure(test, matches, scores, shuffled, config.scores.strong, margin)
    reason = left_out(config.scores.motifs)
    found = {} if reason else find_motifs(model, params, test, config.seed, config.scores.motifs, config.scores)
    best = min(history, key=lambda entry: entry["loss"])
    result = {
        **provenance("tal_gata", config),
        "sequences": dict(zip(("train", "valid", "test"), map(kinds_of, (train, valid, test)), strict=True)),
        "training": {"epochs": len(history), "best": best, "history": history},
        "test": {"auroc": aurocs(test.labels, logits), "published": dict(zip(TASKS, PUBLISHED_AUROC, strict=True))},
        "margin": margin,
        "completeness_error": completeness(scores, logits, at_background),
        **measures,
        "claims": claims(measures, all_shuffles(shuffled)),
        "motifs": record(reason, found, test),
    }
    return result, report(result, test, matches, scores, shuffled, found)


def all_shuffles(shuffled: Scores) -> str:
    """The name of the average over all shuffles of letters."""
    return [name for name in shuffled if "dinucleotide" not in name][-1]


# ---- training


def splits(data: Simulation, fractions: tuple[float, float, float]) -> list[Simulation]:
    """Train, valid and test: consecutive sequences, so that each has the kinds in equal shares."""
    count = len(data.tokens)
    ends = [0, *(round(count * share) for share in np.cumsum(fractions)[:2]), count]
    parts = [data.part(first, end) for first, end in itertools.pairwise(ends)]
    if min(len(part.tokens) for part in parts) < len(KINDS):
        raise InputError(
            f"config.data.sequences (={count}) leaves a split of config.data.fractions without one of each kind of"
            " sequence; take more"
        )
    return parts


def kinds_of(part: Simulation) -> dict[str, int]:
    return {name: int(np.sum(part.kind == kind)) for kind, name in enumerate(KINDS)}


def aurocs(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    probabilities = np.asarray(jax.nn.sigmoid(logits), np.float64)
    return dict(zip(TASKS, binary_performance(labels, probabilities)["auroc"].tolist(), strict=True))


def fit(
    model: PooledModel, train: Simulation, valid: Simulation, config: ml_collections.ConfigDict
) -> tuple[Any, list[dict[str, Any]]]:
    """The parameters of the epoch with the lowest validation loss, and for each epoch its validation loss and auROC."""
    settings, seed, length = config.train, config.seed, config.data.length
    recipe = Recipe(model, optax.adam(settings.learning_rate), problem=Labels(class_averaged=False))
    state = init_state(model, recipe.optimizer, seed, length)
    step = jax.jit(partial(_step, recipe=recipe))
    history: list[dict[str, Any]] = []
    best = state.params
    for epoch in tqdm(range(1, settings.epochs + 1), desc="epochs", disable=None):
        # What does not fill the last batch is left to another epoch, whose order is another.
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(train.tokens))
        for first in range(0, len(order) - settings.batch_size + 1, settings.batch_size):
            rows = order[first : first + settings.batch_size]
            state = step(state, train.tokens[rows], train.labels[rows])
        logits = predict(model, {"params": state.params}, valid.tokens, config.scores.batch_size)
        loss = float(binary_cross_entropy(jnp.asarray(logits), jnp.asarray(valid.labels), class_averaged=False))
        if not math.isfinite(loss):
            raise InputError(f"epoch {epoch}: the validation loss is {loss}; lower config.train.learning_rate")
        history.append({"epoch": epoch, "loss": loss, "auroc": aurocs(valid.labels, logits)})
        tqdm.write(f"epoch {epoch}: validation loss {loss:.4f}", file=sys.stderr)
        losses = [entry["loss"] for entry in history]
        if loss == min(losses):
            best = state.params
        if no_gain(losses, settings.stop_after_epochs, settings.stop_gain):
            break
    return best, history


def _step(state: State, tokens: jax.Array, labels: jax.Array, *, recipe: Recipe) -> State:
    return train_step(state, Batch(one_hot(tokens), labels, jnp.zeros(len(tokens), jnp.int32)), recipe=recipe)[0]


# ---- config


def read_config() -> ml_collections.FrozenConfigDict:
    """The checked, frozen config of the command line.

    Raises:
      InputError: there is none, it is that of another experiment, or a value fails its check.
    """
    if CONFIG.value is None:
        raise InputError("--config is missing; give --config=configs/tal_gata.py")
    config = ml_collections.ConfigDict(CONFIG.value)
    check_config(config)
    return ml_collections.FrozenConfigDict(config)


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks that the fields are those of configs/tal_gata.py, every value by itself, and those that must fit.

    Raises:
      InputError: names the field, its value and the remedy.
    """
    fields = {
        f"{section}.{name}" if name else section
        for section, value in config.items()
        for name in (value if isinstance(value, ml_collections.ConfigDict) else ("",))
    }
    if differing := sorted(fields ^ set(_CHECKS)):
        raise InputError(
            f"--config: config.{differing[0]} is {'missing' if differing[0] in _CHECKS else 'unknown'};"
            " this experiment takes the fields of configs/tal_gata.py"
        )
    for field, (accepts, remedy) in _CHECKS.items():
        section, _, name = field.partition(".")
        value = config[section][name] if name else config[section]
        if not accepts(value):
            raise InputError(f"config.{field} (={value!r}) {remedy}")
    _check_fit(config)


def _check_fit(config: ml_collections.ConfigDict) -> None:
    data, model, widest = config.data, config.model, max(map(len, MOTIFS))
    if len(model.filters) != len(model.widths):
        raise InputError(f"config.model.widths (={model.widths}) must be as many as filters (={model.filters})")
    # Room for the instances; for the convolutions; for the matches, wherever the stronger ones lie.
    room = MOST * sum(map(len, MOTIFS))
    shortest = max(room, sum(model.widths), config.scores.matches * (2 * widest - 1) + widest - 1)
    if data.length < shortest:
        raise InputError(
            f"config.data.length (={data.length}) must be at least {shortest}, for motifs, model.widths and"
            " scores.matches"
        )
    train = round(data.sequences * data.fractions[0])
    if config.train.batch_size > train:
        raise InputError(f"config.train.batch_size (={config.train.batch_size}) must be at most {train}")


_SIZES: Check = (
    lambda value: len(value) > 0 and all(isinstance(item, int) and item > 0 for item in value),
    "must be a tuple of positive integers",
)
_CHECKS: dict[str, Check] = {
    "seed": (lambda value: 0 <= value < 2**32, "must be from 0 to 2^32 − 1"),
    "data.sequences": at_least(1),
    "data.length": at_least(1),
    "data.fractions": (
        lambda value: len(value) == 3 and min(value) > 0 and abs(sum(value) - 1) < 1e-6,
        "must be three positive numbers that add up to 1: train, valid, test",
    ),
    "model.filters": _SIZES,
    "model.widths": _SIZES,
    "model.dense_size": at_least(1),
    "model.dropout": DROPOUT,
    "train.epochs": at_least(1),
    "train.batch_size": at_least(1),
    "train.learning_rate": positive(),
    "train.stop_after_epochs": at_least(0),
    "train.stop_gain": at_least(0),
    "scores.matches": at_least(1),
    "scores.strong": (math.isfinite, "must be finite"),
    "scores.integration_steps": at_least(1),
    "scores.num_references": at_least(1),
    "scores.batch_size": at_least(1),
    "scores.motifs": (
        lambda value: len(set(value)) == len(value) and set(value) <= set(TASKS),
        f"must be a tuple of some of {', '.join(TASKS)}, each once; () to look for none",
    ),
}


if __name__ == "__main__":
    launch(main, needs_config=False, workdir="directory of the run; it must not exist")
