"""Runs a command as a user would, and says how it ended, how long it took and what it held."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from digits.config import ROOT

DIGITS = (sys.executable, "-m", "digits")
MEGABYTE = 1 << 20
PATHS = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
ORPHANS_LIVE = 5.0  # seconds that a killed command's own processes may take to notice
_running: set[int] = set()


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    status : int
        Its exit status; negative for the signal that ended it.
    out, err : str
        What it wrote; bytes that are no UTF-8 are kept as surrogates.
    seconds : float
    megabytes : float
        The most memory that it held at once.
    timed_out : bool
        Whether it was stopped because it took too long.
    orphans : bool
        Whether processes that it had started outlived it by `ORPHANS_LIVE` seconds.
    """

    status: int
    out: str
    err: str
    seconds: float
    megabytes: float
    timed_out: bool = False
    orphans: bool = False

    @property
    def traceback(self) -> bool:
        """Whether a traceback reached the user."""
        return "Traceback (most recent call last)" in self.out + self.err


def run(
    command: Sequence[str | bytes | os.PathLike],
    *,
    timeout: float = 120.0,
    memory: float | None = None,
    signal_after: tuple[float, int] | None = None,
    signal_group: bool = True,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
    stdin: bytes = b"",
    file_size: float | None = None,
    before: Callable[[], None] | None = None,
) -> Ended:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence
        Program and arguments.
    timeout : float
        Seconds after which it is killed.
    memory, file_size : float, optional
        Megabytes of address space (as ``ulimit -v``), and that one file may have.
    signal_after : (float, int), optional
        A signal that its whole process group gets after so many seconds.
    signal_group : bool
        False sends that signal to the command alone, not to what it has started.
    environment : dict, optional
        What is added to this process's environment.
    before : callable, optional
        Called in the new process before the command starts.
    """

    def prepare() -> None:
        # A shell's background jobs, this one perhaps, ignore Ctrl-C, and what they start does, too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (int(memory * MEGABYTE),) * 2)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_size * MEGABYTE),) * 2)
        if before:
            before()

    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryFile() as given,
    ):
        given.write(stdin)
        given.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=given, stdout=out, stderr=err, cwd=folder, start_new_session=True,
            env={**os.environ, "PYTHONPATH": PATHS, **(environment or {})}, preexec_fn=prepare,
        )  # fmt: skip
        _running.add(process.pid)
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            _signal(process.pid, signal.SIGKILL)

        timers = [threading.Timer(timeout, stop)]
        if signal_after:
            after, number = signal_after
            send = _signal if signal_group else _signal_one
            timers.append(threading.Timer(after, send, (process.pid, number)))
        for timer in timers:
            timer.start()
        try:
            # wait4 and not Popen.wait: it knows the memory that was held.
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            for timer in timers:
                timer.cancel()
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        orphans = not _gone(process.pid, ORPHANS_LIVE)
        _signal(process.pid, signal.SIGKILL)
        _running.discard(process.pid)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    return Ended(
        process.returncode, *texts, seconds, usage.ru_maxrss / 1024, expired.is_set(), orphans
    )


def stop_all() -> None:
    """Kill every command that still runs, and what it has started."""
    for group in list(_running):
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _signal_one(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _gone(group: int, patience: float) -> bool:
    """Wait until a process group has no member; return False if it still has some then."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
