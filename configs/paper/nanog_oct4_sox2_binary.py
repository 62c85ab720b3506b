"""The paper's binary model of Nanog, Oct4 and Sox2 in mouse stem cells (ChIP-seq of the BPNet paper, mm10).

    python -m experiments.prepare --config=configs/paper/nanog_oct4_sox2_binary.py
    python -m experiments.train   --config=configs/paper/nanog_oct4_sox2_binary.py --workdir=runs/stem_cells_binary

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper, table 1): test accuracy 0.846 without and 0.854 with the prior, auROC 0.906 and 0.908, auPRC
0.655 and 0.661.

Data, to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/mm10/bigZips/mm10.fa.gz, recompressed with bgzip
    https://zenodo.org/record/3371216   data.tar.gz of the BPNet paper, which holds for each protein the summits of the
                                        peaks that pass IDR, and the BigWigs of 5' ends of each protein and the input

The summits become data/nanog_oct4_sox2/TASK.narrowPeak.gz. There are no weaker peaks: no bin is ambiguous.
"""

from experiments import paper


def get_config():
    config = paper.binary("nanog_oct4_sox2", "data/mm10.fa.gz", ("Nanog", "Oct4", "Sox2"))
    config.prepare.relaxed_peaks = ("",)
    return config
