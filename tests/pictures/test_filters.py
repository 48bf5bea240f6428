"""Each operation against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from digits.pictures import filters

EIGHT = np.ones((3, 3), bool)


@st.composite
def masks(draw):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    share = draw(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) < share


@pytest.fixture(params=[(60, 47), (5, 90), (1, 1), (2, 3)])
def image(request):
    return (255 * np.random.default_rng(3).random(request.param)).astype(np.float32)


@settings(deadline=None)
@given(masks())
def test_components(mask):
    found = filters.connected_components(mask)
    labels, n = ndimage.label(mask, EIGHT)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.n == n
    assert found.boxes == ndimage.find_objects(labels)
    assert found.areas.tolist() == np.bincount(labels.ravel())[1:].tolist()
    assert found.max_extent.tolist() == [max(s.stop - s.start for s in b) for b in found.boxes]


@settings(deadline=None)
@given(masks())
def test_labels_in_and_mask_of(mask):
    found = filters.connected_components(mask)
    part = found.labels[: len(mask) // 2 + 1]
    np.testing.assert_array_equal(filters.unique_labels(part), np.setdiff1d(part, [0]))
    some = list(range(1, found.n + 1, 2))
    np.testing.assert_array_equal(found.mask_of(some), np.isin(found.labels, some))


def test_components_of_a_spiral_are_one():
    spiral = np.zeros((41, 41), bool)
    row, column, step, length = 20, 20, (0, 1), 1
    while length < 40:
        for _ in range(2):
            for _ in range(length):
                spiral[row, column] = True
                row, column = row + step[0], column + step[1]
            step = (step[1], -step[0])
        length += 2
    assert filters.connected_components(spiral).n == 1
    np.testing.assert_array_equal(
        filters.connected_components(~spiral).labels, ndimage.label(~spiral, EIGHT)[0]
    )


@settings(deadline=None)
@given(masks(), st.integers(1, 4))
def test_dilated_and_outline(mask, iterations):
    np.testing.assert_array_equal(
        filters.dilate(mask, iterations), ndimage.binary_dilation(mask, EIGHT, iterations)
    )
    np.testing.assert_array_equal(filters.boundary(mask), mask & ~ndimage.binary_erosion(mask))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 15, 100])
@pytest.mark.parametrize("axis", [0, 1])
def test_running_extremes(image, size, axis):
    for ours, scipys in (
        (filters.maximum_filter1d, ndimage.maximum_filter1d),
        (filters.minimum_filter1d, ndimage.minimum_filter1d),
    ):
        np.testing.assert_array_equal(ours(image, size, axis), scipys(image, size, axis))
        mask = image > 100
        np.testing.assert_array_equal(
            ours(mask, size, axis), scipys(mask.astype(np.uint8), size, axis).astype(bool)
        )


@pytest.mark.parametrize("size", [3, 5, 11])
def test_closed_and_median(image, size):
    np.testing.assert_array_equal(
        filters.grey_closing(image, size), ndimage.grey_closing(image, (size, size), mode="nearest")
    )
    np.testing.assert_array_equal(
        filters.median_filter(image, size), ndimage.median_filter(image, size, mode="nearest")
    )


@pytest.mark.parametrize("sigma", [0.7, 1, 2])
def test_blurred_and_steepness(image, sigma):
    np.testing.assert_allclose(
        filters.gaussian_filter(image, sigma), ndimage.gaussian_filter(image, sigma), atol=2e-4
    )
    np.testing.assert_allclose(
        filters.gaussian_filter(image, sigma, "edge"),
        ndimage.gaussian_filter(image, sigma, mode="nearest"),
        atol=2e-4,
    )
    np.testing.assert_allclose(
        filters.gradient_magnitude(image, sigma),
        ndimage.gaussian_gradient_magnitude(image, sigma),
        atol=2e-4,
    )


@pytest.mark.parametrize("share", [0, 0.37, 0.5, 0.95, 1])
def test_quantile(image, share):
    assert filters.quantile(image, share) == pytest.approx(np.quantile(image, share), rel=1e-6)
    assert filters.quantile(image[:, 0], share) == pytest.approx(np.quantile(image[:, 0], share))


def test_largest_in(image):
    found = filters.connected_components(image > 150)
    np.testing.assert_array_equal(
        filters.max_by_component(image, found),
        ndimage.maximum(image, found.labels, np.arange(1, found.n + 1)),
    )
