"""The recogniser with the shipped model."""

import pytest

from digits.recognizer import Recognizer


@pytest.fixture(scope="session")
def recognizer():
    return Recognizer.load(threads=1)
