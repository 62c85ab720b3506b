"""The binary model against a plain forward pass in PyTorch's layout, and what it must and must not depend on."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError, ScopeCollectionNotFound, ScopeParamShapeError

from fprior.errors import InputError
from fprior.models import BinaryModel, from_torch_state
from fprior.models.layers import BatchNorm, max_pool

LENGTH = 21  # two pool windows of 5 after the convolutions, and a rest of 4
MODEL = BinaryModel(num_tasks=2, filters=(3, 4), widths=(5, 4), pool_size=5, dense_sizes=(6, 5))
SEEN = 2 * 5 + (5 - 1) + (4 - 1)  # bases that reach a pool window that is filled


def torch_state(model, windows=2, seed=0):
    """Random weights under the names and in the layout of the authors' code."""
    rng = np.random.default_rng(seed)
    state = {}

    def layer(name, *shape):
        state[f"{name}.weight"] = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        state[f"{name}.bias"] = rng.normal(size=shape[0])

    def batch_norm(name, size):
        state[f"{name}.weight"] = rng.uniform(0.5, 2, size)
        state[f"{name}.bias"] = rng.normal(size=size)
        state[f"{name}.running_mean"] = rng.normal(size=size)
        state[f"{name}.running_var"] = rng.uniform(0.5, 2, size)
        state[f"{name}.num_batches_tracked"] = np.int64(7)

    channels = 4
    for i, (filters, width) in enumerate(zip(model.filters, model.widths, strict=True)):
        layer(f"conv_layers.{4 * i}", filters, channels, width)
        batch_norm(f"conv_layers.{4 * i + 2}", filters)
        channels = filters
    inputs = channels * windows
    for i, size in enumerate(model.dense_sizes):
        layer(f"fc_layers.{4 * i}", size, inputs)
        batch_norm(f"fc_layers.{4 * i + 2}", size)
        inputs = size
    layer("out_map_fc", model.num_tasks, inputs)
    return {name: np.asarray(a, a.dtype if a.dtype == np.int64 else np.float32) for name, a in state.items()}


def plain_forward(model, state, x, train=False):
    """Logits and, layer by layer, the running statistics afterwards; channels first, as PyTorch has them."""
    x = np.asarray(x, np.float64).swapaxes(1, 2)
    statistics = []

    def batch_norm(x, name):
        axes = (0, 2) if x.ndim == 3 else (0,)
        shape = (1, -1, 1) if x.ndim == 3 else (1, -1)
        old_mean, old_var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        mean, var = (x.mean(axes), x.var(axes)) if train else (old_mean, old_var)
        count = x.size // x.shape[1]
        unbiased = x.var(axes) * count / max(count - 1, 1)
        statistics.append((0.9 * old_mean + 0.1 * x.mean(axes), 0.9 * old_var + 0.1 * unbiased))
        x = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5)
        return x * state[f"{name}.weight"].reshape(shape) + state[f"{name}.bias"].reshape(shape)

    for i, width in enumerate(model.widths):
        kernel, bias = state[f"conv_layers.{4 * i}.weight"], state[f"conv_layers.{4 * i}.bias"]
        windows = np.lib.stride_tricks.sliding_window_view(x, width, axis=2)
        x = np.maximum(np.einsum("bclk,ock->bol", windows, kernel) + bias[None, :, None], 0)
        x = batch_norm(x, f"conv_layers.{4 * i + 2}")
    x = np.stack(
        [
            x[:, :, start : start + model.pool_size].max(2)
            for start in range(0, x.shape[2] - model.pool_size + 1, model.pool_size)
        ],
        axis=2,
    )
    x = x.reshape(len(x), -1)
    for i, _ in enumerate(model.dense_sizes):
        x = np.maximum(x @ state[f"fc_layers.{4 * i}.weight"].T + state[f"fc_layers.{4 * i}.bias"], 0)
        x = batch_norm(x, f"fc_layers.{4 * i + 2}")
    return x @ state["out_map_fc.weight"].T + state["out_map_fc.bias"], statistics


@pytest.fixture(scope="module")
def state():
    return torch_state(MODEL)


@pytest.fixture(scope="module")
def variables(state):
    return from_torch_state(MODEL, state)


@pytest.fixture(scope="module")
def x():
    tokens = np.random.default_rng(1).integers(0, 4, (6, LENGTH))
    return np.eye(4, dtype=np.float32)[tokens]


@pytest.fixture(scope="module")
def apply():
    return jax.jit(MODEL.apply)


@pytest.fixture(scope="module")
def gradient():
    """Of a curved function of the logits."""
    return jax.jit(jax.grad(lambda x, variables: jnp.sum(jnp.sin(MODEL.apply(variables, x)))))


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# from_torch_state.


