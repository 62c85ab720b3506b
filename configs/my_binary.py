"""A template for your own peaks: is a sequence bound or not, for one or several tasks.

    cp configs/my_binary.py configs/NAME.py                                     # and fill in the first part below
    python -m experiments.doctor   --config=configs/NAME.py                     # looks at the files, in a minute
    python -m experiments.prepare  --config=configs/NAME.py                     # makes the data set, once
    python -m experiments.train    --config=configs/NAME.py --workdir=runs/NAME  # again to go on when interrupted
    python -m experiments.evaluate --config=configs/NAME.py --workdir=runs/NAME
    python -m experiments.report   --runs="with the prior=runs/NAME" --output=runs/NAME/report.html

Time: preparing takes minutes, training on 30,000 peaks about 6 minutes an epoch on two CPU cores, seconds on a GPU;
`experiments.doctor` measures it here. Expected: validation auROC above 0.9 for a factor with a strong motif.
For a model without the prior add --config.prior.weight=0, and another --workdir.
"""

from experiments.config import default_config


def get_config():
    config = default_config()

    # ---- your files
    config.prepare.name = "mine"  # what the data set is called on pages
    config.prepare.genome = "hg38.fa.gz"  # FASTA, plain or bgzip, or .2bit; the assembly that the peaks were called on
    config.prepare.peaks = ("peaks.narrowPeak.gz",)  # one file a task; narrowPeak knows summits, BED takes the middle
    config.prepare.tasks = ("FACTOR",)  # a name for each of these files
    config.prepare.exclude = ("",)  # regions to keep out of, such as ENCODE's exclusion list; ("",) for none
    config.prepare.output = "data/mine"  # where the data set goes; must not exist
    config.data.dataset = "data/mine"  # the same

    # ---- what is read
    config.data.input_length = 1000  # bases
    config.data.jitter = 128  # in training, windows shift by up to so many bases either way
    config.prepare.window = 1256  # input_length + 2 · jitter
    config.prepare.top_fraction = 1.0  # 0.01 keeps the strongest hundredth of the peaks
    config.prepare.background = "gc"  # negatives as rich in G and C as the peaks; "random" takes any
    config.prepare.negatives_per_positive = 10  # training draws from them, as many as positives a batch
    # To label the whole genome in bins of 200 bp every 50 bp instead: config.prepare.loci = "bins".

    # ---- which loci are kept for validation and test
    config.prepare.split = "chromosome"
    config.prepare.valid_chromosomes = ("chr8", "chr10")
    config.prepare.test_chromosomes = ("chr1",)
    # Cross-validation: config.prepare.num_folds = 5, and config.prepare.fold from 0 to 4, each with its own output.

    # ---- the prior
    config.prior.weight = 1.0  # λ; 0 trains without
    config.prior.freq_limit = 150.0  # input_length / (shortest motif you care for): 1000 / 6.7

    # ---- training
    config.data.batch_size = 128  # halve it if memory runs out
    config.train.epochs = 20
    config.train.stop_after_epochs = 3  # without a gain in the validation loss
    return config
