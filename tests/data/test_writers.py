from itertools import pairwise

import numpy as np

from digits.data.synthesis import DIGIT_STROKES
from digits.data.synthesis import HABITS
from digits.data.writers import Writer, _jittered
from digits.recognizer import Recognizer


def test_every_digit_has_habits_that_are_no_usual_ways():
    assert len(HABITS) == 10
    for digit, ways in enumerate(HABITS):
        assert not any(way in DIGIT_STROKES[digit] for way in ways)


def test_a_hand_is_decided_by_its_seed():
    first, second, other = (Writer.invent(seed).sample(20, 5) for seed in (3, 3, 4))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_every_digit_is_written_as_often():
    images, labels = Writer.invent(0).sample(50, 0)
    assert images.shape == (50, 28, 28) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [5] * 10
    assert not np.array_equal(labels, np.sort(labels)), "in no order"
    assert len(np.unique(images, axis=0)) == 50, "no two alike"


def test_odd_hands_are_read_worse_than_ordinary_ones():
    model = Recognizer.load()

    def error(odd: int) -> float:
        parts = [Writer.invent(seed, odd=odd).sample(50, 0) for seed in range(4)]
        wrong = [(model.predict(x)["digit"].to_numpy() != y).mean() for x, y in parts]
        return float(np.mean(wrong))

    assert error(0) < 0.03
    assert error(7) > 0.08


def test_strokes_that_meet_go_on_meeting():
    hand = Writer.invent(0, odd=0)
    jittered = _jittered(hand.strokes[4], 0.1, np.random.default_rng(0))
    met = [tuple(a[-1]) == tuple(b[0]) for a, b in pairwise(hand.strokes[4])]
    assert any(met)
    assert met == [tuple(a[-1]) == tuple(b[0]) for a, b in pairwise(jittered)]
    assert not np.allclose(jittered[0], hand.strokes[4][0])
