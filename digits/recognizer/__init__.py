"""From digits in MNIST form to a reading, without TensorFlow."""

from digits.recognizer.reader import DigitReading, Reading, Recognizer

__all__ = ["DigitReading", "Reading", "Recognizer"]
