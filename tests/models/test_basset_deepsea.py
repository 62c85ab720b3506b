"""The multi-task models against plain forward passes, their attributions, and a run of one from peak files on."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from flax.errors import InvalidRngError

from experiments import build
from fprior import deeplift, deepshap, fourier_prior
from fprior.data.batches import Batch
from fprior.data.dataset import open_dataset
from fprior.models import BassetModel, DeepSEAModel
from fprior.sequence import one_hot
from fprior.training.checkpoint import Checkpoints
from fprior.training.log import read_log
from fprior.training.state import init_state
from fprior.training.step import Recipe, losses_of, train_step

LENGTH, TASKS, EPSILON = 43, 3, 1e-5
BASSET = BassetModel(TASKS, filters=(6, 5), widths=(4, 3), pool_sizes=(3, 4), dense_sizes=(8, 7))
DEEPSEA = DeepSEAModel(TASKS, filters=(6, 5, 4), widths=(4, 3, 2), pool_size=3, dense_size=8)
MODELS = {"basset": BASSET, "deepsea": DEEPSEA}
SEEN = {"basset": 3 * (2 * 4 + 3 - 1) + 4 - 1, "deepsea": 3 * (3 * 3 + 3 - 1) + 4 - 1}  # of the 43 bases
X = one_hot(np.random.default_rng(0).integers(0, 4, (8, LENGTH)))
BATCH = Batch(X, jnp.asarray(np.eye(TASKS)[[0, 1, 2, 0] + [0] * 4] * ([[1]] * 4 + [[0]] * 4), jnp.int8), jnp.arange(8))


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def variables_of(model) -> dict:
    """Random variables, those of batch norms included."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), X)
    leaves, tree = jax.tree.flatten(shapes)
    rng = np.random.default_rng(1)
    draw = [2 * rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1], initial=1)) for leaf in leaves]
    variables = jax.tree.unflatten(tree, [jnp.asarray(a, jnp.float32) for a in draw])
    positive = {"scale": 0.5, "var": 0.5}  # at least
    return jax.tree.map_with_path(
        lambda path, a: jnp.abs(a) + positive[path[-1].key] if path[-1].key in positive else a, variables
    )


VARIABLES = {name: variables_of(model) for name, model in MODELS.items()}


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- the plain version


def convolve(x, layer):
    kernel = np.asarray(layer["kernel"], np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)
    return np.einsum("blck,kcf->blf", windows, kernel) + layer["bias"]


def pool(x, size):
    windows = range(x.shape[1] // size)
    return np.stack([x[:, i * size : (i + 1) * size].max(1) for i in windows], axis=1)


def dense(x, layer):
    layer = layer.get("Dense_0", layer)
    return x @ np.asarray(layer["kernel"], np.float64) + layer["bias"]


def plain_basset(variables, x, train):
    params, statistics = variables["params"], variables["batch_stats"]

    def normalise(x, i):
        held = statistics[f"BatchNorm_{i}"]
        axes = tuple(range(x.ndim - 1))
        mean, var = (x.mean(axes), x.var(axes)) if train else (held["mean"], held["var"])
        layer = params[f"BatchNorm_{i}"]
        return (x - mean) / np.sqrt(var + EPSILON) * layer["scale"] + layer["bias"]

    x = np.asarray(x, np.float64)
    for i, size in enumerate(BASSET.pool_sizes):
        x = pool(np.maximum(normalise(convolve(x, params[f"Conv_{i}"]), i), 0), size)
    x = x.reshape(len(x), -1)
    for i in range(2):
        x = np.maximum(normalise(dense(x, params[f"Dense_{i}"]), 2 + i), 0)
    return dense(x, params["logits"])


def plain_deepsea(variables, x, train):
    params, x = variables["params"], np.asarray(x, np.float64)
    for i in range(3):
        x = np.maximum(convolve(x, params[f"Conv_{i}"]), 0)
        if i < 2:
            x = pool(x, DEEPSEA.pool_size)
    x = np.maximum(dense(x.reshape(len(x), -1), params["Dense_0"]), 0)
    return dense(x, params["logits"])


PLAIN = {"basset": plain_basset, "deepsea": plain_deepsea}


@pytest.mark.parametrize("train", [False, True])
def test_the_plain_forward_pass(name, train):
    model = MODELS[name].clone(conv_dropout=0.0, dense_dropout=0.0)
    logits, _ = jax.jit(partial(model.apply, train=train, mutable=["batch_stats"]))(VARIABLES[name], X)
    assert logits.shape == (8, TASKS) and logits.dtype == jnp.float32
    close(logits, PLAIN[name](VARIABLES[name], X, train), 1e-4)
    assert np.ptp(logits, axis=0).min() > 0.1


# ---- sizes

PAPER = {
    "basset": (BassetModel(164), 600, [(19, 4, 300), (11, 300, 200), (7, 200, 200)], [(2000, 1000), (1000, 1000)]),
    "deepsea": (DeepSEAModel(919), 1000, [(8, 4, 320), (8, 320, 480), (8, 480, 960)], [(50880, 925)]),
}


def test_sizes_of_the_papers(name):
    model, length, convolutions, hidden = PAPER[name]
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, length, 4)))["params"]
    assert [params[f"Conv_{i}"]["kernel"].shape for i in range(3)] == convolutions
    assert [params[f"Dense_{i}"]["Dense_0"]["kernel"].shape for i in range(len(hidden))] == hidden
    assert params["logits"]["Dense_0"]["kernel"].shape == (hidden[-1][1], model.num_tasks)
    assert len(params) == 3 + len(hidden) + 1 + (5 if name == "basset" else 0)


