"""The motifs of a comparison on its page: counts, known motifs found and missed, logos, regions reached."""

from collections.abc import Sequence
from html import escape

import numpy as np

from experiments.compare_motif_numbers import Known, extended, known_motifs, reads_alike
from experiments.compare_numbers import measures_of
from experiments.compare_results import Comparison, FoundPattern, ModelMotifs, Reached, Row
from experiments.compare_sections import seeds_table, undefined_notes
from fprior.report.figures import to_svg
from fprior.report.motif_figure import motif_logos, recall_curves
from fprior.report.page import figure, note, table

MOST_KNOWN = 12  # motifs in a table
POINTS = 200  # of a curve
OFF = (
    "Motifs were not looked for. --config.compare.motifs=True does it in the attributions of every model, also of those"
    " that are trained."
)
TEXT = (
    "Patterns that TF-MoDISco finds in the DeepSHAP scores of each model: positive ones, which argue for the"
    " prediction; the known motifs that they resemble, by Tomtom; and their instances, places whose sequence and"
    " contributions look like them. Every model has a page of its own with all of it, motifs.html."
)
MEASURES = (
    "Similarity between seeds: continuous Jaccard similarity of each pattern's contribution-weight matrix with the most"
    " similar one of the other seed, at the best alignment, a mean over patterns weighed by seqlets and over pairs of"
    " seeds; 1 where all patterns come back, 0 where only one of two models has any. Regions reached: by all calls, of"
    " those that overlap a locus, which grows with the number of calls; the area under the curve counts as many calls"
    " as there are regions, the most important first, so that it does not: about ½ where every call reaches one more"
    " region."
)


def motifs_section(comparison: Comparison, rows: Sequence[Row]) -> str:
    """The section; `rows` are those of the table motifs."""
    if not comparison.motifs:
        return note(OFF)
    titles = {condition.name: condition.title for condition in comparison.conditions}
    known = list(known_motifs(comparison.motifs, comparison.config.motifs.q_value).values())
    parts = [
        f"<p>{escape(TEXT)}</p>",
        seeds_table(rows, measures_of(rows), titles, "Motifs of a model"),
        f"<p>{escape(MEASURES)}</p>",
        *undefined_notes(rows),
        without_patterns(comparison),
        *([found_table(comparison, known), details_table(comparison, known)] if known else [_none_known(comparison)]),
        logos_figure(comparison),
        recall_figure(comparison),
    ]
    return "\n".join(part for part in parts if part)


def _none_known(comparison: Comparison) -> str:
    q_value, file = comparison.config.motifs.q_value, comparison.config.motifs.file
    return note(f"No positive pattern of any model is like a known motif of {file} (q ≤ {q_value:g}).")


def without_patterns(comparison: Comparison) -> str:
    """The models in which nothing was found, and why; nothing where there is none."""
    models = [(c.title, model) for c in comparison.conditions for model in comparison.motifs[c.name]]
    cells = [[title, model.seed, model.why_none] for title, model in models if model.why_none]
    if not cells:
        return ""
    failed = sum(model.failed for _, model in models)
    caption = f"{len(cells)} of {len(models)} models without a positive pattern, and the likely reason."
    if failed:
        caption += f" In {failed} of them the search failed: they count in no number here."
    return table(cells, ["condition", "seed", "why"], caption)


# ---- known motifs


def found_table(comparison: Comparison, known: Sequence[Sequence[Known]]) -> str:
    """Which known motifs were found under which condition, in how many seeds."""
    shown, cells, marked = known[:MOST_KNOWN], [], set()
    for line, of in enumerate(shown):
        missed = any(not one.found for one in of if one.models)
        marked |= {(line, 2 + place) for place, one in enumerate(of) if one.found and missed}
        cells.append([of[0].motif, of[0].scan, *map(_found, of)])
    columns = ["known motif", "scan alone, q", *(condition.title for condition in comparison.conditions)]
    q_value = comparison.config.motifs.q_value
    caption = (
        f"Known motifs of {comparison.config.motifs.file} that positive patterns are like (q ≤ {q_value:g}), and in how"
        " many of the models. A pattern is counted once, under the name that most models' patterns have among their"
        " three best matches: factors of a family share their motif. Marked: found under one condition, missed under"
        f" another. {_scan_text(comparison, [of[0] for of in known])}"
    )
    return table(cells, columns, caption + _left_out(known), marked)


def _found(one: Known) -> str | None:
    if not one.models:
        return None
    return f"{one.found} of {one.models}" if one.found else "missed"


def _scan_text(comparison: Comparison, known: Sequence[Known]) -> str:
    scan = next((model.scan for of in comparison.motifs.values() for model in of if model.scan), {})
    if not scan:
        return "There are no negatives in which a scan could miss them."
    q_value = comparison.config.motifs.q_value
    enriched = sum(q <= q_value for q in scan.values())
    among = sum(one.scan <= q_value for one in known)
    return (
        "Scan alone: the false discovery rate of a motif's enrichment in the same sequences against negatives, without"
        f" a model; of the {len(known)} here {among}, of all {len(scan):,} known motifs {enriched:,} have"
        f" q ≤ {q_value:g}."
    )


