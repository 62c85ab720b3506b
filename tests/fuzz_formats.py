"""Fuzz targets: the formats of genomics, and score files."""

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
import pysam
from Bio import bgzf
from hypothesis import strategies as st

from fprior.data.genome import Genome
from fprior.data.loci import read_loci
from fprior.data.motif_scan import read_motifs
from fprior.data.reads import is_bam, read_bam, read_fragments, read_lengths
from fprior.data.scores import COLUMNS, read_scores, write_scores
from fprior.data.tracks import BigWig
from fprior.data.two_bit import TwoBitGenome
from tests.data.test_two_bit import two_bit_of
from tests.fuzz_damage import EDITS, damaged
from tests.fuzz_inputs import Target, read

MOST = 100_000  # bases that are read of a chromosome, whatever length a damaged file gives it
NAMES = st.sampled_from(["chr1", "chr2", "X", "MT", "../../x", "/abs", "HLA-A*01:01", "é", "a" * 200])
TOKEN = {**dict.fromkeys("Aa", 0), **dict.fromkeys("Cc", 1), **dict.fromkeys("Gg", 2), **dict.fromkeys("Tt", 3)}
GENOME = st.lists(
    st.tuples(NAMES, st.text("ACGTNacgtn", max_size=90)), min_size=1, max_size=4, unique_by=lambda r: r[0]
)


def tokens_of(letters: str) -> list[int]:
    return [TOKEN.get(letter, 4) for letter in letters]


def all_tokens(genome: Any) -> dict[str, list[int]] | None:
    """The tokens of every chromosome, or None if one is refused."""
    found = {}
    for name, length in genome.lengths.items():
        tokens = read(genome.tokens, name, 0, min(length, MOST))
        if tokens is None:
            return None
        found[name] = tokens.tolist()
    return found


# ---- FASTA

FASTA = st.tuples(GENOME, st.integers(1, 70), st.sampled_from(["\n", "\r\n"]), st.booleans(), EDITS)


def check_fasta(folder: Path, case: tuple) -> bool:
    records, width, end, compressed, edits = case
    text = "".join(
        f">{name} words{end}" + "".join(letters[at : at + width] + end for at in range(0, len(letters), width))
        for name, letters in records
    )
    content = text.encode()
    path = folder / ("genome.fa.gz" if compressed else "genome.fa")
    if compressed:
        with bgzf.BgzfWriter(str(path)) as file:
            file.write(content)
        content = path.read_bytes()
    content = damaged(content, edits)
    path.write_bytes(content)
    genome = read(Genome, path)
    found = genome and all_tokens(genome)
    if not edits:
        assert found == {name: tokens_of(letters) for name, letters in records}
    elif found and not compressed:
        assert found == plain_fasta(content.decode())
    return found is not None


def plain_fasta(text: str) -> dict[str, list[int]]:
    records = [part.split("\n") for part in re.split("(?:^|\n)>", text.replace("\r\n", "\n"))[1:]]
    return {head.split()[0]: tokens_of("".join(lines)) for head, *lines in records}


# ---- 2bit

ASCII_GENOME = GENOME.filter(lambda records: all(name.isascii() for name, _ in records))


def check_two_bit(folder: Path, case: tuple) -> bool:
    records, edits = case
    path = folder / "genome.2bit"
    path.write_bytes(damaged(two_bit_of(records), edits))
    genome = read(TwoBitGenome, path)
    found = genome and all_tokens(genome)
    if not edits:
        assert found == {name: tokens_of(letters) for name, letters in records}
    return found is not None


# ---- BED, narrowPeak, fragments

_OFFSET = st.integers(-1, 10**6)
_LOCUS = st.tuples(NAMES, st.integers(0, 10**9), st.integers(1, 10**6), st.floats(0, 2**99, width=32), _OFFSET)
LOCI = st.tuples(st.lists(_LOCUS, min_size=1, max_size=5), st.sampled_from([3, 5, 10]), st.booleans(), EDITS)


