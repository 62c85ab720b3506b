"""The config: every check fires on a wrong value and names it."""

import re

import ml_collections
import pytest
import tiny
from config_fields import FIELDS, changed
from refusals import refusal

from experiments.config import check_config, check_prepare, default_config
from experiments.config_values import MODEL_VALUES, VALUES
from experiments.models import model_config

# Field → values that must be refused. Each check of the table has to have one.
WRONG = {
    "data.input_length": (3, 20),
    "data.output_length": (0,),
    "data.jitter": (-1,),
    "data.top_fraction": (0.0, 1.5, float("nan")),
    "data.batch_size": (0, 1, 7),
    "model.name": ("", "profile", "no_such_module:Model", "json:no_such_attribute", "json:__doc__"),
    "model.outputs": ("logits", "profiles"),
    "model.filters": ((), (0, 1, 1), (1.5, 1, 1), ("a", 1, 1), (64, 64)),
    "model.widths": ((), (15, 15, -1), (15, 15, 13, 3)),
    "model.pool_size": (0,),
    "model.dense_sizes": ((0,), (5.5,)),
    "model.conv_dropout": (-0.1, 1.0, float("nan")),
    "model.dense_dropout": (-0.1, 1.0, float("nan")),
    "prior.name": ("furier", ""),
    "prior.weight": (-1.0, float("nan"), float("inf"), "automatic", True, (1.0,)),
    "prior.auto_steps": (0,),
    "prior.profile_weights": ("softmax",),
    "prior.anneal": ("up",),
    "prior.anneal_speed": (0.0, float("inf")),
    "prior.examples": ("negatives",),
    "prior.attribution": ("lime",),
    "prior.attributed": ("running",),
    "prior.freq_limit": (0.0, -3.0, float("nan"), 500.0, 1e9),
    "prior.softness": (0.0, -0.2, float("nan")),
    "prior.smooth_sigma": (-1.0, float("nan"), float("inf")),
    "prior.normalization": ("l2",),
    "prior.boundary": ("wrap",),
    "train.epochs": (0,),
    "train.count_weight": (-1.0, float("nan"), float("inf")),
    "train.l1": (-1e-3, float("nan"), float("inf")),
    "train.l2": (-1e-3, float("nan"), float("inf")),
    "train.learning_rate": (0.0, -1e-3, float("nan"), float("inf")),
    "train.stop_after_epochs": (-1,),
    "train.stop_gain": (-0.1, float("nan")),
    "train.compute_dtype": ("float16", "int8"),
    "train.select_on": ("auroc",),
    "train.checkpoint_every": (0,),
    "train.log_every": (0,),
    "train.gradients_every": (0,),
    "speed.placement": ("gpu",),
    "speed.steps_per_call": (0,),
    "speed.models": ("pmap",),
    "evaluate.split": ("all",),
    "evaluate.batch_size": (0,),
    "evaluate.negative_upsampling": (0.5, float("nan")),
    "evaluate.motifs": ((3,),),
    "evaluate.regions": ((3,), ("a.bed", "")),
    "evaluate.region_names": ((3,), ("a",)),
    "attribute.split": ("all",),
    "attribute.references": ("uniform",),
    "attribute.num_references": (0,),
    "attribute.rule": ("linear",),
    "attribute.task": (-2,),
    "attribute.head": ("reads",),
    "attribute.memory_gigabytes": (0.0, -1.0, float("nan")),
    "motifs.window": (0, 28, 401),
    "motifs.max_seqlets": (0, 100),
    "motifs.leiden_runs": (0,),
    "motifs.q_value": (0.0, 1.5, float("nan")),
    **{f"compare.{name}": ((), (0.0,), (1, 1), ("a",), (-1.0,)) for name in ("smoothness", "sparsity", "l1", "l2")},
    "compare.dropout": ((), (0.5, 1.0)),
    "compare.subset_fraction": (0.0, 1.5),
    "compare.subset_epochs": (-1,),
    "prepare.peaks": ((3,),),
    "prepare.tasks": ((3,),),
    "prepare.tracks": ((3,),),
    "prepare.controls": ((3,),),
    "prepare.leave_out_chromosomes": ((3,),),
    "prepare.exclude": ((3,),),
    "prepare.relaxed_peaks": ((3,),),
    "prepare.top_fraction": (0.0, 1.1, float("nan")),
    "prepare.loci": ("windows",),
    "prepare.background": ("none",),
    "prepare.bin_width": (0,),
    "prepare.bin_stride": (0,),
    "prepare.bin_overlap": (0.0, 1.1, float("nan")),
    "prepare.num_folds": (-1, 1, 2),
    "prepare.fold": (-1,),
    "prepare.chromosome_names": ("chr",),
    "prepare.window": (3,),
    "prepare.min_summit_distance": (-1,),
    "prepare.positive_reach": (-1,),
    "prepare.max_unknown": (-0.1, 1.1, float("nan")),
    "prepare.negatives_per_positive": (0,),
    "prepare.gc_tolerance": (0.0, -0.1, float("nan")),
    "prepare.peak_margin": (-1,),
    "prepare.split": ("random",),
    "prepare.block_size": (0,),
    "prepare.fractions": ((0.5, 0.5), (0.5, 0.2, 0.2), (1.2, -0.1, -0.1), ("a", 0.5, 0.5)),
    "prepare.valid_chromosomes": ((8,),),
    "prepare.test_chromosomes": ((1,),),
    "prepare.seed": (-1,),
    "simulate.sequences": (0, 7, 4),
    "simulate.fractions": ((0.5, 0.5), (0.5, 0.2, 0.2), (1.2, -0.1, -0.1), ("a", 0.5, 0.5)),
    "simulate.instances": (0,),
    "simulate.reach": (-1,),
    "simulate.background": ((0.5, 0.5), (0.5, 0.5, 0.0, 0.0), (0.3, 0.3, 0.3, 0.3), ("a", 0.5, 0.25, 0.25)),
    "simulate.gc_bias": (-0.1, float("nan")),
    "simulate.gc_bias_in": (("all",), (3,)),
    "simulate.seed": (-1,),
    "seed": (-1, 2**32),
    "num_models": (0, -2),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_wrong_value_is_named(field, value):
    message = refusal(check_config, changed(field, value))
    assert f"config.{field} (=" in message and str(value) in message
    assert re.search(r"must|cannot be imported|leaves nothing to penalise|too short|they need", message)


# As above, for a model of profiles.
WRONG_PROFILE = {
    "model.outputs": ("labels",),
    "model.filters": (0,),
    "model.first_width": (0, 20),
    "model.width": (-1, 4),
    "model.dilations": ((), (0, 1), (1.5,)),
    "model.profile_width": (0, 74),
    "model.control_counts": ("sqrt",),
    "data.output_length": (0, 999, 1001),
    "data.input_length": (1345,),
}

WRONG_BASSET = {
    "model.outputs": ("profiles",),
    "model.filters": ((), (0, 1, 1), (64, 64)),
    "model.widths": ((), (19, 11, -7), (19, 11)),
    "model.pool_sizes": ((), (3, 4, 0), (3, 4), (3, 4, 4, 4)),
    "model.dense_sizes": ((0,), (5.5,)),
    "model.conv_dropout": (-0.1, 1.0, float("nan")),
    "model.dense_dropout": (-0.1, 1.0, float("nan")),
    "data.input_length": (167,),
}

WRONG_DEEPSEA = {
    "model.outputs": ("profiles",),
    "model.filters": ((), (0, 1, 1), (64, 64)),
    "model.widths": ((), (8, 8, -8), (8, 8)),
    "model.pool_size": (0,),
    "model.dense_size": (0,),
    "model.conv_dropout": (-0.1, 1.0, float("nan")),
    "model.dense_dropout": (-0.1, 1.0, float("nan")),
    "data.input_length": (162,),
}

WRONG_BY_MODEL = {"profile": WRONG_PROFILE, "basset": WRONG_BASSET, "deepsea": WRONG_DEEPSEA}


def changed_model(model: str, field: str, value: object) -> ml_collections.ConfigDict:
    config = default_config()
    config.model = model_config(model)
    if model == "profile":
        config.data.input_length, config.data.output_length = 1346, 1000
    else:
        config.prior.freq_limit = 50.0
    config.update_from_flattened_dict({field: value})
    return config


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [(model, field, value) for model, wrong in WRONG_BY_MODEL.items() for field in wrong for value in wrong[field]],
)
def test_wrong_value_of_another_model_is_named(model, field, value):
    check_config(changed_model(model, "seed", 1))
    message = refusal(check_config, changed_model(model, field, value))
    assert f"config.{field} (=" in message and str(value) in message
    assert re.search(r"must|too short|they need", message)


