"""Weights of the authors' PyTorch models, given as arrays, turned into variables of ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fprior.errors import InputError
from fprior.models.binary import BinaryModel
from fprior.models.profile import ProfileModel


def from_torch_state(model: BinaryModel | ProfileModel, mapping_of_arrays: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """The variables of `model` with the weights of a PyTorch state of the authors' code.

    Layouts there: convolution `(out, in, width)`, dense `(out, in)`, batch norm `weight, bias, running_mean,
    running_var`; here `(width, in, out)`, `(in, out)` and `scale, bias, mean, var`. The first dense layer reads
    a flattened `(channels, positions)` there and `(positions, channels)` here. `num_batches_tracked` is ignored.

    Args:
      model: a `BinaryModel` or `ProfileModel` of the same sizes.
      mapping_of_arrays: parameter name → array, as in `{k: v.numpy() for k, v in state_dict.items()}`.

    Returns:
      `{"params": …}`, for a `BinaryModel` with `"batch_stats"`, of float32 NumPy arrays, ready for `model.apply`.

    Raises:
      InputError: an array is missing, left over, or has another shape than the model needs.
      TypeError: no layout is known for this model.
    """
    arrays = {name: value for name, value in mapping_of_arrays.items() if not name.endswith("num_batches_tracked")}
    if isinstance(model, BinaryModel):
        return _binary_variables(model, _Arrays(arrays))
    if isinstance(model, ProfileModel):
        return _profile_variables(model, _Arrays(arrays))
    raise TypeError(f"model is a {type(model).__name__}; a PyTorch layout is known for BinaryModel and ProfileModel")


class _Arrays:
    """Takes arrays out of a mapping by name and shape, and can say what was never taken."""

    def __init__(self, arrays: Mapping[str, ArrayLike]):
        self._left = dict(arrays)

    def take(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """The float32 array of that name; None in `shape` stands for any size."""
        if name not in self._left:
            raise InputError(f"mapping_of_arrays has no {name!r}, which the model needs; it has {sorted(self._left)}")
        array = np.asarray(self._left.pop(name), np.float32)
        fits = array.ndim == len(shape) and all(
            want in (None, got) for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise InputError(f"{name} has shape {array.shape}, the model needs {shape}; give it the sizes of the model")
        return array

    def finish(self) -> None:
        if self._left:
            raise InputError(f"mapping_of_arrays has arrays that the model does not: {sorted(self._left)}")


def _binary_variables(model: BinaryModel, arrays: _Arrays) -> dict[str, Any]:
    params: dict[str, Any] = {}
    statistics: dict[str, Any] = {}

    def batch_norm(source: str, size: int) -> None:
        ours = f"BatchNorm_{len(statistics)}"
        params[ours] = {
            "scale": arrays.take(f"{source}.weight", (size,)),
            "bias": arrays.take(f"{source}.bias", (size,)),
        }
        mean, variance = (arrays.take(f"{source}.running_{kind}", (size,)) for kind in ("mean", "var"))
        statistics[ours] = {"mean": mean, "var": variance}

    # Each hidden layer is four entries there: the layer, ReLU, batch norm, dropout.
    channels = 4
    for i, (filters, width) in enumerate(zip(model.filters, model.widths, strict=True)):
        kernel = arrays.take(f"conv_layers.{4 * i}.weight", (filters, channels, width))
        bias = arrays.take(f"conv_layers.{4 * i}.bias", (filters,))
        params[f"Conv_{i}"] = {"kernel": kernel.transpose(2, 1, 0), "bias": bias}
        batch_norm(f"conv_layers.{4 * i + 2}", filters)
        channels = filters
    inputs = None  # the input length fixes the first dense layer's inputs, and the model does not know it
    for i, size in enumerate(model.dense_sizes):
        kernel = arrays.take(f"fc_layers.{4 * i}.weight", (size, inputs))
        if i == 0:
            kernel = _positions_first(kernel, channels, f"fc_layers.{4 * i}.weight")
        bias = arrays.take(f"fc_layers.{4 * i}.bias", (size,))
        params[f"Dense_{i}"] = {"Dense_0": {"kernel": kernel.T, "bias": bias}}
        batch_norm(f"fc_layers.{4 * i + 2}", size)
        inputs = size
    kernel = arrays.take("out_map_fc.weight", (model.num_tasks, inputs))
    if inputs is None:
        kernel = _positions_first(kernel, channels, "out_map_fc.weight")
    params["logits"] = {"Dense_0": {"kernel": kernel.T, "bias": arrays.take("out_map_fc.bias", (model.num_tasks,))}}
    arrays.finish()
    return {"params": params, "batch_stats": statistics}


def _profile_variables(model: ProfileModel, arrays: _Arrays) -> dict[str, Any]:
    tasks, strands, filters = model.num_tasks, model.num_strands, model.filters
    params: dict[str, Any] = {}

    def convolution(source: str, ours: str, shape: tuple[int, int, int]) -> None:
        kernel = arrays.take(f"{source}.weight", shape)
        params[ours] = {"kernel": kernel.transpose(2, 1, 0), "bias": arrays.take(f"{source}.bias", shape[:1])}

    def mixing(source: str, ours: str) -> None:
        inputs = strands if model.controls == "none" else 2 * strands
        kernel = arrays.take(f"{source}.weight", (tasks * strands, inputs, 1))
        params[ours] = {
            "kernel": kernel.reshape(tasks, strands, inputs).swapaxes(1, 2),
            "bias": arrays.take(f"{source}.bias", (tasks * strands,)).reshape(tasks, 1, strands),
        }

    for i in range(len(model.dilations)):
        shape = (filters, filters, model.width) if i else (filters, 4, model.first_width)
        convolution(f"dil_convs.{i}", f"Conv_{i}", shape)
    convolution("prof_large_conv", "profile", (tasks * strands, filters, model.profile_width))
    mixing("prof_one_conv", "profile_logits")
    kernel = arrays.take("count_dense.weight", (tasks * strands, filters))
    bias = arrays.take("count_dense.bias", (tasks * strands,))
    params["counts"] = {"Dense_0": {"kernel": kernel.T, "bias": bias}}
    mixing("count_one_conv", "log_counts")
    arrays.finish()
    return {"params": params}


def _positions_first(kernel: np.ndarray, channels: int, name: str) -> np.ndarray:
    """Reorders the inputs of a dense `(out, channels · positions)` to `(out, positions · channels)`."""
    if kernel.shape[1] % channels:
        raise InputError(f"{name} has {kernel.shape[1]} inputs, no multiple of the last layer's {channels} filters")
    return kernel.reshape(len(kernel), channels, -1).swapaxes(1, 2).reshape(kernel.shape)
