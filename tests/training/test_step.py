"""One training step, held against the same mathematics written out plainly."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from plain_step import (
    BATCH,
    LENGTH,
    MODEL,
    PRIOR,
    ROWS,
    SGD,
    STATE,
    close,
    make_batch,
    make_state,
    plain_correctness,
    plain_gradients,
    plain_prior,
    recipe,
    same,
    track,
)

from fprior.data.batches import Batch
from fprior.errors import InputError
from fprior.models import BinaryModel
from fprior.training.problem import Labels
from fprior.training.state import State, init_state
from fprior.training.step import ATTRIBUTED, gradient_report, losses_of, train_step, train_steps

# ---- without a prior


def test_without_prior_it_is_plain_training():
    # A bias before a normalisation has a gradient of rounding errors, which Adam's usual ε would blow up.
    optimizer = optax.adam(1e-2, eps=1e-3)
    state, here = make_state(optimizer=optimizer), recipe(optimizer=optimizer, prior=None)
    params, statistics, moments = state.params, state.statistics, optimizer.init(state.params)
    step = jax.jit(partial(train_step, recipe=here))
    plain_gradient = jax.jit(jax.value_and_grad(plain_correctness, has_aux=True))
    for number in range(3):
        batch = make_batch(number)
        plain = make_state(optimizer=optimizer).replace(statistics=statistics)
        (loss, statistics), gradient = plain_gradient(params, plain, batch)
        updates, moments = optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
        state, info = step(state, batch)
        close(info["loss/correctness"], loss)
        assert set(info) == {"loss/correctness", "loss/total"}
        assert info["loss/total"] == info["loss/correctness"]
    close(state.params, params, rtol=1e-4)
    close(state.statistics, statistics, rtol=1e-4)
    assert state.step == 3 and state.seed == 3


def test_class_average_can_be_switched_off():
    logits, _ = MODEL.apply(
        {"params": STATE.params, **STATE.statistics}, BATCH.x, train=True, mutable=["batch_stats", "batch_moments"]
    )
    entropy = optax.sigmoid_binary_cross_entropy(logits, BATCH.labels == 1)
    loss = losses_of(STATE.params, STATE, BATCH, recipe(prior=None, problem=Labels(class_averaged=False)))[0][
        "correctness"
    ]
    close(loss, jnp.mean(entropy[BATCH.labels >= 0]))
    assert abs(loss - plain_correctness(STATE.params)[0]) > 1e-4


# ---- the prior


@pytest.mark.parametrize("mode", ATTRIBUTED)
def test_prior_and_gradients_agree_with_the_plain_version(mode):
    here = recipe(attributed=mode)
    losses = losses_of(STATE.params, STATE, BATCH, here)[0]
    # The attribution in training mode is rounding error (see Recipe), and so is what is made of it.
    loose = {"rtol": 0.5} if mode == "training" else {}
    close(losses["prior"], plain_prior(STATE.params, mode), **loose)
    assert 0.01 < losses["prior"] < 1
    if mode == "training":
        return
    task, prior = plain_gradients(mode)
    dot = sum(jnp.vdot(a, b) for a, b in zip(*map(jax.tree.leaves, (task, prior)), strict=True))
    norms = [jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))) for tree in (task, prior)]
    expected = {"correctness": norms[0], "prior": norms[1]}
    report = jax.jit(partial(gradient_report, recipe=here))(STATE, BATCH)
    close(report, {
        **{f"gradient_norm/{name}": norm for name, norm in expected.items()},
        "gradient_cosine": dot / norms[0] / norms[1],
    }, rtol=1e-3, atol=1e-5)  # fmt: skip
    assert norms[1] > 1e-3


def test_training_mode_goes_through_the_batch_statistics():
    """Without the last normalisation the training-mode attribution is no rounding error: it can be held to account."""
    model = BinaryModel(num_tasks=1, filters=(4,), widths=(5,), pool_size=7, dense_sizes=())
    state = make_state(model)
    here = {mode: recipe(model=model, attributed=mode) for mode in ATTRIBUTED}
    priors = {mode: losses_of(state.params, state, BATCH._replace(labels=BATCH.labels[:, :1]), here[mode])[0]["prior"]
              for mode in ATTRIBUTED}  # fmt: skip

    def objective(x):
        variables = {"params": state.params, **state.statistics}
        return model.apply(variables, x, train=True, mutable=["batch_stats", "batch_moments"])[0].sum()

    close(priors["training"], PRIOR(track(BATCH.x, jax.grad(objective)(BATCH.x))[:ROWS]).mean(), rtol=1e-4)
    values = list(priors.values())
    assert min(abs(a - b) for i, a in enumerate(values) for b in values[:i]) > 1e-5


def test_centring_can_be_switched_off():
    variables = {"params": STATE.params, **STATE.statistics}
    gradient = jax.grad(lambda x: MODEL.apply(variables, x).sum())(BATCH.x)
    plain = PRIOR(jnp.abs(BATCH.x * gradient).sum(-1)[:ROWS]).mean()
    centred, uncentred = (
        losses_of(STATE.params, STATE, BATCH, recipe(attributed="evaluation", centred=kind))[0]["prior"]
        for kind in (True, False)
    )
    close(uncentred, plain)
    assert abs(centred - uncentred) > 1e-3


@pytest.mark.parametrize("mode", ["batch", "evaluation"])
def test_total_gradient_is_task_plus_weight_times_prior(mode):
    weight = 0.5
    here = recipe(attributed=mode, prior_weight=lambda step: jnp.float32(weight))
    after, info = jax.jit(partial(train_step, recipe=here))(STATE, BATCH)
    task, prior = plain_gradients(mode)
    expected = jax.tree.map(lambda old, a, b: old - (a + weight * b), STATE.params, task, prior)
    close(after.params, expected, rtol=1e-3, atol=1e-5)
    close(info["loss/total"], info["loss/correctness"] + weight * info["loss/prior"])
    assert set(info) == {"loss/correctness", "loss/prior", "loss/total", "prior_weight"}
    assert info["prior_weight"] == weight


def test_batch_mode_gradient_includes_that_of_the_statistics():
    """The directional derivative in float64: what the batch's statistics do to the prior is part of the gradient."""
    with jax.enable_x64(True):
        wide = partial(jax.tree.map, lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64))
        state = STATE.replace(params=wide(STATE.params), statistics=wide(STATE.statistics))
        batch = BATCH._replace(x=wide(BATCH.x))
        rng = np.random.default_rng(0)
        direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), state.params)
        prior = jax.jit(lambda params: losses_of(params, state, batch, recipe(attributed="batch"))[0]["prior"])
        gradient = jax.grad(prior)(state.params)
        analytic = sum(jnp.vdot(a, b) for a, b in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
        move = lambda size: jax.tree.map(lambda leaf, way: leaf + size * way, state.params, direction)  # noqa: E731
        numeric = (prior(move(1e-6)) - prior(move(-1e-6))) / 2e-6
        assert abs(analytic) > 1e-3
        np.testing.assert_allclose(numeric, analytic, rtol=1e-5)


def test_prior_on_positives_is_a_mask():
    """The mean over the first rows is that of the rows by themselves; `None` takes all."""

    def prior(rows: int | None, batch: Batch = BATCH):
        return losses_of(STATE.params, STATE, batch, recipe(attributed="evaluation", prior_rows=rows))[0]["prior"]

    singles = [prior(None, jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], BATCH)) for i in range(2 * ROWS)]
    close(prior(ROWS), jnp.mean(jnp.stack(singles[:ROWS])))
    close(prior(None), jnp.mean(jnp.stack(singles)))
    assert abs(prior(ROWS) - prior(None)) > 1e-3


