"""Files and folders that appear whole or not at all, and are written by one process at a time."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from digits import InputError


def write_json(path: Path, values: dict) -> None:
    """Write `values` to `path` so that a reader sees the old file or the new one, never a part."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_folder(target: str | os.PathLike, *, keep: bool = False) -> Iterator[Path]:
    """Yield the folder ``NAME.partial``, which replaces `target` if the block ends without an error.

    `keep` keeps the folder after an error and for the next block; else each begins with an empty one.
    A block that removes or renames the folder leaves `target` alone.

    Raises
    ------
    InputError
        If another run holds `target`, or a file or folder cannot be written.
    """
    target = Path(target).absolute()
    partial = target.with_name(target.name + ".partial")
    old = target.with_name(f".{target.name}.old")
    try:
        with locked(target):
            if old.exists() and not target.exists():  # killed between the two renames below
                old.replace(target)
            shutil.rmtree(old, ignore_errors=True)
            if not keep:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(exist_ok=keep)
            try:
                yield partial
                if partial.exists():
                    if target.exists():
                        target.replace(old)
                    partial.replace(target)
                    shutil.rmtree(old, ignore_errors=True)
            finally:
                if not keep:
                    shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write the folder {target}: {error.strerror or error}") from None


@contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Hold `folder`, which need not exist, for this block; an empty file ``.NAME.lock`` may stay.

    Raises
    ------
    InputError
        If another process, or another block of this one, holds the folder.
    """
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0).acquire()
    except Timeout:
        raise InputError(
            f"{folder} is being written by another run; wait until it ends, or write somewhere else"
        ) from None
    with lock:
        yield
