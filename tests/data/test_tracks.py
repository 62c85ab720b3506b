"""Counts of BigWig files: every interval, every wrong value and file; tracks against a genome; strand shift."""

import struct

import numpy as np
import pyBigWig
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fprior.data import tracks
from fprior.data.tracks import BigWig, check_tracks, strand_shift
from fprior.errors import InputError

LENGTHS = {"chr1": 20_000, "chr2": 300}
LEVELS = 6  # where the number of zoom levels is in the header


def write(path, intervals, lengths=LENGTHS):
    """A BigWig of (chromosome, start, end, value)."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(lengths.items()))
        if intervals:
            chromosomes, starts, ends, values = zip(*intervals, strict=True)
            file.addEntries(list(chromosomes), list(starts), ends=list(ends), values=[float(v) for v in values])
    return path


def write_counts(path, counts, lengths=None):
    """A BigWig of chromosome → counts, one interval a base, gaps where the count is 0."""
    lengths = lengths or {name: len(values) for name, values in counts.items()}
    rows = [(name, int(i), int(i) + 1, values[i]) for name, values in counts.items() for i in np.flatnonzero(values)]
    return BigWig(write(path, rows, lengths))


def refusal(path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        BigWig(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and "; " in message
    return message


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Random counts, most of them 0, in memory and as a BigWig."""
    rng = np.random.default_rng(0)
    counts = {name: rng.poisson(0.2, length).astype(np.uint32) for name, length in LENGTHS.items()}
    return counts, write_counts(tmp_path_factory.mktemp("sparse") / "sparse.bw", counts)


# ---- counts


def test_attributes(sparse):
    counts, track = sparse
    assert track.lengths == LENGTHS and track.path.name == "sparse.bw"
    assert track.largest == max(values.max() for values in counts.values()) and type(track.largest) is int


@given(st.integers(0, 20_000), st.integers(0, 20_000))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interval_is_the_slice_of_the_whole(sparse, a, b):
    counts, track = sparse
    start, end = sorted((a, b))
    result = track.counts("chr1", start, end)
    assert result.dtype == np.uint32
    np.testing.assert_array_equal(result, counts["chr1"][start:end])


@pytest.mark.parametrize("piece", [1, 7, 64, 299, 300])
def test_pieces_are_joined(sparse, monkeypatch, piece):
    counts, track = sparse
    monkeypatch.setattr(tracks, "_PIECE", piece)
    np.testing.assert_array_equal(track.counts("chr2", 0, 300), counts["chr2"])
    np.testing.assert_array_equal(track.counts("chr2", 11, 290), counts["chr2"][11:290])


def test_intervals_longer_than_a_base_are_repeated_and_cut_at_the_ends(tmp_path):
    track = BigWig(write(tmp_path / "a.bw", [("chr1", 2, 6, 3), ("chr1", 6, 7, 0), ("chr1", 7, 12, 1)]))
    assert track.counts("chr1", 0, 13).tolist() == [0, 0, 3, 3, 3, 3, 0, 1, 1, 1, 1, 1, 0]
    assert track.counts("chr1", 4, 9).tolist() == [3, 3, 0, 1, 1]
    assert track.counts("chr1", 3, 3).tolist() == []


def test_all_three_kinds_of_blocks(tmp_path):
    with pyBigWig.open(str(tmp_path / "a.bw"), "w") as file:
        file.addHeader([("chr1", 100)])
        file.addEntries("chr1", 2, values=[1.0, 2.0, 3.0], span=1, step=2)  # fixedStep
        file.addEntries("chr1", [10, 20], values=[4.0, 5.0], span=3)  # variableStep
        file.addEntries(["chr1"], [30], ends=[32], values=[6.0])  # bedGraph
    expected = np.zeros(100, int)
    expected[[2, 4, 6]] = 1, 2, 3
    expected[10:13], expected[20:23], expected[30:32] = 4, 5, 6
    np.testing.assert_array_equal(BigWig(tmp_path / "a.bw").counts("chr1", 0, 100), expected)


def test_a_file_and_a_chromosome_without_values(tmp_path):
    track = BigWig(write(tmp_path / "a.bw", [("chr1", 0, 1, 2)]))
    assert not track.counts("chr2", 0, 300).any()
    empty = BigWig(write(tmp_path / "b.bw", []))
    assert empty.largest == 0 and not empty.counts("chr1", 0, 20_000).any()


