"""Glyphs and how probable a scorer finds them, as each digit and as none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from digits.pictures import Glyph, to_mnist_form

# uint8 (n, 28, 28) in MNIST form -> log-probabilities (n, 10), or (n, 11) with a reject class.
Scorer = Callable[[np.ndarray], np.ndarray]

REJECT_CLASS = 10  # index of the output that rejects, in models that have it
REJECT_PENALTY = 1.0  # natural logarithm of a probability, as all penalties are
CONFIDENT = 0.95  # confidence from which a digit stands, whatever else might explain its ink
ALIKE = 0.7  # share of another digit's longer side from which a 1 is as large


@dataclass(frozen=True, eq=False)
class Candidate:
    """A glyph, and what a scorer says of it.

    Attributes
    ----------
    glyph : Glyph
    image : numpy.ndarray
        uint8 (28, 28): the glyph in MNIST form.
    log_digits : numpy.ndarray
        float (10,): log-probability of each digit.
    log_p_reject : float
        Log-probability of "not a digit", -inf where the model cannot reject.
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
        """How well this glyph explains its ink: as a digit, or as something to be rejected."""
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
