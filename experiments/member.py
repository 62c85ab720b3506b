"""One model in training: its directory, log, checkpoints and history, however many are trained together."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.config import with_changes
from experiments.run_directory import RECORD, RESULT, run_directory
from experiments.validation import Validation
from fprior.data.dataset import Dataset
from fprior.errors import InputError
from fprior.files import write_json
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import Log
from fprior.training.processes import agreed, by_the_first, leads
from fprior.training.state import State
from fprior.training.step import Recipe


def member_configs(config: ConfigDict) -> list:
    """The config of each model of the run as if it were trained alone; the seeds are seed, seed + 1, …"""
    if config.num_models == 1:
        return [config]
    seeds = range(config.seed, config.seed + config.num_models)
    return [with_changes(config, {"seed": seed, "num_models": 1}) for seed in seeds]


def member_directories(config: ConfigDict, workdir: str | None) -> list[str | None]:
    """The directory of each model: that of the run, or seed_0, seed_1, … in it where there are several.

    Raises:
      InputError: the directory holds a run of the other kind.
    """
    if config.num_models == 1 or not workdir:
        return [workdir] * config.num_models
    if (Path(workdir) / RECORD).exists():
        raise InputError(
            f"--workdir={workdir}: holds a run of one model, config.num_models is {config.num_models}; choose another"
        )
    return [str(Path(workdir) / f"seed_{one.seed}") for one in member_configs(config)]


class Member:
    """What is written and remembered of one model; all that must survive a restart is in its checkpoints.

    Of several processes each has one. They go through the same calls; the first alone writes, but for checkpoints.
    """

    def __init__(self, config: ConfigDict, path: Path, checkpoints: Checkpoints) -> None:
        self.path, self.seed = path, config.seed
        self.history: list[dict[str, float]] = []
        self.finished = bool(agreed(np.bool_((path / RESULT).exists())))
        self._config, self._checkpoints = config, checkpoints
        self._validation: Validation | None = None
        self._log: Log | None = None

    def latest_step(self) -> int:
        """The step of the newest checkpoint, 0 if there is none."""
        return int(agreed(np.int32(self._checkpoints.step("latest") or 0)))

    def restore(self, state: State, step: int) -> State:
        """The state at the checkpoint of that step, of which it takes up the history; at step 0 the given one."""
        if step:
            state, progress = self._checkpoints.restore("latest", state, step)
            self.history = progress["history"]
        return state

    @contextlib.contextmanager
    def open_log(self, step: int, dataset: Dataset, recipe: Recipe) -> Iterator[None]:
        """Opens what is needed to go on from that step."""
        self._validation = Validation(self._config, dataset, recipe)
        if not leads():
            yield
            return
        with Log(self.path, step) as self._log:
            yield

    def write(self, kind: str, step: int, epoch: float, values: dict[str, float]) -> None:
        if leads():
            assert self._log is not None, "written to while it is open"
            self._log.write(kind, step, epoch, values)

    def save(self, state: State) -> None:
        """Writes the checkpoint from which training resumes."""
        self._checkpoints.save("latest", state, {"history": self.history})

    def best(self) -> dict[str, float]:
        """The history entry of the best epoch."""
        return min(self.history, key=lambda entry: entry[f"loss/{self._config.train.select_on}"])

    def gain_is_over(self) -> bool:
        """Whether the last epochs brought too little to go on."""
        train = self._config.train
        losses = [entry[f"loss/{train.select_on}"] for entry in self.history]
        return no_gain(losses, train.stop_after_epochs, train.stop_gain)

    def finish(self, reason: str) -> None:
        """Writes the result, which ends this model's training."""
        self.finished = True
        best, steps = self.best(), self.history[-1]["step"]
        if leads():
            write_json(self.path / RESULT, {"ended": reason, "steps": steps, "best": best, "history": self.history})
        tqdm.write(f"{self.path}: finished ({reason}); best epoch {best['epoch']:.0f}", file=sys.stdout)

    def validate(self, state: State, step: int, epoch: float) -> None:
        """Measures the validation split; keeps the state if it is the best so far."""
        assert self._validation is not None, "measured once there is a recipe"
        values = self._validation(state)
        values = dict(zip(values, map(float, agreed(np.array(list(values.values())))), strict=True))
        self.history.append({"step": step, "epoch": epoch, **values})
        self.write("validation", step, epoch, values)
        text = ", ".join(f"{name.removeprefix('loss/')} {value:.4f}" for name, value in values.items())
        tqdm.write(f"{self.path.name}, epoch {epoch:.0f}: validation {text}", file=sys.stderr)
        if self.best() is self.history[-1]:
            self._checkpoints.save("best", state, {"epoch": epoch, **values})


def no_gain(losses: Sequence[float], patience: int, gain: float) -> bool:
    """Whether the last `patience` losses are all above the best before them less `gain`; never if patience is 0."""
    if not patience or len(losses) <= patience:
        return False
    return min(losses[-patience:]) > min(losses[:-patience]) - gain


@contextlib.contextmanager
def open_members(config: ConfigDict, workdir: str | None, dataset: Dataset) -> Iterator[Sequence[Member]]:
    """Opens the directories of all models of a run, for this program alone."""
    configs, directories = member_configs(config), member_directories(config, workdir)
    with contextlib.ExitStack() as stack:
        by_the_first(
            lambda: [
                stack.enter_context(run_directory(directory, one, dataset))
                for one, directory in zip(configs, directories, strict=True)
            ]
        )
        members = []
        for one, directory in zip(configs, directories, strict=True):
            assert directory, "run_directory refuses none"
            checkpoints = stack.enter_context(Checkpoints(Path(directory) / "checkpoints"))
            members.append(Member(one, Path(directory), checkpoints))
        yield members
