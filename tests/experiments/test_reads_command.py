"""The command that makes BigWigs of reads: what it writes and prints, and every wrong flag."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import reads
from fprior.data.tracks import BigWig
from fprior.errors import InputError

FLAGS = ("reads", "output", "chromosome_sizes", "min_mapping_quality", "mates", "shift", "unstranded")
FRAGMENTS = "chr1\t10\t20\tA-1\t3\nchr1\t12\t20\nother\t1\t2\n"


def run(**flags) -> None:
    reads.main(**{name: None if flags.get(name) is None else str(flags[name]) for name in FLAGS})


@pytest.fixture
def fragments(tmp_path) -> dict[str, Path]:
    (tmp_path / "fragments.tsv").write_text(FRAGMENTS)
    (tmp_path / "sizes").write_text("chr1\t100\n")
    return {"reads": tmp_path / "fragments.tsv", "chromosome_sizes": tmp_path / "sizes"}


@pytest.fixture
def bam(tmp_path) -> Path:
    pysam = pytest.importorskip("pysam")
    header = pysam.AlignmentHeader.from_references(["chr1"], [100])
    with pysam.AlignmentFile(str(tmp_path / "a.bam"), "wb", header=header) as file:
        for flag, start, quality in [(0x41, 10, 60), (0x91, 20, 30), (0, 30, 29), (0x400, 40, 60)]:
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag, read.mapping_quality = "r", flag, quality
            read.reference_id, read.reference_start, read.cigarstring = 0, start, "5M"
            file.write(read)
    return tmp_path / "a.bam"


def ends(path: Path) -> dict[int, int]:
    """Position → count."""
    counts = BigWig(path).counts("chr1", 0, 100)
    return {int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def test_fragments_on_the_command_line(fragments, tmp_path):
    command = [sys.executable, "-m", "experiments.reads", f"--output={tmp_path}/new/out"]
    command += [f"--{name}={path}" for name, path in fragments.items()]
    outcome = subprocess.run(command, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert [line.split(maxsplit=1) for line in outcome.stdout.splitlines()[:3]] == [
        ["3", "read"],
        ["1", "dropped: on chromosomes without a length"],
        ["2", "kept"],
    ]
    assert outcome.stdout.splitlines()[3:] == [f"{tmp_path}/new/out_plus.bw", f"{tmp_path}/new/out_minus.bw"]
    assert ends(tmp_path / "new/out_plus.bw") == {10: 1, 12: 1} and ends(tmp_path / "new/out_minus.bw") == {19: 2}


def test_a_wrong_flag_ends_in_one_line():
    outcome = subprocess.run([sys.executable, "-m", "experiments.reads"], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == "error: --reads is missing; give a BAM or fragment file\n"


def test_fragments_shifted_and_unstranded(fragments, tmp_path):
    run(**fragments, output=tmp_path / "out", shift="4,-5", unstranded="true")
    assert ends(tmp_path / "out.bw") == {14: 3, 16: 1} and not list(tmp_path.glob("out_*"))


@pytest.mark.parametrize(
    "flags, plus, minus",
    [
        ({}, {10: 1}, {24: 1}),
        ({"unstranded": "false"}, {10: 1}, {24: 1}),
        ({"min_mapping_quality": 29}, {10: 1, 30: 1}, {24: 1}),
        ({"min_mapping_quality": 31}, {10: 1}, {}),
        ({"mates": "first"}, {10: 1}, {}),
        ({"mates": "second"}, {}, {24: 1}),
    ],
)
def test_bam(bam, tmp_path, capsys, flags, plus, minus):
    run(reads=bam, output=tmp_path / "out", **flags)
    assert (ends(tmp_path / "out_plus.bw"), ends(tmp_path / "out_minus.bw")) == (plus, minus)
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[:-2]]
    counts = {name: int(count) for count, name in rows}
    assert counts.pop("read") == 4 and counts["dropped: duplicates"] == 1
    assert sum(counts.values()) == 4 and counts["kept"] == len(plus) + len(minus)


def test_nothing_is_written_if_all_is_dropped(bam, tmp_path, capsys):
    with pytest.raises(InputError, match=r"all 4 reads were dropped, or there are none; see the counts above"):
        run(reads=bam, output=tmp_path / "new" / "out", min_mapping_quality=200)
    assert "dropped: low mapping quality" in capsys.readouterr().out and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"output": None}, "--output is missing; name the BigWigs"),
        ({"reads": None}, "--reads is missing; give a BAM or fragment file"),
        ({"reads": "none.bam"}, "none.bam: there is no such file"),
        ({"unstranded": "yes"}, r"--unstranded \(='yes'\) must be true or false"),
        ({"shift": "4"}, r"--shift \(='4'\) must be 2 integers, separated by commas"),
        ({"shift": "4,x"}, r"--shift \(='4,x'\) must be 2 integers"),
        ({"chromosome_sizes": None}, r"--chromosome_sizes is missing; .*fragments.tsv is not BAM"),
        ({"min_mapping_quality": 30}, r"--min_mapping_quality \(='30'\) is for BAM, which .* is not; leave it out"),
        ({"mates": "first"}, r"--mates \(='first'\) is for BAM"),
    ],
)
def test_wrong_flags_for_fragments(fragments, tmp_path, flags, words):
    with pytest.raises(InputError, match=words):
        run(**{**fragments, "output": tmp_path / "out", **flags})
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"chromosome_sizes": "sizes"}, r"--chromosome_sizes \(='sizes'\) is for fragments; .*; leave it out"),
        ({"shift": "0,0"}, r"--shift \(='0,0'\) is for fragments"),
        ({"min_mapping_quality": "high"}, r"--min_mapping_quality \(='high'\) must be an integer"),
        ({"min_mapping_quality": "256"}, r"min_mapping_quality \(=256\) must be within 0 and 255"),
        ({"mates": "third"}, r"mates \(='third'\) must be one of both, first, second"),
    ],
)
def test_wrong_flags_for_bam(bam, tmp_path, flags, words):
    with pytest.raises(InputError, match=words):
        run(reads=bam, output=tmp_path / "out", **flags)
    assert not list(tmp_path.glob("out*"))
