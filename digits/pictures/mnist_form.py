"""The one normaliser: ink of any size to an image like those of MNIST.

MNIST's digits were scaled into a box of 20 by 20 pixels, keeping their aspect, and shifted so that
their centre of mass lies in the middle of 28 by 28 (LeCun, Bottou, Bengio, Haffner 1998, section
III.A). A picture of another pen also has another stroke width, which matters as much: one-pixel
mouse lines vanish when they are scaled down, and a felt pen's loops close.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from digits import InputError
from digits.pictures.filters import bounding_box, connected_components

SIDE = 28  # side of an MNIST image in pixels
BOX = 20  # side of the box that the digit fills
# Index of the pixel on which the centre of mass lies: mean 13.99 (down) and 14.00 (across) over the
# first 5,000 training images.
CENTRE = 14.0
# Stroke widths (see `stroke_width`) of MNIST's training images in pixels: the 1st percentile is
# 1.44, the median 2.36, the 99th percentile 4.34. Strokes outside the range are brought to its end.
NATURAL_WIDTH = (1.7, 4.4)
OFF_CENTRE = 0.75  # pixels by which the centre of mass of an image in MNIST form may be off
FULL = 250  # grey level that the darkest ink of an image in MNIST form reaches
BRIDGE = 64  # grey level above which ink connects two strokes
WORKING_BOX = 80  # side of the box in which strokes are thickened or thinned: 4 pixels for one
BLANK = 0.03  # share of the darkest ink that counts as none when the box is drawn


def to_mnist_form(ink: np.ndarray) -> np.ndarray:
    """Bring the ink of one digit into MNIST's form.

    Grey levels are kept, stretched so that the darkest ink is 255. Strokes thinner or thicker than
    MNIST's are brought to MNIST's width before scaling, so that no thin line is lost and no loop
    is closed.

    Parameters
    ----------
    ink : numpy.ndarray
        Shape (height, width), any real dtype and range; 0 is background, high is ink.

    Returns
    -------
    numpy.ndarray
        uint8 (28, 28), 0 background to 255 ink; all zero where `ink` holds nothing above zero.

    Raises
    ------
    InputError
        If `ink` has not two axes, is empty, or holds NaN or infinity.
    """
    ink = np.asarray(ink, np.float32)
    if ink.ndim != 2 or not ink.size:
        raise InputError(f"ink of shape {ink.shape} arrived; expected (height, width)")
    peak = float(ink.max())
    if not np.isfinite(peak):
        raise InputError("ink that is not finite arrived; expected numbers, 0 for background")
    if peak <= 0:
        return np.zeros((SIDE, SIDE), np.uint8)
    ink = _crop(np.clip(ink / peak, 0.0, 1.0))

    width = stroke_width(ink) * BOX / max(ink.shape)
    target = min(max(width, NATURAL_WIDTH[0]), NATURAL_WIDTH[1])
    if target != width:
        ink = _resize(ink, WORKING_BOX)
        # The box grows with the strokes: with (width + d) * BOX / (BOX + d) = target, solve for d.
        growth = BOX * (target - width) / (BOX - target)
        ink = _crop(_grey_dilate(ink, growth / 2 * WORKING_BOX / BOX))
        ink = ink / ink.max()
    return fit_and_centre(ink)


def is_mnist_form(images: np.ndarray) -> np.ndarray:
    """Tell which images, uint8 (n, 28, 28), are in MNIST form already, bool (n,).

    White somewhere, a box of 20 pixels, the centre of mass in the middle: of MNIST's 60,000 training
    images all but 13.
    """
    down, across = images.sum(2, dtype=np.int32), images.sum(1, dtype=np.int32)
    total = np.maximum(down.sum(1), 1)
    right = images.max((1, 2), initial=0) >= FULL
    sides = []
    for profile in (down, across):
        off = profile @ np.arange(SIDE) / total - CENTRE
        right &= np.abs(off) <= OFF_CENTRE
        occupied = profile > 0
        sides.append(SIDE - occupied.argmax(1) - occupied[:, ::-1].argmax(1))
    return right & (np.maximum(*sides) == BOX)


def is_one_stroke(images: np.ndarray) -> np.ndarray:
    """Tell on which images, uint8 (n, 28, 28), all ink is connected, bool (n,)."""
    # One below the other, with a blank row between, all images are labelled at once.
    column = np.zeros((len(images), SIDE + 1, SIDE), bool)
    column[:, :SIDE] = images > BRIDGE
    top = connected_components(column.reshape(-1, SIDE)).bounds[0]
    return np.bincount(top // (SIDE + 1), minlength=len(images)) == 1


def ink_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the ink on an image, (height, width), not blank."""
    rows, columns = bounding_box(image > 0)
    return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start