def test_the_shortest_input(name):
    paper, *_ = PAPER[name]
    assert paper.shortest_input() == {"basset": 168, "deepsea": 163}[name]
    model = MODELS[name]
    shortest = model.shortest_input()
    params = jax.eval_shape(model.init, jax.random.key(0), X[:, :shortest])["params"]
    last = model.filters[-1]  # filters at one position
    assert params["Dense_0"]["Dense_0"]["kernel"].shape == (last, 8)
    with pytest.raises(ValueError, match=rf"x has length {shortest - 1}; .* need at least {shortest}"):
        jax.eval_shape(model.init, jax.random.key(0), X[:, : shortest - 1])


def test_what_a_window_does_not_fill_is_left_out(name):
    many, seen = one_hot(np.random.default_rng(3).integers(0, 4, (200, LENGTH))), SEEN[name]
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(MODELS[name].apply(VARIABLES[name], x)))))(many)
    np.testing.assert_array_equal(gradient[:, seen:], 0)
    assert np.all(np.abs(gradient[:, [0, seen - 1]]).sum((0, 2)) > 0) and seen < LENGTH


@pytest.mark.parametrize("changes", [{"widths": (4,)}, {"filters": (6,)}])
def test_layers_must_be_as_many(name, changes):
    with pytest.raises(ValueError, match="zip"):
        jax.eval_shape(MODELS[name].clone(**changes).init, jax.random.key(0), X)


# ---- dropout and precision


def test_dropout_only_in_training(name):
    model, variables = MODELS[name], VARIABLES[name]

    @jax.jit
    def train(key):
        return model.apply(variables, X, train=True, mutable=["batch_stats"], rngs={"dropout": key})[0]

    one, same, other = train(jax.random.key(0)), train(jax.random.key(0)), train(jax.random.key(1))
    np.testing.assert_array_equal(one, same)
    assert np.max(np.abs(one - other)) > 1e-3
    with pytest.raises(InvalidRngError, match="dropout"):
        jax.eval_shape(lambda: model.apply(variables, X, train=True, mutable=["batch_stats"]))


@pytest.mark.parametrize("where", ["conv_dropout", "dense_dropout"])
def test_each_dropout_rate_is_used(name, where):
    """Everything dropped there: what is left does not depend on the input."""
    rates = {"conv_dropout": 0.0, "dense_dropout": 0.0} | {where: 1.0}
    model, rngs = MODELS[name].clone(**rates), {"dropout": jax.random.key(0)}
    logits, _ = model.apply(VARIABLES[name], X, train=True, mutable=["batch_stats"], rngs=rngs)
    close(logits, logits[jnp.zeros(len(X), int)], 1e-6)


def test_bfloat16_keeps_parameters_and_logits_in_float32(name):
    half = MODELS[name].clone(dtype=jnp.bfloat16)
    logits = jax.jit(half.apply)(VARIABLES[name], X)
    exact = MODELS[name].apply(VARIABLES[name], X)
    assert logits.dtype == jnp.float32
    assert 0 < np.max(np.abs(logits - exact)) < 6 * 2**-8 * np.max(np.abs(exact))
    initial = jax.eval_shape(half.init, jax.random.key(0), X)
    assert {leaf.dtype for leaf in jax.tree.leaves(initial)} == {jnp.dtype("float32")}


# ---- attribution and the prior


def test_deeplift_and_deepshap_are_complete(name):
    def f(x):
        return jnp.sum(MODELS[name].apply(VARIABLES[name], x), axis=-1)

    references = one_hot(np.random.default_rng(2).integers(0, 4, (8, 2, LENGTH)))
    at, others = jax.jit(f)(X), jnp.stack([jax.jit(f)(references[:, i]) for i in range(2)], axis=1)
    differences = at[:, None] - others
    allowed = 1e-5 * jnp.maximum(jnp.maximum(jnp.abs(at)[:, None], jnp.abs(others)), jnp.abs(differences))
    assert np.median(np.abs(differences)) > 0.1
    contributions = jax.jit(partial(deeplift, f))(X, references[:, 0])
    assert np.all(np.abs(contributions.sum((1, 2)) - differences[:, 0]) <= allowed[:, 0])
    scores = jax.jit(lambda x, references: deepshap(f, x, references=references, hypothetical=False))(X, references)
    assert np.all(np.abs(scores.sum((1, 2)) - differences.mean(1)) <= allowed.max(1))


