"""Any text is a source of pictures, and any bytes a list of paths, or refused in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from strategies import MORE, answered

from digits.collection import sources


@given(st.binary(max_size=80))
@MORE
def test_any_bytes_are_a_list_of_paths(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.txt")
        path.write_bytes(data)
        with answered():
            for entry in sources.entries(str(path)):
                with answered():
                    sources.fetch(entry)


@given(st.text(max_size=40) | st.sampled_from(["x" * 5000, "a\0b", "[", "**", "~", "://", "a://["]))
@MORE
def test_any_text_is_a_source_or_refused(text):
    if sources.is_url(text) and text.split(":")[0] in ("http", "https", "ftp"):
        return
    with answered(text):
        next(iter(sources.entries(text or "none")), None)
