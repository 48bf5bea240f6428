"""Figures of notebook 08."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.plots import BLACK, BLUE, CLASSES, VERMILION, WIDTH, style


@style()
def plot_right_answers(scores: pd.DataFrame, title: str) -> Figure:
    """Draw each tool's share of right answers with its interval, a panel for each group.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns tool, group, n_scored, n_wrong, value, low, high; tools in the order to be drawn.
    title : str
    """
    groups, names = list(scores["group"].unique()), list(scores["tool"].unique())
    figure, axes = _panels(len(groups), names, title)
    for ax, group in zip(axes, groups, strict=True):
        part = scores[scores["group"] == group].set_index("tool").reindex(names)
        percent = 100 * part[["value", "low", "high"]]
        texts = [f"{row.n_scored - row.n_wrong} of {row.n_scored}" for row in part.itertuples()]
        _draw_intervals(ax, percent.set_axis(["at", "low", "high"], axis=1), texts)
        ax.set(xlim=(-18, 118), xlabel="right (%)", title=group)
    return figure


@style()
def plot_times(panels: dict[str, pd.DataFrame], title: str) -> Figure:
    """Draw median times with their spread over rounds, on logarithmic axes, a panel for each table.

    Parameters
    ----------
    panels : dict of str to pandas.DataFrame
        Axis label to a table of `timing.compare`, all of the same tasks in the order to be drawn.
    title : str
    """
    figure, axes = _panels(len(panels), list(next(iter(panels.values())).index), title)
    for ax, (label, table) in zip(axes, panels.items(), strict=True):
        texts = [f"{float(f'{t:.2g}'):g}" if np.isfinite(t) else "" for t in table["median"]]
        _draw_intervals(ax, table.rename(columns={"median": "at"}), texts)
        ax.set(xscale="log", xlabel=label)
        ax.margins(x=0.15)
    return figure


def _panels(n: int, names: list[str], title: str) -> tuple[Figure, np.ndarray]:
    """Return a figure of `n` panels side by side, whose lines have these names, from the top."""
    size = WIDTH, 1.2 + 0.34 * len(names)
    figure, axes = plt.subplots(1, n, figsize=size, sharey=True, squeeze=False)
    axes[0, 0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.8))
    figure.suptitle(title)
    return figure, axes[0]


def _draw_intervals(ax: Axes, table: pd.DataFrame, texts: list[str]) -> None:
    """Draw a dot (column at) and its interval (low, high) with a text for each row."""
    lines = np.arange(len(table))
    ax.hlines(lines, table["low"], table["high"], color=BLUE, linewidth=2)
    ax.plot(table["at"], lines, "o", color=BLUE)
    for at, line, text in zip(table["at"], lines, texts, strict=True):
        if text:
            ax.text(at, line - 0.18, text, ha="center", va="bottom", fontsize=8)


@style()
def plot_shares(parts: pd.DataFrame, title: str) -> Axes:
    """Draw the shares of a whole, a bar of 100 % for each row.

    Parameters
    ----------
    parts : pandas.DataFrame
        Index: a bar each; columns: its parts, in one unit.
    title : str
    """
    shares = 100 * parts.div(parts.sum(axis=1), axis=0)
    ax = shares.plot.barh(
        stacked=True, width=0.8, color=CLASSES, edgecolor="white", legend=False,
        figsize=(WIDTH, 1.5 + 0.45 * len(parts)),
    )  # fmt: skip
    for bars, color in zip(ax.containers, CLASSES, strict=False):
        ax.bar_label(bars, fmt=lambda share: f"{share:.0f}" if share >= 5 else "",
                     label_type="center",
                     color="white" if color in (BLUE, VERMILION, BLACK) else "black")  # fmt: skip
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the time (%)", ylabel="", title=title)
    ax.figure.legend(ncols=len(parts.columns), loc="outside lower center", handlelength=1,
                     columnspacing=1)  # fmt: skip
    return ax


@style()
def plot_cost(costs: pd.DataFrame, sizes: np.ndarray, fitted: np.ndarray, title: str) -> Figure:
    """Draw time and memory against the number of pictures.

    Parameters
    ----------
    costs : pandas.DataFrame
        From `timing.cost_by_size`.
    sizes, fitted : numpy.ndarray
        Float: the fitted line of the processor's seconds.
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
