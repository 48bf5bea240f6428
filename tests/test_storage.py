"""Files and folders appear whole or not at all, and one process at a time writes them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
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


@contextmanager
def holder(folder):
    """Start another process that holds a folder until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process


def names(folder: Path) -> list[str]:
    """What lies in a folder, without lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_folder_is_held_by_one_block_until_it_or_its_process_ends(tmp_path):
    out = tmp_path / "out"
    refused = pytest.raises(InputError, match=r"^\S*out is being written by another run; wait.*$")
    with holder(out) as process:
        with refused, locked(out):
            pass
        process.communicate()  # ends the block
        with locked(out):
            assert names(tmp_path) == []
    with holder(out) as process:
        process.kill()
        process.wait()
        with locked(out), locked(tmp_path / "other"), refused, locked(out):
            pass


def test_a_folder_replaces_an_earlier_one_when_it_is_complete(tmp_path):
    new = tmp_path / "new"
    for content in ("first", "second"):
        with replaced_folder(new / "out") as folder:
            assert names(folder) == []
            (folder / "file").write_text(content)
            assert names(new) == ["out", "out.partial"][content == "first" :]
        assert (names(new), (new / "out" / "file").read_text()) == (["out"], content)


@pytest.mark.parametrize("keep", [False, True])
def test_an_error_leaves_the_earlier_folder(tmp_path, keep):
    (tmp_path / "out").mkdir()
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        replaced_folder(tmp_path / "out", keep=keep) as folder,
    ):
        (folder / "part").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out", "out.partial"][: 1 + keep] and not names(tmp_path / "out")
    with replaced_folder(tmp_path / "out", keep=keep) as folder:
        assert names(folder) == (["part"] if keep else [])


def test_what_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(InputError, match=r"cannot write the folder \S*out: ")
    with refused, replaced_folder(tmp_path / "file" / "out"):
        pass
    with refused, replaced_folder(tmp_path / "out"):
        raise OSError(28, "No space left")


def test_what_a_kill_left_is_taken_back_or_cleared(tmp_path):
    (tmp_path / ".out.old").mkdir()  # between the two renames
    (tmp_path / "out.partial" / "part").mkdir(parents=True)
    with replaced_folder(tmp_path / "out") as folder:
        assert names(tmp_path) == ["out", "out.partial"] and names(folder) == []
        folder.rmdir()  # a block may discard its folder
    assert names(tmp_path) == ["out"]
    (tmp_path / ".out.old" / "part").mkdir(parents=True)  # after both, while it was removed
    with replaced_folder(tmp_path / "out"):
        assert names(tmp_path) == ["out", "out.partial"]
    assert names(tmp_path) == ["out"]
