"""Random sequences that look like given ones: the references and negatives of an attribution.

Both functions run in NumPy on the host, many sequences at a time, and are functions of a JAX key. What is drawn for
a sequence depends on the key, on the sequence and on its place in the batch, and on nothing else: other sequences in
the batch do not matter, and fewer shuffles are the first of more.
"""

from collections.abc import Sequence
from itertools import product
from math import prod

import jax
import numpy as np
from jaxtyping import Integer, Key, UInt8

from fprior.sequence import ALPHABET, UNKNOWN
from fprior.typing import AnyArray

_BASES = len(ALPHABET)
_BLOCK = 2**21  # positions that are worked on at once; 16 MB for each array of words
_LONGEST = 2**22  # bases; half of it is the most stretches for which a sort key has bits

# A transition from one position to the next as a sort key, from the top: 24 bits of the source state, 1 bit for the
# last transition out of it, 36 random bits, 3 bits of the target's token. Sorting gives each state its transitions in
# random order. Two of a state's thousand transitions tie, and so lose their random order, once in 10⁵ sequences.
_SOURCE_BIT, _RANDOM_BITS = np.uint64(40), np.uint64(36)
_LAST = np.uint64(1 << 39)
_TOKEN = np.uint64(7)
_STATES = 8  # of a stretch: a token in three bits


