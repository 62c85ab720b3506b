"""Tracks stored beside the letters: on disk, and in batches at the right positions on the right strand."""

import gzip
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refusal
from toy import MANIFEST, WINDOW, make_loci

from fprior.data.batches import BatchPlan, HostWindows, assemble, batch_at, draw, examples_of
from fprior.data.dataset import Dataset, TrackLayout, open_dataset, save_dataset
from fprior.data.dataset_checks import CONTROLS
from fprior.errors import InputError
from fprior.sequence import one_hot, reverse_complement_tokens

BASES, INPUT, OUTPUT = 2900, 12, 6
STORED_FROM = 100  # the position in the genome of the first base that is stored
MATCHED = TrackLayout(2, 2, "matched")
LAYOUTS = [MATCHED, TrackLayout(2, 1, "shared"), TrackLayout(2, 2, "none")]
ALL_LAYOUTS = [TrackLayout(2, strands, controls) for strands in (1, 2) for controls in CONTROLS]
named = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.controls}-{layout.strands}")


def tracks_of(layout: TrackLayout) -> np.ndarray:
    """Every count tells its base and its column."""
    return (16 * np.arange(BASES)[:, None] + np.arange(layout.columns)).astype(np.uint16)


def manifest_of(layout: TrackLayout) -> dict:
    return {**MANIFEST, "tracks": {"strands": layout.strands, "controls": layout.controls}}


def save(path, layout=MATCHED, **options):
    tokens, loci = make_loci(np.random.default_rng(0))
    options = {"tracks": [tracks_of(layout)], **options}
    save_dataset(path, manifest_of(layout), options.pop("tokens", tokens), loci, **options)
    return path


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[TrackLayout, Dataset]:
    folder = tmp_path_factory.mktemp("data")
    return {layout: open_dataset(save(folder / str(i), layout)) for i, layout in enumerate(LAYOUTS)}


def plan(layout=MATCHED, **changes) -> BatchPlan:
    settings = {"window": WINDOW, "input_length": INPUT, "positives": 4, "negatives": 6, "jitter": 4}
    return BatchPlan(**settings | {"output_length": OUTPUT, "layout": layout} | changes)


compiled = jax.jit(batch_at, static_argnums=1)
assembled = jax.jit(assemble, static_argnums=1)
_draw = jax.jit(draw, static_argnums=1)


def at(dataset: Dataset, how: BatchPlan, seed: int = 0, step: int = 0):
    return compiled(examples_of(dataset, 0, tracks=True), how, np.uint32(seed), np.int32(step))