def test_evaluation_is_the_plain_forward_pass(state, variables, x, apply):
    logits = apply(variables, x)
    assert logits.shape == (6, 2) and logits.dtype == jnp.float32
    close(logits, plain_forward(MODEL, state, x)[0])


def test_training_is_the_plain_forward_pass_and_updates_the_statistics(state, variables, x):
    """A tenth of the way to the batch's mean and unbiased variance, at every layer."""
    train = jax.jit(lambda v, x: MODEL.apply(v, x, train=True, mutable=["batch_stats"]))
    logits, changed = train(variables, x)
    expected, statistics = plain_forward(MODEL, state, x, train=True)
    close(logits, expected, 1e-4)
    assert len(changed["batch_stats"]) == len(statistics) == 4
    for i, (mean, var) in enumerate(statistics):
        close(changed["batch_stats"][f"BatchNorm_{i}"]["mean"], mean)
        close(changed["batch_stats"][f"BatchNorm_{i}"]["var"], var)


@pytest.mark.parametrize(
    "model",
    [
        BinaryModel(num_tasks=1, filters=(3,), widths=(4,), pool_size=3, dense_sizes=()),
        BinaryModel(num_tasks=3, filters=(2, 3, 4), widths=(3, 2, 1), pool_size=3, dense_sizes=(5,)),
    ],
    ids=["no dense layer", "three convolutions"],
)
def test_other_sizes(model):
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(2).integers(0, 4, (2, 12))]
    state = torch_state(model, windows=3)
    close(jax.jit(model.apply)(from_torch_state(model, state), x), plain_forward(model, state, x)[0])


def test_loaded_variables_have_the_structure_of_initial_ones(variables, x):
    initial = jax.eval_shape(MODEL.init, jax.random.key(0), x)
    assert jax.tree.structure(initial) == jax.tree.structure(variables)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), dict(initial)) == jax.tree.map(
        lambda a: (a.shape, a.dtype), variables
    )


def test_loading_changes_nothing_of_what_it_is_given(state):
    copy = {name: np.array(value) for name, value in state.items()}
    loaded = from_torch_state(MODEL, copy)
    jax.tree.map(lambda a: a.fill(0), jax.tree.map(np.array, loaded))
    assert copy.keys() == state.keys()
    assert all(np.array_equal(copy[name], state[name]) for name in state)


def test_a_missing_array_is_named(state):
    for name in state:
        if not name.endswith("num_batches_tracked"):
            with pytest.raises(InputError, match=rf"mapping_of_arrays has no '{name}'"):
                from_torch_state(MODEL, {key: value for key, value in state.items() if key != name})


def test_counts_of_batches_are_not_needed(state, variables):
    fewer = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    jax.tree.map(np.testing.assert_array_equal, from_torch_state(MODEL, fewer), variables)


def test_an_array_left_over_is_named(state):
    with pytest.raises(InputError, match=r"that the model does not: \['fc_layers.8.weight', 'spare'\]"):
        from_torch_state(MODEL, {**state, "spare": np.ones(1), "fc_layers.8.weight": np.ones(1)})


def test_a_misshapen_array_is_named(state):
    """Each in turn, with one more entry along its first axis, and with an axis too many."""
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        for wrong in (np.concatenate([value, value[:1]]), value[None]):
            with pytest.raises(InputError, match=rf"^{name} has shape \({wrong.shape[0]},.*the model needs"):
                from_torch_state(MODEL, {**state, name: wrong})
    name = "fc_layers.0.weight"
    with pytest.raises(InputError, match=rf"{name} has 7 inputs, no multiple of the last layer's 4 filters"):
        from_torch_state(MODEL, {**state, name: state[name][:, :7]})
    assert issubclass(InputError, ValueError)


def test_another_model_is_refused(state):
    with pytest.raises(TypeError, match=r"model is a Dense; .* BinaryModel"):
        from_torch_state(nn.Dense(3), state)


# What the model looks at.


def test_the_shortest_input(variables, x):
    assert MODEL.shortest_input() == 12
    assert BinaryModel().shortest_input() == 40 + 14 + 14 + 12
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), x[:, :12])
    assert shapes["params"]["Dense_0"]["Dense_0"]["kernel"].shape == (4, 6)
    with pytest.raises(ValueError, match=r"x has length 11; .* need at least 12"):
        jax.eval_shape(MODEL.init, jax.random.key(0), x[:, :11])


def test_filters_and_widths_must_be_as_many(x):
    with pytest.raises(ValueError, match="zip"):
        jax.eval_shape(BinaryModel(filters=(3, 4), widths=(5,), pool_size=5).init, jax.random.key(0), x)


def test_another_length_than_the_weights_are_for_is_an_error(variables, x):
    with pytest.raises(ScopeParamShapeError, match="kernel"):
        MODEL.apply(variables, x[:, :16])


