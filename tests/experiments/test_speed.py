"""What `config.speed` and `config.num_models` change is time alone: the batches, the losses and the models stay."""

import json
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from experiments.build import batch_plan, recipe_of
from experiments.program import Program, stack_states, state_of
from fprior.data.dataset import open_dataset
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log
from fprior.training.state import State, init_state


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    world = tiny.make_world(tmp_path_factory.mktemp("world"))
    assert world.command("prepare").status == 0
    return world


def config_of(world, **speed) -> ConfigDict:
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    config.speed.update(speed)
    return config


def train(world, name: str, *arguments: str, **options) -> Path:
    run = world.folder / name
    outcome = world.command("train", f"--workdir={run}", *arguments, **options)
    assert outcome.status == 0, outcome.err
    return run


def last_state(world, run: Path) -> State:
    config = config_of(world)
    dataset = open_dataset(world.dataset)
    recipe = recipe_of(config, dataset, batch_plan(config, dataset), 14)
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore("latest", init_state(recipe.model, recipe.optimizer, 0, 60))[0]


def assert_equal(world, run: Path, expected: Path, tolerance: float) -> None:
    """The last states; 0 means to the bit."""
    ours, theirs = last_state(world, run), last_state(world, expected)
    assert ours.step == theirs.step == 28
    for x, y in zip(*map(jax.tree.leaves, (ours.params, theirs.params)), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
    kinds = [[(entry["kind"], entry["step"]) for entry in read_log(path)] for path in (run, expected)]
    assert kinds[0] == kinds[1]


@pytest.fixture(scope="module")
def plain(world) -> Path:
    return train(world, "plain")


def test_data_on_the_host_give_the_same_bits(world, plain):
    assert_equal(world, train(world, "host", "--config.speed.placement=host"), plain, 0)


@pytest.mark.parametrize("placement", ["device", pytest.param("host", marks=pytest.mark.slow)])
def test_several_steps_in_a_call(world, plain, placement):
    """3 divides neither the 14 steps of an epoch nor the 5 between checkpoints. Killed, it ends in the same bits."""
    arguments = ["--config.speed.steps_per_call=3", f"--config.speed.placement={placement}"]
    run = train(world, f"several-{placement}", *arguments)
    assert_equal(world, run, plain, 1e-4)
    interrupted = world.folder / f"several-{placement}-killed"
    kill = tiny.Interrupt(signal.SIGKILL, 90, str(interrupted))
    assert world.command("train", f"--workdir={interrupted}", *arguments, interrupt=kill).status == -signal.SIGKILL
    assert read_log(interrupted)
    assert_equal(world, train(world, interrupted.name, *arguments), run, 0)


# ---- several models


SLOWLY = "--config.train.learning_rate=1e-3"  # large steps make a difference of rounding grow


@pytest.fixture(scope="module")
def alone(world) -> list[Path]:
    return [train(world, f"alone-{seed}", SLOWLY, f"--config.seed={seed}") for seed in (3, 4)]


@pytest.mark.parametrize("how", [["--config.speed.models=vmap"], ["--config.speed.placement=host"]])
def test_each_of_several_models_is_what_it_is_alone(world, alone, how):
    """In what it predicts: Adam turns the rounding error that is the gradient of a dead unit into whole steps."""
    arguments = [SLOWLY, "--config.seed=3", "--config.num_models=2", *how]
    run = train(world, "together" + how[0][-4:], *arguments)
    assert sorted(path.name for path in run.iterdir()) == ["seed_3", "seed_4"]
    for seed, expected in zip((3, 4), alone, strict=True):
        own = run / f"seed_{seed}"
        for entry, entry_alone in zip(read_log(own), read_log(expected), strict=True):
            assert entry.keys() == entry_alone.keys() and entry["kind"] == entry_alone["kind"]
            for name in entry.keys() - {"kind"}:
                rounding = 1e-4 if name == "gradient_cosine" else 1e-5  # a sum of products of unit vectors
                assert entry[name] == pytest.approx(entry_alone[name], rel=1e-3, abs=rounding), (name, entry)
        record, record_alone = (json.loads((path / "run.json").read_text()) for path in (own, expected))
        assert record["config"]["seed"] == seed
        assert {**record["config"], "speed": 0} == {**record_alone["config"], "speed": 0}
    assert world.command("evaluate", f"--workdir={run}", *arguments).status == 0
    assert world.command("evaluate", f"--workdir={run}/seed_4", SLOWLY, "--config.seed=4").status == 0
    assert all((run / f"seed_{seed}" / "evaluation_test.json").exists() for seed in (3, 4))


@pytest.mark.slow
def test_several_models_killed_between_their_checkpoints(world):
    arguments = ["--config.num_models=2", "--config.train.stop_after_epochs=0"]
    expected, run = train(world, "unharmed", *arguments), world.folder / "killed"
    steps = []
    for moment in (50, 80):  # in the second model's directory: the first one's checkpoint is there by then
        kill = tiny.Interrupt(signal.SIGKILL, moment, str(run / "seed_1" / "checkpoints"))
        world.command("train", f"--workdir={run}", *arguments, interrupt=kill)
        saved = [Checkpoints(run / f"seed_{seed}" / "checkpoints", read_only=True).step("latest") for seed in (0, 1)]
        steps.append(saved)
    assert any(one != other for one, other in steps), steps
    train(world, "killed", *arguments)
    for seed in (0, 1):
        assert_equal(world, run / f"seed_{seed}", expected / f"seed_{seed}", 0)


def test_several_models_in_the_directory_of_one(world, plain):
    outcome = world.command("train", f"--workdir={plain}", "--config.num_models=2")
    assert "holds a run of one model" in outcome.error


def test_a_finished_model_keeps_its_place(world):
    """One model's early stopping changes nothing for the other."""
    arguments = ["--config.num_models=2", "--config.train.epochs=4", "--config.train.stop_after_epochs=1"]
    reference = train(world, "all", "--config.num_models=2", "--config.train.epochs=4")
    gain = gain_that_stops_one(reference)
    run = train(world, "stopped", *arguments, f"--config.train.stop_gain={gain}")
    ended = [json.loads((run / f"seed_{seed}" / "result.json").read_text()) for seed in (0, 1)]
    assert {result["ended"] for result in ended} == {"no further gain", "epochs"}
    place = [result["ended"] for result in ended].index("epochs")
    full = json.loads((reference / f"seed_{place}" / "result.json").read_text())
    assert ended[place]["history"] == full["history"]


def gain_that_stops_one(reference: Path) -> float:
    """A gain that one model reaches in every epoch and the other does not."""
    smallest = []
    for seed in (0, 1):
        history = json.loads((reference / f"seed_{seed}" / "result.json").read_text())["history"]
        losses = [entry["loss/correctness"] for entry in history]
        smallest.append(min(min(losses[:i]) - losses[i] for i in range(1, len(losses))))
    return float(np.mean(smallest))


# ---- the compiled program


def program_of(world, models: int = 1, **speed) -> tuple[Program, State]:
    config, dataset = config_of(world, **speed), open_dataset(world.dataset)
    plan = batch_plan(config, dataset)
    recipe = recipe_of(config, dataset, plan, 14)
    states = stack_states([init_state(recipe.model, recipe.optimizer, seed, 60) for seed in range(models)])
    return Program(config, recipe, plan, dataset, range(models)), states


@pytest.mark.parametrize("placement", ["device", "host"])
@pytest.mark.parametrize(("models", "steps"), [(1, 1), (1, 4), (2, 4)])
def test_nothing_is_traced_after_compilation_and_states_are_donated(world, placement, models, steps):
    program, states = program_of(world, models, placement=placement, steps_per_call=steps)
    with program:
        program.compile(states, 0)
        step, finite = 0, []
        for count in (1, steps, 1):
            with no_tracing():
                given, (states, numbers) = states, program(states, step, count)
            step += count
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given))
            rows = program.to_host(numbers, count)
            assert (len(rows), len(rows[0])) == (count, models)
            finite += [np.isfinite(row["loss/total"]) for models in rows for row in models]
    assert all(finite)
    assert state_of(states, 0, models).step == step


class no_tracing:
    """Fails if anything is traced inside: every tracing of ours goes through this function of the model."""

    def __enter__(self):
        from fprior.models.binary import BinaryModel

        self._call, self._class = BinaryModel.__call__, BinaryModel

        def fail(*_, **__):
            raise AssertionError("the model was traced again")

        BinaryModel.__call__ = fail

    def __exit__(self, *error):
        self._class.__call__ = self._call


def test_only_the_numbers_of_a_step_come_to_the_host(world):
    program, states = program_of(world)
    program.compile(states, 0)
    with pytest.raises(Exception, match="Disallowed"):  # the guard that the calls below run under
        with jax.transfer_guard("disallow"):
            jnp.zeros(3) + np.ones(3)
    with jax.transfer_guard_device_to_host("disallow_explicit"):
        states, numbers = program(states, 0, 1)
        states, numbers = program(states, 1, 1)
    assert sum(np.size(value) for value in jax.device_get(numbers).values()) <= 8