@pytest.mark.parametrize(("model", "shortest"), [("binary", 80), ("basset", 168), ("deepsea", 163), ("profile", 1346)])
def test_the_shortest_input_itself_is_accepted(model, shortest):
    config = changed_model(model, "data.input_length", shortest)
    config.prior.weight = 0.0  # so that its frequencies do not matter
    check_config(config)
    config.data.input_length = shortest - (2 if model == "profile" else 1)
    message = refusal(check_config, config)
    assert "config.data.input_length" in message and f"need {shortest} bases" in message


def test_every_check_has_a_wrong_value():
    assert {f"{section}.{name}" for section, checks in VALUES.items() for name in checks} <= set(WRONG)
    for name, wrong in {"binary": WRONG, **WRONG_BY_MODEL}.items():
        assert {f"model.{field}" for field in MODEL_VALUES[name]} <= set(wrong)


PATHS_AND_NAMES = {
    "data.dataset",
    "evaluate.motif_file",
    "attribute.loci",
    "attribute.genome",
    "motifs.file",
    "motifs.instances",
    *(f"prepare.{name}" for name in ("output", "name", "genome", "terms")),
    *(f"simulate.{name}" for name in ("output", "name", "task", "motif_file", "motif")),
}


def test_every_number_and_choice_is_checked():
    """Only switches, paths and names of the user's own need no check of their range."""
    free = {
        f"{section}.{name}"
        for section, name in FIELDS
        if isinstance(default_config()[section][name], bool)
    } | PATHS_AND_NAMES  # fmt: skip
    assert {f"{section}.{name}" for section, name in FIELDS} - free <= set(WRONG)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.input_length", 79),  # one base short of the widths and the pool
        ("model.widths", (950, 15, 13)),
        ("model.pool_size", 990),
    ],
)
def test_input_must_fill_the_model(field, value):
    message = refusal(check_config, changed(field, value))
    assert "data.input_length" in message and "bases" in message


