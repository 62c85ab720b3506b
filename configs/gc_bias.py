"""Does the prior keep a model from counting G and C (section 9 of the paper, figure 5)?

In training the positives' background has 0, 1, 2, 3 or 4 % more G and C than the negatives', in place of A and T; in
validation and test it has not, as in the authors' runs. But for those letters all five data sets are the same, motif
instances included. For each level, here the highest, which is the default:

    python -m experiments.simulate --config=configs/gc_bias.py
    python -m experiments.train    --config=configs/gc_bias.py --workdir=runs/gc_bias
    python -m experiments.evaluate --config=configs/gc_bias.py --workdir=runs/gc_bias

and with another level and its own names, for example 2 %:

    --config.simulate.gc_bias=0.02 --config.simulate.output=data/gc_bias_2 --config.data.dataset=data/gc_bias_2

For a model without the prior add --config.prior.weight=0, and another --workdir.

Time: as configs/simulated_spi1.py, for each model. Expected (the paper, figure 5): without the prior, the importance
of G and C against A and T in the background grows with the bias; with the prior it hardly does.
"""

from configs.simulated_spi1 import get_config as simulated_spi1


def get_config():
    config = simulated_spi1()
    config.data.dataset = config.simulate.output = "data/gc_bias_4"
    config.simulate.name = "gc_bias"
    config.simulate.gc_bias = 0.04
    return config
