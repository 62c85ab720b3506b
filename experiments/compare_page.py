"""The page of a comparison."""

from collections.abc import Sequence
from html import escape

from experiments.compare_examples import examples_section
from experiments.compare_motif_section import motifs_section
from experiments.compare_results import Comparison, Row, Trial
from experiments.compare_sections import measures_section, performance_section, scatter_figure
from experiments.compare_summary import Verdicts, summary_section, verdicts
from experiments.conditions import WORDS, Condition
from fprior.report.page import Section, key_values, note, page, table

STABILITY = (
    "How alike the DeepSHAP scores of two models are at the same sequences: continuous Jaccard similarity, averaged"
    " over the positions of a sequence and over pairs of models. Between seeds, and where it was asked for between"
    " models of all positives and of a part."
)
SUMMITS = (
    "Whether importance lies where the assay says that the protein is. The Spearman correlation of a base's importance"
    " with its distance from the nearest summit is the more negative, the closer importance lies to summits; the area"
    " under the precision–recall curve is that of bases ranked by importance against those in called peaks."
)
REGIONS = (
    "Whether importance lies in regions that are known from elsewhere, or in matches to a motif, and how much of what"
    " lies there argues against the prediction. Matches are found in the sequence alone: some are not bound."
)
ABSENT = {
    "performance": "No measure of performance was given.",
    "stability": "Similarity takes two models or more of one condition: raise --seeds.",
    "summits": "The data set's windows do not lie around summits, and no called peaks were given.",
    "regions": "No regions and no motifs were given: see config.evaluate.regions and config.evaluate.motifs.",
    "cleanness": "No measure of cleanness was given.",
}


def compare_page(comparison: Comparison, rows: Sequence[Row]) -> str:
    """One self-contained HTML page.

    Args:
      comparison: what was measured.
      rows: its measures, each with a row for every condition, in the order of the conditions.
    """
    said = verdicts(rows)
    seeds, names = len(comparison.seeds), ", ".join(condition.title for condition in comparison.conditions)
    unseen = ", which played no part in training or in choosing models" * (comparison.split == "test")
    lead = (
        f"{comparison.record['dataset']['name']}: {', '.join(comparison.tasks)}. {names[:1].upper() + names[1:]}:"
        f" {seeds} model{'s' * (seeds > 1)} of each, measured on the same loci of the {comparison.split} split{unseen}."
    )
    sections = [
        Section("Summary", summary_section(comparison, rows, said)),
        Section("Performance", _of_table("performance", comparison, rows, said)),
        Section("Stability", _of_table("stability", comparison, rows, said, STABILITY)),
        Section("Summits and peaks", _of_table("summits", comparison, rows, said, SUMMITS)),
        Section("Regions", _of_table("regions", comparison, rows, said, REGIONS)),
        Section("Cleanness", _of_table("cleanness", comparison, rows, said, cleanness_text(comparison))),
        Section("Motifs", motifs_section(comparison, [row for row in rows if row.table == "motifs"])),
        Section("Examples", examples_section(comparison)),
        Section("Choice of weights", sweep_section(comparison)),
        Section("Runs", runs_section(comparison)),
    ]
    return page(comparison.question.title, lead, sections)


def _of_table(name: str, comparison: Comparison, rows: Sequence[Row], said: Verdicts, text: str = "") -> str:
    """The section of one table; a note where it has no rows."""
    own = [row for row in rows if row.table == name]
    if not own:
        return note(ABSENT[name])
    body = performance_section(comparison, own) if name == "performance" else measures_section(comparison, own, said)
    plot = scatter_figure(comparison, own) if name == "cleanness" else ""
    return "\n".join(part for part in (f"<p>{escape(text)}</p>" * bool(text), plot, body) if part)


