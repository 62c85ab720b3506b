"""The profile model against a plain forward pass in PyTorch's layout, and what it must and must not depend on."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.errors import InputError
from fprior.models import ProfileModel, ProfileOutputs, from_torch_state
from fprior.objectives import profile_objective, profile_weights

MODEL = ProfileModel(
    num_tasks=2,
    num_strands=2,
    controls="matched",
    output_length=6,
    filters=3,
    first_width=5,
    dilations=(1, 2, 4),
    profile_width=3,
)
REACH = 2 * 1 + 1 * 2 + 1 * 4 + 1  # bases that a position of the profile sees on either side of itself
LENGTH = 6 + 2 * REACH
SETS = {"none": 0, "shared": 1, "matched": 2}
KINDS = [
    MODEL,
    MODEL.clone(control_counts="raw"),
    MODEL.clone(controls="shared", num_strands=1),
    MODEL.clone(controls="shared", num_tasks=3),
    MODEL.clone(controls="none", num_strands=1),
    MODEL.clone(controls="none", dilations=(3, 1), width=5, filters=2, num_tasks=1),
]


def torch_state(model, seed=0):
    """Random weights under the names and in the layout of the authors' code."""
    rng = np.random.default_rng(seed)
    columns = model.num_tasks * model.num_strands
    inputs = model.num_strands * (1 if model.controls == "none" else 2)
    shapes = {"dil_convs.0": (model.filters, 4, model.first_width)}
    for i in range(1, len(model.dilations)):
        shapes[f"dil_convs.{i}"] = (model.filters, model.filters, model.width)
    shapes["prof_large_conv"] = (columns, model.filters, model.profile_width)
    shapes["count_dense"] = (columns, model.filters)
    shapes["prof_one_conv"] = shapes["count_one_conv"] = (columns, inputs, 1)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        state[f"{name}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
    return state


def same_convolution(x, kernel, bias, dilation):
    """Channels first, zeros beyond the ends, tap by tap."""
    length, middle = x.shape[2], kernel.shape[2] // 2
    out = np.repeat(np.repeat(bias[None, :, None], len(x), 0), length, 2).astype(np.float64)
    for tap in range(kernel.shape[2]):
        for position in range(length):
            seen = position + (tap - middle) * dilation
            if 0 <= seen < length:
                out[:, :, position] += x[:, :, seen] @ kernel[:, :, tap].T
    return out


def plain_forward(model, state, x, controls=None):
    """The layers keep the input's length; in the end the positions that saw no padding are kept, as the authors do."""
    total = x = np.asarray(x, np.float64).swapaxes(1, 2)
    for i, dilation in enumerate(model.dilations):
        out = same_convolution(total, state[f"dil_convs.{i}.weight"], state[f"dil_convs.{i}.bias"], dilation)
        out = np.maximum(out, 0)
        total = total + out if i else out
    widths = [model.first_width] + [model.width] * (len(model.dilations) - 1)
    edge = sum(width // 2 * dilation for width, dilation in zip(widths, model.dilations, strict=True))
    kept = out[:, :, edge : out.shape[2] - edge]
    tracks = same_convolution(kept, state["prof_large_conv.weight"], state["prof_large_conv.bias"], 1)
    first = (x.shape[2] - model.output_length) // 2 - edge
    tracks = tracks[:, :, first : first + model.output_length]
    counts = kept.mean(2) @ state["count_dense.weight"].T + state["count_dense.bias"]
    logits, log_counts = [], []
    for task in range(model.num_tasks):
        rows = slice(task * model.num_strands, (task + 1) * model.num_strands)
        mixed, numbers = [tracks[:, rows]], [counts[:, rows]]
        if model.controls != "none":
            own = np.asarray(controls, np.float64)[:, task if model.controls == "matched" else 0].swapaxes(1, 2)
            sums = own.sum(2)
            mixed.append(own)
            numbers.append(sums if model.control_counts == "raw" else np.log1p(sums))
        mixed, numbers = np.concatenate(mixed, 1), np.concatenate(numbers, 1)
        kernel, bias = state["prof_one_conv.weight"][rows, :, 0], state["prof_one_conv.bias"][rows]
        logits.append(np.einsum("bio,si->bos", mixed, kernel) + bias)
        kernel, bias = state["count_one_conv.weight"][rows, :, 0], state["count_one_conv.bias"][rows]
        log_counts.append(numbers @ kernel.T + bias)
    return ProfileOutputs(np.stack(logits, 1), np.stack(log_counts, 1))


def inputs_of(model, length=LENGTH, batch=4, seed=1):
    """One-hot x with an unknown base, and controls if the model reads them: the arguments of a call."""
    rng = np.random.default_rng(seed)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (batch, length))]
    x[0, length // 2] = 0
    sets = {**SETS, "matched": model.num_tasks}[model.controls]
    controls = rng.poisson(2, (batch, sets, model.output_length, model.num_strands)).astype(np.float32)
    return [x, controls] if sets else [x]


@functools.cache
def apply_of(model):
    return jax.jit(model.apply)


@functools.cache
def variables_of(model):
    return from_torch_state(model, torch_state(model))


STATE, VARIABLES = torch_state(MODEL), variables_of(MODEL)
X, CONTROLS = inputs_of(MODEL)


def outputs_of(x=X, controls=CONTROLS, variables=VARIABLES):
    return apply_of(MODEL)(variables, x, controls)


def close(a, b, tolerance=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), a, b)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# ---- the plain version


