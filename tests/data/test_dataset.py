"""Data sets on disk."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from refusals import refusal
from toy import AMBIGUOUS, GENOME, MANIFEST, NEGATIVES, POSITIVES, WINDOW, make_loci, save

from fprior.data import dataset as module
from fprior.data.dataset import Dataset, open_dataset, save_dataset
from fprior.errors import InputError
from fprior.sequence import decode


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path / "toy")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return open_dataset(save(tmp_path_factory.mktemp("data") / "toy"))


# ---- the directory


@pytest.mark.parametrize("compress", [False, True])
def test_round_trip(tmp_path, compress):
    tokens, loci = make_loci(np.random.default_rng(0))
    dataset = open_dataset(save(tmp_path / "toy", compress=compress, extra_files={"TERMS.txt": "free"}))
    assert np.array_equal(dataset.tokens, tokens) and dataset.tokens.dtype == np.uint8
    assert isinstance(dataset.tokens, np.memmap) == (not compress)
    assert dataset.loci.keys() == loci.keys()
    for name, column in loci.items():
        assert dataset.loci[name].dtype == column.dtype
        assert np.array_equal(dataset.loci[name], column, equal_nan=name == "signal")
    assert {name: dataset.manifest[name] for name in MANIFEST} == MANIFEST
    assert (dataset.window, dataset.tasks, dataset.manifest["bases"]) == (WINDOW, ("A", "B"), 2900)
    assert (dataset.path / "TERMS.txt").read_text() == "free"
    assert set(dataset.manifest["files"]) == {path.name for path in dataset.path.iterdir()} - {"manifest.json"}


def test_compressed_files_have_the_same_bytes_each_time(tmp_path):
    first, second = (save(tmp_path / name, compress=True) for name in ("first", "second"))
    assert (first / "tokens.npy.gz").read_bytes() == (second / "tokens.npy.gz").read_bytes()


def test_shipped_data_set_opens_by_name():
    dataset = open_dataset("ctcf_gm12878")
    positive = (dataset.loci["labels"] == 1).any(axis=1)
    assert dataset.manifest["peaks"] == positive.sum() + sum(dataset.manifest["dropped"].values())
    for index, counts in enumerate(dataset.manifest["loci"].values()):
        here = dataset.loci["split"] == index
        assert counts == {"positives": (positive & here).sum(), "negatives": (~positive & here).sum()}
    last = dataset.loci["offset"].max() + dataset.window
    assert dataset.loci["offset"].min() == 0 and last == len(dataset.tokens)


def test_missing_data_set(tmp_path):
    message = refusal(open_dataset, tmp_path / "nothing")
    assert "nothing: no data set" in message and "experiments.prepare" in message and "ctcf_gm12878" in message


def break_manifest(folder):
    (folder / "manifest.json").write_text("{")


def foreign_json(folder):
    (folder / "manifest.json").write_text("[1, 2]")


def other_format(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


def incomplete_manifest(folder):
    (folder / "manifest.json").write_text(json.dumps({"format": 1}))


def remove_tokens(folder):
    (folder / "tokens.npy").unlink()


def truncate_tokens(folder):
    with open(folder / "tokens.npy", "r+b") as file:
        file.truncate(1000)


def empty_tokens(folder):
    (folder / "tokens.npy").write_bytes(b"")


def shorter_tokens(folder):
    np.save(folder / "tokens.npy", np.zeros(2899, np.uint8))


def wrong_tokens(folder):
    np.save(folder / "tokens.npy", np.zeros(2900, np.int8))


def remove_loci(folder):
    (folder / "loci.npz").unlink()


def truncate_loci(folder):
    content = (folder / "loci.npz").read_bytes()
    (folder / "loci.npz").write_bytes(content[:-10])


def other_loci(folder):
    np.savez(folder / "loci.npz", start=np.arange(3))


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (break_manifest, "manifest.json"),
        (foreign_json, "manifest.json"),
        (other_format, "manifest.json"),
        (incomplete_manifest, "manifest.json"),
        (remove_tokens, "tokens.npy"),
        (truncate_tokens, "tokens.npy"),
        (empty_tokens, "tokens.npy"),
        (shorter_tokens, "tokens.npy"),
        (wrong_tokens, "tokens.npy"),
        (remove_loci, "loci.npz"),
        (truncate_loci, "loci.npz"),
        (other_loci, "loci.npz"),
    ],
)
def test_damage_is_named_with_its_remedy(folder, damage, file):
    damage(folder)
    message = refusal(open_dataset, folder)
    assert str(folder / file) in message and "prepare" in message and "again" in message


@pytest.mark.parametrize("cut", [5, 200, -4])
def test_truncated_compressed_tokens(tmp_path, cut):
    folder = save(tmp_path / "toy", compress=True)
    content = (folder / "tokens.npy.gz").read_bytes()
    (folder / "tokens.npy.gz").write_bytes(content[:cut])
    assert f"{folder / 'tokens.npy.gz'}: cannot be read" in refusal(open_dataset, folder)


def test_corrupted_compressed_tokens(tmp_path):
    folder = save(tmp_path / "toy", compress=True)
    content = bytearray((folder / "tokens.npy.gz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "tokens.npy.gz").write_bytes(content)
    assert f"{folder / 'tokens.npy.gz'}: cannot be read" in refusal(open_dataset, folder)


class Bomb:
    """What a pickle can do to whoever loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("file", ["tokens.npy", "tokens.npy.gz", "loci.npz"])
