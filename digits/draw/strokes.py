"""Drawings as pen strokes: to a picture, into files, and what each piece of them was worth.

A stroke is a list of points (x, y, width), in pixels of the drawing pad, x to the right and y down.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from digits import InputError
from digits.config import ROOT
from digits.pictures import to_mnist_form

if TYPE_CHECKING:
    from digits.recognizer import DigitReading, Reading, Recognizer

Point = tuple[float, float, float]
Stroke = list[Point]

SIZE = (480, 240)  # width and height of the pad in its own pixels
BRUSH = 14.0  # pixels: on a digit of three quarters of the pad's height, like the pens of MNIST
WIDTHS = (1.0, 80.0)  # pixels
MAX_POINTS = 50_000  # hours of drawing: more is no drawing
MY_DIGITS = ROOT / "my_digits"
MARGIN = 32  # pixels of paper around a drawing: as much as the frame that a photo leaves
ENLARGED = 2  # how much larger strokes are drawn before they are reduced, for soft edges
# Length of a piece in shares of a digit's longer side: 5 of MNIST's 20 pixels, the width of the
# square that `evaluation.occlusion_map` covers an image with.
PIECE = 0.25
MIN_DOUBT = 1e-6  # what single precision leaves of a doubt


# Drawings by name, so that notebook 07 and the tests run without a hand at the pad: points (x, y).
RECORDED: dict[str, list[list[list[int]]]] = json.loads(
    Path(__file__).with_name("recorded.json").read_text(encoding="utf-8")
)


def checked(strokes: Iterable) -> list[Stroke]:
    """Return strokes as lists of points (x, y, width), each number looked at.

    Parameters
    ----------
    strokes : iterable of iterable of (x, y) or (x, y, width)
        In pixels of the pad. Points without a width get `BRUSH`. Widths are brought into `WIDTHS`,
        places to at most a pad's width off the pad; strokes without points are left out.

    Raises
    ------
    InputError
        If a point is not two or three finite numbers, or there are more than `MAX_POINTS`.
    """
    try:
        whole = [[_validated_point(point) for point in stroke] for stroke in strokes]
    except (TypeError, OverflowError) as error:  # the latter: a whole number beyond all floats
        raise InputError(f"strokes are lists of points (x, y, width); {error}") from None
    total = sum(map(len, whole))
    if total > MAX_POINTS:
        raise InputError(f"{total:,} points arrived, at most {MAX_POINTS:,} are taken; clear some")
    return [stroke for stroke in whole if stroke]


def _validated_point(point: Sequence[float]) -> Point:
    values = tuple(point) if len(point) == 3 else (*point, BRUSH)
    if len(values) != 3 or not all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    ):
        raise InputError(
            f"the point {point!r} arrived; expected (x, y, width) in pixels of the pad"
        )
    x, y, width = values
    off = max(SIZE)
    return (
        min(max(x, -off), 2 * off),
        min(max(y, -off), 2 * off),
        min(max(width, WIDTHS[0]), WIDTHS[1]),
    )


def render(strokes: Sequence[Sequence[Point]], margin: float = MARGIN) -> np.ndarray:
    """Draw strokes with a round pen, on a sheet as large as they need and a margin around.

    The paper that a drawing does not use says nothing, and would take time to look at.

    Parameters
    ----------
    strokes : sequence of sequence of Point
    margin : float
        In pixels of the pad.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width): 255 paper, 0 ink, grey at the strokes' edges.
    """
    (left, top), size = _sheet_bounds(strokes, margin)
    image = Image.new("L", (size[0] * ENLARGED, size[1] * ENLARGED), 255)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        points = [
            ((x - left) * ENLARGED, (y - top) * ENLARGED, width * ENLARGED)
            for x, y, width in stroke
        ]
        for x, y, width in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
        for (x0, y0, width0), (x1, y1, width1) in pairwise(points):
            pen.line((x0, y0, x1, y1), fill=0, width=max(1, round((width0 + width1) / 2)))
    return np.asarray(image.reduce(ENLARGED))


def _sheet_bounds(strokes: Sequence[Sequence[Point]], margin: float) -> tuple[tuple, tuple]:
    """Return the corner, in pixels of the pad, and the size of the sheet that strokes are drawn on."""
    points = np.array([point for stroke in strokes for point in stroke] or [(0, 0, 1)], float)
    reach = points[:, 2:] / 2 + margin
    low = np.floor((points[:, :2] - reach).min(axis=0)).astype(int)
    high = np.ceil((points[:, :2] + reach).max(axis=0)).astype(int)
    return tuple(low.tolist()), tuple((high - low).tolist())


def read(strokes: Sequence[Stroke], recognizer: Recognizer, *, single: bool = False) -> Reading:
    """Read a drawing as any picture is read; the digits' boxes are in pixels of the pad."""
    reading = recognizer.read(render(strokes), single=single)
    (left, top), _ = _sheet_bounds(strokes, MARGIN)
    digits = []
    for digit in reading.digits:
        x, y, width, height = digit.box
        digits.append(replace(digit, box=(x + left, y + top, width, height)))
    return replace(reading, digits=tuple(digits))


