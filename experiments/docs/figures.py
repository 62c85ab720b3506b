"""Draws the figures of the guide.

    python -m experiments.docs.figures

draws into build/figures what `make docs` needs, in seconds, from what is committed beside this file. That holds
examples of trained models, which two commands make anew from the results of others:

    python -m experiments.docs.figures --comparison=runs/compare_quickstart    examples.npz, attributions.png
    python -m experiments.docs.figures --digits=runs/digits/digits.html       digits.png, as on that page

The examples are not picked by eye. Of the seeds of the comparison (`experiments.compare`) it is the one whose two
models differ in the mean entropy of DeepSHAP by the median of all seeds (of an even number, the lower middle one); of
the test peaks it is those at the quartiles of this difference.
"""

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from experiments.launch import launch
from fprior import fourier_prior
from fprior.data.scores import read_scores
from fprior.errors import InputError
from fprior.files import new_file, write_arrays, write_atomically
from fprior.metrics.interpretability import shannon_entropy
from fprior.priors import smooth
from fprior.report.figures import FAINT, INK, PALETTE, Positions, attribution_pair, draw_logo, plain, stack, to_svg
from fprior.spectrum import frequency_weights, magnitudes_of

HERE = Path(__file__).parent
EXAMPLES, PICTURE, DIGITS = HERE / "examples.npz", HERE / "attributions.png", HERE / "digits.png"
OUTPUT = HERE.parents[1] / "build" / "figures"

CONDITIONS = {"none": "without the prior", "fourier": "with the prior"}
QUARTILES = (0.25, 0.5, 0.75)
MEDIAN = 1  # of them
FREQ_LIMIT = 90.0  # of configs/quickstart.py, where the models come from
LOGO = 80  # bases around the summit
LEAST = 1e-3  # % of the spectrum, on a logarithmic scale
SOFTNESSES = (0.05, 0.2, 1.0, None)


def main(comparison: str | None, digits: str | None) -> None:
    if comparison is not None:
        write_arrays(EXAMPLES, examples_of(Path(comparison) / "models"))
        with new_file(PICTURE) as temporary:
            picture(read(EXAMPLES)).savefig(temporary, format="png", dpi=100, metadata={"Software": None})
        print(f"{EXAMPLES}\n{PICTURE}")
    if digits is not None:
        write_atomically(DIGITS, picture_on(digits))
        print(DIGITS)
    examples = read(EXAMPLES)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, figure in {
        "weights": weights_figure(),
        "spectra": spectra_figure(examples),
        "peak": peak_figure(examples),
    }.items():
        write_atomically(OUTPUT / f"{name}.svg", to_svg(figure))
    print(OUTPUT)


