"""Tokens of a 2bit file: those of the same FASTA, boundaries, and every kind of unusable file."""

import struct
import subprocess
import sys
from itertools import groupby

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fprior.data import two_bit
from fprior.data.genome import Genome
from fprior.data.two_bit import TwoBitGenome, open_genome
from fprior.errors import InputError

SMALL = {"chr1": "ACGTNacgtnTTGNNNNNCAt", "empty": "", "chr2": "NNNNNN", "chr3": "GATTACA"}


def blocks(flags) -> bytes:
    """The number, the starts and the sizes of the runs of true flags."""
    runs, at = [], 0
    for flag, group in groupby(flags):
        size = len(list(group))
        runs += [(at, size)] if flag else []
        at += size
    numbers = [len(runs), *(start for start, _ in runs), *(size for _, size in runs)]
    return struct.pack(f"<{len(numbers)}I", *numbers)


def record(sequence: str) -> bytes:
    codes = ["TCAG".find(letter) % 4 for letter in sequence.upper()] + [0] * (-len(sequence) % 4)
    quads = zip(*[iter(codes)] * 4, strict=True)
    head = struct.pack("<I", len(sequence)) + blocks([s in "Nn" for s in sequence])
    return (
        head
        + blocks([s.islower() for s in sequence])
        + bytes(4)
        + bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in quads)
    )


def two_bit_of(sequences) -> bytes:
    """The content of a 2bit file of (name, sequence)."""
    records = [record(sequence) for _, sequence in sequences]
    offset = 16 + sum(5 + len(name) for name, _ in sequences)
    index = b""
    for (name, _), content in zip(sequences, records, strict=True):
        index += bytes([len(name)]) + name.encode() + struct.pack("<I", offset)
        offset += len(content)
    return struct.pack("<IIII", 0x1A412743, 0, len(sequences), 0) + index + b"".join(records)


SMALL_CONTENT = two_bit_of(list(SMALL.items()))


