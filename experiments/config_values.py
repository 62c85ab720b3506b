"""What every field of a config may hold, whatever the others hold."""

from collections.abc import Callable
from typing import Any

from experiments.attributions import ATTRIBUTIONS
from fprior.attribution.deepshap import REFERENCES
from fprior.data.splits import SPLITS
from fprior.models.profile import CONTROL_COUNTS
from fprior.objectives import PROFILE_WEIGHTS
from fprior.priors import BOUNDARIES, NORMALIZATIONS
from fprior.training.step import ATTRIBUTED

Check = tuple[Callable[[Any], bool], str]  # whether a value is accepted, and what to say of one that is not


def at_least(least: float) -> Check:
    return lambda value: least <= value < float("inf"), f"must be at least {least}"


def positive() -> Check:
    return lambda value: 0 < value < float("inf"), "must be positive"


def within(low: float, high: float) -> Check:
    return lambda value: low <= value <= high, f"must be from {low} to {high}"


def share() -> Check:
    return lambda value: 0 < value <= 1, "must be above 0 and at most 1"


def one_of(*choices: str) -> Check:
    return lambda value: value in choices, f"must be one of {', '.join(choices)}"


def positive_integers(least: int = 1) -> Check:
    def accepts(value: Any) -> bool:
        return len(value) >= least and all(type(item) is int and item > 0 for item in value)

    return accepts, f"must be a tuple of {least} or more positive integers"


def weights(below: float = float("inf")) -> Check:
    def accepts(value: Any) -> bool:
        numbers = all(isinstance(item, (int, float)) and 0 < item < below for item in value)
        return len(value) > 0 and numbers and len(set(value)) == len(value)

    bound = "" if below == float("inf") else f" below {below:g}"
    return accepts, f"must be a tuple of different positive numbers{bound}"


def strings() -> Check:
    return lambda value: all(isinstance(item, str) for item in value), "must be a tuple of texts in quotes"


def _shares(value: tuple) -> bool:
    numbers = all(isinstance(item, (int, float)) for item in value)
    return numbers and len(value) == 3 and min(value) >= 0 and abs(sum(value) - 1) <= 1e-6


def _is_background(value: tuple) -> bool:
    numbers = all(isinstance(item, (int, float)) for item in value)
    return numbers and len(value) == 4 and min(value) > 0 and abs(sum(value) - 1) <= 1e-6


def _are_splits(value: tuple) -> bool:
    return all(item in SPLITS for item in value)


