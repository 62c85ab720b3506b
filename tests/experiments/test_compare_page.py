"""The page of a comparison, made of random numbers with known differences."""

import dataclasses
import re

import numpy as np
import pytest
from html_tables import Page
from tiny_comparison import LENGTH, SEQUENCES, comparison_of

from experiments.compare_examples import busiest, choose_examples
from experiments.compare_page import compare_page, sweep_section
from experiments.compare_results import Row, Trial
from experiments.compare_rows import rows_of
from experiments.compare_summary import verdicts
from fprior.metrics.statistics import paired_test, unpaired_test


def page_of(**options):
    comparison = comparison_of(**options)
    return compare_page(comparison, rows_of(comparison))


SECTIONS = (
    "Summary",
    "Performance",
    "Stability",
    "Summits and peaks",
    "Regions",
    "Cleanness",
    "Motifs",
    "Examples",
    "Choice of weights",
    "Runs",
)


@pytest.fixture(scope="module")
def whole():
    return page_of()


def test_every_section_is_there_and_nothing_is_fetched_or_unescaped(whole):
    headings = re.findall(r'<h2 id="[^"]*">([^<]*)', whole)
    assert tuple(headings) == SECTIONS
    assert "://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", whole)
    assert "CTCF &lt;GM12878&gt;" in whole and "<GM12878>" not in whole
    assert "nan" not in Page(whole).text.lower().replace("nanog", "")


def test_verdicts_follow_what_was_put_into_the_numbers():
    comparison = comparison_of()
    said = verdicts(rows_of(comparison))
    for measure, expected in {
        "validation_loss": "better",
        "auroc": "worse",
        "auprc": "unclear",
        "jaccard": "better",
        "deepshap.summit_distance_spearman": "better",
        "deepshap.entropy_bits": "worse",
        "gradient.high_frequency_share": "better",
        "deepshap.end_share": "higher",
    }.items():
        assert said[measure, "fourier"] == expected, measure
    assert not [key for key in said if key[1] == "none"]
    assert {said[measure, "l2"] for measure in ("validation_loss", "auroc", "jaccard")} == {"unclear"}


def row_of(measure, better, by_sequence=None, by_seed=None, condition="fourier"):
    return Row("cleanness", measure, measure, better, condition, (1.0,), 1.0, np.nan, by_sequence, by_seed)


def test_seeds_that_contradict_the_sequences_leave_it_open():
    """A difference that every sequence shows, but that seeds of one condition show among themselves too, is none."""
    rng = np.random.default_rng(1)
    shifts = np.array([-1.0, 1.0, -0.9, 1.1, 0.1])
    first, second = (0.01 * rng.normal(size=SEQUENCES) + level for level in (0.0, 0.06))
    tests = paired_test(second, first, seed=0), unpaired_test(shifts + 0.06, shifts)
    assert tests[0].p_value < 1e-6 < 0.05 < tests[1].p_value
    assert verdicts([row_of("deepshap.entropy_bits", -1, *tests)]) == {("deepshap.entropy_bits", "fourier"): "unclear"}
    assert verdicts([row_of("deepshap.entropy_bits", -1, tests[0])]) == {("deepshap.entropy_bits", "fourier"): "worse"}


def test_sequences_and_seeds_that_point_apart_leave_it_open():
    tests = paired_test(np.arange(20) + 1.0, np.zeros(20), seed=0), unpaired_test(-np.arange(1, 6), np.arange(5))
    assert max(test.p_value for test in tests) < 0.01
    assert verdicts([row_of("deepshap.overlap_auprc_x", 1, *tests)])["deepshap.overlap_auprc_x", "fourier"] == "unclear"


@pytest.mark.parametrize(("seeds", "conditions", "expected"), [(3, 2, "too few models"), (4, 2, "better"),
                                                             (4, 3, "too few models"), (5, 3, "better")])  # fmt: skip
def test_seeds_alone_decide_only_where_they_can(seeds, conditions, expected):
    """Complete separation, in a measure without values of sequences: 2 / C(2n, n) times the comparisons."""
    test = unpaired_test(5 + np.arange(seeds), np.arange(seeds) / 10)
    found = [row_of("auroc", 1, None, test, condition=name) for name in ("fourier", "l2")[: conditions - 1]]
    assert verdicts(found)["auroc", "fourier"] == expected


