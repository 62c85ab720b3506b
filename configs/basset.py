"""Basset on your own peaks: in which of several cell types or conditions is a sequence open, or bound.

    python -m experiments.doctor   --config=configs/basset.py                       # looks at the files, in a minute
    python -m experiments.prepare  --config=configs/basset.py                       # makes the data set, once
    python -m experiments.train    --config=configs/basset.py --workdir=runs/basset  # again to go on when interrupted
    python -m experiments.evaluate --config=configs/basset.py --workdir=runs/basset
    python -m experiments.report   --runs="with the prior=runs/basset" --output=runs/basset/report.html

Without files of your own, on the one task that ships with fprior, add to train and evaluate

    --config.data.dataset=ctcf_gm12878

Time: about 1.8 s a step of 256 sequences on two CPU cores with the prior, 1.1 s without; an epoch is half a minute on
ctcf_gm12878 and a quarter of an hour on 30,000 peaks; `experiments.doctor` measures it here. Expected: on ctcf_gm12878
a validation auROC of 0.95 or more within 8 epochs; its loss jumps from epoch to epoch, as the set is small.
For a model without the prior add --config.prior.weight=0, and another --workdir.

The model is that of Kelley, Snoek and Rinn (Genome Research 2016), who trained it on 164 cell types, and the data are
made as theirs were, but for what is said below.
"""

from experiments.config import default_config
from experiments.models import model_config


def get_config():
    config = default_config()

    # ---- your files
    config.prepare.name = "accessibility"  # what the data set is called on pages
    config.prepare.genome = "hg38.fa.gz"  # FASTA, plain or bgzip, or .2bit; the assembly that the peaks were called on
    config.prepare.peaks = (  # one BED or narrowPeak file a task; narrowPeak knows summits, BED takes the middle
        "GM12878.narrowPeak.gz",
        "K562.narrowPeak.gz",
        "HepG2.narrowPeak.gz",
    )
    config.prepare.tasks = ("GM12878", "K562", "HepG2")  # a name for each of these files
    config.prepare.exclude = ("",)  # regions to keep out of, such as ENCODE's exclusion list; ("",) for none
    config.prepare.output = "data/basset"  # where the data set goes; must not exist
    config.data.dataset = "data/basset"  # the same

    # ---- the model, at the paper's sizes
    config.model = model_config("basset")

    # ---- what is read, and how it is labelled: 600 bases around the peaks of all tasks, merged
    config.data.input_length = 600  # bases
    config.data.jitter = 0  # the paper shifts nothing; with 50, say, windows shift by up to so many bases either way
    config.prepare.window = 600  # input_length + 2 · jitter
    config.prepare.loci = "summits"
    # Inputs that share more than 200 of their 600 bases are one: the one around the strongest summit stays, and is
    # positive for every task with a summit within reach.
    config.prepare.min_summit_distance = 400
    config.prepare.positive_reach = 400
    # The paper has no negatives but the peaks of other tasks. Half of every batch here are loci without any peak.
    config.prepare.negatives_per_positive = 1
    config.prepare.background = "gc"  # as rich in G and C as the peaks; "random" takes any
    # To label the genome in bins of 200 bp instead, as configs/deepsea.py does: config.prepare.loci = "bins".

    # ---- which loci are kept for validation and test; the paper draws them at random
    config.prepare.split = "chromosome"
    config.prepare.valid_chromosomes = ("chr8", "chr10")
    config.prepare.test_chromosomes = ("chr1",)

    # ---- the prior
    config.prior.weight = 1.0  # λ; 0 trains without
    config.prior.freq_limit = 90.0  # input_length / (shortest motif you care for): 600 / 6.7

    # ---- training: Adam, where the paper has RMSprop with a bound on the length of weight vectors
    config.data.batch_size = 128  # half positives, half negatives; halve it if memory runs out
    config.train.l1, config.train.l2 = 0.0, 0.0  # weights of Σ|θ| and Σθ² over all parameters
    config.train.epochs = 20
    config.train.stop_after_epochs = 3  # without a gain in the validation loss
    return config
