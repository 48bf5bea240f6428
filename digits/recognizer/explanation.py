"""The explanation of the ink on a picture: which of it is a digit, and which digit that is.

The detector says which ink belongs together, the classifier what it is; neither is believed alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from digits.pictures import Glyph
from digits.pictures.glyphs import merge
from digits.recognizer.candidates import (
    CONFIDENT,
    Candidate,
    Scorer,
    reject_non_digits,
    score_glyphs,
)
from digits.recognizer.detector import NOTHING, Detector, Proposal, Weights

MIN_SURE_SHARE = 0.3  # of the glyphs on a page of digits
HALF = math.log(0.5)
LIKELY = math.log(0.7)  # from which nobody doubts that it is a digit
MAX_CLUTTER = 40  # glyphs up to which a picture without any sure share is looked at more closely


def interpret(
    glyphs: list[Glyph], detector: Detector, scorer: Scorer, threshold: float
) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Explain the ink of all glyphs.

    Returns the digits; what is as large as a digit, and neither read nor for certain something
    else; and each glyph as it stands. From a confidence of `threshold` on a digit is sure.
    """
    alone = score_glyphs(glyphs, scorer)
    if len(glyphs) > MAX_CLUTTER and _is_clutter(alone, threshold):
        return [], [], alone  # grain, leaves, cloth: the pieces are not digits
    proposals, others = detector.propose(glyphs)
    # What the classifier takes for a digit may be much smaller than the others, or much larger.
    doubted = [index for index in others if alone[index].confidence >= CONFIDENT]
    if doubted and len(doubted) < len(glyphs):
        again, still = detector.propose([glyphs[index] for index in doubted])
        proposals += again
        others = [i for i in others if i not in doubted] + [doubted[i] for i in still]
    known = {id(candidate.glyph.ink): candidate for candidate in alone}
    new = [p.glyph for p in proposals if id(p.glyph.ink) not in known]
    known |= {id(candidate.glyph.ink): candidate for candidate in score_glyphs(new, scorer)}
    proposals += [Proposal(glyphs[index], NOTHING, 0.0) for index in others]
    weighed = [_weigh(known[id(p.glyph.ink)], p, detector.weights) for p in proposals]
    return *reject_non_digits(weighed, scorer, threshold), alone


def _weigh(candidate: Candidate, proposal: Proposal, weights: Weights) -> Candidate:
    """Return a candidate with what the classifier and the detector together say of it."""
    log_digits = weights.pool(candidate.log_digits, proposal.probabilities)
    said = candidate.log_digits, candidate.log_p_reject, proposal.probabilities, proposal.heat
    log_odds = weights.log_odds(*said)
    is_digit, is_none = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    if is_digit < LIKELY:
        log_digits = log_digits + is_digit
    digit = log_digits.argmax()
    if min(candidate.log_digits[digit], np.log(proposal.probabilities[digit])) < HALF:
        log_digits = log_digits + HALF  # one of them finds another digit as likely
    return replace(candidate, log_digits=log_digits, log_p_reject=float(is_none))


def interpret_as_one(glyphs: list[Glyph], detector: Detector, scorer: Scorer) -> Candidate:
    """Take all as one digit: everything, or the largest with what belongs to it, or it alone."""
    largest = max(glyphs, key=lambda glyph: glyph.side)
    found = [proposal.glyph for proposal in detector.propose(glyphs)[0]]
    near = [glyph for glyph in found if merge([glyph, largest]).ink.size <= glyph.ink.size]
    wholes = [merge(glyphs), largest, *near]
    return max(score_glyphs(wholes, scorer), key=lambda candidate: candidate.log_p)


def _is_clutter(candidates: list[Candidate], threshold: float) -> bool:
    """Tell whether hardly any of many glyphs is a digit: then it is not a page of digits."""
    sure = sum(c.confidence >= threshold for c in candidates)
    return sure < MIN_SURE_SHARE * len(candidates)
