"""Invented hands: writers with habits of their own, for showing what fine-tuning does.

A hand writes each digit in one way, with its own slant, width, pen and proportions, and repeats
itself with small variations, as people do. What it writes is made by rule, so that there is as much
of it as a measurement needs, and none of it comes from a person who was not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from digits.data import synthesis
from digits.pictures import to_mnist_form

# Ways to write a digit that people have and that MNIST and `synthesis.DIGIT_STROKES` lack. The first
# of each digit is one that the shipped model mostly misreads or doubts, the second a milder one.
# fmt: off
HABITS: dict[int, list[list[list[tuple[float, float]]]]] = {
    0: [
        # slashed, against the letter O
        [[(0.5, 0), (0.15, 0.25), (0.15, 0.75), (0.5, 1), (0.85, 0.75), (0.85, 0.25), (0.5, 0)],
         [(0.95, 0.02), (0.05, 0.98)]],
        # open at the top, the end thrown to the right
        [[(0.2, 0.1), (0.1, 0.6), (0.45, 1), (0.85, 0.7), (0.8, 0.2), (0.55, 0.1), (1.1, -0.1)]],
    ],
    1: [
        # a flag so flat that it looks like the roof of a 7
        [[(-0.1, 0.2), (0.3, 0.15), (0.6, 0)], [(0.6, 0), (0.5, 1)]],
        # an upstroke as long as the stem
        [[(0.0, 0.85), (0.3, 0.4), (0.55, 0)], [(0.55, 0), (0.55, 0.5), (0.55, 1)]],
    ],
    2: [
        # ends where the base would begin
        [[(0.1, 0.25), (0.45, 0), (0.85, 0.25), (0.6, 0.6), (0.4, 1)]],
        # three straight lines
        [[(0.05, 0), (0.9, 0.05)], [(0.9, 0.05), (0.1, 0.95)], [(0.1, 0.95), (0.95, 1)]],
    ],
    3: [
        # the lower bow closed
        [[(0.15, 0.12), (0.55, 0), (0.8, 0.22), (0.4, 0.46)],
         [(0.4, 0.46), (0.85, 0.7), (0.5, 1), (0.15, 0.8), (0.4, 0.5)]],
        # a loop in the middle
        [[(0.15, 0.1), (0.55, 0), (0.75, 0.25), (0.45, 0.45), (0.3, 0.52), (0.35, 0.38), (0.55, 0.48),
          (0.85, 0.7), (0.5, 1), (0.08, 0.88)]],
    ],
    4: [
        # closed and round, like a 9
        [[(0.7, 0.0), (0.2, 0.15), (0.15, 0.45), (0.75, 0.4)], [(0.75, 0), (0.72, 0.5), (0.7, 1)]],
        # in one stroke, like a flash of lightning
        [[(0.6, 0), (0.1, 0.55)], [(0.1, 0.55), (0.9, 0.5)], [(0.9, 0.5), (0.55, 1)]],
    ],
    5: [
        # the bow curled in until it closes
        [[(0.85, 0), (0.3, 0), (0.2, 0.45), (0.7, 0.45), (0.85, 0.8), (0.4, 1), (0.1, 0.75),
          (0.3, 0.5)]],
        # in one stroke, like an S
        [[(0.9, 0.05), (0.45, 0), (0.2, 0.22), (0.5, 0.45), (0.8, 0.7), (0.5, 1), (0.1, 0.9)]],
    ],
    6: [
        # a straight back and a small bowl
        [[(0.25, 0), (0.2, 0.5), (0.2, 1)], [(0.2, 0.98), (0.65, 1), (0.65, 0.7), (0.2, 0.72)]],
        # curled over at the top
        [[(0.95, 0.2), (0.7, 0), (0.3, 0.2), (0.1, 0.7), (0.4, 1), (0.75, 0.85), (0.65, 0.62),
          (0.3, 0.65)]],
    ],
    7: [
        # with a foot, like a 1
        [[(0.1, 0), (0.9, 0)], [(0.9, 0), (0.3, 1)], [(0.0, 1), (0.6, 1)]],
        # a long serif hanging from the roof
        [[(0.1, 0.5), (0.1, 0)], [(0.1, 0), (0.9, 0)], [(0.9, 0), (0.7, 0.6), (0.4, 1)]],
    ],
    8: [
        # begun at the right, the upper ring left open
        [[(0.8, 0.05), (0.3, 0.1), (0.3, 0.4), (0.75, 0.6), (0.75, 0.95), (0.3, 1), (0.15, 0.7),
          (0.5, 0.45)]],
        # two rings, one on the other
        [[(0.5, 0), (0.28, 0.18), (0.5, 0.38), (0.72, 0.18), (0.5, 0)],
         [(0.5, 0.4), (0.08, 0.7), (0.5, 1), (0.92, 0.7), (0.5, 0.4)]],
    ],
    9: [
        # the head left open, like a y
        [[(0.15, 0), (0.2, 0.4), (0.7, 0.4)], [(0.75, 0), (0.7, 0.7), (0.35, 1.0), (0.05, 0.9)]],
        # the tail curled back, like a g
        [[(0.78, 0.15), (0.45, 0), (0.15, 0.22), (0.42, 0.45), (0.78, 0.22)],
         [(0.78, 0.1), (0.8, 0.7), (0.5, 1.02), (0.1, 0.9), (0.15, 0.72)]],
    ],
}
# fmt: on


@dataclass(frozen=True)
class Writer:
    """One invented writer.

    Attributes
    ----------
    strokes : tuple
        The one way in which each digit, 0 to 9, is written: a list of strokes, points (k, 2) each.
    matrix : numpy.ndarray
        Float (2, 2): slant and width, the same for all digits.
    pen_width : int
        In pixels of the canvas that `synthesis` draws on.
    jitter : float
        Deviation of a point from its place, as a share of the digit's height.
    """

    strokes: tuple[list[np.ndarray], ...]
    matrix: np.ndarray
    pen_width: int
    jitter: float = 0.05

    @classmethod
    def invent(cls, seed: int, *, odd: int = 7) -> Writer:
        """Invent a hand.

        Parameters
        ----------
        seed : int
        odd : int
            How many digits, 0 to 10, are written in one of the `HABITS`; the others in one of the
            ways of `synthesis.DIGIT_STROKES`, which the shipped model knows.
        """
        rng = np.random.default_rng([seed, 4])
        unusual = set(rng.choice(10, odd, replace=False).tolist())
        strokes = []
        for digit in range(10):
            ways = (HABITS if digit in unusual else synthesis.DIGIT_STROKES)[digit]
            way = ways[rng.integers(len(ways))]
            # The hand's own proportions: the same each time.
            strokes.append(_jittered(way, 0.03, rng))
        matrix = synthesis.affine_matrix(
            slant=rng.uniform(-0.1, 0.6), angle=0.0, width=rng.uniform(0.6, 1.0), height=1.0
        )
        return cls(tuple(strokes), matrix, pen_width=int(rng.integers(2, 8)))

    def write(self, digit: int, rng: np.random.Generator) -> np.ndarray:
        """Write a digit once; uint8 canvas, 0 background to 255 ink."""
        jittered = _jittered(self.strokes[digit], self.jitter, rng)
        sway = synthesis.affine_matrix(
            rng.normal(0, 0.1), rng.normal(0, 0.08), rng.uniform(0.85, 1.15), 1.0
        )
        return synthesis.draw_strokes(jittered, sway @ self.matrix, self.pen_width)

    def sample(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Write `n` digits, each of the ten as often as any other.

        Returns
        -------
        images : numpy.ndarray
            uint8 (n, 28, 28) in MNIST form.
        labels : numpy.ndarray
            int64 (n,).
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
