"""Whatever arrives from outside is answered as the docstring says, or refused in one line."""

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
SEVEN[5:8, 7:20] = SEVEN[8:23, 16:19] = 255
MIXED = [  # each with what is to be answered
    (SEVEN, "read"),
    (255 - np.kron(SEVEN, np.ones((3, 3), np.uint8)), "read"),
    (np.full((40, 40), 255, np.uint8), "no-digit"),
    (np.zeros((28, 28), np.uint8), "no-digit"),
    *((what, "error") for what in (b"", b"text", 7, None, "/nowhere/at all.png", "a\0b.png")),
    *((what, "error") for what in (InputError("gone"), np.zeros((2, 2, 9)))),
]


@given(st.lists(st.integers(0, len(MIXED) - 1), max_size=12), st.booleans())
@FEW
def test_good_and_bad_pictures_keep_their_order(recognizer, places, single):
    pictures = (MIXED[place][0] for place in places)
    with answered():
        readings = list(recognizer.read_many(pictures, single=single))
        for reading in readings:
            check(reading)
        kinds = ["read" if reading.digits else reading.status for reading in readings]
        assert kinds == [MIXED[place][1] for place in places]


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


def test_images_of_other_shades_or_shapes_are_not_predicted(recognizer):
    images = [np.full((1, 28, 28), value) for value in (math.nan, 200, 200.0, "a", 1j)]
    images += [np.zeros(shape, np.uint8) for shape in ((2, 28, 28, 3), (28, 28))]
    for one in images:
        with pytest.raises(InputError, match=r"\(n, 28, 28\) in MNIST form .* uint8 from 0 to 255"):
            recognizer.predict(one)