def check_loci(folder: Path, case: tuple) -> bool:
    loci, count, compressed, edits = case
    rows = [
        (name, start, start + width, "name", signal, "+", signal, -1, -1, min(offset, width - 1))[:count]
        for name, start, width, signal, offset in loci
    ]
    content = "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
    path = folder / ("loci.narrowPeak" if count == 10 else "loci.bed")
    if compressed:
        path.write_bytes(damaged(gzip.compress(content), edits))
    else:
        content = damaged(content, edits)
        path.write_bytes(content)
    found = read(read_loci, path)
    if found is None:
        assert edits
        return False
    written = plain_columns(content.decode("utf-8-sig"))
    names, starts, ends = (getattr(found, field).tolist() for field in ("chromosome", "start", "end"))
    assert list(zip(names, starts, ends, strict=True)) == [(row[0], int(row[1]), int(row[2])) for row in written]
    if count == 10:
        assert found.signal.tolist() == [float(np.float32(row[6])) for row in written]
        offsets = (found.summit - found.start).tolist()
        assert all(a == int(row[9]) or int(row[9]) == -1 for a, row in zip(offsets, written, strict=True))
    elif not edits and count == 5:
        assert found.signal.tolist() == [signal for _, _, _, signal, _ in loci]
    return True


def plain_columns(text: str) -> list[list[str]]:
    """The columns of the lines that hold a locus."""
    lines = [line.removesuffix("\r") for line in text.split("\n") if line.strip() and not line.startswith("#")]
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines]
    return [row for row in rows if row[0] not in ("track", "browser")]


FRAGMENTS = st.tuples(st.lists(st.tuples(NAMES, st.integers(0, 900), st.integers(1, 200)), max_size=6), EDITS, EDITS)


def check_fragments(folder: Path, case: tuple) -> bool:
    fragments, edits, edits_of_sizes = case
    sizes, path = folder / "sizes.txt", folder / "fragments.tsv"
    names = sorted({name for name, _, _ in fragments}) or ["chr1"]
    sizes.write_bytes(damaged("".join(f"{name}\t2000\n" for name in names).encode(), edits_of_sizes))
    lines = "".join(f"{name}\t{start}\t{start + width}\tcell\t1\n" for name, start, width in fragments)
    path.write_bytes(damaged(lines.encode(), edits))
    lengths = read(read_lengths, sizes)
    if not edits_of_sizes:
        assert lengths == dict.fromkeys(names, 2000)
    ends = lengths and read(read_fragments, path, lengths=lengths)
    if ends is None:
        assert edits or edits_of_sizes or not fragments
        return False
    assert ends.kept + sum(ends.dropped.values()) == ends.read
    if not edits and not edits_of_sizes:
        for name in names:
            assert ends.plus[name].tolist() == sorted(start for at, start, _ in fragments if at == name)
            assert ends.minus[name].tolist() == sorted(
                start + width - 1 for at, start, width in fragments if at == name
            )
    return True


# ---- BAM

_READ = st.tuples(st.integers(0, 890), st.sampled_from([0, 16, 1024, 4, 163]), st.integers(0, 60))
BAM = st.tuples(st.lists(_READ, max_size=6), EDITS)


def check_bam(folder: Path, case: tuple) -> bool:
    reads, edits = case
    path = folder / "reads.bam"
    with pysam.AlignmentFile(str(path), "wb", header={"SQ": [{"SN": "chr1", "LN": 900}]}) as file:
        for number, (start, flag, quality) in enumerate(reads):
            row = f"r{number}\t{flag}\tchr1\t{start + 1}\t{quality}\t8M\t*\t0\t0\tACGTACGT\t*"
            file.write(pysam.AlignedSegment.fromstring(row, file.header))
    path.write_bytes(damaged(path.read_bytes(), edits))
    if not read(is_bam, path):
        return False
    ends = read(read_bam, path)
    if ends is None:
        assert edits
        return False
    assert ends.kept + sum(ends.dropped.values()) == ends.read
    if not edits:
        kept = [(start, flag) for start, flag, quality in reads if quality >= 30 and flag in (0, 16, 163)]
        assert ends.plus["chr1"].tolist() == sorted(start for start, flag in kept if not flag & 16)
        assert ends.minus["chr1"].tolist() == sorted(start + 7 for start, flag in kept if flag & 16)
    return True


# ---- BigWig

_STEPS = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**24)), max_size=12)
BIGWIG = st.tuples(st.lists(st.tuples(NAMES, _STEPS), min_size=1, max_size=3, unique_by=lambda row: row[0]), EDITS)


