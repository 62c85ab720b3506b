"""How the fields of the config's section `model` must fit one another and the section `data`."""

import ml_collections

from experiments.config_values import MODEL_VALUES
from experiments.models import MODELS, OUTPUTS, RESERVED, imported, model_config
from fprior.errors import InputError


def check_model(config: ml_collections.ConfigDict) -> None:
    """Raises InputError if the fields of the model do not fit its name, one another or the data."""
    model, data = config.model, config.data
    if model.outputs not in OUTPUTS:
        raise InputError(f"config.model.outputs (={model.outputs!r}) must be one of {', '.join(OUTPUTS)}")
    if model.name in MODELS:
        own = model_config(model.name)
        if odd := sorted(set(model) ^ set(own)):
            raise InputError(
                f"config.model.name (={model.name!r}) does not go with the fields {', '.join(odd)}: config.model must"
                f" begin as experiments.models.model_config({model.name!r})"
            )
        if model.outputs != own.outputs:
            raise InputError(
                f"config.model.outputs (={model.outputs!r}) must be {own.outputs!r} for config.model.name"
                f" (={model.name!r})"
            )
        for name, (accepts, remedy) in MODEL_VALUES[model.name].items():
            if not accepts(model[name]):
                raise InputError(f"config.model.{name} (={model[name]!r}) {remedy}")
        _check_layers(config)
    else:
        found = imported(model.name, "name")
        if not isinstance(found, type):
            imported(model.get("init", ""), "init")
        if config.train.compute_dtype != "float32":
            raise InputError(
                f"config.train.compute_dtype (={config.train.compute_dtype!r}) is for the models of fprior; cast within"
                f" {model.name} instead"
            )
    if model.outputs == "profiles":
        lost = data.input_length - data.output_length
        if lost < 0 or (lost % 2 and data.reverse_complement):
            raise InputError(
                f"config.data.output_length (={data.output_length}) must be from 1 to config.data.input_length"
                f" (={data.input_length}) and differ from it by an even number, so that the profile lies in the middle"
            )


def _check_layers(config: ml_collections.ConfigDict) -> None:
    """Raises InputError if a model of fprior has layers that do not go together, or an input too short for them."""
    model, data = config.model, config.data
    for name in ("widths", "pool_sizes"):
        if name in model and len(model[name]) != len(model.filters):
            raise InputError(
                f"config.model.{name} (={model[name]}) must have as many numbers as"
                f" config.model.filters (={model.filters})"
            )
    fields = {name: value for name, value in model.items() if name not in RESERVED}
    if model.outputs == "profiles":
        fields["output_length"] = data.output_length
    shortest = MODELS[model.name](**fields).shortest_input()
    if data.input_length < shortest:
        raise InputError(
            f"config.data.input_length (={data.input_length}) is too short for the layers of config.model"
            f" (={model.name!r}): they need {shortest} bases"
            + (f" for config.data.output_length (={data.output_length})" if model.outputs == "profiles" else "")
        )
