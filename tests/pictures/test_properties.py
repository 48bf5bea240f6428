"""Whatever arrives from outside is answered as the docstring says, or refused in one line."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from digits import InputError, evaluation
from digits.collection import sources
from digits.config import CHAMPION, Config
from digits.data.labels import load_labels
from digits.draw import strokes
from digits.recognizer import Recognizer
from digits.report import build, pages

FEW = settings(max_examples=25, deadline=None)
MORE = settings(max_examples=60, deadline=None)
KINDS = ("?", "u1", "i1", "u2", "i4", "i8", "f2", "f4", "f8", "c8", "S3", "U3", "O", "M8[s]")
LONG = 10**400  # a whole number beyond all floats, which JSON may hold

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(LONG)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "0.5", "many", " 0\n", "nan"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load(threads=1)


@contextmanager
def answered(name=""):
    """Let an InputError of one line pass, and nothing else, no warning either.

    A line end in `name` is the giver's own: the command line prints it as an escape.
    """
    said = "nothing"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            yield
        except InputError as error:
            said = str(error).replace(name, "it") if name else str(error)
    assert len(said.splitlines()) == 1, said


@contextmanager
def folder():
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        shutil.rmtree(path)


def an_array(shapes):
    return st.sampled_from(KINDS[:10]).flatmap(lambda kind: arrays.arrays(kind, shapes))


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


numbers = st.floats() | st.integers() | st.just(LONG) | st.none() | st.text(max_size=2)
points = st.lists(numbers, max_size=4) | st.tuples(st.floats(-100, 600), st.floats(-100, 400))


@pytest.mark.slow
@given(st.lists(st.lists(points, max_size=4), max_size=3) | json_values)
@MORE
def test_strokes_are_drawn_or_refused(given_strokes):
    with answered():
        image = strokes.render(strokes.checked(given_strokes))
        assert image.dtype == np.uint8 and image.ndim == 2 and image.size


# --- Texts -----------------------------------------------------------------------------------------


@given(
    st.text(max_size=60) | st.text('file,label\n7|"a.png\r\0', max_size=60),
    st.booleans(),
)
@MORE
def test_any_text_is_a_table_of_labels_or_refused(text, with_head):
    with folder() as path:
        (path / "a.png").write_bytes(b"")
        data = ("file,label\n" * with_head + text).encode("utf-8", "replace")
        (path / "labels.csv").write_bytes(data)
        with answered():
            table = load_labels(path)
            assert set("".join(table["label"])) <= set("0123456789")


@pytest.mark.parametrize(
    "row", ["x" * 5000 + ",7", '"a\nb",7', "a\0b,7", '"' + "y" * 200_000 + '",7', ",7", "a.png,²"]
)
def test_tables_of_labels_that_were_not_understood(row, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(f"file,label\n{row}\n", encoding="utf-8")
    with answered():
        assert load_labels(tmp_path)["label"].tolist() == [""]


@given(st.binary(max_size=80))
@MORE
def test_any_bytes_are_a_list_of_paths(data):
    with folder() as path:
        (path / "list.txt").write_bytes(data)
        with answered():
            for entry in sources.entries(str(path / "list.txt")):
                with answered():
                    sources.fetch(entry)


@given(st.text(max_size=40) | st.sampled_from(["x" * 5000, "a\0b", "[", "**", "~", "://", "a://["]))
@MORE
def test_any_text_is_a_source_or_refused(text):
    if sources.is_url(text) and text.split(":")[0] in ("http", "https", "ftp"):
        return
    with answered(text):
        next(iter(sources.entries(text or "none")), None)


SETTINGS = tuple(Config().to_dict())
values = st.text(max_size=8) | st.sampled_from(
    ["1", "nan", "inf", "-1", "1e400", "9" * 5000, "true", "8,8", "1,", "۳", "1_0", "0x1"]
)


@given(st.sampled_from(SETTINGS) | st.text(max_size=5), st.sampled_from(["=", "", " = "]), values)
@MORE
def test_any_setting_is_taken_or_refused(name, sign, value):
    with answered():
        config = Config().with_overrides([f"{name}{sign}{value}"])
        json.dumps(config.to_dict(), allow_nan=False)
        assert Config.from_dict(config.to_dict()) == config


@given(st.sampled_from(SETTINGS), json_values)
@MORE
def test_any_setting_of_a_card_is_taken_or_refused(name, value):
    with answered():
        Config.from_dict({name: value})


@given(st.sampled_from(["temperature", "threshold", "metrics"]), json_values, st.booleans())
@FEW
def test_any_field_of_a_card_is_taken_or_refused(name, value, whole):
    card = {**json.loads((CHAMPION / "card.json").read_text()), name: value} if whole else value
    with folder() as path:
        shutil.copy(CHAMPION / "model.onnx", path)
        (path / "card.json").write_text(json.dumps(card))
        with answered():
            recognizer = Recognizer.load(path, threads=1)
            assert 0 < recognizer.temperature < math.inf
            assert 0 <= recognizer.threshold <= 1


# --- Reports -----------------------------------------------------------------------------------------

TOLD = {
    "created": "2026-01-01 00:00 UTC",
    "profile": "quick",
    "seed": 0,
    "commit": "abc",
    "data": {"name": "embedded", "digest": "0" * 64, "note": ""},
    "versions": {},
    "notebooks": {"01_a": {"title": "A", "seconds": 1.5, "created": "2026", "parameters": {}}},
}
SCORE = {"n_scored": 100, "n_wrong": 2, "value": 0.98, "low": 0.9, "high": 0.99}
METRICS = {
    "report": TOLD,
    "evaluation": {
        "accuracy": SCORE, "coverage": 0.9, "n_parameters": 12, "train_seconds": 3.5,
        "confusion": [[5, 1], [0, 7]],
    },
    "pictures": {"n_pictures": 3, "n_right": 2, "n_unsure": 1, "n_wrong": 0},
    "benchmark": {"ratios": [{"label": "a", "value": 2.0, "low": 1.0, "high": 3.0, "n": 2}]},
}  # fmt: skip
PLACES = [
    ("report", "notebooks"), ("report", "notebooks", "01_a"), ("report", "data"),
    ("report", "notebooks", "01_a", "seconds"), ("report", "notebooks", "01_a", "title"),
    ("report", "data", "digest"), ("report", "seed"), ("evaluation", "accuracy"),
    ("evaluation", "accuracy", "value"), ("evaluation", "accuracy", "n_wrong"),
    ("evaluation", "coverage"), ("evaluation", "confusion"), ("evaluation", "confusion", 0),
    ("evaluation", "confusion", 0, 1), ("evaluation", "n_parameters"),
    ("evaluation", "train_seconds"), ("pictures", "n_pictures"), ("pictures", "n_right"),
    ("benchmark", "ratios"), ("benchmark", "ratios", 0), ("benchmark", "ratios", 0, "value"),
    ("benchmark", "ratios", 0, "n"), ("evaluation", "anything"),
]  # fmt: skip


def index_page(earlier):
    """Render the index page of a report that keeps `earlier`'s numbers, but for one."""
    metrics = json.loads(json.dumps(METRICS))
    kept = {key: value for key, value in earlier.items() if key != "report"}
    now = {**metrics, **kept}
    now["report"] = TOLD | {"notebooks": earlier.get("report", TOLD)["notebooks"]}
    names = {name: ran.get("title", name) for name, ran in now["report"]["notebooks"].items()}
    return pages.index(now, names)


