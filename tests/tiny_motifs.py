"""Motif discovery without its tools: simulated sequences, and stand-ins that find what is known to lie there."""

import json
from pathlib import Path

import h5py
import numpy as np

from experiments.config import default_config
from fprior.data.dataset import open_dataset
from fprior.data.scores import actual_contributions, write_scores
from fprior.data.splits import SPLITS
from fprior.motifs.enrichment import Enrichment
from fprior.motifs.matching import Match
from fprior.motifs.patterns import Pattern

MOTIF, INPUT, JITTER = "MA0080.7", 80, 6


def simulated(folder: Path):
    """The config of models on sequences that `simulate` is still to make there."""
    config = default_config()
    config.data.input_length, config.data.jitter = INPUT, JITTER
    config.simulate.output = config.data.dataset = str(folder / "dataset")
    config.simulate.name, config.simulate.task, config.simulate.motif = "toy", "SPI1", MOTIF
    config.simulate.sequences, config.simulate.reach = 400, 20
    config.evaluate.regions, config.evaluate.region_names = ("instances",), ("true",)
    config.motifs.file = "jaspar2024_selected"
    return config


def write_run(config, path: Path) -> None:
    """The directory of a trained run with attributions of the test split."""
    path.mkdir(parents=True)
    record = {"command": "train", "config": json.loads(config.to_json()), "dataset": {"files": {}}}
    (path / "run.json").write_text(json.dumps(record))
    epoch = {"step": 9, "epoch": 1}
    (path / "result.json").write_text(json.dumps({"ended": "", "steps": 9, "best": epoch, "history": [epoch]}))
    write_attributions(config, path, "test")


def true_instances(dataset, columns):
    """Index of the input, start, end and strand of the simulated motifs in inputs."""
    lines = [line.split("\t") for line in (dataset.path / "instances.bed").read_text().splitlines() if line[0] != "#"]
    found = []
    for locus, (first, end) in enumerate(zip(columns["start"], columns["end"], strict=True)):
        found += [
            (locus, int(line[1]) - first, int(line[2]) - first, line[5])
            for line in lines
            if first <= int(line[1]) and int(line[2]) <= end
        ]
    return found


def columns_of(config, split: str):
    """A score file's columns: contributions of 1 inside the true instances, almost nothing elsewhere."""
    dataset = open_dataset(config.data.dataset)
    indices = dataset.select(SPLITS.index(split), positive=True)
    chromosome, start, end = dataset.interval(indices, INPUT)
    tokens = dataset.centred(indices, INPUT)
    columns = {"chromosome": chromosome, "start": start, "end": end, "tokens": tokens}
    size = np.full(tokens.shape, 0.01, np.float32)
    for place, (locus, first, last, _) in enumerate(true_instances(dataset, columns)):
        size[locus, first:last] = 1 + place % 7
    hypothetical = (tokens[..., None] == np.arange(4)) * size[..., None]
    columns |= {"strand": np.full(len(start), "+"), "hypothetical": hypothetical.astype(np.float32)}
    columns["contributions"] = actual_contributions(columns["hypothetical"], tokens)
    return columns | {"output": np.zeros(len(start)), "completeness_error": np.zeros(len(start))}


def write_attributions(config, path: Path, split: str, **changes) -> None:
    settings = {**config.attribute, "split": split, "seed": config.seed, "checkpoint_step": 9, **changes}
    attributes = {"settings": json.dumps(settings), "dropped": "{}"}
    write_scores(path / f"attributions_{split}.h5", columns_of(config, split), attributes)


class Discovery:
    """In place of TF-MoDISco: the pattern of the true instances, and one that argues against."""

    def __init__(self, config):
        self.config, self.calls, self.finds, self.then = config, [], True, None

    def __call__(self, tokens, hypothetical, output, **settings):
        self.calls.append(settings)
        write_patterns(output, [])
        if self.then:
            self.then()
        if not self.finds:
            return []
        for split in SPLITS:
            columns = columns_of(self.config, split)
            if np.array_equal(columns["tokens"], tokens):
                places = true_instances(open_dataset(self.config.data.dataset), columns)
                found = [pattern_of("positive_0", 1, tokens, places), pattern_of("negative_0", -1, tokens, places[:9])]
                write_patterns(output, found)
                return found
        raise AssertionError("these are no inputs of the data set")


def write_patterns(path, patterns) -> None:
    """A file as modisco-lite writes it."""
    with h5py.File(path, "w") as file:
        for one in patterns:
            group = file.create_group(f"{'pos' if one.sign > 0 else 'neg'}_patterns/pattern_{one.name.split('_')[1]}")
            group["sequence"], group["contrib_scores"] = one.probabilities, one.contributions
            group["hypothetical_contribs"] = one.hypothetical
            seqlets = group.create_group("seqlets")
            seqlets["contrib_scores"], seqlets["example_idx"] = one.seqlet_contributions, one.locus
            seqlets["start"], seqlets["end"], seqlets["is_revcomp"] = one.start, one.end, one.strand == "-"


def pattern_of(name, sign, tokens, places) -> Pattern:
    words = []
    for locus, start, end, strand in places:
        word = (tokens[locus, start:end, None] == np.arange(4)).astype(np.float32)
        words.append(word if strand == "+" else word[::-1, ::-1])
    words = np.stack(words)
    locus, start, end, strand = (np.array(values) for values in zip(*places, strict=True))
    mean = words.mean(axis=0).astype(np.float64)
    return Pattern(name, sign, mean, sign * mean, sign * mean, locus, start, end, strand, sign * words)


def stub_match(patterns, known, *, top=3):
    assert "MA0080.7_SPI1" in known or MOTIF in known
    strong = Match("positive_0", "MA0080.7", 1e-12, 1e-9, 14, 0, "+")
    weak = Match("negative_0", "<b>&", 0.3, 0.9, 3, -1, "-")
    return {one.name: [strong if one.sign > 0 else weak] for one in patterns}


def stub_enrichment(positives, negatives, known):
    assert positives.shape == negatives.shape and not np.array_equal(positives, negatives)
    return [Enrichment("MA0080.7", len(positives), 1, 99.0, 1e-9, 1e-8), Enrichment("other", 3, 3, 1.0, 0.5, 0.5)]
