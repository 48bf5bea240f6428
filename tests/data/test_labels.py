"""Labels that people write."""

from __future__ import annotations

import pytest

from digits import InputError
from digits.config import TEST_IMAGES
from digits.data.labels import NOTHING, PAGE, SINGLE, load_labels


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes labels.csv, and an empty file for each picture named in it."""

    def write(text: str, *pictures: str):
        for name in pictures:
            (tmp_path / name).touch()
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_rows_of_a_page_are_joined_and_groups_are_distinguished(folder):
    path = folder(
        "file,label,kind,scattered\na.png,12|30,photo,0\nb.png,7,paint,1\nc.png,,multi,0\n",
        "a.png", "b.png", "c.png",
    )  # fmt: skip
    table = load_labels(path)
    assert table["label"].tolist() == ["1230", "7", ""]
    assert table["group"].tolist() == [PAGE, SINGLE, NOTHING]
    assert table["kind"].tolist() == ["photo", "paint", "multi"]
    assert table["scattered"].tolist() == [False, True, False]


def test_two_columns_are_enough_and_a_short_row_as_spreadsheets_write_it(folder):
    table = load_labels(folder("\ufefffile,label\r\na.png,007\r\nb.png\r\n", "a.png", "b.png"))
    assert table.loc[0].to_dict() == {
        "file": "a.png", "label": "007", "written": "007", "kind": "", "scattered": False,
        "group": PAGE,
    }  # fmt: skip
    assert table.loc[1, "group"] == NOTHING


def test_what_is_not_a_table_of_labels_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    for content in (
        None, b"", b"file,label\n", b"file,digit\na.png,3\n", b"name,label\na,3\n", b"\xff\xfe\x80\x00",
    ):  # fmt: skip
        if content is not None:
            (tmp_path / "labels.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"labels\.csv cannot be read; expected UTF-8 text"):
            load_labels(tmp_path)


def test_a_picture_that_is_not_there_is_named(folder):
    with pytest.raises(InputError, match=r"names b\.png, which does not exist"):
        load_labels(folder("file,label\na.png,3\nb.png,4\n", "a.png"))


def test_the_own_pictures_are_labelled():
    table = load_labels(TEST_IMAGES).set_index("file")
    assert table.loc["touching_5407.png", ["label", "group"]].tolist() == ["5407", PAGE]
    assert table.loc["two_sloping_rows.jpg", "label"].isdigit()
    assert table["scattered"].sum() == 1
