"""DeepSEA on your own peaks: which of many factors, marks or open regions does a stretch of the genome have.

    python -m experiments.doctor   --config=configs/deepsea.py                        # looks at the files, in a minute
    python -m experiments.prepare  --config=configs/deepsea.py                        # makes the data set, once
    python -m experiments.train    --config=configs/deepsea.py --workdir=runs/deepsea  # again to go on when interrupted
    python -m experiments.evaluate --config=configs/deepsea.py --workdir=runs/deepsea
    python -m experiments.report   --runs="with the prior=runs/deepsea" --output=runs/deepsea/report.html

Without files of your own, on the one task that ships with fprior, add to train and evaluate

    --config.data.dataset=ctcf_gm12878

Time: about 1.4 s a step of 64 sequences on two CPU cores with the prior, 0.8 s without; an epoch is a minute and a
half on ctcf_gm12878; a GPU is the place for more; `experiments.doctor` measures it here. Expected: on ctcf_gm12878 with
--config.data.batch_size=16 a validation auROC of 0.75 or more after one epoch, still rising; the end of training has
not been measured.
For a model without the prior add --config.prior.weight=0, and another --workdir.

The model is that of Zhou and Troyanskaya (Nature Methods 2015), who trained it on 919 chromatin features, and the
data are made as theirs were, but for what is said below.
"""

from experiments.config import default_config
from experiments.models import model_config


def get_config():
    config = default_config()

    # ---- your files
    config.prepare.name = "chromatin"  # what the data set is called on pages
    config.prepare.genome = "hg38.fa.gz"  # FASTA, plain or bgzip, or .2bit; the assembly that the peaks were called on
    config.prepare.peaks = (  # one BED or narrowPeak file a task; the whole width of a peak counts
        "CTCF.narrowPeak.gz",
        "MAX.narrowPeak.gz",
        "DNase.narrowPeak.gz",
        "H3K27ac.narrowPeak.gz",
    )
    config.prepare.tasks = ("CTCF", "MAX", "DNase", "H3K27ac")  # a name for each of these files
    config.prepare.exclude = ("",)  # regions to keep out of, such as ENCODE's exclusion list; ("",) for none
    config.prepare.output = "data/deepsea"  # where the data set goes; must not exist
    config.data.dataset = "data/deepsea"  # the same

    # ---- the model, at the paper's sizes
    config.model = model_config("deepsea")

    # ---- what is read, and how it is labelled: bins of 200 bases, each in the middle of 1,000
    config.data.input_length = 1000  # bases
    config.data.jitter = 0  # a shifted bin would need another label
    config.prepare.window = 1000  # input_length + 2 · jitter
    config.prepare.loci = "bins"
    config.prepare.bin_width = 200
    config.prepare.bin_stride = 200  # one bin after the other
    config.prepare.bin_overlap = 0.5  # a bin is positive for a task whose peaks cover half of it
    # The paper keeps the bins with a transcription factor, and has no negatives but those of the other tasks. Here
    # bins that are positive for any task are kept, and half of every batch are bins without any peak.
    config.prepare.negatives_per_positive = 1

    # ---- which loci are kept for validation and test; the paper validates on a part of chr7
    config.prepare.split = "chromosome"
    config.prepare.valid_chromosomes = ("chr7",)
    config.prepare.test_chromosomes = ("chr8", "chr9")

    # ---- the prior
    config.prior.weight = 1.0  # λ; 0 trains without
    config.prior.freq_limit = 150.0  # input_length / (shortest motif you care for): 1000 / 6.7

    # ---- training: Adam, where the paper has gradient descent with momentum
    config.data.batch_size = 128  # half positives, half negatives; halve it if memory runs out
    # Weights of Σ|θ| and Σθ² over all parameters; the paper has 5e-7 for the second, and penalises the absolute outputs
    # of the last layer, not parameters.
    config.train.l1, config.train.l2 = 0.0, 0.0
    config.train.learning_rate = 1e-4  # of Adam; with 1e-3 the wide dense layer without batch norm learns nothing
    config.train.epochs = 20
    config.train.stop_after_epochs = 3  # without a gain in the validation loss
    return config
