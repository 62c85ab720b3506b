"""Background at random, regions that nothing may touch, folds of chromosomes, and leaks between splits."""

import numpy as np
import pytest
from hand_made import make_loci
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refusals import refusal

from fprior.data.background import gc_fraction, sample_gc_matched, sample_random
from fprior.data.loci import is_named, strongest, touches_any, touching
from fprior.data.matching import draw_random
from fprior.data.splits import check_disjoint, deal_chromosomes, fold_chromosomes

WIDTH, MARGIN = 40, 70


class ToyGenome:
    """Two chromosomes of random bases, the first with a run of Ns."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.path, self.lengths = "toy.fa", {"chr1": 20_000, "chr2": 12_000}
        self.sequence = {name: rng.integers(0, 4, length).astype(np.uint8) for name, length in self.lengths.items()}
        self.sequence["chr1"][100:333] = 4

    def tokens(self, chromosome, start, end):
        return self.sequence[chromosome][start:end]


def halves(chromosomes, starts, ends):
    """Training before 6,000, test after it."""
    split = np.where((starts + ends) // 2 < 6000, 0, 2).astype(np.uint8)
    return split, (starts < 6000) & (ends > 6000)


# ---- background


@pytest.mark.parametrize("sample", [sample_random, sample_gc_matched])
@pytest.mark.parametrize("seed", range(3))
def test_background_keeps_off_peaks_positives_and_excluded_regions(sample, seed):
    genome, rng = ToyGenome(), np.random.default_rng(seed)
    peaks = make_loci(["chr1", "chr2", "chr2"], [3000, 2000, 9000], [3090, 2040, 9500])
    chromosomes, starts = np.array(["chr1", "chr2", "chr2"]), np.array([3020, 2000, 9100])
    begin = rng.integers(0, 11_000, 8)
    excluded = make_loci(rng.choice(["chr1", "chr2", "chr9"], 8), begin, begin + 700)
    found = sample(
        genome, chromosomes, starts, WIDTH, halves, peaks,
        margin=MARGIN, excluded=excluded, per_positive=20, rng=np.random.default_rng(seed),
    )  # fmt: skip
    assert len(set(zip(found.chromosome.tolist(), found.start.tolist(), strict=True))) == len(found.start) == 60
    positive_split, _ = halves(chromosomes, starts, starts + WIDTH)
    np.testing.assert_array_equal(found.split, np.repeat(positive_split, 20))
    for name, start, gc in zip(found.chromosome, found.start, found.gc, strict=True):
        for regions, margin in ((peaks, MARGIN), (excluded, 0)):
            there = regions.chromosome == name
            near = (regions.start[there] - margin < start + WIDTH) & (regions.end[there] + margin > start)
            assert not near.any()
        assert gc == gc_fraction(genome.sequence[name][start : start + WIDTH])
    expected = [gc_fraction(genome.sequence[n][s : s + WIDTH]) for n, s in zip(chromosomes, starts, strict=True)]
    assert found.positive_gc.tolist() == expected
    assert found.counts["touches an excluded region"] > 0
    assert ("off GC tolerance" in found.counts) == (sample is sample_gc_matched)


def test_random_background_ignores_gc():
    """Positives of G and C alone: a match would look for the richest windows."""
    genome, starts = ToyGenome(), np.array([4000])
    genome.sequence["chr1"][4000:4040] = 1
    arguments = genome, np.array(["chr1"]), starts, WIDTH, halves, make_loci(["chr1"], [4000], [4040])
    drawn = sample_random(*arguments, per_positive=60, rng=np.random.default_rng(0))
    matched = sample_gc_matched(*arguments, per_positive=60, rng=np.random.default_rng(0))
    assert abs(drawn.gc.mean() - 0.5) < 0.03 and matched.gc.mean() > 0.53


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(1, 3), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_random_draws(positive_split, per_positive, seed):
    positive_split = np.array(positive_split, np.uint8)
    candidate_split = np.random.default_rng(seed).permutation(np.repeat(range(3), 12 * per_positive))
    first, again = (
        draw_random(positive_split, candidate_split, per_positive=per_positive, rng=np.random.default_rng(seed))
        for _ in range(2)
    )
    assert first.shape == (len(positive_split), per_positive) and len(np.unique(first)) == first.size
    assert (candidate_split[first] == positive_split[:, None]).all()
    np.testing.assert_array_equal(first, again)


def test_every_candidate_may_be_drawn():
    zero = np.zeros(1, np.uint8)
    drawn = {
        draw_random(zero, np.zeros(5), per_positive=1, rng=np.random.default_rng(seed)).item() for seed in range(60)
    }
    assert drawn == set(range(5))


def test_too_few_candidates():
    split = np.ones(2, np.uint8)
    message = refusal(draw_random, split, np.ones(3), per_positive=2, rng=np.random.default_rng(0))
    assert message.startswith("valid has 3 background windows for 2 positives with per_positive (=2) each; lower")
    assert "per_positive (=0)" in refusal(draw_random, split, split, per_positive=0, rng=np.random.default_rng(0))


# ---- overlap


REGIONS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.integers(1, 20)), max_size=8)


@given(REGIONS, REGIONS)
@settings(deadline=None)
def test_touching_equals_comparing_all_pairs(windows, regions):
    windows, regions = (
        make_loci([n for n, _, _ in v], [s for _, s, _ in v], [s + w for _, s, w in v]) for v in (windows, regions)
    )
    overlap = (windows.start[:, None] < regions.end) & (windows.end[:, None] > regions.start)
    assert touching(windows.start, windows.end, regions.start, regions.end).tolist() == overlap.sum(1).tolist()
    same = windows.chromosome[:, None] == regions.chromosome
    touched = touches_any(windows.chromosome, windows.start, windows.end, regions)
    assert touched.tolist() == (overlap & same).any(1).tolist()


# ---- signal and names


def test_strongest_keeps_ties_in_the_order_of_the_file():
    loci = make_loci(["a"] * 5, range(5), range(1, 6), [3, 9, 3, 3, 1])
    assert strongest(loci, 0.6, "p").tolist() == [True, True, True, False, False]
    assert strongest(loci, 0.01, "p").tolist() == [False, True, False, False, False]
    assert strongest(make_loci(["a"], [0], [1]), 1.0, "p").tolist() == [True]


def test_strongest_needs_signals():
    loci = make_loci(["a"] * 2, [0, 1], [1, 2], [3, np.nan])
    message = refusal(strongest, loci, 0.5, "p.bed")
    assert message.startswith("p.bed: 1 of 2 loci have no signal") and "top_fraction (=0.5)" in message
    for fraction in (0.0, -1.0, 1.5, float("nan")):
        assert "must be above 0 and at most 1" in refusal(strongest, loci, fraction, "p.bed")


@pytest.mark.parametrize("names", [("chrY", "chrM"), ("Y", "MT")])
def test_names_of_either_style(names):
    chromosomes = np.array(["chr1", "chrY", "Y", "MT", "chrM", "chrY_random", "1"])
    assert is_named(chromosomes, names).tolist() == [False, True, True, True, True, False, False]
    assert not is_named(chromosomes, ("",)).any() and not is_named(chromosomes, ()).any()


# ---- folds


LENGTHS = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 1000), min_size=3, max_size=12)


@given(LENGTHS, st.integers(3, 5), st.randoms())
@settings(deadline=None)
def test_folds_hold_every_chromosome_once_and_are_of_about_equal_length(lengths, num_folds, random):
    if len(lengths) < num_folds:
        assert "exceeds" in refusal(deal_chromosomes, lengths, num_folds)
        return
    folds = deal_chromosomes(lengths, num_folds)
    assert set(folds) == set(lengths) and set(folds.values()) == set(range(num_folds))
    shuffled = list(lengths.items())
    random.shuffle(shuffled)
    assert deal_chromosomes(dict(shuffled), num_folds) == folds
    filled = [sum(lengths[n] for n in lengths if folds[n] == fold) for fold in range(num_folds)]
    assert max(filled) - min(filled) <= max(lengths.values())
    tests = []
    for fold in range(num_folds):
        test, valid = fold_chromosomes(folds, fold)
        assert not set(test) & set(valid) and valid == fold_chromosomes(folds, (fold + 1) % num_folds)[0]
        tests += test
    assert sorted(tests) == sorted(lengths)


def test_the_longest_goes_onto_the_emptiest_fold():
    folds = deal_chromosomes({"a": 5, "b": 9, "c": 9, "d": 4, "e": 3, "f": 2}, 3)
    assert folds == {"b": 0, "c": 1, "a": 2, "d": 2, "e": 0, "f": 1}


@pytest.mark.parametrize("fold", [-1, 3])
def test_fold_out_of_range(fold):
    assert f"fold (={fold}) must be from 0 to 2" in refusal(fold_chromosomes, {"a": 0, "b": 1, "c": 2}, fold)


def test_folds_are_three_or_more():
    assert "num_folds (=2) must be at least 3" in refusal(deal_chromosomes, {"a": 1, "b": 2}, 2)


# ---- leaks


WINDOWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(1, 12), st.integers(0, 2)), max_size=10
)


@given(WINDOWS)
@example([("a", 0, 12, 0), ("a", 1, 1, 0), ("a", 5, 1, 1)])  # the window before is not the one that overlaps
@settings(max_examples=300, deadline=None)
def test_leaks_equal_comparing_all_pairs(windows):
    loci = make_loci([w[0] for w in windows], [w[1] for w in windows], [w[1] + w[2] for w in windows])
    split = np.array([w[3] for w in windows], np.uint8)
    overlap = (loci.start[:, None] < loci.end) & (loci.end[:, None] > loci.start)
    same = loci.chromosome[:, None] == loci.chromosome
    if (overlap & same & (split[:, None] != split)).any():
        assert "overlaps" in refusal(check_disjoint, loci.chromosome, loci.start, loci.end, split)
    else:
        assert check_disjoint(loci.chromosome, loci.start, loci.end, split) == len(windows)


def test_a_leak_is_named():
    loci = make_loci(["b", "a", "a", "a"], [0, 0, 4, 20], [9, 9, 6, 30])
    message = refusal(check_disjoint, loci.chromosome, loci.start, loci.end, np.array([0, 2, 1, 0], np.uint8))
    assert message == "a:0-9 of test overlaps a:4-6 of valid; drop one of them"
