"""Drawings as pen strokes: rendered, saved, and how much each piece of them mattered.

A stroke is a list of points (x, y, width), in pixels of the drawing pad, x to the right and y down.
"""

from __future__ import annotations

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
PLACES = (-max(SIZE), 2 * max(SIZE))  # pixels: up to a pad's width around the pad
MAX_POINTS = 50_000  # hours of drawing
MY_DIGITS = ROOT / "my_digits"
MARGIN = 32  # pixels of paper around a drawing: as much as the frame that a photo leaves
ENLARGED = 2  # how much larger strokes are drawn before they are reduced, for soft edges
# Length of a piece in shares of a digit's longer side: 5 of MNIST's 20 pixels, the width of the
# square that `evaluation.occlusion_map` covers an image with.
PIECE = 0.25
MIN_DOUBT = 1e-6  # resolution of a probability near one in single precision
# Drawings by name, so that notebook 07 and the tests run without a hand at the pad: points (x, y).
RECORDED: dict[str, list[list[list[int]]]] = json.loads(
    Path(__file__).with_name("recorded.json").read_text(encoding="utf-8")
)


def checked(strokes: Iterable) -> list[Stroke]:
    """Return strokes of points (x, y) or (x, y, width) with each number checked.

    Points without a width get `BRUSH`. Widths are clipped to `WIDTHS`, places to `PLACES`; strokes
    without points are left out.

    Raises
    ------
    InputError
        If a point is not two or three finite numbers, or there are more than `MAX_POINTS`.
    """
    try:
        whole = [[_validated_point(point) for point in stroke] for stroke in strokes]
    except (TypeError, OverflowError) as error:  # the latter: an integer beyond all floats
        raise InputError(f"strokes are lists of points (x, y, width); {error}") from None
    total = sum(map(len, whole))
    if total > MAX_POINTS:
        raise InputError(f"{total:,} points arrived, at most {MAX_POINTS:,} are taken; clear some")
    return [stroke for stroke in whole if stroke]


def _validated_point(point: Sequence[float]) -> Point:
    values = tuple(point) if len(point) == 3 else (*point, BRUSH)
    finite = [isinstance(value, int | float) and math.isfinite(value) for value in values]
    if finite != [True] * 3:
        raise InputError(f"point {point!r} arrived; expected (x, y, width) in pixels of the pad")
    limits = zip(values, (PLACES, PLACES, WIDTHS), strict=True)
    return tuple(min(max(value, low), high) for value, (low, high) in limits)


def render(strokes: Sequence[Stroke], margin: float = MARGIN) -> np.ndarray:
    """Draw strokes with a round pen, on a sheet that ends `margin` pixels around them.

    Returns uint8 (height, width): 255 paper, 0 ink, grey at the strokes' edges.
    """
    (left, top), size = _sheet_bounds(strokes, margin)
    image = Image.new("L", (size[0] * ENLARGED, size[1] * ENLARGED), 255)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        points = ENLARGED * (np.array(stroke, float) - (left, top, 0))
        for x, y, width in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
        for (x0, y0, width0), (x1, y1, width1) in pairwise(points):
            pen.line((x0, y0, x1, y1), fill=0, width=max(1, round((width0 + width1) / 2)))
    return np.asarray(image.reduce(ENLARGED))


def _sheet_bounds(strokes: Sequence[Stroke], margin: float) -> tuple[tuple, tuple]:
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
    digits = [
        replace(digit, box=(digit.box[0] + left, digit.box[1] + top, *digit.box[2:]))
        for digit in reading.digits
    ]
    return replace(reading, digits=tuple(digits))


def between(first: Sequence[Stroke], second: Sequence[Stroke], share: float) -> list[Stroke]:
    """Interpolate between two drawings of as many strokes and points: from 0, the first, to 1."""
    pairs = [(np.array(a), np.array(b)) for a, b in zip(first, second, strict=True)]
    return [[tuple(point) for point in (a + share * (b - a)).tolist()] for a, b in pairs]


