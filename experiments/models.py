"""The models that `config.model.name` can name: those of `fprior`, and any importable one of the user's own.

`MODULE:NAME` is imported from where Python finds modules, the current directory first. NAME is a Flax module's class,
or a pure function `apply(params, x)` whose parameters `config.model.init` makes, `MODULE:NAME` too: `init(key, x)`. All
other fields of `config.model` are passed to the class, or to both functions, by name; so are those of `num_tasks`,
`num_strands`, `controls` and `output_length` that the class or function takes.
"""

import dataclasses
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import ml_collections

from fprior.data.dataset import TrackLayout
from fprior.errors import InputError
from fprior.models import BassetModel, BinaryModel, DeepSEAModel, ProfileModel

MODELS = {"binary": BinaryModel, "basset": BassetModel, "deepsea": DeepSEAModel, "profile": ProfileModel}
OUTPUTS = ("labels", "profiles")
RESERVED = ("name", "outputs", "init")  # the rest of config.model are the model's own fields

_PAPER: dict[str, dict[str, Any]] = {
    "binary": {
        "filters": (64, 64, 64),
        "widths": (15, 15, 13),
        "pool_size": 40,
        "dense_sizes": (50, 15),
        "conv_dropout": 0.0,
        "dense_dropout": 0.0,
    },
    "basset": {
        "filters": (300, 200, 200),
        "widths": (19, 11, 7),
        "pool_sizes": (3, 4, 4),
        "dense_sizes": (1000, 1000),
        "conv_dropout": 0.0,  # after each max pool
        "dense_dropout": 0.3,
    },
    "deepsea": {
        "filters": (320, 480, 960),
        "widths": (8, 8, 8),
        "pool_size": 4,  # between the convolutions
        "dense_size": 925,
        "conv_dropout": 0.2,  # after each max pool
        "dense_dropout": 0.5,  # of what the dense layer reads
    },
    "profile": {
        "filters": 64,
        "first_width": 21,
        "width": 3,
        "dilations": (1, 2, 4, 8, 16, 32, 64),
        "profile_width": 75,
        "control_counts": "log",  # what the count head reads of the controls: log(1 + sum), or raw: the sum
    },
}


def model_config(name: str, outputs: str = "labels", **fields: Any) -> ml_collections.ConfigDict:
    """The section `config.model` of a model, with its fields at the paper's values.

    Args:
      name: binary, basset, deepsea, profile or `MODULE:NAME`.
      outputs: of a model of one's own: `"labels"`, logits `(B, T)`, or `"profiles"`, a pair of profile logits
        `(B, T, O, S)` and log counts `(B, T, S)`.
      fields: of a model of one's own; of a pure function also `init`.
    """
    if name in MODELS:
        outputs = "profiles" if name == "profile" else "labels"
        fields = _PAPER[name] | fields
    return ml_collections.ConfigDict({"name": name, "outputs": outputs, **fields})


def build_model(config: ml_collections.ConfigDict, num_tasks: int, layout: TrackLayout | None) -> Any:
    """The model that the config names, for so many tasks and tracks of that layout."""
    section = config.model
    given = {name: value for name, value in section.items() if name not in RESERVED}
    offered: dict[str, Any] = {"num_tasks": num_tasks}
    if section.outputs == "profiles":
        assert layout is not None, "data sets without tracks were refused"
        offered |= {
            "num_strands": layout.strands,
            "controls": layout.controls,
            "output_length": config.data.output_length,
        }
    if section.name in MODELS:
        return MODELS[section.name](**offered, **given)
    found = imported(section.name, "name")
    if inspect.isclass(found):
        fields = {**_taken(found, offered), **given}
        try:
            return found(**fields)
        except TypeError as error:
            raise InputError(f"config.model.name (={section.name!r}) does not take these fields: {error}") from error
    initialise = imported(section.get("init", ""), "init")
    return PureModel(found, initialise, tuple({**_taken(found, offered), **given}.items()))


@dataclasses.dataclass(frozen=True)
class PureModel:
    """Two pure functions with the methods of a Flax module: `apply(params, x)` and `init(key, x)`."""

    function: Callable
    initialise: Callable
    fields: tuple[tuple[str, Any], ...]

    def init(self, key: Any, *inputs: Any) -> dict[str, Any]:
        return {"params": self.initialise(key, *inputs, **dict(self.fields))}

    def apply(self, variables: Any, *inputs: Any, train: bool, mutable: Any = None, rngs: Any = None) -> Any:
        outputs = self.function(variables["params"], *inputs, **dict(self.fields))
        return outputs if mutable is None else (outputs, {})


def _taken(found: Callable, offered: dict[str, Any]) -> dict[str, Any]:
    """Those of the offered fields that a class or function has parameters for."""
    parameters = inspect.signature(found).parameters
    return {name: value for name, value in offered.items() if name in parameters}


def imported(name: str, field: str) -> Callable:
    """The class or function `MODULE:NAME`.

    Raises:
      InputError: it is not of this form, or cannot be imported.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InputError(
            f"config.model.{field} (={name!r}) must be MODULE:NAME"
            + (f", or one of {', '.join(MODELS)}" if field == "name" else ", for a pure function in config.model.name")
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises
        raise InputError(
            f"config.model.{field} (={name!r}) cannot be imported: {type(error).__name__}: {error}; modules are looked"
            " up in the current directory first"
        ) from error
    if not callable(found):
        raise InputError(
            f"config.model.{field} (={name!r}) is a {type(found).__name__}; it must be a class or a function"
        )
    return found
