"""The numbers of the authors' implementation, reproduced.

Parameters (lengths, limits, softness, model sizes) are read from key names and array shapes, so another archive of
the same kind serves as well. An array agrees when its largest deviation is below the tolerance times its largest
entry: 1e-4 for float32 gradients, 1e-5 for other float32 numbers, 1e-12 for float64 ones.
"""

import re
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import load_reference

from fprior import fourier_prior, input_gradient, smoothness_prior, sparsity_prior
from fprior.losses import binary_cross_entropy, masked_mean, profile_loss
from fprior.metrics.interpretability import (
    continuous_jaccard,
    cosine_similarity,
    gc_reliance,
    high_frequency_share,
    overlap_auprc,
    shannon_entropy,
    share_inside,
    summit_distance_spearman,
)
from fprior.metrics.performance import binary_performance
from fprior.models import BinaryModel, ProfileModel, from_torch_state
from fprior.objectives import profile_objective, summed_logits
from fprior.priors import smooth, track_of

GRADIENT, VALUE, DOUBLE = 1e-4, 1e-5, 1e-12

ARCHIVE = load_reference()
SMOOTH = r"smooth/sigma(?P<sigma>[\d.]+)"
FOURIER = r"(?P<group>prior/L\d+)/fourier_T(?P<limit>[\d.]+)_s(?P<softness>[\d.]+|None)_sigma(?P<sigma>[\d.]+)"
PAPER = FOURIER.replace("/fourier", "/paper_fourier") + "_per_example"
OTHER_PRIOR = r"(?P<group>prior/L\d+)/(?P<kind>smoothness|sparsity)"
BCE = r"bce/loss(?P<averaged>_class_averaged)?"
METRIC = r"binary_metrics/upsample(?P<factor>[\d.]+)/(?P<kind>\w+)"
CLEANNESS = r"interp/(?:high_frequency_sum_T|shannon_entropy_pseudocount)(?P<number>[\d.]+)"
PLACEMENT = r"interp/(?P<kind>summit_distance_spearman|fraction_in_mask|overlap_auprc)"
GC_RELIANCE = r"interp/(?P<kind>background_\w+)"
SIMILARITY = r"interp/(?P<kind>continuous_jaccard|cosine)"
TRAINING_LOSS = r"binary/train_loss_with_prior_T(?P<limit>[\d.]+)"
PROFILE_LOSS = r"profile_loss/(?P<kind>profile|count|total_weight(?P<weight>[\d.]+))"
PROFILE = r"profile/(?P<controls>\w+)/"
PROFILE_OUTPUT = PROFILE + r"(?P<kind>profile_logits|log_counts)"
PROFILE_GRADIENT = PROFILE + r"input_gradient_(?P<kind>prob|logprob)_weighted"
GRADIENT_PREFIX, WEIGHT_PREFIX = "binary/train_loss_grad/", "binary/weights/"


def keys(pattern: str) -> list[str]:
    return [key for key in ARCHIVE if re.fullmatch(pattern, key)]


def parts(pattern: str, key: str) -> dict[str, str]:
    return re.fullmatch(pattern, key).groupdict()


def assert_close(ours, theirs, tolerance: float) -> None:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    scale = np.max(np.abs(theirs))
    assert scale > 0
    deviation = np.max(np.abs(ours - theirs)) / scale
    assert deviation <= tolerance, f"relative deviation {deviation:.2e}"


def fourier_arguments(found: dict[str, str]) -> dict[str, float | None]:
    softness = None if found["softness"] == "None" else float(found["softness"])
    return {"freq_limit": float(found["limit"]), "softness": softness, "smooth_sigma": float(found["sigma"])}


def test_every_number_is_tested():
    """No key of the groups may escape: each is an input named here or an output that a test reads."""
    inputs = (
        r"smooth/input|prior/L\d+/(grad_times_input|status)|bce/(labels|logits)|binary_metrics/(labels|probabilities)"
        r"|profile_loss/(true_profiles|logits|log_counts)|profile/\w+/(input|controls|weights/.*)"
        r"|interp/(scores_a|scores_b|one_hot|mask|summits_padded)"
    )
    binary = r"binary/(input|labels|status|logits_eval|logits_train|input_gradient_eval|input_gradient_train)"
    model = rf"{re.escape(WEIGHT_PREFIX)}.*|{re.escape(GRADIENT_PREFIX)}.*"
    outputs = [SMOOTH, FOURIER, PAPER, OTHER_PRIOR, BCE, METRIC, TRAINING_LOSS]
    outputs += [PROFILE_LOSS, PROFILE_OUTPUT, PROFILE_GRADIENT, CLEANNESS, PLACEMENT, GC_RELIANCE, SIMILARITY]
    known = "|".join(f"(?:{re.sub(r'[?]P<[a-z]+>', '', pattern)})" for pattern in [*outputs, inputs, binary, model])
    groups = ("smooth/", "prior/", "bce/", "binary/", "binary_metrics/", "profile_loss/", "profile/", "interp/")
    of_groups = {key for key in ARCHIVE if key.startswith(groups)}
    assert of_groups == set(keys(known)) & of_groups
    for pattern in [*outputs, model]:
        assert keys(pattern), pattern


