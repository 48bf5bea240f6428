"""Inside the network and its training."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots.theme import BLUE, ORANGE, WIDTH, bare, log_scale, mosaic


def plot_maps(maps: np.ndarray, title: str, columns: int = 8, signed: bool = False) -> Axes:
    """Draw the responses of a layer's filters to one image, or the weights of filters.

    `maps` are float (h, w, k), drawn in rows of `columns`. Responses, none negative, have a scale
    of their own each, as a common one would leave most of them dark; weights are `signed`, and have
    a common scale around zero.
    """
    tiles = np.moveaxis(maps, -1, 0)
    if not signed:
        tiles = tiles / np.maximum(tiles.max((1, 2), keepdims=True), 1e-9)
    sheet = mosaic(tiles, columns, gap=max(1, maps.shape[0] // 12))
    limit = np.abs(tiles).max()
    _, ax = plt.subplots(figsize=(WIDTH, 0.4 + WIDTH * 0.85 * len(sheet) / sheet.shape[1]))
    drawn = ax.imshow(
        sheet, cmap="PuOr_r" if signed else "viridis", vmin=-limit * signed, vmax=limit
    )
    ax.figure.colorbar(drawn, label="weight" if signed else "share of the map's largest", pad=0.01)
    bare(ax)
    ax.set_title(title)
    return ax


def plot_history(history: pd.DataFrame) -> Figure:
    """Draw loss and error of training and validation over the epochs, on logarithmic axes.

    The history has the columns ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``.
    """
    by_epoch = history.set_index("epoch")
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3))
    by_epoch[["error", "val_error"]] = 1 - by_epoch[["accuracy", "val_accuracy"]]
    for ax, column in zip(axes, ("loss", "error"), strict=True):
        ax.plot(by_epoch[column], "o--", color=ORANGE, label="training")
        ax.plot(by_epoch["val_" + column], "s-", color=BLUE, label="validation")
        ax.set(xlabel="epoch", ylabel=column)
        log_scale(ax)
    axes[0].legend()
    accuracy = by_epoch["val_accuracy"]
    figure.suptitle(f"Epoch {accuracy.index[-1]:.0f}: validation accuracy {accuracy.iloc[-1]:.2%}")
    return figure
