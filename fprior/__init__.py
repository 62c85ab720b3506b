"""DNA sequence models trained for clean attributions: the Fourier attribution prior in JAX."""

from fprior.attribution import (
    deeplift,
    deepshap,
    expected_gradients,
    guided_backprop,
    in_silico_mutagenesis,
    input_gradient,
    integrated_gradients,
    normalize_first_layer,
    smooth_grad,
)
from fprior.priors import fourier_prior, smoothness_prior, sparsity_prior
from fprior.shuffle import dinucleotide_shuffle

__all__ = [
    "deeplift",
    "deepshap",
    "dinucleotide_shuffle",
    "expected_gradients",
    "fourier_prior",
    "guided_backprop",
    "in_silico_mutagenesis",
    "input_gradient",
    "integrated_gradients",
    "normalize_first_layer",
    "smooth_grad",
    "smoothness_prior",
    "sparsity_prior",
]