def with_other_negatives() -> Batch:
    return BATCH._replace(x=BATCH.x.at[ROWS:].set(make_batch(9).x[ROWS:]))


def test_an_evaluated_example_does_not_depend_on_its_batch():
    def prior(mode: str, batch: Batch):
        return losses_of(STATE.params, STATE, batch, recipe(attributed=mode))[0]["prior"]

    assert prior("evaluation", BATCH) == prior("evaluation", with_other_negatives())
    assert prior("batch", BATCH) != prior("batch", with_other_negatives())  # through the statistics, and only there


@pytest.mark.parametrize("mode", ATTRIBUTED)
def test_the_prior_leaves_statistics_and_correctness_alone(mode):
    plain, statistics = losses_of(STATE.params, STATE, BATCH, recipe(prior=None))
    losses, updated = losses_of(STATE.params, STATE, BATCH, recipe(attributed=mode))
    close(updated, statistics)
    close(losses["correctness"], plain["correctness"])
    assert set(plain) == {"correctness"} and set(updated) == {"batch_stats"}
    assert not same(updated, STATE.statistics)


def test_batch_mode_needs_our_normalisation():
    class Foreign(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            x = nn.BatchNorm(use_running_average=not train)(x.reshape(len(x), -1))
            return nn.Dense(2)(x)

    state = make_state(Foreign())
    with pytest.raises(InputError, match="evaluation"):
        losses_of(state.params, state, BATCH, recipe(model=Foreign(), attributed="batch"))
    losses_of(state.params, state, BATCH, recipe(model=Foreign(), attributed="evaluation"))


def test_model_without_statistics():
    class Linear(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            return nn.Dense(2)(x.reshape(len(x), -1))

    state = make_state(Linear())
    values = [
        losses_of(state.params, state, BATCH, recipe(model=Linear(), attributed=mode))[0]["prior"]
        for mode in ATTRIBUTED
    ]
    close(values, [values[0]] * 3)
    assert train_step(state, BATCH, recipe=recipe(model=Linear()))[0].step == 1


def test_a_prior_without_a_gradient_shows_in_the_report():
    report = gradient_report(STATE, BATCH, recipe=recipe(prior=lambda track: 0.0 * track.sum(-1)))
    assert report["gradient_norm/prior"] == 0 and report["gradient_cosine"] == 0
    assert report["gradient_norm/correctness"] > 0


def test_unknown_mode():
    with pytest.raises(ValueError, match=r"attributed \(='running'\) must be one of"):
        recipe(attributed="running")


# ---- random numbers, compilation


def test_dropout_is_keyed_by_seed_and_step():
    model = BinaryModel(num_tasks=2, filters=(4,), widths=(5,), pool_size=7, dense_sizes=(6,), conv_dropout=0.3)
    here = recipe(model=model, prior=None)
    loss = jax.jit(lambda state: losses_of(state.params, state, BATCH, here)[0]["correctness"])
    at = {(seed, step): loss(STATE.replace(seed=jnp.uint32(seed), step=jnp.int32(step)))
          for seed, step in ((0, 0), (0, 1), (1, 0))}  # fmt: skip
    assert len({float(value) for value in at.values()}) == 3
    assert loss(STATE.replace(seed=jnp.uint32(0), step=jnp.int32(1))) == at[0, 1]


def test_dropout_is_off_where_the_prior_looks():
    """The attributed model is the evaluated one with the statistics of the batch, as dropout left it."""
    model = MODEL.clone(conv_dropout=0.3, dense_dropout=0.3)
    here = recipe(model=model)
    key = jax.random.fold_in(jax.random.key(STATE.seed), STATE.step)
    held = {"params": STATE.params, **STATE.statistics}
    mutable = ["batch_stats", "batch_moments"]
    _, updated = model.apply(held, BATCH.x, train=True, mutable=mutable, rngs={"dropout": key})
    held["batch_stats"] = updated["batch_moments"]
    gradient = jax.grad(lambda x: MODEL.apply(held, x).sum())(BATCH.x)
    losses, _ = losses_of(STATE.params, STATE, BATCH, here)
    close(losses["prior"], PRIOR(track(BATCH.x, gradient)[:ROWS]).mean())
    assert abs(losses["prior"] - losses_of(STATE.params, STATE, BATCH, recipe())[0]["prior"]) > 1e-5
    report = jax.jit(partial(gradient_report, recipe=here))(STATE, BATCH)
    assert report["gradient_norm/prior"] > 1e-3 and np.isfinite(report["gradient_cosine"])


def counted(function):
    """The function, and a list that grows by one whenever it is traced."""
    traces = []

    def traced(*arguments, **keywords):
        traces.append(1)
        return function(*arguments, **keywords)

    return traced, traces


def test_donated_state_is_compiled_once():
    state = jax.tree.map(jnp.array, make_state(optimizer=optax.adam(1e-3)))
    function, traces = counted(partial(train_step, recipe=recipe(optimizer=optax.adam(1e-3))))
    step = jax.jit(function, donate_argnums=0)
    for number in range(3):
        before = state
        state, _ = step(before, BATCH)
        assert state.step == number + 1
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params))
    assert len(traces) == 1
    assert state.step.dtype == jnp.int32 and state.seed.dtype == jnp.uint32


