"""The page of motif discovery: logos, matches, instances, the regions they reach, and a scan without a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.motifs_results import Result, called
from fprior.motifs.patterns import Pattern
from fprior.report.figures import to_png_base64, to_svg
from fprior.report.motif_figure import motif_logos, recall_curves
from fprior.report.page import Section, figure, key_values, note, page, table

MOST_LOGOS = 10  # of either sign
MOST_ROWS = 15  # of the instances and of the scan
LARGEST_SVG = 300_000  # characters
FILES = "patterns.h5, patterns.meme, seqlets.bed, matches.csv, instances.bed, recall.csv, baseline.csv and motifs.json"


def motifs_page(result: Result, record: Mapping[str, Any]) -> str:
    """The page, of what was found and its numbers, `motifs.json`."""
    sections = [Section("Patterns", patterns_section(result, record))]
    if result.patterns:
        sections += [
            Section("Known motifs like them", matches_section(result, record)),
            Section("Instances", instances_section(result, record)),
            Section("Independent regions", recall_section(result, record)),
        ]
    sections += [
        Section("Without a model", baseline_section(result, record)),
        Section("How it was made", made_section(result, record)),
    ]
    return page(f"Motifs of {result.sources.run}", lead(result, record), sections)


def lead(result: Result, record: Mapping[str, Any]) -> str:
    counts, q_value = record["counts"], result.sources.q_value
    where = f"in the contributions to {result.sources.what}, in {counts['loci']:,} loci ({result.sources.origin})"
    if not result.patterns:
        return f"TF-MoDISco finds no pattern {where}."
    like = f"{counts['patterns_with_a_match']:,} of them like a known motif (q ≤ {q_value:g})"
    called_in = f"{_number(counts['instances'], 'instance')} in {_number(counts['loci_of_instances'], 'locus', 'loci')}"
    return f"TF-MoDISco finds {_number(counts['patterns'], 'pattern')} {where}, {like}. {called_in}."


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


# ---- patterns


def patterns_section(result: Result, record: Mapping[str, Any]) -> str:
    if not result.patterns:
        return note(f"No pattern found. The likely reason: {result.why_none}")
    q_value = result.sources.q_value
    rows = []
    for one in record["patterns"]:
        known = called(result, one["name"])
        names = known.motif if known else None, known.q_value if known else None
        numbers = (one["consensus"], one["width"], one["information_bits"], one["seqlets"], one["loci_with_seqlets"])
        rows.append([one["name"], *names, *numbers, one["instances"]])
    columns = ["pattern", "most like", "q", "consensus", "width", "bits", "seqlets", "in loci", "instances"]
    caption = (
        "Patterns by sign and number of seqlets, the short stretches of high contributions that they are made of."
        " Positive patterns argue for what the model predicts, negative ones against it. Consensus, width and"
        " information content (against equally frequent bases) are those of the trimmed pattern; in the consensus a"
        f" base of less than half of the seqlets is in lower case. No known motif is named where q > {q_value:g}."
    )
    return logos_of(result) + table(rows, columns, caption)


def logos_of(result: Result) -> str:
    """The logos of the first patterns of either sign."""
    shown = [one for sign in (1, -1) for one in [p for p in result.patterns if p.sign == sign][:MOST_LOGOS]]
    drawn = motif_logos({_title(result, one): one.contributions[one.trimmed()] for one in shown})
    svg = to_svg(drawn)
    caption = (
        "Contribution-weight matrices: letters as high as the mean contribution of the base at that position over the"
        " seqlets, in units of the model's output; left as the pattern reads, right on the opposite strand. Trimmed to"
        " the positions with 0.3 or more of the largest position's contributions."
    )
    if left_out := len(result.patterns) - len(shown):
        caption += f" Not drawn: {_number(left_out, 'pattern')} with fewer seqlets, which the files have."
    return figure(svg if len(svg) <= LARGEST_SVG else to_png_base64(drawn), caption, "Sequence logos of the patterns")


def _title(result: Result, one: Pattern) -> str:
    known = called(result, one.name)
    like = (
        f"like {known.motif}, q = {known.q_value:.1e}"
        if known
        else f"like no known motif (q ≤ {result.sources.q_value:g})"
    )
    return f"{one.name}: {like}; {_number(len(one.locus), 'seqlet')}"


# ---- known motifs


def matches_section(result: Result, record: Mapping[str, Any]) -> str:
    rows = [
        [
            *(one["name"], one["information_bits"]),
            *(match[name] for name in ("motif", "p_value", "q_value", "overlap", "offset")),
            match["strand"].replace("-", "−"),
        ]
        for one in record["patterns"]
        for match in one["matches"]
    ]
    q_value = result.sources.q_value
    significant = {(row, 4) for row, cells in enumerate(rows) if cells[4] <= q_value}
    columns = ["pattern", "its bits", "known motif", "p", "q", "overlap", "offset", "strand"]
    caption = (
        f"The best matches of every pattern among the {len(result.sources.motifs):,} motifs of"
        f" {record['settings']['motifs']['file']}, by Tomtom's comparison of the trimmed base frequencies. q is the"
        f" false discovery rate over all known motifs (marked: q ≤ {q_value:g}); overlap and offset in bases;"
        " on the strand − the known motif's opposite strand is aligned. Factors of a family share their motif: the"
        " name is one of several that fit; and where a pattern has few bits, a small q says little."
    )
    return table(rows, columns, caption, significant)


# ---- instances


def instances_section(result: Result, record: Mapping[str, Any]) -> str:
    found, loci = result.instances, record["counts"]["loci_of_instances"]
    rows = []
    for one in record["patterns"]:
        mine = found["pattern"] == one["name"]
        medians = [_median(found[name][mine]) for name in ("contribution_match", "sequence_match", "importance")]
        rows.append([one["name"], one["instances"], one["loci_with_instances"] / loci, *medians])
    columns = ["pattern", "instances", "share of loci", "contributions", "sequence, bits", "importance"]
    caption = (
        f"Places in {loci:,} loci whose sequence matches a pattern and whose contributions look like it; medians over"
        " the instances. Contributions: their continuous Jaccard similarity with the contribution-weight matrix (1: the"
        " same proportions and signs at every base). Sequence: log-odds. Importance: the sum of absolute contributions."
    )
    parts = [table(rows, columns, caption)]
    order = np.argsort(-found["importance"], kind="stable")[:MOST_ROWS]
    if len(order):
        parts.append(table([_instance(found, index) for index in order], INSTANCE, TOP_CAPTION))
    return "\n".join(parts)


INSTANCE = ["place", "strand", "pattern", "importance", "contributions", "bits", "in the input"]
TOP_CAPTION = (
    "The most important instances. Positions are 0-based and half-open, as in BED. All of them are in instances.bed,"
    " whose score is 1,000 times the contribution match; where inputs overlap, a place may be there once for each."
)


def _instance(found: Mapping[str, np.ndarray], index: int) -> list[Any]:
    chromosome = found["chromosome"][index]
    place, input_ = (
        f"{chromosome}:{found[f'{kind}start'][index]:,}–{found[f'{kind}end'][index]:,}" for kind in ("", "locus_")
    )
    numbers = [float(found[name][index]) for name in ("importance", "contribution_match", "sequence_match")]
    return [place, str(found["strand"][index]).replace("-", "−"), str(found["pattern"][index]), *numbers, input_]


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


# ---- independent regions


def recall_section(result: Result, record: Mapping[str, Any]) -> str:
    if not result.recall:
        return note(f"{result.sources.no_regions} There is nothing independent to hold the instances against.")
    drawn = recall_curves(
        {name: {"calls of positive patterns": (one.calls, one.reached)} for name, one in result.recall.items()},
        {name: one.chance for name, one in result.recall.items()},
        {name: one.within for name, one in result.recall.items()},
    )
    caption = (
        "Independent regions that the instances of positive patterns reach, the most important instance first: the"
        " regions that the first K calls overlap, of those that overlap a locus at all. As figure 3B of the paper."
        " Grey: the same calls at random places of their own loci, which is what the extent of the regions gives away."
    )
    rows = [
        [name, one["regions_at_loci"], one["calls"], one["calls_in_regions"], one["reached"], one["reached_at_random"]]
        for name, one in record["recall"].items()
    ]
    columns = ["regions", "at the loci", "calls", "calls in a region", "regions reached", "reached at random"]
    counted = (
        "The ends of the curves. A place that is called in several overlapping inputs counts once. Files: "
        + "; ".join(f"{name} is {one['file']} ({one['regions']:,} regions)" for name, one in record["recall"].items())
        + "."
    )
    return figure(to_svg(drawn), caption, "Curves of regions reached by calls") + table(rows, columns, counted)


# ---- baseline


def baseline_section(result: Result, record: Mapping[str, Any]) -> str:
    if not result.negatives:
        return note(
            f"The loci ({result.sources.origin}) have no negatives to hold them against: which known motifs are"
            " enriched in them cannot be said."
        )
    q_value, total = result.sources.q_value, record["baseline"]
    like, loci = _patterns_like(result), len(result.sources.loci["start"])
    rows: list[list[Any]] = [
        [
            one.motif,
            one.positives / loci,
            one.negatives / result.negatives,
            one.odds_ratio,
            one.q_value,
            ", ".join(like.get(one.motif, [])) or None,
        ]
        for one in result.baseline[:MOST_ROWS]
    ]
    columns = ["known motif", "in loci", "in negatives", "odds ratio", "q", "patterns like it"]
    caption = (
        "What a scan of the same sequences for known motifs finds, without a model: the share of the"
        f" {loci:,} loci and of the split's {result.negatives:,} negatives with a match, and a one-sided Fisher test of"
        f" the difference, q over all {total['motifs']:,} motifs; {total['enriched']:,} have q ≤ {q_value:g} (marked),"
        f" the first {len(rows)} are shown. Motifs of a family find the same places, and negatives that differ in"
        " GC make motifs rich in G and C look enriched. Last: patterns that have the motif among their best matches."
    )
    return table(rows, columns, caption, {(row, 4) for row, cells in enumerate(rows) if cells[4] <= q_value})


def _patterns_like(result: Result) -> dict[str, list[str]]:
    """Known motif → the patterns that have it among their matches."""
    like: dict[str, list[str]] = {}
    for pattern, matches in result.matches.items():
        for match in matches:
            like.setdefault(match.motif, []).append(pattern)
    return like


# ---- provenance


def made_section(result: Result, record: Mapping[str, Any]) -> str:
    settings = record["settings"]
    attributed, motifs = settings["attributions"]["settings"], settings["motifs"]
    values = {
        "attributions": settings["attributions"]["file"],
        "loci": result.sources.origin,
        "attributed": result.sources.what,
        "method": f"DeepSHAP, {attributed['rule']}, references: {attributed['references']}",
        "instances in": settings["instances"]["file"],
        "window": f"{record['window']:,} bases in the middle of {result.sources.loci['tokens'].shape[1]:,}",
        "most seqlets of a sign": motifs["max_seqlets"],
        "Leiden runs": motifs["leiden_runs"],
        "known motifs": motifs["file"],
        **{f"{name}, version": version for name, version in settings["versions"].items()},
        **{f"seconds: {part}": seconds for part, seconds in record["seconds"].items()},
        "memory at most, GB": record["peak_memory_gigabytes"],
        "command": record["command"],
    }
    return key_values(values) + note(f"Beside this page: {FILES}.")
