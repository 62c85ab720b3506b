"""The page of a GC-bias series."""

from collections.abc import Sequence
from html import escape

import numpy as np

from experiments.compare_numbers import decimals_of, measures_of, number_text, p_text, spread_text
from experiments.compare_summary import LEVEL
from experiments.gc_series_results import MEASURES, PRODUCT, Series
from experiments.gc_series_rows import PERCENT, SeriesRow
from fprior.metrics.statistics import holm
from fprior.report.figures import to_svg
from fprior.report.page import Section, figure, key_values, note, page, table
from fprior.report.series_figure import series_lines

TITLE = "Does the prior keep a model from counting G and C?"
AXIS = "G and C added in training (%)"
RELIANCE = (
    "Hypothetical DeepSHAP contributions of the positives of the {split} split, outside the true instances, each"
    " sequence's divided by the largest of them, as a rule one in its motif. A model that counts G and C gives them and"
    " A and T opposite signs, which makes the product of the two more negative, the more so the heavier it relies on"
    " them. Other things move the product too, so that it need not be 0 without a bias: its change with the bias tells."
    " Being relative, it also shrinks where a motif's contributions grow; the importance in the motif is below. The"
    " paper prints no numbers for its figure 5."
)
MOTIF = (
    "The prior should take importance from the background, not from the motif, whatever its share of G and C"
    " (supplementary figure S26 of the paper). Importance is the absolute DeepSHAP contribution of the bases that are"
    " there, in logits, summed over a sequence's true instances."
)
PERFORMANCE = (
    "On all loci of the {split} split, where positives have no more G and C than negatives: there, what a model has"
    " learned of G and C helps it nothing."
)
READING = (
    "In the tables, mean ± standard deviation is over the seeds, and differences are from {first}. p, sequences:"
    " two-sided Wilcoxon signed-rank test of each sequence's mean over the seeds. p, seeds: two-sided Mann–Whitney"
    " test. Both are uncorrected. Slope: of the least-squares line through a seed's models at all biases, for one"
    " per cent more bias."
)


def series_page(series: Series, rows: Sequence[SeriesRow]) -> str:
    """One self-contained HTML page.

    Args:
      series: what was measured.
      rows: its measures, each with a row for every bias and condition and for the slope of every condition.
    """
    simulate, split = series.config.simulate, series.config.evaluate.split
    low, high = percent(series.biases[0]), percent(series.biases[-1])
    positives = len(next(iter(series.models[0].sequences.values())))
    lead = (
        f"Motif {simulate.motif} ({simulate.task}) in simulated sequences. In training the positives' background has"
        f" from {low} to {high} more G and C than the negatives'; models are measured on {positives:,} positives of the"
        f" {split} split, which have no more."
    )
    sections = [
        Section("Summary", summary_section(series, rows)),
        Section("Reliance on the background's G and C", _measures("reliance", series, rows, RELIANCE)),
        Section("Importance in the motif", _measures("motif", series, rows, MOTIF)),
        Section("Performance", _measures("performance", series, rows, PERFORMANCE)),
        Section("What this can show, and what not", limits_section(series, rows)),
        Section("Runs", runs_section(series)),
    ]
    return page(TITLE, lead, sections)


def percent(bias: float) -> str:
    return f"+{PERCENT * bias:g} %"


# ---- summary


def summary_section(series: Series, rows: Sequence[SeriesRow]) -> str:
    slopes = [row for row in rows if row.measure == PRODUCT and row.bias is None]
    first, *others = slopes
    if not others:
        return note("There is one condition: what it would be compared with was not trained.")
    corrected = holm(np.array([row.by_seed.p_value for row in others if row.by_seed]))
    items = [_answer(series, first, row, p) for row, p in zip(others, corrected, strict=True)]
    question = (
        "<p>How fast the product of the background's G/C and A/T importance falls with the bias, as the slope over all"
        " biases of each seed:</p>"
    )
    corrected_for = f" after Holm's correction for {len(others)} conditions" * (len(others) > 1)
    rule = (
        f"<p>A slope below 0 means reliance that grows with the bias. Slopes are said to differ where p over seeds is"
        f" below {LEVEL:g}{corrected_for}.</p>"
    )
    items_html = "".join(f"<li>{item}</li>" for item in items)
    reading = f"<p>{escape(READING.format(first=series.conditions[0].title))}</p>"
    warnings = [note(text) for text in _warnings(series, slopes)]
    return "\n".join([question, f"<ul>{items_html}</ul>", rule, *warnings, reading])


