"""The data sets of a GC-bias series: simulated alike but for the bias."""

import json
import math
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from experiments import simulate
from experiments.conditions import Overrides
from experiments.launch import overrides
from fprior.data.dataset import open_dataset
from fprior.data.motif_simulation import biased_background, motif_of
from fprior.data.simulation import Motif
from fprior.errors import InputError

DEFAULT = "0,0.01,0.02,0.03,0.04"  # those of the paper
DECIDED = ("data.dataset", "simulate.output", "simulate.gc_bias")  # fields that the series sets itself


def biases_of(config: ml_collections.ConfigDict, text: str | None) -> list[float]:
    """The biases that were asked for, ascending, as shares of all bases.

    Raises:
      InputError: they are no different numbers from 0 on, too few for a slope, or too large for the background.
    """
    text = DEFAULT if text is None else text
    try:
        biases = sorted(float(part) for part in text.split(","))
    except ValueError:
        biases = []
    if len(set(biases)) < max(2, len(biases)) or not all(0 <= bias < math.inf for bias in biases):
        raise InputError(
            f"--biases (={text!r}) must be two or more different numbers from 0 on, such as {DEFAULT};"
            " experiments.compare is for a single one"
        )
    try:
        biased_background(config.simulate.background, biases[-1])
    except InputError as error:
        raise InputError(f"--biases (={text!r}): {error}") from error
    return biases


def bias_label(bias: float) -> str:
    """0.02, as it stands in names of directories."""
    return np.format_float_positional(bias, trim="-")


def dataset_changes(config: ml_collections.ConfigDict, bias: float, folder: Path) -> Overrides:
    """The fields that make the config one of that bias, with its data set in `folder`."""
    path = str(folder / f"gc_{bias_label(bias)}")
    name = f"{config.simulate.name}_{bias_label(bias)}"
    return {"data.dataset": path, "simulate.output": path, "simulate.name": name, "simulate.gc_bias": bias}


def check_dataset(config: ml_collections.ConfigDict) -> None:
    """Checks the data set of a config that is there, or else that it can be simulated.

    Raises:
      InputError: it is damaged or was made with other settings, or the settings do not go together.
    """
    if not Path(config.simulate.output).exists():
        simulate.check_simulate(config)
        simulate.check_inside(config, _motif(config))
        return
    manifest = open_dataset(config.simulate.output).manifest
    earlier = {**manifest.get("simulation", {}), "window": manifest["window"], "motif": manifest.get("motif")}
    differing = [name for name, value in _settings(config).items() if earlier.get(name) != value]
    if differing:
        names = {"window": "config.data.input_length or jitter"}
        fields = ", ".join(names.get(name, f"config.simulate.{name}") for name in differing)
        raise InputError(
            f"{config.simulate.output}: was simulated with other settings of {fields}; give the same ones, or choose"
            " another --workdir"
        )


def simulate_missing(config: ml_collections.ConfigDict) -> None:
    """Simulates the data set of a config that `check_dataset` has passed, unless it is there."""
    if not Path(config.simulate.output).exists():
        simulate.main(config)


def check_undecided() -> None:
    """Raises InputError if the command line sets a field that the series sets itself."""
    for field in DECIDED:
        if field in overrides():
            raise InputError(f"--config.{field}: the series sets it for every bias; leave it out, and see --biases")


def _motif(config: ml_collections.ConfigDict) -> Motif:
    return motif_of(config.simulate.motif_file, config.simulate.motif)


def _settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """All that decides what is simulated, as a manifest has it."""
    motif = _motif(config)
    plain = json.loads(ml_collections.ConfigDict(config).to_json())["simulate"]
    settings = {name: value for name, value in plain.items() if name not in ("output", "motif_file", "motif")}
    described = {"name": motif.name, "frequencies": motif.frequencies.round(6).tolist()}
    return {**settings, "window": simulate.window_of(config), "motif": described}
