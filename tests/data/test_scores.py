"""Score files: what is written comes back with its locus, whole or not at all."""

import numpy as np
import pyBigWig
import pytest

from fprior.data.scores import (
    COLUMNS,
    actual_contributions,
    read_scores,
    write_bigwig,
    write_modisco,
    write_scores,
)

N, L = 3, 6
SIZES = {"chr1": 100, "chr2": 30}


@pytest.fixture
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 5, (N, L)).astype(np.uint8)
    tokens[0, 2] = 4
    hypothetical = rng.normal(size=(N, L, 4)).astype(np.float32)
    start = np.array([10, 24, 12])  # the first and the third overlap by four bases
    return {
        "chromosome": np.array(["chr1", "chr2", "chr1"]),
        "start": start,
        "end": start + L,
        "strand": np.full(N, "+"),
        "tokens": tokens,
        "hypothetical": hypothetical,
        "contributions": actual_contributions(hypothetical, tokens),
        "output": rng.normal(size=N).astype(np.float32),
        "completeness_error": np.zeros(N, np.float32),
    }


def test_actual_contributions_are_those_of_the_bases_that_are_there(columns):
    for n in range(N):
        for position, token in enumerate(columns["tokens"][n]):
            expected = 0 if token == 4 else columns["hypothetical"][n, position, token]
            assert columns["contributions"][n, position] == expected


def test_round_trip(tmp_path, columns):
    write_scores(tmp_path / "scores.h5", columns, {"settings": "{}"})
    found = read_scores(tmp_path / "scores.h5")
    assert set(found) == set(COLUMNS)
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype.kind == values.dtype.kind


def test_missing_column(tmp_path, columns):
    del columns["strand"]
    with pytest.raises(ValueError, match="strand"):
        write_scores(tmp_path / "scores.h5", columns, {})
    assert not list(tmp_path.iterdir())


def test_bigwig_has_the_mean_where_inputs_overlap(tmp_path, columns):
    assert write_bigwig(tmp_path / "scores.bw", columns, SIZES) == 4
    with pyBigWig.open(str(tmp_path / "scores.bw")) as file:
        assert file.chroms() == SIZES
        values = np.array(file.values("chr1", 0, 100))
        np.testing.assert_allclose(file.values("chr2", 24, 30), columns["contributions"][1], rtol=1e-6)
    first, third = columns["contributions"][0], columns["contributions"][2]
    np.testing.assert_allclose(values[10:12], first[:2], rtol=1e-6)
    np.testing.assert_allclose(values[12:16], (first[2:] + third[:4]) / 2, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(values[16:18], third[4:], rtol=1e-6)
    assert np.isnan(values[:10]).all() and np.isnan(values[18:]).all()


def test_modisco_arrays_have_the_bases_before_the_positions(tmp_path, columns):
    paths = write_modisco(tmp_path, "all", columns)
    sequences, hypothetical = (np.load(path)["arr_0"] for path in paths)
    assert sequences.shape == hypothetical.shape == (N, 4, L)
    np.testing.assert_array_equal(hypothetical, columns["hypothetical"].swapaxes(1, 2))
    np.testing.assert_array_equal(sequences.sum(axis=1), columns["tokens"] != 4)
    actual = (sequences * hypothetical).sum(axis=1)
    np.testing.assert_array_equal(actual, columns["contributions"])


@pytest.mark.parametrize("what", ["scores", "bigwig"])
def test_nothing_is_left_when_writing_fails(tmp_path, columns, what):
    columns["contributions"] = columns["contributions"].astype(object)
    columns["contributions"][:] = object()
    with pytest.raises((TypeError, ValueError)):
        if what == "scores":
            write_scores(tmp_path / "out", columns, {})
        else:
            write_bigwig(tmp_path / "out", columns, SIZES)
    assert not list(tmp_path.iterdir())
