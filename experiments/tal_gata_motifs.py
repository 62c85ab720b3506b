"""Motifs of the TAL–GATA simulation: what TF-MoDISco makes of contributions whose motifs are known."""

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from tqdm import tqdm

from experiments.motifs_results import consensus
from experiments.motifs_sources import version_of
from experiments.tal_gata_scores import MIXED_RULE
from fprior.attribution.deepshap import deepshap
from fprior.data.motif_scan import read_all_motifs
from fprior.data.simulation import MOTIFS, TASKS, Simulation
from fprior.errors import InputError
from fprior.motifs.discovery import discover, why_none
from fprior.motifs.instances import call_instances, recall_curve
from fprior.motifs.matching import Match, match
from fprior.motifs.patterns import Pattern
from fprior.sequence import one_hot
from fprior.shuffle import dinucleotide_shuffle

KNOWN = "jaspar2026_core_vertebrates"  # which a pattern is compared with, besides the motifs that were put there
Q_VALUE = 0.05  # at most, of a match
TOP = 3  # matches that are kept
DRAWS = 10  # of random places, over which the baseline is averaged
TOOLS = {"modiscolite": "modisco-lite", "memelite": "memelite"}  # module → package

Calls = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class TaskMotifs:
    """What TF-MoDISco finds in the contributions to one task's logit.

    Attributes:
      patterns: positive ones first.
      why_none: the likely reason where there is none; None where there are some.
      matches: pattern → all known motifs and those of the simulation, best first.
      calls: pattern → its instances, as `fprior.motifs.instances.call_instances` returns them.
    """

    patterns: Sequence[Pattern]
    why_none: str | None
    matches: Mapping[str, Sequence[Match]]
    calls: Mapping[str, Calls]

    def positive_calls(self) -> Calls:
        """The instances of positive patterns, one after another."""
        parts = [self.calls[one.name] for one in self.patterns if one.sign > 0]
        names = ("locus", "start", "end", "importance")
        return {name: np.concatenate([part[name] for part in parts] or [np.empty(0, np.int64)]) for name in names}


def left_out(tasks: Sequence[str]) -> str | None:
    """Why no motifs are looked for, as a sentence; None if they are."""
    if not tasks:
        return "No motifs were looked for: config.scores.motifs names no task."
    if any(importlib.util.find_spec(tool) is None for tool in TOOLS):
        return "Motifs need modisco-lite and memelite; run: pip install 'fprior[motifs]', and then this command again."
    return None


def find_motifs(
    model: nn.Module, params: Any, data: Simulation, seed: int, tasks: Sequence[str], config: Any
) -> dict[str, TaskMotifs]:
    """Task → its motifs, in these sequences.

    Contributions are DeepSHAP's, with RevealCancel on the dense layer and Rescale on the convolutions, against
    `config.num_references` shuffles of each sequence that keep dinucleotides. Patterns are compared with JASPAR's
    motifs and with the two that were put there.
    """
    references = dinucleotide_shuffle(data.tokens, config.num_references, key=jax.random.key(seed))
    known = read_all_motifs(KNOWN) | {simulated(motif.name): motif.smoothed() for motif in MOTIFS}
    return {
        task: motifs_of(data.tokens, hypothetical_scores(model, params, data.tokens, references, task, config), known)
        for task in tasks
    }


def simulated(motif: str) -> str:
    """The name of a motif of the simulation among known ones."""
    return f"{motif}, simulated"


def motifs_of(tokens: np.ndarray, hypothetical: np.ndarray, known: Mapping[str, np.ndarray]) -> TaskMotifs:
    """The motifs in hypothetical contributions `(N, L, 4)`, compared with all that are known."""
    length = tokens.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        read = tokens, hypothetical, Path(folder) / "patterns.h5"
        window = length - length % 2
        try:
            patterns = discover(*read, window=window)
            reason = None if patterns else why_none(*read, window=window)
        except InputError as error:  # of a network that learnt nothing; all else that was computed is worth having
            patterns, reason = [], f"TF-MoDISco fails: {error}."
    matches = match(patterns, known, top=len(known))
    return TaskMotifs(
        patterns, reason, matches, {one.name: call_instances(one, hypothetical, tokens) for one in patterns}
    )


@partial(jax.jit, static_argnums=0)
def _hypothetical_batch(
    model: nn.Module, params: Any, tokens: jax.Array, references: jax.Array, task: jax.Array
) -> jax.Array:
    """Hypothetical contributions `(B, L, 4)` to one task's logit; `task` is one-hot, so that all share one program."""

    def f(x: jax.Array) -> jax.Array:
        logits: Any = model.apply({"params": params}, x)
        return logits @ task

    return deepshap(f, one_hot(tokens), references=one_hot(references), rule=MIXED_RULE)


def hypothetical_scores(
    model: nn.Module, params: Any, tokens: np.ndarray, references: np.ndarray, task: str, config: Any
) -> np.ndarray:
    """Hypothetical contributions `(N, L, 4)` to the task's logit, of tokens `(N, L)` and references `(N, G, L)`."""
    weights = np.eye(len(TASKS), dtype=np.float32)[TASKS.index(task)]
    size, count = config.batch_size, len(tokens)
    batches = []
    for first in tqdm(range(0, count, size), desc=f"DeepSHAP, task {task}", disable=None):
        rows = np.arange(first, first + size) % count  # so that all batches have one shape
        batches.append(np.asarray(_hypothetical_batch(model, params, tokens[rows], references[rows], weights)))
    return np.concatenate(batches)[:count]