def refusal(path, content: bytes | None = None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        TwoBitGenome(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and "; " in message
    return message


@pytest.fixture
def small(tmp_path):
    pytest.importorskip("py2bit")
    (tmp_path / "small.2bit").write_bytes(SMALL_CONTENT)
    return TwoBitGenome(tmp_path / "small.2bit")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Random sequences with runs of N and of lower case, as FASTA and as 2bit."""
    pytest.importorskip("py2bit")
    rng = np.random.default_rng(0)
    sequences = {}
    for name, runs in (("chr1", 400), ("chr2", 3)):
        letters = ["NACGTacgtn"[i] for i in rng.integers(0, 10, runs)]
        parts = [
            "".join(rng.choice(list("ACGT" if s in "ACGT" else "acgt"), 30)) if s not in "Nn" else s * 17
            for s in letters
        ]
        sequences[name] = "".join(part[: rng.integers(1, 31)] for part in parts)
    directory = tmp_path_factory.mktemp("both")
    (directory / "a.fa").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    (directory / "a.2bit").write_bytes(two_bit_of(list(sequences.items())))
    return Genome(directory / "a.fa"), TwoBitGenome(directory / "a.2bit")


# ---- tokens


def test_attributes(small, tmp_path):
    assert small.path == tmp_path / "small.2bit"
    assert list(small.lengths.items()) == [("chr1", 21), ("empty", 0), ("chr2", 6), ("chr3", 7)]


@pytest.mark.parametrize(
    "chromosome, start, end, expected",
    [
        ("chr1", 0, 21, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 3, 3, 2, 4, 4, 4, 4, 4, 1, 0, 3]),
        ("chr1", 0, 1, [0]),
        ("chr1", 20, 21, [3]),
        ("chr1", 15, 17, [4, 4]),
        ("chr1", 0, 0, []),
        ("chr1", 21, 21, []),
        ("empty", 0, 0, []),
        ("chr2", 0, 6, [4] * 6),
        ("chr3", 0, 7, [2, 0, 3, 3, 0, 1, 0]),
    ],
)
def test_tokens(small, chromosome, start, end, expected):
    tokens = small.tokens(chromosome, start, end)
    assert tokens.dtype == np.uint8 and tokens.tolist() == expected


def test_lengths_are_those_of_the_fasta(both):
    assert both[0].lengths == both[1].lengths and both[0].lengths["chr1"] > 4000


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_are_those_of_the_fasta(both, data):
    fasta, genome = both
    chromosome = data.draw(st.sampled_from(["chr1", "chr2"]))
    start, end = sorted(data.draw(st.integers(0, fasta.lengths[chromosome])) for _ in range(2))
    np.testing.assert_array_equal(genome.tokens(chromosome, start, end), fasta.tokens(chromosome, start, end))


def test_pieces_are_joined(both, monkeypatch):
    monkeypatch.setattr(two_bit, "_PIECE", 7)
    fasta, genome = both
    np.testing.assert_array_equal(genome.tokens("chr1", 5, 4000), fasta.tokens("chr1", 5, 4000))


@pytest.mark.parametrize(
    "chromosome, start, end", [("chr2", -1, 5), ("chr2", 0, 10**6), ("chr2", 5, 4), ("chr2", -3, -1), ("1", 0, 1)]
)
def test_errors_are_those_of_the_fasta(both, chromosome, start, end):
    messages = []
    for genome in both:
        with pytest.raises(InputError) as caught:
            genome.tokens(chromosome, start, end)
        messages.append(str(caught.value).replace(str(genome.path), "genome"))
    assert messages[0] == messages[1] and messages[0].startswith("genome: ")


# ---- the choice between the formats


@pytest.mark.parametrize(
    "name, content, kind",
    [
        ("a.2bit", SMALL_CONTENT, TwoBitGenome),
        ("a.2BIT", SMALL_CONTENT, TwoBitGenome),
        ("genome", SMALL_CONTENT, TwoBitGenome),
        ("genome.fa", SMALL_CONTENT, TwoBitGenome),
        ("a.fa", b">a\nACGT\n", Genome),
        ("genome", b">a\nACGT\n", Genome),
    ],
)
def test_open_genome(tmp_path, name, content, kind):
    pytest.importorskip("py2bit")
    (tmp_path / name).write_bytes(content)
    assert type(open_genome(str(tmp_path / name))) is kind


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("none.2bit", None, "give the path of a 2bit file"),
        ("none.fa", None, "give the path of a FASTA file"),
        ("a.2bit", b">a\nACGT\n", "not a little-endian 2bit file, by its first four bytes; give 2bit or FASTA"),
        ("a.fa", b"", "the file is empty"),
    ],
)
def test_open_genome_of_unusable_files(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        open_genome(tmp_path / name)


# ---- unusable files


def test_missing_file(tmp_path):
    assert "there is no such file; give the path" in refusal(tmp_path / "none.2bit")
    assert "there is no such file" in refusal(tmp_path)  # a directory


@pytest.mark.parametrize("content", [b"", b"abc", b">a\nACGT\n", SMALL_CONTENT[3::-1] + SMALL_CONTENT[4:]])
def test_no_2bit(tmp_path, content):
    assert "not a little-endian 2bit file" in refusal(tmp_path / "a.2bit", content)


def test_another_version(tmp_path):
    content = bytearray(SMALL_CONTENT)
    content[4] = 1
    assert "version 1, not 0; write it with faToTwoBit without -long" in refusal(tmp_path / "a.2bit", bytes(content))


def test_no_chromosomes(tmp_path):
    assert "there are no chromosomes in the file" in refusal(tmp_path / "a.2bit", two_bit_of([]))


def test_a_cut_at_any_place(tmp_path):
    for cut in range(4, len(SMALL_CONTENT)):
        message = refusal(tmp_path / "cut.2bit", SMALL_CONTENT[:cut])
        assert "damaged or truncated 2bit file (" in message and "; copy, download or write it again" in message


@pytest.mark.parametrize(
    "at, value, words",
    [
        (17, 0xFF, "a name in the index is not text"),
        (21, 0xFF, "it ends before byte 259"),  # the offset of the first record
        (39, ord("1"), "'chr1' is twice in the index"),
        (57, 200, "it ends within the 200 blocks at byte 61"),  # the number of blocks of N
        (73 + 8, 21, "the blocks of N of the record at byte 53 do not fit its 21 bases"),
        (61, 9, "the blocks of N of the record at byte 53 do not fit"),  # the first begins after the second
    ],
)
def test_damage(tmp_path, at, value, words):
    assert struct.unpack_from("<II", SMALL_CONTENT, 53) == (21, 3)  # length and blocks of N of chr1
    content = bytearray(SMALL_CONTENT)
    content[at] = value
    assert words in refusal(tmp_path / "damaged.2bit", bytes(content))


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py2bit", None)
    assert "2bit files need py2bit, which is not installed; pip install 'fprior[formats]'" in refusal(
        tmp_path / "a.2bit", SMALL_CONTENT
    )


def test_the_library_is_not_imported_before_it_is_needed():
    code = "import sys, fprior.data.two_bit, fprior.data.genome; assert 'py2bit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
