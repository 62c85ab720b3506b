"""Measures speed as ratios within one run, so that they hold on other machines too.

    python -m experiments.benchmark [SUITE …] [--output=benchmark.json] [--quick]

Suites, all of them by default:

    step        the training step: what the prior costs, what the closed convolution gains, the share of the matrix-
                multiply peak, compile time and memory, at the paper's sizes
    kernels     the three contractions of each layer against the peaks of arithmetic and memory (the roofline)
    input       sequences a second of the input path, on the device and from the host, against what the step consumes
    precision   bfloat16 against float32: time, losses and attributions
    calls       several training steps in one call, on a model so small that calls matter
    models      several models in one program against one alone
    attribution DeepSHAP and dinucleotide shuffles, beside a peer if the extra `peers` is installed
    genome      preparing and training on a data set of the human genome's size: time of each stage, most memory
    start       start-up and compile time of a real run, without and with the cache of compiled programs

The same command runs on a GPU or TPU. Time on two CPU cores: about 20 minutes, a third of it the genome,
which needs 10 GB of disk.
"""

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import measure
from experiments.benchmark_attribution import rows_of
from experiments.benchmark_genome import genome_rows
from experiments.benchmark_models import (
    QUICK,
    PlainBinaryModel,
    PlainProfileModel,
    Row,
    Sizes,
    Stepper,
    model_of,
    plain_row,
    profile_recipe_of,
    random_batch,
    random_profile_batch,
    recipe_of,
    step_rows,
)
from experiments.build import batch_plan
from experiments.config import default_config
from experiments.program import Program, stack_states
from fprior import fourier_prior
from fprior.attribution import input_gradient
from fprior.conv import conv
from fprior.data.batches import Ahead, HostWindows, batch_at, examples_of
from fprior.data.dataset import open_dataset
from fprior.data.splits import TRAIN, VALID
from fprior.files import write_json
from fprior.objectives import summed_logits
from fprior.priors import track_of
from fprior.training.state import init_state


def step(sizes: Sizes) -> list[Row]:
    batch = random_batch(sizes)
    steppers = {
        "with": Stepper(recipe_of(sizes), batch),
        "without": Stepper(recipe_of(sizes, prior=False), batch),
        "statistics": Stepper(recipe_of(sizes, attributed="training"), batch),
    }
    rows, seconds = step_rows("binary", steppers, sizes)
    rows.append(("binary: through the batch statistics / without", seconds["statistics"] / seconds["without"], ""))
    plain = model_of(sizes, PlainBinaryModel)
    rows += [
        plain_row("binary, prior on positives", recipe_of(sizes, model=plain), batch, steppers["with"]),
        plain_row(
            "binary, through the batch statistics",
            recipe_of(sizes, attributed="training", model=plain),
            batch,
            steppers["statistics"],
        ),
    ]
    batch = random_profile_batch(sizes)
    steppers = {
        "with": Stepper(profile_recipe_of(sizes), batch),
        "without": Stepper(profile_recipe_of(sizes, prior=False), batch),
    }
    rows += step_rows("profile", steppers, sizes)[0]
    rows.append(
        plain_row("profile, prior on positives", profile_recipe_of(sizes, PlainProfileModel), batch, steppers["with"])
    )
    everywhere = {"all": Stepper(profile_recipe_of(sizes, rows=None), batch)}
    recipe = profile_recipe_of(sizes, PlainProfileModel, rows=None)
    return [*rows, plain_row("profile, prior on all examples", recipe, batch, everywhere["all"])]


def kernels(sizes: Sizes) -> list[Row]:
    peak, bandwidth = measure.matrix_multiply_peak(sizes.peak), measure.memory_bandwidth(256)
    rows: list[Row] = [
        ("matrix-multiply peak", peak / 1e9, "GFLOP/s"),
        ("memory bandwidth", bandwidth / 1e9, "GB/s"),
        ("operations a byte that balance them", peak / bandwidth, ""),
    ]
    key, length, channels = jax.random.key(0), sizes.length, 4
    for layer, width in enumerate((15, 15, 13)):
        x = jax.random.normal(key, (sizes.batch, length, channels))
        w = jax.random.normal(key, (width, channels, sizes.filters))
        y, pull = jax.vjp(conv, x, w)
        operations, bytes_moved = 2 * y.size * width * channels, 4 * (x.size + w.size + y.size)
        forward, of_x, of_w = jax.jit(conv), jax.jit(lambda y: pull(y)[0]), jax.jit(lambda y: pull(y)[1])  # noqa: B023
        calls = {
            "forward": lambda: forward(x, w),  # noqa: B023
            "input gradient": lambda: of_x(y),  # noqa: B023
            "weight gradient": lambda: of_w(y),  # noqa: B023
        }
        bound = min(peak, operations / bytes_moved * bandwidth)
        shape = f"{channels} → {sizes.filters} of {width}"
        rows.append((f"layer {layer} ({shape}), operations a byte", operations / bytes_moved, ""))
        for name, seconds in measure.times(calls, sizes.repeats).items():
            rows.append((f"layer {layer} {name}, share of what the machine allows", operations / seconds / bound, ""))
        length, channels = y.shape[1], sizes.filters
    return rows


