"""Keras, imported without the notes that TensorFlow's libraries write when they start.

They say which processor instructions are used and that messages will follow: nothing that a reader
of a notebook, or of a training's progress, could act on. They are written before any logging level
is looked at, past Python, to the process's standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _silent_start() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silent_start():
    import keras

    keras.ops.zeros(1)  # the first operation starts the rest

__all__ = ["keras"]
