"""The paper's profile model of Chromatin accessibility of K562 (DNase-seq of ENCODE, hg38).

    python -m experiments.prepare --config=configs/paper/k562_profile.py
    python -m experiments.train   --config=configs/paper/k562_profile.py --workdir=runs/k562_profile

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper): as good with the prior as without, and attributions that are cleaner and more stable (tables 2
to 4).

Data, to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz, recompressed with bgzip
    https://www.encodeproject.org/search/?type=Experiment&status=released&assay_title=DNase-seq&biosample_ontology.term_name=K562&assembly=GRCh38
    SRR1565781    the bias track: DNase on naked DNA of K562

The paper does not name the accessions of its experiments.

The peaks of all replicates that pass IDR become data/k562/K562.narrowPeak.gz, and the alignments BigWigs of 5' ends
without strands, K562.bw and control.bw:

    python -m experiments.reads --reads=K562.bam --output=data/k562/K562 --unstranded=true
    python -m experiments.reads --reads=bias.bam --output=data/k562/control --unstranded=true
"""

from experiments import paper


def get_config():
    return paper.profile("k562", "data/hg38.fa.gz", ("K562",), stranded=False, controls="shared")
