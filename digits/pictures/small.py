"""The short way into MNIST form, for small clean pictures of one digit, many at a time.

Data sets and forms give digits by the thousand: 28 by 28 pixels or a little more, on plain paper. What
`find_ink` measures on any picture can be seen on these from their frame. Whatever is not plain goes
the long way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from digits.pictures.mnist_form import SIDE, ink_box, is_mnist_form, is_one_stroke, to_mnist_form

SMALLEST, LARGEST = 20, 64  # pixels: the sides of a small picture
CONTRAST = 64  # grey levels by which the darkest ink differs from its paper, at least
PLAIN = 0.15  # share of the contrast by which paper may differ from paper
WIDEST = 1.0  # times its height; a wider stroke may be two digits that touch


class SmallDigit(NamedTuple):
    """One stroke on a small plain picture.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 (28, 28), in MNIST form.
    box : tuple of int
        Left, top, width and height of the ink on the picture, in its pixels.
    as_given : bool
        Whether the picture was in MNIST form already, but for its polarity and contrast.
    """

    image: np.ndarray
    box: tuple[int, int, int, int]
    as_given: bool


def is_small(pixels: np.ndarray) -> bool:
    """Tell whether a picture, (height, width) or (height, width, 3), may go the short way."""
    return min(pixels.shape[:2]) >= SMALLEST and max(pixels.shape[:2]) <= LARGEST


def small_digits(pictures: list[np.ndarray]) -> list[SmallDigit | None]:
    """Find the digit on each small picture where that is plain.

    Parameters
    ----------
    pictures : list of numpy.ndarray
        uint8 (height, width) or (height, width, 3), as `is_small` takes them.

    Returns
    -------
    list of SmallDigit or None
        None where the picture is coloured, its frame is not one level of grey, something is darker
        and something lighter than that, or the ink is not one stroke, at most as wide as high.
    """
    found: list[SmallDigit | None] = [None] * len(pictures)
    for shape in {picture.shape for picture in pictures}:
        at = [i for i, picture in enumerate(pictures) if picture.shape == shape]
        inks, is_plain = _inks(np.stack([pictures[i] for i in at]))
        forms = np.zeros((len(at), SIDE, SIDE), np.uint8)
        as_given = np.zeros(len(at), bool)
        if shape[:2] == (SIDE, SIDE):
            forms = np.rint(255 * inks).astype(np.uint8)
            as_given = is_plain & is_mnist_form(forms)
        boxes = [ink_box(ink > 0) for ink in inks]
        for i in np.flatnonzero(is_plain & ~as_given):
            left, top, width, height = boxes[i]
            is_narrow = width <= WIDEST * height
            ink = inks[i, top : top + height, left : left + width]
            forms[i] = to_mnist_form(ink) if is_narrow else 0
        is_ready = is_plain & is_one_stroke(forms)
        for i in np.flatnonzero(is_ready):
            found[at[i]] = SmallDigit(forms[i], boxes[i], bool(as_given[i]))
    return found


def _inks(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ink, float32 (n, height, width), 0 to 1, and which pictures are plain, bool (n,)."""
    is_plain = np.ones(len(pictures), bool)
    if pictures.ndim == 4:
        is_plain = np.ptp(pictures, -1).max((1, 2)) == 0
        pictures = pictures[..., 0]
    grey = pictures.astype(np.float32)
    frame = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], 1)
    low, high = frame.min(1), frame.max(1)
    paper = (low + high) / 2
    darkest, lightest = paper - grey.min((1, 2)), grey.max((1, 2)) - paper
    contrast = np.maximum(darkest, lightest)
    # The frame is part of the picture, so that it is at least as uneven as the frame.
    is_plain &= (contrast >= CONTRAST) & (np.minimum(darkest, lightest) <= PLAIN * contrast)
    sign = np.where(darkest > lightest, -1, 1)
    inks = (grey - paper[:, None, None]) * (sign / np.maximum(contrast, 1))[:, None, None]
    # What is no further from the paper's level than the frame is paper, too.
    floor = np.maximum((high - low) / 2, 1e-3) / np.maximum(contrast, 1)
    inks[inks <= floor[:, None, None]] = 0
    return inks, is_plain
