"""A hand that writes: digits, letters, words, signs and scribbles, with one pen and one slant.

Everything is returned as ink, float32 (height, width), 0 none to 1 full, without empty margins.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from PIL.Image import Resampling

from digits.data import synthesis
from digits.pictures.filters import resize

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIGNS = [
    [[(0.1, 0.5), (0.9, 0.5)], [(0.5, 0.1), (0.5, 0.9)]],  # plus
    [[(0.1, 0.5), (0.9, 0.5)]],  # minus
    [[(0.1, 0.35), (0.9, 0.35)], [(0.1, 0.65), (0.9, 0.65)]],  # equals
    [[(0.15, 0.2), (0.85, 0.8)], [(0.85, 0.2), (0.15, 0.8)]],  # times
    [[(0.7, 0.0), (0.35, 0.5), (0.7, 1.0)]],  # parentheses
    [[(0.3, 0.0), (0.65, 0.5), (0.3, 1.0)]],
    [[(0.0, 0.6), (0.35, 1.0), (1.0, 0.1)]],  # tick
]


class Hand:
    """A hand and its pen, drawn at random.

    `x`, uint8 (n, 28, 28), and `y`, (n,), are the digits that it writes; `height` is their usual
    height in pixels.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, height: float, rng: np.random.Generator):
        self.x, self.y, self.height, self.rng = x, y, height, rng
        self.ones = np.flatnonzero(y == 1)  # which neighbours swallow most easily
        self.slant = rng.normal(0, 0.15)
        self.tone = rng.uniform(0.05, 0.55)  # level of a digit's grey at which its stroke ends
        self.hardness = rng.uniform(0.1, 0.5)  # levels from there to full ink
        self.pen = math.exp(rng.uniform(math.log(0.03), math.log(0.14)))  # share of the height
        self.mixed = rng.random() < 0.2  # sizes

    def digit(self) -> tuple[np.ndarray, int]:
        """Return a digit's ink, float32 0 to 1, without margins, and its label."""
        rng = self.rng
        factor = rng.uniform(0.45, 1.3) if self.mixed else rng.uniform(0.82, 1.05)
        height = max(8, round(self.height * factor))
        if rng.random() < 0.15:
            label = int(rng.integers(10))
            strokes = _pick(synthesis.DIGIT_STROKES[label], rng)
            return self.strokes(strokes, height, 0.75 if label == 7 else 0.5), label
        i = int(rng.integers(len(self.y)) if rng.random() < 0.9 else _pick(self.ones, rng))
        image = self.x[i]
        rows, columns = np.flatnonzero((image > 60).any(1)), np.flatnonzero((image > 60).any(0))
        top, bottom, left, right = rows[0] - 1, rows[-1] + 2, columns[0] - 1, columns[-1] + 2
        scale = (bottom - top - 2) / height
        width = (right - left) / scale * rng.uniform(0.85, 1.15)
        shear = self.slant + rng.normal(0, 0.06)
        room = abs(shear) * height
        size = (max(2, round(width + room)), height + 2)
        across = (right - left) / width
        # From a pixel of the result to one of the image: the slant moves the upper half to the right.
        offset = left - room / 2 * across - shear * across * size[1] / 2
        matrix = (across, shear * across, offset, 0, scale, top + 1 - scale)
        drawn = Image.fromarray(image).transform(
            size, Image.Transform.AFFINE, matrix, Resampling.BICUBIC
        )
        grey = np.asarray(drawn, np.float32) / 255
        hardness = self.hardness * max(1.0, 25 / height)
        return _trim(np.clip((grey - self.tone) / hardness, 0, 1)), int(self.y[i])

    def strokes(self, strokes, height: int, narrowest: float = 0.5) -> np.ndarray:
        """Draw strokes of the unit square with a shaken pen, `height` pixels high."""
        rng = self.rng
        matrix = synthesis.affine_matrix(
            self.slant, rng.normal(0, 0.05), rng.uniform(narrowest, 1), rng.uniform(0.85, 1)
        )
        shaken = [np.asarray(stroke) + rng.normal(0, 0.04, (len(stroke), 2)) for stroke in strokes]
        pen = max(1, round(52 * self.pen * rng.uniform(0.8, 1.25)))
        drawn = synthesis.draw_strokes(shaken, matrix, pen)
        return _scaled(drawn, height)

    def letter(self) -> np.ndarray:
        rng = self.rng
        height = max(6, round(self.height * rng.uniform(0.5, 1.05)))
        kind = rng.random()
        if kind < 0.4:
            return self.strokes(_pick(synthesis.OTHER_STROKES, rng), height)
        if kind < 0.55:
            return self.strokes(synthesis.invented_character(rng), height)
        printed = synthesis.print_character(_pick(synthesis.FONT_LETTERS, rng), rng, bend=0.25)
        return _scaled(printed, height)

    def cursive(self) -> np.ndarray:
        """Return a word in one stroke: loops, arches and tails."""
        rng = self.rng
        n = int(rng.integers(5, 16))
        x = np.cumsum(rng.uniform(0.1, 0.5, n))
        y = np.where(np.arange(n) % 2, rng.uniform(0, 0.5, n), rng.uniform(0.7, 1.0, n))
        back = rng.uniform(0, 0.4, n) * (np.arange(n) % 2)
        points = np.column_stack([x - back, y])
        height = self.height * rng.uniform(0.4, 0.9)
        return self.line([synthesis.smooth_curve(points) * height])

    def printed(self) -> np.ndarray:
        """Return a printed word, or a part of one."""
        rng = self.rng
        word = "".join(_pick(LETTERS[:26] if rng.random() < 0.8 else LETTERS, rng)
                       for _ in range(rng.integers(3, 10)))  # fmt: skip
        if rng.random() < 0.3:
            word = word.upper() if rng.random() < 0.4 else word.capitalize()
        height = max(7, round(self.height * rng.uniform(0.3, 1.0)))
        font = synthesis.font(_pick(synthesis.FONT_FILES, rng))
        left, top, right, bottom = font.getbbox(word)
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).text((-left, -top), word, 255, font)
        return _scaled(np.asarray(image), height * max(1, image.width // image.height))

    def sign(self) -> np.ndarray:
        rng = self.rng
        strokes = _pick(SIGNS, rng)
        size = self.height * rng.uniform(0.4, 1.0)
        shaken = [stroke + rng.normal(0, 0.04, np.shape(stroke)) for stroke in strokes]
        return self.line([synthesis.smooth_curve(stroke) * size for stroke in shaken])

    def dot(self) -> np.ndarray:
        """Return a point, a comma or a dash."""
        rng = self.rng
        side = max(2, round(self.height * rng.uniform(0.05, 0.2)))
        image = Image.new("L", (2 * side, 2 * side))
        pen = ImageDraw.Draw(image)
        if rng.random() < 0.5:
            pen.ellipse((0, 0, side, side), 255)
        else:
            length = side * rng.uniform(1, 2)
            pen.line((length, 0, length - side * rng.uniform(0, 1), length), 255, max(1, side // 2))
        return _trim(np.asarray(image, np.float32) / 255)

    def scribble(self) -> np.ndarray:
        rng = self.rng
        size = self.height * rng.uniform(0.6, 3, 2)
        points = rng.uniform(0, 1, (int(rng.integers(4, 14)), 2))
        return self.line([synthesis.smooth_curve(points) * size])

    def circle(self, width: float, height: float) -> np.ndarray:
        """Draw a ring around something of a size in pixels, as to mark it."""
        angle = np.linspace(0, self.rng.uniform(1.9, 2.2) * math.pi, 12)
        reach = np.array([width, height]) * self.rng.uniform(0.7, 1.1) + 2
        points = np.column_stack([np.cos(angle), np.sin(angle)]) * reach
        shaken = points + self.rng.normal(0, 0.03 * self.height, points.shape)
        return self.line([synthesis.smooth_curve(shaken)])

    def line(self, strokes: list[np.ndarray]) -> np.ndarray:
        """Draw straight strokes from point to point, in pixels, with this writer's pen."""
        pen = max(1, round(self.pen * self.height))
        low = np.concatenate(strokes).min(0) - pen
        size = np.ceil(np.concatenate(strokes).max(0) - low + pen).astype(int)
        image = Image.new("L", tuple(size.tolist()))
        for stroke in strokes:
            ImageDraw.Draw(image).line((stroke - low).ravel().tolist(), 255, pen, joint="curve")
        return _trim(np.asarray(image, np.float32) / 255)


def _pick(items, rng: np.random.Generator):
    return items[rng.integers(len(items))]


def _trim(ink: np.ndarray) -> np.ndarray:
    """Return the ink without empty margins."""
    rows, columns = np.flatnonzero((ink > 0.1).any(1)), np.flatnonzero((ink > 0.1).any(0))
    if not len(rows):
        return np.ones((2, 2), np.float32)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(drawn: np.ndarray, side: int) -> np.ndarray:
    """Return a drawing, uint8, without margins and `side` pixels long, as float32 0 to 1."""
    ink = _trim(drawn.astype(np.float32) / 255)
    factor = side / max(ink.shape)
    shape = tuple(max(1, round(length * factor)) for length in ink.shape)
    how = Resampling.BOX if factor < 0.6 else Resampling.BICUBIC
    return _trim(np.clip(resize(ink, shape, how), 0, 1))
