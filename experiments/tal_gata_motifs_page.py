"""The section of the TAL–GATA page on motifs: logos, matches, and how much of what was put there is found again."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.tal_gata_motifs import KNOWN, Q_VALUE, TaskMotifs, recall
from fprior.data.simulation import MOTIFS, Simulation
from fprior.report.figures import to_svg
from fprior.report.motif_figure import motif_logos, recall_curves
from fprior.report.page import figure, note, table

MOST_LOGOS = 4  # of a task
RANDOM = "A call at a random place of its sequence, of its width, is the baseline, the mean of ten draws."


def motifs_section(motifs: Mapping[str, Any], found: Mapping[str, TaskMotifs], data: Simulation) -> str:
    """The section, of the numbers `motifs` of the result and what they were computed from."""
    if motifs["left_out"]:
        return note(motifs["left_out"])
    reasons = [note(f"Task {task}: {one['why_none']}") for task, one in motifs["tasks"].items() if one["why_none"]]
    if not any(one.patterns for one in found.values()):
        return "\n".join(reasons)
    parts = [
        _verdicts(motifs),
        *reasons,
        _logos(found),
        _patterns(motifs),
        _matches(motifs),
        _curves(found, data),
        _recall(motifs),
    ]
    return "\n".join(parts)


def verdict(motif: str, found: Mapping[str, Any] | None) -> str:
    """What there is to say of a simulated motif, of the entry of `motifs["found"]`."""
    if found is None:
        return f"{motif}'s motif: not found."
    return (
        f"{motif}'s motif: found, as {found['pattern']} of task {found['task']} (q = {found['q_value']:.1e},"
        f" {found['information_bits']:.1f} bits, {found['seqlets_on']:,} of its {found['seqlets']:,} seqlets on an"
        " instance)."
    )


def _verdicts(motifs: Mapping[str, Any]) -> str:
    return "\n".join(note(verdict(name, one)) for name, one in motifs["found"].items())


def _logos(found: Mapping[str, TaskMotifs]) -> str:
    matrices = {f"put there: {motif.name}, in bits": _in_bits(motif.smoothed()) for motif in MOTIFS}
    for task, one in found.items():
        for pattern in one.patterns[:MOST_LOGOS]:
            best = one.matches[pattern.name][0]
            bits = pattern.information_content[pattern.trimmed()].sum()
            title = (
                f"task {task}, {pattern.name}: {len(pattern.locus):,} seqlets, {bits:.1f} bits; {best.motif},"
                f" q = {best.q_value:.1e}"
            )
            matrices[title] = pattern.contributions[pattern.trimmed()]
    caption = (
        "First the motifs that were put into the sequences, letters as high as their information against equally"
        " frequent bases. Then TF-MoDISco's patterns, letters as high as the mean contribution to the task's logit over"
        f" the seqlets, trimmed to what matters; {MOST_LOGOS} of a task at most. Left as it reads, right on the"
        " opposite strand: all instances are on the forward strand, but TF-MoDISco looks at both and may turn a pattern"
        " round."
    )
    return figure(to_svg(motif_logos(matrices)), caption, "Sequence logos of the simulated motifs and the patterns")


def _in_bits(probabilities: np.ndarray) -> np.ndarray:
    return probabilities * (probabilities * np.log2(4 * probabilities)).sum(axis=1, keepdims=True)


def _patterns(motifs: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{task}, {one['name']}",
            *(one[name] for name in ("consensus", "information_bits", "seqlets")),
            *one["seqlets_on"].values(),
            one["instances"],
            *one["instances_on"].values(),
        ]
        for task, of_task in motifs["tasks"].items()
        for one in of_task["patterns"]
    ]
    seqlets, calls = ([f"{what} on {motif.name}" for motif in MOTIFS] for what in ("seqlets", "calls"))
    columns = ["task, pattern", "consensus", "bits", "seqlets", *seqlets, "calls", *calls]
    caption = (
        "Patterns, the seqlets they are made of and the calls of their instances in the same sequences; how many of"
        " either overlap a motif that was put there. Consensus and information content are those of the trimmed"
        " pattern; a base of less than half of the seqlets is in lower case. A seqlet is 30 bases wide and may reach a"
        " neighbour. A call has to read as one word in 10,000 does; of six bases that is the best word alone."
    )
    return table(rows, columns, caption)


def _matches(motifs: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{task}, {one['name']}",
            one["information_bits"],
            match["motif"],
            *(match[name] for name in ("p_value", "q_value", "overlap")),
            match["strand"].replace("-", "−"),
        ]
        for task, of_task in motifs["tasks"].items()
        for one in of_task["patterns"]
        for match in one["matches"]
    ]
    columns = ["task, pattern", "its bits", "known motif", "p", "q", "overlap", "strand"]
    caption = (
        f"The best matches of every pattern among the motifs of {KNOWN} and the two simulated ones, and the places of"
        f" these, by Tomtom; marked: q ≤ {Q_VALUE:g}. Factors of a family share their motif, so that several fit; and"
        " where a pattern has few bits, a small q says little."
    )
    return table(rows, columns, caption, {(row, 4) for row, cells in enumerate(rows) if cells[4] <= Q_VALUE})


def _curves(found: Mapping[str, TaskMotifs], data: Simulation) -> str:
    curves, chance, totals = {}, {}, {}
    for number, motif in enumerate(MOTIFS):
        of_task = {task: recall(one.positive_calls(), data, number) for task, one in found.items()}
        curves[motif.name] = {f"task {task}": columns[:2] for task, columns in of_task.items()}
        calls, _, at_random = max(of_task.values(), key=lambda columns: columns[1].max(initial=0))
        chance[motif.name] = calls, at_random
        totals[motif.name] = int(data.counts[:, number].sum())
    caption = (
        "How many of the instances that were put there the calls of positive patterns overlap, the most important call"
        f" first. {RANDOM} It is drawn for the task whose calls reach most."
    )
    return figure(to_svg(recall_curves(curves, chance, totals)), caption, "Curves of instances reached by calls")


def _recall(motifs: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{task}, {motif}",
            *(one[name] for name in ("planted", "calls", "calls_on", "reached", "reached_at_random")),
        ]
        for task, of_task in motifs["tasks"].items()
        for motif, one in of_task["recall"].items()
    ]
    columns = ["task, motif", "put there", "calls", "calls on one", "reached", "reached at random"]
    return table(rows, columns, "The ends of the curves: calls of positive patterns against the motif's instances.")
