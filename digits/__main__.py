"""The way into the command ``digits``, also as ``python -m digits``.

Nothing is imported before Ctrl-C is looked after, not even what looks after it in the end: importing
takes longer than many a command runs. `os` and `_signal` are there when Python has started.
"""

import _signal  # `signal`, which wraps it, takes a millisecond to import
import os


def _end_at_once(number, frame) -> None:
    """Nothing was begun yet: there is nothing to clean up."""
    try:
        os.write(2, b"digits: stopped\n")
    finally:  # whether or not anybody reads it
        os._exit(130)


# As it is unless shells let what they start in the background ignore Ctrl-C.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _end_at_once)


def main() -> None:
    """Run the command; see `digits.cli.main` and `digits.interrupt`."""
    from digits import interrupt
    from digits.cli import main as run

    try:
        interrupt.install()
        run()
    except BaseException as error:
        if interrupt.pressed():
            said = isinstance(error, SystemExit) and error.code == interrupt.STATUS
            interrupt.end("" if said else interrupt.STOPPED)
        raise
    finally:
        # All is done but the interpreter's own end.
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)


if __name__ == "__main__":
    main()
