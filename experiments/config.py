"""Every field of an experiment's config: its default, its meaning, and the checks it must pass.

A config file in configs/ starts from `default_config()` and sets what differs. Fields cannot be added and keep
their type, so that a misspelt or mistyped one dies where it is written.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from experiments.config_kinds import check_kinds
from experiments.config_model import check_model
from experiments.config_values import VALUES
from experiments.models import MODELS, model_config
from experiments.prepare_checks import check_bins, check_files, check_folds, check_negatives, given
from fprior.errors import InputError

_DATA: dict[str, Any] = {
    "dataset": "",  # a directory made by experiments.prepare, or the name of one that ships with fprior
    "input_length": 1000,  # bases the model reads
    "output_length": 1000,  # positions of a profile, in the middle of the input; of no meaning for labels
    "jitter": 128,  # in training, windows are shifted by up to so many bases
    "top_fraction": 1.0,  # of the training positives, those with the highest signal, are trained on
    "batch_size": 128,  # half positives, half negatives; before opposite strands are added
    "reverse_complement": True,  # add the opposite strand of every sequence to the batch
}

_PRIOR: dict[str, Any] = {
    "name": "fourier",  # fourier, smoothness or sparsity
    # λ; 0 trains without a prior; "auto" is half of the correctness loss reached without it, as the paper has it for
    # profiles, measured in a run of auto_steps steps
    "weight": 1.0,
    "auto_steps": 200,
    "anneal": "none",  # over epochs e: none, inflate 2/(1+exp(−c·e))−1, deflate exp(−c·e)
    "anneal_speed": 1.0,  # c; the paper inflates with 1 and deflates with 0.3
    "examples": "positives",  # positives or all
    "attribution": "input_gradient",  # what the prior is put on: see experiments/attributions.py
    "attributed": "batch",  # batch, evaluation or training: see fprior.training.step.Recipe
    "centred": True,  # subtract the gradient's mean over bases: see fprior.input_gradient
    "profile_weights": "probabilities",  # or log_probabilities, as the authors: see fprior.objectives
    "freq_limit": 150.0,  # highest frequency left alone, in cycles per input; L / (shortest motif)
    "softness": 0.2,  # exponent of the decay above it
    "hard_cut": False,  # no decay: everything above freq_limit is penalised in full
    "smooth_sigma": 3.0,  # Gaussian smoothing of the track first, in bases; 0 for none
    "normalization": "paper",  # paper or reference: see fprior.fourier_prior
    "boundary": "periodic",  # periodic, reflect, taper or cosine: see fprior.fourier_prior
}

_TRAIN: dict[str, Any] = {
    "epochs": 20,  # at most; an epoch reads every positive once
    "learning_rate": 1e-3,  # of Adam
    "compute_dtype": "float32",  # or bfloat16, in training; parameters, statistics and FFT stay float32
    "class_averaged": True,  # average the losses of positives and negatives apart, then together
    "count_weight": 20.0,  # of the counts' squared error, beside the profiles' likelihood
    "l1": 0.0,  # weight of Σ|θ| over all parameters θ in the loss; 0 leaves it out
    "l2": 0.0,  # weight of Σθ²
    "stop_after_epochs": 3,  # without a gain of stop_gain in the validation loss; 0 never stops early
    "stop_gain": 0.001,
    "select_on": "correctness",  # the validation loss that picks the best epoch: correctness or total
    "checkpoint_every": 500,  # steps; one is written at the end of every epoch anyway
    "log_every": 10,  # steps
    "gradients_every": 200,  # steps between reports of gradient norms and their cosine
}

_SPEED: dict[str, Any] = {  # nothing here changes what is learned, beyond rounding
    "placement": "auto",  # of the data: device, host (memory-mapped, read ahead), or device if it fits
    "steps_per_call": 1,  # training steps in one call of the compiled program; helps where steps are short
    "models": "auto",  # how num_models share a program: vmap, turn, or auto: turn on a CPU
}

_EVALUATE: dict[str, Any] = {
    "split": "test",  # train, valid or test
    "batch_size": 256,
    "centred": True,  # of the attributions that are measured and drawn: see fprior.input_gradient
    "negative_upsampling": 1.0,  # negatives in the genome per negative here, for corrected precision
    "motifs": ("",),  # names in motif_file: the share of importance inside each one's matches
    "motif_file": "jaspar2024_selected",  # MEME's minimal format; or one that ships with fprior
    # BED files of independent regions to hold importance against, such as footprints or peaks of a sharper
    # assay; peaks stands for those of the data set, instances for the true ones of a simulated one
    "regions": ("",),
    "region_names": ("",),  # one a file, for the names of the measures
}

_ATTRIBUTE: dict[str, Any] = {
    "split": "test",  # whose positives are attributed: train, valid or test
    "loci": "",  # in place of a split: BED or narrowPeak, around whose summits the inputs lie
    "genome": "",  # and the FASTA that they lie in
    "references": "shuffle",  # shuffle (keeps dinucleotides), gc or zeros: see fprior.deepshap
    "num_references": 10,
    "rule": "rescale",  # rescale or reveal_cancel: see fprior.deeplift
    "task": -1,  # whose logit or profile is attributed, from 0; -1 is the sum over tasks
    "head": "profile",  # of a profile model: profile or counts
    "memory_gigabytes": 2.0,  # that a call may take
}

_MOTIFS: dict[str, Any] = {  # in the attributions that the section attribute names
    "file": "jaspar2026_core_vertebrates",  # known motifs, in MEME's minimal format; or as motif_file above
    "window": 400,  # bases in the middle of an input that patterns are looked for in; at most the input
    "max_seqlets": 20_000,  # stretches of high contributions that patterns are made of, of either sign
    "leiden_runs": 2,  # clusterings with different seeds, of which the best is taken
    "q_value": 0.05,  # matches to known motifs and enrichments with at most this are called ones
    "instances": "",  # NAME of the attributions_NAME.h5 to call instances in, in place of the patterns' own
}

_COMPARE: dict[str, Any] = {  # weights that `experiments.compare` tries: the one of the lowest validation loss is taken
    "smoothness": (0.001, 0.01, 0.1),  # λ of the smoothness prior
    "sparsity": (0.03, 0.1, 0.3),  # λ of the sparsity prior
    "l1": (1e-6, 1e-5, 1e-4),  # train.l1
    "l2": (1e-5, 1e-4, 1e-3),  # train.l2
    "dropout": (0.1, 0.2, 0.4),  # model.conv_dropout and model.dense_dropout
    "subset_fraction": 1.0,  # data.top_fraction of a second model for each one, whose stability is measured
    "subset_epochs": 0,  # of these models; 0 is train.epochs, which on few positives are few steps
    # Find motifs in every model, as the section motifs says: minutes each for hundreds of loci, an hour or
    # more and several gigabytes for tens of thousands
    "motifs": False,
}

_PREPARE: dict[str, Any] = {
    "output": "",  # directory of the data set; must not exist
    "name": "",
    "genome": "",  # FASTA, plain or bgzip, or 2bit
    "peaks": ("",),  # BED or narrowPeak, one file a task
    "tasks": ("",),  # their names
    "tracks": ("",),  # BigWigs of counts: of each task in turn plus and minus, or one without strands
    "controls": ("",),  # likewise: as many as tracks, or one set of strands that all tasks share
    "chromosome_names": "as_is",  # as_is, add_chr or remove_chr, for peaks and excluded regions
    "leave_out_chromosomes": ("chrY", "chrM"),  # whose peaks are dropped, in either style of names
    "exclude": ("",),  # BED files of regions that no window may touch
    "partial_genome": False,  # the FASTA holds chromosomes in part: drop loci beyond the ends
    "window": 1256,  # bases stored for every locus: input_length + 2 · jitter or more
    "top_fraction": 1.0,  # of each task's peaks, those with the highest signal, that may be positives
    "max_unknown": 0.0,  # largest fraction of N in a window
    "negatives_per_positive": 10,  # of the same split; with bins 0 keeps all negatives
    "loci": "summits",  # windows around summits, or bins: all bins of the chromosomes with peaks, labelled
    # With summits:
    "min_summit_distance": 200,  # of summits closer than this, the one with the strongest signal is kept
    "positive_reach": 100,  # a locus is positive for a task with a summit within so many bases
    "background": "gc",  # gc matches the negatives to the positives, random does not
    "gc_tolerance": 0.02,  # allowed difference in GC fraction of a negative and its positive
    "peak_margin": 500,  # bases around peaks that no negative may touch
    # With bins, whose negatives are drawn at random; the stored window lies around a bin's middle:
    "bin_width": 200,
    "bin_stride": 50,
    "bin_overlap": 0.5,  # a bin is positive for a task whose peaks cover so much of it
    "relaxed_peaks": ("",),  # one file a task: a bin that only these cover so much is ambiguous
    "split": "block",  # block or chromosome
    "block_size": 5_000_000,
    "fractions": (0.7, 0.15, 0.15),  # of the blocks: train, valid, test
    "valid_chromosomes": ("chr8", "chr10"),
    "test_chromosomes": ("chr1",),
    "num_folds": 0,  # in place of these two: deal the chromosomes to so many folds of about equal length,
    "fold": 0,  # of which this one is test, the next one validation
    "seed": 0,  # deals the blocks and draws the negatives
    "compress": False,  # smaller on disk, but read into memory as a whole
    "terms": "",  # origin and licence of the data, kept in the manifest
}

_SIMULATE: dict[str, Any] = {
    "output": "",  # directory of the data set; must not exist
    "name": "",
    "task": "",  # what the label is called
    "motif_file": "jaspar2024_selected",  # MEME's minimal format; or one that ships with fprior
    "motif": "",  # name of the motif there
    "sequences": 20_000,  # half with instances of the motif, half without
    "fractions": (0.8, 0.1, 0.1),  # of them: train, valid, test
    "instances": 1,  # of the motif in each positive, on either strand
    "reach": 100,  # how far from the middle of the window an instance may be, in bases
    "background": (0.25, 0.25, 0.25, 0.25),  # probabilities of A, C, G, T
    "gc_bias": 0.0,  # added to the share of G and C in the background of positives, half to each
    "gc_bias_in": ("train",),  # splits whose positives have that bias: of train, valid, test
    "seed": 0,  # with a sequence's number decides that sequence
}


def default_config() -> ml_collections.ConfigDict:
    """The paper's binary settings; a data set has to be named."""
    config = ml_collections.ConfigDict(
        {
            "seed": 0,  # keys the parameters, the order of the data, jitter and dropout
            "num_models": 1,  # models trained in one program, with seeds seed, seed + 1, …
            "distributed": False,  # this process is one of several: see experiments/devices.py
            "data": _DATA,
            # basset, deepsea and profile likewise, or your own; the fields of each: see experiments/models.py
            "model": model_config("binary"),
            "prior": _PRIOR | {"weight": ml_collections.FieldReference(1.0, field_type=object)},  # or "auto"
            "train": _TRAIN,
            "speed": _SPEED,
            "evaluate": _EVALUATE,
            "attribute": _ATTRIBUTE,
            "motifs": _MOTIFS,
            "compare": _COMPARE,
            "prepare": _PREPARE,
            "simulate": _SIMULATE,
        }
    )
    config.lock()
    return config


