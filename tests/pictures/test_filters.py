"""Each operation against SciPy's."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.Image import Resampling
from scipy import ndimage

from digits.pictures import filters

equal = np.testing.assert_array_equal
EIGHT = np.ones((3, 3), bool)


@st.composite
def masks(draw):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    share = draw(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) < share


@pytest.fixture(params=[(60, 47), (5, 90), (1, 1), (2, 3)], ids=str)
def image(request):
    return (255 * np.random.default_rng(3).random(request.param)).astype(np.float32)


@settings(deadline=None)
@given(masks(), st.integers(1, 4))
def test_components_their_boxes_and_pixels(mask, margin):
    found = filters.connected_components(mask)
    labels, n = ndimage.label(mask, EIGHT)
    equal(found.labels, labels)
    assert found.n == n
    assert found.boxes == ndimage.find_objects(labels)
    assert found.areas.tolist() == np.bincount(labels.ravel())[1:].tolist()
    sides = [[s.stop - s.start for s in box] for box in found.boxes]
    assert found.max_extent.tolist() == [max(two) for two in sides]
    assert found.min_extent.tolist() == [min(two) for two in sides]
    at_edge = labels.copy()
    at_edge[margin:-margin, margin:-margin] = 0
    equal(found.clear_of_edge(margin), ~found.occur_in(at_edge))

    part = found.labels[: len(mask) // 2 + 1]
    every = np.arange(1, found.n + 1)
    equal(found.occur_in(part), np.isin(every, part))
    odd = every % 2 == 1
    equal(found.mask_of(odd), found.labels % 2 == 1)
    box = ndimage.find_objects(mask.astype(int))
    assert filters.bounding_box(mask) == (box[0] if box else (slice(0, 1), slice(0, 1)))


def test_components_of_a_spiral_are_one():
    y, x = np.mgrid[-40:41, -40:41]
    spiral = np.where(y > 0, np.maximum(abs(x - 2), y) % 4 == 2, np.maximum(abs(x), -y) % 4 == 0)
    assert filters.connected_components(spiral).n == 1
    equal(filters.connected_components(~spiral).labels, ndimage.label(~spiral, EIGHT)[0])


@settings(deadline=None)
@given(masks(), st.integers(1, 4))
def test_dilate_and_boundary(mask, iterations):
    equal(filters.dilate(mask, iterations), ndimage.binary_dilation(mask, EIGHT, iterations))
    equal(filters.boundary(mask), mask & ~ndimage.binary_erosion(mask))


def test_extremes_closing_and_median(image):
    for size in ((1, 1), (1, 2), (7, 1), (2, 100), (3, 15)):
        for name in ("maximum_filter", "minimum_filter"):
            ours, scipys = getattr(filters, name), getattr(ndimage, name)
            equal(ours(image, size), scipys(image, size))
            mask = image > 100
            equal(ours(mask, size), scipys(mask.astype(np.uint8), size))
    for size in (3, 5, 11):
        closed = ndimage.grey_closing(image, (size, size), mode="nearest")
        equal(filters.grey_closing(image, size), closed)
        median = ndimage.median_filter(image, size, mode="nearest")
        equal(filters.median_filter(image, size), median)


def test_gaussian_and_gradient(image):
    close = partial(np.testing.assert_allclose, atol=2e-4)
    for sigma in (0.7, 1, 2):
        close(filters.gaussian_filter(image, sigma), ndimage.gaussian_filter(image, sigma))
        edge = ndimage.gaussian_filter(image, sigma, mode="nearest")
        close(filters.gaussian_filter(image, sigma, "edge"), edge)
        slope = ndimage.gaussian_gradient_magnitude(image, sigma)
        close(filters.gradient_magnitude(image, sigma), slope)


def test_large_images_are_filtered_part_by_part_and_sampled():
    image = np.random.default_rng(0).random((333, 500), np.float32)
    found, expected = filters.gaussian_filter(image, 1), ndimage.gaussian_filter(image, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    every = np.tile(np.arange(1275.0), (1000, 1))  # a step that divides the width sees few columns
    some = filters.sample(every)
    assert 40_000 < some.size < 100_000 and len(np.unique(some)) == 1275
    assert filters.quantile(every, 0.25) == pytest.approx(0.25 * 1274, abs=3)


def test_quantile_maxima_and_size(image):
    for share in (0, 0.37, 0.5, 0.95, 1):
        for values in (image, image[:, 0]):
            assert filters.quantile(values, share) == pytest.approx(np.quantile(values, share))
    found = filters.connected_components(image > 150)
    largest = ndimage.maximum(image, found.labels, np.arange(1, found.n + 1))
    equal(found.maxima(image), largest)
    assert filters.resize(image, (4, 7), Resampling.BOX).shape == (4, 7)
