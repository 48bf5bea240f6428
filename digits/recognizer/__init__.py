"""From digits in MNIST form to a reading, without TensorFlow."""

from digits.recognizer.reader import Recognizer
from digits.recognizer.reading import DigitReading, Reading
