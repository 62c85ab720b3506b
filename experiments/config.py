"""Every field of an experiment's config: its default, its meaning, and the checks it must pass.

A config file in configs/ starts from `default_config()` and sets what differs. Fields cannot be added and keep
their type, so that a misspelt or mistyped one dies where it is written.
"""

from collections.abc import Callable
from pathlib import Path

import ml_collections

from experiments.attributions import ATTRIBUTIONS
from fprior.attribution.deepshap import REFERENCES
from fprior.errors import InputError
from fprior.priors import BOUNDARIES, NORMALIZATIONS
from fprior.training.step import ATTRIBUTED

PRIORS = ("fourier", "smoothness", "sparsity")


def default_config() -> ml_collections.ConfigDict:
    """The paper's binary settings; a data set has to be named."""
    config = ml_collections.ConfigDict(
        {
            "seed": 0,  # keys the parameters, the order of the data, jitter and dropout
            "num_models": 1,  # models trained in one program, with seeds seed, seed + 1, …
            "data": {
                "dataset": "",  # a directory made by experiments.prepare, or the name of one that ships with fprior
                "input_length": 1000,  # bases the model reads
                "jitter": 128,  # in training, windows are shifted by up to so many bases
                "batch_size": 128,  # half positives, half negatives; before opposite strands are added
                "reverse_complement": True,  # add the opposite strand of every sequence to the batch
            },
            "model": {
                "name": "binary",
                "filters": (64, 64, 64),
                "widths": (15, 15, 13),
                "pool_size": 40,
                "dense_sizes": (50, 15),
                "conv_dropout": 0.0,
                "dense_dropout": 0.0,
            },
            "prior": {
                "name": "fourier",  # fourier, smoothness or sparsity
                "weight": 1.0,  # λ; 0 trains without a prior
                "anneal": "none",  # over epochs e: none, inflate 2/(1+exp(−c·e))−1, deflate exp(−c·e)
                "anneal_speed": 1.0,  # c; the paper inflates with 1 and deflates with 0.3
                "examples": "positives",  # positives or all
                "attribution": "input_gradient",  # what the prior is put on: see experiments/attributions.py
                "attributed": "batch",  # batch, evaluation or training: see fprior.training.step.Recipe
                "centred": True,  # subtract the gradient's mean over bases: see fprior.input_gradient
                "freq_limit": 150.0,  # highest frequency left alone, in cycles per input; L / (shortest motif)
                "softness": 0.2,  # exponent of the decay above it
                "hard_cut": False,  # no decay: everything above freq_limit is penalised in full
                "smooth_sigma": 3.0,  # Gaussian smoothing of the track first, in bases; 0 for none
                "normalization": "paper",  # paper or reference: see fprior.fourier_prior
                "boundary": "periodic",  # periodic, reflect, taper or cosine: see fprior.fourier_prior
            },
            "train": {
                "epochs": 20,  # at most; an epoch reads every positive once
                "learning_rate": 1e-3,  # of Adam
                "compute_dtype": "float32",  # or bfloat16, in training; parameters, statistics and FFT stay float32
                "class_averaged": True,  # average the losses of positives and negatives apart, then together
                "stop_after_epochs": 3,  # without a gain of stop_gain in the validation loss; 0 never stops early
                "stop_gain": 0.001,
                "select_on": "correctness",  # the validation loss that picks the best epoch: correctness or total
                "checkpoint_every": 500,  # steps; one is written at the end of every epoch anyway
                "log_every": 10,  # steps
                "gradients_every": 200,  # steps between reports of gradient norms and their cosine
            },
            "speed": {  # nothing here changes what is learned, beyond rounding
                "placement": "auto",  # of the data: device, host (memory-mapped, read ahead), or device if it fits
                "steps_per_call": 1,  # training steps in one call of the compiled program; helps where steps are short
                "models": "auto",  # how num_models share a program: vmap, turn, or auto: turn on a CPU
            },
            "evaluate": {
                "split": "test",  # train, valid or test
                "batch_size": 256,
                "centred": True,  # of the attributions that are measured and drawn: see fprior.input_gradient
                "negative_upsampling": 1.0,  # negatives in the genome per negative here, for corrected precision
            },
            "attribute": {
                "split": "test",  # whose positives are attributed: train, valid or test
                "loci": "",  # in place of a split: BED or narrowPeak, around whose summits the inputs lie
                "genome": "",  # and the FASTA that they lie in
                "references": "shuffle",  # shuffle (keeps dinucleotides), gc or zeros: see fprior.deepshap
                "num_references": 10,
                "rule": "rescale",  # rescale or reveal_cancel: see fprior.deeplift
                "task": -1,  # whose logit is attributed, from 0; -1 is the sum over tasks
                "memory_gigabytes": 2.0,  # that a call may take
            },
            "prepare": {
                "output": "",  # directory of the data set; must not exist
                "name": "",
                "genome": "",  # FASTA, plain or bgzip
                "peaks": ("",),  # BED or narrowPeak, one file a task
                "tasks": ("",),  # their names
                "chromosome_names": "as_is",  # as_is, add_chr or remove_chr, for the peaks
                "partial_genome": False,  # the FASTA holds chromosomes in part: drop loci beyond the ends
                "window": 1256,  # bases stored for every locus: input_length + 2 · jitter or more
                "min_summit_distance": 200,  # of summits closer than this, the one with the strongest signal is kept
                "positive_reach": 100,  # a locus is positive for a task with a summit within so many bases
                "max_unknown": 0.0,  # largest fraction of N in a window
                "negatives_per_positive": 10,
                "gc_tolerance": 0.02,  # allowed difference in GC fraction of a negative and its positive
                "peak_margin": 500,  # bases around peaks that no negative may touch
                "split": "block",  # block or chromosome
                "block_size": 5_000_000,
                "fractions": (0.7, 0.15, 0.15),  # of the blocks: train, valid, test
                "valid_chromosomes": ("chr8", "chr10"),
                "test_chromosomes": ("chr1",),
                "seed": 0,  # deals the blocks and draws the negatives
                "compress": False,  # smaller on disk, but read into memory as a whole
                "terms": "",  # origin and licence of the data, kept in the manifest
            },
        }
    )
    config.lock()
    return config


