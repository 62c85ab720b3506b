"""Batches of a data set as a pure function of (seed, step).

A batch is made in three stages: `draw` picks loci and shifts from random numbers alone, the letters of their windows
are gathered, and `assemble` adds opposite strands and one-hot encodes. Where the letters lie decides who gathers:

    on the device   `batch_at` does all three inside the compiled training step
    on the host     `HostWindows` gathers from memory-mapped files, ahead of the step that needs them

The batches are the same to the bit.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fprior.data.dataset import Dataset, TrackLayout
from fprior.data.permutation import permuted_index
from fprior.data.splits import SPLITS
from fprior.errors import InputError
from fprior.sequence import one_hot, reverse_complement_tokens
from fprior.typing import AnyArray


@dataclass(frozen=True)
class BatchPlan:
    """What a batch is made of; hashable, so that it can be static under `jax.jit`.

    `positives` and `negatives` examples are drawn; with `reverse_complement` each comes with its opposite
    strand. `window` is the data set's, `input_length` the model's; each example is shifted by a number of bases
    drawn uniformly from −jitter … jitter. With a `layout` of tracks, every example also has the counts of the
    `output_length` positions in the middle of its input.
    """

    window: int
    input_length: int
    positives: int
    negatives: int
    jitter: int = 0
    reverse_complement: bool = True
    output_length: int = 0
    layout: TrackLayout | None = None

    def __post_init__(self) -> None:
        if self.input_length + 2 * self.jitter > self.window:
            raise InputError(
                f"input_length (={self.input_length}) and twice the jitter (={self.jitter}) exceed the data set's"
                f" window of {self.window} bases; reduce one of them or prepare a wider data set"
            )
        if self.layout is not None and not 0 < self.output_length <= self.input_length:
            raise InputError(
                f"output_length (={self.output_length}) must be from 1 to input_length (={self.input_length})"
            )
        if self.layout is not None and (self.input_length - self.output_length) % 2:
            raise InputError(
                f"output_length (={self.output_length}) must be odd where input_length (={self.input_length}) is, and"
                " even where it is even: else the middle of the opposite strand is another one"
            )

    @property
    def size(self) -> int:
        """Sequences a batch, opposite strands included."""
        return (self.positives + self.negatives) * self.strands

    @property
    def leading_positives(self) -> int:
        """The first so many sequences of every batch are the positives."""
        return self.positives * self.strands

    @property
    def strands(self) -> int:
        return 2 if self.reverse_complement else 1


class Pools(NamedTuple):
    """The loci that training draws from, as indices into the data set's."""

    positives: AnyArray  # (P,) int32
    negatives: AnyArray  # (M,) int32


class Examples(NamedTuple):
    """The part of a data set that training draws from, as arrays on a device."""

    tokens: jax.Array  # (bases,) uint8
    offsets: jax.Array  # (N,) int32, where each locus's stored window starts
    labels: jax.Array  # (N, T) int8
    pools: Pools
    tracks: jax.Array | None = None  # (bases, columns), unsigned


class Windows(NamedTuple):
    """What was drawn and gathered for one batch, opposite strands not yet added; positives first."""

    tokens: AnyArray  # (n, L) uint8
    labels: AnyArray  # (n, T) int8
    locus: AnyArray  # (n,) int32
    counts: AnyArray | None = None  # (n, O, columns), unsigned


class Batch(NamedTuple):
    """One-hot x `(B, L, 4)` float32, labels `(B, T)` int8 and the index of each sequence's locus `(B,)`.

    With tracks also counts, float32: `profiles` `(B, T, O, S)`, and `controls` `(B, control sets, O, S)` if there are
    any. On the opposite strand positions run backwards and strands change places, as bases do.
    """

    x: jax.Array
    labels: jax.Array
    locus: jax.Array
    profiles: jax.Array | None = None
    controls: jax.Array | None = None


