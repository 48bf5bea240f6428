"""Finds the digits in ink: where each is, which it may be, and which ink belongs to it.

A small fully convolutional network, trained on made pages, looks at the ink at a size at which digits
are about 32 pixels high. For each cell of four by four pixels it says whether the middle of a digit is
there, which digit its ink belongs to, and, for each quarter, where the middle of that digit lies: the
votes (a Hough transform), by which digits that touch are taken apart and broken ones put together.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL.Image import Resampling

from digits import InputError
from digits.config import CHAMPION
from digits.pictures import Glyph
from digits.pictures.filters import dilate, maximum_filter, resize
from digits.pictures.glyphs import merge, typical_size
from digits.recognizer.classifier import start_session

SIDE = 32  # pixels that digits are high where they are looked for; the unit of votes and sizes
CELL = 4  # pixels of a cell, along each axis
# Channels of a cell: the logit that the middle of a digit is there; those of the ten digits; the
# logarithms of width and height; of each quarter, across and down to the middle of its digit, and the
# logit that its ink belongs to one.
HEAT, CLASSES, SIZES, VOTES, OWNED = 0, slice(1, 11), slice(11, 13), slice(13, 21), slice(21, 25)
N_CHANNELS = 25
MOST_PIXELS = 4_000_000  # of scaled ink: specks far apart would be enlarged without end
MARGIN = 8  # pixels of paper around what is looked at
LEAST_HEAT = 0.3  # probability from which a middle is looked at
MOST_PEAKS = 300  # the most probable are taken; more are texture
LEAST_OWNED = 0.3  # the same from which ink is that of a digit
DARK = 0.1  # ink from which a quarter of a cell counts
NEAR = 0.6  # of a digit's size: how far from its middle votes may point
NARROWEST = 10  # pixels: a 1 may be narrower, but votes are not that exact
LEAST_INK = 0.25  # of a digit's height: the length of stroke that it has at least
PART = 0.12  # share of a glyph's ink from which it is a digit of its own
MOST = 0.4  # share of a digit's ink, the same
EXPLAINED = 0.5  # share of the ink that a look explains at least, or others are tried
PROBE = 512  # pixels: the side of the part of a page on which they are tried
SCALES = (0.6, 1.7)  # of other looks, the fastest first
STROKE = 0.2  # share of the darkest ink from which a pixel is part of a stroke
NOT_FOUND = 0.5  # of the probability that ink is a digit's is left where no middle was found
REST = 0.3  # share of a digit's ink that is not left out in silence


class Proposal(NamedTuple):
    """What may be a digit.

    `glyph` holds its ink, `probabilities`, float (10,), say which digit it is, and `heat` how probable
    it is that there is one, 0 to 1; or it is ink that belongs to no digit, and was not `found`. The
    ink is that of `sources`, or of parts of them.
    """

    glyph: Glyph
    probabilities: np.ndarray
    heat: float
    found: bool
    sources: tuple[Glyph, ...]


@dataclass(frozen=True)
class Weights:
    """How what the classifier and the detector say of some ink is weighed.

    Both were fitted on made pages by `digits.training.detector_fit`; opinions are pooled as logarithms.

    Attributes
    ----------
    classes : tuple of float
        Weights of the classifier's and of the detector's log-probabilities of the ten digits.
    digit : tuple of float
        Coefficients of the logistic regression that tells whether it is a digit; see `evidence`.
    """

    classes: tuple[float, float]
    digit: tuple[float, float, float, float]

    def pool(self, log_digits: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the log-probabilities of the ten digits, if it is one, (10,)."""
        ours, theirs = self.classes
        log_p = ours * log_digits + theirs * np.log(p + 1e-6)
        return log_p - np.logaddexp.reduce(log_p)

    def log_odds(self, *said) -> float:
        """Return the logarithm of the odds that it is a digit; takes what `evidence` takes."""
        return float(np.dot(self.digit, evidence(*said)))