def check_bigwig(folder: Path, case: tuple) -> bool:
    tracks, edits = case
    path = folder / "track.bw"
    expected = write_bigwig(path, tracks)
    path.write_bytes(damaged(path.read_bytes(), edits))
    track = read(BigWig, path)
    if track is None:
        assert edits
        return False
    for name, length in track.lengths.items():
        counts = read(track.counts, name, 0, min(length, MOST))
        if not edits:
            assert counts.tolist() == expected[name].tolist()
            assert track.largest >= counts.max()
        elif counts is None:
            return False
    return True


def write_bigwig(path: Path, tracks: list) -> dict[str, np.ndarray]:
    """Writes intervals of (gap before, width, value); the counts that they are."""
    expected = {}
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(name, sum(gap + width for gap, width, _ in steps) + 1) for name, steps in tracks])
        for name, steps in tracks:
            counts = [count for gap, width, value in steps for count in [0] * gap + [value] * width]
            expected[name] = np.array([*counts, 0])
            ends = np.cumsum([gap + width for gap, width, _ in steps]).tolist()
            starts = [end - width for end, (_, width, _) in zip(ends, steps, strict=True)]
            if steps:
                values = [float(value) for _, _, value in steps]
                file.addEntries([name] * len(steps), starts, ends=ends, values=values)
    return expected


# ---- MEME

_ROW = st.tuples(*[st.integers(0, 1000)] * 4).filter(any)
MOTIFS = st.tuples(st.dictionaries(NAMES, st.lists(_ROW, min_size=1, max_size=6), min_size=1, max_size=3), EDITS)


def check_motifs(folder: Path, case: tuple) -> bool:
    motifs, edits = case
    path = folder / "motifs.meme"
    lines = ["MEME version 4", "", "ALPHABET= ACGT", ""]
    for name, rows in motifs.items():
        lines += [f"MOTIF {name}", f"letter-probability matrix: alength= 4 w= {len(rows)} nsites= 1000 E= 0"]
        lines += [" ".join(f"{value / sum(row):.6f}" for value in row) for row in rows] + [""]
    path.write_bytes(damaged("\n".join(lines).encode(), edits))
    matrices = read(read_motifs, path, list(motifs))
    if matrices is None:
        assert edits
        return False
    for name, rows in motifs.items():
        odds = np.array([matrices[name][base] for base in "ACGT"]).T
        assert np.isfinite(odds).all()
        if not edits:
            shares = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
            assert np.allclose(2.0**odds / 4 * 1.04 - 0.01, shares, atol=1e-4)
    return True


# ---- score files

SCORES = st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.integers(1, 9), EDITS)


def check_scores(folder: Path, case: tuple) -> bool:
    names, length, edits = case
    rng, count = np.random.default_rng(length), len(names)
    columns = {
        "chromosome": np.array(names),
        "start": rng.integers(0, 10**9, count),
        "end": rng.integers(0, 10**9, count),
        "strand": np.full(count, "+"),
        "tokens": rng.integers(0, 5, (count, length)).astype(np.uint8),
        "hypothetical": rng.normal(size=(count, length, 4)).astype(np.float32),
        "contributions": rng.normal(size=(count, length)).astype(np.float32),
        "output": rng.normal(size=count).astype(np.float32),
        "completeness_error": np.zeros(count, np.float32),
    }
    path = folder / "scores.h5"
    write_scores(path, columns, {})
    path.write_bytes(damaged(path.read_bytes(), edits))
    found = read(read_scores, path)
    if found is None:
        assert edits
        return False
    assert set(found) == set(COLUMNS) and len({len(values) for values in found.values()}) == 1
    if not edits:
        for name, values in columns.items():
            assert found[name].dtype.kind == values.dtype.kind and np.array_equal(found[name], values)
    return True


FORMATS = {
    "fasta": Target(FASTA, check_fasta),
    "two_bit": Target(st.tuples(ASCII_GENOME, EDITS), check_two_bit),
    "loci": Target(LOCI, check_loci),
    "fragments": Target(FRAGMENTS, check_fragments),
    "bam": Target(BAM, check_bam),
    "bigwig": Target(BIGWIG, check_bigwig),
    "motifs": Target(MOTIFS, check_motifs),
    "scores": Target(SCORES, check_scores),
}
