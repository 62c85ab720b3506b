"""The paper's binary model of GATA2 binding in three cell types (TF ChIP-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/gata2_binary.py
    python -m experiments.train   --config=configs/paper/gata2_binary.py --workdir=runs/gata2_binary

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper, table 1): test accuracy 0.855 without and 0.862 with the prior, auROC 0.924 and 0.928, auPRC
0.733 and 0.745.

Data (files of GRCh38, on the page https://www.encodeproject.org/experiments/ACCESSION), to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    https://www.encodeproject.org/search/?type=Experiment&status=released&assay_title=TF+ChIP-seq&target.label=GATA2&assembly=GRCh38

The paper names neither the accessions nor the three cell types; name the tasks below after those that you take.

For each experiment, the peaks that pass IDR ("optimal IDR thresholded peaks") become data/gata2/TASK.narrowPeak.gz,
the peaks before IDR ("peaks and background as input for IDR") data/gata2/TASK_relaxed.narrowPeak.gz.
"""

from experiments import paper


def get_config():
    return paper.binary("gata2", "data/hg38.fa.gz", ("first", "second", "third"))
