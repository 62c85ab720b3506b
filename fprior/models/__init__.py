from fprior.models.binary import BinaryModel
from fprior.models.torch_state import from_torch_state

__all__ = ["BinaryModel", "from_torch_state"]
