"""Made pages, and the truth about their ink."""

from itertools import pairwise

import numpy as np
import pytest

from digits.data import load, pages
from digits.data.pages import CUT, PATCH, STROKE, make_page, make_patches, make_row
from digits.pictures import decode, find_digits, find_ink


@pytest.fixture(scope="module")
def images():
    dataset = load("embedded")
    return dataset.x_train, dataset.y_train


def random(*seed):
    return np.random.default_rng(seed)


def stroke_gaps(page):
    """Return the least gap between the strokes of each two neighbours, in heights."""
    strokes = []
    for number in range(1, len(page.labels) + 1):
        own = np.where(page.owner == number, page.ink, 0)
        strokes.append(own > STROKE * own.max())  # each in the pen that it was written with
    columns = np.arange(page.ink.shape[1])
    gaps = []
    for left, right in pairwise(strokes):
        ends, starts = (
            np.where(left, columns, -np.inf).max(1),
            np.where(right, columns, np.inf).min(1),
        )
        gaps.append((starts - ends).min() / page.height)
    return gaps


def test_a_row_is_written_in_order_and_as_far_apart_as_asked_for(images):
    page = make_row(*images, 0.3, random(0))
    assert len(page.labels) == 5 and (np.diff(page.boxes[:, 0]) > 0).all()
    assert page.pixels.dtype == np.uint8 and page.pixels.shape == page.ink.shape == page.owner.shape
    glyphs = find_digits(find_ink(decode(page.pixels)))
    assert page.labels_of(glyphs, page.ink > 0) == page.labels.tolist()
    for seed in range(4):
        found = stroke_gaps(make_row(*images, 0.3, random(seed)))
        assert found == pytest.approx([0.3] * 4, abs=0.09)
    near, far = (make_row(*images, gap, random(0)).ink.shape[1] for gap in (-0.1, 0.5))
    assert far - near > 4 * 0.4 * 48
    # Strokes that cross are one piece of ink, which is no single digit.
    crossing = make_row(*images, -0.1, random(0))
    (whole,) = find_digits(find_ink(decode(crossing.pixels)))[:1]
    assert crossing.labels_of([whole], crossing.ink > 0) == [-1]


def test_all_ink_is_a_digits_or_nobodys_and_lies_in_its_box(images):
    n_others = 0
    for seed in range(20):
        page = make_page(*images, random(1, seed))
        assert not page.owner[page.ink == 0].any(), "blank paper"
        n_others += np.count_nonzero((page.ink > 0.5) & (page.owner == 0))
        for number, (left, top, width, height) in enumerate(page.boxes, 1):
            y, x = np.nonzero(page.owner == number)
            if len(y):
                assert left <= x.min() and x.max() < left + width
                assert top <= y.min() and y.max() < top + height
    assert n_others > 100, "letters and signs are written, too"


def test_patches_depend_on_the_seed_alone_and_know_their_owners(images, monkeypatch):
    patches = make_patches(*images, (3, 1), 12)
    assert patches.ink.shape == (12, *PATCH) and patches.ink.dtype == np.uint8
    assert patches.owner.shape == (12, PATCH[0] // 2, PATCH[1] // 2)
    assert CUT in patches.owner, "digits whose middle lies beyond the patch"
    for owner, digits in zip(patches.owner, patches.digits, strict=True):
        n = np.count_nonzero(digits[:, 0] >= 0)
        assert set(np.unique(owner)) <= {0, *range(1, n + 1), CUT}
        assert (digits[:n, 1:3] >= 0).all() and (digits[:n, 1:3] < PATCH[::-1]).all()
        for number, (_, x, y, width, height) in enumerate(digits[:n], 1):
            rows, columns = np.nonzero(owner == number)
            assert (np.abs(2 * rows - y) <= height / 2 + 4).all()
            assert (np.abs(2 * columns - x) <= width / 2 + 4).all()
    monkeypatch.setattr(pages, "FEW", 4)  # in processes of their own
    again = make_patches(*images, (3, 1), 12)
    assert all((a == b).all() for a, b in zip(patches, again, strict=True))
    other = make_patches(*images, (3, 2), 1)
    assert (other.ink[0] != patches.ink[0]).any()
