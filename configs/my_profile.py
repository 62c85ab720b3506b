"""A template for your own BigWigs: where reads end around peaks, base by base.

    cp configs/my_profile.py configs/NAME.py                                      # and fill in the first part below
    python -m experiments.doctor   --config=configs/NAME.py                       # looks at the files, in a minute
    python -m experiments.prepare  --config=configs/NAME.py                       # makes the data set, once
    python -m experiments.train    --config=configs/NAME.py --workdir=runs/NAME  # again to go on when interrupted
    python -m experiments.evaluate --config=configs/NAME.py --workdir=runs/NAME
    python -m experiments.report   --runs="with the prior=runs/NAME" --output=runs/NAME/report.html

From alignments or fragments: `python -m experiments.reads --reads=FILE.bam --output=PREFIX` makes the BigWigs.

Time: preparing takes minutes, training on 30,000 peaks about 15 minutes an epoch on two CPU cores, seconds on a GPU;
`experiments.doctor` measures it here. Expected: nats per read well below log(output_length), the uniform profile's.
For a model without the prior add --config.prior.weight=0, and another --workdir.
"""

from experiments.config import default_config
from experiments.models import model_config


def get_config():
    config = default_config()

    # ---- your files
    config.prepare.name = "mine"  # what the data set is called on pages
    config.prepare.genome = "hg38.fa.gz"  # FASTA, plain or bgzip, or .2bit; the assembly that the reads were mapped to
    config.prepare.peaks = ("peaks.narrowPeak.gz",)  # one file a task; narrowPeak knows summits, BED takes the middle
    config.prepare.tasks = ("FACTOR",)  # a name for each of these files
    # Raw counts of 5' ends, never normalised: for each task its plus and minus strand, or one file without strands.
    config.prepare.tracks = ("plus.bw", "minus.bw")
    # The control likewise: as many files as tracks, or one set that all tasks share; ("",) for none.
    config.prepare.controls = ("control_plus.bw", "control_minus.bw")
    config.prepare.exclude = ("",)  # regions to keep out of, such as ENCODE's exclusion list; ("",) for none
    config.prepare.output = "data/mine"  # where the data set goes; must not exist
    config.data.dataset = "data/mine"  # the same

    # ---- what is read and predicted
    config.model = model_config("profile")
    config.model.filters = 64
    config.data.input_length = 1346  # bases; this model loses 346 of them to its convolutions
    config.data.output_length = 1000  # positions of the profile, in the middle
    config.data.jitter = 128  # in training, windows shift by up to so many bases either way
    config.prepare.window = 1602  # input_length + 2 · jitter
    config.prepare.background = "random"  # one window of the genome for each peak; "gc" matches them to the peaks
    config.prepare.negatives_per_positive = 1

    # ---- which loci are kept for validation and test
    config.prepare.split = "chromosome"
    config.prepare.valid_chromosomes = ("chr8", "chr10")
    config.prepare.test_chromosomes = ("chr1",)
    # Cross-validation: config.prepare.num_folds = 5, and config.prepare.fold from 0 to 4, each with its own output.

    # ---- the prior
    config.prior.weight = "auto"  # λ: half of the loss without a prior, measured in a short run first; 0 trains without
    config.prior.freq_limit = 200.0  # input_length / (shortest motif you care for): 1346 / 6.7

    # ---- training
    config.data.batch_size = 64  # half peaks, half background; halve it if memory runs out
    config.train.count_weight = 20.0  # of the counts, beside the profiles; less where there are few reads a peak
    config.train.epochs = 20
    config.train.stop_after_epochs = 3  # without a gain in the validation loss
    return config
