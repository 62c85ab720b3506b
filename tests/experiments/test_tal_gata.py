"""The TAL–GATA experiment end to end, tiny; its measures on scores made by hand; and what it refuses."""

import json
import re

import jax
import ml_collections
import numpy as np
import pytest
import tiny

from configs import tal_gata as config_file
from experiments import tal_gata
from experiments.tal_gata_scores import COMPLETE, METHODS, MIXED, RESCALE, Matches, matches_of, measure
from fprior.data.simulation import KINDS, MOTIFS, TASKS, simulate
from fprior.errors import InputError
from fprior.models.pooled import PooledModel

TINY = (
    *("--config.data.sequences=80", "--config.data.length=100", "--config.data.fractions=(0.6,0.2,0.2)"),
    *("--config.model.filters=(4,)", "--config.model.widths=(11,)", "--config.model.dense_size=4"),
    *("--config.train.epochs=1", "--config.train.batch_size=16"),
    *("--config.scores.matches=3", "--config.scores.num_references=2", "--config.scores.batch_size=8"),
    "--config.scores.motifs=()",
)


def run(*arguments):
    return tiny.finish(tiny.start("tal_gata", f"--config={config_file.__file__}", *arguments))


def test_end_to_end(tmp_path):
    workdir = tmp_path / "runs" / "one"
    outcome = run(f"--workdir={workdir}", *TINY)
    assert outcome.status == 0, outcome.err
    assert {path.name for path in workdir.iterdir()} == {"tal_gata.json", "tal_gata.html"}
    result = json.loads((workdir / "tal_gata.json").read_text())
    assert result["config"]["data"]["sequences"] == 80 and result["overrides"]
    assert set(result["test"]["auroc"]) == set(TASKS)
    assert result["sequences"]["test"] == dict.fromkeys(KINDS, 4)
    methods = {*METHODS, "1 shuffle", "2 shuffles", "2 dinucleotide shuffles"}
    for motif in MOTIFS:
        assert set(result["false_negatives"][motif.name]["methods"]) == methods
        assert set(result["tiers"][motif.name]) == methods
    assert len(result["claims"]) == 7
    assert result["motifs"]["left_out"] in outcome.out and result["motifs"]["tasks"] == {}
    for method in COMPLETE[1:]:  # not integrated gradients, whose sum over few steps is not exact
        assert result["completeness_error"][method] < 1e-5
    page = (workdir / "tal_gata.html").read_text()
    assert all(method in page for method in methods) and result["motifs"]["left_out"] in page
    assert page.count('class="figure"') >= 5
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_directory_that_exists_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(tal_gata, "read_config", config_file.get_config)
    (tmp_path / "tal_gata.json").write_text("finished")
    with pytest.raises(InputError, match="exists already"):
        tal_gata.main(str(tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["finished"]
    with pytest.raises(InputError, match="--workdir is missing"):
        tal_gata.main(None)


def config_with(**fields) -> ml_collections.ConfigDict:
    config = config_file.get_config()
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


def test_the_config_passes_and_its_head_says_what_to_expect():
    tal_gata.check_config(config_file.get_config())
    assert "python -m experiments.tal_gata --config=configs/tal_gata.py --workdir=runs/tal_gata" in config_file.__doc__
    assert "Time: " in config_file.__doc__ and "Expected: " in config_file.__doc__


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data__length": 100}, r"config\.data\.length \(=100\) must be at least 137"),
        ({"data__fractions": (0.5, 0.5, 0.5)}, r"config\.data\.fractions"),
        ({"model__filters": (50,)}, r"config\.model\.widths"),
        ({"model__dropout": 1.0}, r"config\.model\.dropout"),
        ({"train__batch_size": 6401}, r"config\.train\.batch_size"),
        ({"scores__num_references": 0}, r"config\.scores\.num_references"),
        ({"scores__motifs": ("both", "SPI1")}, r"config\.scores\.motifs .* some of both, GATA1, TAL1"),
        ({"scores__motifs": ("both", "both")}, r"config\.scores\.motifs .* each once"),
    ],
)
def test_wrong_values_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        tal_gata.check_config(config_with(**fields))


def test_the_config_of_another_experiment_is_refused():
    config = config_file.get_config()
    with config.unlocked():
        config.prior = ml_collections.ConfigDict({"weight": 1.0})
    with pytest.raises(InputError, match=r"config\.prior\.weight is unknown"):
        tal_gata.check_config(config)


def test_too_few_sequences_for_the_splits_are_refused():
    with pytest.raises(InputError, match=r"config\.data\.sequences \(=20\)"):
        tal_gata.splits(simulate(20, 100, seed=0), (0.8, 0.1, 0.1))


def test_the_model_averages_over_all_positions():
    """Of a sequence twice as long with the same content everywhere, the logits are the same."""
    model = PooledModel(3, (4, 4), (3, 2), 5)
    x = np.tile(np.eye(4, dtype=np.float32)[:1], (2, 12, 1))
    params = model.init(jax.random.key(0), x)
    assert model.apply(params, x).shape == (2, 3)
    np.testing.assert_allclose(model.apply(params, x), model.apply(params, x[:, :6]), atol=1e-6)
    assert model.apply(params, x[:, : model.shortest_input()]).shape == (2, 3)
    with pytest.raises(ValueError, match="at least 4"):
        model.apply(params, x[:, :3])


def test_sums_are_those_of_the_bases_of_a_match():
    matches = Matches(0, np.array([[2, 15], [0, 14]]), np.zeros((2, 2)))
    scores = np.random.default_rng(0).normal(size=(2, 3, 25)).astype(np.float32)
    expected = [[[scores[n, t, s : s + 10].sum() for s in matches.starts[n]] for t in range(3)] for n in range(2)]
    np.testing.assert_allclose(matches.sums(scores), expected, atol=1e-5)


def test_measures_of_scores_made_by_hand():
    """A method that gives every base 1, and one that gives −1 to the sequences with both motifs."""
    data = simulate(200, 200, seed=1)
    matches = [matches_of(data.tokens, number, 5) for number in range(2)]
    scores = {method: np.ones((200, 3, 200), np.float32) for method in METHODS}
    scores[RESCALE] = np.where((data.kind == KINDS.index("both"))[:, None, None], -scores[RESCALE], scores[RESCALE])
    shuffled = {"2 shuffles": 2 * scores[MIXED]}
    result = measure(data, matches, scores, shuffled, 7.0, 20)
    for motif in MOTIFS:
        negatives = result["false_negatives"][motif.name]
        counts = {method: value["not_positive"] for method, value in negatives["methods"].items()}
        assert negatives["strong"] > negatives["strong_inside"] > 0
        assert counts == {**dict.fromkeys((*METHODS, *shuffled), 0), RESCALE: negatives["strong"]}
        assert negatives["methods"][RESCALE]["not_positive_inside"] == negatives["strong_inside"]
        assert negatives["methods"][MIXED]["mean"] == len(motif)
        other = result["other_task"][motif.name]
        assert other["task"] == {"GATA1": "TAL1", "TAL1": "GATA1"}[motif.name]
        assert other["methods"][MIXED]["positive"] == 1
        assert 0 < other["methods"][RESCALE]["positive"] < 1
    held = {claim["claim"]: claim["holds"] for claim in tal_gata.claims(result, "2 shuffles")}
    assert [held[claim] for claim in held if "leaves no strong match" in claim] == [True, True]
    assert [held[claim] for claim in held if "Guided backprop" in claim] == [False, False]
    assert [held[claim] for claim in held if "higher scores" in claim] == [True]
