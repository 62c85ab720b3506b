"""The loci at which two conditions differ most, drawn for all conditions."""

from typing import NamedTuple

import numpy as np

from experiments.compare_numbers import sequence_means
from experiments.compare_results import Comparison
from experiments.compare_sections import CLEAN
from fprior.report.figures import Positions, attribution_pair, to_svg
from fprior.report.page import figure, note
from fprior.sequence import decode

LOGO_WIDTH = 80
NAMES = dict(zip(CLEAN, ("high-frequency share", "entropy (bits)"), strict=True))


class Example(NamedTuple):
    """A locus that is drawn: its place among the positives, and why."""

    place: int
    measure: str
    gains: bool  # whether it is the one where the second condition gains most, or the one where it loses most


def examples_section(comparison: Comparison) -> str:
    if len(comparison.conditions) < 2:
        return note("With one condition there is nothing to set side by side.")
    chosen = choose_examples(comparison)
    if not chosen:
        return note(
            "No sequence has a DeepSHAP entropy or high-frequency share under both of the first two conditions."
        )
    first, second = (condition.title for condition in comparison.conditions[:2])
    text = (
        f"<p>Not picked by eye: of all {len(comparison.loci['start']):,} positives those at which {second} lowers the"
        f" DeepSHAP {' and the '.join(NAMES.values())} most against {first}, and those at which it raises them most, by"
        f" each sequence's mean over the seeds. Drawn are the DeepSHAP contributions of seed {comparison.seeds[0]}; the"
        f" letters show the {LOGO_WIDTH} bases that hold the largest share of importance, averaged over the conditions."
        "</p>"
    )
    return "\n".join([text, *(example_figure(comparison, example) for example in chosen)])


def choose_examples(comparison: Comparison) -> list[Example]:
    """For each measure the locus where the second condition is cleanest against the first, and where it is least so.

    A locus that was chosen before is passed over; one where nothing changes, or changes the other way, is none.
    """
    chosen: list[Example] = []
    for measure in CLEAN:
        first, second = (sequence_means(comparison, c.name, measure) for c in comparison.conditions[:2])
        if first is None or second is None:
            continue
        gain = first - second  # both measures are lower where an attribution is cleaner
        for sign in (1, -1):
            order = np.argsort(np.where(gain * sign > 0, -gain * sign, np.inf), kind="stable")
            taken = {example.place for example in chosen}
            index = next((int(i) for i in order if sign * gain[i] > 0 and int(i) not in taken), None)
            if index is not None:
                chosen.append(Example(index, measure, sign > 0))
    return chosen


def example_figure(comparison: Comparison, example: Example) -> str:
    loci, index = comparison.loci, example.place
    chromosome, start, end = str(loci["chromosome"][index]), int(loci["start"][index]), int(loci["end"][index])
    tracks = {
        condition.title: np.asarray(comparison.results[condition.name][0].contributions["deepshap"][index], float)
        for condition in comparison.conditions
    }
    first = busiest(np.array(list(tracks.values())), LOGO_WIDTH)
    bases = loci["tokens"][index][first : first + LOGO_WIDTH]
    one_hot = bases[:, None] == np.arange(4)
    logos = {title: one_hot * track[first : first + LOGO_WIDTH, None] for title, track in tracks.items()}
    name = f"{chromosome}:{start + 1:,}-{end:,}"
    around_summits = comparison.record["dataset"].get("settings", {}).get("loci", "summits") == "summits"
    summit = start + (end - start) // 2 if around_summits else -1  # which is in no window
    positions = Positions(chromosome, start, summit, start + first)
    svg = to_svg(attribution_pair(tracks, logos, positions, name))
    means = [sequence_means(comparison, condition.name, example.measure) for condition in comparison.conditions[:2]]
    before, after = (of_sequences[index] for of_sequences in means if of_sequences is not None)
    titles = [condition.title for condition in comparison.conditions[:2]]
    verb = "lowers" if example.gains else "raises"
    caption = (
        f"{name}: where {titles[1]} {verb} the DeepSHAP {NAMES[example.measure]} most,"
        f" from {before:.4g} with {titles[0]} to {after:.4g}. Every row has its own scale."
    )
    alt = f"DeepSHAP contribution of every base of {name} under each condition, and logos, sequence {decode(bases)}"
    return figure(svg, caption, alt)


def busiest(tracks: np.ndarray, width: int) -> int:
    """First of the `width` positions that hold the largest share of importance, averaged over tracks `(C, L)`."""
    sizes = np.abs(tracks)
    totals = sizes.sum(axis=1, keepdims=True)
    share = np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0).mean(axis=0)
    sums = np.concatenate([[0], np.cumsum(share)])
    width = min(width, len(share))
    return int(np.argmax(np.round(sums[width:] - sums[:-width], 12)))
