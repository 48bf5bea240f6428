"""Reads digits: a model in ONNX Runtime over images in MNIST form, or over any picture.

TensorFlow is not needed, nor imported.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from digits import InputError
from digits.config import CHAMPION
from digits.pictures import Picture, decode, filters, find_digits, find_ink, to_mnist_form
from digits.pictures.glyphs import Glyph, encloses, farthest, is_line, merge, typical_size
from digits.pictures.ink import DARK, LIGHT, Ink, remove_border_region
from digits.pictures.mnist_form import ink_box, is_mnist_form
from digits.pictures.reading_order import in_reading_order, words
from digits.pictures.segmentation import (
    at_necks,
    merge_features,
    propose_merges,
    propose_splits,
)
from digits.pictures.sheet import Window, cut_out, find_sheet

if TYPE_CHECKING:
    import pandas as pd

SIDE = 28
NOT_A_DIGIT = 10  # index of the output that rejects, in models that have it
SLACK = 0.5  # what floats may lie beyond 0 and 1
BATCH = 128  # images that are run at a time, which bounds the memory

# What speaks against an explanation of the ink, as natural logarithms of probability. Glyphs as
# they stand are the rule; pieces to be joined and digits that touch are the exceptions.
JOIN_PRICE = 0.7
# What speaks for joining: pieces that lie inside one another; strokes that all but touch.
KINSHIP_GAINS = np.array([6.0, 2.0])
# A splinter of a broken stroke may look like a 1, which it is hardly so near to what it completes.
SPLINTER_GAIN = 2.0
SPLINTER_GAP = 0.12  # of the larger piece's longer side
CUT_PRICE = 1.5
LEAST_ALONE = 0.2  # certainty of cuts on a picture that shows no digit beside them
MOST_WAYS = 12  # readings of touching digits that are followed from cut to cut
DROP_PRICE = 1.0
# What tells digits that touch from letters that can be cut as well: the pieces' summed log
# probability, the width over the height, the number of cuts. A logistic regression on touching digits
# of MNIST's training images and touching letters of `synthesis`, 370 of them in equal parts.
TOUCHING = np.array([0.46, 2.68, -1.23])
TOUCHING_PRIOR = 1.3  # odds that a wide glyph is digits rather than letters, where no digit is near
HOPE = 0.3  # share of a picture's glyphs that are sure, if it is a page of digits
FEW = 4  # glyphs up to which unsure answers are given all the same
CROWD = 40  # glyphs from which a picture without hope is not looked at more closely
MOST_CUT = 1_500_000  # pixels of all glyphs that are tried as digits that touch
CERTAIN = 0.95  # probability of "no digit" from which something as large as the digits is dropped
WIDE = 1.2  # width over height from which a glyph may well be several digits
PAIR = 0.7  # the same from which it may be two narrow ones
SURE = 0.95  # a glyph read with at least this confidence is not cut
SMALL = 0.4  # share of the usual height below which only a sure digit is taken for one
LOW = 0.6  # share of the usual height below which a stroke may be a comma rather than a 1
PALE = 0.5  # share of the darkest ink from which a stroke is no fainter than others
TURNED = {
    1: "read after a quarter turn to the left",
    2: "read upside down",
    3: "read after a quarter turn to the right",
}
SIGN = 0.25  # correlation of a plus or a times, written by hand, with itself turned
MOST_CLOSE = 50_000_000  # pixels of a picture that is opened again as a whole, for the memory
COUNTERS = 4  # pieces of paper in and around one digit, at most
SPANS = 0.6  # share of the picture's longer side
SMALL_SIDE = 40  # working pixels below which digits are looked at again where there are more
REDUCED = 0.67  # scale of a picture that was made smaller
ALIKE = 0.7  # share of another digit's longer side from which a 1 is as large


@dataclass(frozen=True)
class DigitReading:
    """One digit on a picture.

    Attributes
    ----------
    digit : int
        0 to 9.
    confidence : float
        Calibrated probability of `digit`, 0 to 1.
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
    image: np.ndarray


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
        For people: what is the matter, and what to do. Empty for "ok", unless the page was turned or
        there are more pages.
    digits : tuple of DigitReading
    """

    file: str
    text: str = ""
    rows: tuple[str, ...] = ()
    confidence: float = 0.0
    status: str = "ok"
    message: str = ""
    digits: tuple[DigitReading, ...] = ()

    def to_dict(self) -> dict:
        """Return what `digits predict --json` prints."""
        return {
            "file": self.file,
            "text": self.text,
            "rows": list(self.rows),
            "confidence": round(self.confidence, 4),
            "status": self.status,
            "message": self.message,
            "digits": [
                {
                    "digit": digit.digit,
                    "confidence": round(digit.confidence, 4),
                    "box": list(digit.box),
                    "row": digit.row,
                    "accepted": digit.accepted,
                    "cut": digit.cut,
                }
                for digit in self.digits
            ],
        }


@dataclass(frozen=True)
class _Scored:
    """A glyph and what the model says of it: log-probabilities of ten digits, and of none."""

    glyph: Glyph
    image: np.ndarray
    digits: np.ndarray
    none: float

    @property
    def best(self) -> float:
        return float(self.digits.max())

    @property
    def confidence(self) -> float:
        return float(np.exp(self.best))

    @property
    def worth(self) -> float:
        """How well this glyph explains its ink: as a digit, or as something to be dropped."""
        return max(self.best, self.none - DROP_PRICE)


@dataclass(frozen=True)
class _Look:
    """One way to look at a picture, and what it explains.

    `found` is read; `left` is as large as a digit and neither read nor for certain something else;
    `things` is everything, as it hangs together. The part of the picture that was looked at begins
    at `origin`, in pixels of the upright picture. The page was turned to the left `turn` times.
    """

    ink: Ink
    found: list[_Scored]
    left: list[_Scored]
    things: list[_Scored]
    turn: int = 0
    origin: tuple[int, int] = (0, 0)

    def place(self, glyph: Glyph) -> tuple[int, int, int, int]:
        """Return a glyph's left, top, width and height in pixels of the upright picture."""
        x, y, across, down = glyph.box
        width, height = self.ink.size
        for _ in range(self.turn):
            x, y, across, down = height - y - down, x, down, across
            width, height = height, width
        return x + self.origin[0], y + self.origin[1], across, down


