"""How the detector's answer is turned into digits, with a session that knows where they are."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from digits import InputError
from digits.config import CHAMPION
from digits.pictures import Glyph
from digits.recognizer.detector import (
    CELL,
    CLASSES,
    HEAT,
    MARGIN,
    N_CHANNELS,
    OWNED,
    SCALES,
    SIDE,
    SIZES,
    VOTES,
    Detector,
    Weights,
    densest,
    evidence,
)


class Session:
    """Knows boxes (left, top, width, height, label) on the page, in pixels without the margin."""

    def __init__(self, *boxes, heat=6.0):
        self.boxes, self.heat = np.array(boxes, float).reshape(-1, 5), heat

    def get_inputs(self):
        return [SimpleNamespace(name="ink")]

    def run(self, _, feeds):
        rows, columns = (side // CELL for side in feeds["ink"].shape[1:3])
        cells = np.zeros((rows, columns, N_CHANNELS), np.float32)
        cells[..., HEAT] = cells[..., OWNED] = -6
        y, x = np.mgrid[: 2 * rows, : 2 * columns] * (CELL / 2) + CELL / 4
        moved = np.add(self.boxes, (MARGIN, MARGIN, 0, 0, 0))
        for left, top, width, height, label in moved:
            across, down = left + width / 2, top + height / 2
            inside = (abs(x - across) <= width / 2) & (abs(y - down) <= height / 2)
            votes = np.stack([across - x, down - y], -1) / SIDE
            quarters = inside.reshape(rows, 2, columns, 2).swapaxes(1, 2).reshape(rows, columns, 4)
            votes = votes.reshape(rows, 2, columns, 2, 2).swapaxes(1, 2).reshape(rows, columns, 8)
            cells[..., OWNED][quarters] = 6
            cells[..., VOTES][quarters.repeat(2, -1)] = votes[quarters.repeat(2, -1)]
            cells[..., CLASSES.start + int(label)][quarters.any(-1)] = 9
            middle = int(down // CELL), int(across // CELL)
            cells[(*middle, HEAT)] = self.heat
            cells[middle][CLASSES.start + int(label)] = 9
            cells[middle][SIZES] = np.log([width / SIDE, height / SIDE])
        return [cells[None]]


def block(width, height=32, left=0, top=0):
    return Glyph(np.ones((height, width), np.float32), left, top, 1.0)


def test_digits_that_touch_are_taken_apart_where_their_votes_part():
    detector = Detector(Session((0, 0, 20, 32, 7), (20, 0, 16, 32, 4)))
    glyph = block(36)
    left, right = sorted(detector.propose([glyph]), key=lambda p: p.glyph.left)
    assert [p.probabilities.argmax() for p in (left, right)] == [7, 4]
    assert left.found and right.found and left.glyph.cut and right.glyph.cut
    assert abs(left.glyph.width - 20) <= 2 and abs(right.glyph.width - 16) <= 2
    assert left.glyph.ink.sum() + right.glyph.ink.sum() == glyph.ink.sum()
    assert min(left.heat, right.heat) > 0.99


def test_pieces_of_a_digit_are_put_together_and_a_whole_one_stays_as_it_is():
    pieces = [block(20, 12), block(20, 16, top=16), block(20, 32, left=40)]
    detector = Detector(Session((0, 0, 20, 32, 5), (40, 0, 20, 32, 1)))
    broken, whole = sorted(detector.propose(pieces), key=lambda p: p.glyph.left)
    assert (broken.glyph.height, broken.glyph.ink.sum()) == (32, 20 * 28)
    assert broken.probabilities.argmax() == 5 and not broken.glyph.cut
    assert whole.glyph is pieces[2]


def test_ink_that_no_digit_owns_is_proposed_as_not_found():
    other = block(20, 32, left=40)
    nothing = Detector(Session()).propose([other])
    assert [(p.glyph is other, p.found) for p in nothing] == [(True, False)] and nothing[
        0
    ].heat < 0.1
    # A stroke that hangs on to a digit, and as large as half of one, is not left out in silence.
    proposals = Detector(Session((0, 0, 20, 32, 3))).propose([block(34)])
    (digit,), (rest,) = ([p for p in proposals if p.found is found] for found in (True, False))
    assert abs(digit.glyph.width - 20) <= 2 and abs(rest.glyph.width - 14) <= 2
    missed = Detector(Session((0, 0, 20, 32, 3), heat=-6)).propose([block(20)])
    assert [p.found for p in missed] == [False] and 0.3 < missed[0].heat < 0.6, (
        "its ink is a digit's"
    )


def test_nothing_is_proposed_where_nothing_is_written():
    assert Detector(Session()).propose([]) == []


def test_specks_far_apart_are_not_enlarged_without_end():
    specks = [block(4, 4), block(4, 4, left=2000, top=1500)]
    session = Session()
    seen, run = [], session.run
    session.run = lambda names, feeds: seen.append(feeds["ink"].size) or run(names, feeds)
    assert [p.found for p in Detector(session).propose(specks)] == [False, False]
    assert max(seen) < 5_000_000


def test_two_opinions_are_pooled_and_a_digit_is_likelier_the_more_speaks_for_it():
    weights = Weights((0.5, 1.0), (0.0, 1.0, 0.2, 0.1))
    seven, four = (np.log(np.where(np.arange(10) == digit, 0.91, 0.01)) for digit in (7, 4))
    same, other = weights.pool(seven, np.exp(seven)), weights.pool(seven, np.exp(four))
    assert same.argmax() == 7 and other.argmax() == 4 and same.max() > other.max()
    assert np.exp(same).sum() == pytest.approx(1)
    odds = [
        weights.log_odds(seven, reject, np.exp(p), heat)
        for reject, p, heat in [
            (-5, seven, 0.9),
            (-5, seven, 0.2),
            (-0.1, seven, 0.9),
            (-5, four, 0.9),
        ]
    ]
    assert odds[0] > max(odds[1:])
    assert len(evidence(seven, -np.inf, np.exp(seven), 0.0)) == 4
    assert np.isfinite(evidence(seven, -np.inf, np.exp(seven), 0.0)).all()


def test_other_scales_are_tried_where_most_of_the_ink_is(monkeypatch):
    ink = np.zeros((1500, 900), np.float32)
    ink[:40, :40], ink[900:1100, 500:720] = 1, 0.5
    down, across = densest(ink, 512)
    assert down.start <= 900 and down.stop >= 1100
    assert across.start <= 500 and across.stop >= 720
    assert ink[down, across].shape == (512, min(512, 900 - across.start))
    detector, looks, explained = Detector(None), [], {0.5: 0.1, 0.3: 0.2}

    def field(part, factor):
        looks.append((part.shape, round(factor, 2)))
        share = whole if part.shape == ink.shape else explained[looks[-1][1]]
        return SimpleNamespace(explained=share, factor=factor)

    monkeypatch.setattr(detector, "field", field)
    first, part = SimpleNamespace(explained=0.3, factor=0.5), (1024, 900)
    for share, best, whole in ((0.15, 0.3, 0.6), (0.4, 0.85, 0.6), (0.4, 0.85, 0.2)):
        explained[0.85] = share
        looks.clear()
        found = detector._other_scales(ink, first, SCALES)
        assert looks == [(part, 0.5), (part, 0.3), (part, 0.85), (ink.shape, best)]
        assert found.factor == pytest.approx(best if whole > first.explained else 0.5)
    for page, expected in ((ink, [(part, 0.5), (part, 0.85)]), (ink[:300], [((300, 900), 0.85)])):
        looks.clear()
        explained[0.85] = 0.05
        assert detector._other_scales(page, first, (1.7,)) is first, "not the whole again"
        assert looks == expected


def test_what_is_no_detector_is_named(tmp_path):
    shutil.copyfile(CHAMPION / "detector.onnx", tmp_path / "other.onnx")
    for card in ("{", "{}", '{"weights": {"classes": [1]}}'):
        (tmp_path / "other.json").write_text(card)
        with pytest.raises(InputError, match=r"other\.json is no card of a detector"):
            Detector.load(tmp_path / "other.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    for path, reason in (
        (tmp_path / "none.onnx", "does not exist"),
        (tmp_path / "broken.onnx", "is not an ONNX model"),
        (CHAMPION / "model.onnx", r"expected \(n, height, width, 1\)"),
    ):
        with pytest.raises(InputError, match=reason):
            Detector.load(path)
