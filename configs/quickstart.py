"""The main job, small enough for a laptop: CTCF in GM12878 from the data set that ships with fprior.

    python -m experiments.train --config=configs/quickstart.py --workdir=runs/quickstart

Time: about 3 minutes on two CPU cores. Expected: validation auROC 0.93 or more. `make demo` runs it with
and without the prior and writes a page that compares the two.
"""

from experiments.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = "ctcf_gm12878"
    config.data.input_length = 600
    config.data.jitter = 100
    config.model.filters = (32, 32, 32)
    config.prior.freq_limit = 90.0  # 600 bases / 150 · 1000: the paper's shortest motif, 6.7 bases
    config.train.epochs = 18
    config.train.stop_after_epochs = 0
    config.train.gradients_every = 16
    config.evaluate.motifs = ("MA0139.1",)
    config.evaluate.regions, config.evaluate.region_names = ("peaks",), ("peaks",)
    config.compare.subset_fraction, config.compare.subset_epochs = 0.1, 40  # 112 peaks: 80 steps
    return config
