"""The numbers of a comparison's motifs: of every model, between models, and of every known motif."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import combinations

import numpy as np

from experiments.compare_results import FoundPattern, ModelMotifs, Reached
from fprior.files import csv_text
from fprior.motifs.instances import contribution_match

NONE = float("nan")
COLUMNS = "motif condition models found best_q bits median_seqlets median_instances q_of_scan".split()

Motifs = Mapping[str, Sequence[ModelMotifs]]  # condition → its models, in the order of the seeds


# ---- one model


def motif_counts(model: ModelMotifs, q_value: float) -> dict[str, float]:
    """What was found in a model, by name of the measure; undefined where the search failed."""
    patterns = model.patterns
    known = sum(_best(one) <= q_value for one in patterns)
    counts = {
        "positive_patterns": float(len(patterns)),
        "known_share": known / len(patterns) if patterns else NONE,
        "instances": float(sum(one.instances for one in patterns)),
    }
    return dict.fromkeys(counts, NONE) if model.failed else counts


def reached_share(one: Reached) -> float:
    """Share of the regions at the loci that all calls together reach."""
    return float(one.reached[-1] / one.regions) if len(one.reached) else 0.0


def recall_area(one: Reached) -> float:
    """Area under the curve of regions reached, up to as many calls as there are regions.

        1/R Σ_{k=1..R} r(k)/R

    r(k) of the R regions at the loci overlap one of the k most important calls; a model with fewer calls reaches no
    more with those it lacks. R belongs to the loci and not to the models, so that a model's value does not depend on
    which others it is compared with, and calling everywhere does not help: ½ (1 + 1/R) where every call reaches one
    more region; 0 without calls.

    Source: the curve of Tseng et al. 2020, figure 3B.
    """
    return float(extended(one.reached, np.arange(1, one.regions + 1)).mean() / one.regions)


def extended(reached: np.ndarray, calls: np.ndarray) -> np.ndarray:
    """The curve `(K,)` at these numbers of calls, which stays at its end where there are fewer; zero without calls."""
    return np.concatenate([[0], reached])[np.minimum(calls, len(reached))]


# ---- between models


def set_similarity(models: Sequence[ModelMotifs]) -> float:
    """How alike the sets of positive patterns of models are: the mean of `similarity` over all pairs of them.

    NaN with fewer than two whose search did not fail, or where no pair has a pattern.
    """
    pairs = [similarity(a.patterns, b.patterns) for a, b in combinations([m for m in models if not m.failed], 2)]
    known = [value for value in pairs if not math.isnan(value)]
    return float(np.mean(known)) if known else NONE


def similarity(a: Sequence[FoundPattern], b: Sequence[FoundPattern]) -> float:
    """How alike two models' sets of positive patterns are.

        ½ [ Σ_i n_i max_j J(a_i, b_j) / Σ_i n_i  +  Σ_j n_j max_i J(a_i, b_j) / Σ_j n_j ]

    n: seqlets, so that a pattern counts as much as it is used; J: `matrix_similarity`. It needs neither known motifs,
    which would leave out patterns that resemble none, nor p-values, which with so few patterns depend on which they
    are and are small between stretches without information too. The matrices are whole: where they would be trimmed
    hangs on single positions.

    Returns:
      From 0 to 1, where every pattern of one is a pattern of the other; 0 if only one has patterns, NaN if none has.
    """
    if not a or not b:
        return 0.0 if a or b else NONE
    alike = np.array([[matrix_similarity(one.contributions, other.contributions) for other in b] for one in a])
    means = [
        np.average(alike.max(axis=axis), weights=[one.seqlets for one in patterns])
        for axis, patterns in ((1, a), (0, b))
    ]
    return float(np.mean(means))


def matrix_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Continuous Jaccard similarity of two contribution-weight matrices, `(W, 4)` and `(V, 4)`, at the best alignment.

        J = Σ sign(p q) min(|p|, |q|) / Σ max(|p|, |q|),   p = a / Σ|a|, q = b / Σ|b|,

    summed over the positions of either, those beyond the end of one against zero; the largest over all offsets and
    both strands, and at least 0. 0 where a matrix is all zero.
    """
    return max(_aligned(a, b), _aligned(a, b[::-1, ::-1]), 0.0)


