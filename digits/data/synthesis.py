"""Images that MNIST lacks, made by rule: other ways to write a digit, and things that are not digits.

MNIST was written in the United States around 1990: it has hardly any 1 with a long flag, few crossed
7s, no line drawn with a mouse, and nothing at all that is not a digit. A network trained on it alone
reads the flagged 1 as 7 and is sure of a shoe. Everything here is drawn from short lists of pen
strokes or from the fonts that Matplotlib installs, shaken, and put into MNIST form like any picture;
or it is a training digit, put on a poor picture and found there again.
"""

from __future__ import annotations

import functools
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.interpolate import CubicHermiteSpline

from digits.pictures import decode, find_digits, find_ink, to_mnist_form
from digits.pictures.mnist_form import ink_box

NOT_A_DIGIT = 10  # label of the reject class
CANVAS = 96  # side in pixels of the canvas that strokes are drawn on
INK_BOX = (22, 74)  # where the unit square of a glyph lies on it

# Pen strokes in the unit square, x to the right, y down: a stroke is a list of points that a smooth
# curve joins. By digit: ways to write it that training draws, and habits that it does not draw (the
# first one mostly misread or doubted, the second milder). "other": letters and signs that nobody
# writes like a digit (so no O, I, l, Z, S, B, b, G, q, g, D, closing brackets, ...).
_STROKES = json.loads(Path(__file__).with_name("strokes.json").read_text(encoding="utf-8"))
DIGIT_STROKES, HABITS = (
    [list(ways.values()) for ways in _STROKES[kind].values()] for kind in ("digits", "habits")
)
OTHER_STROKES = list(_STROKES["other"].values())

FONT_LETTERS = "AEFHKMNPRWXdefhkmnprwx" + "CTUVacuv" + "@#&%+=<>*"
FONT_FILES = (
    "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf", "STIXGeneral.ttf", "STIXGeneralItalic.ttf",
    "STIXGeneralBolIta.ttf", "cmr10.ttf", "cmss10.ttf", "cmtt10.ttf",
)  # fmt: skip


def digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `n` digits in ways that MNIST lacks: flagged 1s, crossed 7s, mouse lines, print.

    Returns images, uint8 (n, 28, 28) in MNIST form, and labels, int64 (n,).
    """
    rng = np.random.default_rng([seed, 1])
    # Half of them are 1s and 7s, where MNIST is poorest; a tenth is print.
    share = np.full(10, 0.5 / 8)
    share[[1, 7]] = 0.25
    labels = rng.choice(10, n, p=share)
    images = np.empty((n, 28, 28), np.uint8)
    for i, label in enumerate(labels):
        if rng.random() < 0.12:
            canvas = print_character(str(label), rng)
        else:
            # A narrow 7 is a flagged 1: only a broad one is certainly a 7.
            narrowest = 0.75 if label == 7 else 0.5
            canvas = _draw(_choice(DIGIT_STROKES[label], rng), rng, 0.045, narrowest)
        images[i] = to_mnist_form(canvas)
    return images, labels.astype(np.int64)


def rerender(n: int, x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Put `n` digits on small or poor pictures, and read them off again as a user's are read.

    They are chosen from training images `x`, uint8 (m, 28, 28), with labels `y`, and come back with
    coarse pixels, hard or washed edges, blocks of the compression, and breaks and lumps where the
    ink was faint. Returns images, uint8 (n, 28, 28) in MNIST form, and labels, int64 (n,).
    """
    rng = np.random.default_rng([seed, 3])
    images, labels = np.empty((n, 28, 28), np.uint8), np.empty(n, np.int64)
    i = 0
    while i < n:
        chosen = rng.integers(len(x))
        glyphs = find_digits(find_ink(decode(_poor_photo(_crop_to_ink(x[chosen]), rng))))
        if len(glyphs) == 1:  # torn or lost digits are for the rejection to learn
            images[i], labels[i] = to_mnist_form(glyphs[0].ink), y[chosen]
            i += 1
    return images, labels


