"""The conditions of `experiments.compare`, as changes of one config, and the questions that they answer.

A condition is one word, or several joined by `+` that act together: `none`, `fourier`, `l2`, `fourier+l2`. At most one
of the words is an attribution prior; without any the model is trained without one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ml_collections import ConfigDict

from fprior.errors import InputError

Overrides = dict[str, object]  # field → value, such as {"prior.weight": 0.0}
NO_PRIOR: Overrides = {"prior.weight": 0.0}


@dataclass(frozen=True)
class Word:
    """What one word of a condition does.

    Attributes:
      title: what it is called in tables.
      changes: of the config.
      prior: whether it is an attribution prior, of which a condition has one at most.
      swept: the fields that share a weight which is chosen on validation data; empty where there is none.
      shortest_motif: in bases, whose frequency becomes the prior's limit; 0 leaves the config's.
    """

    title: str
    changes: Mapping[str, object] = field(default_factory=dict)
    prior: bool = False
    swept: tuple[str, ...] = ()
    shortest_motif: int = 0


def _fourier(title: str, **changes: object) -> Word:
    return Word(title, {f"prior.{name}": value for name, value in changes.items()}, prior=True)


# A word without a change of the prior's name takes the config's own prior, whatever its settings.
WORDS: dict[str, Word] = {
    "none": Word("no prior"),
    "fourier": _fourier("Fourier prior"),
    "smoothness": Word("smoothness prior", {"prior.name": "smoothness"}, prior=True, swept=("prior.weight",)),
    "sparsity": Word("sparsity prior", {"prior.name": "sparsity"}, prior=True, swept=("prior.weight",)),
    "l1": Word("L1", swept=("train.l1",)),
    "l2": Word("L2", swept=("train.l2",)),
    "dropout": Word("dropout", swept=("model.conv_dropout", "model.dense_dropout")),
    "fourier_all": _fourier("Fourier prior on all examples", examples="all"),
    "fourier_unsmoothed": _fourier("Fourier prior, track not smoothed", smooth_sigma=0.0),
    "fourier_reflect": _fourier("Fourier prior, track reflected", boundary="reflect"),
    "fourier_taper": _fourier("Fourier prior, track tapered", boundary="taper"),
    "fourier_cosine": _fourier("Fourier prior, cosine transform", boundary="cosine"),
    "fourier_hard_cut": _fourier("Fourier prior, hard cut", hard_cut=True),
    "fourier_integrated_gradients": _fourier(
        "Fourier prior on integrated gradients", attribution="integrated_gradients"
    ),
    "fourier_deeplift": _fourier("Fourier prior on DeepLIFT", attribution="deeplift"),
}
SHORT_MOTIFS = (4, 5, 10)  # bases; words fourier_4bp …, beside the config's own limit
WORDS |= {
    f"fourier_{bases}bp": Word(f"Fourier prior for motifs from {bases} bp", prior=True, shortest_motif=bases)
    for bases in SHORT_MOTIFS
}


@dataclass(frozen=True)
class Question:
    """Conditions that answer one question, and what the page says about it."""

    title: str
    conditions: tuple[str, ...]
    text: str


QUESTIONS: dict[str, Question] = {
    "prior": Question(
        "Does the prior help?",
        ("none", "fourier", "smoothness", "sparsity", "l2", "fourier+l2"),
        "Models that differ in the prior or the regulariser alone.",
    ),
    "regularisers": Question(
        "Would another regulariser do?",
        ("none", "fourier", "l1", "l2", "dropout", "fourier+l1", "fourier+l2", "fourier+dropout"),
        "Regularisers of the parameters alone, and together with the prior.",
    ),
    "examples": Question(
        "On which examples is the prior put?",
        ("none", "fourier", "fourier_all"),
        "The paper puts it on positives, since negatives have no motif that a smooth attribution could show.",
    ),
    "smoothing": Question(
        "Does the track have to be smoothed first?",
        ("none", "fourier", "fourier_unsmoothed"),
        "Smoothing hides from the prior what single bases do; without it, it also asks single bases to be alike.",
    ),
    "boundary": Question(
        "Do the ends of the window matter?",
        ("none", "fourier", "fourier_reflect", "fourier_taper", "fourier_cosine"),
        "The transform is periodic, so that the two ends of a window are neighbours. Look at the share of importance at"
        " the ends.",
    ),
    "short_motifs": Question(
        "What if motifs are shorter, or longer?",
        ("none", "fourier", *(f"fourier_{bases}bp" for bases in SHORT_MOTIFS)),
        "The highest frequency that is left alone is the input's length over the shortest motif's.",
    ),
    "attribution": Question(
        "Which attribution belongs inside the prior?",
        ("none", "fourier", "fourier_integrated_gradients", "fourier_deeplift"),
        "Each model is measured by input gradients and by DeepSHAP, whatever its prior looked at.",
    ),
    "negative_scores": Question(
        "Does the prior hide negative scores inside motifs?",
        ("none", "fourier"),
        "The prior sees absolute values. Look at the negative share of the importance inside matches and regions.",
    ),
}


@dataclass(frozen=True)
class Condition:
    """A condition with all its words looked up."""

    name: str
    words: tuple[str, ...]

    @property
    def title(self) -> str:
        return " + ".join(WORDS[word].title for word in self.words)

    def overrides(self, config: ConfigDict, weights: Mapping[str, float]) -> Overrides:
        """The fields that differ from the config; `weights` has that of every swept word.

        Raises:
          InputError: the config has no such field, or the prior that is asked for has no weight.
        """
        changes: Overrides = {}
        if not any(WORDS[word].prior for word in self.words):
            changes |= NO_PRIOR
        for word in self.words:
            changes |= WORDS[word].changes
            changes |= {name: weights[word] for name in _fields(config, word)}
            if WORDS[word].shortest_motif:
                changes["prior.freq_limit"] = config.data.input_length / WORDS[word].shortest_motif
        prior = next((word for word in self.words if WORDS[word].prior), None)
        if prior and changes.get("prior.weight", config.prior.weight) == 0:
            raise InputError(
                f"--conditions: {self.name} trains with the config's own prior, but config.prior.weight is 0; set it"
            )
        return changes


def _fields(config: ConfigDict, word: str) -> tuple[str, ...]:
    """The swept fields of the word that the config has: not every model has dropout after its convolutions."""
    known = tuple(name for name in WORDS[word].swept if name.split(".")[1] in config[name.split(".")[0]])
    if WORDS[word].swept and not known:
        raise InputError(
            f"--conditions: {word} needs config.{' or config.'.join(WORDS[word].swept)}, which"
            f" config.model.name (={config.model.name!r}) does not have; leave it out"
        )
    return known


def parse_conditions(names: Iterable[str]) -> tuple[Condition, ...]:
    """The conditions of these names.

    Raises:
      InputError: a word is unknown, a condition is given twice or has two priors.
    """
    conditions = tuple(Condition(name, tuple(name.split("+"))) for name in names)
    for condition in conditions:
        for word in condition.words:
            if word not in WORDS:
                raise InputError(f"--conditions: {condition.name!r}: {word!r} is none of {', '.join(WORDS)}")
        if len(set(condition.words)) < len(condition.words) or ("none" in condition.words and len(condition.words) > 1):
            raise InputError(f"--conditions: {condition.name!r} says one thing twice, or none and something")
        if sum(WORDS[word].prior for word in condition.words) > 1:
            raise InputError(
                f"--conditions: {condition.name!r} has two attribution priors; one model is trained with one"
            )
    keys = [frozenset(condition.words) for condition in conditions]
    if len(set(keys)) < len(keys):
        raise InputError(f"--conditions={','.join(c.name for c in conditions)}: a condition is given twice")
    if not conditions:
        raise InputError("--conditions is empty; name conditions such as none,fourier")
    return conditions


def swept_words(conditions: Iterable[Condition]) -> tuple[str, ...]:
    """The words whose weight has to be chosen, in the order in which they come."""
    return tuple(dict.fromkeys(word for c in conditions for word in c.words if WORDS[word].swept))