def test_the_largest_exact_count(tmp_path):
    track = BigWig(write(tmp_path / "a.bw", [("chr1", 5, 6, 2**24)]))
    assert track.largest == 2**24 and track.counts("chr1", 5, 6).tolist() == [2**24]


@pytest.mark.parametrize("values", [[9], [9, 9], [9, 3, 2], [9, 3, 5], [5, 9, 3], [1, 2, 9]])
@pytest.mark.parametrize("chromosome", ["chr1", "chr2"])
def test_the_largest_value_wherever_it_stands(tmp_path, monkeypatch, chromosome, values):
    monkeypatch.setattr(tracks, "_PIECE", 7)
    rows = [(chromosome, 50 + 10 * i, 51 + 10 * i, value) for i, value in enumerate(values)]
    assert BigWig(write(tmp_path / "a.bw", rows)).largest == 9


def test_the_largest_value_is_rounded_up(tmp_path):
    assert BigWig(write(tmp_path / "a.bw", [("chr1", 5, 6, 1.25)])).largest == 2


@pytest.mark.parametrize("start, end", [(-1, 5), (0, 301), (300, 301), (5, 4), (-3, -1), (301, 301)])
def test_out_of_bounds(sparse, start, end):
    with pytest.raises(InputError, match=f"sparse.bw: chr2:{start}-{end} is outside .* end <= 300"):
        sparse[1].counts("chr2", start, end)


def test_unknown_chromosome(sparse):
    with pytest.raises(InputError, match=r"sparse.bw: chromosome '1' is not in the file, which has chr1, chr2 …"):
        sparse[1].counts("1", 0, 1)


@pytest.mark.parametrize(
    "value, words",
    [
        (np.nan, "is nan, no count; leave bases without reads out"),
        (-np.inf, "is -inf, no count"),
        (-3, "is -3, a negative count; if the minus strand is stored below zero, write its absolute values"),
        (-0.5, "is -0.5, a negative count"),
        (0.25, "is 0.25, no whole number; give raw counts of 5′ ends, neither scaled nor smoothed"),
        (1.5, "is 1.5, no whole number"),
        (2**24 + 2, "more than the 16,777,216 that BigWig stores exactly; give raw counts"),
    ],
)
def test_a_value_that_is_no_count_is_named_with_its_position(tmp_path, value, words):
    rows = [("chr1", 1, 2, 1), ("chr1", 4, 9, value), ("chr1", 11, 12, value), ("chr1", 15, 16, 1)]
    track = BigWig(write(tmp_path / "a.bw", rows))
    for start, first in ((0, 4), (6, 6), (9, 11)):
        with pytest.raises(InputError) as caught:
            track.counts("chr1", start, 20)
        assert str(caught.value).startswith(f"{tmp_path}/a.bw: chr1:{first} (0-based) is ")
        assert words in str(caught.value)
    assert track.counts("chr1", 12, 17).tolist() == [0, 0, 0, 1, 0]  # what is right can be read


def test_a_base_with_two_values(tmp_path):
    with pyBigWig.open(str(tmp_path / "a.bw"), "w") as file:
        file.addHeader([("chr1", 100)])
        file.addEntries(["chr1"], [3], ends=[6], values=[1.0])
        file.addEntries(["chr1"], [5], ends=[8], values=[2.0], validate=False)
    with pytest.raises(InputError, match=r"a.bw: chr1:5 \(0-based\) has two values; write the file again"):
        BigWig(tmp_path / "a.bw").counts("chr1", 0, 100)


# ---- files


def test_missing_file(tmp_path):
    assert "there is no such file; give the path" in refusal(tmp_path / "none.bw")
    assert "there is no such file" in refusal(tmp_path)  # a directory


@pytest.mark.parametrize("content", [b"", b"abc", b"chr1\t0\t10\t1\n" * 20, b"\x88\x8f\xfc\x26" + bytes(100)])
def test_no_bigwig(tmp_path, content):
    assert "not a BigWig, by its first four bytes" in refusal(tmp_path / "a.bw", content)


def test_bigbed(tmp_path):
    assert "a bigBed, which holds loci" in refusal(tmp_path / "a.bw", struct.pack("<I", 0x8789F2EB) + bytes(100))


def test_infinite_largest_value(tmp_path):
    path = write(tmp_path / "a.bw", [("chr1", 4, 5, np.inf)])
    assert "the largest value is inf by the header" in refusal(path)


def test_old_version_without_summary(tmp_path):
    content = bytearray(write(tmp_path / "a.bw", [("chr1", 4, 5, 1)]).read_bytes())
    content[44:52] = bytes(8)
    assert "without a summary; write it with a newer tool" in refusal(tmp_path / "b.bw", bytes(content))


