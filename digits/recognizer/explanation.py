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
    DOUBTFUL_REJECT,
    MAX_CLUTTER,
    Candidate,
    Scorer,
    is_clutter,
    reject_non_digits,
    score_glyphs,
)
from digits.recognizer.detector import Detector, Proposal, Weights

HALF = math.log(0.5)
DISSENT = math.log(0.3)  # probability below which one of the two speaks against the other
LIKELY = math.log(0.7)  # from which nobody doubts that it is a digit


def interpret(
    glyphs: list[Glyph], detector: Detector, scorer: Scorer, threshold: float
) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Explain the ink of all glyphs.

    Returns the digits; what is as large as a digit, and neither read nor for certain something
    else; and each glyph as it stands. From a confidence of `threshold` on a digit is sure.
    """
    alone = score_glyphs(glyphs, scorer)
    if len(glyphs) > MAX_CLUTTER and is_clutter(alone, threshold):
        return [], [], alone  # grain, leaves, cloth: the pieces are not digits
    proposals = detector.propose(glyphs)
    whole = {id(candidate.glyph.ink): candidate for candidate in alone}
    # What the classifier takes for a digit may be much smaller than the others, or much larger.
    doubted = [
        p
        for p in proposals
        if not p.found and id(p.glyph.ink) in whole
        if whole[id(p.glyph.ink)].confidence >= CONFIDENT
    ]
    if doubted and len(doubted) < len(glyphs):
        proposals = [p for p in proposals if not any(p is one for one in doubted)]
        proposals += detector.propose([p.glyph for p in doubted])
    new = [p.glyph for p in proposals if id(p.glyph.ink) not in whole]
    made = {id(candidate.glyph.ink): candidate for candidate in score_glyphs(new, scorer)}
    weighed = [
        _weigh((whole | made)[ink], proposal, detector.weights, ink in whole)
        for proposal in proposals
        for ink in [id(proposal.glyph.ink)]
    ]
    return *reject_non_digits(weighed, scorer, threshold), alone


def _weigh(candidate: Candidate, proposal: Proposal, weights: Weights, whole: bool) -> Candidate:
    """Return a candidate with what the classifier and the detector together say of it.

    A digit that stands alone, `whole`, is the classifier's, which has seen far more of them; one that
    was cut, or put together, is as much the detector's, which saw what is beside it.
    """
    said = candidate.log_digits, candidate.log_p_reject, proposal.probabilities, proposal.heat
    log_odds = weights.log_odds(*said)
    is_digit, is_none = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    log_digits = said[0] if whole else weights.pool(said[0], proposal.probabilities)
    digit = log_digits.argmax()
    least = min(said[0][digit], np.log(proposal.probabilities[digit]))
    if is_digit < (HALF if whole else LIKELY) or least < (DISSENT if whole else HALF):
        log_digits = log_digits + HALF
    if whole and candidate.confidence >= CONFIDENT:
        is_none = min(is_none, DOUBTFUL_REJECT)  # not left out in silence
    return replace(candidate, log_digits=log_digits, log_p_reject=float(is_none))


def interpret_as_one(glyphs: list[Glyph], detector: Detector, scorer: Scorer) -> Candidate:
    """Take all as one digit: everything, or the largest with what belongs to it, or it alone."""
    largest = max(glyphs, key=lambda glyph: glyph.side)
    found = [p.glyph for p in detector.propose(glyphs) if p.found]
    near = [glyph for glyph in found if merge([glyph, largest]).ink.size <= glyph.ink.size]
    wholes = [merge(glyphs), largest, *near]
    return max(score_glyphs(wholes, scorer), key=lambda candidate: candidate.log_p)