def pools_of(dataset: Dataset, split: int) -> Pools:
    """The loci of one split.

    Raises:
      InputError: the split has no positives or no negatives.
    """
    positives, negatives = (dataset.select(split, positive=positive).astype(np.int32) for positive in (True, False))
    pools = Pools(positives, negatives)
    for kind, chosen in zip(("positive", "negative"), pools, strict=True):
        if not len(chosen):
            raise InputError(
                f"{dataset.path}: the {SPLITS[split]} split has no {kind} loci; prepare it with another split"
            )
    return pools


def examples_of(
    dataset: Dataset, split: int, *, tracks: bool = False, place: Callable[[np.ndarray], jax.Array] = jnp.asarray
) -> Examples:
    """The examples of one split on the device, ready for `batch_at`; with the data set's tracks, if asked for.

    `place` puts an array where it is to lie.

    Raises:
      InputError: the split has no positives or no negatives, or the tokens are too many for 32-bit indices.
    """
    if len(dataset.tokens) >= 2**31:
        raise InputError(
            f"{dataset.path}: {len(dataset.tokens):,} bases are more than 32-bit indices reach on a device; read them"
            " from the host"
        )
    return Examples(
        tokens=place(dataset.tokens),
        offsets=place(dataset.loci["offset"].astype(np.int32)),
        labels=place(dataset.loci["labels"].astype(np.int8)),
        pools=jax.tree.map(place, pools_of(dataset, split)),
        tracks=place(_tracks_of(dataset)) if tracks else None,
    )


def _tracks_of(dataset: Dataset) -> np.ndarray:
    if dataset.tracks is None:
        raise InputError(f"{dataset.path}: it has no tracks; prepare it with some, or ask for none")
    return dataset.tracks


