"""The main job in one command, with nothing but fprior installed: CTCF in GM12878, with the prior and without.

    python -m fprior.quickstart [--output=fprior_quickstart] [--seed=0] [--steps=288]

Trains the paper's binary model, at half its size, on the peaks that ship with the package: once with the Fourier
attribution prior and once without, from the same parameters on the same batches. Both are then measured on blocks of
the genome that were held out from the start. The directory must not exist; it holds, all at the end or nothing:

    report.html     one self-contained page: the measures, the same peaks as both models explain them, learning curves
    measures.json   the numbers, with what they were made with
    fourier/ none/  of each model log.jsonl, tensorboard/, and checkpoints of the last state and of the best epoch

Time: about 4 minutes on two CPU cores. Expected: auROC 0.95 for both, a high-frequency share of 0.48 with the prior and
0.56 without. One seed can mislead: with seed 0 less of the importance lies in peaks with the prior than without it,
with seeds 1 to 4 more. A wheel to install elsewhere is made by `pip wheel --no-deps .` in a clone, which also has the
command lines for experiments of one's own.
"""

import argparse
import logging
import math
import platform
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
import optax
from tqdm import tqdm

from fprior.attribution.gradients import GradientTimesInput
from fprior.data.batches import BatchPlan, Examples, batch_at, examples_of
from fprior.data.dataset import Dataset, open_dataset
from fprior.data.loci import read_loci
from fprior.data.motif_scan import motif_positions, read_motifs
from fprior.data.regions import PEAKS, region_mask
from fprior.data.splits import SPLITS, TEST, TRAIN, VALID
from fprior.errors import InputError
from fprior.files import new_directory, write_atomically, write_json
from fprior.losses import binary_cross_entropy
from fprior.metrics.interpretability import high_frequency_share, shannon_entropy, share_inside
from fprior.metrics.performance import binary_performance
from fprior.models import BinaryModel
from fprior.priors import fourier_prior
from fprior.quickstart_page import CAUTION, Explained, Inputs, as_json, as_text, report
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import Log, read_log
from fprior.training.predict import contributions, predict
from fprior.training.state import State, init_state
from fprior.training.step import Recipe, gradient_report, train_step

DATASET, MOTIF = "ctcf_gm12878", "MA0139.1"
LENGTH, JITTER = 600, 100  # bases
FREQ_LIMIT = 90.0  # 600 bases / 150 · 1000: the paper's shortest motif, 6.7 bases
FILTERS = (32, 32, 32)
LEARNING_RATE = 1e-3
POSITIVES = 64  # a batch, as many negatives, and the opposite strand of each
STEPS = 288  # 18 epochs
AT_ONCE = 256  # sequences that are predicted together
LABELS = {"fourier": "Fourier prior", "none": "no prior"}
ATTRIBUTION = GradientTimesInput(centred=True)

BAR = "{desc} {bar}| {n_fmt}/{total_fmt} steps [{elapsed}<{remaining}, ends {eta:%H:%M}{postfix}]"
SECONDS_A_STEP, SECONDS_BESIDE = 0.3, 45  # on two CPU cores
USAGE_STATUS, STOPPED_STATUS = 2, 130


def main(output: str, seed: int, steps: int) -> None:
    """Trains and measures both models, writes the directory `output` and prints the table."""
    minutes = math.ceil((SECONDS_BESIDE + 2 * steps * SECONDS_A_STEP) / 60)
    expected = f"about {minutes} minute{'s' * (minutes > 1)} on two CPU cores"
    print(f"Two models, {steps:,} steps each, then their measures: {expected}.", flush=True)
    try:
        with new_directory(output) as folder:
            explained = run(folder, seed, steps)
    except FileExistsError as error:
        above = f"{error.filename} " if error.filename else ""  # a file where a directory of the path should be
        raise InputError(f"--output={output}: {above}exists already; delete it or choose another") from error
    except OSError as error:
        raise InputError(f"--output={output}: cannot be written ({error.strerror}); choose another") from error
    print(as_text(explained))
    print(CAUTION)
    print(Path(output) / "report.html")


