"""Regions and positions seen from inputs, against a plain look at every base."""

import numpy as np
import pytest

from fprior.data.loci import Loci, read_loci
from fprior.data.regions import positions_inside, region_mask, regions_used

LENGTH = 12


def regions_of(*rows: tuple[str, int, int]) -> Loci:
    names, start, end = zip(*rows, strict=True)
    start, end = np.array(start, np.int64), np.array(end, np.int64)
    return Loci(np.array(names, np.str_), start, end, (start + end) // 2, np.full(len(rows), np.nan, np.float32))


@pytest.fixture
def random():
    """Regions that overlap, nest, touch and reach beyond inputs, on three chromosomes, one of them without inputs."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 150, 60)
    end = start + rng.integers(1, 25, 60)
    regions = regions_of(*zip(rng.choice(["chr1", "chr2", "chrX"], 60).tolist(), start, end, strict=True))
    return regions, rng.choice(["chr1", "chr2", "chr3"], 40), rng.integers(0, 160, 40)


def test_mask_is_what_a_look_at_every_base_gives(random):
    regions, chromosome, start = random
    mask = region_mask(regions, chromosome, start, LENGTH)
    expected = np.array(
        [
            [
                np.any((regions.chromosome == name) & (regions.start <= at + i) & (at + i < regions.end))
                for i in range(LENGTH)
            ]
            for name, at in zip(chromosome, start, strict=True)
        ]
    )
    np.testing.assert_array_equal(mask, expected)
    assert 0.2 < mask.mean() < 0.9 and not mask[chromosome == "chr3"].any()


def test_regions_are_used_that_share_a_base_with_an_input(random):
    regions, chromosome, start = random
    used = sum(region_mask(regions[[i]], chromosome, start, LENGTH).any() for i in range(len(regions)))
    assert regions_used(regions, chromosome, start, LENGTH) == used
    assert 0 < used < len(regions)


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [(90, 100, []), (90, 101, [0]), (111, 130, [11]), (112, 130, []), (100, 112, range(12)), (0, 500, range(12))],
)
def test_ends_are_half_open(start, end, inside):
    mask = region_mask(regions_of(("chr1", start, end)), np.array(["chr1"]), np.array([100]), LENGTH)
    assert np.flatnonzero(mask[0]).tolist() == list(inside)


def test_a_long_region_that_holds_a_short_one_keeps_its_end():
    regions = regions_of(("chr1", 100, 110), ("chr1", 101, 103))
    mask = region_mask(regions, np.array(["chr1"]), np.array([100]), LENGTH)
    assert mask[0].tolist() == [True] * 10 + [False] * 2


def test_a_bed_file_from_disk(tmp_path):
    path = tmp_path / "footprints.bed"
    path.write_text("track name=x\nchr1\t5\t8\tfootprint\t3.5\t-\n")
    mask = region_mask(read_loci(path), np.array(["chr1", "chr2"]), np.array([0, 0]), LENGTH)
    assert np.argwhere(mask).tolist() == [[0, 5], [0, 6], [0, 7]]


def test_positions_are_those_inside_each_input():
    at_chromosome, at = np.array(["chr1", "chr1", "chr1", "chr2", "chr1"]), np.array([111, 100, 112, 105, 100])
    chromosome, start = np.array(["chr1", "chr2", "chr1", "chr3"]), np.array([100, 100, 113, 100])
    found = positions_inside(at_chromosome, at, chromosome, start, LENGTH)
    assert found.tolist() == [[0, 11], [5, -1], [-1, -1], [-1, -1]]


def test_no_position_anywhere_leaves_one_empty_column():
    found = positions_inside(np.array(["chr9"]), np.array([3]), np.array(["chr1", "chr1"]), np.array([0, 9]), LENGTH)
    assert found.tolist() == [[-1], [-1]]
