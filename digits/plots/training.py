"""Inside the network, its training, and its fine-tuning to one writer."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots.theme import BLACK, BLUE, ORANGE, VERMILION, WIDTH, bare, log_scale, mosaic, style


@style()
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


@style()
def plot_history(history: pd.DataFrame, chosen: int | None = None) -> Figure:
    """Draw loss and error of training and validation over the epochs, on logarithmic axes.

    The history has the columns ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``;
    `chosen` is the epoch whose weights were kept.
    """
    by_epoch = history.set_index("epoch")
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3))
    by_epoch[["error", "val_error"]] = 1 - by_epoch[["accuracy", "val_accuracy"]]
    for ax, column in zip(axes, ("loss", "error"), strict=True):
        ax.plot(by_epoch[column], "o--", color=ORANGE, label="training")
        ax.plot(by_epoch["val_" + column], "s-", color=BLUE, label="validation")
        if chosen is not None:
            value = by_epoch.loc[chosen, "val_" + column]
            ax.plot(chosen, value, "*", color=BLACK, markersize=14, label=f"chosen: epoch {chosen}")
        ax.set(xlabel="epoch", ylabel=column)
        log_scale(ax)
    axes[0].legend()
    accuracy = by_epoch["val_accuracy"]
    if chosen is None:
        title = f"Epoch {accuracy.index[-1]:.0f}: validation accuracy {accuracy.iloc[-1]:.2%}"
    else:
        title = f"Validation is best in epoch {chosen}, at {accuracy[chosen]:.2%}"
    figure.suptitle(title)
    return figure


def live_history() -> Callable[[dict], None]:
    """Return a callback for `training.train` that redraws `plot_history` after each epoch.

    A stored notebook keeps the last drawing only.
    """
    from IPython.display import display

    rows: list[dict] = []
    place = display("waiting for the first epoch", display_id=True)

    def show(row: dict) -> None:
        rows.append(row)
        figure = plot_history(pd.DataFrame(rows))
        plt.close(figure)  # or the notebook would draw it a second time below the cell
        if place is not None:  # there is no place to draw outside a notebook
            place.update(figure)

    return show


@style()
def plot_learning_curve(curve: pd.DataFrame, title: str) -> Figure:
    """Draw the errors of fine-tuned networks, as from `experiments.learning_curve`, by examples."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    sizes = sorted(curve["n"].unique())
    looks = ((True, "with replay", "o-", BLUE, -1), (False, "without replay", "^--", VERMILION, 1))
    for ax, column in zip(axes, ("hand_error", "test_error"), strict=True):
        for replay, name, look, color, side in looks:
            rows = curve[curve["replay"] == replay]
            # Beside one another, or the two would hide each other.
            place = rows["n"].map(sizes.index) + 0.07 * side
            ax.plot(place, 100 * rows[column], look[0], color=color, alpha=0.5, markersize=4)
            mean = 100 * rows.groupby("n")[column].mean()
            ax.plot(np.arange(len(mean)) + 0.07 * side, mean, look[1:], color=color)
            ax.plot([], [], look, color=color, label=name)  # line and marks in one key
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(xlabel="examples of the hand", ylabel="misread (%)", ylim=(0, None))
    axes[0].set_title("this hand, held-out pictures")
    axes[1].set_title("test images of other hands")
    axes[0].legend()
    figure.suptitle(title)
    return figure


@style()
def plot_gains(gains: pd.DataFrame, title: str) -> Axes:
    """Draw errors before and after fine-tuning, a line for each kind of reading.

    The table is indexed by what is read; its columns ``before`` and ``after`` are shares, 0 to 1.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.45 * len(gains)))
    places = np.arange(len(gains))
    before, after = 100 * gains["before"], 100 * gains["after"]
    ax.hlines(places, before, after, color="0.7", linewidth=2)
    ax.plot(before, places, "o", color=ORANGE, markerfacecolor="white", label="before")
    ax.plot(after, places, "D", color=BLUE, label="after")
    for place, *ends in zip(places, before, after, strict=True):
        text = f"{ends[0]:.1f} to {ends[1]:.1f}"
        ax.annotate(text, (max(ends), place), (9, 0), textcoords="offset points", va="center")
    ax.set_yticks(places, gains.index)
    ax.invert_yaxis()
    ax.set(xlabel="misread (%)", xlim=(-1, 1.25 * max(before.max(), after.max(), 1)), title=title)
    ax.legend(loc="lower right")
    return ax
