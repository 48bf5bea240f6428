"""The order in which glyphs are read: rows, and groups that stand close together in a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from digits.pictures.glyphs import Glyph, outer_bounds

WORD_GAP = 0.6  # of the height: how far apart the letters of a word stand at most


def in_reading_order(glyphs: list[Glyph]) -> list[Glyph]:
    """Sort glyphs into rows from the top and from left to right, and number the rows.

    Rows need not be level: a glyph continues the row of the nearest glyph to its left that
    stands beside it.
    """
    rows: list[list[Glyph]] = []
    for glyph in sorted(glyphs, key=lambda glyph: _centre(glyph)[0]):
        distances = [_distance(row[-1], glyph) for row in rows]
        nearest = min(distances, default=np.inf)
        if nearest < np.inf:
            rows[distances.index(nearest)].append(glyph)
        else:
            rows.append([glyph])
    rows = _merge_interrupted_rows(rows)
    centres = [np.array([_centre(glyph) for glyph in row]) for row in rows]
    slope = _common_slope(centres)
    heights = [np.mean(y - slope * x) for x, y in (centre.T for centre in centres)]
    order = sorted(range(len(rows)), key=heights.__getitem__)
    return [replace(g, row=number) for number, index in enumerate(order) for g in rows[index]]


def _centre(glyph: Glyph) -> tuple[float, float]:
    """Return the middle of a glyph's box, across and down."""
    return glyph.left + glyph.width / 2, glyph.top + glyph.height / 2


def _distance(end: Glyph, glyph: Glyph) -> float:
    """Return how far a glyph stands from the end of a row, infinite if it is not beside it."""
    (end_x, end_y), (x, y) = _centre(end), _centre(glyph)
    overlap = min(glyph.bottom, end.bottom) - max(glyph.top, end.top)
    off = abs(y - end_y)
    lower, higher = sorted((glyph.height, end.height))
    if overlap < 0.4 * lower and off > 0.35 * higher:
        return np.inf
    return off + 0.1 * max(0.0, x - end_x)


def _merge_interrupted_rows(rows: list[list[Glyph]]) -> list[list[Glyph]]:
    """Join two rows if one begins where the other ends and they overlap in height at all.

    Somebody who writes on unruled paper, or with a mouse, may drift by most of a digit's height.
    """
    merged: list[list[Glyph]] = []
    for row in sorted(rows, key=lambda row: outer_bounds(row)[0]):
        left, top, _, bottom = outer_bounds(row)
        for earlier in merged:
            _, high, end, low = outer_bounds(earlier)
            if end <= left and min(bottom, low) > max(top, high):
                earlier.extend(row)
                break
        else:
            merged.append(row)
    return merged


def _common_slope(centres: list[np.ndarray]) -> float:
    """Return the common slope of rows of centres, (n, 2), 0 where no row is long enough to show it."""
    across = down = 0.0
    for x, y in (row.T for row in centres if len(row) >= 3):
        across += float(((x - x.mean()) ** 2).sum())
        down += float(((x - x.mean()) * (y - y.mean())).sum())
    return down / across if across else 0.0


def words(glyphs: list[Glyph]) -> list[list[Glyph]]:
    """Group glyphs that stand close together in a row: words and numbers."""
    groups: list[list[Glyph]] = []
    for glyph in in_reading_order(glyphs):
        before = groups[-1][-1] if groups else None
        gap = WORD_GAP * max(before.height, glyph.height) if before else 0
        if before and before.row == glyph.row and glyph.left - before.right <= gap:
            groups[-1].append(glyph)
        else:
            groups.append([glyph])
    return groups
