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

    def propose(self, glyphs, scales=()):
        if self.how == "nothing":
            return [Proposal(glyph, self.p, 0.01, False, (glyph,)) for glyph in glyphs]
        made = [(glyph, (glyph,)) for glyph in glyphs]
        if self.how == "merged":
            made = [(merge(glyphs), tuple(glyphs))]
        if self.how == "cut":
            made = [(part, (glyph,)) for glyph in glyphs for part in halves(glyph)]
        heat = self.heat if callable(self.heat) else lambda glyph: self.heat
        return [Proposal(glyph, self.p, heat(glyph), True, sources) for glyph, sources in made]


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

    def halves_are_sevens(images):
        is_narrow = images.any(1).sum(1) < 14
        return np.where(is_narrow[:, None], log_p(7, 0.99, 0.001), log_p(0, 0.99, 0.001))

    seven = np.exp(log_p(7, 0.99))[:10]
    assert read(ring(), Detector("cut", seven), halves_are_sevens)[2] < THRESHOLD, (
        "a digit by itself"
    )


def among_squares(side, gap, n=3):
    """Return a picture of a ring, 43 pixels high, and squares of this side to its right."""
    picture = np.full((100, 400), 255, np.uint8)
    picture[10:90, :80] = ring()
    for i in range(n):
        left = 62 + gap + i * (side + gap)
        picture[50 - side // 2 : 50 + side // 2, left : left + side] = 0
    return picture


def is_full(glyph):
    return glyph.ink.mean() > 0.7


def test_what_is_as_large_as_the_digits_is_read_something_else_or_accounted_for():
    zero = np.exp(log_p(0, 0.99))[:10]
    for side, heat, n_unread in ((40, 0.7, 1), (40, 0.001, 0), (12, 0.7, 0)):
        detector = Detector(p=zero, heat=lambda glyph, heat=heat: heat if is_full(glyph) else 0.99)
        text, n, _ = read(among_squares(side, 60, n=1), detector)
        assert (text, n) == ("0", n_unread), (side, heat)


def test_among_letters_nothing_is_read():
    zero = np.exp(log_p(0, 0.99))[:10]
    detector = Detector(p=zero, heat=lambda glyph: 0.001 if is_full(glyph) else 0.99)
    apart, together = (read(among_squares(30, gap), detector) for gap in (40, 5))
    assert apart[:2] == ("0", 0)
    assert together[0] == "" and together[1] >= 1


def test_glyphs_of_far_other_sizes_are_looked_at_apart():
    looks = []

    class Blind(Detector):
        """Finds what is at least half as high as the highest glyph that it is shown."""

        def propose(self, glyphs, scales=()):
            looks.append(sorted(glyph.height for glyph in glyphs))
            half = max(looks[-1]) / 2
            return [Proposal(glyph, self.p, 0.9, glyph.height > half, (glyph,)) for glyph in glyphs]

    zero, large = np.exp(log_p(0, 0.99))[:10], np.kron(ring(), np.ones((3, 3), np.uint8))
    few = np.hstack([large, np.pad(ring(), ((80, 80), (0, 0)), constant_values=255)])
    many = np.hstack([large, np.tile(ring(), (3, 3))])
    for page, expected in ((few, [[47, 137], [47]]), (many, [9 * [47], [137]])):
        looks.clear()
        assert read(page, Blind(p=zero))[:2] == ("0" * (2 if page is few else 10), 0)
        assert looks == expected


def test_a_circle_around_a_digit_is_none():
    circled = np.kron(ring(), np.ones((3, 3), np.uint8))
    circled[80:160, 80:160] = ring()
    zero = np.exp(log_p(0, 0.99))[:10]
    assert read(circled, Detector(p=zero))[0] == "0"


def test_many_marks_with_hardly_a_sure_one_are_not_a_page_of_digits():
    def doubtful(images):
        return np.tile(log_p(3, 0.42), (len(images), 1))

    assert read(np.tile(ring(60, 15), (7, 7)), Detector(), doubtful)[:2] == ("", 0)
    assert read(ring(100), Detector(), doubtful)[:2] == ("3", 0)
