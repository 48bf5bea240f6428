"""Candidates for digits: glyphs as a scorer sees them, and which of them are not digits.

Signs, punctuation, circles, letters and dirt are rejected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from digits.pictures import Glyph, filters, to_mnist_form
from digits.pictures.glyphs import encloses, is_line, typical_size
from digits.pictures.mnist_form import ink_box
from digits.pictures.reading_order import words

# uint8 (n, 28, 28) in MNIST form -> log-probabilities (n, 10), or (n, 11) with a reject class.
Scorer = Callable[[np.ndarray], np.ndarray]

REJECT_CLASS = 10  # index of the output that rejects, in models that have it
REJECT_PENALTY = 1.0  # natural logarithm of a probability, as all penalties are
CONFIDENT = 0.95  # confidence from which a digit stands, whatever else might explain its ink
ALIKE = 0.7  # share of another digit's longer side from which a 1 is as large
CERTAIN_REJECT = math.log(0.95)  # from which something as large as the digits is rejected
DOUBTFUL_REJECT = math.log(0.9)  # to which a rejection falls that is not certain
WIDE = 1.2  # width over height from which a glyph may well be several digits
PAIR = 0.7  # the same from which it may be two narrow ones
SMALL = 0.4  # share of the usual size below which only a confident digit is taken for one
LOW = 0.6  # share of the usual size below which a stroke may be a comma rather than a 1
LARGE = 0.5  # share of the usual size from which something that is not read must be accounted for
PALE = 0.5  # share of the darkest ink from which a stroke is no fainter than others
MIN_SURE_SHARE = 0.3  # of the glyphs on a page of digits
MAX_CLUTTER = 40  # glyphs up to which a picture without any sure share is looked at more closely
SIGN = 0.25  # correlation of a plus or a times, written by hand, with itself turned


@dataclass(frozen=True, eq=False)
class Candidate:
    """A glyph, its image in MNIST form, uint8 (28, 28), and what a scorer says of it.

    `log_digits` are the log-probabilities of the ten digits, `log_p_reject` that of "not a digit",
    -inf where the model cannot reject.
    """

    glyph: Glyph
    image: np.ndarray
    log_digits: np.ndarray
    log_p_reject: float

    @cached_property
    def digit(self) -> int:
        return int(self.log_digits.argmax())

    @cached_property
    def log_p(self) -> float:
        """Log-probability of the most probable digit."""
        return float(self.log_digits.max())

    @cached_property
    def confidence(self) -> float:
        return math.exp(self.log_p)

    @property
    def score(self) -> float:
        """How well it explains its ink: as a digit, or as something to be rejected."""
        return max(self.log_p, self.log_p_reject - REJECT_PENALTY)

    def discounted(self, p: float) -> Candidate:
        """Return the same digit, with its probability multiplied by `p`."""
        return replace(self, log_digits=self.log_digits + math.log(p))


def score_glyphs(glyphs: Sequence[Glyph], scorer: Scorer) -> list[Candidate]:
    """Score glyphs, all in one call of the scorer."""
    if not glyphs:
        return []
    images = np.stack([to_mnist_form(glyph.ink) for glyph in glyphs])
    table = scorer(images)
    reject = np.column_stack([table, np.full(len(table), -np.inf)])[:, REJECT_CLASS]
    return list(map(Candidate, glyphs, images, table[:, :10], reject.tolist()))


def turned_probabilities(candidates: list[Candidate], turn: int, scorer: Scorer) -> np.ndarray:
    """Return the probability of each digit after quarter turns to the left, (n, 10)."""
    images = np.stack([candidate.image for candidate in candidates])
    return np.exp(scorer(np.rot90(images, turn, (1, 2)))[:, :10])


def mean_confidence(candidates: list[Candidate]) -> float:
    """Return the mean confidence, 0 where there are no candidates."""
    return sum(c.confidence for c in candidates) / max(len(candidates), 1)


def is_clutter(candidates: list[Candidate], threshold: float) -> bool:
    """Tell whether hardly any of many glyphs is a digit: then it is not a page of digits."""
    sure = sum(c.confidence >= threshold or c.glyph.cut for c in candidates)
    return sure < MIN_SURE_SHARE * len(candidates)


def reject_non_digits(
    candidates: list[Candidate], scorer: Scorer, threshold: float
) -> tuple[list[Candidate], list[Candidate]]:
    """Reject what is not a digit, unless nothing else is there.

    What has the size of the digits beside it is rejected only where that is certain, and never
    where it is wider than one digit: digits that touch, or one written in an odd way, must make
    the answer unsure, not shorter.

    Returns the digits, and what was rejected but may be a digit, or hold some.
    """
    usual = typical_size([candidate.glyph for candidate in candidates])
    large = [c for c in candidates if c.glyph.side >= LARGE * usual]
    digits = [
        c
        for c in candidates
        if c.log_p_reject < c.log_p and (c.glyph.side >= SMALL * usual or c.confidence >= CONFIDENT)
    ]
    digits = [c for c in digits if not _is_punctuation(c, digits)]
    digits = [c for c in digits if not _surrounds(c, digits)]  # a circle, not a 0
    if not digits:
        return [c for c in large if c.log_p_reject < DOUBTFUL_REJECT], []
    heights = [digit.glyph.height for digit in digits]
    sides = [digit.glyph.side for digit in digits]

    def is_likely_sign(candidate: Candidate) -> bool:
        is_low = candidate.glyph.height < 0.85 * usual
        return is_sign(candidate.image, SIGN if is_low else 2 * SIGN)

    def is_other(candidate: Candidate) -> bool:
        return candidate.log_p_reject >= CERTAIN_REJECT or is_likely_sign(candidate)

    def may_be_digits(candidate: Candidate) -> bool:
        glyph = candidate.glyph
        if glyph.width > WIDE * glyph.height:
            is_high = 0.8 * min(heights) <= glyph.height <= 1.5 * max(heights)
            return is_high and not is_likely_sign(candidate)
        return 0.8 * min(sides) <= glyph.side <= 1.25 * max(sides) and not is_other(candidate)

    def may_hold_digits(candidate: Candidate) -> bool:
        # Those that hang together, or hang on to a line.
        glyph = candidate.glyph
        if glyph.width > PAIR * glyph.height and glyph.height >= 0.8 * min(heights):
            return not is_likely_sign(candidate)
        return glyph.side > 1.5 * max(sides) and not is_line(glyph)

    digits += [c for c in candidates if c.log_p <= c.log_p_reject and may_be_digits(c)]
    # Fainter than the rest, and not a digit for certain: dirt, or what shows through the paper.
    faint = {c for c in digits if c.glyph.ink.max() < PALE and c.confidence < threshold}
    if len(faint) < len(digits):
        digits = [c for c in digits if c not in faint]
    digits = _reject_words(digits, candidates, threshold)
    rejected = [c for c in large if c not in digits and not _is_punctuation(c, digits)]
    if not rejected:
        return digits, []
    is_upright = not _are_turned(digits, rejected, scorer)
    rejected = [c for c in rejected if not _surrounds(c, digits)]
    return digits, [c for c in rejected if not (is_upright and is_other(c)) or may_hold_digits(c)]


def _surrounds(candidate: Candidate, digits: list[Candidate]) -> bool:
    return any(encloses(candidate.glyph, digit.glyph) for digit in digits)


def _are_turned(digits: list[Candidate], others: list[Candidate], scorer: Scorer) -> bool:
    """Tell whether all are digits after a turn, though only some of them are as they stand."""
    tables = (turned_probabilities(digits + others, turn, scorer) for turn in (1, 2, 3))
    # Any level line is a 1 after a quarter turn.
    return any(
        (t.max(1) >= CONFIDENT).all() and (t[len(digits) :].argmax(1) != 1).all() for t in tables
    )


def _reject_words(
    digits: list[Candidate], candidates: list[Candidate], threshold: float
) -> list[Candidate]:
    """Leave out what stands among letters: most of a word is not a digit for certain."""
    sure = {id(c.glyph.ink) for c in digits if c.confidence >= threshold}
    letters = set()
    for word in words([candidate.glyph for candidate in candidates]):
        inks = {id(glyph.ink) for glyph in word if not is_line(glyph)}
        if len(inks) > 2 and len(inks & sure) < 0.5 * len(inks):
            letters |= inks
    if len(sure - letters) < 2:
        return digits
    return [digit for digit in digits if id(digit.glyph.ink) not in letters]


def _is_punctuation(stroke: Candidate, digits: list[Candidate]) -> bool:
    """Tell whether what reads as a 1 is a comma, an apostrophe or a bit of a line among digits.

    All have the same shape. But a 1 is about as tall as the digits beside it, and crosses their
    middle, where marks stand above or below it.
    """
    if stroke.digit != 1:
        return False
    glyph, others = stroke.glyph, [digit.glyph for digit in digits]
    usual = typical_size(others)
    smallest = min((digit.glyph.side for digit in digits if digit.digit != 1), default=math.inf)
    if glyph.side >= min(LOW * usual, ALIKE * smallest):
        return False
    if glyph.side < SMALL * usual:
        return True
    bottom = glyph.top + glyph.height
    larger = [other for other in others if glyph.side < LOW * other.side]
    beside = [g for g in larger if g.top < bottom and glyph.top < g.top + g.height]
    beside.sort(key=lambda other: abs(other.left + other.width / 2 - glyph.left))
    return any(not glyph.top < other.top + other.height / 2 < bottom for other in beside[:2])


def is_sign(image: np.ndarray, least: float = SIGN) -> bool:
    """Tell whether an image, (28, 28), is a plus, a times or the like: two strokes that cross.

    It looks much the same after a quarter turn and a half, and has its ink in the middle.
    """
    if not image.any():
        return False
    left, top, width, height = ink_box(image)
    square = Image.fromarray(image).resize((21, 21), box=(left, top, left + width, top + height))
    ink = filters.gaussian_filter(np.asarray(square, np.float32), 1.5)
    turns = [np.corrcoef(ink.ravel(), np.rot90(ink, turn).ravel())[0, 1] for turn in (1, 2)]
    return min(turns) >= least and ink[10, 10] > 0.8 * ink.max()
