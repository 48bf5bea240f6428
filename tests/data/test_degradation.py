"""Degraded digits for training."""

import numpy as np

from digits.data import degradation
from digits.recognizer import Recognizer


def test_degraded_digits_have_the_labels_of_the_given_ones(embedded):
    x, y = embedded.x_train[:50], embedded.y_train[:50]
    images, labels = degradation.degrade(300, x, y, seed=1)
    assert images.shape == (300, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (300,) and set(labels) <= set(y)
    assert not any((image == x).all(axis=(1, 2)).any() for image in images)


def test_each_way_degrades_and_leaves_a_digit(embedded):
    recognizer, rng = Recognizer.load(), np.random.default_rng(2)
    x, y = embedded.x_test[:200], embedded.y_test[:200]
    for degrade in degradation.DEGRADATIONS:
        images = np.stack([degrade(image.astype(np.float32) / 255, rng) for image in x])
        assert images.shape == x.shape and images.min() >= 0 and np.isfinite(images).all()
        change = np.abs(images.clip(0, 1) - x / 255).mean(axis=(1, 2))
        assert np.quantile(change, 0.1) > 0.005, degrade
        read = recognizer.predict(np.uint8(images.clip(0, 1) * 255))["digit"].to_numpy()
        assert np.mean(read == y) > 0.25, "far more than by chance, though new to the model"


def test_hollow_strokes_are_empty_inside(embedded):
    thick = np.zeros((28, 28), np.float32)
    thick[6:22, 10:18] = 1
    line = degradation.hollow(thick, np.random.default_rng(0))
    assert line[14, 14] == 0 and line[14, 8:12].max() > 0.2


def test_half_dark_swaps_ink_and_paper_on_a_side():
    image = np.zeros((28, 28), np.float32)
    image[10:18, 10:18] = 1
    rng = np.random.default_rng(0)
    dark = [degradation.half_dark(image, rng) for _ in range(20)]
    corners = np.array([[d[0, 0], d[0, -1], d[-1, 0], d[-1, -1]] for d in dark])
    assert (corners.max(1) >= 0.5).all() and (corners.min(1) == 0).any()
