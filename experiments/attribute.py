"""Attributes a trained model's predictions to bases, by DeepSHAP.

    python -m experiments.attribute --config=configs/NAME.py --workdir=runs/NAME [--config.attribute.field=value …]

The loci are the positives of a split of the run's data set (`config.attribute.split`), or those of a BED or narrowPeak
file around their summits (`config.attribute.loci` with `config.attribute.genome`). Writes to the run's directory

    attributions_NAME.h5                 hypothetical and actual contributions with locus, sequence, the model's output
                                         and the completeness error of every locus
    attributions_NAME.bw                 the actual contributions for a genome browser
    attributions_NAME_sequences.npz      what modisco-lite reads: modisco motifs -s …_sequences.npz
    attributions_NAME_hypothetical.npz   -a …_hypothetical.npz

where NAME is the split, or the loci file's name. Interrupted, the same command goes on with the part it was in.
"""

import functools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from experiments.build import dataset_of, layout_of, trained
from experiments.launch import launch
from experiments.run_directory import finished_run
from fprior.attribution.deepshap import deepshap, make_references
from fprior.data.background import windows_around
from fprior.data.dataset import Dataset
from fprior.data.loci import check_against_genome, read_loci
from fprior.data.scores import actual_contributions, write_bigwig, write_modisco, write_scores
from fprior.data.splits import SPLITS
from fprior.data.two_bit import open_genome
from fprior.errors import InputError
from fprior.files import read_json, sha256, write_arrays, write_json
from fprior.objectives import profile_objective, profile_weights
from fprior.sequence import one_hot
from fprior.training.problem import apply

PART = 64  # loci that are computed and saved at a time
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} loci [{elapsed}<{remaining}, ends {eta:%H:%M}]"


def main(config: ConfigDict, workdir: str | None) -> None:
    path = finished_run(workdir, config)
    for line in attribute_run(config, dataset_of(config), path):
        print(line)


def attribute_run(config: ConfigDict, dataset: Dataset, path: Path) -> list[str]:
    """Writes the attributions of the run in that directory; returns what there is to say about them."""
    loci, sizes, dropped = loci_of(config, dataset)
    model, variables, step = trained(config, dataset, path)
    stem = f"attributions_{name_of(config)}"
    settings = {**settings_of(config), "checkpoint_step": step}
    f = Attributed(config, dataset, model, variables)
    parts = open_parts(path / f".{stem}.parts", settings)
    columns = attribute(config, f, loci, parts)
    write_scores(path / f"{stem}.h5", columns, {"settings": json.dumps(settings), "dropped": json.dumps(dropped)})
    overlapping = write_bigwig(path / f"{stem}.bw", columns, sizes)
    write_modisco(path, stem, columns)
    shutil.rmtree(parts)
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in dropped.items())
    largest, spread = np.abs(columns["completeness_error"]).max(), np.std(columns["output"])
    return [
        f"{path / stem}.h5",
        f"  {len(columns['start']):,} loci; dropped: {reasons or 'none'}",
        f"  largest completeness error {largest:.1e}, where outputs spread by {spread:.2g}",
        f"  {overlapping:,} bases lie in several inputs: the BigWig has their mean",
    ]


def name_of(config: ConfigDict) -> str:
    """What the results are called."""
    loci = config.attribute.loci
    return Path(loci).name.partition(".")[0] if loci else config.attribute.split


def settings_of(config: ConfigDict) -> dict[str, Any]:
    """All that the scores depend on besides the run."""
    settings = dict(config.attribute)
    for field in ("loci", "genome"):
        if settings[field]:
            settings[f"{field}_sha256"] = sha256(settings[field])
    return settings | {"seed": config.seed}


def loci_of(config: ConfigDict, dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, int], dict[str, int]]:
    """The inputs with their coordinates, the sizes of the chromosomes, and what was dropped, by reason."""
    length, options = config.data.input_length, config.attribute
    if options.genome and not options.loci:
        raise InputError(
            f"config.attribute.genome (={options.genome!r}) is for the loci of a file; name it in config.attribute.loci"
        )
    if not options.loci:
        indices = dataset.select(SPLITS.index(options.split), positive=True)
        if not len(indices):
            raise InputError(f"config.attribute.split (={options.split!r}): {dataset.path} has no positives there")
        chromosome, start, end = dataset.interval(indices, length)
        known = dataset.manifest.get("chromosome_sizes", {})
        sizes = {name: known.get(name, int(end[chromosome == name].max())) for name in set(chromosome)}
        columns = {"chromosome": chromosome, "start": start, "end": end, "tokens": dataset.centred(indices, length)}
        layout = layout_of(config, dataset)
        if layout and layout.control_sets:
            columns["controls"] = dataset.counts(indices, config.data.output_length)[1]
        return columns, sizes, {}
    for field in ("loci", "genome"):
        if not Path(config.attribute[field]).is_file():
            raise InputError(f"config.attribute.{field} (={config.attribute[field]!r}): there is no such file")
    genome = open_genome(config.attribute.genome)
    loci = read_loci(options.loci)
    kept, dropped = check_against_genome(loci, genome, options.loci)
    loci = loci[kept]
    start = windows_around(loci.summit, length)
    ends = np.array([genome.lengths[name] for name in loci.chromosome])
    inside = (start >= 0) & (start + length <= ends)
    if not inside.any():
        raise InputError(f"{options.loci}: no input of {length} bases around a summit lies inside its chromosome")
    loci, start = loci[inside], start[inside]
    tokens = np.stack([genome.tokens(name, at, at + length) for name, at in zip(loci.chromosome, start, strict=True)])
    columns = {"chromosome": loci.chromosome, "start": start, "end": start + length, "tokens": tokens}
    layout = layout_of(config, dataset)
    if layout and layout.control_sets:
        print("note: the model reads controls; for the loci of a file they are taken as 0", file=sys.stderr)
        columns["controls"] = np.zeros((len(start), layout.control_sets, config.data.output_length, layout.strands))
    return columns, dict(genome.lengths), {**dropped, "input leaves its chromosome": int((~inside).sum())}


