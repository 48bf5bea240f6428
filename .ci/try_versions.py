"""Tries the lowest and the newest versions that pyproject.toml allows, on each Python.

    .venv/bin/python .ci/try_versions.py                        # every Python from 3.11 that is found
    .venv/bin/python .ci/try_versions.py python3.12 python3.13  # these

Installs each pair into an environment of its own below build/, runs all tests there, and writes
docs/versions.md. Needs uv, which `make install` brings, and a quarter of an hour for each pair.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from digits.config import PACKAGES, git_commit

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "versions.md"
UV = Path(sys.executable).with_name("uv")
EXTRAS = ".[train,notebooks,scale,dev]"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
NAMED = (*PACKAGES[1:], "pandas", "pillow", "scipy")  # in the table
HEAD = """\
# Versions

Written by `.ci/try_versions.py`, which installs the lowest and the newest versions that
`pyproject.toml` allows for each Python, and runs all tests. `make install` takes those of
`requirements.lock`.

| Python | versions | tests | among them |
|---|---|---|---|
"""


def main(pythons: list[str]) -> int:
    """Try each Python with both kinds of versions, and write the table; return the exit status."""
    commit, rows, all_passed = git_commit(), [], True
    for python in pythons or filter(is_there, (f"python3.{minor}" for minor in range(11, 20))):
        for kind, resolution in RESOLUTIONS.items():
            print(f"--- {python}, {kind} versions", flush=True)
            about, result, versions = tried(python, resolution)
            all_passed &= bool(re.fullmatch(r"\d+ passed(, \d+ skipped)?", result))
            rows.append(f"| {about} | {kind} | {result} | {versions} |\n")
            print(rows[-1], flush=True)
    if git_commit() != commit:
        sys.exit("the code changed meanwhile: no table is written")
    foot = f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, {os.cpu_count()} cores.\n"
    TABLE.write_text(HEAD + "".join(rows) + foot, encoding="utf-8")
    return not (rows and all_passed)


def is_there(python: str) -> bool:
    """Return whether a Python can be started; pyenv names some that cannot."""
    return (
        bool(shutil.which(python))
        and not subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL).returncode
    )


def tried(python: str, resolution: str) -> tuple[str, str, str]:
    """Install and test in a new environment; return Python's version, what came out, the packages."""
    folder = ROOT / "build" / f"versions-{resolution}"
    shutil.rmtree(folder, ignore_errors=True)
    own = folder / "bin" / "python"
    try:
        subprocess.run([UV, "venv", "--quiet", "--python", python, folder], check=True)
        about = output([own, "-c", "import platform; print(platform.python_version())"])
        options = ["--python", own, "--resolution", resolution, "--only-binary", ":all:"]
        install = [UV, "pip", "install", "--quiet", *options, "-e", EXTRAS]
        if subprocess.run(install, cwd=ROOT).returncode:
            return about, "cannot be installed", ""
        frozen = re.findall(r"(.+)==(.+)", output([UV, "pip", "freeze", "--python", own]))
        versions = [f"{name} {version}" for name, version in frozen if name in NAMED]
        log = output([own, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"])
        print(log[-5000:], flush=True)
        counts = re.findall(
            r"\d+ (?:failed|passed|skipped|errors?)", (log.splitlines() or [""])[-1]
        )
        return about, ", ".join(counts) or "did not end", ", ".join(versions)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def output(command: list) -> str:
    """Return what a command prints, whatever its exit status."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
