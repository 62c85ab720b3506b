"""Patterns: read in TF-MoDISco's order with their places, trimmed, mirrored, and written for other scanners."""

import dataclasses

import h5py
import numpy as np
import pytest
from planted import FREQUENCIES, WIDTH, pattern_of, plant

from fprior.data.motif_scan import read_all_motifs
from fprior.errors import InputError
from fprior.motifs.patterns import read_patterns, write_meme


@pytest.fixture(scope="module")
def pattern():
    return pattern_of(plant(60, 80, seed=1))


def write(path, counts: dict[str, list[int]]):
    """A file as modisco-lite writes it, with patterns of so many seqlets, of 3 positions each."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for group, sizes in counts.items():
            file.create_group(group)
            for number, size in enumerate(sizes):
                made = file.create_group(f"{group}/pattern_{number}")
                for name in ("sequence", "contrib_scores", "hypothetical_contribs"):
                    made[name] = rng.random((3, 4))
                made["subpattern_0/sequence"] = rng.random((3, 4))
                seqlets = made.create_group("seqlets")
                seqlets["contrib_scores"] = rng.random((size, 3, 4))
                seqlets["example_idx"] = rng.integers(0, 9, size)
                seqlets["start"], seqlets["end"] = np.arange(size), np.arange(size) + 3
                seqlets["is_revcomp"] = np.arange(size) % 2 == 1
    return path


def test_patterns_come_by_number_positive_ones_first(tmp_path):
    path = write(tmp_path / "many.h5", {"pos_patterns": list(range(40, 28, -1)), "neg_patterns": [30, 20]})
    patterns = read_patterns(path, 0)
    assert [p.name for p in patterns] == [f"positive_{i}" for i in range(12)] + ["negative_0", "negative_1"]
    assert [p.sign for p in patterns] == [1] * 12 + [-1] * 2
    assert [len(p.locus) for p in patterns] == [*range(40, 28, -1), 30, 20]


def test_places_are_counted_from_the_start_of_the_input(tmp_path):
    path = write(tmp_path / "one.h5", {"pos_patterns": [4]})
    (pattern,) = read_patterns(path, 300)
    assert pattern.start.tolist() == [300, 301, 302, 303] and pattern.end.tolist() == [303, 304, 305, 306]
    assert pattern.strand.tolist() == ["+", "-", "+", "-"]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(pattern.locus, file["pos_patterns/pattern_0/seqlets/example_idx"])
        np.testing.assert_array_equal(pattern.contributions, file["pos_patterns/pattern_0/contrib_scores"])
        np.testing.assert_array_equal(pattern.hypothetical, file["pos_patterns/pattern_0/hypothetical_contribs"])
        np.testing.assert_array_equal(pattern.probabilities, file["pos_patterns/pattern_0/sequence"])


@pytest.mark.parametrize("counts", [{}, {"pos_patterns": []}, {"neg_patterns": []}])
def test_a_file_without_patterns_gives_none(tmp_path, counts):
    assert read_patterns(write(tmp_path / "none.h5", counts), 0) == []


def test_what_is_no_file_of_modisco(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pos_patterns/pattern_0/sequence"] = np.zeros((3, 4))
    with h5py.File(tmp_path / "named.h5", "w") as file:
        file.create_group("pos_patterns/first")
    for name in ("text.h5", "other.h5", "named.h5", "missing.h5"):
        with pytest.raises(InputError, match=f"{name}: cannot be read as a file of modisco-lite"):
            read_patterns(tmp_path / name, 0)


def test_information_is_two_bits_where_one_base_is_and_none_where_all_are(pattern):
    rows = np.array([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    bits = dataclasses.replace(pattern, probabilities=rows).information_content
    np.testing.assert_allclose(bits, [2, 0, 1], atol=0.04)
    assert bits[0] < 2 and bits[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([0, 1, 10, 2, 10, 3, 2.9, 0], slice(2, 6)),
        ([0, -10, 0, 5, 0], slice(1, 4)),
        ([0, 0, 1], slice(2, 3)),
        ([7], slice(0, 1)),
        ([0, 0], slice(0, 2)),
    ],
)
def test_trimmed_to_the_outermost_positions_that_matter(pattern, sizes, expected):
    """By the sum over bases of absolute values, whatever is between them; never to nothing."""
    contributions = np.outer(sizes, [0.5, -0.25, 0.25, 0])
    assert dataclasses.replace(pattern, contributions=contributions).trimmed() == expected


@pytest.mark.parametrize("threshold", [0, -1, 1.1, np.nan])
def test_a_threshold_outside_its_range(pattern, threshold):
    with pytest.raises(InputError, match=r"threshold .* must be in"):
        pattern.trimmed(threshold)


def test_planted_pattern_is_trimmed_to_the_motif(pattern):
    kept = pattern.trimmed()
    assert 3 <= kept.start and kept.stop <= WIDTH + 3 and kept.stop - kept.start >= WIDTH - 4


def test_reverse_complement_mirrors_twice_to_itself(pattern):
    mirrored = pattern.reverse_complement()
    np.testing.assert_array_equal(mirrored.probabilities[0], pattern.probabilities[-1, [3, 2, 1, 0]])
    np.testing.assert_array_equal(
        mirrored.seqlet_contributions.mean(axis=0)[::-1, ::-1], pattern.seqlet_contributions.mean(axis=0)
    )
    assert set(zip(pattern.strand, mirrored.strand, strict=True)) == {("+", "-"), ("-", "+")}
    kept, other = pattern.trimmed(), mirrored.trimmed()
    assert (other.start, other.stop) == (WIDTH + 6 - kept.stop, WIDTH + 6 - kept.start)
    again = mirrored.reverse_complement()
    for field in dataclasses.fields(pattern):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(pattern, field.name))


def test_written_motifs_are_read_again(pattern, tmp_path):
    path = tmp_path / "patterns.meme"
    write_meme(path, [pattern, dataclasses.replace(pattern.reverse_complement(), name="negative_0")])
    motifs = read_all_motifs(path)
    assert list(motifs) == ["positive_0", "negative_0"]
    np.testing.assert_allclose(motifs["positive_0"], pattern.probabilities[pattern.trimmed()], atol=2e-6)
    np.testing.assert_allclose(motifs["negative_0"], motifs["positive_0"][::-1, ::-1], atol=2e-6)
    assert (
        np.abs(motifs["positive_0"] - FREQUENCIES[pattern.trimmed().start - 3 :][: len(motifs["positive_0"])]).max()
        < 0.2
    )
    write_meme(path, [])
    assert read_all_motifs(path) == {}
