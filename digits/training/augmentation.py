"""Layers that change a batch of digits in training and leave it alone in prediction.

Each takes and returns float images ``(n, 28, 28, 1)``, 0 background to 1 ink, and draws fresh random
numbers for every image of every batch. `strength` 0 changes nothing; 1 is the most that a person
still reads. They stand before the network in training and are not saved with it.
"""

from __future__ import annotations

import math

import numpy as np

from digits.pictures.mnist_form import SIDE
from digits.training.backend import keras

ops = keras.ops

CENTRE = (SIDE - 1) / 2
X = np.arange(SIDE, dtype=np.float32)[None] - CENTRE  # of each column, (1, 28), from the middle
Y = X.T  # of each row, (28, 1)


class _Augmentation(keras.layers.Layer):
    """A layer that in training calls the method `change`, which its kind defines, on a batch.

    Parameters
    ----------
    strength : float
        0 to 2. A variable, which a training may lower while it runs (`set_strength`).
    share : float
        Share of the images that are changed at a strength of 1 or more, 0 to 1; less at a lower one.
        1: all images, whatever the strength.
    seed : int
    """

    def __init__(self, strength: float = 1.0, share: float = 1.0, seed: int = 0):
        # Coordinates and thin lines need single precision, whatever the network computes in.
        super().__init__(dtype="float32", name=f"augment_{type(self).__name__.lower()}")
        constant = keras.initializers.Constant(strength)
        self.strength = self.add_weight((), constant, trainable=False, name="strength")
        self.share = share
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def up_to_one(self):
        """The strength, at most 1."""
        return ops.minimum(self.strength, 1.0)

    def call(self, images, training=False):
        if not training:
            return images
        is_chosen = self.strength > 0
        if self.share < 1:
            is_chosen = self.uniform(images) < self.share * self.up_to_one
        return ops.where(is_chosen, self.change(images), images)

    def uniform(self, images, low=0.0, high=1.0, shape=(1, 1, 1)):
        """Return uniform random numbers (n, *shape)."""
        shape = (ops.shape(images)[0], *shape)
        return keras.random.uniform(shape, low, high, seed=self.seed_generator)

    def normal(self, images, shape):
        """Return Gaussian random numbers (n, *shape), deviation 1."""
        return keras.random.normal((ops.shape(images)[0], *shape), seed=self.seed_generator)


class Warp(_Augmentation):
    """Rotate, scale, stretch, shear, shift and bend: the hand is never twice the same.

    At strength 1: rotation to 15 degrees, scale and aspect by 15 %, shear to 0.25, shift to 2.5
    pixels, and a smooth displacement field with a deviation of 1 pixel (elastic distortion after
    Simard, Steinkraus and Platt, 2003). All in one bilinear resampling, because each one blurs.
    """

    def change(self, images):
        def amount(largest):
            return self.uniform(images, -1, 1, (1, 1)) * self.strength * largest

        angle = amount(math.radians(15))
        scale_x, scale_y = ops.exp(amount(0.15)), ops.exp(amount(0.15))
        shear = amount(0.25)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x = (cos * X - sin * Y) * scale_x + shear * Y + amount(2.5)
        y = (sin * X + cos * Y) * scale_y + amount(2.5)
        # Displacements on 5x5 knots, made smooth by cubic interpolation.
        field = ops.image.resize(
            self.normal(images, (5, 5, 2)) * self.strength, (SIDE, SIDE),
            interpolation="bicubic", data_format="channels_last",
        )  # fmt: skip
        return _sample(images, x + field[..., 0] + CENTRE, y + field[..., 1] + CENTRE)


def _sample(images, x, y):
    """Sample images (n, 28, 28, 1) bilinearly at pixel coordinates x, y (n, 28, 28); 0 outside."""
    side = SIDE + 2
    padded = ops.reshape(ops.pad(images[..., 0], [[0, 0], [1, 1], [1, 1]]), (-1, side * side))
    x, y = (ops.clip(axis + 1, 0, SIDE + 0.999) for axis in (x, y))
    left, top = ops.floor(x), ops.floor(y)
    fx, fy = x - left, y - top
    corner = ops.reshape(ops.cast(top * side + left, "int32"), (-1, SIDE * SIDE))

    def at(offset):
        values = ops.take_along_axis(padded, corner + offset, axis=1)
        return ops.reshape(values, (-1, SIDE, SIDE))

    upper = at(0) * (1 - fx) + at(1) * fx
    lower = at(side) * (1 - fx) + at(side + 1) * fx
    return ops.expand_dims(upper * (1 - fy) + lower * fy, -1)


class Thickness(_Augmentation):
    """Make strokes thicker or thinner: a felt pen, a worn pencil, a mouse.

    Blends each image with its dilation by 3x3 pixels or its erosion by 2x2; the blend decides how much.
    """

    def change(self, images):
        thick = ops.max_pool(images, 3, strides=1, padding="same")
        thin = -ops.max_pool(-images, (2, 2), strides=1, padding="same")
        blend = self.uniform(images, -1, 1) * self.up_to_one
        target = ops.where(blend > 0, thick, thin)
        return images + ops.abs(blend) * (target - images)


