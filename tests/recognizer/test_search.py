"""The search and the rejection, with scorers in place of a model."""

import math

import numpy as np
import pytest
from scorers import THRESHOLD, log_p, nothing, ring, shapes

from digits.pictures import Glyph, find_digits, find_ink
from digits.pictures.decoding import decode
from digits.recognizer.candidates import Candidate, is_sign, reject_non_digits
from digits.recognizer.search import beam_search, interpret, select_merges


def read(pixels, scorer=shapes):
    """Return the digits, as text, and how many things were not read."""
    glyphs = find_digits(find_ink(decode(pixels)))
    digits, unread, alone = interpret(glyphs, scorer, THRESHOLD)
    assert len(alone) == len(glyphs)
    digits = sorted(digits, key=lambda digit: digit.glyph.left)
    return "".join(str(digit.digit) for digit in digits), len(unread)


def candidate(side, confidence, p_reject, width=5, left=0, digit=1):
    glyph = Glyph(np.ones((side, width), np.float32), left, 0, 1.0)
    row = log_p(digit, confidence, p_reject)
    return Candidate(glyph, np.zeros((28, 28), np.uint8), row[:10], row[10])


def test_a_broken_digit_is_merged_and_whole_digits_are_not():
    broken = ring()
    broken[:, 38:41] = 255
    assert read(broken) == ("0", 0)
    assert read(np.concatenate([ring(), ring()], axis=1)) == ("00", 0)


def test_digits_that_touch_are_split_where_the_pieces_are_digits():
    pair = np.concatenate([ring(46), ring(46)], axis=1)
    pair[22:25, 40:52] = 0
    assert read(pair) == ("00", 0)
    assert read(np.pad(pair, 9, constant_values=255), nothing) == ("", 0)


def test_a_merge_never_takes_a_sure_digit_into_what_is_none_or_is_only_as_sure():
    pieces = [candidate(30, 0.98, 0.01), candidate(28, 0.3, 0.1, left=8)]
    sure, unsure = candidate(30, 0.99, 0.001, 13), candidate(30, 0.6, 0.1, 13)
    assert select_merges(pieces, [(0, 1)], [unsure]) == pieces
    assert select_merges(pieces, [(0, 1)], [sure]) == [sure]
    near = [candidate(30, 0.99, 0.001), candidate(29, 0.99, 0.001, left=8)]
    chosen = select_merges(near, [(0, 1)], [candidate(30, 0.96, 0.01, 13)])
    assert [c.confidence for c in chosen] == pytest.approx([0.495, 0.495])


def test_other_cuts_that_read_otherwise_lessen_the_certainty():
    a_one, poor = candidate(30, 0.9, 0.05), candidate(30, 0.01, 0.9)
    sure = candidate(30, 0.9, 0.05, digit=2)  # where the other path reads 1 1
    # One cut between two edges: [1, whole] [1]
    _, pieces, p_reading = beam_search([[a_one, poor], [a_one]])
    assert len(pieces) == 2 and p_reading > 0.9
    value, pieces, p_reading = beam_search([[a_one, sure], [a_one]])
    assert pieces == [sure] and 0.7 < p_reading < 0.9
    assert value == pytest.approx(math.log(0.9))


def test_a_wide_glyph_or_an_odd_digit_among_digits_is_not_dropped_in_silence():
    sure = [candidate(30, 0.98, 0.01), candidate(34, 0.97, 0.01)]
    wide, tall = candidate(31, 0.001, 0.99, width=50), candidate(90, 0.001, 0.99, width=150)
    digits, unread = reject_non_digits([*sure, wide, tall], nothing, THRESHOLD)
    assert digits == [*sure, wide], "the tall one is not a row of digits"
    assert unread == [tall], "but may hold some"
    odd, blot, speck = candidate(31, 0.2, 0.7), candidate(31, 0.001, 0.99), candidate(8, 0.2, 0.7)
    digits, unread = reject_non_digits([*sure, odd, blot, speck], nothing, THRESHOLD)
    assert digits == [*sure, odd] and not unread, "a blot is named, a speck too small"


def test_many_marks_with_hardly_a_sure_one_are_not_a_page_of_digits():
    def doubtful(images):
        return np.tile(log_p(3, 0.42), (len(images), 1))

    assert read(np.tile(ring(100), (3, 4)), doubtful) == ("", 0)
    assert read(ring(100), doubtful) == ("3", 0)
    assert read(np.tile(ring(60, 15), (7, 7)), nothing) == ("", 0)


def test_a_plus_looks_the_same_turned_and_a_seven_does_not():
    plus, seven = np.zeros((2, 28, 28), np.uint8)
    plus[13:15, 5:23] = plus[5:23, 13:15] = 255
    seven[5:7, 8:20] = seven[5:23, 18:20] = 255
    assert is_sign(plus) and not is_sign(seven) and not is_sign(0 * plus)
