"""One program on many devices: which of them share a batch, and what lies where.

Devices form a mesh with two axes. Along `data` they share the rows of every batch, each computing those of its own;
along `models` they share the models that are trained at once. Batches and states stay single logical arrays: batch
statistics, losses and random numbers are those of the whole batch, and what is computed does not depend on the layout
beyond the order in which floating-point sums are made. Where a mesh is expected, None means one device.
"""

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MODELS, DATA = "models", "data"
EVERYWHERE = PartitionSpec()


def device_mesh(num_models: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh | None:
    """The mesh of these devices, by default all there are, of all processes: (models, data).

    As many devices as possible work on different models, for these have nothing to tell each other: the first axis is
    the greatest common divisor of `num_models` and the number of devices. None for one device.
    """
    devices = jax.devices() if devices is None else devices
    if len(devices) == 1:
        return None
    models = gcd(num_models, len(devices))
    # In JAX's order, in which the devices of a process are neighbours, so that it works on neighbouring rows.
    grid = np.array(devices).reshape(models, len(devices) // models)
    return Mesh(grid, (MODELS, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def from_process(local: np.ndarray, first: Sequence[int], shape: Sequence[int], sharding: NamedSharding) -> jax.Array:
    """The array of that shape on all devices, of which this process holds the block `local` that begins at `first`.

    The block must contain what the process's own devices are to hold.
    """

    def block(index: Any) -> np.ndarray:
        bounds = (where.indices(size)[:2] for where, size in zip(index, shape, strict=True))
        return local[tuple(slice(a - begin, b - begin) for (a, b), begin in zip(bounds, first, strict=True))]

    return jax.make_array_from_callback(tuple(shape), sharding, block)


def from_host(tree: Any, mesh: Mesh | None, spec: PartitionSpec = EVERYWHERE) -> Any:
    """Arrays that every process has as a whole, on all devices: a copy on each, or split as `spec` says."""
    if mesh is None:
        return tree

    def place(leaf: Any) -> jax.Array:
        leaf = np.asarray(leaf)
        return from_process(leaf, (0,) * leaf.ndim, leaf.shape, NamedSharding(mesh, spec))

    return jax.tree.map(place, tree)


def moved(tree: Any, mesh: Mesh | None, spec: PartitionSpec = EVERYWHERE) -> Any:
    """Arrays that lie on all devices, as `spec` says."""
    # In one program: one a leaf would be many collectives on their way at a time.
    return tree if mesh is None else jax.jit(_identity, out_shardings=NamedSharding(mesh, spec))(tree)


def _identity(tree: Any) -> Any:
    return tree


def readable(tree: Any, mesh: Mesh | None) -> Any:
    """Arrays on the mesh's devices as this process can read them as a whole, wherever they were computed."""
    return moved(tree, mesh) if mesh is not None and mesh.is_multi_process else tree


def own_block(mesh: Mesh | None, num_models: int, rows: int) -> tuple[range, range]:
    """The models, of so many, and the rows of a batch that this process's devices work on."""
    if mesh is None:
        return range(num_models), range(rows)
    shape = (num_models, rows)
    indices: Any = NamedSharding(mesh, PartitionSpec(MODELS, DATA)).addressable_devices_indices_map(shape).values()
    bounds = [[where.indices(size)[:2] for where, size in zip(index, shape, strict=True)] for index in indices]
    models, own = (range(min(a for a, _ in axis), max(b for _, b in axis)) for axis in zip(*bounds, strict=True))
    return models, own


# ---- inside jit


def on_every_device(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays, copied to every device."""
    return _constrained(tree, mesh, EVERYWHERE)


def split_rows(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays, their first axis split over the devices that share a batch."""
    return _constrained(tree, mesh, PartitionSpec(DATA))


def by_rows(function: Callable[[jax.Array], jax.Array], mesh: Mesh | None) -> Callable[[jax.Array], jax.Array]:
    """A function of rows `(n, …)` to `(n, …)`, each from its own alone, so that every device computes those it has.

    Left to itself the compiler gathers the rows of a Fourier transform on every device.
    """
    if mesh is None:
        return function
    rows = PartitionSpec(DATA)
    return jax.shard_map(
        function, mesh=_current(mesh), in_specs=rows, out_specs=rows, axis_names={DATA}, check_vma=False
    )


def by_models(function: Callable[..., Any], mesh: Mesh | None, in_specs: Sequence[PartitionSpec]) -> Callable[..., Any]:
    """A function of stacked models to results stacked likewise, as one in which each device works on its models alone.

    `in_specs` says which arguments have a first axis of models, `PartitionSpec(MODELS)`, and which are for all.
    """
    if mesh is None or mesh.shape[MODELS] == 1:
        return function
    # Unchecked: a checked one takes an input that all models read for one variable, and sums its gradient over them.
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=tuple(in_specs),
        out_specs=PartitionSpec(MODELS),
        axis_names={MODELS},
        check_vma=False,
    )


def _constrained(tree: Any, mesh: Mesh | None, spec: PartitionSpec) -> Any:
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(_current(mesh), spec))


def _current(mesh: Mesh) -> Any:
    """The mesh; inside `by_models` the same one as JAX knows it there, with its first axis taken."""
    inner = jax.sharding.get_abstract_mesh()
    return inner if MODELS in inner.manual_axes else mesh
