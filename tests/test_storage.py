"""One writer at a time for a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from digits import InputError, storage
from digits.storage import locked

HOLD = """
import sys
from digits.storage import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path/out until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_in_one_line(holder, tmp_path):
    refused = pytest.raises(InputError, match="out is being written by another run; wait")
    with refused as error, locked(tmp_path / "out"):
        pass
    assert "\n" not in str(error.value)


def test_the_lock_ends_with_its_block_and_leaves_nothing(holder, tmp_path):
    holder.communicate()  # ends the block
    with locked(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_holds_nobody_up(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_is_refused_too_and_others_folders_are_free(tmp_path):
    with locked(tmp_path / "out"):
        with pytest.raises(InputError), locked(tmp_path / "out"):
            pass
        with locked(tmp_path / "other"):
            pass


def test_the_lock_ends_with_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "out"):
        raise ZeroDivisionError
    with locked(tmp_path / "out"):
        pass


def test_a_file_removed_between_opening_and_locking_is_no_lock(tmp_path, monkeypatch):
    with ExitStack() as third:
        lock = storage._lock
        opened = []

        def slow_lock(file):
            """Let the first caller be overtaken by a run that ends and one that begins."""
            opened.append(file)
            if len(opened) == 1:
                with locked(tmp_path / "out"):
                    pass
                third.enter_context(locked(tmp_path / "out"))
            return lock(file)

        monkeypatch.setattr(storage, "_lock", slow_lock)
        with pytest.raises(InputError), locked(tmp_path / "out"):
            pass
