"""All that there is to do with a config, from files to pages, in one command.

    python -m experiments.workflow --config=configs/NAME.py --workdir=runs/NAME [--config.section.field=value …]

Runs these commands one after the other, each as one would by itself, and shows them:

    doctor, prepare   where the data set is still to be made from files; or `simulate`, for simulated ones
    train             with the page's learning curves; what is trained is not trained again
    evaluate          performance and interpretability on held-out loci
    attribute         DeepSHAP of every held-out positive
    motifs            the patterns in those scores, where the extra `motifs` is installed
    report            report.html in the run's directory

It ends with the first of them that fails, with its status, and a doctor that finds an error is one. Interrupted, the
same command goes on with what is not done.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from experiments.compare_training import wait_for
from experiments.launch import config_file, launch, overrides
from experiments.run_directory import RESULT
from fprior.data.dataset import SHIPPED
from fprior.errors import InputError

PAGE = "report.html"


def main(config: ConfigDict, workdir: str | None) -> None:
    if not workdir:
        raise InputError("--workdir is missing; name the directory of the run, for example --workdir=runs/NAME")
    if config.num_models > 1:
        raise InputError(f"config.num_models (={config.num_models}) must be 1; experiments.compare is for several")
    path = Path(workdir)
    if forbidden := set(",=") & set(f"{path.absolute().name}{path}"):
        raise InputError(f"--workdir={workdir}: {' and '.join(sorted(forbidden))} cannot be in it; choose another")
    commands = [*ways_to_the_data(config), *ways_from_the_data(config, path)]
    for number, (name, arguments) in enumerate(commands, start=1):
        print(f"[{number} of {len(commands)}] experiments.{name} {' '.join(arguments)}", file=sys.stderr, flush=True)
        child = subprocess.Popen([sys.executable, "-m", f"experiments.{name}", *arguments])
        stopped = wait_for(child)
        if stopped or (name == "train" and child.returncode == 0 and not (path / RESULT).is_file()):
            print(f"{path}: stopped in experiments.{name}; the same command goes on from here")
            return
        if child.returncode:
            sys.exit(child.returncode if child.returncode > 0 else 1)
    if not has_motifs():
        print("motifs were not looked for: pip install '.[motifs]'")


def ways_to_the_data(config: ConfigDict) -> Iterator[tuple[str, list[str]]]:
    """The commands that make the data set, with their arguments; none if it is there.

    Raises:
      InputError: it is not there, and nothing in the config makes it.
    """
    name = config.data.dataset
    if Path(name).exists() or (SHIPPED / name).is_dir():
        return
    if name == config.prepare.output and config.prepare.genome:
        yield "doctor", shared_arguments()
        yield "prepare", shared_arguments()
    elif name == config.simulate.output:
        yield "simulate", shared_arguments()
    else:
        raise InputError(
            f"config.data.dataset (={name!r}) is not there; to make it, config.prepare.output or"
            " config.simulate.output must be the same"
        )


def ways_from_the_data(config: ConfigDict, path: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands that make everything else of the data set, with their arguments."""
    arguments = [*shared_arguments(), f"--workdir={path}"]
    for name in ("train", "evaluate", "attribute", *(["motifs"] if has_motifs() else [])):
        yield name, arguments
    runs = f"{path.absolute().name}={path}"
    yield "report", [f"--runs={runs}", f"--output={path / PAGE}", f"--split={config.evaluate.split}"]


def shared_arguments() -> list[str]:
    """The config as this command was given it."""
    return [f"--config={config_file()}", *(f"--config.{name}={value}" for name, value in overrides().items())]


def has_motifs() -> bool:
    """Whether the extra `motifs` is installed."""
    return all(importlib.util.find_spec(module) for module in ("modiscolite", "memelite"))


if __name__ == "__main__":
    launch(main, workdir="the directory of the run; made if it is not there")
