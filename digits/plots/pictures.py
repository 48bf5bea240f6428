"""Pictures and what is read on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.pictures.mnist_form import ink_box
from digits.plots.theme import BLUE, VERMILION, WIDTH, draw_digit, frame, grid

if TYPE_CHECKING:
    from digits.pictures import Glyph, Ink, Picture
    from digits.recognizer import Reading


def _draw_picture(ax: Axes, pixels: np.ndarray, size: tuple[int, int]) -> None:
    """Draw a picture so that the axes count the pixels of the upright original."""
    width, height = size
    # Downsampling without smoothing would lose lines of one pixel.
    how = "nearest" if max(pixels.shape) <= 56 else "antialiased"
    ax.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation=how
    )
    ax.set(xlim=(0, width), ylim=(height, 0))
    frame(ax)


def _draw_box(ax: Axes, box: tuple[int, int, int, int], sure: bool = True, text: str = "") -> None:
    """Frame a box: a whole line if sure, a broken one in another colour if not."""
    x, y, width, height = box
    color, line = (BLUE, "-") if sure else (VERMILION, "--")
    look = {"fill": False, "edgecolor": color, "linestyle": line, "linewidth": 1.3}
    ax.add_patch(plt.Rectangle((x, y), width, height, **look))
    if text:
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        ax.text(x, y, text, color=color, fontsize=8, va="bottom", bbox=paper, clip_on=True)


def plot_stages(picture: Picture, ink: Ink, glyphs: Sequence[Glyph], image: np.ndarray) -> Figure:
    """Draw the way of a picture from the file to what the network sees, in six panels.

    `image` is the largest glyph in MNIST form, uint8 (28, 28).
    """
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 5.2))
    (decoded, paper, strength), (boxes, fitted, seen) = axes
    _draw_picture(decoded, picture.pixels, picture.size)
    decoded.set_title(f"1 decoded: {picture.size[0]} x {picture.size[1]}")
    paper.imshow(ink.paper, cmap="gray", vmin=0, vmax=255)
    paper.set_title(f"2 paper; {ink.polarity}")
    strength.imshow(ink.strength, cmap="gray_r", vmin=0, vmax=1, interpolation="antialiased")
    strength.set_title(f"3 ink: {ink.mask.mean():.1%} of the area")
    _draw_picture(boxes, picture.pixels, picture.size)
    for glyph in glyphs:
        _draw_box(boxes, glyph.box)
    boxes.set_title(f"4 found: {len(glyphs)}")
    draw_digit(fitted, image)
    left, top, width, height = ink_box(image)
    _draw_box(fitted, (left - 0.5, top - 0.5, width, height))
    down, across = np.average(np.indices(image.shape), axis=(1, 2), weights=image)
    fitted.plot(across, down, "+", color=VERMILION, markersize=16, markeredgewidth=2)
    fitted.set_title(f"5 fitted: {width} x {height}, mass at +", fontsize=10)
    seen.imshow(image, cmap="gray", vmin=0, vmax=255)
    seen.set_title("6 what the network sees")
    for ax in axes.flat:
        frame(ax)
    figure.suptitle(f"{ink.polarity}: {len(glyphs)} found, the largest brought to 28 x 28")
    return figure


def plot_readings(
    pictures: Sequence[Picture],
    readings: Sequence[Reading],
    captions: Sequence[str],
    title: str,
    n_columns: int = 5,
) -> Figure:
    """Draw pictures with what was read on them, each with its caption; unsure digits are dashed."""
    # As high as the highest picture, but no long strip of a screen for it.
    aspect = min(1.2, max((p.size[1] / p.size[0] for p in pictures), default=0))
    figure, axes = grid(len(pictures), n_columns, WIDTH / n_columns * aspect + 0.42, title)
    for ax, picture, reading, caption in zip(axes, pictures, readings, captions, strict=True):
        _draw_picture(ax, picture.pixels, picture.size)
        for digit in reading.digits:
            _draw_box(ax, digit.box, digit.accepted, str(digit.digit) if n_columns < 3 else "")
        ax.set_title(caption, fontsize=8 if n_columns > 3 else 10)
    return figure
