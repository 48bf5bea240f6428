"""Synthetic digits, degraded digits, invented writers, and other drawings."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from digits.data import degradation, synthesis
from digits.data.writers import Writer
from digits.pictures import to_mnist_form
from digits.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


@pytest.fixture(scope="module")
def given(embedded):
    return embedded.x_train[:50], embedded.y_train[:50]


def are_images(images, n):
    return images.shape == (n, 28, 28) and images.dtype == np.uint8


def in_mnist_form(images):
    """Whether images are centred ink on an empty margin, as `to_mnist_form` leaves them."""
    weights = images.astype(float)
    total = weights.sum(axis=(1, 2))
    centre = [(weights.sum(axis=axis) @ np.arange(28)) / total for axis in (1, 2)]
    return np.all(np.abs(np.array(centre) - 14.0) < 1.6)


def test_synthetic_digits_are_in_mnist_form_and_favour_what_mnist_lacks():
    images, labels = synthesis.digits(300, seed=1)
    assert are_images(images, 300) and in_mnist_form(images)
    counts = np.bincount(labels, minlength=10)
    assert counts.min() > 0 and min(counts[1], counts[7]) > 2 * np.median(counts)


def test_non_digits_are_many_kinds_and_never_empty(embedded):
    images = synthesis.non_digits(300, embedded.x_train, embedded.y_train, seed=1)
    assert are_images(images, 300) and images.max(axis=(1, 2)).min() > 60
    ink = (images > 127).mean(axis=(1, 2))
    assert ink.min() < 0.08 and ink.max() > 0.3, "thin lines and filled shapes"


def is_upright_stroke(image):
    """Whether the ink is one piece whose long axis is upright and four times the short one."""
    ink = image > 100
    if ndimage.label(ink, np.ones((3, 3)))[1] > 1:
        return False
    (short, long), axes = np.linalg.eigh(np.cov(np.nonzero(ink)) + np.eye(2) / 12)
    return long > 20 * short and abs(axes[0, 1]) > abs(axes[1, 1])


def test_no_upright_stroke_which_is_a_1_is_among_the_non_digits(embedded):
    ones = synthesis.digits(400, seed=1)
    assert np.mean([is_upright_stroke(x) for x, y in zip(*ones, strict=True) if y == 1]) > 0.15
    images = synthesis.non_digits(1500, embedded.x_train, embedded.y_train, seed=1)
    assert np.mean([is_upright_stroke(image) for image in images]) < 0.005


def test_a_ring_holds_something(embedded):
    rng = np.random.default_rng(3)
    for _ in range(100):
        ring = to_mnist_form(synthesis._ring(embedded.x_train, embedded.y_train, rng)) > 100
        n_holes, n_pieces = (
            ndimage.label(area, shape)[1]
            for area, shape in ((~ring, None), (ring, np.ones((3, 3))))
        )
        assert n_holes > 2 or n_pieces > 1 or ring[10:18, 10:18].mean() > 0.15


@pytest.mark.slow
def test_pictured_digits_are_the_given_ones_read_off_poor_pictures(given):
    x, y = given
    images, labels = synthesis.rerender(200, x, y, seed=1)
    assert are_images(images, 200) and in_mnist_form(images)
    assert set(labels) == set(y)
    # Each image is nearer to some given image of its own label than to all others, mostly.
    apart = ((images[:, None].astype(float) - x[None].astype(float)) ** 2).sum(axis=(2, 3))
    assert np.mean(y[apart.argmin(1)] == labels) > 0.85
    assert apart.min(1).mean() > 28 * 28 * 10**2, "a poor picture leaves its marks"


def test_degraded_digits_have_the_labels_of_the_given_ones(given):
    x, y = given
    images, labels = degradation.degrade(300, x, y, seed=1)
    assert are_images(images, 300)
    assert labels.shape == (300,) and set(labels) <= set(y)
    assert not any((image == x).all(axis=(1, 2)).any() for image in images)


def test_each_way_degrades_and_leaves_a_digit(embedded, recognizer):
    rng = np.random.default_rng(2)
    x, y = embedded.x_test[:200], embedded.y_test[:200]
    for degrade in degradation.DEGRADATIONS:
        images = np.stack([degrade(image.astype(np.float32) / 255, rng) for image in x])
        assert images.shape == x.shape and images.min() >= 0 and np.isfinite(images).all()
        change = np.abs(images.clip(0, 1) - x / 255).mean(axis=(1, 2))
        assert np.quantile(change, 0.1) > 0.005, degrade
        read = recognizer.predict(np.uint8(images.clip(0, 1) * 255))["digit"].to_numpy()
        assert np.mean(read == y) > 0.25, "far more than by chance, though new to the model"


def test_hollow_strokes_are_empty_inside_and_half_dark_swaps_ink_and_paper_on_a_side():
    image = np.zeros((28, 28), np.float32)
    image[6:22, 10:18] = 1
    line = degradation.hollow(image, np.random.default_rng(0))
    assert line[14, 14] == 0 and line[14, 8:12].max() > 0.2
    rng = np.random.default_rng(0)
    dark = np.array([degradation.half_dark(image, rng) for _ in range(20)])
    corners = dark[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners.max(1) >= 0.5).all() and (corners.min(1) == 0).any()


def test_a_writer_writes_every_digit_as_often_and_never_twice_alike():
    images, labels = Writer.invent(0).sample(50, 0)
    assert are_images(images, 50) and np.bincount(labels).tolist() == [5] * 10
    assert not np.array_equal(labels, np.sort(labels)), "in no order"
    assert len(np.unique(images, axis=0)) == 50


def test_unusual_writers_are_read_worse_than_ordinary_ones(recognizer):
    def error(odd: int) -> float:
        parts = [Writer.invent(seed, odd=odd).sample(50, 0) for seed in range(4)]
        wrong = [(recognizer.predict(x)["digit"].to_numpy() != y).mean() for x, y in parts]
        return float(np.mean(wrong))

    assert error(0) < 0.03
    assert error(7) > 0.08


def test_strokes_that_meet_go_on_meeting():
    writer = replace(Writer.invent(0, odd=0), jitter=0.1, pen_width=2)
    rng = np.random.default_rng(0)
    for digit in (2, 3, 5, 7) * 5:
        assert ndimage.label(writer.write(digit, rng), np.ones((3, 3)))[1] == 1, digit


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