@pytest.mark.parametrize("version", [3, 4])
def test_a_cut_at_any_place(sparse, tmp_path, version):
    content = bytearray(sparse[1].path.read_bytes())
    content[4] = version
    assert struct.unpack_from("<H", content, LEVELS)[0] > 0
    opened(tmp_path / "whole.bw", content).counts("chr1", 0, 100)
    index_of_last_level = struct.unpack_from("<Q", content, 64 + 24 * (content[LEVELS] - 1) + 16)[0]
    last = len(content) if version == 4 else index_of_last_level  # the end of an older file bears no mark
    for cut in [*range(4, 400, 13), *range(400, last, 997), last - 1]:
        assert "is cut short; copy, download or write it again" in refusal(tmp_path / "cut.bw", bytes(content[:cut]))


def opened(path, content) -> BigWig:
    path.write_bytes(content)
    return BigWig(path)


def test_damaged_index_and_data(sparse, tmp_path):
    content = bytearray(sparse[1].path.read_bytes())
    tree, data, index = struct.unpack_from("<QQQ", content, 8)
    for at in (tree, index):
        damaged = bytearray(content)
        damaged[at] ^= 0x55
        assert "damaged BigWig" in refusal(tmp_path / "damaged.bw", bytes(damaged))
    content[data + 8 : data + 200] = bytes(192)
    assert "chr1:0-20000 cannot be read (" in refusal(tmp_path / "damaged.bw", bytes(content))


def test_damaged_data_after_the_first_values(tmp_path, monkeypatch):
    counts = {"chr1": np.random.default_rng(0).poisson(3, 300_000)}
    content = bytearray(write_counts(tmp_path / "a.bw", counts).path.read_bytes())
    middle = sum(struct.unpack_from("<QQ", content, 16)) // 2  # of the data
    content[middle : middle + 50] = bytes(50)
    monkeypatch.setattr(tracks, "_PIECE", 1000)  # the first value is read when the file is opened
    track = opened(tmp_path / "damaged.bw", content)
    monkeypatch.undo()
    with pytest.raises(
        InputError, match=r"damaged.bw: chr1:0-300000 cannot be read \(.*\); copy or write the file again"
    ):
        track.counts("chr1", 0, 300_000)


# ---- tracks and the genome


def test_tracks_that_fit(sparse):
    assert check_tracks([sparse[1], sparse[1]], {**LENGTHS, "chr3": 5}, ["chr1", "chr2"]) is None
    check_tracks([sparse[1]], {"chr1": 20_000, "chr2": 17}, {"chr1"})  # chr2 is not needed
    check_tracks([sparse[1]], {"chr1": 19_999}, ["chr1"], partial_genome=True)
    check_tracks([], LENGTHS, ["chr1"])


@pytest.mark.parametrize(
    "genome, needed, partial, words",
    [
        ({"chr1": 19_999}, "chr1", False, r"sparse.bw: chr1 has 20000 bases, but 19999 in the genome; .* one assembly"),
        ({"chr1": 20_001}, "chr1", False, r"sparse.bw: chr1 has 20000 bases, but 20001 in the genome"),
        ({"chr1": 20_001}, "chr1", True, r"sparse.bw: chr1 has 20000 bases, but 20001 in the genome"),
        ({"1": 20_000}, "1", False, r"sparse.bw: chromosomes are named like 'chr1', in the genome like '1'; write"),
        ({"chr7": 5}, "chr7", False, r"sparse.bw: chromosome 'chr7' of the genome is not in the file, which has chr1"),
        ({"chr1": 20_000}, "chr2", False, r"chromosomes: 'chr2' is not in the genome, which has chr1 …; leave it out"),
    ],
)
def test_tracks_that_do_not_fit(sparse, genome, needed, partial, words):
    with pytest.raises(InputError, match=words):
        check_tracks([sparse[1]], genome, [needed], partial_genome=partial)


def test_every_track_is_checked(sparse, tmp_path):
    other = BigWig(write(tmp_path / "other.bw", [("chr1", 0, 1, 1)], {"chr1": 20_000, "chr2": 299}))
    with pytest.raises(InputError, match=r"other.bw: chr2 has 299 bases, but 300"):
        check_tracks([sparse[1], other], LENGTHS, ["chr1", "chr2"])


