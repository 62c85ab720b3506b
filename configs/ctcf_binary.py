"""CTCF binding in GM12878 with the paper's binary model and settings, 1,000 bp.

    python -m experiments.train --config=configs/ctcf_binary.py --workdir=runs/ctcf_binary

Time: about 15 minutes on two CPU cores. Expected: validation auROC 0.95 or more.

The data set was made by

    python -m experiments.prepare --config=configs/ctcf_binary.py
"""

from experiments.config import default_config


def get_config():
    config = default_config()
    config.data.dataset = "ctcf_gm12878"
    config.data.input_length = 1000
    config.data.jitter = 128
    # The paper stops after 3 epochs without a gain, but its epochs are hundreds of times longer than these 16 steps.
    config.train.epochs = 30
    config.train.stop_after_epochs = 10
    config.evaluate.motifs = ("MA0139.1",)
    config.evaluate.regions, config.evaluate.region_names = ("peaks",), ("peaks",)
    # How the shipped data set was made; the inputs are described in its manifest.
    config.prepare.name = "ctcf_gm12878"
    config.prepare.output = "data/ctcf_gm12878"
    config.prepare.genome = "hg19_chr20_chrX70M.fa.gz"
    config.prepare.peaks = ("ctcf_peaks.narrowPeak.gz",)
    config.prepare.tasks = ("CTCF",)
    config.prepare.partial_genome = True
    config.prepare.negatives_per_positive = 6
    config.prepare.compress = True
    config.prepare.terms = """\
Windows of the human reference genome hg19 (GRCh37), chr20 and chrX:1-69,999,930: the sequence is free of terms.
Loci: summits of CTCF ChIP-seq in GM12878, called with macs2 2.2.7.1 (-g hs -q 0.01 --call-summits) from the reads
in the test data of the source package macs 3.0.2 (BSD-3-Clause), 5 million reads genome-wide.
"""
    return config
