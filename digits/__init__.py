"""Reads handwritten digits: data, network, training, evaluation, and a reader of people's pictures.

Import what you need from its module, as in ``from digits.recognizer import Recognizer``. Importing
the package itself loads nothing.
"""
