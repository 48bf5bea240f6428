"""The look of all figures, and the pieces that they are made of."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

WIDTH = 7.0  # inches, of every figure

# Okabe and Ito (2008), "Color Universal Design".
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK = "#56B4E9", "#D55E00", "#000000"
# Ten classes need two more than the palette has, and a darker yellow.
CLASSES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#B8A800", BLACK, "#882255", "#999999")


# The look of all figures: `plt.style.use(plots.STYLE)` gives it to those of a notebook's cells.
STYLE = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.figsize": (WIDTH, 3.2),
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": plt.cycler(color=CLASSES),
    "image.cmap": "gray_r",
    "image.interpolation": "nearest",
    "legend.frameon": False,
}


def headings(figure: Figure) -> str:
    """Return the title of a figure, or those of its panels where it has none of its own."""
    return figure.get_suptitle() or "; ".join(filter(None, (a.get_title() for a in figure.axes)))


# In a notebook a figure's text is its title: reports take it for the alternative text.
if shell := "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
    plt.draw_if_interactive()  # or the choice of the backend would undo what follows
    shell.display_formatter.formatters["text/plain"].for_type(
        Figure, lambda figure, printer, cycle: printer.text(headings(figure) or repr(figure))
    )


def bare(ax: Axes) -> None:
    """Take ticks and frame away."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def frame(ax: Axes) -> None:
    """Take the ticks away and show where a picture ends, as the edge of white paper is not seen."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="0.8", linewidth=0.6)


def log_scale(ax: Axes) -> None:
    """Give a logarithmic scale, with ticks at 1, 2 and 5, to values over whole numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_digit(
    ax: Axes, image: np.ndarray, caption: str = "", fontsize: int = 10, cmap: str = "gray_r"
) -> None:
    """Draw one image, uint8 (28, 28)."""
    ax.imshow(image, vmin=0, vmax=255, cmap=cmap)
    bare(ax)
    ax.set_title(caption, fontsize=fontsize)


def grid(n: int, n_columns: int, height: float, title: str) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure and its `n` panels, row by row; without any, the title stands alone.

    `height` is that of a row in inches.
    """
    n_rows = -(-n // n_columns)
    size = WIDTH, n_rows * height + 0.5
    figure, axes = plt.subplots(max(n_rows, 1), n_columns, figsize=size, squeeze=False)
    for ax in axes.flat[n:]:
        ax.axis("off")
    figure.suptitle(title)
    return figure, axes.flat[:n]


def mosaic(tiles: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay tiles (n, h, w) out in rows of `columns`; gaps and missing tiles are nan."""
    n, height, width = tiles.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    return sheet