@pytest.mark.parametrize("ours, theirs", [("MT", "chrM"), ("chrM", "MT"), ("X", "chrX"), ("chrX", "X")])
def test_names_of_ucsc_and_ensembl(tmp_path, ours, theirs):
    track = BigWig(write(tmp_path / "a.bw", [(ours, 0, 1, 1)], {ours: 10}))
    with pytest.raises(InputError, match=f"named like '{ours}', in the genome like '{theirs}'"):
        check_tracks([track], {theirs: 10}, [theirs])


# ---- the two strands

CENTRES = [20, 1000, 2500, 2990]  # windows at both ends reach beyond the chromosome


def strands(tmp_path, shift, background=0.02):
    """Two tracks with humps `shift` bases apart around the centres, and reads all over."""
    rng = np.random.default_rng(1)
    profiles = [rng.poisson(background, 3000).astype(np.uint32) for _ in range(2)]
    for centre in CENTRES:
        for profile, middle in zip(profiles, (centre - shift // 2, centre - shift // 2 + shift), strict=True):
            at = np.round(rng.normal(middle, 12, 400)).astype(int)
            np.add.at(profile, at[(at >= 0) & (at < 3000)], 1)
    return [write_counts(tmp_path / f"{name}.bw", {"chr1": p}) for name, p in zip("pm", profiles, strict=True)]


@pytest.mark.parametrize("shift", [90, 0, -70, 200])
def test_strand_shift(tmp_path, shift):
    plus, minus = strands(tmp_path, shift)
    assert abs(strand_shift(plus, minus, "chr1", CENTRES) - shift) <= 8
    assert abs(strand_shift(minus, plus, "chr1", CENTRES) + shift) <= 8


def test_strand_shift_of_a_shifted_copy_is_exact(tmp_path):
    rng = np.random.default_rng(2)
    counts = np.zeros(2000, np.uint32)
    counts[900:1100] = rng.poisson(3, 200)
    plus = write_counts(tmp_path / "p.bw", {"chr1": counts})
    minus = write_counts(tmp_path / "m.bw", {"chr1": np.roll(counts, 37)})
    assert strand_shift(plus, minus, "chr1", [1000], reach=150) == 37
    assert strand_shift(minus, plus, "chr1", [1000], reach=150) == -37
    assert strand_shift(plus, plus, "chr1", [1000, 1010], reach=150) == 0


def slow_strand_shift(plus, minus, centres, reach):
    padded = [np.pad(values.astype(float), 2 * reach) for values in (plus, minus)]
    around = [[sum(p[c + 2 * reach + x] for c in centres) for x in range(-2 * reach, 2 * reach + 1)] for p in padded]
    middle = np.array(around[0][reach : 3 * reach + 1]) - np.mean(around[0][reach : 3 * reach + 1])
    sums = {
        shift: sum(middle[x + reach] * around[1][x + shift + 2 * reach] for x in range(-reach, reach + 1))
        for shift in range(-reach, reach + 1)
    }
    return max(sums, key=sums.get)


@pytest.mark.parametrize("seed", range(5))
def test_strand_shift_is_that_of_the_slow_plain_version(tmp_path, seed):
    rng = np.random.default_rng(seed)  # noise alone, whose mean would decide if it were left in
    arrays = [rng.poisson(np.linspace(1, 9, 3000)) for _ in range(2)]
    plus, minus = (write_counts(tmp_path / f"{i}.bw", {"chr1": array}) for i, array in enumerate(arrays))
    assert strand_shift(plus, minus, "chr1", CENTRES, reach=50) == slow_strand_shift(*arrays, CENTRES, 50)


@pytest.mark.parametrize(
    "centres, reach, words",
    [
        ([], 300, "centres: there are none"),
        ([1000], 0, r"reach \(=0\) must be 1 or more"),
        ([-1], 300, "centres: chr1:-1 is outside the 3000 bases of the chromosome in .*p.bw"),
        ([1000, 3000], 300, "centres: chr1:3000 is outside the 3000 bases"),
        ([1800], 100, "p.bw: there are no reads within 100 bases of the 1 centres on chr1; give tracks and peaks"),
    ],
)
def test_unusable_centres(tmp_path, centres, reach, words):
    plus, minus = strands(tmp_path, 90, background=0)
    with pytest.raises(InputError, match=words):
        strand_shift(plus, minus, "chr1", centres, reach)


def test_strand_shift_on_an_unknown_chromosome(tmp_path):
    with pytest.raises(InputError, match=r"p.bw: chromosome 'chrX' is not in the file"):
        strand_shift(*strands(tmp_path, 90), "chrX", [5])