def test_limits_themselves_are_accepted():
    check_config(changed("data.input_length", 80 + 300))
    check_config(changed("prior.freq_limit", 499.0))
    check_config(changed("seed", 2**32 - 1))
    config = changed("prior.freq_limit", 500.0)
    config.prior.weight = 0.0  # a prior that is off need not make sense
    check_config(config)


PREPARE = {"prepare.output": "x", "prepare.name": "n", "prepare.genome": "g", "prepare.peaks": ("p",),
           "prepare.tasks": ("t",)}  # fmt: skip


def prepared(**changes) -> ml_collections.ConfigDict:
    config = default_config()
    config.update_from_flattened_dict(PREPARE | {f"prepare.{name}": value for name, value in changes.items()})
    return config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output", ""),
        ("output", str(tiny.ROOT)),
        ("name", ""),
        ("genome", ""),
        ("peaks", ("",)),
        ("peaks", ()),
        ("tasks", ("",)),
        ("tasks", ("t", "u")),
    ],
)
def test_what_prepare_needs(field, value):
    check_prepare(prepared())
    assert re.search(
        r"config\.prepare\.(peaks|tasks|" + field + ")", refusal(check_prepare, prepared(**{field: value}))
    )


def test_tasks_need_different_names():
    message = refusal(check_prepare, prepared(peaks=("p", "q"), tasks=("t", "t")))
    assert "config.prepare.tasks (=('t', 't'))" in message and "different" in message