# ---- examples of trained models


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def examples_of(models: Path) -> dict[str, np.ndarray]:
    """Columns of the chosen peaks; of each model, in the order of CONDITIONS, DeepSHAP and gradient × input."""
    seeds = sorted(path.parent.name for path in (models / "none").glob("seed_*/attributions_test.h5"))
    if not seeds:
        raise InputError(
            f"--comparison={models.parent}: holds no attributed models of no prior; run experiments.compare"
        )
    columns = {
        seed: {name: read_scores(models / name / seed / "attributions_test.h5") for name in CONDITIONS}
        for seed in seeds
    }
    gains = {seed: _entropy(of["none"]) - _entropy(of["fourier"]) for seed, of in columns.items()}
    chosen = sorted(seeds, key=lambda seed: gains[seed].mean())[(len(seeds) - 1) // 2]
    order = np.argsort(gains[chosen], kind="stable")
    rows = order[[round(quantile * (len(order) - 1)) for quantile in QUARTILES]]
    evaluated = {name: read(models / name / chosen / "evaluation_test.npz") for name in CONDITIONS}
    locus = columns[chosen]["none"]
    for name in CONDITIONS:
        positives = evaluated[name]["positive_rows"]
        if not np.array_equal(evaluated[name]["tokens"], locus["tokens"]) or len(positives) != len(order):
            raise InputError(f"{models / name / chosen}: evaluation and attributions are not of the same peaks")
    return {
        **{name: locus[name][rows] for name in ("chromosome", "start", "end", "tokens")},
        "seed": np.array(chosen),
        "entropy_gain": gains[chosen][rows],
        "deepshap": np.stack([columns[chosen][name]["contributions"][rows] for name in CONDITIONS]),
        "gradient": np.stack([evaluated[name]["contributions"][rows] for name in CONDITIONS]),
    }


def _entropy(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return shannon_entropy(np.abs(columns["contributions"]))


def picture_on(page: str) -> bytes:
    """The pixels of the one picture on a page."""
    try:
        found = re.findall(r'src="data:image/png;base64,([^"]+)"', Path(page).read_text())
    except OSError as error:
        raise InputError(f"--digits={page}: cannot be read ({error.strerror}); run experiments.digits") from error
    if len(found) != 1:
        raise InputError(f"--digits={page}: holds {len(found)} pictures, not one; name the page of experiments.digits")
    return base64.b64decode(found[0])


# ---- figures


def picture(examples: Mapping[str, np.ndarray]) -> Figure:
    """Logos of the chosen peaks around their summits, without and with the prior, in shares of all importance."""
    count, length = examples["tokens"].shape
    middle = slice((length - LOGO) // 2, (length + LOGO) // 2)
    figure, axes = stack([0.62] * (2 * count), [0.42, 0.2] * count)
    for peak in range(count):
        pair = axes[2 * peak : 2 * peak + 2]
        bases = examples["tokens"][peak, middle, None] == np.arange(4)
        start = int(examples["start"][peak]) + middle.start
        for condition, (ax, label) in enumerate(zip(pair, CONDITIONS.values(), strict=True)):
            track = examples["deepshap"][condition, peak]
            draw_logo(ax, 100 * bases * track[middle, None] / np.abs(track).sum(), start)
            plain(ax)
            name = f"{label}: entropy {shannon_entropy(np.abs(track)):.2f} bits"
            ax.set_title(name, loc="left", fontsize=9, pad=2, color=PALETTE[condition], weight="bold")
            ax.tick_params(labelbottom=ax is pair[1])
        low, high = np.transpose([ax.get_ylim() for ax in pair])
        for ax in pair:
            ax.set_ylim(low.min(), high.max())
        place = f"{examples['chromosome'][peak]}, around the summit"
        pair[0].set_title(place, loc="right", fontsize=8, pad=2, color=FAINT)
    figure.text(0.012, 0.5, "% of the importance of all 600 bases", rotation=90, va="center", fontsize=9, color=INK)
    return figure


def weights_figure() -> Figure:
    """The weights of components for several values of softness, at the paper's L = 1,000 and limit 150."""
    length, limit = 1000, 150.0
    cycles = np.arange(1, length // 2 + 1)
    figure, (ax,) = stack([2.6], [0.6])
    for index, softness in enumerate(SOFTNESSES):
        weights = frequency_weights(cycles[None], (limit,), softness)
        label = "None: hard cut" if softness is None else f"{softness:g}" + " (the default)" * (softness == 0.2)
        ax.plot(cycles, weights, color=PALETTE[index], linewidth=1.6, label=label)
    plain(ax)
    ax.set(xlim=(0, length // 2), ylim=(-0.02, 1.05))
    ax.set_xlabel("component i, cycles per 1,000 bases", fontsize=8.5, color=INK)
    ax.set_ylabel("weight w_i", fontsize=8.5, color=INK)
    ax.legend(title="softness s", fontsize=8, title_fontsize=8.5, frameon=False, loc="upper right")
    periods = ax.secondary_xaxis("top", functions=(_other_way(length), _other_way(length)))
    periods.set_xticks([20, 10, 6.7, 4, 3, 2.5, 2])
    periods.tick_params(labelsize=8, colors=INK, length=3)
    periods.set_xlabel("period L / i, bases", fontsize=8.5, color=INK)
    return figure


def _other_way(length: int) -> Callable[[ArrayLike], ArrayLike]:
    """From components to periods, and back."""
    return lambda values: length / np.maximum(np.asarray(values, float), 1e-9)


def spectra_figure(examples: Mapping[str, np.ndarray]) -> Figure:
    """What the prior sees of the median peak: the track, smoothed, and its spectrum, without and with the prior."""
    figure = Figure(figsize=(10, 4.6))
    grid = figure.subplots(2, 2, gridspec_kw={"left": 0.07, "right": 0.985, "top": 0.94, "bottom": 0.1, "hspace": 0.45})
    for condition, (label, (left, right)) in enumerate(zip(CONDITIONS.values(), grid, strict=True)):
        track = np.abs(examples["gradient"][condition, MEDIAN])
        smoothed = smooth(jnp.asarray(track), 3.0)
        _, magnitudes, cycles = magnitudes_of(smoothed, "periodic", 1)
        share = np.asarray(magnitudes) / np.sum(magnitudes)
        weights = frequency_weights(cycles, (FREQ_LIMIT,), 0.2)
        colour = PALETTE[condition]
        left.plot(track, color=FAINT, linewidth=0.5, label="|gradient × input|")
        left.plot(smoothed, color=colour, linewidth=1.4, label="smoothed, σ = 3")
        right.vlines(cycles[0], LEAST, 100 * share, color=FAINT, linewidth=0.9, label="m_i / Σ m, %")
        right.vlines(
            cycles[0], LEAST, 100 * share * (1 - weights), color=colour, linewidth=0.9, label="of it penalised"
        )
        right.axvline(FREQ_LIMIT, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
        loss = float(fourier_prior(jnp.asarray(track), freq_limit=FREQ_LIMIT))
        left.set_title(label, loc="left", fontsize=9.5, color=colour, weight="bold")
        right.set_title(f"prior loss {loss:.3f}", loc="left", fontsize=9.5, color=colour, weight="bold")
        left.set(xlim=(0, len(track)), ylim=(0, None))
        right.set(xlim=(0, len(track) // 2 + 1), yscale="log", ylim=(LEAST, 10))
        for ax in (left, right):
            plain(ax)
            ax.legend(fontsize=8, frameon=False)
    grid[1, 0].set_xlabel("position in the input, bases", fontsize=8.5, color=INK)
    grid[1, 1].set_xlabel("component i, cycles per 600 bases; dashed: freq_limit", fontsize=8.5, color=INK)
    return figure


def peak_figure(examples: Mapping[str, np.ndarray]) -> Figure:
    """DeepSHAP of the median peak, without and with the prior."""
    start, end = int(examples["start"][MEDIAN]), int(examples["end"][MEDIAN])
    first = (end - start - LOGO) // 2
    bases = examples["tokens"][MEDIAN, first : first + LOGO, None] == np.arange(4)
    tracks = dict(zip(CONDITIONS.values(), examples["deepshap"][:, MEDIAN], strict=True))
    logos = {label: bases * track[first : first + LOGO, None] for label, track in tracks.items()}
    chromosome = str(examples["chromosome"][MEDIAN])
    positions = Positions(chromosome, start, (start + end) // 2, start + first)
    return attribution_pair(tracks, logos, positions, f"{chromosome}:{start + 1:,}-{end:,}, DeepSHAP")


if __name__ == "__main__":
    launch(main, needs_config=False, comparison="directory of experiments.compare", digits="page of experiments.digits")
