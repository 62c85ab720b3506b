"""DNA sequence models trained for clean attributions: the Fourier attribution prior in JAX."""

from fprior.attribution import input_gradient
from fprior.priors import fourier_prior, smoothness_prior, sparsity_prior

__all__ = ["fourier_prior", "input_gradient", "smoothness_prior", "sparsity_prior"]
