"""The paper's profile model of Nanog, Oct4 and Sox2 in mouse stem cells (ChIP-seq of the BPNet paper, mm10).

    python -m experiments.prepare --config=configs/paper/nanog_oct4_sox2_profile.py
    python -m experiments.train   --config=configs/paper/nanog_oct4_sox2_profile.py --workdir=runs/stem_cells_profile

Not run here: the data have to be downloaded, and training takes a GPU. `experiments.doctor` tells how long on yours.
Expected (the paper): as good with the prior as without, and attributions that are cleaner and more stable (tables 2
to 4).

Data, to be put into data/:

    https://hgdownload.soe.ucsc.edu/goldenPath/mm10/bigZips/mm10.fa.gz, recompressed with bgzip
    https://zenodo.org/record/3371216   data.tar.gz of the BPNet paper, which holds for each protein the summits of the
                                        peaks that pass IDR, and the BigWigs of 5' ends of each protein and the input

The summits become data/nanog_oct4_sox2/TASK.narrowPeak.gz, counts.pos.bw and counts.neg.bw of each protein
data/nanog_oct4_sox2/TASK_plus.bw and TASK_minus.bw, those of the input control_plus.bw and control_minus.bw there.
"""

from experiments import paper


def get_config():
    return paper.profile(
        "nanog_oct4_sox2", "data/mm10.fa.gz", ("Nanog", "Oct4", "Sox2"), stranded=True, controls="shared"
    )
