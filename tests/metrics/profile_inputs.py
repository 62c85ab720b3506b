"""Reads and predicted profiles, at random and by hand."""

import numpy as np
import scipy.special
import scipy.stats

from fprior.metrics.profile import (
    binned_auprc,
    binned_correlations,
    jensen_shannon_divergence,
    multinomial_nll,
    nats_per_read,
)

PER_PROFILE = [multinomial_nll, nats_per_read, jensen_shannon_divergence, binned_auprc, binned_correlations]


def log_softmax(logits):
    return scipy.special.log_softmax(np.asarray(logits, np.float64), axis=2)


def random_inputs(shape=(3, 2, 33, 2), seed=0):
    """Reads with a few peaks, one strand without any; predictions with ties; 33 · 2 values do not fill bins of 4."""
    rng = np.random.default_rng(seed)
    profiles = rng.poisson(rng.gamma(0.3, 5, shape)).astype(np.float64)
    profiles[1, 0, :, 0] = 0
    log_probabilities = log_softmax(np.round(np.log1p(profiles) + rng.normal(size=shape)))
    return profiles, log_probabilities, rng.normal(4, 1, (shape[0], shape[1], shape[3]))


def one_profile(reads, probabilities):
    """One example, task and strand."""
    with np.errstate(divide="ignore"):
        return np.array(reads, float)[None, None, :, None], np.log(probabilities)[None, None, :, None]
