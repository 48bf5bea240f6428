"""What pictures a SOURCE names, for collections too large to be listed in memory.

A folder, a pattern, a text or Parquet file of paths, an archive, or the URL of one of them
(`fsspec <https://filesystem-spec.readthedocs.io>`_ knows the protocols). Nothing is unpacked to
disk: a member of an archive is read where it lies.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from digits import InputError
from digits.pictures.decoding import LARGEST_FILE
from digits.pictures.files import is_picture, walk

ZIPS = (".zip",)
TARS = {
    (".tar",): None,
    (".tar.gz", ".tgz"): gzip.open,
    (".tar.bz2", ".tbz2"): bz2.open,
    (".tar.xz", ".txz"): lzma.open,
}
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
        Where in the archive it lies; empty for a picture of its own.
    """

    file: str
    place: str
    member: str = ""


def entries(
    source: str,
    on_error: Callable[[OSError], None] | None = None,
    others: Counter[str] | None = None,
) -> Iterator[Entry]:
    """Yield what a source names, in order of the paths, or of the list or archive.

    Parameters
    ----------
    source : str
        Relative paths, also those in a list, count from the current folder.
    on_error : callable or None
        Called with the error of each folder that cannot be looked into.
    others : collections.Counter or None
        Counts what lies in folders and is no picture; see `not_looked_at`.

    Raises
    ------
    InputError
        If there is no such source, or it is damaged.
    """
    if is_url(source):
        yield from _remote(source)
    elif os.path.isdir(source):  # pathlib's raises where a name is too long for any file
        yield from map(_at, walk(source, on_error, others))
    elif os.path.exists(source):
        yield from _in_file(source)
    elif glob.has_magic(source):
        names = sorted(glob.iglob(source, recursive=True))
        yield from (_at(name) for name in names if is_picture(name) and os.path.isfile(name))
    else:
        raise InputError(
            f"{source} does not exist; give a folder, a pattern, a list of paths, an archive or a URL"
        )


def is_url(source: str) -> bool:
    """Tell whether a source is for fsspec."""
    return "://" in source


def fetch(entry: Entry) -> Path | bytes:
    """Return what `digits.pictures.decoding.decode` takes.

    Raises
    ------
    InputError
        If the picture cannot be had, or is larger than `LARGEST_FILE`.
    """
    if not entry.member and not is_url(entry.place):
        return Path(entry.place)
    try:
        if not entry.member:
            with _open(entry.place) as file:
                return _bounded(entry.file, file.read(LARGEST_FILE + 1))
        if entry.place.lower().endswith(ZIPS):
            return _from_zip(entry)
        offset, size = map(int, entry.member.split())
        archive = _open_archive(entry.place)
        archive.seek(offset)
        return _bounded(entry.file, _at_most(archive, size))
    except InputError:
        raise
    except Exception as error:  # of any file system, and of any damaged archive
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"{entry.file} cannot be read ({reason}); check that it is there"
        ) from None


# --- Where pictures lie ----------------------------------------------------------------------------


def _at(name: str) -> Entry:
    return Entry(name, name if is_url(name) else os.path.abspath(name))


def _in_file(source: str) -> Iterator[Entry]:
    """Yield what a file names: a list's or an archive's pictures, or the file itself."""
    low = source.lower()
    try:
        if low.endswith(".txt"):
            with _open(source) as lines:
                names = (line.decode("utf-8", "surrogateescape").rstrip("\r\n") for line in lines)
                yield from (_at(name) for name in names if name.strip())
        elif low.endswith(".parquet"):
            yield from map(_at, _in_parquet(source))
        elif low.endswith(ZIPS):
            yield from _in_zip(source)
        elif low.endswith(tuple(ending for endings in TARS for ending in endings)):
            yield from _in_tar(source)
        else:
            yield _at(source)
    except InputError:
        raise
    except Exception as error:  # libraries' errors of damage share no base class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{source} cannot be read ({reason}); check that it is whole") from None


