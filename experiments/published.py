"""The numbers that the paper prints, to stand beside ours.

Source: Tseng, Shrikumar and Kundaje, Fourier-transform-based attribution priors improve the interpretability and
stability of deep learning models for genomics, NeurIPS 2020: tables 1 to 4 and sections 7, 8.1 and 8.2. Figures
without printed numbers, such as 4 and 5, are not read off.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SPI1, GATA2, NANOG, K562 = "SPI1", "GATA2", "Nanog/Oct4/Sox2", "K562"
SIMULATED = "SPI1, simulated"
LABELS, PROFILES = "labels", "profiles"
TUNED, UNTUNED = "section 8.2, weight tuned", "section 8.2, weight by the size of the losses"
CALLED, INSTANCES, REGIONS = "peaks", "instances", "regions"  # called, put there, and footprints or the like
SHARE, OVERLAP = "deepshap.share_in_", "deepshap.overlap_auprc_"
SUMMIT, PEAKS = "deepshap.summit_distance_spearman", OVERLAP + CALLED
LENGTHS = {LABELS: 1000, PROFILES: 1346}  # of the paper's inputs


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
      data: the paper's name of the data set.
      outputs: labels of a binary model or profiles.
      measure: as `Row.measure`; overlaps with independent regions, whatever they are called here, end in `regions`.
      condition: none, fourier, smoothness, sparsity or l2.
      value: in the units of ours: a share where the paper prints per cent, and a mean over the positions of the input
        where it prints a sum (table 2).
      error: its standard error likewise, None where none is printed.
      source: the table or section.
    """

    data: str
    outputs: str
    measure: str
    condition: str
    value: float
    error: float | None
    source: str


def _without_and_with(
    data: str,
    outputs: str,
    measure: str,
    pair: tuple[float, float],
    source: str,
    errors: tuple[float, float] | None = None,
) -> Iterator[Published]:
    """What a table prints in its columns "No prior" and "With prior"."""
    for place, condition in enumerate(("none", "fourier")):
        yield Published(data, outputs, measure, condition, pair[place], errors[place] if errors else None, source)


# Accuracy (percent), auROC and auPRC on the test set, the best of 30 initialisations.
_TABLE_1 = {
    SPI1: ((87.996, 88.347), (0.954, 0.956), (0.853, 0.858)),
    GATA2: ((85.519, 86.216), (0.924, 0.928), (0.733, 0.745)),
    NANOG: ((84.640, 85.437), (0.906, 0.908), (0.655, 0.661)),
    K562: ((90.049, 90.362), (0.966, 0.968), (0.963, 0.966)),
}
# Similarity between initialisations, and between models of all and of 1 % of the data, summed over the positions of an
# input; each with its errors.
_TABLE_2 = {
    (LABELS, SPI1): ((95.6, 134.3), (1.0, 1.0), (29.8, 42.0), (0.7, 0.8)),
    (LABELS, GATA2): ((105.8, 140.5), (1.5, 1.8), (29.6, 43.5), (1.3, 1.4)),
    (LABELS, NANOG): ((107.0, 129.0), (2.5, 2.2), (43.1, 53.1), (1.3, 1.7)),
    (LABELS, K562): ((121.1, 197.5), (2.0, 2.5), (48.3, 67.2), (1.7, 1.8)),
    (PROFILES, SPI1): ((332.9, 405.6), (11.2, 11.4), (77.6, 233.1), (4.4, 9.8)),
    (PROFILES, GATA2): ((369.1, 390.5), (10.1, 9.5), (102.9, 121.6), (5.2, 5.9)),
    (PROFILES, NANOG): ((216.7, 246.5), (5.7, 4.8), (66.9, 109.7), (4.5, 6.2)),
    (PROFILES, K562): ((210.2, 236.0), (5.8, 4.2), (31.4, 121.3), (1.5, 5.2)),
}
# Correlation with the distance to the summit, its errors, and auPRC of the overlap with peaks.
_TABLE_3 = {
    (LABELS, SPI1): ((-0.433, -0.442), (0.002, 0.002), (0.595, 0.616)),
    (LABELS, GATA2): ((-0.392, -0.419), (0.003, 0.003), (0.608, 0.617)),
    (LABELS, NANOG): ((-0.509, -0.544), (0.003, 0.003), (0.674, 0.669)),
    (LABELS, K562): ((-0.335, -0.360), (0.005, 0.005), (0.587, 0.594)),
    (PROFILES, SPI1): ((-0.464, -0.490), (0.005, 0.004), (0.398, 0.470)),
    (PROFILES, GATA2): ((-0.391, -0.437), (0.006, 0.005), (0.430, 0.497)),
    (PROFILES, NANOG): ((-0.454, -0.476), (0.005, 0.005), (0.464, 0.516)),
    (PROFILES, K562): ((-0.392, -0.411), (0.006, 0.006), (0.530, 0.548)),
}
# Share of importance in ChIP-nexus peaks (Nanog/Oct4/Sox2) or footprints (K562), its errors, and auPRC of the overlap.
_TABLE_4 = {
    (LABELS, NANOG): ((0.806, 0.830), (0.006, 0.006), (0.644, 0.647)),
    (LABELS, K562): ((0.272, 0.281), (0.005, 0.005), (0.235, 0.229)),
    (PROFILES, NANOG): ((0.689, 0.787), (0.006, 0.006), (0.598, 0.630)),
    (PROFILES, K562): ((0.236, 0.298), (0.004, 0.004), (0.215, 0.256)),
}


