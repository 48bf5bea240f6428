"""From ink to glyphs: what may be a digit, where it stands, and how it might be joined or cut.

Connected strokes are one glyph. Whether two neighbours are one digit in pieces, or one wide glyph is
two digits that touch, cannot be decided from the ink alone: `propose_merges` and `propose_splits`
over-segment, and the recognizer, which knows what digits look like, picks the best path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from PIL import Image

from digits.pictures.filters import (
    boundary,
    connected_components,
    dilate,
    maximum_filter1d,
    unique_labels,
)
from digits.pictures.ink import Ink
from digits.pictures.mnist_form import stroke_width

FRAGMENT = (
    0.2  # share of the typical height below which something is a speck, or a fragment of a digit
)
FRAGMENT_GAP = 0.15  # of the typical height: how far from its digit a fragment may lie
PIECE_GAP = 0.35  # of the typical height: how far apart the pieces of a digit may lie
STROKE = 0.4  # ink from which a pixel belongs to the stroke rather than its soft edge
MOST_CIRCLES = 4  # around digits, on one picture
MOST_GLYPHS = 300  # the largest are taken; more are texture
MOST_NEIGHBOURS = 3  # of a glyph, on average, where triples are still tried
MOST_PLACES = 300  # on an outline between which the shortest way is looked for
MAX_MERGED_PIXELS = (
    8_000_000  # pixels of all joins that are tried; large rings are no digits in pieces
)
NECKS = (0.1, 0.2, 0.3, 0.4, 0.5)  # ink below which strokes may merely come near
WORD_GAP = 0.6  # of the height: how far apart the letters of a word stand at most
SOFT_EDGE = 0.06  # of a digit's height: how far the soft edge of a stroke reaches
CUTS_PER_HEIGHT = 6  # places at which a glyph as wide as high may be cut
MOST_CUTS = 24
WIDEST = 1.6  # of the height: a wider piece is more than one digit
CUT_SIDE = 48  # height in pixels at which cuts are looked for


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
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels of the upright picture."""
        values = (self.left, self.top, self.width, self.height)
        left, top, width, height = (value / self.scale for value in values)
        return int(left), int(top), max(1, round(width)), max(1, round(height))


def find_digits(ink: Ink) -> list[Glyph]:
    """Find what may be digits, in reading order.

    Specks are dropped, fragments are given to the glyph beside them. Nothing is joined or cut beyond
    that.

    Parameters
    ----------
    ink : Ink

    Returns
    -------
    list of Glyph
        Empty where there is no ink.
    """
    glyphs = _components(ink)
    if not glyphs:
        return []
    typical = typical_size(glyphs)
    large = [glyph for glyph in glyphs if glyph.side >= FRAGMENT * typical]
    fragments: dict[int, list[Glyph]] = {}
    for fragment in glyphs:
        if fragment.side >= FRAGMENT * typical:
            continue
        gaps = [_gap(fragment, glyph) for glyph in large]
        nearest = int(np.argmin(gaps))
        # Noise beside a digit is no part of it: a fragment is near, and not tiny.
        if gaps[nearest] <= FRAGMENT_GAP * typical and fragment.side >= 0.08 * typical:
            fragments.setdefault(nearest, []).append(fragment)
    return in_reading_order(
        [merge([glyph, *fragments.get(index, [])]) for index, glyph in enumerate(large)]
    )


def _components(ink: Ink) -> list[Glyph]:
    regions = connected_components(ink.mask)
    order = np.argsort(-regions.max_extent, kind="stable")[:MOST_GLYPHS]
    height, width = ink.mask.shape
    glyphs = []
    for index in order:
        down, across = regions.boxes[index]
        # One pixel around it holds the strokes' soft edges.
        window = (
            slice(max(down.start - 1, 0), min(down.stop + 1, height)),
            slice(max(across.start - 1, 0), min(across.stop + 1, width)),
        )
        patch = regions.labels[window]
        stroke = patch == index + 1
        own = dilate(stroke) & ((patch == 0) | stroke)
        crop = np.where(own, ink.strength[window], np.float32(0))
        glyphs.append(Glyph(crop, window[1].start, window[0].start, ink.scale))
    return glyphs