def test_what_the_last_window_does_not_fill_is_left_out(variables, x, apply, gradient):
    """At the end, not at the start."""
    of_input = gradient(x, variables)
    np.testing.assert_array_equal(of_input[:, SEEN:], 0)
    assert np.any(of_input[:, 0] != 0)
    changed = np.array(x)
    changed[:, SEEN:] = changed[:, SEEN:, ::-1]
    np.testing.assert_array_equal(apply(variables, changed), apply(variables, x))
    assert np.max(np.abs(apply(variables, x[:, ::-1]) - apply(variables, x))) > 1e-3


@pytest.mark.parametrize("window", [0, 1])
def test_a_gradient_reaches_only_the_receptive_field(window, variables, x, gradient):
    """With the first dense layer blind to the other window, only bases under this one count."""
    one_window = jax.tree.map(np.array, variables)
    kernel = one_window["params"]["Dense_0"]["Dense_0"]["kernel"].reshape(2, 4, -1)
    kernel[1 - window] = 0
    of_input = np.abs(gradient(x, one_window)).sum((0, 2))
    field = np.arange(5 * window, 5 * window + 5 + 4 + 3)
    np.testing.assert_array_equal(np.delete(of_input, field), 0)
    assert np.all(of_input[field] > 0)


def test_examples_do_not_mix_in_evaluation(variables, x, apply, gradient):
    logits, of_input = apply(variables, x), gradient(x, variables)
    close(apply(variables, x[::-1]), logits[::-1], 1e-6)
    broken = np.array(x)
    broken[3] = np.nan
    others = [0, 1, 2, 4, 5]
    close(apply(variables, broken)[jnp.array(others)], logits[jnp.array(others)], 1e-6)
    assert np.all(np.isnan(apply(variables, broken)[3]))
    close(np.asarray(gradient(broken, variables))[others], np.asarray(of_input)[others], 1e-6)
    close(jax.jit(jax.vmap(lambda row: MODEL.apply(variables, row[None])[0]))(x), logits)


def test_evaluation_changes_no_statistics(variables, x):
    _, changed = jax.jit(lambda v, x: MODEL.apply(v, x, mutable=["batch_stats"]))(variables, x)
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"])


def test_initial_variables(x):
    """Statistics that are not those of the first batch; weights within ±1/√(inputs), and filling that range."""
    model = BinaryModel(filters=(40,), widths=(5,), pool_size=5, dense_sizes=())
    initial = jax.jit(lambda key, x: model.init(key, x, train=True))(jax.random.key(0), x)
    (statistics,) = initial["batch_stats"].values()
    np.testing.assert_array_equal(statistics["mean"], 0)
    np.testing.assert_array_equal(statistics["var"], 1)
    for weights in initial["params"]["Conv_0"].values():
        assert 0.8 / np.sqrt(5 * 4) < np.max(np.abs(weights)) <= 1 / np.sqrt(5 * 4)


def test_dropout_only_in_training(variables, x, apply):
    with_dropout = MODEL.clone(conv_dropout=0.5, dense_dropout=0.5)

    @jax.jit
    def train(key):
        rngs = {"dropout": key}
        return with_dropout.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)[0]

    one, same, other = train(jax.random.key(0)), train(jax.random.key(0)), train(jax.random.key(1))
    np.testing.assert_array_equal(one, same)
    assert np.max(np.abs(one - other)) > 1e-3
    close(jax.jit(with_dropout.apply)(variables, x), apply(variables, x), 1e-6)
    with pytest.raises(InvalidRngError, match="dropout"):
        jax.eval_shape(lambda: with_dropout.apply(variables, x, train=True, mutable=["batch_stats"]))


@pytest.mark.parametrize("where", ["conv_dropout", "dense_dropout"])
def test_each_dropout_rate_is_used(where, variables, x):
    """Everything dropped after every convolution, or dense layer: what is left does not depend on the input."""
    model = MODEL.clone(**{where: 1.0})
    rngs = {"dropout": jax.random.key(0)}
    logits = jax.jit(lambda x: model.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)[0])(x)
    close(logits, logits[jnp.zeros(len(x), int)], 1e-6)


def test_half_precision_input_gives_half_precision_convolutions(variables, x, apply):
    close(apply(variables, jnp.asarray(x, jnp.bfloat16)).astype(jnp.float32), apply(variables, x), 0.1)


# Layers.


