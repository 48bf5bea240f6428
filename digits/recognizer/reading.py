"""What was read on one picture, and what people are told about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

TURNED = "", "after a quarter turn to the left", "upside down", "after a quarter turn to the right"


@dataclass(frozen=True)
class DigitReading:
    """One digit on a picture.

    Attributes
    ----------
    digit : int
        0 to 9.
    confidence : float
        Probability of `digit`, 0 to 1; calibrated for digits that stand alone.
    box : tuple of int
        Left, top, width and height in pixels of the upright picture.
    row : int
        Row of the page, from 0 at the top.
    accepted : bool
        Whether the confidence reaches the model's threshold.
    cut : bool
        Whether the digit touches its neighbour and was cut from it.
    image : numpy.ndarray
        uint8 (28, 28): the digit in MNIST form, as the model saw it.
    """

    digit: int
    confidence: float
    box: tuple[int, int, int, int]
    row: int
    accepted: bool
    cut: bool
    image: np.ndarray = field(repr=False)

    def to_dict(self) -> dict:
        """Return all but the image."""
        values = {name: value for name, value in vars(self).items() if name != "image"}
        return values | {"confidence": round(self.confidence, 4), "box": list(self.box)}


@dataclass(frozen=True)
class Reading:
    """What was read on one picture.

    Attributes
    ----------
    file : str
        The path that was given; empty for bytes, images and arrays.
    text : str
        All digits in reading order.
    rows : tuple of str
        The digits of each row.
    confidence : float
        That of the least certain digit, 0 to 1.
    status : str
        "ok"; "unsure": `text` is the best guess, or something as large as a digit is not in it;
        "no-digit": nothing is written, or no digit; "error": the picture could not be read.
    message : str
        For people: what is wrong, and what to do. Empty for "ok", unless the page was turned or
        there are more pages.
    digits : tuple of DigitReading
    unread : tuple of tuple of int
        Boxes, as a digit's, of what is as large as a digit and was neither read nor recognised as
        something else.
    """

    file: str
    text: str = ""
    rows: tuple[str, ...] = ()
    confidence: float = 0.0
    status: str = "ok"
    message: str = ""
    digits: tuple[DigitReading, ...] = ()
    unread: tuple[tuple[int, int, int, int], ...] = ()

    @classmethod
    def of(
        cls, file: str, digits: Sequence[DigitReading], *, unread: Sequence = (), turn: int = 0
    ) -> Reading:
        """Sum up the digits found, in reading order.

        What is `unread` is as large as digits, and where no digit is found at least one thing; the
        page was turned left `turn` times.
        """
        n_unsure = sum(not digit.accepted for digit in digits)
        messages = []
        if n_unsure:
            what = "the digit" if len(digits) == 1 else f"{n_unsure} of {len(digits)} digits"
            messages.append(f"not sure of {what}; look at it, or give a clearer picture")
        if n_unread := len(unread):
            things, are = ("thing", "is") if n_unread == 1 else ("things", "are")
            more = "more " if digits else ""
            what = f"{n_unread} {more}{things} as large as digits {are} not read"
            messages.append(what if n_unsure else f"{what}; look at the picture")
        if turn:
            messages.append(f"read {TURNED[turn]}")
        rows = [""] * (digits[-1].row + 1 if digits else 0)
        for digit in digits:
            rows[digit.row] += str(digit.digit)
        status = "unsure" if n_unsure or n_unread else "ok"
        least = min((digit.confidence for digit in digits), default=0.0)
        found = tuple(digits), tuple(unread)
        return cls(file, "".join(rows), tuple(rows), least, status, "; ".join(messages), *found)

    def to_dict(self) -> dict:
        """Return what `digits predict --json` prints."""
        return vars(self) | {
            "rows": list(self.rows),
            "confidence": round(self.confidence, 4),
            "digits": [digit.to_dict() for digit in self.digits],
            "unread": [list(box) for box in self.unread],
        }
