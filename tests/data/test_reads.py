"""5′ ends of BAM and fragment files: every kind of read, every wrong line, and the BigWigs written of them."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from fprior.data import reads
from fprior.data.reads import Ends, is_bam, read_bam, read_fragments, read_lengths, write_bigwigs
from fprior.data.tracks import BigWig
from fprior.errors import InputError

LENGTHS = {"chr1": 1000, "chr2": 500, "chr3": 50}
REVERSE, PAIRED, FIRST, SECOND = 0x10, 0x1, 0x40, 0x80


def write_bam(path, rows, lengths=LENGTHS):
    """A BAM of (flag, chromosome, start, mapping quality, CIGAR), in the given order."""
    pysam = pytest.importorskip("pysam")
    header = pysam.AlignmentHeader.from_references(list(lengths), list(lengths.values()))
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for number, (flag, chromosome, start, quality, cigar) in enumerate(rows):
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag, read.mapping_quality = f"r{number}", flag, quality
            read.reference_name, read.reference_start, read.cigarstring = chromosome, start, cigar
            file.write(read)
    return path


def refusal(path, function, content: bytes | None = None, **arguments) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        function(path, **arguments)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and "; " in message
    return message


def positions(ends: Ends) -> dict[str, tuple[list[int], list[int]]]:
    everything = {name: (ends.plus[name].tolist(), ends.minus[name].tolist()) for name in ends.lengths}
    return {name: strands for name, strands in everything.items() if strands != ([], [])}


# ---- BAM


@pytest.mark.parametrize(
    "flag, start, cigar, expected",
    [
        (0, 100, "36M", ([100], [])),
        (REVERSE, 100, "36M", ([], [135])),
        (0, 100, "5S31M", ([100], [])),  # clipped bases are not aligned
        (REVERSE, 100, "31M5S", ([], [130])),
        (REVERSE, 100, "10M3D10M", ([], [122])),
        (REVERSE, 100, "10M3I10M", ([], [119])),
        (REVERSE, 100, "10M50N10M", ([], [169])),
        (0, 0, "1M", ([0], [])),
        (REVERSE, 990, "10M", ([], [999])),
        (PAIRED | FIRST, 100, "36M", ([100], [])),
        (PAIRED | SECOND | REVERSE, 100, "36M", ([], [135])),
        (PAIRED | FIRST | 0x8, 100, "36M", ([100], [])),  # its mate is unmapped
    ],
)
def test_the_end_of_a_read(tmp_path, flag, start, cigar, expected):
    ends = read_bam(write_bam(tmp_path / "a.bam", [(flag, "chr1", start, 60, cigar)]))
    assert positions(ends) == {"chr1": expected}
    assert (ends.read, ends.kept, ends.dropped, ends.lengths) == (1, 1, {}, LENGTHS)


@pytest.mark.parametrize(
    "flag, quality, cigar, reason",
    [
        (0x4, 60, None, "unmapped"),
        (0x100, 60, "10M", "secondary alignments"),
        (0x800, 60, "10M", "supplementary alignments"),
        (0x400, 60, "10M", "duplicates"),
        (0x200, 60, "10M", "failed quality control"),
        (0, 29, "10M", "low mapping quality"),
        (0, 60, None, "aligned without bases"),
        (0x4 | 0x200, 0, None, "unmapped"),  # of several reasons the first alone is counted
        (0x400 | 0x200, 0, "10M", "duplicates"),
    ],
)
def test_a_read_that_is_dropped(tmp_path, flag, quality, cigar, reason):
    rows = [(0, "chr1", 5, 30, "10M"), (flag, "chr1", 7, quality, cigar), (0, "chr1", 9, 255, "10M")]
    ends = read_bam(write_bam(tmp_path / "a.bam", rows))
    assert positions(ends) == {"chr1": ([5, 9], [])}
    assert (ends.read, ends.kept, ends.dropped) == (3, 2, {reason: 1})


@pytest.mark.parametrize("quality, kept", [(0, 3), (1, 2), (10, 2), (11, 1), (255, 0)])
def test_mapping_quality(tmp_path, quality, kept):
    path = write_bam(tmp_path / "a.bam", [(0, "chr1", 5, q, "10M") for q in (0, 10, 254)])
    assert read_bam(path, min_mapping_quality=quality).kept == kept


@pytest.mark.parametrize("mates, expected", [("both", [1, 2, 3]), ("first", [1, 3]), ("second", [2, 3])])
def test_mates(tmp_path, mates, expected):
    flags = [PAIRED | FIRST, PAIRED | SECOND, 0]  # the last has no mate
    path = write_bam(tmp_path / "a.bam", [(flag, "chr1", i + 1, 60, "10M") for i, flag in enumerate(flags)])
    ends = read_bam(path, mates=mates)
    assert positions(ends) == {"chr1": (expected, [])}
    assert ends.dropped == ({} if mates == "both" else {"the other mate": 1})


def slow_counts(rows):
    """Chromosome → counts `(2, length)` of reads that align without gaps."""
    counts = {name: np.zeros((2, length), int) for name, length in LENGTHS.items()}
    for flag, name, start, quality, cigar in rows:
        if quality >= 30 and flag in (0, REVERSE):
            counts[name][int(flag == REVERSE), start if flag == 0 else start + int(cigar[:-1]) - 1] += 1
    return counts


@pytest.fixture
def many():
    """Random reads in random order, several at a base."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(3000):
        name = str(rng.choice(["chr1", "chr2"]))
        length, size = min(LENGTHS[name], 300), int(rng.integers(1, 50))
        flag, quality = int(rng.choice([0, REVERSE, 0x400, 0x100 | REVERSE])), int(rng.integers(0, 61))
        rows.append((flag, name, int(rng.integers(0, length - size + 1)), quality, f"{size}M"))
    return rows


