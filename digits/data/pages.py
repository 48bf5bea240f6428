"""Made pages: numbers, words and signs as people write them, and which ink belongs to which digit.

A network that finds digits on a page needs pages on which every stroke's owner is known. Real digits
(training images, and shapes of `synthesis`) are written on made paper: wide apart or touching,
slanted, of several sizes, with thin and thick, dark and faint pens, broken, over ruled or squared
paper, in boxes, under bad light; and beside them stands what is no digit: words by hand and in print,
signs, punctuation, scribbles, blots, and digits that the picture's edge cuts.
"""

from __future__ import annotations

import io
import math
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from digits.data.handwriting import Hand
from digits.pictures import Glyph, Picture, find_ink
from digits.pictures.filters import bounding_box
from digits.pictures.ink import DARK
from digits.recognizer.detector import SIDE, scaled
from digits.recognizer.parallel import n_cores

PATCH = (64, 160)  # height and width of what the network sees in training
CUT = 255  # owner of the ink of digits whose middle lies beyond the patch: not known
MOST = 64  # digits on a patch
VISIBLE = 0.5  # share of a digit's ink that must be found, for it to count as a digit
WHOLE = 0.6  # share of a digit's ink that a glyph holds, and of a glyph's that is the digit's
STROKE = 0.35  # ink from which pixels of two digits touch

FEW = 100  # patches that are not worth a process
_kept: list[np.ndarray] = []  # images and labels, in a process that makes patches


class Patches(NamedTuple):
    """The ink of pieces of pages, at the size at which digits are looked for, and the truth.

    Attributes
    ----------
    ink : numpy.ndarray
        uint8 (n, *`PATCH`): the strength of the ink that `find_ink` found, 255 for the darkest.
    owner : numpy.ndarray
        uint8 (n, *half of `PATCH`): for every two by two pixels 0, or 1 + the index of the digit
        that the ink belongs to, or `CUT`.
    digits : numpy.ndarray
        float32 (n, `MOST`, 5): each digit's label, the middle of its box across and down, its width and
        height, in pixels of the patch; filled up with rows of -1.
    """

    ink: np.ndarray
    owner: np.ndarray
    digits: np.ndarray


class Spacing(NamedTuple):
    """How far apart things stand: between their strokes or their boxes, from and to, in heights."""

    by_strokes: bool
    least: float
    most: float


