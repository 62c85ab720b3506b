"""What else may happen to a run than a kill: one clear error, and the last good state is kept.

That a second process in a work directory and a first loss that is not finite are refused is in test_pipeline.py; kills
and SIGTERM are in test_resume.py and tests/kill_runs.py.
"""

import ast
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import tiny_profile

from experiments import prepare
from fprior.errors import InputError

STEPS = 28
LARGEST = 20_000  # bytes of a file on the full disk: enough for the record and the log, not for a checkpoint


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    """Its parameters take more room than all else."""
    world = tiny.make_world(tmp_path_factory.mktemp("world"))
    text = world.config.read_text()
    world.config.write_text(text.replace("dense_sizes = (8,)", "dense_sizes = (100, 100)"))
    assert world.command("prepare").status == 0
    return world


@pytest.fixture(scope="module")
def uninterrupted(world) -> tuple[Path, int]:
    """A run without interruption, and the number of moments at which a signal can come."""
    run = world.folder / "uninterrupted"
    outcome = world.command("train", f"--workdir={run}", interrupt=tiny.Interrupt(signal.SIGKILL, 10**9, str(run)))
    assert outcome.status == 0, outcome.err
    return run, tiny.moments()


@pytest.fixture
def half_way(world, uninterrupted, tmp_path) -> Path:
    """A run that was stopped in its second epoch."""
    run = tmp_path / "run"
    interrupt = tiny.Interrupt(signal.SIGTERM, 3 * uninterrupted[1] // 4, str(run))
    outcome = world.command("train", f"--workdir={run}", interrupt=interrupt)
    assert outcome.status == 0 and "saved" in outcome.out
    return run


def checkpoints(run: Path, series: str = "latest") -> list[int]:
    return sorted(int(folder.name) for folder in (run / "checkpoints" / series).glob("[0-9]*"))


def assert_goes_on(world, run: Path, expected: Path) -> None:
    """The same command ends as if nothing had happened."""
    outcome = world.command("train", f"--workdir={run}")
    assert outcome.status == 0, outcome
    for name in ("log.jsonl", "result.json"):
        assert (run / name).read_text() == (expected / name).read_text()
    assert checkpoints(run)[-1] == STEPS


@contextlib.contextmanager
def full_disk(largest: int):
    """No command can write a file of more bytes."""
    server, _ = tiny._server()
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (soft, hard))


# ---- no room, no right to write


def test_disk_full_during_a_checkpoint(world, uninterrupted, half_way):
    before = checkpoints(half_way)
    with full_disk(LARGEST):
        outcome = world.command("train", f"--workdir={half_way}")
    assert outcome.status == 2, outcome.err
    message = outcome.err.splitlines()[-1]
    assert message.startswith(f"error: --workdir={half_way}: cannot be written (File too large)"), outcome.err
    assert set(before) <= set(checkpoints(half_way))
    assert_goes_on(world, half_way, uninterrupted[0])


@pytest.mark.slow
def test_disk_full_from_the_start(world, uninterrupted, tmp_path):
    run = tmp_path / "run"
    with full_disk(500):  # not even the record
        error = world.command("train", f"--workdir={run}").error
    assert f"--workdir={run}: cannot be written" in error
    assert {path.name for path in run.iterdir()} == {".lock"}
    assert_goes_on(world, run, uninterrupted[0])


# ---- checkpoints that cannot be used


