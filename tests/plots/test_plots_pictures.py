"""The figures of pictures: what is drawn, not how it looks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from digits import plots
from digits.pictures import decode, find_digits, find_ink, to_mnist_form
from digits.recognizer import DigitReading, Reading


@pytest.fixture
def pixels():
    page = np.full((60, 80), 255, np.uint8)
    page[10:50, 20:26] = 0
    page[10:50, 50:56] = 0
    return page


def reading(accepted: bool) -> Reading:
    digit = DigitReading(1, 0.9, (20, 10, 6, 40), 0, accepted, False, np.zeros((28, 28), np.uint8))
    return Reading("a.png", "1", ("1",), 0.9, "ok", "", (digit,))


def test_stages_are_drawn_with_a_box_for_each_glyph(pixels):
    picture = decode(pixels)
    ink = find_ink(picture)
    glyphs = find_digits(ink)
    figure = plots.plot_stages(picture, ink, glyphs, to_mnist_form(glyphs[0].ink))
    assert len(figure.axes) == 6
    assert len(figure.axes[3].patches) == len(glyphs) == 2
    assert "2 found" in figure.get_suptitle()


def test_unsure_digits_have_a_broken_frame(pixels):
    picture = decode(pixels)
    figure = plots.plot_readings(
        [picture, picture], [reading(True), reading(False)], ["a", "b"], "two", 2
    )
    styles = [ax.patches[0].get_linestyle() for ax in figure.axes]
    assert styles == ["-", "--"]
    assert figure.axes[0].patches[0].get_bbox().bounds == (20, 10, 6, 40)
    assert plots.plot_readings([], [], [], "0 pictures").get_suptitle() == "0 pictures"


def test_outcomes_fill_each_bar():
    rows = {"plain": [4, 3, 0, 0, 1, 0], "turned": [2, 0, 0, 1, 0, 1]}
    names = ["n", "right", "unsure right", "unsure wrong", "refused", "confident wrong"]
    ax = plots.plot_outcomes(pd.DataFrame(rows, names).T)
    widths = np.array([[bar.get_width() for bar in part] for part in ax.containers])
    assert widths.T.tolist() == [[75, 0, 0, 25, 0], [0, 0, 50, 0, 50]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names[1:]
    assert ax.get_title() == "3 of 6 read right, 1 wrong and sure"
