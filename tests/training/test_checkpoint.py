"""Checkpoints: what is written comes back, and what is incomplete or damaged never does."""

import functools
import gc
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fprior.errors import InputError
from fprior.models import BinaryModel
from fprior.training.checkpoint import SERIES, Checkpoints
from fprior.training.state import State, init_state

MODEL = BinaryModel(filters=(3,), widths=(5,), pool_size=5, dense_sizes=(4,))
OPTIMIZER = optax.adam(1e-3)


@functools.cache
def fresh(model=MODEL) -> State:
    return init_state(model, OPTIMIZER, 5, 20)


def state_at(step: int) -> State:
    """A state in which every leaf tells the step."""
    shift = lambda tree: jax.tree.map(lambda leaf: leaf + jnp.asarray(step / 7, leaf.dtype), tree)  # noqa: E731
    state = fresh()
    return state.replace(
        step=jnp.int32(step),
        params=shift(state.params),
        statistics=shift(state.statistics),
        optimizer_state=shift(state.optimizer_state),
    )


def assert_same(a: State, b: State) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True):
        assert x.dtype == y.dtype and np.array_equal(x, y)


def progress(step: int) -> dict:
    return {"history": [{"step": step, "loss/total": 0.1 + 0.2, "epoch": step / 3}]}


def fill(folder, *steps: int, series: str = "latest"):
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(series, state_at(step), progress(step))
    return folder


def look_up(folder, series: str = "latest", **options) -> tuple[State, dict]:
    with Checkpoints(folder, **options) as checkpoints:
        return checkpoints.restore(series, fresh())


@pytest.fixture
def untidy():
    """For restores that fail: orbax then leaves event loops behind, of which Python warns when it collects them."""
    yield
    gc.collect()


ignore_open_loops = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("read_only", [False, True])
def test_round_trip(tmp_path, series, read_only):
    fill(tmp_path, 4, series=series)
    state, record = look_up(tmp_path, series, read_only=read_only)
    assert_same(state, state_at(4))
    assert record == progress(4)


def test_series_are_apart(tmp_path):
    fill(tmp_path, 4, series="best")
    fill(tmp_path, 6, series="latest")
    with Checkpoints(tmp_path) as checkpoints:
        assert [checkpoints.step(series) for series in ("latest", "best")] == [6, 4]
        assert_same(checkpoints.restore("best", fresh())[0], state_at(4))


def test_look_up_takes_the_newest_and_keeps_the_one_before(tmp_path):
    """2 < 10 by number, not by name."""
    fill(tmp_path, 1, 2, 10)
    assert sorted(path.name for path in (tmp_path / "latest").iterdir()) == ["10", "2"]
    assert_same(look_up(tmp_path)[0], state_at(10))
    fill(tmp_path, 3, 12, series="best")
    assert [path.name for path in (tmp_path / "best").iterdir()] == ["12"]


def test_same_step_again_is_left_alone(tmp_path):
    fill(tmp_path, 3)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("latest", fresh().replace(step=jnp.int32(3)), {"history": []})
        assert checkpoints.restore("latest", fresh())[1] == progress(3)


def test_an_older_step_is_not_dropped_in_silence(tmp_path):
    fill(tmp_path, 5)
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(RuntimeError, match="step 4 was not written"):
        checkpoints.save("latest", state_at(4), progress(4))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("part", ["", "state", "progress"])
def test_incomplete_checkpoint_is_ignored(tmp_path, part, read_only):
    """Killed while step 5 was written: a directory, or an item in it, without the file that is written last."""
    fill(tmp_path, 2, 5)
    newest = tmp_path / "latest" / "5"
    (newest / "commit_success.txt").unlink()
    if part:
        (newest / part / "commit_success.txt").unlink()
    state, record = look_up(tmp_path, read_only=read_only)
    assert_same(state, state_at(2))
    assert record == progress(2)
    assert newest.exists() == read_only
    if not read_only:  # the step can be written again
        fill(tmp_path, 5)
        assert_same(look_up(tmp_path)[0], state_at(5))


def test_empty_directory_is_ignored(tmp_path):
    fill(tmp_path, 2)
    (tmp_path / "latest" / "9").mkdir()
    assert_same(look_up(tmp_path)[0], state_at(2))


def test_none_is_there(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert [checkpoints.step(series) for series in SERIES] == [None, None]
        with pytest.raises(InputError, match=r"latest: no checkpoint is there; run experiments\.train"):
            checkpoints.restore("latest", fresh())


PARTS = ("state/_METADATA", "state/manifest.ocdbt", "state/d", "progress/metadata")  # without these nothing is whole


@ignore_open_loops
@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize("damage", ["empty", "half", "gone"])
def test_a_damaged_checkpoint_is_an_error_and_never_another_state(tmp_path, damage):
    """Whichever file is damaged, the state is the one that was saved, or the error names the checkpoint."""
    files = [path.relative_to(tmp_path) for path in fill(tmp_path / "0", 2, 5).rglob("latest/5/**/*") if path.is_file()]
    assert len(files) > 10
    refused = []
    for number, file in enumerate(files, 1):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "0", folder)
        broken = folder / file.relative_to("0")
        content = broken.read_bytes()
        broken.unlink() if damage == "gone" else broken.write_bytes(content[: len(content) // 2 * (damage == "half")])
        try:
            state, record = look_up(folder)
        except InputError as error:
            newest = folder / "latest" / "5"
            assert str(newest) in str(error) and "delete this checkpoint" in str(error) and "\n" not in str(error)
            shutil.rmtree(newest)  # the remedy
            state, record = look_up(folder)
            assert_same(state, state_at(2))
            refused.append(str(broken.relative_to(newest)))
            continue
        step = int(state.step)
        assert step == 5 or (step == 2 and file.name == "commit_success.txt" and damage == "gone")
        assert_same(state, state_at(step))
        assert record == progress(step)
    for part in PARTS:
        assert any(name.startswith(part) for name in refused), part


@ignore_open_loops
@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize(
    "model",
    [
        BinaryModel(filters=(4,), widths=(5,), pool_size=5, dense_sizes=(4,)),
        BinaryModel(filters=(3, 3), widths=(5, 1), pool_size=5, dense_sizes=(4,)),
    ],
    ids=["other shapes", "other layers"],
)
def test_foreign_model_is_an_error(tmp_path, model):
    fill(tmp_path, 5)
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="belongs to another model"):
        checkpoints.restore("latest", fresh(model))
