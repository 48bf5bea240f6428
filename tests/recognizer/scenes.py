"""Digits that are read for certain on blank paper, in the places where people write them.

The handwriting is that of `test_images/make.py`: digits of the test fifth of scikit-learn's set,
which no model is trained on, written again with a pen. Of them only those are used that the shipped
model reads right and for certain alone on blank paper, with each of `PENS`: what a scene loses is
the scene's. Ink goes from 0, none, to 1, full; a picture's pixels from 0 to 255.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy import ndimage

from digits.config import TEST_IMAGES
from digits.recognizer import Reading, Recognizer

PENS = (26, 2.5), (90, 8), (120, 17)  # height of the digit, width of the pen, in pixels
HANDS = 5  # of each digit
OUTCOMES = ["right", "unsure right", "unsure wrong", "refused", "confident wrong"]
SIDES = ["below", "below above", "left right", "below above left right"]
LETTERS = "AEHKMW"  # which do not look like digits
# Signs and letters: strokes in the unit square, x and y in turn.
CHARACTERS = {
    "+": ((0.1, 0.5, 0.7, 0.5), (0.4, 0.2, 0.4, 0.8)), "-": ((0.1, 0.5, 0.7, 0.5),),
    "=": ((0.1, 0.4, 0.7, 0.4), (0.1, 0.6, 0.7, 0.6)), "x": ((0, 0.2, 0.6, 0.8), (0.6, 0.2, 0, 0.8)),
    "A": ((0, 1, 0.4, 0, 0.8, 1), (0.2, 0.6, 0.6, 0.6)), "K": ((0, 0, 0, 1), (0.7, 0, 0, 0.5, 0.7, 1)),
    "E": ((0.6, 0, 0, 0, 0, 1, 0.6, 1), (0, 0.5, 0.5, 0.5)),
    "H": ((0, 0, 0, 1), (0.7, 0, 0.7, 1), (0, 0.5, 0.7, 0.5)),
    "M": ((0, 1, 0, 0, 0.4, 0.6, 0.8, 0, 0.8, 1),), "W": ((0, 0, 0.25, 1, 0.5, 0.3, 0.75, 1, 1, 0),),
}  # fmt: skip


class Scene(NamedTuple):
    """A picture of one kind, and what is written on it: "" where nothing is."""

    name: str
    image: Image.Image
    text: str


@cache
def drawing() -> SimpleNamespace:
    """Return the script that draws `test_images`."""
    return SimpleNamespace(**runpy.run_path(TEST_IMAGES / "make.py", run_name="make"))


@cache
def hands() -> dict[str, list[np.ndarray]]:
    """Return the lines of the digits that are read for certain alone. The first call takes seconds."""
    make, model, rng = drawing(), Recognizer.load(threads=1), np.random.default_rng(0)

    def certain(line: np.ndarray, digit: int) -> bool:
        pages = (np.pad(written(line, *pen), round(0.6 * pen[0])) for pen in PENS)
        readings = (model.read(image(paper(page, rng))) for page in pages)
        return all((r.status, r.text) == ("ok", str(digit)) for r in readings)

    def some(digit: int) -> list[np.ndarray]:
        lines = map(make.pen_line, make.HANDS[digit])
        return list(islice((line for line in lines if certain(line, digit)), HANDS))

    return {str(digit): some(digit) for digit in range(10)}


def written(line: np.ndarray, height: float, width: float) -> np.ndarray:
    """Draw a line, given as the distance from it in heights, with a margin of half a height."""
    size = [round(side * height / (len(line) / 2)) for side in line.shape[::-1]]
    far = np.asarray(Image.fromarray(line.astype(np.float32)).resize(size)) * height
    return _trimmed(np.clip(width / 2 - far + 0.5, 0, 1))


def character(name: str, height: int, width: int, rng) -> np.ndarray:
    """Draw a letter or a sign."""
    drawn = Image.new("L", (2 * height, 2 * height))
    for stroke in CHARACTERS[name]:
        points = height * (np.reshape(stroke, (-1, 2)) + 0.5) + rng.normal(0, 0.02 * height, 2)
        ImageDraw.Draw(drawn).line([*map(tuple, points)], fill=255, width=width, joint="curve")
    return _trimmed(ndimage.gaussian_filter(np.asarray(drawn) / 255, 0.6), axes=[1])


def _trimmed(ink: np.ndarray, axes=(0, 1)) -> np.ndarray:
    for axis in axes:
        there = np.flatnonzero((ink > 0.1).any(1 - axis))
        ink = ink.take(range(there[0], there[-1] + 1), axis)
    return ink


def row(text: str, rng, height=64, width=0.0, gap=0.3, strengths=None) -> np.ndarray:
    """Write digits, letters and signs; their strokes are `gap` heights apart, and cross below 0."""
    width = width or max(2.0, height * rng.uniform(0.07, 0.12))
    ink, end = np.zeros((2 * height, round(len(text) * 1.7 * height))), 0
    for place, name in enumerate(text):
        if name == " ":
            end += height // 2
            continue
        drawn = character(name, height, round(width), rng) if name in CHARACTERS else written(
            hands()[name][rng.integers(len(hands()[name]))], height * rng.uniform(0.85, 1), width
        )  # fmt: skip
        top = height - len(drawn) // 2
        band = ink[top : top + len(drawn)]
        ends = np.where(band > 0.3, np.arange(ink.shape[1]), -1).max(1)
        starts = np.where(drawn > 0.3, np.arange(drawn.shape[1]), ink.shape[1]).min(1)
        near = (ends - starts).max() + 1 if gap < 0.2 else end  # how far left the strokes let it
        at = max(round(near + gap * height), 0) if place else 0
        part = band[:, at : at + drawn.shape[1]]
        np.maximum(part, drawn * (strengths[place] if strengths is not None else 1), out=part)
        end = max(end, at + drawn.shape[1])
    return _trimmed(ink)


def ruled(ink: np.ndarray, sides: str, inset: int, width: int) -> np.ndarray:
    """Draw rules along sides of the page, `inset` pixels from its edge."""
    for side in sides.split():
        turned = np.rot90(ink, ["below", "left", "above", "right"].index(side))  # a view
        turned[len(turned) - inset - width : len(turned) - inset] = 0.85
    return ink


def dotted(ink: np.ndarray, inset: int, size: int) -> np.ndarray:
    """Draw dots below; the edge of the page cuts the first, and without an inset all."""
    dots = (np.arange(ink.shape[1]) + size // 2) % (3 * size) < size
    ink[len(ink) - inset - size : len(ink) - inset, dots] = 0.85
    return ink


def squared(ink: np.ndarray, step: int, strength: float) -> np.ndarray:
    """Lay squares under the ink, in its own colour."""
    return np.maximum(ink, strength * (np.min(np.indices(ink.shape) % step, axis=0) < 2))


def ringed(ink: np.ndarray, size: float) -> np.ndarray:
    """Draw the ring that a drawing program shows for a brush, at the left; cut away all below."""
    y, x = np.indices(ink.shape) - np.array([len(ink) // 2, size])[:, None, None]
    ink = np.maximum(ink, np.clip(1 - np.abs(np.hypot(x, y) - size / 2), 0, 1))
    return ink[: np.flatnonzero(ink.any(1))[-1] + 1]


def paper(ink: np.ndarray, rng, level=235.0, grain=3.0) -> np.ndarray:
    """Lay the ink on paper."""
    return rng.normal(level, grain, ink.shape) * (1 - ink) + 45 * ink


def on_desk(page: np.ndarray, rng) -> np.ndarray:
    """Lay the page on a dark desk."""
    (height, width), desk = page.shape, rng.normal(60, 9, np.multiply(page.shape, 2))
    desk[height // 3 : height // 3 + height, width // 3 : width // 3 + width] = page
    return ndimage.gaussian_filter(desk, 0.6)


def on_photo(page: np.ndarray, rng) -> np.ndarray:
    """Let the page be a part of a large one."""
    photo, height = rng.normal(235, 3, (1000, 1400)), len(page)
    y, x = (rng.integers(n - m) for n, m in zip(photo.shape, page.shape, strict=True))
    photo[y : y + height, x : x + page.shape[1]] = page
    return photo * np.linspace(1, 0.85, 1400)


def dark_corner(page: np.ndarray, rng) -> np.ndarray:
    """Darken a corner, as a thumb or a table does."""
    reach = rng.uniform(0.2, 0.4) * len(page)
    dark = ndimage.gaussian_filter((np.indices(page.shape).sum(0) < reach).astype(float), 2)
    return page * (1 - 0.8 * dark[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])])


def image(pixels: np.ndarray) -> Image.Image:
    """Return an 8-bit picture."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def number(rng, least: int, most: int = 0, first="0123456789") -> str:
    """Return `least` to `most` digits."""
    n = rng.integers(least, max(least, most) + 1)
    return rng.choice([*first]) + "".join(rng.choice([*"0123456789"], n - 1))