class _Sheet:
    """What a hand writes on a sheet, and to which digit each pixel's ink belongs."""

    def __init__(self, hand: Hand, rng: np.random.Generator):
        self.hand, self.rng = hand, rng
        self.height = height = hand.height
        self.strengths = (1.0,) if rng.random() < 0.7 else (1.0, *rng.uniform(0.2, 1, 2))
        shape = (round(height * 9), round(height * 14))
        self.ink = np.zeros(shape, np.float32)
        self.owner = np.zeros(shape, np.uint8)
        self.labels: list[int] = []
        self.boxes: list[tuple[int, int, int, int]] = []

    def put(self, ink: np.ndarray, left: float, top: float, label: int | None = None) -> None:
        """Write something; with a label it is a digit."""
        left, top = round(left), round(top)
        height, width = ink.shape
        if left < 0 or top < 0 or left + width > self.ink.shape[1] or top + height > len(self.ink):
            return
        window = np.s_[top : top + height, left : left + width]
        ink = ink * self.strengths[self.rng.integers(len(self.strengths))]
        is_own = (ink > self.ink[window]) & (ink > 0.1)
        number = 0
        if label is not None and len(self.labels) < CUT - 1:
            self.labels.append(label)
            self.boxes.append((left, top, width, height))
            number = len(self.labels)
        self.owner[window][is_own] = number
        np.maximum(self.ink[window], ink, out=self.ink[window])

    def row(
        self, left: float, middle: float, kind: str, n: int, spacing: Spacing | None = None
    ) -> float:
        """Write `n` things of a kind around a height of the page; return where they end."""
        rng, height = self.rng, self.height
        wander, drift = rng.uniform(0, 0.12), rng.normal(0, 0.04)
        by_strokes, least, most = spacing or self._spacing(kind)
        start = end = left
        ends = np.full(len(self.ink), -np.inf)  # of the strokes so far, in each row of pixels
        for k in range(n):
            ink, label, low = self._thing(kind, k)
            level = middle + drift * (end - left) + height * rng.normal(0, wander)
            top = round(level + (height * rng.uniform(0.2, 0.5) if low else -len(ink) / 2))
            if top < 0 or top + len(ink) >= len(ends):
                continue
            gap = height * rng.uniform(least, most)
            at = end + gap
            if k and by_strokes:
                starts = np.where(ink > STROKE, np.arange(ink.shape[1]), np.inf).min(1)
                at = (ends[top : top + len(ink)] - starts).max() + 1 + gap
                at = max(at, start + 0.35 * (end - start))  # not all of it under the bar of a 7
            at = round(max(at, 0))
            self.put(ink, at, top, label)
            own = at + np.where(ink > STROKE, np.arange(ink.shape[1]), -np.inf).max(1)
            for shift in (-1, 0, 1):  # strokes that pass each other by a pixel touch as well
                rows = slice(max(top + shift, 0), top + shift + len(ink))
                ends[rows] = np.maximum(ends[rows], own[-len(ends[rows]) :])
            start, end = at, max(end, at + ink.shape[1])
        return end

    def _spacing(self, kind: str) -> Spacing:
        draw = self.rng.random()
        if kind in ("number", "sum") and draw < 0.5:
            return Spacing(True, -0.12, 0.08)  # touching, or nearly
        return (
            Spacing(True, 0.02, 0.3) if kind == "word" or draw < 0.75 else Spacing(False, 0.15, 1.2)
        )

    def _thing(self, kind: str, k: int) -> tuple[np.ndarray, int | None, bool]:
        """Return the ink of the k-th thing in a row, its label if a digit, and if it stands low."""
        hand = self.hand
        if kind == "number" and k and self.rng.random() < 0.06:
            return hand.dot(), None, True
        if kind in ("number", "sum", "digits") and not (kind == "sum" and k % 3 == 2):
            return *hand.digit(), False
        writers = {"word": hand.letter, "cursive": hand.cursive, "print": hand.printed}
        return writers.get(kind, hand.sign)(), None, False

    def write(self) -> tuple[int, int, int, int]:
        """Write a page; return left, top, right and bottom of the part with something on it."""
        rng, height = self.rng, self.height
        n_rows = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
        pitch = height * rng.uniform(1.05, 2.0)
        kinds = ("number", "sum", "word", "cursive", "print", "signs")
        chances = (0.62, 0.1, 0.12, 0.05, 0.08, 0.03)
        for line in range(n_rows):
            middle = 2 * height + line * pitch
            kind = str(rng.choice(kinds, p=chances))
            at = height * (1.5 + rng.uniform(0, 1))
            n = int(rng.integers(1, 3) if kind in ("print", "cursive") else rng.integers(1, 8))
            end = self.row(at, middle, kind, n)
            if rng.random() < 0.25 and end < 8 * height:
                kind = str(rng.choice(kinds, p=chances))
                n = 1 if kind in ("print", "cursive") else int(rng.integers(1, 5))
                self.row(end + height * rng.uniform(0.4, 1.2), middle, kind, n)
        if rng.random() < 0.06:
            at = height * rng.uniform(0.5, 6), height * rng.uniform(0.5, 3)
            self.put(self.hand.scribble(), *at)
        if self.boxes and rng.random() < 0.05:
            left, top, across, down = self.boxes[rng.integers(len(self.boxes))]
            circle = self.hand.circle(across, down)
            self.put(circle, left + (across - circle.shape[1]) / 2, top + (down - len(circle)) / 2)
        self._break()
        margins = height * rng.uniform(0.15, 1.2, 4)
        if rng.random() < 0.12:  # the picture's edge cuts what is written
            margins[rng.integers(4)] = -height * rng.uniform(0.05, 0.6)
        return self.bounds(margins)

    def bounds(self, margins: Sequence[float]) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of what is written, with margins in this order."""
        if not self.ink.any():
            return 0, 0, round(4 * self.height), round(3 * self.height)
        rows, columns = bounding_box(self.ink > 0)
        left, top = max(int(columns.start - margins[0]), 0), max(int(rows.start - margins[1]), 0)
        right, bottom = int(columns.stop + margins[2]), int(rows.stop + margins[3])
        return left, top, max(right, left + 8), max(bottom, top + 8)

    def _break(self) -> None:
        """Fade bands and spots of what is written: a dry pen, a fold, a reflection."""
        rng, height = self.rng, self.height
        if rng.random() < 0.2:
            width = max(1, round(height * rng.uniform(0.02, 0.08)))
            fade = rng.uniform(0, 0.25)
            for at in rng.integers(0, self.ink.shape[1], int(rng.integers(4, 16))):
                self.ink[:, at : at + width] *= fade
            if rng.random() < 0.3:
                for at in rng.integers(0, len(self.ink), int(rng.integers(2, 8))):
                    self.ink[at : at + width] *= fade
        if rng.random() < 0.1:
            for _ in range(int(rng.integers(4, 30))):
                y, x = (int(rng.integers(side)) for side in self.ink.shape)
                side = max(2, round(height * rng.uniform(0.05, 0.2)))
                self.ink[y : y + side, x : x + side] *= rng.uniform(0, 0.4)


@dataclass(frozen=True)
class Page:
    """A made page and its truth.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8 (height, width): the picture, dark on light.
    ink : numpy.ndarray
        float32 (height, width): what was written, 0 to 1.
    owner : numpy.ndarray
        uint8 (height, width): 0, or 1 + the index of the digit that the ink belongs to.
    labels : numpy.ndarray
        int64 (n,): the digits in the order in which they were written, row by row.
    boxes : numpy.ndarray
        float32 (n, 4): left, top, width and height of each in pixels.
    height : float
        Usual height of the digits in pixels.
    """

    pixels: np.ndarray
    ink: np.ndarray
    owner: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    height: float

    def labels_of(self, glyphs: Sequence[Glyph], mask: np.ndarray) -> list[int]:
        """Return which digits glyphs of this page are; -1 for what is not most of one, and little else.

        `mask`, bool (height, width), is all ink that was found.
        """
        n = len(self.labels) + 1
        darkest = np.zeros(n)
        np.maximum.at(darkest, self.owner.ravel(), self.ink.ravel())
        stroke = self.ink > 0.4 * darkest[self.owner]  # without the soft edges
        written, found = (
            np.bincount(self.owner.ravel(), pixels.ravel(), n) for pixels in (stroke, stroke & mask)
        )
        labels = []
        for glyph in glyphs:
            top, left = max(glyph.top, 0), max(glyph.left, 0)
            window = np.s_[top : glyph.bottom, left : glyph.right]
            owner = self.owner[window]
            own = glyph.ink[top - glyph.top :, left - glyph.left :][: len(owner), : owner.shape[1]]
            pixels = stroke[window] & (own > 0.25 * own.max())
            counts = np.bincount(owner[pixels], minlength=n)
            most = int(counts.argmax())
            is_whole = counts[most] > WHOLE * found[most] and found[most] > VISIBLE * written[most]
            is_alone = counts[most] > WHOLE * counts.sum()
            labels.append(int(self.labels[most - 1]) if most and is_whole and is_alone else -1)
        return labels


def make_page(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Page:
    """Make a page.

    Parameters
    ----------
    x, y : numpy.ndarray
        Training images, uint8 (n, 28, 28), and labels, int64 (n,).
    rng : numpy.random.Generator
    """
    height = math.exp(rng.uniform(math.log(16), math.log(64)))
    sheet = _Sheet(Hand(x, y, height, rng), rng)
    return _photographed(sheet, sheet.write())


def make_row(
    x: np.ndarray, y: np.ndarray, gap: float, rng: np.random.Generator, n: int = 5
) -> Page:
    """Make a page with a row of `n` digits, whose strokes are `gap` heights apart, or cross below 0."""
    sheet = _Sheet(Hand(x, y, 48.0, rng), rng)
    sheet.row(48, 96, "digits", n, Spacing(True, gap, gap))
    return _photographed(sheet, sheet.bounds([24, 24, 24, 24]))


def _photographed(sheet: _Sheet, bounds: tuple[int, int, int, int]) -> Page:
    left, top, right, bottom = bounds
    window = np.s_[top:bottom, left:right]
    boxes = np.array(sheet.boxes, np.float32).reshape(-1, 4) - (left, top, 0, 0)
    ink, labels = sheet.ink[window], np.array(sheet.labels, np.int64)
    pixels = _paper(ink, sheet.height, boxes, sheet.rng)
    return Page(pixels, ink, sheet.owner[window], labels, boxes, sheet.height)


def make_patches(x: np.ndarray, y: np.ndarray, seed: Sequence[int], n: int) -> Patches:
    """Make `n` pages, look for the ink on each as on any picture, and return a piece of each.

    `x` and `y` are as for `make_page`. The work is shared among the processor's cores; the patches
    depend on the seed alone.
    """
    seeds = [(*seed, i) for i in range(n)]
    if n < FEW:
        patches = [_make_patch(x, y, one) for one in seeds]
    else:
        processes = min(n_cores(), n // FEW + 1)
        context = multiprocessing.get_context("spawn")  # a fork of TensorFlow's threads may hang
        with context.Pool(processes, _keep_images, (x, y)) as pool:
            patches = pool.map(_make_kept_patch, seeds, chunksize=FEW)
    ink, owner, digits = zip(*patches, strict=True)
    filled = np.full((n, MOST, 5), -1, np.float32)
    for row, there in zip(filled, digits, strict=True):
        row[: len(there)] = there
    return Patches(np.stack(ink), np.stack(owner), filled)


def _keep_images(x: np.ndarray, y: np.ndarray) -> None:
    """Keep the images of a process that makes patches: they need not be sent with each."""
    _kept[:] = [x, y]


def _make_kept_patch(seed: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _make_patch(*_kept, seed)


def _make_patch(x: np.ndarray, y: np.ndarray, seed: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return one patch's ink, owners and digits; see `Patches`."""
    rng = np.random.default_rng(seed)
    page = make_page(x, y, rng)
    found = find_ink(Picture(page.pixels, page.pixels.shape[::-1]), DARK).strength
    n = len(page.labels)
    amounts, visible = (
        np.bincount(page.owner.ravel(), weights.ravel(), n + 1)[1:]
        for weights in (page.ink, page.ink * (found > 0))
    )

    # Scaled as the reader scales it, which does not know how high the digits are.
    factor = SIDE / page.height * math.exp(rng.normal(0, 0.28))
    small = scaled(found, factor)
    rows, columns = (
        np.minimum(((np.arange(here) + 0.5) / factor).astype(int), there - 1)
        for here, there in zip(small.shape, found.shape, strict=True)
    )
    owner = np.where(small > 0, page.owner[rows[:, None], columns], 0)
    # The page lies somewhere on the patch, or the patch somewhere on the page.
    room = [there - here for here, there in zip(small.shape, PATCH, strict=True)]
    offset = np.array([round(rng.triangular(min(0, r), r / 2, max(1, r))) for r in room])
    small, owner = (_moved(values, offset) for values in (small, owner))

    centres = (page.boxes[:, :2] + page.boxes[:, 2:] / 2) * factor + offset[::-1]
    is_seen = visible >= VISIBLE * amounts
    is_inside = ((centres >= 0) & (centres < PATCH[::-1])).all(1)
    numbers = np.zeros(n + 1, np.uint8)
    kept = is_seen & is_inside
    kept &= np.cumsum(kept) <= MOST
    numbers[1:][is_seen & ~kept] = CUT
    numbers[1:][kept] = np.arange(1, kept.sum() + 1)
    # Of each two by two pixels, the owner of the darkest.
    blocks, owners = (
        values.reshape(PATCH[0] // 2, 2, PATCH[1] // 2, 2).swapaxes(1, 2).reshape(-1, 4)
        for values in (small, owner)
    )
    darkest = owners[np.arange(len(blocks)), blocks.argmax(1)]
    digits = np.column_stack([page.labels, centres, page.boxes[:, 2:] * factor])[kept]
    return (
        np.uint8(255 * np.clip(small, 0, 1) + 0.5),
        numbers[darkest].reshape(PATCH[0] // 2, PATCH[1] // 2),
        digits.astype(np.float32),
    )


def _moved(values: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return a patch with values (height, width) that begin at an offset, and 0 elsewhere."""
    out = np.zeros(PATCH, values.dtype)
    there = tuple(
        slice(max(0, o), max(0, o + n)) for o, n in zip(offset, values.shape, strict=True)
    )
    here = tuple(slice(max(0, -o), max(0, m - o)) for o, m in zip(offset, PATCH, strict=True))
    out[there] = values[here]
    return out


def _paper(ink: np.ndarray, size: float, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture, uint8 (height, width), of ink on paper with lines, light and grain."""
    height, width = ink.shape
    level, contrast = rng.uniform(130, 255), rng.uniform(0.3, 0.95)
    light = _print_lines(np.full(ink.shape, level, np.float32), size, boxes, rng)
    light = np.minimum(light, level * (1 - contrast * ink))
    if rng.random() < 0.4:
        slope = rng.uniform(-0.3, 0.3, 2)
        down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
        light *= np.clip(1 + slope[0] * down + slope[1] * across, 0.3, 1).astype(np.float32)
    image = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.03 * size + 0.4)))
    if rng.random() < 0.7:
        grain = rng.normal(0, rng.uniform(0.5, 7), ink.shape).astype(np.float32)
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    if rng.random() < 0.35:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(30, 95)))
        image = Image.open(file)
    return np.asarray(image)