def _in_parquet(source: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _open(source) as file, pq.ParquetFile(file) as table:
        texts = [field.name for field in table.schema_arrow if _is_text(pa, field.type)]
        named = [name for name in ("file", "path", "url") if name in texts] or texts
        if not named:
            raise InputError(f"{source} has no column of text; name one file or path")
        for batch in table.iter_batches(batch_size=4096, columns=named[:1]):
            yield from (name for name in batch.column(0).to_pylist() if name)


def _is_text(pa, kind) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _remote(source: str) -> Iterator[Entry]:
    try:
        system, path = _fsspec().core.url_to_fs(source)
        if glob.has_magic(path):
            found = sorted(system.glob(path))
        elif system.isdir(path):
            found = sorted(system.find(path))
        elif system.exists(path):
            yield from _in_file(source)
            return
        else:
            raise InputError(f"{source} does not exist; check the URL")
    except InputError:
        raise
    except Exception as error:  # protocols raise what they like
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{source} cannot be reached ({reason}); check the URL") from None
    yield from (_at(system.unstrip_protocol(name)) for name in found if is_picture(name))


def _fsspec():
    try:
        import fsspec
    except ImportError:
        raise InputError("URLs need more packages: pip install 'digits[scale]'") from None
    return fsspec


def _open(place: str) -> BinaryIO:
    return _fsspec().open(place, "rb").open() if is_url(place) else open(place, "rb")


# --- Archives --------------------------------------------------------------------------------------


def _is_member(name: str) -> bool:
    """Tell whether a member of an archive is a picture, and in no hidden folder of it."""
    hidden = (part.startswith(".") for part in name.split("/") if part not in (".", ".."))
    return is_picture(name) and not any(hidden)


def _in_zip(source: str) -> Iterator[Entry]:
    place = _at(source).place
    with _open(source) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if _is_member(info.filename):
                member = (info.header_offset, info.compress_type, info.compress_size, info.CRC)
                flags = info.flag_bits & 1  # encrypted
                yield Entry(
                    f"{source}/{info.filename}", place, " ".join(map(str, (*member, flags)))
                )


def _from_zip(entry: Entry) -> bytes:
    """Read a member without the archive's table of contents, which takes a kilobyte for each."""
    offset, method, size, checksum, encrypted = map(int, entry.member.split())
    if encrypted or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{entry.file} is encrypted or packed in a rare way; pack it plainly")
    archive = _open_archive(entry.place)
    # Of a local header of 30 bytes, the last four are the lengths of what follows it.
    archive.seek(offset)
    header = _at_most(archive, 30)
    archive.seek(
        int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1
    )
    data = _at_most(archive, size)
    if method == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, LARGEST_FILE + 1)
    if zlib.crc32(_bounded(entry.file, data)) != checksum:
        raise InputError(f"{entry.file} is damaged (wrong checksum); pack it again")
    return data


def _in_tar(source: str) -> Iterator[Entry]:
    place = _at(source).place
    with _open(source) as file, tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            archive.members = []  # tarfile would remember all
            if member.isreg() and not member.issparse() and _is_member(member.name):
                yield Entry(f"{source}/{member.name}", place, f"{member.offset_data} {member.size}")


@lru_cache(OPEN_ARCHIVES)
def _open_archive(place: str) -> BinaryIO:
    """Open an archive, unpacked as a stream where it is packed as a whole.

    Going back in such a stream starts it anew; the pictures of one process come in order.
    """
    unpack = next((how for ends, how in TARS.items() if place.lower().endswith(ends)), None)
    file = _open(place)
    return unpack(file) if unpack else file


def _at_most(archive: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or so many that `_bounded` refuses them."""
    size = min(size, LARGEST_FILE + 1)
    data = archive.read(size)
    if len(data) < size:
        raise EOFError("the archive ends too early")
    return data


def _bounded(name: str, data: bytes) -> bytes:
    if len(data) > LARGEST_FILE:
        raise InputError(f"{name} has more than {LARGEST_FILE / 1e6:.0f} MB; give a smaller file")
    return data
