"""Whatever arrives from outside is answered as the docstrings say, or refused in one line.

Hypothesis makes the input: arrays of any kind, and any values where a file should hold others.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digits import evaluation, pages, report, scoring, sources, strokes
from digits.config import CHAMPION, REPORTS, Config
from digits.errors import InputError
from digits.recognizer import Recognizer

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STATES = ("ok", "unsure", "no-digit", "error")

# What a JSON file may hold where something else belongs.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
DTYPES = (
    np.uint8,
    np.int8,
    np.bool_,
    np.uint16,
    np.int64,
    np.float16,
    np.float32,
    np.float64,
    "U3",
)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40)
    )
) | VALUES.map(lambda value: np.array([value, None, "7"], dtype=object))


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


def answered(function, *arguments):
    """Return what a function answers; None where it refuses, which it must do in one line."""
    try:
        return function(*arguments)
    except InputError as error:
        message = str(error)
    assert message.strip() and "\n" not in message
    return None


# --- Pictures and images ---------------------------------------------------------------------------


@given(array=ARRAYS)
@SETTINGS
def test_any_array_is_read_or_refused(recognizer, array):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading = recognizer.read(array)
    told = json.loads(json.dumps(reading.to_dict(), allow_nan=False))
    assert told["status"] in STATES and "\n" not in told["message"]
    assert 0 <= reading.confidence <= 1


@given(array=ARRAYS)
@SETTINGS
def test_any_array_is_predicted_or_refused(recognizer, array):
    for images in (array, np.resize(array, (2, 28, 28)) if array.size else array):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = answered(recognizer.predict, images)
            if table is None:
                continue
        assert len(table) == len(images)
        assert table["confidence"].between(0, 1).all() and table["digit"].between(0, 9).all()


@given(pictures=st.lists(ARRAYS | st.binary(max_size=40) | st.text(max_size=12), max_size=5))
@settings(SETTINGS, max_examples=25)
def test_of_many_pictures_each_has_its_answer(recognizer, pictures):
    readings = list(recognizer.read_many(pictures))
    assert len(readings) == len(pictures)
    alone = [recognizer.read(picture) for picture in pictures]
    assert [r.status for r in readings] == [r.status for r in alone]
    assert [r.text for r in readings] == [r.text for r in alone]


POINTS = st.tuples(st.floats(), st.floats()) | st.tuples(st.floats(), st.floats(), st.floats())


@given(drawn=st.lists(st.lists(POINTS, max_size=6), max_size=4) | VALUES)
@settings(SETTINGS, max_examples=20)
def test_any_strokes_are_drawn_or_refused(recognizer, drawn):
    checked = answered(strokes.checked, drawn)
    if checked is None:
        return
    image = strokes.render(checked)
    assert image.dtype == np.uint8 and image.ndim == 2
    assert strokes.read(checked, recognizer).status in STATES


# --- Settings, lists, cards and metrics ------------------------------------------------------------


@given(assignments=st.lists(st.text(max_size=12) | st.tuples(
    st.sampled_from(list(Config().to_dict())), st.text(max_size=8) | VALUES.map(str)
).map("=".join), max_size=3))  # fmt: skip
@SETTINGS
def test_any_setting_is_taken_or_refused(assignments):
    config = answered(Config().with_overrides, assignments)
    if config is None:
        return
    assert Config.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False))) == config


@given(name=st.sampled_from(list(Config().to_dict())), value=VALUES)
@SETTINGS
def test_any_setting_in_a_file_is_taken_or_refused(name, value):
    config = answered(Config.from_dict, {name: value})
    if config is None:
        return
    json.dumps(config.to_dict(), allow_nan=False)


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(
    lambda rows: f"file,label\n{rows}".encode("utf-8", "surrogatepass")))  # fmt: skip
@SETTINGS
def test_any_table_of_labels_is_loaded_or_refused(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    labels = answered(scoring.load_labels, tmp_path)
    if labels is None:
        return
    assert labels["label"].map(lambda text: all(c in "0123456789" for c in text)).all()


@given(name=st.sampled_from(["a.txt", "a.zip", "a.tar", "a.tar.gz", "a.parquet", "a.png"]),
       content=st.binary(max_size=60) | st.text(max_size=60).map(
           lambda text: text.encode("utf-8", "surrogatepass")))  # fmt: skip
@SETTINGS
def test_any_file_is_a_source_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    found = answered(list, sources.entries(str(tmp_path / name)))
    if found is None:
        return
    assert all(entry.file and entry.place for entry in found)


@given(key=st.sampled_from(["temperature", "threshold", "config", "metrics", "data_digest"]),
       value=VALUES)  # fmt: skip
@settings(SETTINGS, max_examples=25)
def test_any_card_is_believed_or_refused(tmp_path, key, value):
    shutil.copy(CHAMPION / "model.onnx", tmp_path)
    card = json.loads((CHAMPION / "card.json").read_text()) | {key: value}
    (tmp_path / "card.json").write_text(json.dumps(card))
    recognizer = answered(Recognizer.load, tmp_path)
    if recognizer is None:
        return
    table = recognizer.predict(np.zeros((1, 28, 28), np.uint8))
    assert table["confidence"].between(0, 1).all()


def _places(value, path=()):
    """Yield the path of every value in nested ones."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, (*path, key))


METRICS = json.loads((REPORTS / "mnist" / "metrics.json").read_text())


@given(place=st.sampled_from([path for path in _places(METRICS) if path]), value=VALUES)
@settings(SETTINGS, max_examples=30)
def test_an_earlier_report_with_any_metrics_is_shown_or_passed_over(tmp_path, place, value):
    metrics = copy.deepcopy(METRICS)
    inside = metrics
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    earlier = report._earlier_metrics(tmp_path)
    # Both as the report that is kept in part, and as the one that numbers are compared with.
    assert pages.index(earlier or METRICS, earlier).rstrip().endswith("</html>")
    assert pages.index(METRICS, earlier).rstrip().endswith("</html>")


# --- Evaluation ------------------------------------------------------------------------------------


@given(logits=hnp.arrays(np.float32, (12, 11), elements=st.floats(-1e4, 1e4, width=32)),
       labels=hnp.arrays(np.int64, 12, elements=st.integers(0, 9)))  # fmt: skip
@SETTINGS
def test_any_logits_have_a_temperature_a_threshold_and_metrics(logits, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        temperature = evaluation.fit_temperature(logits, labels)
        probabilities = evaluation.softmax(logits, temperature)
        assert 0.05 <= temperature <= 20.001 and np.allclose(probabilities.sum(axis=1), 1)
        table = evaluation.prediction_table(probabilities, labels)
        threshold = evaluation.choose_threshold(table["confidence"].to_numpy())
        assert (table["confidence"] >= threshold).mean() >= 0.99
        for value in (*evaluation.summary(table).values(),
                      evaluation.expected_calibration_error(table)):  # fmt: skip
            assert math.isfinite(value)
        curve = evaluation.coverage_curve(table)
        assert curve["n_accepted"].iloc[-1] == len(labels)
        assert evaluation.confusion(table).sum() == len(labels)


@given(probabilities=ARRAYS, labels=ARRAYS)
@SETTINGS
def test_any_two_arrays_are_a_prediction_table_or_refused(probabilities, labels):
    table = answered(evaluation.prediction_table, probabilities, labels)
    if table is None:
        return
    assert len(table) == len(labels)