def _answer(series: Series, first: SeriesRow, row: SeriesRow, p: float) -> str:
    titles = {condition.name: condition.title for condition in series.conditions}
    name, first_name, decimals = titles[row.condition], titles[first.condition], decimals_of([first, row])
    start = f"<strong>{escape(name[:1].upper() + name[1:])}</strong>"
    means = spread_text(row, decimals), spread_text(first, decimals)
    test = row.by_seed
    if test is None or None in means or np.isnan(p):
        return f"{start} against {escape(first_name)}: a slope is undefined."
    numbers = f"{means[0]} against {means[1]} of {escape(first_name)}, for each per cent of bias"
    if p < LEVEL:
        word = "higher, so that reliance grows less" if test.effect_size > 0 else "lower, so that reliance grows more"
        verdict = f"it is {word} with the bias (p {p_text(p)})"
    elif test.smallest_p * (len(series.conditions) - 1) >= LEVEL:
        verdict = f"too few seeds for a verdict (p {p_text(p)}, effect {number_text(test.effect_size, 2)})"
    else:
        verdict = f"no difference that the spread over seeds allows to state (p {p_text(p)})"
    return f"{start}: {numbers}: {verdict}."


def _warnings(series: Series, slopes: Sequence[SeriesRow]) -> list[str]:
    """What the number of seeds forbids to say."""
    smallest = min((row.by_seed.smallest_p for row in slopes if row.by_seed), default=np.nan)
    if len(series.seeds) == 1:
        return [
            "One seed each. Models that differ in nothing but the seed differ too: whether the condition is the reason"
            " takes several seeds of each."
        ]
    if smallest * (len(slopes) - 1) >= LEVEL:
        return [
            f"The smallest p that {len(series.seeds)} seeds against {len(series.seeds)} can give is {smallest:.2g},"
            " even where all of one lie below all of the other. Four of each can give 0.029, five 0.0079."
        ]
    return []


# ---- measures


def _measures(section: str, series: Series, rows: Sequence[SeriesRow], text: str) -> str:
    own = [row for row in rows if row.table == section]
    titles = {condition.name: condition.title for condition in series.conditions}
    text = text.format(split=series.config.evaluate.split)
    values = {MEASURES[measure].title: _of_seeds(series, own, measure, titles) for measure in measures_of(own)}
    lines = series_lines([PERCENT * bias for bias in series.biases], values, AXIS)
    caption = "Lines go through the means, every dot is a model." + " As figure 5 of the paper." * (
        section == MEASURES[PRODUCT].table
    )
    tables = [measure_table([row for row in own if row.measure == measure], titles) for measure in measures_of(own)]
    parts = [f"<p>{escape(text)}</p>", figure(to_svg(lines), caption, f"Lines by condition over the bias: {section}")]
    parts += tables
    if any(row.mean != row.mean for row in own):
        parts.append(note("Without a value (–): attributions that are zero at every base, and what is made of them."))
    return "\n".join(parts)


def _of_seeds(series: Series, rows: Sequence[SeriesRow], measure: str, titles: dict[str, str]) -> dict[str, np.ndarray]:
    """Condition → values `(biases, seeds)`."""
    return {
        titles[name]: np.array(
            [
                row.values
                for bias in series.biases
                for row in rows
                if (row.measure, row.condition, row.bias) == (measure, name, bias)
            ]
        )
        for name in titles
    }