def draw(pools: Pools, plan: BatchPlan, seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which loci make up the batch of a step, and by how many bases each window is shifted: int32 `(n,)` both.

    Positives are read in a fresh random order each epoch, without gaps: a batch may end one epoch and begin the
    next. Negatives are read likewise through their own, larger pool, so that an epoch's negatives are not those
    of the epoch before.

    Args:
      pools: the loci to draw from.
      plan: what the batch is made of (static).
      seed: uint32 scalar.
      step: int32 scalar, counted from 0.
    """
    order_key, jitter_key = jax.random.split(jax.random.key(seed))
    loci, shifts = [], []
    for kind, (pool, count) in enumerate(zip(pools, (plan.positives, plan.negatives), strict=True)):
        position = step * count + jnp.arange(count)
        loci.append(pool[_shuffled(jax.random.fold_in(order_key, kind), position, len(pool))])
        shift_key = jax.random.fold_in(jax.random.fold_in(jitter_key, kind), step)
        shifts.append(jax.random.randint(shift_key, (count,), -plan.jitter, plan.jitter + 1))
    return jnp.concatenate(loci), jnp.concatenate(shifts)


def _shuffled(key: jax.Array, position: jax.Array, size: int) -> jax.Array:
    """The place in a pool of that size that is read at each position of an endless, epoch-wise shuffled stream."""
    epoch_keys = jax.vmap(lambda epoch: jax.random.fold_in(key, epoch))(position // size)
    return permuted_index(epoch_keys, position % size, size)


def assemble(windows: Windows, plan: BatchPlan) -> Batch:
    """The batch of these windows: positives, their opposite strands, negatives, theirs."""

    def with_strands(array: AnyArray, opposite: Callable[[AnyArray], AnyArray]) -> jax.Array:
        kinds = array[: plan.positives], array[plan.positives :]
        strands = (lambda kind: kind, opposite)[: plan.strands]
        return jnp.concatenate([strand(kind) for kind in kinds for strand in strands])

    tokens = with_strands(windows.tokens, reverse_complement_tokens)
    labels, locus = (with_strands(array, lambda kind: kind) for array in (windows.labels, windows.locus))
    if plan.layout is None:
        return Batch(one_hot(tokens), labels, locus)
    profiles, controls = (
        with_strands(counts.astype(jnp.float32), lambda kind: kind[:, :, ::-1, ::-1])
        for counts in plan.layout.split(windows.counts)
    )
    return Batch(one_hot(tokens), labels, locus, profiles, controls if plan.layout.control_sets else None)


def batch_at(examples: Examples, plan: BatchPlan, seed: jax.Array, step: jax.Array) -> Batch:
    """The batch of a training step, drawn, gathered and assembled on the device; arguments as in `draw`."""
    locus, shift = draw(examples.pools, plan, seed, step)
    first = examples.offsets[locus] + (plan.window - plan.input_length) // 2 + shift
    tokens = examples.tokens[first[:, None] + jnp.arange(plan.input_length)]
    counts = None
    if plan.layout is not None:
        assert examples.tracks is not None, "a plan with a layout is for examples with tracks"
        middle = first + (plan.input_length - plan.output_length) // 2
        counts = examples.tracks[middle[:, None] + jnp.arange(plan.output_length)]
    return assemble(Windows(tokens, examples.labels[locus], locus, counts), plan)


class HostWindows:
    """The windows of one split's batches, gathered on the host; `assemble` makes them the batches of `batch_at`.

    Memory holds only what the operating system keeps of the mapped file, and there may be more than 2³¹ bases.
    """

    def __init__(self, dataset: Dataset, split: int, plan: BatchPlan):
        self._dataset, self._plan = dataset, plan
        self._labels = dataset.loci["labels"].astype(np.int8)
        self._offsets = dataset.loci["offset"].astype(np.int64) + (plan.window - plan.input_length) // 2
        pools = pools_of(dataset, split)
        self._host = jax.local_devices(backend="cpu")[0]
        with jax.default_device(self._host):
            self._pools = jax.tree.map(jnp.asarray, pools)
        self._draw = jax.jit(partial(draw, plan=plan))

    def __call__(self, seed: int, step: int, rows: range | None = None) -> Windows:
        """NumPy arrays: the windows of a step's batch, or those of some of its rows."""
        with jax.default_device(self._host):
            drawn = self._draw(self._pools, seed=jnp.uint32(seed), step=jnp.int32(step))
        locus, shift = (np.asarray(array)[_as_slice(rows)] for array in drawn)
        plan, first = self._plan, self._offsets[locus] + shift
        tokens = _rows(self._dataset.tokens, first, plan.input_length)
        counts = None
        if plan.layout is not None:
            middle = first + (plan.input_length - plan.output_length) // 2
            counts = _rows(_tracks_of(self._dataset), middle, plan.output_length)
        return Windows(tokens, self._labels[locus], locus, counts)


def _as_slice(rows: range | None) -> slice:
    return slice(None) if rows is None else slice(rows.start, rows.stop)


def _rows(array: np.ndarray, first: np.ndarray, length: int) -> np.ndarray:
    """The slices of that length at `first`; one by one, which a mapped file serves faster than single elements."""
    rows = np.empty((len(first), length, *array.shape[1:]), array.dtype)
    for row, begin in zip(rows, first, strict=True):
        row[:] = array[begin : begin + length]
    return rows


class Ahead:
    """Computes `function(step)` for the next steps in background threads while the present one is used.

    A context manager; `get` returns the value for a step, starts the `depth` steps after it and forgets those
    before it. An exception of the function is raised by the `get` of its step.
    """

    def __init__(self, function: Callable[[int], Any], *, depth: int = 4):
        self._function, self._depth = function, depth
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="windows")
        self._pending: dict[int, Future] = {}

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def get(self, step: int) -> Any:
        wanted = range(step, step + self._depth + 1)
        self._pending = {s: self._pending.get(s) or self._threads.submit(self._function, s) for s in wanted}
        return self._pending[step].result()
