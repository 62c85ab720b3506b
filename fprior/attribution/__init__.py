from fprior.attribution.deeplift import deeplift
from fprior.attribution.deeplift_rules import register_rule
from fprior.attribution.deeplift_tape import NoRuleError
from fprior.attribution.deepshap import deepshap
from fprior.attribution.gradients import input_gradient
from fprior.attribution.guided import guided_backprop
from fprior.attribution.mutagenesis import Local, in_silico_mutagenesis
from fprior.attribution.normalize import normalize_first_layer
from fprior.attribution.path import expected_gradients, integrated_gradients, smooth_grad

__all__ = [
    "Local",
    "NoRuleError",
    "deeplift",
    "deepshap",
    "expected_gradients",
    "guided_backprop",
    "in_silico_mutagenesis",
    "input_gradient",
    "integrated_gradients",
    "normalize_first_layer",
    "register_rule",
    "smooth_grad",
]
