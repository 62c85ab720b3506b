"""Some cases of every fuzz target, the bugs that fuzzing found, and that it would find others."""

import json
import struct

import h5py
import numpy as np
import pyBigWig
import pytest
from hypothesis import strategies as st

from fprior.data.dataset import open_dataset
from fprior.data.genome import Genome
from fprior.data.loci import read_loci
from fprior.data.reads import read_bam, read_lengths
from fprior.data.scores import COLUMNS, read_scores
from fprior.data.tracks import BigWig
from fprior.data.two_bit import TwoBitGenome
from fprior.errors import InputError
from fprior.files import read_json
from tests.data.test_two_bit import two_bit_of
from tests.fuzz_formats import FORMATS
from tests.fuzz_inputs import Target, fuzz, read
from tests.fuzz_records import RECORDS, template

CASES = 30  # of each target


@pytest.mark.parametrize("name", FORMATS | RECORDS)
def test_read_as_written_or_refused_in_one_line(tmp_path, name):
    counts = fuzz((FORMATS | RECORDS)[name], tmp_path, CASES, 0)
    assert sum(counts.values()) >= CASES and counts["refused"]


# ---- the fuzzer itself


def raise_key_error(_, number: int) -> bool:
    return bool({}[number])


def refuse_in_two_lines(_, number: int) -> bool:
    def refuse():
        raise InputError(f"{number}\n is wrong")

    return read(refuse) is not None


@pytest.mark.parametrize(("check", "error"), [(raise_key_error, KeyError), (refuse_in_two_lines, AssertionError)])
def test_what_is_wrong_is_found(tmp_path, check, error):
    with pytest.raises(error):
        fuzz(Target(st.integers(), check), tmp_path, 5, 0)


# ---- what it found


def refusal(call, path, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        call(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and len(message.splitlines()) == 1 and message.isprintable()
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("name", ["chr1\0", "chr\x1c1", "chr\u20281"])
def test_names_that_cannot_be_printed(tmp_path, name):
    """NumPy drops NULs at the end of texts; the others break a message into lines."""
    placeholder = "x" * len(name.encode())
    files = {
        "a.bed": (read_loci, f"{name}\t1\t5\n".encode()),
        "a.sizes": (read_lengths, f"{name}\t5\n".encode()),
        "a.2bit": (TwoBitGenome, two_bit_of([(placeholder, "ACGT")]).replace(placeholder.encode(), name.encode())),
    }
    if "\0" in name:  # a name in FASTA ends at white space, which the others are
        files["a.fa"] = Genome, f">{name}\nACGT\n".encode()
    for file, (call, content) in files.items():
        (tmp_path / file).write_bytes(content)
        refusal(call, tmp_path / file, repr(name), "cannot be printed")


@pytest.mark.parametrize("signal", ["1_0", "\u0663", "0x1"])
def test_signals_that_only_python_takes_for_numbers(tmp_path, signal):
    path = tmp_path / "a.bed"
    path.write_text(f"chr1\t1\t5\tname\t{signal}\n")
    assert np.isnan(read_loci(path).signal).all()


@pytest.fixture
def bigwig(tmp_path):
    path = tmp_path / "a.bw"
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr1", 100), ("chr2", 50)])
        file.addEntries(["chr1", "chr2"], [3, 4], ends=[5, 9], values=[1.0, 2.0])
    return path


@pytest.mark.parametrize(
    ("tree", "at", "value", "words"),
    [
        (8, 0, b"\0", "no tree of chromosomes"),
        (8, 16, b"\x09", "should have 9 chromosomes"),  # the library reads seven names that are not there, and dies
        (24, 0, b"\0", "no index"),
        (24, 48 + 4 + 20, b"\xff\xff", "beyond its end"),
    ],
)
def test_bigwigs_that_end_the_process_of_the_library(bigwig, tree, at, value, words):
    content = bytearray(bigwig.read_bytes())
    at += struct.unpack_from("<Q", content, tree)[0]
    content[at : at + len(value)] = value
    bigwig.write_bytes(content)
    refusal(BigWig, bigwig, "damaged BigWig", words)


def test_a_bam_without_its_blocks(tmp_path):
    path = tmp_path / "a.bam"
    path.write_bytes(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    refusal(read_bam, path)


def test_score_files_that_are_none(tmp_path):
    refusal(read_scores, tmp_path / "missing.h5", "no such file")
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    refusal(read_scores, tmp_path / "a.h5", "cannot be read as a score file")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.update({name: np.zeros(2) for name in COLUMNS})
    refusal(read_scores, tmp_path / "b.h5", "does not fit")


def test_json_nested_too_deep(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    refusal(lambda path: read_json(path, "write it again"), tmp_path / "a.json", "nested", "write it again")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("window", 12.5),
        ("window", True),
        ("tasks", "AB"),
        ("tasks", []),
        ("bases", -1),
        ("files", {"../tokens.npy": "0"}),
        ("files", {"/etc/passwd": "0"}),
        ("files", [1]),
        ("tracks", {"strands": True, "controls": "none"}),
        ("tracks", [2]),
        ("chromosome_sizes", {"chr1": "long"}),
    ],
)
def test_manifests_with_other_values(tmp_path, field, value):
    for file in template(False).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {field: value}))
    with pytest.raises(InputError, match=f"manifest.json: '{field}'"):
        open_dataset(tmp_path)
