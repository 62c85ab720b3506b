"""Instances: where the motif was planted and the model saw it, and nowhere else."""

import dataclasses

import numpy as np
import pytest
from planted import WIDTH, pattern_of, plant

from fprior.errors import InputError
from fprior.motifs.instances import call_instances, contribution_match, recall_curve
from fprior.sequence import UNKNOWN, reverse_complement_tokens

N, LENGTH = 200, 300


@pytest.fixture(scope="module")
def planted():
    return plant(N, LENGTH, seed=2)


@pytest.fixture(scope="module")
def pattern():
    return pattern_of(plant(150, 80, seed=3))


@pytest.fixture(scope="module")
def called(planted, pattern):
    return call_instances(pattern, planted.hypothetical, planted.tokens)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_planted_motifs_are_recalled_at_their_bases_and_strands(called, planted, pattern):
    """Of those that were not seqlets of the pattern; hardly a call is elsewhere."""
    kept = pattern.trimmed()
    margin = np.where(planted.reverse, WIDTH + 3 - kept.stop, kept.start - 3)  # of the trimmed within the planted motif
    true = planted.start + margin
    at = called["locus"]
    right = (called["start"] == true[at]) & ((called["strand"] == "-") == planted.reverse[at])
    assert right.sum() > 0.75 * N and right.mean() > 0.97
    assert np.all(called["end"] - called["start"] == kept.stop - kept.start)


def test_columns_are_ordered_and_in_range(called):
    order = np.lexsort((called["start"], called["locus"]))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    assert called["contribution_match"].min() > 0.3 and called["contribution_match"].max() <= 1
    assert called["sequence_match"].min() > 5


def test_importance_is_the_sum_of_the_absolute_contributions_of_the_window(called, planted):
    chosen = np.take_along_axis(planted.hypothetical, planted.tokens[..., None].astype(int), -1)[..., 0]
    for i in (0, 7, len(called["locus"]) - 1):
        window = chosen[called["locus"][i], called["start"][i] : called["end"][i]]
        assert called["importance"][i] == pytest.approx(np.abs(window).sum(), rel=1e-5)


@pytest.mark.parametrize("what", ["noise", "zero", "negative"])
def test_the_sequence_alone_is_no_instance(planted, pattern, what):
    """The motif is there, but the model does not see it, or sees the opposite."""
    noise = np.random.default_rng(4).standard_normal(planted.hypothetical.shape)
    hypothetical = {"noise": noise, "zero": 0 * noise, "negative": -planted.hypothetical}[what]
    assert len(call_instances(pattern, hypothetical, planted.tokens)["locus"]) <= 1


def test_the_contributions_alone_are_no_instance(planted, pattern):
    """The scores say motif, but other bases are there."""
    other = np.random.default_rng(5).integers(0, 4, planted.tokens.shape)
    assert len(call_instances(pattern, planted.hypothetical, other)["locus"]) <= 1


def test_the_opposite_strand_has_the_same_instances_mirrored(called, planted, pattern):
    mirrored = call_instances(
        pattern, planted.hypothetical[:, ::-1, ::-1], np.asarray(reverse_complement_tokens(planted.tokens))
    )
    ends, order = LENGTH - mirrored["end"], np.lexsort((LENGTH - mirrored["end"], mirrored["locus"]))
    np.testing.assert_array_equal(ends[order], called["start"])
    np.testing.assert_array_equal(mirrored["locus"][order], called["locus"])
    np.testing.assert_array_equal(mirrored["strand"][order], np.where(called["strand"] == "+", "-", "+"))
    np.testing.assert_allclose(mirrored["contribution_match"][order], called["contribution_match"], rtol=1e-5)


def test_the_mirrored_pattern_calls_the_same_windows_on_the_other_strand(called, planted, pattern):
    other = call_instances(pattern.reverse_complement(), planted.hypothetical, planted.tokens)
    np.testing.assert_array_equal(other["start"], called["start"])
    np.testing.assert_array_equal(other["strand"], np.where(called["strand"] == "+", "-", "+"))


def test_a_negative_pattern_is_called_where_contributions_are_negative(called, planted, pattern):
    negative = dataclasses.replace(
        pattern, sign=-1, contributions=-pattern.contributions, seqlet_contributions=-pattern.seqlet_contributions
    )
    same(call_instances(negative, -planted.hypothetical, planted.tokens), called)


