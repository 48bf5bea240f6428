"""The most probable explanation of the glyphs on a picture: which are merged, which are split.

A digit may be broken, and neighbours may touch. `pictures.segmentation` proposes merges and splits,
a scorer (any function from images to log-probabilities) says how probable each is, and the best are
chosen.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from digits.pictures import Glyph
from digits.pictures.glyphs import encloses, farthest, merge
from digits.pictures.segmentation import (
    at_necks,
    merge_features,
    propose_merges,
    propose_splits,
)
from digits.recognizer.candidates import (
    ALIKE,
    CONFIDENT,
    DOUBTFUL_REJECT,
    MAX_CLUTTER,
    PAIR,
    Candidate,
    Scorer,
    is_clutter,
    is_sign,
    mean_confidence,
    reject_non_digits,
    score_glyphs,
)

# Penalties and gains are natural logarithms of probability. Glyphs as they stand are the rule;
# pieces to be merged and digits that touch are the exceptions.
MERGE_PENALTY = 0.7
# For pieces that lie inside one another, and for strokes that all but touch.
MERGE_COEF = np.array([6.0, 2.0])
# A fragment of a broken stroke may look like a 1, but a 1 hardly stands so near to another digit.
FRAGMENT_GAIN = 2.0
FRAGMENT_GAP = 0.12  # of the larger piece's longer side
SPLIT_PENALTY = 1.5
BEAM_WIDTH = 12  # readings of touching digits that are followed from cut to cut
# Digits that touch against letters that can be cut as well: the pieces' summed log-probability, the
# width over the height, the number of cuts. A logistic regression on touching digits of MNIST's
# training images and touching letters of `synthesis`, 370 of them in equal parts.
TOUCHING_COEF = np.array([0.46, 2.68, -1.23])
TOUCHING_ODDS = 1.3  # that a wide glyph is digits rather than letters, where no digit is near
MIN_P_ALONE = 0.2  # probability of a split on a picture that shows no digit beside it
MAX_SPLIT_PIXELS = 1_500_000  # of all glyphs that are tried as digits that touch
FEW = 4  # glyphs up to which unsure answers are given all the same


def interpret(
    glyphs: list[Glyph], scorer: Scorer, threshold: float
) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Choose the explanation of the glyphs that the scorer finds most probable.

    Returns the digits; what is as large as a digit, and neither read nor for certain something
    else; and each glyph as it stands. From a confidence of `threshold` on a digit is sure.
    """
    alone = score_glyphs(glyphs, scorer)
    if len(glyphs) > MAX_CLUTTER and is_clutter(alone, threshold):
        return [], [], alone  # grain, leaves, cloth: the pieces are not digits, nor are merges
    proposals = propose_merges(glyphs)
    merged = score_glyphs([merge([glyphs[i] for i in members]) for members in proposals], scorer)
    chosen = select_merges(alone, proposals, merged)
    n_sure = sum(candidate.confidence >= threshold for candidate in chosen)
    # The small ones are tried, while their areas are small together: a page of large scribbles
    # would be split for minutes. Their order stays, as later rules depend on it.
    areas = np.array([candidate.glyph.ink.size for candidate in chosen])
    order = np.argsort(areas, kind="stable")
    is_tried = np.zeros(len(chosen), bool)
    is_tried[order] = np.cumsum(areas[order]) <= MAX_SPLIT_PIXELS
    parts = [
        part
        for whole, tried in zip(chosen, is_tried, strict=True)
        for part in (split_touching(whole, n_sure, scorer) if tried else [whole])
    ]
    digits, unread = reject_non_digits(parts, scorer, threshold)
    if len(digits) > FEW and is_clutter(digits, threshold):
        return [], [], alone
    return digits, unread, alone


def interpret_as_one(glyphs: list[Glyph], scorer: Scorer) -> Candidate:
    """Take all as one digit: everything, or the largest with what is near, or it alone."""
    largest = max(range(len(glyphs)), key=lambda index: glyphs[index].side)
    merges = [members for members in propose_merges(glyphs) if largest in members]
    options = [range(len(glyphs)), (largest,), *merges]
    wholes = [merge([glyphs[i] for i in members]) for members in options]
    return max(score_glyphs(wholes, scorer), key=lambda candidate: candidate.log_p)


def select_merges(
    alone: list[Candidate], proposals: list[tuple[int, ...]], merged: list[Candidate]
) -> list[Candidate]:
    """Replace pieces by the digits that they make, the most convincing first.

    What is a digit for certain is a piece only of what is one for certain, too.
    """
    tallest = max((c.glyph.height for c in alone if c.confidence >= CONFIDENT), default=math.inf)
    merges = []
    for members, whole in zip(proposals, merged, strict=True):
        pieces = [alone[i] for i in members]
        if _swallows(whole, pieces, tallest):
            continue
        glyphs = [piece.glyph for piece in pieces]
        least, *_, most = sorted(pieces, key=lambda piece: piece.glyph.side)
        # As sure a digit as its pieces may be.
        rivals = whole.confidence >= CONFIDENT
        rivals &= farthest(glyphs) < FRAGMENT_GAP * most.glyph.side
        is_fragment = least.confidence < CONFIDENT or least.digit == 1
        is_fragment &= least.glyph.side < ALIKE * whole.glyph.side
        gain = whole.log_p - MERGE_PENALTY + MERGE_COEF @ merge_features(glyphs)
        gain += FRAGMENT_GAIN * (rivals and is_fragment) - sum(piece.score for piece in pieces)
        merges.append((gain, rivals, members, whole))
    taken: set[int] = set()
    chosen = []
    for gain, _, members, whole in sorted(merges, key=lambda merge: -merge[0]):
        if gain > 0 and not taken & set(members):
            taken |= set(members)
            chosen.append(whole)
    undecided = [members for _, rivals, members, _ in merges if rivals and not taken & set(members)]
    doubted = {i for members in undecided for i in members}
    rest = [i for i in range(len(alone)) if i not in taken]
    return [alone[i].discounted(0.5) if i in doubted else alone[i] for i in rest] + chosen


