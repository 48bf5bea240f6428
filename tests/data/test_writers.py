"""Invented writers."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from digits.data.writers import Writer
from digits.recognizer import Recognizer


def test_every_digit_is_written_as_often():
    images, labels = Writer.invent(0).sample(50, 0)
    assert images.shape == (50, 28, 28) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [5] * 10
    assert not np.array_equal(labels, np.sort(labels)), "in no order"
    assert len(np.unique(images, axis=0)) == 50, "no two alike"


def test_unusual_writers_are_read_worse_than_ordinary_ones():
    model = Recognizer.load()

    def error(odd: int) -> float:
        parts = [Writer.invent(seed, odd=odd).sample(50, 0) for seed in range(4)]
        wrong = [(model.predict(x)["digit"].to_numpy() != y).mean() for x, y in parts]
        return float(np.mean(wrong))

    assert error(0) < 0.03
    assert error(7) > 0.08


def test_strokes_that_meet_go_on_meeting():
    writer = replace(Writer.invent(0, odd=0), jitter=0.1, pen_width=2)
    rng = np.random.default_rng(0)
    for digit in (2, 3, 5, 7) * 5:
        assert ndimage.label(writer.write(digit, rng), np.ones((3, 3)))[1] == 1, digit
