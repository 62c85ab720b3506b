"""Motif matches: at the bases where a motif was planted, and about as often elsewhere as promised."""

import functools

import numpy as np
import pytest
from refusals import refusal

from fprior.data.motif_scan import (
    FALSE_POSITIVE_RATE,
    motif_matches,
    motif_positions,
    read_all_motifs,
    read_frequencies,
    read_motifs,
    score_threshold,
    scoring_matrix,
)
from fprior.sequence import ALPHABET, UNKNOWN, encode

HEADER = """\
MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

"""
WORD = "GATTACAGGC"  # not its own reverse complement
OPPOSITE = "GCCTGTAATC"
NAMES = ("MA0139.1", "MA0139.2", "MA2339.1", "MA0080.5")  # 19, 15, 7 and 20 bases


def motif(name: str, word: str, certainty: float = 0.97) -> str:
    """A motif of MEME's minimal format that prefers this word."""
    other = (1 - certainty) / 3
    rows = [" ".join(f"{certainty if base == letter else other:.6f}" for base in ALPHABET) for letter in word]
    return f"MOTIF {name}\nletter-probability matrix: alength= 4 w= {len(word)} nsites= 20 E= 0\n" + "\n".join(rows)


def write(path, *motifs: str):
    path.write_text(HEADER + "\n\n".join(motifs) + "\n")
    return path


@functools.cache
def shipped(name: str):
    return read_motifs("jaspar2024_selected", [name])[name]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("motifs") / "one.meme", motif("ONE", WORD))
    return read_motifs(path, ["ONE"])["ONE"]


