"""Reads digits on any picture, with a classifier for images in MNIST form."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby, islice

import numpy as np

from digits import InputError
from digits.pictures import Picture, decode
from digits.pictures.small import SmallDigit, is_small, small_digits
from digits.recognizer.candidates import CONFIDENT
from digits.recognizer.classifier import BATCH, Classifier
from digits.recognizer.detector import Detector
from digits.recognizer.looks import Viewer
from digits.recognizer.reading import DigitReading, Reading

# Confidence from which one stroke on a small picture that was not in MNIST form is not looked at as a
# page: of 2,400 pairs of MNIST's training digits that overlap by 1 to 6 pixels, 21 are one digit then.
UNDOUBTED = 0.99
BLANK = (
    "nothing is written on it, or too faintly for its grain, or up to all edges; write darker, "
    "leave a margin, or take a sharper photo"
)


class Recognizer(Classifier):
    """A classifier that reads pictures, too. Use `load`; for its attributes see `Classifier`."""

    @cached_property
    def detector(self) -> Detector:
        """What finds the digits: the shipped detector, unless another is assigned."""
        return Detector.load(threads=self.threads)

    def read(self, picture, *, single: bool = False) -> Reading:
        """Read the digits on a picture.

        Parameters
        ----------
        picture : path, bytes, PIL image or array
            Whatever `digits.pictures.decode` takes.
        single : bool
            Take the picture as one digit. It is unsure where other digits stand beside that one.

        Returns
        -------
        Reading
            Also for a picture that cannot be read: its status is "error" then.
        """
        return next(self.read_many([picture], single=single))

    def read_many(self, pictures: Iterable, *, single: bool = False) -> Iterator[Reading]:
        """Read pictures one by one, in order; see `read`.

        Small plain pictures of one digit, as data sets hold them by the thousand, go to the model
        together. An InputError among the pictures stands for one that could not be fetched. A path or
        the bytes of one picture are refused by an InputError: those are for `read`.
        """
        if isinstance(pictures, str | bytes | os.PathLike):
            raise InputError("one picture arrived, expected several; give it to read, or a list")
        for small, group in groupby(map(_open, pictures), key=_is_small):
            while batch := list(islice(group, BATCH if small else 1)):
                sure = self._sure_digits([p.pixels for _, p, _ in batch]) if small else [None]
                for (file, opened, source), digit in zip(batch, sure, strict=True):
                    if isinstance(opened, InputError):
                        yield Reading(file, status="error", message=str(opened))
                        continue
                    if digit:
                        reading = Reading.of(file, [digit])
                    else:
                        reading = self._read_picture(file, opened, source, single)
                    message = "; ".join(filter(None, (reading.message, opened.note)))
                    yield replace(reading, message=message)

    def _sure_digits(self, pictures: list[np.ndarray]) -> list[DigitReading | None]:
        """Return a digit for each small picture that is plain, and sure as it is.

        All others are read like any other picture.
        """
        found = small_digits(pictures)
        images = [digit.image for digit in found if digit]
        probabilities = iter(self.probabilities(np.stack(images)) if images else [])

        def read(digit: SmallDigit) -> DigitReading | None:
            row = next(probabilities)
            confidence = float(row.max())
            if confidence < max(CONFIDENT if digit.as_given else UNDOUBTED, self.threshold):
                return None
            return DigitReading(
                int(row.argmax()), confidence, digit.box, 0, True, False, digit.image
            )

        return [digit and read(digit) for digit in found]

    def _read_picture(self, file: str, picture: Picture, source, single: bool) -> Reading:
        viewer = Viewer(self.detector, self.log_probabilities, self.threshold, single)
        look = viewer.view(picture, partial(decode, source))
        if not (look.found or look.unread):
            message = "what is written is not a digit" if look.ink.mask.any() else BLANK
            return Reading(file, status="no-digit", message=message)
        n_others = viewer.count_others(look) if single else 0
        digits = [replace(d, accepted=d.accepted and not n_others) for d in look.digits()]
        unread = [look.place(thing.glyph) for thing in look.unread]
        reading = Reading.of(file, digits, unread=unread, turn=look.turn)
        if not n_others:
            return reading
        what = "another digit is" if n_others == 1 else f"{n_others} more digits are"
        message = f"{what} on it; read it as a page, not as a single digit"
        return replace(reading, message=message)


def _open(picture) -> tuple[str, Picture | InputError, object]:
    """Return a picture's path, if it has one, what it holds or why it cannot be read, and itself."""
    file = path_of(picture)
    try:
        return file, picture if isinstance(picture, InputError) else decode(picture), picture
    except InputError as error:
        return file, error, picture


def path_of(picture) -> str:
    """Return a picture's path; empty for bytes, images and arrays."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else ""


def _is_small(entry: tuple[str, Picture | InputError, object]) -> bool:
    """Tell whether a picture may go the short way."""
    return isinstance(entry[1], Picture) and is_small(entry[1].pixels)