class Recognizer:
    """A model that reads digits.

    Use `Recognizer.load`.

    Attributes
    ----------
    card : dict
        The model's card.
    temperature : float
        What logits are divided by, so that the confidence is the share of right answers.
    threshold : float
        The confidence from which an answer is accepted.
    """

    def __init__(self, session, card: dict):
        self._session = session
        self._input = session.get_inputs()[0].name
        self.card = card
        self.temperature = float(card["temperature"])
        self.threshold = float(card["threshold"])

    @classmethod
    def load(
        cls, path: str | os.PathLike | None = None, *, threads: int | None = None
    ) -> Recognizer:
        """Load a model.

        Parameters
        ----------
        path : path or None
            A folder with ``model.onnx`` and ``card.json`` (a run's folder), or an ``.onnx`` file
            with ``card.json`` beside it; the shipped model by default.
        threads : int or None
            Cores that the model may use; by default all.

        Raises
        ------
        InputError
            If there is no such model, or it is not one of this project's.
        """
        path = Path(path) if path is not None else CHAMPION
        model = path / "model.onnx" if path.is_dir() else path
        _refuse_keras(path / "model.keras" if path.is_dir() and not model.exists() else path)
        if not model.is_file():
            raise InputError(
                f"{model} does not exist; give a run's folder or an .onnx file, "
                "or train one with `digits train`"
            )
        card_path = model.with_name("card.json")
        try:
            card = json.loads(card_path.read_text(encoding="utf-8"))
            if not 0 < float(card["temperature"]) < math.inf:
                raise ValueError(f"the temperature is {card['temperature']!r}")
            if not 0 <= float(card["threshold"]) <= 1:
                raise ValueError(f"the threshold is {card['threshold']!r}")
        except FileNotFoundError:
            raise InputError(f"{card_path} is missing; it belongs beside {model.name}") from None
        except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise InputError(
                f"{card_path} is no model card ({type(error).__name__}: {error}); "
                "expected JSON with a temperature above 0 and a threshold from 0 to 1"
            ) from None

        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors only: notes on the machine help no reader
        # Idle threads would otherwise spin, and slow down whatever else runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                os.fspath(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors share no base class
            reason = str(error).splitlines()[0]
            raise InputError(f"{model} is no ONNX model that can be run ({reason})") from None
        shape, outputs = session.get_inputs()[0].shape, session.get_outputs()[0].shape
        if list(shape[1:]) != [SIDE, SIDE, 1] or outputs[-1] not in (10, 11):
            raise InputError(
                f"{model} takes {shape} and gives {outputs}; expected (n, 28, 28, 1) and (n, 10) or "
                "(n, 11)"
            )
        return cls(session, card)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the model's raw outputs.

        Parameters
        ----------
        images : numpy.ndarray
            uint8 0 to 255 or float 0 to 1, (n, 28, 28) or (n, 28, 28, 1), in MNIST form.

        Returns
        -------
        numpy.ndarray
            float32 (n, 10), or (n, 11) where the model has an output for "not a digit".

        Raises
        ------
        InputError
            If the images have another shape, dtype or range.
        """
        return self._run(images, 0)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return what the layer before the output computes: where an image lies for the model.

        Parameters
        ----------
        images : numpy.ndarray
            As for `logits`.

        Returns
        -------
        numpy.ndarray
            float32 (n, units of that layer), none negative.

        Raises
        ------
        InputError
            If the model's file gives logits alone, or as for `logits`.
        """
        if len(self._session.get_outputs()) < 2:
            raise InputError(
                "this model's file gives no features; write it anew with `digits export`"
            )
        return self._run(images, 1)

    def _run(self, images: np.ndarray, which: int) -> np.ndarray:
        """Return one of the outputs for images in MNIST form."""
        images = np.asarray(images)
        if images.ndim == 4 and images.shape[3] == 1:  # as Keras has them
            images = images[..., 0]
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise InputError(
                f"images of shape {images.shape} arrived; expected (n, 28, 28) in MNIST form "
                "(digits.pictures.to_mnist_form makes it)"
            )
        if not _is_shades(images):
            raise InputError(
                f"images of {images.dtype}{_range(images)} arrived; expected uint8 from 0 to 255, or "
                "floats from 0 to 1"
            )
        scale = 255.0 if images.dtype == np.uint8 else 1.0
        output = self._session.get_outputs()[which]
        out = np.empty((len(images), output.shape[-1]), np.float32)
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].astype(np.float32)[..., None] / scale
            (found,) = self._session.run([output.name], {self._input: batch})
            out[start : start + BATCH] = found
        return out

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return the calibrated probability of each digit, float32 (n, 10).

        A row sums to one, less what the model gives to "not a digit".
        """
        return np.exp(self._log_probabilities(images)[:, :10])

    def _log_probabilities(self, images: np.ndarray) -> np.ndarray:
        scaled = self.logits(images) / self.temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Read images in MNIST form.

        Parameters
        ----------
        images : numpy.ndarray
            As for `logits`: ink is white on black.

        Returns
        -------
        pandas.DataFrame
            One row an image: digit (int), confidence (float, 0 to 1), accepted (bool).

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed; `probabilities` and `read` do without.
        """
        import pandas as pd

        probabilities = self.probabilities(images)
        confidence = probabilities.max(axis=1) if len(probabilities) else np.zeros(0)
        return pd.DataFrame(
            {
                "digit": probabilities.argmax(axis=1),
                "confidence": confidence,
                "accepted": confidence >= self.threshold,
            }
        )

    # --- Pictures --------------------------------------------------------------------------------

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

        Images that stand in MNIST form already, as data sets hold them by the thousand, go to the
        model together. An InputError among the pictures stands for one that could not be had.
        """
        waiting: list[tuple[str, Picture, object]] = []
        for picture in pictures:
            file = os.fspath(picture) if isinstance(picture, str | os.PathLike) else ""
            try:
                if isinstance(picture, InputError):
                    raise picture
                decoded = decode(picture)
            except InputError as error:
                yield from self._read_small(waiting, single)
                yield Reading(file, status="error", message=str(error))
                waiting = []
                continue
            small = decoded.pixels.shape == (SIDE, SIDE)
            if small:
                waiting.append((file, decoded, picture))
            if not small or len(waiting) == BATCH:
                yield from self._read_small(waiting, single)
                waiting = []
            if not small:
                yield _noted(self._read_decoded(file, decoded, single, picture), decoded)
        yield from self._read_small(waiting, single)

    def _read_small(
        self, pictures: list[tuple[str, Picture, object]], single: bool
    ) -> Iterator[Reading]:
        """Read pictures of 28 by 28 grey pixels: those in MNIST form as they are.

        An image that the model is not sure of is read like any other picture.
        """
        if not pictures:
            return
        images = np.stack([decoded.pixels for _, decoded, _ in pictures])
        ready = is_mnist_form(images)
        probabilities = np.zeros((len(images), 10), np.float32)
        probabilities[ready] = self.probabilities(images[ready])
        sure = probabilities.max(1) >= max(SURE, self.threshold)
        for index, (file, decoded, source) in enumerate(pictures):
            if sure[index]:
                reading = _sure_reading(file, images[index], probabilities[index])
            else:
                reading = self._read_decoded(file, decoded, single, source)
            yield _noted(reading, decoded)

    def _read_decoded(self, file: str, decoded: Picture, single: bool, source) -> Reading:
        look = self._closer_look(decoded, self._best_look(decoded, single), single, source)
        reading = self._reading(file, look)
        if single and look.found and (beside := self._beside(look.ink, look.found[0])):
            digits = tuple(replace(digit, accepted=False) for digit in reading.digits)
            what = "another digit is" if beside == 1 else f"{beside} more digits are"
            message = f"{what} on it; read it as a page, not as a single digit"
            return replace(reading, digits=digits, status="unsure", message=message)
        return reading

    def _best_look(self, decoded: Picture, single: bool) -> _Look:
        look = self._look(find_ink(decoded), single)
        return look if self._is_sure(look) else self._second_look(decoded, look, single)

    def _closer_look(self, decoded: Picture, look: _Look, single: bool, source) -> _Look:
        """Look at the sheet alone where it does not fill the picture, and at small writing closely."""
        width, height = decoded.size
        if width * height > MOST_CLOSE:
            return look
        for find in (find_sheet, partial(self._small_writing, look=look)):
            window = find(decoded)
            if window is None:
                continue
            try:
                part = cut_out(window, partial(decode, source))
            except InputError:  # it was moved, or shows only now that it is damaged
                continue
            left, top, *_ = window.box
            origin = int(left * width), int(top * height)
            closer = replace(self._best_look(part, single), origin=origin)
            clear = self._clear(look)
            boxes = [look.place(scored.glyph) for scored in clear]
            if not all(_is_on(window.box, box, decoded.size) for box in boxes):
                continue
            gain = len(self._clear(closer)) - len(clear)
            n_sure, before = self._n_sure(closer.found), self._n_sure(look.found)
            surer = n_sure > before or _confidence(closer.found) > _confidence(look.found)
            if gain > 0 or (gain == 0 and n_sure >= before and surer and not self._is_sure(look)):
                look = closer
        return look

    def _clear(self, look: _Look) -> list[_Scored]:
        """Return what is a digit for certain and no 1, which any scratch on a desk looks like."""
        sure = [s for s in look.found if s.confidence >= self.threshold]
        return [s for s in sure if s.digits.argmax() != 1]

    def _small_writing(self, decoded: Picture, look: _Look) -> Window | None:
        """Return where something is written, if it was made too small to be read there."""
        glyphs = [scored.glyph for scored in look.found + look.left]
        if not glyphs or look.ink.scale > REDUCED or typical_size(glyphs) > SMALL_SIDE:
            return None
        boxes = np.array([look.place(glyph) for glyph in glyphs], float)
        margin = 2 * boxes[:, 2:].max()
        low, high = boxes[:, :2].min(0) - margin, (boxes[:, :2] + boxes[:, 2:]).max(0) + margin
        box = np.clip(np.concatenate([low, high]) / np.tile(decoded.size, 2), 0, 1)
        return Window(tuple(box.tolist()))

    def _is_sure(self, look: _Look) -> bool:
        return bool(look.found) and not look.left and self._n_sure(look.found) == len(look.found)

    def _n_sure(self, scored: list[_Scored]) -> int:
        return sum(s.confidence >= self.threshold for s in scored)

    def _second_look(self, decoded: Picture, first: _Look, single: bool) -> _Look:
        """Look again, in other ways, at a picture that was not read for certain.

        A desk or a rule may be taken for ink, or ink for a rule; the paper for ink; the page may lie
        on its side. What wins must explain more than the first look, not be surer of less.
        """
        best, ink = first, first.ink
        if ink.rules.any() and not ink.mask.any():
            return first  # an empty cell
        inner = remove_border_region(ink)
        if inner.mask.any() and not np.array_equal(inner.mask, ink.mask):
            again = self._look(inner, single)
            if _confidence(again.found) > _confidence(best.found) and not self._loses(again, best):
                best = again
        if ink.rules.any() and ink.mask.any() and len(best.found) < 2:
            # The stem of a 4 may go from one edge of the picture to the other.
            again = self._look(find_ink(decoded, ink.polarity, rules=False), single)
            if self._is_sure(again) and len(again.things) == 1:
                best = again
        if single or self._is_sure(best):
            return best
        turn = self._likely_turn(best)
        if turn:
            page = np.rot90(decoded.pixels, turn)
            size = decoded.size[:: -1 if turn % 2 else 1]
            turned = find_ink(replace(decoded, pixels=page, size=size), best.ink.polarity)
            again = replace(self._look(turned, single), turn=turn)
            if self._n_sure(again.found) > 2 * self._n_sure(best.found):
                return again
        if _confidence(best.found) < self.threshold:
            # What was paper a moment ago reaches around the picture.
            light = find_ink(decoded, LIGHT if ink.polarity == DARK else DARK)
            again = self._look(remove_border_region(light), single)
            surer = _confidence(again.found) >= self.threshold
            surer &= self._n_sure(again.found) >= self._n_sure(best.found)
            if surer and not self._loses(again, best) and _explains(again, best):
                return again
        return best

    def _likely_turn(self, look: _Look) -> int:
        """Return after how many quarter turns to the left far more things are digits, else 0.

        One digit alone does not tell: a 6 is a 9, and many a 4 or 7 is a sign of its own. Nor does a
        1, which any level line is after a quarter turn.
        """
        if len(look.things) < 2:
            return 0
        images = np.stack([scored.image for scored in look.things])
        turned = [self.probabilities(np.rot90(images, turn, (1, 2))) for turn in range(4)]
        n_sure = [np.count_nonzero((p.max(1) >= SURE) & (p.argmax(1) != 1)) for p in turned]
        best = int(np.argmax(n_sure))
        if best % 2 and n_sure[best] == n_sure[best - 2]:
            return 0  # which side is up cannot be told
        return best if n_sure[best] >= max(2, 2 * n_sure[0]) else 0

    def _loses(self, look: _Look, other: _Look) -> bool:
        """Tell whether what the other look reads for certain is ink that this one does not read."""

        def is_lost(scored: _Scored) -> bool:
            glyph = scored.glyph
            if any(_holds(found.glyph, glyph) for found in look.found):
                return False
            down = slice(glyph.top, glyph.top + glyph.height)
            own = glyph.ink > 0.5 * glyph.ink.max()
            ink = look.ink.mask[down, glyph.left : glyph.left + glyph.width]
            return np.count_nonzero(ink & own) > 0.5 * np.count_nonzero(own)

        return any(is_lost(s) for s in other.found if s.confidence >= self.threshold)

    def _score(self, glyphs: Sequence[Glyph]) -> list[_Scored]:
        if not glyphs:
            return []
        images = np.stack([to_mnist_form(glyph.ink) for glyph in glyphs])
        table = self._log_probabilities(images)
        none = (
            table[:, NOT_A_DIGIT] if table.shape[1] > NOT_A_DIGIT else np.full(len(table), -np.inf)
        )
        return [
            _Scored(glyph, image, row[:10], float(lost))
            for glyph, image, row, lost in zip(glyphs, images, table, none, strict=True)
        ]

    def _look(self, ink: Ink, single: bool) -> _Look:
        """Choose the explanation of the ink that the model finds most probable."""
        glyphs = find_digits(ink)
        if not glyphs:
            return _Look(ink, [], [], [])
        if single:
            found = [self._as_one(glyphs)]
            return _Look(ink, found, [], found)
        alone = self._score(glyphs)
        if len(glyphs) > CROWD and self._hopeless(alone):
            # Grain, leaves, cloth: the pieces are no digits, nor are their joins.
            return _Look(ink, [], [], alone)
        proposals = propose_merges(glyphs)
        joined = self._score([merge([glyphs[i] for i in members]) for members in proposals])
        chosen = _with_joins(alone, proposals, joined)
        n_sure = sum(scored.confidence >= self.threshold for scored in chosen)
        # The small ones first, while their areas are small together: a page of large scribbles
        # would be cut for minutes.
        areas = [whole.glyph.ink.size for whole in chosen]
        order = np.argsort(areas, kind="stable")
        allowed = set(order[np.cumsum(np.take(areas, order)) <= MOST_CUT].tolist())
        chosen = [
            part
            for index, whole in enumerate(chosen)
            for part in (self._cut_if_better(whole, n_sure) if index in allowed else [whole])
        ]
        found, left = self._without_strangers(chosen)
        if len(found) > FEW and self._hopeless(found):
            found, left = [], []
        return _Look(ink, found, left, alone)

    def _hopeless(self, scored: list[_Scored]) -> bool:
        """Tell whether hardly any of many glyphs is a digit: it is no page of digits, then."""
        sure = sum(s.confidence >= self.threshold or s.glyph.cut for s in scored)
        return sure < HOPE * len(scored)

    def _as_one(self, glyphs: list[Glyph]) -> _Scored:
        """Take all as one digit: everything, or the largest with what is near, or it alone."""
        largest = max(range(len(glyphs)), key=lambda index: glyphs[index].side)
        options = [glyphs, [glyphs[largest]]]
        options += [
            [glyphs[i] for i in members] for members in propose_merges(glyphs) if largest in members
        ]
        return max(self._score([merge(option) for option in options]), key=lambda s: s.best)

    def _beside(self, ink: Ink, one: _Scored) -> int:
        """Count what else on the picture is large, and for certain a digit."""
        x, y, width, height = one.glyph.box

        def inside(glyph: Glyph) -> bool:
            left, top, across, down = glyph.box
            return (
                x <= left and y <= top and left + across <= x + width and top + down <= y + height
            )

        others = [
            glyph
            for glyph in find_digits(ink)
            if glyph.side >= 0.5 * one.glyph.side and not inside(glyph)
        ]
        return sum(scored.confidence >= SURE for scored in self._score(others))

    def _cut_if_better(self, whole: _Scored, n_sure: int) -> list[_Scored]:
        """Return the digits that touch, or the whole where it is no more than one."""
        glyph = whole.glyph
        if glyph.width < 0.5 * glyph.height:
            return [whole]
        if whole.confidence >= SURE:
            if glyph.width < PAIR * glyph.height:
                return [whole]
            # A fainter neighbour may hang on to a digit, which looks no different to the model.
            parts = [self._score(parts) for parts in at_necks(glyph, ALIKE)]
            if any(min(part.confidence for part in proposal) >= SURE for proposal in parts):
                return [replace(whole, digits=whole.digits - np.log(2))]
            return [whole]
        parts = max(map(self._score, at_necks(glyph)), key=_confidence, default=[])
        if 2 * sum(part.confidence >= SURE for part in parts) >= max(len(parts), 1):
            return [piece for part in parts for piece in self._cut_if_better(part, n_sure + 1)]
        if whole.none > whole.best and _is_sign(whole.image):
            return [whole]
        lattice = propose_splits(glyph)
        if not lattice:
            return [whole]
        flat = iter(self._score([piece for pieces in lattice for piece in pieces]))
        scored = [[next(flat) for _ in pieces] for pieces in lattice]
        value, pieces, share = _best_way(scored)
        if value <= whole.best:
            return [whole]
        # A letter, too, can be cut into strokes like digits: how likely is it that these are some?
        # Less so on a picture without any other digit.
        evidence = np.array(
            [sum(piece.best for piece in pieces), glyph.width / glyph.height, len(pieces) - 1]
        )
        likely = -np.logaddexp(0.0, -(TOUCHING @ evidence + np.log(TOUCHING_PRIOR * (1 + n_sure))))
        certainty = likely + share
        if likely < np.log(0.5) or (not n_sure and certainty < np.log(LEAST_ALONE)):
            if min(piece.confidence for piece in pieces) < SURE:
                return [whole]
            return [replace(whole, none=min(whole.none, np.log(0.9)))]  # not for certain no digit
        return [replace(piece, digits=piece.digits + certainty) for piece in pieces]

    def _without_strangers(self, found: list[_Scored]) -> tuple[list[_Scored], list[_Scored]]:
        """Drop what is no digit, unless nothing else is there.

        What has the size of the digits beside it is dropped only where that is certain, and never
        where it is wider than one digit: digits that touch, or one written in an odd way, must make
        the answer unsure, not shorter.

        Returns
        -------
        digits : list of _Scored
        left : list of _Scored
            What was dropped, but may be a digit, or hold some.
        """
        usual = typical_size([scored.glyph for scored in found])
        digits = [
            scored
            for scored in found
            if scored.none < scored.best
            and (scored.glyph.side >= SMALL * usual or scored.confidence >= SURE)
        ]
        digits = [scored for scored in digits if not _is_mark(scored, digits)]
        # What is drawn around a digit is a circle, not a 0.
        circles = [s for s in digits if any(encloses(s.glyph, other.glyph) for other in digits)]
        digits = [s for s in digits if not any(s is circle for circle in circles)]
        if not digits:
            return [s for s in found if s.glyph.side >= 0.5 * usual and s.none < np.log(0.9)], []
        heights = [scored.glyph.height for scored in digits]
        sides = [scored.glyph.side for scored in digits]

        def is_sign(scored: _Scored) -> bool:
            low = scored.glyph.height < 0.85 * usual
            return _is_sign(scored.image, SIGN if low else 2 * SIGN)

        def is_other(scored: _Scored) -> bool:
            return scored.none >= np.log(CERTAIN) or is_sign(scored)

        def doubtful(scored: _Scored) -> bool:
            glyph = scored.glyph
            if glyph.width > WIDE * glyph.height:
                is_high = 0.8 * min(heights) <= glyph.height <= 1.5 * max(heights)
                return is_high and not is_sign(scored)
            alike = 0.8 * min(sides) <= glyph.side <= 1.25 * max(sides)
            return alike and not is_other(scored)

        digits += [s for s in found if s.best <= s.none and doubtful(s)]
        # Fainter than the rest, and not a digit for certain: dirt, or what shows through the paper.
        faint = [s for s in digits if s.glyph.ink.max() < PALE and s.confidence < self.threshold]
        if len(faint) < len(digits):
            digits = [s for s in digits if not any(s is pale for pale in faint)]
        digits = self._without_words(digits, found)
        kept = {id(scored) for scored in digits}
        dropped = [s for s in found if id(s) not in kept and not _is_mark(s, digits)]
        dropped = [s for s in dropped if s.glyph.side >= 0.5 * usual]
        if not dropped:
            return digits, []
        is_upright = not self._lies(digits + dropped, len(digits))

        def is_around(glyph: Glyph) -> bool:
            return any(encloses(glyph, digit.glyph) for digit in digits)

        def may_hold_digits(scored: _Scored) -> bool:
            # Those that hang together, or hang on to a line.
            glyph = scored.glyph
            if glyph.width > PAIR * glyph.height and glyph.height >= 0.8 * min(heights):
                return not is_sign(scored)
            return glyph.side > 1.5 * max(sides) and not is_line(glyph)

        dropped = [s for s in dropped if not is_around(s.glyph)]
        left = [s for s in dropped if not (is_upright and is_other(s)) or may_hold_digits(s)]
        return digits, left

    def _lies(self, scored: list[_Scored], n_digits: int) -> bool:
        """Tell whether all are digits after a turn, though only the first of them are as they stand."""
        images = np.stack([s.image for s in scored])
        for turn in (1, 2, 3):
            turned = self.probabilities(np.rot90(images, turn, (1, 2)))
            # Any level line is a 1 after a quarter turn.
            if turned.max(1).min() >= SURE and (turned[n_digits:].argmax(1) != 1).all():
                return True
        return False

    def _without_words(self, digits: list[_Scored], found: list[_Scored]) -> list[_Scored]:
        """Leave out what stands among letters: most of a word is no digit for certain."""
        sure = {id(s.glyph.ink) for s in digits if s.confidence >= self.threshold}
        letters = set()
        for word in words([scored.glyph for scored in found]):
            inks = {id(glyph.ink) for glyph in word if not is_line(glyph)}
            if len(inks) > 2 and len(inks & sure) < 0.5 * len(inks):
                letters |= inks
        if len(sure - letters) < 2:
            return digits
        return [scored for scored in digits if id(scored.glyph.ink) not in letters]

    def _reading(self, file: str, look: _Look) -> Reading:
        found = look.found
        if not found:
            written = bool(look.ink.mask.any())
            message = (
                "what is written is no digit"
                if written
                else "nothing is written on it, or too faintly for its grain; write darker or take a "
                "sharper photo"
            )
            return Reading(file, status="no-digit", message=message)
        by_place = {id(s.glyph.ink): s for s in found}
        digits = []
        for glyph in in_reading_order([scored.glyph for scored in found]):
            scored = by_place[id(glyph.ink)]
            confidence = scored.confidence
            digits.append(
                DigitReading(
                    int(scored.digits.argmax()),
                    confidence,
                    look.place(glyph),
                    glyph.row,
                    confidence >= self.threshold,
                    glyph.cut,
                    scored.image,
                )
            )
        rows = [""] * (digits[-1].row + 1)
        for digit in digits:
            rows[digit.row] += str(digit.digit)
        unsure = sum(not digit.accepted for digit in digits)
        messages = []
        if unsure:
            what = "the digit" if len(digits) == 1 else f"{unsure} of {len(digits)} digits"
            messages.append(f"not sure of {what}; look at it, or give a clearer picture")
        if look.left:
            n, verb = len(look.left), "is" if len(look.left) == 1 else "are"
            what = "thing" if n == 1 else "things"
            messages.append(
                f"{n} more {what} as large as digits {verb} not read; look at the picture"
            )
        if look.turn:
            messages.append(TURNED[look.turn])
        return Reading(
            file,
            "".join(rows),
            tuple(rows),
            min(digit.confidence for digit in digits),
            "unsure" if unsure or look.left else "ok",
            "; ".join(messages),
            tuple(digits),
        )


def _refuse_keras(path: Path) -> None:
    """Say how to come from a model of Keras to the one that is read here."""
    if path.suffix.lower() not in (".keras", ".h5", ".hdf5") or not path.is_file():
        return
    saved, model = path.with_name("model.keras"), path.with_name("model.onnx")
    if model.is_file():
        advice = f"give its folder, {path.parent}"
    else:
        advice = f"`digits export --format onnx --run {path.parent} {model}` writes it"
        if path.name != saved.name:
            advice = f"save it from Keras as {saved}, and {advice}"
    raise InputError(f"{path} is a model of Keras, and ONNX is expected; {advice}")


def _is_shades(images: np.ndarray) -> bool:
    """Tell whether an array's dtype and values are those that `Recognizer.logits` takes."""
    if images.dtype == np.uint8 or images.dtype == bool:
        return True
    if images.dtype.kind != "f" or not images.size:
        return images.dtype.kind == "f"
    # Enlarging and sharpening go a little beyond; NaN fails both.
    return bool(images.min() >= -SLACK and images.max() <= 1 + SLACK)


