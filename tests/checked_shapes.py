"""Where annotations, shapes included, are checked while the tests run (by `conftest`), and by what."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

MODULES = (
    "fprior.sequence",
    "fprior.shuffle",
    "fprior.spectrum",
    "fprior.conv",
    "fprior.priors",
    "fprior.losses",
    "fprior.objectives",
    "fprior.attribution.gradients",
    "fprior.attribution.path",
    "fprior.attribution.guided",
    "fprior.attribution.deeplift",
    "fprior.attribution.deepshap",
    "fprior.attribution.mutagenesis",
    "fprior.attribution.normalize",
    "fprior.metrics.arithmetic",
    "fprior.metrics.interpretability",
    "fprior.metrics.performance",
    "fprior.metrics.profile",
)

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a float may be given as an int


def on_return(function: Callable) -> Callable:
    """Checks what a call was given together with what it returned, once it has returned.

    So a call that the library refuses ends in the library's own error, which names the remedy, and a call that it
    takes has to agree with the annotations. jaxtyping asks twice: before the call by a function of the same arguments
    that promises Any, and after it by one that promises what the function does. The first is left as it is.
    """
    return function if function.__annotations__.get("return") is Any else _checked(function)