@pytest.mark.parametrize("key", keys(SMOOTH))
def test_smooth(key):
    sigma = float(parts(SMOOTH, key)["sigma"])
    assert_close(smooth(jnp.asarray(ARCHIVE["smooth/input"]), sigma), ARCHIVE[key], VALUE)


@pytest.mark.parametrize("key", keys(FOURIER))
def test_fourier_prior_of_the_authors_code(key):
    found = parts(FOURIER, key)
    track = track_of(ARCHIVE[f"{found['group']}/grad_times_input"])
    loss = fourier_prior(track, normalization="reference", **fourier_arguments(found))
    assert loss.dtype == jnp.float32
    assert_close(masked_mean(loss, ARCHIVE[f"{found['group']}/status"] == 1), ARCHIVE[key], VALUE)


@pytest.mark.parametrize("key", keys(PAPER))
def test_fourier_prior_of_the_paper(key):
    found = parts(PAPER, key)
    with jax.enable_x64(True):
        attribution = ARCHIVE[f"{found['group']}/grad_times_input"].astype(np.float64)
        loss = fourier_prior(track_of(attribution), **fourier_arguments(found))
        assert loss.dtype == jnp.float64
        assert_close(loss, ARCHIVE[key], DOUBLE)


@pytest.mark.parametrize("key", keys(OTHER_PRIOR))
def test_other_priors(key):
    found = parts(OTHER_PRIOR, key)
    track = track_of(ARCHIVE[f"{found['group']}/grad_times_input"])
    kept = ARCHIVE[f"{found['group']}/status"] == 1
    if found["kind"] == "smoothness":
        loss = smoothness_prior(track)
    else:
        loss = sparsity_prior(track)
        kept &= np.asarray(track.sum(-1) > 0)  # 0/0 in the authors' code
    assert_close(masked_mean(loss, kept), ARCHIVE[key], VALUE)


@pytest.mark.parametrize("key", keys(BCE))
def test_binary_cross_entropy(key):
    averaged = parts(BCE, key)["averaged"] is not None
    loss = binary_cross_entropy(ARCHIVE["bce/logits"], ARCHIVE["bce/labels"], class_averaged=averaged)
    assert_close(loss, ARCHIVE[key], VALUE)


@pytest.mark.parametrize("key", keys(METRIC))
def test_binary_metrics(key):
    ours = {
        "acc": "accuracy",
        "pos_acc": "positive_accuracy",
        "neg_acc": "negative_accuracy",
        "auroc": "auroc",
        "precis_score": "precision",
        "recall_score": "recall",
        "auprc": "auprc",
        "c_precis_score": "corrected_precision",
        "c_recall_score": "recall",  # down-sampled negatives do not touch it
        "c_auprc": "corrected_auprc",
    }
    found = parts(METRIC, key)
    measures = binary_performance(
        ARCHIVE["binary_metrics/labels"],
        ARCHIVE["binary_metrics/probabilities"],
        negative_upsampling=float(found["factor"]),
    )
    assert_close(measures[ours[found["kind"]]], ARCHIVE[key], DOUBLE)


def interpretability_track() -> np.ndarray:
    return np.abs(np.sum(ARCHIVE["interp/scores_a"] * ARCHIVE["interp/one_hot"], axis=-1))


@pytest.mark.parametrize("key", keys(CLEANNESS))
def test_cleanness(key):
    measure = high_frequency_share if "high_frequency" in key else shannon_entropy
    assert_close(measure(interpretability_track(), float(parts(CLEANNESS, key)["number"])), ARCHIVE[key], DOUBLE)


@pytest.mark.parametrize("key", keys(PLACEMENT))
def test_placement(key):
    measure, where = {
        "summit_distance_spearman": (summit_distance_spearman, "summits_padded"),
        "fraction_in_mask": (share_inside, "mask"),
        "overlap_auprc": (overlap_auprc, "mask"),
    }[parts(PLACEMENT, key)["kind"]]
    assert_close(measure(interpretability_track(), ARCHIVE[f"interp/{where}"]), ARCHIVE[key], DOUBLE)


@pytest.mark.parametrize("key", keys(GC_RELIANCE))
def test_gc_reliance(key):
    ours = gc_reliance(ARCHIVE["interp/scores_a"], ARCHIVE["interp/mask"])
    assert_close(ours[parts(GC_RELIANCE, key)["kind"]], ARCHIVE[key], DOUBLE)


