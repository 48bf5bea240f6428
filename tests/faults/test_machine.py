"""Campaign: full disks, little memory, clocks that jump, bad networks, Ctrl-C, two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from digits.config import ROOT, TEST_IMAGES
from faults import commands, server
from faults.commands import EMBEDDED, KILLED, SMALL, WRITERS, digits, run
from faults.process import Ended

pytestmark = pytest.mark.campaign


def test_downloads(row, tmp_path):
    """Download from a server that stops, lies, or serves something else."""
    for way in server.WAYS:
        row.tried += 1
        cache = tmp_path / way
        ended = row.note(run(commands.download(cache, way)))
        # The lock's file stays, and the folder of a download that was cut.
        names = [path.name for path in cache.glob("[!.]*") if path.is_file()]
        if way in server.GOOD:
            as_promised = ended.status == 0 and names == ["mnist.npz"]
        else:
            as_promised = ended.refused(1) and not names
        if not as_promised:
            row.lose(f"{way}: status {ended.status}, left {names}, {ended.err[-100:]}")
    assert row.lost == []


@contextmanager
def _tmpfs(folder: Path, megabytes: float, *options: str) -> Iterator[None]:
    """Mount a small file system, or skip the test."""
    folder.mkdir(exist_ok=True)
    size = ",".join([f"size={int(megabytes * 1024)}k", *options])
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_full_disk(row, tmp_path):
    """Write where there is no room: the earlier result must stay."""
    whole, fitted = {}, 0
    for command in WRITERS:
        target = tmp_path / "roomy" / command.name / "target"
        target.mkdir(parents=True)
        run(command.arguments(target, 0))
        whole[command.name] = command.read_back(target)
    for megabytes in (0.05, 0.2, 0.6):
        for command in WRITERS:
            row.tried += 1
            with _tmpfs(tmp_path / "small", megabytes):
                target = tmp_path / "small" / "target"
                target.mkdir()
                for name in ("metrics.json", "card.json"):  # an earlier result
                    (target / name).write_text("{}")
                ended = row.note(run(command.arguments(target, 0)))
                what = f"{command.name} in {megabytes} MB"
                if problem := _misbehaved(ended):
                    row.lose(f"{what}: {problem}")
                if ended.status == 0:  # there was room for this one
                    fitted += 1
                    if command.read_back(target) != whole[command.name]:
                        row.lose(f"{what}: done, but another result")
                elif not all((target / name).exists() for name in ("metrics.json", "card.json")):
                    row.lose(f"{what}: the earlier result is gone")
    row.remarks = f"{row.tried - fitted} refused; {fitted} had room, and are whole"
    assert row.lost == []


def test_read_only(row, tmp_path):
    """Write where nobody may; root may everywhere, so a read-only tmpfs stands in."""
    with _tmpfs(tmp_path / "closed", 1, "ro"):
        for command in WRITERS:
            row.tried += 1
            ended = row.note(run(command.arguments(tmp_path / "closed" / "target", 0)))
            if problem := _misbehaved(ended) or (not ended.status and "status 0"):
                row.lose(f"{command.name}: {problem}")
    assert row.lost == []


def _misbehaved(ended: Ended) -> str:
    """Return what was wrong with how a command that could not write gave up, or nothing."""
    if ended.timed_out:
        return "no end"
    if ended.traceback:
        return f"a traceback: {ended.err[-150:]}"
    if ended.status not in (0, 1, 2):
        return f"status {ended.status}"
    return "no message" if ended.status and not ended.err.strip() else ""


def test_little_memory(row):
    """Read a picture under `ulimit -v`: an answer, or one line, or the system's own refusal."""
    killed = 0
    for limit in row.some(range(100, 2101, 100)):
        row.tried += 1
        command = digits("predict", "--json", TEST_IMAGES / "sums_on_squares.jpg")
        ended = row.note(run(command, memory=limit, environment={"OMP_NUM_THREADS": "1"}))
        killed += ended.status < 0 or ended.status > 2
        if ended.timed_out:
            row.lose(f"{limit} MB: no end")
        elif ended.status == 0 and json.loads(ended.out)["status"] == "error":
            row.lose(f"{limit} MB: an error with status 0")
        elif ended.status in (1, 2) and ended.traceback:
            row.lose(f"{limit} MB: a traceback: {ended.err[-120:]}")
    row.remarks = f"100 to 2100 MB of address space; in {killed} the system or a library ended it"
    assert row.lost == []


