"""The tables and figures of a comparison's page."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.compare_numbers import (
    decimals_of,
    is_pooled,
    measures_of,
    number_text,
    p_text,
    rows_of,
    sequence_means,
    spread_text,
    without_task,
)
from experiments.compare_paper import paper_tables
from experiments.compare_results import Comparison, Row
from experiments.compare_summary import Verdicts
from fprior.report.comparison_figure import distributions, paired_scatter, seed_dots
from fprior.report.figures import to_png_base64, to_svg
from fprior.report.page import figure, note, table

MOST_PANELS = 12  # of one figure
WHY_UNDEFINED = {
    "performance": "a task without positives or without negatives among these loci has none",
    "stability": "attributions that are zero at every base have none",
    "summits": "sequences whose attribution is constant, or in which no base or every base lies in a peak, have none",
    "regions": "sequences without a region or a match, or with an attribution that is zero, have none",
    "motifs": "models without a positive pattern have no share of them, and no pair of such models is alike",
    "cleanness": "attributions that are constant or zero have none, nor has a measure of a background that is unknown",
}
CLEAN = ("deepshap.high_frequency_share", "deepshap.entropy_bits")  # the measures of figure 2


def performance_section(comparison: Comparison, rows: Sequence[Row]) -> str:
    """A table for what concerns all tasks, and one for each task where there are several."""
    titles = {condition.name: condition.title for condition in comparison.conditions}
    tables: dict[str, list[str]] = {}
    whole = "all tasks" if len(comparison.tasks) > 1 else comparison.tasks[0]
    for measure in measures_of(rows):
        tables.setdefault(_task(measure) or whole, []).append(measure)
    parts = [seeds_table(rows, measures, titles, task) for task, measures in tables.items()]
    parts.append(_dots(rows, titles))
    parts += undefined_notes(rows)
    parts.append(paper_tables(comparison, rows))
    return "\n".join(part for part in parts if part)


def _task(measure: str) -> str:
    """auroc[CTCF] → CTCF; "" for a measure of all tasks or the only one."""
    return measure.removeprefix(without_task(measure)).removeprefix("[").removesuffix("]")


def seeds_table(rows: Sequence[Row], measures: Sequence[str], titles: Mapping[str, str], what: str) -> str:
    """Measures of models: a row for each of them, a column for every condition, with its p."""
    names = list(titles)
    cells: list[list[str | None]] = []
    marked: set[tuple[int, int]] = set()
    for measure in measures:
        of_measure = rows_of(rows, measure)
        line: list[str | None] = [of_measure[0].title]
        for place, row in enumerate(of_measure):
            line.append(spread_text(row, decimals_of(of_measure)))
            line += [p_text(row.by_seed.p_value if row.by_seed else None)] * (place > 0)
        ranks = {place: row.better * row.mean for place, row in enumerate(of_measure) if np.isfinite(row.mean)}
        if len(set(ranks.values())) > 1:  # a row of equals has no best
            best = max(ranks.values())
            marked |= {(len(cells), max(1, 2 * place)) for place, rank in ranks.items() if rank == best}
        cells.append(line)
    columns = ["", titles[names[0]]]
    for name in names[1:]:
        columns += [titles[name], "p"]
    caption = f"{what}: mean ± standard deviation over the seeds."
    if len(names) > 1:
        caption += (
            f" p: two-sided Mann–Whitney test against {titles[names[0]]}. The best mean of a row is marked, however"
            " small its lead."
        )
    return table(cells, columns, caption, marked)


def _dots(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    panels = {}
    for measure in measures_of(rows)[:MOST_PANELS]:
        of_measure = rows_of(rows, measure)
        task = _task(measure)
        title = of_measure[0].title if not task or task in of_measure[0].title else f"{task}: {of_measure[0].title}"
        panels[title] = {titles[row.condition]: np.array(row.values, float) for row in of_measure}
    caption = "Every dot is a model, the bar the mean of a condition; as figure 4 of the paper."
    return figure(to_svg(seed_dots(panels)), caption, "Dots of every model's performance, by condition")


def measures_section(comparison: Comparison, rows: Sequence[Row], said: Verdicts) -> str:
    """A table for every measure of sequences, the distributions over sequences, and the paper's numbers."""
    parts = [measure_table(comparison, rows_of(rows, measure), said) for measure in measures_of(rows)]
    parts.append(_densities(comparison, rows))
    parts += undefined_notes(rows)
    parts.append(paper_tables(comparison, rows))
    return "\n".join(part for part in parts if part)


