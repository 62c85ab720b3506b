"""The paper's numbers beside those of a comparison."""

from collections.abc import Sequence

import numpy as np

from experiments.compare_numbers import (
    SIMILARITIES,
    decimals_of,
    is_pooled,
    measures_of,
    number_text,
    spread_text,
    without_task,
)
from experiments.compare_results import Comparison, Row
from experiments.published import OVERLAP, REGIONS, SHARE, Published, printed_name, published
from fprior.metrics.statistics import describe
from fprior.report.page import table

HEAD = (
    "<h3>The paper's numbers beside these</h3>\n<p>Tseng et al. 2020. Other data and sizes: compare the"
    " differences between conditions rather than the numbers.</p>"
)


def paper_tables(comparison: Comparison, rows: Sequence[Row]) -> str:
    """A table for each measure that the paper prints for this kind of model, beside what is found here."""
    motifs, bases = comparison.config.evaluate.motifs, list(dict.fromkeys(without_task(m) for m in measures_of(rows)))
    parts = []
    for base in bases:
        entries = published(base, comparison.config.model.outputs)
        matched = any(base in (SHARE + motif, OVERLAP + motif) for motif in motifs)  # the paper has no matches
        if not matched and {entry.condition for entry in entries} & {c.name for c in comparison.conditions}:
            parts.append(_paper_table(comparison, [r for r in rows if without_task(r.measure) == base], entries))
    return "\n".join([HEAD, *parts]) if parts else ""


def _paper_table(comparison: Comparison, rows: Sequence[Row], entries: Sequence[Published]) -> str:
    printed = {entry.condition for entry in entries}
    decimals = max(len(str(entry.value).partition(".")[2]) for entry in entries)
    shown = [condition for condition in comparison.conditions if condition.name in printed]
    here: list[str | None] = [f"here: {comparison.record['dataset']['name']}"]
    here += [_ours([row for row in rows if row.condition == c.name]) for c in shown]
    cells: list[list[str | None]] = [[*here, "this comparison"]]
    for data, source in dict.fromkeys((entry.data, entry.source) for entry in entries):
        found = {e.condition: e for e in entries if (e.data, e.source) == (data, source)}
        if any(condition.name in found for condition in shown):
            cells.append([data, *(_printed(found.get(condition.name), decimals) for condition in shown), source])
    columns = ["data", *(condition.title for condition in shown), "where"]
    return table(cells, columns, _paper_caption(comparison, rows), {(0, j) for j in range(1, len(shown) + 1)})


def _ours(rows: Sequence[Row]) -> str | None:
    """In the way the paper has it: performance of the best seed, the mean over tasks; None without a row."""
    if not rows:
        return None
    if rows[0].table == "performance":
        best = [max(row.values) if row.better > 0 else min(row.values) for row in rows]
        return number_text(float(describe(np.array(best)).mean), 4)
    return spread_text(rows[0], decimals_of(rows))


def _printed(entry: Published | None, decimals: int) -> str | None:
    if entry is None:
        return None
    error = None if entry.error is None else number_text(entry.error, decimals)
    return number_text(entry.value, decimals) if error is None else f"{number_text(entry.value, decimals)} ± {error}"


def _paper_caption(comparison: Comparison, rows: Sequence[Row]) -> str:
    base = without_task(rows[0].measure)
    title = rows[0].title if base == rows[0].measure else base
    text = f"{title}, as the paper prints it and as found here."
    if rows[0].table == "performance":
        text += " The best of the seeds, as there of 30" + (
            "; mean over the tasks." if len({row.measure for row in rows}) > 1 else "."
        )
    elif is_pooled(comparison, base):
        text += " The bases of all sequences ranked together."
    elif base not in SIMILARITIES:
        text += " ±: here over the seeds, there the standard error over sequences."
    if base in SIMILARITIES:
        text += (
            " ±: standard error over sequences. The paper prints sums over the positions of an input, divided here by"
            " their number, 1,000 or 1,346."
        )
    if base == SIMILARITIES[1]:
        text += " The paper's part is 1 % of its data."
    if printed_name(base).endswith(REGIONS):
        text += " The paper's regions: ChIP-nexus peaks (Nanog/Oct4/Sox2), footprints (K562)."
    return text
