"""Motifs in a comparison: the search in every model, and the command.

TF-MoDISco itself is stood in for: what it finds is tested in tests/motifs.
"""

import csv
import json

import numpy as np
import pytest
from tiny_comparison import comparison_of
from tiny_motifs import Discovery, simulated, stub_enrichment, stub_match, write_patterns, write_run

from experiments import compare, compare_motifs, motifs, motifs_sources, simulate
from experiments.compare_motif_numbers import motif_counts, recall_area
from experiments.config import with_changes
from fprior.errors import InputError

# ---- the search


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    config = simulated(tmp_path_factory.mktemp("simulated"))
    simulate.main(config)
    config.compare.motifs, config.prior.freq_limit = True, 12.0
    return config


@pytest.fixture
def stubbed(world, monkeypatch):
    """The tools stood in for."""
    monkeypatch.setattr(motifs, "provenance", lambda command, config: {"command": f"python -m experiments.{command}"})
    monkeypatch.setattr(motifs, "discover", Discovery(world))
    monkeypatch.setattr(motifs, "match", stub_match)
    monkeypatch.setattr(motifs, "enrichment", stub_enrichment)
    monkeypatch.setattr(motifs, "motifs_page", lambda result, record: "a page takes a second")


@pytest.fixture
def models(world, tmp_path, stubbed):
    """Two finished and measured models."""
    found = []
    for seed, condition in enumerate(("none", "fourier")):
        path = tmp_path / "models" / condition / f"seed_{seed}"
        write_run(world, path)
        found.append((condition, world, path))
    return found


def test_what_is_read_is_what_was_found(world, models, capsys):
    found = compare_motifs.motifs_of_all(world, models)
    assert [(one.condition, one.path) for one in found] == [
        (condition, path / "motifs_test" / "motifs.html") for condition, _, path in models
    ]
    folder = models[0][2] / "motifs_test"
    record = json.loads((folder / "motifs.json").read_text())
    assert record["command"] == "python -m experiments.compare"
    (one,), known = found[0].patterns, record["patterns"][0]  # the negative one is left out
    assert (one.name, one.seqlets, one.instances) == ("positive_0", known["seqlets"], known["instances"])
    assert one.matches == {"MA0080.7": 1e-9} and one.bits == known["information_bits"]
    assert one.trimmed.stop - one.trimmed.start == known["width"] <= len(one.contributions)
    reached, end = found[0].recall["true"], record["recall"]["true"]
    assert (len(reached.reached), reached.reached[-1], reached.regions) == (
        end["calls"],
        end["reached"],
        end["regions_at_loci"],
    )
    assert reached.at_random[-1] == end["reached_at_random"] and found[0].scan["MA0080.7"] == 1e-8
    assert "motifs: 100%" in capsys.readouterr().err or not capsys.readouterr().err
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = compare_motifs.motifs_of_all(world, models)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert len(motifs.discover.calls) == 2 and motif_counts(again[0], 0.05) == motif_counts(found[0], 0.05)


def test_a_model_without_patterns_or_with_negative_ones_alone(world, models, monkeypatch):
    motifs.discover.finds = False
    monkeypatch.setattr(motifs, "why_none", lambda *_, **__: "only 3 seqlets.")
    (one,) = compare_motifs.motifs_of_all(world, models[:1])
    assert one.patterns == () and one.why_none == "only 3 seqlets." and not one.failed
    assert recall_area(one.recall["true"]) == 0 and one.scan
    motifs.discover.finds = True
    found = Discovery(world)

    def negative(tokens, hypothetical, output, **settings):
        patterns = [one for one in found(tokens, hypothetical, output, **settings) if one.sign < 0]
        write_patterns(output, patterns)
        return patterns

    monkeypatch.setattr(motifs, "discover", negative)
    (one,) = compare_motifs.motifs_of_all(world, models[1:])
    assert one.patterns == () and one.why_none == compare_motifs.ONLY_NEGATIVE