def _left_out(known: Sequence[Sequence[Known]]) -> str:
    more = len(known) - MOST_KNOWN
    return f" Not shown: {more} found in fewer models, which the CSV file of the motifs has." if more > 0 else ""


def details_table(comparison: Comparison, known: Sequence[Sequence[Known]]) -> str:
    """How well each known motif was found under each condition."""
    titles = {condition.name: condition.title for condition in comparison.conditions}
    cells = [
        [one.motif, titles[one.condition], one.best_q, one.bits, one.seqlets, one.instances]
        for of in known[:MOST_KNOWN]
        for one in of
        if one.found
    ]
    columns = ["known motif", "condition", "best q", "its bits", "seqlets", "instances"]
    caption = (
        "The same motifs where they were found. Best q: of the pattern most like the motif, of any seed, and that"
        " pattern's information content; where it has few bits, a small q says little. Seqlets, the stretches that the"
        " patterns like the motif are made of, and their instances: medians over the models that found it."
    )
    return table(cells, columns, caption)


# ---- logos


def logos_figure(comparison: Comparison) -> str:
    """The pattern with most seqlets of each condition, of the first seed, all read in the same direction."""
    seed = comparison.seeds[0]
    drawn = {c.title: comparison.motifs[c.name][0].patterns[:1] for c in comparison.conditions}
    best = {title: patterns[0] for title, patterns in drawn.items() if patterns}
    if not best:
        return ""
    first = next(iter(best.values()))
    q_value = comparison.config.motifs.q_value
    logos = {f"{title}: {_like(one, q_value)}": _turned(one, first) for title, one in best.items()}
    caption = (
        f"The positive pattern with most seqlets of each condition's model of seed {seed}: its contribution-weight"
        " matrix, trimmed, on both strands, in units of the model's output. Every row has its own scale."
    )
    none = [title for title, patterns in drawn.items() if not patterns]
    if none:
        caption += f" Without a positive pattern in this seed: {', '.join(none)}."
    return figure(to_svg(motif_logos(logos)), caption, "Sequence logos of the best pattern of each condition")


def _turned(one: FoundPattern, first: FoundPattern) -> np.ndarray:
    """The trimmed matrix read on the strand on which the pattern is more like the first one."""
    trimmed = one.contributions[one.trimmed]
    return trimmed if reads_alike(first.contributions, one.contributions) else trimmed[::-1, ::-1]


def _like(one: FoundPattern, q_value: float) -> str:
    name, q = next(iter(one.matches.items()), ("", np.inf))
    like = f"like {name}, q = {q:.1e}" if q <= q_value else f"like no known motif (q ≤ {q_value:g})"
    return f"{one.name}, {like}; {one.seqlets:,} seqlet{'s' * (one.seqlets != 1)}"


# ---- regions


def recall_figure(comparison: Comparison) -> str:
    """Figure 3B of the paper: a panel for every region set, the mean curve of each condition's seeds."""
    searched = {
        condition.title: [model for model in comparison.motifs[condition.name] if not model.failed]
        for condition in comparison.conditions
    }
    searched = {title: models for title, models in searched.items() if models}
    models = [model for of in searched.values() for model in of]
    if not models[0].recall:
        return note("No independent regions were given to hold the instances against: see config.evaluate.regions.")
    curves, chance, spread = {}, {}, {}
    for name in models[0].recall:
        calls = _calls([model.recall[name] for model in models])
        of = {title: _curves(group, name, calls) for title, group in searched.items()}
        curves[name] = {title: (calls, rows.mean(axis=0)) for title, rows in of.items()}
        spread[name] = {title: (rows.min(axis=0), rows.max(axis=0)) for title, rows in of.items()}
        at_random = [extended(model.recall[name].at_random, calls) for model in models]
        chance[name] = calls, np.mean(at_random, axis=0)
    totals = {name: one.regions for name, one in models[0].recall.items()}
    caption = (
        "Independent regions that the instances of positive patterns reach, the most important first, of those that"
        " overlap a locus: mean over the seeds, shaded from the lowest to the highest. A model with fewer calls stays"
        " where it ends. Grey: calls at random places of their own loci, mean over all models. As figure 3B of the"
        " paper."
    )
    return figure(to_svg(recall_curves(curves, chance, totals, spread)), caption, "Curves of regions reached by calls")


def _calls(ends: Sequence[Reached]) -> np.ndarray:
    """Numbers of calls, up to the most of any model, at which curves are drawn."""
    most = max(len(one.reached) for one in ends)
    return np.unique(np.linspace(1, most, min(most, POINTS)).round().astype(np.int64))


def _curves(models: Sequence[ModelMotifs], name: str, calls: np.ndarray) -> np.ndarray:
    return np.array([extended(model.recall[name].reached, calls) for model in models])