@pytest.mark.parametrize("model", KINDS, ids=range(len(KINDS)))
def test_plain_forward_pass(model):
    """Also where the input is longer than it must be, by an odd number of bases."""
    for length in (model.shortest_input(), model.shortest_input() + 5):
        arguments = inputs_of(model, length)
        found = apply_of(model)(variables_of(model), *arguments)
        tasks, strands = model.num_tasks, model.num_strands
        assert found.profile_logits.shape == (4, tasks, model.output_length, strands)
        assert found.log_counts.shape == (4, tasks, strands)
        assert {array.dtype for array in found} == {jnp.dtype("float32")}
        expected = plain_forward(model, torch_state(model), *arguments)
        close(found, expected)
        assert all(np.std(array) > 0.01 for array in expected)


def test_loaded_variables_have_the_structure_of_initial_ones():
    for model in KINDS:
        initial = jax.eval_shape(model.init, jax.random.key(0), *inputs_of(model, model.shortest_input()))
        assert jax.tree.structure(dict(initial)) == jax.tree.structure(variables_of(model))
        described = [jax.tree.map(lambda a: (a.shape, a.dtype), tree) for tree in (dict(initial), variables_of(model))]
        assert described[0] == described[1]


def test_a_missing_array_is_named():
    for name in STATE:
        with pytest.raises(InputError, match=rf"mapping_of_arrays has no '{name}'"):
            from_torch_state(MODEL, {key: value for key, value in STATE.items() if key != name})


def test_a_misshapen_array_is_named():
    """Each in turn, with one more entry along its first axis, and with an axis too many."""
    for name, value in STATE.items():
        for wrong in (np.concatenate([value, value[:1]]), value[None]):
            with pytest.raises(InputError, match=rf"^{name} has shape \({wrong.shape[0]},.*the model needs"):
                from_torch_state(MODEL, {**STATE, name: wrong})


def test_a_state_of_another_model_is_refused():
    with pytest.raises(InputError, match=r"that the model does not: \['dil_convs.2.bias', 'dil_convs.2.weight'\]"):
        from_torch_state(MODEL.clone(dilations=(1, 2)), STATE)
    with pytest.raises(InputError, match=r"prof_one_conv.weight has shape \(4, 4, 1\), the model needs \(4, 2, 1\)"):
        from_torch_state(MODEL.clone(controls="none"), STATE)
    with pytest.raises(InputError, match=r"prof_large_conv.weight has shape \(4, 3, 3\)"):
        from_torch_state(MODEL.clone(num_tasks=1), STATE)


