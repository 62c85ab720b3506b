"""Tests and errors: against scipy, against all assignments tried one by one, and by their invariances."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fprior.errors import InputError
from fprior.metrics.statistics import bootstrap_interval, describe, holm, paired_test, unpaired_test

whole = st.integers(-4, 4).map(float)  # many ties


def pairs_of(largest):
    return st.lists(st.tuples(whole, whole), min_size=1, max_size=largest).map(lambda pairs: np.array(pairs).T)


# ---- describe


def test_describe_worked_example():
    summary = describe(np.array([1.0, 2.0, np.nan, 6.0, np.inf]))
    assert (summary.mean, summary.count, summary.undefined) == (3, 3, 2)
    assert summary.standard_deviation == pytest.approx(np.sqrt((4 + 1 + 9) / 2))
    assert summary.standard_error == pytest.approx(np.sqrt(7 / 3))


def test_describe_goes_along_the_first_axis():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 2, 3)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    summary, exact = describe(values), values.astype(np.float64)
    np.testing.assert_allclose(summary.mean, np.nanmean(exact, axis=0), rtol=1e-12)
    np.testing.assert_allclose(summary.standard_deviation, np.nanstd(exact, axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(summary.standard_error, stats.sem(exact, axis=0, nan_policy="omit"), rtol=1e-12)
    np.testing.assert_array_equal(summary.count + summary.undefined, np.full((2, 3), 50))


def test_a_large_offset_leaves_the_error_as_it_is():
    """In float32, or from the mean of squares less the square of the mean, it would be lost."""
    values = np.random.default_rng(0).normal(size=1000)
    summary, far = describe(values), describe(1e9 + values)
    assert far.standard_deviation == pytest.approx(summary.standard_deviation, rel=1e-5)
    assert far.mean - 1e9 == pytest.approx(summary.mean, abs=1e-6)
    assert describe(np.full(100_000, 0.1, np.float32)).mean == np.float64(np.float32(0.1))


def test_one_value_has_no_error_and_none_has_no_mean():
    one, none, empty = describe(np.array([3.0, np.nan])), describe(np.full(4, np.nan)), describe(np.array([]))
    assert (one.mean, one.count, one.undefined) == (3, 1, 1)
    assert np.isnan(one.standard_deviation) and np.isnan(one.standard_error)
    for summary, undefined in ((none, 4), (empty, 0)):
        assert np.isnan(summary.mean) and np.isnan(summary.standard_error)
        assert (summary.count, summary.undefined) == (0, undefined)


# ---- bootstrap_interval


def test_interval_of_many_values_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(3, 2, size=4000)
    summary = describe(values)
    for confidence in (0.5, 0.95):
        low, high = bootstrap_interval(values, seed=0, confidence=confidence, resamples=4000)
        # The correction of the bias is a quantile of the resamples: its own error is a few hundredths of the mean's.
        reach = stats.norm.ppf((1 + confidence) / 2) * summary.standard_error
        np.testing.assert_allclose(
            [low, high], [summary.mean - reach, summary.mean + reach], atol=0.15 * summary.standard_error
        )


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        low, high = bootstrap_interval(rng.exponential(size=40), seed=seed, confidence=0.9, resamples=500)
        hits += low <= 1 <= high
    assert 0.84 <= hits / 300 <= 0.94


def test_interval_moves_with_the_values_and_is_the_seeds():
    values = np.random.default_rng(0).gamma(1, size=30)
    low, high = bootstrap_interval(values, seed=1)
    assert low < values.mean() < high
    assert high - values.mean() > values.mean() - low  # skewed as the values are
    np.testing.assert_allclose(bootstrap_interval(7 + 1e-90 * values, seed=1), [7, 7], rtol=1e-12)
    np.testing.assert_allclose(bootstrap_interval(1e-90 * values, seed=1), [1e-90 * low, 1e-90 * high], rtol=1e-9)
    np.testing.assert_allclose(bootstrap_interval(3 + 2 * values, seed=1), [3 + 2 * low, 3 + 2 * high], rtol=1e-9)
    padded = np.insert(values, 4, [np.nan, np.inf])
    assert bootstrap_interval(padded, seed=1) == bootstrap_interval(values, seed=1) == (low, high)
    assert bootstrap_interval(values, seed=2) != (low, high)


def test_interval_is_scipys_bca():
    values = np.random.default_rng(0).gamma(0.5, size=25)
    expected = stats.bootstrap((values,), np.mean, n_resamples=2_000, random_state=np.random.default_rng(3))
    np.testing.assert_allclose(bootstrap_interval(values, seed=3), expected.confidence_interval, rtol=1e-9)


def test_interval_of_the_least_values():
    assert bootstrap_interval(np.full(5, 0.1), seed=0) == (0.1, 0.1)
    for few in ([], [1.0], [1.0, np.nan]):
        assert np.isnan(bootstrap_interval(np.array(few), seed=0)).all()
    low, high = bootstrap_interval(np.array([1.0, 2.0]), seed=0)
    assert 1 <= low < high <= 2
    # When all resamples lie on one side of the mean the bias has no correction; two of them do in half of the cases.
    for seed in range(8):
        low, high = bootstrap_interval(np.arange(9.0), seed=seed, resamples=2)
        assert 0 <= low <= high <= 8


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (np.ones((2, 3)), {}, r"values \(shape \(2, 3\)\) must be \(N,\)"),
        (np.ones(3), {"confidence": 95}, r"confidence \(=95\) must lie between 0 and 1"),
        (np.ones(3), {"resamples": 1}, r"resamples \(=1\) must be at least 2"),
    ],
)
def test_interval_errors_name_the_argument(values, how, message):
    with pytest.raises(InputError, match=message):
        bootstrap_interval(values, seed=0, **how)


# ---- paired_test


def test_paired_worked_example():
    """Differences 1, 3, −2, 0: ranks 1 and 3 against 2. Of the 8 signs of three ranks all but one on each end count."""
    test = paired_test([3.0, 5.0, 1.0, 2.0, np.nan], [2.0, 2.0, 3.0, 2.0, 1.0], seed=0)
    assert (test.mean_difference, test.pairs, test.left_out) == (0.5, 4, 1)
    assert test.effect_size == pytest.approx((4 - 2) / 6)
    assert test.p_value == pytest.approx(6 / 8)
    assert test.interval[0] < 0.5 < test.interval[1]


@settings(deadline=None, max_examples=60)
@given(pairs_of(7))
def test_paired_p_is_the_share_of_signs_at_least_as_far_out(pair):
    difference = pair[0] - pair[1]
    difference = difference[difference != 0]
    ranks = stats.rankdata(np.abs(difference))
    observed = abs(np.sum(np.sign(difference) * ranks))
    signs = itertools.product((-1, 1), repeat=len(ranks))
    further = [abs(sum(s * r for s, r in zip(some, ranks, strict=True))) >= observed for some in signs]
    assert paired_test(*pair, seed=0).p_value == pytest.approx(np.mean(further))


@pytest.mark.parametrize("count", [3, 14, 15, 50, 51, 400])
def test_paired_p_without_ties_is_scipys(count):
    rng = np.random.default_rng(count)
    a, b = rng.normal(size=(2, count))
    test = paired_test(a, b + 0.3, seed=0)
    assert test.p_value == pytest.approx(stats.wilcoxon(a, b + 0.3).pvalue, rel=1e-9)


def test_paired_p_with_many_ties_is_near_that_of_drawn_signs():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, (2, 60)).astype(float)
    difference = np.where(rng.random(60) < 0.3, 1, a - b)
    ranks = np.where(difference == 0, 0, stats.rankdata(np.where(difference == 0, np.inf, np.abs(difference))))
    drawn = rng.choice([-1, 1], (20_000, 60)) @ ranks
    expected = np.mean(np.abs(drawn) >= abs(np.sum(np.sign(difference) * ranks)))
    assert paired_test(difference, np.zeros(60), seed=0).p_value == pytest.approx(expected, abs=0.015)


@settings(deadline=None, max_examples=60)
@given(pairs_of(20), st.integers(-9, 9))
def test_paired_test_changes_sign_with_its_arguments_and_not_with_a_constant(pair, constant):
    a, b = pair
    test, swapped, moved = (
        paired_test(a, b, seed=0),
        paired_test(b, a, seed=0),
        paired_test(a + constant, b + constant, seed=0),
    )
    assert moved == test or np.isnan(test.interval).all()
    assert (swapped.mean_difference, swapped.effect_size) == pytest.approx((-test.mean_difference, -test.effect_size))
    assert (swapped.p_value, swapped.pairs) == (pytest.approx(test.p_value), test.pairs)
    assert -1 <= test.effect_size <= 1 and test.smallest_p <= test.p_value <= 1


def test_effect_is_one_when_every_pair_agrees_and_ranks_alone_count():
    rng = np.random.default_rng(0)
    difference = rng.normal(size=40)
    test = paired_test(difference, np.zeros(40), seed=0)
    cubed = paired_test(difference**3, np.zeros(40), seed=0)
    assert (cubed.p_value, cubed.effect_size) == (test.p_value, test.effect_size)
    assert paired_test(np.abs(difference), np.zeros(40), seed=0).effect_size == 1
    assert paired_test(np.zeros(40), np.abs(difference), seed=0).effect_size == -1


def test_pairs_without_difference_and_no_pairs():
    same = paired_test(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.0, 3.0]), seed=0)
    assert (same.mean_difference, same.interval, same.p_value, same.effect_size) == (0, (0, 0), 1, 0)
    assert (same.pairs, same.left_out) == (2, 1)
    none = paired_test(np.array([np.nan, 1.0]), np.array([2.0, np.nan]), seed=0)
    numbers = [none.mean_difference, *none.interval, none.p_value, none.effect_size, none.smallest_p]
    assert np.isnan(numbers).all() and (none.pairs, none.left_out) == (0, 2)
    one = paired_test(np.array([2.0]), np.array([1.0]), seed=0)
    assert (one.mean_difference, one.p_value, one.smallest_p) == (1, 1, 1) and np.isnan(one.interval).all()


def test_paired_test_needs_pairs():
    with pytest.raises(
        InputError, match=r"a \(shape \(3,\)\) and b \(shape \(4,\)\) must be the two values of N pairs"
    ):
        paired_test(np.ones(3), np.ones(4), seed=0)


# ---- unpaired_test


def test_unpaired_worked_example():
    """Of six pairs of values five have a > b: U = 5. Of ten groups of two the largest sum is the only larger one."""
    test = unpaired_test([5.0, 3.0, np.nan], [1.0, 2.0, 4.0])
    assert (test.counts, test.left_out) == ((2, 3), 1)
    assert test.mean_difference == pytest.approx(4 - 7 / 3)
    assert test.effect_size == pytest.approx((5 - 1) / 6)
    assert test.p_value == pytest.approx(2 * 2 / 10)


@settings(deadline=None, max_examples=60)
@given(st.lists(whole, min_size=1, max_size=5), st.lists(whole, min_size=1, max_size=5))
def test_unpaired_p_is_twice_the_smaller_share_of_groups_as_far_out(a, b):
    pooled, deltas = np.array(a + b), []
    for group in itertools.combinations(range(len(pooled)), len(a)):
        inside, outside = pooled[list(group)], np.delete(pooled, group)
        deltas.append(np.mean(np.sign(np.subtract.outer(inside, outside))))
    test, delta = unpaired_test(a, b), deltas[0]  # the first group is a itself
    low, high = np.mean(np.array(deltas) <= delta + 1e-12), np.mean(np.array(deltas) >= delta - 1e-12)
    assert test.effect_size == pytest.approx(delta)
    assert test.p_value == pytest.approx(min(1, 2 * min(low, high)))
    assert test.smallest_p <= test.p_value + 1e-12


@pytest.mark.parametrize(
    ("n", "m", "method"), [(3, 3, "exact"), (8, 8, "exact"), (30, 30, "exact"), (9, 400, "asymptotic")]
)
def test_unpaired_p_without_ties_is_scipys(n, m, method):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n), 0.5 + rng.normal(size=m)
    test = unpaired_test(a, b)
    assert test.p_value == pytest.approx(stats.mannwhitneyu(a, b, method=method).pvalue, rel=1e-9)
    assert test.effect_size == pytest.approx(np.mean(np.sign(np.subtract.outer(a, b))))


def test_unpaired_p_of_large_tied_groups_is_scipys():
    a, b = np.random.default_rng(0).integers(0, 5, (2, 30))
    assert unpaired_test(a, b).p_value == stats.mannwhitneyu(a, b, method="asymptotic").pvalue


@pytest.mark.parametrize(
    ("n", "m", "smallest"), [(1, 1, 1), (1, 3, 1 / 2), (3, 3, 0.1), (4, 4, 2 / 70), (5, 5, 2 / 252), (8, 8, 2 / 12870)]
)
def test_groups_apart_give_the_smallest_p(n, m, smallest):
    """Also where values are tied within the groups, for which the normal approximation would give a smaller one."""
    for a, b in ((np.arange(n), 10.0 + np.arange(m)), (np.zeros(n), np.ones(m))):
        test = unpaired_test(a, b)
        assert test.p_value == pytest.approx(test.smallest_p) == pytest.approx(smallest)
        assert test.effect_size == -1


@pytest.mark.parametrize("count", [1, 2, 5, 14])
def test_pairs_that_agree_give_the_smallest_p(count):
    for difference in (np.arange(1.0, count + 1), np.ones(count)):
        test = paired_test(difference, np.zeros(count), seed=0)
        assert test.p_value == test.smallest_p == 2 / 2**count


@settings(deadline=None, max_examples=60)
@given(st.lists(whole, min_size=1, max_size=12), st.lists(whole, min_size=1, max_size=12))
def test_unpaired_test_changes_sign_with_its_arguments_and_keeps_to_ranks(a, b):
    a, b = np.array(a), np.array(b)
    test, swapped, grown = unpaired_test(a, b), unpaired_test(b, a), unpaired_test(np.exp(a), np.exp(b))
    assert (swapped.mean_difference, swapped.effect_size) == pytest.approx((-test.mean_difference, -test.effect_size))
    assert (swapped.p_value, swapped.smallest_p) == (pytest.approx(test.p_value), test.smallest_p)
    assert (grown.p_value, grown.effect_size) == (test.p_value, test.effect_size)
    assert unpaired_test(a + 3, b + 3).mean_difference == pytest.approx(test.mean_difference)


def test_equal_values_and_empty_groups():
    for n, m in ((4, 5), (40, 30)):
        same = unpaired_test(np.full(n, 0.1), np.full(m, 0.1))
        assert (same.p_value, same.effect_size) == (1, 0) and same.mean_difference == pytest.approx(0)
    none = unpaired_test(np.array([np.nan]), np.array([1.0, 2.0]))
    assert np.isnan([none.mean_difference, none.p_value, none.effect_size, none.smallest_p]).all()
    assert (none.counts, none.left_out) == ((0, 2), 1)
    with pytest.raises(InputError, match=r"b \(shape \(\)\) must be \(N,\)"):
        unpaired_test(np.ones(3), 1.0)


def test_p_is_uniform_enough_where_nothing_differs():
    """No more than a share p of tests falls below p; both for seeds and for pairs."""
    rng = np.random.default_rng(0)
    unpaired = [unpaired_test(*rng.normal(size=(2, 5))).p_value for _ in range(1000)]
    paired = [paired_test(*rng.normal(size=(2, 8)), seed=0).p_value for _ in range(200)]
    for found in (unpaired, paired):
        for level in (0.05, 0.2):
            assert np.mean(np.array(found) <= level) <= level + 3 * math.sqrt(level * (1 - level) / len(found))


# ---- holm


def test_holm_worked_example():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, np.nan, 0.5]), [0.04, 0.09, 0.09, np.nan, 0.5], rtol=1e-12)
    assert holm([]).shape == (0,) and np.isnan(holm([np.nan])).all()
    np.testing.assert_array_equal(holm([0.2]), [0.2])
    np.testing.assert_array_equal(holm([0.6, 0.7]), [1, 1])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p_values, level):
    """The smallest at level / K, the next at level / (K − 1), until one fails."""
    rejected = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] * (len(p_values) - step) > level:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


@pytest.mark.parametrize("p_values", [[0.1, 1.2], [-0.1], [[0.1, 0.2]]])
def test_holm_takes_p_values(p_values):
    with pytest.raises(InputError, match="p_values"):
        holm(p_values)