def test_initial_state_is_a_function_of_the_seed():
    one, again, other = (init_state(MODEL, SGD, seed, LENGTH) for seed in (1, 1, 2))
    assert same(one, again) and not same(one.params, other.params)
    assert set(STATE.statistics) == {"batch_stats"}


# ---- several steps in a call, several models


def batch_of(state: State, i) -> Batch:
    return jax.tree.map(lambda leaf: jnp.roll(leaf, i, axis=0) if leaf.ndim > 1 else leaf, BATCH)


def test_several_steps_in_a_call_are_those_steps():
    state, infos = STATE, []
    step = jax.jit(partial(train_step, recipe=recipe()))
    for i in range(3):
        state, info = step(state, batch_of(state, i))
        infos.append(info)
    function, traces = counted(partial(train_steps, batch_of=batch_of, recipe=recipe(), most=4))
    call = jax.jit(function)
    together, numbers = call(STATE, count=jnp.int32(3))
    close(together, state, rtol=1e-3, atol=1e-4)
    for name, values in numbers.items():
        assert values.shape == (4,)
        np.testing.assert_allclose(values[:3], [info[name] for info in infos], rtol=1e-4)
    assert same(call(STATE, count=jnp.int32(0))[0], STATE)
    assert len(traces) == 1


def test_models_side_by_side_do_not_touch():
    states = [make_state(seed=seed) for seed in (3, 4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    together, info = jax.jit(jax.vmap(partial(train_step, recipe=recipe()), in_axes=(0, None)))(stacked, BATCH)
    for i, state in enumerate(states):
        alone, info_alone = jax.jit(partial(train_step, recipe=recipe()))(state, BATCH)
        close(jax.tree.map(lambda leaf, i=i: leaf[i], (together, info)), (alone, info_alone), rtol=1e-4, atol=1e-5)


def test_bfloat16_trains_float32_parameters():
    half = recipe(model=MODEL.clone(dtype=jnp.bfloat16))
    state, info = jax.jit(partial(train_step, recipe=half))(STATE, BATCH)
    exact, exact_info = jax.jit(partial(train_step, recipe=recipe()))(STATE, BATCH)
    assert [leaf.dtype for leaf in jax.tree.leaves(state)] == [leaf.dtype for leaf in jax.tree.leaves(exact)]
    for name in info:
        np.testing.assert_allclose(info[name], exact_info[name], rtol=0.05)
        assert info[name].dtype == jnp.float32
