"""Synthetic digits and other drawings."""

import numpy as np
import pytest

from digits.data import degradation, synthesis
from digits.data.writers import Writer


def in_mnist_form(images):
    """Whether images are centred ink on an empty margin, as `to_mnist_form` leaves them."""
    weights = images.astype(float)
    total = weights.sum(axis=(1, 2))
    centre = [(weights.sum(axis=axis) @ np.arange(28)) / total for axis in (1, 2)]
    return np.all(np.abs(np.array(centre) - 14.0) < 1.6) and images.dtype == np.uint8


def test_synthetic_digits_are_in_mnist_form_and_favour_what_mnist_lacks():
    images, labels = synthesis.digits(300, seed=1)
    assert images.shape == (300, 28, 28) and in_mnist_form(images)
    counts = np.bincount(labels, minlength=10)
    assert counts.min() > 0 and min(counts[1], counts[7]) > 2 * np.median(counts)


def test_non_digits_are_many_kinds_and_never_empty(embedded):
    images = synthesis.non_digits(300, embedded.x_train, embedded.y_train, seed=1)
    assert images.shape == (300, 28, 28) and images.dtype == np.uint8
    assert images.max(axis=(1, 2)).min() > 60
    ink = (images > 127).mean(axis=(1, 2))
    assert ink.min() < 0.08 and ink.max() > 0.3, "thin lines and filled shapes"


@pytest.mark.slow
def test_pictured_digits_are_the_given_ones_read_off_poor_pictures(embedded):
    x, y = embedded.x_train[:50], embedded.y_train[:50]
    images, labels = synthesis.rerender(200, x, y, seed=1)
    assert images.shape == (200, 28, 28) and in_mnist_form(images)
    assert set(labels) == set(y)
    # Each image is nearer to some given image of its own label than to all others, mostly: poor
    # pictures, but no confusion of labels.
    apart = ((images[:, None].astype(float) - x[None].astype(float)) ** 2).sum(axis=(2, 3))
    assert np.mean(y[apart.argmin(1)] == labels) > 0.85
    assert apart.min(1).mean() > 28 * 28 * 10**2, "a poor picture leaves its marks"


def test_the_seed_decides(embedded):
    given = (40, embedded.x_train, embedded.y_train)
    for make in (
        synthesis.non_digits,
        lambda n, x, y, seed: synthesis.digits(n, seed)[0],
        lambda n, x, y, seed: degradation.degrade(n, x, y, seed)[0],
        lambda n, x, y, seed: Writer.invent(seed).sample(n, 5)[0],
    ):
        first, same, other = (make(*given, seed) for seed in (5, 5, 6))
        assert np.array_equal(first, same) and not np.array_equal(first, other)
