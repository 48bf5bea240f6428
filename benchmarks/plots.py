"""Figures of notebook 08."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots import BLACK, BLUE, CLASSES, ORANGE, VERMILION, WIDTH, style


def plot_right_answers(scores: pd.DataFrame, title: str) -> Figure:
    """Draw each tool's share of right answers with its interval, a panel for each group.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns tool, group, n_scored, n_wrong, value, low, high; tools in the order to be drawn.
    title : str
    """
    groups, names = list(scores["group"].unique()), list(scores["tool"].unique())
    figure, axes = plt.subplots(
        1, len(groups), figsize=(WIDTH, 1.2 + 0.34 * len(names)), sharey=True, squeeze=False
    )
    for ax, group in zip(axes[0], groups, strict=True):
        part = scores[scores["group"] == group].set_index("tool").reindex(names)
        at = np.arange(len(names))
        ax.hlines(at, 100 * part["low"], 100 * part["high"], color=BLUE, linewidth=2)
        ax.plot(100 * part["value"], at, "o", color=BLUE)
        for place, row in zip(at, part.itertuples(), strict=True):
            text = f"{row.n_scored - row.n_wrong} of {row.n_scored}"
            align = "left" if row.value < 0.25 else "right" if row.value > 0.75 else "center"
            ax.text(100 * row.value, place - 0.18, text, ha=align, va="bottom", fontsize=8)
        ax.set(xlim=(-9, 109), xlabel="right (%)", title=group, yticks=at, yticklabels=names)
    axes[0, 0].set_ylim(len(names) - 0.4, -0.8)
    figure.suptitle(title)
    return figure


@style()
def plot_times(panels: dict[str, pd.DataFrame], title: str) -> Figure:
    """Draw median times with their spread over rounds, on logarithmic axes, a panel for each table.

    Parameters
    ----------
    panels : dict of str to pandas.DataFrame
        Axis label to a table of `benchmark.compare`; tasks in the order to be drawn.
    title : str
    """
    n = max(len(table) for table in panels.values())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 1.2 + 0.34 * n), sharey=True, squeeze=False
    )
    for ax, (label, table) in zip(axes[0], panels.items(), strict=True):
        at = np.arange(len(table))
        ax.hlines(at, table["low"], table["high"], color=BLUE, linewidth=2)
        ax.plot(table["median"], at, "o", color=BLUE)
        for place, row in zip(at, table.itertuples(), strict=True):
            if np.isfinite(row.median):
                text = f"{float(f'{row.median:.2g}'):g}"
                ax.text(row.median, place - 0.18, text, ha="center", va="bottom", fontsize=8)
        ax.set(xscale="log", xlabel=label, yticks=at, yticklabels=table.index)
        ax.margins(x=0.15)
    axes[0, 0].set_ylim(n - 0.4, -0.8)
    figure.suptitle(title)
    return figure


@style()
def plot_shares(parts: pd.DataFrame, title: str) -> Axes:
    """Draw of what a whole consists, a bar of 100 % for each row.

    Parameters
    ----------
    parts : pandas.DataFrame
        Index: what is drawn; columns: its parts, in one unit.
    title : str
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 1.5 + 0.45 * len(parts)))
    shares = 100 * parts.div(parts.sum(axis=1), axis=0)
    left = np.zeros(len(parts))
    for color, name in zip(CLASSES, shares, strict=False):
        widths = shares[name].to_numpy()
        ax.barh(shares.index, widths, left=left, color=color, edgecolor="white", label=name)
        for place, (start, width) in enumerate(zip(left, widths, strict=True)):
            if width >= 5:
                ax.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center",
                        color="white" if color in (BLUE, VERMILION, BLACK) else "black")  # fmt: skip
        left += widths
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the time (%)", title=title)
    figure.legend(ncols=len(parts.columns), loc="outside lower center", handlelength=1,
                  columnspacing=1)  # fmt: skip
    return ax


@style()
def plot_cost(costs: pd.DataFrame, sizes: np.ndarray, fitted: np.ndarray, title: str) -> Figure:
    """Draw time and memory against the number of pictures.

    Parameters
    ----------
    costs : pandas.DataFrame
        From `benchmark.cost_by_size`.
    sizes, fitted : numpy.ndarray
        Float: the fitted curve of the processor's seconds.
    title : str
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    left.plot(costs["n"], costs["seconds"], "o", color=BLUE, label="clock")
    left.plot(costs["n"], costs["cpu_seconds"], "^", color=VERMILION, label="processor")
    left.plot(sizes, fitted, "-", color=VERMILION, label="fitted to the processor's")
    left.plot(costs["n"], costs["open_seconds"], "x", color=BLACK, label="clock, only opening")
    left.set(xscale="log", yscale="log", xlabel="pictures", ylabel="seconds, whole process")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  handlelength=1.5, columnspacing=1)  # fmt: skip
    right.plot(costs["n"], costs["peak_megabytes"], "o", color=BLUE)
    right.set(xscale="log", xlabel="pictures", ylabel="peak memory (MB)",
              ylim=(0, 1.15 * costs["peak_megabytes"].max()))  # fmt: skip
    figure.suptitle(title)
    return figure


@style()
def plot_race(epochs: pd.DataFrame, target: float, title: str) -> Axes:
    """Draw the test accuracy of trainings over their seconds.

    Parameters
    ----------
    epochs : pandas.DataFrame
        Columns contestant, seed, epoch, seconds, test_accuracy.
    target : float
        An accuracy that is marked, 0 to 1.
    title : str
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3.4))
    looks = zip(
        epochs.groupby("contestant", sort=False), ("o-", "s--"), (BLUE, ORANGE), strict=False
    )
    for (name, rows), look, color in looks:
        for index, (_, run) in enumerate(rows.groupby("seed")):
            accuracy = 100 * run["test_accuracy"]
            label = name if index == 0 else None
            ax.plot(run["seconds"], accuracy, look, color=color, alpha=0.7, label=label)
    ax.axhline(100 * target, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel="seconds of training", ylabel="test accuracy (%)", title=title, xlim=(0, None))
    ax.legend(loc="lower right")
    return ax