def test_loading_changes_nothing_of_what_it_is_given():
    copy = {name: np.array(value) for name, value in STATE.items()}
    from_torch_state(MODEL, copy)
    assert copy.keys() == STATE.keys()
    assert all(np.array_equal(copy[name], STATE[name]) for name in STATE)


# ---- what an output looks at


@functools.cache
def jacobians():
    """Of task 0, + strand: every logit, and the count, by x and the controls."""

    def outputs(x, controls, variables):
        logits, log_counts = MODEL.apply(variables, x[None], controls[None])
        return logits[0, 0, :, 0], log_counts[0, 0, 0]

    return jax.jit(jax.jacrev(outputs, argnums=(0, 1)))


def positive_variables():
    """All weights above 0: no ReLU is off, and nothing cancels."""
    return jax.tree.map(lambda leaf: np.abs(leaf) + np.float32(0.1), VARIABLES)


def test_a_position_sees_its_window_and_all_of_it():
    for length in (LENGTH, LENGTH + 3):
        x, controls = inputs_of(MODEL, length)
        (by_x, _), (counts_by_x, _) = jacobians()(x[1], controls[1], positive_variables())
        seen = np.asarray(by_x) != 0
        centre = np.arange(6) + (length - 6) // 2
        window = np.abs(np.arange(length) - centre[:, None]) <= REACH
        np.testing.assert_array_equal(seen, np.repeat(window[:, :, None], 4, 2))
        assert np.all(np.asarray(counts_by_x) > 0)  # of the whole input, also where the profile does not reach


def test_the_profile_of_a_longer_input_is_that_of_its_middle():
    x, controls = inputs_of(MODEL, LENGTH + 3)
    whole, middle = outputs_of(x, controls), outputs_of(x[:, 1 : 1 + LENGTH], controls)
    close(whole.profile_logits, middle.profile_logits, 1e-6)
    assert np.max(np.abs(whole.log_counts - middle.log_counts)) > 1e-4


def test_a_task_sees_its_own_controls_at_the_position_itself():
    (_, by_controls), (_, counts_by_controls) = jacobians()(X[1], CONTROLS[1], positive_variables())
    expected = np.zeros((6, 2, 6, 2), bool)
    expected[np.arange(6), 0, np.arange(6)] = True  # both strands
    np.testing.assert_array_equal(np.asarray(by_controls) != 0, expected)
    counts_by_controls = np.asarray(counts_by_controls)
    assert np.all(counts_by_controls[0] > 0) and not counts_by_controls[1].any()


@pytest.mark.parametrize("name", ["profile_logits", "log_counts"])
def test_a_task_has_a_mixing_of_its_own(name):
    changed = jax.tree.map(np.array, VARIABLES)
    changed["params"][name]["kernel"][1] += 1
    changed["params"][name]["bias"][1] += 1
    before, after = (getattr(outputs_of(variables=variables), name) for variables in (VARIABLES, changed))
    same(after[:, 0], before[:, 0])
    assert np.all(np.abs(after[:, 1] - before[:, 1]) > 1e-3)
    other = {"profile_logits": "log_counts", "log_counts": "profile_logits"}[name]
    same(getattr(outputs_of(variables=changed), other), getattr(outputs_of(), other))


def test_shared_controls_are_the_same_for_every_task():
    shared = MODEL.clone(controls="shared")
    once = CONTROLS[:, :1]
    close(apply_of(shared)(VARIABLES, X, once), outputs_of(controls=np.repeat(once, 2, 1)), 1e-6)


def test_without_controls_it_is_the_model_whose_mixing_does_not_read_them():
    blind = jax.tree.map(np.array, VARIABLES)
    for name in ("profile_logits", "log_counts"):
        blind["params"][name]["kernel"][:, 2:] = 0
    without = jax.tree.map(np.array, VARIABLES)
    for name in ("profile_logits", "log_counts"):
        without["params"][name]["kernel"] = without["params"][name]["kernel"][:, :2]
    close(apply_of(MODEL.clone(controls="none"))(without, X), outputs_of(variables=blind), 1e-6)


