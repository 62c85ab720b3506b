"""Windows, their composition, and background matched to it."""

import numpy as np
import pytest
from hand_made import make_loci
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import refusal

from fprior.data.background import (
    background_candidates,
    gc_fraction,
    gc_fraction_at,
    match_gc,
    sample_gc_matched,
    unknown_fraction_at,
    windows_around,
)
from fprior.data.splits import Blocks, crosses_split, deal_blocks, split_by_block

# ---- windows and their composition


def test_windows_around():
    assert windows_around(np.array([10, 0]), 6).tolist() == [7, -3]
    assert windows_around(np.array([10]), 5).tolist() == [8]


@given(hnp.arrays(np.uint8, st.integers(1, 400), elements=st.integers(0, 4)), st.data())
@settings(max_examples=50, deadline=None)
def test_composition_equals_counting(tokens, data):
    width = data.draw(st.integers(1, len(tokens)))
    starts = np.arange(len(tokens) - width + 1)
    gc, unknown = gc_fraction_at(tokens, starts, width), unknown_fraction_at(tokens, starts, width)
    for start in starts:
        letters = tokens[start : start + width].tolist()
        known = width - letters.count(4)
        expected = (letters.count(1) + letters.count(2)) / known if known else np.nan
        np.testing.assert_equal((gc[start], unknown[start]), (expected, letters.count(4) / width))
        np.testing.assert_equal(gc_fraction(tokens[start : start + width]), expected)


@pytest.mark.parametrize("start", [-1, 7])
def test_windows_outside_the_chromosome(start):
    message = refusal(gc_fraction_at, np.zeros(10, np.uint8), np.array([0, start]), 4)
    assert message == f"the window at {start} of width (=4) leaves its chromosome of 10 bases; drop it"


# ---- background


@given(
    hnp.arrays(np.uint8, st.integers(0, 200), elements=st.integers(0, 4)),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(-30, 230), st.integers(1, 40)), max_size=6),
    st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=100, deadline=None)
def test_candidates_are_exactly_the_free_windows_of_the_grid(tokens, width, intervals, max_unknown):
    blocked_starts = np.array([start for start, _ in intervals], np.int64)
    blocked_ends = blocked_starts + np.array([length for _, length in intervals], np.int64)
    starts, gc, drops = background_candidates(tokens, width, blocked_starts, blocked_ends, max_unknown)
    expected, near, unknown = [], 0, 0
    for start in range(0, len(tokens) - width + 1, width):
        fraction = np.mean(tokens[start : start + width] == 4)
        if ((blocked_starts < start + width) & (blocked_ends > start)).any():
            near += 1
        elif fraction > max_unknown or fraction == 1:
            unknown += 1
        else:
            expected.append(start)
    assert starts.tolist() == expected and drops == {"near a peak": near, "unknown bases": unknown}
    np.testing.assert_array_equal(gc, [gc_fraction(tokens[s : s + width]) for s in expected])


GC = st.integers(0, 20).map(lambda count: count / 20)