def with_changes(config: ml_collections.ConfigDict, changes: Mapping[str, object]) -> ml_collections.FrozenConfigDict:
    """The config with other values of some fields, by names such as `seed` or `prior.weight`.

    It shares nothing with the given one: `ConfigDict(config)` may share sections, and a change of one is then a change
    of both.
    """
    changed = ml_collections.ConfigDict(config.to_dict())
    with changed.ignore_type():  # λ is a number or "auto"
        for name, value in changes.items():
            section, _, field = name.rpartition(".")
            (changed[section] if section else changed)[field] = value
    return ml_collections.FrozenConfigDict(changed)


# ---- checks


def check_config(config: ml_collections.ConfigDict) -> None:
    """Checks every value by itself and with the others.

    Raises:
      InputError: names the field, its value and the remedy.
    """
    _check_kinds(config)
    for section, fields in VALUES.items():
        for name, (accepts, remedy) in fields.items():
            value = config[section][name]
            if not accepts(value):
                raise InputError(f"config.{section}.{name} (={value!r}) {remedy}")
    if config.num_models < 1:
        raise InputError(f"config.num_models (={config.num_models}) must be at least 1")
    if config.seed < 0 or config.seed + config.num_models > 2**32:
        raise InputError(f"config.seed (={config.seed}) must be from 0 to 2^32 − config.num_models")
    check_model(config)
    check_negatives(config.prepare)
    _check_regions(config.evaluate)
    data, prior = config.data, config.prior
    if data.batch_size % 2:
        raise InputError(f"config.data.batch_size (={data.batch_size}) must be even: half positives, half negatives")
    if prior.attribution != "input_gradient" and prior.attributed == "training":
        raise InputError(
            f"config.prior.attribution (={prior.attribution!r}) needs a function of single sequences, which"
            " config.prior.attributed (='training') has none of; set that to 'batch' or 'evaluation'"
        )
    if prior.name == "fourier" and has_prior(config) and prior.freq_limit >= data.input_length / 2:
        raise InputError(
            f"config.prior.freq_limit (={prior.freq_limit}) leaves nothing to penalise: an input of"
            f" {data.input_length} bases has {data.input_length // 2} frequencies;"
            " set it to data.input_length / (shortest motif)"
        )