def test_counts_are_those_of_the_slow_version(tmp_path, many):
    ends = read_bam(write_bam(tmp_path / "a.bam", many))
    expected = slow_counts(many)
    for name in LENGTHS:
        for counts, slow in zip(ends.counts(name), expected[name], strict=True):
            assert counts.dtype == np.uint32
            np.testing.assert_array_equal(counts, slow)
    assert ends.read == 3000 and ends.kept == sum(c.sum() for c in expected.values()) > 100


def test_a_read_beyond_its_chromosome(tmp_path):
    path = write_bam(tmp_path / "a.bam", [(REVERSE, "chr3", 45, 60, "10M")])
    assert "has its 5′ end at chr3:54 (0-based), outside the 50 bases" in refusal(path, read_bam)


@pytest.mark.parametrize("cut", [1, 10, 28, 29, 60, 2000])
def test_truncated_bam(tmp_path, many, cut):
    content = write_bam(tmp_path / "a.bam", many).read_bytes()
    assert "damaged BAM (" in refusal(tmp_path / "cut.bam", read_bam, content[:-cut])


def test_damaged_bam(tmp_path, many, capfd):
    content = bytearray(write_bam(tmp_path / "a.bam", many).read_bytes())
    content[len(content) // 2] ^= 0x55
    assert "damaged BAM (" in refusal(tmp_path / "damaged.bam", read_bam, bytes(content))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "content", [b"", b"@HD\tVN:1.6\n", b"CRAM\3\0", gzip.compress(b"chr1\t0\t5\n", mtime=0), b"\x1f\x8bBAM"]
)
def test_no_bam(tmp_path, content):
    assert "not a BAM file, by its content; `samtools view -b`" in refusal(tmp_path / "a.bam", read_bam, content)
    assert not is_bam(tmp_path / "a.bam")


def test_missing_bam(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "none.bam", read_bam)
    assert "there is no such file" in refusal(tmp_path, is_bam)  # a directory