def measure_table(rows: Sequence[SeriesRow], titles: dict[str, str]) -> str:
    """One measure: a row for every bias and one for the slope, the conditions side by side."""
    columns = ["bias"]
    sequences = any(row.by_sequence for row in rows)
    for place, title in enumerate(titles.values()):
        columns.append(title)
        columns += ["difference", *["p, sequences"] * sequences, "p, seeds"] * (place > 0)
    biases = list(dict.fromkeys(row.bias for row in rows))
    cells = []
    for bias in biases:
        own = [row for row in rows if row.bias == bias]
        alike = [row for row in rows if (row.bias is None) == (bias is None)]
        decimals = decimals_of(alike)
        line: list[str | None] = ["slope per 1 %" if bias is None else percent(bias)]
        for row in own:
            line += [spread_text(row, decimals), *_tested(row, decimals, sequences)]
        cells.append(line)
    better = {1: "Higher is better.", 0: ""}[rows[0].better]
    return table(cells, columns, f"{rows[0].title}. {better}".strip())


def _tested(row: SeriesRow, decimals: int, sequences: bool) -> list[str | None]:
    if row.by_seed is None:
        return []
    test = row.by_sequence or row.by_seed
    of_sequences = [p_text(row.by_sequence.p_value) if row.by_sequence else None] * sequences
    return [number_text(test.mean_difference, decimals), *of_sequences, p_text(row.by_seed.p_value)]


# ---- limits


def limits_section(series: Series, rows: Sequence[SeriesRow]) -> str:
    biases, seeds, conditions = len(series.biases), len(series.seeds), len(series.conditions)
    tests = sum(row.by_seed is not None for row in rows) + sum(row.by_sequence is not None for row in rows)
    at_biases = f"{biases} biases × {seeds} seed{'s' * (seeds > 1)}"
    said = [
        f"{at_biases} are {biases * seeds} models of a condition. A seed's own {biases} models make one slope, so that"
        f" the test of slopes has {seeds} value{'s' * (seeds > 1)} a condition, not {biases * seeds}: it answers for"
        " other models trained on these very data.",
        "The data sets are one simulation, of one motif, with one draw of the letters: at another bias a few of the"
        " training positives' letters A and T are C and G, and nothing else differs. That makes the bias the only cause"
        " of a trend here. It tells nothing of other motifs, models or real genomes, where G and C go together with"
        " much that matters.",
        "A slope is one number for a trend. That the measure changes in a straight line, a line through"
        f" {biases} points does not show, nor what it does beyond {percent(series.biases[-1])}: see the dots.",
        "A test over sequences answers for other sequences seen by the same models. All biases are measured on the same"
        " sequences, and with many of them nearly every difference is significant: look at its size.",
    ]
    if conditions > 1:
        said.append(
            f"The tables hold {tests} tests, uncorrected, and many depend on each other; by chance alone one in twenty"
            " is below 0.05. The one that was asked for beforehand is that of the slopes in the summary."
        )
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in said)}</ul>"


# ---- runs


def runs_section(series: Series) -> str:
    first = series.models[0].path
    cells = [
        [
            condition.title,
            ", ".join(f"{k}={v}" for k, v in condition.overrides(series.config, series.weights).items()) or "nothing",
            str(first.parent.parent.parent / "gc_*" / series.of(series.biases[0], condition.name)[0].path.parent.name),
        ]
        for condition in series.conditions
    ]
    again = note("The command that made this page is in gc_series.json; it goes on where it stopped.")
    caption = "Everything else is alike."
    columns = ["", "what differs from the config", "models in"]
    return "\n".join([table(cells, columns, caption), key_values(_settings(series)), again])


def _settings(series: Series) -> dict[str, object]:
    record, config = series.record, series.config
    return {
        "biases": ", ".join(map(percent, series.biases)),
        "seeds": ", ".join(map(str, series.seeds)),
        "biased splits": ", ".join(config.simulate.gc_bias_in),
        **{
            f"loci, {split}": ", ".join(f"{n:,} {kind}" for kind, n in counts.items())
            for split, counts in record["dataset"]["loci"].items()
        },
        "input length": f"{config.data.input_length} bp",
        "model": config.model.name,
        "the config's own prior": f"{config.prior.name}, weight {config.prior.weight}",
        "DeepSHAP": f"{config.attribute.num_references} references, {config.attribute.references}",
        "first model": record["command"],
        "device": ", ".join(record["devices"]),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
