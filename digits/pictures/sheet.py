"""Finds the sheet that is written on, where it does not fill the picture.

A desk around it sets the polarity, the threshold and the lines for all that lies on it; a number that
is written small on a large photo loses its shape when the whole is reduced. Both are looked at alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from digits.pictures import filters
from digits.pictures.decoding import Picture
from digits.pictures.filters import connected_components, maximum_filter, minimum_filter, resize

SIDE = 200  # pixels: the longer side on which a sheet is looked for
SMALLEST = 0.06  # share of the picture that a sheet covers at least
LARGEST = 0.9  # share from which it fills the picture
SOLID = 0.75  # share of its outline that is paper, not ink; a stroke has less
STRAIGHT = 0.55  # share of its bounding box that a sheet covers, however it leans
STEP = 25  # grey levels by which a sheet is brighter than what is just beside it


@dataclass(frozen=True)
class Window:
    """A part of a picture, and what of it is to be looked at.

    Attributes
    ----------
    box : tuple of float
        Left, top, right and bottom, in shares of the whole picture's width and height.
    inside : numpy.ndarray or None
        bool, of any size: the part of the box that is paper; None for all.
    """

    box: tuple[float, float, float, float]
    inside: np.ndarray | None = None


def find_sheet(picture: Picture) -> Window | None:
    """Find a bright sheet with something on it, before a darker ground.

    None where no sheet is seen, or it fills the picture.
    """
    image = Image.fromarray(picture.pixels).convert("L")
    image.thumbnail((SIDE, SIDE), Resampling.BOX)
    grey = filters.median_filter(np.asarray(image, np.float32), 3)
    if min(grey.shape) < 40:
        return None
    regions = connected_components(grey > _otsu(grey))
    if not regions.n:
        return None
    largest = int(regions.areas.argmax())
    paper = regions.labels == largest + 1
    outline = _fill_spans(paper)
    down, across = box = regions.boxes[largest]
    solid = paper.sum() >= SOLID * outline.sum() and outline.sum() >= STRAIGHT * outline[box].size
    if not SMALLEST < outline.mean() < LARGEST or not solid:
        return None
    # Light that falls off is no edge: there the ground is as bright as the sheet close by.
    near = maximum_filter(outline, (5, 5)) & ~outline
    core = minimum_filter(outline, (5, 5))
    rim = outline & ~core
    if not core.any() or not near.any():
        return None
    if filters.quantile(grey[rim], 0.5) - filters.quantile(grey[near], 0.5) < STEP:
        return None
    height, width = grey.shape
    shares = (across.start / width, down.start / height, across.stop / width, down.stop / height)
    return Window(shares, core[box])


def _otsu(grey: np.ndarray) -> float:
    """Return the level that best divides the grey levels in two (Otsu 1979)."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256).astype(float)
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(np.nan_to_num(between).argmax())


def _fill_spans(mask: np.ndarray) -> np.ndarray:
    """Return the pixels between those of a mask, in their row and in their column."""
    reach = np.logical_or.accumulate
    rows = reach(mask, 1) & reach(mask[:, ::-1], 1)[:, ::-1]
    return rows & reach(mask, 0) & reach(mask[::-1], 0)[::-1]


def cut_out(window: Window, decode: Callable[..., Picture]) -> Picture:
    """Return a part of a picture at its own resolution, with paper in place of what is around it.

    `decode` takes ``window``, the box, and returns that part.
    """
    part = decode(window=window.box)
    if window.inside is None:
        return part
    shape = part.pixels.shape[:2]
    inside = resize(window.inside.astype(np.float32), shape, Resampling.BICUBIC) > 0.5
    if not inside.any():
        return part
    pixels = part.pixels.copy()
    for plane in np.moveaxis(np.atleast_3d(pixels), 2, 0):
        grey = resize(np.ascontiguousarray(plane), window.inside.shape, Resampling.BOX)
        plane[~inside] = _extrapolate(grey, window.inside, shape)[~inside]
    return replace(part, pixels=pixels)


def _extrapolate(grey: np.ndarray, inside: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the paper's grey level beyond the sheet, as it is at the nearest places on it."""
    level = filters.quantile(grey[inside], 0.7)
    weight, total = inside.astype(np.float32), np.where(inside, grey, np.float32(0))
    sigma = max(1.0, max(inside.shape) / 12)
    weight = filters.gaussian_filter(weight, sigma, "edge") + np.float32(1e-4)
    total = filters.gaussian_filter(total, sigma, "edge") + np.float32(1e-4 * level)
    smooth = resize(total / weight, shape, Resampling.BILINEAR)
    return np.clip(smooth, 0, 255).astype(np.uint8)
