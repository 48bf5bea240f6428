"""Finds what lies around, or at the edge of, what is written: a desk, a shadow, the sheet's outline."""

from __future__ import annotations

import numpy as np

from digits.pictures.filters import boundary, connected_components, gradient_magnitude, quantile

ALONG_EDGE = 0.5  # share of a mark's length that lies on the picture's edge, if it is not a digit
SOFT_AT_EDGE = 0.6  # share of the usual sharpness below which a mark at the edge is a shadow


def border_region(mask: np.ndarray) -> np.ndarray:
    """Return the pixels, bool (height, width), that may belong to a desk, a shadow or the sheet's edge.

    Such a region touches the picture's edge and spans more than half of the picture, or is a hollow
    outline around other regions.
    """
    regions = connected_components(mask)
    tall, wide = regions.extents / np.array(mask.shape)[:, None]
    found = ~regions.clear_of_edge() & (np.maximum(tall, wide) > 0.5)
    hollow = (np.minimum(tall, wide) > 0.4) & (regions.areas < 0.15 * tall * wide * mask.size)
    for index in np.flatnonzero(hollow & ~found):
        found[index] = np.count_nonzero(regions.occur_in(regions.labels[regions.boxes[index]])) > 1
    return regions.mask_of(found)


def remove_border_artifacts(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Remove from a mask what lies along the picture's edge, or is soft there: a desk, a shadow.

    Only beside something of a digit's size that stands clear of the edge: a digit that is cut off
    by the picture's edge may be all that there is. `depth`, float32 (height, width), is by how much
    each pixel differs from the paper.
    """
    regions = connected_components(mask)
    labels, sizes = regions.labels, regions.max_extent
    sides = labels[0], labels[-1], labels[:, 0], labels[:, -1]
    # How many pixels of each of the four sides belong to each region, (4, n).
    contacts = np.array([np.bincount(side, minlength=regions.n + 1)[1:] for side in sides])
    # A strip that covers a whole side does not belong to a digit, whatever else there is.
    covers = (contacts > 0.95 * np.array([[len(side)] for side in sides])).any(0)
    mask = mask & ~regions.mask_of(covers & (regions.min_extent < 0.25 * min(mask.shape)))
    touching = contacts.any(0)
    least = max(24, 0.1 * min(mask.shape), 0.5 * sizes[~touching].max(initial=0))
    clear = ~touching & (sizes >= least)
    if min(mask.shape) < 100 or not touching.any() or not clear.any():
        return mask
    edge = gradient_magnitude(depth, 1)
    inner = np.zeros(mask.shape, bool)
    inner[2:-2, 2:-2] = True  # a gradient at the very edge is that of half a stroke
    sharpness = np.zeros(regions.n)
    for index in np.flatnonzero(touching | clear):
        box = regions.boxes[index]
        # Measured on its outline: inside a thick stroke nothing is steep.
        own = boundary(labels[box] == index + 1) & inner[box]
        if own.any():
            sharpness[index] = quantile(edge[box][own], 0.9) / depth[box][own].max()
    soft = sharpness < SOFT_AT_EDGE * quantile(sharpness[clear], 0.5)
    narrow = regions.min_extent < 0.5 * sizes
    along_edge = narrow & (contacts.max(0) >= ALONG_EDGE * sizes)
    heights, widths = regions.extents
    in_corner = (contacts[:2].max(0) > 0.8 * widths) & (contacts[2:].max(0) > 0.8 * heights)
    # What touches three sides is a border region, which the recognizer leaves out where it pays.
    touching &= np.count_nonzero(contacts, axis=0) <= 2
    return mask & ~regions.mask_of(touching & (in_corner | along_edge | soft))
