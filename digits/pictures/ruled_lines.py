"""Finds what is printed: ruled lines, squared paper, boxes and rows of cells.

Straight lines that are much longer than what is written are taken away; strokes that cross them stay.
"""

from __future__ import annotations

import math

import numpy as np

from digits.pictures.filters import (
    boundary,
    connected_components,
    dilate,
    maximum_filter,
    minimum_filter,
    quantile,
)

SMALLEST_FORM_BOX = 24  # pixels: the shorter side of a printed box
SMALLEST_PICTURE = 48  # pixels: the shorter side of a picture that boxes and families are sought on
THICKEST_LINE = 12  # pixels
STRAIGHT_SIDE = 0.75  # share of a box's side that is a straight line
SPANNED = 1.25  # times the width of what is written: the length of a line across the picture
PART = 0.15  # share of a line across the picture that is free of strokes, in one piece
MARGIN = 0.15  # share of the picture beside a line that may be the edge of an empty cell


def remove_lines(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ink without ruled lines and printed boxes, and these; all bool (height, width)."""
    boxes = form_boxes(mask)
    rest = mask & ~boxes
    lines = ruled_lines(rest)
    if lines.any():
        # A line's rough edge leaves fragments beside it.
        regions = connected_components(rest & ~lines)
        thickness = max(3, min(mask.shape) // 40)
        residue = (regions.min_extent <= thickness / 2) | (regions.max_extent <= thickness)
        residue &= regions.occur_in(regions.labels[dilate(lines)])
        rest = rest & ~lines & ~regions.mask_of(residue)
    return rest, lines | boxes


def ruled_lines(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of ruled lines and squared paper, bool (height, width).

    A ruled line is straight, nearly level or upright, thin, and much longer than the other regions
    are high; it crosses the whole picture, or there are three alike. Where a stroke crosses a line,
    the crossing is left to the stroke.
    """
    # Most pictures have none: a line is part of something long.
    if connected_components(mask).max_extent.max(initial=0) < 0.3 * min(mask.shape):
        return np.zeros(mask.shape, bool)
    (level, level_bands), (upright, upright_bands) = map(_lines_across, (mask, mask.T))
    across = level | upright.T
    if across.any():
        # Remains at crossings, and where lines are rough.
        regions = connected_components(mask & ~across)
        bands = dilate(level_bands | upright_bands.T)
        outside = regions.occur_in(np.where(bands, 0, regions.labels))
        across |= regions.mask_of(~outside)
    mask = mask & ~across
    if min(mask.shape) < SMALLEST_PICTURE:
        return across
    thickness = max(4, min(mask.shape) // 40)
    level, upright = (_horizontal_lines(turned, thickness) for turned in (mask, mask.T))
    lines = level | upright.T
    if not lines.any():
        return across
    sizes = connected_components(mask & ~dilate(lines)).max_extent
    if not len(sizes := sizes[sizes > max(6, sizes.max(initial=0) / 8)]):  # noise is left out
        return across
    long = 2.5 * quantile(sizes, 0.9)
    return across | _line_family(mask, level, long) | _line_family(mask.T, upright, long).T


def _line_family(mask: np.ndarray, lines: np.ndarray, long: float) -> np.ndarray:
    """Return those of the level lines on a mask that are ruled, as thick as most of them."""
    found = _select_rules(lines, long)
    if found.any():
        # Ruled lines are alike; a much thicker one is a stroke along one.
        n_runs = np.count_nonzero(found[1:] & ~found[:-1]) + np.count_nonzero(found[0])
        thickness = math.ceil(1.5 * np.count_nonzero(found) / n_runs) + 1
        found = _select_rules(_horizontal_lines(mask, thickness), long)
    return found


def _select_rules(lines: np.ndarray, long: float) -> np.ndarray:
    """Keep the level lines that are ruled: those that cross the picture, and families of three."""
    width = lines.shape[1]
    gap = max(9, min(lines.shape) // 12)  # a digit that is written over the line interrupts it
    regions = connected_components(maximum_filter(lines, (3, gap)))
    starts, stops = regions.bounds[2:]
    lengths = stops - starts - (gap - 1)
    ruled = lengths > max(long, 0.3 * width)
    if np.count_nonzero(ruled) >= 3:
        # In a family, a line that comes in from the picture's edge is one of them, interrupted.
        ruled |= ((starts == 0) | (stops == width)) & (lengths > 0)
    else:
        ruled = (lengths > 0.85 * width) & (lengths > long)
    return lines & regions.mask_of(ruled)


def _lines_across(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the level lines that go from one side of the picture to the other, and their bands.

    The lines are returned without the pixels where something crosses them; the bands are whole. At
    any size of picture: a cell that was cut out of a form shows its lines like that. The writing is
    lower than such a line is long, or the line lies where nobody writes, at the edge.
    """
    height, width = mask.shape
    thickness = min(max(6, min(mask.shape) // 6), max(8, min(mask.shape) // 20))
    lines = _horizontal_lines(mask, thickness, max(7, width // 12))
    regions = connected_components(maximum_filter(lines, (3, max(9, width // 12))))
    thick = maximum_filter(mask, (3, 1))
    rest = connected_components(mask & ~dilate(lines))
    long = SPANNED * rest.extents[1].max(initial=0)
    found: list[tuple[np.ndarray, float]] = []  # the row of a line in each column, its thickness
    for index in np.flatnonzero(regions.max_extent >= PART * width):
        down, across = box = regions.boxes[index]
        y, x = np.nonzero(lines[box] & (regions.labels[box] == index + 1))
        y, x = y + down.start, x + across.start
        if _n_columns(x) < PART * width:
            continue
        # With strokes that come near the line, and without them.
        for near in (y >= 0, np.abs(y - np.bincount(y).argmax()) <= 3):
            if np.ptp(x[near]) < PART * width:
                continue
            line = _fit_line(x[near], y[near], width)
            rows = np.rint(line).astype(int)
            if rows.min() < 0 or rows.max() >= height:
                continue
            # There is ink all along it, and more where something crosses it.
            if np.count_nonzero(~thick[rows, np.arange(width)]) > 2 * (width // 40):
                continue
            middle = float(line.mean())
            if width > long if rest.n else min(middle, height - middle) < MARGIN * height:
                found.append((line, np.count_nonzero(near) / _n_columns(x[near])))
            break
    bands = np.zeros(mask.shape, bool)
    if not found:
        return bands, bands
    # Others of their kind may be covered by strokes nearly everywhere.
    line = sorted((line for line, _ in found), key=lambda line: line[-1] - line[0])[len(found) // 2]
    lean = line - line[0]
    usual = quantile(np.array([thickness for _, thickness in found]), 0.5)
    starts = np.arange(max(0, -math.floor(lean.min())), height - math.ceil(lean.max()))
    rows = np.rint(starts[:, None] + lean).astype(int)
    whole = np.count_nonzero(~mask[rows, np.arange(width)], axis=1) <= width // 40
    found += [(start + lean, usual) for start in starts[whole] if rest.n]
    for line, thickness in found:
        bands |= _near_line(line, thickness / 2 + 1, height)
    return mask & bands & _thin(mask, math.ceil(usual) + 3), bands


def form_boxes(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of printed boxes, rows of cells, and combs, bool (height, width).

    A box is connected, thin, bounded by straight lines on at least three of its four sides, and has
    something else in its middle. No digit has.
    """
    found = np.zeros(mask.shape, bool)
    if min(mask.shape) < SMALLEST_PICTURE:
        return found
    regions = connected_components(mask)
    # At the picture's edge lie sheets and desks.
    large = (regions.min_extent >= SMALLEST_FORM_BOX) & regions.clear_of_edge()
    for index in np.flatnonzero(large):
        box = regions.boxes[index]
        own = regions.labels[box] == index + 1
        lines = _form_box_lines(own, mask[box]) if own.mean() <= 0.5 else None
        if lines is None:
            continue
        # Crossings belong to neither line: what is left of them is small, or thin.
        rest = connected_components(own & ~lines)
        width = 2 * np.count_nonzero(lines) / max(np.count_nonzero(boundary(lines)), 1)
        residue = (rest.max_extent <= max(8, 3 * width)) | (rest.min_extent <= 1.5 * width + 1)
        found[box] |= lines | rest.mask_of(residue)
    return found


def _form_box_lines(own: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Return the straight lines of a region that is a printed box, None if it is not one.

    `own` is the region in its bounding box, `mask` all ink in that box.
    """
    side = min(own.shape)
    thickness, shortest = min(max(5, side // 10), THICKEST_LINE), max(12, side // 3)
    level, upright = (_horizontal_lines(turned, thickness, shortest) for turned in (own, own.T))
    lines = level | upright.T
    if np.count_nonzero(lines) < 0.4 * np.count_nonzero(own):
        return None  # a sheet or a shadow with straight sides
    # Lines lean, so that a side is looked for within a quarter of the shorter side.
    band = max(3, side // 4)
    n_straight = 0
    for turned, found, out in ((own, level, lines), (own.T, upright, lines.T)):
        for flip in (1, -1):
            y, x = np.nonzero(found[::flip][:band])
            length = _n_columns(x)
            if length <= STRAIGHT_SIDE * found.shape[1]:
                continue
            n_straight += 1
            # Where a line steps, or meets another, it is followed along its direction.
            line = _fit_line(x, y, found.shape[1])
            near = _near_line(line, len(y) / length / 2 + 2, len(found))
            out |= near[::flip] & turned
    if n_straight < 3:
        return None
    others = mask & ~dilate(lines, 2)
    inside = connected_components(others[band // 2 : -(band // 2), band // 2 : -(band // 2)])
    return lines if inside.max_extent.max(initial=0) > 0.25 * side else None


def _n_columns(x: np.ndarray) -> int:
    """Return how many different columns there are; `numpy.unique` would import ``numpy.ma``."""
    return np.count_nonzero(np.bincount(x))


def _fit_line(x: np.ndarray, y: np.ndarray, width: int) -> np.ndarray:
    """Return the row of the straight line through some pixels in each of `width` columns."""
    slope, start = np.polyfit(x, y, 1)
    return start + slope * np.arange(width)


def _near_line(line: np.ndarray, distance: float, height: int) -> np.ndarray:
    """Return the pixels above and below a line up to a distance, bool (height, width)."""
    low = min(height, max(0, math.floor(line.min() - distance)))
    high = max(low, math.ceil(line.max() + distance) + 1)
    near = np.zeros((height, len(line)), bool)
    near[low:high] = np.abs(np.arange(low, min(high, height))[:, None] - line) <= distance
    return near


def _horizontal_lines(mask: np.ndarray, thickness: int, shortest: int | None = None) -> np.ndarray:
    """Return the pixels of level lines: long across, less than `thickness` pixels down.

    They are at least `shortest` long, by default a thirtieth of the picture's shorter side.
    """
    shortest = shortest or max(15, min(mask.shape) // 30)
    # Lines lean: they count as level where a run fits into the line and its neighbours.
    thick = maximum_filter(mask, (3, 1))
    runs = maximum_filter(minimum_filter(thick, (1, shortest)), (1, shortest))
    return runs & _thin(mask, thickness)


def _thin(mask: np.ndarray, thickness: int) -> np.ndarray:
    """Return the pixels that are not part of an upright run of `thickness` pixels or more."""
    # Around the picture is nothing: filters that reflect would see a line at its edge twice as thick.
    padded = np.pad(mask, ((thickness,) * 2, (0, 0)))
    tall = maximum_filter(minimum_filter(padded, (thickness, 1)), (thickness, 1))
    return mask & ~tall[thickness:-thickness]