def typical_size(glyphs: list[Glyph]) -> float:
    """Return the longer side that digits on this picture usually have, in working pixels.

    A weighted median of the longer sides: the weights favour what is large, so that specks do not
    count, but not so much that one patch of shadow outweighs a page of digits. A line under a number
    and a circle around it are larger than digits are, and no measure for them.
    """
    largest = sorted(glyphs, key=lambda glyph: glyph.side)[-MOST_CIRCLES:]
    circles = {id(g) for g in largest if any(encloses(g, other) for other in glyphs)}
    digits = [g for g in glyphs if id(g) not in circles and not is_line(g)]
    sides = np.sort([glyph.side for glyph in digits or glyphs])
    weights = np.cumsum(sides**1.5)
    return float(sides[np.searchsorted(weights, weights[-1] / 2)])


def is_line(glyph: Glyph) -> bool:
    """Tell whether a glyph is a level line, as under a number."""
    return glyph.height < 0.15 * glyph.width


def encloses(glyph: Glyph, other: Glyph) -> bool:
    """Tell whether another glyph, no speck, lies in this one's box, with room around it."""
    margin = 0.05 * glyph.side
    return (
        other.height >= FRAGMENT * glyph.height
        and glyph.left + margin < other.left
        and glyph.top + margin < other.top
        and other.left + other.width + margin < glyph.left + glyph.width
        and other.top + other.height + margin < glyph.top + glyph.height
    )


def _gap(a: Glyph, b: Glyph) -> float:
    """Return the distance between two glyphs' boxes in working pixels; 0 if they overlap."""
    across = max(a.left - b.left - b.width, b.left - a.left - a.width, 0)
    down = max(a.top - b.top - b.height, b.top - a.top - a.height, 0)
    return float(np.hypot(across, down))


def _gaps(glyphs: list[Glyph]) -> np.ndarray:
    """Return `_gap` between each two glyphs, (n, n); infinite from a glyph to itself."""
    left, top, width, height = np.array([(g.left, g.top, g.width, g.height) for g in glyphs]).T
    across = np.maximum(left[:, None] - (left + width), (left[:, None] - (left + width)).T)
    down = np.maximum(top[:, None] - (top + height), (top[:, None] - (top + height)).T)
    gaps = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
    np.fill_diagonal(gaps, np.inf)
    return gaps


def merge(glyphs: list[Glyph]) -> Glyph:
    """Return one glyph that holds the ink of all."""
    if len(glyphs) == 1:
        return glyphs[0]
    left = min(glyph.left for glyph in glyphs)
    top = min(glyph.top for glyph in glyphs)
    right = max(glyph.left + glyph.width for glyph in glyphs)
    bottom = max(glyph.top + glyph.height for glyph in glyphs)
    ink = np.zeros((bottom - top, right - left), np.float32)
    for glyph in glyphs:
        part = ink[
            glyph.top - top : glyph.top - top + glyph.height,
            glyph.left - left : glyph.left - left + glyph.width,
        ]
        np.maximum(part, glyph.ink, out=part)
    return replace(glyphs[0], ink=ink, left=left, top=top)


def propose_merges(glyphs: list[Glyph]) -> list[tuple[int, ...]]:
    """Propose which glyphs may be the pieces of one digit.

    Returns
    -------
    list of tuple of int
        Indices of two or three glyphs that lie close together and fill no more room than a digit.
    """
    if len(glyphs) < 2:
        return []
    typical = typical_size(glyphs)
    left, top, width, height = np.array([(g.left, g.top, g.width, g.height) for g in glyphs]).T
    across = np.maximum(left[:, None] - (left + width), 0)
    down = np.maximum(top[:, None] - (top + height), 0)
    gaps = np.hypot(across + across.T, down + down.T)
    sides = np.maximum(np.maximum(width, height), typical)
    close = gaps <= PIECE_GAP * np.maximum(sides[:, None], sides)
    near = [set(np.flatnonzero(row).tolist()) - {index} for index, row in enumerate(close)]

    def fits(members: tuple[int, ...]) -> bool:
        whole = [glyphs[index] for index in members]
        height = max(g.top + g.height for g in whole) - min(g.top for g in whole)
        width = max(g.left + g.width for g in whole) - min(g.left for g in whole)
        tallest = max(typical, *(g.side for g in whole))
        return height <= 1.5 * tallest and width <= 1.4 * tallest

    pairs = {(i, j) for i, others in enumerate(near) for j in others if i < j}
    # Where each has many neighbours, this is texture, and triples would be without number.
    crowded = len(pairs) > MOST_NEIGHBOURS * len(glyphs)
    triples = (
        set()
        if crowded
        else {
            tuple(sorted((i, j, k))) for i, j in pairs for k in near[i] | near[j] if k not in (i, j)
        }
    )
    proposals = [members for members in sorted(pairs | triples) if fits(members)]
    areas = [_merged_area([glyphs[index] for index in members]) for members in proposals]
    if sum(areas) > MAX_MERGED_PIXELS:  # the small ones first: they cost little
        order = np.argsort(areas, kind="stable")
        order = order[np.cumsum(np.take(areas, order)) <= MAX_MERGED_PIXELS]
        proposals = [proposals[index] for index in sorted(order)]
    return proposals


