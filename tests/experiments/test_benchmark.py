"""The benchmark counts arithmetic exactly and runs; what it measures is no test."""

import json
import re

import jax
import jax.numpy as jnp
import pytest

from experiments import benchmark, measure
from fprior.conv import conv
from fprior.models import BinaryModel
from fprior.training.state import init_state
from fprior.training.step import train_step

X, W = jax.ShapeDtypeStruct((2, 20, 3), jnp.float32), jax.ShapeDtypeStruct((5, 3, 7), jnp.float32)
PRODUCT = 2 * (2 * 16 * 7) * 5 * 3  # operations of one convolution of X and W


def test_arithmetic_of_a_convolution_and_its_derivatives():
    loss = lambda x, w: jnp.sum(conv(x, w) ** 2)  # noqa: E731
    assert measure.arithmetic(conv, X, W) == PRODUCT
    assert measure.arithmetic(jax.grad(loss, argnums=1), X, W) == 2 * PRODUCT
    assert measure.arithmetic(jax.grad(loss, argnums=(0, 1)), X, W) == 3 * PRODUCT
    assert measure.arithmetic(jax.jit(conv), X, W) == PRODUCT


def test_arithmetic_of_products_and_loops():
    a, b = jax.ShapeDtypeStruct((4, 6), jnp.float32), jax.ShapeDtypeStruct((6, 5), jnp.float32)
    assert measure.arithmetic(lambda a, b: a @ b, a, b) == 2 * 4 * 6 * 5

    def thrice(a, b):
        return jax.lax.scan(lambda carry, _: (carry + a @ b, None), jnp.zeros((4, 5)), length=3)[0]

    assert measure.arithmetic(thrice, a, b) == 3 * 2 * 4 * 6 * 5


def test_the_priors_arithmetic_is_that_of_its_pass_over_the_positives():
    """Forward, input gradient, and two more of each layer's contractions for half the batch; see BUILD_NOTES.md."""
    sizes, batch = benchmark.QUICK, benchmark.random_batch(benchmark.QUICK)

    def operations(**how) -> float:
        recipe = benchmark.recipe_of(sizes, **how)
        state = init_state(recipe.model, recipe.optimizer, 0, sizes.length)
        return measure.arithmetic(lambda state, batch: train_step(state, batch, recipe=recipe), state, batch)

    model = benchmark.model_of(sizes)
    variables = jax.eval_shape(model.init, jax.random.key(0), batch.x)
    forward = measure.arithmetic(model.apply, variables, batch.x)
    without, with_prior = operations(prior=False), operations()
    assert 2.5 * forward < without < 3 * forward
    assert with_prior - without == pytest.approx(2 * forward, rel=0.02)


def test_the_plain_model_is_the_same_function():
    ours, plain = (
        BinaryModel(filters=(4,) * 3, pool_size=10),
        benchmark.model_of(benchmark.QUICK, benchmark.PlainBinaryModel),
    )
    x = benchmark.random_batch(benchmark.QUICK).x
    variables = ours.init(jax.random.key(0), x)
    convolutions = {f"Conv_{i}": variables["params"][f"Conv_{i}"] for i in range(3)}
    names = [name for name in plain.init(jax.random.key(0), x)["params"] if name.startswith("Conv")]
    params = variables["params"] | dict(zip(sorted(names), convolutions.values(), strict=True))
    difference = plain.apply({**variables, "params": params}, x) - ours.apply(variables, x)
    assert jnp.max(jnp.abs(difference)) < 1e-5


def test_a_run_prints_its_table_and_writes_it(tmp_path, capsys):
    benchmark.main(["kernels", "--quick", f"--output={tmp_path / 'out.json'}"])
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["hardware"]["jax"] == jax.__version__ and set(report["suites"]) == {"kernels"}
    printed = capsys.readouterr().out
    for row in report["suites"]["kernels"]:
        assert row["value"] > 0 and row["what"] in printed


def test_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["kernels", "--quick", f"--output={tmp_path}/absent/out.json"])
    assert caught.value.code == 2
    assert "absent/out.json: its directory does not exist" in capsys.readouterr().err


def test_unknown_suite(capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["stepp"])
    assert caught.value.code == 2
    assert re.search(r"no suite stepp; choose from step, kernels", capsys.readouterr().err)