def evidence(
    log_digits: np.ndarray, log_p_reject: float, p: np.ndarray, heat: float
) -> tuple[float, float, float, float]:
    """Return 1, and three signs that ink is a digit.

    From the classifier's log-probabilities of the digits, (10,), and of "not a digit", and the
    detector's probabilities of the digits, (10,), and of there being one: the log-odds of both,
    and the logarithm of the probability that they mean the same digit.
    """
    heat_odds = np.log((heat + 0.02) / (1.02 - heat))
    odds = np.clip(log_digits.max() - log_p_reject, -12, 12)
    return 1.0, float(heat_odds), float(odds), float(np.log(np.exp(log_digits) @ p + 1e-3))


@dataclass(frozen=True)
class Field:
    """What the network says of ink.

    Attributes
    ----------
    cells : numpy.ndarray
        float32 (rows, columns, 25): see `HEAT` and the slices after it.
    dark : numpy.ndarray
        bool (2 rows, 2 columns): the quarters of cells that hold ink.
    factor : float
        By which the ink was scaled.
    """

    cells: np.ndarray
    dark: np.ndarray
    factor: float

    @cached_property
    def heat(self) -> np.ndarray:
        """Probability that the middle of a digit is in a cell, (rows, columns)."""
        return _sigmoid(self.cells[..., HEAT])

    @cached_property
    def owned(self) -> np.ndarray:
        """Probability that the ink in a quarter of a cell is a digit's, (2 rows, 2 columns)."""
        return _sigmoid(self._quarters(OWNED)[..., 0])

    @cached_property
    def votes(self) -> np.ndarray:
        """Across and down to the middle of the digit, in pixels, (2 rows, 2 columns, 2)."""
        return SIDE * self._quarters(VOTES)

    def classes(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the probabilities of the ten digits in some cells, (..., 10)."""
        logits = self.cells[rows, columns, CLASSES]
        p = np.exp(logits - logits.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True)

    def _quarters(self, channels: slice) -> np.ndarray:
        rows, columns = self.cells.shape[:2]
        values = self.cells[..., channels].reshape(rows, columns, 2, 2, -1)
        return values.transpose(0, 2, 1, 3, 4).reshape(2 * rows, 2 * columns, -1)

    @cached_property
    def peaks(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of the cells in which digits may have their middle."""
        is_peak = self.heat == maximum_filter(self.heat, (3, 3))
        rows, columns = np.nonzero(is_peak & (self.heat >= LEAST_HEAT))
        order = np.argsort(-self.heat[rows, columns], kind="stable")[:MOST_PEAKS]
        return rows[order], columns[order]

    @cached_property
    def middles(self) -> np.ndarray:
        """The middles of those cells, across and down in pixels, (peaks, 2)."""
        return np.stack(self.peaks[::-1], 1) * CELL + CELL / 2

    @cached_property
    def sizes(self) -> np.ndarray:
        """The width and height of the digits there, in pixels, (peaks, 2)."""
        return SIDE * np.exp(np.clip(self.cells[self.peaks][:, SIZES], -2, 2))

    @cached_property
    def owner(self) -> np.ndarray:
        """To which peak the ink in a quarter of a cell belongs, (2 rows, 2 columns), -1 to none."""
        owner = np.full(self.dark.shape, -1)
        y, x = np.nonzero(self.dark & (self.owned > LEAST_OWNED))
        n = len(self.middles)
        if not n or not len(y):
            return owner
        voted = np.stack([x, y], 1) * (CELL / 2) + CELL / 4 + self.votes[y, x]
        sizes = np.maximum(self.sizes, NARROWEST)
        distance = np.empty((len(y), n), np.float32)  # column by column, for the memory
        for peak in range(n):
            distance[:, peak] = np.hypot(*((voted - self.middles[peak]) / sizes[peak]).T)
        nearest = distance.argmin(1)
        least = LEAST_INK * self.sizes[:, 1] / (CELL / 2)
        alive = np.ones(n, bool)
        while alive.any():
            near = distance[np.arange(len(y)), nearest] < NEAR
            counts = np.bincount(nearest[near], minlength=n)
            weak = np.flatnonzero(alive & (counts < least))
            if not len(weak):
                owner[y[near], x[near]] = nearest[near]
                break
            # The ink of the weakest goes to others, which may need it.
            alive[weak[counts[weak] == 0]] = False
            alive[weak[(counts / least)[weak].argmin()]] = False
            distance[:, ~alive] = np.inf
            moved = ~alive[nearest]
            nearest[moved] = distance[moved].argmin(1)
        return owner

    @cached_property
    def explained(self) -> float:
        """Share of the ink that digits own, each counted by its probability to be one."""
        owner = self.owner[self.owner >= 0]
        return float(self.heat[self.peaks][owner].sum() / max(np.count_nonzero(self.dark), 1))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The probability of each digit, (peaks, 10): the mean over its ink and its middle."""
        y, x = np.nonzero(self.owner >= 0)
        owner = self.owner[y, x]
        of_middle = 1 + 0.25 * np.bincount(owner, minlength=len(self.middles))
        total = of_middle[:, None] * self.classes(*self.peaks)
        np.add.at(total, owner, self.classes(y // 2, x // 2))
        return total / total.sum(1, keepdims=True)

    def quarters_of(self, glyph: Glyph, page: Glyph) -> tuple[np.ndarray, np.ndarray]:
        """Return in which row and column of quarters each pixel of a glyph on a page lies."""
        rows, columns = (
            ((np.arange(length) + start + 0.5) * self.factor + MARGIN).astype(int) // (CELL // 2)
            for length, start in (
                (glyph.height, glyph.top - page.top),
                (glyph.width, glyph.left - page.left),
            )
        )
        return rows[:, None], columns

    def proposal_of(self, glyph: Glyph, page: Glyph, source: Glyph) -> Proposal:
        """Return what is said of ink that no digit owns: what it would be, if it were a digit's."""
        rows, columns = self.quarters_of(glyph, page)
        stroke = glyph.ink > STROKE * glyph.ink.max()
        y, x = np.nonzero(stroke)
        p = self.classes(rows[y, 0] // 2, columns[x] // 2).mean(0)
        heat = NOT_FOUND * float(self.owned[rows, columns][stroke].mean())
        return Proposal(glyph, p, heat, False, (source,))


class Detector:
    """The network in ONNX Runtime. Use `load`."""

    def __init__(self, session, weights: Weights | None = None):
        self._session, self.weights = session, weights

    @classmethod
    def load(cls, path: str | os.PathLike | None = None, *, threads: int | None = None) -> Detector:
        """Load a detector, by default the shipped one; it may use `threads` cores, by default all.

        `path` is its ``.onnx`` file, beside which a card of the same name says how it is weighed.
        Raises `InputError` if it does not exist, or is something else.
        """
        path = CHAMPION / "detector.onnx" if path is None else Path(path)
        if not path.is_file():
            raise InputError(
                f"{path} does not exist; `digits train --detector` writes a detector.onnx"
            )
        session, weights, card = start_session(path, threads), None, path.with_suffix(".json")
        shape, outputs = session.get_inputs()[0].shape, session.get_outputs()[0].shape
        if (len(shape), shape[-1], outputs[-1]) != (4, 1, N_CHANNELS):
            raise InputError(
                f"{path} takes {shape} and gives {outputs}; expected (n, height, width, 1) and "
                f"(n, height / {CELL}, width / {CELL}, {N_CHANNELS})"
            )
        if card.is_file():
            try:
                weights = Weights(**json.loads(card.read_text(encoding="utf-8"))["weights"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{card} is no card of a detector ({error!r})") from None
        return cls(session, weights)

    def field(self, ink: np.ndarray, factor: float) -> Field:
        """Look at ink, float32 (height, width), 0 to 1, scaled by a factor."""
        factor = min(factor, math.sqrt(MOST_PIXELS / ink.size))
        small = scaled(ink, factor)
        height, width = small.shape
        shape = [-(-(side + 2 * MARGIN) // CELL) * CELL for side in small.shape]
        page = np.zeros(shape, np.float32)
        page[MARGIN : MARGIN + height, MARGIN : MARGIN + width] = small
        half = CELL // 2
        blocks = page.reshape(shape[0] // half, half, shape[1] // half, half)
        return Field(self.cells(page), blocks.max((1, 3)) > DARK, factor)

    def cells(self, page: np.ndarray) -> np.ndarray:
        """Return what the network says of ink, float32, whose sides are multiples of `CELL`."""
        name = self._session.get_inputs()[0].name
        return self._session.run(None, {name: page[None, ..., None]})[0][0]

    def propose(self, glyphs: list[Glyph], scales: tuple[float, ...] = SCALES) -> list[Proposal]:
        """Divide the ink of some glyphs into digits, and what belongs to none.

        A digit may be a glyph, several of them, or a part of one. Where they are hardly explained
        at the scale at which they are usually as high as digits, `scales` times it are tried.
        """
        if not glyphs:
            return []
        page = merge(glyphs)
        factor = SIDE / usual_height(glyphs)
        field = self.field(page.ink, factor)
        if scales and field.explained < EXPLAINED:
            field = self._other_scales(page.ink, field, scales)
        n = len(field.middles)
        # The pixels of each digit, at the glyphs' scale.
        pixels = np.bincount(field.owner[field.owner >= 0], minlength=n)
        pixels = pixels * (CELL / 2 / field.factor) ** 2
        parts: list[list[Glyph]] = [[] for _ in range(n)]
        sources: list[list[Glyph]] = [[] for _ in range(n)]
        rests = []
        for glyph in glyphs:
            at = field.quarters_of(glyph, page)
            owner = field.owner[at]
            stroke = glyph.ink > STROKE * glyph.ink.max()
            counts = np.bincount(owner[stroke] + 1, minlength=n + 1)
            total, counts = counts.sum(), counts[1:]
            # Where a little of it votes elsewhere, it is not taken apart.
            owners = np.flatnonzero((counts > PART * total) | (counts > MOST * pixels))
            n_rest = total - counts[owners].sum()
            is_rest = n_rest > REST * (pixels[owners].mean() if len(owners) else 0)
            for peak in owners:
                sources[peak].append(glyph)
            if not is_rest and len(owners) == 1:
                parts[owners[0]].append(glyph)
                continue
            for peak in owners:
                parts[peak].append(glyph.part((owner == peak) & (glyph.ink > 0)))
            if is_rest:
                # With the soft edges of its own strokes, not with those of the digits.
                mask = ~np.isin(owner, owners) & (glyph.ink > 0)
                mask &= dilate(mask & stroke)
                rest = glyph.part(mask) if len(owners) else glyph
                rests.append(field.proposal_of(rest, page, glyph))
        heat = field.heat[field.peaks]
        found = [
            Proposal(merge(own), field.probabilities[peak], float(heat[peak]), True, tuple(of))
            for peak, (own, of) in enumerate(zip(parts, sources, strict=True))
            if own
        ]
        return found + rests

    def _other_scales(self, ink: np.ndarray, field: Field, scales: tuple[float, ...]) -> Field:
        """Return the field at the scale that explains more of the ink, there where most of it is."""
        window = densest(ink, math.ceil(PROBE / field.factor))
        part = ink[window]
        is_whole = part.size == ink.size
        best = first = field if is_whole else self.field(part, field.factor)
        for scale in scales:
            if best.explained >= EXPLAINED:
                break
            other = self.field(part, scale * field.factor)
            if other.explained > best.explained:
                best = other
        factor = min(best.factor, math.sqrt(MOST_PIXELS / ink.size))
        if is_whole or best is first or factor == field.factor:
            return best if is_whole else field
        return max(field, self.field(ink, factor), key=lambda found: found.explained)


def densest(ink: np.ndarray, side: int) -> tuple[slice, slice]:
    """Return the rows and columns of a square, `side` high and wide at most, that holds most ink."""
    step = -(-side // 4)
    shape = [-(-length // step) for length in ink.shape]
    coarse = resize(ink, shape, Resampling.BOX)
    windows = sliding_window_view(coarse, [min(4, length) for length in shape])
    place = np.unravel_index(windows.sum((2, 3)).argmax(), windows.shape[:2])
    starts = [i * length // n for i, length, n in zip(place, ink.shape, shape, strict=True)]
    return tuple(slice(start, start + side) for start in starts)


def scaled(ink: np.ndarray, factor: float) -> np.ndarray:
    """Return ink, float32 (height, width), scaled as the detector looks at it."""
    shape = tuple(max(1, round(side * factor)) for side in ink.shape)
    return resize(ink, shape, Resampling.BOX if factor < 1 else Resampling.BILINEAR)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def usual_height(glyphs: list[Glyph]) -> float:
    """Return the height that digits among glyphs usually have, in working pixels."""
    return typical_size(glyphs, lambda glyph: glyph.height)
