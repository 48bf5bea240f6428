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
        Left, top, width and height of the ink and a pixel around it, its soft edge, on the picture.
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
        None where the picture is coloured, something is darker and something lighter than what most
        of its frame is, the ink is not one stroke, or, unless the picture was in MNIST form, is wider
        than high or touches the frame.
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
        boxes = {i: ink_box(inks[i]) for i in np.flatnonzero(is_plain)}
        for i in np.flatnonzero(is_plain & ~as_given):
            left, top, width, height = boxes[i]
            is_clear = min(left, top, shape[1] - left - width, shape[0] - top - height) > 0
            ink = inks[i, top : top + height, left : left + width]
            forms[i] = to_mnist_form(ink) if is_clear and width <= WIDEST * height else 0
        # A digit in a ring, two slanted 1s: several strokes are for the detector.
        for i in np.flatnonzero(is_plain & is_one_stroke(forms)):
            left, top, width, height = boxes[i]
            right, bottom = min(left + width + 1, shape[1]), min(top + height + 1, shape[0])
            left, top = max(left - 1, 0), max(top - 1, 0)
            box = (left, top, right - left, bottom - top)
            found[at[i]] = SmallDigit(forms[i], box, bool(as_given[i]))
    return found


def _inks(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ink, float32 (n, height, width), 0 to 1, and which pictures are plain, bool (n,)."""
    is_plain = np.ones(len(pictures), bool)
    if pictures.ndim == 4:
        is_plain = np.ptp(pictures, -1).max((1, 2)) == 0
        pictures = pictures[..., 0]
    grey = pictures.astype(np.float32)
    frame = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], 1)
    paper = np.partition(frame, frame.shape[1] // 2, 1)[:, frame.shape[1] // 2]
    darkest, lightest = paper - grey.min((1, 2)), grey.max((1, 2)) - paper
    contrast, grain = np.maximum(darkest, lightest), np.minimum(darkest, lightest)
    is_plain &= (contrast >= CONTRAST) & (grain <= PLAIN * contrast)
    sign = np.where(darkest > lightest, -1, 1)
    inks = (grey - paper[:, None, None]) * (sign / np.maximum(contrast, 1))[:, None, None]
    # Paper differs as much from its middle level on either side.
    inks[inks <= (grain / np.maximum(contrast, 1))[:, None, None]] = 0
    return inks, is_plain
