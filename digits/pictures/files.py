"""Which files are pictures: by their endings, in folders and below."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from digits.pictures.decoding import EXTENSIONS, HEIC

COPY = re.compile(r"_read(-\d+)?\.png$")  # the names that `digits predict --annotate` gives,
MADE_BY = "digits predict --annotate"  # and what it writes at the beginning of such a file
MOST_ENDINGS = 8  # of files that were not looked at, that are named


def find_pictures(
    paths: Iterable[str | Path], say: Callable[[str], None]
) -> tuple[list[str | Path], int]:
    """Return the pictures that paths name, those of a folder sorted by path; "-" stays as it is.

    `say` is called with a line about what cannot be looked into, holds no pictures, or holds other
    files, too. The number of paths without a picture is returned as well.
    """

    def on_error(error: OSError) -> None:
        say(f"cannot look into {error.filename} ({error.strerror})")

    pictures, n_empty, others = [], 0, Counter()
    for path in paths:
        beside: Counter[str] = Counter()
        if os.fspath(path) == "-":
            found = ["-"]
        elif os.path.isdir(path):
            found = list(walk(Path(path), on_error, beside))
        else:
            found = [Path(path)]
        if found:
            others += beside
        else:
            n_empty += 1
            say("; ".join(filter(None, (f"no pictures in {path}", not_looked_at(beside)))))
        pictures += found
    if others:
        say(not_looked_at(others))
    return pictures, n_empty


def is_picture(name: str) -> bool:
    """Tell whether a name has the extension of a picture; hidden files do not count."""
    stem, extension = posixpath.splitext(posixpath.basename(name.replace(os.sep, "/")))
    return extension.lower() in EXTENSIONS and not stem.startswith(".")


def is_copy(path: str | os.PathLike) -> bool:
    """Tell whether a file is an annotated copy, which may be written anew and is not read."""
    if not (
        COPY.search(os.fspath(path)) and os.path.isfile(path)
    ):  # a pipe would wait for a writer
        return False
    try:
        with open(path, "rb") as file:
            return MADE_BY.encode() in file.read(200)
    except OSError:
        return False


def walk(
    folder: str | os.PathLike,
    on_error: Callable[[OSError], None] | None = None,
    others: Counter[str] | None = None,
) -> Iterator[str]:
    """Yield the paths of the pictures in a folder and those below, sorted.

    Hidden ones are left out. The endings of all other files, annotated copies among them, are counted
    in `others`.
    """
    try:
        with os.scandir(folder) as found:
            inside = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except OSError as error:
        if on_error:
            on_error(error)
        return
    for name, is_folder in inside:
        path = os.path.join(folder, name)
        if is_folder and not name.startswith("."):
            yield from walk(path, on_error, others)
        elif not is_folder and is_picture(name) and not is_copy(path):
            yield path
        elif others is not None and not name.startswith("."):
            ending = os.path.splitext(name)[1].lower() or "no ending"
            others["annotated copies" if is_copy(path) else ending] += 1


def not_looked_at(others: Counter[str]) -> str:
    """Say in one line which files were passed over; "" if there were none."""
    if not others:
        return ""
    found = sorted(others.items(), key=lambda one: (-one[1], one[0]))
    named = [f"{ending} {number:,}" for ending, number in found[:MOST_ENDINGS]]
    if rest := sum(number for _, number in found[MOST_ENDINGS:]):
        named.append(f"others {rest:,}")
    n = others.total()
    hint = " (pip install 'digits[heic]' to read HEIC)" if HEIC & others.keys() else ""
    verb = "file was" if n == 1 else "files were"
    return f"{n:,} {verb} not looked at: {', '.join(named)}{hint}"
