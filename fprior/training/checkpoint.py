"""Checkpoints of the training state that survive being killed at any moment.

A run keeps two series: `latest`, from which training resumes, and `best`, the state of the best epoch. Each
checkpoint holds the `State` and a small JSON record of progress (the history that early stopping looks at).
Orbax writes a checkpoint in place and marks it complete last, so that an interrupted one is never read.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from fprior.errors import InputError, one_line
from fprior.training.processes import leads, wait_for_all
from fprior.training.state import State

SERIES = ("latest", "best")
_COMPLETE = "commit_success.txt"  # the file that orbax writes last


class Checkpoints:
    """The two series of one run under `directory`; a context manager that waits for writes on leaving.

    Of several processes each must make one, of a directory that all of them see, and call the same methods.
    """

    def __init__(self, directory: str | os.PathLike, *, read_only: bool = False):
        self._directory = Path(directory).resolve()
        if not read_only:
            if leads():
                for series in SERIES:
                    _remove_incomplete(self._directory / series)
            wait_for_all(str(self._directory))
        self._managers = {series: self._manager(series, read_only) for series in SERIES}

    def _manager(self, series: str, read_only: bool) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            # The one before the latest stays until the latest is complete.
            max_to_keep=2 if series == "latest" else 1,
            create=not read_only,
            read_only=read_only,
            cleanup_tmp_directories=False,  # orbax's own runs in the background, into the next save of that step
            enable_async_checkpointing=False,
            atomicity_options=ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE),
        )
        return ocp.CheckpointManager(
            self._directory / series,
            options=options,
            item_names=("state", "progress"),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *error: object) -> None:
        for manager in self._managers.values():
            manager.wait_until_finished()
            manager.close()

    def step(self, series: str) -> int | None:
        """The step of the newest complete checkpoint of a series, or None."""
        return self._managers[series].latest_step()

    def save(self, series: str, state: State, progress: dict[str, Any]) -> None:
        """Writes a checkpoint at the state's step.

        A step that is there already is left alone: a resumed run passes the same steps with the same bits.

        Raises:
          RuntimeError: orbax declined to write, which it does in silence for a step older than its newest.
        """
        manager, step = self._managers[series], int(state.step)
        if step in manager.all_steps():
            return
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress))
        if not manager.save(step, args=arguments):
            raise RuntimeError(f"{self._directory / series}: checkpoint of step {step} was not written")

    def restore(self, series: str, like: State, step: int | None = None) -> tuple[State, dict[str, Any]]:
        """The state of a series at a step, its newest by default, and its progress record.

        The state has the shapes and placement of `like`.

        Raises:
          InputError: there is none, or it does not fit the model.
        """
        manager = self._managers[series]
        step = manager.latest_step() if step is None else step
        if step not in manager.all_steps():
            raise InputError(f"{self._directory / series}: no checkpoint is there; run experiments.train first")
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(target), progress=ocp.args.JsonRestore())
        try:
            restored = manager.restore(step, args=arguments)
        except Exception as error:  # a plain one is what orbax raises for an array that is cut short
            reason = one_line(error)[:300]
            raise InputError(
                f"{self._directory / series / str(step)}: cannot be restored ({reason}); it is damaged or belongs to"
                " another model: delete this checkpoint's directory to go on from the one before it"
            ) from error
        return restored.state, restored.progress


def _remove_incomplete(series: Path) -> None:
    """Removes what a killed process left of a checkpoint, so that the step can be written again."""
    for step in series.iterdir() if series.is_dir() else ():
        if step.is_dir() and not (step / _COMPLETE).exists():
            shutil.rmtree(step)
