"""Copies of pictures with what was read on them."""

from __future__ import annotations

import numpy as np

from digits.pictures import Picture, decode
from digits.recognizer import DigitReading, Reading
from digits.recognizer.annotate import SURE, UNSURE, annotate


def digit(box, accepted=True):
    return DigitReading(7, 0.5, box, 0, accepted, False, np.zeros((28, 28), np.uint8))


def test_unsure_digits_differ_by_a_question_mark_not_by_colour_alone():
    picture, box = decode(np.full((300, 300), 255, np.uint8)), (100, 100, 80, 120)

    def drawn(accepted):
        found = [digit(box, accepted)]
        return np.asarray(annotate(picture, Reading("x", "7", ["7"], 0.5, "ok", "", found)))

    sure, unsure = drawn(True), drawn(False)
    for copy, colour in ((sure, SURE), (unsure, UNSURE)):
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        edge = copy[100:220, 95:101].astype(int)
        assert (np.abs(edge - rgb).sum(-1) < 30).any(1).all(), "a frame all along"
    labels = [(copy[:97] < 200).any(-1) for copy in (sure, unsure)]
    assert np.ptp(np.flatnonzero(labels[1].any(0))) > np.ptp(np.flatnonzero(labels[0].any(0))) + 3


def test_boxes_are_drawn_where_they_are_after_a_picture_was_turned_and_reduced():
    picture = Picture(np.full((600, 400, 3), 255, np.uint8), (1600, 2400))
    copy = annotate(
        picture, Reading("x", "7", ["7"], 0.99, "ok", "", [digit((400, 800, 400, 400))])
    )
    pixels = np.asarray(copy).astype(int)
    blue = np.abs(pixels - (0, 0x72, 0xB2)).sum(-1) < 30
    columns = np.flatnonzero(blue[-300])  # below the middle, away from the label
    assert np.ptp(np.flatnonzero(blue.any(1))) > 100
    assert abs(columns.min() - 100) < 5
    assert abs(columns.max() - 200) < 5


def test_a_tiny_picture_is_enlarged():
    copy = annotate(decode(np.zeros((28, 28), np.uint8)), Reading("x", status="no-digit"))
    assert copy.width == 224
    assert copy.mode == "RGB"