def page(rng, text: str, height=64, margin=0.6, lay=None, change=None, **options):
    """Write a text on paper. Return the picture and the digits alone.

    `lay` adds to the ink, `change` is done to the page; both are given the generator, too.
    """
    ink = np.pad(row(text, rng, int(height), **options), round(margin * height))
    pixels = paper(lay(ink, rng) if lay else ink, rng)
    return change(pixels, rng) if change else pixels, "".join(filter(str.isdigit, text))


def _inks(rng, n=5) -> np.ndarray:
    return np.where(np.arange(n) == rng.integers(n), 1, rng.uniform(0.25, 0.5, n))


def _broken(ink, rng):
    for at in rng.integers(0, ink.shape[1], 12):
        ink[:, at : at + 3] *= 0.1
    return ink


def _edge(rng, inset=5) -> tuple[int, int]:
    return int(rng.integers(1, inset)), int(rng.integers(1, 4))


def _cell(sides):
    return lambda r: page(
        r, number(r, 1, 3), r.integers(26, 90), 0.45, lambda i, r: ruled(i, sides, *_edge(r))
    )


KINDS = {
    "row: plain": lambda r: page(r, number(r, 5)),
    "row: narrow": lambda r: page(r, number(r, 5), gap=0.06),
    "row: touching": lambda r: page(r, number(r, 5), gap=-0.02),
    "row: mixed inks": lambda r: page(r, number(r, 5), strengths=_inks(r)),
    "row: broken strokes": lambda r: page(r, number(r, 5), lay=_broken),
    "row: squared paper": lambda r: page(
        r, number(r, 5), lay=lambda i, r: squared(i, r.integers(32, 70), r.uniform(0.25, 0.6))),
    "row: dotted line": lambda r: page(
        r, number(r, 1, 4), r.integers(26, 90), 0.45,
        lambda i, r: dotted(i, r.integers(4), r.integers(2, 5))),
    "row: a sum": lambda r: page(r, number(r, 2) + r.choice([*"+-x="]) + number(r, 2)),
    "row: a word before": lambda r: page(r, "".join(r.choice([*LETTERS], 3)) + " " + number(r, 2)),
    "row: a word after": lambda r: page(r, number(r, 2) + " " + "".join(r.choice([*LETTERS], 3))),
    "cell: no line": _cell(""),
    "cell: below": _cell("below"),
    "cell: above and below": _cell("below above"),
    "cell: sides": _cell("left right"),
    "cell: box": _cell("below above left right"),
    "single: rule beside": lambda r: page(
        r, number(r, 1), r.integers(40, 200),
        lay=lambda i, r: ruled(i, r.choice(["left", "right"]), *_edge(r, 12))),
    "single: brush cursor": lambda r: page(
        r, number(r, 1), 120, lay=lambda i, r: ringed(i, 17), width=17),
    # 3, 4 and 7 are no digits upside down.
    "turned: 90": lambda r: page(r, number(r, 5, first="347"), change=lambda p, r: np.rot90(p)),
    "turned: 180": lambda r: page(r, number(r, 5, first="347"), change=lambda p, r: np.rot90(p, 2)),
    "turned: 270": lambda r: page(r, number(r, 5, first="347"), change=lambda p, r: np.rot90(p, 3)),
    "page: on a desk": lambda r: page(r, number(r, 5), margin=1.2, change=on_desk),
    "page: large photo": lambda r: page(r, number(r, 5), r.integers(20, 50), change=on_photo),
    "page: dark corner": lambda r: page(r, number(r, 3), margin=1, change=dark_corner),
    "blank: paper": lambda r: (
        paper(np.zeros(r.integers(40, 300, 2)), r, r.uniform(120, 250), r.uniform(1, 14)), ""),
    "blank: a word": lambda r: page(r, "".join(r.choice([*LETTERS], r.integers(3, 8)))),
    "blank: empty cell": lambda r: (
        paper(ruled(np.zeros([r.integers(30, 90)] * 2), r.choice(SIDES), *_edge(r)), r), ""),
}  # fmt: skip