def test_bam_without_chromosomes(tmp_path):
    assert "damaged BAM (" in refusal(write_bam(tmp_path / "a.bam", [], {}), read_bam)


def test_wrong_arguments(tmp_path):
    path = write_bam(tmp_path / "a.bam", [])
    with pytest.raises(InputError, match=r"mates \(='third'\) must be one of both, first, second"):
        read_bam(path, mates="third")
    for quality in (-1, 256):
        with pytest.raises(InputError, match=rf"min_mapping_quality \(={quality}\) must be within 0 and 255"):
            read_bam(path, min_mapping_quality=quality)


def test_without_the_library(tmp_path, monkeypatch):
    path = write_bam(tmp_path / "a.bam", [])
    monkeypatch.setitem(sys.modules, "pysam", None)
    assert refusal(path, read_bam).endswith("need pysam, which is not installed; pip install 'fprior[formats]'")


def test_the_library_is_not_imported_before_it_is_needed():
    subprocess.run(
        [sys.executable, "-c", "import sys, fprior.data.reads; assert 'pysam' not in sys.modules"], check=True
    )


# ---- fragments

FRAGMENTS = "# id=x\n#\nchr1\t10\t20\nchr2\t0\t500\tBARCODE-1\t7\n\nchr1\t10\t11\tBARCODE-1\t1\r\nchrUn\t3\t9\n"


@pytest.mark.parametrize("compress", [False, True])
def test_fragments(tmp_path, compress):
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(FRAGMENTS.encode()) if compress else FRAGMENTS.encode())
    ends = read_fragments(path, lengths=LENGTHS)
    assert positions(ends) == {"chr1": ([10, 10], [10, 19]), "chr2": ([0], [499])}  # the count of 7 is of duplicates
    assert (ends.read, ends.kept, ends.dropped) == (4, 3, {"on chromosomes without a length": 1})
    assert ends.lengths == LENGTHS


def test_shift(tmp_path):
    (tmp_path / "a.tsv").write_text("chr1\t10\t20\nchr1\t2\t30\nchr1\t10\t1000\nchr1\t996\t1000\n")
    ends = read_fragments(tmp_path / "a.tsv", lengths=LENGTHS, shift=(4, -5))
    assert positions(ends) == {"chr1": ([6, 14, 14], [14, 24, 994])}
    assert (ends.read, ends.dropped) == (4, {"beyond the chromosome after the shift": 1})
    ends = read_fragments(tmp_path / "a.tsv", lengths=LENGTHS, shift=(-3, 1))
    assert positions(ends) == {"chr1": ([7], [20])} and ends.dropped == {"beyond the chromosome after the shift": 3}


@pytest.mark.parametrize(
    "line, words",
    [
        ("chr1\t5", "2 columns; chromosome, start and end are needed, separated by tabs"),
        ("chr1 5 10", "chromosome, start and end are needed"),
        ("\t5\t10", "chromosome, start and end are needed"),
        ("chr1\tfive\t10", "start 'five' and end '10' must be integers, 0 <= start < end"),
        ("chr1\t5\t1e3", "end '1e3' must be integers"),
        ("chr1\t-5\t10", "start '-5'"),
        ("chr1\t5\t5", "start '5' and end '5' must be"),
        ("chr1\t9\t5", "start '9' and end '5' must be"),
        ("chr1\t1_0\t50", "start '1_0'"),
        ("chr1\t5\t1001", "end 1001 is beyond chr1, which has 1000 bases; give its assembly"),
    ],
)
def test_a_line_that_is_no_fragment(tmp_path, line, words):
    content = f"# head\nchr1\t1\t2\n{line}\n".encode()
    message = refusal(tmp_path / "a.tsv", read_fragments, content, lengths=LENGTHS)
    assert message.startswith(f"{tmp_path}/a.tsv, line 3: ") and words in message


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "there are no fragments on the chromosomes with a length, chr1, chr2, chr3 …; name them alike"),
        (b"1\t5\t10\n", "there are no fragments on the chromosomes with a length"),
        (b"\xff\xfe\x00", "not a text file"),
        (gzip.compress(FRAGMENTS.encode(), mtime=0)[:-9], "damaged gzip ("),
        (b"\x1f\x8b\x08", "damaged gzip ("),
    ],
)
def test_unusable_fragment_files(tmp_path, content, words):
    assert words in refusal(tmp_path / "a.tsv", read_fragments, content, lengths=LENGTHS)


