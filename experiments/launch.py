"""What the command lines share: flags, the config, and one-line errors."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import ml_collections
from absl import flags
from ml_collections import config_flags

from experiments.config import check_config
from experiments.devices import heard, join_processes
from fprior.errors import InputError, one_line

USAGE_STATUS = 2
FLAGS = flags.FLAGS
CONFIG = config_flags.DEFINE_config_file("config", None, "configs/NAME.py; fields: --config.section.field=value")


def launch(main: Callable[..., None], *, needs_config: bool = True, processes: bool = False, **strings: str) -> None:
    """Runs `main(config, **values)` with the config and string flags of the command line.

    Args:
      main: the command.
      needs_config: False for a command without --config; it is called as `main(**values)`.
      processes: whether it can be several processes, which `config.distributed` makes of it.
      strings: flag name → help text, flags of the command besides --config.

    Wrong input ends in one line on standard error and exit status 2.
    """
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax narrates what it writes, and logs what it then raises
    holders = {name: flags.DEFINE_string(name, None, text) for name, text in strings.items()}
    keep_compiled_programs()
    speaking: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    try:
        config = parse(sys.argv, needs_config=needs_config)
        values = {name: holder.value for name, holder in holders.items()}
        if config is not None and config.distributed:
            if not processes:
                raise InputError(
                    "config.distributed (=True) is for experiments.train; run this command in one process, with"
                    " --config.distributed=False"
                )
            join_processes()
            speaking = heard()
        with speaking:
            main(*([config] if needs_config else []), **values)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE_STATUS)


def keep_compiled_programs() -> None:
    """Makes JAX keep what takes it more than a second to compile, for later processes.

    In JAX_COMPILATION_CACHE_DIR, else in fprior/compiled under XDG_CACHE_HOME or ~/.cache;
    JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]  # which JAX makes at run time
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(caches) / "fprior" / "compiled"))


def seconds_since_start() -> float:
    """How long this process has been running, interpreter and imports included."""
    with open("/proc/self/stat") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def parse(arguments: list[str], *, needs_config: bool = True) -> ml_collections.FrozenConfigDict | None:
    """The checked, frozen config of a command line; None for a command that needs none.

    Raises:
      InputError: a flag is unknown or mistyped, a config field does not exist, or a value fails its check.
    """
    path = next((a.partition("=")[2] for a in arguments if a.startswith("--config=")), "")
    if path and not Path(path).is_file():
        raise InputError(f"--config={path}: there is no such file; give one of configs/*.py")
    try:
        unparsed = FLAGS(arguments)
    except Exception as error:  # whatever a config file raises is an error of that file
        raise InputError(one_line(_explain(error, path, arguments))) from error
    if len(unparsed) > 1:
        raise InputError(f"{unparsed[1]!r} is not a flag; fields are set as --config.section.field=value")
    if not needs_config:
        return None
    if FLAGS["config"].value is None:
        raise InputError("--config is missing; give one of configs/*.py, for example --config=configs/quickstart.py")
    config = ml_collections.ConfigDict(CONFIG.value)
    check_config(config)
    config.lock()
    return ml_collections.FrozenConfigDict(config)


def _explain(error: Exception, path: str, arguments: list[str]) -> str:
    """One line that names the flag or the config file, from what absl and ml_collections raise."""
    text = str(error.args[0] if error.args else error).replace("\\n", "\n").replace("\\", "")
    last_line = text.strip().splitlines()[-1].strip("'\"")
    if isinstance(error, (KeyError, AttributeError)):
        for argument in arguments:
            field = argument.removeprefix("--").partition("=")[0]
            if any(f"'{name}'" in text or f'"{name}"' in text for name in field.split(".")[1:]):
                return f"{argument}: there is no field {field}; {last_line}"
    if isinstance(error, flags.Error) and "Error whilst parsing config file" not in text:
        return " ".join(text.split())
    where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    return f"{path}{where}: {type(error).__name__}: {last_line}"


def overrides() -> dict[str, object]:
    """The fields that the command line set, for the record of a run."""
    return dict(config_flags.get_override_values(FLAGS["config"]))


def config_file() -> str:
    """The path of the config file that the command line named."""
    return config_flags.get_config_filename(FLAGS["config"])
