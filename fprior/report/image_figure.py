"""Images and tracks over two axes, side by side.

Nothing here uses pyplot or leaves a global setting changed, so figures need no closing.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fprior.errors import InputError
from fprior.report.figures import INK, PALETTE

PANEL, GAP, TITLE = 1.6, 0.12, 0.4  # inches

Box = tuple[int, int, int, int]


def image_rows(columns: Mapping[str, np.ndarray], boxes: list[Box]) -> Figure:
    """A row for every example, a column for everything that is shown of it, darkest at its largest value.

    Every panel has its own scale, from 0 to its own maximum, so panels compare in where they are dark, not in how much.

    Args:
      columns: title → values `(N, H, W)`, non-negative and finite; an all-zero panel stays white.
      boxes: of each example, what is drawn around its object: first row, first column, rows, columns.

    Raises:
      InputError: there is no column or example, or the shapes or signs are not these.
    """
    shapes = {np.shape(values) for values in columns.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or not shape[0]:
        raise InputError("columns must have one or more titles, and values of one shape (N, H, W) with N at least 1")
    if len(boxes) != shape[0]:
        raise InputError(f"boxes ({len(boxes)}) must be as many as the examples ({shape[0]})")
    width, height = GAP + len(columns) * (PANEL + GAP), TITLE + shape[0] * (PANEL + GAP)
    figure = Figure(figsize=(width, height))
    for column, (title, values) in enumerate(columns.items()):
        values = np.asarray(values, np.float64)
        if not np.isfinite(values).all() or np.any(values < 0):
            raise InputError(f"columns[{title!r}] must be finite and non-negative")
        left = GAP + column * (PANEL + GAP)
        middle = (left + PANEL / 2) / width
        figure.text(middle, 1 - 0.12 / height, title, ha="center", va="top", fontsize=9, color=INK, parse_math=False)
        for row, (image, box) in enumerate(zip(values, boxes, strict=True)):
            bottom = height - TITLE - PANEL - row * (PANEL + GAP)
            ax = figure.add_axes((left / width, bottom / height, PANEL / width, PANEL / height))
            ax.imshow(image, cmap="Greys", vmin=0, vmax=image.max() or 1, interpolation="nearest")
            top, first, rows, wide = box
            ax.add_patch(Rectangle((first - 0.5, top - 0.5), wide, rows, fill=False, edgecolor=PALETTE[1], linewidth=1))
            ax.set(xticks=[], yticks=[])
    return figure
