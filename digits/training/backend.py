"""Keras, imported without the notes that TensorFlow's libraries write when they start.

They say which processor instructions are used and that messages will follow: nothing that a reader
of a notebook, or of a training's progress, could act on. They are written before any logging level
is looked at, past Python, to the process's standard error.
"""

from __future__ import annotations

import os
import sys


def _start():
    """Import Keras and run a first operation with standard error closed; return Keras."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras

        keras.ops.zeros(1)  # the first operation starts the rest
        return keras
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


keras = _start()