def test_the_summary_says_what_helps_and_what_hurts(whole):
    (answer, *_) = re.findall(r"<li>(<strong>.*?)</li>", whole)
    assert answer.startswith("<strong>Fourier prior</strong> against no prior: of 11 main measures, 6 better, 2 worse.")
    better, worse = re.search(r"Better: (.*) Worse: (.*) No difference that", answer).groups()
    assert "validation loss (" in better and "footprints, DeepSHAP (0.3" in better and "entropy" not in better
    assert "auROC (0.9" in worse and "entropy (bits), DeepSHAP (8.5" in worse
    assert "gradient" not in answer
    assert "smallest p that the Mann–Whitney test can give with these numbers of seeds is 0.0079" in whole


def test_numbers_of_the_tables_are_those_of_the_rows(whole):
    comparison = comparison_of()
    found = {(r.measure, r.condition): r for r in rows_of(comparison)}
    performance = Page(whole).table("CTCF: mean")
    one = found["auroc", "fourier"]
    assert performance[0] == ["", "no prior", "Fourier prior", "p", "L2", "p"]
    assert performance[2][0] == "auROC" and performance[2][3] == "0.0079"
    mean, deviation = map(float, performance[2][2].split(" ± "))
    assert (mean, deviation) == pytest.approx((one.mean, one.deviation), abs=1e-4)
    entropy = Page(whole).table("Shannon entropy (bits), DeepSHAP. Lower")
    columns, line = entropy[0], entropy[2]
    test = found["deepshap.entropy_bits", "fourier"].by_sequence
    assert float(line[columns.index("difference")]) == pytest.approx(test.mean_difference, abs=1e-4)
    low, high = map(float, line[columns.index("95 % interval")].split("\u00a0to\u00a0"))
    assert (low, high) == pytest.approx(test.interval, abs=1e-4)
    assert line[columns.index("effect")] == "1.00" and line[columns.index("verdict")] == "worse"
    assert entropy[1][columns.index("verdict")] == "–"
    assert Page(whole).table("auPRC of overlap with peaks, DeepSHAP. Mean, and p over seeds: of the bases of all")


def test_the_best_mean_of_a_performance_is_marked(whole):
    lines = dict(re.findall(r'<th scope="row">(best validation loss|auROC)</th>(.*?)</tr>', whole))
    for title, cells in lines.items():
        classes = re.findall(r'<td class="([^"]*)">[^<]* ± [^<]*<', cells)
        means = [float(value) for value in re.findall(r">([\d.]+) ± ", cells)]
        best = min(means) if "loss" in title else max(means)
        assert [kind == "number best" for kind in classes] == [mean == best for mean in means]
    assert len(lines) == 2


def test_the_papers_numbers_stand_beside_these(whole):
    page, comparison = Page(whole), comparison_of()
    auroc = page.table("auROC, as the paper")
    best = max(model.performance["auroc"][0] for model in comparison.results["none"])
    assert auroc[1] == ["here: CTCF <GM12878>", f"{best:.4f}", auroc[1][2], "this comparison"]
    assert ["SPI1", "0.954", "0.956", "Table 1"] in auroc
    loss = page.table("best validation loss, as the paper")
    assert loss[1][1] == f"{min(model.best['loss/correctness'] for model in comparison.results['fourier']):.4f}"
    jaccard = page.table("continuous Jaccard similarity of DeepSHAP between seeds, as the paper")
    assert ["SPI1", "0.0956 ± 0.0010", "0.1343 ± 0.0010", "Table 2"] in jaccard
    entropy = page.table("Shannon entropy (bits), DeepSHAP, as")
    assert ["SPI1", "7.891 ± 0.011", "8.908 ± 0.014", "section 8.1"] in entropy
    shares = page.table("share of importance in footprints, DeepSHAP, as")
    assert ["K562", "0.272 ± 0.005", "0.281 ± 0.005", "Table 4"] in shares
    assert not [caption for caption, _ in page.tables if "gradient" in caption and "paper" in caption]


def test_matches_to_a_motif_are_not_held_against_the_papers_footprints():
    comparison = comparison_of()
    comparison.config.evaluate.motifs = ("footprints",)
    page = Page(compare_page(comparison, rows_of(comparison)))
    assert not [caption for caption, _ in page.tables if "footprints" in caption and "paper" in caption]


def test_a_table_for_every_task():
    page = Page(page_of(tasks=("A", "B"), subset=False))
    assert [line[0] for line in page.table("all tasks: mean")] == ["", "best validation loss"]
    for task in "AB":
        assert [line[0] for line in page.table(f"{task}: mean")][:3] == ["", f"auROC, {task}", f"auPRC, {task}"]
    assert "auroc in 2 of 2 tasks" in page.text and "mean over the tasks" in page.text