def input(sizes: Sizes) -> list[Row]:
    config = default_config()
    config.data.dataset, config.data.input_length = "ctcf_gm12878", sizes.length
    config.data.batch_size = sizes.batch // 2
    dataset = open_dataset(config.data.dataset)
    plan = batch_plan(config, dataset)
    examples, windows = examples_of(dataset, TRAIN), HostWindows(dataset, TRAIN, plan)
    make = jax.jit(partial(batch_at, plan=plan))
    steps = iter(range(10**9))
    stepper = Stepper(recipe_of(sizes), random_batch(sizes))
    with Ahead(partial(windows, 0), depth=4) as ahead:
        seconds = measure.times(
            {
                "device": lambda: make(examples, seed=jnp.uint32(0), step=jnp.int32(next(steps))),
                "host": lambda: windows(0, next(steps)),
                "ahead": lambda: jax.device_put(ahead.get(next(steps))),
                "step": stepper,
            },
            sizes.repeats,
        )
    rate = {name: plan.size / taken for name, taken in seconds.items()}
    return [
        ("sequences consumed by the step", rate["step"], "1/s"),
        ("sequences drawn, gathered and encoded on the device", rate["device"], "1/s"),
        ("windows gathered on the host, with opposite strands", rate["host"], "1/s"),
        ("input path on the device / step", rate["device"] / rate["step"], ""),
        ("input path from the host / step", rate["host"] / rate["step"], ""),
        ("time the step waits for windows read ahead", seconds["ahead"] / seconds["step"], "of a step"),
    ]


def precision(sizes: Sizes) -> list[Row]:
    batch, half = random_batch(sizes), jnp.bfloat16
    steppers = {
        "float32": Stepper(recipe_of(sizes), batch),
        "bfloat16": Stepper(recipe_of(sizes, model=model_of(sizes, dtype=half)), batch),
    }
    seconds = measure.times(steppers, sizes.repeats)
    shape = dataclasses.replace(sizes, length=min(300, sizes.length), filters=min(16, sizes.filters))
    variables, x = trained(shape, steps=8 * shape.repeats)
    logits, tracks, priors = {}, {}, {}
    for name, dtype in (("float32", None), ("bfloat16", half)):
        apply = partial(model_of(shape, dtype=dtype).apply, variables)
        attribute = jax.jit(partial(input_gradient, lambda x, apply=apply: summed_logits(apply(x)), centred=True))
        logits[name] = np.asarray(jax.jit(apply)(x), np.float64)
        tracks[name] = np.asarray(track_of(attribute(x)), np.float64)
        priors[name] = float(jnp.mean(fourier_prior(jnp.asarray(tracks[name]), freq_limit=shape.length * 0.15)))
    one, other = tracks["float32"], tracks["bfloat16"]
    spread = float(np.std(logits["float32"]))
    return [
        ("step in bfloat16 / in float32", seconds["bfloat16"] / seconds["float32"], ""),
        ("logits, root mean square difference / spread", _rms(logits["bfloat16"] - logits["float32"]) / spread, ""),
        ("prior loss, difference", abs(priors["bfloat16"] - priors["float32"]), ""),
        ("attribution tracks, correlation", float(np.corrcoef(one.ravel(), other.ravel())[0, 1]), ""),
        ("attribution tracks, relative difference", _rms(one - other) / _rms(one), ""),
    ]


def trained(sizes: Sizes, steps: int) -> tuple[Any, jax.Array]:
    """Variables of a small model after some steps on the shipped data, and a batch that it has not seen."""
    config = small_config(sizes, input_length=sizes.length, batch_size=sizes.batch // 2)
    dataset = open_dataset(config.data.dataset)
    recipe, plan = recipe_of(sizes), batch_plan(config, dataset)
    state = init_state(recipe.model, recipe.optimizer, 0, sizes.length)
    with Program(config, recipe, plan, dataset, [0]) as program:
        program.compile(state, 0)
        for number in range(steps):
            state, _ = program(state, number, 1)
    batch = batch_at(examples_of(dataset, VALID), plan, jnp.uint32(1), jnp.int32(0))
    return {"params": state.params, **state.statistics}, batch.x


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(array**2)))


