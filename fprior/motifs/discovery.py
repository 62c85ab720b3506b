"""TF-MoDISco on attributions: modisco-lite's command line, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import h5py
import numpy as np
from tqdm import tqdm

from fprior.data.scores import actual_contributions, write_modisco
from fprior.errors import InputError
from fprior.files import new_file
from fprior.motifs.patterns import GROUPS, Pattern, read_patterns
from fprior.sequence import ALPHABET, UNKNOWN

WINDOW = 400  # bases in the middle of the inputs, as modisco-lite has it by default
MAX_SEQLETS = 20_000  # of each sign
LEIDEN_RUNS = 2  # clusterings, each from another seed, of which the best counts
CORE, FLANK = 20, 5  # bases of a seqlet: its core, and what is added on either side
FEWEST_SEQLETS = 100  # of one sign, below which TF-MoDISco makes no patterns
COMMAND = "from modiscolite.cli import cli; cli()"


def discover(
    tokens: np.ndarray,
    hypothetical: np.ndarray,
    output: str | os.PathLike,
    *,
    window: int = WINDOW,
    max_seqlets: int = MAX_SEQLETS,
    leiden_runs: int = LEIDEN_RUNS,
) -> list[Pattern]:
    """TF-MoDISco's patterns of attributed sequences; an empty list where it finds none (see `why_none`).

    The same input gives the same patterns: TF-MoDISco's random numbers come from fixed seeds. Sequences with unknown
    bases in the window are left out, and counted on stderr, because TF-MoDISco has no letter for them.

    Args:
      tokens: `(N, L)`.
      hypothetical: hypothetical contributions `(N, L, 4)`.
      output: HDF5 file to write, as modisco-lite has it (its places are counted from the start of the window), whole or
        not at all.
      window: bases in the middle of each sequence that are searched, from L // 2 − window // 2 on.
      max_seqlets: most seqlets of each sign; taken in the order of the sequences.
      leiden_runs: clusterings of which the best is taken.

    Raises:
      InputError: modisco-lite is not installed; hypothetical is not `(N, L, 4)`, or not finite; window is odd, longer
        than the sequences or shorter than a seqlet (30 bases); max_seqlets or leiden_runs is too small; all sequences
        have unknown bases; the contributions are all of one sign; or modisco-lite fails.

    Source: Shrikumar et al., Technical note on TF-MoDISco, 2018; modisco-lite 3.
    """
    if importlib.util.find_spec("modiscolite") is None:
        raise InputError("modisco-lite is not installed; run: pip install 'fprior[motifs]'")
    _check(tokens, hypothetical, window)
    for name, value, least in (("max_seqlets", max_seqlets, FEWEST_SEQLETS + 1), ("leiden_runs", leiden_runs, 1)):
        if value < least:
            raise InputError(f"{name} (={value}) must be at least {least}")
    inside = window_of(tokens.shape[1], window)
    tokens, hypothetical = tokens[:, inside], hypothetical[:, inside]
    kept = np.flatnonzero((tokens != UNKNOWN).all(axis=1))
    if len(kept) < len(tokens):
        left = len(tokens) - len(kept)
        print(f"{left:,} of {len(tokens):,} sequences have unknown bases and are left out", file=sys.stderr)
    if not len(kept):
        raise InputError(f"tokens: each of the {len(tokens):,} sequences has an unknown base within window (={window})")
    with new_file(output) as temporary, tempfile.TemporaryDirectory() as folder:
        columns = {"tokens": tokens[kept], "hypothetical": hypothetical[kept]}
        contributions = actual_contributions(columns["hypothetical"], columns["tokens"])
        if not _is_constant(contributions):
            _check_signs(contributions)
            sequences, scores = write_modisco(folder, "window", columns)
            options = {"-s": sequences, "-a": scores, "-o": temporary, "-w": window, "-n": max_seqlets}
            options |= {"-l": leiden_runs, "-z": CORE, "-f": FLANK}
            _run([str(word) for option in options.items() for word in option], len(kept), window)
            _restore_loci(temporary, kept)
        else:
            with h5py.File(temporary, "w") as file:  # TF-MoDISco fails where there is nothing to tell apart
                file.attrs["window_size"] = window
    return read_patterns(output, inside.start)


def why_none(tokens: np.ndarray, hypothetical: np.ndarray, output: str | os.PathLike, *, window: int = WINDOW) -> str:
    """The likely reason why `discover` found no pattern in these sequences, as a sentence for a report.

    Args:
      tokens, hypothetical, output, window: as `discover` had them; output is the file it wrote.

    Raises:
      InputError: as `discover` of the same sequences, and if output is no file of modisco-lite.
    """
    _check(tokens, hypothetical, window)
    inside = window_of(tokens.shape[1], window)
    contributions = actual_contributions(hypothetical[:, inside], tokens[:, inside])
    if read_patterns(output, 0):
        raise ValueError(f"{output} has patterns")
    with h5py.File(output) as file:
        grouped = [word for group, (word, _) in GROUPS.items() if group in file]
    if not contributions.any():
        return f"All contributions within the window of {window} bases are zero."
    if _is_constant(contributions):
        return f"All contributions within the window of {window} bases are the same number."
    if grouped:
        return (
            f"More than {FEWEST_SEQLETS} {' and as many '.join(grouped)} seqlets stood out, but no group of them was"
            " alike enough to be a motif: the contributions may be noise, or their bases not in the order A, C, G, T."
        )
    most = len(tokens) * (window // (CORE // 2 + FLANK))
    few = f"At most {FEWEST_SEQLETS} seqlets of {CORE} bases stood out in {len(tokens):,} windows of {window} bases"
    if most <= 10 * FEWEST_SEQLETS:
        return f"{few}, which have room for {most:,} at most: give more sequences, or a longer window."
    return f"{few}: the contributions hardly stand out from their background."


def window_of(length: int, window: int) -> slice:
    """The bases that TF-MoDISco sees of inputs of that length."""
    start = length // 2 - window // 2
    return slice(start, start + window)


def _check(tokens: np.ndarray, hypothetical: np.ndarray, window: int) -> None:
    shape = (*tokens.shape, len(ALPHABET))
    if tokens.ndim == 2 and hypothetical.shape == (shape[0], shape[2], shape[1]) != shape:
        raise InputError(f"hypothetical (of shape {hypothetical.shape}) must be {shape}; swap its last two axes")
    if tokens.ndim != 2 or hypothetical.shape != shape:
        raise InputError(f"hypothetical (of shape {hypothetical.shape}) must be (N, L, 4) for tokens {tokens.shape}")
    if not len(tokens):
        raise InputError("tokens (=[]) has no sequence to find motifs in")
    smallest = CORE + 2 * FLANK
    if window % 2 or not smallest <= window <= tokens.shape[1]:
        raise InputError(
            f"window (={window}) must be even, at least {smallest} (a seqlet) and at most {tokens.shape[1]} (an input)"
        )
    bad = ~np.isfinite(hypothetical).all(axis=(1, 2))
    if bad.any():
        raise InputError(
            f"hypothetical: {bad.sum():,} of {len(bad):,} sequences, the first at {np.argmax(bad)}, have values that"
            " are not finite; leave them out"
        )


def _is_constant(contributions: np.ndarray) -> bool:
    return bool(np.ptp(contributions) == 0)


def _check_signs(contributions: np.ndarray) -> None:
    """Raises InputError if no stretch as long as a seqlet's core sums to less than zero, or none to more."""
    sums = np.lib.stride_tricks.sliding_window_view(contributions.astype(np.float64), CORE, axis=1).sum(axis=-1)
    for word, there in (("negative", (sums < 0).any()), ("positive", (sums > 0).any())):
        if not there:
            raise InputError(
                f"hypothetical: the contributions of no {CORE} bases in a row have a {word} sum, and TF-MoDISco needs"
                " both signs to tell what is noise; give signed contributions"
            )


def _run(options: Sequence[str], number: int, window: int) -> None:
    """Runs `modisco motifs`, showing for how long it has run; it forks, which a process that runs JAX must not.

    Raises:
      InputError: it fails; with the last line it said.
    """
    title = f"TF-MoDISco on {number:,} × {window} bases (minutes for thousands of sequences)"
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen([sys.executable, "-c", COMMAND, "motifs", *options], stdout=said, stderr=said) as process,
        tqdm(bar_format="{desc}: {elapsed}", desc=title, disable=None, file=sys.stderr) as bar,
    ):
        try:
            while process.poll() is None:
                try:
                    process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    bar.update()
        except BaseException:
            process.terminate()
            raise
        said.seek(0)
        last = ([line.strip() for line in said if line.strip()] or ["it said nothing"])[-1]
    if process.returncode:
        raise InputError(f"modisco-lite ended with status {process.returncode}: {last}; give more sequences")


def _restore_loci(path: os.PathLike, kept: np.ndarray) -> None:
    """Replaces the indices among the sequences that were searched by those among all."""

    def replace(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if name.endswith("/example_idx"):
            item[...] = kept[item[:]]

    with h5py.File(path, "r+") as file:
        file.visititems(replace)