def test_a_step_along_the_prior_lowers_it(name):
    """With the papers' dropout, whose draw is the same before and after."""
    recipe = Recipe(MODELS[name], optax.sgd(0.0), partial(fourier_prior, freq_limit=5.0), prior_rows=4)
    state = init_state(recipe.model, recipe.optimizer, 0, LENGTH)
    prior = jax.jit(jax.value_and_grad(lambda params: losses_of(params, state, BATCH, recipe)[0]["prior"]))
    before, gradient = prior(state.params)
    size = optax.tree.norm(gradient)
    assert 0.01 < before < 1 and size > 1e-4
    after, _ = prior(jax.tree.map(lambda leaf, way: leaf - 1e-3 * way / size, state.params, gradient))
    np.testing.assert_allclose(before - after, 1e-3 * size, rtol=0.3)


def test_dropout_is_off_where_the_prior_looks():
    """Without batch norm, whose statistics would tell: other draws change the correctness loss alone."""
    recipe = Recipe(DEEPSEA, optax.adam(1e-3), partial(fourier_prior, freq_limit=5.0), prior_rows=4)
    state = init_state(DEEPSEA, recipe.optimizer, 0, LENGTH)
    step = jax.jit(partial(train_step, recipe=recipe))
    one, other = (step(state.replace(seed=jnp.uint32(seed)), BATCH)[1] for seed in (1, 2))
    assert one["loss/prior"] == other["loss/prior"]
    assert abs(one["loss/correctness"] - other["loss/correctness"]) > 1e-3


# ---- from two peak files to a trained model

EXTRA = """\
    from experiments.models import model_config

    config.model = model_config("basset")
    config.model.filters, config.model.widths, config.model.pool_sizes = (6, 5), (9, 3), (3, 2)
    config.model.dense_sizes = (8, 7)
    config.model.conv_dropout = 0.1
    config.train.l1, config.train.l2 = 1e-4, 1e-3
    config.prior.weight = 0.5
    config.train.epochs = 1
    config.prepare.peaks = {peaks!r}
    config.prepare.tasks = ("A", "B")
    return config
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The peaks of the tiny world dealt to two files; some are in both."""
    world = tiny.make_world(tmp_path_factory.mktemp("basset"))
    lines = world.peaks.read_text().splitlines(keepends=True)
    files = tuple(str(world.folder / f"{task}.narrowPeak") for task in "AB")
    for i, file in enumerate(files):
        with open(file, "w") as out:
            out.writelines(line for number, line in enumerate(lines) if number % 3 in (i, 2))
    head = world.config.read_text().removesuffix("    return config\n")
    world.config.write_text(head + EXTRA.format(peaks=files))
    for command, *arguments in (("prepare",), ("train", f"--workdir={world.folder}/run")):
        outcome = world.command(command, *arguments)
        assert outcome.status == 0, outcome.err
    return world


def test_two_tasks_from_two_peak_files(world):
    dataset = open_dataset(world.dataset)
    labels = dataset.loci["labels"]
    assert labels.shape[1] == 2 and {tuple(row) for row in labels} == {(0, 0), (1, 0), (0, 1), (1, 1)}
    outcome = world.command("evaluate", f"--workdir={world.folder}/run")
    assert outcome.status == 0, outcome.err
    measures = json.loads((world.folder / "run" / "evaluation_test.json").read_text())
    assert np.shape(measures["performance"]["auroc"]) == (2,)
    assert all(0 < auroc < 1 for auroc in measures["performance"]["auroc"])


def test_validation_and_training_mean_the_same_total(world):
    scope: dict = {}
    exec(world.config.read_text(), scope)
    config = scope["get_config"]()
    log = read_log(world.folder / "run")
    entries = [entry for entry in log if entry["kind"] in ("train", "validation")]
    assert {entry["kind"] for entry in entries} == {"train", "validation"}
    for entry in entries:
        loss = {name: entry[f"loss/{name}"] for name in ("correctness", "prior", "l1", "l2", "total")}
        total = loss["correctness"] + 0.5 * loss["prior"] + 1e-4 * loss["l1"] + 1e-3 * loss["l2"]
        np.testing.assert_allclose(loss["total"], total, rtol=1e-6)

    dataset = open_dataset(world.dataset)
    model = build.model_of(config, dataset)
    with Checkpoints(world.folder / "run" / "checkpoints", read_only=True) as checkpoints:
        state, _ = checkpoints.restore("latest", build.initial_state(config, dataset, model, config.seed))
    params = np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(state.params)])
    last = [entry for entry in log if entry["kind"] == "validation"][-1]
    assert last["step"] == state.step
    np.testing.assert_allclose(last["loss/l1"], np.abs(params).sum(), rtol=1e-5)
    np.testing.assert_allclose(last["loss/l2"], np.square(params).sum(), rtol=1e-5)