@pytest.mark.parametrize("key", keys(SIMILARITY))
def test_similarity(key):
    similarity = {"cosine": cosine_similarity, "continuous_jaccard": continuous_jaccard}
    ours = similarity[parts(SIMILARITY, key)["kind"]](ARCHIVE["interp/scores_a"], ARCHIVE["interp/scores_b"])
    assert_close(ours, ARCHIVE[key], DOUBLE)


# The binary model.


def arrays_under(prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in ARCHIVE.items() if key.startswith(prefix)}


@cache
def binary_model() -> BinaryModel:
    weights = arrays_under(WEIGHT_PREFIX)

    def shapes(kind: str, dimensions: int) -> list[tuple[int, ...]]:
        names = sorted(
            (n for n in weights if re.fullmatch(rf"{kind}\.\d+\.weight", n)), key=lambda n: int(n.split(".")[1])
        )
        return [weights[name].shape for name in names if weights[name].ndim == dimensions]

    convolutions = shapes("conv_layers", 3)
    return BinaryModel(
        num_tasks=len(weights["out_map_fc.bias"]),
        filters=tuple(shape[0] for shape in convolutions),
        widths=tuple(shape[2] for shape in convolutions),
        dense_sizes=tuple(shape[0] for shape in shapes("fc_layers", 2)),
    )


def variables(dtype=jnp.float32):
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), from_torch_state(binary_model(), arrays_under(WEIGHT_PREFIX)))


@jax.jit
def evaluation(of, x):
    """Logits, and the input gradient of their sum, with running statistics."""

    def objective(x):
        logits = binary_model().apply(of, x)
        return summed_logits(logits), logits

    gradient, logits = input_gradient(objective, x, times_input=False, has_aux=True)
    return logits, gradient


@jax.jit
def training(of, x):
    """Logits, input gradient of their sum, and updated statistics, with the batch's statistics."""

    def objective(x):
        logits, changed = binary_model().apply(of, x, train=True, mutable=["batch_stats"])
        return summed_logits(logits), (logits, changed["batch_stats"])

    gradient, (logits, statistics) = input_gradient(objective, x, times_input=False, has_aux=True)
    return logits, gradient, statistics


def before_the_training_pass(of, x):
    """The variables with the running statistics as they were before the training pass on x.

    That pass set new = 0.9 · old + 0.1 · batch, in both frameworks; a pass of ours gives the batch's.
    """
    saved, once_more = of["batch_stats"], training(of, x)[2]
    batch = jax.tree.map(lambda updated, kept: (updated - 0.9 * kept) / 0.1, once_more, saved)
    old = jax.tree.map(lambda new, seen: (new - 0.1 * seen) / 0.9, saved, batch)
    return {"params": of["params"], "batch_stats": old}


def test_evaluation():
    """Logits and input gradients with running statistics.

    The archive's statistics were saved after the training pass that made its `train` numbers, which came after the
    `eval` numbers, so that one update is undone first (in float64, because it divides a small difference).
    """
    with jax.enable_x64(True):
        x = jnp.asarray(ARCHIVE["binary/input"], jnp.float64)
        earlier = before_the_training_pass(variables(jnp.float64), x)
    single = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float32), earlier)
    logits, gradient = evaluation(single, jnp.asarray(ARCHIVE["binary/input"]))
    assert_close(logits, ARCHIVE["binary/logits_eval"], VALUE)
    assert_close(gradient, ARCHIVE["binary/input_gradient_eval"], GRADIENT)


def test_training_logits():
    assert_close(training(variables(), ARCHIVE["binary/input"])[0], ARCHIVE["binary/logits_train"], VALUE)


def test_training_input_gradient_is_zero():
    """With the batch's statistics the summed logits of a batch do not depend on its input.

    The last hidden layer is batch-normalised: over the batch, each of its values sums to B times the layer's bias,
    whatever the input. The logits are linear in them, so the gradient of their sum is exactly zero, and
    `binary/input_gradient_train` is the rounding noise of the program that made it, which no other can reproduce.
    Held to instead: ours vanishes in float64, theirs is noise beside the evaluation gradient.
    """
    size = np.max(np.abs(ARCHIVE["binary/input_gradient_eval"]))
    with jax.enable_x64(True):
        _, gradient, _ = training(variables(jnp.float64), jnp.asarray(ARCHIVE["binary/input"], jnp.float64))
        assert np.max(np.abs(gradient)) < 1e-12 * size
    assert 0 < np.max(np.abs(ARCHIVE["binary/input_gradient_train"])) < 1e-4 * size


