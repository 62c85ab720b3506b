"""What `experiments.prepare` refuses, and what it drops and counts."""

import gzip
import json
import re

import pytest
import tiny

from fprior.data.dataset import open_dataset
from fprior.sequence import decode


@pytest.fixture
def world(tmp_path) -> tiny.World:
    """Genome, peaks and config, nothing prepared."""
    return tiny.make_world(tmp_path)


def test_prepare_by_chromosome(world):
    arguments = ["--config.prepare.split=chromosome", "--config.prepare.valid_chromosomes=('chr2',)",
                 "--config.prepare.test_chromosomes=('chr3',)"]  # fmt: skip
    assert world.command("prepare", *arguments).status == 0
    loci = open_dataset(world.dataset).loci
    assert {(str(c), int(s)) for c, s in zip(loci["chromosome"], loci["split"], strict=True)} == {
        ("chr1", 0), ("chr2", 1), ("chr3", 2), ("chr4", 0)}  # fmt: skip


def peak_beyond_the_end(world):
    world.peaks.write_text("".join(world.peak_lines()) + "chr2\t59990\t60001\tx\t0\t.\t5\t-1\t-1\t5\n")
    return "chr2:59990-60001", "chr2 has 60000 bases", "partial_genome"


def malformed_line(world):
    lines = world.peak_lines()
    world.peaks.write_text("".join([*lines[:6], lines[6].replace("\t", ";", 1), *lines[7:]]))
    return str(world.peaks), "line 7"


def start_after_end(world):
    lines = world.peak_lines()
    lines[2] = "chr1\t500\t400\tx\t0\t.\t5\t-1\t-1\t-1\n"
    world.peaks.write_text("".join(lines))
    return str(world.peaks), "line 3", "500"


def empty_peaks(world):
    world.peaks.write_text("")
    return str(world.peaks), "no loci"


def empty_genome(world):
    world.genome.write_text("")
    return str(world.genome), "empty"


def missing_genome(world):
    world.genome.unlink()
    return str(world.genome), "no such file"


def missing_peaks(world):
    world.peaks.unlink()
    return str(world.peaks), "no such file"


def letters_that_are_none(world):
    text = world.genome.read_text()
    world.genome.write_text(text[:2000] + "!" + text[2001:])
    return str(world.genome), "'!'", "IUPAC"


def other_assembly(world):
    world.peaks.write_text("".join(line.replace("chr", "scaffold_") for line in world.peak_lines()))
    return "scaffold_1", "same assembly"


def too_little_background(world):
    world.peaks.write_text("".join(world.peak_lines()))
    world.config.write_text(world.config.read_text().replace("peak_margin = 50", "peak_margin = 700"))
    return "background windows", "per_positive"


@pytest.mark.parametrize(
    "spoil",
    [
        peak_beyond_the_end,
        malformed_line,
        start_after_end,
        empty_peaks,
        empty_genome,
        missing_genome,
        missing_peaks,
        letters_that_are_none,
        other_assembly,
        too_little_background,
    ],
)
def test_prepare_refuses(world, spoil):
    parts = spoil(world)
    before = tiny.contents(world.folder)
    outcome = world.command("prepare")
    *progress, error = outcome.err.splitlines()
    assert outcome.status == 2 and error.startswith("error: ") and "Traceback" not in outcome.err
    assert all("peaks are kept" in line for line in progress)
    for part in parts:
        assert part in error
    assert tiny.contents(world.folder) == before


@pytest.mark.parametrize("role", ["genome", "peaks"])
def test_gzip_that_is_none(world, role):
    path = getattr(world, role)
    renamed = path.with_name(path.name + ".gz")
    path.rename(renamed)
    value = f"('{renamed}',)" if role == "peaks" else renamed
    before = tiny.contents(world.folder)
    assert str(renamed) in world.command("prepare", f"--config.prepare.{role}={value}").error
    assert tiny.contents(world.folder) == before


def test_damaged_gzip(world):
    content = gzip.compress(world.peaks.read_bytes())
    path = world.folder / "cut.narrowPeak.gz"
    path.write_bytes(content[: len(content) // 2])
    error = world.command("prepare", f"--config.prepare.peaks=('{path}',)").error
    assert str(path) in error and "damaged gzip" in error


def test_genome_in_plain_gzip(world):
    path = world.folder / "genome.fa.gz"
    path.write_bytes(gzip.compress(world.genome.read_bytes()))
    error = world.command("prepare", f"--config.prepare.genome={path}").error
    assert str(path) in error and "bgzip" in error


def dropped(world) -> dict[str, int]:
    manifest = json.loads((world.dataset / "manifest.json").read_text())
    positives = sum(counts["positives"] for counts in manifest["loci"].values())
    assert manifest["peaks"] == positives + sum(manifest["dropped"].values())
    return manifest["dropped"]


def test_iupac_letters_are_unknown_and_counted(world):
    sequences, peaks = tiny.synthesise(0)
    letters = list(sequences["chr3"])
    here = [peak for peak in peaks if peak[0] == "chr3"][5:8]
    for letter, (_, start, *_) in zip("NRy", here, strict=True):
        letters[start + 3] = letter
    tiny.write_fasta(world.genome, sequences | {"chr3": "".join(letters)})
    outcome = world.command("prepare")
    assert outcome.status == 0
    assert dropped(world)["more than 0% unknown bases"] == 3
    assert re.search(r"−3 +dropped: more than 0% unknown bases", outcome.out)
    assert decode(open_dataset(world.dataset).tokens).count("N") == 0
    allowed = world.folder / "allowed"
    arguments = ["--config.prepare.max_unknown=0.02", f"--config.prepare.output={allowed}"]
    assert world.command("prepare", *arguments).status == 0
    assert dropped(world._replace(dataset=allowed))["more than 2% unknown bases"] == 0
    assert decode(open_dataset(allowed).tokens).count("N") == 3


def test_every_drop_is_counted_once(world):
    """Peaks off the genome, beyond a partial chromosome, too close to another and at a chromosome's end."""
    extra = [
        "chrUn\t100\t200\tx\t0\t.\t5\t-1\t-1\t50\n",
        "chrUn\t300\t400\tx\t0\t.\t5\t-1\t-1\t50\n",
        "chr4\t59990\t60100\tx\t0\t.\t5\t-1\t-1\t5\n",
        "chr1\t10\t60\tx\t0\t.\t5\t-1\t-1\t20\n",
    ]
    first = world.peak_lines()[0].split("\t")
    close = [*first[:6], "0.5", *first[7:9], str(int(first[9]) - 10) + "\n"]
    world.peaks.write_text("".join([*world.peak_lines(), *extra, "\t".join(close)]))
    outcome = world.command("prepare", "--config.prepare.partial_genome=True")
    assert outcome.status == 0, outcome.err
    drops = dropped(world)
    crossing = drops.pop("window touches two splits")
    assert drops == {
        "on chrUn, not in the genome": 2,
        "beyond the end of a partial chromosome": 1,
        "summit within 50 bp of a stronger one": 1,
        "window leaves its chromosome": 1,
        "more than 0% unknown bases": 0,
    }
    assert crossing < 5


def test_output_that_cannot_be_written(world):
    (world.folder / "file").write_text("")
    outcome = world.command("prepare", f"--config.prepare.output={world.folder / 'file' / 'dataset'}")
    assert outcome.status == 2 and "cannot be written" in outcome.err and "Traceback" not in outcome.err
