"""Digits degraded beyond what augmentation does: hollow, half in the dark, blurred, crossed out.

People still read them, and people do make them: outlines filled later, the edge of a dark table in
the picture, a camera that moved, glass or mist before it, a pen that was tried out, a small digit far
from the middle of its frame. Made once for a training, as they are too slow for every batch.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from digits.pictures.mnist_form import SIDE

FINE = 4  # sub-pixels of a pixel, along each axis, where edges are moved or lines drawn


def degrade(n: int, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Degrade `n` digits, each in one of six ways, equally often.

    They are chosen from training images `x`, uint8 (m, 28, 28), with labels `y`. Returns images, uint8
    (n, 28, 28), some not centred or with ink up to the frame, and labels, int64 (n,).
    """
    rng = np.random.default_rng([seed, 4])
    chosen = rng.integers(len(x), size=n)
    ways = rng.integers(len(DEGRADATIONS), size=n)
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for i, (index, way) in enumerate(zip(chosen, ways, strict=True)):
        changed = DEGRADATIONS[way](x[index].astype(np.float32) / 255, rng)
        images[i] = np.uint8(np.clip(changed, 0, 1) * 255 + 0.5)
    return images, y[chosen].astype(np.int64)


def hollow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave the outline of the strokes, along, inside or outside of their edge."""
    ink = ndimage.zoom(image, FINE, order=1, grid_mode=True, mode="nearest") > rng.uniform(0.2, 0.6)
    outward, inward = rng.integers(0, FINE, 2)
    outer = ndimage.binary_dilation(ink, iterations=1 + int(outward))
    line = outer & ~ndimage.binary_erosion(ink, iterations=1 + int(inward))
    coarse = line.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    return coarse * rng.uniform(1.0, 2.0)


def half_dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let ink and paper change places on one or both sides of the digit."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    angle = rng.uniform(0, 2 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    dark = along > rng.uniform(0, 11)
    if rng.random() < 0.5:
        dark |= along < -rng.uniform(2, 11)
    depth = rng.uniform(0.5, 1.0)
    return np.where(dark, depth * (1 - image), image)


def motion_blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smear along a curved path of 3 to 8 pixels, as a hand moves while a shutter is open."""
    length, angle, bend = rng.uniform(3, 8), rng.uniform(0, math.pi), rng.uniform(-1, 1)
    along = np.linspace(-0.5, 0.5, 2 * math.ceil(length) + 1)
    aside = bend * (along**2 - np.mean(along**2))
    dy = length * (along * math.sin(angle) + aside * math.cos(angle))
    dx = length * (along * math.cos(angle) - aside * math.sin(angle))
    shifted = [ndimage.shift(image, offset, order=1) for offset in np.column_stack([dy, dx])]
    return np.mean(shifted, axis=0) * rng.uniform(1.0, 1.6)


def frosted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move every pixel a little on its own, and blur."""
    places = np.mgrid[:SIDE, :SIDE] + rng.normal(0, rng.uniform(0.5, 1.4), (2, SIDE, SIDE))
    moved = ndimage.map_coordinates(image, places, order=1)
    return ndimage.gaussian_filter(moved, rng.uniform(0.3, 1.0))


def crossed_out(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one line of several bends across, one to two pixels wide."""
    n = int(rng.integers(3, 9))
    along = np.linspace(rng.uniform(-2, 6), rng.uniform(22, 30), n)
    aside = np.linspace(*rng.uniform(4, 24, 2), n) + rng.normal(0, rng.uniform(1, 4), n)
    points = np.column_stack([along, aside] if rng.random() < 0.5 else [aside, along])
    canvas = Image.new("L", (FINE * SIDE, FINE * SIDE))
    width = int(rng.integers(FINE // 2, 2 * FINE + 1))
    ImageDraw.Draw(canvas).line([tuple(FINE * p) for p in points], 255, width, joint="curve")
    line = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
    return np.maximum(image, line * rng.uniform(0.6, 1.0))


def out_of_place(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make the digit smaller or larger, and move it as far as the frame allows, or a bit further."""
    factor = rng.uniform(0.5, 1.2)
    matrix = np.eye(2) / factor
    reach = 14 - 8 * factor  # the ink of an MNIST digit fills 20 pixels at most
    centre = np.full(2, (SIDE - 1) / 2)
    shift = rng.uniform(-reach, reach, 2)
    return ndimage.affine_transform(image, matrix, centre - matrix @ (centre + shift), order=1)


DEGRADATIONS = (hollow, half_dark, motion_blurred, frosted, crossed_out, out_of_place)