def _swallows(whole: Candidate, pieces: list[Candidate], tallest: float) -> bool:
    """Tell whether a digit that is certain would be lost in a whole: in a circle, or on a line.

    It may be a piece of a digit that is certain, too, and no larger than others, `tallest` pixels.
    """
    sure = [piece.glyph for piece in pieces if piece.confidence >= CONFIDENT]
    is_circled = any(encloses(piece.glyph, glyph) for piece in pieces for glyph in sure)
    is_lost = whole.confidence < CONFIDENT or whole.glyph.side > 1.35 * tallest
    return bool(sure) and (is_circled or is_lost)


def split_touching(whole: Candidate, n_sure: int, scorer: Scorer) -> list[Candidate]:
    """Return the digits that touch in a glyph, or the whole where it is not more than one.

    `n_sure` of the other candidates are sure digits.
    """
    glyph = whole.glyph
    aspect = glyph.width / glyph.height
    if aspect < (PAIR if whole.confidence >= CONFIDENT else 0.5):
        return [whole]
    if whole.confidence >= CONFIDENT:
        # A fainter neighbour may hang on to a digit, which looks no different to the model.
        for parts in at_necks(glyph, ALIKE):
            if min(part.confidence for part in score_glyphs(parts, scorer)) >= CONFIDENT:
                return [whole.discounted(0.5)]
        return [whole]
    proposals = [score_glyphs(parts, scorer) for parts in at_necks(glyph)]
    parts = max(proposals, key=mean_confidence, default=[])
    if parts and 2 * sum(part.confidence >= CONFIDENT for part in parts) >= len(parts):
        return [piece for part in parts for piece in split_touching(part, n_sure + 1, scorer)]
    if whole.log_p_reject > whole.log_p and is_sign(whole.image):
        return [whole]
    lattice = propose_splits(glyph)
    if not lattice:
        return [whole]
    flat = iter(score_glyphs([piece for pieces in lattice for piece in pieces], scorer))
    log_p, pieces, p_reading = beam_search([[next(flat) for _ in pieces] for pieces in lattice])
    if log_p <= whole.log_p:
        return [whole]
    p_digits = p_touching_digits(pieces, aspect, n_sure)
    if p_digits >= 0.5 and (n_sure or p_digits * p_reading >= MIN_P_ALONE):
        return [piece.discounted(p_digits * p_reading) for piece in pieces]
    if min(piece.confidence for piece in pieces) >= CONFIDENT:
        return [replace(whole, log_p_reject=min(whole.log_p_reject, DOUBTFUL_REJECT))]
    return [whole]


def p_touching_digits(pieces: list[Candidate], aspect: float, n_sure: int) -> float:
    """Return how probable it is that pieces are digits, not strokes of letters: logistic regression.

    `aspect` is the whole's width over its height; `n_sure` digits on the picture make it likelier.
    """
    evidence = np.array([sum(piece.log_p for piece in pieces), aspect, len(pieces) - 1])
    logit = TOUCHING_COEF @ evidence + math.log(TOUCHING_ODDS * (1 + n_sure))
    return math.exp(-np.logaddexp(0.0, -logit))


def beam_search(lattice: list[list[Candidate]]) -> tuple[float, list[Candidate], float]:
    """Choose the cuts between touching digits.

    Takes the scored pieces of `segmentation.propose_splits`. Returns the log-probability of the best
    pieces, less a penalty for each cut; the pieces; and the probability of the digits that they
    read, among all that other cuts would read.
    """
    n = len(lattice)
    # What can be read up to each edge: text -> log-probability of all paths, and of the best path;
    # the best path's pieces.
    paths: list[dict[str, tuple[float, float, list[Candidate]]]] = [{} for _ in range(n + 1)]
    paths[0][""] = (0.0, 0.0, [])
    for first, pieces in enumerate(lattice):
        beam = sorted(paths[first].items(), key=lambda path: -path[1][0])[:BEAM_WIDTH]
        for last, piece in enumerate(pieces, first + 1):
            gain = piece.log_p - (SPLIT_PENALTY if last < n else 0.0)
            for text, (total, log_p, before) in beam:
                text += str(piece.digit)
                known = paths[last].get(text, (-np.inf, -np.inf, []))
                best = max(known[1:], (log_p + gain, [*before, piece]), key=lambda path: path[0])
                paths[last][text] = (np.logaddexp(known[0], total + gain), *best)
    total, log_p, pieces = max(paths[n].values(), key=lambda path: path[0])
    every = np.logaddexp.reduce([path[0] for path in paths[n].values()])
    return log_p, pieces, math.exp(total - every)