def open_parts(folder: Path, settings: dict[str, Any]) -> Path:
    """The folder of the parts computed so far; emptied if they were made with other settings."""
    record = folder / "settings.json"
    if not record.is_file() or read_json(record, "delete its directory") != json.loads(json.dumps(settings)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(record, settings)
    return folder


class Attributed:
    """The number of each sequence that is attributed: a task's logit or profile, or the sum over tasks.

    Profile logits are weighed by the probabilities of the sequence itself, which stay fixed while its references are
    compared with it.
    """

    def __init__(self, config: ConfigDict, dataset: Dataset, model: Any, variables: Any) -> None:
        task, tasks = config.attribute.task, len(dataset.tasks)
        if task >= tasks:
            raise InputError(
                f"config.attribute.task (={task}) is none of the model's {tasks}, which count from 0; -1 attributes"
                " their sum"
            )
        self._tasks = slice(None) if task < 0 else slice(task, task + 1)
        self._kind = config.model.outputs if config.model.outputs == "labels" else config.attribute.head
        self._weighting = config.prior.profile_weights
        self._model, self._variables = model, variables
        self.weights = jax.jit(self._weights)

    def __call__(self, x: jax.Array, controls: jax.Array | None, weights: jax.Array | None) -> jax.Array:
        """One number each `(n,)` for one-hot sequences `(n, L, 4)`."""
        outputs = apply(self._model, self._variables, x, controls, train=False)
        if self._kind == "labels":
            return jnp.sum(outputs[:, self._tasks], axis=-1)
        logits, log_counts = outputs
        if self._kind == "counts":
            return jnp.sum(log_counts[:, self._tasks], axis=(1, 2))
        assert weights is not None, "they are made for profiles"
        return profile_objective(logits[:, self._tasks], weights)

    def _weights(self, x: jax.Array, controls: jax.Array | None) -> jax.Array | None:
        if self._kind != "profile":
            return None
        logits, _ = apply(self._model, self._variables, x, controls, train=False)
        return profile_weights(logits[:, self._tasks], self._weighting)


def attribute(config: ConfigDict, f: Attributed, loci: dict[str, np.ndarray], parts: Path) -> dict[str, np.ndarray]:
    """The columns of the score file; each part is a file of its own until all are there."""
    loci = dict(loci)
    controls = loci.pop("controls", None)
    count = len(loci["start"])
    key = jax.random.key(config.seed)
    of_pairs = jax.jit(
        functools.partial(
            deepshap,
            f,
            rule=config.attribute.rule,
            memory_budget=config.attribute.memory_gigabytes * 1e9,
            return_completeness=True,
        )
    )
    outputs = jax.jit(f)
    with tqdm(total=count, bar_format=BAR, disable=None, dynamic_ncols=True, file=sys.stderr) as bar:
        for number, first in enumerate(range(0, count, PART)):
            file = parts / f"{number:06}.npz"
            tokens = loci["tokens"][first : first + PART]
            if not file.is_file():
                x = one_hot(full(tokens))
                references = make_references(
                    x,
                    config.attribute.references,
                    num_references=config.attribute.num_references,
                    key=jax.random.fold_in(key, number),
                )
                known = None if controls is None else jnp.asarray(full(controls[first : first + PART]), jnp.float32)
                arguments = known, f.weights(x, known)
                hypothetical, error = of_pairs(x, *arguments, references=references)
                part = {"hypothetical": hypothetical, "completeness_error": error, "output": outputs(x, *arguments)}
                write_arrays(file, {name: np.asarray(values)[: len(tokens)] for name, values in part.items()})
            bar.update(len(tokens))
    saved = [np.load(file, allow_pickle=False) for file in sorted(parts.glob("*.npz"))]
    computed = {name: np.concatenate([part[name] for part in saved]) for name in saved[0]}
    return {
        **loci,
        "strand": np.full(count, "+"),
        **computed,
        "contributions": actual_contributions(computed["hypothetical"], loci["tokens"]),
    }


def full(rows: np.ndarray) -> np.ndarray:
    """The rows of a part, the last filled up, so that all have one shape."""
    return np.concatenate([rows, np.repeat(rows[-1:], PART - len(rows), axis=0)])


if __name__ == "__main__":
    launch(main, workdir="directory of a trained run")
