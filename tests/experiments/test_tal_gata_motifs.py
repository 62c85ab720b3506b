"""Motifs of the TAL–GATA simulation: held against what was put there, and what is said where there are none."""

import importlib.util
import re

import jax
import ml_collections
import numpy as np
import pytest

from experiments import tal_gata_motifs
from experiments.tal_gata_motifs import find_motifs, hypothetical_scores, left_out, motifs_of, on_planted, record
from experiments.tal_gata_motifs_page import motifs_section, verdict
from fprior.data.simulation import MOTIFS, TASKS, Simulation, simulate
from fprior.errors import InputError
from fprior.models.pooled import PooledModel
from fprior.motifs.matching import Match
from fprior.motifs.patterns import Pattern
from fprior.sequence import one_hot
from fprior.shuffle import dinucleotide_shuffle

NUMBER, LENGTH = 80, 150


@pytest.fixture(scope="module")
def data() -> Simulation:
    return simulate(NUMBER, LENGTH, seed=3)


@pytest.fixture(scope="module")
def hypothetical(data) -> np.ndarray:
    """Log-odds where a motif was put, and noise: what a perfect model of the task both would say."""
    scores = 0.02 * np.random.default_rng(4).standard_normal((NUMBER, LENGTH, 4))
    for sequence, motif, start in zip(*(data.instances[name] for name in ("sequence", "motif", "start")), strict=True):
        scores[sequence, start : start + len(MOTIFS[motif])] += MOTIFS[motif].log_odds()
    return scores.astype(np.float32)


def pattern_of(data: Simulation, hypothetical: np.ndarray, motif: int, name: str) -> Pattern:
    """Of the instances that were put there."""
    which = data.instances["motif"] == motif
    locus, start = data.instances["sequence"][which], data.instances["start"][which].astype(np.int64)
    columns = start[:, None] + np.arange(len(MOTIFS[motif]))
    bases = data.tokens[locus[:, None], columns][..., None] == np.arange(4)
    scores = hypothetical[locus[:, None], columns]
    return Pattern(
        name=name,
        sign=1,
        probabilities=bases.mean(axis=0),
        contributions=(bases * scores).mean(axis=0),
        hypothetical=scores.mean(axis=0),
        locus=locus,
        start=start,
        end=start + len(MOTIFS[motif]),
        strand=np.full(len(start), "+"),
        seqlet_contributions=(bases * scores).astype(np.float32),
    )


def like(pattern: str, *motifs: str) -> list[Match]:
    return [Match(pattern, motif, 10.0**-9, 10.0 ** (i - 8), 9, 0, "-") for i, motif in enumerate(motifs)]


@pytest.fixture
def tools(monkeypatch, data, hypothetical) -> None:
    """TF-MoDISco and Tomtom, which take a minute, as if they had found both motifs."""
    patterns = [pattern_of(data, hypothetical, motif, f"positive_{motif}") for motif in range(len(MOTIFS))]
    matches = {
        "positive_0": like("positive_0", "MA0035.5_GATA1", "A", "B", "C", "GATA1, simulated"),
        "positive_1": like("positive_1", "TAL1, simulated", "D", "E", "F"),
    }
    monkeypatch.setattr(tal_gata_motifs, "discover", lambda *read, window: patterns)
    monkeypatch.setattr(tal_gata_motifs, "match", lambda patterns, known, top: matches)


@pytest.fixture
def found(tools, data, hypothetical):
    return {"both": motifs_of(data.tokens, hypothetical, {})}


def test_what_was_put_there_is_found_again_far_beyond_chance(found, data):
    of_task = record(None, found, data)["tasks"]["both"]
    for number, motif in enumerate(MOTIFS):
        pattern, recall = of_task["patterns"][number], of_task["recall"][motif.name]
        there = int(data.counts[:, number].sum())
        assert pattern["seqlets_on"][motif.name] == pattern["seqlets"] == recall["planted"] == there
        assert pattern["instances_on"][motif.name] > 0.9 * pattern["instances"] > 0.5 * there
        assert recall["reached"] > 0.6 * there > 2 * recall["reached_at_random"] > 0
        assert recall["calls"] == sum(one["instances"] for one in of_task["patterns"])


def test_the_place_of_a_simulated_motif_among_the_matches_is_kept(found, data):
    (first, second) = record(None, found, data)["tasks"]["both"]["patterns"]
    assert [one["motif"] for one in first["matches"]] == ["MA0035.5_GATA1", "A", "B", "GATA1, simulated"]
    assert [one["motif"] for one in second["matches"]] == ["TAL1, simulated", "D", "E"]