def test_control_counts_enter_as_logarithms_or_raw():
    """Of the count head alone; and of controls without reads both are 0."""
    raw = apply_of(MODEL.clone(control_counts="raw"))
    logarithmic, plain = outputs_of(), raw(VARIABLES, X, CONTROLS)
    same(plain.profile_logits, logarithmic.profile_logits)
    kernel = VARIABLES["params"]["log_counts"]["kernel"][:, 2:]
    sums = CONTROLS.sum(2)
    close(plain.log_counts - logarithmic.log_counts, np.einsum("btj,tjs->bts", sums - np.log1p(sums), kernel), 1e-4)
    same(raw(VARIABLES, X, 0 * CONTROLS), outputs_of(controls=0 * CONTROLS))


def test_controls_of_any_number_type():
    close(outputs_of(controls=CONTROLS.astype(np.uint16)), outputs_of(), 1e-6)


def test_examples_do_not_mix():
    found = outputs_of()
    close(outputs_of(X[::-1], CONTROLS[::-1]), jax.tree.map(lambda a: a[::-1], found), 1e-6)
    others = np.array([0, 1, 3])
    for broken in ({"x": np.array(X)}, {"controls": np.array(CONTROLS)}):
        for array in broken.values():
            array[2] = np.nan
        outputs = outputs_of(**broken)
        close(jax.tree.map(lambda a: a[others], outputs), jax.tree.map(lambda a: a[others], found), 1e-6)
        assert all(np.all(np.isnan(a[2])) for a in outputs)


def test_training_is_evaluation():
    """And it has no statistics to change."""
    train = jax.jit(functools.partial(MODEL.apply, train=True, mutable=["batch_stats", "batch_moments"]))
    trained, changed = train(VARIABLES, X, CONTROLS)
    close(trained, outputs_of(), 1e-6)
    assert not changed


def test_the_shortest_input():
    assert MODEL.shortest_input() == LENGTH == 24
    assert ProfileModel().shortest_input() == 1346
    shapes = jax.eval_shape(ProfileModel().init, jax.random.key(0), jnp.zeros((1, 1346, 4)))["params"]
    assert shapes["Conv_0"]["kernel"].shape == (21, 4, 64) and shapes["Conv_6"]["kernel"].shape == (3, 64, 64)
    assert shapes["profile"]["kernel"].shape == (75, 64, 2)


# ---- parameters and derivatives


def test_initial_parameters():
    """Within ±1/√(inputs) and filling that range, whatever the layer; the tasks' mixings are drawn apart."""
    model = MODEL.clone(num_tasks=24, filters=12, first_width=7, dilations=(1, 2))
    params = jax.jit(model.init)(jax.random.key(0), *inputs_of(model, model.shortest_input()))["params"]
    fan_ins = {"Conv_0": 28, "Conv_1": 36, "profile": 36, "counts": 12, "profile_logits": 4, "log_counts": 4}
    assert set(params) == set(fan_ins)
    for name, fan_in in fan_ins.items():
        for leaf in jax.tree.leaves(params[name]):
            assert np.max(np.abs(leaf)) <= 1 / np.sqrt(fan_in)
            assert np.max(np.abs(leaf)) > 0.75 / np.sqrt(fan_in)
            assert np.min(leaf) < 0 < np.max(leaf)
    kernels = np.asarray(params["profile_logits"]["kernel"]).reshape(24, -1)
    assert len(np.unique(kernels, axis=0)) == 24


def track_size(variables, x, controls, weights="probabilities"):
    """A curved function of the input gradient, as an attribution prior is."""
    gradient = jax.grad(lambda x: jnp.sum(profile_objective(MODEL.apply(variables, x, controls)[0], weights)))(x)
    return jnp.sum((gradient * x).sum(-1) ** 2)


