"""How many megabytes a tool takes: Python packages with what they require, or a program.

Needs the standard library only, so that `rivals` can run it by another Python:
``python -P installed.py PACKAGE...`` prints a number.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path


def packages_megabytes(*names: str) -> float | None:
    """Return the size of installed packages and, once each, of all that they require.

    Python itself is not counted, nor are packages that only an extra asks for.

    Returns
    -------
    float or None
        Millions of bytes; None if one of `names` is not installed.
    """
    try:
        for name in names:
            importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    waiting, seen, total = list(names), set(), 0
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on other systems only
        files = {Path(distribution.locate_file(file)) for file in distribution.files or ()}
        total += sum(_size(path) for path in files)
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                waiting.append(re.match(r"[\w.-]+", requirement)[0])
    return total / 1e6


def program_megabytes(command: str, data: Path | None = None) -> float | None:
    """Return the size of a program, the libraries that it loads, and its folder of data.

    Returns
    -------
    float or None
        Millions of bytes; None if there is no such program, or no `ldd` that lists libraries.
    """
    program = shutil.which(command)
    if program is None or shutil.which("ldd") is None:
        return None
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    libraries = {Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", done.stdout)}
    total = sum(_size(path) for path in {Path(program).resolve(), *libraries})
    return (total + (folder_bytes(data) if data else 0)) / 1e6


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder, without Python's caches."""
    return sum(_size(path) for path in folder.rglob("*") if "__pycache__" not in path.parts)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


if __name__ == "__main__":
    print(packages_megabytes(*sys.argv[1:]))
