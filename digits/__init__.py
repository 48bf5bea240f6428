"""Reads handwritten digits: data, network, training, evaluation, and a reader of people's pictures.

Import what you need from its module, as in ``from digits.recognizer import Recognizer``. Importing
the package itself loads nothing.
"""

import os

# Before TensorFlow is imported by whichever module: no start-up notes in a learner's notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line that names what arrived, what was expected and what to do. The command
    line prints it without a traceback.
    """