def non_digits(n: int, x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Make `n` images that are not digits, to train the reject class.

    Letters and signs by pen and in print, scribbles, invented characters, filled shapes, textures;
    what pages hold besides: pieces of rules and frames, specks, rings around things; and the results
    of a wrong segmentation: several digits in one frame, or a part of one, cut from training images
    `x`, uint8 (m, 28, 28), with labels `y`. What a person could take for a digit is left out, such as
    an upright rule, a closing bracket or a ring around a single stroke. Returns uint8 (n, 28, 28) in
    MNIST form.
    """
    rng = np.random.default_rng([seed, 2])
    makers = (
        (0.28, lambda: _draw(_choice(OTHER_STROKES, rng), rng, jitter=0.06)),
        (0.18, lambda: print_character(_choice(FONT_LETTERS, rng), rng, bend=0.25)),
        (0.08, lambda: _draw(invented_character(rng), rng, jitter=0.02)),
        (0.05, lambda: _draw([rng.uniform(0, 1, (rng.integers(8, 16), 2))], rng, jitter=0.0)),
        (0.08, lambda: _shapes(rng)),
        (0.05, lambda: _texture(rng)),
        (0.06, lambda: _draw(_rules(rng), rng, jitter=0.02, narrowest=0.8, widest=8)),
        (0.03, lambda: _draw(_specks(rng), rng, jitter=0.0, widest=6)),
        (0.05, lambda: _ring(x, y, rng)),
        (0.10, lambda: _several(x, rng)),
        (0.04, lambda: _part(x, y, rng)),
    )
    shares = np.array([share for share, _ in makers])
    images = np.empty((n, 28, 28), np.uint8)
    for i, kind in enumerate(rng.choice(len(makers), n, p=shares / shares.sum())):
        images[i] = to_mnist_form(makers[kind][1]())
    return images


def _choice(items: Sequence, rng: np.random.Generator):
    """Return one item; `Generator.choice` would make an array of them."""
    return items[rng.integers(len(items))]


def _draw(
    strokes, rng: np.random.Generator, jitter: float, narrowest: float = 0.5, widest: int = 52
) -> np.ndarray:
    """Draw strokes with a shaken pen of at most `widest` pixels, slanted and stretched."""
    slant, angle = rng.normal(0, 0.15), rng.normal(0, 0.10)
    matrix = affine_matrix(slant, angle, rng.uniform(narrowest, 1.0), rng.uniform(0.85, 1.0))
    # 1 to 12 pixels on an ink box of 52: a mouse line to a felt pen. Mostly in between.
    pen_width = min(widest, max(1, round(rng.lognormal(1.45, 0.5))))
    level = int(rng.integers(150, 256))
    jittered = [np.asarray(stroke) + rng.normal(0, jitter, (len(stroke), 2)) for stroke in strokes]
    return draw_strokes(jittered, matrix, pen_width, level)


def affine_matrix(slant: float, angle: float, width: float, height: float) -> np.ndarray:
    """Return the matrix (2, 2) that stretches a glyph, slants it (tangent) and turns it (radians)."""
    shape = np.array([[width, -slant * height], [0.0, height]])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turn @ shape


def draw_strokes(strokes, matrix: np.ndarray, pen_width: int, level: int = 255) -> np.ndarray:
    """Draw strokes with a round pen; return uint8 (CANVAS, CANVAS), 0 background to `level` ink.

    Parameters
    ----------
    strokes : sequence of array
        Points (k, 2) of each stroke in the unit square, x to the right, y down.
    matrix : numpy.ndarray
        (2, 2), applied about the square's middle; see `affine_matrix`.
    pen_width : int
        In pixels of the canvas.
    """
    low, high = INK_BOX
    image = Image.new("L", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(image)
    radius = pen_width / 2
    for stroke in strokes:
        points = (smooth_curve(np.asarray(stroke)) - 0.5) @ matrix.T * (high - low) + CANVAS / 2
        pen.line(points.ravel().tolist(), fill=level, width=pen_width, joint="curve")
        if pen_width > 2:
            for px, py in points[[0, -1]].tolist():
                pen.ellipse((px - radius, py - radius, px + radius, py + radius), fill=level)
    return np.asarray(image)


def smooth_curve(points: np.ndarray, steps: int = 8) -> np.ndarray:
    """Return a Catmull-Rom curve through the points, (k, 2)."""
    if len(points) < 3:
        return points
    last = len(points) - 1
    curve = CubicHermiteSpline(range(last + 1), points, np.gradient(points, axis=0))
    return curve(np.linspace(0, last, steps * last + 1))


def invented_character(rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Return three to five random strokes: characters of no alphabet."""
    strokes = []
    for _ in range(rng.integers(3, 6)):
        start, end = rng.uniform(0, 1, (2, 2))
        strokes.append([start, (start + end) / 2 + rng.normal(0, 0.15, 2), end])
    return strokes


@functools.cache
def font(name: str) -> ImageFont.FreeTypeFont:
    """Return one of `FONT_FILES`, 64 pixels high."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), 64)


def print_character(character: str, rng: np.random.Generator, bend: float = 0.0) -> np.ndarray:
    """Print a character in one of Matplotlib's fonts, slightly turned.

    Its corners are moved by up to `bend` sides: bent print has many of the forms of letters by hand.
    """
    face = font(_choice(FONT_FILES, rng))
    image = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(image).text((CANVAS / 2, CANVAS / 2), character, 255, face, anchor="mm")
    if bend:
        corners = np.array([(0, 0), (0, 1), (1, 1), (1, 0)]) + rng.uniform(-bend, bend, (4, 2))
        how = Image.Transform.QUAD, (CANVAS * corners).ravel().tolist(), Image.Resampling.BILINEAR
        image = image.transform(image.size, *how)
    return np.asarray(image.rotate(rng.normal(0, 6), resample=Image.Resampling.BILINEAR))


def _shapes(rng: np.random.Generator) -> np.ndarray:
    """Return one to three filled polygons or ellipses with a rough inside: clothes, blots, icons."""
    image = Image.new("L", (CANVAS, CANVAS))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 4)):
        level = int(rng.integers(90, 256))
        x0, y0 = rng.uniform(8, 50, 2)
        x1, y1 = x0 + rng.uniform(20, 44), y0 + rng.uniform(20, 44)
        kind = rng.integers(3)
        if kind == 0:
            pen.ellipse((x0, y0, x1, y1), fill=level)
        elif kind == 1:
            pen.rectangle((x0, y0, x1, y1), fill=level)
        else:
            corners = rng.uniform(10, 86, (rng.integers(3, 8), 2))
            around = np.argsort(np.arctan2(*(corners - corners.mean(0)).T))
            pen.polygon([tuple(c) for c in corners[around]], fill=level)
    canvas = np.asarray(image, np.float32)
    if rng.random() < 0.5:
        canvas = canvas * (0.6 + 0.4 * _smooth_noise(rng, rng.integers(3, 12)))
    return canvas.clip(0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Return stripes or smooth noise, sometimes cut at a level: cloth, wood, shadows."""
    if rng.random() < 0.4:
        y, x = np.mgrid[:CANVAS, :CANVAS]
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 30)
        field = 0.5 + 0.5 * np.sin(
            2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 6)
        )
    else:
        field = _smooth_noise(rng, rng.integers(3, 16))
    if rng.random() < 0.5:
        field = np.where(field > 0.5, field, 0.0)
    return (255 * field).astype(np.uint8)


