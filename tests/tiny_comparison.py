"""A comparison of random numbers, in which the second condition differs from the others by known amounts."""

import itertools
from pathlib import Path

import numpy as np

from experiments.compare_results import ATTRIBUTIONS, Comparison, ModelResult, Trial
from experiments.conditions import QUESTIONS, parse_conditions, swept_words
from experiments.config import default_config

SEQUENCES, LENGTH = 40, 120
RECORD = {
    "command": "python -m experiments.train --config=configs/a.py",
    "versions": {"python": "3.11", "jax": "0.10.2"},
    "devices": ["cpu: cpu"],
    "dataset": {"name": "CTCF <GM12878>", "loci": {"test": {"positives": SEQUENCES, "negatives": 400}}},
}
# What a measure is, and what the second condition adds to it.
OF_SEQUENCES = {
    "summit_distance_spearman": (-0.4, -0.05),
    "overlap_auprc_peaks": (0.5, 0.0),
    "share_in_footprints": (0.2, 0.1),
    "high_frequency_share": (0.4, -0.1),
    "entropy_bits": (8.0, 0.5),
    "end_share": (0.1, 0.05),
}
PLACES = ("summit_distance_spearman", "overlap_auprc_peaks", "share_in_footprints")
OF_SEEDS = {
    "auroc": (0.95, -0.02),
    "auprc": (0.85, 0.0),
    "accuracy": (0.9, 0.0),
    "positive_accuracy": (0.8, 0.0),
    "negative_accuracy": (0.95, 0.0),
}
LOSS = (0.3, -0.02)


def comparison_of(
    names=("none", "fourier", "l2"), seeds=5, *, tasks=("CTCF",), subset=True, places=True, sweep=True, motifs=None
):
    """Models of these conditions: with a subset or without, with places that importance should lie in, with a sweep.

    motifs: condition → what was found in its models.
    """
    rng = np.random.default_rng(0)
    conditions = parse_conditions(names)
    measured = [name for name in OF_SEQUENCES if places or name not in PLACES]
    base = {key: rng.normal(0, 0.02, SEQUENCES) for key in itertools.product(ATTRIBUTIONS, measured)}

    def model(place, condition, seed):
        def draw(known, count, spread):
            return known[0] + (place == 1) * known[1] + rng.normal(0, spread, count)

        measures = {key: base[key] + draw(OF_SEQUENCES[key[1]], SEQUENCES, 0.005) for key in base}
        history = [{"epoch": epoch + 1.0} for epoch in range(3 + seed)]
        return ModelResult(
            condition=condition.name,
            seed=seed,
            path=Path(f"runs/{condition.name}/seed_{seed}"),
            history=history,
            best={**history[1], "loss/correctness": float(draw(LOSS, 1, 0.002)[0])},
            performance={name: draw(known, len(tasks), 0.002).tolist() for name, known in OF_SEEDS.items()},
            measures=measures,
            pooled={key: float(values.mean()) for key, values in measures.items() if key[1].startswith("overlap")},
            contributions={name: rng.normal(0, 1, (SEQUENCES, LENGTH)) for name in ATTRIBUTIONS},
        )

    results = {c.name: [model(i, c, seed) for seed in range(seeds)] for i, c in enumerate(conditions)}
    similar = {c.name: 0.1 + 0.03 * (i == 1) + 0.01 * rng.random(SEQUENCES) for i, c in enumerate(conditions)}
    words = swept_words(conditions)
    starts = 1000 * np.arange(SEQUENCES)
    return Comparison(
        config=default_config(),
        question=QUESTIONS["prior"],
        conditions=conditions,
        results=results,
        record=RECORD,
        split="test",
        tasks=tasks,
        loci={
            "chromosome": np.full(SEQUENCES, "chr20"),
            "start": starts,
            "end": starts + LENGTH,
            "signal": rng.random(SEQUENCES),
            "tokens": rng.integers(0, 4, (SEQUENCES, LENGTH)).astype(np.uint8),
        },
        stability=similar if seeds > 1 else {c.name: np.empty(0) for c in conditions},
        subset=similar if subset else {},
        subset_results=results if subset else {c.name: [] for c in conditions},
        trials=tuple(Trial(w, 10.0**-i, 0.3 + 0.01 * i, 4, i == 1) for w in words for i in range(4)) if sweep else (),
        weights=dict.fromkeys(words, 0.1),
        motifs=motifs or {},
    )