def _print_lines(
    light: np.ndarray, size: float, boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return paper, (height, width), with printed lines: rules, squares, a box, cells, single ones."""
    height, width = light.shape
    levels, uprights = [], []  # where they are, from, to

    def every(step: float, length: int, other: int) -> list[tuple[float, float, float]]:
        return [(at, 0, other) for at in np.arange(rng.uniform(0, step), length, step)]

    step = size * rng.uniform(0.5, 1.6)
    match rng.choice([0, 1, 2, 3, 4, 5], p=[0.53, 0.11, 0.11, 0.1, 0.06, 0.09]):
        case 0:
            return light
        case 1:
            levels = every(step, height, width)
        case 2:
            levels, uprights = every(step, height, width), every(step, width, height)
        case 3:
            inset = rng.uniform(1, 0.15 * size, 4)
            there = rng.random(4) < rng.choice([0.3, 1.0])
            sides = [inset[0], height - inset[1], inset[2], width - inset[3]]
            levels = [(sides[i], 0, width) for i in (0, 1) if there[i]]
            uprights = [(sides[i], 0, height) for i in (2, 3) if there[i]]
        case 4:
            margin = size * rng.uniform(0.05, 0.35)
            levels = [(top - margin, 0, width) for _, top, _, _ in boxes]
            uprights = [(left - margin, 0, height) for left, _, _, _ in boxes]
        case _ if rng.random() < 0.5:
            levels = [(rng.uniform(0, height), *np.sort(rng.uniform(0, width, 2)))]
        case _:
            start = rng.uniform(-size, height - size)
            length = size * rng.uniform(2, 5)  # a shorter one is a 1
            uprights = [(rng.uniform(0, width), start, start + length)]
    grey, lean = float(light[0, 0]) * rng.uniform(0.2, 0.9), rng.normal(0, 0.01)
    pen = max(1, round(size * rng.uniform(0.01, 0.06)))
    image = Image.fromarray(light)
    draw = ImageDraw.Draw(image)
    for y, x0, x1 in levels:
        draw.line((x0, y + lean * x0, x1, y + lean * x1), grey, pen)
    for x, y0, y1 in uprights:
        draw.line((x - lean * y0, y0, x - lean * y1, y1), grey, pen)
    return np.asarray(image)
