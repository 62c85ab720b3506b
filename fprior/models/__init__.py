from fprior.models.binary import BinaryModel
from fprior.models.profile import ProfileModel, ProfileOutputs
from fprior.models.torch_state import from_torch_state

__all__ = ["BinaryModel", "ProfileModel", "ProfileOutputs", "from_torch_state"]
