"""Finds what is written: one value of ink strength for each pixel of a picture.

Paper is what fills the background, whatever its colour and light; ink is what differs from the paper
around it, in the direction (darker or lighter) in which few pixels differ strongly. Straight lines
that are much longer than what is written are rules, and are taken away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from digits.pictures import filters
from digits.pictures.decoding import Picture
from digits.pictures.filters import (
    Box,
    Components,
    connected_components,
    dilate,
    maximum_filter1d,
    minimum_filter1d,
    quantile,
    unique_labels,
)

DARK, LIGHT = "dark-on-light", "light-on-dark"

FAINTEST = 12.0  # grey levels of 255 by which ink must differ from the paper
NOISE = 6.0  # standard deviations of the picture's noise by which ink must differ
SHARP = 0.3  # share of the sharpest stroke's sharpness that other strokes have at least
FAINT = 0.13  # share of the darkest ink's depth that other strokes have at least
SHARP_FAINT = 0.65  # the same as `SHARP` for strokes that are fainter than the threshold
ALONG_EDGE = 0.5  # share of a mark's length that lies on the picture's edge, if it is no digit
SOFT_AT_EDGE = 0.6  # share of the usual sharpness below which a mark at the edge is a shadow
SMALLEST_FORM_BOX = 24  # pixels: the shorter side of a printed box
THICKEST_LINE = 12  # working pixels
STRAIGHT_SIDE = 0.75  # share of a frame's side that is a straight line
SPANNED = 1.25  # times the width of what is written: the length of a line across the picture
PART = 0.15  # share of a line across the picture that is free of strokes, in one piece
MARGIN = 0.15  # share of the picture beside a line that may be the edge of an empty cell
LOW = 0.5  # share of the threshold down to which a stroke is followed from where it is sure


@dataclass(frozen=True)
class Ink:
    """What is written on a picture.

    Attributes
    ----------
    strength : numpy.ndarray
        float32 (height, width), 0 paper to 1 the darkest ink, at working scale.
    mask : numpy.ndarray
        bool (height, width): the pixels that belong to strokes.
    polarity : str
        "dark-on-light" or "light-on-dark".
    certainty : float
        How clearly the picture shows its polarity, 0 to 1.
    scale : float
        Working pixels for one pixel of the upright picture, at most 1.
    size : tuple of int
        Width and height of the upright picture in its own pixels.
    paper : numpy.ndarray
        float32 (height, width): the grey level that the paper has (light is high).
    rules : numpy.ndarray
        bool (height, width): the ruled lines that were taken away.
    """

    strength: np.ndarray
    mask: np.ndarray
    polarity: str
    certainty: float
    scale: float
    size: tuple[int, int]
    paper: np.ndarray
    rules: np.ndarray


def find_ink(picture: Picture, polarity: str | None = None, *, rules: bool = True) -> Ink:
    """Find the ink on a picture.

    Parameters
    ----------
    picture : Picture
    polarity : str or None
        `DARK` or `LIGHT` if it is known; decided from the picture otherwise.
    rules : bool
        Whether ruled lines and frames are taken away.

    Returns
    -------
    Ink
        With an empty mask where the picture is blank.
    """
    grey = to_grey(picture.pixels)
    balance = _polarity_score(grey)
    if polarity is None:
        polarity = DARK if balance >= 0 else LIGHT
    light = grey if polarity == DARK else 255 - grey

    paper = _estimate_background(light)
    # Ink takes a share of the light away, so under a shadow it differs by fewer levels.
    brightest = float(paper.max())
    gain = brightest / np.maximum(paper, max(brightest / 3, 1))
    depth = np.maximum(paper - light, 0) * gain
    noise = _noise_sigma(light) * quantile(gain, 0.9)
    if noise > 1:
        depth = filters.gaussian_filter(depth, 0.7)
    least = max(FAINTEST, NOISE * noise)
    threshold = _edge_weighted_threshold(depth, noise, least)
    mask = (
        _hysteresis_threshold(depth, threshold, least) if threshold else np.zeros(grey.shape, bool)
    )
    outer = _border_region(mask)
    if outer.any():
        # A dark desk around the sheet would set the threshold for faint pencil on it.
        inner = np.where(dilate(outer, 3), 0, depth)
        lower = _edge_weighted_threshold(inner, noise, least)
        if 0 < lower < threshold:
            mask |= _hysteresis_threshold(inner, lower, least)
    mask = _remove_border_artifacts(depth, mask)
    printed = np.zeros(mask.shape, bool)
    if rules:
        frames = form_boxes(mask)
        rest = mask & ~frames
        printed = ruled_lines(rest)
        if printed.any():
            rest = _remove_line_residue(rest & ~printed, printed)
        mask, printed = rest, printed | frames
    strength = np.zeros(grey.shape, np.float32)
    if mask.any():
        # Half a pixel around the mask belongs to the strokes' soft edges.
        near = dilate(mask) & ~printed
        darkest = quantile(depth[mask], 0.95)
        strength[near] = np.clip(depth[near] / darkest, 0, 1)
    return Ink(
        strength,
        mask,
        polarity,
        min(abs(balance), 1.0),
        max(grey.shape) / max(picture.size),
        picture.size,
        paper if polarity == DARK else 255 - paper,
        printed,
    )


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return the grey picture, float32 0 to 255, along the colour in which the picture varies most.

    Blue on green may be equally light; what tells them apart is the direction in colour space
    in which neighbouring pixels differ.
    """
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    step = max(1, max(pixels.shape) // 400)
    small = pixels[::step, ::step].astype(np.float32)
    steps = [np.diff(small, axis=axis).reshape(-1, 3) for axis in (0, 1)]
    covariance = sum(step.T @ step for step in steps)
    # Weighted towards plain lightness, so that noise alone does not choose the colour.
    covariance += (0.1 * np.trace(covariance) + 1) / 3
    weights = np.linalg.eigh(covariance)[1][:, -1]
    weights *= 1 if weights.sum() >= 0 else -1
    span = 255 * np.abs(weights).sum()
    offset = -255 * np.minimum(weights, 0).sum()
    return (
        (pixels.astype(np.float32) @ weights.astype(np.float32) + offset) * (255 / span)
    ).astype(np.float32)


def _thumbnail(grey: np.ndarray, side: int) -> np.ndarray:
    factor = side / max(grey.shape)
    if factor >= 1:
        return grey
    size = [max(1, round(length * factor)) for length in grey.shape[::-1]]
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _polarity_score(grey: np.ndarray) -> float:
    """Return above 0 if the ink is darker than its paper, below 0 if it is lighter; about -1 to 1.

    Three votes. Two count on which side of the paper (a running median, wide and narrow) the
    strong deviations lie: ink is the minority. The third asks how light the frame is: ink seldom
    covers it.
    """
    small = _thumbnail(grey, 64)
    votes = []
    for share, side in ((2, 32), (6, 64)):
        coarse = _thumbnail(grey, side)  # a wide median is as smooth
        paper = filters.median_filter(coarse, max(5, max(coarse.shape) // share) | 1)
        if paper.shape != small.shape:
            paper = np.asarray(Image.fromarray(paper).resize(small.shape[::-1]))
        deviation = small - paper
        deviation[np.abs(deviation) < 4] = 0
        cubes = deviation.astype(np.float64) ** 3
        votes.append(-cubes.sum() / max(np.abs(cubes).sum(), 1e-9))
    low, high = float(small.min()), float(small.max())
    # The median of a band, of which lines along the edge cover less than half.
    band = max(1, min(small.shape) // 8)
    inner = np.zeros(small.shape, bool)
    inner[band:-band, band:-band] = True
    level = quantile(small[~inner], 0.5)
    votes.append(2 * (level - low) / max(high - low, 1.0) - 1)
    return float(np.mean(votes))


def _estimate_background(light: np.ndarray) -> np.ndarray:
    """Return the lightness that the paper has at each pixel.

    A flat paper (most pixels are alike) is one level. Elsewhere it is a closing: dark patches
    narrower than a quarter of the picture are filled with what surrounds them, wider ones are
    light and shadow, or a desk.
    """
    counts = np.bincount(np.clip(light, 0, 255).astype(np.uint8).ravel(), minlength=256)
    near = np.convolve(counts, np.ones(9, int), "same")
    level = int(near[100:].argmax()) + 100 if near[100:].any() else 255
    middle = quantile(light, 0.5)
    if near[level] > 0.5 * light.size or min(light.shape) < 40:
        if near[level] < 0.2 * light.size:
            level = max(middle, quantile(light, 0.9))
        return np.full(light.shape, level, np.float32)
    small = _thumbnail(light, 160)
    window = max(5, min(small.shape) // 4) | 1
    small = filters.median_filter(small, 3)
    smooth = filters.gaussian_filter(filters.grey_closing(small, window), 2, "edge")
    size = light.shape[::-1]
    return np.asarray(Image.fromarray(smooth).resize(size, Image.Resampling.BILINEAR))


def _noise_sigma(grey: np.ndarray) -> float:
    """Return the standard deviation of the picture's noise in grey levels."""
    if min(grey.shape) < 3:
        return 0.0
    # Immerkaer 1996: a mask that is blind to slopes; the median is blind to strokes.
    # Grain that was blurred, or compressed, is alike from pixel to pixel: it shows further apart.
    steps = (1, 4) if min(grey.shape) >= 40 else (1,)
    seconds = [
        g[:, : -2 * step] - 2 * g[:, step:-step] + g[:, 2 * step :]
        for step in steps
        for g in ((grey,) if step == 1 else (grey, grey.T))
    ]
    noise = [quantile(np.abs(second), 0.5) / (0.6745 * np.sqrt(6)) for second in seconds]
    return max(noise[0], min(noise[1:], default=0.0))


def _edge_weighted_threshold(depth: np.ndarray, noise: float, least: float) -> float:
    """Return the depth that divides ink from paper, 0 for a blank picture.

    The mean depth of the pixels at edges, weighted by the edges' strength: it lies halfway between
    paper and ink however few pixels are ink (Kittler, Illingworth, Foglein 1985).
    """
    if depth.max() < least:
        return 0.0
    down, across = np.gradient(depth) if min(depth.shape) > 1 else (depth, depth)
    edge = np.hypot(down, across)
    edge = np.where(edge > max(2.0, 3 * noise), edge, 0) ** 2
    total = float(edge.sum())
    if not total:
        return 0.0
    return max(float((edge * depth).sum()) / total, least / 2)


def _border_region(mask: np.ndarray) -> np.ndarray:
    """Return what is perhaps a desk, a shadow, or the edge of the sheet.

    It touches the frame and spans more than half of the picture, or is a hollow outline around
    other regions.
    """
    regions = connected_components(mask)
    labels, areas = regions.labels, regions.areas
    frame = unique_labels(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    found = []
    for label in np.flatnonzero(regions.max_extent > 0.4 * min(mask.shape)) + 1:
        down, across = regions.boxes[label - 1]
        tall = (down.stop - down.start) / mask.shape[0]
        wide = (across.stop - across.start) / mask.shape[1]
        at_frame = max(tall, wide) > 0.5 and label in frame
        hollow = min(tall, wide) > 0.4 and areas[label - 1] < 0.15 * tall * wide * mask.size
        # What it is around: something else than itself.
        if at_frame or (hollow and len(unique_labels(labels[down, across])) > 1):
            found.append(label)
    return regions.mask_of(found)


def remove_border_region(ink: Ink) -> Ink:
    """Return the ink less what seems to be a desk, a shadow or the edge of the sheet.

    It may also be a digit that fills the whole picture: who knows digits must decide.
    """
    outer = _border_region(ink.mask)
    near = dilate(outer)
    return replace(
        ink, mask=ink.mask & ~outer, strength=np.where(near, np.float32(0), ink.strength)
    )


def _hysteresis_threshold(depth: np.ndarray, threshold: float, least: float) -> np.ndarray:
    """Return the mask of strokes: above `LOW` times the threshold, and somewhere above it.

    Strokes of a fainter pen, down to `FAINT` of the darkest, have a threshold that is as much lower,
    if they are as large as what is dark, and as sharp.
    """
    regions = connected_components(depth > LOW * threshold)
    sure = filters.max_by_component(depth, regions) > threshold
    mask = np.append(False, sure & _sharp(depth, regions))[regions.labels]
    if not mask.any():
        return mask
    floor = max(LOW * FAINT * threshold, least / 2)
    regions = connected_components(depth > floor)
    peaks = filters.max_by_component(depth, regions)
    dark, inside = np.zeros(regions.n + 1, bool), np.ones(regions.n + 1, bool)
    dark[unique_labels(regions.labels[mask])] = True
    # What lies at the picture's edge is rather a desk's, or a book's.
    margin = max(1, min(mask.shape) // 50)
    middle = (slice(margin, -margin),) * 2
    at_edge = regions.labels.copy()
    at_edge[middle] = 0
    inside[unique_labels(at_edge)] = False
    inside, dark = inside[1:], dark[1:]
    if not (dark & inside).any():
        return mask
    lengths = regions.max_extent[dark & inside]
    usual = quantile(np.repeat(lengths, lengths), 0.5)
    faint = (
        ~dark & inside & (regions.max_extent >= 0.4 * usual) & (regions.max_extent <= 1.6 * usual)
    )
    faint &= peaks > max(least, FAINT * peaks.max())
    if faint.any():
        faint &= _sharp(depth, regions, SHARP_FAINT)
        own = np.append(np.inf, np.where(faint, LOW * threshold * peaks / peaks.max(), np.inf))
        mask |= depth > np.maximum(own, floor)[regions.labels]
    return mask


def _sharp(depth: np.ndarray, regions: Components, share: float = SHARP) -> np.ndarray:
    """Tell which things have edges like strokes have; those of a shadow are softer.

    A thing's sharpness is its steepest edge in shares of its depth; it is compared with that of the
    sharpest thing that is no speck.
    """
    if regions.n < 2 or min(depth.shape) < 40:
        return np.ones(regions.n, bool)
    steepest = filters.max_by_component(filters.gradient_magnitude(depth, 1), regions)
    sharpness = steepest / np.maximum(filters.max_by_component(depth, regions), 1e-9)
    large = regions.areas >= 0.05 * regions.areas.max()
    return sharpness >= share * sharpness[large].max()


def _remove_border_artifacts(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Remove what lies along the picture's edge, or is soft there: a desk's strip, a shadow.

    Only beside something of a digit's size that stands clear of the edge: a digit that is cut off
    by the picture's edge may be all that there is.
    """
    regions = connected_components(mask)
    labels, boxes = regions.labels, regions.boxes
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    # A strip that covers a whole side is none of a digit's, whatever else there is.
    for side in sides:
        for label in unique_labels(side):
            narrow = min(s.stop - s.start for s in boxes[label - 1]) < 0.25 * min(mask.shape)
            if narrow and np.count_nonzero(side == label) > 0.95 * len(side):
                mask = mask & (labels != label)
    if min(mask.shape) < 100:
        return mask
    touching = unique_labels(np.concatenate(sides))
    lengths = np.append(0, regions.max_extent)
    clear = np.delete(np.arange(len(lengths)), np.append(0, touching))
    if not len(touching) or not len(clear):
        return mask
    clear = clear[lengths[clear] >= max(24, 0.1 * min(mask.shape), 0.5 * lengths[clear].max())]
    if not len(clear):
        return mask
    edge = filters.gradient_magnitude(depth, 1)
    inner = np.zeros(mask.shape, bool)
    inner[2:-2, 2:-2] = True  # a gradient at the very edge is that of half a stroke
    sharpness = np.zeros(len(lengths))
    for label in (*touching, *clear):
        box = boxes[label - 1]
        # Its outline tells: inside a thick stroke nothing is steep.
        own = filters.boundary(labels[box] == label) & inner[box]
        if own.any():
            sharpness[label] = quantile(edge[box][own], 0.9) / depth[box][own].max()
    usual = quantile(sharpness[clear], 0.5)
    marks = []
    for label in touching:
        if sum(label in side for side in sides) > 2:
            continue  # surroundings, which who knows digits leaves out where it pays
        contacts = [np.count_nonzero(side == label) for side in sides]
        contact = max(contacts)
        narrow = min(s.stop - s.start for s in boxes[label - 1]) < 0.5 * lengths[label]
        high, wide = (s.stop - s.start for s in boxes[label - 1])
        in_corner = max(contacts[:2]) > 0.8 * wide and max(contacts[2:]) > 0.8 * high
        if (
            in_corner
            or (narrow and contact >= ALONG_EDGE * lengths[label])
            or sharpness[label] < SOFT_AT_EDGE * usual
        ):
            marks.append(label)
    return mask & ~regions.mask_of(marks)


# --- Ruled lines -------------------------------------------------------------------------------


def ruled_lines(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of ruled lines, squared paper and printed frames.

    A rule is straight, nearly level or upright, thin, and much longer than the other things on the
    picture are high; it crosses the whole picture, or there are three alike. Where a stroke
    crosses a rule, the crossing is left to the stroke.
    """
    none = np.zeros(mask.shape, bool)
    if not mask.any():
        return none
    # Most pictures have none: what is no part of anything long is no rule.
    if connected_components(mask).max_extent.max() < 0.3 * min(mask.shape):
        return none
    (level, level_bands), (upright, upright_bands) = _lines_across(mask), _lines_across(mask.T)
    across = level | upright.T
    if across.any():
        # What is left of them at crossings, and where they are rough.
        regions = connected_components(mask & ~across)
        bands = dilate(level_bands | upright_bands.T)
        outside = np.zeros(regions.n + 1, bool)
        outside[unique_labels(np.where(bands, 0, regions.labels))] = True
        across |= ~outside[regions.labels] & (regions.labels > 0)
    mask = mask & ~across
    if min(mask.shape) < 48 or not mask.any():
        return across
    thickness = max(4, min(mask.shape) // 40)
    level, upright = _horizontal_lines(mask, thickness), _horizontal_lines(mask.T, thickness).T
    lines = level | upright
    if not lines.any():
        return across
    heights = _component_sizes(mask & ~dilate(lines))
    if not len(heights):
        return across
    long = 2.5 * quantile(heights, 0.9)
    rules = none
    for lying, turned in ((mask, False), (mask.T, True)):
        found = _select_rules(_horizontal_lines(lying, thickness), long)
        if found.any():
            # Rules are alike; what is much thicker is a stroke along one.
            runs = np.count_nonzero(found[1:] & ~found[:-1]) + np.count_nonzero(found[0])
            usual = math.ceil(1.5 * np.count_nonzero(found) / runs) + 1
            found = _select_rules(_horizontal_lines(lying, usual), long)
        rules = rules | (found.T if turned else found)
    return mask & rules | across


def _lines_across(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the level lines that go from one side of the picture to the other.

    Returns their pixels, without those where something crosses them, and the bands that they run in.

    At any size of picture: a cell that was cut out of a form shows its lines like that. What is
    written is lower than such a line is long, or the line lies where nobody writes, at the edge.
    """
    height, width = mask.shape
    thickness = min(max(6, min(mask.shape) // 6), max(8, min(mask.shape) // 20))
    lines = _horizontal_lines(mask, thickness, max(7, width // 12))
    bridged = maximum_filter1d(maximum_filter1d(lines, max(9, width // 12), 1), 3, 0)
    regions = connected_components(bridged)
    thick = maximum_filter1d(mask, 3, 0)
    rest = connected_components(mask & ~dilate(lines))
    long = SPANNED * max((box[1].stop - box[1].start for box in rest.boxes), default=0)
    ways = []
    for label in np.flatnonzero(regions.max_extent >= PART * width) + 1:
        down, across = regions.boxes[label - 1]
        own = lines[down, across] & (regions.labels[down, across] == label)
        rows, columns = np.nonzero(own)
        if np.count_nonzero(own.any(0)) < PART * width:
            continue
        # With strokes that come near the line, and without them.
        for near in (rows >= 0, np.abs(rows - np.bincount(rows).argmax()) <= 3):
            x, y = columns[near] + across.start, rows[near] + down.start
            if np.ptp(x) < PART * width:
                continue
            slope, start = np.polyfit(x, y, 1)
            way = start + slope * np.arange(width)
            places = np.rint(way).astype(int)
            if places.min() < 0 or places.max() >= height:
                continue
            # All along its way is ink, which is thicker where something crosses it.
            if np.count_nonzero(~thick[places, np.arange(width)]) > 2 * (width // 40):
                continue
            middle = float(way.mean())
            if width > long if rest.n else min(middle, height - middle) < MARGIN * height:
                ways.append((way, len(y) / len(np.unique(x))))
            break
    if not ways:
        return np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    # Others of their kind may be covered by strokes nearly everywhere.
    way = sorted((way for way, _ in ways), key=lambda way: way[-1] - way[0])[len(ways) // 2]
    lean = way - way[0]
    usual = quantile(np.array([breadth for _, breadth in ways]), 0.5)
    starts = np.arange(max(0, -math.floor(lean.min())), height - math.ceil(lean.max()))
    places = np.rint(starts[:, None] + lean).astype(int)
    whole = np.count_nonzero(~mask[places, np.arange(width)], axis=1) <= width // 40
    ways += [(start + lean, usual) for start in starts[whole] if rest.n]
    bands = np.zeros(mask.shape, bool)
    for way, breadth in ways:
        bands |= np.abs(np.arange(height)[:, None] - way) <= breadth / 2 + 1
    thickness = math.ceil(usual) + 3
    return mask & bands & _thin(mask, thickness), bands


def _thin(mask: np.ndarray, thickness: int) -> np.ndarray:
    """Return the pixels that are part of no upright run of `thickness` pixels or more."""
    # Around the picture is nothing: filters that reflect would see a line at its edge twice as thick.
    padded = np.pad(mask, ((thickness,) * 2, (0, 0)))
    tall = maximum_filter1d(minimum_filter1d(padded, thickness, 0), thickness, 0)
    return mask & ~tall[thickness:-thickness]


def form_boxes(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of printed boxes, rows of cells, and combs.

    A frame is connected, thin, bounded by straight lines on at least three of its four sides, and
    has something else in its middle. No digit has.
    """
    frames = np.zeros(mask.shape, bool)
    if min(mask.shape) < 48 or not mask.any():
        return frames
    regions = connected_components(mask)
    for label in np.flatnonzero(regions.max_extent >= SMALLEST_FORM_BOX) + 1:
        box = regions.boxes[label - 1]
        if min(s.stop - s.start for s in box) < SMALLEST_FORM_BOX or _at_edge(box, mask.shape):
            continue  # at the picture's edge lie sheets and desks
        own = regions.labels[box] == label
        if own.mean() > 0.5:
            continue
        lines = _form_box_lines(own, mask[box])
        if lines is None:
            continue
        # Crossings belong to neither line: what is left over from them is small, or thin.
        rest = connected_components(own & ~lines)
        width = 2 * np.count_nonzero(lines) / max(np.count_nonzero(filters.boundary(lines)), 1)
        crumbs = [
            index
            for index, part in enumerate(rest.boxes, 1)
            if max(s.stop - s.start for s in part) <= max(8, 3 * width)
            or min(s.stop - s.start for s in part) <= 1.5 * width + 1
        ]
        frames[box] |= lines | rest.mask_of(crumbs)
    return frames


def _at_edge(box: Box, shape: tuple[int, int]) -> bool:
    """Tell whether a box reaches the edge of a picture of this shape."""
    return any(s.start == 0 or s.stop == length for s, length in zip(box, shape, strict=True))


def _form_box_lines(own: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Return the straight lines of a thing that is a frame, None if it is none.

    Parameters
    ----------
    own, mask : numpy.ndarray
        bool (height, width): the thing in its box, and all ink in that box.
    """
    side = min(own.shape)
    thickness, shortest = min(max(5, side // 10), THICKEST_LINE), max(12, side // 3)
    level, upright = (
        _horizontal_lines(own, thickness, shortest),
        _horizontal_lines(own.T, thickness, shortest).T,
    )
    lines = level | upright
    if np.count_nonzero(lines) < 0.4 * np.count_nonzero(own):
        return None  # a sheet or a shadow with straight sides
    # Lines lean, so that an edge is looked for within a quarter of the shorter side.
    band = max(3, side // 4)
    whole = np.zeros(own.shape, bool)
    n_straight = 0
    for turned, found in ((own, level), (own.T, upright.T)):
        for flip in (1, -1):
            edge = found[::flip][:band]
            if edge.any(0).mean() <= STRAIGHT_SIDE:
                continue
            n_straight += 1
            # Where a line steps, or meets another, it is followed along its direction.
            down, across = np.nonzero(edge)
            slope, start = np.polyfit(across, down, 1)
            line = start + slope * np.arange(found.shape[1])
            width = len(down) / np.count_nonzero(edge.any(0))
            near = np.abs(np.arange(found.shape[0])[:, None] - line) <= width / 2 + 2
            near = near[::flip] & turned
            whole |= near if found is level else near.T
    if n_straight < 3:
        return None
    lines |= whole
    others = mask & ~dilate(lines, 2)
    inside = connected_components(others[band // 2 : -(band // 2), band // 2 : -(band // 2)])
    return lines if inside.max_extent.max(initial=0) > 0.25 * side else None


def _horizontal_lines(mask: np.ndarray, thickness: int, shortest: int | None = None) -> np.ndarray:
    """Return the pixels of level lines: long across, less than `thickness` pixels down.

    They are at least `shortest` long, by default a twelfth of the picture's shorter side.
    """
    shortest = shortest or max(15, min(mask.shape) // 30)
    # Lines lean: they count as level where a run fits into the line and its neighbours.
    thick = maximum_filter1d(mask, 3, 0)
    runs = maximum_filter1d(minimum_filter1d(thick, shortest, 1), shortest, 1)
    return runs & _thin(mask, thickness)


def _select_rules(lines: np.ndarray, long: float) -> np.ndarray:
    """Keep the level lines that are rules: those that cross the picture, and families of three."""
    width = lines.shape[1]
    gap = max(9, min(lines.shape) // 12)  # a digit that is written over the rule interrupts it
    bridged = maximum_filter1d(maximum_filter1d(lines, gap, 1), 3, 0)
    regions = connected_components(bridged)
    spans = [(box[1].start, box[1].stop) for box in regions.boxes]
    starts, stops = np.array([(0, 0), *spans]).T
    lengths = stops - starts - (gap - 1)
    rules = lengths > max(long, 0.3 * width)
    if np.count_nonzero(rules) >= 3:
        # Where there is a family, what comes in from the frame is one of them, interrupted.
        rules |= ((starts == 0) | (stops == width)) & (lengths > 0)
    else:
        rules = (lengths > 0.85 * width) & (lengths > long)
    rules[0] = False
    return lines & rules[regions.labels]


def _remove_line_residue(mask: np.ndarray, rules: np.ndarray) -> np.ndarray:
    """Remove the crumbs that a rule's rough edge leaves beside it."""
    regions = connected_components(mask)
    touching = unique_labels(regions.labels[dilate(rules)])
    thickness = max(3, min(mask.shape) // 40)
    crumbs = [
        label
        for label in touching
        if min(s.stop - s.start for s in regions.boxes[label - 1]) <= thickness / 2
        or max(s.stop - s.start for s in regions.boxes[label - 1]) <= thickness
    ]
    return mask & ~regions.mask_of(crumbs)


def _component_sizes(mask: np.ndarray) -> np.ndarray:
    """Return the longer sides of the things on a mask, specks left out."""
    sides = connected_components(mask).max_extent
    return sides[sides > max(6, sides.max(initial=0) / 8)]