# ---- checks


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks every value by itself and with the others.

    Raises:
      InputError: names the field, its value and the remedy.
    """
    for section, fields in _CHECKS.items():
        for name, (accepts, remedy) in fields.items():
            value = config[section][name]
            if not accepts(value):
                raise InputError(f"config.{section}.{name} (={value!r}) {remedy}")
    if config.num_models < 1:
        raise InputError(f"config.num_models (={config.num_models}) must be at least 1")
    if config.seed < 0 or config.seed + config.num_models > 2**32:
        raise InputError(f"config.seed (={config.seed}) must be from 0 to 2^32 − config.num_models")
    _check_model(config)
    data, prior = config.data, config.prior
    if data.batch_size % 2:
        raise InputError(f"config.data.batch_size (={data.batch_size}) must be even: half positives, half negatives")
    if prior.attribution != "input_gradient" and prior.attributed == "training":
        raise InputError(
            f"config.prior.attribution (={prior.attribution!r}) needs a function of single sequences, which"
            " config.prior.attributed (='training') has none of; set that to 'batch' or 'evaluation'"
        )
    if prior.name == "fourier" and prior.weight > 0 and prior.freq_limit >= data.input_length / 2:
        raise InputError(
            f"config.prior.freq_limit (={prior.freq_limit}) leaves nothing to penalise: an input of"
            f" {data.input_length} bases has {data.input_length // 2} frequencies;"
            " set it to data.input_length / (shortest motif)"
        )


def _check_model(config: ml_collections.ConfigDict) -> None:
    model = config.model
    if len(model.filters) != len(model.widths):
        raise InputError(
            f"config.model.widths (={model.widths}) must have as many numbers as"
            f" config.model.filters (={model.filters})"
        )
    shortest = model.pool_size + sum(width - 1 for width in model.widths)
    if config.data.input_length < shortest:
        raise InputError(
            f"config.data.input_length (={config.data.input_length}) is too short for config.model.widths and"
            f" pool_size: they need {shortest} bases"
        )


def check_prepare(config: ml_collections.ConfigDict) -> None:
    """Checks what only `experiments.prepare` needs."""
    prepare = config.prepare
    for name in ("output", "name", "genome"):
        if not prepare[name]:
            raise InputError(f"config.prepare.{name} is empty; set it")
    if Path(prepare.output).exists():
        raise InputError(f"config.prepare.output (={prepare.output!r}) exists already; delete it or choose another")
    if not all(prepare.peaks):
        raise InputError(f"config.prepare.peaks (={prepare.peaks}) must name one BED or narrowPeak file a task")
    if len(prepare.peaks) != len(prepare.tasks) or not all(prepare.tasks):
        raise InputError(
            f"config.prepare.tasks (={prepare.tasks}) must name the task of each of the {len(prepare.peaks)} files in"
            " config.prepare.peaks"
        )
    if len(set(prepare.tasks)) != len(prepare.tasks):
        raise InputError(f"config.prepare.tasks (={prepare.tasks}) must be different names")


Check = tuple[Callable[[object], bool], str]


def _at_least(least: float) -> Check:
    return lambda value: least <= value < float("inf"), f"must be at least {least}"


def _positive() -> Check:
    return lambda value: 0 < value < float("inf"), "must be positive"


def _within(low: float, high: float) -> Check:
    return lambda value: low <= value <= high, f"must be from {low} to {high}"


def _one_of(*choices: str) -> Check:
    return lambda value: value in choices, f"must be one of {', '.join(choices)}"


def _positive_integers(least: int = 1) -> Check:
    def accepts(value: object) -> bool:
        return len(value) >= least and all(isinstance(item, int) and item > 0 for item in value)

    return accepts, f"must be a tuple of {least} or more positive integers"


def _strings() -> Check:
    return lambda value: all(isinstance(item, str) for item in value), "must be a tuple of texts in quotes"


def _shares(value: tuple) -> bool:
    numbers = all(isinstance(item, (int, float)) for item in value)
    return numbers and len(value) == 3 and min(value) >= 0 and abs(sum(value) - 1) <= 1e-6


_DROPOUT = (lambda value: 0 <= value < 1, "must be at least 0 and below 1")

_CHECKS: dict[str, dict[str, Check]] = {
    "data": {
        "input_length": _at_least(4),
        "jitter": _at_least(0),
        "batch_size": _at_least(2),
    },
    "model": {
        "name": _one_of("binary"),
        "filters": _positive_integers(),
        "widths": _positive_integers(),
        "pool_size": _at_least(1),
        "dense_sizes": _positive_integers(least=0),
        "conv_dropout": _DROPOUT,
        "dense_dropout": _DROPOUT,
    },
    "prior": {
        "name": _one_of(*PRIORS),
        "weight": (lambda value: 0 <= value < float("inf"), "must be 0 (no prior) or positive"),
        "anneal": _one_of("none", "inflate", "deflate"),
        "anneal_speed": _positive(),
        "examples": _one_of("positives", "all"),
        "attribution": _one_of(*ATTRIBUTIONS),
        "attributed": _one_of(*ATTRIBUTED),
        "freq_limit": _positive(),
        "softness": _positive(),
        "smooth_sigma": _at_least(0),
        "normalization": _one_of(*NORMALIZATIONS),
        "boundary": _one_of(*BOUNDARIES),
    },
    "train": {
        "epochs": _at_least(1),
        "learning_rate": _positive(),
        "compute_dtype": _one_of("float32", "bfloat16"),
        "stop_after_epochs": _at_least(0),
        "stop_gain": _at_least(0),
        "select_on": _one_of("correctness", "total"),
        "checkpoint_every": _at_least(1),
        "log_every": _at_least(1),
        "gradients_every": _at_least(1),
    },
    "speed": {
        "placement": _one_of("auto", "device", "host"),
        "steps_per_call": _at_least(1),
        "models": _one_of("auto", "vmap", "turn"),
    },
    "evaluate": {
        "split": _one_of("train", "valid", "test"),
        "batch_size": _at_least(1),
        "negative_upsampling": _at_least(1),
    },
    "attribute": {
        "split": _one_of("train", "valid", "test"),
        "references": _one_of(*REFERENCES),
        "num_references": _at_least(1),
        "rule": _one_of("rescale", "reveal_cancel"),
        "task": _at_least(-1),
        "memory_gigabytes": _positive(),
    },
    "prepare": {
        "peaks": _strings(),
        "tasks": _strings(),
        "chromosome_names": _one_of("as_is", "add_chr", "remove_chr"),
        "window": _at_least(4),
        "min_summit_distance": _at_least(0),
        "positive_reach": _at_least(0),
        "max_unknown": _within(0, 1),
        "negatives_per_positive": _at_least(1),
        "gc_tolerance": _positive(),
        "peak_margin": _at_least(0),
        "split": _one_of("block", "chromosome"),
        "block_size": _at_least(1),
        "fractions": (_shares, "must be three numbers from 0 on that add up to 1: train, valid, test"),
        "valid_chromosomes": _strings(),
        "test_chromosomes": _strings(),
        "seed": _at_least(0),
    },
}
