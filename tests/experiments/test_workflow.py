"""From files to pages in one command: everything is made, what is there is kept, and a failure ends it."""

import json

import pytest
import tiny
from ml_collections import FrozenConfigDict

from experiments import workflow
from experiments.config import default_config, with_changes
from fprior.errors import InputError


@pytest.fixture
def world(tmp_path):
    return tiny.make_world(tmp_path)


def test_from_files_to_pages(world):
    run = world.folder / "run"
    short = ["--config.train.epochs=1", "--config.attribute.num_references=2"]
    outcome = world.command("workflow", f"--workdir={run}", *short)
    assert outcome.status == 0, outcome.err
    assert (world.dataset / "manifest.json").is_file()
    for name in (
        "result.json",
        "evaluation_test.json",
        "attributions_test.h5",
        "motifs_test/motifs.html",
        "report.html",
    ):
        assert (run / name).is_file(), name
    assert json.loads((run / "run.json").read_text())["config"]["train"]["epochs"] == 1
    said = [line.split()[3] for line in outcome.err.splitlines() if line.startswith("[")]
    expected = ["doctor", "prepare", "train", "evaluate", "attribute", "motifs", "report"]
    assert said == [f"experiments.{name}" for name in expected]
    for name in expected:  # what each of them prints
        assert {"doctor": "memory", "prepare": "positives"}.get(name, str(run)) in outcome.out


def test_a_doctor_that_finds_an_error_ends_it(world):
    world.genome.unlink()
    outcome = world.command("workflow", f"--workdir={world.folder / 'run'}")
    assert outcome.status == 1
    assert str(world.genome) in outcome.out and "prepare" not in outcome.err.replace("config.prepare", "")
    assert not world.dataset.exists() and not (world.folder / "run").exists()


@pytest.fixture
def command_line(monkeypatch):
    monkeypatch.setattr(workflow, "config_file", lambda: "configs/c.py")
    monkeypatch.setattr(workflow, "overrides", lambda: {"seed": 3})


def config_with(**changes) -> FrozenConfigDict:
    return with_changes(default_config(), {name.replace("__", "."): value for name, value in changes.items()})


def names(config: FrozenConfigDict) -> list[str]:
    return [name for name, _ in workflow.ways_to_the_data(config)]


@pytest.mark.usefixtures("command_line")
def test_data_are_made_only_where_they_are_not_there(tmp_path):
    where = str(tmp_path / "data")
    prepared = config_with(data__dataset=where, prepare__output=where, prepare__genome="g.fa")
    assert names(prepared) == ["doctor", "prepare"]
    assert names(config_with(data__dataset=where, simulate__output=where)) == ["simulate"]
    assert names(config_with(data__dataset="ctcf_gm12878", prepare__output="ctcf_gm12878")) == []
    (tmp_path / "data").mkdir()
    assert names(prepared) == []


@pytest.mark.usefixtures("command_line")
def test_every_command_gets_the_config_as_it_was_given(tmp_path):
    config = config_with(data__dataset="ctcf_gm12878", evaluate__split="valid")
    *others, (last, arguments) = workflow.ways_from_the_data(config, tmp_path / "mine")
    assert all(given[:2] == ["--config=configs/c.py", "--config.seed=3"] for _, given in others)
    assert last == "report" and f"--runs=mine={tmp_path / 'mine'}" in arguments and "--split=valid" in arguments


def test_without_the_extra_motifs_are_left_out(tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(workflow.importlib.util, "find_spec", lambda name: None)
    assert "motifs" not in dict(workflow.ways_from_the_data(default_config(), tmp_path))


def test_name_that_the_page_cannot_take(tmp_path, monkeypatch):
    """Said at once, not by the last command."""
    (tmp_path / "a=b").mkdir()
    monkeypatch.chdir(tmp_path / "a=b")
    with pytest.raises(InputError, match="choose another"):
        workflow.main(config_with(data__dataset="ctcf_gm12878"), ".")


@pytest.mark.parametrize(
    ("workdir", "changes", "parts"),
    [
        (None, {}, ("--workdir is missing", "runs/NAME")),
        ("a,b", {}, ("--workdir=a,b", "choose another")),
        ("run", {"num_models": 2}, ("config.num_models (=2)", "experiments.compare")),
        ("run", {"data__dataset": "nowhere"}, ("config.data.dataset (='nowhere')", "config.prepare.output")),
    ],
)
def test_wrong_input(workdir, changes, parts):
    with pytest.raises(InputError) as raised:
        workflow.main(config_with(**changes), workdir)
    assert all(part in str(raised.value) for part in parts)
