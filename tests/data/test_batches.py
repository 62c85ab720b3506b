"""Batches as a pure function of (seed, step), wherever the letters lie."""

import threading

import jax
import numpy as np
import pytest
from refusals import refusal
from toy import GENOME, MANIFEST, NEGATIVES, POSITIVES, WINDOW, make_loci, save

from fprior.data.batches import Ahead, BatchPlan, HostWindows, assemble, batch_at, examples_of
from fprior.data.dataset import Dataset, open_dataset, save_dataset
from fprior.errors import InputError
from fprior.sequence import reverse_complement


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return open_dataset(save(tmp_path_factory.mktemp("data") / "toy"))


@pytest.fixture(scope="module")
def examples(dataset):
    return examples_of(dataset, 0)


def plan(**changes) -> BatchPlan:
    return BatchPlan(**{"window": WINDOW, "input_length": 12, "positives": 4, "negatives": 6, "jitter": 3} | changes)


compiled = jax.jit(batch_at, static_argnums=1)
FORWARD = plan(reverse_complement=False)


def jitted(examples, seed, step):
    return compiled(examples, plan(), np.uint32(seed), np.int32(step))


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_is_a_function_of_seed_and_step(examples):
    one = jitted(examples, 7, 5)
    jitted(examples, 7, 6)
    assert same(one, jitted(examples, 7, 5))
    assert same(one, batch_at(examples, plan(), np.uint32(7), np.int32(5)))
    for seed, step in ((7, 6), (8, 5)):
        other = jitted(examples, seed, step)
        assert not np.array_equal(one.x, other.x) and not np.array_equal(one.locus, other.locus)


def test_shapes_and_types(examples):
    batch = jitted(examples, 0, 0)
    assert (batch.x.shape, batch.labels.shape, batch.locus.shape) == ((20, 12, 4), (20, 2), (20,))
    assert (batch.x.dtype, batch.labels.dtype) == (np.float32, np.int8)
    assert plan().size == 20 and plan().leading_positives == 8
    assert FORWARD.size == 10 and FORWARD.leading_positives == 4


def test_opposite_strands_follow_their_partners(examples):
    batch = jitted(examples, 3, 2)
    for first, count in ((0, 4), (8, 6)):
        ours, theirs = slice(first, first + count), slice(first + count, first + 2 * count)
        assert np.array_equal(batch.x[theirs], reverse_complement(batch.x[ours]))
        assert not np.array_equal(batch.x[theirs], batch.x[ours])
        assert np.array_equal(batch.locus[theirs], batch.locus[ours])
    forward = compiled(examples, FORWARD, np.uint32(3), np.int32(2))
    assert np.array_equal(forward.x, batch.x[np.r_[0:4, 8:14]])


def test_positives_come_first(dataset, examples):
    for step in range(10):
        batch = jitted(examples, 1, step)
        positive = (np.asarray(batch.labels) == 1).any(axis=1)
        assert positive[:8].all() and not positive[8:].any()
        assert (dataset.loci["split"][batch.locus] == 0).all()
        assert not ((dataset.loci["labels"][batch.locus] == -1).any(axis=1) & ~positive).any()


def letters(x: np.ndarray) -> str:
    return "".join("ACGT"[row.argmax()] if row.any() else "N" for row in np.asarray(x))


