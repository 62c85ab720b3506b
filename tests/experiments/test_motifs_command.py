"""From attributions to motifs: every file and the page, empty results, reruns, and what stops the command.

TF-MoDISco itself is stood in for: what it finds is tested in tests/motifs.
"""

import fcntl
import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tiny
from tiny_motifs import (
    INPUT,
    Discovery,
    columns_of,
    simulated,
    stub_enrichment,
    stub_match,
    true_instances,
    write_attributions,
    write_run,
)

from experiments import motifs, motifs_calls, motifs_page, motifs_sources, simulate
from experiments.config import default_config, with_changes
from fprior.data.dataset import open_dataset
from fprior.data.loci import Loci, read_loci
from fprior.errors import InputError
from fprior.sequence import UNKNOWN

FILES = {"patterns.h5", "patterns.meme", "seqlets.bed", "matches.csv", "instances.bed", "recall.csv", "baseline.csv",
         "motifs.json", "motifs.html"}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Simulated sequences, and the config of models on them."""
    config = simulated(tmp_path_factory.mktemp("simulated"))
    simulate.main(config)
    return config


@pytest.fixture
def run(world, tmp_path, monkeypatch) -> Path:
    """The directory of a trained run with attributions, and the tools stood in for; `run.calls` are discoveries."""
    path = tmp_path / "run"
    write_run(world, path)
    monkeypatch.setattr(motifs, "provenance", lambda command, config: {"command": f"python -m experiments.{command}"})
    monkeypatch.setattr(motifs, "discover", Discovery(world))
    monkeypatch.setattr(motifs, "match", stub_match)
    monkeypatch.setattr(motifs, "enrichment", stub_enrichment)
    monkeypatch.setattr(motifs, "motifs_page", lambda result, record: "a page takes a second")
    return path


@pytest.fixture
def drawn(run, monkeypatch) -> Path:
    """As `run`, where the page is made too."""
    monkeypatch.setattr(motifs, "motifs_page", motifs_page.motifs_page)
    return run


def make(world, run, **changes) -> dict:
    motifs.main(with_changes(world, changes), str(run))
    return json.loads((run / "motifs_test" / "motifs.json").read_text())


def refusal(*arguments, **changes) -> str:
    with pytest.raises(InputError) as caught:
        make(*arguments, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bed(path: Path) -> list[dict[str, str]]:
    head, *lines = (line.split("\t") for line in path.read_text().splitlines())
    assert head[:6] == ["#chromosome", "start", "end", "pattern", "score", "strand"]
    return [dict(zip(head, line, strict=True)) for line in lines]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ---- what is written


def test_every_file_is_there_and_nothing_else(world, run, capsys):
    record = make(world, run)
    assert names_in(run / "motifs_test") == FILES
    assert names_in(run) == {"run.json", "result.json", "attributions_test.h5", "motifs_test", ".motifs_test.lock"}
    assert [one["name"] for one in record["patterns"]] == ["positive_0", "negative_0"]
    assert record["counts"]["patterns_with_a_match"] == 1 and record["why_none"] is None
    assert motifs.discover.calls == [{"window": INPUT, "max_seqlets": 20_000, "leiden_runs": 2}]  # no input is longer
    out = capsys.readouterr().out
    assert "motifs_test/motifs.html" in out and "most like MA0080.7 (q = 1.0e-09)" in out


def test_seqlets_and_instances_keep_their_locus_and_read_as_the_pattern(world, run):
    make(world, run)
    columns = columns_of(world, "test")
    dataset = open_dataset(world.data.dataset)
    true = {
        (int(columns["start"][locus]) + first, strand): locus
        for locus, first, _, strand in true_instances(dataset, columns)
    }
    seqlets = [row for row in bed(run / "motifs_test" / "seqlets.bed") if row["pattern"] == "positive_0"]
    assert {(int(row["start"]), row["strand"]): int(row["locus"]) for row in seqlets} == true
    instances = [row for row in bed(run / "motifs_test" / "instances.bed") if row["pattern"] == "positive_0"]
    assert len(instances) > 0.5 * len(true)
    right = [row for row in instances if true.get((int(row["start"]), row["strand"])) == int(row["locus"])]
    assert len(right) > 0.8 * len(instances)
    for row in instances:
        locus = int(row["locus"])
        where = columns["chromosome"][locus], columns["start"][locus], columns["end"][locus]
        assert (row["#chromosome"], int(row["locus_start"]), int(row["locus_end"])) == where
        assert where[1] <= int(row["start"]) < int(row["end"]) <= where[2]
        inside = slice(int(row["start"]) - where[1], int(row["end"]) - where[1])
        assert float(row["importance"]) == pytest.approx(columns["contributions"][locus, inside].sum(), rel=1e-5)
        assert int(row["score"]) == round(1000 * float(row["contribution_match"]))
    starts = [int(row["start"]) for row in bed(run / "motifs_test" / "instances.bed")]
    assert starts == sorted(starts)
    assert len(read_loci(run / "motifs_test" / "instances.bed")) == len(starts)  # a BED file to other readers too


def test_recall_of_true_instances(world, run):
    record = make(world, run)["recall"]["true"]
    loci = len(columns_of(world, "test")["start"])
    assert record["regions"] == 200 and record["regions_at_loci"] == loci  # of all splits; of this one
    assert 0.5 * loci < record["reached"] <= record["calls"] and record["reached"] > 1.5 * record["reached_at_random"]
    assert record["calls_in_regions"] >= record["reached"]
    lines = (run / "motifs_test" / "recall.csv").read_text().splitlines()
    assert lines[0] == "regions,calls,reached,reached_at_random" and len(lines) == 1 + record["calls"]
    assert lines[-1] == f"true,{record['calls']},{record['reached']},{record['reached_at_random']}"


def test_the_page_tells_all_and_escapes_names(world, drawn):
    make(world, drawn)
    page = (drawn / "motifs_test" / "motifs.html").read_text()
    for words in ("MA0080.7", "positive_0", "negative_0", "Without a model", "Contribution-weight matrices", "3B"):
        assert words in page
    assert "<b>&" not in page and "&lt;b&gt;&amp;" in page
    assert re.search(r"MA0080.7</th><td[^>]*>1.0+</td><td[^>]*>0.0500</td>.*positive_0</td>", page)  # the scan's
    assert page.count("<h2") == 6 and "No pattern found" not in page


def test_patterns_of_one_split_called_in_another(world, run):
    write_attributions(world, run, "train")
    motifs.main(with_changes(world, {"attribute.split": "train", "motifs.instances": "test"}), str(run))
    record = json.loads((run / "motifs_train" / "motifs.json").read_text())
    train, test = (len(columns_of(world, split)["start"]) for split in ("train", "test"))
    assert (record["counts"]["loci"], record["counts"]["loci_of_instances"]) == (train, test)
    seqlets, instances = (bed(run / "motifs_train" / name) for name in ("seqlets.bed", "instances.bed"))
    of_test = set(columns_of(world, "test")["start"].tolist())
    assert {int(row["locus_start"]) for row in instances} <= of_test
    assert not {int(row["locus_start"]) for row in seqlets} & of_test


def test_loci_of_a_file_have_no_negatives_and_no_known_regions(world, drawn):
    write_attributions(world, drawn, "test", loci="some/test.bed", genome="g.fa")
    record = make(world, drawn, **{"attribute.loci": "some/test.bed", "attribute.genome": "g.fa"})
    assert record["baseline"]["negatives"] == 0 and record["recall"] == {}
    page = (drawn / "motifs_test" / "motifs.html").read_text()
    assert "loci of a file" in page and "have no negatives" in page and "some/test.bed" in page
    assert (drawn / "motifs_test" / "recall.csv").read_text().count("\n") == 1


def test_no_regions_are_named(world, drawn):
    record = make(world, drawn, **{"evaluate.regions": ("",), "evaluate.region_names": ("",)})
    assert record["recall"] == {} and "config.evaluate.regions" in record["no_recall"]
    assert "config.evaluate.regions" in (drawn / "motifs_test" / "motifs.html").read_text()


@pytest.mark.parametrize(
    "tasks, task, outputs, head, words",
    [
        (("CTCF",), -1, "labels", "profile", "the logit of CTCF"),
        (("CTCF", "SPI1"), 1, "labels", "profile", "the logit of SPI1"),
        (("CTCF", "SPI1"), -1, "labels", "profile", "the logits of all 2 tasks"),
        (("CTCF", "SPI1"), 0, "profiles", "counts", "the counts of CTCF"),
        (("CTCF",), -1, "profiles", "profile", "the profile of CTCF"),
    ],
)
def test_the_page_says_what_was_attributed(tasks, task, outputs, head, words):
    config = with_changes(default_config(), {"attribute.task": task, "model.outputs": outputs, "attribute.head": head})
    assert motifs_sources.what_of(config, SimpleNamespace(tasks=tasks)) == words


# ---- nothing is found


def test_no_pattern_is_a_result(world, drawn, capsys, monkeypatch):
    motifs.discover.finds = False
    monkeypatch.setattr(motifs, "why_none", lambda *_, **__: "only 3 <seqlets> pass.")
    record = make(world, drawn)
    assert names_in(drawn / "motifs_test") == FILES
    assert record["why_none"] == "only 3 <seqlets> pass." and record["patterns"] == []
    page = (drawn / "motifs_test" / "motifs.html").read_text()
    assert "No pattern found" in page and "only 3 &lt;seqlets&gt; pass." in page
    assert "no pattern found: only 3 <seqlets> pass." in capsys.readouterr().out
    assert bed(drawn / "motifs_test" / "instances.bed") == bed(drawn / "motifs_test" / "seqlets.bed") == []
    assert record["recall"]["true"]["calls"] == record["recall"]["true"]["reached"] == 0
    assert record["baseline"] == {"motifs": 2, "negatives": 20, "enriched": 1}  # the scan needs no pattern


def test_patterns_without_instances(world, drawn, monkeypatch):
    def none(pattern, hypothetical, tokens):
        names = ("locus", "start", "end", "strand", "contribution_match", "sequence_match", "importance")
        return {name: np.empty(0, "<U1" if name == "strand" else np.int64) for name in names}

    monkeypatch.setattr(motifs_calls, "call_instances", none)
    record = make(world, drawn)
    assert record["counts"]["instances"] == 0 and record["recall"]["true"]["reached"] == 0
    assert "no calls" in (drawn / "motifs_test" / "motifs.html").read_text()


# ---- again


def test_finished_patterns_are_not_looked_for_again(world, run, capsys):
    first = make(world, run)
    said = capsys.readouterr().out
    assert make(world, run) == first and capsys.readouterr().out == said
    assert len(motifs.discover.calls) == 1


@pytest.mark.parametrize(
    "changes",
    [{"motifs.leiden_runs": 3}, {"motifs.file": "copy"}, {"evaluate.regions": "copy"}],
)
def test_other_settings_replace_the_whole(world, run, tmp_path, changes):
    make(world, run)
    (run / "motifs_test" / "left.txt").write_text("of another time")
    copies = {
        "motifs.file": motifs_sources.read_all_motifs.__globals__["SHIPPED"] / "jaspar2024_selected.meme",
        "evaluate.regions": Path(world.data.dataset) / "instances.bed",
    }
    for field, value in dict(changes).items():
        if value == "copy":
            lines = copies[field].read_text().splitlines()
            (tmp_path / "copy").write_text("\n".join(lines[:-1] if field.endswith("regions") else [*lines, ""]))
            changes = {field: (str(tmp_path / "copy"),) if field.endswith("regions") else str(tmp_path / "copy")}
    make(world, run, **changes)
    assert len(motifs.discover.calls) == 2 and names_in(run / "motifs_test") == FILES


@pytest.mark.parametrize("split", ["test", "valid"])
def test_other_attributions_are_looked_at_anew(world, run, split):
    """Those of the patterns, and those of the instances."""
    write_attributions(world, run, "valid")
    make(world, run, **{"motifs.instances": "valid"})
    with h5py.File(run / f"attributions_{split}.h5", "r+") as file:
        file["hypothetical"][0, 0, 0] += 1
    make(world, run, **{"motifs.instances": "valid"})
    assert len(motifs.discover.calls) == 2


# ---- stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("before", [False, True])
def test_a_signal_leaves_what_was_there(world, run, number, before):
    if before:
        make(world, run)
    there = names_in(run)
    motifs.discover.then = lambda: os.kill(os.getpid(), number)
    with pytest.raises(SystemExit) as caught:
        make(world, run, **{"motifs.leiden_runs": 3})
    assert caught.value.code == 1
    assert names_in(run) - {".motifs_test.lock"} == there - {".motifs_test.lock"}
    if before:
        assert names_in(run / "motifs_test") == FILES
    motifs.discover.then = None
    assert make(world, run)["counts"]["patterns"] == 2


def test_an_error_leaves_what_was_there(world, run, monkeypatch):
    make(world, run)
    motifs.discover.then = lambda: (_ for _ in ()).throw(InputError("modisco failed"))
    assert refusal(world, run, **{"motifs.leiden_runs": 3}) == "modisco failed"
    assert names_in(run / "motifs_test") == FILES and not list(run.glob(".motifs_test.[no]*"))


def test_stopped_between_old_and_new_the_old_is_put_back(tmp_path, monkeypatch):
    folder = tmp_path / "motifs_test"
    folder.mkdir()
    (folder / "old.txt").write_text("")
    rename = Path.rename

    def stopped_at_the_second(path, target):
        if path.name.endswith(".new"):
            raise motifs.Stopped
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", stopped_at_the_second)
    with pytest.raises(motifs.Stopped), motifs.replaced(folder) as fresh:
        (fresh / "new.txt").write_text("")
    assert names_in(tmp_path) == {"motifs_test"} and names_in(folder) == {"old.txt"}


def test_what_a_killed_process_left_goes(world, run):
    for word in ("new", "old"):
        (run / f".motifs_test.{word}" / "deep").mkdir(parents=True)
    make(world, run)
    assert not list(run.glob(".motifs_test.[no]*"))


def test_two_processes(world, run):
    with open(run / ".motifs_test.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process" in refusal(world, run)
    assert not (run / "motifs_test").exists() and not motifs.discover.calls


# ---- wrong input


def test_attributions_are_needed(world, run):
    (run / "attributions_test.h5").rename(run / "attributions_other.h5")
    error = refusal(world, run)
    assert "attributions_test.h5: missing; run experiments.attribute" in error and "other" in error


def test_attributions_of_the_instances_are_needed(world, run):
    error = refusal(world, run, **{"motifs.instances": "valid"})
    assert "attributions_valid.h5: missing" in error
    write_attributions(world, run, "valid", rule="reveal_cancel")
    error = refusal(world, run, **{"motifs.instances": "valid"})
    assert "config.attribute.rule='reveal_cancel', not 'rescale'" in error


@pytest.mark.parametrize("field, value", [("task", 0), ("num_references", 3), ("references", "zeros")])
def test_attributions_of_other_settings_are_refused(world, run, field, value):
    error = refusal(world, run, **{f"attribute.{field}": value})
    assert f"config.attribute.{field}=" in error and f"not {value!r}" in error


def test_memory_is_no_setting_of_the_scores(world, run):
    make(world, run, **{"attribute.memory_gigabytes": 1.0})


def test_damaged_attributions(world, run):
    (run / "attributions_test.h5").write_bytes(b"nothing")
    assert "cannot be read" in refusal(world, run)


def test_regions_elsewhere(world, run, tmp_path):
    (tmp_path / "far.bed").write_text("chr1\t5\t9\n")
    error = refusal(world, run, **{"evaluate.regions": (str(tmp_path / "far.bed"),)})
    assert "far.bed" in error and "none of its 1 regions" in error and not motifs.discover.calls


def test_a_tool_is_missing(world, run, monkeypatch):
    monkeypatch.setattr(motifs_sources, "TOOLS", ("modisco-lite", "no-such-tool"))
    assert "no-such-tool is not installed" in refusal(world, run)


def test_known_motifs_are_missing(world, run):
    assert "nowhere.meme" in refusal(world, run, **{"motifs.file": "nowhere.meme"}) and not motifs.discover.calls


def test_the_command_line(tmp_path):
    path = f"--config={tiny.ROOT / 'configs' / 'quickstart.py'}"
    outcome = tiny.finish(tiny.start("motifs", path, f"--workdir={tmp_path}", "--config.motifs.q_value=2"))
    assert "config.motifs.q_value (=2.0)" in outcome.error


# ---- places and regions


def loci_at(start, end, strand):
    count = len(start)
    return {"chromosome": np.full(count, "chr1"), "start": np.array(start), "end": np.array(end), "strand": strand}


def test_places_on_the_opposite_strand_are_mirrored():
    loci = loci_at([100, 100], [160, 160], np.array(["+", "-"]))
    places = motifs_calls.in_genome(
        "p", loci, np.array([0, 1, 1]), np.array([5, 5, 0]), np.array([15, 15, 60]), np.array(["+", "+", "-"])
    )
    assert places["start"].tolist() == [105, 145, 100] and places["end"].tolist() == [115, 155, 160]
    assert places["strand"].tolist() == ["+", "-", "+"]


def random_calls(rng, count, loci):
    locus = rng.integers(0, len(loci["start"]), count)
    start = loci["start"][locus] + rng.integers(0, 50, count)
    places = motifs_calls.in_genome("p", loci, locus, start * 0, start * 0 + 10, np.full(count, "+"))
    return places | {"start": start, "end": start + 10, "importance": rng.permutation(count).astype(float)}


@pytest.mark.parametrize("seed", range(5))
def test_recall_counts_every_region_and_every_site_once(seed):
    """Held against plain loops over the genome; inputs overlap, regions lie in several of them, on two chromosomes."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 800, 20)
    loci = {"chromosome": rng.choice(["chr1", "chr2"], 20), "start": start, "end": start + 60}
    loci |= {"strand": np.full(20, "+"), "tokens": np.full((20, 60), UNKNOWN)}
    at = rng.integers(0, 1000, 30)
    regions = Loci(rng.choice(["chr1", "chr2", "chr3"], 30), at, at + rng.integers(1, 90, 30), at, np.zeros(30))
    calls = random_calls(rng, 40, loci)
    found = motifs_calls.recall_of(calls, ["p"], regions, loci)

    def overlap(one, other):
        return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]

    targets = list(zip(regions.chromosome, regions.start, regions.end, strict=True))
    inputs = list(zip(loci["chromosome"], loci["start"], loci["end"], strict=True))
    targets = [one for one in targets if any(overlap(one, other) for other in inputs)]
    sites = []
    for index in np.argsort(-calls["importance"]):
        site = tuple(calls[name][index] for name in ("chromosome", "start", "end"))
        if site not in sites:
            sites.append(site)
    reached = [sum(any(overlap(one, site) for site in sites[:k]) for one in targets) for k in range(1, len(sites) + 1)]
    assert found.within == len(targets) and found.regions == 30
    assert found.calls.tolist() == list(range(1, len(sites) + 1))
    assert found.reached.tolist() == reached
    assert found.hits == sum(any(overlap(one, site) for one in targets) for site in sites)
    assert motifs_calls.recall_of(calls, [], regions, loci).reached.tolist() == []  # of no positive pattern
