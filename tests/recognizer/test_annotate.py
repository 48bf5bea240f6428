"""Copies of pictures with what was read on them."""

import numpy as np

from digits.pictures import Picture, decode
from digits.recognizer import DigitReading, Reading
from digits.recognizer.annotate import SURE, UNSURE, annotate


def drawn(picture, *boxes, accepted=True):
    blank = np.zeros((28, 28), np.uint8)
    digits = [DigitReading(7, 0.5, box, 0, accepted, False, blank) for box in boxes]
    return np.asarray(annotate(picture, Reading("x", "7", ["7"], 0.5, "ok", "", digits)), int)


def near(pixels, colour):
    """Tell which pixels have a colour, given as #rrggbb."""
    return np.abs(pixels - [*bytes.fromhex(colour[1:])]).sum(-1) < 30


def test_unsure_digits_differ_by_a_question_mark_not_by_colour_alone():
    picture = decode(np.full((300, 300), 255, np.uint8))
    lengths = []
    for accepted, colour in ((True, SURE), (False, UNSURE)):
        copy = drawn(picture, (100, 100, 80, 120), accepted=accepted)
        assert near(copy[100:220, 95:101], colour).any(1).all(), "a frame all along"
        lengths.append(np.ptp(np.flatnonzero((copy[:97] < 200).any((0, 2)))))
    assert lengths[1] > lengths[0] + 3


def test_the_confidence_is_left_out_where_the_next_digit_is_too_near():
    picture = decode(np.full((300, 600), 255, np.uint8))
    lengths = []
    for next_to_it in (400, 150):
        text = near(drawn(picture, (100, 100, 30, 120), (next_to_it, 110, 30, 120))[:94], SURE).any(
            0
        )
        lengths.append(np.ptp(np.flatnonzero(text[: next_to_it - 2])))
    assert lengths[0] > 50 and lengths[1] < 30


def test_what_was_not_read_has_a_frame_and_a_question_mark():
    picture = decode(np.full((300, 300), 255, np.uint8))
    copy = np.asarray(annotate(picture, Reading.of("x", [], unread=[(100, 100, 80, 120)])), int)
    assert near(copy[100:220, 95:101], UNSURE).any(1).all() and (copy[:97] < 200).any()


def test_boxes_are_drawn_where_they_are_however_large_the_copy_is():
    picture = Picture(np.full((600, 400, 3), 255, np.uint8), (1600, 2400))  # turned and reduced
    blue = near(drawn(picture, (400, 800, 400, 400)), SURE)
    columns = np.flatnonzero(blue[-300])  # below the middle, away from the label
    assert np.ptp(np.flatnonzero(blue.any(1))) > 100
    assert abs(columns.min() - 100) < 5 and abs(columns.max() - 200) < 5
    tiny = annotate(decode(np.zeros((28, 28), np.uint8)), Reading("x", status="no-digit"))
    assert (tiny.width, tiny.mode) == (224, "RGB")
