"""The settings of the paper's experiments, which configs/paper/*.py share; what differs is in those files."""

import ml_collections

from experiments.config import default_config
from experiments.models import model_config

LEFT_OUT = ("chrY", "chrM")


def binary(name: str, genome: str, tasks: tuple[str, ...]) -> ml_collections.ConfigDict:
    """The binary model on 200 bp bins of the whole genome, every 50 bp, each read in 1,000 bp.

    The peaks are expected as `data/NAME/TASK.narrowPeak.gz` and the weaker ones, which make bins ambiguous, as
    `data/NAME/TASK_relaxed.narrowPeak.gz`; the data set will be `data/NAME_binary`.
    """
    config = _common(f"{name}_binary", genome, tasks, name)
    config.data.input_length = 1000
    config.data.jitter = 0
    config.data.batch_size = 128
    config.prior.freq_limit = 150.0
    config.prepare.loci = "bins"
    config.prepare.window = 1000
    config.prepare.relaxed_peaks = tuple(f"data/{name}/{task}_relaxed.narrowPeak.gz" for task in tasks)
    config.prepare.negatives_per_positive = 20  # of some 60 million; training draws afresh from them every epoch
    return config


def profile(
    name: str, genome: str, tasks: tuple[str, ...], *, stranded: bool, controls: str
) -> ml_collections.ConfigDict:
    """The profile model on 1,346 bp around summits, one random window of the genome for each.

    Besides the peaks, `data/NAME/TASK_plus.bw` and `_minus.bw` are expected, or `data/NAME/TASK.bw` without strands;
    and for controls likewise `TASK_control_plus.bw` … (`"matched"`) or `control_plus.bw` … (`"shared"`). The data set
    will be `data/NAME_profile`.
    """
    config = _common(f"{name}_profile", genome, tasks, name)
    config.model = model_config("profile")
    config.data.input_length = 1346
    config.data.output_length = 1000
    config.data.jitter = 128
    config.data.batch_size = 64
    config.prior.freq_limit = 200.0
    config.prior.weight = "auto"  # 50 in the published runs
    config.prior.auto_steps = 1000
    config.prepare.window = 1346 + 2 * 128
    config.prepare.background = "random"
    config.prepare.negatives_per_positive = 1
    ends = ("_plus.bw", "_minus.bw") if stranded else (".bw",)
    sources = {"matched": [f"{task}_control" for task in tasks], "shared": ["control"]}[controls]
    config.prepare.tracks = tuple(f"data/{name}/{task}{end}" for task in tasks for end in ends)
    config.prepare.controls = tuple(f"data/{name}/{source}{end}" for source in sources for end in ends)
    return config


def _common(dataset: str, genome: str, tasks: tuple[str, ...], name: str) -> ml_collections.ConfigDict:
    config = default_config()
    config.data.dataset = f"data/{dataset}"
    config.train.epochs = 20
    config.train.stop_after_epochs = 3
    config.prepare.output = f"data/{dataset}"
    config.prepare.name = dataset
    config.prepare.genome = genome
    config.prepare.tasks = tasks
    config.prepare.peaks = tuple(f"data/{name}/{task}.narrowPeak.gz" for task in tasks)
    config.prepare.leave_out_chromosomes = LEFT_OUT
    config.prepare.split = "chromosome"
    config.prepare.test_chromosomes = ("chr1",)
    config.prepare.valid_chromosomes = ("chr8", "chr10")
    return config