def test_batch_norm_reports_the_batch_moments():
    """In place of the running statistics they give, in evaluation, the training output."""
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 2)).astype(np.float32)
    layer = BatchNorm()
    variables = layer.init(jax.random.key(0), x, train=False)
    assert set(variables) == {"params", "batch_stats"}
    out, changed = layer.apply(variables, x, train=True, mutable=["batch_stats", "batch_moments"])
    close(changed["batch_moments"]["mean"], x.mean((0, 1)))
    close(changed["batch_moments"]["var"], x.var((0, 1)))
    close(out, (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5), 1e-4)
    frozen = {**variables, "batch_stats": changed["batch_moments"]}
    np.testing.assert_allclose(layer.apply(frozen, x, train=False), out, rtol=1e-5, atol=1e-6)
    with pytest.raises(ScopeCollectionNotFound, match="batch_stats"):
        layer.apply({"params": variables["params"]}, x, train=False)


def test_batch_norm_of_large_numbers_keeps_its_digits():
    """A one-pass variance in single precision would lose them all."""
    x = np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32) + np.float32(1e4)
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    _, changed = BatchNorm().apply(variables, x, train=True, mutable=["batch_moments"])
    close(changed["batch_moments"]["var"], x.astype(np.float64).var(0), 1e-3)


def test_batch_of_one_trains():
    """A single number per channel has no unbiased variance; the running one moves towards 0, not to NaN."""
    x = np.ones((1, 3), np.float32)
    variables = BatchNorm().init(jax.random.key(0), x, train=False)
    out, changed = BatchNorm().apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(out, 0)
    close(changed["batch_stats"]["mean"], 0.1)
    close(changed["batch_stats"]["var"], 0.9)


def test_max_pool():
    x = jnp.asarray(np.random.default_rng(0).permutation(28).reshape(2, 7, 2), jnp.float32)
    pooled = max_pool(x, 3)
    assert pooled.shape == (2, 2, 2)
    for window in range(2):
        np.testing.assert_array_equal(pooled[:, window], x[:, 3 * window : 3 * window + 3].max(1))
    of_input = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, 3))))(x))
    np.testing.assert_array_equal(of_input[:, 6], 0)
    expected = x[:, :6].reshape(2, 2, 3, 2) == pooled[:, :, None]
    np.testing.assert_array_equal(of_input[:, :6].reshape(2, 2, 3, 2), expected)


def test_max_pool_gives_the_gradient_to_the_first_of_ties():
    x = jnp.array([2.0, 1.0, 2.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0])[None, :, None]
    of_input = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, 3))))(x)
    close(of_input[0, :, 0], [1, 0, 0, 1, 0, 0, 1, 0, 0])
    first = jax.grad(lambda x: jnp.sum(max_pool(x, 3) ** 2))
    second = jax.jit(jax.grad(lambda x: jnp.sum(first(x) ** 2)))(x)
    assert np.all(np.isfinite(second))
    close(second[0, 6:, 0], [-8.0, 0, 0])  # of (2x)²


def test_compiled_input_gradient_is_the_uncompiled_one():
    """A compiler that computes the pool's input twice must not move the gradient between positions."""
    model = BinaryModel(filters=(6,), widths=(9,), pool_size=10, dense_sizes=(8,))
    x = jax.nn.one_hot(jax.random.randint(jax.random.key(0), (16, 60), 0, 4), 4)
    variables = model.init(jax.random.key(0), x)

    def gradient(variables, x):
        _, updated = model.apply(variables, x, train=True, mutable=["batch_stats", "batch_moments"])
        held = {"params": variables["params"], "batch_stats": updated["batch_moments"]}
        return jax.grad(lambda x: jnp.sum(model.apply(held, x)))(x)

    expected = gradient(variables, x)
    np.testing.assert_allclose(jax.jit(gradient)(variables, x), expected, atol=1e-5 * np.abs(expected).max())


# ---- computing in bfloat16


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(variables, x):
    half = MODEL.clone(dtype=jnp.bfloat16)
    logits, updated = jax.jit(partial(half.apply, train=True, mutable=["batch_stats"]))(variables, x)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {jnp.dtype("float32")}
    initial = jax.eval_shape(half.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(initial)} == {jnp.dtype("float32")}


def test_bfloat16_computes_in_bfloat16_and_stays_near(variables, x, apply):
    """Eight bits of mantissa: 2^-8 a layer, of five."""
    half = jax.jit(MODEL.clone(dtype=jnp.bfloat16).apply)
    exact, rounded = np.asarray(apply(variables, x)), np.asarray(half(variables, x))
    assert 0 < np.max(np.abs(rounded - exact)) < 5 * 2**-8 * np.max(np.abs(exact))
    text = half.lower(variables, x).as_text()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) == 2 and all("bf16" in line and "f32" not in line for line in convolutions)
    gradient = jax.grad(lambda x: jnp.sum(MODEL.clone(dtype=jnp.bfloat16).apply(variables, x)))(x)
    assert gradient.dtype == x.dtype
