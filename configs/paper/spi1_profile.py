"""The paper's profile model of SPI1 binding in four cell types (TF ChIP-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/spi1_profile.py
    python -m experiments.train   --config=configs/paper/spi1_profile.py --workdir=runs/spi1_profile

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper): as good with the prior as without, and attributions that are cleaner and more stable (tables 2
to 4).

Data (files of GRCh38, on the page https://www.encodeproject.org/experiments/ACCESSION), to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    ENCSR000BGQ   GM12878
    ENCSR000BGW   K562
    ENCSR000BIJ   GM12891
    ENCSR000BUW   HL-60

For each experiment, the peaks that pass IDR ("optimal IDR thresholded peaks") become data/spi1/TASK.narrowPeak.gz, and
the alignments of all replicates and of the matched control, merged by `samtools merge`, BigWigs of 5' ends:

    python -m experiments.reads --reads=TASK.bam         --output=data/spi1/TASK
    python -m experiments.reads --reads=TASK_control.bam --output=data/spi1/TASK_control
"""

from experiments import paper


def get_config():
    return paper.profile(
        "spi1", "data/hg38.fa.gz", ("GM12878", "K562", "GM12891", "HL-60"), stranded=True, controls="matched"
    )