def test_no_pickle_is_loaded(tmp_path, file):
    folder = save(tmp_path / "toy", compress=file.endswith(".gz"))
    bomb = np.array([Bomb(tmp_path / "exploded")], object)
    if file == "loci.npz":
        np.savez(folder / file, **dict.fromkeys(module._COLUMNS, bomb))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][file] = module.sha256(folder / file)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        with (gzip.open if file.endswith(".gz") else open)(folder / file, "wb") as out:
            np.lib.format.write_array(out, bomb)
    assert str(folder / file) in refusal(open_dataset, folder)
    assert not (tmp_path / "exploded").exists()


def test_no_pickle_is_written(tmp_path):
    tokens, loci = make_loci(np.random.default_rng(0))
    with pytest.raises(ValueError):
        save_dataset(tmp_path / "toy", MANIFEST, tokens, loci | {"chromosome": loci["chromosome"].astype(object)})
    assert not list(tmp_path.iterdir())


def test_existing_directory_is_kept(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "exists already" in refusal(save, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("function", ["write_json", "sha256"])
@pytest.mark.parametrize("error", [OSError(28, "disk full"), KeyboardInterrupt()])
def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch, function, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, function, fail)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        save(tmp_path / "deep" / "toy")
    assert caught.type is KeyboardInterrupt or "cannot be written (disk full)" in str(caught.value)
    assert not list((tmp_path / "deep").iterdir())


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(save, tmp_path / "file" / "toy")


# ---- selecting


def test_select_leaves_ambiguous_loci_out(dataset):
    positives, negatives = (dataset.select(0, positive=kind) for kind in (True, False))
    assert (len(positives), len(negatives)) == (POSITIVES, NEGATIVES)
    labels, split = dataset.loci["labels"], dataset.loci["split"]
    assert (labels[positives] == 1).any(axis=1).all() and (labels[negatives] == 0).all()
    ambiguous = np.flatnonzero((labels == -1).any(axis=1) & (labels != 1).all(axis=1))
    assert len(ambiguous) == AMBIGUOUS and not set(ambiguous) & {*positives, *negatives}
    assert (split[positives] == 0).all() and (split[negatives] == 0).all()
    assert [len(dataset.select(s, positive=kind)) for s in (1, 2) for kind in (True, False)] == [1, 1, 1, 1]


@pytest.mark.parametrize("length", [WINDOW, WINDOW - 1, WINDOW - 2, 7, 4])
def test_centred_letters_are_those_of_the_interval(dataset, length):
    everything = np.arange(len(dataset.loci["start"]))
    chromosome, start, end = dataset.interval(everything, length)
    assert (chromosome == "chr1").all() and (end - start == length).all()
    for tokens, a, b in zip(dataset.centred(everything, length), start, end, strict=True):
        assert decode(tokens) == GENOME[a:b]
    left, right = start - dataset.loci["start"], dataset.loci["end"] - end
    assert (np.abs(right - left) <= 1).all()


def test_strongest_training_positives_are_kept(dataset):
    """The others are in no split; validation, test and negatives are as they were."""
    signal = dataset.loci["signal"].copy()
    positives = dataset.select(0, positive=True)
    signal[positives] = np.random.default_rng(0).permutation(len(positives))
    ranked = replace(dataset, loci={**dataset.loci, "signal": signal})
    fewer = ranked.with_strongest(0.3)
    kept = fewer.select(0, positive=True)
    assert len(kept) == round(0.3 * len(positives))
    assert signal[kept].min() > signal[np.setdiff1d(positives, kept)].max()
    for split, kind in ((0, False), (1, True), (1, False), (2, True), (2, False)):
        assert np.array_equal(fewer.select(split, positive=kind), dataset.select(split, positive=kind))
    assert np.array_equal(ranked.select(0, positive=True), positives)  # which was not changed
    assert ranked.with_strongest(1.0) is ranked
    assert len(ranked.with_strongest(1e-9).select(0, positive=True)) == 1


def test_positives_without_a_signal_have_no_strongest(dataset):
    silent = replace(dataset, loci={**dataset.loci, "signal": np.full_like(dataset.loci["signal"], np.nan)})
    assert "data.top_fraction (=0.5)" in refusal(silent.with_strongest, 0.5)
    silent.with_strongest(1.0)