def _is_weight(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value == "auto" or (number and 0 <= value < float("inf"))


_SHARES: Check = (_shares, "must be three numbers from 0 on that add up to 1: train, valid, test")
DROPOUT: Check = (lambda value: 0 <= value < 1, "must be at least 0 and below 1")
_ODD: Check = (lambda value: value > 0 and value % 2 == 1, "must be odd")

MODEL_VALUES: dict[str, dict[str, Check]] = {
    "binary": {
        "filters": positive_integers(),
        "widths": positive_integers(),
        "pool_size": at_least(1),
        "dense_sizes": positive_integers(least=0),
        "conv_dropout": DROPOUT,
        "dense_dropout": DROPOUT,
    },
    "basset": {
        "filters": positive_integers(),
        "widths": positive_integers(),
        "pool_sizes": positive_integers(),
        "dense_sizes": positive_integers(least=0),
        "conv_dropout": DROPOUT,
        "dense_dropout": DROPOUT,
    },
    "deepsea": {
        "filters": positive_integers(),
        "widths": positive_integers(),
        "pool_size": at_least(1),
        "dense_size": at_least(1),
        "conv_dropout": DROPOUT,
        "dense_dropout": DROPOUT,
    },
    "profile": {
        "filters": at_least(1),
        "first_width": _ODD,
        "width": _ODD,
        "dilations": positive_integers(),
        "profile_width": _ODD,
        "control_counts": one_of(*CONTROL_COUNTS),
    },
}

VALUES: dict[str, dict[str, Check]] = {
    "data": {
        "input_length": at_least(4),
        "output_length": at_least(1),
        "jitter": at_least(0),
        "top_fraction": share(),
        "batch_size": at_least(2),
    },
    "prior": {
        "name": one_of("fourier", "smoothness", "sparsity"),
        "weight": (_is_weight, "must be 0 (no prior), a positive number, or 'auto'"),
        "auto_steps": at_least(1),
        "anneal": one_of("none", "inflate", "deflate"),
        "anneal_speed": positive(),
        "examples": one_of("positives", "all"),
        "attribution": one_of(*ATTRIBUTIONS),
        "attributed": one_of(*ATTRIBUTED),
        "profile_weights": one_of(*PROFILE_WEIGHTS),
        "freq_limit": positive(),
        "softness": positive(),
        "smooth_sigma": at_least(0),
        "normalization": one_of(*NORMALIZATIONS),
        "boundary": one_of(*BOUNDARIES),
    },
    "train": {
        "epochs": at_least(1),
        "learning_rate": positive(),
        "count_weight": at_least(0),
        "l1": at_least(0),
        "l2": at_least(0),
        "compute_dtype": one_of("float32", "bfloat16"),
        "stop_after_epochs": at_least(0),
        "stop_gain": at_least(0),
        "select_on": one_of("correctness", "total"),
        "checkpoint_every": at_least(1),
        "log_every": at_least(1),
        "gradients_every": at_least(1),
    },
    "speed": {
        "placement": one_of("auto", "device", "host"),
        "steps_per_call": at_least(1),
        "models": one_of("auto", "vmap", "turn"),
    },
    "evaluate": {
        "split": one_of("train", "valid", "test"),
        "batch_size": at_least(1),
        "negative_upsampling": at_least(1),
        "motifs": strings(),
        "regions": strings(),
        "region_names": strings(),
    },
    "attribute": {
        "split": one_of("train", "valid", "test"),
        "references": one_of(*REFERENCES),
        "num_references": at_least(1),
        "rule": one_of("rescale", "reveal_cancel"),
        "task": at_least(-1),
        "head": one_of("profile", "counts"),
        "memory_gigabytes": positive(),
    },
    "motifs": {
        "window": (lambda value: value >= 30 and value % 2 == 0, "must be even and at least 30, a seqlet's width"),
        "max_seqlets": at_least(101),
        "leiden_runs": at_least(1),
        "q_value": share(),
    },
    "compare": {
        **{name: weights() for name in ("smoothness", "sparsity", "l1", "l2")},
        "dropout": weights(below=1.0),
        "subset_fraction": share(),
        "subset_epochs": at_least(0),
    },
    "prepare": {
        "peaks": strings(),
        "tasks": strings(),
        "chromosome_names": one_of("as_is", "add_chr", "remove_chr"),
        "tracks": strings(),
        "controls": strings(),
        "leave_out_chromosomes": strings(),
        "exclude": strings(),
        "window": at_least(4),
        "top_fraction": share(),
        "max_unknown": within(0, 1),
        "negatives_per_positive": at_least(0),
        "loci": one_of("summits", "bins"),
        "min_summit_distance": at_least(0),
        "positive_reach": at_least(0),
        "background": one_of("gc", "random"),
        "gc_tolerance": positive(),
        "peak_margin": at_least(0),
        "bin_width": at_least(1),
        "bin_stride": at_least(1),
        "bin_overlap": share(),
        "relaxed_peaks": strings(),
        "split": one_of("block", "chromosome"),
        "block_size": at_least(1),
        "fractions": _SHARES,
        "valid_chromosomes": strings(),
        "test_chromosomes": strings(),
        "num_folds": (lambda value: value == 0 or value >= 3, "must be 0 (off) or at least 3"),
        "fold": at_least(0),
        "seed": at_least(0),
    },
    "simulate": {
        "sequences": (lambda value: value >= 6 and value % 2 == 0, "must be even and at least 6"),
        "fractions": _SHARES,
        "instances": at_least(1),
        "reach": at_least(0),
        "background": (_is_background, "must be four positive probabilities that add up to 1: of A, C, G, T"),
        "gc_bias": at_least(0),
        "gc_bias_in": (_are_splits, f"must be a tuple of some of {', '.join(SPLITS)}"),
        "seed": at_least(0),
    },
}
