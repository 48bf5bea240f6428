"""From any picture to digits in MNIST form: the stages, under one name."""

from __future__ import annotations

from digits.decoding import EXTENSIONS, Picture, decode
from digits.ink import Ink, find_ink
from digits.mnist_form import to_mnist_form
from digits.segmentation import Glyph, find_digits

__all__ = [
    "EXTENSIONS",
    "Glyph",
    "Ink",
    "Picture",
    "decode",
    "find_digits",
    "find_ink",
    "to_mnist_form",
]
