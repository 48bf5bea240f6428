"""What notebook 01 asks of the data."""

import numpy as np
import pytest

from digits.evaluation import exploration


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)


def test_sample_has_no_repetition_and_depends_on_its_seed():
    labels = np.zeros(100)
    drawn = exploration.sample(labels, 30, seed=1)
    assert len(set(drawn)) == 30 and (np.diff(drawn) > 0).all()
    assert list(drawn) == list(exploration.sample(labels, 30, seed=1))
    assert list(drawn) != list(exploration.sample(labels, 30, seed=2))
    assert list(exploration.sample(labels, 1000)) == list(range(100))


def test_nearest_finds_what_was_hidden(images):
    queries = images[[7, 3]].copy()
    queries[1, 0, 0] ^= 128  # one pixel differs by 128
    found = exploration.nearest(queries, images)
    assert list(found["index"]) == [0, 1]
    assert list(found["nearest"]) == [7, 3]
    assert found["distance"].to_numpy() == pytest.approx([0, 128 / 255], abs=1e-5)


def test_look_alikes_agree_with_brute_force(images):
    labels = np.arange(20) % 10
    pairs = exploration.look_alikes(images, labels)
    assert len(pairs) == 45 and (pairs["digit_a"] < pairs["digit_b"]).all()
    assert pairs["distance"].is_monotonic_increasing
    for row in pairs.head(5).itertuples():
        distance, index_a, index_b = min(
            (np.linalg.norm(images[i] / 255.0 - images[j] / 255.0), i, j)
            for i in np.flatnonzero(labels == row.digit_a)
            for j in np.flatnonzero(labels == row.digit_b)
        )
        assert row.distance == pytest.approx(distance, rel=1e-4)
        assert (row.index_a, row.index_b) == (index_a, index_b)


def test_copies_are_counted_pixel_for_pixel(images):
    changed = images[[1, 2]].copy()
    changed[1, 5, 5] ^= 1
    assert exploration.n_copies(changed, images) == 1
    assert exploration.n_copies(images[:5], images[5:]) == 0


def test_the_linear_model_reads_images_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    images = np.zeros((120, 28, 28), np.uint8)
    images[np.arange(120), 2 * labels + 3] = 200  # the digit is the height of a line
    images += rng.integers(0, 50, images.shape).astype(np.uint8)
    pixels = images.reshape(120, -1) / 255
    model = exploration.linear_model().fit(pixels[::2], labels[::2])
    assert model.score(pixels[1::2], labels[1::2]) > 0.9