def run(folder: Path, seed: int, steps: int) -> list[Explained]:
    """Trains and measures both models and writes all of it to the folder, which is there."""
    began = time.perf_counter()
    dataset = open_dataset(DATASET)
    inputs, places = held_out(dataset)
    recipes, explained = recipes_of(dataset), []
    start = init_state(recipes["none"].model, recipes["none"].optimizer, seed, LENGTH)
    for name, recipe in recipes.items():
        (folder / name).mkdir()
        variables = train(dataset, recipe, start, folder / name, steps)
        explained.append(explain(dataset, recipe, variables, inputs, places, folder / name))
    settings = settings_of(dataset, seed, steps) | {"took": f"{time.perf_counter() - began:.0f} s"}
    write_json(folder / "measures.json", {"settings": settings, **as_json(explained)})
    write_atomically(folder / "report.html", report(explained, inputs, settings))
    return explained


# ---- training


def recipes_of(dataset: Dataset) -> dict[str, Recipe]:
    """The two recipes, by the names of their directories; they differ in the prior alone."""
    model = BinaryModel(num_tasks=len(dataset.tasks), filters=FILTERS)
    without = Recipe(model, optax.adam(LEARNING_RATE))
    prior = partial(fourier_prior, freq_limit=FREQ_LIMIT)
    return {
        "fourier": Recipe(model, without.optimizer, prior, prior_rows=plan_of(dataset).leading_positives),
        "none": without,
    }


def plan_of(dataset: Dataset) -> BatchPlan:
    return BatchPlan(dataset.window, LENGTH, POSITIVES, POSITIVES, JITTER)


@partial(jax.jit, static_argnames=("recipe", "plan"))
def step_of(state: State, examples: Examples, *, recipe: Recipe, plan: BatchPlan) -> tuple[State, dict]:
    return train_step(state, batch_at(examples, plan, state.seed, state.step), recipe=recipe)


@partial(jax.jit, static_argnames=("recipe", "plan"))
def gradients_of(state: State, examples: Examples, *, recipe: Recipe, plan: BatchPlan) -> dict:
    return gradient_report(state, batch_at(examples, plan, state.seed, state.step), recipe=recipe)


def train(dataset: Dataset, recipe: Recipe, state: State, folder: Path, steps: int) -> dict[str, Any]:
    """The variables at the epoch with the lowest validation loss; log and checkpoints are in the folder then."""
    examples, label = examples_of(dataset, TRAIN), LABELS[folder.name]
    epoch = math.ceil(len(examples.pools.positives) / POSITIVES)  # in steps
    how = {"recipe": recipe, "plan": plan_of(dataset)}
    lowest = math.inf
    with (
        Log(folder, 0) as log,
        Checkpoints(folder / "checkpoints") as checkpoints,
        tqdm(total=steps, desc=label, bar_format=BAR, disable=None, dynamic_ncols=True) as bar,
    ):
        for step in range(1, steps + 1):
            if recipe.prior is not None and (step - 1) % epoch == 0:
                log.write("gradients", step, step / epoch, gradients_of(state, examples, **how))
            state, losses = step_of(state, examples, **how)
            log.write("train", step, step / epoch, losses)
            bar.update()
            if step % epoch and step < steps:
                continue
            values = validate(dataset, recipe, state)
            log.write("validation", step, step / epoch, values)
            shown = ", ".join(f"{name.removeprefix('loss/')} {value:.3f}" for name, value in values.items())
            tqdm.write(f"{label}, epoch {step / epoch:.3g}: validation {shown}", file=sys.stderr)
            if values["loss/correctness"] < lowest:
                lowest = values["loss/correctness"]
                checkpoints.save("best", state, values)
        checkpoints.save("latest", state, values)
        best, _ = checkpoints.restore("best", state)
    return variables_of(best)


def variables_of(state: State) -> dict[str, Any]:
    return {"params": state.params, **state.statistics}


def validate(dataset: Dataset, recipe: Recipe, state: State) -> dict[str, float]:
    """The losses of the validation split, and its auROC."""
    variables = variables_of(state)
    labels, logits = predictions(dataset, recipe, variables, VALID)
    values = {"loss/correctness": float(binary_cross_entropy(logits, labels, class_averaged=True))}
    if recipe.prior is not None:
        tokens = dataset.centred(dataset.select(VALID, positive=True), LENGTH)
        of_bases = contributions(recipe.model, variables, tokens, AT_ONCE, attribution=ATTRIBUTION)
        values["loss/prior"] = float(np.mean(recipe.prior(np.abs(of_bases))))
    return values | {"auroc": performance(labels, logits)["auroc"]}


# ---- measures


