"""Files and folders appear whole or not at all, and one process at a time writes them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from digits import InputError
from digits.storage import locked, replaced_folder

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


def names(folder: Path) -> list[str]:
    """What lies in a folder, without lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_second_process_is_refused_in_one_line_until_the_first_ends(holder, tmp_path):
    refused = pytest.raises(InputError, match="out is being written by another run; wait")
    with refused as error, locked(tmp_path / "out"):
        pass
    assert "\n" not in str(error.value)
    holder.communicate()  # ends the block
    with locked(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_the_lock_of_a_killed_process_is_free(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "out"):
        pass


def test_the_same_process_is_refused_too_and_other_folders_are_free(tmp_path):
    with locked(tmp_path / "out"):
        with pytest.raises(InputError), locked(tmp_path / "out"):
            pass
        with locked(tmp_path / "other"):
            pass


def test_a_folder_replaces_an_earlier_one_when_it_is_complete(tmp_path):
    for content in ("first", "second"):
        with replaced_folder(tmp_path / "new" / "out") as folder:
            assert names(folder) == []
            (folder / "file").write_text(content)
            assert names(tmp_path / "new") == (["out"] if content == "second" else []) + [
                "out.partial"
            ]
        assert (tmp_path / "new" / "out" / "file").read_text() == content
        assert names(tmp_path / "new") == ["out"]


@pytest.mark.parametrize("keep", [False, True])
def test_an_error_leaves_the_earlier_folder(tmp_path, keep):
    (tmp_path / "out").mkdir()

    def write():
        with replaced_folder(tmp_path / "out", keep=keep) as folder:
            (folder / "part").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == ["out", "out.partial"][: 1 + keep] and not names(tmp_path / "out")
    with replaced_folder(tmp_path / "out", keep=keep) as folder:
        assert names(folder) == (["part"] if keep else [])


def test_a_block_may_discard_its_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with replaced_folder(tmp_path / "out") as folder:
        folder.rename(tmp_path / "out.failed")
    assert names(tmp_path) == ["out", "out.failed"]


def test_what_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="cannot write the folder"),
        replaced_folder(tmp_path / "file" / "out"),
    ):
        pass
    with (
        pytest.raises(InputError, match="out: No space left"),
        replaced_folder(tmp_path / "out"),
    ):
        raise OSError(28, "No space left")


def test_what_a_kill_left_is_taken_back_or_cleared(tmp_path):
    (tmp_path / ".out.old").mkdir()  # between the two renames
    (tmp_path / "out.partial" / "part").mkdir(parents=True)
    with replaced_folder(tmp_path / "out") as folder:
        assert names(tmp_path) == ["out", "out.partial"] and names(folder) == []
        folder.rmdir()
    assert names(tmp_path) == ["out"]
    (tmp_path / ".out.old" / "part").mkdir(parents=True)  # after both, while it was removed
    with replaced_folder(tmp_path / "out"):
        assert names(tmp_path) == ["out", "out.partial"]
    assert names(tmp_path) == ["out"]
