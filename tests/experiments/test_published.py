"""The paper's numbers."""

import collections
import re

import pytest

from experiments.conditions import WORDS
from experiments.published import PUBLISHED, printed_name, published


def of(measure, outputs, data, condition):
    return [
        (e.value, e.error, e.source) for e in published(measure, outputs) if (e.data, e.condition) == (data, condition)
    ]


# One cell of every column of every table, and the sections, as they are printed.
@pytest.mark.parametrize(
    ("measure", "outputs", "data", "condition", "expected"),
    [
        ("accuracy", "labels", "K562", "fourier", [(0.90362, None, "Table 1")]),
        ("auroc[SPI1]", "labels", "GATA2", "none", [(0.924, None, "Table 1")]),
        ("auprc", "labels", "Nanog/Oct4/Sox2", "fourier", [(0.661, None, "Table 1")]),
        ("jaccard", "labels", "K562", "fourier", [(0.1975, 0.0025, "Table 2")]),
        ("jaccard", "profiles", "SPI1", "none", [(0.2473, 0.0083, "Table 2")]),  # 332.9 ± 11.2 of 1,346
        ("jaccard_subset", "profiles", "GATA2", "fourier", [(0.0903, 0.0044, "Table 2")]),  # 121.6 ± 5.9
        ("deepshap.summit_distance_spearman", "profiles", "K562", "none", [(-0.392, 0.006, "Table 3")]),
        ("deepshap.overlap_auprc_peaks", "profiles", "GATA2", "fourier", [(0.497, None, "Table 3")]),
        ("deepshap.share_in_nexus", "labels", "Nanog/Oct4/Sox2", "none", [(0.806, 0.006, "Table 4")]),
        ("deepshap.overlap_auprc_footprints", "profiles", "K562", "fourier", [(0.256, None, "Table 4")]),
        ("deepshap.share_in_instances", "labels", "SPI1, simulated", "fourier", [(0.659, 0.027, "section 7")]),
        ("deepshap.overlap_auprc_instances", "labels", "SPI1, simulated", "none", [(0.422, None, "section 7")]),
        ("deepshap.high_frequency_share", "labels", "SPI1", "l2", [(0.400, 0.002, "section 8.1")]),
        ("deepshap.entropy_bits", "labels", "SPI1", "fourier", [(7.891, 0.011, "section 8.1")]),
        ("validation_loss", "labels", "SPI1", "sparsity", [(0.269, None, "section 8.2, weight tuned")]),
        (
            "deepshap.overlap_auprc_peaks",
            "labels",
            "SPI1",
            "smoothness",
            [
                (0.616, None, "section 8.2, weight by the size of the losses"),
                (0.601, None, "section 8.2, weight tuned"),
            ],
        ),
    ],
)
def test_numbers_are_those_that_are_printed(measure, outputs, data, condition, expected):
    assert of(measure, outputs, data, condition) == expected


def test_the_tables_are_complete():
    counts = collections.Counter(entry.source.split(",")[0] for entry in PUBLISHED)
    assert [counts[f"Table {i}"] for i in (1, 2, 3, 4)] == [4 * 6, 8 * 4, 8 * 4, 4 * 4]
    assert len({(e.data, e.outputs, e.measure, e.condition, e.source) for e in PUBLISHED}) == len(PUBLISHED)


def test_what_is_printed_twice_is_the_same_number():
    values = collections.defaultdict(set)
    for entry in PUBLISHED:
        if entry.condition in ("none", "fourier"):
            values[entry.data, entry.outputs, entry.measure, entry.condition].add(entry.value)
    assert all(len(found) == 1 for found in values.values())


def test_conditions_are_words_of_conditions_and_values_in_range():
    for entry in PUBLISHED:
        assert entry.condition in WORDS and entry.outputs in ("labels", "profiles")
        assert re.match(r"Table [1-4]$|section (7|8\.1|8\.2)", entry.source)
        bits = entry.measure == "deepshap.entropy_bits"
        assert -1 < entry.value < (10 if bits else 1)
        assert entry.error is None or 0 < entry.error < abs(entry.value) / 5


@pytest.mark.parametrize(
    "measure", ["gradient.entropy_bits", "deepshap.share_in_peaks", "deepshap.negative_share_in_x", "nats_per_read", ""]
)
def test_what_the_paper_does_not_print(measure):
    assert published(measure, "labels") == published(measure, "profiles") == ()


def test_numbers_of_one_kind_of_model_are_not_shown_for_another():
    assert published("auroc", "profiles") == () and published("deepshap.share_in_instances", "profiles") == ()


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        ("auroc[a task [with] brackets]", "auroc"),
        ("deepshap.share_in_footprints", "deepshap.share_in_regions"),
        ("deepshap.overlap_auprc_peaks", "deepshap.overlap_auprc_peaks"),
        ("deepshap.overlap_auprc_instances", "deepshap.overlap_auprc_instances"),
        ("gradient.share_in_footprints", "gradient.share_in_footprints"),
    ],
)
def test_names(measure, name):
    assert printed_name(measure) == name
