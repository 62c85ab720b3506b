"""Attributions of a trained run: every locus with its scores, whatever interrupts the command."""

import json
import signal
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
import tiny

from fprior.data.scores import read_scores
from fprior.sequence import decode

FEW = "--config.attribute.num_references=3"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tiny.World:
    world = tiny.make_world(tmp_path_factory.mktemp("world"))
    assert world.command("prepare").status == 0
    for command in ("train", "evaluate"):
        outcome = world.command(command, f"--workdir={world.folder / 'run'}")
        assert outcome.status == 0, outcome.err
    return world


def attribute(world, *arguments: str, **options) -> tiny.Outcome:
    return world.command("attribute", f"--workdir={world.folder / 'run'}", FEW, *arguments, **options)


@pytest.fixture(scope="module")
def train_split(world) -> tuple[dict[str, np.ndarray], tiny.Outcome]:
    """More loci than fit into one part."""
    outcome = attribute(world, "--config.attribute.split=train")
    assert outcome.status == 0, outcome.err
    return read_scores(world.folder / "run" / "attributions_train.h5"), outcome


def test_every_positive_has_its_scores(world, train_split):
    columns, outcome = train_split
    assert f"{len(columns['start']):,} loci; dropped: none" in outcome.out
    genome = tiny.synthesise(0)[0]
    for name, start, end, tokens in zip(*(columns[c] for c in ("chromosome", "start", "end", "tokens")), strict=True):
        assert decode(tokens) == genome[name][start:end]
    assert columns["hypothetical"].shape == (len(columns["start"]), 60, 4) and len(columns["start"]) > 64
    assert np.max(np.abs(columns["completeness_error"])) < 1e-5 * max(1, np.ptp(columns["output"]))
    # What the bases contribute in all is the output less that of shuffled sequences, which lack the motif.
    assert columns["contributions"].sum(axis=1).mean() > 0.5 * columns["output"].mean() > 0


def test_outputs_are_those_of_the_evaluation(world):
    assert attribute(world).status == 0
    columns = read_scores(world.folder / "run" / "attributions_test.h5")
    with np.load(world.folder / "run" / "evaluation_test.npz") as evaluation:
        rows = evaluation["positive_rows"]
        np.testing.assert_allclose(columns["output"], evaluation["logits"][rows].sum(axis=1), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(columns["start"], evaluation["start"][rows])


def test_bigwig_and_modisco_arrays_are_beside_it(world, train_split):
    columns, _ = train_split
    run = world.folder / "run"
    with pyBigWig.open(str(run / "attributions_train.bw")) as file:
        assert set(file.chroms().values()) == {tiny.LENGTH}
        where = (str(columns["chromosome"][0]), int(columns["start"][0]), int(columns["end"][0]))
        np.testing.assert_allclose(file.values(*where), columns["contributions"][0], rtol=1e-5, atol=1e-7)
    for kind, shape in (
        ("sequences", (len(columns["start"]), 4, 60)),
        ("hypothetical", (len(columns["start"]), 4, 60)),
    ):
        with np.load(run / f"attributions_train_{kind}.npz") as archive:
            assert archive["arr_0"].shape == shape
    assert not list(run.glob(".attributions*"))


@pytest.mark.parametrize("moment", [3, 12])
def test_killed_it_goes_on_and_ends_in_the_same_scores(world, train_split, tmp_path, moment):
    run = world.folder / "run"
    kill = tiny.Interrupt(signal.SIGKILL, moment, str(run / ".attributions_train.parts"))
    (run / "attributions_train.h5").unlink()
    assert attribute(world, "--config.attribute.split=train", interrupt=kill).status == -signal.SIGKILL
    assert not (run / "attributions_train.h5").exists()
    parts = list((run / ".attributions_train.parts").glob("*.npz"))
    assert attribute(world, "--config.attribute.split=train").status == 0
    found = read_scores(run / "attributions_train.h5")
    for name, values in train_split[0].items():
        np.testing.assert_array_equal(found[name], values)
    assert bool(parts) == (moment == 12)


def test_parts_of_other_settings_are_not_mixed_in(world):
    run = world.folder / "run"
    kill = tiny.Interrupt(signal.SIGKILL, 12, str(run / ".attributions_train.parts"))
    arguments = ["--config.attribute.split=train", "--config.attribute.references=zeros"]
    assert attribute(world, *arguments, interrupt=kill).status == -signal.SIGKILL
    assert list((run / ".attributions_train.parts").glob("*.npz"))
    assert attribute(world, "--config.attribute.split=train", "--config.attribute.references=gc").status == 0
    gc = read_scores(run / "attributions_train.h5")
    assert attribute(world, *arguments).status == 0
    zeros = read_scores(run / "attributions_train.h5")
    differ = np.any(gc["hypothetical"] != zeros["hypothetical"], axis=(1, 2))
    assert differ.all()


def test_loci_of_a_file_and_what_is_dropped(world, tmp_path):
    bed = tmp_path / "some.loci.bed"
    bed.write_text("chr1\t1000\t1101\nchr2\t0\t11\nchr3\t5000\t5001\nchrUn\t5\t9\n")
    outcome = attribute(world, f"--config.attribute.loci={bed}", f"--config.attribute.genome={world.genome}")
    assert outcome.status == 0, outcome.err
    assert "2 loci; dropped: 1 on chrUn, not in the genome, 1 input leaves its chromosome" in outcome.out
    columns = read_scores(world.folder / "run" / "attributions_some.h5")
    assert list(zip(columns["chromosome"], columns["start"], strict=True)) == [("chr1", 1020), ("chr3", 4970)]
    with pyBigWig.open(str(world.folder / "run" / "attributions_some.bw")) as file:
        assert file.chroms("chr1") == tiny.LENGTH
    settings = json.loads(read_attributes(world.folder / "run" / "attributions_some.h5")["settings"])
    assert settings["num_references"] == 3 and len(settings["loci_sha256"]) == 64


def read_attributes(path: Path) -> dict:
    import h5py

    with h5py.File(path) as file:
        return dict(file.attrs)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--config.attribute.task=1"], "config.attribute.task (=1)"),
        (["--config.attribute.loci=absent.bed"], "config.attribute.loci (='absent.bed')"),
        (["--config.attribute.loci={bed}"], "config.attribute.genome (='')"),
        (["--config.attribute.genome={genome}"], "name it in config.attribute.loci"),
        (["--config.attribute.loci={bed}", "--config.attribute.genome={genome}"], "lies inside its chromosome"),
    ],
)
def test_wrong_input(world, tmp_path, arguments, part):
    bed = tmp_path / "edge.bed"
    bed.write_text("chr1\t0\t2\n")
    paths = {"bed": bed, "genome": world.genome}
    before = sorted(path.name for path in (world.folder / "run").iterdir())
    assert part in attribute(world, *(argument.format(**paths) for argument in arguments)).error
    assert sorted(path.name for path in (world.folder / "run").iterdir()) == before


def test_run_that_is_not_finished(world, tmp_path):
    assert "not a run" in world.command("attribute", f"--workdir={tmp_path}").error