JUMPS = """
import time
_true, _n = time.time, 0
def _jumping():
    global _n
    _n += 1
    return _true() + (-1) ** _n * 86400 * (_n % 400)
time.time = _jumping
"""


def test_clock_jumps(row, tmp_path):
    """Train while the clock jumps by days with every look at it."""
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    jumping = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    results = []
    for environment in ({}, jumping):
        row.tried += 1
        target = tmp_path / str(row.tried)
        command = digits("train", *EMBEDDED, *SMALL, "--run", target)
        ended = row.note(run(command, environment=environment))
        if ended.status:
            row.lose(f"{environment}: {ended.err[-150:]}")
        else:
            results.append(commands.read_run(target))
    if results[1:] != results[:-1]:
        row.lose("another result")
    assert row.lost == []


def test_two_at_once(row, tmp_path):
    """Start each command twice: both end, one may be refused, and the result is whole."""
    for command in KILLED:
        target = tmp_path / command.name / "target"
        target.parent.mkdir()
        for _ in row.times(4):
            row.tried += 1
            with ThreadPoolExecutor(2) as pool:
                ends = list(pool.map(run, [command.arguments(target, 0)] * 2))
            refused = [row.note(ended).err for ended in ends if ended.status]
            if len(refused) > 1 or not all("another run" in err for err in refused):
                row.lose(f"{command.name}: {refused}")
            try:
                command.read_back(target)
            except Exception as error:  # whatever is the matter, the result is not whole
                row.lose(f"{command.name}: {type(error).__name__}: {error}")
    assert row.lost == []


EARLIEST = 0.3  # seconds: before that, Python itself starts


def test_interrupts(row, tmp_path):
    """Press Ctrl-C at moments spread over each command: one line, and status 130."""
    others = {
        "predict": digits("predict", TEST_IMAGES),
        "doctor": digits("doctor"),
        "draw": digits("draw", "--no-browser"),
    }
    writing = {command.name: command for command in WRITERS}
    sooner = 0

    def arguments(name: str, number: int) -> list:
        """Return the command for a try: each writes a folder of its own, and finds no result there."""
        if name in others:
            return others[name]
        target = tmp_path / name / str(number) / "target"
        target.mkdir(parents=True)
        return writing[name].arguments(target, 0)

    times = row.times(6)
    for name in (*writing, *others):
        seconds = 6.0  # of the pad, which has no end
        if name != "draw":
            whole = run(arguments(name, len(times)))
            assert whole.status == 0, whole.err[-300:]
            seconds = whole.seconds
        for number in times:
            moment = EARLIEST + (seconds - EARLIEST) * number / len(times)
            ended = run(arguments(name, number), signal_after=(moment, signal.SIGINT))
            if ended.seconds < moment or ended.status == 0:  # it had ended before, or was about to
                sooner += 1
                continue
            row.tried += 1
            row.slowest = max(row.slowest, ended.seconds - moment)
            row.largest = max(row.largest, ended.megabytes)
            last = (ended.err.splitlines() or [""])[-1]
            if ended.status != 130 or last != "digits: stopped" or ended.traceback:
                row.lose(f"{name} at {moment:.1f} s: {ended.status}, {ended.err[-150:]}")
            elif ended.orphans:
                row.lose(f"{name} at {moment:.1f} s: processes were left running")
    row.remarks = f"slowest: from Ctrl-C to the end; {sooner} more ended sooner"
    assert row.lost == []


def test_same_again(row, tmp_path):
    """Make the report twice: numbers, mistakes and splits must be the same."""
    found = []
    for name in ("first", "second"):
        row.tried += 1
        target = tmp_path / name / "report"
        command = digits("report", *EMBEDDED, "--only", "01,02,03,04,05",
                         "-p", f"RUN_DIR={tmp_path / name / 'run'}", "--output", target)  # fmt: skip
        ended = row.note(run(command, timeout=900))
        assert ended.status == 0, ended.err[-300:]
        found.append((commands.read_report(target), commands.read_run(tmp_path / name / "run")))
    if found[0] != found[1]:
        row.lose(f"differs: {found}")
    row.remarks = "notebooks 01 to 05, embedded digits, quick"
    assert row.lost == []