@pytest.mark.parametrize("jitter", [0, 4])
def test_letters_and_labels_are_those_of_the_locus(dataset, examples, jitter):
    """jitter=4 reaches both ends of the stored window, of which some lie at the ends of the stored tokens."""
    shifts = []
    for step in range(40):
        batch = compiled(examples, plan(jitter=jitter, reverse_complement=False), np.uint32(2), np.int32(step))
        assert np.array_equal(batch.labels, dataset.loci["labels"][batch.locus])
        for x, locus in zip(batch.x, np.asarray(batch.locus), strict=True):
            start, end = (int(dataset.loci[name][locus]) for name in ("start", "end"))
            place = GENOME[start:end].find(letters(x))
            assert place >= 0
            shifts.append(place - (WINDOW - 12) // 2)
    assert (min(shifts), max(shifts)) == (-jitter, jitter)


def stream(examples, seed: int, count: int, kind: slice) -> np.ndarray:
    batches = [compiled(examples, FORWARD, np.uint32(seed), np.int32(step)) for step in range(count)]
    return np.concatenate([np.asarray(batch.locus)[kind] for batch in batches])


@pytest.mark.parametrize(("kind", "size"), [(slice(0, 4), POSITIVES), (slice(4, 10), NEGATIVES)])
def test_every_locus_once_an_epoch(dataset, examples, kind, size):
    """Batches of 4 and 6 straddle the epochs of 13 and 29: the stream is cut by epoch, not by batch."""
    read = stream(examples, 4, 29, kind)
    epochs = [read[i : i + size] for i in range(0, len(read) - size, size)]
    pool = dataset.select(0, positive=size == POSITIVES)
    assert len(epochs) > 4
    for epoch in epochs:
        assert np.array_equal(np.sort(epoch), pool)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)  # each in an order of its own
    assert not np.array_equal(read, stream(examples, 5, 29, kind))


def test_window_must_hold_input_and_jitter():
    message = refusal(plan, jitter=5)
    assert "input_length (=12)" in message and "jitter (=5)" in message and "20" in message
    assert plan(jitter=4).size == 20


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_both_kinds_are_needed(tmp_path, kind):
    tokens, loci = make_loci(np.random.default_rng(0))
    unwanted = (loci["labels"] == 1).any(axis=1) == (kind == "positive")
    loci["split"] = np.where(unwanted, 2, 0).astype(np.uint8)
    save_dataset(tmp_path / "toy", MANIFEST, tokens, loci)
    assert f"the train split has no {kind} loci" in refusal(examples_of, open_dataset(tmp_path / "toy"), 0)


# ---- windows gathered on the host


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("reverse_complement", [False, True])
def test_host_and_device_give_the_same_batches(tmp_path, compress, reverse_complement):
    dataset = open_dataset(save(tmp_path / "toy", compress=compress))
    how = plan(reverse_complement=reverse_complement)
    on_device, on_host = examples_of(dataset, 0), HostWindows(dataset, 0, how)
    for seed, step in ((0, 0), (0, 1), (2**32 - 1, 7), (3, 1000)):
        windows = on_host(seed, step)
        assert all(isinstance(array, np.ndarray) for array in windows if array is not None)
        expected = compiled(on_device, how, np.uint32(seed), np.int32(step))
        assert same(jax.jit(assemble, static_argnums=1)(windows, how), expected)


def test_host_windows_need_both_kinds(dataset):
    with pytest.raises(InputError, match="valid split has no"):
        HostWindows(open_without_valid(dataset), 1, plan())


def open_without_valid(dataset: Dataset) -> Dataset:
    loci = {**dataset.loci, "split": np.where(dataset.loci["split"] == 1, 0, dataset.loci["split"])}
    return Dataset(dataset.path, dataset.manifest, dataset.tokens, loci)


def test_ahead_gives_every_step_its_value_and_works_ahead():
    asked, enough = [], threading.Event()

    def square(step: int) -> int:
        asked.append(step)
        if len(asked) >= 4:
            enough.set()
        return step**2

    with Ahead(square, depth=3) as ahead:
        assert ahead.get(5) == 25
        assert enough.wait(10)  # 6, 7 and 8, which nobody has asked for yet
        assert [ahead.get(step) for step in (6, 7, 8, 2)] == [36, 49, 64, 4]
    assert all(asked.count(step) == 1 for step in (6, 7, 8))


def test_ahead_raises_the_error_of_its_step():
    def fail_at_two(step: int) -> int:
        if step == 2:
            raise InputError("step 2")
        return step

    with Ahead(fail_at_two, depth=2) as ahead:
        assert ahead.get(0) == 0
        assert ahead.get(1) == 1
        with pytest.raises(InputError, match="step 2"):
            ahead.get(2)
        assert ahead.get(3) == 3
