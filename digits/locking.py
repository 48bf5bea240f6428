"""One writer at a time for a folder: a second one is refused, not mixed in."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from digits.errors import InputError

if os.name == "nt":
    import msvcrt
else:
    import fcntl


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
