"""From any picture to digits in MNIST form: the stages, under one name."""

from __future__ import annotations

from digits.mnist_form import to_mnist_form

__all__ = ["to_mnist_form"]
