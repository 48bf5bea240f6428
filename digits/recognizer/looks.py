"""The different looks at one picture, and which of them is believed.

A desk or the paper may be taken for ink; the page may lie on its side; writing may be too small. The
invariants: nothing that was sure disappears, everything as large as a digit is accounted for, and
another look wins only if it explains more, not if it is surer of less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from digits import InputError
from digits.pictures import Glyph, Picture, find_digits, find_ink
from digits.pictures.glyphs import merge, typical_size
from digits.pictures.ink import DARK, LIGHT, Ink, remove_border_region
from digits.pictures.reading_order import in_reading_order
from digits.pictures.sheet import Window, cut_out, find_sheet
from digits.recognizer.candidates import CONFIDENT, Candidate, Scorer, score_glyphs
from digits.recognizer.detector import Detector
from digits.recognizer.explanation import LARGE, interpret, interpret_as_one
from digits.recognizer.reading import DigitReading

MAX_REOPENED_PIXELS = 50_000_000  # of a picture that is opened again as a whole, for the memory
COUNTERS = 4  # pieces of paper in and around one digit, at most
SPANS = 0.6  # share of the picture's longer side that one digit fills, if its counters are paper
SMALL_SIDE = 40  # working pixels below which digits are looked at again where there are more
REDUCED = 0.67  # scale of a picture that was made smaller


@dataclass(frozen=True)
class Look:
    """One way to look at a picture, and what it explains.

    `found` are the digits; `unread` is as large as a digit, and neither read nor for certain
    something else; `alone` is each glyph as it stands. The page was turned to the left `turn`
    times; the part that was looked at begins at `origin`, in pixels of the upright picture.
    """

    ink: Ink
    threshold: float
    found: list[Candidate]
    unread: list[Candidate]
    alone: list[Candidate]
    turn: int = 0
    origin: tuple[int, int] = (0, 0)

    @property
    def sure(self) -> list[Candidate]:
        return [digit for digit in self.found if digit.confidence >= self.threshold]

    @property
    def is_sure(self) -> bool:
        return bool(self.found) and not self.unread and len(self.sure) == len(self.found)

    @property
    def leaves_out(self) -> bool:
        """Whether something as large as the digits is none."""
        usual = typical_size([digit.glyph for digit in self.found or self.alone])
        is_held = _holds(self.found, self.alone).any(0)
        return any(
            other.glyph.side >= LARGE * usual and not held
            for other, held in zip(self.alone, is_held, strict=True)
        )

    @property
    def clear(self) -> list[Candidate]:
        """The sure digits but 1, which any scratch on a desk looks like."""
        return [digit for digit in self.sure if digit.digit != 1]

    @property
    def confidence(self) -> float:
        """The mean confidence in the digits, 0 where there are none."""
        return sum(digit.confidence for digit in self.found) / max(len(self.found), 1)

    def place(self, glyph: Glyph) -> tuple[int, int, int, int]:
        """Return a glyph's left, top, width and height in pixels of the upright picture."""
        x, y, across, down = glyph.box
        width, height = self.ink.size
        for _ in range(self.turn):
            x, y, across, down = height - y - down, x, down, across
            width, height = height, width
        return x + self.origin[0], y + self.origin[1], across, down

    def digits(self) -> list[DigitReading]:
        """Return the digits in reading order."""
        by_ink = {id(digit.glyph.ink): digit for digit in self.found}
        digits = []
        for glyph in in_reading_order([digit.glyph for digit in self.found]):
            digit = by_ink[id(glyph.ink)]
            box, accepted = self.place(glyph), digit.confidence >= self.threshold
            what = (digit.digit, digit.confidence, box, glyph.row, accepted, glyph.cut, digit.image)
            digits.append(DigitReading(*what))
        return digits

    def loses(self, other: Look) -> bool:
        """Tell whether what the other look reads for certain is ink that this one does not read."""

        def is_ink(glyph: Glyph) -> bool:
            down = slice(glyph.top, glyph.top + glyph.height)
            ink = self.ink.mask[down, glyph.left : glyph.left + glyph.width]
            return ink[glyph.ink > 0.5 * glyph.ink.max()].mean() > 0.5

        is_held = _holds(self.found, other.sure).any(0)
        return any(is_ink(other.sure[i].glyph) for i in np.flatnonzero(~is_held))

    def explains(self, other: Look) -> bool:
        """Tell whether what is as large as a digit in another look lies in the digits of this one.

        Several things in one digit are not explained by it. But a thing at the picture's edge may
        be the paper, and others the counters of digits; a thing around several digits is their
        paper, too.
        """
        height, width = self.ink.mask.shape
        corner, extent = _boxes(other.alone)
        is_inner = ((corner > 0) & (corner + extent < (width, height))).all(1)
        inner = [thing for thing, inside in zip(other.alone, is_inner, strict=True) if inside]
        holds = _holds(self.found, inner)
        if is_inner.all() and (holds.sum(1) > 1).any():
            return False
        sides = [digit.glyph.side for digit in self.found]
        if len(sides) == 1 and sides[0] > SPANS * max(height, width) and len(is_inner) > COUNTERS:
            return False
        is_small = extent[is_inner].max(1) < 0.5 * typical_size([d.glyph for d in self.found])
        is_paper = _holds(inner, self.found).sum(1) > 1
        return bool((is_small | holds.any(0) | is_paper).all())


