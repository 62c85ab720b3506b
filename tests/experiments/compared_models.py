"""Patterns and models as a comparison finds them, made by hand."""

from pathlib import Path

import numpy as np

from experiments.compare_results import FoundPattern, ModelMotifs, Reached

RNG = np.random.default_rng(0)
SHAPES = {name: RNG.normal(size=(10, 4)) for name in "abc"}
NONE = Reached(np.empty(0, np.int64), np.empty(0, np.int64), 10)


def pattern(shape="a", matches=None, *, seqlets=100, instances=50, rank=0) -> FoundPattern:
    matches = {"CTCF": 1e-9} if matches is None else matches
    return FoundPattern(f"positive_{rank}", SHAPES[shape], slice(2, 9), seqlets, instances, 12.5, matches)


def model(condition, seed, *patterns, why="", failed=False, calls=8, scan=None) -> ModelMotifs:
    """Its calls reach a region each."""
    reached = Reached(np.arange(1, calls + 1), np.arange(1, calls + 1) // 2, 10)
    recall = {} if failed else {"peaks": reached if patterns else NONE}
    scan = {} if failed else {"CTCF": 1e-5, "SP1": 0.4} if scan is None else scan
    why = why if patterns else why or "few seqlets"
    path = Path(f"{condition}/{seed}")
    return ModelMotifs(condition, seed, path, patterns, why, failed, recall, scan)