@pytest.mark.slow
@given(st.sampled_from(PLACES), json_values)
@MORE
def test_any_earlier_metrics_are_kept_or_left(place, value):
    metrics = json.loads(json.dumps(METRICS))
    inside = metrics
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    with folder() as path:
        (path / "metrics.json").write_text(json.dumps(metrics))
        with answered():
            index_page(build._earlier_metrics(path))


@pytest.mark.parametrize("value", ["most", None, [1], {"n": 1}, LONG, math.nan])
def test_what_is_no_number_in_an_earlier_report_makes_it_none(value, tmp_path):
    metrics = METRICS | {"evaluation": {"coverage": value}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert build._earlier_metrics(tmp_path) == {}


def test_whole_earlier_metrics_are_kept(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert build._earlier_metrics(tmp_path) == METRICS
    assert "98.00%" in index_page(METRICS)


# --- Evaluation ------------------------------------------------------------------------------------


@given(
    arrays.arrays(np.float32, (12, 11), elements=st.floats(-1e4, 1e4, width=32)),
    arrays.arrays(np.int64, 12, elements=st.integers(0, 9)),
)
@FEW
def test_any_logits_have_a_temperature_a_threshold_and_metrics(logits, labels):
    with answered():
        temperature = evaluation.fit_temperature(logits, labels)
        probabilities = softmax(np.float64(logits) / temperature, axis=1)
        assert 0.05 <= temperature <= 20.001
        assert np.allclose(probabilities.sum(axis=1), 1)
        table = evaluation.prediction_table(probabilities, labels)
        threshold = evaluation.choose_threshold(table["confidence"].to_numpy())
        assert (table["confidence"] >= threshold).mean() >= 0.99
        error = evaluation.expected_calibration_error(table)
        assert all(map(math.isfinite, (error, *evaluation.summary(table).values())))
        assert evaluation.risk_coverage_curve(table)["n_accepted"].iloc[-1] == len(labels)


@given(
    an_array(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12)),
    an_array(arrays.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=12)),
)
@MORE
def test_any_two_arrays_are_a_prediction_table_or_refused(probabilities, labels):
    with answered():
        assert len(evaluation.prediction_table(probabilities, labels)) == len(labels)


# --- What was found: plain cases ---------------------------------------------------------------------


def test_numbers_beyond_all_floats_are_refused(tmp_path):
    with pytest.raises(InputError, match="filters"):
        Config.from_dict({"filters": [math.inf, 1]})
    with pytest.raises(InputError, match="dropout"):
        Config.from_dict({"dropout": LONG})
    with pytest.raises(InputError, match="strokes are lists"):
        strokes.checked([[(LONG, 1)]])
    shutil.copy(CHAMPION / "model.onnx", tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({"temperature": LONG, "threshold": 0.5}))
    with pytest.raises(InputError, match="is not a model card"):
        Recognizer.load(tmp_path)


@pytest.mark.parametrize(
    "images",
    [np.full((1, 28, 28), math.nan), np.full((1, 28, 28), 200), np.full((1, 28, 28), 200.0),
     np.full((1, 28, 28), "a"), np.full((1, 28, 28), 1j)],
    ids=["NaN", "int64", "floats to 255", "text", "complex"],
)  # fmt: skip
def test_what_is_no_shade_is_not_predicted(recognizer, images):
    with pytest.raises(InputError, match="expected uint8 from 0 to 255"):
        recognizer.predict(images)
