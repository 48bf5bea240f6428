"""The steps from a picture to a digit, one after the other, and digits that lack one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import center_of_mass

from digits.config import TEST_IMAGES
from digits.data.labels import load_labels
from digits.evaluation.scoring import score_readings
from digits.evaluation.steps import (
    ONE_DIGIT_STEPS,
    SEGMENTATION,
    broken_habits,
    reading_steps,
    score_steps,
)
from digits.recognizer import Reading

PLAIN, DECODE, POLARITY, INK, FIT, STROKES = ONE_DIGIT_STEPS


class Answers:
    """A model that reads each image as `read` says, sure of it where `read` gives a number."""

    def __init__(self, read):
        self.read = read

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
        digits = [self.read(image) for image in images]
        accepted = [digit is not None for digit in digits]
        digits = [digit or 0 for digit in digits]
        return pd.DataFrame({"digit": digits, "confidence": 0.9, "accepted": accepted})


@pytest.fixture(scope="module")
def thin():
    return reading_steps(TEST_IMAGES / "mouse_one_pixel_2.png")


def test_the_polarity_is_turned_where_it_has_to_be(thin):
    assert thin[DECODE].mean() > 200 and thin[POLARITY].mean() < 55
    assert tuple(thin) == ONE_DIGIT_STEPS
    np.testing.assert_array_equal(thin[POLARITY], 255 - thin[DECODE])
    light = reading_steps(TEST_IMAGES / "brush_0_white_on_black.png")
    np.testing.assert_array_equal(light[POLARITY], light[DECODE])


def test_paper_is_taken_away_and_ink_stays(tmp_path):
    page = np.linspace(120, 250, 120 * 120).reshape(120, 120)
    page[30:90, 55:62] = 20
    Image.fromarray(page.astype(np.uint8)).save(tmp_path / "page.png")
    steps = reading_steps(tmp_path / "page.png")
    corners = [0, 0, -1, -1], [0, -1, 0, -1]
    assert steps[POLARITY][corners].max() > 100
    assert steps[INK][corners].max() == 0
    assert steps[INK][14, 12:16].max() > 150


def test_fitted_digits_fill_the_box_around_their_centre_of_mass(thin):
    for step in (FIT, STROKES):
        assert 17 <= max(box(thin[step] > 8)[2:]) <= 20
        assert center_of_mass(thin[step]) == pytest.approx((14, 14), abs=1)
    # Thin strokes are thickened.
    assert thin[STROKES].sum(dtype=float) > 1.5 * thin[FIT].sum(dtype=float)


def test_decoding_shows_dark_ink_on_a_transparent_ground():
    steps = reading_steps(TEST_IMAGES / "transparent_black_ink_3.png")
    assert np.ptp(steps[PLAIN]) < 10  # black on black
    assert np.ptp(steps[DECODE]) > 200


def test_a_sheet_without_ink_gives_empty_images(tmp_path):
    Image.new("L", (60, 40), 200).save(tmp_path / "blank.png")
    steps = reading_steps(tmp_path / "blank.png")
    assert not any(steps[step].any() for step in (INK, FIT, STROKES))


@pytest.fixture
def folder(tmp_path):
    """A folder with a 1, a page of two and an empty sheet, white on black."""
    pixels = np.zeros((3, 40, 60), np.uint8)
    pixels[:2, 8:32, 14:18] = pixels[1, 8:32, 40:44] = 255
    for name, one in zip(("one", "two", "none"), pixels, strict=True):
        Image.fromarray(one).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text("file,label\none.png,1\ntwo.png,11\nnone.png,\n")
    return tmp_path


def test_steps_are_scored(folder):
    labels = load_labels(folder)
    readings = [Reading("", "1"), Reading("", "17", status="unsure"), Reading("", "")]
    # A narrow upright is a 1; the same squeezed out of its place is taken for a 7.
    model = Answers(lambda image: 1 if center_of_mass(image)[1] > 12 else 7)
    table = score_steps(model, folder, score_readings(labels, readings))
    assert list(table.index) == [*ONE_DIGIT_STEPS, SEGMENTATION]
    assert list(table) == [
        "n_singles", "singles_right", "singles_accepted", "singles_accepted_wrong",
        "n_pages", "pages_exact", "page_digit_errors",
    ]  # fmt: skip
    # One answer to a page of two leaves out at least one digit.
    for step in (PLAIN, DECODE, POLARITY, INK):
        assert table.loc[step].tolist() == [1, 0, 1, 1, 1, 0, 1], step
    for step in (FIT, STROKES, SEGMENTATION):
        assert table.loc[step].tolist() == [1, 1, 1, 0, 1, 0, 1], step
    without = labels.query("group == 'no digit'").reset_index(drop=True)
    table = score_steps(model, folder, score_readings(without, [Reading("", "")]))
    assert table.loc[SEGMENTATION].tolist() == [0, 0, 0, 0, 0, 0, 0]


def test_an_answer_that_is_withheld_is_not_wrong(folder):
    scores = score_readings(load_labels(folder), [Reading("", "7", status="unsure")] * 3)
    table = score_steps(Answers(lambda image: None), folder, scores)
    assert not table.filter(like="singles_").any(axis=None)


def box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the ink."""
    rows, columns = np.nonzero(image)
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def test_each_degradation_leaves_one_step_out():
    seven = np.zeros((28, 28), np.uint8)  # in MNIST form, 12 wide and 18 high
    seven[5:8, 8:20] = seven[8:23, 14:17] = 255
    spoiled = broken_habits(seven)
    assert all(image.shape == (28, 28) and image.dtype == np.uint8 for image in spoiled.values())
    assert next(iter(spoiled)) == "as it is"
    np.testing.assert_array_equal(spoiled["as it is"], seven)
    np.testing.assert_array_equal(spoiled["inverted"], 255 - seven)
    assert box(spoiled["in the corner"]) == (0, 0, 18, 12)
    assert box(spoiled["no margin, stretched"]) == (0, 0, 28, 28)
    assert box(spoiled["half the size"]) == (9, 11, 9, 6)
    assert box(spoiled["thin strokes"])[2:] == (17, 11)
    assert box(spoiled["thick strokes"])[2:] == (20, 14)
    dot = np.zeros((28, 28), np.uint8)
    dot[14, 14] = 255
    assert box(broken_habits(dot)["half the size"])[2:] == (1, 1), "a dot can be halved, too"