# ---- held against what was put there


def planted(data: Simulation, motif: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sequence, start and end `(R,)` of the motif's instances."""
    of = {name: values[data.instances["motif"] == motif] for name, values in data.instances.items()}
    return of["sequence"], of["start"].astype(np.int64), of["start"].astype(np.int64) + len(MOTIFS[motif])


def at_random(calls: Calls, length: int, number: int) -> Calls:
    """The calls with their widths and ranks at random places of their sequences; the `number` keys the draw."""
    widths = calls["end"] - calls["start"]
    start = np.random.default_rng(number).integers(0, length - widths + 1)
    return {**calls, "start": start, "end": start + widths}


def recall(calls: Calls, data: Simulation, motif: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calls 1 … K, the motif's instances that so many reach, and as many at random places, the mean of some draws."""
    regions, length = planted(data, motif), data.tokens.shape[1]
    number, reached = recall_curve(calls, regions)
    random = [recall_curve(at_random(calls, length, draw), regions)[1] for draw in range(DRAWS)]
    return number, reached, np.mean(random, axis=0)


def on_planted(places: Mapping[str, np.ndarray], data: Simulation, motif: int) -> int:
    """How many of the places overlap an instance of the motif."""
    sequence, start, end = planted(data, motif)
    covered = np.zeros(data.tokens.shape, bool)
    for row, first, last in zip(sequence, start, end, strict=True):
        covered[row, first:last] = True
    before = np.pad(np.cumsum(covered, axis=1), ((0, 0), (1, 0)))
    return int(np.sum(before[places["locus"], places["end"]] > before[places["locus"], places["start"]]))


def record(reason: str | None, found: Mapping[str, TaskMotifs], data: Simulation) -> dict[str, Any]:
    """All of it as JSON: why motifs were left out, then by task, and where each motif of the simulation was found."""
    tasks = {
        task: {
            "why_none": one.why_none,
            "patterns": [_pattern(one, pattern, data) for pattern in one.patterns],
            "recall": {motif.name: _recall(one, data, number) for number, motif in enumerate(MOTIFS)},
        }
        for task, one in found.items()
    }
    return {
        "left_out": reason,
        "versions": {} if reason else {tool: version_of(tool) for tool in TOOLS.values()},
        "found": {motif.name: best(tasks, motif.name) for motif in MOTIFS},
        "tasks": tasks,
    }


def best(tasks: Mapping[str, Any], motif: str) -> dict[str, Any] | None:
    """The positive pattern most like a motif of the simulation; None where none is like it by `Q_VALUE`.

    That most of its seqlets lie on instances of that motif is part of it, since a small q can come from positions that
    say little.
    """
    candidates = [
        {
            "task": task,
            "pattern": one["name"],
            "q_value": match["q_value"],
            "information_bits": one["information_bits"],
            "seqlets": one["seqlets"],
            "seqlets_on": one["seqlets_on"][motif],
        }
        for task, of_task in tasks.items()
        for one in of_task["patterns"]
        for match in one["matches"]
        if one["name"].startswith("positive") and match["motif"] == simulated(motif)
    ]
    like = [one for one in candidates if one["q_value"] <= Q_VALUE and one["seqlets_on"] > one["seqlets"] / 2]
    return min(like, key=lambda one: one["q_value"], default=None)


def _pattern(found: TaskMotifs, pattern: Pattern, data: Simulation) -> dict[str, Any]:
    trimmed = pattern.trimmed()
    matches = found.matches[pattern.name]
    names = [simulated(motif.name) for motif in MOTIFS]
    kept = [one for place, one in enumerate(matches) if place < TOP or one.motif in names]
    seqlets = {name: getattr(pattern, name) for name in ("locus", "start", "end")}
    calls = found.calls[pattern.name]
    return {
        "name": pattern.name,
        "seqlets": len(pattern.locus),
        "width": trimmed.stop - trimmed.start,
        "information_bits": float(pattern.information_content[trimmed].sum()),
        "consensus": consensus(pattern),
        "contributions": pattern.contributions[trimmed].tolist(),
        "probabilities": pattern.probabilities[trimmed].tolist(),
        "matches": [
            {name: getattr(one, name) for name in ("motif", "p_value", "q_value", "overlap", "offset", "strand")}
            for one in kept
        ],
        "seqlets_on": {motif.name: on_planted(seqlets, data, number) for number, motif in enumerate(MOTIFS)},
        "instances": len(calls["locus"]),
        "instances_on": {motif.name: on_planted(calls, data, number) for number, motif in enumerate(MOTIFS)},
    }


def _recall(found: TaskMotifs, data: Simulation, motif: int) -> dict[str, Any]:
    calls = found.positive_calls()
    number, reached, random = recall(calls, data, motif)
    return {
        "planted": len(planted(data, motif)[0]),
        "calls": len(number),
        "calls_on": on_planted(calls, data, motif),
        "reached": int(reached[-1]) if len(number) else 0,
        "reached_at_random": float(random[-1]) if len(number) else 0.0,
    }
