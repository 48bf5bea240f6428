"""From ink to what may be digits: over-segmentation by merge and split proposals.

Connected strokes are one glyph. Whether two neighbours are one digit in pieces, or one wide glyph is
two digits that touch, cannot be decided from the ink alone: `propose_merges`, `propose_splits` and
`at_necks` over-segment, and the recognizer, which knows what digits look like, picks the best path.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from PIL.Image import Resampling

from digits.pictures.filters import boundary, connected_components, maximum_filter, resize
from digits.pictures.glyphs import (
    FRAGMENT,
    Glyph,
    component_glyphs,
    gaps,
    merge,
    outer_bounds,
    typical_size,
)
from digits.pictures.ink import Ink
from digits.pictures.mnist_form import stroke_width
from digits.pictures.reading_order import in_reading_order

NOISE = 0.08  # share of the typical size below which a glyph is noise, wherever it lies
FRAGMENT_GAP = 0.15  # of the typical size: how far from its digit a fragment may lie
PIECE_GAP = 0.35  # of the typical size: how far apart the pieces of a digit may lie
STROKE = 0.4  # ink from which a pixel belongs to the stroke rather than its soft edge
MOST_NEIGHBOURS = 3  # of a glyph, on average, where triples are still tried
MOST_PLACES = 300  # on an outline between which the shortest way is looked for
MAX_MERGED_PIXELS = 8_000_000  # of all merges that are tried; large rings are not digits in pieces
NECKS = (0.1, 0.2, 0.3, 0.4, 0.5)  # ink below which strokes may merely come near
SOFT_EDGE = 0.06  # of a digit's height: how far the soft edge of a stroke reaches
CUTS_PER_HEIGHT = 6  # places at which a glyph as wide as high may be cut
MOST_CUTS = 24
WIDEST = 1.6  # of the height: a wider piece is more than one digit
CUT_SIDE = 48  # height in pixels at which cuts are looked for
SIDE_STEP = (
    0.02  # ink that a step to the side costs, so that cuts through empty ground are straight
)


def find_digits(ink: Ink) -> list[Glyph]:
    """Find what may be digits, in reading order.

    Noise is dropped, fragments are given to the glyph beside them. Nothing is merged or split beyond
    that.
    """
    glyphs = component_glyphs(ink)
    if not glyphs:
        return []
    typical = typical_size(glyphs)
    large = [glyph for glyph in glyphs if glyph.side >= FRAGMENT * typical]
    small = [glyph for glyph in glyphs if NOISE * typical <= glyph.side < FRAGMENT * typical]
    parts = [[glyph] for glyph in large]
    for fragment, distances in zip(small, gaps(small, large), strict=True):
        nearest = int(distances.argmin())
        if distances[nearest] <= FRAGMENT_GAP * typical:
            parts[nearest].append(fragment)
    return in_reading_order([merge(part) for part in parts])


def propose_merges(glyphs: list[Glyph]) -> list[tuple[int, ...]]:
    """Propose which two or three glyphs may be the pieces of one digit, by their indices.

    They are near each other, and together no larger than a digit on this picture may be.
    """
    if len(glyphs) < 2:
        return []
    typical = typical_size(glyphs)
    sides = np.array([max(typical, glyph.side) for glyph in glyphs])
    close = gaps(glyphs, glyphs) <= PIECE_GAP * np.maximum(sides[:, None], sides)
    near = [set(np.flatnonzero(row).tolist()) - {index} for index, row in enumerate(close)]
    proposals = {(i, j) for i, others in enumerate(near) for j in others if i < j}
    # Where each has many neighbours, this is texture, and triples would be without number.
    if len(proposals) <= MOST_NEIGHBOURS * len(glyphs):
        proposals |= {
            tuple(sorted((i, j, k))) for i, j in proposals for k in (near[i] | near[j]) - {i, j}
        }
    merges, areas = [], []
    for members in sorted(proposals):
        left, top, right, bottom = outer_bounds([glyphs[index] for index in members])
        tallest = max(sides[index] for index in members)
        if bottom - top <= 1.5 * tallest and right - left <= 1.4 * tallest:
            merges.append(members)
            areas.append((bottom - top) * (right - left))
    # The small ones first: they cost little.
    order = np.argsort(areas, kind="stable")
    order = order[np.cumsum(np.take(areas, order)) <= MAX_MERGED_PIXELS]
    return [merges[index] for index in sorted(order)]


def merge_features(glyphs: list[Glyph]) -> tuple[float, float]:
    """Return two signs that glyphs are pieces of one digit, each 0 to 1.

    Returns
    -------
    overlap : float
        How far their boxes lie inside one another; two digits in a row hardly do.
    proximity : float
        1 where their strokes all but touch, 0 from a gap as wide as a stroke.
    """
    overlaps, proximities = [], []
    for index, glyph in enumerate(glyphs):
        rest = merge(glyphs[:index] + glyphs[index + 1 :])
        across = min(glyph.right, rest.right) - max(glyph.left, rest.left)
        down = min(glyph.bottom, rest.bottom) - max(glyph.top, rest.top)
        overlaps.append(across / min(glyph.width, rest.width))
        overlaps.append(down / min(glyph.height, rest.height))
        proximities.append(_proximity(glyph, rest))
    return float(np.clip(min(overlaps), 0, 1)), min(proximities)


def _proximity(a: Glyph, b: Glyph) -> float:
    """Return 1 where the strokes of two glyphs all but touch, 0 from a gap as wide as a stroke."""
    width = min(stroke_width(a.ink), stroke_width(b.ink))
    if gaps([a], [b])[0, 0] > width:
        return 0.0
    # Between two strokes, the shortest way begins and ends at an outline.
    ends = [np.argwhere(boundary(g.ink > STROKE)) + np.array([g.top, g.left]) for g in (a, b)]
    if not all(map(len, ends)):
        return 0.0
    # Of long ones every second place, or every third, is near enough: their strokes are wide.
    start, stop = (places[:: -(-len(places) // MOST_PLACES)] for places in ends)
    down, across = (stop[:, None, axis] - start[:, axis] for axis in (0, 1))
    gap = math.sqrt((down**2 + across**2).min()) - 1
    return float(np.clip(1 - gap / width, 0, 1))


def at_necks(glyph: Glyph, share: float = 0.5) -> list[list[Glyph]]:
    """Propose how a glyph falls apart where its ink is as faint as strokes' soft edges.

    For each level of ink at which several parts are left, at least `share` of the glyph as high:
    those parts from left to right, each with the ink that is nearest to it.
    """
    proposals: list[list[Glyph]] = []
    small = _reduced_ink(glyph)
    rows, columns = (
        np.arange(full) * part // full
        for full, part in zip(glyph.ink.shape, small.shape, strict=True)
    )
    peak, tall = small.max(), share * len(small)
    ink = small > NECKS[0] * peak
    for level in NECKS[1:]:
        regions = connected_components(small > level * peak)
        large = regions.max_extent >= tall
        n_large = np.count_nonzero(large)
        if not n_large or (proposals and n_large == len(proposals[-1])):
            continue
        owner = np.where(regions.mask_of(large), regions.labels, 0)
        # Soft edges reach no further; beyond them lies a fainter digit, if it is as large.
        owner = _expand_labels(owner, ink, max(2, round(SOFT_EDGE * len(small))))
        rest = connected_components(ink & (owner == 0))
        others = rest.mask_of(rest.max_extent >= tall)
        owner[others] = rest.labels[others] + regions.n
        owner = _expand_labels(owner, small > 0, max(owner.shape))
        labels = np.flatnonzero(np.bincount(owner[owner > 0]))
        if len(labels) > 1:
            owner = owner[rows[:, None], columns]
            parts = [glyph.part(owner == label) for label in labels]
            parts.sort(key=lambda part: part.left)
            if all(_side_by_side(*pair) for pair in pairwise(parts)):
                proposals.append(parts)
    return proposals


def _side_by_side(left: Glyph, right: Glyph) -> bool:
    """Tell whether two glyphs overlap across by less than half of the narrower."""
    return left.right - right.left < 0.5 * min(left.width, right.width)


def _expand_labels(labels: np.ndarray, mask: np.ndarray, distance: int) -> np.ndarray:
    """Let labels grow into a mask where none is yet, by at most so many pixels."""
    for _ in range(distance):
        free = (labels == 0) & mask
        grown = np.where(free, maximum_filter(labels, (3, 3)), labels)
        if np.array_equal(grown, labels):
            break
        labels = grown
    return labels


def propose_splits(glyph: Glyph) -> list[list[Glyph]]:
    """Propose how a glyph may be cut into digits that touch.

    Cuts run from top to bottom along the least ink, found by dynamic programming. Entry [i][j] is the
    ink between cut i and cut i + 1 + j, counted from the left edge to the right edge, up to the
    widest that may be one digit. Empty where there is no place to cut.
    """
    seams = _seams(glyph)
    if not seams:
        return []
    height, width = glyph.ink.shape
    edges = [np.zeros(height, int), *seams, np.full(height, width)]
    columns = np.arange(width)
    lattice = []
    for first, left in enumerate(edges[:-1]):
        pieces: list[Glyph] = []
        for right in edges[first + 1 :]:
            if pieces and right.mean() - left.mean() > WIDEST * height:
                break
            between = (columns >= left[:, None]) & (columns < right[:, None])
            pieces.append(glyph.part(between))
        lattice.append(pieces)
    return lattice


def _reduced_ink(glyph: Glyph) -> np.ndarray:
    """Return the ink at the size at which cuts are looked for."""
    factor = min(1.0, CUT_SIDE / glyph.height)
    height, width = (max(3, round(length * factor)) for length in glyph.ink.shape)
    return resize(glyph.ink, (height, width), Resampling.BOX)


def _seams(glyph: Glyph) -> list[np.ndarray]:
    """Return the best cuts from left to right, each the column of the cut in every row, (height,)."""
    small = _reduced_ink(glyph)
    height, width = small.shape
    if width < 6:
        return []
    # Each cut crosses the middle row somewhere and goes on, up and down, where the ink is least.
    middle = height // 2
    upper, cost_up = _min_cost_paths(small[middle::-1])
    lower, cost_down = _min_cost_paths(small[middle:])
    paths = np.vstack([upper[::-1], lower[1:]])
    cost = cost_up + cost_down - small[middle]
    margin = max(1, round(0.15 * min(height, width)))
    centre = paths.mean(0)
    most = min(MOST_CUTS, 2 + round(CUTS_PER_HEIGHT * width / height))
    apart = max(2.0, 0.08 * height)
    chosen: list[int] = []
    for start in np.argsort(cost, kind="stable"):
        inside = margin < centre[start] < width - margin
        if inside and all(abs(centre[start] - centre[other]) > apart for other in chosen):
            chosen.append(int(start))
        if len(chosen) == most:
            break
    chosen.sort(key=lambda start: centre[start])
    rows = np.arange(glyph.height) * height // glyph.height
    return [
        np.rint((paths[rows, start] + 0.5) * glyph.width / width).astype(int) for start in chosen
    ]


def _min_cost_paths(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the paths with the least ink from each pixel of the first row to the last row.

    A path moves by at most one column a row. Returned are the column in each row of the path that
    starts at x, int (height, width), and the ink on it, float (width,).
    """
    height, width = ink.shape
    cost = ink[-1]
    step = np.zeros((height, width), int)
    for row in reversed(range(height - 1)):
        below = np.full((3, width), np.inf, np.float32)
        below[0, 1:] = cost[:-1] + SIDE_STEP
        below[1] = cost
        below[2, :-1] = cost[1:] + SIDE_STEP
        choice = below.argmin(0)
        step[row] = choice - 1
        cost = below[choice, np.arange(width)] + ink[row]
    paths = np.empty((height, width), int)
    paths[0] = np.arange(width)
    for row in range(height - 1):
        paths[row + 1] = paths[row] + step[row, paths[row]]
    return paths, cost
