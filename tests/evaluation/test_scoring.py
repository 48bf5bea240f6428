"""Labels that people write, and readings compared with them."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import InputError
from digits.config import TEST_IMAGES
from digits.data.labels import NOTHING, PAGE, SINGLE, load_labels
from digits.evaluation.scoring import bag_distance, edit_distance, score_readings, summarise
from digits.recognizer import Reading

digits = st.text(alphabet="0123456789", max_size=12)


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes labels.csv, and an empty file for each picture named in it."""

    def write(text: str, *pictures: str):
        for name in pictures:
            (tmp_path / name).touch()
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


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


# --- Labels ----------------------------------------------------------------------------------------


def test_rows_of_a_page_are_joined_and_groups_are_told_apart(folder):
    path = folder(
        "file,label,kind,scattered\na.png,12|30,photo,0\nb.png,7,paint,1\nc.png,,multi,0\n",
        "a.png", "b.png", "c.png",
    )  # fmt: skip
    table = load_labels(path)
    assert table["label"].tolist() == ["1230", "7", ""]
    assert table["group"].tolist() == [PAGE, SINGLE, NOTHING]
    assert table["kind"].tolist() == ["photo", "paint", "multi"]
    assert table["scattered"].tolist() == [False, True, False]


def test_two_columns_are_enough(folder):
    table = load_labels(folder("file,label\na.png,007\n", "a.png"))
    assert table.loc[0].to_dict() == {
        "file": "a.png", "label": "007", "written": "007", "kind": "", "scattered": False,
        "group": PAGE,
    }  # fmt: skip


def test_a_short_row_is_a_picture_without_a_digit(folder):
    assert load_labels(folder("file,label\na.png\n", "a.png")).loc[0, "group"] == NOTHING


def test_a_table_saved_by_a_spreadsheet_is_read(folder):
    assert load_labels(folder("\ufefffile,label\r\na.png,3\r\n", "a.png"))["label"].item() == "3"


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv cannot be read; expected UTF-8 text"):
        load_labels(tmp_path)


@pytest.mark.parametrize("text", ["", "file,label\n", "file,digit\na.png,3\n", "name,label\na,3\n"])
def test_a_table_without_rows_or_columns_is_refused(folder, text):
    with pytest.raises(InputError, match="has no rows, or lacks the columns"):
        load_labels(folder(text, "a.png"))


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x80\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_labels(tmp_path)


def test_a_picture_that_is_not_there_is_named(folder):
    with pytest.raises(InputError, match=r"names b\.png, which does not exist"):
        load_labels(folder("file,label\na.png,3\nb.png,4\n", "a.png"))


def test_the_own_pictures_are_labelled():
    table = load_labels(TEST_IMAGES).set_index("file")
    assert table.loc["touching_5407.png", ["label", "group"]].tolist() == ["5407", PAGE]
    assert table.loc["two_sloping_rows.jpg", "label"].isdigit()
    assert table["scattered"].sum() == 1


# --- Scores ----------------------------------------------------------------------------------------


def test_readings_are_right_wrong_or_unsure():
    scores = score_readings(
        labels(("3", False), ("3", False), ("3", False), ("", False)),
        iter([reading("3"), reading("8"), reading("3", "unsure", 0.4), reading("", "no-digit", 0)]),
    )
    assert scores["outcome"].tolist() == ["right", "wrong", "unsure", "right"]
    assert scores["exact"].tolist() == [True, False, True, True]
    assert scores["text"].tolist() == ["3", "8", "3", ""]
    assert scores["status"].tolist() == ["ok", "ok", "unsure", "no-digit"]
    assert scores["confidence"].tolist() == [0.9, 0.9, 0.4, 0]


def test_a_picture_that_cannot_be_decoded_is_wrong():
    scores = score_readings(labels(("3", False)), [reading("", "error", 0)])
    assert scores["outcome"].item() == "wrong"


def test_the_order_counts_unless_the_page_is_scattered():
    scores = score_readings(labels(("123", False), ("123", True)), [reading("321"), reading("321")])
    assert scores["n_errors"].tolist() == [2, 0]
    assert scores["outcome"].tolist() == ["wrong", "right"]


def test_the_labels_stay_as_they_were():
    table = labels(("3", False))
    score_readings(table, [reading("3")])
    assert list(table) == ["label", "scattered", "file", "group"]


@pytest.mark.parametrize("n", [0, 2])
def test_there_is_one_reading_for_each_label(n):
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


def test_a_group_without_pictures_counts_nothing():
    summary = summarise(score_readings(labels(("3", False)), [reading("3")]))
    assert summary.loc[PAGE].tolist() == summary.loc[NOTHING].tolist() == [0] * 6
    assert all(dtype.kind == "i" for dtype in summary.dtypes)


# --- Distances -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "edits", "bag"),
    [
        ("", "", 0, 0),
        ("", "123", 3, 3),
        ("123", "", 3, 3),
        ("123", "124", 1, 1),
        ("123", "1234", 1, 1),
        ("1234", "134", 1, 1),
        ("21", "12", 2, 0),
        ("5407", "7", 3, 3),
        ("112", "122", 1, 1),
        ("9321", "1239", 4, 0),
    ],
)
def test_distances(a, b, edits, bag):
    assert edit_distance(a, b) == edits
    assert bag_distance(a, b) == bag


@given(digits, digits)
def test_distances_keep_to_their_bounds(a, b):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert bag_distance(a, b) == bag_distance(b, a)
    assert abs(len(a) - len(b)) <= bag_distance(a, b) <= edit_distance(a, b) <= max(len(a), len(b))
    assert (edit_distance(a, b) == 0) == (a == b)
    assert (bag_distance(a, b) == 0) == (sorted(a) == sorted(b))
