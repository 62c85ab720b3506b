"""Scores of the TAL–GATA simulation: the methods that are compared, and what is measured of their scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fprior.attribution.deeplift import deeplift
from fprior.attribution.gradients import input_gradient
from fprior.attribution.guided import guided_backprop
from fprior.attribution.path import integrated_gradients
from fprior.data.simulation import BACKGROUND, KINDS, MOTIFS, TASKS, Motif, Simulation, match_strengths, top_matches
from fprior.sequence import one_hot
from fprior.shuffle import dinucleotide_shuffle

# RevealCancel on the fully connected layer, Rescale on the convolutions: what the paper advises for sequences.
MIXED_RULE = {"Dense_0": "reveal_cancel", "default": "rescale"}

GUIDED, RESCALE = "guided backprop × input", "DeepLIFT Rescale"
REVEAL_CANCEL, MIXED = "DeepLIFT RevealCancel", "DeepLIFT RevealCancel dense, Rescale conv"

# Method → function of f, x, reference and the steps of integration; in the order of the paper's figures.
METHODS: dict[str, Callable] = {
    GUIDED: lambda f, x, reference, steps: guided_backprop(f, x),
    "gradient × input": lambda f, x, reference, steps: input_gradient(lambda x: jnp.sum(f(x)), x),
    "integrated gradients": lambda f, x, reference, steps: integrated_gradients(f, x, reference, steps=steps),
    RESCALE: lambda f, x, reference, steps: deeplift(f, x, reference),
    REVEAL_CANCEL: lambda f, x, reference, steps: deeplift(f, x, reference, rule="reveal_cancel"),
    MIXED: lambda f, x, reference, steps: deeplift(f, x, reference, rule=MIXED_RULE),
}
DEEPLIFT = (RESCALE, REVEAL_CANCEL, MIXED)
COMPLETE = ("integrated gradients", *DEEPLIFT)  # whose scores are to add up to the difference from the reference

BOTH, GATA1_TASK, TAL1_TASK = range(len(TASKS))
OWN_TASK = (GATA1_TASK, TAL1_TASK)  # of each motif
OTHER_TASK = (TAL1_TASK, GATA1_TASK)

Scores = dict[str, np.ndarray]  # method → (N, tasks, L)


@dataclass(frozen=True, eq=False)
class Matches:
    """The strongest matches of one motif in N sequences: starts and strengths `(N, count)`, strongest first."""

    motif: int
    starts: np.ndarray
    strengths: np.ndarray

    @property
    def width(self) -> int:
        return len(MOTIFS[self.motif])

    def sums(self, scores: np.ndarray) -> np.ndarray:
        """Total score of each match, `(N, tasks, count)`, of scores `(N, tasks, L)`."""
        before = np.concatenate([np.zeros((*scores.shape[:2], 1)), np.cumsum(scores, axis=-1, dtype=np.float64)], -1)
        starts = np.broadcast_to(self.starts[:, None], (len(scores), scores.shape[1], self.starts.shape[1]))
        return np.take_along_axis(before, starts + self.width, -1) - np.take_along_axis(before, starts, -1)


def matches_of(tokens: np.ndarray, number: int, count: int) -> Matches:
    """The strongest matches of the motif of that number."""
    motif: Motif = MOTIFS[number]
    return Matches(number, *top_matches(match_strengths(tokens, motif.log_odds()), count, len(motif)))


# ---- scores


@partial(jax.jit, static_argnums=(0, 1, 2))
def _score_batch(
    model: nn.Module, method: str, steps: int, params: Any, tokens: jax.Array, reference: jax.Array, task: jax.Array
) -> jax.Array:
    """Scores of the bases `(B, L)` for one task's logit; `task` is one-hot, so that all tasks share one program."""

    def f(x: jax.Array) -> jax.Array:
        logits: Any = model.apply({"params": params}, x)
        return logits @ task

    return jnp.sum(METHODS[method](f, one_hot(tokens), reference, steps), axis=-1)


def score(
    model: nn.Module, params: Any, tokens: np.ndarray, references: np.ndarray, method: str, config: Any
) -> np.ndarray:
    """Scores `(N, tasks, L)` float32 of tokens `(N, L)`: contributions summed over the four channels of a base.

    references: `(4,)`, the same at every position, or tokens `(N, L)`, one sequence for each.
    """
    size, count = config.batch_size, len(tokens)
    padding = np.arange(-count % size) % count  # so that all batches have one shape
    rows = np.concatenate([np.arange(count), padding])
    batches = []
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        reference = jnp.asarray(references) if references.ndim == 1 else one_hot(jnp.asarray(references[part]))
        of_task = partial(_score_batch, model, method, config.integration_steps, params, tokens[part], reference)
        batches.append(np.stack([of_task(task) for task in np.eye(len(TASKS), dtype=np.float32)], axis=1))
    return np.concatenate(batches)[:count]