def small_config(sizes: Sizes, *, input_length: int = 200, batch_size: int = 32, **speed: Any) -> Any:
    """The shipped data in batches small enough for overheads to show."""
    config = default_config()
    config.data.dataset, config.data.jitter = "ctcf_gm12878", 10
    config.data.input_length, config.data.batch_size = min(input_length, sizes.length), batch_size
    config.speed.update(speed)
    return config


def programs(sizes: Sizes, settings: dict[str, tuple[int, dict[str, Any]]]) -> dict[str, float]:
    """Seconds a step and a model of training programs: name → (number of models, `config.speed`)."""
    callables: dict[str, Callable] = {}
    shape = dataclasses.replace(sizes, length=min(200, sizes.length), filters=min(8, sizes.filters), batch=64)
    for name, (models, speed) in settings.items():
        config = small_config(sizes, **speed)
        dataset = open_dataset(config.data.dataset)
        recipe = recipe_of(shape)
        program = Program(config, recipe, batch_plan(config, dataset), dataset, range(models))
        state = init_state(recipe.model, recipe.optimizer, 0, shape.length)
        holder = [stack_states([state] * models) if models > 1 else state]
        program.compile(holder[0], 0)

        def call(program: Program = program, holder: list = holder) -> Any:
            for _ in range(8 // program.steps_per_call):
                holder[0], numbers = program(holder[0], 0, program.steps_per_call)
            return numbers

        callables[name] = call
    seconds = measure.times(callables, 4 * sizes.repeats)
    return {name: seconds[name] / 8 / models for name, (models, _) in settings.items()}


def calls(sizes: Sizes) -> list[Row]:
    seconds = programs(sizes, {f"{n}": (1, {"steps_per_call": n}) for n in (1, 8)})
    return [
        ("one step a call (200 bp, 8 filters, batch 64)", seconds["1"] * 1e3, "ms a step"),
        ("eight steps a call / one", seconds["8"] / seconds["1"], ""),
    ]


def models(sizes: Sizes) -> list[Row]:
    seconds = programs(
        sizes,
        {"alone": (1, {})} | {f"{how} {n}": (n, {"models": how}) for how in ("vmap", "turn") for n in (2, 8)},
    )
    rows: list[Row] = [("one model alone (200 bp, 8 filters, batch 64)", seconds["alone"] * 1e3, "ms a step")]
    for name, taken in list(seconds.items())[1:]:
        rows.append((f"{name} models, time a model / alone", taken / seconds["alone"], ""))
    return rows


def attribution(sizes: Sizes) -> list[Row]:
    examples = max(2, sizes.batch // 8)
    return rows_of(model_of(sizes), examples=examples, length=sizes.length, repeats=sizes.repeats)


def genome(sizes: Sizes) -> list[Row]:
    return genome_rows(sizes.genome, sizes.genome // 31_000)


def start(sizes: Sizes) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("empty", "filled"):
            command = [sys.executable, "-m", "experiments.train", "--config=configs/quickstart.py"]
            command += [f"--workdir={folder}/{kind}", "--config.train.epochs=1"]
            settings = {**os.environ, "JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
            run = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
            found = re.search(r"started in ([\d.]+) s.*compiled in ([\d.]+) s", run.stderr)
            assert found is not None, run.stderr
            started, compiled = map(float, found.groups())
            rows.append((f"process start to first step, cache {kind}: besides compiling", started, "s"))
            rows.append((f"compiling the step, cache {kind}", compiled, "s"))
    return rows


SUITES: dict[str, Callable[[Sizes], list[Row]]] = {
    "step": step,
    "kernels": kernels,
    "input": input,
    "precision": precision,
    "calls": calls,
    "models": models,
    "attribution": attribution,
    "genome": genome,
    "start": start,
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES), default=[])
    parser.add_argument("--output", help="a file for the same as JSON")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.suites) - set(SUITES))
    if unknown:
        parser.error(f"there is no suite {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    if options.output and not Path(options.output).absolute().parent.is_dir():
        parser.error(f"--output={options.output}: its directory does not exist; make it first")
    sizes = QUICK if options.quick else Sizes()
    report: dict[str, Any] = {"hardware": measure.hardware(), "sizes": dataclasses.asdict(sizes), "suites": {}}
    print(", ".join(f"{name} {value}" for name, value in report["hardware"].items()))
    for name in options.suites or SUITES:
        print(f"\n{name}", flush=True)
        rows = SUITES[name](sizes)
        for what, value, unit in rows:
            print(f"  {what:66} {value:10.4g} {unit}")
        report["suites"][name] = [{"what": what.strip(), "value": value, "unit": unit} for what, value, unit in rows]
    if options.output:
        write_json(Path(options.output), report)


if __name__ == "__main__":
    main(sys.argv[1:])
