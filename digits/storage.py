"""Files and folders that appear whole or not at all, and are written by one process at a time."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from digits import InputError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

# Of Linux' <fcntl.h> and <linux/fs.h>.
AT_FDCWD = -100
RENAME_EXCHANGE = 2


def write_json(path: Path, values: dict) -> None:
    """Write `values` to `path` so that a reader sees the old file or the new one, never a part."""
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes private files; these are meant to be read by others.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(folder: Path, target: Path) -> None:
    """Give a finished folder its name; what had that name before is removed.

    On Linux the two change places in one step. Elsewhere there is a moment in which the earlier one
    is only to be had as ``.NAME.old``, from where `recover` takes it back if that moment was the last.
    """
    old = _old(target)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists() and _exchange(folder, target):
        folder.replace(old)
    else:
        if target.exists():
            target.replace(old)
        folder.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Take back the folder that a `publish` killed half-way had put aside."""
    old = _old(target)
    if old.exists() and not target.exists():
        old.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; return False where the system cannot."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    return renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0


@contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Hold `folder` for this process while the block runs.

    The lock is the operating system's, on a file ``.NAME.lock`` beside the folder, which may
    itself be missing, renamed or replaced meanwhile. It ends with the process, however that ends:
    a killed run leaves at most an empty file, which holds nobody up.

    Raises
    ------
    InputError
        If another process, or another block of this one, holds the folder.
    """
    folder = Path(folder).absolute()
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open_locked(path)
    if file is None:
        raise InputError(
            f"{folder} is being written by another run; wait until that one ends, or write "
            "somewhere else"
        )
    try:
        yield
    finally:
        if os.name == "nt":  # no open file can be removed there
            os.close(file)
            _remove(path)
        else:  # removed while held, so that nobody's lock is removed under him
            _remove(path)
            os.close(file)


def _open_locked(path: Path) -> int | None:
    """Open and lock the file; return its descriptor, or None if somebody else holds it."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except PermissionError:
            if os.name == "nt" and path.exists():
                return None  # about to be removed by its holder
            raise
        if not _lock(file):
            os.close(file)
            return None
        # Between opening and locking, the holder before us may have removed this very file.
        if _is_at(file, path):
            return file
        os.close(file)


def _lock(file: int) -> bool:
    try:
        if os.name == "nt":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network drives know no locks at all: better unlocked there than not at all.
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    # On Windows the next one may have opened it already, and will remove it.
    with suppress(PermissionError):
        path.unlink(missing_ok=True)