def test_examples_are_the_largest_gain_and_the_largest_loss(whole):
    comparison = comparison_of()
    entropy = {
        c: np.mean([m.measures["deepshap", "entropy_bits"] for m in models], axis=0)
        for c, models in comparison.results.items()
    }
    gain = entropy["none"] - entropy["fourier"]
    chosen = choose_examples(comparison)
    # Entropy rises everywhere and the high-frequency share falls everywhere: no example of the contrary is made up.
    assert [(example.measure, example.gains) for example in chosen] == [
        ("deepshap.high_frequency_share", True),
        ("deepshap.entropy_bits", False),
    ]
    assert chosen[1].place == np.argmin(np.where(np.arange(SEQUENCES) == chosen[0].place, np.inf, gain))
    start = int(comparison.loci["start"][chosen[1].place])
    assert f"chr20:{start + 1:,}-{start + LENGTH:,}: where Fourier prior raises the DeepSHAP entropy" in whole


def test_the_letters_are_where_importance_is():
    tracks = np.zeros((2, 300))
    tracks[0, 200:210], tracks[1, 205] = -3, 1000
    first = busiest(tracks, 80)
    assert first <= 200 and first + 80 >= 210
    assert busiest(np.zeros((2, 300)), 80) == 0 and busiest(np.ones((1, 50)), 80) == 0


@pytest.mark.parametrize(
    ("weights", "chosen", "said"),
    [
        ((0.1, 1.0, 10.0), 1, None),
        ((10.0, 1.0, 0.1), 2, "end of the range"),
        ((0.1, 1.0, 10.0), 2, "end of the range"),
    ],
)
def test_the_sweep_says_where_its_range_was_too_short(weights, chosen, said):
    trials = tuple(Trial("l2", w, [0.3, float("nan"), 0.2][i], 4, i == chosen) for i, w in enumerate(weights))
    html = sweep_section(dataclasses.replace(comparison_of(seeds=1), trials=trials))
    lines = Page(html).table("L2: config.train.l2")[1:]
    assert [line[0] for line in lines] == ["0.1", "1", "10"]
    assert [line[0] for line in lines if line[3] == "chosen"] == [f"{weights[chosen]:g}"]
    assert ('class="note"' in html) == (said is not None) and (said or "") in html


def test_a_weight_without_a_choice_is_named():
    html = sweep_section(comparison_of(seeds=1, sweep=False))
    assert "L2: weight 0.1, the only one in config.compare.l2" in html and not Page(html).tables


def test_runs_say_what_every_condition_changes(whole):
    runs = Page(whole).table("Seeds 0, 1, 2, 3, 4")
    assert runs[1] == ["no prior", "prior.weight=0.0", "3 to 7", "2", "runs/none"]
    assert runs[2][1] == "nothing" and runs[3][1] == "prior.weight=0.0, train.l2=0.1"


@pytest.mark.parametrize(
    "options",
    [
        {"names": ("none",)},
        {"names": ("none",), "seeds": 1, "subset": False, "places": False, "sweep": False},
        {"seeds": 1, "subset": False},
        {"seeds": 2, "places": False, "sweep": False},
    ],
)
def test_what_is_not_there_is_said(options):
    html = page_of(**{"names": ("none", "fourier"), **options})
    text = Page(html).text
    assert tuple(re.findall(r'<h2 id="[^"]*">([^<]*)', html)) == SECTIONS
    assert ("raise --seeds" in text) == (options.get("seeds") == 1)
    assert ("No regions and no motifs were given" in text) == (options.get("places") is False)
    assert "No condition has a weight" in text
    alone = options.get("names") == ("none",)
    assert ("nothing to set side by side" in text) == ("what it would be compared with" in text) == alone
    assert ("One seed each" in text) == (options.get("seeds") == 1 and not alone)
    assert ("Too few models to say anything of: best validation loss" in text) == ("seeds" in options and not alone)


def test_a_measure_without_any_value_is_a_dash_with_the_reason():
    comparison = comparison_of(seeds=2)
    for models in comparison.results.values():
        for model in models:
            model.measures["deepshap", "share_in_footprints"][:] = np.nan
            model.performance["auprc"][0] = np.nan
    html = compare_page(comparison, rows_of(comparison))
    page = Page(html)
    assert {
        cell for line in page.table("share of importance in footprints, DeepSHAP. Higher")[1:3] for cell in line[1:-1]
    } == {"–"}
    assert page.table("CTCF: mean")[3][1:] == ["–"] * 5
    assert "Without a value (–): share of importance in footprints, DeepSHAP; sequences without a region" in page.text
    assert "Without a value (–): auPRC; a task without positives" in page.text
    assert "no data" in html