@given(
    st.lists(st.tuples(GC, st.integers(0, 2)), min_size=1, max_size=15),
    st.lists(st.tuples(GC, st.integers(0, 2)), max_size=40),
    st.integers(1, 3),
    st.sampled_from([0.02, 0.05, 0.15, 2.0]),
    st.integers(0, 9),
)
@settings(max_examples=200, deadline=None)
def test_matching(positives, candidates, per_positive, tolerance, seed):
    positives += [(0.5, split) for split in range(3)]
    candidates += [(0.35, split) for split in range(3) for _ in range(18 * per_positive)]  # always enough
    (positive_gc, positive_split), (gc, split) = (map(np.array, zip(*v, strict=True)) for v in (positives, candidates))
    arguments = positive_gc, positive_split, gc, split
    options = dict(per_positive=per_positive, tolerance=tolerance)
    matched, off = match_gc(*arguments, **options, rng=np.random.default_rng(seed))
    assert matched.shape == (len(positives), per_positive) and len(np.unique(matched)) == matched.size
    assert (split[matched] == positive_split[:, None]).all()
    difference = np.abs(gc[matched] - positive_gc[:, None])
    is_off = difference > tolerance + 1e-9
    assert off == is_off.sum()
    unused = np.setdiff1d(np.arange(len(gc)), matched)
    for i, j in zip(*np.nonzero(is_off), strict=True):  # nothing nearer was left over
        rivals = gc[unused[split[unused] == positive_split[i]]]
        assert not (np.abs(rivals - positive_gc[i]) < difference[i, j] - 1e-9).any()
    again, _ = match_gc(*arguments, **options, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(matched, again)


def test_matching_is_within_tolerance_where_the_bins_suffice():
    positive_gc, gc = np.array([0.31, 0.31, 0.55, 0.99]), np.repeat(np.linspace(0, 1, 101), 6)
    zeros = np.zeros(len(gc), np.uint8)
    matched, off = match_gc(positive_gc, zeros[:4], gc, zeros, per_positive=3, rng=np.random.default_rng(0))
    assert off == 0 and np.abs(gc[matched] - positive_gc[:, None]).max() <= 0.02


def test_a_difference_equal_to_the_tolerance_is_within_it():
    zero = np.zeros(1, np.uint8)
    options = dict(per_positive=1, rng=np.random.default_rng(0))
    assert match_gc(np.array([0.50]), zero, np.array([0.52]), zero, **options)[1] == 0
    assert match_gc(np.array([0.50]), zero, np.array([0.521]), zero, **options)[1] == 1


def test_matching_draws_at_random_from_equal_candidates():
    chosen = set()
    for seed in range(40):
        for wanted in (0.5, 0.9):  # within the bin; the nearest of another bin
            matched, _ = match_gc(
                np.array([wanted]), np.zeros(1, int), np.full(4, 0.5), np.zeros(4, int),
                per_positive=1, rng=np.random.default_rng(seed),
            )  # fmt: skip
            chosen.add((wanted, matched.item()))
    assert chosen == {(wanted, i) for wanted in (0.5, 0.9) for i in range(4)}


@pytest.mark.parametrize(
    "positive_gc, candidate_gc, options, words",
    [
        (
            [0.5, 0.5],
            [0.5] * 3,
            dict(per_positive=2),
            "valid has 3 background windows for 2 positives with per_pos",
        ),
        (
            [np.nan],
            [0.5],
            dict(per_positive=1),
            "1 positive windows have no known base (GC is NaN); drop them",
        ),
        ([0.5], [0.5, np.nan], dict(per_positive=1), "1 candidate windows have no known base"),
        ([0.5], [0.5], dict(per_positive=0), "per_positive (=0) must be at least 1"),
        ([0.5], [0.5], dict(per_positive=1, tolerance=0.0), "tolerance (=0.0) above 0"),
    ],
)
def test_impossible_matches(positive_gc, candidate_gc, options, words):
    splits = (np.ones(len(gc), np.uint8) for gc in (positive_gc, candidate_gc))
    positive_split, candidate_split = splits
    arguments = np.array(positive_gc), positive_split, np.array(candidate_gc), candidate_split
    assert words in refusal(match_gc, *arguments, **options, rng=np.random.default_rng(0))


class ToyGenome:
    """Two chromosomes of random bases with a run of Ns each; counts how often each is read."""

    path = "toy.fa"
    lengths: dict[str, int] = {"chr1": 20_000, "chr2": 12_000, "unused": 500}  # noqa: RUF012

    def __init__(self):
        rng, self.reads = np.random.default_rng(0), []
        self.sequence = {n: rng.integers(0, 4, length).astype(np.uint8) for n, length in self.lengths.items()}
        for tokens in self.sequence.values():
            tokens[100:333] = 4

    def tokens(self, chromosome, start, end):
        self.reads.append(chromosome)
        return self.sequence[chromosome][start:end]


WIDTH, MARGIN = 40, 70


def toy_problem(seed: int):
    """A genome, its blocks, and peaks whose windows lie within one split and hold no N."""
    genome, rng = ToyGenome(), np.random.default_rng(seed)
    blocks = deal_blocks({"chr1": 20_000, "chr2": 12_000}, 1000, fractions=(0.6, 0.2, 0.2), seed=seed)
    chromosome = rng.choice(["chr1", "chr2"], 60)
    start = rng.integers(400, 11_900, 60)
    peaks = make_loci(chromosome, start, start + rng.integers(10, 90, 60))

    def split_windows(chromosomes, starts, ends):
        split = split_by_block(chromosomes, (starts + ends) // 2, blocks)
        return split, crosses_split(chromosomes, starts, ends, split, blocks)

    starts = windows_around(peaks.summit, WIDTH)
    clean = ~split_windows(peaks.chromosome, starts, starts + WIDTH)[1]
    return genome, peaks.chromosome[clean], starts[clean], split_windows, peaks


@pytest.mark.parametrize("seed", range(5))
def test_background_keeps_its_promises(seed):
    genome, chromosomes, starts, split_windows, peaks = toy_problem(seed)
    found = sample_gc_matched(
        genome, chromosomes, starts, WIDTH, split_windows, peaks,
        margin=MARGIN, per_positive=2, tolerance=0.05, rng=np.random.default_rng(seed),
    )  # fmt: skip
    assert sorted(genome.reads) == ["chr1", "chr2"]
    np.testing.assert_array_equal(found.positive, np.repeat(np.arange(len(starts)), 2))
    ends = found.start + WIDTH
    windows = list(zip(found.chromosome.tolist(), found.start.tolist(), strict=True))
    assert len(set(windows)) == len(windows) and (found.start % WIDTH == 0).all()
    for name, start, gc in zip(found.chromosome, found.start, found.gc, strict=True):
        near = (peaks.chromosome == name) & (peaks.start - MARGIN < start + WIDTH) & (peaks.end + MARGIN > start)
        on = (chromosomes == name) & (starts < start + WIDTH) & (starts + WIDTH > start)
        assert not near.any() and not on.any()
        tokens = genome.sequence[name][start : start + WIDTH]
        assert (tokens != 4).all() and gc == gc_fraction(tokens)
    split, crosses = split_windows(found.chromosome, found.start, ends)
    own = split_windows(chromosomes, starts, starts + WIDTH)[0]
    assert not crosses.any() and (split == own[found.positive]).all() and (split == found.split).all()
    positive_gc = np.array([
        gc_fraction(genome.sequence[n][s : s + WIDTH]) for n, s in zip(chromosomes, starts, strict=True)
    ])  # fmt: skip
    off = np.abs(found.gc - positive_gc[found.positive]) > 0.05 + 1e-9
    assert found.counts["off GC tolerance"] == off.sum() < len(off) / 2
    assert found.counts["candidates"] == 800 and found.counts["unknown bases"] == 2 * 7


def test_background_depends_on_the_generator_alone():
    genome, *problem = toy_problem(0)
    options = dict(margin=MARGIN, tolerance=0.05)
    problem.insert(2, WIDTH)
    first, again, other = (
        sample_gc_matched(genome, *problem, **options, rng=np.random.default_rng(seed)).start.tolist()
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_background_drops_windows_that_touch_two_splits_and_counts_them():
    genome, blocks = (
        ToyGenome(),
        Blocks(np.full(2, "chr1"), np.array([0, 10_010]), np.array([0, 2], np.uint8), 10_010),
    )

    def split_windows(chromosomes, starts, ends):
        split = split_by_block(chromosomes, starts, blocks)
        return split, crosses_split(chromosomes, starts, ends, split, blocks)

    starts = np.array([4000])
    arguments = genome, np.array(["chr1"]), starts, WIDTH, split_windows, make_loci(["chr2"], [0], [10])
    found = sample_gc_matched(*arguments, per_positive=400 // 2 - 10, rng=np.random.default_rng(0))
    assert found.counts["touches two splits"] == 1 and found.counts["near a peak"] == 1
    assert (found.start < 10_000).all() and (found.split == 0).all()
    starts[0] = 10_000
    message = refusal(sample_gc_matched, *arguments, rng=np.random.default_rng(0))
    assert message == "1 positive windows touch two splits; drop them (see crosses_split)"


def test_background_needs_positives():
    arguments = ToyGenome(), np.empty(0, np.str_), np.empty(0, np.int64), WIDTH, None, make_loci([], [], [])
    assert "give at least one" in refusal(sample_gc_matched, *arguments, rng=np.random.default_rng(0))
