"""The way into the command ``digits``, also as ``python -m digits``.

Nothing is imported before Ctrl-C is looked after: importing takes longer than many a command runs.
"""

from __future__ import annotations

import signal

from digits import interrupt


def main() -> None:
    """Run the command; see `digits.cli.main` and `digits.interrupt`."""
    interrupt.install()
    try:
        from digits.cli import main as run

        run()
    except BaseException as error:
        if interrupt.pressed():
            said = isinstance(error, SystemExit) and error.code == interrupt.STATUS
            interrupt.end("" if said else interrupt.STOPPED)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done but the interpreter's own end


if __name__ == "__main__":
    main()
