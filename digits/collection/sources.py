"""The pictures that a SOURCE names, for collections too large to be listed in memory.

A folder, a pattern, a text or Parquet file of paths, a zip or tar archive, or the URL of one of them
(`fsspec <https://filesystem-spec.readthedocs.io>`_ knows the protocols). Nothing is unpacked to disk.
"""

from __future__ import annotations

import glob
import os
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

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (".zip", *TARS)
PATH_COLUMNS = ("file", "path", "url")  # one of them holds the paths in a Parquet file
OPEN_ARCHIVES = 4  # that a process keeps open, to go on reading where it stopped


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

    Parameters
    ----------
    source : str
        Relative paths, also those in a list, count from the current folder.
    on_error : callable or None
        Called with the error of each folder that cannot be looked into.
    others : collections.Counter or None
        Counts the other files in folders; see `digits.pictures.files.not_looked_at`.

    Raises
    ------
    InputError
        If there is no such source, or it is damaged.
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
                f"{source} does not exist; give a folder, a pattern, a list, an archive or a URL"
            )
    except InputError:
        raise
    except Exception as error:  # the errors of protocols and of damaged files share no base class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{source} cannot be read ({reason}); check that it is there and whole"
        ) from None


def is_url(source: str) -> bool:
    """Return whether a source is for fsspec."""
    return "://" in source


def fetch(entry: Entry) -> Path | bytes:
    """Return what `digits.pictures.decode` takes.

    Raises
    ------
    InputError
        If the picture cannot be read, or is larger than `LARGEST_FILE`.
    """
    if not entry.member and not is_url(entry.place):
        return Path(entry.place)
    try:
        with _open_member(entry) if entry.member else _open(entry.place) as file:
            data = file.read(LARGEST_FILE + 1)
    except Exception as error:  # of any file system, and of any damaged archive
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"{entry.file} cannot be read ({reason}); check that it is there and whole"
        ) from None
    if len(data) > LARGEST_FILE:
        raise InputError(
            f"{entry.file} has more than {LARGEST_FILE / 1e6:.0f} MB; give a smaller file"
        )
    return data


def _entry(name: str) -> Entry:
    return Entry(name, name if is_url(name) else os.path.abspath(name))


def _in_file(source: str) -> Iterator[Entry]:
    """Yield the pictures of a list or an archive, or the file itself."""
    low = source.lower()
    if low.endswith(ARCHIVES):
        place = _entry(source).place
        yield from (Entry(f"{source}/{name}", place, name) for name in _members(source))
    elif low.endswith(".parquet"):
        with _open(source) as file, pq.ParquetFile(file) as table:
            named = [name for name in PATH_COLUMNS if name in table.schema_arrow.names]
            if not named:
                raise InputError(f"{source} has none of the columns {', '.join(PATH_COLUMNS)}")
            for batch in table.iter_batches(columns=named[:1]):
                yield from (_entry(name) for name in batch.column(0).to_pylist() if name)
    elif low.endswith(".txt"):
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


def _open(place: str) -> BinaryIO:
    return fsspec.open(place, "rb").open() if is_url(place) else open(place, "rb")


def _members(source: str) -> Iterator[str]:
    """Yield the names of an archive's pictures, those in hidden folders left out."""
    with _open(source) as file:
        if source.lower().endswith(".zip"):
            names = iter(zipfile.ZipFile(file).namelist())
        else:
            archive = tarfile.open(fileobj=file)  # noqa: SIM115  its file is closed here
            names = (member.name for member in archive if member.isreg())
        for name in names:
            hidden = (part.startswith(".") for part in name.split("/") if part not in (".", ".."))
            if is_picture(name) and not any(hidden):
                yield name


def _open_member(entry: Entry) -> BinaryIO:
    archive = _archive(entry.place, threading.get_ident())
    is_zip = isinstance(archive, zipfile.ZipFile)
    return (archive.open if is_zip else archive.extractfile)(entry.member)


@lru_cache(OPEN_ARCHIVES)
def _archive(place: str, thread: int) -> zipfile.ZipFile | tarfile.TarFile:
    """Open an archive. In one that is packed as a whole, going back starts it anew."""
    file = _open(place)  # and let it be open
    is_zip = place.lower().endswith(".zip")
    return zipfile.ZipFile(file) if is_zip else tarfile.open(fileobj=file)
