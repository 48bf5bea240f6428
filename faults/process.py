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
    """

    status: int
    out: str
    err: str
    seconds: float
    megabytes: float
    timed_out: bool = False

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
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            _signal(process.pid, signal.SIGKILL)

        timers = [threading.Timer(timeout, stop)]
        if signal_after:
            after, number = signal_after
            timers.append(threading.Timer(after, _signal, (process.pid, number)))
        for timer in timers:
            timer.start()
        # wait4 and not Popen.wait: it knows the memory that was held.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for timer in timers:
            timer.cancel()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    return Ended(process.returncode, *texts, seconds, usage.ru_maxrss / 1024, expired.is_set())


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
