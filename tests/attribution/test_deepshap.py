"""DeepSHAP against its definition, one pair at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fprior.attribution.deeplift import deeplift
from fprior.attribution.deepshap import deepshap, make_references
from fprior.models import BinaryModel
from fprior.sequence import one_hot

B, G, LENGTH = 5, 3, 40
MODEL = BinaryModel(filters=(6, 5), widths=(5, 4), pool_size=6, dense_sizes=(7,))
KEY = jax.random.key(2)


@pytest.fixture(scope="module")
def x() -> jax.Array:
    tokens = np.random.default_rng(0).integers(0, 4, (B, LENGTH))
    tokens[1, 7] = 4
    return one_hot(jnp.asarray(tokens))


@pytest.fixture(scope="module")
def f(x):
    variables = MODEL.init(jax.random.key(0), x)
    statistics = jax.tree.map(lambda leaf: leaf * 1.3 + 0.2, variables["batch_stats"])
    return lambda x: jnp.sum(MODEL.apply({**variables, "batch_stats": statistics}, x), axis=-1)


@pytest.fixture(scope="module")
def references(x) -> jax.Array:
    return make_references(x, "shuffle", num_references=G, key=KEY)


@pytest.fixture(scope="module")
def one_by_one(f, x, references) -> tuple[np.ndarray, np.ndarray]:
    """Hypothetical contributions and contributions, by the sums of their definitions."""
    multipliers = jax.jit(lambda x, reference: deeplift(f, x, reference, return_multipliers=True))
    hypothetical, contributions = np.zeros((2, B, LENGTH, 4))
    for b in range(B):
        for g in range(G):
            m, r = (
                np.asarray(a)[0] for a in (multipliers(x[b : b + 1], references[b, g][None]), references[b, g][None])
            )
            contributions[b] += m * (np.asarray(x[b]) - r) / G
            for base in range(4):
                hypothetical[b, :, base] += (m * (np.eye(4)[base] - r)).sum(-1) / G
    return hypothetical, contributions


def test_is_the_mean_of_the_pairs(f, x, references, one_by_one):
    for kind, expected in zip((True, False), one_by_one, strict=True):
        found = deepshap(f, x, references=references, hypothetical=kind)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pairs_per_call", [1, 2 * G, 4 * G + 1])
def test_small_calls_give_the_same(f, x, references, one_by_one, pairs_per_call):
    """Chunks of one, two and four examples of five; the last is filled up."""
    call = jax.jit(lambda x, r: deepshap(f, x, references=r, pairs_per_call=pairs_per_call, return_completeness=True))
    found, error = call(x, references)
    np.testing.assert_allclose(found, one_by_one[0], rtol=1e-4, atol=1e-6)
    assert error.shape == (B,)


def test_memory_budget_bounds_the_pairs_of_a_call(f, x, references):
    def largest_batch(budget: float) -> int:
        jaxpr = jax.make_jaxpr(lambda x, r: deepshap(f, x, references=r, memory_budget=budget))(x, references)
        (loops,) = [[e for e in jaxpr.eqns if e.primitive.name == "scan"]]
        return -(-B // loops[0].params["length"]) if loops else B

    assert largest_batch(1e9) == B and largest_batch(1) == 1


def test_completeness(f, x, references):
    contributions, error = deepshap(f, x, references=references, hypothetical=False, return_completeness=True)
    change = f(x) - jnp.mean(jax.vmap(f, in_axes=1, out_axes=1)(references), axis=1)
    np.testing.assert_allclose(contributions.sum((1, 2)) - error, change, rtol=1e-5, atol=1e-6)
    assert np.max(np.abs(error)) < 1e-5 * np.max(np.abs(change))


def test_hypothetical_times_the_sequence_is_what_its_positions_contribute(f, x, references):
    hypothetical = deepshap(f, x, references=references)
    contributions = deepshap(f, x, references=references, hypothetical=False)
    known = np.asarray(x.sum(-1)) == 1
    np.testing.assert_allclose((hypothetical * x).sum(-1)[known], contributions.sum(-1)[known], rtol=1e-4, atol=1e-6)


def test_shared_references_and_ways_to_make_them(f, x):
    shared = one_hot(jnp.asarray(np.random.default_rng(1).integers(0, 4, (G, LENGTH))))
    everyone = jnp.broadcast_to(shared, (B, *shared.shape))
    np.testing.assert_array_equal(deepshap(f, x, references=shared), deepshap(f, x, references=everyone))
    np.testing.assert_allclose(
        deepshap(f, x, references="zeros"), deepshap(f, x, references=jnp.zeros((1, LENGTH, 4))), rtol=1e-6
    )
    for how in ("shuffle", "gc"):
        made = make_references(x, how, num_references=G, key=KEY)
        assert made.shape == (B, G, LENGTH, 4)
        np.testing.assert_array_equal(made, make_references(x, how, num_references=G, key=KEY))
        assert not np.asarray(made[1, :, 7]).any()  # the unknown base
        np.testing.assert_array_equal(np.asarray(made.sum(-1)), np.repeat(np.asarray(x.sum(-1))[:, None], G, 1))
        found = deepshap(f, x, references=how, num_references=G, key=KEY)
        np.testing.assert_array_equal(found, deepshap(f, x, references=made))
    np.testing.assert_array_equal(made_counts(x), made_counts(make_references(x, "shuffle", key=KEY)[:, 0]))


def made_counts(x: jax.Array) -> np.ndarray:
    """How often each base occurs."""
    return np.asarray(x.sum(1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"references": "uniform"}, ValueError, "uniform"),
        ({"references": "shuffle"}, ValueError, r"key \(=None\)"),
        ({"references": jnp.zeros((2, 3, LENGTH, 4))}, ValueError, r"references \(shape \(2, 3"),
        ({"references": jnp.zeros((0, LENGTH, 4))}, ValueError, "references"),
        ({"x": jnp.zeros((B, LENGTH))}, ValueError, r"x \(shape"),
        ({"x": jnp.zeros((B, LENGTH, 4), jnp.int8)}, TypeError, "floating"),
    ],
)
def test_errors_name_the_argument(f, x, change, error, message):
    arguments = {"x": x, "references": "zeros"} | change
    with pytest.raises(error, match=message):
        deepshap(f, **arguments)


# ---- what else the function takes


@pytest.fixture(scope="module")
def more() -> tuple:
    """A tree of arrays, nothing, and integers: for each example its own."""
    rng = np.random.default_rng(5)
    tree = {"scale": rng.normal(1, 0.3, (B, 1)), "shift": [rng.normal(size=(B, 2))]}
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree), None, np.arange(B)


def with_more(f):
    """A function whose multipliers depend on everything that it is given."""

    def function(x, tree, nothing, number):
        assert nothing is None
        pushed = jnp.tanh(f(x)[:, None] * tree["scale"] + tree["shift"][0])
        return jnp.sum(pushed, axis=1) * (1 + number)

    return function


@pytest.fixture(scope="module")
def closures(f, x, references, more) -> np.ndarray:
    """One example at a time, each closed over what belongs to it."""
    of_one = jax.jit(lambda x, r, *own: deepshap(lambda x: with_more(f)(x, *own), x, references=r))
    rows = [jax.tree.map(lambda a, b=b: a[b : b + 1], (x, references, *more)) for b in range(B)]
    return np.concatenate([of_one(*row) for row in rows])


@pytest.mark.parametrize("pairs_per_call", [None, 1, 2 * G])
def test_arguments_go_with_their_examples(f, x, references, more, closures, pairs_per_call):
    """In one call, one by one, and in chunks of two of five, the last filled up."""
    call = jax.jit(lambda x, r, *own: deepshap(with_more(f), x, *own, references=r, pairs_per_call=pairs_per_call))
    np.testing.assert_allclose(call(x, references, *more), closures, rtol=1e-4, atol=1e-6)
    assert np.max(np.abs(closures)) > 1e-3


def test_arguments_of_other_examples_give_other_scores(f, x, references, more, closures):
    turned = jax.tree.map(lambda a: a[::-1], more)
    found = np.asarray(deepshap(with_more(f), x, *turned, references=references))
    changed = np.max(np.abs(found - closures), axis=(1, 2))
    assert np.all(changed[[0, 1, 3, 4]] > 1e-4) and changed[2] < 1e-5


def test_nothing_as_an_argument(f, x, references):
    found = deepshap(lambda x, nothing: f(x), x, None, references=references)
    np.testing.assert_allclose(found, deepshap(f, x, references=references), rtol=1e-6, atol=1e-8)


def test_completeness_with_arguments(f, x, references, more):
    function = with_more(f)
    how = {"references": references, "hypothetical": False, "return_completeness": True}
    contributions, error = deepshap(function, x, *more, **how)
    far = jnp.mean(jnp.stack([function(references[:, g], *more) for g in range(G)]), axis=0)
    np.testing.assert_allclose(contributions.sum((1, 2)) - error, function(x, *more) - far, rtol=1e-4, atol=1e-5)
    assert np.max(np.abs(error)) < 1e-4


def test_the_memory_of_arguments_counts(x, references):
    """A function that spreads its argument out takes fewer pairs a call."""

    def chunks(size: int) -> int:
        f = lambda x, a: jnp.sum(x, axis=(1, 2)) + jnp.sum(jnp.tanh(a), axis=1)  # noqa: E731
        call = lambda x, a: deepshap(f, x, a, references=references, memory_budget=1e5)  # noqa: E731
        jaxpr = jax.make_jaxpr(call)(x, jnp.zeros((B, size)))
        return sum(equation.params["length"] for equation in jaxpr.eqns if equation.primitive.name == "scan")

    assert chunks(1) == 0 and chunks(10_000) == B
