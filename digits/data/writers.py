"""Invented writers with habits of their own, for showing what fine-tuning does.

A writer has one way to write each digit, and a slant, width, pen and proportions, which vary a little
from time to time, as people's do. So there are as many pictures as a measurement needs, and none of
them comes from a person who was not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from digits.data import synthesis
from digits.pictures import to_mnist_form


@dataclass(frozen=True)
class Writer:
    """One invented writer.

    Attributes
    ----------
    strokes : tuple
        How each digit, 0 to 9, is written: a list of strokes, points (k, 2) each.
    matrix : numpy.ndarray
        Float (2, 2): slant and width, the same for all digits.
    pen_width : int
        In pixels of the canvas that `synthesis` draws on.
    jitter : float
        Standard deviation of a point's place, as a share of the digit's height.
    """

    strokes: tuple[list[np.ndarray], ...]
    matrix: np.ndarray
    pen_width: int
    jitter: float = 0.05

    @classmethod
    def invent(cls, seed: int, *, odd: int = 7) -> Writer:
        """Invent a writer.

        He writes `odd` of the ten digits in one of `synthesis.HABITS`, the others in one of
        `synthesis.DIGIT_STROKES`, which the shipped model knows.
        """
        rng = np.random.default_rng([seed, 4])
        unusual = rng.choice(10, odd, replace=False)
        strokes = []
        for digit in range(10):
            ways = (synthesis.HABITS if digit in unusual else synthesis.DIGIT_STROKES)[digit]
            # The writer's own proportions: the same each time.
            strokes.append(_jittered(ways[rng.integers(len(ways))], 0.03, rng))
        slant, width = rng.uniform(-0.1, 0.6), rng.uniform(0.6, 1.0)
        matrix = synthesis.affine_matrix(slant, 0.0, width, 1.0)
        return cls(tuple(strokes), matrix, pen_width=int(rng.integers(2, 8)))

    def write(self, digit: int, rng: np.random.Generator) -> np.ndarray:
        """Write a digit once; uint8 canvas, 0 background to 255 ink."""
        strokes = _jittered(self.strokes[digit], self.jitter, rng)
        slant, angle, width = rng.normal(0, 0.1), rng.normal(0, 0.08), rng.uniform(0.85, 1.15)
        sway = synthesis.affine_matrix(slant, angle, width, 1.0)
        return synthesis.draw_strokes(strokes, sway @ self.matrix, self.pen_width)

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Write `n` digits, each of the ten as often as any other.

        Returns images, uint8 (n, 28, 28) in MNIST form, and labels, int64 (n,).
        """
        rng = np.random.default_rng([seed, 5])
        labels = rng.permutation(np.arange(n) % 10)
        images = np.stack([to_mnist_form(self.write(int(digit), rng)) for digit in labels])
        return images, labels.astype(np.int64)


def _jittered(strokes, deviation: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Move every point a little; strokes that meet in a point go on meeting there."""
    moves: dict[tuple[float, float], np.ndarray] = {}
    return [
        np.array([p + moves.setdefault(tuple(p), rng.normal(0, deviation, 2)) for p in stroke])
        for stroke in strokes
    ]