@pytest.mark.parametrize("key", keys(TRAINING_LOSS))
def test_training_loss(key):
    """Our cross entropy on our training logits plus our prior on the archive's own input gradient.

    The gradient is the noise of `test_training_input_gradient_is_zero`, but the prior of a given track is a definite
    number (it does not depend on the track's scale), and the published loss contains it.
    """
    logits = training(variables(), ARCHIVE["binary/input"])[0]
    track = track_of(ARCHIVE["binary/input_gradient_train"] * ARCHIVE["binary/input"])
    limit = float(parts(TRAINING_LOSS, key)["limit"])
    prior = fourier_prior(track, freq_limit=limit, softness=0.2, smooth_sigma=3.0, normalization="reference")
    loss = binary_cross_entropy(logits, ARCHIVE["binary/labels"])
    assert_close(loss + masked_mean(prior, ARCHIVE["binary/status"] == 1), ARCHIVE[key], VALUE)


def test_training_loss_gradient():
    """The parameter gradients of the training loss, as far as they are definite numbers.

    The prior's share of `train_loss_grad` differentiates the noise of `test_training_input_gradient_is_zero` and
    cannot be reproduced. The input gradient does not depend on two parameters, the bias of the last batch norm and
    that of the output layer; there the loss's gradient is the cross entropy's alone.
    """
    of = variables()

    @jax.jit
    @jax.grad
    def gradient(params):
        at = {"params": params, "batch_stats": of["batch_stats"]}
        logits, _ = binary_model().apply(at, ARCHIVE["binary/input"], train=True, mutable=["batch_stats"])
        return binary_cross_entropy(logits, ARCHIVE["binary/labels"])

    theirs = arrays_under(GRADIENT_PREFIX)
    statistics = {name: value for name, value in arrays_under(WEIGHT_PREFIX).items() if "running_" in name}
    theirs = from_torch_state(binary_model(), {**theirs, **statistics})["params"]  # also: none is missing or misshapen
    ours = gradient(of["params"])
    last = f"BatchNorm_{len(of['batch_stats']) - 1}"
    assert_close(ours[last]["bias"], theirs[last]["bias"], GRADIENT)
    assert_close(ours["logits"]["Dense_0"]["bias"], theirs["logits"]["Dense_0"]["bias"], GRADIENT)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(theirs))


# The profile model.


@pytest.mark.parametrize("key", keys(PROFILE_LOSS))
def test_profile_loss(key):
    found = parts(PROFILE_LOSS, key)
    weight = 1.0 if found["weight"] is None else float(found["weight"])
    arrays = (ARCHIVE[f"profile_loss/{name}"] for name in ("logits", "log_counts", "true_profiles"))
    losses = profile_loss(*arrays, count_weight=weight)
    assert_close(
        losses[{"profile": "profile", "count": "counts"}.get(found["kind"], "correctness")], ARCHIVE[key], VALUE
    )


@cache
def profile_outputs(controls: str):
    """Logits, counts, and the input gradient of the objective for each weighting, in one program."""
    group = f"profile/{controls}/"
    arrays, weights = arrays_under(group), arrays_under(f"{group}weights/")
    _, tasks, length, strands = arrays["profile_logits"].shape
    layers = sum(bool(re.fullmatch(r"dil_convs\.\d+\.weight", name)) for name in weights)
    model = ProfileModel(
        num_tasks=tasks,
        num_strands=strands,
        controls=controls,
        output_length=length,
        filters=weights["dil_convs.0.weight"].shape[0],
        first_width=weights["dil_convs.0.weight"].shape[2],
        width=weights["dil_convs.1.weight"].shape[2],
        dilations=tuple(2**i for i in range(layers)),
        profile_width=weights["prof_large_conv.weight"].shape[2],
        control_counts="raw",
    )
    assert model.shortest_input() == arrays["input"].shape[1]
    of = from_torch_state(model, weights)
    given = [] if controls == "none" else [arrays["controls"]]

    @jax.jit
    def evaluate(x):
        def objective(x, weighting):
            outputs = model.apply(of, x, *given)
            return jnp.sum(profile_objective(outputs.profile_logits, weighting)), outputs

        found = {}
        for name, weighting in (("prob", "probabilities"), ("logprob", "log_probabilities")):
            of_x = lambda x, weighting=weighting: objective(x, weighting)  # noqa: E731
            found[name], outputs = input_gradient(of_x, x, times_input=False, has_aux=True)
        return {**found, **outputs._asdict()}

    return evaluate(jnp.asarray(arrays["input"]))


@pytest.mark.parametrize("key", keys(PROFILE_OUTPUT) + keys(PROFILE_GRADIENT))
def test_profile_model(key):
    pattern, tolerance = (PROFILE_GRADIENT, GRADIENT) if "input_gradient" in key else (PROFILE_OUTPUT, VALUE)
    found = parts(pattern, key)
    assert_close(profile_outputs(found["controls"])[found["kind"]], ARCHIVE[key], tolerance)
