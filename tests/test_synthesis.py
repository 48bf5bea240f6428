import numpy as np
import pytest

from digits import data, synthesis


@pytest.fixture(scope="module")
def embedded():
    return data.load("embedded")


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


def test_the_seed_decides(embedded):
    arguments = (40, embedded.x_train, embedded.y_train)
    first, same, other = (synthesis.non_digits(*arguments, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    assert np.array_equal(synthesis.digits(20, 5)[0], synthesis.digits(20, 5)[0])