def test_second_derivative_numerically():
    """Along one direction of all parameters, in double precision; the objective's weights are constants throughout."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), VARIABLES)
        way = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), wide)
        x, controls = jnp.asarray(X, jnp.float64), jnp.asarray(CONTROLS, jnp.float64)

        def of(size, weights="probabilities"):
            return track_size(jax.tree.map(lambda a, b: a + size * b, wide, way), x, controls, weights)

        analytic = jax.jit(jax.grad(of))(0.0)
        weights = profile_weights(MODEL.apply(wide, x, controls)[0])
        with_these = jax.jit(lambda size: of(size, weights))
        assert abs(analytic) > 1e-3
        np.testing.assert_allclose((with_these(1e-6) - with_these(-1e-6)) / 2e-6, analytic, rtol=1e-5)


def test_second_derivative_is_finite():
    """Also with unknown bases alone and biases of 0, where every ReLU is at its kink."""
    at_kinks = jax.tree.map(np.array, VARIABLES)
    for i in range(3):
        at_kinks["params"][f"Conv_{i}"]["bias"][:] = 0
    second = jax.jit(jax.grad(track_size))
    for variables, x in ((VARIABLES, X), (at_kinks, 0 * X), (at_kinks, X)):
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(second(variables, x, CONTROLS)))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(second(VARIABLES, X, CONTROLS)))


def test_bfloat16_computes_the_trunk_and_returns_float32():
    """Eight bits of mantissa: 2^-8 a layer, of three and their sums; the heads are in float32."""
    half = apply_of(MODEL.clone(dtype=jnp.bfloat16))
    exact, rounded = outputs_of(), half(VARIABLES, X, CONTROLS)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.dtype == jnp.float32
        assert 0 < np.max(np.abs(ours - theirs)) < 5 * 2**-8 * np.max(np.abs(theirs))
    text = half.lower(VARIABLES, X, CONTROLS).as_text()
    convolutions = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert ["bf16" in line and "f32" not in line for line in convolutions] == [True] * 3 + [False]
    initial = jax.eval_shape(MODEL.clone(dtype=jnp.bfloat16).init, jax.random.key(0), X, CONTROLS)
    assert {leaf.dtype for leaf in jax.tree.leaves(initial)} == {jnp.dtype("float32")}


# ---- wrong inputs


@pytest.mark.parametrize(
    ("change", "x", "controls", "message"),
    [
        ({"controls": "paired"}, X, CONTROLS, r"controls \(='paired'\) must be one of"),
        ({"control_counts": "square"}, X, CONTROLS, r"control_counts \(='square'\) one of"),
        ({"dilations": ()}, X, CONTROLS, r"dilations \(=\(\)\) must not be empty"),
        ({"first_width": 4}, X, CONTROLS, r"first_width \(=4\).* must be odd"),
        ({"width": 2}, X, CONTROLS, r"width \(=2\).* must be odd"),
        ({"profile_width": 6}, X, CONTROLS, r"profile_width \(=6\) must be odd"),
        ({}, X[:, 1:], CONTROLS, r"x has length 23; output_length \(=6\) .* needs at least 24"),
        ({}, X, None, r"controls \(shape None\) must be \(4, 2, 6, 2\) for controls='matched'"),
        ({}, X, CONTROLS[:, :1], r"controls \(shape \(4, 1, 6, 2\)\) must be \(4, 2, 6, 2\)"),
        ({}, X, CONTROLS[:1], r"controls \(shape \(1, 2, 6, 2\)\)"),
        ({}, X, CONTROLS[:, :, 1:], r"controls \(shape \(4, 2, 5, 2\)\)"),
        ({}, X, CONTROLS[..., :1], r"controls \(shape \(4, 2, 6, 1\)\)"),
        ({"controls": "shared"}, X, CONTROLS, r"must be \(4, 1, 6, 2\) for controls='shared'"),
        ({"controls": "none"}, X, CONTROLS, r"must be None for controls='none'"),
    ],
)
def test_errors_name_the_argument(change, x, controls, message):
    model = MODEL.clone(**change)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), x, controls)
