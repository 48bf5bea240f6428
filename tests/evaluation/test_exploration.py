import numpy as np
import pytest

from digits.evaluation import exploration


@pytest.fixture
def images():
    """Twenty random images, two of each digit."""
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)


@pytest.fixture
def labels():
    return np.arange(20) % 10


def bar(width, darkness=255, length=24):
    image = np.zeros((28, 28), np.uint8)
    image[2 : 2 + length, 10 : 10 + width] = darkness
    return image


def test_sample_has_no_repetition_and_depends_on_its_seed():
    labels = np.zeros(100)
    drawn = exploration.sample(labels, 30, seed=1)
    assert len(set(drawn)) == 30 and (np.diff(drawn) > 0).all()
    assert list(drawn) == list(exploration.sample(labels, 30, seed=1))
    assert list(drawn) != list(exploration.sample(labels, 30, seed=2))
    assert list(exploration.sample(labels, 1000)) == list(range(100))


def test_ink_is_a_share():
    blank, full, half = np.zeros((28, 28)), np.full((28, 28), 255), np.zeros((28, 28))
    half[:, :14] = 255
    shares = exploration.ink(np.stack([blank, full, half]).astype(np.uint8))
    assert shares == pytest.approx([0, 1, 0.5])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_stroke_width_of_a_bar(width):
    # The two ends belong to the outline, hence a little too thin, as documented.
    estimate = exploration.stroke_width(bar(width)[None])[0]
    assert width * 0.84 < estimate <= width


def test_stroke_width_does_not_depend_on_darkness_and_grows():
    widths = exploration.stroke_width(np.stack([bar(2), bar(2, 90), bar(3), bar(0)]))
    assert widths[0] == pytest.approx(widths[1], rel=1e-6)
    assert widths[2] > widths[0] + 0.7
    assert np.isnan(widths[3])


def test_mean_digits(images, labels):
    mean, spread = exploration.mean_digits(images, labels)
    assert mean.shape == spread.shape == (10, 28, 28)
    pair = images[labels == 3] / 255.0
    assert mean[3] == pytest.approx(pair.mean(axis=0))
    assert spread[3] == pytest.approx(np.abs(pair[0] - pair[1]) / 2)


def test_nearest_finds_what_was_hidden(images):
    queries = images[[7, 3]].copy()
    queries[1, 0, 0] ^= 128  # one pixel differs by 128
    found = exploration.nearest(queries, images)
    assert list(found["index"]) == [0, 1]
    assert list(found["nearest"]) == [7, 3]
    assert found["distance"].to_numpy() == pytest.approx([0, 128 / 255])


def test_nearest_is_the_same_however_many_rows_are_done_at_once(images, monkeypatch):
    whole = exploration.nearest(images[:9], images[9:])
    monkeypatch.setattr(exploration, "ROWS_AT_ONCE", 2)
    assert exploration.nearest(images[:9], images[9:]).equals(whole)


def test_look_alikes_agree_with_brute_force(images, labels):
    pairs = exploration.look_alikes(images, labels)
    assert len(pairs) == 45 and (pairs["digit_a"] < pairs["digit_b"]).all()
    assert pairs["distance"].is_monotonic_increasing
    for row in pairs.head(5).itertuples():
        assert labels[row.index_a] == row.digit_a and labels[row.index_b] == row.digit_b
        between = [
            np.linalg.norm(images[i] / 255.0 - images[j] / 255.0)
            for i in np.flatnonzero(labels == row.digit_a)
            for j in np.flatnonzero(labels == row.digit_b)
        ]
        assert row.distance == pytest.approx(min(between), rel=1e-4)


def test_a_planted_look_alike_comes_first(images, labels):
    images[8] = images[4]
    images[8, 14, 14] ^= 1
    first = exploration.look_alikes(images, labels).iloc[0]
    assert (first["digit_a"], first["digit_b"]) == (4, 8)
    assert (first["index_a"], first["index_b"]) == (4, 8)


def test_copies_are_counted_pixel_for_pixel(images):
    changed = images[[1, 2]].copy()
    changed[1, 5, 5] ^= 1
    assert exploration.n_copies(changed, images) == 1
    assert exploration.n_copies(images[:5], images[5:]) == 0


def test_out_of_fold_reads_what_is_there_and_not_by_heart():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    images = np.zeros((120, 28, 28), np.uint8)
    images[np.arange(120), 2 * labels + 3] = 200  # the digit is the height of a line
    images += rng.integers(0, 50, images.shape).astype(np.uint8)
    table = exploration.out_of_fold(images, labels)
    assert list(table["true"]) == list(labels)
    assert (table["true"] == table["predicted"]).mean() > 0.9
    nonsense = exploration.out_of_fold(images, rng.permutation(labels))
    assert (nonsense["true"] == nonsense["predicted"]).mean() < 0.3
