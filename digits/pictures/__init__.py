"""From any picture to digits in MNIST form: the stages, under one name."""

from __future__ import annotations

from digits.pictures.decoding import EXTENSIONS, Picture, decode
from digits.pictures.glyphs import Glyph
from digits.pictures.ink import Ink, find_ink
from digits.pictures.mnist_form import to_mnist_form
from digits.pictures.segmentation import find_digits
