"""Scorers in place of a model, and what they score."""

import numpy as np

THRESHOLD = 0.7


def log_p(digit, p, p_reject=None):
    """Return log-probabilities, (11,), with `p` for one of the outputs."""
    row = np.full(11, (1 - p) / 10)
    if p_reject is not None:
        row[:] = max(1 - p - p_reject, 1e-5) / 9
        row[10] = p_reject
    row[digit] = p
    return np.log(row)


def shapes(images):
    """Score a ring as a 0, a tall stroke as a 1, all else as not a digit."""

    def row(image):
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        sides = image[:9, 14], image[19:, 14], image[14, :9], image[14, 19:]
        is_ring = all(side.any() for side in sides) and not image[12:16, 12:16].any()
        is_ring &= bool(np.ptp(columns) > 14 and np.ptp(rows) > 14)
        return log_p(0 if is_ring else 1 if np.ptp(columns) < 9 else 10, 0.99)

    return np.array([row(image) for image in images])


def nothing(images):
    return np.tile(log_p(10, 0.99), (len(images), 1))


def ring(size=80, radius=20):
    y, x = np.mgrid[:size, :size] - size // 2
    return np.where(abs(np.hypot(x, y) - radius) < 3, 0, 255).astype(np.uint8)