def measure_table(comparison: Comparison, rows: Sequence[Row], said: Verdicts) -> str:
    """One measure: a row for every condition."""
    titles = {condition.name: condition.title for condition in comparison.conditions}
    decimals, tests = decimals_of(rows), [row.by_seed for row in rows if row.by_seed]
    columns = ["", "mean ± sd" if any(row.deviation == row.deviation for row in rows) else "mean"]
    if len(rows) > 1:
        columns += ["difference", "95 % interval", "effect", "p, sequences", *["p, seeds"] * bool(tests), "verdict"]
    cells = []
    for row in rows:
        line: list[str | None] = [titles[row.condition], spread_text(row, decimals)]
        if len(rows) > 1:
            line += [*_tested(row, decimals, bool(tests)), said.get((row.measure, row.condition))]
        cells.append(line)
    direction = {1: "Higher is better.", -1: "Lower is better.", 0: ""}[rows[0].better]
    pooled = "Mean, and p over seeds: of the bases of all sequences ranked together; the rest of each sequence's own. "
    pooled *= is_pooled(comparison, rows[0].measure)
    return table(cells, columns, f"{rows[0].title}. {pooled}{direction}".strip())


def _tested(row: Row, decimals: int, seeds: bool) -> list[str | None]:
    test = row.by_sequence
    cells: list[str | None] = [None] * 4
    if test and test.pairs:
        low, high = (number_text(end, decimals) for end in test.interval)
        interval = None if low is None else f"{low}\u00a0to\u00a0{high}"
        effect = number_text(test.effect_size, 2)
        cells = [number_text(test.mean_difference, decimals), interval, effect, p_text(test.p_value)]
    return cells + [p_text(row.by_seed.p_value) if row.by_seed else None] * seeds


def _densities(comparison: Comparison, rows: Sequence[Row]) -> str:
    panels = {}
    for measure in measures_of(rows):
        means = {c.title: sequence_means(comparison, c.name, measure) for c in comparison.conditions}
        values = {title: of_sequences for title, of_sequences in means.items() if of_sequences is not None}
        if len(values) == len(means):
            panels[rows_of(rows, measure)[0].title] = values
    if not panels:
        return ""
    panels = dict(list(panels.items())[:MOST_PANELS])
    caption = (
        "Each sequence's mean over the seeds: density over the sequences, median (thin line) and the middle half (bar)."
    )
    return figure(to_svg(distributions(panels)), caption, "Distributions over sequences, by condition")


def scatter_figure(comparison: Comparison, rows: Sequence[Row]) -> str:
    """Figure 2 of the paper: sequence against sequence under the first two conditions."""
    if len(comparison.conditions) < 2:
        return ""
    first, second = comparison.conditions[:2]
    pairs = {}
    for measure in (name for name in CLEAN if rows_of(rows, name)):
        across, up = (sequence_means(comparison, condition.name, measure) for condition in (first, second))
        if across is not None and up is not None:
            pairs[rows_of(rows, measure)[0].title] = across, up
    if not pairs:
        return ""
    caption = (
        f"Every dot is a sequence, its mean over the seeds with {first.title} (across) and with {second.title} (up)."
        " Below the diagonal the second is cleaner. As figure 2 of the paper."
    )
    plot = to_png_base64(paired_scatter(pairs, (first.title, second.title)))
    return figure(plot, caption, f"Scatter plots of sequences, {first.title} against {second.title}")


def undefined_notes(rows: Sequence[Row]) -> list[str]:
    """Which measures have no value at all, and why that can be."""
    empty = [m for m in measures_of(rows) if all(np.isnan(row.mean) for row in rows_of(rows, m))]
    if not empty:
        return []
    names = ", ".join(rows_of(rows, measure)[0].title for measure in empty)
    return [note(f"Without a value (–): {names}; {WHY_UNDEFINED[rows[0].table]}.")]