def _check_kinds(config: ml_collections.ConfigDict) -> None:
    own = model_config(config.model.name) if config.model.name in list(MODELS) else {}
    if set(own) != set(config.model):
        own = {"name": "", "outputs": ""}  # the others are the user's, or will be refused
    for name, default in {**default_config(), "model": own}.items():
        if isinstance(default, Mapping | ml_collections.ConfigDict):
            check_kinds(f"config.{name}", config[name], default)
        else:
            check_kinds("config", config, {name: default})


def has_prior(config: ml_collections.ConfigDict) -> bool:
    """Whether a prior is trained with."""
    return config.prior.weight == "auto" or config.prior.weight > 0


def _check_regions(evaluate: ml_collections.ConfigDict) -> None:
    """Each region set has a name of its own, apart from the motifs' too: measures are named after them."""
    regions, names = evaluate.regions, evaluate.region_names
    if regions != ("",) and not all(regions):
        raise InputError(f"config.evaluate.regions (={regions}) must name one BED file each, or be ('',) for none")
    fitting = len(names) == len(regions) and [bool(name) for name in names] == [bool(file) for file in regions]
    clashing = len(set(names)) < len(names) or set(given(names)) & set(evaluate.motifs)
    if not fitting or clashing or not all(re.fullmatch(r"[\w.-]*", name) for name in names):
        raise InputError(
            f"config.evaluate.region_names (={names}) must give each of the {len(given(regions))} files in"
            " config.evaluate.regions a different name of letters, digits, '_', '.' and '-', none of them in"
            " config.evaluate.motifs"
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
    check_files(prepare)
    check_folds(prepare)
    check_bins(prepare)