class Contrast(_Augmentation):
    """Fade the ink, lift the background, bend the tone curve: faint pencil, grey paper, haze."""

    def change(self, images):
        s = self.up_to_one
        background = self.uniform(images, 0.0, 0.5 * s)
        ink = self.uniform(images, 1.0 - 0.4 * s, 1.0)
        bend = ops.exp(self.uniform(images, -0.7, 0.7) * s)
        # A slope across the picture, as light falls from one side.
        ramp = ops.reshape(ops.linspace(-0.5, 0.5, SIDE), (SIDE, 1))
        tilt = self.uniform(images, -0.3, 0.3) * s
        levels = ops.power(ops.clip(images, 0.0, 1.0), bend)
        return ops.clip(background + (ink - background) * levels + tilt * ramp, 0.0, 1.0)


class Blur(_Augmentation):
    """Blur by a small kernel, stretched at random: out of focus, or a hand that shook."""

    def change(self, images):
        offsets = ops.arange(-2, 3, dtype="float32")
        for _ in range(2):  # down the columns, then, transposed, along the rows
            width = self.uniform(images, 0.3, 0.3 + 1.2 * self.strength, (1,))
            weights = ops.exp(-0.5 * ops.square(offsets / width))
            weights = weights / ops.sum(weights, axis=1, keepdims=True)
            padded = ops.pad(images, [[0, 0], [2, 2], [0, 0], [0, 0]])
            blurred = sum(
                weights[:, k, None, None, None] * padded[:, k : k + SIDE] for k in range(5)
            )
            images = ops.transpose(blurred, (0, 2, 1, 3))
        return images


class Noise(_Augmentation):
    """Add Gaussian noise, and specks of ink and of paper."""

    def change(self, images):
        s = self.strength
        deviation = self.uniform(images, 0.0, 0.25 * s)
        noisy = images + deviation * self.normal(images, (SIDE, SIDE, 1))
        specks = self.uniform(images, shape=(SIDE, SIDE, 1))
        rate = self.uniform(images, 0.0, 0.08 * s)
        noisy = ops.where(specks < rate, 1.0, noisy)
        noisy = ops.where(specks > 1.0 - rate, 0.0, noisy)
        return ops.clip(noisy, 0.0, 1.0)


class Lines(_Augmentation):
    """Draw one or two straight lines across, of ink or of paper: rules, folds, cell borders."""

    def change(self, images):
        y, x = Y[..., None], X[..., None]
        for _ in range(2):
            angle = self.uniform(images, 0.0, math.pi)
            offset = self.uniform(images, -13.0, 13.0)
            half_width = self.uniform(images, 0.2, 0.2 + 0.8 * self.strength)
            distance = ops.abs(x * ops.cos(angle) + y * ops.sin(angle) - offset)
            line = ops.clip(half_width + 0.5 - distance, 0.0, 1.0)
            # Half of the lines add ink, a quarter take it away, a quarter are not there.
            kind = self.uniform(images)
            added = ops.maximum(images, line * self.uniform(images, 0.4, 1.0))
            images = ops.where(kind < 0.5, added, images)
            images = ops.where(kind > 0.75, images * (1.0 - line), images)
        return images


class Occlusion(_Augmentation):
    """Cover a small rectangle with paper: a reflection, a worn spot, a finger's edge."""

    def change(self, images):
        half = 0.5 + 2.5 * self.up_to_one
        inside = 1.0
        for axis in (X, Y):
            centre = self.uniform(images, 4.0, SIDE - 4.0)
            reach = self.uniform(images, 1.0, half)
            distance = ops.abs(axis[..., None] + CENTRE - centre)
            inside = inside * ops.cast(distance < reach, "float32")
        return images * (1.0 - inside)


def layers(strength: float, seed: int) -> list[keras.layers.Layer]:
    """Return the augmentation in the order in which a picture comes about.

    The pen first (stroke), then the hand (warp), the paper (lines, occlusion), the light
    (contrast), the lens and the sensor (blur, noise). Geometry changes every image; the others each
    change a small share, so that most images stay clean: the test digits are clean too.
    """
    if strength == 0:
        return []
    shares = {
        Thickness: 0.30,
        Warp: 1.0,
        Lines: 0.12,
        Occlusion: 0.10,
        Contrast: 0.15,
        Blur: 0.12,
        Noise: 0.12,
    }
    return [kind(strength, share, seed + i) for i, (kind, share) in enumerate(shares.items())]


def set_strength(model: keras.Model, strength: float) -> None:
    """Give the augmentation before a network, see `augmented`, another strength."""
    for layer in model.layers:
        if isinstance(layer, _Augmentation):
            layer.strength.assign(strength)
