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
from digits.pictures.mnist_form import SIDE, ink_box, is_mnist_form
from digits.recognizer.candidates import CONFIDENT
from digits.recognizer.classifier import BATCH, Classifier
from digits.recognizer.detector import Detector
from digits.recognizer.looks import Viewer
from digits.recognizer.reading import DigitReading, Reading

BLANK = (
    "nothing is written on it, or too faintly for its grain; write darker or take a sharper photo"
)


class Recognizer(Classifier):
    """A classifier that reads pictures, too. Use `load`; for its attributes see `Classifier`."""

    @cached_property
    def detector(self) -> Detector:
        """What finds the digits: the shipped detector, unless another is assigned."""
        return Detector.load()

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

        Images that are in MNIST form already, as data sets hold them by the thousand, go to the
        model together. An InputError among the pictures stands for one that could not be fetched.
        """
        for is_small, group in groupby(map(_open, pictures), key=_is_small):
            while batch := list(islice(group, BATCH if is_small else 1)):
                sure = self._sure_digits([p.pixels for _, p, _ in batch]) if is_small else [None]
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

    def _sure_digits(self, images: list[np.ndarray]) -> list[DigitReading | None]:
        """Return a digit for each grey image, (28, 28), that is in MNIST form and sure as it is.

        All others are read like any other picture.
        """
        stack = np.stack(images)
        is_ready = is_mnist_form(stack)
        probabilities = np.zeros((len(stack), 10), np.float32)
        probabilities[is_ready] = self.probabilities(stack[is_ready])

        def digit_on(image: np.ndarray, row: np.ndarray) -> DigitReading | None:
            confidence = float(row.max())
            if confidence < max(CONFIDENT, self.threshold):
                return None
            left, top, width, height = ink_box(image)
            box = (left - 1, top - 1, width + 2, height + 2)  # as a glyph's, with its soft edge
            return DigitReading(int(row.argmax()), confidence, box, 0, True, False, image)

        return list(map(digit_on, images, probabilities))

    def _read_picture(self, file: str, picture: Picture, source, single: bool) -> Reading:
        viewer = Viewer(self.detector, self.log_probabilities, self.threshold, single)
        look = viewer.view(picture, partial(decode, source))
        if not (look.found or look.unread):
            message = "what is written is not a digit" if look.ink.mask.any() else BLANK
            return Reading(file, status="no-digit", message=message)
        n_others = viewer.count_others(look) if single else 0
        digits = [replace(d, accepted=d.accepted and not n_others) for d in look.digits()]
        reading = Reading.of(file, digits, n_unread=len(look.unread), turn=look.turn)
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
    """Tell whether a picture has 28 by 28 grey pixels."""
    return isinstance(entry[1], Picture) and entry[1].pixels.shape == (SIDE, SIDE)
