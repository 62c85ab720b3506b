"""A step on several devices is the step on one: in double precision, so that nothing but rounding can hide.

The checks run together in one process, for which the CPU stands in for eight devices.
"""

import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fprior import fourier_prior
from fprior.data.batches import Batch
from fprior.models import BinaryModel, ProfileModel
from fprior.sequence import one_hot
from fprior.training.checkpoint import Checkpoints
from fprior.training.problem import Profiles
from fprior.training.sharding import (
    MODELS,
    by_models,
    by_rows,
    device_mesh,
    from_host,
    moved,
    own_block,
    split_rows,
)
from fprior.training.state import State, init_state
from fprior.training.step import Recipe, train_step

DEVICES, LENGTH, ROWS = 8, 40, 16  # ROWS positives, then as many negatives
# Double precision has 16 digits; a sum over some thousand terms in another order, twice differentiated, keeps 11.
TOLERANCE = 1e-11
BINARY = BinaryModel(num_tasks=2, filters=(4,), widths=(5,), pool_size=7, dense_sizes=(6,), conv_dropout=0.3)
PROFILE = ProfileModel(
    output_length=28, filters=4, first_width=5, dilations=(1, 2), width=3, profile_width=5, controls="matched"
)
COUNTS = (1, 28, 2)  # tasks, positions, strands
OPTIMIZER, PRIOR = optax.sgd(0.1), partial(fourier_prior, freq_limit=5.0)


def recipe(**changes) -> Recipe:
    return Recipe(**{"model": BINARY, "optimizer": OPTIMIZER, "prior": PRIOR, "prior_rows": ROWS} | changes)


def wide(tree):
    return jax.tree.map(lambda leaf: leaf.astype(float) if leaf.dtype == jnp.float32 else leaf, tree)


