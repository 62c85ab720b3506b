"""The places that importance is held against: regions of one's own, true instances, and the summits of peaks."""

from pathlib import Path

import numpy as np
import pytest
from refusals import refusal

from experiments import evaluate, evaluate_places, simulate
from experiments.config import check_config, default_config
from fprior.data.dataset import open_dataset

MOTIF, INPUT, JITTER = "MA0080.7", 80, 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """840 simulated sequences, of which 42 are positives to test."""
    config = default_config()
    config.data.input_length, config.data.jitter = INPUT, JITTER
    config.simulate.output = str(tmp_path_factory.mktemp("simulated") / "dataset")
    config.simulate.name, config.simulate.task, config.simulate.motif = "toy", "SPI1", MOTIF
    config.simulate.sequences, config.simulate.reach = 840, 20
    simulate.main(config)
    return open_dataset(config.simulate.output)


# ---- regions of one's own


def places(dataset, *files: Path):
    config = default_config()
    config.data.dataset, config.data.input_length = str(dataset.path), INPUT
    config.evaluate.regions, config.evaluate.region_names = tuple(map(str, files)), ("mine",)
    return evaluate_places.known_places(config, dataset)


def test_a_file_of_ones_own(dataset, tmp_path, capsys):
    first = int(dataset.loci["start"][dataset.select(2, positive=True)[0]]) + JITTER
    path = tmp_path / "footprints.bed"
    path.write_text(f"simulated\t{first - 2}\t{first + 3}\nsimulated\t0\t5\nelsewhere\t{first}\t{first + 9}\n")
    masks, counts = places(dataset, path)
    assert np.argwhere(masks["mine"]).tolist() == [[0, 0], [0, 1], [0, 2]]
    assert counts["mine"] == {"file": str(path), "regions": 3, "used": 1, "positives_with_some": 1}
    assert "1 of 3 regions overlap 1 of 42 positives" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("chr1\t0\t5", ("none of its chromosomes ('chr1' …)", "('simulated' …)")),
        ("simulated\t0\t5", ("none of its 1 regions overlaps one of the 42 positives", "config.evaluate.split")),
        ("simulated\t5\t0", ("line 1",)),
    ],
)
def test_regions_that_fit_nothing_are_refused(dataset, tmp_path, line, parts):
    path = tmp_path / "footprints.bed"
    path.write_text(line + "\n")
    message = refusal(places, dataset, path)
    assert str(path) in message
    for part in parts:
        assert part in message


def test_true_instances_of_a_data_set_that_is_not_simulated_are_refused():
    shipped = open_dataset("ctcf_gm12878")
    assert "is no simulated data set" in refusal(places, shipped, Path("instances"))


@pytest.mark.parametrize(
    ("regions", "names", "motifs"),
    [
        (("a.bed",), ("",), ("",)),
        (("",), ("a",), ("",)),
        (("a.bed", "b.bed"), ("a",), ("",)),
        (("a.bed", "b.bed"), ("a", "a"), ("",)),
        (("a.bed",), ("a b",), ("",)),
        (("a.bed",), ("a/b",), ("",)),
        (("a.bed",), (MOTIF,), (MOTIF,)),
    ],
)
def test_every_region_set_needs_a_name_of_its_own(regions, names, motifs):
    config = default_config()
    config.evaluate.regions, config.evaluate.region_names, config.evaluate.motifs = regions, names, motifs
    assert f"config.evaluate.region_names (={names})" in refusal(check_config, config)


# ---- summits


def test_summits_of_windows_around_peaks():
    """The own summit lies in the middle; a neighbour's is seen from both."""
    shipped = open_dataset("ctcf_gm12878")
    positives = np.concatenate([shipped.select(split, positive=True) for split in range(3)])
    summits = evaluate_places.summits_of(shipped, positives, 1000)
    middle = shipped.window // 2 - (shipped.window - 1000) // 2
    assert np.all((summits == middle).sum(axis=1) == 1)
    at = shipped.loci["start"][positives] + shipped.window // 2
    same = shipped.loci["chromosome"][positives][:, None] == shipped.loci["chromosome"][positives]
    distance = at[None, :] - at[:, None]
    near = same & (distance >= -middle) & (distance < 1000 - middle)
    np.testing.assert_array_equal((summits >= 0).sum(axis=1), near.sum(axis=1))
    assert near.sum(axis=1).max() > 1


def test_an_evaluation_measures_the_distance_to_summits():
    """Importance that falls off on both sides of the summit is ranked as the distance is, the other way round."""
    shipped = open_dataset("ctcf_gm12878")
    config = default_config()
    config.data.dataset, config.evaluate.split = "ctcf_gm12878", "valid"
    positives = evaluate_places.positives_of(config, shipped)
    alone = (evaluate_places.summits_of(shipped, positives, 1000) >= 0).sum(axis=1) == 1
    fall = np.exp(-np.abs(np.arange(1000) - 500) / 50)
    contributions = np.tile(fall, (len(positives), 1))
    measures = evaluate.interpretability(config, shipped, {"contributions": contributions}, {})
    assert alone.any()
    np.testing.assert_allclose(measures["summit_distance_spearman"][alone], -1, atol=1e-6)