def _divided(pair: tuple[float, float], by: int, digits: int) -> tuple[float, float]:
    return round(pair[0] / by, digits), round(pair[1] / by, digits)


def _tables() -> Iterator[Published]:
    for data, (accuracy, auroc, auprc) in _TABLE_1.items():
        for measure, pair in (("accuracy", _divided(accuracy, 100, 5)), ("auroc", auroc), ("auprc", auprc)):
            yield from _without_and_with(data, LABELS, measure, pair, "Table 1")
    for (outputs, data), (seeds, seed_errors, subset, subset_errors) in _TABLE_2.items():
        for measure, pair, errors in (("jaccard", seeds, seed_errors), ("jaccard_subset", subset, subset_errors)):
            means, their_errors = (_divided(numbers, LENGTHS[outputs], 4) for numbers in (pair, errors))
            yield from _without_and_with(data, outputs, measure, means, "Table 2", their_errors)
    for (outputs, data), (summit, errors, peaks) in _TABLE_3.items():
        yield from _without_and_with(data, outputs, SUMMIT, summit, "Table 3", errors)
        yield from _without_and_with(data, outputs, PEAKS, peaks, "Table 3")
    for (outputs, data), (share, errors, overlap) in _TABLE_4.items():
        yield from _without_and_with(data, outputs, SHARE + REGIONS, share, "Table 4", errors)
        yield from _without_and_with(data, outputs, OVERLAP + REGIONS, overlap, "Table 4")
    yield from _without_and_with(SIMULATED, LABELS, SHARE + INSTANCES, (0.218, 0.659), "section 7", (0.010, 0.027))
    yield from _without_and_with(SIMULATED, LABELS, OVERLAP + INSTANCES, (0.422, 0.607), "section 7")


def _spi1(measure: str, condition: str, value: float, error: float | None, source: str) -> Published:
    return Published(SPI1, LABELS, measure, condition, value, error, source)


PUBLISHED: tuple[Published, ...] = (
    *_tables(),
    _spi1("deepshap.high_frequency_share", "fourier", 0.374, 0.002, "section 8.1"),
    _spi1("deepshap.high_frequency_share", "l2", 0.400, 0.002, "section 8.1"),
    _spi1("deepshap.entropy_bits", "fourier", 7.891, 0.011, "section 8.1"),
    _spi1("deepshap.entropy_bits", "l2", 8.908, 0.014, "section 8.1"),
    _spi1(SUMMIT, "none", -0.433, 0.002, "section 8.1"),
    _spi1(SUMMIT, "fourier", -0.442, 0.002, "section 8.1"),
    _spi1(SUMMIT, "l2", -0.421, 0.002, "section 8.1"),
    _spi1(PEAKS, "none", 0.595, None, "section 8.1"),
    _spi1(PEAKS, "fourier", 0.616, None, "section 8.1"),
    _spi1(PEAKS, "l2", 0.585, None, "section 8.1"),
    _spi1(PEAKS, "fourier", 0.616, None, UNTUNED),
    _spi1(PEAKS, "smoothness", 0.616, None, UNTUNED),
    _spi1(PEAKS, "sparsity", 0.619, None, UNTUNED),
    _spi1(PEAKS, "fourier", 0.616, None, TUNED),
    _spi1(PEAKS, "smoothness", 0.601, None, TUNED),
    _spi1(PEAKS, "sparsity", 0.597, None, TUNED),
    _spi1("validation_loss", "fourier", 0.262, None, TUNED),
    _spi1("validation_loss", "smoothness", 0.268, None, TUNED),
    _spi1("validation_loss", "sparsity", 0.269, None, TUNED),
)


def printed_name(measure: str) -> str:
    """The name under which the paper's numbers of a measure are kept.

    A task in brackets is left out, and the name of a set of regions becomes `regions`, unless it is `peaks` or
    `instances`: `auroc[CTCF]` → `auroc`, `deepshap.share_in_footprints` → `deepshap.share_in_regions`.
    """
    name = re.sub(r"\[.*\]$", "", measure)
    for start in (SHARE, OVERLAP):
        if name.startswith(start) and name.removeprefix(start) not in (CALLED, INSTANCES):
            return start + REGIONS
    return name


def published(measure: str, outputs: str) -> tuple[Published, ...]:
    """What the paper prints for a measure and a kind of model; () where it prints nothing.

    Args:
      measure: as `Row.measure`, such as deepshap.entropy_bits or auroc[CTCF].
      outputs: labels or profiles, as `config.model.outputs`.
    """
    name = printed_name(measure)
    return tuple(entry for entry in PUBLISHED if entry.measure == name and entry.outputs == outputs)