@functools.cache
def batch(model=BINARY) -> Batch:
    """Some letters and labels are unknown."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 5, (2 * ROWS, LENGTH))
    labels = np.repeat([[1, 0], [0, 0]], ROWS, axis=0)
    labels[3] = 1, -1
    counts = rng.poisson(1.0, (2, 2 * ROWS, *COUNTS)).astype(float) if model is PROFILE else (None, None)
    return Batch(wide(one_hot(tokens)), labels.astype(np.int8), np.arange(2 * ROWS), *counts)


@functools.cache
def state_of(model, seed: int = 3) -> State:
    return wide(init_state(model, OPTIMIZER, seed, LENGTH, COUNTS if model is PROFILE else None))


@functools.cache
def compiled(devices: int, recipe: Recipe):
    """The step on so many devices, and state and batch as they lie there."""
    mesh = device_mesh(devices=jax.devices()[:devices])
    step = jax.jit(partial(train_step, recipe=dataclasses.replace(recipe, mesh=mesh)))
    arguments = from_host((state_of(recipe.model), batch(recipe.model)), mesh)
    return step.lower(*arguments).compile(), arguments


def assert_close(ours, theirs) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE)


def assert_as_on_one(devices: int, recipe: Recipe) -> None:
    """State and losses after a step; a step that changed nothing would tell nothing."""
    (alone, arguments), (together, placed) = compiled(1, recipe), compiled(devices, recipe)
    expected, found = alone(*arguments), together(*placed)
    assert_close(found, expected)
    changes = jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), arguments[0].params, expected[0].params)
    assert max(jax.tree.leaves(changes)) > 1e-3


# ---- what the subprocess checks


def check_a_step_on_eight_devices():
    assert_as_on_one(8, recipe())


def check_a_step_on_two_devices_with_the_prior_on_all_rows():
    assert_as_on_one(2, recipe(prior_rows=None))


def check_a_step_that_is_differentiated_through_the_batch():
    """Whose gradient of the input is no function of single rows. With a normalised last layer it would be noise."""
    assert_as_on_one(4, recipe(attributed="training", model=BINARY.clone(dense_sizes=())))


def check_a_step_of_a_profile_model():
    assert_as_on_one(4, recipe(model=PROFILE, problem=Profiles()))


def check_nothing_is_gathered_and_each_device_transforms_its_share():
    """The compiled program: sums alone, and letters of positives that move where they are attributed."""
    text = compiled(DEVICES, recipe())[0].as_text()
    assert re.search(r"= \S+ all-reduce\(", text)
    assert not re.findall(r"(?m)^.*\b(?:all-gather|all-to-all)\b.*$", text)
    transforms = re.findall(r"= [fc]\d+\[(\d+),\d+\]\S* fft\(", text)
    assert len(transforms) == 2  # forwards, and backwards in the derivative
    assert set(transforms) == {str(ROWS // DEVICES)}


def check_two_models_on_four_devices_each():
    mesh, plain = device_mesh(2), recipe()
    assert dict(mesh.shape) == {"models": 2, "data": 4}
    states = [state_of(BINARY, seed) for seed in (3, 4)]
    stacked = from_host(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), mesh, PartitionSpec(MODELS))
    step = partial(train_step, recipe=recipe(mesh=mesh))

    def in_turn(states: State, batch: Batch):
        return jax.lax.map(lambda state: step(state, batch), states)

    together = jax.jit(
        by_models(in_turn, mesh, (PartitionSpec(MODELS), PartitionSpec())),
        out_shardings=NamedSharding(mesh, PartitionSpec(MODELS)),
    )
    arguments = stacked, from_host(batch(), mesh)
    together = together.lower(*arguments).compile()
    assert not re.search("all-gather|all-to-all", together.as_text())
    found = together(*arguments)
    for place, state in enumerate(states):
        expected = compiled(1, plain)[0](state, batch())
        assert_close(jax.tree.map(lambda leaf, place=place: leaf[place], found), expected)


def check_arrays_come_to_lie_where_they_are_said_to():
    mesh, rows = device_mesh(2), np.arange(24.0).reshape(8, 3)
    for spec in (PartitionSpec(), PartitionSpec("data"), PartitionSpec(("models", "data"))):
        array = from_host(rows, mesh, spec)
        assert array.sharding == NamedSharding(mesh, spec) and np.array_equal(array, rows)
    back = moved(from_host(rows, mesh, PartitionSpec("data")), mesh)
    assert back.sharding.is_fully_replicated and np.array_equal(back, rows)
    assert own_block(mesh, 2, 8) == (range(2), range(8))  # this process has all devices


def check_a_checkpoint_of_four_devices_is_read_on_any_number():
    """To the bit, and to where the state is wanted: with a step that is the same on all, resuming is."""
    meshes = {count: device_mesh(devices=jax.devices()[:count]) for count in (1, 2, 4, 8)}
    state = state_of(BINARY)
    with tempfile.TemporaryDirectory() as folder:
        with Checkpoints(folder) as checkpoints:
            checkpoints.save("latest", from_host(state, meshes[4]), {"history": []})
        for count, mesh in meshes.items():
            like = from_host(jax.tree.map(jnp.zeros_like, state), mesh)
            with Checkpoints(folder) as checkpoints:
                found, _ = checkpoints.restore("latest", like)
            for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
                assert np.asarray(x).tobytes() == np.asarray(y).tobytes() and len(x.sharding.device_set) == count


def check_a_function_of_rows_and_its_gradient():
    mesh, rows = device_mesh(), np.random.default_rng(0).normal(size=(16, 5))
    square = lambda x: jnp.sum(x**3, axis=-1)  # noqa: E731
    loss = lambda x: jnp.mean(by_rows(square, mesh)(x))  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(from_host(rows, mesh)), 3 * rows**2 / 16, rtol=1e-12)


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}


def main() -> None:
    failures = {}
    for name, check in CHECKS.items():
        try:
            check()
        except Exception:
            failures[name] = traceback.format_exc()
    print(json.dumps(failures))


# ---- in this process


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    settings = {
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "true",
        # What is compiled runs for milliseconds; one device may wait long for another where all of them are two cores.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
        " --xla_cpu_collective_call_terminate_timeout_seconds=600",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    run = subprocess.run([sys.executable, __file__], env=os.environ | settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CHECKS)
def test_on_simulated_devices(failures, name):
    assert name not in failures, failures[name]


def test_one_device_has_no_mesh():
    one = jax.devices()[:1]
    assert device_mesh(devices=one) is None and device_mesh(4, one) is None
    x = jnp.ones((3, 2))
    assert split_rows(x, None) is x and from_host(x, None) is x and moved(x, None) is x
    assert by_rows(jnp.sum, None) is jnp.sum and by_models(jnp.sum, None, ()) is jnp.sum
    assert own_block(None, 3, 8) == (range(3), range(8))


@pytest.mark.parametrize(
    ("models", "devices", "shape"),
    [(1, 8, (1, 8)), (2, 8, (2, 4)), (3, 8, (1, 8)), (12, 8, (4, 2)), (8, 8, (8, 1)), (16, 8, (8, 1)), (4, 6, (2, 3))],
)
def test_as_many_devices_as_possible_have_models_of_their_own(models, devices, shape):
    mesh = device_mesh(models, jax.devices()[:1] * devices)
    assert tuple(mesh.shape.items()) == (("models", shape[0]), ("data", shape[1]))


if __name__ == "__main__":
    main()
