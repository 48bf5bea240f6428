"""How good a model is: mistakes, confidence, corruptions."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots.theme import BLACK, BLUE, SKY, VERMILION, WIDTH, bare, draw_digit, grid, style


@style()
def plot_reliability(calibrations: dict[str, pd.DataFrame], errors: dict[str, float]) -> Figure:
    """Draw accuracy against confidence, a panel for each of several calibrations.

    The same names map to the bins, from `evaluation.calibration_curve`, and to the expected
    calibration errors, 0 to 1.
    """
    n = len(calibrations)
    figure, axes = plt.subplots(1, n, figsize=(WIDTH, 3.7), sharey=True, squeeze=False)
    for ax, (name, bins) in zip(axes.flat, calibrations.items(), strict=True):
        ax.plot([0, 1], [0, 1], ":", color=BLACK, label="confidence = accuracy")
        spread = np.abs(bins[["accuracy_low", "accuracy_high"]].T - bins["accuracy"])
        look = {"fmt": "o", "color": BLUE, "capsize": 2, "label": "bin, with 95 % interval"}
        ax.errorbar(bins["confidence"], bins["accuracy"], spread, **look)
        for row in bins.itertuples():
            ax.annotate(f"{row.n:,}", (row.confidence, 0.015), fontsize=7, ha="center", rotation=90)
        ax.set(xlim=(0, 1.03), ylim=(0, 1.05), xlabel="mean confidence")
        ax.set_title(f"{name}: error {errors[name]:.2%}")
    axes[0, 0].set_ylabel("accuracy")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"Confidence is closest to accuracy {min(errors, key=errors.get)}")
    return figure


@style()
def plot_occlusion(images: np.ndarray, maps: np.ndarray, rows: pd.DataFrame) -> Figure:
    """Draw images and, below each, what speaks for the digit that was read, and for the true one.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28), the images that the table's ``index`` counts.
    maps : numpy.ndarray
        Float (k, 2, 28, 28), from `evaluation.occlusion_maps`.
    rows : pandas.DataFrame
        The k rows of the prediction table. Without any, the figure is a title alone.
    """
    if rows.empty:
        return grid(0, 1, 0, "There is no mistake to explain")[0]
    figure, axes = plt.subplots(3, len(rows), figsize=(WIDTH, 4.4), squeeze=False)
    limit = max(np.abs(maps).max(), 1e-6)
    for column, row, shown in zip(axes.T, rows.itertuples(), maps, strict=True):
        image = images[row.index]
        draw_digit(column[0], image, f"#{row.index}")
        captions = f"for {row.predicted} (read)", f"for {row.true} (true)"
        for ax, values, caption in zip(column[1:], shown, captions, strict=True):
            drawn = ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit)
            ax.contour(image > 127, levels=[0.5], colors="black", linewidths=0.7)
            bare(ax)
            ax.set_title(caption, fontsize=9)
    figure.colorbar(drawn, ax=axes[1:], shrink=0.8, label="probability lost when covered")
    figure.suptitle("Where the ink spoke for the digit read, and for the true one")
    return figure


@style()
def plot_severity(errors: pd.DataFrame) -> Figure:
    """Draw how the error grows with the amount of a corruption, a panel for each.

    The errors are those of `evaluation.corruption_errors` at several severities.
    """
    names = errors["corruption"].unique()
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.9), sharey=True, squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        rows = errors[errors["corruption"] == name]
        ax.fill_between(rows["amount"], 100 * rows["low"], 100 * rows["high"], color=SKY, alpha=0.4)
        ax.plot(rows["amount"], 100 * rows["error"], "o-", color=BLUE)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel(rows["unit"].iloc[0].split(",")[0], fontsize=9)
    axes[0, 0].set(ylabel="wrong (%)", ylim=(0, None))
    worst = errors.loc[errors["error"].idxmax()]
    figure.suptitle(
        f"{worst['corruption'].capitalize()} hurts most: {worst['error']:.0%} wrong at "
        f"{worst['severity']:g} times the moderate strength"
    )
    return figure


@style()
def plot_epoch_choice(test_errors: pd.DataFrame, chosen: int, n_test: int) -> Axes:
    """Draw the test error of every epoch, the validation's choice and the cheat's choice.

    The table has the columns ``epoch`` and ``n_wrong``, of `n_test` images; validation chose the
    epoch `chosen`.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    by_epoch = 100 * test_errors.set_index("epoch")["n_wrong"] / n_test
    best = by_epoch.idxmin()
    ax.plot(by_epoch, "o-", color="#999999", label="test error")
    ax.plot(chosen, by_epoch[chosen], "*", color=BLUE, markersize=16, label="validation's choice")
    ax.plot(best, by_epoch[best], "v", color=VERMILION, markersize=10, label="best on test (cheat)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    gain = by_epoch[chosen] - by_epoch[best]
    title = f"Choosing the epoch on the test set would flatter by {gain:.2f} points"
    ax.set(xlabel="epoch", ylabel="wrong (%)", ylim=(0, None), title=title)
    ax.legend()
    return ax
