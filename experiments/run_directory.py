"""A run's directory: what it takes to run it again, one process at a time, never two experiments in one."""

import contextlib
import errno
import fcntl
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import ml_collections

from experiments.config import default_config
from experiments.launch import config_file, overrides
from experiments.models import MODELS, model_config
from fprior.data.dataset import Dataset
from fprior.errors import InputError
from fprior.files import read_json, write_json

RECORD = "run.json"
RESULT = "result.json"
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
PACKAGES = ("fprior", "jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint")
_DAMAGED = "the run is damaged, train it again elsewhere"
TRAINING = ("seed", "data", "model", "prior", "train")  # the sections of a config that decide what is learned


@contextlib.contextmanager
def run_directory(workdir: str | None, config: ml_collections.ConfigDict, dataset: Dataset) -> Iterator[Path]:
    """Opens a run's directory, new or begun earlier, for this process alone.

    Writes `run.json`: the config, what the command line set, seed, versions, devices and the data set's manifest.

    Raises:
      InputError: no directory is named, it belongs to another config or data set, another process uses it, or it can no
        longer be written.
    """
    if not workdir:
        raise InputError("--workdir is missing; name the directory of this run, for example --workdir=runs/first")
    path = Path(workdir)
    # Hidden files are the lock, and what a run that was killed while it wrote its first record left behind.
    occupied = path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir())
    if occupied and not (path / RECORD).exists():
        raise InputError(f"--workdir={workdir}: the directory is not empty and not a run; choose another")
    with alone(path / ".lock", f"--workdir={workdir}"):
        record = _record(config, dataset)
        with _no_room_explained(workdir):
            if (path / RECORD).exists():
                _check_same(path, record)
            else:
                write_json(path / RECORD, record)
            yield path


@contextlib.contextmanager
def alone(
    lock: Path,
    what: str,
    unwritable: str = "choose another",
    taken: str = "another process is using it; wait or choose another",
) -> Iterator[None]:
    """Holds a lock file, and with it `what` it stands for, for this process alone; makes its directory.

    Raises:
      InputError: it cannot be written, or another process holds it. `unwritable` is the remedy for the one, `taken`
        the text for the other.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "w")
    except OSError as error:
        raise InputError(f"{what}: cannot be written ({error.strerror}); {unwritable}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{what}: {taken}") from error
        yield


@contextlib.contextmanager
def _no_room_explained(workdir: str) -> Iterator[None]:
    """Raises InputError for what goes wrong in writing, whichever library it was that wrote."""
    try:
        yield
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else _number_in(str(error))
        if number not in _CANNOT_WRITE:
            raise
        raise InputError(
            f"--workdir={workdir}: cannot be written ({os.strerror(number)}); what was saved before is whole: remedy"
            " that, and the same command goes on from there"
        ) from error


def _number_in(text: str) -> int | None:
    """The number of the system's error in what TensorStore, which writes the checkpoints, says of it."""
    found = re.search(r"os_error_code='([0-9]+)'", text)
    return int(found[1]) if found else None


def read_record(workdir: str | None) -> dict[str, Any]:
    """The record of a run.

    Raises:
      InputError: the directory is no run, or a damaged one.
    """
    if not workdir:
        raise InputError("--workdir is missing; name the directory of a trained run")
    path = Path(workdir) / RECORD
    if not path.is_file():
        raise InputError(f"--workdir={workdir}: not a run ({RECORD} is missing); run experiments.train there first")
    record = read_json(path, _DAMAGED)
    if not _has(record, command=str, config=dict, dataset=dict) or not _is_config(record["config"]):
        raise InputError(f"{path}: not what experiments.train writes there; {_DAMAGED}")
    if not _has(record["dataset"], files=dict):
        raise InputError(f"{path}: lists no files of a data set; {_DAMAGED}")
    return record


def _has(value: Any, **fields: type | tuple[type, ...]) -> bool:
    """Whether a JSON value is an object with such fields; none of them is true or false."""
    if not isinstance(value, dict):
        return False
    return all(isinstance(value.get(name), kind) and not isinstance(value[name], bool) for name, kind in fields.items())


def _is_config(config: dict[str, Any]) -> bool:
    sections = [config.get(section) for section in TRAINING if section != "seed"]
    fitting = all(isinstance(section, dict) and all(map(str.isprintable, section)) for section in sections)
    return fitting and _has(config, seed=int)


def read_result(path: Path) -> dict[str, Any]:
    """How the training of a finished run ended: `ended`, `steps`, `best` and `history`.

    Raises:
      InputError: the file is missing or damaged.
    """
    result = read_json(path / RESULT, _DAMAGED)
    whole = _has(result, ended=str, steps=int, best=dict, history=list)
    entries = [result["best"], *result["history"]] if whole else []
    if len(entries) < 2 or not all(_has(entry, step=int, epoch=(int, float)) for entry in entries):
        raise InputError(f"{path / RESULT}: not what experiments.train writes there; {_DAMAGED}")
    return result


def check_config(workdir: str, config: ml_collections.ConfigDict) -> None:
    """Raises InputError if the run was trained with another config, as far as training is concerned."""
    _compare(Path(workdir), read_record(workdir)["config"], _plain(config))


def finished_run(workdir: str | None, config: ml_collections.ConfigDict) -> Path:
    """The directory of a run of this config whose training is finished.

    Raises:
      InputError: it is no run, one of another config, or still to be trained.
    """
    read_record(workdir)
    assert workdir, "read_record refuses none"
    check_config(workdir, config)
    path = Path(workdir)
    if not (path / RESULT).is_file():
        raise InputError(f"--workdir={workdir}: its training is not finished; go on with experiments.train")
    return path


def _plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The config as JSON gives it back, where tuples are lists."""
    return json.loads(ml_collections.ConfigDict(config).to_json())


def _record(config: ml_collections.ConfigDict, dataset: Dataset) -> dict[str, Any]:
    return {**provenance("train", config), "dataset": dict(dataset.manifest)}


def provenance(command: str, config: ml_collections.ConfigDict) -> dict[str, Any]:
    """What it takes to run `python -m experiments.COMMAND` again, data apart."""
    return {
        "command": " ".join(["python", "-m", f"experiments.{command}", *sys.argv[1:]]),
        "config_file": config_file(),
        "overrides": json.loads(json.dumps(overrides())),
        "config": _plain(config),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
    }


def _check_same(path: Path, record: dict[str, Any]) -> None:
    earlier = read_record(str(path))
    _compare(path, earlier["config"], record["config"])
    if earlier["dataset"]["files"] != record["dataset"]["files"]:
        raise InputError(
            f"--workdir={path}: the data set is not the one the run began with (checksums differ);"
            " restore it or choose another --workdir"
        )


def _compare(path: Path, earlier: dict[str, Any], now: dict[str, Any]) -> None:
    differences = []
    defaults = _plain(default_config())
    if now["model"]["name"] in MODELS:
        defaults["model"] = _plain(model_config(now["model"]["name"]))
    else:
        defaults["model"] = {}
    for section in TRAINING:
        was, is_, default = (
            {section: c[section]} if section == "seed" else c[section] for c in (earlier, now, defaults)
        )
        was = {**default, **was}  # a field that is newer than the run stood at what is its default now
        for name in sorted({*was, *is_}):
            if was.get(name) != is_.get(name):
                field = section if section == "seed" else f"{section}.{name}"
                differences.append(f"config.{field} was {was.get(name)!r}, is {is_.get(name)!r}")
    if differences:
        raise InputError(
            f"--workdir={path}: the run there has another config: {'; '.join(differences)};"
            " give the same config or choose another --workdir"
        )
