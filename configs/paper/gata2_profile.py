"""The paper's profile model of GATA2 binding in three cell types (TF ChIP-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/gata2_profile.py
    python -m experiments.train   --config=configs/paper/gata2_profile.py --workdir=runs/gata2_profile

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper): as good with the prior as without, and attributions that are cleaner and more stable (tables 2
to 4).

Data (files of GRCh38, on the page https://www.encodeproject.org/experiments/ACCESSION), to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    https://www.encodeproject.org/search/?type=Experiment&status=released&assay_title=TF+ChIP-seq&target.label=GATA2&assembly=GRCh38

The paper names neither the accessions nor the three cell types; name the tasks below after those that you take.

For each experiment, the peaks that pass IDR ("optimal IDR thresholded peaks") become data/gata2/TASK.narrowPeak.gz, and
the alignments of all replicates and of the matched control, merged by `samtools merge`, BigWigs of 5' ends:

    python -m experiments.reads --reads=TASK.bam         --output=data/gata2/TASK
    python -m experiments.reads --reads=TASK_control.bam --output=data/gata2/TASK_control
"""

from experiments import paper


def get_config():
    return paper.profile("gata2", "data/hg38.fa.gz", ("first", "second", "third"), stranded=True, controls="matched")
