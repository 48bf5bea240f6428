"""What pictures a source names, and that each can be had."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from digits import InputError
from digits.collection import sources
from digits.collection.sources import entries, fetch
from digits.pictures.files import walk


def picture(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((9, 9), grey, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures, one of them in a subfolder, and what is no picture; the current folder."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("in/b.png", "in/a/c.JPG", "in/d.png")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(picture(index))
    for name in ("in/notes.txt", "in/.hidden.png", "in/.cache/thumbnail.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


IN_FOLDER = ["in/a/c.JPG", "in/b.png", "in/d.png"]


def names(source):
    return [entry.file for entry in entries(source)]


def contents(source):
    return [
        found if isinstance(found, bytes) else found.read_bytes()
        for found in map(fetch, entries(source))
    ]


def pack(kind: str) -> str:
    """Pack the three pictures, and what is none, into an archive of a kind."""
    path = f"packed.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for index, name in enumerate(IN_FOLDER):
                how = zipfile.ZIP_DEFLATED if index else zipfile.ZIP_STORED
                archive.write(name, compress_type=how)
            archive.writestr("../outside/notes.txt", "no picture")
            archive.writestr("in/folder.png/", "")
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            archive.add("in")
    return path


def test_a_folder_is_walked_in_order_of_paths(folder):
    assert names("in") == IN_FOLDER
    assert list(walk("in")) == IN_FOLDER
    assert contents("in") == [Path(name).read_bytes() for name in IN_FOLDER]


def test_entries_hold_absolute_places_for_other_folders_and_machines(folder, monkeypatch):
    found = list(entries("in"))
    monkeypatch.chdir("/")
    assert [fetch(entry).read_bytes() for entry in found] == contents(str(folder / "in"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_cannot_be_looked_into_is_said(folder):
    Path("in/a").chmod(0)
    errors = []
    try:
        assert list(walk("in", errors.append)) == IN_FOLDER[1:]
    finally:
        Path("in/a").chmod(0o755)
    assert errors[0].filename == os.path.join("in", "a")


def test_a_folder_removed_meanwhile_is_said(folder):
    errors = []
    assert list(walk("gone", errors.append)) == []
    assert errors[0].filename == "gone"


def test_patterns_and_pictures(folder):
    assert names("in/b.png") == ["in/b.png"]
    assert names("in/*.png") == ["in/b.png", "in/d.png"]
    assert names("in/**/*.JPG") == ["in/a/c.JPG"]
    assert names("in/*.gif") == []


def test_lists_of_paths(folder):
    Path("list.txt").write_text("in/d.png\n\nin/b.png\r\nin/missing.png\n")
    assert names("list.txt") == ["in/d.png", "in/b.png", "in/missing.png"]
    pq.write_table(pa.table({"n": [1, 2], "path": IN_FOLDER[:2]}), "list.parquet")
    assert names("list.parquet") == IN_FOLDER[:2]
    pq.write_table(pa.table({"n": [1, 2]}), "list.parquet")
    with pytest.raises(InputError, match="none of the columns file, path, url"):
        names("list.parquet")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_archives_are_read_where_they_lie(folder, kind):
    path = pack(kind)
    before = sorted(folder.rglob("*"))
    assert sorted(names(path)) == [f"{path}/{name}" for name in IN_FOLDER]
    found = sorted(entries(path), key=lambda entry: entry.file)
    # In any order, as the parts of a stopped run come.
    for index in (2, 0, 1, 0):
        assert fetch(found[index]) == Path(IN_FOLDER[index]).read_bytes()
    assert sorted(folder.rglob("*")) == before


def test_a_damaged_archive_is_one_line(folder):
    for kind in ("zip", "tar", "tar.gz"):
        Path(f"bad.{kind}").write_bytes(b"\x1f\x8bnothing of the kind")
        with pytest.raises(InputError, match=rf"bad.{kind} cannot be read \(.+\); check") as error:
            names(f"bad.{kind}")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_member_that_is_damaged_or_lost_stops_no_other(folder, kind):
    path = pack(kind)
    found = list(entries(path))
    sources._archive.cache_clear()
    Path(path).write_bytes(Path(path).read_bytes()[:60])
    for entry in found:
        with pytest.raises(InputError, match="cannot be read"):
            fetch(entry)


def test_a_wrong_checksum_is_found(folder):
    path = pack("zip")
    data = bytearray(Path(path).read_bytes())
    data[data.index(b"IEND") - 20] ^= 1  # in the first member, which is stored as it is
    Path(path).write_bytes(data)
    sources._archive.cache_clear()
    with pytest.raises(InputError, match="CRC"):
        fetch(next(entries(path)))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_not_unpacked(folder, kind, monkeypatch):
    Path("bomb.png").write_bytes(bytes(30_000_000))
    with zipfile.ZipFile("packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write("bomb.png")
    with tarfile.open("packed.tar.gz", "w:gz") as archive:
        archive.add("bomb.png")
    monkeypatch.setattr(sources, "LARGEST_FILE", 100_000)
    (entry,) = entries(f"packed.{kind}")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"bomb\.png has more than"):
            fetch(entry)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_urls(folder):
    memory = fsspec.filesystem("memory")
    path = pack("zip")
    for name in IN_FOLDER:
        memory.pipe(f"/box/{name}", Path(name).read_bytes())
    memory.pipe("/packed.zip", Path(path).read_bytes())
    memory.pipe("/list.txt", b"memory://box/in/b.png\n" + str(folder / "in/d.png").encode())
    assert names("memory://box") == [f"memory:///box/{name}" for name in IN_FOLDER]
    assert names("memory://box/in/*.png") == ["memory:///box/in/b.png", "memory:///box/in/d.png"]
    expected = [Path(name).read_bytes() for name in IN_FOLDER]
    assert contents("memory://box") == expected
    assert contents("memory://packed.zip") == expected
    assert contents("memory://list.txt") == expected[1:]
    with pytest.raises(InputError, match="memory://nothing does not exist"):
        names("memory://nothing")
    with pytest.raises(InputError, match="cannot be read"):
        names("nosuchprotocol://host/x")


def test_what_does_not_exist_is_said():
    with pytest.raises(InputError, match="no/such/folder does not exist; give a folder, a pat"):
        names("no/such/folder")
