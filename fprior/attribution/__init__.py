from fprior.attribution.gradients import input_gradient

__all__ = ["input_gradient"]
