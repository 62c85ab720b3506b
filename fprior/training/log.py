"""The log of a run: one JSON object a line, and the same numbers for TensorBoard."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from fprior.files import write_atomically

FILE = "log.jsonl"


class Log:
    """Appends to `log.jsonl` and `tensorboard/` in a run directory; a context manager.

    `step` is the step training starts or resumes from: entries after it, left by a run that was killed before
    its next checkpoint, are removed, for they will be written again.
    """

    def __init__(self, directory: str | os.PathLike, step: int):
        directory = Path(directory)
        path = directory / FILE
        kept = [entry for entry in read_log(directory) if entry["step"] <= step]
        write_atomically(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._file = open(path, "a", encoding="utf-8")
        self._events = EventFileWriter(str(directory / "tensorboard"))
        # TensorBoard forgets what an earlier process wrote after this step.
        self._events.add_event(
            Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START))
        )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._events.close()

    def write(self, kind: str, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One entry: what kind of numbers these are, after how many steps and epochs, and the numbers."""
        values = {name: float(value) for name, value in values.items()}
        entry = {"kind": kind, "step": step, "epoch": round(epoch, 4), **values}
        self._file.write(json.dumps(entry, allow_nan=True) + "\n")
        self._file.flush()
        tags = [Summary.Value(tag=f"{kind}/{name}", simple_value=value) for name, value in values.items()]
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=tags)))


def read_log(directory: str | os.PathLike) -> list[dict]:
    """The entries of a run's log in order; [] if it has none. A last line cut off by a kill is left out."""
    path = Path(directory) / FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is empty or cut off
