"""Finds what is written: one value of ink strength for each pixel of a picture.

The background is what fills the picture, whatever its colour and light; ink is what differs from it
in the direction (darker or lighter) in which few pixels differ strongly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL.Image import Resampling

from digits.pictures import filters
from digits.pictures.border import border_region, remove_border_artifacts
from digits.pictures.decoding import Picture
from digits.pictures.filters import Components, connected_components, dilate, quantile, resize
from digits.pictures.ruled_lines import remove_lines

DARK, LIGHT = "dark-on-light", "light-on-dark"

FAINTEST = 12.0  # grey levels of 255 by which ink must differ from the paper
NOISE = 8.0  # standard deviations of the smoothed picture's noise by which ink must differ
SHARP = 0.3  # share of the sharpest stroke's sharpness that other strokes have at least
FAINT = 0.13  # share of the darkest ink's depth that other strokes have at least
SHARP_FAINT = 0.65  # the same as `SHARP` for strokes that are fainter than the threshold
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
    scale: float
    size: tuple[int, int]
    paper: np.ndarray
    rules: np.ndarray

    def turned(self, turn: int) -> Ink:
        """Return the same after quarter turns of the picture to the left."""
        names = ("strength", "mask", "paper", "rules")
        arrays = {name: np.rot90(getattr(self, name), turn) for name in names}
        return replace(self, **arrays, size=self.size[:: -1 if turn % 2 else 1])


def find_ink(picture: Picture, polarity: str | None = None) -> Ink:
    """Find the ink on a picture; its mask is empty where the picture is blank.

    The polarity is `DARK` or `LIGHT` if it is known; it is decided from the picture otherwise. Printed
    lines and boxes are taken away.
    """
    grey = to_grey(picture.pixels)
    if polarity is None:
        polarity = DARK if _polarity_score(grey) >= 0 else LIGHT
    light = grey if polarity == DARK else 255 - grey

    paper = _estimate_background(light)
    # Ink takes a share of the light away, so under a shadow it differs by fewer levels.
    brightest = float(paper.max())
    gain = brightest / np.maximum(paper, max(brightest / 3, 1))
    noise = _noise_sigma(light)
    if noise > 1:
        light = filters.gaussian_filter(light, 0.7)
        noise = _noise_sigma(light)  # most of grain is gone, and less of texture
    depth = np.maximum(paper - light, 0) * gain
    noise *= quantile(gain, 0.9)
    least = max(FAINTEST, NOISE * noise)
    threshold = _edge_weighted_threshold(depth, noise, least)
    mask = _hysteresis_threshold(depth, threshold, least)
    outer = border_region(mask)
    if outer.any():
        # A dark desk around the sheet would set the threshold for faint pencil on it.
        inner = np.where(dilate(outer, 3), 0, depth)
        lower = _edge_weighted_threshold(inner, noise, least)
        if lower < threshold:
            mask |= _hysteresis_threshold(inner, lower, least)
    mask = remove_border_artifacts(depth, mask)
    mask, lines = remove_lines(mask)
    strength = np.zeros(grey.shape, np.float32)
    if mask.any():
        # Half a pixel around the mask belongs to the strokes' soft edges.
        near = dilate(mask) & ~lines
        darkest = quantile(depth[mask], 0.95)
        strength[near] = np.clip(depth[near] / darkest, 0, 1)
    return Ink(
        strength,
        mask,
        polarity,
        scale=max(grey.shape) / max(picture.size),
        size=picture.size,
        paper=paper if polarity == DARK else 255 - paper,
        rules=lines,
    )


def remove_border_region(ink: Ink) -> Ink:
    """Return the ink less what seems to be a desk, a shadow or the edge of the sheet.

    It may also be a digit that fills the whole picture: the recognizer must decide.
    """
    outer = border_region(ink.mask)
    strength = np.where(dilate(outer), np.float32(0), ink.strength)
    return replace(ink, mask=ink.mask & ~outer, strength=strength)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return the grey picture, float32 0 to 255, along the colour in which the picture varies most.

    Blue on green may be equally light; the direction in which neighbouring pixels differ in colour
    space separates them.
    """
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    near, step = (max(1, max(pixels.shape) // sides) for sides in (400, 200))
    here, below, beside = (
        pixels[down::step, across::step].astype(np.float32)
        for down, across in ((0, 0), (near, 0), (0, near))
    )
    height, width = min(len(here), len(below)), min(here.shape[1], beside.shape[1])
    steps = np.concatenate(
        [
            (here[:height] - below[:height]).reshape(-1, 3),
            (here[:, :width] - beside[:, :width]).reshape(-1, 3),
        ]
    )
    covariance = np.einsum("ni,nj->ij", steps, steps)
    # Weighted towards plain lightness, so that noise alone does not choose the colour.
    covariance += (0.1 * np.trace(covariance) + 1) / 3
    weights = np.linalg.eigh(covariance)[1][:, -1]
    weights *= 1 if weights.sum() >= 0 else -1
    span = 255 * np.abs(weights).sum()
    offset = -255 * np.minimum(weights, 0).sum()
    grey = pixels.astype(np.float32) @ (255 / span * weights).astype(np.float32)
    grey += 255 * offset / span
    return grey.clip(0, 255, out=grey)


def _thumbnail(image: np.ndarray, side: int) -> np.ndarray:
    factor = side / max(image.shape)
    if factor >= 1:
        return image
    height, width = (max(1, round(length * factor)) for length in image.shape)
    return resize(image, (height, width), Resampling.BOX)


def _polarity_score(grey: np.ndarray) -> float:
    """Return above 0 if the ink is darker than its paper, below 0 if it is lighter; about -1 to 1.

    Three votes. Two count on which side of the paper (a running median, wide and narrow) the
    strong deviations lie: ink is the minority. The third asks how light the frame is: ink seldom
    covers it.
    """
    small = _thumbnail(grey, 64)
    votes = []
    for share, side in ((2, 32), (6, 64)):
        coarse = _thumbnail(small, side)  # a wide median is as smooth
        paper = filters.median_filter(coarse, max(5, max(coarse.shape) // share) | 1)
        if paper.shape != small.shape:
            paper = resize(paper, small.shape, Resampling.BICUBIC)
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
    levels = np.clip(filters.sample(light), 0, 255).astype(np.uint8)
    near = np.convolve(np.bincount(levels, minlength=256), np.ones(9, int), "same")
    level = int(near[100:].argmax()) + 100 if near[100:].any() else 255
    middle = quantile(light, 0.5)
    if near[level] > 0.5 * levels.size or min(light.shape) < 40:
        if near[level] < 0.2 * levels.size:
            level = max(middle, quantile(light, 0.9))
        return np.full(light.shape, level, np.float32)
    small = _thumbnail(light, 160)
    window = max(5, min(small.shape) // 4) | 1
    small = filters.median_filter(small, 3)
    smooth = filters.gaussian_filter(filters.grey_closing(small, window), 2, "edge")
    return resize(smooth, light.shape, Resampling.BILINEAR)


def _noise_sigma(grey: np.ndarray) -> float:
    """Return the standard deviation of the picture's noise in grey levels (after Immerkaer 1996)."""

    def sigma(grey: np.ndarray, step: int) -> float:
        # A second difference is blind to slopes; the median is blind to strokes. Some rows tell enough.
        grey = grey[:: max(1, len(grey) // 64)]
        second = grey[:, : -2 * step] - 2 * grey[:, step:-step] + grey[:, 2 * step :]
        return quantile(np.abs(second), 0.5) / (0.6745 * np.sqrt(6))

    if min(grey.shape) < 3:
        return 0.0
    if min(grey.shape) < 40:
        return sigma(grey, 1)
    # Blurred or compressed grain is alike from pixel to pixel: it shows further apart.
    return max(sigma(grey, 1), min(sigma(grey, 4), sigma(grey.T, 4)))


def _edge_weighted_threshold(depth: np.ndarray, noise: float, least: float) -> float:
    """Return the depth that divides ink from paper, infinite for a blank picture.

    The mean depth of the pixels at edges, weighted by the edges' strength: it lies halfway between
    paper and ink however few pixels are ink (Kittler, Illingworth, Foglein 1985).
    """
    if depth.max() < least or min(depth.shape) < 3:
        return math.inf
    inner = depth[1:-1, 1:-1]
    slope = (depth[2:, 1:-1] - depth[:-2, 1:-1]) ** 2 + (depth[1:-1, 2:] - depth[1:-1, :-2]) ** 2
    is_edge = slope > (2 * max(2.0, 4.5 * noise)) ** 2
    weights = slope[is_edge].astype(float)
    total = weights.sum()
    return max(float((weights * inner[is_edge]).sum() / total), least / 2) if total else math.inf


def _hysteresis_threshold(depth: np.ndarray, threshold: float, least: float) -> np.ndarray:
    """Return the mask of strokes: above `LOW` times the threshold, and somewhere above it.

    Strokes of a fainter pen, down to `FAINT` of the darkest, have a threshold that is as much lower,
    if they are as large as the dark ones, and as sharp.
    """
    regions = connected_components(depth > LOW * threshold)
    peaks = regions.maxima(depth)
    slope = filters.gradient_magnitude(depth, 1) if min(depth.shape) >= 40 else None
    mask = regions.mask_of((peaks > threshold) & _sharp(slope, peaks, regions, SHARP))
    if not mask.any():
        return mask
    floor = max(LOW * FAINT * threshold, least / 2)
    regions = connected_components(depth > floor)
    peaks = regions.maxima(depth)
    # A region at the picture's edge rather belongs to a desk, or a book.
    inside = regions.clear_of_edge(max(1, min(mask.shape) // 50))
    dark = regions.occur_in(regions.labels[mask])
    if not (dark & inside).any():
        return mask
    sizes = regions.max_extent
    usual = quantile(np.repeat(sizes[dark & inside], sizes[dark & inside]), 0.5)
    faint = ~dark & inside & (sizes >= 0.4 * usual) & (sizes <= 1.6 * usual)
    faint &= peaks > max(least, FAINT * peaks.max())
    if faint.any():
        faint &= _sharp(slope, peaks, regions, SHARP_FAINT)
        own = np.append(np.inf, np.where(faint, LOW * threshold * peaks / peaks.max(), np.inf))
        mask |= depth > np.maximum(own, floor)[regions.labels]
    return mask


def _sharp(
    slope: np.ndarray | None, peaks: np.ndarray, regions: Components, share: float
) -> np.ndarray:
    """Tell which regions have edges like strokes have, bool (n,); those of a shadow are softer.

    A region's sharpness is its steepest edge in shares of its depth, of which `peaks` are the largest;
    it is compared with that of the sharpest region that is not noise. A picture that is too small to
    tell has no `slope`.
    """
    if regions.n < 2 or slope is None:
        return np.ones(regions.n, bool)
    sharpness = regions.maxima(slope) / np.maximum(peaks, 1e-9)
    large = regions.areas >= 0.05 * regions.areas.max()
    return sharpness >= share * sharpness[large].max()
