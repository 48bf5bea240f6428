"""A glyph: connected ink that may be a digit, where it stands, and how it lies to others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from digits.pictures.filters import bounding_box, connected_components, dilate
from digits.pictures.ink import Ink

FRAGMENT = 0.2  # share of the typical size below which a glyph is noise, or a fragment of a digit
MOST_GLYPHS = 300  # the largest are taken; more are texture
MOST_CIRCLES = 4  # around digits, on one picture


@dataclass(frozen=True)
class Glyph:
    """Connected ink that may be a digit.

    Attributes
    ----------
    ink : numpy.ndarray
        float32 (height, width), 0 to 1, at working scale; only this glyph's own strokes.
    left, top : int
        Where the ink lies on the working picture, in its pixels.
    scale : float
        Working pixels for one pixel of the upright picture.
    row : int
        The row that it stands in, from the top.
    cut : bool
        Whether it was cut from a neighbour that it touches.
    """

    ink: np.ndarray
    left: int
    top: int
    scale: float
    row: int = 0
    cut: bool = False

    @property
    def height(self) -> int:
        return self.ink.shape[0]

    @property
    def width(self) -> int:
        return self.ink.shape[1]

    @property
    def side(self) -> int:
        return max(self.ink.shape)

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels of the upright picture."""
        values = (self.left, self.top, self.width, self.height)
        left, top, width, height = (value / self.scale for value in values)
        return int(left), int(top), max(1, round(width)), max(1, round(height))

    def part(self, mask: np.ndarray) -> Glyph:
        """Return the glyph that is cut out by a mask, bool (height, width)."""
        ink = np.where(mask, self.ink, np.float32(0))
        rows, columns = bounding_box(ink > 0)
        left, top = self.left + columns.start, self.top + rows.start
        return replace(self, ink=ink[rows, columns], left=left, top=top, cut=True)


def component_glyphs(ink: Ink) -> list[Glyph]:
    """Return a glyph for each connected component, the largest first, at most `MOST_GLYPHS`."""
    regions = connected_components(ink.mask)
    order = np.argsort(-regions.max_extent, kind="stable")[:MOST_GLYPHS]
    glyphs = []
    for index in order:
        # One pixel around it holds the strokes' soft edges.
        rows, columns = window = tuple(
            slice(max(side.start - 1, 0), side.stop + 1) for side in regions.boxes[index]
        )
        patch = regions.labels[window]
        stroke = patch == index + 1
        own = dilate(stroke) & ((patch == 0) | stroke)
        crop = np.where(own, ink.strength[window], np.float32(0))
        glyphs.append(Glyph(crop, columns.start, rows.start, ink.scale))
    return glyphs


def outer_bounds(glyphs: list[Glyph]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the box around glyphs, in working pixels."""
    return (
        min(glyph.left for glyph in glyphs),
        min(glyph.top for glyph in glyphs),
        max(glyph.right for glyph in glyphs),
        max(glyph.bottom for glyph in glyphs),
    )


def merge(glyphs: list[Glyph]) -> Glyph:
    """Return one glyph that holds the ink of all."""
    if len(glyphs) == 1:
        return glyphs[0]
    left, top, right, bottom = outer_bounds(glyphs)
    ink = np.zeros((bottom - top, right - left), np.float32)
    for glyph in glyphs:
        part = ink[glyph.top - top : glyph.bottom - top, glyph.left - left : glyph.right - left]
        np.maximum(part, glyph.ink, out=part)
    cut = any(glyph.cut for glyph in glyphs)
    return replace(glyphs[0], ink=ink, left=left, top=top, cut=cut)


def gaps(glyphs: list[Glyph], others: list[Glyph]) -> np.ndarray:
    """Return the distances between boxes in working pixels, float (n, m); 0 where they overlap."""

    def sides(glyphs: list[Glyph]) -> np.ndarray:
        return np.array([(g.left, g.top, g.right, g.bottom) for g in glyphs]).reshape(-1, 4).T

    left, top, right, bottom = sides(glyphs)[..., None]
    left_2, top_2, right_2, bottom_2 = sides(others)
    across = np.maximum(np.maximum(left - right_2, left_2 - right), 0)
    down = np.maximum(np.maximum(top - bottom_2, top_2 - bottom), 0)
    return np.hypot(across, down)


def typical_size(glyphs: list[Glyph], side: Callable[[Glyph], int] = lambda g: g.side) -> float:
    """Return the longer side that digits on this picture usually have, in working pixels.

    A weighted median of the longer sides, or of another `side`: the weights favour large glyphs, so
    that noise does not count, but not so much that one patch of shadow outweighs a page of digits. A
    line under a number and a circle around it are larger than digits, and are left out.
    """
    largest = sorted(glyphs, key=lambda glyph: glyph.side)[-MOST_CIRCLES:]
    circles = {id(g) for g in largest if any(encloses(g, other) for other in glyphs)}
    digits = [g for g in glyphs if id(g) not in circles and not is_line(g)]
    sides = np.sort([side(glyph) for glyph in digits or glyphs])
    weights = np.cumsum(sides**1.5)
    return float(sides[np.searchsorted(weights, weights[-1] / 2)])


def is_line(glyph: Glyph) -> bool:
    """Tell whether a glyph is a level line, as under a number."""
    return glyph.height < 0.15 * glyph.width


def encloses(glyph: Glyph, other: Glyph) -> bool:
    """Tell whether another glyph, which is not noise, lies in this one's box, with room around it."""
    margin = 0.05 * glyph.side
    return (
        other.height >= FRAGMENT * glyph.height
        and glyph.left + margin < other.left
        and glyph.top + margin < other.top
        and other.right + margin < glyph.right
        and other.bottom + margin < glyph.bottom
    )
