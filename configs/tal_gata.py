"""The TAL–GATA simulation of the DeepLIFT paper: which methods explain a known truth.

    python -m experiments.tal_gata --config=configs/tal_gata.py --workdir=runs/tal_gata

Time: about 3 minutes on two CPU cores, a minute of it for the motifs (and another the first time, while Tomtom
compiles); 1.1 GB. Expected: test auROC within 0.01 of the paper's 0.985, 0.983 and 0.997 (both motifs, GATA1, TAL1). On
the task both, 5 of 282 strong TAL1 matches score 0 or less by Rescale and none by RevealCancel on the dense layer; on
the task GATA1, they have a mean score of 0.8 by guided backprop and of less than 0 by DeepLIFT. TF-MoDISco finds both
motifs on the task both, and each on its own task, with q < 1e-5 against the simulated ones.

It has fields of its own, not those of `experiments.config`: data that are simulated need no data set, and no prior is
trained with. As there, fields cannot be added and keep their type.
"""

import ml_collections


def get_config():
    config = ml_collections.ConfigDict(
        {
            "seed": 0,  # keys the sequences, the parameters, the order of the data, dropout and shuffles
            "data": {
                "sequences": 8000,  # a quarter each with no motif, GATA1's, TAL1's and both
                "length": 200,
                "fractions": (0.8, 0.1, 0.1),  # train, valid, test
            },
            "model": {
                "filters": (50, 50),
                "widths": (11, 11),
                "dense_size": 50,
                "dropout": 0.5,
            },
            "train": {
                "epochs": 60,  # at most; the best by validation loss is kept
                "batch_size": 50,  # the paper gives none; with 200, Adam at 1e-3 takes three times as many epochs
                "learning_rate": 1e-3,
                "stop_after_epochs": 6,  # without a gain of stop_gain in the validation loss; 0 never stops early
                "stop_gain": 0.001,
            },
            "scores": {
                "matches": 5,  # of each motif in a sequence: the strongest that do not overlap
                "strong": 7.0,  # log-odds (natural) above which a match is strong
                "integration_steps": 10,  # of integrated gradients, as in the paper
                "num_references": 10,  # shuffles of each sequence
                "batch_size": 100,
                "motifs": ("both", "GATA1", "TAL1"),  # tasks in whose contributions motifs are found; () for none
            },
        }
    )
    config.lock()
    return config
