from fprior.models.basset import BassetModel
from fprior.models.binary import BinaryModel
from fprior.models.deepsea import DeepSEAModel
from fprior.models.profile import ProfileModel, ProfileOutputs
from fprior.models.torch_state import from_torch_state

__all__ = ["BassetModel", "BinaryModel", "DeepSEAModel", "ProfileModel", "ProfileOutputs", "from_torch_state"]
