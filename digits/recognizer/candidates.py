"""Candidates for digits: glyphs as a scorer sees them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from digits.pictures import Glyph, to_mnist_form

# uint8 (n, 28, 28) in MNIST form -> log-probabilities (n, 10), or (n, 11) with a reject class.
Scorer = Callable[[np.ndarray], np.ndarray]

REJECT_CLASS = 10  # index of the output that rejects, in models that have it
CONFIDENT = 0.95  # confidence from which a digit stands, whatever else might explain its ink


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


def score_glyphs(glyphs: Sequence[Glyph], scorer: Scorer) -> list[Candidate]:
    """Score glyphs, all in one call of the scorer."""
    if not glyphs:
        return []
    images = np.stack([to_mnist_form(glyph.ink) for glyph in glyphs])
    table = scorer(images)
    reject = np.column_stack([table, np.full(len(table), -np.inf)])[:, REJECT_CLASS]
    return list(map(Candidate, glyphs, images, table[:, :10], reject.tolist()))
