"""The network that finds digits on a page: its layers, its targets and its loss."""

from __future__ import annotations

import numpy as np

from digits.data.pages import CUT
from digits.recognizer.detector import (
    CELL,
    CLASSES,
    DARK,
    HEAT,
    N_CHANNELS,
    OWNED,
    SIDE,
    SIZES,
    VOTES,
)
from digits.training.backend import keras

kl, ops = keras.layers, keras.ops

WIDTH = 64  # channels
# Of the residual layers: how far apart the nine pixels are that each looks at.
DILATIONS = (1, 2, 1, 4, 1, 2)
RARE = -4.0  # logit that a cell is the middle of a digit, before anything is learned


def build_detector(seed: int, precision: str = "float32") -> keras.Model:
    """Build the untrained network.

    Returns
    -------
    keras.Model
        Input float32 (n, height, width, 1), 0 paper to 1 ink, sides that are multiples of `CELL`.
        Output float32 (n, height / 4, width / 4, 25): see `digits.recognizer.detector.HEAT` and
        the slices after it.
    """
    keras.utils.set_random_seed(seed)
    common = {"dtype": keras.DTypePolicy(precision)}

    def block(x, filters, size, strides=1, dilation=1):
        x = kl.Conv2D(
            filters, size, strides, "same", dilation_rate=dilation, use_bias=False, **common
        )(x)
        return kl.BatchNormalization(momentum=0.97, **common)(x)

    ink = keras.Input((None, None, 1), name="ink")
    x = kl.ReLU(**common)(block(ink, 16, 5, 2))
    x = kl.ReLU(**common)(block(x, 32, 3, 2))
    x = kl.ReLU(**common)(block(x, WIDTH, 3))
    for dilation in DILATIONS:
        x = kl.ReLU(**common)(kl.Add(**common)([x, block(x, WIDTH, 3, 1, dilation)]))
    x = kl.ReLU(**common)(block(x, 96, 1))
    cells = kl.Conv2D(N_CHANNELS, 1, dtype="float32", name="cells")
    network = keras.Model(ink, cells(x), name="digits_detector")
    cells.bias.assign(np.where(np.arange(N_CHANNELS) == HEAT, RARE, 0))
    return network


def targets(ink: np.ndarray, owner: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return what the network should say about patches; see `digits.data.pages.Patches`.

    Returns
    -------
    numpy.ndarray
        float32 (n, height / 4, width / 4, 30): the 25 channels, with the class in the first of
        its ten; then whether class and size are known, and which quarters hold ink whose owner is
        known.
    """
    n, height, width = ink.shape
    rows, columns = height // CELL, width // CELL
    out = np.zeros((n, rows, columns, N_CHANNELS + 5), np.float32)
    known = np.concatenate([np.zeros((n, 1, 5), np.float32), digits], 1)
    dark = ink.reshape(n, 2 * rows, 2, 2 * columns, 2).max((2, 4)) > 255 * DARK
    is_known, is_owned = dark & (owner != CUT), (owner > 0) & (owner != CUT)
    mine = known[np.arange(n)[:, None, None], np.where(is_owned, owner, 0)]
    place = np.stack(np.meshgrid(np.arange(2 * columns), np.arange(2 * rows)), -1) * 2.0 + 1
    votes = np.where(is_owned[..., None], (mine[..., 1:3] - place) / SIDE, 0)

    def cells(values: np.ndarray) -> np.ndarray:
        """Bring the four quarters of each cell into its channels."""
        split = values.reshape(n, rows, 2, columns, 2, -1)
        return split.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, -1)

    out[..., VOTES] = cells(votes)
    out[..., OWNED] = cells(is_owned)
    out[..., N_CHANNELS + 1 :] = cells(is_known)
    # The class of a cell is that of any owner of its ink, or of the digit whose middle it is.
    quarter = cells(np.where(is_owned & dark, owner, 0)).max(-1).astype(int)
    y, x = np.mgrid[:rows, :columns] * float(CELL) + CELL / 2
    for page, there in enumerate(digits):
        for number, (_, across, down, wide, high) in enumerate(there[there[:, 0] >= 0], 1):
            spread = np.maximum(0.09 * wide, 2.2), np.maximum(0.09 * high, 2.2)
            heat = np.exp(-(((x - across) / spread[0]) ** 2 + ((y - down) / spread[1]) ** 2) / 2)
            peak = np.unravel_index(heat.argmax(), heat.shape)
            heat[peak] = 1
            np.maximum(out[page, ..., 0], heat, out=out[page, ..., 0])
            quarter[page][(heat > 0.6) & (quarter[page] == 0)] = number
            quarter[page][peak] = number
    chosen = known[np.arange(n)[:, None, None], quarter]
    is_digit = quarter > 0
    out[..., 1] = np.where(is_digit, chosen[..., 0], 0)
    out[..., SIZES] = np.where(
        is_digit[..., None], np.log(np.maximum(chosen[..., 3:], 1) / SIDE), 0
    )
    out[..., N_CHANNELS] = is_digit
    return out


def loss(truth, output):
    """Return the loss of each patch.

    The focal loss of CenterNet (Zhou, Wang, Kraehenbuehl 2019) for the middles, cross-entropy for
    classes and owners, absolute differences for votes and sizes.
    """
    heat, is_digit = truth[..., 0], truth[..., N_CHANNELS]
    is_known = truth[..., N_CHANNELS + 1 :]
    axes = (1, 2)
    logit = output[..., 0]
    log_p, log_q = -ops.softplus(-logit), -ops.softplus(logit)
    p = ops.sigmoid(logit)
    is_peak = ops.cast(heat == 1, "float32")
    focal = is_peak * (1 - p) ** 2 * log_p + (1 - is_peak) * (1 - heat) ** 4 * p**2 * log_q
    n_digits = ops.sum(is_peak, axes) + 1
    found = -ops.sum(focal, axes) / n_digits

    labels = ops.cast(truth[..., 1], "int32")
    entropy = ops.sparse_categorical_crossentropy(labels, output[..., CLASSES], from_logits=True)
    n_cells = ops.sum(is_digit, axes) + 10
    named = ops.sum(is_digit * entropy, axes) / n_cells
    sized = (
        ops.sum(is_digit * ops.sum(ops.abs(truth[..., SIZES] - output[..., SIZES]), -1), axes)
        / n_cells
    )

    is_owned = truth[..., OWNED]
    binary = ops.softplus(output[..., OWNED]) - is_owned * output[..., OWNED]
    owned = ops.sum(is_known * binary, (1, 2, 3)) / (ops.sum(is_known, (1, 2, 3)) + 40)
    off = ops.abs(truth[..., VOTES] - output[..., VOTES])
    weight = ops.repeat(is_known * is_owned, 2, axis=-1)
    voted = ops.sum(weight * off, (1, 2, 3)) / (ops.sum(is_known * is_owned, (1, 2, 3)) + 40)
    return found + named + 0.3 * sized + owned + 2.5 * voted
