"""Runs the command lines that `tests.tiny.command` orders, an order a line.

Starting Python and importing JAX takes longer than a tiny command: this process imports once and forks for each.
"""

import itertools
import json
import os
import sys
from functools import partial
from typing import Any

from experiments import attribute, compare, doctor, evaluate, gc_series, prepare, report, train, workflow
from experiments.launch import launch
from tests.forked import fork, status_of

COMMANDS = {
    "prepare": (prepare.main, {}),
    "train": (train.main, {"workdir": "directory"}),
    "evaluate": (evaluate.main, {"workdir": "directory"}),
    "attribute": (attribute.main, {"workdir": "directory"}),
    "compare": (compare.main, dict.fromkeys(("workdir", "seeds", "conditions", "question", "require"), "")),
    "doctor": (doctor.main, {"fast": "fast"}),
    "gc_series": (gc_series.main, dict.fromkeys(("workdir", "seeds", "conditions", "biases"), "")),
    "report": (report.main, {"needs_config": False, "runs": "runs", "output": "page", "split": "split"}),
    "workflow": (workflow.main, {"workdir": "directory"}),
}
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}


def signal_at(signal: int, moment: int, folder: str, report: int) -> None:
    """Sends this process the signal just before the moment-th time that it opens or changes something in the folder."""
    moments = itertools.count(1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and any(isinstance(a, (str, os.PathLike)) and folder in os.fspath(a) for a in arguments):
            number = next(moments)
            if number == moment:
                os.kill(os.getpid(), signal)
            os.write(report, b".")

    sys.addaudithook(hook)


def obey(order: dict[str, Any]) -> None:
    """Does what `python -m experiments.NAME` does."""
    if order["interrupt"]:
        report = os.open(order["moments"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        signal_at(*order["interrupt"], report)
    for number, name in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = [f"experiments/{order['name']}.py", *order["arguments"]]
    main, options = COMMANDS[order["name"]]
    launch(main, **options)


if __name__ == "__main__":
    for line in sys.stdin:
        print(status_of(fork(partial(obey, json.loads(line)))), flush=True)
