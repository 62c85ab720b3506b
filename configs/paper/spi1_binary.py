"""The paper's binary model of SPI1 binding in four cell types (TF ChIP-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/spi1_binary.py
    python -m experiments.train   --config=configs/paper/spi1_binary.py --workdir=runs/spi1_binary

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper, table 1): test accuracy 0.880 without and 0.883 with the prior, auROC 0.954 and 0.956, auPRC
0.853 and 0.858.

Data (files of GRCh38, on the page https://www.encodeproject.org/experiments/ACCESSION), to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    ENCSR000BGQ   GM12878
    ENCSR000BGW   K562
    ENCSR000BIJ   GM12891
    ENCSR000BUW   HL-60

For each experiment, the peaks that pass IDR ("optimal IDR thresholded peaks") become data/spi1/TASK.narrowPeak.gz,
the peaks before IDR ("peaks and background as input for IDR") data/spi1/TASK_relaxed.narrowPeak.gz.
"""

from experiments import paper


def get_config():
    return paper.binary("spi1", "data/hg38.fa.gz", ("GM12878", "K562", "GM12891", "HL-60"))
