"""The third group of checks of `experiments.doctor`: the device, the disk, and the config's training step on them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from experiments.build import batch_plan, initial_state, model_of
from experiments.doctor_findings import ERROR, OK, SKIPPED, WARNING, Finding, Verdict, attempt, examine, in_bytes
from experiments.doctor_reads import tracks_missing
from experiments.doctor_steps import check_gradients, check_loss, check_memory, check_time, measure, stand_in
from experiments.program import fits_on_device
from fprior.data.batches import pools_of
from fprior.data.dataset import Dataset
from fprior.data.splits import TRAIN
from fprior.errors import InputError

ACCELERATORS = {  # extra of fprior → files that are there where a driver is
    "cuda": ("/dev/nvidia0",),
    "tpu": ("/dev/accel*", "/dev/vfio/[0-9]*"),
}
CHECKPOINTS = 2  # that are kept of a model: the latest and the best
ROOM = 10  # times what the checkpoints take should be free, since others write too


def machine_findings(config: ConfigDict, dataset: Dataset | None, *, fast: bool) -> Iterator[Finding]:
    """Of all checks on the machine; without a data set of use, a stand-in of random letters is trained on."""
    yield from examine("device", check_device)
    is_real = dataset is not None
    if not is_real:
        dataset, lines = attempt("training step", stand_in, config)
        yield from lines
    else:
        _, lines = attempt("training step", check_usable, config, dataset)
    if lines:
        yield Finding(SKIPPED, "training step", "it cannot be built, for the errors above")
        return
    assert dataset is not None, "a stand-in where there is none"
    yield from examine("disk", check_disk, config, dataset)
    if is_real:
        yield from examine("placement", check_placement, config, dataset)
    if fast:
        yield Finding(SKIPPED, "training step", "--fast=true")
        return
    yield from step_findings(config, dataset, is_real)


def step_findings(config: ConfigDict, dataset: Dataset, is_real: bool) -> Iterator[Finding]:
    """Of the checks that compile and run the training step."""
    measured, lines = attempt("training step", measure, config, dataset, device_memory())
    yield from lines
    if measured is None:
        return
    yield from examine("training step", check_time, config, dataset, measured, is_real)
    yield from examine("memory", check_memory, config, measured, device_memory())
    yield from examine("loss", check_loss, measured)
    yield from examine("prior's gradient", check_gradients, measured)


def check_usable(config: ConfigDict, dataset: Dataset) -> None:
    """Raises InputError for a data set that cannot be trained on, which the checks of the data set have reported."""
    pools_of(dataset, TRAIN)
    batch_plan(config, dataset)
    if text := tracks_missing(config, dataset):
        raise InputError(text)


def check_device() -> Iterator[Verdict]:
    """What JAX computes on, and whether there is something faster that it does not use."""
    devices = jax.local_devices()
    text = f"JAX uses {devices[0].platform}: {devices[0].device_kind}, {in_bytes(device_memory())}"
    if len(devices) > 1:
        text += f"; the first of {len(devices)} devices, training uses no more"
    if jax.default_backend() != "cpu":
        yield OK, text
    elif kind := unused_accelerator():
        yield WARNING, f"{text}, but an accelerator is here ({kind}); {remedy_for(kind)}"
    else:
        yield OK, f"{text}, {len(os.sched_getaffinity(0))} cores"


def unused_accelerator() -> str:
    """The kind of accelerator whose driver is installed, cuda or tpu; empty for none."""
    for kind, patterns in ACCELERATORS.items():
        if any(path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))):
            return kind
    return "cuda" if shutil.which("nvidia-smi") else ""


def remedy_for(kind: str) -> str:
    """What makes JAX use it."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and kind not in platforms:
        return f"unset JAX_PLATFORMS (={platforms!r}), which hides it"
    return f"pip install 'fprior[{kind}]'"


def device_memory() -> int:
    """Bytes of the device that JAX may use, or of the machine where the device does not say."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("bytes_limit", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def check_disk(config: ConfigDict, dataset: Dataset) -> Iterator[Verdict]:
    """Whether the checkpoints of parameters and of Adam's two moments fit on the disk of the current directory."""
    state = jax.eval_shape(lambda: initial_state(config, dataset, model_of(config, dataset), config.seed))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    needed, free = CHECKPOINTS * size * config.num_models, shutil.disk_usage(".").free
    text = (
        f"{in_bytes(free)} are free in the current directory; checkpoints of {parameters:,} parameters take"
        f" {in_bytes(needed)}"
    )
    if free < needed:
        yield ERROR, f"{text}; free some, or train with --workdir on another disk"
    elif free < ROOM * needed:
        yield WARNING, f"{text}, and while they are written more; free some, or train with --workdir on another disk"
    else:
        yield OK, text


def check_placement(config: ConfigDict, dataset: Dataset) -> Iterator[Verdict]:
    """Where the data will lie."""
    plan = batch_plan(config, dataset)
    fits = fits_on_device(dataset, plan)
    size = dataset.tokens.nbytes if plan.layout is None else dataset.nbytes
    where = {"auto": "device" if fits else "host"}.get(config.speed.placement, config.speed.placement)
    text = f"{dataset.path}: {in_bytes(size)} will lie on the {where}"
    if where == "device" and not fits:
        yield WARNING, f"{text}, which has {in_bytes(device_memory())}; set config.speed.placement='auto'"
    elif where == "host" and fits:
        yield OK, f"{text} (config.speed.placement), though they would fit on the device"
    else:
        yield OK, text