def fit_and_centre(ink: np.ndarray) -> np.ndarray:
    """Scale into the box of 20 by 20 and put the centre of mass in the middle of 28 by 28.

    The last step of `to_mnist_form`, and all that most descriptions of MNIST's form mention. `ink` is
    float (height, width), 0 background to 1 ink, without empty margins; the result uint8 (28, 28).
    """
    ink = _resize(ink, BOX)
    height, width = ink.shape
    total = float(ink.sum())
    down = float(ink.sum(1) @ np.arange(height)) / total
    across = float(ink.sum(0) @ np.arange(width)) / total
    top = min(max(round(CENTRE - down), 0), SIDE - height)
    left = min(max(round(CENTRE - across), 0), SIDE - width)
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[top : top + height, left : left + width] = np.rint(ink * (255 / ink.max()))
    return out


def stroke_width(ink: np.ndarray) -> float:
    """Return the mean width in pixels of the strokes on ink, float (height, width), 0 to 1.

    A stroke of width w and length l has the area w * l and an outline of about 2 * l; twice the
    area over the outline (the total variation of the grey levels) is w, however blurred it is.
    """
    padded = _padded(ink, 1)
    down = padded[1:, 1:] - padded[:-1, 1:]
    across = padded[1:, 1:] - padded[1:, :-1]
    return float(2 * padded.sum() / max(float(np.sqrt(down**2 + across**2).sum()), 1e-9))


def _padded(ink: np.ndarray, margin: int) -> np.ndarray:
    """Return the ink with background around it; `numpy.pad` takes ten times as long for a digit."""
    height, width = ink.shape
    out = np.zeros((height + 2 * margin, width + 2 * margin), ink.dtype)
    out[margin : margin + height, margin : margin + width] = ink
    return out


def _crop(ink: np.ndarray) -> np.ndarray:
    return ink[bounding_box(ink > BLANK)]


def _resize(ink: np.ndarray, side: int) -> np.ndarray:
    """Scale so that the longer side has `side` pixels; smaller by area, larger smoothly."""
    height, width = ink.shape
    scale = side / max(height, width)
    if scale == 1:
        return ink
    size = [max(1, math.ceil(length * scale - 1e-6)) for length in (width, height)]
    # A narrow 1 must not be stretched to whole pixels: background fills them up on both sides.
    fill = size[0] / scale - width, size[1] / scale - height
    margin = math.ceil(max(fill) / 2) + 1
    left, top = margin - fill[0] / 2, margin - fill[1] / 2
    window = (left, top, left + size[0] / scale, top + size[1] / scale)
    how = Resampling.BICUBIC if scale > 1 else Resampling.HAMMING
    if scale < 0.5:
        how = Resampling.BOX
    padded = Image.fromarray(_padded(ink, margin))
    return np.clip(np.asarray(padded.resize(size, how, window)), 0.0, 1.0)


def _grey_dilate(ink: np.ndarray, radius: float) -> np.ndarray:
    """Grow the ink by `radius` pixels on every side, or shrink it where `radius` is negative.

    A grey dilation (erosion) by an octagon, made of steps of one pixel over four and eight
    neighbours in turn; the part of a step that is left over is mixed in.
    """
    extreme = np.maximum if radius > 0 else np.minimum
    whole, part = divmod(abs(radius), 1.0)
    # Each step grows by a pixel and gives up the outermost one.
    ink = _padded(ink, 2 * (int(whole) + 1))
    for step in range(math.ceil(abs(radius))):
        # Steps over eight neighbours reach further along the diagonal, those over four less far.
        middle = extreme(extreme(ink[:-2, 1:-1], ink[2:, 1:-1]), ink[1:-1, 1:-1])
        if step % 2:
            high = extreme(extreme(ink[:-2], ink[2:]), ink[1:-1])
            moved = extreme(extreme(high[:, :-2], high[:, 2:]), middle)
        else:
            moved = extreme(middle, extreme(ink[1:-1, :-2], ink[1:-1, 2:]))
        share = 1.0 if step < whole else part
        inner = ink[1:-1, 1:-1]
        ink = inner + share * (moved - inner)
    return ink
