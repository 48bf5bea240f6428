"""Campaign: commands killed at random moments: what was there stays whole, a new try ends well."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest

from faults.commands import KILLED, Command, run

pytestmark = pytest.mark.campaign

KILLS = 20  # of each command
SEED = 7


@pytest.mark.parametrize("command", KILLED, ids=lambda command: command.name)
def test_kill(row, command, tmp_path):
    """Kill a command again and again; after every tenth kill, let it run to its end.

    Every second kill meets the command alone, and not the processes that it has started: these
    must end by themselves.
    """
    rng = random.Random(SEED)
    folder = tmp_path / "written"
    folder.mkdir()
    target = folder / "target"

    def finish(number: int) -> float:
        ended = row.note(run(command.arguments(target, number)))
        if ended.status != 0:
            row.lose(f"unbroken run {number}: status {ended.status}, {ended.err[-200:]}")
        return ended.seconds

    seconds = finish(0)
    assert row.lost == []
    whole = command.read_back(target)
    others = _names(folder)
    times = len(row.times(KILLS))
    number = completed = 0
    while row.tried < times and number < 2 * times:
        number += 1
        if command.continues and not _damage(command, target, whole):
            shutil.rmtree(target)
        # Half of them late, where results are put in their place.
        moment = seconds * rng.uniform(rng.choice([0.0, 0.75]), 1.05)
        ended = run(
            command.arguments(target, number),
            signal_after=(moment, signal.SIGKILL), signal_group=number % 2 == 0,
        )  # fmt: skip
        if ended.orphans:
            row.lose(f"kill {number} after {moment:.1f} s: processes were left running")
        if ended.status == -signal.SIGKILL:
            row.tried += 1
        elif not ended.status:  # sooner done than the first time
            seconds = min(seconds, ended.seconds)
        problem = _damage(command, target, whole, partly=command.continues)
        if problem:
            row.lose(f"kill {number} after {moment:.1f} s: {problem}")
        if number % 10 == 0 or row.tried == times or problem:
            finish(number)
            completed += 1
            left = _names(folder) - others
            if problem := _damage(command, target, whole) or (left and f"left: {sorted(left)}"):
                row.lose(f"run after kill {number}: {problem}")
                shutil.rmtree(folder)
                folder.mkdir()
                finish(0)
    row.remarks = f"{number - row.tried} more ended sooner; {completed} unbroken runs after them"
    assert row.lost == []


def _damage(command: Command, target: Path, whole: object, partly: bool = False) -> str:
    """Return in what the result is not `whole`, or, `partly`, holds rows that `whole` lacks."""
    if partly and not target.exists():
        return ""
    try:
        found = command.read_back(target)
    except Exception as error:  # whatever is the matter, the result is not whole
        return f"{type(error).__name__}: {error}"
    if partly:
        once = len({row["file"] for row in found}) == len(found)
        known = all(row in whole for row in found)
        return "" if once and known else "rows twice, or that the unbroken run has not"
    return "" if found == whole else f"another result: {found}"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}
