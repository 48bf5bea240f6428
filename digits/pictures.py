"""From a picture to the digits on it, in MNIST form."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 28  # pixels of an MNIST image
BOX = 20  # the longer side of the digit in it (LeCun's description of MNIST)
CENTRE = 14.0  # index of the centre of mass, measured on MNIST's test images (13.99 / 14.01)


def to_mnist_form(ink: np.ndarray) -> np.ndarray:
    """Put ink into MNIST form: scaled into 20x20, centre of mass at index 14.0.

    Parameters
    ----------
    ink : numpy.ndarray
        (h, w), uint8 or float, ink high on a background of 0.

    Returns
    -------
    numpy.ndarray
        uint8 (28, 28), 0 background to 255 ink; all zeros where there is no ink.
    """
    ink = np.asarray(ink, np.float32)
    out = np.zeros((SIDE, SIDE), np.uint8)
    peak = ink.max(initial=0)
    if peak <= 0:
        return out
    ink = ink / peak * 255
    rows, columns = np.flatnonzero(ink.max(1) > 50), np.flatnonzero(ink.max(0) > 50)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(ink.astype(np.uint8)).resize(size, how), np.float32)
    small = small * (255 / small.max())
    height, width = small.shape
    y = small.sum(1) @ np.arange(height) / small.sum()
    x = small.sum(0) @ np.arange(width) / small.sum()
    top = int(np.clip(round(CENTRE - y), 0, SIDE - height))
    left = int(np.clip(round(CENTRE - x), 0, SIDE - width))
    out[top : top + height, left : left + width] = small
    return out