def held_out(dataset: Dataset) -> tuple[Inputs, dict[str, np.ndarray]]:
    """The peaks of the test split, and the places `(P, L)` in them where importance should lie, by measure."""
    positives = dataset.select(TEST, positive=True)
    chromosome, start, _ = dataset.interval(positives, LENGTH)
    tokens = dataset.centred(positives, LENGTH)
    (motif,) = read_motifs("jaspar2024_selected", [MOTIF]).values()
    places = {
        "share_in_peaks": region_mask(read_loci(dataset.path / PEAKS), chromosome, start, LENGTH),
        "share_in_motif": motif_positions(tokens, motif),
    }
    return Inputs(chromosome, start, dataset.loci["signal"][positives], tokens), places


def explain(
    dataset: Dataset,
    recipe: Recipe,
    variables: dict[str, Any],
    inputs: Inputs,
    places: dict[str, np.ndarray],
    folder: Path,
) -> Explained:
    """What a trained model is worth on the test split, and how clean its attributions there are."""
    labels, logits = predictions(dataset, recipe, variables, TEST)
    of_bases = contributions(recipe.model, variables, inputs.tokens, AT_ONCE, attribution=ATTRIBUTION)
    tracks = np.abs(of_bases)
    measures = {
        "high_frequency_share": high_frequency_share(tracks, FREQ_LIMIT),
        "entropy_bits": shannon_entropy(tracks),
        **{name: share_inside(tracks, mask) for name, mask in places.items()},
    }
    probabilities = sigmoid(logits[: len(of_bases)]).mean(axis=1)
    return Explained(
        LABELS[folder.name], performance(labels, logits), probabilities, of_bases, measures, read_log(folder)
    )


def predictions(dataset: Dataset, recipe: Recipe, variables: Any, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits `(N, T)` of a split's loci, positives first."""
    loci = np.concatenate([dataset.select(split, positive=positive) for positive in (True, False)])
    return dataset.loci["labels"][loci], predict(recipe.model, variables, dataset.centred(loci, LENGTH), AT_ONCE)


def performance(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Measures by name, of the data set's one task."""
    return {name: float(value) for name, (value,) in binary_performance(labels, sigmoid(logits)).items()}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def settings_of(dataset: Dataset, seed: int, steps: int) -> dict[str, Any]:
    """What the page and the record say the models were made with."""
    counts = [[len(dataset.select(split, positive=kind)) for kind in (True, False)] for split in range(len(SPLITS))]
    return {
        "data set": f"{dataset.manifest['name']}, summits of peaks and GC-matched background, hg19",
        **{f"{name}: peaks, background": f"{p:,}, {n:,}" for name, (p, n) in zip(SPLITS, counts, strict=True)},
        "input": f"{LENGTH} bp, jitter ±{JITTER} bp, both strands",
        "model": f"three convolutions of {', '.join(map(str, FILTERS))} filters, two dense layers",
        "training": f"{steps:,} steps of Adam, {LEARNING_RATE:g}; the epoch with the lowest validation loss is kept",
        "prior": f"Fourier, weight 1, on the peaks' gradient × input, freq_limit {FREQ_LIMIT:g}",
        "seed": seed,
        "device": ", ".join(device.device_kind for device in jax.local_devices()),
        "versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {metadata.version(name)}" for name in ("fprior", "jax", "flax", "numpy")]
        ),
    }


# ---- command line


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def parse(arguments: Sequence[str]) -> tuple[str, int, int]:
    """The values of --output, --seed and --steps.

    Raises:
      InputError: a flag does not exist, or its value cannot be used.
    """
    parser = _Parser("python -m fprior.quickstart", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--output", default="fprior_quickstart", help="directory to write; it must not exist")
    parser.add_argument("--seed", default="0", help="of the first parameters, the batches and their jitter")
    parser.add_argument("--steps", default=str(STEPS), help=f"training steps of each model; {STEPS} by default")
    given = parser.parse_args(arguments)
    return (
        given.output,
        _whole_number("--seed", given.seed, 0, 2**32 - 1),
        _whole_number("--steps", given.steps, 1, 1_000_000),
    )


def _whole_number(name: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
        raise InputError(f"{name} (={text!r}) must be a whole number from {low:,} to {high:,}")
    return int(text)


def command(arguments: Sequence[str]) -> int:
    """The exit status of a command line; wrong input ends in one line on standard error."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax narrates what it writes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(*parse(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return STOPPED_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