def _range(images: np.ndarray) -> str:
    """Return what numbers an array holds, for a message."""
    if images.dtype.kind not in "if" or not images.size:
        return ""
    return f" from {images.min()} to {images.max()}"


def _noted(reading: Reading, picture: Picture) -> Reading:
    """Add what is to be said of the file to what is said of the reading."""
    if not picture.note:
        return reading
    return replace(reading, message="; ".join(filter(None, (reading.message, picture.note))))


def _sure_reading(file: str, image: np.ndarray, probabilities: np.ndarray) -> Reading:
    """Return the reading of an image in MNIST form."""
    left, top, width, height = ink_box(image)
    digit = DigitReading(
        digit=int(probabilities.argmax()),
        confidence=float(probabilities.max()),
        box=(left - 1, top - 1, width + 2, height + 2),  # as a glyph's, with its soft edge
        row=0,
        accepted=True,
        cut=False,
        image=image,
    )
    return Reading(file, str(digit.digit), (str(digit.digit),), digit.confidence, digits=(digit,))


def _confidence(found: list[_Scored]) -> float:
    """Return the mean confidence of the digits found, 0 where there are none."""
    return float(np.mean([scored.confidence for scored in found])) if found else 0.0


def _is_on(window, box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    """Tell whether a box, in pixels, lies on a window, in shares of a picture, and is not all of it."""
    middle = [(box[axis] + box[axis + 2] / 2) / size[axis] for axis in (0, 1)]
    share = [box[axis + 2] / size[axis] / (window[axis + 2] - window[axis]) for axis in (0, 1)]
    inside = all(window[axis] <= middle[axis] <= window[axis + 2] for axis in (0, 1))
    return inside and share[0] * share[1] < 0.5


def _swallows(whole: _Scored, pieces: list[_Scored], tallest: int) -> bool:
    """Tell whether a digit that is certain would be lost in a whole: in a circle, or on a line.

    It may be a piece of a digit that is certain, too, and no larger than others, `tallest` pixels.
    """
    sure = [piece for piece in pieces if piece.confidence >= SURE]
    if not sure:
        return False
    circled = any(
        other.glyph.side > piece.glyph.side and encloses(other.glyph, piece.glyph)
        for piece in sure
        for other in pieces
    )
    return circled or whole.confidence < SURE or whole.glyph.side > 1.35 * tallest


def _is_sign(image: np.ndarray, least: float = SIGN) -> bool:
    """Tell whether what is no digit is a plus, a times or the like, (28, 28): two strokes that cross.

    It looks much the same after a quarter turn and a half, and has its ink in the middle.
    """
    if not image.any():
        return False
    left, top, width, height = ink_box(image)
    square = Image.fromarray(image).resize((21, 21), box=(left, top, left + width, top + height))
    ink = filters.gaussian_filter(np.asarray(square, np.float32), 1.5)
    turns = [np.corrcoef(ink.ravel(), np.rot90(ink, turn).ravel())[0, 1] for turn in (1, 2)]
    return min(turns) >= least and ink[10, 10] > 0.8 * ink.max()


def _holds(glyph: Glyph, other: Glyph) -> bool:
    """Tell whether another glyph, about as large at most, has its middle in this one's box."""
    across = other.left + other.width / 2 - glyph.left
    down = other.top + other.height / 2 - glyph.top
    inside = 0 <= across <= glyph.width and 0 <= down <= glyph.height
    return inside and other.side <= 1.5 * glyph.side


def _explains(look: _Look, other: _Look) -> bool:
    """Tell whether what is as large as a digit in another look lies in the digits of this one.

    Several things in one digit are not explained by it. But a thing at the picture's edge may be the
    paper, and others the counters of digits; a thing around several digits is their paper, too.
    """
    found = [scored.glyph for scored in look.found]
    things = [scored.glyph for scored in other.things]
    height, width = look.ink.mask.shape

    def is_clear(glyph: Glyph) -> bool:
        right, bottom = glyph.left + glyph.width, glyph.top + glyph.height
        return glyph.left > 0 and glyph.top > 0 and right < width and bottom < height

    clear = [thing for thing in things if is_clear(thing)]
    held = [sum(_holds(glyph, thing) for thing in clear) for glyph in found]
    if len(clear) == len(things) and max(held, default=0) > 1:
        return False
    if len(found) == 1 and len(things) > COUNTERS and found[0].side > SPANS * max(height, width):
        return False
    least = 0.5 * typical_size(found)
    return not any(
        thing.side >= least
        and not any(_holds(glyph, thing) for glyph in found)
        and sum(_holds(thing, glyph) for glyph in found) < 2
        for thing in clear
    )


def _is_mark(stroke: _Scored, digits: list[_Scored]) -> bool:
    """Tell whether what reads as a 1 is a comma, an apostrophe or a bit of a line among digits.

    All have the same shape. But a 1 is about as tall as the digits beside it, and crosses their
    middle, where marks stand above or below it.
    """
    if stroke.digits.argmax() != 1:
        return False
    glyph, usual = stroke.glyph, typical_size([scored.glyph for scored in digits])
    if glyph.side >= LOW * usual:
        return False
    others = [other.glyph for other in digits if other.digits.argmax() != 1]
    if any(glyph.side >= ALIKE * other.side for other in others):
        return False
    if glyph.side < SMALL * usual:
        return True
    beside = [
        other.glyph
        for other in digits
        if other.glyph.side * LOW > glyph.side
        and other.glyph.top < glyph.top + glyph.height
        and glyph.top < other.glyph.top + other.glyph.height
    ]
    beside.sort(key=lambda other: abs(other.left + other.width / 2 - glyph.left))
    return any(
        not glyph.top < other.top + other.height / 2 < glyph.top + glyph.height
        for other in beside[:2]
    )


def _best_way(scored: list[list[_Scored]]) -> tuple[float, list[_Scored], float]:
    """Choose the cuts between touching digits.

    Parameters
    ----------
    scored : list of list of _Scored
        What the model says of the pieces of `segmentation.propose_splits`.

    Returns
    -------
    value : float
        Log probability of the best pieces, less the price of each cut.
    pieces : list of _Scored
    share : float
        Log probability of what they read, among all that other cuts would read.
    """
    n = len(scored)
    # What can be read up to each edge: text -> value of all ways, value and pieces of the best.
    ways: list[dict[str, tuple[float, float, list[_Scored]]]] = [{} for _ in range(n + 1)]
    ways[0][""] = (0.0, 0.0, [])
    for first, pieces in enumerate(scored):
        likeliest = sorted(ways[first].items(), key=lambda way: -way[1][0])[:MOST_WAYS]
        for last, piece in enumerate(pieces, first + 1):
            gain = piece.best - (CUT_PRICE if last < n else 0.0)
            for text, (total, value, before) in likeliest:
                text += str(piece.digits.argmax())
                known = ways[last].get(text, (-np.inf, -np.inf, []))
                best = max(known[1:], (value + gain, [*before, piece]), key=lambda way: way[0])
                ways[last][text] = (np.logaddexp(known[0], total + gain), *best)
    total, value, pieces = max(ways[n].values(), key=lambda way: way[0])
    every = np.logaddexp.reduce([way[0] for way in ways[n].values()])
    return value, pieces, float(total - every)


def _with_joins(
    alone: list[_Scored], proposals: list[tuple[int, ...]], joined: list[_Scored]
) -> list[_Scored]:
    """Replace pieces by the digits that they make, the most convincing first.

    What is a digit for certain is a piece only of what is one for certain, too.
    """
    gains, near = [], []
    for members, whole in zip(proposals, joined, strict=True):
        pieces = [alone[i] for i in members]
        gain = KINSHIP_GAINS @ merge_features([piece.glyph for piece in pieces])
        least, *_, most = sorted(pieces, key=lambda piece: piece.glyph.side)
        near.append(farthest([piece.glyph for piece in pieces]) < SPLINTER_GAP * most.glyph.side)
        is_splinter = least.confidence < SURE or least.digits.argmax() == 1
        is_splinter &= least.glyph.side < ALIKE * whole.glyph.side
        if near[-1] and whole.confidence >= SURE and is_splinter:
            gain += SPLINTER_GAIN
        gains.append(whole.best - JOIN_PRICE + gain - sum(piece.worth for piece in pieces))
    taken: set[int] = set()
    chosen = []
    tallest = max((s.glyph.height for s in alone if s.confidence >= SURE), default=math.inf)
    swallows = [
        _swallows(whole, [alone[i] for i in members], tallest)
        for members, whole in zip(proposals, joined, strict=True)
    ]
    for index in np.argsort([-gain for gain in gains], kind="stable"):
        if swallows[index]:
            continue
        if gains[index] > 0 and not taken & set(proposals[index]):
            taken |= set(proposals[index])
            chosen.append(joined[index])
    # Where the whole would be as sure a digit as its pieces, it is not certain which is meant.
    open_ = {
        i
        for members, whole, is_near, lost in zip(proposals, joined, near, swallows, strict=True)
        if is_near and not lost and whole.confidence >= SURE and not taken & set(members)
        for i in members
    }
    rest = [index for index in range(len(alone)) if index not in taken]
    return [
        replace(alone[i], digits=alone[i].digits - np.log(2)) if i in open_ else alone[i]
        for i in rest
    ] + chosen
