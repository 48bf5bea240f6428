"""The pictures that a source names.

A folder, a pattern, a text or Parquet file of paths, a zip or tar archive, or the URL of one of them
(`fsspec <https://filesystem-spec.readthedocs.io>`_ knows the protocols). Nothing is unpacked to disk.
"""

from __future__ import annotations

import glob
import os
import re
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import fsspec
import pyarrow.parquet as pq

from digits import InputError
from digits.pictures.decoding import LARGEST_FILE
from digits.pictures.files import is_picture, walk

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
PATH_COLUMNS = ("file", "path", "url")  # one of them holds the paths in a Parquet file
HIDDEN = re.compile(r"(^|/)\.[^./]")  # a hidden file or folder in the path of an archive's member
OPEN_ARCHIVES = 4  # that a process keeps open, to go on reading where it stopped
_reading = threading.Lock()  # tarfile is not for several threads


@dataclass(frozen=True)
class Entry:
    """One picture of a collection.

    Attributes
    ----------
    file : str
        Its name in the results: a path, a URL, or ``archive/member``.
    place : str
        An absolute path or a URL: of the picture, or of the archive that it is in.
    member : str
        Its name in the archive; empty for a picture of its own.
    """

    file: str
    place: str
    member: str = ""


def entries(
    source: str,
    on_error: Callable[[OSError], None] | None = None,
    others: Counter[str] | None = None,
) -> Iterator[Entry]:
    """Yield the pictures that a source names, in order of the paths, or of the list or archive.

    Relative paths, also those in a list, count from the current folder. `on_error` and `others` are
    as for `digits.pictures.files.walk`. Raises InputError if the source does not exist or is damaged.
    """
    try:
        if is_url(source):
            yield from _remote(source)
        elif os.path.isdir(source):  # pathlib's raises where a name is too long for any file
            yield from map(_entry, walk(source, on_error, others))
        elif os.path.exists(source):
            yield from _in_file(source)
        elif glob.has_magic(source):
            found = sorted(glob.iglob(source, recursive=True))
            yield from (_entry(name) for name in found if is_picture(name) and os.path.isfile(name))
        else:
            raise InputError(
                f"{source} does not exist; give a folder, a pattern, a list of paths, an archive or "
                "a URL"
            )
    except InputError:
        raise
    except Exception as error:  # the errors of protocols and of damaged files share no base class
        raise _unreadable(source, error) from None


def is_url(source: str) -> bool:
    """Return whether a source is for fsspec."""
    return "://" in source


def fetch(entry: Entry) -> Path | bytes:
    """Return what `digits.pictures.decode` takes.

    Raises InputError if the picture cannot be read, or is larger than `LARGEST_FILE`.
    """
    if not entry.member and not is_url(entry.place):
        return Path(entry.place)
    try:
        with _reading, _open_picture(entry) as file:
            data = file.read(LARGEST_FILE + 1)
    except Exception as error:
        raise _unreadable(entry.file, error) from None
    if len(data) > LARGEST_FILE:
        raise InputError(
            f"{entry.file} has more than {LARGEST_FILE / 1e6:.0f} MB; give a smaller file"
        )
    return data


def _unreadable(name: str, error: Exception) -> InputError:
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    reason = reason or type(error).__name__
    return InputError(f"{name} cannot be read ({reason}); check that it is there and whole")


def _entry(name: str) -> Entry:
    return Entry(name, name if is_url(name) else os.path.abspath(name))


def _open(place: str) -> BinaryIO:
    return fsspec.open(place, "rb").open() if is_url(place) else open(place, "rb")


def _in_file(source: str) -> Iterator[Entry]:
    """Yield the pictures of an archive or a list, or the file itself."""
    if source.lower().endswith(ARCHIVES):
        with _open(source) as file:
            names = list(_index(file, source)[1])
        place = _entry(source).place
        shown = (name for name in names if is_picture(name) and not HIDDEN.search(name))
        yield from (Entry(f"{source}/{name}", place, name) for name in shown)
    elif source.lower().endswith(".parquet"):
        with _open(source) as file, pq.ParquetFile(file) as table:
            named = [name for name in PATH_COLUMNS if name in table.schema_arrow.names]
            if not named:
                raise InputError(f"{source} has none of the columns {', '.join(PATH_COLUMNS)}")
            for batch in table.iter_batches(columns=named[:1]):
                yield from (_entry(name) for name in batch.column(0).to_pylist() if name)
    elif source.lower().endswith(".txt"):
        with _open(source) as lines:
            names = (line.decode("utf-8", "surrogateescape").rstrip("\r\n") for line in lines)
            yield from (_entry(name) for name in names if name.strip())
    else:
        yield _entry(source)


def _remote(source: str) -> Iterator[Entry]:
    system, path = fsspec.core.url_to_fs(source)
    if not glob.has_magic(path) and not system.isdir(path):
        if not system.exists(path):
            raise InputError(f"{source} does not exist; check the URL")
        yield from _in_file(source)
        return
    found = sorted(system.glob(path) if glob.has_magic(path) else system.find(path))
    yield from (_entry(system.unstrip_protocol(name)) for name in found if is_picture(name))


def _open_picture(entry: Entry) -> BinaryIO:
    if not entry.member:
        return _open(entry.place)
    open_member, members = _open_archive(entry.place)
    return open_member(members[entry.member])


@lru_cache(OPEN_ARCHIVES)
def _open_archive(place: str) -> tuple[Callable, dict]:
    return _index(_open(place), place)


def _index(file: BinaryIO, name: str) -> tuple[Callable, dict]:
    """Return what opens a member of an archive, and the members by name, the last of equal ones."""
    if not name.lower().endswith(".zip"):
        tar = tarfile.open(fileobj=file)  # noqa: SIM115 - `file` is closed by who opened it
        return tar.extractfile, {info.name: info for info in tar if info.isreg()}
    archive = zipfile.ZipFile(file)

    def open_member(info: zipfile.ZipInfo) -> BinaryIO:
        # zipfile unpacks bzip2 and LZMA without a limit on what comes out at once.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("packed in a rare way; pack it with deflate")
        return archive.open(info)

    return open_member, {info.filename: info for info in archive.infolist()}