def dinucleotide_shuffle(
    tokens: Integer[AnyArray, "*batch L"] | Sequence, num_shuffles: int, *, key: Key[jax.Array, ""]
) -> UInt8[np.ndarray, "*batch {num_shuffles} L"]:
    """Random sequences with exactly the dinucleotide counts of each given one.

    A sequence is a walk over the four bases that uses up a stock of transitions; every other order that uses up the
    same stock is as likely as it. So each distinct sequence with the same first base and dinucleotide counts comes
    with equal probability (the last base, and the count of each base, follow from those).

    An unknown base (token 4) stays where it is, and each stretch between unknown bases is shuffled on its own: it
    keeps its dinucleotide counts and its first and last base.

    Args:
      tokens: integers `(…, L)` in 0 … 4.
      num_shuffles: how many for each sequence, at least 1.
      key: one typed PRNG key, `jax.random.key(seed)`.

    Returns:
      uint8 tokens `(…, num_shuffles, L)`.

    Raises:
      TypeError: tokens are no integers, or key is not one typed key.
      ValueError: tokens have no axis, are out of range or too long (2²²), or num_shuffles is below 1.

    Source: Altschul and Erickson, "Significance of nucleotide sequence alignments", Mol. Biol. Evol. 1985; uniformity
    is the theorem of van Aardenne-Ehrenfest and de Bruijn 1951, with the spanning tree drawn by its exact weight.
    """
    tokens, words = _checked(tokens, num_shuffles, "num_shuffles", key)
    length = tokens.shape[-1]
    if length > _LONGEST:
        raise ValueError(f"tokens (length {length}) must have at most {_LONGEST} positions; cut them into windows")
    sequences = tokens.reshape(prod(tokens.shape[:-1]), length)
    result = np.empty((len(sequences), num_shuffles, length), np.uint8)
    if length < 2:
        result[:] = sequences[:, None]
        return result.reshape(*tokens.shape[:-1], num_shuffles, length)
    rows = max(1, _BLOCK // length)
    several, each = max(1, rows // num_shuffles), min(rows, num_shuffles)
    for first in range(0, len(sequences), several):
        part = slice(first, min(first + several, len(sequences)))
        walks = _Walks(sequences[part])
        generators = [_generator(words, i) for i in range(part.start, part.stop)]
        for done in range(0, num_shuffles, each):
            count = min(each, num_shuffles - done)
            bits = np.stack([generator.integers(0, 2**64, (count, length), np.uint64) for generator in generators])
            result[part, done : done + count] = walks.draw(bits)
    return result.reshape(*tokens.shape[:-1], num_shuffles, length)


def gc_background(
    tokens: Integer[AnyArray, "*batch L"] | Sequence, num: int, *, key: Key[jax.Array, ""]
) -> UInt8[np.ndarray, "*batch {num} L"]:
    """Random sequences of independent bases with the GC content of each given one.

        P(G) = P(C) = gc / 2,  P(A) = P(T) = (1 − gc) / 2,  gc = share of G and C among the known bases

    An unknown base (token 4) stays where it is.

    Args:
      tokens: integers `(…, L)` in 0 … 4.
      num: how many for each sequence, at least 1.
      key: one typed PRNG key, `jax.random.key(seed)`.

    Returns:
      uint8 tokens `(…, num, L)`.

    Raises:
      TypeError: tokens are no integers, or key is not one typed key.
      ValueError: tokens have no axis or are out of range, or num is below 1.
    """
    tokens, words = _checked(tokens, num, "num", key)
    sequences = tokens.reshape(prod(tokens.shape[:-1]), tokens.shape[-1])
    result = np.empty((len(sequences), num, tokens.shape[-1]), np.uint8)
    for i, sequence in enumerate(sequences):
        known = sequence != UNKNOWN
        strong = np.mean((sequence[known] == 1) | (sequence[known] == 2)) if known.any() else 0.5
        drawn = _generator(words, i).random(result.shape[1:])
        bounds = (1 - strong) / 2 + np.array([0, strong / 2, strong])
        result[i] = np.where(known, np.sum([drawn >= bound for bound in bounds], axis=0), UNKNOWN)
    return result.reshape(*tokens.shape[:-1], num, tokens.shape[-1])


def _checked(tokens: AnyArray | Sequence, count: int, name: str, key: jax.Array) -> tuple[np.ndarray, list[int]]:
    """The tokens as uint8, and the words of the key."""
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens ({tokens.dtype}) must be integers; pass sequence.encode(…), not letters or one-hot")
    if tokens.ndim < 1:
        raise ValueError("tokens (a scalar) must have at least the axis of positions: (…, L)")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() <= UNKNOWN:
        raise ValueError(
            f"tokens (from {tokens.min()} to {tokens.max()}) must be in 0 … {UNKNOWN}; see sequence.encode"
        )
    if count < 1:
        raise ValueError(f"{name} (={count}) must be at least 1")
    if not isinstance(key, jax.Array) or not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) or key.ndim:
        what = f"{key.dtype}{key.shape}" if isinstance(key, jax.Array) else type(key).__name__
        raise TypeError(f"key ({what}) must be one typed PRNG key; pass jax.random.key(seed)")
    return tokens.astype(np.uint8), np.asarray(jax.random.key_data(key)).ravel().tolist()


def _generator(words: list[int], index: int) -> np.random.Generator:
    return np.random.default_rng([*words, index])


def _spanning_trees() -> np.ndarray:
    """All 16 trees over the four bases towards each root: `[root, tree, base]` is the base that follows, root's own
    being itself."""
    trees = np.empty((_BASES, 16, _BASES), np.intp)
    for root in range(_BASES):
        choices = [[root] if base == root else [b for b in range(_BASES) if b != base] for base in range(_BASES)]
        found = []
        for parents in product(*choices):
            arrived = np.arange(_BASES)
            for _ in range(_BASES):
                arrived = np.array(parents)[arrived]
            if np.all(arrived == root):
                found.append(parents)
        trees[root] = found
    return trees


_TREES = _spanning_trees()


class _Walks:
    """The stock of transitions of each of n sequences `(n, L)`, and random walks that use it up.

    The walk is over states, 8 · stretch + token. A stretch is a run of known bases with the unknown ones after it;
    unknown bases are one more state of theirs. With the transition that leaves a stretch put last among those of its
    source, a walk that uses up all transitions goes through the stretches in their order and leaves none too early.
    """

    def __init__(self, tokens: np.ndarray):
        count = len(tokens)
        known = tokens != UNKNOWN
        enters, leaves = known[:, 1:] & ~known[:, :-1], known[:, :-1] & ~known[:, 1:]
        stretch = np.zeros(tokens.shape, np.intp)
        np.cumsum(enters, axis=1, out=stretch[:, 1:])
        self.stretches = int(np.max(stretch)) + 1 if stretch.size else 1
        state = stretch * _STATES + tokens
        source, target = state[:, :-1], tokens[:, 1:]
        self.first_state = state[:, 0]
        self.keys = (source.astype(np.uint64) << _SOURCE_BIT) | (enters | leaves) * _LAST | target

        # Where each state's transitions begin once they are sorted, and what a sorted one adds to its target's token.
        numbers = np.zeros((count, self.stretches * _STATES), np.intp)
        np.add.at(numbers, (np.arange(count)[:, None], source), 1)
        self.begin = np.cumsum(numbers, axis=1) - numbers
        self.source = np.sort(source, axis=1)
        self.has_unknown = not known.all()

        self._find_trees(tokens, known, stretch)

    def _find_trees(self, tokens: np.ndarray, known: np.ndarray, stretch: np.ndarray) -> None:
        """Weights of the trees that the last transitions out of each base may form: the number of choices of them.

        A walk from the first base of a stretch to its last uses up everything if and only if the last transitions out
        of all other bases form a tree towards the last base.
        """
        count = len(tokens)
        shape = (count, self.stretches)
        root, self.end = np.zeros(shape, np.intp), np.zeros(shape, np.intp)
        ends = known.copy()
        ends[:, :-1] &= ~known[:, 1:]
        sequence, position = np.nonzero(ends)
        which = sequence, stretch[sequence, position]
        root[which], self.end[which] = tokens[sequence, position], position

        numbers = np.zeros((*shape, _BASES, _BASES))
        self.example = np.full(numbers.shape, -1)  # one transition of each kind
        sequence, position = np.nonzero(known[:, :-1] & known[:, 1:])
        where = sequence, stretch[sequence, position], tokens[sequence, position], tokens[sequence, position + 1]
        np.add.at(numbers, where, 1)
        self.example[where] = position

        # A base that does not occur stands below the root in every tree, by a transition that does not exist. The
        # root has no last transition within the stretch.
        at = np.indices(shape)
        sequence, stretches, base = np.nonzero(numbers.sum(-1) == 0)
        numbers[sequence, stretches, base, root[sequence, stretches]] = 1
        numbers[*at, root, root] = 1
        self.example[*at, root, root] = -1
        self.trees = _TREES[root]
        steps = [numbers[..., base, :][*(i[..., None] for i in at), self.trees[..., base]] for base in range(_BASES)]
        self.weights = np.cumsum(np.prod(steps, axis=0), axis=-1)

    def draw(self, bits: np.ndarray) -> np.ndarray:
        """Tokens `(n, shuffles, L)` from as many random words."""
        count, shuffles, length = bits.shape
        keys = bits[..., :-1] >> np.uint64(64 - 3) - _RANDOM_BITS
        keys &= ~_TOKEN
        keys |= self.keys[:, None]
        sequence, shuffle, position = self._last(bits)
        keys[sequence, shuffle, position] |= _LAST
        keys.sort(axis=-1)

        # The transitions of all rows in one long list, each the state that it leads to among the states of all rows;
        # `following` is where in the list the next transition out of each state is.
        rows, states, transitions = count * shuffles, self.stretches * _STATES, length - 1
        keys &= _TOKEN
        leads_to = keys.view(np.int64)
        if self.has_unknown:
            leaves_unknown = (self.source % _STATES == UNKNOWN)[:, None] & (leads_to != UNKNOWN)
            leads_to += (self.source - self.source % _STATES)[:, None] + _STATES * leaves_unknown
        leads_to = leads_to.reshape(rows, transitions)
        leads_to += np.arange(rows)[:, None] * states
        following = np.repeat(self.begin, shuffles, axis=0) + np.arange(rows)[:, None] * transitions
        return self._walk(leads_to.ravel(), following.ravel(), states, shuffles, length)

    def _last(self, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sequence, shuffle and position of transitions to be put last: those of a tree drawn for each stretch.

        The random word of a stretch's last base decides: it shuffles nothing, as no other transition is last there.
        """
        sequences, stretches = np.indices(self.end.shape)
        shares = bits[np.arange(len(bits))[:, None], :, self.end] >> np.uint64(11)  # (n, stretches, shuffles)
        total = self.weights[..., -1:]
        chosen = np.minimum(shares * 2.0**-53 * total, np.nextafter(total, 0))
        tree = np.sum(self.weights[:, :, None] <= chosen[..., None], axis=-1)
        parents = self.trees[sequences[..., None], stretches[..., None], tree]  # (n, stretches, shuffles, 4)
        where = (i[..., None, None] for i in (sequences, stretches))
        transition = self.example[*where, np.arange(_BASES), parents]
        sequence, stretch, shuffle, base = np.nonzero(transition >= 0)
        return sequence, shuffle, transition[sequence, stretch, shuffle, base]

    def _walk(self, leads_to: np.ndarray, following: np.ndarray, states: int, shuffles: int, length: int) -> np.ndarray:
        """All rows walk at once, one position a step."""
        rows = len(self.first_state) * shuffles
        state = np.repeat(self.first_state, shuffles) + np.arange(rows) * states
        transition = np.empty_like(state)
        walked = np.empty((length, rows), np.uint8)
        np.bitwise_and(state, int(_TOKEN), out=walked[0], casting="unsafe")
        for position in range(1, length):
            following.take(state, out=transition, mode="wrap")  # no mode but the default checks bounds, and copies
            following[state] = transition + 1
            leads_to.take(transition, out=state, mode="wrap")
            np.bitwise_and(state, int(_TOKEN), out=walked[position], casting="unsafe")
        return walked.T.reshape(-1, shuffles, length)
