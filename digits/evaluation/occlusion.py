"""Which places of an image speak for a digit, found by covering them."""

from __future__ import annotations

from itertools import product

import numpy as np

from digits.evaluation.predictions import N_DIGITS, Reader

SQUARE = 5  # side in pixels: wider than nearly every stroke, narrower than a digit's loop


def occlusion_map(probabilities: Reader, image: np.ndarray) -> np.ndarray:
    """Return how much each place of an image speaks for each digit.

    A square of paper covers the image at every position in turn; the map is the mean loss of a
    digit's probability over the squares that cover a pixel (after Zeiler and Fergus, 2014).

    Returns
    -------
    numpy.ndarray
        float64 (10, 28, 28), -1 to 1: positive where the ink speaks for the digit, negative where
        the digit would be likelier without it.
    """
    # Squares may hang over the frame, so that each pixel is covered equally often.
    corners = product(*(range(1 - SQUARE, side) for side in image.shape))
    windows = [(slice(max(y, 0), y + SQUARE), slice(max(x, 0), x + SQUARE)) for y, x in corners]
    covered = np.repeat(image[None], len(windows) + 1, axis=0)
    for copy, window in zip(covered[1:], windows, strict=True):
        copy[window] = 0
    p = np.asarray(probabilities(covered), np.float64)
    total = np.zeros((N_DIGITS, *image.shape))
    for loss, window in zip(p[0] - p[1:], windows, strict=True):
        total[:, *window] += loss[:, None, None]
    return total / SQUARE**2