def reads_alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether `b` resembles `a` as it reads, and not better on its opposite strand."""
    return _aligned(a, b) >= _aligned(a, b[::-1, ::-1])


def _aligned(a: np.ndarray, b: np.ndarray) -> float:
    """The largest `contribution_match` over all offsets at which the matrices overlap."""
    canvas = np.pad(a, ((len(b) - 1, len(b) - 1), (0, 0)))
    room = len(canvas) - len(b)
    shifted = np.stack([np.pad(b, ((offset, room - offset), (0, 0))) for offset in range(room + 1)])
    return float(contribution_match(shifted, canvas).max())


# ---- known motifs


@dataclass(frozen=True)
class Known:
    """A known motif in the models of one condition.

    Attributes:
      motif, condition: their names.
      models: how many of the condition's were searched; found: in how many of them.
      best_q, bits: of the pattern most like it, and its information; NaN where it was not found.
      seqlets, instances: of all patterns like it, medians over the models that found it; NaN likewise.
      scan: q of its enrichment by the plain scan; NaN where there are no negatives.
    """

    motif: str
    condition: str
    models: int
    found: int
    best_q: float
    bits: float
    seqlets: float
    instances: float
    scan: float


def known_motifs(motifs: Motifs, q_value: float) -> dict[str, list[Known]]:
    """The known motifs that patterns of any model are like, those of most models first, each under every condition."""
    models = [model for of in motifs.values() for model in of]
    scan = next((model.scan for model in models if model.scan), {})
    return {
        motif: [_known(motif, condition, of, patterns, scan) for condition, of in motifs.items()]
        for motif, patterns in _cover(models, q_value).items()
    }


Assigned = dict[tuple[str, int], list[FoundPattern]]  # condition and seed → patterns like one known motif


def _cover(models: Sequence[ModelMotifs], q_value: float) -> dict[str, Assigned]:
    """Every pattern under one known motif that it is like: factors of a family share their motif, and names vary.

    The known motif that is among the matches of most models comes first and takes their patterns, then the one that
    most have of the rest, until none is left. Of equals, the one that is the best match more often, then with the
    smaller q.
    """
    left = [((model.condition, model.seed), one) for model in models for one in model.patterns]
    cover: dict[str, Assigned] = {}
    while True:
        like: dict[str, list[tuple[tuple[str, int], FoundPattern]]] = {}
        for model, one in left:
            for motif, q in one.matches.items():
                if q <= q_value:
                    like.setdefault(motif, []).append((model, one))
        if not like:
            return cover
        motif = min(like, key=lambda name: _rank(name, like[name]))
        for model, one in like[motif]:
            cover.setdefault(motif, {}).setdefault(model, []).append(one)
        taken = {(model, one.name) for model, one in like[motif]}
        left = [(model, one) for model, one in left if (model, one.name) not in taken]


def _rank(motif: str, like: Iterable[tuple[tuple[str, int], FoundPattern]]) -> tuple[int, int, float, str]:
    like = list(like)
    best = sum(next(iter(one.matches)) == motif for _, one in like)
    return -len({model for model, _ in like}), -best, min(one.matches[motif] for _, one in like), motif


def _known(
    motif: str, condition: str, models: Sequence[ModelMotifs], patterns: Assigned, scan: Mapping[str, float]
) -> Known:
    of_models = [of for (name, _), of in patterns.items() if name == condition]
    best = min((one for of in of_models for one in of), key=lambda one: one.matches[motif], default=None)
    seqlets, instances = (
        _median([sum(getattr(one, name) for one in of) for of in of_models]) for name in ("seqlets", "instances")
    )
    return Known(
        motif,
        condition,
        sum(not model.failed for model in models),
        len(of_models),
        best.matches[motif] if best else NONE,
        best.bits if best else NONE,
        seqlets,
        instances,
        scan.get(motif, NONE),
    )


def _best(one: FoundPattern) -> float:
    return min(one.matches.values(), default=math.inf)


def _median(values: Sequence[int]) -> float:
    return float(np.median(values)) if values else NONE


def known_csv(known: Mapping[str, Sequence[Known]]) -> str:
    """A table in a file, a row for each known motif and condition; empty where there is no number."""
    return csv_text(COLUMNS, (astuple(one) for of in known.values() for one in of))