# --- Occlusion by strokes --------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A part of a drawing, and the answer for its digit without it.

    Attributes
    ----------
    stroke, place : int
        Index of its stroke, and of its digit from left to right.
    points : list of Point
    evidence : float
        How much the part spoke for its digit: the log-odds of the digit with it, less those without.
    read, confidence : int, float
        The digit that is read without this part, and its probability.
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

    The rest is brought into MNIST form anew, as if the part had never been drawn.

    Parameters
    ----------
    reading : Reading
        From `read`.
    whole : bool
        Leave out whole strokes. Otherwise strokes are cut into pieces of `PIECE` of a digit's side:
        most digits are written in one stroke, without which nothing is left.

    Returns
    -------
    list of Part
        In the order in which they were drawn, without those that are all of their digit.
    """
    digits = reading.digits
    if not digits:
        return []
    length = PIECE * float(np.median([max(digit.box[2:]) for digit in digits]))
    pieces = [
        (number, piece)
        for number, stroke in enumerate(strokes)
        for piece in ([stroke] if whole else cut(stroke, length))
    ]
    places = np.array([_nearest(piece, digits) for _, piece in pieces])
    parts: dict[int, Part] = {}
    for place, digit in enumerate(digits):
        own = np.flatnonzero(places == place)
        if len(own) < 2:
            continue
        rests = [[pieces[i][1] for i in own if i != left_out] for left_out in (None, *own)]
        images = np.stack([to_mnist_form(255.0 - render(rest, margin=1)) for rest in rests])
        rows = recognizer.probabilities(images)
        p = np.clip(rows[:, digit.digit].astype(float), MIN_DOUBT, 1 - MIN_DOUBT)
        log_odds = np.log(p / (1 - p))
        for i, evidence, row in zip(own, log_odds[0] - log_odds[1:], rows[1:], strict=True):
            best = int(row.argmax())
            parts[i] = Part(*pieces[i], place, float(evidence), best, float(row[best]))
    return [parts[i] for i in sorted(parts)]


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
    cuts = np.linspace(0, along[-1], n_pieces + 1)
    stations = np.union1d(along, cuts)
    refined = np.stack([np.interp(stations, along, column) for column in points.T], axis=1)
    return [
        [tuple(point) for point in refined[(stations >= start) & (stations <= end)].tolist()]
        for start, end in pairwise(cuts)
    ]


def _nearest(piece: Stroke, digits: Sequence[DigitReading]) -> int:
    """Return the index of the digit whose box a piece lies in, or nearest to."""
    points = np.array(piece)[:, None, :2]
    boxes = np.array([digit.box for digit in digits], float)
    near, far = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    outside = np.maximum(np.maximum(near - points, points - far), 0)
    from_middle = np.abs(points - (near + far) / 2).sum(axis=2)
    # Boxes may overlap: the smaller term decides there.
    distances = np.hypot(*np.moveaxis(outside, 2, 0)) + 0.01 * from_middle
    return int(distances.mean(axis=0).argmin())


# --- Files ---------------------------------------------------------------------------------------


def save(
    strokes: Sequence[Stroke], label: str, reading: Reading, folder: Path = MY_DIGITS
) -> list[Path]:
    """Save a drawing as PNG files whose names start with their label, as `digits finetune` reads.

    A label of one digit saves the whole drawing. A label of as many digits as were read, from left to
    right, saves each digit's strokes in a file of its own. No file is ever replaced.

    Raises
    ------
    InputError
        If nothing is drawn, the label does not fit, or the files cannot be written.
    """
    if not strokes:
        raise InputError("nothing is drawn; draw a digit first")
    if not (label.isascii() and label.isdigit()):
        raise InputError(f"the label {label!r} is not a number; give the digits that you drew")
    n_read = len(reading.digits)
    if len(label) not in (1, n_read):
        raise InputError(
            f"the label {label!r} has {len(label)} digits, but {n_read or 'none'} were read; draw them "
            "apart, or one by one"
        )
    drawings: list[list[Stroke]] = [[] for _ in label]
    for stroke in strokes:
        drawings[0 if len(label) == 1 else _nearest(stroke, reading.digits)].append(stroke)
    if not all(drawings):
        raise InputError("one stroke runs through two digits; draw them apart, or one by one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pairs = zip(label, drawings, strict=True)
        return [_save_new(folder, digit, render(drawing)) for digit, drawing in pairs]
    except OSError as error:
        raise InputError(
            f"cannot save in {folder} ({error.strerror}); free some space, or check who may write"
        ) from None


def _save_new(folder: Path, digit: str, picture: np.ndarray) -> Path:
    """Write a picture under a name that no file has."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        path = folder / f"{digit}_{stamp}-{number}.png"
        try:
            with path.open("xb") as file:
                Image.fromarray(picture).save(file, "PNG", optimize=True)
            return path
        except FileExistsError:
            continue
        except OSError:
            path.unlink(missing_ok=True)  # the disk is full: no part of a picture stays
            raise