def between(first: Sequence[Stroke], second: Sequence[Stroke], share: float) -> list[Stroke]:
    """Return a drawing on the way from one to another, which has as many strokes and points.

    Parameters
    ----------
    first, second : sequence of Stroke
        From `checked`.
    share : float
        0 for the first to 1 for the second.
    """
    pairs = zip(first, second, strict=True)
    ways = [(np.array(a), np.array(b) - np.array(a)) for a, b in pairs]
    return [[tuple(point) for point in (start + share * way).tolist()] for start, way in ways]


# --- What mattered -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A part of a drawing, and what its digit is without it.

    Attributes
    ----------
    stroke : int
        The stroke that it belongs to, counted from 0.
    points : list of Point
    place : int
        The digit that it belongs to: a place in `Reading.digits`.
    evidence : float
        What the part said for the digit: how far the logarithm of its odds falls without the part;
        negative where it spoke against the digit.
    read : int
        What is read when this part is left out.
    confidence : float
        Probability of `read`, 0 to 1.
    """

    stroke: int
    points: list[Point]
    place: int
    evidence: float
    read: int
    confidence: float


def what_mattered(
    strokes: Sequence[Stroke], reading: Reading, recognizer: Recognizer, *, whole: bool = False
) -> list[Part]:
    """Read each digit again with each part of its strokes left out in turn.

    What is left is brought into MNIST form anew, as if the part had never been drawn.

    Parameters
    ----------
    strokes : sequence of Stroke
    reading : Reading
        What `read` found on them.
    recognizer : Recognizer
    whole : bool
        Leave out whole strokes. Otherwise strokes are cut into pieces of `PIECE` of a digit's side:
        most digits are written in one stroke, without which nothing is left.

    Returns
    -------
    list of Part
        In the order in which they were drawn. Without those that are all of their digit.
    """
    digits = reading.digits
    if not digits:
        return []
    side = float(np.median([max(digit.box[2:]) for digit in digits]))
    pieces = [
        (number, piece)
        for number, stroke in enumerate(strokes)
        for piece in ([stroke] if whole else cut(stroke, PIECE * side))
    ]
    places = [_nearest(piece, digits) for _, piece in pieces]
    parts: dict[int, Part] = {}
    for place, digit in enumerate(digits):
        own = [index for index, of in enumerate(places) if of == place]
        if len(own) < 2:
            continue
        left_over = [[pieces[i][1] for i in own if i != out] for out in (None, *own)]
        rows = recognizer.probabilities(np.stack([_mnist_form(rest) for rest in left_over]))
        odds = _log_odds(rows[:, digit.digit])
        for index, evidence, row in zip(own, odds[0] - odds[1:], rows[1:], strict=True):
            read = int(row.argmax())
            parts[index] = Part(*pieces[index], place, float(evidence), read, float(row[read]))
    return [parts[index] for index in sorted(parts)]


def _log_odds(probability: np.ndarray) -> np.ndarray:
    bounded = np.clip(probability.astype(float), MIN_DOUBT, 1 - MIN_DOUBT)
    return np.log(bounded / (1 - bounded))


def cut(stroke: Stroke, length: float) -> list[Stroke]:
    """Cut a stroke into pieces of equal length, `length` pixels or somewhat more or less.

    Neighbouring pieces share the point where they were cut.
    """
    points = np.array(stroke, float)
    steps = np.hypot(*np.diff(points[:, :2], axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    n_pieces = max(1, round(along[-1] / length))
    if n_pieces == 1:
        return [list(stroke)]
    edges = np.linspace(0, along[-1], n_pieces + 1)
    ends = np.stack([np.interp(edges, along, column) for column in points.T], axis=1)
    pieces = []
    for i in range(n_pieces):
        inner = points[(along > edges[i]) & (along < edges[i + 1])]
        pieces.append([tuple(p) for p in np.vstack([ends[i], inner, ends[i + 1]]).tolist()])
    return pieces


def _nearest(piece: Stroke, digits: Sequence[DigitReading]) -> int:
    """Return the place of the digit whose box most of a piece lies in, or nearest to."""
    points = np.array(piece)[:, None, :2]
    boxes = np.array([digit.box for digit in digits], float)
    near, far = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = np.maximum(np.maximum(near - points, points - far), 0)
    from_middle = np.abs(points - (near + far) / 2).sum(axis=2)
    # Boxes may overlap: the smaller term decides there.
    distances = np.hypot(*np.moveaxis(outside, 2, 0)) + 0.01 * from_middle
    return int(distances.mean(axis=0).argmin())


def _mnist_form(pieces: Sequence[Stroke]) -> np.ndarray:
    """Return pieces as one digit in MNIST form."""
    return to_mnist_form(255.0 - render(pieces, margin=1))


# --- Files ---------------------------------------------------------------------------------------


def save(
    strokes: Sequence[Stroke], label: str, reading: Reading, folder: Path = MY_DIGITS
) -> list[Path]:
    """Save a drawing as PNG files whose names start with their label, as `digits finetune` reads.

    A label of one digit saves the whole drawing. A label of as many digits as were read saves each
    digit's strokes in a file of its own.

    Parameters
    ----------
    strokes : sequence of Stroke
    label : str
        The digits that are drawn, from left to right.
    reading : Reading
        What `read` found on them.
    folder : path
        Is made if it does not exist.

    Returns
    -------
    list of pathlib.Path
        New files; no file is ever replaced.

    Raises
    ------
    InputError
        If nothing is drawn, the label does not fit, or the files cannot be written.
    """
    if not strokes:
        raise InputError("nothing is drawn; draw a digit first")
    if not (label.isascii() and label.isdigit()):
        raise InputError(f"the label {label!r} is no digit; give the digits that you drew")
    n_read = len(reading.digits)
    if len(label) == 1:
        drawings = [strokes]
    elif len(label) == n_read:
        drawings = [[] for _ in label]
        for stroke in strokes:
            drawings[_nearest(stroke, reading.digits)].append(stroke)
        if not all(drawings):
            raise InputError("one stroke runs through two digits; draw them apart, or one by one")
    else:
        raise InputError(
            f"the label {label!r} has {len(label)} digits, {n_read or 'none'} of which were read; "
            "draw them apart, or one by one"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _save_new(folder, digit, render(drawing))
            for digit, drawing in zip(label, drawings, strict=True)
        ]
    except OSError as error:
        raise InputError(
            f"cannot save in {folder} ({error.strerror}); free some space, or check who may write"
        ) from None


def _save_new(folder: Path, digit: str, picture: np.ndarray) -> Path:
    """Write a picture under a name that no file has."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG", optimize=True)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        path = folder / f"{digit}_{stamp}-{number}.png"
        try:
            file = path.open("xb")
        except FileExistsError:
            continue
        try:
            with file:
                file.write(encoded.getvalue())
        except OSError:
            path.unlink(missing_ok=True)  # a part of a picture is no picture
            raise
        return path