def _boxes(candidates: list[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Return left and top, and width and height, each (n, 2), in working pixels."""
    boxes = [(c.glyph.left, c.glyph.top, c.glyph.width, c.glyph.height) for c in candidates]
    return np.reshape(boxes, (-1, 2, 2)).swapaxes(0, 1)


def _holds(ones: list[Candidate], others: list[Candidate]) -> np.ndarray:
    """Tell in the boxes of which ones the middle of others, about as large at most, lies: (n, m)."""
    (corner, extent), (other_corner, other_extent) = _boxes(ones), _boxes(others)
    offset = other_corner + other_extent / 2 - corner[:, None]
    inside = ((offset >= 0) & (offset <= extent[:, None])).all(2)
    return inside & (other_extent.max(1) <= 1.5 * extent.max(1)[:, None])


@dataclass(frozen=True)
class Viewer:
    """Looks at pictures; a digit is sure from a confidence of `threshold` on.

    With `single`, all of a picture is one digit.
    """

    detector: Detector
    scorer: Scorer
    threshold: float
    single: bool

    def view(self, picture: Picture, reopen: Callable[..., Picture]) -> Look:
        """Return the look at a picture that explains it best.

        The sheet is looked at alone where it does not fill the picture, and small writing closely:
        ``reopen(window=box)`` decodes that part of the picture at its own resolution.
        """
        look = self._look_twice(picture)
        if np.prod(picture.size) > MAX_REOPENED_PIXELS:
            return look
        for window in (find_sheet(picture), _small_writing(look, picture.size)):
            if window is None:
                continue
            places = [look.place(digit.glyph) for digit in look.clear]
            if not all(_is_on(window, place, picture.size) for place in places):
                continue
            try:
                part = cut_out(window, reopen)
            except InputError:  # it was moved, or shows only now that it is damaged
                continue
            left, top = (int(window.box[axis] * picture.size[axis]) for axis in (0, 1))
            closer = replace(self._look_twice(part), origin=(left, top))
            before, after = ((len(x.clear), len(x.sure), x.confidence) for x in (look, closer))
            if after > before and (after[0] > before[0] or not look.is_sure):
                look = closer
        return look

    def count_others(self, look: Look) -> int:
        """Count what else on a picture of one digit is large, and for certain a digit."""
        one = look.found[0].glyph
        large = [glyph for glyph in find_digits(look.ink) if glyph.side >= 0.5 * one.side]
        others = [glyph for glyph in large if merge([one, glyph]).ink.size > one.ink.size]
        return sum(digit.confidence >= CONFIDENT for digit in score_glyphs(others, self.scorer))

    def _look(self, ink: Ink) -> Look:
        glyphs = find_digits(ink)
        if not glyphs:
            return Look(ink, self.threshold, [], [], [])
        given = glyphs, self.detector, self.scorer
        if self.single:
            found = [interpret_as_one(*given)]
            return Look(ink, self.threshold, found, [], found)
        return Look(ink, self.threshold, *interpret(*given, self.threshold))

    def _look_twice(self, picture: Picture) -> Look:
        """Look at a picture, and again, in other ways, if it was not read for certain."""
        best = self._look(find_ink(picture))
        ink = best.ink
        is_empty_cell = ink.rules.any() and not ink.mask.any()
        if is_empty_cell or (best.is_sure and not best.leaves_out):
            return best
        inner = remove_border_region(ink)
        if not best.is_sure and not np.array_equal(inner.mask, ink.mask):
            again = self._look(inner)
            if again.confidence > best.confidence and not again.loses(best):
                best = again
        if self.single:
            return best
        if turn := self._likely_turn(best):
            again = replace(self._look(best.ink.turned(turn)), turn=turn)
            n_before, n_after = len(best.sure), len(again.sure)
            is_more = n_after >= n_before + (0 if best.leaves_out and not again.leaves_out else 2)
            if n_after > 2 * n_before or (again.is_sure and is_more):
                return again
        if 2 * len(best.sure) <= len(best.found):  # else the ink is ink, and the paper paper
            # The paper of the first look reaches around the picture.
            inverted = find_ink(picture, LIGHT if ink.polarity == DARK else DARK)
            again = self._look(remove_border_region(inverted))
            is_surer = again.confidence >= self.threshold and len(again.sure) >= len(best.sure)
            if is_surer and not again.loses(best) and again.explains(best):
                return again
        return best

    def _likely_turn(self, look: Look) -> int:
        """Return after how many quarter turns to the left most glyphs are digits, else 0.

        There must be two more than before. One digit alone does not tell: a 6 is a 9, and many a 4
        or 7 is a sign of its own. Nor does a 1, which any level line is after a quarter turn.
        """
        if len(look.alone) < 2:
            return 0
        images = np.stack([candidate.image for candidate in look.alone])
        turned = [self.scorer(np.rot90(images, turn, (1, 2)))[:, :10] for turn in (1, 2, 3)]
        tables = [np.exp([candidate.log_digits for candidate in look.alone]), *np.exp(turned)]
        are_sure = [table.max(1) >= CONFIDENT for table in tables]
        n_telling = [(s & (t.argmax(1) != 1)).sum() for s, t in zip(are_sure, tables, strict=True)]
        best = int(np.argmax(n_telling))
        if best % 2 and n_telling[best] == n_telling[best - 2]:
            return 0  # either side may be up
        return best if n_telling[best] >= n_telling[0] + 2 and are_sure[best].mean() > 0.5 else 0


def _is_on(window: Window, box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    """Tell whether a box, in pixels of a picture of this size, lies on a window, and fills little."""
    low, high = np.reshape(window.box, (2, 2)) * size
    corner, extent = np.reshape(box, (2, 2))
    middle = corner + extent / 2
    is_inside = (low <= middle).all() and (middle <= high).all()
    return bool(is_inside and extent.prod() < 0.5 * (high - low).prod())


def _small_writing(look: Look, size: tuple[int, int]) -> Window | None:
    """Return where something is written, if it was made too small to be read there."""
    glyphs = [candidate.glyph for candidate in look.found + look.unread]
    if not glyphs or look.ink.scale > REDUCED or typical_size(glyphs) > SMALL_SIDE:
        return None
    boxes = np.array([look.place(glyph) for glyph in glyphs], float)
    margin = 2 * boxes[:, 2:].max()
    low, high = boxes[:, :2].min(0) - margin, (boxes[:, :2] + boxes[:, 2:]).max(0) + margin
    box = np.clip(np.concatenate([low, high]) / np.tile(size, 2), 0, 1)
    return Window(tuple(box.tolist()))
