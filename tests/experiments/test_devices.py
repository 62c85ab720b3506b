"""Devices and processes from the command line: every layout trains the same, and what cannot work ends in one line."""

import json
import subprocess
import sys

import jax
import pytest
import tiny
from layouts import LAYOUTS
from ml_collections import ConfigDict

from experiments import devices
from experiments.devices import join_processes, mesh_of
from fprior.data.batches import BatchPlan
from fprior.errors import InputError

BY_HAND = {"JAX_COORDINATOR_ADDRESS": "node7:1234", "JAX_NUM_PROCESSES": "3", "JAX_PROCESS_ID": "2"}


# ---- every layout trains the same


def table(tmp_path, *names: str) -> dict[str, dict]:
    """What `python -m tests.layouts` finds."""
    file = tmp_path / "layouts.json"
    command = [sys.executable, "-m", "tests.layouts", *names, f"--json={file}"]
    run = subprocess.run(command, cwd=tiny.ROOT, env=tiny.environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return {row["name"]: row for row in json.loads(file.read_text())}


def test_layouts(tmp_path):
    """The one with the most in it: processes that are stopped and go on."""
    (row,) = table(tmp_path, "2 processes, one terminated").values()
    assert row["mesh"] == "1 models × 2 data" and row["fits"]


@pytest.mark.slow
def test_all_layouts(tmp_path):
    rows = table(tmp_path)
    assert rows.keys() == LAYOUTS.keys() and all(row["fits"] for row in rows.values())
    assert rows["saved on 4 devices, then 4"]["same_bits"]
    assert rows["saved on 4 devices, then 1"]["mesh"] == "1 device"


# ---- what cannot work


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables that are given and no others that matter; what `jax.distributed.initialize` is called with."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments: calls.append(arguments))

    def set_to(values: dict[str, str]) -> list[tuple]:
        for name in (*BY_HAND, *devices.COLAB):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return calls

    return set_to


def test_processes_by_hand_and_by_cluster(environment):
    calls = environment(BY_HAND)
    join_processes()
    environment({})
    join_processes()
    assert calls == [("node7:1234", 3, 2), ()]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (BY_HAND | {"COLAB_RELEASE_TAG": "release-colab_20260101"}, "not for Colab"),
        ({"COLAB_TPU_ADDR": "10.0.0.2:8470"}, "one process has all devices"),
        ({"JAX_NUM_PROCESSES": "2"}, "JAX_NUM_PROCESSES is set and JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID is not"),
        (BY_HAND | {"JAX_PROCESS_ID": ""}, "JAX_PROCESS_ID is not; set all or none"),
        (BY_HAND | {"JAX_PROCESS_ID": "-1"}, r"JAX_PROCESS_ID \(='-1'\) must be a whole number from 0 on"),
        (BY_HAND | {"JAX_NUM_PROCESSES": "two"}, r"JAX_NUM_PROCESSES \(='two'\) must be a whole number from 1 on"),
        (BY_HAND | {"JAX_PROCESS_ID": "3"}, r"JAX_PROCESS_ID \(=3\) must be below JAX_NUM_PROCESSES \(=3\)"),
    ],
)
def test_an_environment_that_cannot_work(environment, values, message):
    calls = environment(values)
    with pytest.raises(InputError, match=message) as caught:
        join_processes()
    assert "\n" not in str(caught.value) and not calls


@pytest.mark.parametrize("error", [ValueError("coordinator_address should\nbe defined."), RuntimeError("timed out")])
def test_processes_that_do_not_find_each_other(environment, monkeypatch, error):
    environment({})

    def fail():
        raise error

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(InputError, match=r"did not find each other \(.*\); start them with srun") as caught:
        join_processes()
    assert "\n" not in str(caught.value)


def test_other_commands_are_one_process(tmp_path):
    world = tiny.make_world(tmp_path)
    outcome = world.command("evaluate", f"--workdir={tmp_path}", "--config.distributed=True")
    assert "is for experiments.train" in outcome.error and "--config.distributed=False" in outcome.error


def layout_of(batch_size: int, count: int, num_models: int = 1):
    config = ConfigDict({"num_models": num_models, "data": {"batch_size": batch_size}})
    half = batch_size // 2
    return mesh_of(config, BatchPlan(100, 100, half, half), jax.devices()[:1] * count)


@pytest.mark.parametrize(
    ("batch_size", "count", "num_models", "message"),
    [
        (100, 8, 1, r"batch_size \(=100\) has 50 positives and 50 negatives, which the 8 devices .* to 96 or 112,"),
        (8, 8, 1, r"has 4 positives and 4 negatives, which the 8 devices .* set it to 16,"),
        (18, 8, 2, r"which the 4 devices .* set it to 16 or 24,"),
    ],
)
def test_devices_that_cannot_share_a_batch(batch_size, count, num_models, message):
    with pytest.raises(InputError, match=message) as caught:
        layout_of(batch_size, count, num_models)
    assert "\n" not in str(caught.value)
    for size in map(int, str(caught.value).partition("set it to ")[2].partition(",")[0].split(" or ")):
        assert layout_of(size, count, num_models).size == count


def test_one_device_takes_any_batch():
    assert layout_of(6, 1) is None
    assert dict(layout_of(6, 8, 8).shape) == {"models": 8, "data": 1}
