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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from digits.config import ROOT

DIGITS = (sys.executable, "-m", "digits")
MEGABYTE = 1 << 20
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
ORPHANS_LIVE = 5.0  # seconds that a killed command's own processes may take to notice


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    status : int
        Its exit status; negative for the signal that ended it.
    out, err : str
        What it wrote; bytes that are not UTF-8 are kept as surrogates.
    seconds : float
    megabytes : float
        The most memory that one of its processes held, or more: never less than pytest held.
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
    timed_out: bool
    orphans: bool

    @property
    def traceback(self) -> bool:
        """Whether a traceback reached the user."""
        return "Traceback (most recent call last)" in self.out + self.err

    def refused(self, *statuses: int) -> bool:
        """Return whether it ended with one of these statuses, one line of error, and no output."""
        return self.status in statuses and len(self.err.splitlines()) == 1 and not self.out


def run(
    command: Sequence[str | bytes | os.PathLike],
    *,
    timeout: float = 120.0,
    memory: float | None = None,
    signal_after: tuple[float, int] | None = None,
    signal_group: bool = True,
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence
        Program and arguments.
    timeout : float
        Seconds after which it is killed.
    memory : float, optional
        Megabytes of address space (as ``ulimit -v``).
    signal_after : (float, int), optional
        A signal that its whole process group gets after so many seconds.
    signal_group : bool
        False sends that signal to the command alone, not to the processes that it has started.
    environment : dict, optional
        Added to this process's environment.
    """

    def prepare() -> None:
        # A shell's background jobs, this one perhaps, ignore Ctrl-C, and so does what they start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (int(memory * MEGABYTE),) * 2)

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=ROOT,
            start_new_session=True, preexec_fn=prepare,
            env={**os.environ, "PYTHONPATH": PATHS, **(environment or {})},
        )  # fmt: skip
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            _signal(process.pid, signal.SIGKILL)

        timers = [threading.Timer(timeout, stop)]
        if signal_after:
            after, number = signal_after
            timers.append(threading.Timer(after, _signal, (process.pid, number, signal_group)))
        for timer in timers:
            timer.start()
        try:
            # wait4 and not Popen.wait: it returns the memory that was held.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            orphans = not _gone(process.pid, ORPHANS_LIVE)
        finally:
            for timer in timers:
                timer.cancel()
            _signal(process.pid, signal.SIGKILL)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    megabytes = usage.ru_maxrss / 1024
    return Ended(process.returncode, *texts, seconds, megabytes, expired.is_set(), orphans)


def _signal(process: int, number: int, group: bool = True) -> None:
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process, number)


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
