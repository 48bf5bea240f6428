"""Images of digits: in rows, in pairs, with their readings, as points of a plane."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots.theme import (
    CLASSES,
    WIDTH,
    bare,
    draw_digit,
    frame,
    grid,
    mosaic,
)


def plot_rows(rows: dict[str, np.ndarray], title: str, n_columns: int = 1) -> Figure:
    """Draw rows of digits, each with its name at the left, in one or more columns.

    `rows` maps a row's name to its images: uint8 (k, 28, 28), or float 0..1.
    """
    longest = max(map(len, rows.values()))
    height = 0.85 * WIDTH / n_columns / longest
    figure, axes = grid(len(rows), n_columns, height, title)
    for ax, (name, images) in zip(axes, rows.items(), strict=True):
        full = 255 if images.dtype == np.uint8 else 1
        ax.imshow(mosaic(images, longest), vmin=0, vmax=full)
        bare(ax)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def plot_seen(
    images: np.ndarray,
    captions: Sequence[str],
    title: str,
    n_columns: int = 8,
    cmap: str = "gray_r",
) -> Figure:
    """Draw images, uint8 (n, 28, 28), beside one another, each with its caption.

    The colour map "gray" draws ink white, as the network gets it.
    """
    n_lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    figure, axes = grid(len(images), n_columns, WIDTH / n_columns + 0.17 * n_lines, title)
    for ax, image, caption in zip(axes, images, captions, strict=True):
        draw_digit(ax, image, caption, fontsize=8, cmap=cmap)
        frame(ax)
    return figure


def plot_predictions(images: np.ndarray, rows: pd.DataFrame, title: str) -> Figure:
    """Draw images with their captions: index, true and predicted digit, both probabilities.

    `rows` are rows of a prediction table, as from `evaluation.errors`, whose ``index`` counts the
    images.
    """
    captions = [
        f"#{row.index} {'✓' if row.true == row.predicted else '✗'}\n"
        f"true {row.true}: {row.p_true:.1%}\nread {row.predicted}: {row.confidence:.1%}"
        for row in rows.itertuples()
    ]
    return plot_seen(images[rows["index"]], captions, title, n_columns=6)


def plot_pairs(
    first: np.ndarray,
    second: np.ndarray,
    captions: Sequence[str],
    title: str,
    names: tuple[str, str] = ("one", "the other"),
) -> Figure:
    """Draw pairs of images, uint8 (k, 28, 28), one above the other, and their difference below.

    There is a caption for each pair; `names` say what the upper and the lower images are.
    """
    figure, axes = plt.subplots(3, len(first), figsize=(WIDTH, 3.3), squeeze=False)
    for column, (a, b) in enumerate(zip(first, second, strict=True)):
        draw_digit(axes[0, column], a, captions[column])
        draw_digit(axes[1, column], b)
        axes[2, column].imshow(a.astype(int) - b, cmap="PuOr_r", vmin=-255, vmax=255)
        bare(axes[2, column])
    for ax, name in zip(axes[:, 0], (*names, "difference"), strict=True):
        ax.set_ylabel(name)
    figure.suptitle(title)
    return figure


def plot_map(points: np.ndarray, labels: np.ndarray, title: str) -> Axes:
    """Draw images as points (n, 2) of the plane; each point is the digit itself, so colour only helps.

    `labels` are integers (n,), 0 to 9.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 5.2))
    paper = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
    middle = {"fontsize": 16, "weight": "bold", "ha": "center", "va": "center", "bbox": paper}
    for digit in np.unique(labels):
        place, look = points[labels == digit], {"color": CLASSES[digit]}
        ax.scatter(*place.T, s=26, marker=f"${digit}$", alpha=0.8, linewidths=0, **look)
        ax.text(*np.median(place, axis=0), f"{digit}", **look, **middle)
    bare(ax)
    ax.set_title(title)
    return ax
