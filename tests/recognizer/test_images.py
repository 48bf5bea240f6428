"""The pictures of test_images/: labelled, used, and drawn by the script beside them."""

from __future__ import annotations

import csv
import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image

from digits.config import TEST_IMAGES
from digits.data import embedded_split
from digits.data.labels import load_labels
from digits.evaluation.scoring import score_readings
from digits.recognizer import Recognizer

COLUMNS = ["file", "label", "kind", "polarity", "width", "height", "author", "scattered"]


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make", TEST_IMAGES / "make.py")
    module = sys.modules["make"] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make"]


@pytest.fixture(scope="module")
def rows():
    with (TEST_IMAGES / "labels.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def test_labels_name_every_picture_and_nothing_else(rows):
    others = {"labels.csv", "README.md", "make.py"}
    there = {path.name for path in TEST_IMAGES.iterdir() if path.is_file()} - others
    assert sorted(row["file"] for row in rows) == sorted(there)
    assert len(rows) >= 30


def test_labels_are_what_the_script_draws(make, rows):
    for row in rows:
        sample = make.PICTURES[row["file"]]
        drawn = (sample.label, sample.kind, sample.polarity, str(int(sample.scattered)))
        assert drawn == (row["label"], row["kind"], row["polarity"], row["scattered"])
        with Image.open(TEST_IMAGES / row["file"]) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            size = image.size[::-1] if turned else image.size
        assert size == (int(row["width"]), int(row["height"])), row["file"]


def test_every_kind_of_file_and_page_is_there(rows):
    formats = set()
    for row in rows:
        with Image.open(TEST_IMAGES / row["file"]) as image:
            formats.add((image.format, image.mode))
    assert formats >= {
        ("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "1"), ("PNG", "I;16"),
        ("GIF", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK"),
    }  # fmt: skip
    assert {row["polarity"] for row in rows} == {"dark-on-light", "light-on-dark"}
    assert {row["kind"] for row in rows} == {"paint28", "paint", "photo", "multi"}
    assert set("0123456789") <= set("".join(r["label"] for r in rows if r["kind"] != "multi"))
    assert set(load_labels(TEST_IMAGES)["group"]) == {"single digit", "page", "no digit"}


def test_the_handwriting_is_held_out_and_listed_under_its_digit(make):
    from sklearn.datasets import load_digits

    target, held_out = load_digits().target, set(embedded_split()[2].tolist())
    for digit, hand in make.HANDS.items():
        assert set(hand) <= held_out and (target[list(hand)] == digit).all(), digit


def test_the_script_draws_the_committed_picture(make):
    # Other versions of scipy and of the JPEG library may differ in the last grey levels.
    levels = {
        "grey28_5.png": 1,
        "mouse_one_pixel_2.png": 0,
        "touching_5407.png": 2,
        "pencil_4.jpg": 6,
    }
    for file, most in levels.items():
        drawn = np.asarray(make.render(file).convert("L"), float)
        with Image.open(TEST_IMAGES / file) as image:
            committed = np.asarray(image.convert("L"), float)
        assert drawn.shape == committed.shape, file
        assert np.abs(drawn - committed).mean() <= most, file


def test_all_together_stay_small():
    assert sum(path.stat().st_size for path in TEST_IMAGES.iterdir()) < 3_000_000


@pytest.mark.slow
def test_each_is_read_right_or_unsure():
    labels = load_labels(TEST_IMAGES)
    readings = Recognizer.load().read_many(TEST_IMAGES / file for file in labels["file"])
    scores = score_readings(labels, readings)
    wrong = scores[scores["outcome"] == "wrong"]
    assert wrong.empty, f"\n{wrong[['file', 'label', 'text', 'status']]}"
