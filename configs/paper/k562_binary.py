"""The paper's binary model of Chromatin accessibility of K562 (DNase-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/k562_binary.py
    python -m experiments.train   --config=configs/paper/k562_binary.py --workdir=runs/k562_binary

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper, table 1): test accuracy 0.900 without and 0.904 with the prior, auROC 0.966 and 0.968, auPRC
0.963 and 0.966.

Data, to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    https://www.encodeproject.org/search/?type=Experiment&status=released&assay_title=DNase-seq&biosample_ontology.term_name=K562&assembly=GRCh38
    SRR1565781    the bias track: DNase on naked DNA of K562

The paper does not name the accessions of its experiments.

The peaks of all replicates that pass IDR become data/k562/K562.narrowPeak.gz, those that do not
data/k562/K562_relaxed.narrowPeak.gz.
"""

from experiments import paper


def get_config():
    return paper.binary("k562", "data/hg38.fa.gz", ("K562",))