def score_all(model: nn.Module, params: Any, tokens: np.ndarray, config: Any) -> Scores:
    """Scores of every method, against the background's frequencies."""
    background = np.array(BACKGROUND, np.float32)
    bar = tqdm(METHODS, desc="methods", disable=None)
    return {method: score(model, params, tokens, background, method, config) for method in bar}


def score_shuffled(model: nn.Module, params: Any, tokens: np.ndarray, seed: int, config: Any) -> Scores:
    """Scores by RevealCancel on the dense layer and Rescale on the convolutions, against shuffles of each sequence.

    Averages over the first few and over all shuffles of the letters, as in the paper; and over all of as many shuffles
    that keep dinucleotides.
    """
    count = config.num_references
    repeated = np.repeat(tokens[:, None], count, axis=1)
    shuffles = {
        "shuffles": np.random.default_rng([seed, 1]).permuted(repeated, axis=2),
        "dinucleotide shuffles": dinucleotide_shuffle(tokens, count, key=jax.random.key(seed)),
    }
    results: Scores = {}
    with tqdm(total=2 * count, desc="shuffled references", disable=None) as bar:
        for name, references in shuffles.items():
            wanted = {1, count // 2, count} if name == "shuffles" else {count}
            total: Any = 0.0
            for i in range(count):
                total = total + score(model, params, tokens, references[:, i], MIXED, config)
                if i + 1 in wanted:
                    results[f"{i + 1} {name}" if i else f"1 {name[:-1]}"] = total / (i + 1)
                bar.update()
    return results


# ---- measures


def measure(
    data: Simulation, matches: list[Matches], scores: Scores, shuffled: Scores, strong: float, margin: int
) -> dict[str, Any]:
    """All numbers of the page, as JSON.

    margin: how far from an end of the sequence a base is seen by all positions of the last convolution.
    """
    everything = {**scores, **shuffled}
    result: dict[str, Any] = {"false_negatives": {}, "other_task": {}, "own_task": {}, "tiers": {}}
    for found in matches:
        name = MOTIFS[found.motif].name
        picked = {method: found.sums(values) for method, values in everything.items()}
        is_strong = found.strengths > strong
        result["false_negatives"][name] = _false_negatives(data, found, picked, is_strong, margin)
        has = (data.counts[:, found.motif] > 0)[:, None] & is_strong
        for key, task in (("own_task", OWN_TASK[found.motif]), ("other_task", OTHER_TASK[found.motif])):
            result[key][name] = {
                "task": TASKS[task],
                "methods": {method: _spread(sums[:, task][has]) for method, sums in picked.items()},
            }
        result["tiers"][name] = {m: _tiers(data, found.motif, sums, is_strong) for m, sums in picked.items()}
    return result


def _false_negatives(
    data: Simulation, found: Matches, picked: Scores, is_strong: np.ndarray, margin: int
) -> dict[str, Any]:
    """Strong matches in sequences with both motifs whose score for the task "both" is 0 or less."""
    length = data.tokens.shape[1]
    rows = is_strong & (data.kind == KINDS.index("both"))[:, None]
    inside = rows & (found.starts >= margin) & (found.starts + found.width <= length - margin)
    return {
        "strong": int(rows.sum()),
        "strong_inside": int(inside.sum()),
        "methods": {
            method: {
                "not_positive": int(np.sum(sums[:, BOTH][rows] <= 0)),
                "not_positive_inside": int(np.sum(sums[:, BOTH][inside] <= 0)),
                "mean": _mean(sums[:, BOTH][rows]),
            }
            for method, sums in picked.items()
        },
    }


def _tiers(data: Simulation, motif: int, sums: np.ndarray, is_strong: np.ndarray) -> list[dict[str, Any]]:
    """Mean score of strong matches for the task "both", by the number of instances and the other motif's presence."""
    rows = []
    for instances in (1, 2, 3):
        for partner in (True, False):
            which = (data.counts[:, motif] == instances) & ((data.counts[:, 1 - motif] > 0) == partner)
            values = sums[:, BOTH][is_strong & which[:, None]]
            rows.append({"instances": instances, "partner": partner, "matches": len(values), "mean": _mean(values)})
    return rows


def _spread(values: np.ndarray) -> dict[str, Any]:
    positive = float(np.mean(values > 0)) if len(values) else None
    return {"matches": len(values), "mean": _mean(values), "positive": positive}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def completeness(scores: Mapping[str, np.ndarray], logits: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """By how much scores miss the difference of logits `(N, T)` from the reference's `(T,)`, at most, by method."""
    change = logits - reference
    return {name: float(np.abs(scores[name].sum(-1, dtype=np.float64) - change).max()) for name in COMPLETE}


# ---- claims


def claims(result: dict[str, Any], all_shuffles: str) -> list[dict[str, Any]]:
    """What the paper says of this simulation, what is found here, and whether that bears it out (None: no matches)."""
    return [
        *(_unspecific(result, motif.name) for motif in reversed(MOTIFS)),
        *(_leaves_none(result, motif.name) for motif in reversed(MOTIFS)),
        _has_tiers(result),
        _favours_partner(result),
        _shuffles_raise(result, all_shuffles),
    ]


def _claim(text: str, found: str, holds: Callable[[], bool | None]) -> dict[str, Any]:
    """A comparison with the mean of no matches, None, is not decided."""
    try:
        return {"claim": text, "found": found, "holds": holds()}
    except TypeError:
        return {"claim": text, "found": found, "holds": None}


def _unspecific(result: dict[str, Any], motif: str) -> dict[str, Any]:
    other, own = result["other_task"][motif], result["own_task"][motif]["methods"]
    values = other["methods"]

    def text(method: str) -> str:
        value, share = values[method], values[method]["positive"]
        positive = "no matches" if share is None else f"{100 * share:.0f} % positive"
        return f"{method}: mean {number(value['mean'])} ({number(own[method]['mean'])} on its own task), {positive}"

    return _claim(
        f"Guided backprop gives {motif} motifs positive scores on the task {other['task']}; DeepLIFT does not.",
        "; ".join(map(text, (GUIDED, *DEEPLIFT))),
        lambda: values[GUIDED]["mean"] > 0 and all(values[method]["mean"] <= 0 for method in DEEPLIFT),
    )


def _leaves_none(result: dict[str, Any], motif: str) -> dict[str, Any]:
    negatives = result["false_negatives"][motif]
    values, strong = negatives["methods"], negatives["strong"]

    def text(method: str) -> str:
        value = values[method]
        return f"{method}: {value['not_positive']}, of which {value['not_positive_inside']} away from the ends"

    return _claim(
        f"RevealCancel on the dense layer leaves no strong match to {motif} at or below zero on the task both where"
        " both motifs are; Rescale does.",
        f"of {strong} matches ({negatives['strong_inside']} away from the ends), "
        + "; ".join(map(text, (RESCALE, REVEAL_CANCEL, MIXED, GUIDED))),
        lambda: values[MIXED]["not_positive"] == 0 < values[RESCALE]["not_positive"] if strong else None,
    )


def _tier(result: dict[str, Any], method: str, partner: bool) -> list[Any]:
    return [row["mean"] for row in result["tiers"]["TAL1"][method] if row["partner"] == partner]


def _has_tiers(result: dict[str, Any]) -> dict[str, Any]:
    methods = COMPLETE
    tiers = {method: _tier(result, method, True) for method in methods}
    return _claim(
        "The more TAL1 motifs a sequence with GATA1's has, the less importance integrated gradients and DeepLIFT give"
        " to each, on the task both.",
        "; ".join(f"{m}: {', '.join(map(number, means))} with 1, 2, 3" for m, means in tiers.items()),
        lambda: all(means[0] > means[1] > means[2] for means in tiers.values()),
    )


def _favours_partner(result: dict[str, Any]) -> dict[str, Any]:
    pairs = {method: (_tier(result, method, True), _tier(result, method, False)) for method in COMPLETE}
    return _claim(
        "With as many TAL1 motifs, each gets more importance on the task both where GATA1's is there too.",
        "; ".join(
            f"{m}: {', '.join(f'{number(a)} against {number(b)}' for a, b in zip(*means, strict=True))}"
            for m, means in pairs.items()
        ),
        lambda: all(a > b for means in pairs.values() for a, b in zip(*means, strict=True)),
    )


def _shuffles_raise(result: dict[str, Any], all_shuffles: str) -> dict[str, Any]:
    means = {
        motif: [own["methods"][name]["mean"] for name in (MIXED, all_shuffles)]
        for motif, own in result["own_task"].items()
    }
    return _claim(
        "Shuffled sequences as references give higher scores than the frequencies of the letters.",
        "; ".join(
            f"{motif}: mean {number(b)} with {all_shuffles}, {number(a)} with frequencies"
            for motif, (a, b) in means.items()
        ),
        lambda: all(b > a for a, b in means.values()),
    )


def number(value: float | None) -> str:
    """Two decimals, or a dash for what there is none of."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")
