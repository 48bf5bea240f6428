"""Readings compared with labels."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.data.labels import NOTHING, PAGE, SINGLE
from digits.evaluation.scoring import bag_distance, edit_distance, score_readings, summarise
from digits.recognizer import Reading

digits = st.text(alphabet="0123456789", max_size=12)


def labels(*rows: tuple[str, bool]) -> pd.DataFrame:
    """Return a table as `load_labels` does, of (label, scattered)."""
    table = pd.DataFrame(rows, columns=["label", "scattered"])
    table["file"] = [f"{number}.png" for number in range(len(table))]
    table["group"] = [
        NOTHING if not text else SINGLE if len(text) == 1 else PAGE for text in table["label"]
    ]
    return table


def reading(text: str, status: str = "ok", confidence: float = 0.9) -> Reading:
    return Reading("", text, (text,), confidence, status)


def test_readings_are_right_wrong_or_unsure():
    table = labels(*[("3", False)] * 4, ("", False))
    answers = [
        ("3", "ok", 0.9), ("8", "ok", 0.9), ("3", "unsure", 0.4), ("", "error", 0),
        ("", "no-digit", 0),
    ]  # fmt: skip
    scores = score_readings(table, (reading(*answer) for answer in answers))
    assert scores["outcome"].tolist() == ["right", "wrong", "unsure", "wrong", "right"]
    assert scores["exact"].tolist() == [True, False, True, False, True]
    found = scores[["text", "status", "confidence"]].itertuples(index=False, name=None)
    assert list(found) == answers
    assert list(table) == ["label", "scattered", "file", "group"], "the labels stay as they were"


def test_the_order_counts_unless_the_page_is_scattered():
    scores = score_readings(labels(("123", False), ("123", True)), [reading("321"), reading("321")])
    assert scores["n_errors"].tolist() == [2, 0]
    assert scores["outcome"].tolist() == ["wrong", "right"]


def test_there_is_one_reading_for_each_label():
    for n in (0, 2):
        with pytest.raises(ValueError, match="length"):
            score_readings(labels(("3", False)), [reading("3")] * n)


def test_pictures_digits_and_wrong_answers_are_counted():
    scores = score_readings(
        labels(("3", False), ("4", False), ("5", False), ("12", False), ("", False)),
        [reading("3"), reading("9"), reading("6", "unsure"), reading("1234"), reading("8")],
    )
    summary = summarise(scores)
    assert list(summary.index) == [SINGLE, PAGE, NOTHING]
    assert summary.loc[SINGLE].to_dict() == {
        "n_pictures": 3, "n_exact": 1, "n_digits": 3, "n_digit_errors": 2, "n_accepted": 2,
        "n_accepted_wrong": 1,
    }  # fmt: skip
    assert summary.loc[PAGE].tolist() == [1, 0, 2, 2, 1, 1]
    assert summary.loc[NOTHING].tolist() == [1, 0, 0, 1, 1, 1]
    summary = summarise(scores[:1])
    assert not summary.loc[[PAGE, NOTHING]].any(axis=None), "groups without pictures count nothing"
    assert all(dtype.kind == "i" for dtype in summary.dtypes)


def test_distances():
    for a, b, edits, bag in (
        ("", "123", 3, 3),
        ("123", "124", 1, 1),
        ("123", "1234", 1, 1),
        ("21", "12", 2, 0),
        ("5407", "7", 3, 3),
        ("9321", "1239", 4, 0),
    ):
        assert (edit_distance(a, b), bag_distance(a, b)) == (edits, bag), (a, b)


@given(digits, digits)
def test_distances_keep_to_their_bounds(a, b):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert bag_distance(a, b) == bag_distance(b, a)
    assert abs(len(a) - len(b)) <= bag_distance(a, b) <= edit_distance(a, b) <= max(len(a), len(b))
    assert (edit_distance(a, b) == 0) == (a == b)
    assert (bag_distance(a, b) == 0) == (sorted(a) == sorted(b))
