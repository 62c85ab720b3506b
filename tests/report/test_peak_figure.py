"""Which peaks a page shows, and their figures."""

import numpy as np

from fprior.report.peak_figure import LOGO_WIDTH, QUANTILES, chosen_peaks, locus_name, peak_svg


def test_peaks_at_the_quantiles_of_their_signal():
    rng = np.random.default_rng(0)
    signal = rng.permutation(101).astype(float)
    assert {signal[index] / 100: quantile for index, quantile in chosen_peaks(signal).items()} == {
        quantile: quantile for quantile in QUANTILES
    }


def test_peaks_without_signal_are_the_lowest_and_none_is_shown_twice():
    assert chosen_peaks(np.array([np.nan, 3.0])) == {1: 1.0, 0: 0.5}  # between two, Python rounds to the even
    assert chosen_peaks(np.array([5.0])) == {0: 1.0}


def test_names_count_from_one():
    assert locus_name("chr7", 999, 200) == "chr7:1,000-1,199"


def test_figure_of_long_and_short_inputs():
    rng = np.random.default_rng(0)
    for length in (300, 40):
        tokens = rng.integers(0, 4, length)
        tracks = {"with": rng.normal(size=length), "without": rng.normal(size=length)}
        svg, alt = peak_svg(tracks, tokens, "chr1", 10_000)
        letters = alt.rpartition(" ")[2]
        first = (length - len(letters)) // 2
        assert len(letters) == min(LOGO_WIDTH, length)
        assert letters == "".join("ACGT"[base] for base in tokens[first : first + len(letters)])
        assert svg.lstrip().startswith("<svg") and "without" in svg and f"chr1:10,001-{10_000 + length:,}" in alt
