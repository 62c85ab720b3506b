"""Tokens of a FASTA file: boundaries, letters, compression, and every kind of unusable file."""

import gzip
import os

import numpy as np
import pytest
from Bio import bgzf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fprior.data.genome import Genome
from fprior.errors import InputError

CHR1 = "ACGTNacgtnRYSWKMBDHV"  # 20 bases in lines of 6
CHR1_TOKENS = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, *[4] * 10]
FASTA = f">chr1 a description\n{CHR1[:6]}\n{CHR1[6:12]}\n{CHR1[12:18]}\n{CHR1[18:]}\n"
FASTA += ">chr2\nNNNNNN\n>chr3\nGATTACA\n"


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(FASTA)
    return Genome(path)


def refusal(path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Genome(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def bgzip(path, content: bytes) -> None:
    with bgzf.BgzfWriter(path, "wb") as file:  # closes with the empty block that marks the end
        file.write(content)


def test_attributes(genome, tmp_path):
    assert genome.path == tmp_path / "genome.fa"
    assert list(genome.lengths.items()) == [("chr1", 20), ("chr2", 6), ("chr3", 7)]


@pytest.mark.parametrize(
    "chromosome, start, end, expected",
    [
        ("chr1", 0, 20, CHR1_TOKENS),
        ("chr1", 0, 1, [0]),
        ("chr1", 19, 20, [4]),
        ("chr1", 4, 9, [4, 0, 1, 2, 3]),  # across the end of a line
        ("chr1", 6, 12, [1, 2, 3, 4, 4, 4]),  # exactly one line
        ("chr1", 0, 0, []),
        ("chr1", 20, 20, []),
        ("chr2", 0, 6, [4] * 6),
        ("chr3", 0, 7, [2, 0, 3, 3, 0, 1, 0]),
    ],
)
def test_tokens(genome, chromosome, start, end, expected):
    tokens = genome.tokens(chromosome, start, end)
    assert tokens.dtype == np.uint8 and tokens.tolist() == expected


@pytest.mark.parametrize("start, end", [(-1, 5), (0, 21), (20, 21), (5, 4), (-3, -1), (21, 21)])
def test_out_of_bounds(genome, start, end):
    with pytest.raises(InputError, match=f"genome.fa: chr1:{start}-{end} is outside .* end <= 20"):
        genome.tokens("chr1", start, end)


def test_unknown_chromosome(genome):
    with pytest.raises(InputError, match=r"genome.fa: chromosome '1' is not in the file, which has chr1, chr2"):
        genome.tokens("1", 0, 1)


@pytest.mark.parametrize("letter", ["*", "1", "-", " ", "E", "x", ">"])
def test_other_characters_are_named_with_their_position(tmp_path, letter):
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\nACGT\nACG{letter}\n")
    with pytest.raises(InputError) as caught:
        Genome(path).tokens("chr1", 2, 8)
    assert str(caught.value) == (
        f"{path}: chr1:7 (0-based) is {letter!r}, no IUPAC letter; write N for an unknown base"
    )
    assert Genome(path).tokens("chr1", 0, 7).tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_windows_line_ends_and_no_final_line_end(tmp_path):
    (tmp_path / "genome.fa").write_bytes(b">a\r\nACGT\r\nAC\r\n>b\r\nGG")
    genome = Genome(tmp_path / "genome.fa")
    assert genome.tokens("a", 2, 6).tolist() == [2, 3, 0, 1]
    assert genome.tokens("b", 0, 2).tolist() == [2, 2]


def test_empty_record_has_length_zero(tmp_path):
    (tmp_path / "genome.fa").write_text(">a\n>b\nGG\n")
    genome = Genome(tmp_path / "genome.fa")
    assert genome.lengths == {"a": 0, "b": 2} and genome.tokens("a", 0, 0).size == 0


@pytest.fixture(scope="module")
def long_genome(tmp_path_factory):
    """One sequence of 150,000 letters, plain and bgzip with blocks of 65,536 bytes, and in memory."""
    directory = tmp_path_factory.mktemp("long")
    letters = np.frombuffer(b"ACGTN", np.uint8)
    expected = np.random.default_rng(0).integers(0, 5, 150_000).astype(np.uint8)
    text = letters[expected].tobytes()
    content = b">a\n" + b"\n".join(text[i : i + 50] for i in range(0, len(text), 50)) + b"\n"
    (directory / "long.fa").write_bytes(content)
    bgzip(directory / "long.fa.gz", content)
    return expected, Genome(directory / "long.fa"), Genome(directory / "long.fa.gz")


@given(st.integers(0, 150_000), st.integers(0, 150_000))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interval_is_the_slice_of_the_whole(long_genome, a, b):
    expected, *genomes = long_genome
    start, end = sorted((a, b))
    for genome in genomes:
        np.testing.assert_array_equal(genome.tokens("a", start, end), expected[start:end])


def test_reads_that_start_on_a_block_boundary(long_genome):
    expected, _, compressed = long_genome
    for start in range(64_240, 64_260):  # byte 65,536 of the file is among these
        np.testing.assert_array_equal(compressed.tokens("a", start, start + 100), expected[start : start + 100])


def test_pieces_are_joined(long_genome, monkeypatch):
    expected, plain, _ = long_genome
    monkeypatch.setattr("fprior.data.genome._PIECE", 64)
    np.testing.assert_array_equal(plain.tokens("a", 7, 1000), expected[7:1000])


def test_nothing_is_written_beside_the_file_and_no_old_index_is_used(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">a\nACGTACGT\n")
    index = tmp_path / "genome.fa.fai"
    index.write_text("a\t4\t3\t4\t5\n")  # newer than the file, yet of another one
    os.utime(path, (0, 0))
    assert Genome(path).lengths == {"a": 8}
    assert sorted(tmp_path.iterdir()) == [path, index] and index.read_text() == "a\t4\t3\t4\t5\n"


def test_missing_file(tmp_path):
    assert "there is no such file; give the path" in refusal(tmp_path / "none.fa")
    assert "there is no such file" in refusal(tmp_path)  # a directory


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.fa", b"", "is empty; give a FASTA file"),
        ("a.fa.gz", b"", "is empty; give a FASTA file"),
        ("a.fa", b"\n\n", "does not contain a valid sequence"),
        ("a.fa", b"chr1\t5\t10\n", "at line 1."),
        ("a.fa", b"@read\nACGT\n+\nIIII\n", "at line 1."),
        ("a.fa", b"\x89PNG\r\n\x1a\n\xff\xfe", "give a complete FASTA file"),
        ("a.fa", b">a\nACG\xe9\n", "can't decode byte 0xe9"),
        ("a.fa", b">\nACGT\n", "Bad sequence name"),
        ("a.fa", b">a\nACGT\n>b\nAC\n>a\nGG\n", 'Duplicate key "a"'),
        ("a.fa", b">a\nACGT\nAC\nACGT\n", "Inconsistent line found in >a at line 3."),
        ("a.fa", b">a\nACGT\n\nACGT\n", "Inconsistent line found in >a at line 3."),
        ("a.fa", b">a\nACGT\nACGTACGT\n", "the last line of a is longer than its others; wrap all lines"),
        ("a.fa", b">a\nACGT\nACGTA\n>b\nACGT\n", "the last line of a is longer than its others"),
        ("a.fa.gz", b">a\nACGT\n", "disagree about compression; rename it, or compress it with `bgzip`"),
        ("a.fa.gz", b"\x1f\x8b\x08\x04" + bytes(6) + b"\x06\0XY\x02\0ab", "plain gzip"),  # another field
        ("a.fa", gzip.compress(b">a\nACGT\n", mtime=0), "disagree about compression; rename it to end in .gz"),
        (
            "a.fa.gz",
            gzip.compress(b">a\nACGT\n", mtime=0),
            "plain gzip, which has no random access; `gunzip` it",
        ),
    ],
)
def test_unusable_files(tmp_path, name, content, words):
    assert words in refusal(tmp_path / name, content)


@pytest.mark.parametrize("cut", [1, 20, 28, 40, 20_000])
def test_truncated_bgzip(tmp_path, cut):
    bgzip(tmp_path / "whole.fa.gz", b">a\n" + b"ACGTTGCA" * 20_000 + b"\n")
    content = (tmp_path / "whole.fa.gz").read_bytes()
    assert "give a complete FASTA" in refusal(tmp_path / "cut.fa.gz", content[: max(len(content) - cut, 100)])


def test_damaged_bgzip(tmp_path):
    bgzip(tmp_path / "whole.fa.gz", b">a\n" + b"ACGTTGCA" * 20 + b"\n")
    content = bytearray((tmp_path / "whole.fa.gz").read_bytes())
    content[-28 - 8] ^= 1  # the checksum of the only block with data
    assert "CRC" in refusal(tmp_path / "damaged.fa.gz", bytes(content))


def test_a_file_that_shrank_while_open(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(FASTA)
    genome = Genome(path)
    os.truncate(path, 30)
    with pytest.raises(InputError, match="chr1:0-20 was cut short; restore the file"):
        genome.tokens("chr1", 0, 20)
