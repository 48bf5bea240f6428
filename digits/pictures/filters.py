"""The operations on images that finding ink needs, in NumPy, under SciPy's names.

Importing ``scipy.ndimage`` takes longer than reading a picture. OpenCV would make the start a sixth
longer and the installation 150 MB larger: in place of an earlier version of these functions it made
finding ink 1.1 to 1.35 times faster; products with band matrices, and runs of pixels, made it twice as
fast. Results are SciPy's with its default borders, which the tests compare; sums differ in the last
bits of a float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

WINDOWED = 100_000  # pixels, those of overlapping windows counted again, that are sorted at a time
SAMPLE = 50_000  # values that stand for all, about, where there are many more
# Multiplications in one product, at most: for larger ones, from 1 to 2.5 million on where that was
# measured, OpenBLAS starts threads, which keep the other processors busy for 0.1 s after it.
MOST_PRODUCTS = 250_000
BLOCK = 32  # pixels that are filtered at a time, small enough for a processor's cache

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Components:
    """The connected regions of a mask; pixels are neighbours by edge or corner.

    Attributes
    ----------
    mask : numpy.ndarray
        bool (height, width).
    runs, lengths : numpy.ndarray
        int (runs,): the region, from 0 on, and the number of pixels of each row's runs of set pixels,
        from the first row to the last.
    bounds : numpy.ndarray
        int (4, n): first row, row after the last, first column, column after the last of each region.
        Regions are numbered by their first pixels from the top.
    """

    mask: np.ndarray
    runs: np.ndarray
    lengths: np.ndarray
    bounds: np.ndarray

    @property
    def n(self) -> int:
        return self.bounds.shape[1]

    @cached_property
    def labels(self) -> np.ndarray:
        """int32 (height, width): 0 background, 1 to `n`."""
        labels = np.zeros(self.mask.shape, np.int32)
        labels[self.mask] = np.repeat(self.runs + 1, self.lengths)
        return labels

    @cached_property
    def areas(self) -> np.ndarray:
        """The number of pixels of each, int (n,)."""
        return np.bincount(self.runs, self.lengths, self.n).astype(int)

    @cached_property
    def boxes(self) -> list[Box]:
        """Rows and columns of each, entry i that of label i + 1."""
        top, bottom, left, right = self.bounds.tolist()  # on noise, a hundred thousand of each
        return list(zip(map(slice, top, bottom), map(slice, left, right), strict=True))

    @property
    def extents(self) -> np.ndarray:
        """Height and width of each box, int (2, n)."""
        return self.bounds[1::2] - self.bounds[::2]

    @property
    def max_extent(self) -> np.ndarray:
        """The longer side of each box, int (n,)."""
        return self.extents.max(0)

    @property
    def min_extent(self) -> np.ndarray:
        """The shorter side of each box, int (n,)."""
        return self.extents.min(0)

    def clear_of_edge(self, margin: int = 1) -> np.ndarray:
        """Tell which regions are at least `margin` pixels away from the image's edge, bool (n,)."""
        (top, bottom, left, right), (height, width) = self.bounds, self.mask.shape
        inside = (top >= margin) & (bottom <= height - margin)
        return inside & (left >= margin) & (right <= width - margin)

    def occur_in(self, patch: np.ndarray) -> np.ndarray:
        """Tell which regions have pixels in a part of `labels`, bool (n,)."""
        return np.bincount(patch.ravel(), minlength=self.n + 1)[1:] > 0

    def mask_of(self, chosen: np.ndarray) -> np.ndarray:
        """Return the pixels of the chosen regions, bool (n,), as a mask, bool (height, width)."""
        found = np.zeros_like(self.mask)
        if chosen.any():
            found[self.mask] = np.repeat(chosen[self.runs], self.lengths)
        return found

    def maxima(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of the values, (height, width), none negative, in each region, (n,)."""
        out = np.zeros(self.n, values.dtype)
        if self.n:
            first = np.cumsum(self.lengths) - self.lengths
            np.maximum.at(out, self.runs, np.maximum.reduceat(values[self.mask], first))
        return out


def connected_components(mask: np.ndarray) -> Components:
    """Find the connected regions of a mask, bool (height, width)."""
    height, width = mask.shape
    # Runs of ink in a row, as half-open ranges of the flattened mask; a column of background
    # keeps the rows apart.
    across = width + 1
    flat = np.zeros(height * across + 1, np.int8)
    flat[:-1].reshape(height, across)[:, :width] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if mask.size and mask.flat[0]:
        edges = np.concatenate([[0], edges])
    starts, stops = edges[::2], edges[1::2]
    root = _roots(starts, stops, across)
    is_first = root == np.arange(len(root))
    runs = (np.cumsum(is_first) - 1)[root]
    row = starts // across
    sides = np.stack([row, row + 1, starts - row * across, stops - row * across])
    bounds = sides[:, is_first]  # of the first run; the others may reach further
    for side, extreme in enumerate((np.minimum, np.maximum, np.minimum, np.maximum)):
        extreme.at(bounds[side], runs, sides[side])
    return Components(mask, runs, stops - starts, bounds)


def _roots(starts: np.ndarray, stops: np.ndarray, across: int) -> np.ndarray:
    """Return for each run the first run that it is connected with, int (runs,)."""
    # A run touches those of the next row that begin before it ends and end after it begins.
    first = np.searchsorted(stops, starts + across)
    last = np.searchsorted(starts, stops + across, "right")
    touching = last - first
    above = np.repeat(np.arange(len(starts)), touching)
    ends = np.cumsum(touching)
    below = np.arange(len(above)) + np.repeat(first - ends + touching, touching)
    root = np.arange(len(starts))
    while len(above):
        # Hook the later root to the earlier one, then let all point to their root.
        low, high = root[above], root[below]
        np.minimum.at(root, np.maximum(low, high), np.minimum(low, high))
        while not np.array_equal(root, further := root[root]):
            root = further
        apart = root[above] != root[below]
        above, below = above[apart], below[apart]
    return root


def sample(values: np.ndarray) -> np.ndarray:
    """Return all values as one row, or of very many some that are evenly spaced."""
    step = max(1, values.size // SAMPLE)
    while math.gcd(step, values.shape[-1]) > 1:  # else it meets the same columns in each row
        step += 1
    return values.ravel()[::step]


def quantile(values: np.ndarray, share: float) -> float:
    """Return the value below which a share of all values lies, between two of them in proportion.

    `numpy.quantile` and `numpy.median` import ``numpy.ma``, which takes longer than the network.
    """
    values = sample(values)
    place = share * (values.size - 1)
    low, high = math.floor(place), math.ceil(place)
    ordered = np.partition(values, (low, high))
    return float(ordered[low]) + (place - low) * float(ordered[high] - ordered[low])


def resize(image: np.ndarray, shape: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    """Return the image with so many rows and columns."""
    return np.asarray(Image.fromarray(image).resize(shape[::-1], how))


def dilate(mask: np.ndarray, iterations: int = 1) -> np.ndarray:
    """Grow a mask by a pixel in all eight directions, `iterations` times."""
    return maximum_filter(mask, (2 * iterations + 1,) * 2)


def boundary(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask that have background, or the image's edge, on one of four sides."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return mask & ~inner


def bounding_box(mask: np.ndarray) -> Box:
    """Return the rows and columns of the box around a mask's pixels; the first pixel if none is set."""
    left, top, right, bottom = Image.fromarray(mask).getbbox() or (0, 0, 1, 1)
    return slice(top, bottom), slice(left, right)


def maximum_filter(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the largest of the pixels around each, in windows of `size` rows and columns."""
    return _extreme_filter(image, size, np.maximum)


def minimum_filter(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the smallest of the pixels around each, in windows of `size` rows and columns."""
    return _extreme_filter(image, size, np.minimum)


def _extreme_filter(image: np.ndarray, sizes: tuple[int, int], extreme: np.ufunc) -> np.ndarray:
    """Filter rows, then columns, with windows that double: each joins two that are half as long."""
    for size in sizes:
        if size > 1:
            n, before = len(image), size // 2
            # The outermost pixels repeated change no extreme.
            first, last = image[:1].repeat(before, 0), image[-1:].repeat(size - 1 - before, 0)
            wide = np.concatenate([first, image, last])
            length = 1
            while 2 * length <= size:
                wide = extreme(wide[:-length], wide[length:])
                length *= 2
            image = extreme(wide[:n], wide[size - length : size - length + n])
        image = image.T
    return image


def grey_closing(image: np.ndarray, size: int) -> np.ndarray:
    """Fill dark patches that no square of `size` by `size` pixels (an odd number) fits into."""
    return minimum_filter(maximum_filter(image, (size, size)), (size, size))


def median_filter(image: np.ndarray, size: int) -> np.ndarray:
    """Return the median of the `size` by `size` pixels around each; `size` is odd."""
    windows = sliding_window_view(np.pad(image, size // 2, "edge"), (size, size))
    out = np.empty_like(image)
    # A few rows at a time: the windows laid out side by side would not fit into a cache.
    rows = max(1, WINDOWED // (image.shape[1] * size**2))
    for top in range(0, len(image), rows):
        block = windows[top : top + rows].reshape(-1, size**2)
        ordered = np.partition(block, size**2 // 2, axis=1)
        out[top : top + rows] = ordered[:, size**2 // 2].reshape(-1, image.shape[1])
    return out


def gaussian_filter(image: np.ndarray, sigma: float, border: str = "symmetric") -> np.ndarray:
    """Return the image, float32, under a Gaussian of standard deviation `sigma`.

    `border` says how `numpy.pad` continues the image: "symmetric" or "edge".
    """
    weights = _gaussian(sigma)
    return _correlate1d(_correlate1d(image, weights, 0, border), weights, 1, border)


def gradient_magnitude(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the length of the gradient of the blurred image, float32."""
    weights = _gaussian(sigma)
    slopes = np.arange(len(weights)) / sigma**2 * weights
    down = _correlate1d(_correlate1d(image, slopes, 0, odd=True), weights, 1)
    across = _correlate1d(_correlate1d(image, weights, 0), slopes, 1, odd=True)
    down *= down  # in place, as allocating takes longer than computing; `numpy.hypot` still longer
    across *= across
    down += across
    return np.sqrt(down, out=down)


def _gaussian(sigma: float) -> np.ndarray:
    """Return the right half of a Gaussian, its middle first, out to four standard deviations."""
    weights = np.exp(-0.5 * (np.arange(math.floor(4 * sigma + 0.5) + 1) / sigma) ** 2)
    return weights / (2 * weights.sum() - weights[0])


def _correlate1d(
    image: np.ndarray, weights: np.ndarray, axis: int, border: str = "symmetric", odd: bool = False
) -> np.ndarray:
    """Correlate one axis with a kernel that is even, or odd, given by its right half.

    It is a product with a band matrix, block by block: several times faster than adding shifted images.
    """
    radius, n = len(weights) - 1, image.shape[axis]
    kernel = np.concatenate([(-weights if odd else weights)[:0:-1], weights])
    band = np.zeros((BLOCK, BLOCK + 2 * radius), np.float32)
    for i in range(BLOCK):
        band[i, i : i + len(kernel)] = kernel
    margins = [(0, 0), (0, 0)]
    margins[axis] = (radius, radius + -n % BLOCK)
    wide = np.pad(image, margins, border)
    windows = sliding_window_view(wide, BLOCK + 2 * radius, axis)
    lines = MOST_PRODUCTS // band.size
    if axis == 0:
        windows = windows[::BLOCK].swapaxes(1, 2)  # (blocks, window, width)
        out = np.empty((len(windows), BLOCK, image.shape[1]), np.float32)
        for start in range(0, image.shape[1], lines):
            part = np.s_[..., start : start + lines]
            np.matmul(band, windows[part], out=out[part])
        return out.reshape(-1, image.shape[1])[:n]
    windows = windows[:, ::BLOCK].swapaxes(0, 1)  # (blocks, height, window)
    out = np.empty((len(image), len(windows), BLOCK), np.float32)
    for start in range(0, len(image), lines):
        part = np.s_[:, start : start + lines]
        np.matmul(windows[part], band.T, out=out.swapaxes(0, 1)[part])
    return out.reshape(len(image), -1)[:, :n]