def test_missing_fragments(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "none.tsv", read_fragments, lengths=LENGTHS)


def test_read_lengths(tmp_path):
    (tmp_path / "genome.fa.fai").write_text("# x\nchr2\t500\t7\t60\t61\nchr1\t1000\t9\t60\t61\n")
    assert list(read_lengths(tmp_path / "genome.fa.fai").items()) == [("chr2", 500), ("chr1", 1000)]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "there are no chromosomes in the file"),
        (
            b"chr1 1000\n",
            ", line 1: no chromosome and length; give a name and 1 to 2147483647 bases, with a tab between",
        ),
        (b"a\t5\nb\t0\n", ", line 2: no chromosome and length"),
        (b"a\t2147483648\n", ", line 1: no chromosome and length"),
        (b"\t5\n", ", line 1: no chromosome and length"),
        (b"a\t5\na\t5\n", ", line 2: a is there twice"),
    ],
)
def test_unusable_lengths(tmp_path, content, words):
    assert words in refusal(tmp_path / "sizes", read_lengths, content)


# ---- BigWigs


@pytest.mark.parametrize("piece", [reads._PIECE, 3])
def test_bigwigs_hold_the_counts(tmp_path, monkeypatch, many, piece):
    monkeypatch.setattr(reads, "_PIECE", piece)
    ends = read_bam(write_bam(tmp_path / "a.bam", many))
    stranded = [BigWig(path) for path in write_bigwigs(tmp_path / "a", ends)]
    (both,) = (BigWig(path) for path in write_bigwigs(tmp_path / "a", ends, strands=1))
    assert [track.path.name for track in (*stranded, both)] == ["a_plus.bw", "a_minus.bw", "a.bw"]
    for name, length in LENGTHS.items():
        expected = ends.counts(name)
        for track, counts in zip((*stranded, both), (*expected, sum(expected)), strict=True):
            assert track.lengths == LENGTHS
            np.testing.assert_array_equal(track.counts(name, 0, length), counts)
    assert both.largest == max(sum(ends.counts(name)).max() for name in LENGTHS) > 1


def test_both_bigwigs_are_written_or_none(tmp_path, monkeypatch):
    first, second = (Ends({"a": 9}, {"a": np.array([i])}, {"a": np.array([i])}, 1, {}) for i in (3, 5))
    paths = write_bigwigs(tmp_path / "x", first)
    before = [path.read_bytes() for path in paths]
    write, calls = reads._write_bigwig, []

    def fail_at_the_second(path, *arguments):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("the disk is full")
        write(path, *arguments)

    monkeypatch.setattr(reads, "_write_bigwig", fail_at_the_second)
    with pytest.raises(OSError, match="the disk is full"):
        write_bigwigs(tmp_path / "x", second)
    assert [path.read_bytes() for path in paths] == before and sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_count_that_bigwig_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(reads, "_EXACT", 2)
    ends = Ends({"a": 9}, {"a": np.array([1, 4, 4, 4])}, {"a": np.array([], np.int32)}, 4, {})
    with pytest.raises(InputError, match=r"a:4 \(0-based\) has over 2 reads; remove duplicates first"):
        write_bigwigs(tmp_path / "x", ends)
    assert list(tmp_path.iterdir()) == []


def test_strands_must_be_one_or_two(tmp_path):
    with pytest.raises(InputError, match=r"strands \(=3\) must be 1 or 2"):
        write_bigwigs(tmp_path / "x", Ends({"a": 9}, {}, {}, 0, {}), strands=3)