def _smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return smooth noise, float (CANVAS, CANVAS), 0 to 1."""
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8))
    smooth = coarse.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / 255


def _poor_photo(digit: np.ndarray, rng: np.random.Generator) -> bytes:
    """Return a compressed picture with one digit, 9 to 63 pixels high, dark on light or reverse."""
    height = round(9 * 7 ** rng.random())
    width = max(2, round(height * digit.shape[1] / digit.shape[0] * rng.uniform(0.85, 1.15)))
    # Cut at a level between thin and fat before it is reduced: a pen or a mouse has hard edges.
    large = Image.fromarray(digit).resize((4 * width, 4 * height), Image.Resampling.BICUBIC)
    hard = np.asarray(large, np.float32) > rng.uniform(70, 150)
    how = Image.Resampling.BOX if rng.random() < 0.7 else Image.Resampling.NEAREST
    ink = Image.fromarray((255 * hard).astype(np.uint8)).resize((width, height), how)
    margins = rng.integers(max(3, height // 4), height + 4, 4)
    ink = Image.fromarray(np.pad(np.asarray(ink), margins.reshape(2, 2)))
    if rng.random() < 0.5:
        ink = ink.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    ink, paper = np.asarray(ink, np.float32) / 255, rng.uniform(150, 255)
    light = paper - ink * rng.uniform(0.35, 0.95) * paper
    if rng.random() < 0.5:
        slope = np.linspace(-0.5, 0.5, light.shape[1]) * rng.uniform(-30, 30)
        light = light + slope + rng.normal(0, rng.uniform(0, 8), light.shape)
    if rng.random() < 0.25:
        light = 255 - light
    picture, kind = io.BytesIO(), "JPEG" if rng.random() < 0.5 else "PNG"
    quality = int(rng.integers(25, 95))
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(picture, kind, quality=quality)
    return picture.getvalue()


# The directions, right and down, of the arms of a piece of a rule or a frame. Left out is what could
# be a 1 or a 7: an upright, also with a foot to the left, and a corner at the upper right.
_RIGHT, _LEFT, _UP, _DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
_ARMS = (
    (_RIGHT, _LEFT), (_RIGHT, _UP), (_RIGHT, _DOWN), (_RIGHT, _LEFT, _DOWN), (_UP, _DOWN, _RIGHT),
    (_RIGHT, _LEFT, _UP, _DOWN),
)  # fmt: skip


def _rules(rng: np.random.Generator) -> list:
    """Return strokes: a dotted line, parallel lines, or a piece of a rule or of a frame."""
    kind = rng.random()
    if kind < 0.2:
        ends = np.sort(rng.uniform(0, 1, (rng.integers(3, 8), 2)))
        return [[(left, 0.5), (right, 0.5)] for left, right in ends]
    if kind < 0.35:
        n, is_level = rng.integers(2, 5), rng.random() < 0.5
        lines = [[(0, i / n), rng.uniform((0.6, i / n), (1, i / n))] for i in range(n)]
        return lines if is_level else [np.asarray(line)[:, ::-1] for line in lines]
    # Arms of like length: a T without its right arm is a 7.
    lengths = rng.uniform(0.8, 1.2, 4) / 2
    arms = zip(lengths, _choice(_ARMS, rng), strict=False)
    return [[(0.5, 0.5), 0.5 + length * np.array(arm)] for length, arm in arms]


def _specks(rng: np.random.Generator) -> list:
    """Return strokes: one to twelve dots, as grain, points and crumbs are."""
    places = rng.uniform(0, 1, (rng.integers(1, 13), 2))
    return [[place, place + rng.uniform(-1, 1, 2) * (0.03, 0.01)] for place in places]


def _ring(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a ring around something: a face, a circled letter or digit, a target, a wheel.

    Not around one stroke: that is a slashed 0.
    """

    def circle(radius: float) -> np.ndarray:
        angle = np.linspace(0, 2 * math.pi, 12)
        return 0.5 + radius * np.column_stack([np.cos(angle), np.sin(angle)])

    kind, strokes = rng.random(), []
    if kind < 0.3:  # two eyes and a mouth, which smiles or not
        eyes = [(0.5 + side * rng.uniform(0.1, 0.25), rng.uniform(0.25, 0.45)) for side in (-1, 1)]
        left, right, bend = rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8), rng.uniform(-0.2, 0.25)
        strokes = [[eye, np.add(eye, 0.02)] for eye in eyes]
        strokes += [[(left, 0.65), (0.5, 0.65 + bend), (right, 0.65)]]
    elif kind < 0.5:
        glyph = _choice([strokes for strokes in OTHER_STROKES if len(strokes) > 1], rng)
        inside = rng.uniform(0.3, 0.6)
        strokes = [0.5 + inside * (np.asarray(stroke) - 0.5) for stroke in glyph]
    elif kind < 0.6:
        strokes = [circle(rng.uniform(0.1, 0.25))]
    elif kind < 0.7:
        strokes = [[(0.5, 0), (0.5, 1)], [(0, 0.5), (1, 0.5)]]
    drawn = _draw([circle(0.5), *strokes], rng, jitter=0.02, narrowest=0.7, widest=5)
    if strokes:
        return drawn
    # A digit of the data; a 1 would be the one stroke.
    digit = Image.fromarray(_crop_to_ink(x[_choice(np.flatnonzero(y != 1), rng)]))
    factor = rng.uniform(18, 32) / max(digit.size)
    digit = digit.resize([max(1, round(side * factor)) for side in digit.size])
    ring = Image.fromarray(drawn)
    places = (CANVAS - np.array(digit.size)) / 2 + rng.uniform(-3, 3, 2)
    ring.paste(255, tuple(places.round().astype(int).tolist()), digit)
    return np.asarray(ring)


