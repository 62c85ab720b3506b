"""Reading loci, checking them against a genome, splitting them, and drawing matched background."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fprior.data import splits as module
from fprior.data.background import (
    background_candidates,
    gc_fraction,
    gc_fraction_at,
    match_gc,
    sample_gc_matched,
    unknown_fraction_at,
    windows_around,
)
from fprior.data.loci import Loci, check_against_genome, read_loci, rename_chromosomes
from fprior.data.splits import Blocks, crosses_split, deal_blocks, split_by_block, split_by_chromosome
from fprior.errors import InputError

PEAK = "chr1\t100\t200\tp1\t500\t.\t7.5\t3.2\t1.1\t30\n"
PEAK_WITHOUT_SUMMIT = "chr2\t10\t21\tp2\t10\t.\t2\t-1\t-1\t-1\n"


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def make_loci(chromosome, start, end) -> Loci:
    start, end = np.array(start, np.int64), np.array(end, np.int64)
    return Loci(np.array(chromosome, np.str_), start, end, (start + end) // 2, np.full(len(start), np.nan, "f4"))


def refusal(call, *arguments, **keywords) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- reading


@pytest.mark.parametrize("name", ["a.narrowPeak", "a.narrowPeak.gz", "a.bed", "a.txt.gz"])
def test_narrow_peak_by_name_and_by_content(tmp_path, name):
    content = (PEAK + PEAK_WITHOUT_SUMMIT).encode()
    loci = read_loci(write(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content))
    assert len(loci) == 2
    assert loci.chromosome.dtype.kind == "U" and loci.chromosome.tolist() == ["chr1", "chr2"]
    assert (loci.start.tolist(), loci.end.tolist()) == ([100, 10], [200, 21])
    assert loci.summit.tolist() == [130, 15] and loci.signal.tolist() == [7.5, 2.0]
    assert {loci.start.dtype, loci.end.dtype, loci.summit.dtype} == {np.dtype("i8")}
    assert loci.signal.dtype == np.float32


def test_ten_columns_that_are_no_narrow_peak_are_bed(tmp_path):
    loci = read_loci(write(tmp_path / "a.bed", "chr1\t100\t200\tn\t500\t+\t100\t200\t255,0,0\t30\n"))
    assert loci.summit.tolist() == [150] and loci.signal.tolist() == [500.0]


def test_bed_with_headers_comments_blanks_spaces_and_windows_line_ends(tmp_path):
    content = "\ufefftrack name=x\r\nbrowser position\r\n# note\r\n\r\ntrack1 5 6 a . +\r\nchr1\t0\t3\tb c\t9\t-"
    loci = read_loci(write(tmp_path / "a.bed", content))
    assert loci.chromosome.tolist() == ["track1", "chr1"] and loci.start.tolist() == [5, 0]
    assert loci.summit.tolist() == [5, 1]
    np.testing.assert_array_equal(loci.signal, [np.nan, 9])


def test_bed_of_three_columns_has_no_signal_and_keeps_the_order_of_the_file(tmp_path):
    loci = read_loci(write(tmp_path / "a.bed", "chr2\t5\t9\r\nchr1\t7\t8\r\nchr1\t0\t2\r\n"))
    assert loci.start.tolist() == [5, 7, 0] and np.isnan(loci.signal).all()


@pytest.mark.parametrize("text", ["nan", "inf", "1e39", "x"])
def test_signal_of_bed_that_is_no_finite_float32_is_absent(tmp_path, text):
    assert np.isnan(read_loci(write(tmp_path / "a.bed", f"chr1\t5\t9\tn\t{text}\n")).signal).all()


def test_indexing_keeps_the_arrays_parallel(tmp_path):
    loci = read_loci(write(tmp_path / "a.narrowPeak", PEAK + PEAK_WITHOUT_SUMMIT))
    for index in (np.array([1]), np.array([False, True]), slice(1, 2)):
        chosen = loci[index]
        assert len(chosen) == 1 and chosen.chromosome.tolist() == ["chr2"] and chosen.summit.tolist() == [15]
        assert (chosen.start[0], chosen.end[0], chosen.signal[0]) == (10, 21, 2)


def peak(**changes) -> str:
    columns = dict(zip("chromosome start end name score strand signal p q offset".split(), PEAK.split(), strict=True))
    return "\t".join((columns | changes).values()) + "\n"


@pytest.mark.parametrize(
    "name, line, words",
    [
        ("a.bed", "chr1\t5\n", "2 columns; 3 or more for BED are needed"),
        ("a.narrowPeak", "chr1\t5\t9\n", "3 columns; 10 for narrowPeak are needed"),
        (
            "a.bed",
            "chrom\tstart\tend\n",
            "start 'start' and end 'end' must be integers; correct them, or begin a header",
        ),
        ("a.bed", "chr1\t1_000\t2000\n", "start '1_000'"),
        ("a.bed", "chr1\t1.0\t2\n", "start '1.0'"),
        ("a.bed", "chr1\t١\t2\n", "start '١'"),
        ("a.bed", "chr1\t1\t99999999999999999999\n", "end '99999999999999999999'"),
        ("a.bed", "chr1\t-1\t5\n", "start -1 and end 5 enclose nothing; BED needs 0 <= start < end"),
        ("a.bed", "chr1\t5\t5\n", "start 5 and end 5 enclose nothing"),
        ("a.bed", "\t5\t9\n", "column 1 is empty; name the chromosome"),
        (
            "a.narrowPeak",
            peak(offset="100"),
            "summit offset '100' in column 10 must be an integer inside the peak, 0 to 99, or -1",
        ),
        ("a.narrowPeak", peak(offset="-2"), "summit offset '-2'"),
        ("a.narrowPeak", peak(offset="x"), "summit offset 'x'"),
        ("a.narrowPeak", peak(signal="."), "signal '.' in column 7 must be a finite number; correct it"),
    ],
)
def test_malformed_lines_are_named(tmp_path, name, line, words):
    path = write(tmp_path / name, "# comment\n" + line)
    message = refusal(read_loci, path)
    assert message.startswith(f"{path}, line 2: ")
    assert words in message


@pytest.mark.parametrize("second", ["chr1\t5\t9\tname\n", "chr1\t5\n"])
def test_changing_number_of_columns(tmp_path, second):
    path = write(tmp_path / "a.bed", "chr1\t5\t9\n\n" + second)
    count = second.count("\t") + 1
    assert refusal(read_loci, path).startswith(f"{path}, line 3: {count} columns, but 3 in the lines before;")


def test_a_bad_line_after_good_ones_is_not_taken_for_bed(tmp_path):
    path = write(tmp_path / "a.bed", PEAK + peak(offset="100"))
    assert refusal(read_loci, path).startswith(f"{path}, line 2: summit offset '100'")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.bed", b"", "there are no loci in the file; give BED or narrowPeak"),
        ("a.bed", b"# only\n\n", "there are no loci in the file"),
        ("a.bed.gz", b"chr1\t5\t9\n", "the file is no gzip; rename it or compress it"),
        ("a.bed.gz", gzip.compress(PEAK.encode() * 9, mtime=0)[:-9], "damaged gzip (Compressed file ended"),
        ("a.bed.gz", gzip.compress(b"chr1\t5\t9\n", mtime=0)[:-8] + bytes(8), "damaged gzip (CRC check failed"),
        ("a.bed", b"\xeb\xf2\x89\x87\x04", "not a text file"),
    ],
)
def test_unusable_files(tmp_path, name, content, words):
    path = write(tmp_path / name, content)
    message = refusal(read_loci, path)
    assert message.startswith(f"{path}: ") and words in message


def test_missing_file(tmp_path):
    assert refusal(read_loci, tmp_path / "none.bed").startswith(f"{tmp_path}/none.bed: there is no such file; give")


# ---- loci and the genome

GENOME = SimpleNamespace(path="g.fa", lengths={"chr1": 100, "chr2": 50, "chrM": 10})


def test_unknown_chromosomes_are_counted_by_name():
    loci = make_loci(["chr1", "chrUn", "chr2", "chrUn", "alt"], [0, 0, 40, 5, 1], [100, 999, 50, 6, 2])
    kept, drops = check_against_genome(loci, GENOME, "p.bed")
    assert kept.tolist() == [True, False, True, False, False] and drops == {
        "on alt, not in the genome": 1,
        "on chrUn, not in the genome": 2,
    }


@pytest.mark.parametrize("names, how", [(["1", "MT", "X"], "add_chr"), (["MT"], "add_chr"), (["chr1"], "remove_chr")])
def test_naming_styles(names, how):
    loci = make_loci(names, [0] * len(names), [10] * len(names))
    ensembl = SimpleNamespace(path="g.fa", lengths={"1": 100, "MT": 10})
    genome = GENOME if how == "add_chr" else ensembl
    message = refusal(check_against_genome, loci, genome, "p.bed")
    assert message.startswith("p.bed: ") and f"like {names[0]!r}, in g.fa like" in message
    assert message.endswith(f"set prepare.chromosome_names='{how}'")
    assert check_against_genome(rename_chromosomes(loci, how), genome, "p.bed")[0][0]


def test_rename_chromosomes():
    loci = make_loci(["1", "MT", "chrX", "1"], [3, 2, 1, 0], [4, 4, 4, 4])
    ucsc = rename_chromosomes(loci, "add_chr")
    assert ucsc.chromosome.tolist() == ["chr1", "chrM", "chrX", "chr1"] and ucsc.start is loci.start
    assert rename_chromosomes(ucsc, "remove_chr").chromosome.tolist() == ["1", "MT", "X", "1"]
    assert "prepare.chromosome_names (='ucsc') must be 'add_chr'" in refusal(rename_chromosomes, loci, "ucsc")


def test_no_chromosome_in_common():
    message = refusal(check_against_genome, make_loci(["NC_1"], [0], [5]), GENOME, "p.bed")
    assert message == (
        "p.bed: none of its chromosomes ('NC_1' …) is in g.fa ('chr1' …); give the FASTA of the same assembly"
    )


def test_loci_beyond_the_chromosome():
    loci = make_loci(["chr1", "chr2", "chr1", "other"], [0, 45, 90, 0], [100, 51, 101, 10**9])
    message = refusal(check_against_genome, loci, GENOME, "p.bed")
    assert message == (
        "p.bed: 2 loci, the first chr2:45-51, end beyond their chromosome (chr2 has 50 bases in g.fa);"
        " the assembly is probably wrong: give the FASTA that the loci were called on, or set"
        " prepare.partial_genome=True if it holds chromosomes in part"
    )
    kept, drops = check_against_genome(loci, GENOME, "p.bed", partial_genome=True)
    assert drops == {"on other, not in the genome": 1, "beyond the end of a partial chromosome": 2}
    assert kept.tolist() == [True, False, False, False]


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


# ---- splits


def test_split_by_chromosome():
    split = split_by_chromosome(np.array(["a", "b", "c", "b"]), test=("b",), valid=["c"])
    assert split.dtype == np.uint8 and split.tolist() == [0, 2, 1, 2]


def test_split_by_chromosome_refuses_absent_and_double_names():
    names = np.array(["chr1", "chr2"])
    message = refusal(split_by_chromosome, names, test=("chr1",), valid=("chr9",))
    assert message == "valid chromosome 'chr9' has no loci; those that have some are chr1, chr2"
    assert "test chromosome '1'" in refusal(split_by_chromosome, names, test="chr1", valid=())
    assert "'chr1' is in test" in refusal(split_by_chromosome, names, test=("chr1",), valid=("chr1", "chr2"))


FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0)])


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=4).filter(lambda lengths: sum(lengths) > 150),
    st.integers(1, 10),
    FRACTIONS,
    st.integers(0, 9),
)
@settings(max_examples=50, deadline=None)
def test_blocks_partition_the_genome(lengths, block_size, fractions, seed):
    lengths = {f"chr{i}": length for i, length in enumerate(lengths)}
    blocks = deal_blocks(lengths, block_size, fractions=fractions, seed=seed)
    covered = [(n, s) for n, length in lengths.items() for s in range(0, length, block_size)]
    assert list(zip(blocks.chromosome.tolist(), blocks.start.tolist(), strict=True)) == covered
    np.testing.assert_allclose(np.bincount(blocks.split, minlength=3), np.array(fractions) * len(covered), atol=1)
    chromosomes = np.repeat(list(lengths), list(lengths.values()))
    positions = np.concatenate([np.arange(length) for length in lengths.values()])
    split = split_by_block(chromosomes, positions, blocks)
    table = dict(zip(covered, blocks.split.tolist(), strict=True))
    assert split.dtype == np.uint8
    assert split.tolist() == [
        table[n, p // block_size * block_size] for n, p in zip(chromosomes.tolist(), positions.tolist(), strict=True)
    ]


@given(st.data(), st.integers(1, 7), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_crosses_split_equals_looking_at_every_base(data, block_size, width):
    blocks = deal_blocks(
        {"b": 100, "a": 64}, block_size, fractions=(0.5, 0.25, 0.25), seed=data.draw(st.integers(0, 9))
    )
    chromosome = data.draw(st.sampled_from("ab"))
    starts = np.arange({"b": 100, "a": 64}[chromosome] - width + 1)
    names = np.full(len(starts), chromosome)
    split = split_by_block(names, starts + data.draw(st.integers(0, width - 1)), blocks)
    crosses = crosses_split(names, starts, starts + width, split, blocks)
    for start, own, answer in zip(starts, split, crosses, strict=True):
        touched = split_by_block(np.full(width, chromosome), np.arange(start, start + width), blocks)
        assert answer == (touched != own).any()


def test_dealing_depends_on_the_seed_alone():
    first, again, other = (
        deal_blocks({"a": 1000}, 10, fractions=(0.5, 0.25, 0.25), seed=seed).split.tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("chromosome, position", [("c", 5), ("0", 5), ("a", -1), ("a", 100)])
def test_positions_outside_the_blocks(chromosome, position):
    blocks = deal_blocks({"a": 100, "b": 200}, 10, fractions=(1, 0, 0), seed=0)
    message = refusal(split_by_block, np.array(["a", chromosome]), np.array([0, position]), blocks)
    assert message.startswith(f"{chromosome}:{position} lies outside all blocks; deal the blocks with the length")


@pytest.mark.parametrize(
    "block_size, fractions, words",
    [
        (10, (0.5, 0.4, 0.2), "fractions (=(0.5, 0.4, 0.2)) must be three numbers"),
        (10, (0.5, 0.5), "must be three numbers"),
        (10, (1.5, -0.5, 0.0), "must be three numbers"),
        (0, (1.0, 0.0, 0.0), "block_size (=0) must be at least 1"),
        (50, (0.8, 0.1, 0.1), "block_size (=50) leaves no block of 2 to valid; lower it"),
    ],
)
def test_impossible_blocks(block_size, fractions, words):
    assert words in refusal(deal_blocks, {"a": 100}, block_size, fractions=fractions, seed=0)


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


def test_split_labels():
    assert [module.SPLITS[i] for i in (module.TRAIN, module.VALID, module.TEST)] == ["train", "valid", "test"]