def drawn(dataset: Dataset, seed: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Locus and shift of every example; tracks have no part in it."""
    locus, shift = _draw(examples_of(dataset, 0).pools, plan(None), np.uint32(seed), np.int32(step))
    return np.asarray(locus), np.asarray(shift)


def same(a, b) -> bool:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


# ---- columns


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=str)
def test_split_takes_columns_task_by_task_then_controls(layout):
    counts = np.arange(3 * 5 * layout.columns).reshape(3, 5, layout.columns)
    profiles, controls = layout.split(counts)
    sets = {"none": 0, "shared": 1, "matched": 2}[layout.controls]
    assert profiles.shape == (3, 2, 5, layout.strands) and controls.shape == (3, sets, 5, layout.strands)
    assert layout.control_sets == sets and layout.columns == (2 + sets) * layout.strands
    column = itertools.count()
    for array in (profiles, controls):
        for group, strand in itertools.product(range(array.shape[1]), range(layout.strands)):
            np.testing.assert_array_equal(array[:, group, :, strand], counts[:, :, next(column)])
    assert next(column) == layout.columns
    assert same(layout.split(jnp.asarray(counts)), layout.split(counts))


# ---- the directory


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_round_trip_of_streamed_pieces(tmp_path, compress, dtype):
    """Pieces of other integers, one of them empty; tokens likewise."""
    tokens, _ = make_loci(np.random.default_rng(0))
    tracks = (tracks_of(MATCHED) % 251).astype(np.int64)
    cuts = [0, 7, 7, 1500, BASES]
    pieces = ([array[a:b] for a, b in itertools.pairwise(cuts)] for array in (tokens, tracks))
    options = {"tokens": iter(next(pieces)), "tracks": iter(next(pieces)), "bases": BASES, "track_dtype": dtype}
    folder = save(tmp_path / "toy", compress=compress, **options)
    dataset = open_dataset(folder)
    assert dataset.tracks.dtype == dtype and isinstance(dataset.tracks, np.memmap) == (not compress)
    np.testing.assert_array_equal(dataset.tracks, tracks)
    np.testing.assert_array_equal(dataset.tokens, tokens)
    assert dataset.layout == MATCHED and dataset.nbytes == BASES * (1 + 8 * np.dtype(dtype).itemsize)
    ending = ".npy.gz" if compress else ".npy"
    assert {f"tracks{ending}", f"tokens{ending}"} < set(dataset.manifest["files"])
    whole = save(tmp_path / "whole", compress=compress, tracks=[tracks], track_dtype=dtype)
    assert (whole / f"tracks{ending}").read_bytes() == (folder / f"tracks{ending}").read_bytes()
    if not compress:
        np.testing.assert_array_equal(np.load(folder / "tracks.npy"), tracks)


def test_a_data_set_without_tracks_has_no_layout(tmp_path):
    tokens, loci = make_loci(np.random.default_rng(0))
    save_dataset(tmp_path / "toy", MANIFEST, tokens, loci)
    dataset = open_dataset(tmp_path / "toy")
    assert dataset.tracks is None and dataset.layout is None and dataset.nbytes == BASES
    assert examples_of(dataset, 0).tracks is None


GOOD = tracks_of(MATCHED)
LARGER = np.where(GOOD == GOOD.max(), 2**16, GOOD.astype(np.int64))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tracks": [GOOD[:, :7]]}, ValueError, r"tracks.npy has the shape \(2900, 7\), not \('n', 8\)"),
        ({"tracks": [GOOD[:, 0]]}, ValueError, r"tracks.npy has the shape \(2900,\), not \('n', 8\)"),
        ({"tracks": [GOOD[:-1]]}, ValueError, "tracks.npy have 2899 rows together, not 2900"),
        ({"tracks": [GOOD, GOOD[:1]]}, ValueError, "tracks.npy have 2901 rows together, not 2900"),
        ({"tracks": []}, ValueError, "tracks.npy have 0 rows together"),
        ({"tracks": None}, ValueError, r"tracks and manifest\['tracks'\] belong together"),
        ({"tracks": [LARGER]}, InputError, "a count of 65536 does not fit into uint16"),
        ({"track_dtype": np.uint8}, InputError, "a count of 46391 does not fit into uint8; store it as a wider"),
        ({"tracks": [GOOD.astype(np.int64) - 1]}, InputError, "tracks.npy has values that are no counts"),
        ({"tracks": [GOOD + 0.5]}, InputError, "tracks.npy has values that are no counts"),
        ({"tracks": [np.where(GOOD == 5, np.nan, GOOD)]}, InputError, "tracks.npy has values that are no counts"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_wrong_pieces_are_refused_and_leave_nothing_behind(tmp_path, change, error, message, compress):
    with pytest.raises(error, match=message):
        save(tmp_path / "deep" / "toy", compress=compress, **change)
    assert not (tmp_path / "deep").exists() or not list((tmp_path / "deep").iterdir())


def test_tracks_without_a_description_are_refused(tmp_path):
    tokens, loci = make_loci(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"tracks and manifest\['tracks'\] belong together"):
        save_dataset(tmp_path / "toy", MANIFEST, tokens, loci, tracks=[GOOD])
    assert not list(tmp_path.iterdir())


def remove(folder):
    (folder / "tracks.npy").unlink()


def truncate(folder):
    with open(folder / "tracks.npy", "r+b") as file:
        file.truncate(1000)


def shorten(folder):
    np.save(folder / "tracks.npy", GOOD[:-1])


def narrow(folder):
    np.save(folder / "tracks.npy", GOOD[:, :-1])


def sign(folder):
    np.save(folder / "tracks.npy", GOOD.astype(np.int32))


def forget(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["tracks.npy"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def other_controls(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tracks"]["controls"] = "shared"
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [remove, truncate, shorten, narrow, sign, forget, other_controls])
def test_damaged_tracks_are_named_with_their_remedy(tmp_path, damage):
    folder = save(tmp_path / "toy")
    damage(folder)
    message = refusal(open_dataset, folder)
    assert str(folder) in message and "tracks.npy" in message and "prepare the data set again" in message


@pytest.mark.parametrize("cut", [5, 3000, -4])
def test_truncated_compressed_tracks(tmp_path, cut):
    folder = save(tmp_path / "toy", compress=True)
    content = (folder / "tracks.npy.gz").read_bytes()
    (folder / "tracks.npy.gz").write_bytes(content[:cut])
    assert f"{folder / 'tracks.npy.gz'}: cannot be read" in refusal(open_dataset, folder)
    (folder / "tracks.npy.gz").write_bytes(gzip.compress(b"no array"))
    assert f"{folder / 'tracks.npy.gz'}: cannot be read" in refusal(open_dataset, folder)


# ---- batches


def expected_counts(layout: TrackLayout, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Profiles and controls of the OUTPUT bases from `first` in the genome, count by count."""
    everything = tracks_of(layout).astype(np.float32)
    shape = (len(first), layout.columns // layout.strands, OUTPUT, layout.strands)
    counts = np.empty(shape, np.float32)
    for row, group, position, strand in np.ndindex(shape):
        base = first[row] - STORED_FROM + position
        counts[row, group, position, strand] = everything[base, group * layout.strands + strand]
    return counts[:, :2], counts[:, 2:]


@named
def test_profiles_are_the_tracks_at_the_bases_of_the_example(datasets, layout):
    """With jitter that reaches both ends of the stored windows, of which some lie at the ends of what is stored."""
    dataset, how = datasets[layout], plan(layout, reverse_complement=False)
    examples, shifts = examples_of(dataset, 0, tracks=True), []
    for step in range(12):
        batch = compiled(examples, how, np.uint32(5), np.int32(step))
        locus, shift = drawn(dataset, 5, step)
        assert np.array_equal(locus, batch.locus)
        start = dataset.loci["start"][locus] + (WINDOW - INPUT) // 2 + shift
        assert same(batch.x, one_hot(np.stack([dataset.tokens[a - 100 : a - 100 + INPUT] for a in start])))
        profiles, controls = expected_counts(layout, start + (INPUT - OUTPUT) // 2)
        assert batch.profiles.dtype == np.float32 and same(batch.profiles, profiles)
        assert (batch.controls is None) == (layout.controls == "none")
        assert batch.controls is None or same(batch.controls, controls)
        shifts.extend(np.asarray(shift).tolist())
    assert (min(shifts), max(shifts)) == (-4, 4)


@named
def test_opposite_strands_run_backwards_with_strands_swapped(datasets, layout):
    batch = at(datasets[layout], plan(layout))
    forward = at(datasets[layout], plan(layout, reverse_complement=False))
    for first, count in ((0, 4), (8, 6)):
        ours, theirs = slice(first, first + count), slice(first + count, first + 2 * count)
        for counts in (batch.profiles, batch.controls):
            if counts is not None:
                assert same(counts[theirs], counts[ours][:, :, ::-1, ::-1])
                assert not np.array_equal(counts[theirs], counts[ours])
    kept = np.r_[0:4, 8:14]
    assert same(forward, jax.tree.map(lambda array: array[kept], batch))


@named
def test_opposite_strands_are_what_the_opposite_genome_gives(datasets, layout):
    """The same loci upon the reverse complement of the genome, whose plus strand is the minus strand of this one."""
    dataset, how = datasets[layout], plan(layout)
    batch = at(dataset, how, seed=3, step=2)
    locus, shift = drawn(dataset, 3, 2)
    tokens = np.asarray(reverse_complement_tokens(dataset.tokens))
    tracks = dataset.tracks[::-1].reshape(BASES, -1, layout.strands)[:, :, ::-1].reshape(BASES, -1)
    offset = BASES - dataset.loci["offset"] - WINDOW
    first = offset[locus] + (WINDOW - INPUT) // 2 - shift
    x = one_hot(np.stack([tokens[a : a + INPUT] for a in first]))
    middle = first + (INPUT - OUTPUT) // 2
    profiles, controls = layout.split(np.stack([tracks[a : a + OUTPUT] for a in middle]).astype(np.float32))
    opposite = np.r_[4:8, 14:20]
    assert same(batch.x[opposite], x) and same(batch.profiles[opposite], profiles)
    assert batch.controls is None or same(batch.controls[opposite], controls)


@pytest.mark.parametrize(("layout", "compress"), [*zip(LAYOUTS, [False] * 3, strict=True), (MATCHED, True)])
def test_host_and_device_give_the_same_batches(tmp_path, datasets, layout, compress):
    dataset = open_dataset(save(tmp_path / "toy", layout, compress=True)) if compress else datasets[layout]
    how = plan(layout)
    on_host = HostWindows(dataset, 0, how)
    for seed, step in ((0, 0), (2**32 - 1, 7), (3, 1000)):
        windows = on_host(seed, step)
        assert all(isinstance(array, np.ndarray) for array in windows) and windows.counts.dtype == np.uint16
        assert same(assembled(windows, how), at(dataset, how, seed, step))


def test_letters_do_not_depend_on_the_tracks(datasets):
    dataset = datasets[MATCHED]
    without = compiled(examples_of(dataset, 0), plan(None, output_length=0), np.uint32(1), np.int32(4))
    assert without.profiles is None and without.controls is None
    assert same(without, at(dataset, plan(), 1, 4)._replace(profiles=None, controls=None))


@pytest.mark.parametrize("length", [OUTPUT, INPUT, WINDOW])
def test_counts_of_the_middle_are_those_of_the_interval(datasets, length):
    """In evaluation: the tracks of the bases that `interval` names, in the middle of every longer input."""
    dataset = datasets[MATCHED]
    everything = np.arange(len(dataset.loci["start"]))
    profiles, controls = dataset.counts(everything, length)
    _, start, end = dataset.interval(everything, length)
    assert profiles.shape == controls.shape == (len(everything), 2, length, 2)
    for row, (a, b) in enumerate(zip(start, end, strict=True)):
        counts = GOOD[a - STORED_FROM : b - STORED_FROM]
        assert same(profiles[row].swapaxes(0, 1).reshape(length, -1), counts[:, :4])
        assert same(controls[row].swapaxes(0, 1).reshape(length, -1), counts[:, 4:])


def test_training_and_evaluation_read_the_same_middle(datasets):
    how = plan(reverse_complement=False, jitter=0)
    batch = at(datasets[MATCHED], how)
    profiles, controls = datasets[MATCHED].counts(np.asarray(batch.locus), OUTPUT)
    assert same(batch.profiles, profiles) and same(batch.controls, controls)
    assert same(batch.x, one_hot(datasets[MATCHED].centred(np.asarray(batch.locus), INPUT)))


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, r"output_length \(=0\) must be from 1 to input_length \(=12\)"),
        (13, r"output_length \(=13\) must be from 1 to input_length \(=12\)"),
        (5, r"output_length \(=5\) must be odd where input_length \(=12\) is, and even where it is even"),
    ],
)
def test_output_must_lie_in_the_middle_of_the_input(length, message):
    with pytest.raises(InputError, match=message):
        plan(output_length=length)
    assert plan(None, output_length=length).layout is None
    assert plan(output_length=INPUT).output_length == INPUT