def cleanness_text(comparison: Comparison) -> str:
    limit = f"{comparison.config.prior.freq_limit:g}"
    return (
        "An attribution that lies in a few motifs has little entropy and little of its Fourier magnitude in high"
        f" frequencies. High-frequency share: the part above {limit} cycles per input, of all but the constant"
        " component. A prior on input gradients asks for this while it trains: DeepSHAP is the fairer judge of it."
    )


def sweep_section(comparison: Comparison) -> str:
    """A table for every word whose weight was chosen, a line for one whose weight was given."""
    if not comparison.weights:
        return note("No condition has a weight that has to be chosen.")
    parts = []
    if comparison.trials:
        parts.append(
            "<p>Of the weights of a table the one with the lowest validation loss was chosen; one model each.</p>"
        )
    for word, weight in comparison.weights.items():
        trials = sorted((t for t in comparison.trials if t.word == word), key=lambda trial: trial.weight)
        given = f"{WORDS[word].title}: weight {weight:g}, the only one in config.compare.{word}."
        parts.append(_sweep_table(word, trials) if trials else note(given))
    return "\n".join(parts)


def _sweep_table(word: str, trials: Sequence[Trial]) -> str:
    cells = [[f"{t.weight:g}", t.loss, t.epoch, "chosen" if t.chosen else ""] for t in trials]
    marked = {(i, j) for i, trial in enumerate(trials) if trial.chosen for j in range(4)}
    title = WORDS[word].title
    parts = [table(cells, ["weight", "best validation loss", "epoch", ""], f"{title}: {_fields(word)}.", marked)]
    ends = {trials[0].weight, trials[-1].weight}
    if any(trial.chosen and trial.weight in ends for trial in trials):
        parts.append(
            note(
                f"{title}: the chosen weight lies at the end of the range, which was too short: a weight beyond it"
                " may do better."
            )
        )
    return "\n".join(parts)


def _fields(word: str) -> str:
    return " and ".join(f"config.{name}" for name in WORDS[word].swept)


# ---- runs


def runs_section(comparison: Comparison) -> str:
    cells = []
    for condition in comparison.conditions:
        results = comparison.results[condition.name]
        cells.append(
            [
                condition.title,
                _changes(comparison, condition),
                _range([round(model.history[-1]["epoch"]) for model in results]),
                _range([round(model.best["epoch"]) for model in results]),
                str(results[0].path.parent),
            ]
        )
    columns = ["", "what differs from the config", "epochs", "best epoch", "models in"]
    caption = (
        f"Seeds {', '.join(map(str, comparison.seeds))}; everything else is alike. The best epoch, by validation loss,"
        " is the one that was measured. Where seeds differ, the smallest and the largest."
    )
    again = note("The command that made this page is in the JSON file of the same name; it goes on where it stopped.")
    return "\n".join(
        [table(cells, columns, caption), _subset_text(comparison), key_values(_settings(comparison)), again]
    )


def _changes(comparison: Comparison, condition: Condition) -> str:
    changes = condition.overrides(comparison.config, comparison.weights)
    return ", ".join(f"{name}={value}" for name, value in changes.items()) or "nothing"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _subset_text(comparison: Comparison) -> str:
    directories = [str(results[0].path.parent) for results in comparison.subset_results.values() if results]
    if not directories:
        return ""
    share = comparison.config.compare.subset_fraction
    return note(f"Trained on {share:.3g} of the positives, those with the highest signal: {', '.join(directories)}.")


def _settings(comparison: Comparison) -> dict[str, object]:
    record, config, prior = comparison.record, comparison.config, comparison.config.prior
    loci = record["dataset"].get("loci", {})
    return {
        "data set": record["dataset"]["name"],
        **{
            f"loci, {split}": ", ".join(f"{n:,} {kind}" for kind, n in counts.items()) for split, counts in loci.items()
        },
        "input length": f"{config.data.input_length} bp",
        "model": config.model.name,
        "the config's own prior": f"{prior.name}, weight {prior.weight}, freq_limit {prior.freq_limit:g}",
        "first model": record["command"],
        "device": ", ".join(record["devices"]),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
