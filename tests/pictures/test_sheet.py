"""Finding the sheet that is written on, and opening a part of a picture again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from digits.pictures import decode
from digits.pictures.sheet import Window, cut_out, find_sheet


def desk(sheet=(slice(60, 260), slice(100, 360)), light=230, dark=60, size=(400, 600)):
    """Return a sheet with a mark on a darker ground, uint8."""
    pixels = np.full(size, dark, np.uint8)
    pixels[sheet] = light
    pixels[120:200, 200:210] = dark  # what is written
    return pixels


def test_the_sheet_is_found_with_what_is_written_on_it():
    left, top, right, bottom = find_sheet(decode(desk())).box
    assert np.allclose([left * 600, right * 600], [100, 360], atol=6)
    assert np.allclose([top * 400, bottom * 400], [60, 260], atol=6)


def fading():
    """Return paper that fills the picture, in light that falls off."""
    return (desk((slice(None), slice(None))) * np.linspace(1, 0.3, 600)).astype(np.uint8)


def stroke():
    """Return a thick white 0 on black."""
    down, across = np.mgrid[:400, :600] - np.array([200, 300])[:, None, None]
    return np.where(abs(np.hypot(down, across) - 120) < 25, 230, 20).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        desk((slice(None), slice(None))),  # it fills the picture
        fading(),
        desk((slice(180, 200), slice(200, 220))),  # a speck
        stroke(),
    ],
    ids=["whole", "fading", "speck", "stroke"],
)
def test_what_is_no_sheet_is_not_taken_for_one(pixels):
    assert find_sheet(decode(pixels)) is None


def test_the_ground_beside_a_leaning_sheet_becomes_paper():
    leaning = Image.fromarray(desk()).rotate(12, fillcolor=60)
    window = find_sheet(decode(leaning))
    part = cut_out(window, lambda window: decode(leaning, window=window))
    dark = part.pixels < 150
    assert dark.any() and not dark[0].any() and not dark[:, 0].any() and not dark[:, -1].any()
    assert dark.mean() < 0.05, "only what is written is left"


def test_a_window_without_a_sheet_is_the_part_as_it_is():
    part = cut_out(Window((0.0, 0.0, 0.5, 0.5)), lambda window: decode(desk(), window=window))
    assert np.array_equal(part.pixels, desk()[:200, :300]) and part.size == (300, 200)