def _several(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return two or three digits side by side, or two in two rows, nearly touching."""
    n, in_rows = (2, True) if rng.random() < 0.2 else (2 + (rng.random() < 0.2), False)
    chosen = [_crop_to_ink(x[i]) for i in rng.integers(len(x), size=n)]
    if in_rows:
        return _side_by_side([part.T for part in chosen], rng).T
    return _side_by_side(chosen, rng)


def _side_by_side(parts: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    height = max(part.shape[0] for part in parts)
    gap = int(rng.integers(-2, 4))
    out = np.zeros((height + 4, sum(part.shape[1] for part in parts) + 12), np.uint8)
    left = 2
    for part in parts:
        top = int(rng.integers(0, height - part.shape[0] + 1))
        window = out[top : top + part.shape[0], left : left + part.shape[1]]
        np.maximum(window, part, out=window)
        left += max(1, part.shape[1] + gap)
    return out


def _part(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the top or bottom of a 0, 2, 3 or 5: as a ruled line or a wrong split leaves it."""
    candidates = np.flatnonzero(np.isin(y, (0, 2, 3, 5)))
    digit = _crop_to_ink(x[_choice(candidates, rng)])
    height = round(digit.shape[0] * rng.uniform(0.25, 0.35))
    return digit[:height] if rng.random() < 0.5 else digit[-height:]


def _crop_to_ink(image: np.ndarray) -> np.ndarray:
    left, top, width, height = ink_box(image > 40)
    return image[top : top + height, left : left + width]
