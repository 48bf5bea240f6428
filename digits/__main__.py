"""The way into the command ``digits``, also as ``python -m digits``.

Nothing is imported before Ctrl-C is looked after: importing takes longer than many a command runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

INTERRUPTED = 130  # what shells return for a command that Ctrl-C ended
PATIENCE = 1.5  # seconds in which a command may clean up after Ctrl-C
STOPPED = "digits: stopped\n"
_pressed = threading.Event()


def main() -> None:
    """Run the command; Ctrl-C ends it within two seconds, with one line and status 130."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as shells set it in the background
        signal.signal(signal.SIGINT, _stop)
    try:
        from digits.cli import main as run

        run()
    except BaseException as error:
        if _pressed.is_set():
            # Imports turn the interrupt into errors of their own, and lose what it was.
            said = isinstance(error, SystemExit) and error.code == INTERRUPTED
            _end("" if said else STOPPED)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done but the interpreter's own end


def _stop(number, frame) -> None:
    """Interrupt the command, and end it if it does not end by itself."""
    if _pressed.is_set():  # pressed again
        _end()
    _pressed.set()
    timer = threading.Timer(PATIENCE, _end)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _end(message: str = STOPPED) -> None:
    """End at once: libraries' threads may take seconds to finish."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os.write(2, message.encode())
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
