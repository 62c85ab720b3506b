"""Training on profiles, held against the same mathematics written out plainly, example by example."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.attributions import ATTRIBUTIONS
from fprior import fourier_prior
from fprior.attribution.deeplift import deeplift
from fprior.data.batches import Batch
from fprior.losses import binary_cross_entropy, profile_loss
from fprior.models import ProfileModel, ProfileOutputs
from fprior.objectives import PROFILE_WEIGHTS, profile_weights
from fprior.sequence import one_hot
from fprior.training.problem import LABELS, Labels, Profiles, apply, objective_of
from fprior.training.state import init_state
from fprior.training.step import ATTRIBUTED, Recipe, gradient_report, losses_of, train_step

LENGTH, ROWS, COUNT_WEIGHT, WEIGHT = 24, 2, 3.0, 0.5  # ROWS positives, then as many negatives
MODEL = ProfileModel(
    num_tasks=2, controls="shared", output_length=8, filters=3, first_width=5, dilations=(1, 2), profile_width=5
)
PRIOR = partial(fourier_prior, freq_limit=4.0, smooth_sigma=1.0)
SGD = optax.sgd(1.0)  # the parameters move by the gradient
PROBLEM = Profiles(count_weight=COUNT_WEIGHT)


def make_batch(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 5, (2 * ROWS, LENGTH))
    profiles = rng.poisson(2, (2 * ROWS, 2, 8, 2)).astype(np.float32)
    profiles[1, 0] = 0
    controls = rng.poisson(3, (2 * ROWS, 1, 8, 2)).astype(np.float32)
    labels = np.repeat([[1, 0], [0, 0]], ROWS, axis=0).astype(np.int8)
    return Batch(
        one_hot(tokens), jnp.asarray(labels), jnp.arange(2 * ROWS), jnp.asarray(profiles), jnp.asarray(controls)
    )


BATCH = make_batch()
STATE = init_state(MODEL, SGD, 3, LENGTH, (1, 8, 2))


def recipe(**changes) -> Recipe:
    settings = {"model": MODEL, "optimizer": SGD, "prior": PRIOR, "prior_rows": ROWS, "problem": PROBLEM}
    return Recipe(**settings | {"prior_weight": lambda step: jnp.float32(WEIGHT)} | changes)


def close(a, b, **tolerance) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(partial(np.testing.assert_allclose, **{"rtol": 2e-5, "atol": 2e-6} | tolerance), a, b)


# ---- the plain version


def plain_logits(params, x, controls):
    """Of one example."""
    return MODEL.apply({"params": params}, x[None], controls[None]).profile_logits[0]


def plain_objective(logits, weighting="probabilities"):
    """Strand by strand, its weights made of other numbers than JAX differentiates."""
    total = 0.0
    for task in range(logits.shape[0]):
        for strand in range(logits.shape[2]):
            own = logits[task, :, strand]
            probabilities = jax.lax.stop_gradient(jnp.exp(own - jnp.max(own)))
            probabilities = probabilities / jnp.sum(probabilities)
            weights = probabilities if weighting == "probabilities" else jnp.log(probabilities)
            total += jnp.sum(weights * (own - jnp.mean(own)))
    return total


def plain_track(params, x, controls, weighting="probabilities"):
    """|(gradient − its mean over the bases) × input|, summed over bases."""
    gradient = jax.grad(lambda x: plain_objective(plain_logits(params, x, controls), weighting))(x)
    return jnp.abs(x * (gradient - gradient.sum(-1, keepdims=True) / 4)).sum(-1)


def plain_prior(params, rows=range(ROWS), weighting="probabilities"):
    tracks = [plain_track(params, BATCH.x[row], BATCH.controls[row], weighting) for row in rows]
    return sum(PRIOR(track) for track in tracks) / len(tracks)


def plain_correctness(params):
    profile = counts = 0.0
    for row in range(2 * ROWS):
        logits, log_counts = MODEL.apply({"params": params}, BATCH.x[row : row + 1], BATCH.controls[row : row + 1])
        for task in range(2):
            for strand in range(2):
                reads = BATCH.profiles[row, task, :, strand]
                log_factorials = jax.scipy.special.gammaln(reads + 1).sum() - jax.scipy.special.gammaln(reads.sum() + 1)
                profile += log_factorials - jnp.sum(reads * jax.nn.log_softmax(logits[0, task, :, strand]))
                counts += (log_counts[0, task, strand] - jnp.log(1 + reads.sum())) ** 2
    entries = 2 * ROWS * 2 * 2
    return profile / entries + COUNT_WEIGHT * counts / entries


@functools.cache
def plain_gradients():
    return tuple(jax.jit(jax.value_and_grad(part))(STATE.params) for part in (plain_correctness, plain_prior))


@functools.cache
def losses(**changes):
    here = recipe(**changes)
    return jax.jit(lambda params, batch: losses_of(params, STATE, batch, here)[0])


# ---- a step


def test_loss_and_gradient_of_a_step_are_the_plain_ones():
    after, info = jax.jit(partial(train_step, recipe=recipe()))(STATE, BATCH)
    (task, task_gradient), (prior, prior_gradient) = plain_gradients()
    close(info["loss/correctness"], task)
    close(info["loss/prior"], prior)
    close(info["loss/total"], task + WEIGHT * prior)
    close(info["loss/correctness"], info["loss/profile"] + COUNT_WEIGHT * info["loss/counts"])
    parts = {"loss/correctness", "loss/profile", "loss/counts", "loss/prior", "loss/total", "prior_weight"}
    assert set(info) == parts and 0.01 < prior < 1
    expected = jax.tree.map(lambda old, a, b: old - (a + WEIGHT * b), STATE.params, task_gradient, prior_gradient)
    close(after.params, expected, rtol=1e-4, atol=1e-5)
    assert after.step == 1 and after.statistics == {}


def test_the_prior_pulls_at_the_parameters():
    """At all that the profiles depend on, and at nothing of the count head."""
    _, (_, gradient) = plain_gradients()
    report = jax.jit(partial(gradient_report, recipe=recipe()))(STATE, BATCH)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient)))
    close(report["gradient_norm/prior"], norm, rtol=1e-4)
    assert norm > 1e-3 and abs(report["gradient_cosine"]) < 1
    ours = jax.jit(jax.grad(lambda params: losses_of(params, STATE, BATCH, recipe())[0]["prior"]))(STATE.params)
    close(ours, gradient, rtol=1e-4, atol=1e-6)
    for name, leaves in ours.items():
        pulled = np.any(leaves["kernel"] != 0) if "kernel" in leaves else np.any(leaves["Dense_0"]["kernel"] != 0)
        assert pulled == (name not in ("counts", "log_counts")), name


@pytest.mark.parametrize("mode", ATTRIBUTED)
def test_the_modes_are_one_without_batch_statistics(mode):
    close(losses(attributed=mode)(STATE.params, BATCH)["prior"], plain_gradients()[1][0])


def test_the_prior_is_that_of_the_leading_rows():
    others = BATCH._replace(**{
        name: getattr(BATCH, name).at[ROWS:].set(getattr(make_batch(9), name)[ROWS:]) for name in ("x", "controls")
    })  # fmt: skip
    found = losses()(STATE.params, others)
    close(found["prior"], plain_gradients()[1][0])
    assert abs(found["correctness"] - plain_gradients()[0][0]) > 1e-3
    everywhere = jax.jit(lambda params: plain_prior(params, range(2 * ROWS)))(STATE.params)
    close(losses(prior_rows=None)(STATE.params, BATCH)["prior"], everywhere)
    assert abs(everywhere - plain_gradients()[1][0]) > 1e-4


def test_the_weighting_is_that_of_the_problem():
    problem = Profiles(count_weight=COUNT_WEIGHT, weighting="log_probabilities")
    found = losses(problem=problem)(STATE.params, BATCH)
    close(found["prior"], jax.jit(partial(plain_prior, weighting="log_probabilities"))(STATE.params), rtol=1e-4)
    assert abs(found["prior"] - plain_gradients()[1][0]) > 1e-3


def test_without_prior_it_is_plain_training():
    after, info = jax.jit(partial(train_step, recipe=recipe(prior=None)))(STATE, BATCH)
    task, gradient = plain_gradients()[0]
    close(after.params, jax.tree.map(jnp.subtract, STATE.params, gradient), rtol=1e-4, atol=1e-5)
    assert set(info) == {"loss/correctness", "loss/profile", "loss/counts", "loss/total"}
    close(info["loss/total"], task)


def test_a_model_without_controls():
    model = MODEL.clone(controls="none")
    state, batch = init_state(model, SGD, 3, LENGTH), BATCH._replace(controls=None)
    _, info = jax.jit(partial(train_step, recipe=recipe(model=model, prior=None)))(state, batch)
    expected = profile_loss(
        *jax.jit(model.apply)({"params": state.params}, batch.x), batch.profiles, count_weight=COUNT_WEIGHT
    )
    close(info["loss/correctness"], expected["correctness"])


# ---- weights of the input, held where the function is evaluated elsewhere


@jax.jit
def plain_deeplift(params, x, controls):
    """The contributions of one example to Σ weights · (logits − mean), the weights being numbers."""
    x, controls = x[None], controls[None]
    weights = profile_weights(MODEL.apply({"params": params}, x, controls).profile_logits)

    def f(x):
        logits = MODEL.apply({"params": params}, x, controls).profile_logits
        return jnp.sum(weights * (logits - logits.mean(2, keepdims=True)), axis=(1, 2, 3))

    background = jnp.full_like(x, 0.25) * x.sum(-1, keepdims=True)
    contributions = deeplift(f, x, background).sum(-1)[0] * x[0].sum(-1)
    return contributions, f(x)[0] - f(background)[0]


def test_deeplift_attributes_with_the_weights_of_the_input():
    """Summation to delta holds for a function with fixed weights, and for no other."""
    singles = [plain_deeplift(STATE.params, BATCH.x[row], BATCH.controls[row]) for row in range(ROWS)]
    contributions, change = zip(*singles, strict=True)
    np.testing.assert_allclose([c.sum() for c in contributions], change, rtol=1e-4)
    outputs_of = lambda x: apply(MODEL, {"params": STATE.params}, x, BATCH.controls)  # noqa: E731
    background = jnp.full_like(BATCH.x, 0.25) * BATCH.x.sum(-1, keepdims=True)
    free, fixed = (objective_of(PROBLEM, outputs_of, at=at) for at in (None, BATCH.x))
    np.testing.assert_array_equal(free(BATCH.x), fixed(BATCH.x))
    np.testing.assert_allclose((fixed(BATCH.x) - fixed(background))[:ROWS], change, rtol=1e-4)
    assert np.all(np.abs(free(background) - fixed(background)) > 1e-3)
    prior = losses(attribution=ATTRIBUTIONS["deeplift"])(STATE.params, BATCH)["prior"]
    close(prior, np.mean([PRIOR(jnp.abs(one)) for one in contributions]), rtol=1e-4)
    assert abs(prior - plain_gradients()[1][0]) > 1e-4


# ---- the problems themselves


def test_problems_are_values():
    """Equal where their settings are, so that jit compiles once."""
    for one, same, others in (
        (Labels(), LABELS, [Labels(class_averaged=False), Profiles()]),
        (Profiles(), Profiles(20.0, "probabilities"), [Profiles(1.0), Profiles(weighting="log_probabilities")]),
    ):
        assert one == same and hash(one) == hash(same)
        assert all(one != other for other in others)
    assert Recipe(MODEL, SGD).problem == Labels()


@pytest.mark.parametrize("weighting", PROFILE_WEIGHTS)
def test_profiles_name_losses_objective_and_weights(weighting):
    problem = Profiles(count_weight=2.0, weighting=weighting)
    rng = np.random.default_rng(0)
    outputs = ProfileOutputs(rng.normal(size=BATCH.profiles.shape), rng.normal(size=(2 * ROWS, 2, 2)))
    outputs = ProfileOutputs(*(jnp.asarray(array, jnp.float32) for array in outputs))
    close(problem.losses(outputs, BATCH), profile_loss(*outputs, BATCH.profiles, count_weight=2.0))
    np.testing.assert_array_equal(problem.weights(outputs), profile_weights(outputs.profile_logits, weighting))
    expected = [plain_objective(logits, weighting) for logits in outputs.profile_logits]
    close(problem.objective(outputs), jnp.stack(expected), rtol=1e-4)
    zeros = jnp.zeros_like(outputs.profile_logits)
    np.testing.assert_array_equal(problem.objective(outputs, zeros), 0)


def test_labels_name_losses_objective_and_weights():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2 * ROWS, 2)), jnp.float32)
    for averaged in (True, False):
        (loss,) = Labels(averaged).losses(logits, BATCH).values()
        close(loss, binary_cross_entropy(logits, BATCH.labels, class_averaged=averaged))
    np.testing.assert_array_equal(LABELS.objective(logits, LABELS.weights(logits)), logits.sum(1))


def test_apply_passes_controls_only_where_there_are_any():
    seen = []

    class Recorder:
        def apply(self, *arguments, **how):
            seen.append((arguments, how))

    apply(Recorder(), "variables", "x", None, train=False)
    apply(Recorder(), "variables", "x", "controls", train=True)
    assert seen == [(("variables", "x"), {"train": False}), (("variables", "x", "controls"), {"train": True})]
