"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

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
