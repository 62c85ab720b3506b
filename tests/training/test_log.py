"""The log of a run, as JSON lines and for TensorBoard."""

import json
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fprior.training.log import FILE, Log, read_log


def write(folder, *steps: int, since: int = 0) -> None:
    with Log(folder, since) as log:
        for step in steps:
            log.write("train", step, step / 3, {"loss/total": step * 0.1, "loss/prior": 1})


def steps(folder) -> list[int]:
    return [entry["step"] for entry in read_log(folder)]


def scalars(folder, tag: str) -> list[tuple[int, float]]:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def test_round_trip(tmp_path):
    write(tmp_path, 1, 2)
    assert read_log(tmp_path)[1] == {
        "kind": "train",
        "step": 2,
        "epoch": 0.6667,
        "loss/total": 0.2,
        "loss/prior": 1.0,
    }
    assert len(read_log(tmp_path)) == 2


def test_no_log(tmp_path):
    assert read_log(tmp_path) == []


def test_entries_are_on_disk_at_once(tmp_path):
    with Log(tmp_path, 0) as log:
        log.write("train", 1, 0.5, {"loss": 2.0})
        assert steps(tmp_path) == [1]


def test_entries_after_the_resume_step_are_removed(tmp_path):
    write(tmp_path, 1, 2, 3, 4)
    before = (tmp_path / FILE).read_text().splitlines()
    write(tmp_path, since=2)
    assert (tmp_path / FILE).read_text().splitlines() == before[:2]
    write(tmp_path, 3, 4, 5, since=2)
    assert steps(tmp_path) == [1, 2, 3, 4, 5]
    assert (tmp_path / FILE).read_text().splitlines()[:4] == before
    write(tmp_path, 1, since=0)
    assert steps(tmp_path) == [1]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_cut_off_last_line(tmp_path, cut):
    """cut=1 takes the end of the line alone: what is left is valid JSON, but nothing says that it is whole."""
    write(tmp_path, 1, 2, 3)
    path = Path(tmp_path / FILE)
    path.write_bytes(path.read_bytes()[:-cut])
    assert steps(tmp_path) == [1, 2]
    write(tmp_path, 3, since=2)
    assert steps(tmp_path) == [1, 2, 3]


def test_nan_is_kept(tmp_path):
    with Log(tmp_path, 0) as log:
        log.write("validation", 1, 1.0, {"auroc": math.nan})
    (entry,) = read_log(tmp_path)
    assert math.isnan(entry["auroc"])
    assert json.loads((tmp_path / FILE).read_text())["kind"] == "validation"


def test_tensorboard_reads_the_same_numbers(tmp_path):
    write(tmp_path, 1, 2, 3)
    steps, values = zip(*scalars(tmp_path, "train/loss/total"), strict=True)
    assert steps == (1, 2, 3) and values == pytest.approx((0.1, 0.2, 0.3))
    assert scalars(tmp_path, "train/loss/prior") == [(1, 1), (2, 1), (3, 1)]


def test_tensorboard_forgets_what_a_killed_process_wrote(tmp_path, monkeypatch):
    write(tmp_path, 1, 2, 3, 4)
    # Files of one second are told apart by the process's number.
    monkeypatch.setattr("time.time", lambda: 4e9)
    write(tmp_path, 3, since=2)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert [step for step, _ in scalars(tmp_path, "train/loss/total")] == [1, 2, 3]
