"""The explanation of the ink on a picture: which of it is a digit, and which digit that is.

The detector says which ink belongs together, the classifier what it is; neither is believed alone.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from digits.pictures import Glyph
from digits.pictures.glyphs import encloses, is_line, merge, typical_size
from digits.pictures.reading_order import words
from digits.recognizer.candidates import CONFIDENT, Candidate, Scorer, score_glyphs
from digits.recognizer.detector import Detector, Proposal, Weights, usual_height

MIN_SURE_SHARE = 0.3  # of the glyphs on a page of digits
MAX_CLUTTER = 40  # glyphs up to which a picture without any sure share is explained
HALF = math.log(0.5)
CERTAIN = math.log(0.9)  # from which it is something else, and need not be mentioned
SIZE_STEP = 1.7  # times the usual height beyond which glyphs are looked at apart, at their own size
UNLIKELY = math.log(0.2)  # to be something else, as what is smaller than digits must be to be one
LETTERS = 0.3  # median probability to be something else, from which a word has no digits
LARGE = 0.6  # share of the usual size from which what is not read must be accounted for


def interpret(
    glyphs: list[Glyph], detector: Detector, scorer: Scorer, threshold: float
) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Explain the ink of all glyphs.

    Returns the digits; what is as large as a digit, and neither read nor for certain something
    else; and each glyph as it stands. From a confidence of `threshold` on a digit is sure.
    """
    alone = score_glyphs(glyphs, scorer)
    n_sure = sum(candidate.confidence >= threshold for candidate in alone)
    if len(glyphs) > MAX_CLUTTER and n_sure < MIN_SURE_SHARE * len(alone):
        return [], [], alone  # grain, leaves, cloth: the pieces are not digits
    whole = {id(candidate.glyph.ink): candidate for candidate in alone}
    proposals = _propose(glyphs, detector, whole)
    new = [p.glyph for p in proposals if id(p.glyph.ink) not in whole]
    made = {id(candidate.glyph.ink): candidate for candidate in score_glyphs(new, scorer)}
    weighed = []
    for proposal in proposals:
        candidate = (whole | made)[id(proposal.glyph.ink)]
        sources = [whole[id(glyph.ink)] for glyph in proposal.sources]
        weighed.append(_weigh(candidate, proposal, detector.weights, sources))
    stands = {ink for ink, candidate in whole.items() if candidate.confidence >= CONFIDENT}
    return *_select(weighed, stands), alone


def _propose(
    glyphs: list[Glyph], detector: Detector, whole: dict[int, Candidate]
) -> list[Proposal]:
    """Return what the detector says of glyphs; those of far other sizes are looked at apart.

    They are far larger ones, and far smaller ones that it does not find beside the others, though
    the classifier, by the ids of the ink in `whole`, is sure of them.
    """
    usual = usual_height(glyphs)
    large = [glyph for glyph in glyphs if glyph.height > SIZE_STEP * usual]
    proposals = detector.propose([glyph for glyph in glyphs if glyph.height <= SIZE_STEP * usual])
    lost = [
        proposal
        for proposal in proposals
        if not proposal.found and proposal.glyph.height < usual / SIZE_STEP
        if id(proposal.glyph.ink) in whole
        if whole[id(proposal.glyph.ink)].confidence >= CONFIDENT
    ]
    groups = [large]
    if any(whole[id(p.glyph.ink)].digit != 1 for p in lost):  # more than commas
        proposals = [p for p in proposals if not any(p is one for one in lost)]
        groups += words([p.glyph for p in lost])  # word by word, as all together may fill the page
    return proposals + [p for group in groups if group for p in detector.propose(group, ())]


def _weigh(
    candidate: Candidate, proposal: Proposal, weights: Weights, sources: list[Candidate]
) -> Candidate:
    """Return a candidate with what the classifier and the detector together say of it.

    A digit that stands alone is the classifier's, which has seen far more of them; one that was cut
    from one of its `sources`, or put together of them, is as much the detector's, which saw what is
    beside it. Where it was cut from what is a digit by itself, and another, it is doubted.
    """
    said = candidate.log_digits, candidate.log_p_reject, proposal.probabilities, proposal.heat
    log_odds = weights.log_odds(*said)
    is_digit, is_none = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    pooled = weights.pool(said[0], proposal.probabilities)
    log_digits = said[0] if candidate in sources else pooled
    digit = log_digits.argmax()
    other = sources[0]
    is_denied = (
        len(sources) == 1 and other.confidence >= CONFIDENT and other.digit not in (1, digit)
    )
    if is_denied or min(is_digit, said[0][digit], pooled[digit]) < HALF:
        log_digits = log_digits + HALF
    return replace(candidate, log_digits=log_digits, log_p_reject=float(is_none))


def _select(
    candidates: list[Candidate], stands: set[int]
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the digits, and what is as large as they are, and neither read nor something else.

    What `stands`, the ids of the ink, is a digit for the classifier, and is not left out in silence.
    Among letters nothing is read: a word with an o and an l in it is no number.
    """
    digits = [c for c in candidates if c.log_p_reject < HALF]
    usual = typical_size([c.glyph for c in digits or candidates])
    large = [c for c in candidates if c.glyph.side >= LARGE * usual]
    digits = [c for c in digits if c in large or c.log_p_reject < UNLIKELY]  # no commas
    digits += [c for c in large if id(c.glyph.ink) in stands and c not in digits]
    digits = [c for c in digits if not any(encloses(c.glyph, other.glyph) for other in digits)]
    possible = [c for c in candidates if c.log_p_reject < (CERTAIN if c in large else HALF)]
    possible += [c for c in digits if c not in possible]
    if not digits:
        return possible, []
    p_reject = {id(c.glyph.ink): math.exp(c.log_p_reject) for c in candidates}
    letters = set()
    for word in words([c.glyph for c in candidates if not is_line(c.glyph)]):
        there = [id(glyph.ink) for glyph in word]
        if len(there) > 2 and np.median([p_reject[ink] for ink in there]) > LETTERS:
            letters.update(there)
    read = [c for c in digits if id(c.glyph.ink) not in letters]
    return read, [c for c in possible if c not in read]


def interpret_as_one(glyphs: list[Glyph], detector: Detector, scorer: Scorer) -> Candidate:
    """Take all as one digit: everything, or the largest with what belongs to it, or it alone."""
    largest = max(glyphs, key=lambda glyph: glyph.side)
    found = [p.glyph for p in detector.propose(glyphs) if p.found]
    near = [glyph for glyph in found if merge([glyph, largest]).ink.size <= glyph.ink.size]
    wholes = [merge(glyphs), largest, *near]
    return max(score_glyphs(wholes, scorer), key=lambda candidate: candidate.log_p)