@pytest.mark.slow
def test_truncated_checkpoint(world, uninterrupted, half_way):
    """The remedy that the error names leads on from the checkpoint before."""
    newest = half_way / "checkpoints" / "latest" / str(checkpoints(half_way)[-1])
    largest = max(newest.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    os.truncate(largest, largest.stat().st_size // 2)
    error = world.command("train", f"--workdir={half_way}").error
    assert str(newest) in error and "damaged" in error and "delete this checkpoint" in error
    shutil.rmtree(newest)
    assert_goes_on(world, half_way, uninterrupted[0])


@pytest.mark.slow
def test_checkpoint_of_another_model(world, half_way, tmp_path):
    other = tmp_path / "other"
    assert world.command("train", f"--workdir={other}", "--config.model.filters=(5,)").status == 0
    shutil.rmtree(half_way / "checkpoints")
    shutil.copytree(other / "checkpoints", half_way / "checkpoints")
    error = world.command("train", f"--workdir={half_way}").error
    assert str(half_way / "checkpoints" / "latest") in error and "another model" in error


# ---- files replaced under a running job


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokens.npy", "loci.npz"])
def test_data_set_replaced_while_it_trains(world, uninterrupted, tmp_path, name):
    """The running job keeps the file that it opened; the next start says that it is another one."""
    mine = world.folder / f"dataset of {name}"
    shutil.copytree(world.dataset, mine)
    run, argument = tmp_path / "run", f"--config.data.dataset={mine}"
    interrupt = tiny.Interrupt(signal.SIGTERM, 3 * uninterrupted[1] // 4, str(run))
    assert world.command("train", f"--workdir={run}", argument, interrupt=interrupt).status == 0
    before = checkpoints(run)
    (mine / name).write_bytes((mine / name).read_bytes()[:-100])
    error = world.command("train", f"--workdir={run}", argument).error
    assert str(mine / name) in error and "prepare the data set again" in error
    assert checkpoints(run) == before


@pytest.mark.parametrize("field", ["genome", "peaks", "tracks"])
def test_input_replaced_while_it_is_prepared(tmp_path, monkeypatch, field):
    """A BigWig, a genome or peaks that change under `experiments.prepare`: nothing is written."""
    world = tiny_profile.make_world(tmp_path)
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    path = config.prepare[field] if field == "genome" else config.prepare[field][0]

    def replace_and_merge(*arguments):
        shutil.copy(path, f"{path}.new")
        os.replace(f"{path}.new", path)
        return merge_windows(*arguments)

    merge_windows = prepare.merge_windows
    monkeypatch.setattr(prepare, "merge_windows", replace_and_merge)
    files = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"{path}: was changed while it was read"):
        prepare.main(config)
    assert set(tmp_path.iterdir()) == files


# ---- names in files


NAMES = {"chr1": "../../chr1", "chr2": "/chr2", "chr3": "chr3|;$(id)", "chr4": "x" * 300}


@pytest.mark.slow
def test_names_in_files_lead_nowhere(tmp_path):
    """Chromosomes, tasks and regions called like paths: nothing is written outside the named directories."""
    outer = tmp_path / "a" / "b"
    outer.mkdir(parents=True)
    world = tiny.make_world(outer)
    for file in (world.genome, world.peaks):
        text = file.read_text()
        for name, other in NAMES.items():
            text = text.replace(f">{name}\n", f">{other}\n").replace(f"{name}\t", f"{other}\t")
        file.write_text(text)
    run = outer / "run"
    before = {path for path in tmp_path.rglob("*")}
    assert world.command("prepare", "--config.prepare.tasks=../../../task").status == 0
    for command in ("train", "evaluate", "attribute"):
        outcome = world.command(command, f"--workdir={run}", "--config.prepare.tasks=../../../task")
        assert outcome.status == 0, outcome.err
    new = {path for path in tmp_path.rglob("*")} - before
    assert all(path.is_relative_to(run) or path.is_relative_to(world.dataset) for path in new)
    assert not any(name in str(path) for path in new for name in ("task", "chr1", "id)", "xxx"))


# ---- no pickle


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "_pickle"}


def sources() -> list[Path]:
    return [path for folder in ("fprior", "experiments", "configs") for path in (tiny.ROOT / folder).rglob("*.py")]


def test_no_module_for_pickles_is_imported():
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & PICKLES, path


def test_every_array_is_loaded_without_pickles():
    found = 0
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "np.lib.format.read_array"):
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}"
                found += 1
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("weights_only") == "True", f"{path}:{node.lineno}"
    assert found >= 4


WATCHED = """
import sys
from absl import flags
from experiments import attribute, evaluate, report, train
from experiments.launch import launch

def refuse(event, arguments):
    if event == "pickle.find_class" and not arguments[0].startswith(("tensorstore", "numpy.dtypes")):
        raise SystemExit(f"a pickle is loaded: {arguments}")

sys.addaudithook(refuse)
name, *arguments = sys.argv[1:]
sys.argv = [name, *arguments]
command = {"train": train, "evaluate": evaluate, "attribute": attribute}[name]
launch(command.main, workdir="directory")
"""


@pytest.mark.slow
def test_no_pickle_is_loaded_by_a_command(world, tmp_path):
    """Python tells of every class that a pickle names."""
    for name in ("train", "evaluate", "attribute"):
        arguments = [f"--config={world.config}", f"--workdir={tmp_path / 'run'}"]
        process = subprocess.run(
            [sys.executable, "-c", WATCHED, name, *arguments],
            cwd=tiny.ROOT,
            env=tiny.environment() | {"PYTHONPATH": str(tiny.ROOT)},
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
