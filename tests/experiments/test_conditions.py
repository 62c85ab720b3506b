"""Conditions of a comparison: what each changes, which do not go together, and thresholds on what comes out."""

import math

import pytest

from experiments.compare_results import Row
from experiments.compare_training import changed
from experiments.conditions import QUESTIONS, WORDS, parse_conditions, swept_words
from experiments.config import check_config, default_config, with_changes
from experiments.models import model_config
from experiments.requirements import parse_requirements
from fprior.errors import InputError


def config_of(**fields):
    config = default_config()
    config.data.dataset = "ctcf_gm12878"
    return with_changes(config, {name.replace("__", "."): value for name, value in fields.items()})


WEIGHTS = {word: 0.125 for word in WORDS if WORDS[word].swept}


@pytest.mark.parametrize("word", WORDS)
def test_every_word_gives_a_config_that_can_be_trained(word):
    config = config_of()
    (condition,) = parse_conditions([word])
    one = changed(config, condition.overrides(config, WEIGHTS).items(), seed=3)
    check_config(one)
    assert one.seed == 3 and (one.prior.weight > 0) == WORDS[word].prior
    if word not in ("fourier",):
        assert one != with_changes(config, {"seed": 3})


def test_fourier_is_the_config_as_it_is():
    (condition,) = parse_conditions(["fourier"])
    assert condition.overrides(config_of(), {}) == {}


def test_words_act_together():
    (condition,) = parse_conditions(["fourier_taper+l2+dropout"])
    assert condition.overrides(config_of(), WEIGHTS) == {
        "prior.boundary": "taper",
        "train.l2": 0.125,
        "model.conv_dropout": 0.125,
        "model.dense_dropout": 0.125,
    }


@pytest.mark.parametrize("bases", (4, 5, 10))
def test_limit_follows_the_shortest_motif(bases):
    (condition,) = parse_conditions([f"fourier_{bases}bp"])
    changes = condition.overrides(config_of(data__input_length=600), {})
    assert changes["prior.freq_limit"] * bases == pytest.approx(600)


@pytest.mark.parametrize("question", QUESTIONS)
def test_conditions_of_a_question(question):
    conditions = parse_conditions(QUESTIONS[question].conditions)
    assert conditions[0].name == "none"  # what the others are compared with


def test_swept_words_in_their_order():
    assert swept_words(parse_conditions(["none", "l2", "smoothness", "fourier+l2"])) == ("l2", "smoothness")


@pytest.mark.parametrize(
    "names, part",
    [
        (["none", "furrier"], "furrier"),
        (["fourier+smoothness"], "two attribution priors"),
        (["none+l2"], "none and something"),
        (["l2+l2"], "twice"),
        (["fourier+l2", "l2+fourier"], "twice"),
        ([], "empty"),
        (["none", ""], "''"),
    ],
)
def test_conditions_that_are_refused(names, part):
    with pytest.raises(InputError, match="--conditions") as error:
        parse_conditions(names)
    assert part in str(error.value)


def test_dropout_needs_a_model_that_has_it():
    (condition,) = parse_conditions(["dropout"])
    profile = config_of()
    profile = with_changes(profile, {"model": model_config("profile")})
    with pytest.raises(InputError, match="dropout"):
        condition.overrides(profile, WEIGHTS)


def test_prior_without_a_weight():
    (condition,) = parse_conditions(["fourier"])
    with pytest.raises(InputError, match=r"config\.prior\.weight is 0"):
        condition.overrides(config_of(prior__weight=0.0), {})


def test_changed_config_shares_nothing():
    first = config_of(prior__weight="auto")
    second = with_changes(first, {"train.l2": 0.5, "prior.weight": 0.25})
    third = with_changes(second, {"train.l2": 0.75})
    assert (first.train.l2, second.train.l2, third.train.l2) == (0.0, 0.5, 0.75)
    assert (first.prior.weight, third.prior.weight) == ("auto", 0.25)


# ---- thresholds


def row(condition, mean, measure="auroc"):
    return Row("performance", measure, measure, 1, condition, (mean,), mean, math.nan, None, None)


ROWS = [row("none", 0.5), row("fourier", 0.75), row("none", math.nan, "jaccard"), row("fourier", math.nan, "jaccard")]


@pytest.mark.parametrize(
    "text, value, met",
    [
        ("auroc>=0.75", 0.75, True),
        ("auroc>0.75", 0.75, False),
        ("none:auroc<=0.5", 0.5, True),
        ("none:auroc<0.5", 0.5, False),
        ("fourier-none:auroc>=0.25", 0.25, True),
        ("none - fourier : auroc >= -0.2", -0.25, False),
        ("auroc>=7e-1", 0.75, True),
    ],
)
def test_thresholds(text, value, met):
    (one,) = parse_requirements(text, ["none", "fourier"])
    assert one.value(ROWS) == value and one.met_by(value) is met


def test_what_is_undefined_meets_no_threshold():
    for one in parse_requirements("jaccard>=0, jaccard<=0", ["none", "fourier"]):
        assert math.isnan(one.value(ROWS)) and not one.met_by(one.value(ROWS))


def test_no_threshold():
    assert parse_requirements(None, ["none"]) == parse_requirements("", ["none"]) == []


@pytest.mark.parametrize("text", ["auroc", "auroc>=", "auroc>=x", ">=0.5", "l2:auroc>=0.5", "fourier-l2:auroc>=0"])
def test_thresholds_that_are_refused(text):
    with pytest.raises(InputError, match="--require"):
        parse_requirements(text, ["none", "fourier"])


def test_threshold_on_an_unknown_measure():
    (one,) = parse_requirements("auruc>=0.5", ["none", "fourier"])
    with pytest.raises(InputError, match=r"auruc.*auroc, jaccard"):
        one.value(ROWS)
