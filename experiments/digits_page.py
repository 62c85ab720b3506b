"""The page of the digits example."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.digits_canvases import SIDE, Canvases
from fprior.metrics.statistics import describe
from fprior.report.figures import to_png_base64
from fprior.report.image_figure import image_rows
from fprior.report.page import Section, figure, key_values, note, page, table

WITHOUT, WITH = "no prior", "Fourier prior"
SHOWN = 6


def report(result: dict[str, Any], test: Canvases, tracks: Mapping[str, np.ndarray]) -> str:
    """The page, of the result, the test canvases and the tracks `(N, H, W)` of the first seed's models."""
    settings, images = result["settings"], result["images"]
    lead = (
        "Scanned digits among pieces of other digits and noise, a network that names them, and what it looks at:"
        " |gradient × input| of the digit's logit less the mean of all ten, with and without the Fourier attribution"
        f" prior over both axes. Trained on {images['train']:,} digits, measured on {images['test']:,} others."
    )
    made = {key: value for key, value in settings.items() if key != "clutter"} | settings["clutter"]
    made |= {"command": result["command"], **result["hardware"]}
    sections = [
        Section("With and without", measures_section(result)),
        Section("Side by side", examples_section(test, tracks)),
        Section("How it was made", key_values({key: _plain(value) for key, value in made.items()})),
    ]
    return page("Digits: the prior over two axes", lead, sections)


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def measures_section(result: dict[str, Any]) -> str:
    rows = []
    for name, values in result["measures"].items():
        without, with_ = np.array(values[WITHOUT]), np.array(values[WITH])
        differences = with_ - without
        rows.append([name, _spread(without), _spread(with_), _signed(differences.mean()), _range(differences)])
    count = len(without)
    caption = (
        f"Means over the test canvases; ± is the standard deviation over {count} seed{'s' * (count > 1)}. A pair of"
        " models has the same first parameters and the same canvases, so differences are within pairs."
    )
    columns = ["", WITHOUT, WITH, "difference", "lowest to highest"]
    ink = (
        f"The frame is the digit's square. Of the canvases' ink {result['ink_inside']:.3f} lies inside: an attribution"
        " that is the picture itself has this share."
    )
    if result["undefined"]:
        ink += f" {result['undefined']} values were undefined, because a track was zero everywhere, and are left out."
    return table(rows, columns, caption) + note(ink)


def _spread(values: np.ndarray) -> str:
    summary = describe(values)
    return f"{summary.mean:.3f}" + (f" ± {summary.standard_deviation:.3f}" if summary.count > 1 else "")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _range(values: np.ndarray) -> str:
    return f"{_signed(values.min())} to {_signed(values.max())}"


def examples_section(test: Canvases, tracks: Mapping[str, np.ndarray]) -> str:
    """The first canvases, chosen by nothing."""
    columns = {"picture": test.images[:SHOWN]} | {kind: track[:SHOWN] for kind, track in tracks.items()}
    boxes = [(int(top), int(left), SIDE, SIDE) for top, left in test.corners[:SHOWN]]
    caption = (
        f"The first {len(boxes)} test canvases, and the attributions of the first seed's models; every panel has"
        " its own scale. The frame is the digit's square."
    )
    return figure(
        to_png_base64(image_rows(columns, boxes)), caption, "Canvases and attributions without and with prior"
    )
