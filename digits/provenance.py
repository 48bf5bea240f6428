"""What made a result: the commit of the code and the versions of the packages."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess

from digits.config import PACKAGE, ROOT

# TensorFlow's wheel for processors only has a name of its own.
PACKAGES = (
    "digits",
    "numpy",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "onnxruntime",
    "scikit-learn",
    "matplotlib",
)
# What decides a result. Reports that are committed, and stray files, do not.
CODE = ("digits", "notebooks", "requirements.lock")


def package_versions() -> dict[str, str]:
    """Return Python's version and those of the installed packages that decide a result."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str:
    """Return the commit of the code, "+changes" added if it is not clean, or "" outside of git."""
    if PACKAGE.parent != ROOT:  # installed: what it was built from is not known
        return ""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.strip()
