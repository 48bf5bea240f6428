"""Reads handwritten digits: data, network, training, evaluation, and a reader of people's pictures.

Import what you need from its module, as in ``from digits.recognizer import Recognizer``. Importing
the package itself loads nothing.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Before TensorFlow is imported by whichever module: no start-up notes in a learner's notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line that names what arrived, what was expected and what to do. The command
    line prints it without a traceback.
    """


def printable(text: str) -> str:
    """Return `text` with what a terminal cannot show, or would obey, written as an escape.

    File names may hold bytes that are not UTF-8 (Python keeps them as surrogates), line ends and
    control sequences.
    """
    text = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Silence what C and C++ libraries write to the process's standard error, past Python."""
    if sys.stderr:
        sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
