"""Any text is read as a table of labels, or refused in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import MORE, answered

from digits.data.labels import load_labels


@given(
    st.text(max_size=60) | st.text('file,label\n7|"a.png\r\0', max_size=60),
    st.booleans(),
)
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
def test_tables_of_labels_that_were_not_understood(row, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(f"file,label\n{row}\n", encoding="utf-8")
    with answered():
        assert load_labels(tmp_path)["label"].tolist() == [""]