def intervals(mask: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in `(L,)`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


# ---- matches


def test_planted_words_are_found_at_their_bases_on_both_strands(matrix):
    """Also at both ends and side by side; not half of it, not backwards, and nothing in a desert of A."""
    cases = [
        ("A" * 10 + WORD + "A" * 10, [(10, 20)]),
        ("A" * 10 + OPPOSITE + "A" * 10, [(10, 20)]),
        (WORD + "A" * 10 + OPPOSITE, [(0, 10), (20, 30)]),
        (WORD + OPPOSITE + "A" * 10, [(0, 20)]),
        ("A" * 30, []),
        ("A" * 10 + WORD[:6] + "A" * 14, []),
        ("A" * 10 + WORD[::-1] + "A" * 10, []),
    ]
    mask = motif_positions(np.stack([encode(text) for text, _ in cases]), matrix)
    assert mask.shape == (len(cases), 30) and mask.dtype == bool
    assert [intervals(row) for row in mask] == [expected for _, expected in cases]


@pytest.mark.parametrize("name", NAMES)
def test_consensus_of_a_shipped_motif_is_found_on_both_strands(name):
    """Of motifs as short as 7 bases, whose best word alone is half as frequent as false positives may be."""
    matrix = shipped(name)
    consensus = encode(str(matrix.consensus))
    rows = np.full((2, 60), ALPHABET.index("A"), np.uint8)
    rows[0, 20 : 20 + len(consensus)] = consensus
    rows[1, 20 : 20 + len(consensus)] = 3 - consensus[::-1]
    for row in motif_positions(rows, matrix):
        assert row[20 : 20 + matrix.length].all()


def test_a_match_of_the_opposite_strand_is_the_mirrored_match():
    tokens = np.random.default_rng(1).integers(0, 4, (20, 500))
    for name in NAMES[:2]:
        mask = motif_positions(tokens, shipped(name), 1e-3)
        np.testing.assert_array_equal(motif_positions(3 - tokens[:, ::-1], shipped(name), 1e-3), mask[:, ::-1])
        assert mask.any()


def plain_scores(tokens: np.ndarray, matrix) -> np.ndarray:
    """Of every word of tokens `(L,)`, base by base."""
    columns = np.array([matrix[base] for base in ALPHABET])
    starts = range(len(tokens) - matrix.length + 1)
    return np.array([sum(columns[tokens[a + i], i] for i in range(matrix.length)) for a in starts])


def test_matches_are_the_words_with_the_highest_scores():
    """Slowly: no word that matches scores below one that does not, on either strand."""
    tokens = np.random.default_rng(2).integers(0, 4, 2000)
    matrix = shipped("MA0139.2")
    scores = [plain_scores(tokens, matrix), plain_scores(3 - tokens[::-1], matrix)[::-1]]
    best = np.maximum(*scores)
    mask = motif_positions(tokens[None], matrix, 1e-2)[0]
    for threshold in (np.sort(best)[::-1] + np.append(np.sort(best)[::-1][1:], 0)) / 2:
        expected = np.zeros(2000, bool)
        for start in np.flatnonzero(best >= threshold):
            expected[start : start + matrix.length] = True
        if expected.sum() >= mask.sum():
            break
    np.testing.assert_array_equal(mask, expected)
    assert 0.05 < mask.mean() < 0.5


@pytest.mark.parametrize("name", ["MA0139.1", "MA0139.2"])
def test_false_positives_are_about_as_many_as_promised(name):
    """Of random words a share of 1e-2 matches on either strand, as counted over both."""
    rate, words = 1e-2, 50_000
    matrix = shipped(name)
    width = matrix.length
    tokens = np.random.default_rng(3).integers(0, 4, (words // 2, width))
    found = motif_positions(tokens, matrix, rate)
    assert np.array_equal(found.all(1), found.any(1))  # a word as long as the motif matches whole, or not
    expected = rate * words
    assert abs(found.all(1).sum() - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("name", ["MA0139.2", "MA2339.1"])
def test_threshold_is_that_of_biopython(name):
    matrix = shipped(name)
    distribution = matrix.distribution(precision=10**3)
    for rate in (1e-5, 1e-4, 1e-2, 0.3):
        assert score_threshold(matrix, rate) == pytest.approx(distribution.threshold_fpr(rate), abs=1e-9)


def test_threshold_at_the_ends():
    """All words reach the least score; and each word that of a motif without preference."""
    matrix = shipped("MA2339.1")
    assert score_threshold(matrix, 1) <= sum(min(matrix[base][i] for base in ALPHABET) for i in range(7)) + 0.01
    assert score_threshold(scoring_matrix(np.full((5, 4), 0.25)), 1e-4) == 0


def test_default_rate():
    tokens = np.random.default_rng(4).integers(0, 4, (10, 3000))
    assert FALSE_POSITIVE_RATE == 1e-4
    for rate, same in ((1e-4, True), (1e-2, False)):
        masks = motif_positions(tokens, shipped("MA0139.2")), motif_positions(tokens, shipped("MA0139.2"), rate)
        assert np.array_equal(*masks) == same


@pytest.mark.parametrize("seed", range(20))
def test_the_best_word_of_a_short_motif_is_a_match(seed):
    """One word of six bases in 4,096 is more than one in 10,000: the threshold is the best word's own score."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(4, 0.1), 6)
    word = probabilities.argmax(axis=1).astype(np.uint8)
    tokens = np.concatenate([random.integers(0, 4, 20), word, random.integers(0, 4, 20)])[None].astype(np.uint8)
    matches = motif_matches(tokens, scoring_matrix(probabilities))
    assert 20 in matches["start"][~matches["reverse"]]


def test_an_unknown_base_is_in_no_match(matrix):
    """One at a time under a planted word; and what a run of unknown bases leaves is searched as before."""
    sequence = encode("A" * 10 + WORD + "A" * 10)
    rows = np.repeat(sequence[None], 30, axis=0)
    rows[np.arange(30), np.arange(30)] = UNKNOWN
    mask = motif_positions(rows, matrix)
    assert not mask[10:20].any()
    for i in (*range(10), *range(20, 30)):
        assert intervals(mask[i]) == [(10, 20)]
    tokens = np.random.default_rng(5).integers(0, 5, (20, 2000))
    found = motif_positions(tokens, shipped("MA2339.1"), 1e-2)
    assert found.any() and not found[tokens == UNKNOWN].any()
    assert not motif_positions(np.full((2, 30), UNKNOWN, np.uint8), matrix).any()


@pytest.mark.parametrize("length", [0, 1, 8, 9, 10, 11])
def test_short_sequences(matrix, length):
    """Shorter than the motif nothing can match; as long as the motif, the motif itself."""
    tokens = encode((WORD + "A")[:length])[None]
    mask = motif_positions(tokens, matrix)
    assert mask.shape == (1, length) and mask.sum() == (10 if length >= 10 else 0)
    assert motif_positions(np.zeros((0, length), np.uint8), matrix).shape == (0, length)


def test_a_match_has_its_place_its_strand_and_its_log_odds(matrix):
    """Of planted words, and a word that is its own reverse complement matches on both strands."""
    tokens = np.stack([encode(text) for text in ("A" * 20, "A" * 4 + OPPOSITE + "A" * 6, WORD + OPPOSITE)])
    matches = motif_matches(tokens, matrix)
    columns = zip(*(matches[name].tolist() for name in ("sequence", "start", "reverse")), strict=True)
    assert sorted(columns) == [(1, 4, True), (2, 0, False), (2, 10, True)]
    best = 10 * np.log2((0.97 + 0.01) / 1.04 / 0.25)
    np.testing.assert_allclose(matches["score"], best, rtol=1e-5)
    assert all(len(values) == 0 for values in motif_matches(tokens[:, :9], matrix).values())
    assert all(len(values) == 0 for values in motif_matches(tokens[:0], matrix).values())


def test_scores_of_matches_are_those_of_their_words():
    tokens = np.random.default_rng(6).integers(0, 4, (3, 1000))
    matrix = shipped("MA0139.2")
    matches = motif_matches(tokens, matrix, 1e-2)
    assert 10 < matches["reverse"].sum() < len(matches["reverse"]) - 10
    for sequence, start, reverse, score in zip(*matches.values(), strict=True):
        word = tokens[sequence, start : start + matrix.length]
        assert score == pytest.approx(plain_scores(3 - word[::-1] if reverse else word, matrix)[0], abs=1e-4)


# ---- files


def test_motifs_come_by_name_in_the_order_asked_for(tmp_path):
    path = write(tmp_path / "two.meme", motif("ONE", WORD), motif("TWO", "ACCA"))
    found = read_motifs(path, ["TWO", "ONE"])
    assert list(found) == ["TWO", "ONE"]
    assert {name: (str(matrix.consensus), matrix.length) for name, matrix in found.items()} == {
        "TWO": ("ACCA", 4),
        "ONE": (WORD, 10),
    }
    assert read_motifs(path, []) == {}


def test_scores_are_finite_where_a_probability_is_zero(tmp_path):
    """A hundredth is added to each probability, which makes their sum 1.04."""
    path = write(tmp_path / "sure.meme", motif("SURE", "ACGT", certainty=1.0))
    (matrix,) = read_motifs(path, ["SURE"]).values()
    scores = np.array([matrix[base] for base in ALPHABET])
    expected = np.where(np.eye(4, dtype=bool), np.log2(1.01 / 1.04 / 0.25), np.log2(0.01 / 1.04 / 0.25))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_a_name_that_is_not_there(tmp_path):
    path = write(tmp_path / "two.meme", motif("TWO", "ACCA"), motif("ONE", WORD))
    message = refusal(read_motifs, path, ["ONE", "THREE"])
    assert str(path) in message and "has no motif 'THREE'; it has ONE, TWO" in message
    assert "has no motif 'CTCF'" in refusal(read_motifs, "jaspar2024_selected", ["CTCF"])


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "nothing.meme", tmp_path):
        assert f"{path}: there is no such file" in refusal(read_motifs, path, ["ONE"])
    assert "jaspar2023: there is no such file" in refusal(read_motifs, "jaspar2023", ["ONE"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b">ONE\nACGT\n",
        bytes(range(256)),
        b"MEME version 4\n",
        HEADER.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY").encode() + motif("ONE", WORD).encode(),
        HEADER.encode() + motif("ONE", WORD).replace("0.97", "x").encode(),
    ],
    ids=["empty", "fasta", "binary", "header", "protein", "letters"],
)
def test_what_is_no_motif_file(tmp_path, content):
    path = tmp_path / "wrong.meme"
    path.write_bytes(content)
    assert f"{path}: cannot be read as MEME's minimal format" in refusal(read_motifs, path, ["ONE"])


def test_shipped_file_has_the_motif_of_ctcf():
    """Its core, as textbooks have it."""
    assert "CCACCAGGGGGCGC" in str(shipped("MA0139.1").consensus)


def test_probabilities_are_those_of_the_file(tmp_path):
    """No pseudocount, no rounding to counts, however few sites the motif is said to have."""
    path = write(tmp_path / "few.meme", motif("FEW", WORD, certainty=0.7).replace("nsites= 20", "nsites= 1"))
    expected = np.where(np.eye(4)[encode(WORD)] == 1, 0.7, 0.1)
    np.testing.assert_allclose(read_all_motifs(path)["FEW"], expected, rtol=1e-6)
    np.testing.assert_array_equal(read_frequencies(path, ["FEW"])["FEW"], read_all_motifs(path)["FEW"])


def test_all_shipped_motifs():
    motifs = read_all_motifs("jaspar2026_core_vertebrates")
    assert len(motifs) == 1019 and {len(rows) for rows in motifs.values()} <= set(range(4, 34))
    for rows in motifs.values():
        assert rows.shape[1] == 4 and rows.min() >= 0
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)
    consensus = "".join(ALPHABET[base] for base in motifs["MA0139.2_CTCF"].argmax(axis=1))
    assert "CCACCAGGGGGCGC" in consensus


def test_a_file_without_motifs_has_none(tmp_path):
    assert read_all_motifs(write(tmp_path / "none.meme")) == {}


@pytest.mark.parametrize(
    ("motifs", "reason"),
    [
        ([motif("ONE", WORD), motif("ONE", "ACCA")], "two of its motifs are named 'ONE'"),
        (["MOTIF ONE", motif("TWO", WORD)], "motif 'ONE' has no 'letter-probability matrix:'"),
        ([motif("TWO", WORD), "MOTIF ONE"], "motif 'ONE' has no 'letter-probability matrix:'"),
        ([motif("ONE", WORD).replace("w= 10", "w= 11")], "'ONE' has not the 11 rows of 4 numbers"),
        ([motif("ONE", WORD).replace("0.970000", "0.470000")], "'ONE' has a row that is no probabilities"),
        ([motif("ONE", WORD).removeprefix("MOTIF ONE")], "follows no 'MOTIF'"),
        ([motif("", WORD)], "a motif has no name"),
        ([motif("O\0NE", WORD)], "'O\\x00NE' is empty, or has a character that cannot be printed"),
        ([motif("ONE", WORD).replace("w= 10 ", "w=")], "'ONE' has no width"),
    ],
)
def test_a_motif_that_would_be_lost_is_refused(tmp_path, motifs, reason):
    assert reason in refusal(read_motifs, write(tmp_path / "wrong.meme", *motifs), ["ONE"])
