"""The pictures of test_images/: labelled, used, and drawn by the script beside them."""

import csv

import numpy as np
import pytest
from PIL import Image
from scenes import drawing
from sklearn.datasets import load_digits

from digits.config import TEST_IMAGES
from digits.data import embedded_split
from digits.data.labels import load_labels
from digits.evaluation.scoring import score_readings


@pytest.fixture(scope="module")
def rows():
    with (TEST_IMAGES / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_labels_name_every_picture_and_nothing_else(rows):
    there = {path.name: path.stat().st_size for path in TEST_IMAGES.iterdir() if path.is_file()}
    assert sum(there.values()) < 3_000_000
    others = ["labels.csv", "README.md", "make.py"]
    assert sorted([*others, *(row["file"] for row in rows)]) == sorted(there)
    assert len(rows) >= 30


def test_labels_are_what_the_script_draws_of_every_kind(rows):
    formats = set()
    for row in rows:
        sample = drawing().PICTURES[row["file"]]
        with Image.open(TEST_IMAGES / row["file"]) as image:
            formats.add((image.format, image.mode))
            turned = image.getexif().get(0x0112, 1) >= 5
            width, height = image.size[::-1] if turned else image.size
        drawn = {"file": row["file"], "label": sample.label, "kind": sample.kind}
        drawn |= {"polarity": sample.polarity, "width": str(width), "height": str(height)}
        drawn |= {"author": row["author"], "scattered": str(int(sample.scattered))}
        assert row == drawn
    assert formats >= {
        ("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "1"), ("PNG", "I;16"),
        ("GIF", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK"),
    }  # fmt: skip
    assert {row["polarity"] for row in rows} == {"dark-on-light", "light-on-dark"}
    assert {row["kind"] for row in rows} == {"paint28", "paint", "photo", "multi"}
    assert set("0123456789") <= set("".join(r["label"] for r in rows if r["kind"] != "multi"))
    assert set(load_labels(TEST_IMAGES)["group"]) == {"single digit", "page", "no digit"}


def test_the_handwriting_is_held_out_and_listed_under_its_digit():
    target, held_out = load_digits().target, set(embedded_split()[2].tolist())
    for digit, hand in drawing().HANDS.items():
        assert set(hand) <= held_out and (target[list(hand)] == digit).all(), digit


# Other versions of scipy and of the JPEG library may differ in the last grey levels.
LEVELS = {"grey28_5.png": 1, "mouse_one_pixel_2.png": 0, "touching_5407.png": 2, "pencil_4.jpg": 6}


@pytest.mark.parametrize(("file", "most"), LEVELS.items())
def test_the_script_draws_the_committed_picture(file, most):
    drawn = drawing().render(file).convert("L")
    with Image.open(TEST_IMAGES / file) as image:
        committed = image.convert("L")
    assert drawn.size == committed.size
    assert np.abs(np.subtract(drawn, committed, dtype=float)).mean() <= most


@pytest.mark.slow
def test_each_is_read_right_or_unsure(recognizer):
    labels = load_labels(TEST_IMAGES)
    readings = recognizer.read_many(TEST_IMAGES / file for file in labels["file"])
    scores = score_readings(labels, readings)
    wrong = scores[scores["outcome"] == "wrong"]
    assert wrong.empty, f"\n{wrong[['file', 'label', 'text', 'status']]}"