def _merged_area(glyphs: list[Glyph]) -> int:
    """Return the area of the box around glyphs, in working pixels."""
    width = max(g.left + g.width for g in glyphs) - min(g.left for g in glyphs)
    height = max(g.top + g.height for g in glyphs) - min(g.top for g in glyphs)
    return width * height


def farthest(glyphs: list[Glyph]) -> float:
    """Return how far the most remote of some glyphs lies from the nearest other, in working pixels."""
    return float(_gaps(glyphs).min(0).max())


def merge_features(glyphs: list[Glyph]) -> tuple[float, float]:
    """Return two signs that glyphs are pieces of one digit, each 0 to 1.

    Returns
    -------
    overlap : float
        How far their boxes lie inside one another; two digits in a row hardly do.
    nearness : float
        1 where their strokes all but touch, 0 from a gap as wide as a stroke.
    """
    overlaps, nearnesses = [], []
    for index, glyph in enumerate(glyphs):
        rest = merge([other for place, other in enumerate(glyphs) if place != index])
        across = min(glyph.left + glyph.width, rest.left + rest.width) - max(glyph.left, rest.left)
        down = min(glyph.top + glyph.height, rest.top + rest.height) - max(glyph.top, rest.top)
        overlaps.append(
            min(across / min(glyph.width, rest.width), down / min(glyph.height, rest.height))
        )
        nearnesses.append(_nearness(glyph, rest))
    return float(np.clip(min(overlaps), 0, 1)), min(nearnesses)


