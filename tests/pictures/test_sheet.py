"""Finding the sheet that is written on, and opening a part of a picture again."""

import numpy as np
from PIL import Image

from digits.pictures import decode
from digits.pictures.sheet import Window, cut_out, find_sheet


def desk(sheet=(slice(60, 260), slice(100, 360))):
    """Return a bright sheet with a mark on a darker ground, uint8."""
    pixels = np.full((400, 600), 60, np.uint8)
    pixels[sheet] = 230
    pixels[120:200, 200:210] = 60  # what is written
    return pixels


def test_the_sheet_is_found_with_what_is_written_on_it():
    left, top, right, bottom = find_sheet(decode(desk())).box
    assert np.allclose([left * 600, right * 600], [100, 360], atol=6)
    assert np.allclose([top * 400, bottom * 400], [60, 260], atol=6)


def test_what_is_no_sheet_is_not_taken_for_one():
    fills = desk((slice(None), slice(None)))
    speck = desk((slice(180, 200), slice(200, 220)))
    fading = fills * np.linspace(1, 0.3, 600)  # light that falls off
    down, across = np.mgrid[-200:200, -300:300]
    thick_zero = np.where(abs(np.hypot(down, across) - 120) < 25, 230, 20)
    for pixels in (fills, speck, fading, thick_zero):
        assert find_sheet(decode(pixels.astype(np.uint8))) is None


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
