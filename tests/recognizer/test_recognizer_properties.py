"""Whatever arrives from outside is answered as the docstring says, or refused in one line."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from strategies import FEW, KINDS, MORE, an_array, answered, json_values

from digits import InputError
from digits.config import CHAMPION
from digits.recognizer import Recognizer

# --- Images and pictures -----------------------------------------------------------------------------


@given(
    st.sampled_from(KINDS),
    st.sampled_from([(0, 28, 28), (1, 28, 28), (3, 28, 28), (28, 28), (2, 28, 28, 1), (2, 27, 28)]),
    st.sampled_from([0, 1, 0.5, 1.2, 200, -1, 1e4, math.nan, math.inf]),
)
@MORE
def test_images_are_predicted_or_refused(recognizer, kind, shape, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, where a value does not fit
        images = np.full(shape, value if np.dtype(kind).kind in "f" else 1).astype(kind)
    with answered():
        table = recognizer.predict(images)
        assert len(table) == len(images)
        assert table["digit"].between(0, 9).all()
        assert table["confidence"].between(0, 1.0001).all()
        assert np.isfinite(recognizer.features(images)).all()


@given(an_array(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=30)))
@MORE
def test_any_array_is_read(recognizer, array):
    with answered():
        check(recognizer.read(array))
        check(recognizer.read(array, single=True))


def check(reading):
    assert reading.status in ("ok", "unsure", "no-digit", "error")
    assert (reading.status == "ok") == (reading.message == "")
    assert 0 <= reading.confidence <= 1.0001
    assert "".join(reading.rows) == reading.text == "".join(str(d.digit) for d in reading.digits)
    json.loads(json.dumps(reading.to_dict(), allow_nan=False))


SEVEN = np.zeros((28, 28), np.uint8)
SEVEN[5:8, 7:20] = 255
SEVEN[8:23, 16:19] = 255
MIXED = {
    "seven": (SEVEN, "read"),
    "large": (255 - np.kron(SEVEN, np.ones((3, 3), np.uint8)), "read"),
    "empty": (np.full((40, 40), 255, np.uint8), "no-digit"),
    "black": (np.zeros((28, 28), np.uint8), "no-digit"),
    "nothing": (b"", "error"),
    "no picture": (b"text", "error"),
    "a number": (7, "error"),
    "none": (None, "error"),
    "no file": ("/nowhere/at all.png", "error"),
    "zero byte": ("a\0b.png", "error"),
    "refused": (InputError("gone"), "error"),
    "a shape": (np.zeros((2, 2, 9)), "error"),
}


@given(st.lists(st.sampled_from(list(MIXED)), max_size=12), st.booleans())
@FEW
def test_good_and_bad_pictures_keep_their_order(recognizer, names, single):
    with answered():
        readings = list(recognizer.read_many((MIXED[name][0] for name in names), single=single))
        assert len(readings) == len(names)
        for name, reading in zip(names, readings, strict=True):
            check(reading)
            kind = "read" if reading.digits else reading.status
            assert kind == MIXED[name][1], name


@given(st.sampled_from(["temperature", "threshold", "metrics"]), json_values, st.booleans())
@FEW
def test_any_field_of_a_card_is_taken_or_refused(name, value, whole):
    card = {**json.loads((CHAMPION / "card.json").read_text()), name: value} if whole else value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        shutil.copy(CHAMPION / "model.onnx", path)
        (path / "card.json").write_text(json.dumps(card))
        with answered():
            recognizer = Recognizer.load(path, threads=1)
            assert 0 < recognizer.temperature < math.inf
            assert 0 <= recognizer.threshold <= 1


@pytest.mark.parametrize(
    "images",
    [np.full((1, 28, 28), math.nan), np.full((1, 28, 28), 200), np.full((1, 28, 28), 200.0),
     np.full((1, 28, 28), "a"), np.full((1, 28, 28), 1j),
     np.zeros((2, 28, 28, 3), np.uint8), np.zeros((28, 28), np.uint8)],
    ids=["NaN", "int64", "floats to 255", "text", "complex", "channels", "a single one"],
)  # fmt: skip
def test_images_of_other_shades_or_shapes_are_not_predicted(recognizer, images):
    with pytest.raises(InputError, match=r"\(n, 28, 28\) in MNIST form .* uint8 from 0 to 255"):
        recognizer.predict(images)
