"""CTCF binding in GM12878 at base resolution, with the input control: 1,346 bp of sequence to 1,000 bp of reads.

    python -m experiments.train --config=configs/ctcf_profile.py --workdir=runs/ctcf_profile

Time: 11 to 16 minutes on two CPU cores, half of it without the prior. Expected: 5.6 nats per read on test peaks.

The data set was made by

    python -m experiments.prepare --config=configs/ctcf_profile.py
"""

from experiments.config import default_config
from experiments.models import model_config


def get_config():
    config = default_config()
    config.data.dataset = "ctcf_gm12878_profile"
    config.data.input_length = 1346
    config.data.output_length = 1000
    config.data.jitter = 128
    config.data.batch_size = 32  # the paper's 64 makes 31 steps an epoch of the 987 training peaks here
    config.model = model_config("profile")
    config.prior.weight = "auto"
    config.prior.freq_limit = 200.0  # 1346 bases / 6.7, the shortest motif
    config.train.epochs = 14
    config.train.stop_after_epochs = 0
    config.train.gradients_every = 50
    config.evaluate.motifs = ("MA0139.1",)
    config.evaluate.regions, config.evaluate.region_names = ("peaks",), ("peaks",)
    # How the shipped data set was made; the inputs are described in its manifest.
    config.prepare.name = "ctcf_gm12878_profile"
    config.prepare.output = "data/ctcf_gm12878_profile"
    config.prepare.genome = "hg19_chr20_chrX70M.fa.gz"
    config.prepare.peaks = ("ctcf_peaks.narrowPeak.gz",)
    config.prepare.tasks = ("CTCF",)
    config.prepare.tracks = ("ctcf_plus.bw", "ctcf_minus.bw")
    config.prepare.controls = ("input_plus.bw", "input_minus.bw")
    config.prepare.partial_genome = True
    config.prepare.window = 1602
    config.prepare.background = "random"
    config.prepare.negatives_per_positive = 1
    config.prepare.compress = True
    config.prepare.terms = """\
Windows of the human reference genome hg19 (GRCh37), chr20 and chrX:1-69,999,930: the sequence is free of terms.
Loci: summits of CTCF ChIP-seq in GM12878, called with macs2 2.2.7.1 (-g hs -q 0.01 --call-summits). They and the
counts of 5' ends, of the ChIP-seq and of its input control, are made from the reads in the test data of the source
package macs 3.0.2 (BSD-3-Clause), 5 million reads genome-wide.
"""
    return config
