"""Reads handwritten digits: data, network, training, evaluation, and a reader of people's pictures.

Import what you need from its module, as in ``from digits.recognizer import Recognizer``. Importing
the package itself loads nothing.
"""

import os

# Before TensorFlow is imported by whichever module: no start-up notes in a learner's notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
