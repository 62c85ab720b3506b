"""Splits by chromosome and by block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal

from fprior.data import splits as module
from fprior.data.splits import crosses_split, deal_blocks, split_by_block, split_by_chromosome


def test_split_by_chromosome():
    split = split_by_chromosome(np.array(["a", "b", "c", "b"]), test=("b",), valid=["c"])
    assert split.dtype == np.uint8 and split.tolist() == [0, 2, 1, 2]


def test_split_by_chromosome_refuses_absent_and_double_names():
    names = np.array(["chr1", "chr2"])
    message = refusal(split_by_chromosome, names, test=("chr1",), valid=("chr9",))
    assert message == "valid chromosome 'chr9' has no loci; those that have some are chr1, chr2"
    assert "test chromosome '1'" in refusal(split_by_chromosome, names, test="chr1", valid=())
    assert "'chr1' is in test" in refusal(split_by_chromosome, names, test=("chr1",), valid=("chr1", "chr2"))


FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0)])


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=4).filter(lambda lengths: sum(lengths) > 150),
    st.integers(1, 10),
    FRACTIONS,
    st.integers(0, 9),
)
@settings(max_examples=50, deadline=None)
def test_blocks_partition_the_genome(lengths, block_size, fractions, seed):
    lengths = {f"chr{i}": length for i, length in enumerate(lengths)}
    blocks = deal_blocks(lengths, block_size, fractions=fractions, seed=seed)
    covered = [(n, s) for n, length in lengths.items() for s in range(0, length, block_size)]
    assert list(zip(blocks.chromosome.tolist(), blocks.start.tolist(), strict=True)) == covered
    np.testing.assert_allclose(np.bincount(blocks.split, minlength=3), np.array(fractions) * len(covered), atol=1)
    chromosomes = np.repeat(list(lengths), list(lengths.values()))
    positions = np.concatenate([np.arange(length) for length in lengths.values()])
    split = split_by_block(chromosomes, positions, blocks)
    table = dict(zip(covered, blocks.split.tolist(), strict=True))
    assert split.dtype == np.uint8
    assert split.tolist() == [
        table[n, p // block_size * block_size] for n, p in zip(chromosomes.tolist(), positions.tolist(), strict=True)
    ]


@given(st.data(), st.integers(1, 7), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_crosses_split_equals_looking_at_every_base(data, block_size, width):
    blocks = deal_blocks(
        {"b": 100, "a": 64}, block_size, fractions=(0.5, 0.25, 0.25), seed=data.draw(st.integers(0, 9))
    )
    chromosome = data.draw(st.sampled_from("ab"))
    starts = np.arange({"b": 100, "a": 64}[chromosome] - width + 1)
    names = np.full(len(starts), chromosome)
    split = split_by_block(names, starts + data.draw(st.integers(0, width - 1)), blocks)
    crosses = crosses_split(names, starts, starts + width, split, blocks)
    for start, own, answer in zip(starts, split, crosses, strict=True):
        touched = split_by_block(np.full(width, chromosome), np.arange(start, start + width), blocks)
        assert answer == (touched != own).any()


def test_dealing_depends_on_the_seed_alone():
    first, again, other = (
        deal_blocks({"a": 1000}, 10, fractions=(0.5, 0.25, 0.25), seed=seed).split.tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("chromosome, position", [("c", 5), ("0", 5), ("a", -1), ("a", 100)])
def test_positions_outside_the_blocks(chromosome, position):
    blocks = deal_blocks({"a": 100, "b": 200}, 10, fractions=(1, 0, 0), seed=0)
    message = refusal(split_by_block, np.array(["a", chromosome]), np.array([0, position]), blocks)
    assert message.startswith(f"{chromosome}:{position} lies outside all blocks; deal the blocks with the length")


@pytest.mark.parametrize(
    "block_size, fractions, words",
    [
        (10, (0.5, 0.4, 0.2), "fractions (=(0.5, 0.4, 0.2)) must be three numbers"),
        (10, (0.5, 0.5), "must be three numbers"),
        (10, (1.5, -0.5, 0.0), "must be three numbers"),
        (0, (1.0, 0.0, 0.0), "block_size (=0) must be at least 1"),
        (50, (0.8, 0.1, 0.1), "block_size (=50) leaves no block of 2 to valid; lower it"),
    ],
)
def test_impossible_blocks(block_size, fractions, words):
    assert words in refusal(deal_blocks, {"a": 100}, block_size, fractions=fractions, seed=0)


def test_split_labels():
    assert [module.SPLITS[i] for i in (module.TRAIN, module.VALID, module.TEST)] == ["train", "valid", "test"]
