"""Ctrl-C: one line and status 130 within two seconds, whatever is going on.

Python's own way raises KeyboardInterrupt, which imports turn into errors of their own, and then
waits for libraries' threads, which may take long. It is still tried first, so that what was begun is
cleaned up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

STATUS = 130  # what shells return for a command that Ctrl-C ended
PATIENCE = 1.5  # seconds in which a command may clean up
STOPPED = "digits: stopped\n"
_pressed = threading.Event()


def install() -> None:
    """Look after Ctrl-C from now on."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as shells set it in the background
        sys.unraisablehook = _unraisable
        signal.signal(signal.SIGINT, _stop)


def pressed() -> bool:
    """Whether Ctrl-C was pressed."""
    return _pressed.is_set()


def end(message: str = STOPPED) -> None:
    """End the process at once."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os.write(2, message.encode())
    os._exit(STATUS)


def _unraisable(lost) -> None:
    """Hear Ctrl-C also where Python would only print it, as in a callback of an import."""
    if pressed() and isinstance(lost.exc_value, KeyboardInterrupt):
        end()
    sys.__unraisablehook__(lost)


def _stop(number, frame) -> None:
    if pressed():  # again
        end()
    _pressed.set()
    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt
