"""Labels that people write: any text is read as a table of labels, or refused in one line."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MORE, answered

from digits import InputError
from digits.data.labels import NOTHING, PAGE, SINGLE, load_labels


@pytest.fixture
def loaded(tmp_path):
    """Return a function that loads a table of that text; there are a.png, b.png and c.png."""
    for name in "abc":
        (tmp_path / f"{name}.png").touch()

    def load(text: str | bytes):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "labels.csv").write_bytes(content)
        return load_labels(tmp_path)

    return load


def test_rows_of_a_page_are_joined_and_groups_are_distinguished(loaded):
    table = loaded(
        "file,label,kind,scattered\na.png,12|30,photo,0\nb.png,7,paint,1\nc.png,,multi,0\n"
    )
    assert table["label"].tolist() == ["1230", "7", ""]
    assert table["group"].tolist() == [PAGE, SINGLE, NOTHING]
    assert table["kind"].tolist() == ["photo", "paint", "multi"]
    assert table["scattered"].tolist() == [False, True, False]


def test_two_columns_are_enough_and_a_short_row_as_spreadsheets_write_it(loaded):
    table = loaded("\ufefffile,label\r\na.png,007\r\nb.png\r\n")
    first = {"file": "a.png", "label": "007", "written": "007", "kind": "", "scattered": False}
    assert table.loc[0].to_dict() == {**first, "group": PAGE}
    assert table.loc[1, "group"] == NOTHING


def test_what_is_not_a_table_of_labels_or_names_no_picture_is_refused(loaded, tmp_path):
    refused = r"labels\.csv cannot be read; expected UTF-8 text"
    with pytest.raises(InputError, match=refused):
        load_labels(tmp_path)
    for text in ("", "file,label\n", "file,digit\na.png,3\n", "name,label\na,3\n", b"\xff\xfe\x80"):
        with pytest.raises(InputError, match=refused):
            loaded(text)
    with pytest.raises(InputError, match=r"names d\.png, which does not exist"):
        loaded("file,label\na.png,3\nd.png,4\n")


@given(st.text(max_size=60) | st.text('file,label\n7|"a.png\r\0', max_size=60), st.booleans())
@MORE
def test_any_text_is_a_table_of_labels_or_refused(text, with_head):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "a.png").write_bytes(b"")
        data = ("file,label\n" * with_head + text).encode("utf-8", "replace")
        (path / "labels.csv").write_bytes(data)
        with answered():
            table = load_labels(path)
            assert set("".join(table["label"])) <= set("0123456789")


@pytest.mark.parametrize(
    "row", ["x" * 5000 + ",7", '"a\nb",7', "a\0b,7", '"' + "y" * 200_000 + '",7', ",7", "a.png,²"]
)
def test_tables_of_labels_that_were_not_understood(row, loaded):
    with answered():
        assert loaded(f"file,label\n{row}\n")["label"].tolist() == [""]
