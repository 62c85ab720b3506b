"""Canvases of the digits example: a scanned digit anywhere among pieces of other digits and noise."""

import dataclasses
from typing import NamedTuple

import numpy as np

from fprior.metrics.interpretability import share_inside

SCALE, SIDE = 2, 16  # a digit of 8 x 8 pixels is pasted SCALE times as large, SIDE pixels a side


@dataclasses.dataclass(frozen=True)
class Clutter:
    """What lies on a canvas besides its digit; lengths in pixels."""

    canvas: int = 32
    pieces: int = 4  # of other digits
    piece: int = 8  # a side
    noise: float = 0.1  # standard deviation, where 1 is the darkest ink


class Canvases(NamedTuple):
    """Images `(N, H, W)` from 0 to 1, the digit `(N,)` in each, and where it lies: first row and column `(N, 2)`."""

    images: np.ndarray
    labels: np.ndarray
    corners: np.ndarray

    def inside(self) -> np.ndarray:
        """Which pixels belong to the digit's square, `(N, H, W)` bool."""
        pixels = np.indices(self.images.shape[1:])
        from_corner = pixels - self.corners[:, :, None, None]
        return np.all((from_corner >= 0) & (from_corner < SIDE), axis=1)

    def share_inside(self, track: np.ndarray) -> np.ndarray:
        """Share of tracks `(N, H, W)` that lies in the digit's square, `(N,)`; NaN where a track is zero everywhere."""
        return share_inside(track.reshape(len(track), -1), self.inside().reshape(len(track), -1))


def draw(
    digits: np.ndarray, labels: np.ndarray, chosen: np.ndarray, rng: np.random.Generator, clutter: Clutter
) -> Canvases:
    """A canvas for each of the chosen digits, among pieces of any of them; ink over ink is as dark as the darker."""
    count, side = len(chosen), clutter.canvas
    images = np.zeros((count, side, side), np.float32)
    large = digits.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
    corners = rng.integers(side - SIDE + 1, size=(count, 2))
    _paste(images, large[chosen], corners)
    for _ in range(clutter.pieces):
        others = large[rng.integers(len(large), size=count)]
        cut = rng.integers(SIDE - clutter.piece + 1, size=(count, 2))
        _paste(images, _cut(others, cut, clutter.piece), rng.integers(side - clutter.piece + 1, size=(count, 2)))
    images += rng.normal(scale=clutter.noise, size=images.shape).astype(np.float32)
    return Canvases(np.clip(images, 0, 1), labels[chosen], corners)


def _places(corners: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = corners.T[:, :, None, None] + np.indices((side, side))[:, None]
    return np.arange(len(corners))[:, None, None], first, second


def _cut(images: np.ndarray, corners: np.ndarray, side: int) -> np.ndarray:
    return images[_places(corners, side)]


def _paste(images: np.ndarray, stamps: np.ndarray, corners: np.ndarray) -> None:
    places = _places(corners, stamps.shape[-1])
    images[places] = np.maximum(images[places], stamps)