def _nearness(a: Glyph, b: Glyph) -> float:
    width = min(stroke_width(a.ink), stroke_width(b.ink))
    if _gap(a, b) > width:
        return 0.0
    whole = merge([a, b])
    apart = np.zeros(whole.ink.shape, bool)
    strokes = np.zeros(whole.ink.shape, bool)
    for glyph, canvas in ((a, apart), (b, strokes)):
        top, left = glyph.top - whole.top, glyph.left - whole.left
        canvas[top : top + glyph.height, left : left + glyph.width] = glyph.ink > STROKE
    if not apart.any() or not strokes.any():
        return 0.0
    # Between two strokes, the shortest way begins and ends at an outline.
    # Of long ones every second place, or every third, is near enough: their strokes are wide.
    from_, to = (np.argwhere(boundary(stroke)) for stroke in (apart, strokes))
    from_, to = (ends[:: -(-len(ends) // MOST_PLACES)] for ends in (from_, to))
    down, across = (to[:, None, axis] - from_[:, axis] for axis in (0, 1))
    gap = math.sqrt((down**2 + across**2).min()) - 1
    return float(np.clip(1 - gap / width, 0, 1))


def at_necks(glyph: Glyph, share: float = 0.5) -> list[list[Glyph]]:
    """Propose how a glyph falls apart where its ink is faint, as that of strokes' soft edges is.

    Parameters
    ----------
    glyph : Glyph
    share : float
        Of the glyph's height: how large a part is at least.

    Returns
    -------
    list of list of Glyph
        For each level of ink at which several parts are left, from left to right, each with the ink
        that is nearest to it.
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
        large = np.flatnonzero(regions.max_extent >= tall) + 1
        if not len(large) or (proposals and len(large) == len(proposals[-1])):
            continue
        owner = np.where(np.isin(regions.labels, large), regions.labels, 0)
        # Soft edges reach no further; what lies beyond them is a fainter digit, if it is as large.
        owner = _grown_into(owner, ink, max(2, round(SOFT_EDGE * len(small))))
        rest = connected_components(ink & (owner == 0))
        others = np.append(
            0, np.where(rest.max_extent >= tall, np.arange(rest.n) + 1 + regions.n, 0)
        )
        owner = _grown_into(owner + others[rest.labels], small > 0, max(owner.shape))
        labels = unique_labels(owner)
        if len(labels) > 1:
            owner = owner[rows[:, None], columns]
            parts = [np.where(owner == label, glyph.ink, np.float32(0)) for label in labels]
            parts = [_crop_to_ink(replace(glyph, ink=part, cut=True)) for part in parts]
            parts.sort(key=lambda part: part.left)
            if all(_side_by_side(*pair) for pair in pairwise(parts)):
                proposals.append(parts)
    return proposals


def _side_by_side(left: Glyph, right: Glyph) -> bool:
    """Tell whether two glyphs overlap across by less than half of the narrower."""
    return left.left + left.width - right.left < 0.5 * min(left.width, right.width)


def _grown_into(labels: np.ndarray, mask: np.ndarray, most: int) -> np.ndarray:
    """Let labels grow into a mask where none is yet, by at most so many pixels."""
    for _ in range(most):
        free = (labels == 0) & mask
        grown = np.where(free, maximum_filter1d(maximum_filter1d(labels, 3, 0), 3, 1), labels)
        if np.array_equal(grown, labels):
            break
        labels = grown
    return labels


def propose_splits(glyph: Glyph) -> list[list[Glyph]]:
    """Propose how a glyph may be cut into digits that touch.

    Cuts run from top to bottom along the least ink, found by dynamic programming.

    Returns
    -------
    list of list of Glyph
        Entry [i][j] is the ink between cut i and cut i + 1 + j, counted from the left edge to the
        right edge, up to the widest that may be one digit. Empty where there is no place to cut.
    """
    seams = _seams(glyph)
    if not len(seams):
        return []
    height, width = glyph.ink.shape
    edges = [np.zeros(height, int), *seams, np.full(height, width)]
    columns = np.arange(width)
    lattice = []
    for first, left in enumerate(edges[:-1]):
        pieces = []
        for right in edges[first + 1 :]:
            if pieces and right.mean() - left.mean() > WIDEST * height:
                break
            within = (columns >= left[:, None]) & (columns < right[:, None])
            part = _crop_to_ink(
                replace(glyph, ink=np.where(within, glyph.ink, np.float32(0)), cut=True)
            )
            pieces.append(part)
        lattice.append(pieces)
    return lattice


def _crop_to_ink(glyph: Glyph) -> Glyph:
    rows, columns = np.flatnonzero(glyph.ink.any(1)), np.flatnonzero(glyph.ink.any(0))
    if not len(rows):
        return replace(glyph, ink=glyph.ink[:1, :1])
    ink = glyph.ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return replace(glyph, ink=ink, left=glyph.left + int(columns[0]), top=glyph.top + int(rows[0]))


def _reduced_ink(glyph: Glyph) -> np.ndarray:
    """Return the ink at the size at which cuts are looked for."""
    factor = min(1.0, CUT_SIDE / glyph.height)
    size = max(3, round(glyph.width * factor)), max(3, round(glyph.height * factor))
    return np.asarray(Image.fromarray(glyph.ink).resize(size, Image.Resampling.BOX))


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
    chosen: list[int] = []
    apart = max(2.0, 0.08 * height)
    for start in np.argsort(cost, kind="stable"):
        inside = margin < centre[start] < width - margin
        if inside and all(abs(centre[start] - centre[other]) > apart for other in chosen):
            chosen.append(int(start))
        if len(chosen) == most:
            break
    chosen.sort(key=lambda start: centre[start])
    rows = np.minimum((np.arange(glyph.height) * height) // glyph.height, height - 1)
    return [
        np.rint((paths[rows, start] + 0.5) * glyph.width / width).astype(int) for start in chosen
    ]


def _min_cost_paths(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the ways with the least ink from each pixel of the first row to the last row.

    A way moves by at most one column a row; a small price on every step to the side keeps ways
    through empty ground straight.

    Returns
    -------
    paths : numpy.ndarray
        int (height, width): entry [r, x] is the column in row r of the way that starts at x.
    cost : numpy.ndarray
        float (width,): the ink on each way.
    """
    height, width = ink.shape
    cost = ink[-1]
    step = np.zeros((height, width), int)
    for row in range(height - 2, -1, -1):
        below = np.full((3, width), np.inf, np.float32)
        below[0, 1:] = cost[:-1] + 0.02
        below[1] = cost
        below[2, :-1] = cost[1:] + 0.02
        choice = below.argmin(0)
        step[row] = choice - 1
        cost = below[choice, np.arange(width)] + ink[row]
    paths = np.empty((height, width), int)
    paths[0] = np.arange(width)
    for row in range(height - 1):
        paths[row + 1] = paths[row] + step[row, paths[row]]
    return paths, cost


def in_reading_order(glyphs: list[Glyph]) -> list[Glyph]:
    """Sort glyphs into rows from the top and from left to right, and number the rows.

    Rows need not be level: a glyph continues the row of the nearest glyph to its left that
    stands beside it.
    """
    if not glyphs:
        return []
    order = sorted(
        range(len(glyphs)), key=lambda index: glyphs[index].left + glyphs[index].width / 2
    )
    middle = [glyph.top + glyph.height / 2 for glyph in glyphs]
    centre = [glyph.left + glyph.width / 2 for glyph in glyphs]
    last: list[int] = []  # the right end of each row so far
    members: list[list[int]] = []
    for index in order:
        glyph = glyphs[index]
        best, least = None, np.inf
        for row, end in enumerate(last):
            other = glyphs[end]
            overlap = min(glyph.top + glyph.height, other.top + other.height) - max(
                glyph.top, other.top
            )
            lower = min(glyph.height, other.height)
            off = abs(middle[index] - middle[end])
            beside = overlap >= 0.4 * lower or off <= 0.35 * max(glyph.height, other.height)
            if not beside:
                continue
            distance = off + 0.1 * max(0.0, centre[index] - centre[end])
            if distance < least:
                best, least = row, distance
        if best is None:
            last.append(index)
            members.append([index])
        else:
            last[best] = index
            members[best].append(index)
    members = _merge_interrupted_rows(members, glyphs)
    slope = _common_slope(members, centre, middle)
    members.sort(key=lambda row: np.mean([middle[i] - slope * centre[i] for i in row]))
    return [
        replace(glyphs[index], row=number) for number, row in enumerate(members) for index in row
    ]


def words(glyphs: list[Glyph]) -> list[list[Glyph]]:
    """Group glyphs that stand close together in a row: words and numbers."""
    groups: list[list[Glyph]] = []
    for glyph in in_reading_order(glyphs):
        before = groups[-1][-1] if groups else None
        if before and before.row == glyph.row:
            gap = glyph.left - before.left - before.width
            if gap <= WORD_GAP * max(before.height, glyph.height):
                groups[-1].append(glyph)
                continue
        groups.append([glyph])
    return groups


def _merge_interrupted_rows(rows: list[list[int]], glyphs: list[Glyph]) -> list[list[int]]:
    """Join rows of which one begins where the other ends, if they overlap in height at all.

    Somebody who writes on unruled paper, or with a mouse, may drift by most of a digit's height.
    """

    def extent(row: list[int]) -> tuple[int, int, int, int]:
        part = [glyphs[index] for index in row]
        return (
            min(g.left for g in part),
            max(g.left + g.width for g in part),
            min(g.top for g in part),
            max(g.top + g.height for g in part),
        )

    rows = sorted(rows, key=lambda row: extent(row)[0])
    merged: list[list[int]] = []
    for row in rows:
        left, _, top, bottom = extent(row)
        for earlier in merged:
            _, end, high, low = extent(earlier)
            if end <= left and min(bottom, low) > max(top, high):
                earlier.extend(row)
                break
        else:
            merged.append(list(row))
    return merged


def _common_slope(rows: list[list[int]], centre: list[float], middle: list[float]) -> float:
    """Return the common slope of the rows, 0 where no row is long enough to show it."""
    across = down = 0.0
    for row in rows:
        if len(row) >= 3:
            x, y = np.array([centre[i] for i in row]), np.array([middle[i] for i in row])
            across += float(((x - x.mean()) ** 2).sum())
            down += float(((x - x.mean()) * (y - y.mean())).sum())
    return down / across if across else 0.0
