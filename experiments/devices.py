"""The devices and processes that an experiment runs on.

One process uses all the devices that it sees. Several processes, on one machine or many, become one program with
`--config.distributed=True`, in each of them the same command:

    SLURM, Open MPI, Cloud TPU    JAX finds out by itself
    by hand                       JAX_COORDINATOR_ADDRESS=HOST:PORT (of the first process), JAX_NUM_PROCESSES=N and
                                  JAX_PROCESS_ID=0 … N − 1 in the environment

By hand in the environment and not in the config, which is one and the same for all processes and stands in the record.
"""

import contextlib
import os
from collections.abc import Iterator

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from fprior.data.batches import BatchPlan
from fprior.errors import InputError
from fprior.training.processes import leads
from fprior.training.sharding import DATA, device_mesh

ADDRESS, COUNT, PLACE = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
COLAB = ("COLAB_RELEASE_TAG", "COLAB_TPU_ADDR")


def join_processes() -> None:
    """Makes this process one of several; to be called before JAX looks for devices.

    Raises:
      InputError: this is Colab, what the environment says is incomplete, or the others cannot be reached.
    """
    if any(name in os.environ for name in COLAB):
        raise InputError(
            "config.distributed (=True) is not for Colab, where one process has all devices, a TPU's too; leave it out"
        )
    given = [name for name in (ADDRESS, COUNT, PLACE) if os.environ.get(name)]
    by_hand = given == [ADDRESS, COUNT, PLACE]
    if given and not by_hand:
        missing = ", ".join(sorted({ADDRESS, COUNT, PLACE} - set(given)))
        raise InputError(f"config.distributed (=True): {', '.join(given)} is set and {missing} is not; set all or none")
    try:
        if by_hand:
            count, place = _number(COUNT, 1), _number(PLACE, 0)
            if place >= count:
                raise InputError(f"{PLACE} (={place}) must be below {COUNT} (={count})")
            jax.distributed.initialize(os.environ[ADDRESS], count, place)
        else:
            jax.distributed.initialize()
    except InputError:
        raise
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"config.distributed (=True): the processes did not find each other ({reason}); start them with srun, or"
            f" set {ADDRESS}, {COUNT} and {PLACE}; leave it out for one process"
        ) from error


def _number(name: str, least: int) -> int:
    text = os.environ[name]
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise InputError(f"{name} (={text!r}) must be a whole number from {least} on")
    return int(text)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Lets only the first process speak: all would say the same. What is raised is not held back."""
    if leads():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def mesh_of(config: ConfigDict, plan: BatchPlan, devices: list[jax.Device] | None = None) -> Mesh | None:
    """The mesh of the devices that train the config's models, by default all there are; None for one device.

    Raises:
      InputError: they cannot share a batch evenly.
    """
    mesh = device_mesh(config.num_models, devices)
    if mesh is None:
        return None
    shares, size = mesh.shape[DATA], config.data.batch_size
    if plan.positives % shares or plan.negatives % shares:
        below = size // (2 * shares) * 2 * shares
        nearest = " or ".join(str(fitting) for fitting in (below, below + 2 * shares) if fitting)
        raise InputError(
            f"config.data.batch_size (={size}) has {plan.positives} positives and {plan.negatives} negatives, which the"
            f" {shares} devices that share a batch cannot share evenly; set it to {nearest}, or let JAX see fewer"
            " devices (CUDA_VISIBLE_DEVICES, for example)"
        )
    return mesh
