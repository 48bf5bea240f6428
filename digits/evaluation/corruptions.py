"""Ways to spoil an image, and the mistakes that each causes.

For measuring only. They differ in kind or in form from the augmentation that a network is trained
with: fixed amounts at moderate strength, other resampling, other shapes.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from digits import InputError
from digits.evaluation.predictions import Reader, accuracy, prediction_table
from digits.pictures.mnist_form import SIDE

# Each function below takes `images` as floats (n, 28, 28) from 0 to 1, an amount and a generator.


def _each(change: Callable[..., np.ndarray], images: np.ndarray, *arguments) -> np.ndarray:
    """Apply `change` to every image with its own element of each of the `arguments`."""
    return np.stack([change(*one) for one in zip(images, *arguments, strict=True)])


def _affine(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    centre = np.full(2, (SIDE - 1) / 2)
    return ndimage.affine_transform(image, matrix, centre - matrix @ centre, order=3)


def _rotate(images, degrees, rng):
    angles = np.radians(degrees) * rng.choice([-1, 1], len(images))
    cos, sin = np.cos(angles), np.sin(angles)
    return _each(_affine, images, np.array([[cos, sin], [-sin, cos]]).transpose(2, 0, 1))


def _shift(images, pixels, rng):
    angles = rng.uniform(0, 2 * np.pi, len(images))
    offsets = pixels * np.column_stack([np.sin(angles), np.cos(angles)])
    return _each(lambda image, offset: ndimage.shift(image, offset, order=1), images, offsets)


def _scale(images, percent, rng):
    factors = (1 + percent / 100) ** rng.choice([-1.0, 1.0], len(images))
    return _each(_affine, images, factors[:, None, None] * np.eye(2))


def _shear(images, slope, rng):
    matrices = np.tile(np.eye(2), (len(images), 1, 1))
    matrices[:, 1, 0] = slope * rng.choice([-1, 1], len(images))
    return _each(_affine, images, matrices)


def _move_edges(morphology, images, pixels, rng):
    """Erode or dilate by `pixels`, on a grid four times as fine."""
    radius = max(1, round(4 * pixels))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = x**2 + y**2 <= radius**2

    def change(image):
        fine = ndimage.zoom(image, 4, order=1, grid_mode=True, mode="nearest")
        return morphology(fine, footprint=disk).reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))

    return _each(change, images)


_thin = partial(_move_edges, ndimage.grey_erosion)
_thicken = partial(_move_edges, ndimage.grey_dilation)


def _gaussian_noise(images, deviation, rng):
    return images + rng.normal(0, deviation, images.shape)


def _salt_and_pepper(images, percent, rng):
    draw = rng.uniform(0, 100, images.shape)
    return np.where(draw < percent / 2, 0.0, np.where(draw < percent, 1.0, images))


def _blur(images, deviation, rng):
    return ndimage.gaussian_filter(images, (0, deviation, deviation))


def _motion_blur(images, pixels, rng):
    def change(image, angle):
        direction = np.array([np.sin(angle), np.cos(angle)])
        steps = np.linspace(-pixels / 2, pixels / 2, 9)
        return np.mean([ndimage.shift(image, t * direction, order=1) for t in steps], 0)

    return _each(change, images, rng.uniform(0, np.pi, len(images)))


def _low_contrast(images, percent, rng):
    return images * (1 - min(percent, 95) / 100)


def _bright_background(images, level, rng):
    level = min(level, 0.95)
    return level + (1 - level) * images


def _fog(images, level, rng):
    """Lay clouds over the image: smooth noise of three sizes."""
    clouds = np.zeros(images.shape)
    for width in (2, 4, 8):
        noise = rng.normal(size=images.shape)
        clouds += width**2 * ndimage.gaussian_filter(noise, (0, width, width), mode="wrap")
    clouds -= clouds.min(axis=(1, 2), keepdims=True)
    haze = level * clouds / clouds.max(axis=(1, 2), keepdims=True)
    return images * (1 - haze) + haze


def _stripes(images, level, rng):
    """Lay waves over the image, 4 to 8 pixels long, in any direction."""
    one_each = (len(images), 1, 1)
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = rng.uniform(0, np.pi, one_each)
    along = x * np.cos(angle) + y * np.sin(angle)
    periods = along / rng.uniform(4, 8, one_each) + rng.uniform(0, 1, one_each)
    return np.maximum(images, level * (0.5 + 0.5 * np.cos(2 * np.pi * periods)))


def _dotted_line(images, level, rng):
    """Draw a line of dots, 1.6 pixels wide and 3.5 apart, through the middle third."""
    one_each = (len(images), 1, 1)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    angle = rng.uniform(0, np.pi, one_each)
    across = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-5, 5, one_each)
    along = y * np.cos(angle) - x * np.sin(angle)
    to_dot = (along + rng.uniform(0, 3.5, one_each)) % 3.5 - 1.75
    dots = np.clip(1.3 - np.hypot(across, to_dot), 0, 1)
    return np.maximum(images, min(level, 1) * dots)


def _occlude(images, pixels, rng):
    """Cover a band of the given width, horizontal or vertical, with paper."""
    place = np.arange(SIDE) - rng.uniform(8, SIDE - 8 - pixels, (len(images), 1))
    band = np.clip(np.minimum(place + 1, pixels - place), 0, 1)
    horizontal = rng.random((len(images), 1, 1)) < 0.5
    return images * (1 - np.where(horizontal, band[:, :, None], band[:, None, :]))


def _pixelate(images, pixels, rng):
    """Average over square cells of the given side, aligned anywhere."""
    pixels = max(pixels, 1.0)
    places = np.arange(SIDE) + rng.uniform(0, pixels, (2, len(images), 1))
    rows, columns = (places // pixels).astype(int)  # 0 to 28

    def change(image, row, column):
        cells = (row[:, None] * (SIDE + 1) + column[None]).ravel()
        sums = np.bincount(cells, image.ravel())
        return (sums[cells] / np.bincount(cells)[cells]).reshape(SIDE, SIDE)

    return _each(change, images, rows, columns)


def _jpeg(images, strength, rng):
    """Compress by the real codec at quality 100 - `strength`."""
    quality = max(1, round(100 - strength))

    def change(image):
        buffer = io.BytesIO()
        Image.fromarray(np.uint8(image * 255 + 0.5)).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer), np.float64) / 255

    return _each(change, images)


class Corruption(NamedTuple):
    """One way to spoil images: the amount at severity 1, its unit, and the function that does it.

    Severity 1 is moderate, that is, judged by eye to leave a digit easy to read.
    """

    amount: float
    unit: str
    change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


CORRUPTIONS: dict[str, Corruption] = {
    "rotation": Corruption(20, "degrees, either way", _rotate),
    "shift": Corruption(3, "pixels, any direction", _shift),
    "scale": Corruption(30, "% larger or smaller", _scale),
    "shear": Corruption(0.4, "pixels a row, either way", _shear),
    "thin stroke": Corruption(0.5, "pixels off each edge", _thin),
    "thick stroke": Corruption(0.75, "pixels onto each edge", _thicken),
    "gaussian noise": Corruption(0.2, "standard deviation", _gaussian_noise),
    "salt and pepper": Corruption(8, "% of the pixels", _salt_and_pepper),
    "blur": Corruption(1.2, "pixels, deviation", _blur),
    "motion blur": Corruption(5, "pixels", _motion_blur),
    "low contrast": Corruption(65, "% of the ink's strength lost", _low_contrast),
    "bright background": Corruption(0.4, "of the ink's strength", _bright_background),
    "fog": Corruption(0.6, "of the ink's strength, at most", _fog),
    "stripes": Corruption(0.4, "of the ink's strength", _stripes),
    "dotted line": Corruption(0.9, "of the ink's strength", _dotted_line),
    "occlusion": Corruption(3, "pixels, width of a band", _occlude),
    "pixelation": Corruption(2.5, "pixels, side of a cell", _pixelate),
    "jpeg": Corruption(85, "taken from quality 100", _jpeg),
}


def corrupt(images: np.ndarray, name: str, severity: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return corrupted copies of images, uint8 (n, 28, 28), the same ones for the same seed.

    `name` is a key of `CORRUPTIONS`. The amount is proportional to `severity`: 0 changes nothing.

    Raises
    ------
    InputError
        If the corruption does not exist, or the severity is negative.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"unknown corruption {name!r}; there are {', '.join(CORRUPTIONS)}")
    if not severity >= 0:
        raise InputError(f"severity={severity} is not valid: expected 0 or more")
    if severity == 0 or len(images) == 0:
        return images.copy()
    corruption = CORRUPTIONS[name]
    # Each kind has its own stream, so that adding a kind leaves the others as they are.
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    changed = corruption.change(images / 255, corruption.amount * severity, rng)
    return np.uint8(np.clip(changed, 0, 1) * 255 + 0.5)


def corruption_errors(
    probabilities: Reader,
    images: np.ndarray,
    labels: np.ndarray,
    names: Iterable[str] = tuple(CORRUPTIONS),
    severities: Iterable[float] = (1.0,),
    seed: int = 0,
) -> pd.DataFrame:
    """Count the mistakes on the same images under each corruption at each severity.

    Images are uint8 (n, 28, 28), labels integers (n,), names and severities as for `corrupt`.

    Returns
    -------
    pandas.DataFrame
        ``corruption``, ``severity``, ``amount``, ``unit``, ``n_wrong``, ``error``, and its 95 %
        interval ``low``, ``high`` (0 to 1); names outside, severities inside.
    """
    rows = []
    for name, severity in product(names, severities):
        corrupted = probabilities(corrupt(images, name, severity, seed))
        score = accuracy(prediction_table(corrupted, labels))
        amount, unit, _ = CORRUPTIONS[name]
        error, low, high = 1 - score.value, 1 - score.high, 1 - score.low
        rows.append((name, severity, amount * severity, unit, score.n_wrong, error, low, high))
    columns = ["corruption", "severity", "amount", "unit", "n_wrong", "error", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
