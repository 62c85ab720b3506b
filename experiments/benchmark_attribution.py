"""The suite `attribution` of the benchmark: DeepSHAP and shuffles, beside a peer where it is installed.

The peer is tangermeme, with PyTorch, in the extra `peers`; both run on the same sequences, references and weights, in
turns, with the threads that each takes by default.
"""

from collections.abc import Callable
from importlib import util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import measure
from fprior.attribution.deepshap import deepshap, make_references
from fprior.models import BinaryModel
from fprior.sequence import one_hot
from fprior.shuffle import dinucleotide_shuffle

NUM_REFERENCES = 10
SHUFFLED_LENGTH = 2114
Row = tuple[str, float, str]


def rows_of(model: BinaryModel, *, examples: int, length: int, repeats: int) -> list[Row]:
    """DeepSHAP of `examples` sequences with ten references each, and shuffles of longer ones."""
    tokens = np.random.default_rng(0).integers(0, 4, (examples, length)).astype(np.uint8)
    x = one_hot(jnp.asarray(tokens))
    variables = _variables(model, x)
    references = make_references(x, "shuffle", num_references=NUM_REFERENCES, key=jax.random.key(1))

    def logit(x: jax.Array) -> jax.Array:
        logits: Any = model.apply(variables, x)
        return logits[:, 0]

    ours = jax.jit(lambda x, references: deepshap(logit, x, references=references, return_completeness=True))
    forward = jax.jit(lambda x: model.apply(variables, x))
    everything = jnp.concatenate([x[:, None], references], axis=1).reshape(-1, length, 4)
    longer = np.random.default_rng(1).integers(0, 4, (4, SHUFFLED_LENGTH)).astype(np.uint8)
    shuffles = 50
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(x, references),
        "forward": lambda: forward(everything),
        "shuffle": lambda: dinucleotide_shuffle(longer, shuffles, key=jax.random.key(2)),
    }
    peer = _peer(model, variables, x, references, longer, shuffles) if util.find_spec("tangermeme") else None
    if peer is not None:
        calls |= {"peer": peer.attribute, "peer shuffle": peer.shuffle}
    seconds = measure.times(calls, repeats)
    _, error = ours(x, references)
    rows: list[Row] = [
        ("DeepSHAP, 10 references", examples / seconds["ours"], "sequences/s"),
        ("time over that of the predictions it rests on", seconds["ours"] / seconds["forward"], ""),
        ("largest completeness error / spread of outputs", float(jnp.max(jnp.abs(error)) / jnp.std(forward(x))), ""),
        (f"dinucleotide shuffles of {SHUFFLED_LENGTH} bp", 4 * shuffles / seconds["shuffle"], "1/s"),
    ]
    if peer is None:
        print("  tangermeme is not installed (pip install '.[peers]'): no comparison")
        return rows
    scores, _ = ours(x, references)
    difference = np.max(np.abs(peer.attribute() - np.asarray(scores))) / np.max(np.abs(scores))
    return [
        *rows,
        ("tangermeme's time / ours, DeepSHAP", seconds["peer"] / seconds["ours"], ""),
        ("largest difference of the scores, relative", float(difference), ""),
        ("tangermeme's time / ours, shuffles", seconds["peer shuffle"] / seconds["shuffle"], ""),
    ]


def _variables(model: BinaryModel, x: jax.Array) -> Any:
    """Random weights, with statistics that are not those of the start."""
    variables = jax.jit(model.init)(jax.random.key(0), x)
    return {**variables, "batch_stats": jax.tree.map(lambda leaf: leaf * 0.5 + 0.1, variables["batch_stats"])}


class _peer:
    """The same model in PyTorch, attributed and shuffled by tangermeme."""

    def __init__(
        self, model: BinaryModel, variables: Any, x: Any, references: Any, longer: np.ndarray, shuffles: int
    ) -> None:
        import torch
        from tangermeme.deep_lift_shap import deep_lift_shap
        from tangermeme.ersatz import dinucleotide_shuffle as shuffle

        self._model = _torch_model(model, variables)
        to_torch = lambda a: torch.from_numpy(np.array(np.swapaxes(np.asarray(a), -1, -2)))  # noqa: E731
        self._x, self._references = to_torch(x), to_torch(references)
        self._longer, self._shuffles = to_torch(one_hot(jnp.asarray(longer))), shuffles
        self._attribute, self._shuffle = deep_lift_shap, shuffle

    def attribute(self) -> np.ndarray:
        scores = self._attribute(
            self._model, self._x, references=self._references, hypothetical=True, batch_size=128, device="cpu"
        )
        return scores.numpy().swapaxes(1, 2)

    def shuffle(self) -> Any:
        return self._shuffle(self._longer, n=self._shuffles, random_state=0)


def _torch_model(model: BinaryModel, variables: Any) -> Any:
    """The binary model with these weights as a PyTorch module, in evaluation."""
    import torch
    from torch import nn

    params = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), variables["params"])
    statistics = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), variables["batch_stats"])
    layers: list[Any] = []

    def normalise(kind: type, size: int) -> None:
        name = f"BatchNorm_{sum(isinstance(layer, (nn.BatchNorm1d,)) for layer in layers)}"
        layer = kind(size, eps=1e-5)
        layer.weight.data, layer.bias.data = params[name]["scale"], params[name]["bias"]
        layer.running_mean, layer.running_var = statistics[name]["mean"], statistics[name]["var"]
        layers.extend([nn.ReLU(), layer])

    channels = 4
    for i, (filters, width) in enumerate(zip(model.filters, model.widths, strict=True)):
        layer = nn.Conv1d(channels, filters, width)
        layer.weight.data = params[f"Conv_{i}"]["kernel"].permute(2, 1, 0).contiguous()
        layer.bias.data = params[f"Conv_{i}"]["bias"]
        layers.append(layer)
        normalise(nn.BatchNorm1d, filters)
        channels = filters
    layers += [nn.MaxPool1d(model.pool_size, model.pool_size), nn.Flatten()]
    names = [*(f"Dense_{i}" for i in range(len(model.dense_sizes))), "logits"]
    for i, name in enumerate(names):
        kernel, bias = params[name]["Dense_0"]["kernel"].T, params[name]["Dense_0"]["bias"]
        if i == 0:  # PyTorch flattens (channels, positions), ours (positions, channels)
            kernel = kernel.reshape(len(kernel), -1, channels).permute(0, 2, 1).reshape(len(kernel), -1)
        layer = nn.Linear(kernel.shape[1], kernel.shape[0])
        layer.weight.data, layer.bias.data = kernel.contiguous(), bias
        layers.append(layer)
        if name != "logits":
            normalise(nn.BatchNorm1d, kernel.shape[0])
    return nn.Sequential(*layers).eval()