def scenes(n: int, seed: int) -> Iterator[Scene]:
    """Make `n` scenes of each kind, the same for the same seed; a third of the large ones."""
    for order, (name, draw) in enumerate(KINDS.items()):
        rng = np.random.default_rng([seed, order])
        for _ in range(-(-n // 3) if name == "page: large photo" else n):
            pixels, text = draw(rng)
            yield Scene(name, image(pixels), text)


def outcome(scene: Scene, reading: Reading) -> str:
    """Return what an answer is worth. Where nothing is written, "no-digit" alone is right."""
    if reading.status not in ("ok", "unsure"):
        return "refused" if scene.text or reading.status == "error" else "right"
    right = bool(scene.text) and reading.text == scene.text
    if reading.status == "ok":
        return "right" if right else "confident wrong"
    return "unsure right" if right else "unsure wrong"


def score(made: Iterable[Scene], readings: Iterable[Reading]) -> pd.DataFrame:
    """Count the outcomes, a row a kind."""
    pairs = [(s.name, outcome(s, r)) for s, r in zip(made, readings, strict=True)]
    table = pd.DataFrame(pairs, columns=["kind", "outcome"])
    counts = pd.crosstab(table["kind"], table["outcome"])
    counts = counts.reindex(table["kind"].unique(), columns=OUTCOMES, fill_value=0)
    counts.insert(0, "n", counts.sum(axis=1))
    return counts.rename_axis(columns=None)
