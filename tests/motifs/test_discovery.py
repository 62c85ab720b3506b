"""TF-MoDISco: finds what was planted, nothing in noise, the same twice, and says in one line why it cannot run."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from planted import FREQUENCIES, NAME, Planted, plant

from fprior.data.motif_scan import read_all_motifs
from fprior.errors import InputError
from fprior.motifs import discovery
from fprior.motifs.discovery import discover, why_none
from fprior.motifs.instances import call_instances
from fprior.motifs.matching import match
from fprior.motifs.patterns import Pattern, read_patterns
from fprior.sequence import UNKNOWN

N, LENGTH, WINDOW = 200, 220, 200
FAR = 45  # bases from a motif to the ends, so that TF-MoDISco has room to align seqlets


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Of which the third and the last sequence have unknown bases, inside and outside the window."""
    planted = plant(N, LENGTH, seed=11, margin=FAR)
    planted.tokens[2, 100:110] = UNKNOWN
    planted.tokens[-1, :10] = UNKNOWN
    return planted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("modisco")


@pytest.fixture(scope="module")
def found(planted, folder) -> list[Pattern]:
    return discover(planted.tokens, planted.hypothetical, folder / "planted.h5", window=WINDOW)


def same(one: list[Pattern], other: list[Pattern]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for field in dataclasses.fields(a):
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def test_planted_motif_is_found(found):
    """Its trimmed part is the motif, in either direction."""
    assert [pattern.name for pattern in found][:1] == ["positive_0"] and len(found[0].locus) > N / 2
    pattern = found[0]
    distances = [
        np.abs(part.probabilities[part.trimmed()] - FREQUENCIES[start:][: part.trimmed().stop - part.trimmed().start])
        for part in (pattern, pattern.reverse_complement())
        for start in range(len(FREQUENCIES) - (part.trimmed().stop - part.trimmed().start) + 1)
    ]
    assert min(distance.max() for distance in distances) < 0.2
    assert 10 <= pattern.trimmed().stop - pattern.trimmed().start <= len(FREQUENCIES)


def test_seqlets_are_at_the_planted_places(found, planted):
    """Counted from the start of the whole input, in the sequences of the whole set: all but a few hold the motif."""
    pattern = found[0]
    inside = (pattern.start <= planted.start[pattern.locus]) & (planted.start[pattern.locus] + 15 <= pattern.end)
    assert inside.mean() > 0.95 and 2 not in pattern.locus
    flipped = (pattern.strand == "-") ^ planted.reverse[pattern.locus]
    assert flipped[inside].all() or not flipped[inside].any()


def test_seqlets_are_as_the_inputs_have_them(found, planted):
    """The contributions of a seqlet, read as the pattern reads, are those of its bases."""
    pattern = found[0]
    for i in (0, 1, len(pattern.locus) - 1):
        rows = slice(pattern.start[i], pattern.end[i])
        tokens = planted.tokens[pattern.locus[i], rows]
        expected = (tokens[:, None] == np.arange(4)) * planted.hypothetical[pattern.locus[i], rows]
        expected = expected[::-1, ::-1] if pattern.strand[i] == "-" else expected
        np.testing.assert_allclose(pattern.seqlet_contributions[i], expected, rtol=1e-6)
    np.testing.assert_allclose(pattern.seqlet_contributions.mean(axis=0), pattern.contributions, atol=1e-4)


def test_the_file_names_the_sequences_of_the_whole_set(found, planted, folder):
    same(read_patterns(folder / "planted.h5", (LENGTH - WINDOW) // 2), found)
    with h5py.File(folder / "planted.h5") as file:
        assert file.attrs["window_size"] == WINDOW
        every = []
        file.visititems(lambda name, item: every.append(item[:]) if name.endswith("example_idx") else None)
    assert max(loci.max() for loci in every) >= N - 2 and not any((loci == 2).any() for loci in every)


def test_found_pattern_is_called_in_other_sequences(found):
    other = plant(100, LENGTH, seed=12)
    calls = call_instances(found[0], other.hypothetical, other.tokens)
    inside = np.abs(calls["start"] - other.start[calls["locus"]]) <= 5
    assert inside.mean() > 0.97 and inside.sum() > 70


def test_noise_has_no_pattern_and_a_reason(folder):
    rng = np.random.default_rng(13)
    tokens = rng.integers(0, 4, (60, 120)).astype(np.uint8)
    hypothetical = rng.standard_normal((60, 120, 4)).astype(np.float32)
    path = folder / "noise.h5"
    assert discover(tokens, hypothetical, path, window=100) == []
    assert read_patterns(path, 10) == []
    reason = why_none(tokens, hypothetical, path, window=100)
    assert reason.startswith("At most 100 seqlets") and "more sequences, or a longer window" in reason


@pytest.mark.slow
def test_twice_the_same_whatever_the_threads(found, planted, folder, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    same(discover(planted.tokens, planted.hypothetical, folder / "again.h5", window=WINDOW), found)


@pytest.mark.slow
def test_found_pattern_matches_the_planted_motif(found):
    best = match(found, read_all_motifs("jaspar2026_core_vertebrates"))["positive_0"][0]
    assert best.motif == NAME and best.q_value < 1e-5


# ---- without TF-MoDISco


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_contributions_that_are_all_the_same_have_no_pattern(tmp_path, value):
    tokens, hypothetical = np.zeros((5, 60), np.uint8), np.full((5, 60, 4), value)
    path = tmp_path / "same.h5"
    assert discover(tokens, hypothetical, path, window=60) == []
    assert why_none(tokens, hypothetical, path, window=60).endswith(("are zero.", "are the same number."))


def write_empty(path, *groups: str):
    with h5py.File(path, "w") as file:
        for group in groups:
            file.create_group(group)
    return path


def test_reasons(tmp_path):
    """Seqlets that were not alike; and contributions that do not stand out though there is room for many."""
    rng = np.random.default_rng(14)
    tokens, hypothetical = rng.integers(0, 4, (200, 400)), rng.standard_normal((200, 400, 4))
    unlike = why_none(tokens, hypothetical, write_empty(tmp_path / "a.h5", "pos_patterns"))
    assert "More than 100 positive seqlets" in unlike and "noise" in unlike
    assert "hardly stand out" in why_none(tokens, hypothetical, write_empty(tmp_path / "b.h5"))


def test_there_is_no_reason_where_there_are_patterns(found, planted, folder):
    with pytest.raises(ValueError, match="has patterns"):
        why_none(planted.tokens, planted.hypothetical, folder / "planted.h5", window=WINDOW)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t, h: (t, h.swapaxes(1, 2)), {}, "swap its last two axes"),
        (lambda t, h: (t, h[:, :-1]), {}, r"must be \(N, L, 4\)"),
        (lambda t, h: (t[0], h[0]), {}, r"must be \(N, L, 4\)"),
        (lambda t, h: (t[:0], h[:0]), {}, "no sequence"),
        (
            lambda t, h: (t, np.where(np.arange(4) == 1, np.nan, h)),
            {},
            "5 of 5 sequences, the first at 0, .* not finite",
        ),
        (lambda t, h: (np.full_like(t, UNKNOWN), h), {}, "each of the 5 sequences has an unknown base"),
        (lambda t, h: (t, np.abs(h)), {}, "have a negative sum"),
        (lambda t, h: (t, -np.abs(h)), {}, "have a positive sum"),
        (lambda t, h: (t, h), {"window": 62}, r"window \(=62\) .* at most 60"),
        (lambda t, h: (t, h), {"window": 41}, "must be even"),
        (lambda t, h: (t, h), {"window": 28}, "at least 30"),
        (lambda t, h: (t, h), {"max_seqlets": 100}, r"max_seqlets \(=100\) must be at least 101"),
        (lambda t, h: (t, h), {"leiden_runs": 0}, r"leiden_runs \(=0\)"),
    ],
)
def test_what_cannot_be_searched(tmp_path, change, options, words):
    rng = np.random.default_rng(15)
    given = change(rng.integers(0, 4, (5, 60)).astype(np.uint8), rng.standard_normal((5, 60, 4)))
    with pytest.raises(InputError, match=words) as caught:
        discover(*given, tmp_path / "never.h5", **{"window": 60} | options)
    assert "\n" not in str(caught.value) and not os.listdir(tmp_path)


def test_a_missing_modisco_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'fprior\[motifs\]'"):
        discover(np.zeros((1, 60), np.uint8), np.zeros((1, 60, 4)), tmp_path / "never.h5", window=60)


def test_a_failure_ends_in_its_last_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "COMMAND", "import sys; print('one'); sys.exit('the last line')")
    rng = np.random.default_rng(16)
    with pytest.raises(InputError, match="ended with status 1: the last line; give more sequences"):
        discover(rng.integers(0, 4, (5, 60)), rng.standard_normal((5, 60, 4)), tmp_path / "never.h5", window=60)
    assert not os.listdir(tmp_path)


def test_an_interruption_ends_modisco(tmp_path, monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

        def wait(self, timeout=None):
            if timeout is not None:
                raise KeyboardInterrupt
            return super().wait()

    monkeypatch.setattr(discovery, "COMMAND", "import time; time.sleep(60)")
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    rng = np.random.default_rng(17)
    with pytest.raises(KeyboardInterrupt):
        discover(rng.integers(0, 4, (5, 60)), rng.standard_normal((5, 60, 4)), tmp_path / "never.h5", window=60)
    assert started[0].poll() is not None and not os.listdir(tmp_path)
    assert sys.executable == started[0].args[0]
