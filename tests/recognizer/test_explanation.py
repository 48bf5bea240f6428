"""The explanation of ink, with a detector and classifiers that say what they are told."""

import numpy as np
from scorers import THRESHOLD, log_p, nothing, ring, shapes

from digits.pictures import find_digits, find_ink
from digits.pictures.decoding import decode
from digits.pictures.glyphs import merge
from digits.recognizer.detector import Proposal, Weights
from digits.recognizer.explanation import interpret


class Detector:
    """Takes the glyphs as they are, or merged, or cut in the middle, for digits of a class."""

    weights = Weights((0.5, 0.5), (0.0, 1.0, 0.2, 0.2))

    def __init__(self, how="as they are", p=None, heat=0.9):
        self.how, self.heat = how, heat
        self.p = np.full(10, 0.1) if p is None else p

    def propose(self, glyphs):
        if self.how == "nothing":
            return [Proposal(glyph, self.p, 0.01, False) for glyph in glyphs]
        if self.how == "merged":
            glyphs = [merge(glyphs)]
        if self.how == "cut":
            glyphs = [part for glyph in glyphs for part in halves(glyph)]
        return [Proposal(glyph, self.p, self.heat, True) for glyph in glyphs]


def halves(glyph):
    is_left = np.arange(glyph.width) < glyph.width // 2
    return [glyph.part(np.tile(mask, (glyph.height, 1))) for mask in (is_left, ~is_left)]


def read(pixels, detector, scorer=shapes):
    """Return the digits, as text, how many things were not read, and the least confidence."""
    glyphs = find_digits(find_ink(decode(pixels)))
    digits, unread, alone = interpret(glyphs, detector, scorer, THRESHOLD)
    assert len(alone) == len(glyphs)
    digits = sorted(digits, key=lambda digit: digit.glyph.left)
    confidence = min((digit.confidence for digit in digits), default=0)
    return "".join(str(digit.digit) for digit in digits), len(unread), confidence


def test_the_detector_says_what_belongs_together_and_the_classifier_agrees():
    zero = np.exp(log_p(0, 0.99))[:10]
    broken = ring()
    broken[:, 38:41] = 255
    text, n_unread, confidence = read(broken, Detector("merged", zero))
    assert (text, n_unread) == ("0", 0) and confidence > THRESHOLD
    pair = np.concatenate([ring(46), ring(46)], axis=1)
    pair[22:25, 40:52] = 0
    text, n_unread, confidence = read(pair, Detector("cut", zero))
    assert (text, n_unread) == ("00", 0) and confidence > THRESHOLD


def test_where_they_disagree_the_answer_is_unsure():
    six = np.exp(log_p(6, 0.99))[:10]
    assert read(ring(), Detector(p=six))[2] < THRESHOLD, "another digit"
    text, n_unread, confidence = read(ring(), Detector("nothing"))
    assert not text or n_unread or confidence < THRESHOLD, "no digit"
    zero = np.exp(log_p(0, 0.99))[:10]
    assert read(ring(), Detector(p=zero), nothing)[2] < THRESHOLD, "no digit, says the classifier"


def test_many_marks_with_hardly_a_sure_one_are_not_a_page_of_digits():
    def doubtful(images):
        return np.tile(log_p(3, 0.42), (len(images), 1))

    assert read(np.tile(ring(60, 15), (7, 7)), Detector(), doubtful)[:2] == ("", 0)
    assert read(ring(100), Detector(), doubtful)[:2] == ("3", 0)