def test_one_model_fails_and_the_others_go_on(world, models, capsys):
    def fails():
        motifs.discover.then = None
        raise InputError("modisco-lite ended with status 1")

    motifs.discover.then = fails
    failed, found = compare_motifs.motifs_of_all(world, models)
    assert failed.failed and "status 1" in failed.why_none and not found.failed and len(found.patterns) == 1
    assert "could not be looked for: modisco-lite ended" in capsys.readouterr().err
    assert not (models[0][2] / "motifs_test").exists()
    again, _ = compare_motifs.motifs_of_all(world, models)  # it is tried again, the other is not
    assert not again.failed and len(motifs.discover.calls) == 3


def test_a_search_that_fails_everywhere_is_an_error(world, models):
    def fails():
        raise InputError("modisco-lite ended with status 1")

    motifs.discover.then = fails
    with pytest.raises(InputError, match=r"none of the models.*seed_0.*status 1"):
        compare_motifs.motifs_of_all(world, models)


# ---- the command


@pytest.fixture
def command(world, tmp_path, models, monkeypatch):
    """`compare` of measured models; `command.trained` tells how often it came to the training."""
    comparison = comparison_of(("none", "fourier"), seeds=1)
    trained = []

    def measured(config, asked):
        return [comparison.results[condition][0] for condition, *_ in asked]

    loci = {"chromosome": np.array(["chr1"]), "start": np.array([0]), "end": np.array([80]), "signal": np.zeros(1)}
    monkeypatch.setattr(compare, "train_all", trained.append)
    monkeypatch.setattr(compare, "measure_all", measured)
    monkeypatch.setattr(compare, "compare_page", lambda comparison, rows: f"<html>{len(comparison.motifs)}</html>\n")
    monkeypatch.setattr(compare, "loci_of", lambda path, split: loci)
    monkeypatch.setattr(compare, "read_record", lambda path: {})
    monkeypatch.setattr(compare, "provenance", lambda command, config: {})
    monkeypatch.setattr(compare.Plan, "_flat", lambda self, make, weights: models)
    monkeypatch.setattr(compare, "stability", lambda models, split: np.empty(0))
    monkeypatch.setattr(compare, "similarity", lambda models, split: np.empty(0))

    def call(**changes):
        out = tmp_path / "out"
        compare.main(with_changes(world, changes), str(out), "1", "none,fourier", None, "motifs.positive_patterns>=1")
        return out

    call.trained = trained
    return call


def test_motifs_are_switched_on_in_a_finished_comparison(command, capsys):
    with pytest.raises(InputError, match=r"motifs\.positive_patterns.*none of the measures"):
        command(**{"compare.motifs": False})
    assert not motifs.discover.calls
    out = command()
    assert "met: motifs.positive_patterns>=1" in capsys.readouterr().out
    rows = list(csv.DictReader((out / "prior_motifs.csv").read_text().splitlines()))
    assert [(row["motif"], row["condition"], row["found"]) for row in rows] == [
        ("MA0080.7", "none", "1"),
        ("MA0080.7", "fourier", "1"),
    ]
    assert "motifs.recall_area_true" in (out / "prior.csv").read_text()
    command()
    assert len(motifs.discover.calls) == 2  # once for each model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"motifs.instances": "train"}, ("config.motifs.instances", "train")),
        ({"motifs.file": "no/such.meme"}, ("no/such.meme",)),
        ({}, ("fprior[motifs]",)),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_trained(command, monkeypatch, changes, words):
    if not changes:

        def missing(name):
            raise motifs_sources.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(motifs_sources.metadata, "version", missing)
    with pytest.raises(InputError) as caught:
        command(**changes)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)
    assert not command.trained
    command_off = {**changes, "compare.motifs": False}
    with pytest.raises(InputError, match="none of the measures"):
        command(**command_off)  # which is no matter where motifs are not asked for
