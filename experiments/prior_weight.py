"""λ by the paper's rule for profiles: half of the correctness loss that is reached without the prior."""

import math
import sys
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.build import batch_plan, initial_state, recipe_of
from experiments.config import with_changes
from experiments.program import Program
from experiments.validation import Validation
from fprior.data.dataset import Dataset
from fprior.errors import InputError
from fprior.files import read_json, write_json
from fprior.training.processes import leads

RECORD = "prior_weight.json"
SHARE = 0.5  # of the loss
SEED = 0  # of the short run, whatever the seed of the model: models that differ in their seeds get one λ
MOST = 1000  # validation positives, and negatives, that the loss is measured on
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} steps [{elapsed}<{remaining}]"


def measured_weight(config: ConfigDict, dataset: Dataset) -> dict[str, Any]:
    """Trains for `config.prior.auto_steps` steps without the prior; λ and what it comes from, for a record."""
    short = with_changes(config, {"prior.weight": 0.0, "num_models": 1, "seed": SEED})
    plan = batch_plan(short, dataset)
    recipe = recipe_of(short, dataset, plan, steps_per_epoch=1)
    validation = Validation(short, dataset, recipe, most=MOST)
    steps, losses = config.prior.auto_steps, []
    state = initial_state(short, dataset, recipe.model, SEED)
    with Program(short, recipe, plan, dataset, [SEED]) as program:
        program.compile(state, 0)
        every = math.ceil(steps / 4)
        with tqdm(total=steps, bar_format=BAR, desc="measuring λ without the prior", disable=None) as bar:
            step = 0
            while step < steps:
                count = min(program.steps_per_call, steps - step, every - step % every)
                state, _ = program(state, step, count)
                step += count
                bar.update(count)
                if step % every == 0 or step == steps:
                    losses.append(validation(state)["loss/correctness"])
    best = min(losses)
    if not math.isfinite(best) or best <= 0:
        raise InputError(
            f"config.prior.weight (='auto'): without the prior the loss was {best} after {steps} steps, of which no"
            " weight follows; set a number"
        )
    return {"weight": SHARE * best, "correctness": best, "steps": steps, "seed": SEED, "losses": losses}


def weight_of(config: ConfigDict, dataset: Dataset, paths: list[Path]) -> float:
    """The λ of a run with `config.prior.weight="auto"`: the one on record in its directories, or measured now."""
    record = paths[0] / RECORD
    if record.is_file():
        return read_weight(paths[0])
    measured = measured_weight(config, dataset)
    print(
        f"config.prior.weight='auto': λ = {measured['weight']:.4g}, half of the correctness loss after"
        f" {measured['steps']} steps without the prior",
        file=sys.stderr,
    )
    if leads():
        for path in reversed(paths):  # the first directory's is the one that is looked for
            write_json(path / RECORD, measured)
    return measured["weight"]


def read_weight(path: Path) -> float:
    """The λ on record in a run's directory."""
    return read_json(path / RECORD, "delete it: the weight is measured again")["weight"]
