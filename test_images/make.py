"""Draw the pictures of this folder and labels.csv: `python test_images/make.py`.

The handwriting is real. It comes from the test fifth of scikit-learn's 8x8 digits (the UCI set),
which no model of this project is trained on. Each digit is enlarged smoothly and thinned to the line
that the pen went along; then it is written again with another pen, on another ground, and spoilt in
the ways that people's pictures are: by light, shadow, paper, rules, noise and file formats.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent

# Rows of `load_digits`, all in the test fifth (`digits.data.embedded_split`), in which a person can
# still read the digit after the thinning. The many ways to write a 1, 4 and 7 were kept.
HANDS = {
    0: (78, 202, 252, 276, 286, 386, 565, 666, 694, 772, 786, 806, 812, 855, 1002),
    1: (42, 99, 131, 186, 227, 267, 326, 407, 433, 442, 493, 527, 787, 926),
    2: (51, 243, 306, 307, 372, 440, 528, 538, 567, 573, 593, 700, 788, 977, 1014),
    3: (45, 279, 339, 619, 705, 744, 749, 789, 865, 918, 985, 1116),
    4: (410, 520, 637, 767, 770, 800, 929, 1012, 1023, 1053, 1148),
    5: (35, 102, 245, 376, 587, 937, 951, 973, 1003, 1010, 1101),
    6: (34, 188, 197, 344, 420, 452, 481, 604, 652, 704, 741),
    7: (81, 173, 283, 308, 364, 374, 393, 403, 413, 430, 1056),
    8: (28, 264, 500, 556, 569, 639, 768, 943, 945, 997, 1141),
    9: (39, 119, 159, 254, 275, 293, 405, 417, 423, 425, 553, 608),
}
ENLARGED = 20  # pixels for one of the 8x8 image
INK_LEVEL = 0.42  # of the enlarged grey level, from which on there is ink
SMOOTHING = 3.0  # deviation in enlarged pixels

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
BLUE_PEN, BLACK_PEN, RED_FELT = (0.10, 0.16, 0.55), (0.12, 0.12, 0.14), (0.80, 0.10, 0.12)
PENCIL = (0.45, 0.45, 0.47)
PAPER, WARM_PAPER, WOOD = (0.93, 0.93, 0.91), (0.95, 0.92, 0.84), (0.42, 0.29, 0.18)


# --- Handwriting -----------------------------------------------------------------------------------


@cache
def pen_line(row: int) -> np.ndarray:
    """Return how far each pixel is from the line of a digit, in heights of that digit.

    The array is cut to the digit with a margin of half a height, so that any pen fits.
    """
    image = load_digits().images[row] / 16.0
    enlarged = ndimage.zoom(np.pad(image, 2), ENLARGED, order=3)
    return _distance(_thinned(enlarged > INK_LEVEL))


def _distance(line: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(line.any(1)), np.flatnonzero(line.any(0))
    height = rows[-1] - rows[0] + 1
    line = line[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    distance = ndimage.distance_transform_edt(~np.pad(line, height // 2))
    # Smoothing takes away the steps that the thinning left; on the line itself it adds
    # sqrt(2 / pi) deviations, which are taken off again.
    smooth = ndimage.gaussian_filter(distance, SMOOTHING)
    return np.sqrt(np.maximum(smooth**2 - 2 / np.pi * SMOOTHING**2, 0)) / height


def _thinned(mask: np.ndarray) -> np.ndarray:
    """Thin to lines of one pixel (Zhang and Suen 1984, Communications of the ACM 27)."""
    mask = mask.astype(np.uint8)
    while True:
        before = mask.sum()
        for odd in (False, True):
            p = np.pad(mask, 1)
            around = [p[:-2, 1:-1], p[:-2, 2:], p[1:-1, 2:], p[2:, 2:]]
            around += [p[2:, 1:-1], p[2:, :-2], p[1:-1, :-2], p[:-2, :-2]]
            n_ink = sum(side.astype(int) for side in around)
            n_starts = sum((around[i] < around[(i + 1) % 8]).astype(int) for i in range(8))
            up, right, down, left = around[::2]
            first, second = (up * right * left, up * down * left) if odd else (
                up * right * down, right * down * left)  # fmt: skip
            border = (n_ink >= 2) & (n_ink <= 6) & (n_starts == 1) & (first == 0) & (second == 0)
            mask = np.where(border, 0, mask).astype(np.uint8)
        if mask.sum() == before:
            return mask.astype(bool)


def drawn_line(*strokes: list[tuple[float, float]]) -> np.ndarray:
    """Return `pen_line` of strokes given as points (x, y) in the unit square."""
    line = np.zeros((181, 261), bool)
    for stroke in strokes:
        points = np.array(stroke)
        t = np.linspace(0, len(points) - 1, 2000)
        order = min(3, len(points) - 1)
        x, y = (ndimage.map_coordinates(p, [t], order=order, mode="nearest") for p in points.T)
        line[
            np.clip(20 + y * 140, 0, 180).astype(int), np.clip(20 + x * 140, 0, 260).astype(int)
        ] = 1
    return _distance(line)


def put(ink, line, x, y, height, width, *, angle=0.0, rng=None, sharp=False) -> None:
    """Write one line on the ink (height, width), 0 none to 1 full, in place.

    Parameters
    ----------
    ink : numpy.ndarray
    line : numpy.ndarray
        From `pen_line` or `drawn_line`.
    x, y : float
        Centre of the digit in pixels.
    height, width : float
        Height of the digit and width of the pen in pixels.
    angle : float
        Degrees, counter-clockwise.
    rng : numpy.random.Generator, optional
        Lets the pressure of the pen vary.
    sharp : bool
        Draw without grey levels, as simple drawing programs do.
    """
    line = ndimage.rotate(line, angle, order=1, mode="nearest", reshape=False) if angle else line
    scale = height / (line.shape[0] / 2)
    line = ndimage.zoom(line, scale, order=1, mode="nearest") * height
    if rng is not None:
        line = line - 0.1 * width * np.clip(clouds(line.shape, line.shape[0] / 3, rng), -1.5, 1.5)
    drawn = (line <= width / 2).astype(float) if sharp else np.clip(width / 2 - line + 0.5, 0, 1)
    top, left = round(y - line.shape[0] / 2), round(x - line.shape[1] / 2)
    inside = ink[max(top, 0) : top + line.shape[0], max(left, 0) : left + line.shape[1]]
    cut = drawn[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]]
    np.maximum(inside, cut, out=inside)


def write(ink, text, x, y, height, width, rng, *, gap=0.28, slope=0.0, sharp=False) -> None:
    """Write digits from `x` on, their middle at `y`; letters of `text` but digits are spaces.

    `gap` is the room between two digits, in heights; `slope` how far the row sinks for each pixel.
    """
    for character in text:
        if not character.isdigit():
            x += 0.6 * height
            continue
        line = pen_line(int(rng.choice(HANDS[int(character)])))
        size = height * rng.uniform(0.88, 1.1)
        wide = (line.shape[1] - line.shape[0] / 2) / (line.shape[0] / 2) * size
        put(
            ink, line, x + wide / 2, y + slope * x + rng.normal(0, 0.04 * height), size, width,
            angle=rng.normal(0, 3), rng=rng, sharp=sharp,
        )  # fmt: skip
        x += wide + max(gap + rng.normal(0, 0.05), -0.3) * height


# --- Paper, light and camera -----------------------------------------------------------------------


def clouds(shape, size, rng) -> np.ndarray:
    """Return smooth noise of mean 0 and deviation 1 whose spots are about `size` pixels."""
    small = rng.normal(0, 1, [max(2, int(np.ceil(n / size)) + 1) for n in shape])
    factors = [n / m for n, m in zip(shape, small.shape, strict=True)]
    noise = ndimage.zoom(small, factors, order=3, mode="nearest")
    return noise / max(noise.std(), 1e-9)


def sheet(shape, colour, rng, grain=0.008) -> np.ndarray:
    """Return paper, float (height, width, 3) 0..1, with fibres and stains."""
    texture = grain * (rng.normal(0, 1, shape) + clouds(shape, 6, rng) + clouds(shape, 90, rng))
    return np.clip(np.array(colour) + texture[..., None], 0, 1)


def ruled(page, spacing, rng, *, squared=False, colour=(0.55, 0.68, 0.85), strength=0.55) -> None:
    """Print rules every `spacing` pixels, or squares, in place."""
    height, width = page.shape[:2]
    lines = np.zeros((height, width))
    for at in np.arange(rng.uniform(0.4, 0.9) * spacing, height, spacing):
        lines[int(at) : int(at) + 2] = strength
    if squared:
        for at in np.arange(rng.uniform(0.4, 0.9) * spacing, width, spacing):
            lines[:, int(at) : int(at) + 2] = strength
    page[:] = inked(page, ndimage.gaussian_filter(lines, 0.6), colour)


def boxed(page, x, y, width, height, n, colour=(0.25, 0.25, 0.3)) -> None:
    """Print a row of `n` cells, in place."""
    lines = np.zeros(page.shape[:2])
    lines[y : y + 3, x : x + n * width] = lines[y + height : y + height + 3, x : x + n * width] = 1
    for cell in range(n + 1):
        lines[y : y + height + 3, x + cell * width : x + cell * width + 3] = 1
    page[:] = inked(page, 0.8 * ndimage.gaussian_filter(lines, 0.5), colour)


def inked(page, ink, colour) -> np.ndarray:
    """Lay ink of one colour on a page."""
    return page * (1 - ink[..., None]) + np.array(colour) * ink[..., None]


def lit(page, rng, *, fall=0.25, shadow=0.0) -> np.ndarray:
    """Let the light fall off across the page, and a soft shadow lie on one side of it."""
    height, width = page.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 - fall / 2 * (1 + (x * np.cos(turn) + y * np.sin(turn)) / 1.4)
    if shadow:
        # The edge of the shadow of a hand or a phone is wavy and blurred.
        edge = 0.5 * x + y + 0.12 * clouds((height, width), width / 5, rng) - rng.uniform(-0.1, 0.3)
        light *= 1 - shadow / (1 + np.exp(-edge * 18))
    return page * light[..., None]


def on_desk(page, rng, *, lean=0.05) -> np.ndarray:
    """Photograph the page from slightly aside, lying on a wooden desk."""
    height, width = page.shape[:2]
    grain = clouds((height, 1), 7, rng) * 0.03 + clouds((height, width), 160, rng) * 0.03
    desk = np.clip(np.array(WOOD) + grain[..., None], 0, 1)
    corners = np.array([(0.07, 0.06), (0.07, 0.95), (0.94, 0.95), (0.94, 0.06)])
    corners = (corners + rng.uniform(-lean, lean, (4, 2))) * (width, height)
    page_corners = [(0, 0), (0, height), (width, height), (width, 0)]
    equations, values = [], []
    for (x, y), (u, v) in zip(corners, page_corners, strict=True):
        equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    warp = np.linalg.solve(np.array(equations), np.array(values))
    layers = [*np.moveaxis(page, -1, 0), np.ones((height, width))]
    *colours, there = (
        np.asarray(
            Image.fromarray(layer.astype(np.float32)).transform(
                (width, height), Image.Transform.PERSPECTIVE, warp, Image.Resampling.BICUBIC
            )
        )
        for layer in layers
    )
    there = np.clip(there, 0, 1)[..., None]
    # The sheet casts a narrow shadow on the desk.
    shade = 1 - 0.5 * ndimage.gaussian_filter(np.roll(there[..., 0], (6, 8), (0, 1)), 7)[..., None]
    return np.stack(colours, -1) * there + desk * shade * (1 - there)


def creased(page, rng, n=9, depth=0.05) -> np.ndarray:
    """Crease the page `n` times: each side of a fold faces the light differently."""
    height, width = page.shape[:2]
    y, x = np.mgrid[:height, :width]
    shade = np.ones((height, width))
    for turn in rng.uniform(0, np.pi, n):
        across = (x - width * rng.random()) * np.cos(turn) + (y - height * rng.random()) * np.sin(
            turn
        )
        across += 12 * clouds((height, width), 200, rng)
        shade += depth * rng.normal() * np.tanh(across / 3) * np.exp(-np.abs(across) / 250)
        shade -= 1.5 * depth * rng.random() * np.exp(-((across / 2.5) ** 2))
    return np.clip(page * shade[..., None], 0, 1)


def photo(page, rng, *, blur=0.9, noise=0.012) -> Image.Image:
    """Return what a small camera makes of it."""
    page = ndimage.gaussian_filter(page, (blur, blur, 0))
    page = page + noise * rng.normal(0, 1, page.shape)
    return Image.fromarray(np.uint8(np.clip(page, 0, 1) * 255 + 0.5))


def grey(ink, *, dark_on_light=False) -> Image.Image:
    """Return ink as an 8-bit grey image."""
    return Image.fromarray(np.uint8(np.round(255 * (1 - ink if dark_on_light else ink))))


def blank(width, height) -> np.ndarray:
    """Return no ink."""
    return np.zeros((height, width))


# --- The pictures ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """One picture: what labels.csv says of it, and how it is drawn."""

    label: str
    kind: str
    polarity: str
    scattered: bool
    draw: Callable[[np.random.Generator], Image.Image]


PICTURES: dict[str, Sample] = {}


def picture(file, label, kind, *, light_on_dark=False, scattered=False):
    """Enter the function below in `PICTURES`."""

    def enter(draw):
        polarity = "light-on-dark" if light_on_dark else "dark-on-light"
        PICTURES[file] = Sample(label, kind, polarity, scattered, draw)
        return draw

    return enter


def render(file: str) -> Image.Image:
    """Draw one picture of `PICTURES`; each has a seed of its own, from its name."""
    return PICTURES[file].draw(np.random.default_rng(zlib.crc32(file.encode())))


# 28x28 pixels, as the people of this field make them.


def _small(file, digit, row, height, width, x=14.0, y=14.0, *, light_on_dark=True, sharp=False):
    @picture(file, str(digit), "paint28", light_on_dark=light_on_dark)
    def draw(rng):
        ink = blank(28, 28)
        put(ink, pen_line(row), x, y, height, width, sharp=sharp)
        return grey(ink, dark_on_light=not light_on_dark)


_small("grey28_0.png", 0, 276, 20, 2.2)
_small("grey28_2.png", 2, 528, 20, 2.4)
_small("grey28_3.png", 3, 705, 19, 2.0, 13, 15)
_small("grey28_5.png", 5, 951, 21, 3.0)
_small("grey28_7_crossed.png", 7, 374, 20, 2.0)
_small("grey28_8_filled.png", 8, 556, 25, 3.6)
_small("paper28_1_flag.png", 1, 186, 19, 1.6, light_on_dark=False)
_small("paper28_4_corner.png", 4, 1012, 12, 1.5, 8, 9, light_on_dark=False)
_small("paper28_6_jagged.png", 6, 420, 22, 1.2, light_on_dark=False, sharp=True)
_small("paper28_9_at_the_frame.png", 9, 425, 27, 3.0, light_on_dark=False)


# Drawings.


@picture("mouse_one_pixel_2.png", "2", "paint")
def _(rng):
    ink = blank(220, 200)
    put(ink, pen_line(307), 120, 88, 120, 1.0, sharp=True)
    return grey(ink, dark_on_light=True)


@picture("mouse_7.png", "7", "paint")
def _(rng):
    ink = blank(280, 280)
    put(ink, pen_line(173), 140, 150, 190, 5, sharp=True)
    return grey(ink, dark_on_light=True).convert("RGB")


@picture("brush_0_white_on_black.png", "0", "paint", light_on_dark=True)
def _(rng):
    ink = blank(400, 400)
    put(ink, pen_line(786), 190, 210, 250, 52)
    return grey(ink)


@picture("felt_pen_5_red.png", "5", "paint")
def _(rng):
    ink = blank(420, 340)
    put(ink, pen_line(1010), 200, 170, 230, 36, rng=rng)
    return Image.fromarray(np.uint8(255 * inked(np.ones((340, 420, 3)), ink, RED_FELT)))


@picture("transparent_black_ink_3.png", "3", "paint")
def _(rng):
    ink = blank(256, 256)
    put(ink, pen_line(918), 128, 128, 180, 12)
    alpha = grey(ink)
    return Image.merge("RGBA", [Image.new("L", alpha.size)] * 3 + [alpha])


@picture("transparent_white_ink_4.png", "4", "paint", light_on_dark=True)
def _(rng):
    ink = blank(256, 256)
    put(ink, pen_line(637), 128, 128, 170, 14)
    alpha = grey(ink)
    return Image.merge("RGBA", [Image.new("L", alpha.size, 255)] * 3 + [alpha])


@picture("palette_8.gif", "8", "paint")
def _(rng):
    ink = blank(160, 180)
    put(ink, pen_line(264), 78, 92, 120, 7)
    page = inked(np.ones((180, 160, 3)) * (1.0, 0.96, 0.75), ink, (0.1, 0.45, 0.2))
    return Image.fromarray(np.uint8(255 * page)).quantize(8)


@picture("fax_6_one_bit.png", "6", "paint")
def _(rng):
    ink = blank(300, 300)
    put(ink, pen_line(741), 150, 150, 200, 9, rng=rng)
    ragged = ink + 0.15 * clouds(ink.shape, 2, rng) < 0.5
    ragged &= rng.random(ink.shape) > 0.002  # specks
    return Image.fromarray(ragged)


@picture("scanner_9_sixteen_bit.png", "9", "paint")
def _(rng):
    ink = blank(240, 240)
    put(ink, pen_line(293), 120, 120, 150, 8, rng=rng)
    level = 46_000 - 30_000 * ink + 700 * rng.normal(0, 1, ink.shape)
    return Image.fromarray(np.uint16(np.clip(level, 0, 65_535)))


@picture("print_shop_0_cmyk.jpg", "0", "paint")
def _(rng):
    ink = blank(320, 320)
    put(ink, pen_line(855), 150, 160, 190, 10, rng=rng)
    page = inked(sheet(ink.shape, PAPER, rng), ink, BLUE_PEN)
    return Image.fromarray(np.uint8(255 * page)).convert("CMYK")


@picture("small_1_on_a_big_sheet.png", "1", "paint")
def _(rng):
    ink = blank(900, 640)
    put(ink, pen_line(99), 690, 470, 46, 3)
    return grey(ink, dark_on_light=True)


@picture("specks_2.png", "2", "paint")
def _(rng):
    ink = blank(300, 260)
    put(ink, pen_line(593), 150, 130, 150, 9, rng=rng)
    for _ in range(45):
        x, y, size = rng.uniform(0, 300), rng.uniform(0, 260), rng.uniform(0.5, 2.2)
        rows, columns = np.ogrid[:260, :300]
        ink = np.maximum(ink, (rows - y) ** 2 + (columns - x) ** 2 < size**2)
    return grey(0.92 * ink + 0.04, dark_on_light=True)


@picture("orange_on_blue_6.png", "6", "paint")
def _(rng):
    ink = blank(300, 300)
    put(ink, pen_line(604), 160, 140, 170, 13, rng=rng)
    page = inked(sheet(ink.shape, (0.66, 0.8, 0.95), rng), ink, (0.85, 0.4, 0.1))
    return Image.fromarray(np.uint8(255 * page))


# Photographs.


def _note(
    rng, row, colour, paper, *, size=(1000, 760), height=330, width=15, at=(0.5, 0.5), pen=1.0
):
    """Return the page and the ink of one digit on it."""
    ink = blank(*size)
    put(ink, pen_line(row), at[0] * size[0], at[1] * size[1], height, width, rng=rng, angle=4)
    page = sheet(ink.shape, paper, rng)
    return page, lambda page: inked(page, pen * ink, colour)


@picture("chalk_8.jpg", "8", "photo", light_on_dark=True)
def _(rng):
    page, pen = _note(rng, 945, (0.9, 0.9, 0.86), (0.16, 0.23, 0.19), height=420, width=26)
    wiped = 0.05 * np.clip(clouds(page.shape[:2], 150, rng), 0, 2)
    dust = 0.5 + 0.5 * (clouds(page.shape[:2], 3, rng) > -0.5)
    board = page + wiped[..., None]
    return photo(lit(board + (pen(board) - board) * dust[..., None], rng, fall=0.3), rng)


@picture("phone_turned_7.jpg", "7", "photo")
def _(rng):
    page, pen = _note(rng, 403, BLUE_PEN, PAPER, size=(760, 1000), at=(0.45, 0.4))
    return photo(lit(pen(page), rng, fall=0.35), rng)


@picture("pencil_4.jpg", "4", "photo")
def _(rng):
    page, pen = _note(rng, 1053, PENCIL, PAPER, height=240, width=8, pen=0.5)
    grain = 0.55 + 0.45 * (clouds(page.shape[:2], 2, rng) > -0.4)
    return photo(lit(page + (pen(page) - page) * grain[..., None], rng, fall=0.3), rng)


@picture("ruled_3_in_shadow.jpg", "3", "photo")
def _(rng):
    page, pen = _note(rng, 744, BLUE_PEN, PAPER, height=260, width=9, at=(0.4, 0.55))
    ruled(page, 62, rng)
    return photo(lit(pen(page), rng, fall=0.3, shadow=0.45), rng)


@picture("squared_9.jpg", "9", "photo")
def _(rng):
    page, pen = _note(rng, 553, BLACK_PEN, PAPER, height=230, width=9, at=(0.55, 0.45))
    ruled(page, 44, rng, squared=True)
    return photo(lit(pen(page), rng, fall=0.25), rng)


@picture("desk_2.jpg", "2", "photo")
def _(rng):
    page, pen = _note(rng, 1014, BLACK_PEN, WARM_PAPER, size=(1100, 840), height=260, width=12)
    return photo(lit(on_desk(pen(page), rng), rng, fall=0.3, shadow=0.3), rng)


@picture("bleed_through_5.jpg", "5", "photo")
def _(rng):
    page, pen = _note(rng, 102, BLUE_PEN, PAPER, height=280, width=14, at=(0.4, 0.5))
    behind = blank(page.shape[1], page.shape[0])
    write(behind, "8046", 120, 380, 240, 14, rng, gap=0.3)
    behind = ndimage.gaussian_filter(behind[:, ::-1], 4)
    return photo(lit(pen(inked(page, 0.16 * behind, BLUE_PEN)), rng, fall=0.25), rng)


@picture("printed_cell_8.jpg", "8", "photo")
def _(rng):
    page, pen = _note(rng, 768, BLACK_PEN, PAPER, size=(520, 440), height=150, width=8)
    boxed(page, 150, 100, 220, 240, 1)
    return photo(lit(pen(page), rng, fall=0.15), rng)


@picture("crumpled_6_dim.jpg", "6", "photo")
def _(rng):
    page, pen = _note(rng, 652, BLACK_PEN, WARM_PAPER, height=300, width=14, at=(0.5, 0.52))
    page = 0.55 * creased(pen(page), rng)
    return photo(lit(page, rng, fall=0.35), rng, noise=0.03)


# Several digits.


@picture("paint_1985.png", "1985", "multi")
def _(rng):
    ink = blank(520, 200)
    write(ink, "1985", 50, 100, 100, 5, rng, sharp=True)
    return grey(ink, dark_on_light=True)


@picture("touching_5407.png", "5407", "multi")
def _(rng):
    ink = blank(460, 220)
    write(ink, "5407", 60, 110, 120, 8, rng, gap=-0.06)
    return grey(ink, dark_on_light=True)


@picture("white_on_black_360.png", "360", "multi", light_on_dark=True)
def _(rng):
    ink = blank(400, 200)
    write(ink, "360", 60, 100, 110, 10, rng)
    return grey(ink)


@picture("transparent_42.png", "42", "multi")
def _(rng):
    ink = blank(300, 220)
    write(ink, "42", 60, 110, 120, 9, rng)
    alpha = grey(ink)
    return Image.merge("RGBA", [Image.new("L", alpha.size)] * 3 + [alpha])


@picture("phone_number_on_rules.jpg", "01714630", "multi")
def _(rng):
    page = sheet((700, 1200), PAPER, rng)
    ruled(page, 74, rng)
    ink = blank(1200, 700)
    write(ink, "0171 4630", 110, 330, 84, 7, rng, gap=0.35, slope=0.02)
    return photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.3), rng)


@picture("pi_on_a_desk.jpg", "314159|265358|979323", "multi")
def _(rng):
    page = sheet((960, 1280), PAPER, rng)
    ink = blank(1280, 960)
    for row, text in enumerate(("314159", "265358", "979323")):
        write(ink, text, 190, 240 + 240 * row, 110, 10, rng, gap=0.55)
    return photo(lit(on_desk(inked(page, ink, BLACK_PEN), rng), rng, fall=0.3, shadow=0.25), rng)


@picture("sums_on_squares.jpg", "4207|1968|6175", "multi")
def _(rng):
    page = sheet((900, 1100), PAPER, rng)
    ruled(page, 46, rng, squared=True)
    ink = blank(1100, 900)
    for row, text in enumerate(("4207", "1968", "6175")):
        write(ink, text, 260, 230 + 210 * row, 96, 8, rng, gap=0.5)
    return photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.25, shadow=0.2), rng)


@picture("form_date.jpg", "24081973", "multi")
def _(rng):
    page = sheet((380, 1200), PAPER, rng)
    boxed(page, 120, 130, 120, 130, 8)
    ink = blank(1200, 380)
    for cell, digit in enumerate("24081973"):
        line = pen_line(int(rng.choice(HANDS[int(digit)])))
        x, y = 180 + 120 * cell + rng.normal(0, 5), 195 + rng.normal(0, 5)
        put(ink, line, x, y, rng.uniform(72, 90), 6, rng=rng, angle=rng.normal(0, 3))
    return photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.15), rng)


@picture("two_sloping_rows.jpg", "602|1187", "multi")
def _(rng):
    page = sheet((760, 1000), WARM_PAPER, rng)
    ink = blank(1000, 760)
    write(ink, "602", 170, 180, 130, 14, rng, gap=0.5, slope=0.1)
    write(ink, "1187", 150, 440, 110, 14, rng, gap=0.5, slope=0.09)
    return photo(lit(inked(page, ink, RED_FELT), rng, fall=0.3), rng)


@picture("scattered.jpg", "0123456789", "multi", scattered=True)
def _(rng):
    page = sheet((900, 1100), PAPER, rng)
    ink = blank(1100, 900)
    for place, digit in enumerate(rng.permutation(10)):
        x, y = 150 + 200 * (place % 5) + rng.normal(0, 16), 240 + 400 * (place // 5)
        line = pen_line(int(rng.choice(HANDS[int(digit)])))
        y += rng.uniform(-110, 110)
        put(ink, line, x, y, rng.uniform(70, 170), 10, rng=rng, angle=rng.normal(0, 6))
    return photo(lit(inked(page, ink, BLACK_PEN), rng, fall=0.3), rng)


@picture("dense_page.png", "70318|52946|88063|14725", "multi")
def _(rng):
    ink = blank(640, 560)
    for row, text in enumerate(("70318", "52946", "88063", "14725")):
        write(ink, text, 60, 80 + 132 * row, 92, 7, rng, gap=0.4)
    return grey(ndimage.gaussian_filter(ink, 0.8), dark_on_light=True)


# Where people write digits: in cells, on lines, beside other things.


def _cell(rng, row, sides, *, size=(240, 200), height=120, width=7):
    """Return a photo of one cell of a form, cut out near its lines."""
    ink = blank(*size)
    put(ink, pen_line(row), size[0] / 2, size[1] / 2, height, width, rng=rng, angle=2)
    lines = np.zeros(ink.shape)
    for side in sides:
        turned = np.rot90(lines, ("below", "left", "above", "right").index(side))
        turned[-9:-6] = 0.8
    page = inked(sheet(ink.shape, PAPER, rng), ndimage.gaussian_filter(lines, 0.5), BLACK_PEN)
    return photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.1), rng, blur=0.6)


@picture("cell_7_on_a_line.jpg", "7", "photo")
def _(rng):
    return _cell(rng, 403, ["below"])


@picture("cell_4_between_lines.jpg", "4", "photo")
def _(rng):
    return _cell(rng, 770, ["left", "right"], size=(150, 180))


@picture("cell_8_boxed.jpg", "8", "photo")
def _(rng):
    return _cell(rng, 569, ["below", "left", "above", "right"], size=(170, 190))


@picture("form_row_52036.jpg", "52036", "multi")
def _(rng):
    page, ink = sheet((150, 560), PAPER, rng), blank(560, 150)
    boxed(page, 30, 20, 100, 110, 5)
    for cell, digit in enumerate("52036"):
        line = pen_line(int(rng.choice(HANDS[int(digit)])))
        put(ink, line, 80 + 100 * cell, 75, rng.uniform(66, 80), 6, rng=rng, angle=rng.normal(0, 3))
    return photo(lit(inked(page, ink, BLACK_PEN), rng, fall=0.1), rng, blur=0.6)


@picture("mixed_inks_40927.jpg", "40927", "multi")
def _(rng):
    page = sheet((260, 700), PAPER, rng)
    for place, row in enumerate((770, 855, 553, 1014, 403)):
        ink = blank(700, 260)
        put(ink, pen_line(row), 110 + 120 * place, 130, rng.uniform(90, 110), 8, rng=rng)
        page = inked(page, (0.4, 1, 0.35, 0.45, 0.4)[place] * ink, BLACK_PEN)
    return photo(lit(page, rng, fall=0.15), rng)


@picture("squares_in_pencil_628.jpg", "628", "multi")
def _(rng):
    page, ink = sheet((300, 520), PAPER, rng), blank(520, 300)
    ruled(page, 56, rng, squared=True, colour=PENCIL, strength=0.8)
    write(ink, "628", 90, 150, 110, 8, rng, gap=0.4)
    return photo(lit(inked(page, ink, PENCIL), rng, fall=0.15), rng, blur=0.6)


@picture("dotted_line_59.png", "59", "multi")
def _(rng):
    ink = blank(320, 200)
    write(ink, "59", 70, 95, 100, 7, rng, gap=0.4)
    for x in range(4, 320, 14):  # the edge of the picture cuts the dots
        rows, columns = np.ogrid[:200, :320]
        ink = np.maximum(ink, np.clip(3.5 - np.hypot(rows - 199, columns - x), 0, 1))
    return grey(ink, dark_on_light=True)


@picture("sum_25_and_36.jpg", "2536", "multi")
def _(rng):
    page, ink = sheet((260, 800), PAPER, rng), blank(800, 260)
    write(ink, "25", 70, 130, 110, 8, rng, gap=0.4)
    plus = drawn_line([(0.5, 0), (0.48, 1)], [(0, 0.52), (1, 0.48)])
    put(ink, plus, 370, 135, 70, 8, rng=rng)
    write(ink, "36", 480, 130, 110, 8, rng, gap=0.4)
    return photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.2), rng)


@picture("word_before_24.jpg", "24", "multi")
def _(rng):
    page, ink = sheet((260, 860), WARM_PAPER, rng), blank(860, 260)
    word = (
        [[(0.1, 0), (0.12, 1)], [(0.75, 0), (0.73, 1)], [(0.1, 0.5), (0.75, 0.46)]],
        [[(0.4, 0), (0.05, 1)], [(0.4, 0), (0.8, 1)], [(0.18, 0.62), (0.65, 0.6)]],
        [[(0.1, 0), (0.1, 1)], [(0.7, 0), (0.12, 0.55)], [(0.3, 0.42), (0.75, 1)]],
    )
    for place, strokes in enumerate(word):
        put(ink, drawn_line(*strokes), 140 + 120 * place, 130, 100, 8, rng=rng)
    write(ink, "24", 560, 130, 110, 8, rng, gap=0.4)
    return photo(lit(inked(page, ink, BLACK_PEN), rng, fall=0.2), rng)


@picture("turned_sheet_3472.jpg", "3472", "multi")
def _(rng):
    page, ink = sheet((300, 760), PAPER, rng), blank(760, 300)
    ruled(page, 70, rng)
    write(ink, "3472", 90, 150, 110, 9, rng, gap=0.4)
    turned = photo(lit(inked(page, ink, BLUE_PEN), rng, fall=0.2), rng)
    return turned.transpose(Image.Transpose.ROTATE_90)


@picture("sheet_on_a_dark_desk_2380.jpg", "2380", "multi")
def _(rng):
    page, ink = sheet((260, 560), PAPER, rng), blank(560, 260)
    write(ink, "2380", 70, 130, 100, 8, rng, gap=0.35)
    desk = np.clip(sheet((640, 1000), (0.16, 0.13, 0.11), rng, grain=0.02), 0, 1)
    desk[190:450, 210:770] = inked(page, ink, BLACK_PEN)
    return photo(lit(desk, rng, fall=0.2), rng)


@picture("dark_corner_803.jpg", "803", "multi")
def _(rng):
    page, ink = sheet((360, 640), PAPER, rng), blank(640, 360)
    write(ink, "803", 160, 200, 120, 9, rng, gap=0.4)
    rows, columns = np.indices(ink.shape)
    finger = 1 / (1 + np.exp((np.hypot(rows, (columns - 20) * 0.8) - 90) / 4))
    page = inked(lit(inked(page, ink, BLUE_PEN), rng, fall=0.2), 0.85 * finger, (0.2, 0.12, 0.1))
    return photo(page, rng)


@picture("brush_cursor_6.png", "6", "paint")
def _(rng):
    ink = blank(260, 280)
    put(ink, pen_line(188), 150, 149, 238, 40)
    rows, columns = np.ogrid[:280, :260]
    ring = np.clip(1.2 - np.abs(np.hypot(rows - 60, columns - 38) - 20), 0, 1)
    return grey(np.maximum(ink, 0.7 * ring), dark_on_light=True)


# Nothing to read.


@picture("nothing_empty_cell.png", "", "paint")
def _(rng):
    lines = np.zeros((90, 120))
    lines[[6, 7, -7, -8]] = lines[:, [6, 7, -7, -8]] = 0.8
    return grey(lines + 0.02 * rng.random(lines.shape), dark_on_light=True)


@picture("nothing_blank_sheet.jpg", "", "photo")
def _(rng):
    return photo(lit(sheet((600, 800), PAPER, rng), rng, fall=0.4, shadow=0.3), rng)


@picture("nothing_letter_K.png", "", "paint")
def _(rng):
    ink = blank(240, 240)
    strokes = [(0.2, 0), (0.18, 1)], [(0.85, 0.02), (0.22, 0.55)], [(0.36, 0.45), (0.9, 1)]
    put(ink, drawn_line(*strokes), 120, 120, 150, 10, rng=rng)
    return grey(ink, dark_on_light=True)


@picture("nothing_scribble.png", "", "paint")
def _(rng):
    ink = blank(300, 240)
    t = np.linspace(0, 1.6, 15)
    zigzag = 0.5 + 0.42 * (-1.0) ** np.arange(15) * (1 - 0.3 * t) + rng.normal(0, 0.07, 15)
    put(ink, drawn_line(list(zip(t, zigzag, strict=True))), 150, 120, 130, 6, rng=rng)
    return grey(ink, dark_on_light=True)


@picture("nothing_leaves.jpg", "", "photo")
def _(rng):
    leaves = sum(clouds((480, 640), size, rng) / 4 for size in (140, 60, 25, 9))
    colour = np.array((0.30, 0.42, 0.2)) + leaves[..., None] * (0.16, 0.2, 0.1)
    return photo(lit(colour, rng, fall=0.4), rng)


def save(image: Image.Image, path: Path) -> None:
    """Save by the name's ending; a turned phone leaves the turning to the viewer."""
    options = {"quality": 78} if path.suffix == ".jpg" else {"optimize": True}
    if path.name.startswith("phone_turned"):
        exif = Image.Exif()
        exif[0x0112] = 6  # "turn clockwise to view"
        image, options["exif"] = image.transpose(Image.Transpose.ROTATE_90), exif
    image.save(path, **options)


def main() -> None:
    """Write all pictures and labels.csv into this folder."""
    with (HERE / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(
            ["file", "label", "kind", "polarity", "width", "height", "author", "scattered"]
        )
        for name, sample in sorted(PICTURES.items()):
            image = render(name)
            save(image, HERE / name)
            facts = sample.label, sample.kind, sample.polarity, *image.size
            out.writerow([name, *facts, "project", int(sample.scattered)])


if __name__ == "__main__":
    main()
