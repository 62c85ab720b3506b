"""Reading loci, and checking them against a genome."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from hand_made import make_loci, write
from refusals import refusal

from fprior.data.loci import check_against_genome, read_loci, rename_chromosomes

PEAK = "chr1\t100\t200\tp1\t500\t.\t7.5\t3.2\t1.1\t30\n"
PEAK_WITHOUT_SUMMIT = "chr2\t10\t21\tp2\t10\t.\t2\t-1\t-1\t-1\n"


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