def test_a_motif_is_found_only_where_its_instances_are(found, data):
    """A small q of a pattern whose seqlets lie elsewhere is not taken for it."""
    result = record(None, found, data)["found"]
    assert {name: one["pattern"] for name, one in result.items()} == {"GATA1": "positive_0", "TAL1": "positive_1"}
    one = found["both"]
    one.matches["positive_1"] = like("positive_1", "GATA1, simulated", "D")
    one.matches["positive_0"] = like("positive_0", "D")
    result = record(None, found, data)["found"]
    assert result == {"GATA1": None, "TAL1": None}
    assert verdict("GATA1", result["GATA1"]) == "GATA1's motif: not found."


def test_the_section_shows_patterns_matches_and_recall(found, data):
    motifs = record(None, found, data)
    section = motifs_section(motifs, found, data)
    assert set(motifs["versions"]) == {"modisco-lite", "memelite"}
    assert section.count('class="figure"') == 2 and section.count('class="table"') == 3
    assert "found, as positive_0 of task both (q = 1.0e-04" in section
    for pattern in motifs["tasks"]["both"]["patterns"]:
        assert pattern["consensus"] in section and f"{pattern['information_bits']:.1f} bits" in section


def test_places_on_instances_overlap_them_by_a_base(data):
    sequence, start = (int(data.instances[name][0]) for name in ("sequence", "start"))
    motif, width = int(data.instances["motif"][0]), len(MOTIFS[data.instances["motif"][0]])
    alone = data.part(sequence, sequence + 1)
    alone.instances.update({name: values[:1] for name, values in alone.instances.items()})
    places = np.array([start - 5, start - 4, start + width - 1, start + width])
    for place, expected in zip(places, (0, 1, 1, 0), strict=True):
        columns = {"locus": np.array([0]), "start": np.array([place]), "end": np.array([place + 5])}
        assert on_planted(columns, alone, motif) == expected
        assert on_planted(columns, alone, 1 - motif) == 0


# ---- contributions


def test_contributions_add_up_to_the_difference_of_logits_in_batches_of_any_size(data):
    model = PooledModel(len(TASKS), (4,), (11,), 4)
    params = model.init(jax.random.key(0), np.zeros((1, LENGTH, 4), np.float32))["params"]
    tokens = data.tokens[:7]
    references = dinucleotide_shuffle(tokens, 3, key=jax.random.key(1))
    three, seven = (
        hypothetical_scores(model, params, tokens, references, "TAL1", ml_collections.ConfigDict({"batch_size": size}))
        for size in (3, 7)
    )
    np.testing.assert_allclose(three, seven, atol=1e-6)
    logits, others = (
        model.apply({"params": params}, one_hot(jax.numpy.asarray(each)))[:, TASKS.index("TAL1")]
        for each in (tokens, references.reshape(-1, LENGTH))
    )
    total = np.take_along_axis(seven, tokens[..., None].astype(int), -1).sum(axis=(1, 2))
    np.testing.assert_allclose(total, logits - others.reshape(7, 3).mean(axis=1), atol=1e-5)


# ---- none


@pytest.mark.parametrize("task", TASKS)
def test_a_network_whose_contributions_are_all_zero_has_no_motifs_and_a_reason(data, task):
    model = PooledModel(len(TASKS), (4,), (11,), 4)
    params = jax.tree.map(np.zeros_like, model.init(jax.random.key(0), np.zeros((1, LENGTH, 4), np.float32))["params"])
    config = ml_collections.ConfigDict({"batch_size": 40, "num_references": 1})
    found = find_motifs(model, params, data, 0, (task,), config)
    motifs = record(None, found, data)
    assert "are zero" in motifs["tasks"][task]["why_none"] and motifs["found"] == dict.fromkeys(("GATA1", "TAL1"))
    recall = motifs["tasks"][task]["recall"]["GATA1"]
    assert recall["planted"] > 0 and (recall["calls"], recall["reached"], recall["reached_at_random"]) == (0, 0, 0)
    assert f"Task {task}: All contributions" in motifs_section(motifs, found, data)


def test_a_failure_of_modisco_is_a_reason(data, hypothetical, monkeypatch):
    def fails(*read, window):
        raise InputError("modisco-lite ended with status 1: too little")

    monkeypatch.setattr(tal_gata_motifs, "discover", fails)
    found = motifs_of(data.tokens, hypothetical, {"A": np.full((5, 4), 0.25)})
    assert found.why_none == "TF-MoDISco fails: modisco-lite ended with status 1: too little." and not found.patterns


def test_without_the_extra_the_page_says_what_to_install(data, monkeypatch):
    assert left_out(TASKS) is None
    assert "config.scores.motifs names no task" in left_out(())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    motifs = record(left_out(TASKS), {}, data)
    section = motifs_section(motifs, {}, data)
    assert re.search(r"pip install &#x27;fprior\[motifs\]&#x27;|pip install 'fprior\[motifs\]'", section)
