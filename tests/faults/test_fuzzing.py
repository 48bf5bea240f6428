"""Fuzzing: pictures whose bytes are changed at random, read for half an hour."""

from __future__ import annotations

import re
import sys

import pytest

from faults.process import run

pytestmark = pytest.mark.fuzzing

FUZZ_SECONDS = 1800


def test_changed_bytes(row):
    """Change good pictures at random and take them through all that looks for digits."""
    seconds = max(10, round(FUZZ_SECONDS * row.share))
    ended = run([sys.executable, "-m", "corpus.fuzz", str(seconds)], timeout=2 * seconds)
    row.largest = ended.megabytes
    if read := re.match(r"(\d+) read, the slowest in (\S+) s\n", ended.out):
        row.tried, row.slowest = int(read[1]), float(read[2])
    else:
        row.lose(f"status {ended.status}: {ended.err[-250:]}")
    row.remarks = f"pictures, read to MNIST form for {seconds / 60:.0f} minutes"
    assert row.lost == []
