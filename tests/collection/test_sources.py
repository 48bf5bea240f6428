"""Which pictures a source names, and that each can be read."""

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

IN_FOLDER = ["in/a/c.JPG", "in/b.png", "in/d.png"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three pictures, one of them in a subfolder, and what is not a picture; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("in/a").mkdir(parents=True)
    Path("in/.cache").mkdir()
    for grey, name in enumerate(IN_FOLDER):
        Image.fromarray(np.full((9, 9), grey, np.uint8)).save(name, "PNG")
    for name in ("in/notes.txt", "in/.hidden.png", "in/.cache/thumbnail.png"):
        Path(name).touch()
    return tmp_path


def names(source):
    return [entry.file for entry in entries(source)]


def contents(source):
    found = map(fetch, entries(source))
    return [one if isinstance(one, bytes) else one.read_bytes() for one in found]


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


def test_folders_patterns_and_lists_name_pictures_in_order(folder):
    Path("list.txt").write_text("in/d.png\n\nin/b.png\r\nin/missing.png\n")
    pq.write_table(pa.table({"n": [1, 2], "path": IN_FOLDER[:2]}), "list.parquet")
    for source, expected in (
        ("in", IN_FOLDER),
        ("in/*.png", IN_FOLDER[1:]),
        ("in/**/*.JPG", IN_FOLDER[:1]),
        ("in/*.txt", []),
        ("list.txt", ["in/d.png", "in/b.png", "in/missing.png"]),
        ("list.parquet", IN_FOLDER[:2]),
    ):
        assert names(source) == expected, source
    pq.write_table(pa.table({"n": [1, 2]}), "list.parquet")
    with pytest.raises(InputError, match="none of the columns file, path, url"):
        names("list.parquet")


def test_entries_hold_absolute_places_for_other_folders_and_machines(folder, monkeypatch):
    found, expected = list(entries("in")), [Path(name).read_bytes() for name in IN_FOLDER]
    monkeypatch.chdir("/")
    assert [fetch(entry).read_bytes() for entry in found] == expected


def test_a_folder_removed_meanwhile_is_said(folder):
    Path("in/z").mkdir()
    errors = []
    found = walk("in", errors.append)
    first = next(found)
    Path("in/z").rmdir()
    assert [first, *found] == IN_FOLDER
    assert [error.filename for error in errors] == [os.path.join("in", "z")]


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
    Path(path).write_bytes(Path(path).read_bytes()[:60])
    for entry in found:
        with pytest.raises(InputError, match="cannot be read"):
            fetch(entry)


def test_a_wrong_checksum_is_found(folder):
    path = pack("zip")
    data = bytearray(Path(path).read_bytes())
    data[data.index(b"IEND") - 20] ^= 1  # in the first member, which is stored as it is
    Path(path).write_bytes(data)
    with pytest.raises(InputError, match="Bad CRC-32"):
        fetch(next(entries(path)))


def test_a_bomb_is_not_unpacked(folder, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_FILE", 100_000)
    bomb = bytes(30_000_000)
    for name, method in (("deflate", zipfile.ZIP_DEFLATED), ("bzip2", zipfile.ZIP_BZIP2)):
        with zipfile.ZipFile(f"{name}.zip", "w", method) as archive:
            archive.writestr("bomb.png", bomb)
    with tarfile.open("bomb.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("bomb.png")
        member.size = len(bomb)
        archive.addfile(member, io.BytesIO(bomb))
    for name, said in (
        ("deflate.zip", r"bomb\.png has more than"),
        ("bzip2.zip", "packed in a rare way"),
        ("bomb.tar.gz", r"bomb\.png has more than"),
    ):
        (entry,) = entries(name)
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match=said):
                fetch(entry)
            assert tracemalloc.get_traced_memory()[1] < 3_000_000
        finally:
            tracemalloc.stop()


def test_urls(folder):
    memory = fsspec.filesystem("memory")
    expected = [Path(name).read_bytes() for name in IN_FOLDER]
    for name, content in zip(IN_FOLDER, expected, strict=True):
        memory.pipe(f"/box/{name}", content)
    memory.pipe("/packed.zip", Path(pack("zip")).read_bytes())
    memory.pipe("/list.txt", b"memory://box/in/b.png\n" + str(folder / "in/d.png").encode())
    assert names("memory://box") == [f"memory:///box/{name}" for name in IN_FOLDER]
    assert names("memory://box/in/*.png") == ["memory:///box/in/b.png", "memory:///box/in/d.png"]
    assert contents("memory://box") == contents("memory://packed.zip") == expected
    assert contents("memory://list.txt") == expected[1:]
    for source, said in (
        ("memory://nothing", "memory://nothing does not exist"),
        ("nosuchprotocol://host/x", "nosuchprotocol://host/x cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            names(source)