def test_a_sequence_does_not_depend_on_the_others(called, planted, pattern):
    half = call_instances(pattern, planted.hypothetical[N // 2 :], planted.tokens[N // 2 :])
    half["locus"] = half["locus"] + N // 2
    same(half, {name: values[called["locus"] >= N // 2] for name, values in called.items()})


def test_size_of_the_contributions_plays_no_part(called, planted, pattern):
    doubled = call_instances(pattern, 2 * planted.hypothetical, planted.tokens)
    np.testing.assert_array_equal(doubled["start"], called["start"])
    np.testing.assert_allclose(doubled["importance"], 2 * called["importance"], rtol=1e-6)


def test_of_overlapping_windows_the_best_contribution_match_stays(called, planted, pattern):
    """Of calls so loose that hundreds of neighbours pass; the planted motifs, whose match is best, are among them."""
    loose = dataclasses.replace(pattern, seqlet_contributions=0 * pattern.seqlet_contributions)
    calls = call_instances(loose, planted.hypothetical, planted.tokens, false_positive_rate=0.3)
    between = np.diff(calls["start"])[np.diff(calls["locus"]) == 0]
    width = (calls["end"] - calls["start"])[0]
    assert len(between) > 1000 and width <= between.min() < 1.2 * width
    every, strict = (
        set(zip(columns["locus"].tolist(), columns["start"].tolist(), strict=True)) for columns in (calls, called)
    )
    assert strict <= every


def test_a_higher_percentile_calls_fewer_and_better_ones(planted, pattern):
    counts, worst = [], []
    for percentile in (0, 10, 50, 100):
        calls = call_instances(pattern, planted.hypothetical, planted.tokens, percentile=percentile)
        counts.append(len(calls["locus"]))
        worst.append(calls["contribution_match"].min(initial=1))
    assert counts == sorted(counts, reverse=True) and worst == sorted(worst) and counts[2] < 0.8 * counts[0]


def test_unknown_bases_and_nothing_at_all(planted, pattern):
    tokens = planted.tokens.copy()
    tokens[0, planted.start[0] + 5] = UNKNOWN
    assert 0 not in call_instances(pattern, planted.hypothetical, tokens)["locus"]
    for shape in ((0, 300), (3, 5), (0, 0)):
        calls = call_instances(pattern, np.zeros((*shape, 4)), np.zeros(shape, np.uint8))
        assert all(len(values) == 0 for values in calls.values()) and len(calls) == 7


def test_what_does_not_fit_is_refused(planted, pattern):
    broken = np.full_like(planted.hypothetical, np.nan)
    bare = dataclasses.replace(pattern, seqlet_contributions=pattern.seqlet_contributions[:0])
    for arguments, options, words in (
        ((pattern, planted.hypothetical[:, :-1], planted.tokens), {}, "hypothetical .* must be"),
        ((pattern, planted.hypothetical, planted.tokens), {"percentile": 101}, "percentile .* must be in"),
        ((pattern, broken, planted.tokens), {}, "not finite"),
        ((bare, planted.hypothetical, planted.tokens), {}, "no seqlets"),
    ):
        with pytest.raises(InputError, match=words):
            call_instances(*arguments, **options)


# ---- contribution match


def test_contribution_match_of_extremes():
    rng = np.random.default_rng(6)
    weights = rng.standard_normal((9, 4))
    windows = np.stack([3 * weights, -weights, 0 * weights])
    np.testing.assert_allclose(contribution_match(windows, weights), [1, -1, 0], atol=1e-12)
    disjoint = np.eye(4)[[0, 1]], np.eye(4)[[2, 3]]
    assert contribution_match(*disjoint) == 0
    np.testing.assert_array_equal(contribution_match(windows, 0 * weights), 0)
    assert contribution_match(windows[:0], weights).shape == (0,)


def test_contribution_match_by_hand():
    """Shares (¾, ¼) and (½, −½) of two bases: (½ − ¼) / (¾ + ½)."""
    window, weights = np.array([[3.0, 0, 0, 0], [0, 1, 0, 0]]), np.array([[1.0, 0, 0, 0], [0, -1, 0, 0]])
    assert contribution_match(window, weights) == pytest.approx(0.25 / 1.25)


# ---- recall


def curve(locus, start, importance, regions):
    instances = {
        "locus": np.array(locus, int),
        "start": np.array(start, int),
        "end": np.array(start, int) + 10,
        "importance": np.array(importance, float),
    }
    return [values.tolist() for values in recall_curve(instances, tuple(np.array(column, int) for column in regions))]


def test_recall_counts_each_region_once_by_the_most_important_instance_on_it():
    regions = [0, 0, 1, 2], [5, 50, 5, 0], [15, 60, 6, 9]
    calls, recalled = curve([0, 0, 1, 0, 1], [0, 12, 0, 45, 6], [1, 5, 2, 4, 3], regions)
    assert calls == [1, 2, 3, 4, 5]
    assert recalled == [1, 2, 2, 3, 3]


def test_an_instance_may_reach_several_regions_and_touching_is_no_overlap():
    assert curve([0, 0], [10, 20], [2, 1], ([0, 0, 0], [5, 12, 15], [10, 14, 21])) == [[1, 2], [2, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_recall_is_that_of_every_instance_held_against_every_region(seed):
    """Of several widths and many that overlap, in loci whose numbers have gaps."""
    rng = np.random.default_rng(seed)
    calls, regions = (
        {"locus": 3 * rng.integers(0, 4, n), "start": start, "end": start + rng.integers(1, widest, n)}
        for n, widest in ((60, 30), (40, 200))
        for start in [rng.integers(0, 1000, n)]
    )
    calls["importance"] = rng.permutation(60).astype(float)
    found, expected = set(), []
    for i in np.argsort(-calls["importance"]):
        overlap = (regions["start"] < calls["end"][i]) & (regions["end"] > calls["start"][i])
        found |= set(np.flatnonzero(overlap & (regions["locus"] == calls["locus"][i])))
        expected.append(len(found))
    np.testing.assert_array_equal(recall_curve(calls, tuple(regions.values()))[1], expected)


def test_recall_of_nothing():
    none = ([], [], [])
    assert curve([], [], [], ([0], [0], [9])) == [[], []]
    assert curve([0, 1], [0, 0], [1, 2], none) == [[1, 2], [0, 0]]
    assert curve([], [], [], none) == [[], []]
