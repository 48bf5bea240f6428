"""Entry point of the command ``digits``, also as ``python -m digits``."""

import os
import signal


def main() -> None:
    """Run the command. Ctrl-C ends it with one line and status 130, whatever it interrupts."""
    pressed = []

    def stop(number, frame):
        if pressed:  # again: what is cleaned up takes too long
            _end()
        pressed.append(True)
        raise KeyboardInterrupt

    # Shells let what they start in the background ignore it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    try:
        from digits.cli import main as run

        run()
    except BaseException as error:  # an import turns Ctrl-C into errors of its own
        if pressed:
            _end("" if isinstance(error, SystemExit) and error.code == 130 else "digits: stopped\n")
        raise
    finally:
        # All is done: libraries that take their time to end are not to be killed by it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(message: str = "digits: stopped\n") -> None:
    """End the process without waiting for libraries' threads."""
    try:
        os.write(2, message.encode())
    finally:
        os._exit(130)


if __name__ == "__main__":
    main()
