"""The network: convolutions, pooling, dropout and fully connected layers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits import InputError
from digits.config import Config
from digits.training.backend import keras

kl = keras.layers

INPUT_SHAPE = (28, 28, 1)


def build_cnn(config: Config) -> keras.Model:
    """Build the untrained network that `config` describes.

    Convolutions without padding (the digit stays clear of the frame, so padding buys nothing),
    2x2 max-pooling after every second one, then a fully connected layer and the logits.

    Parameters
    ----------
    config : Config
        Its seed decides the initial weights and the dropout masks.

    Returns
    -------
    keras.Model
        Input float32 (n, 28, 28, 1), 0 background to 1 ink. Output float32 logits
        (n, `config.n_classes`).
    """
    keras.utils.set_random_seed(config.seed)
    common = {"dtype": keras.DTypePolicy(config.precision)}
    weights = {
        "use_bias": not config.batch_norm,
        **common,
    }  # normalisation has an offset of its own
    images = x = keras.Input(INPUT_SHAPE, name="image")
    for i, (filters, kernel) in enumerate(zip(config.filters, config.kernels, strict=True), 1):
        x = kl.Conv2D(filters, kernel, name=f"conv{i}", **weights)(x)
        if config.batch_norm:
            x = kl.BatchNormalization(name=f"norm{i}", **common)(x)
        x = kl.ReLU(name=f"relu{i}", **common)(x)
        if i % 2 == 0 or len(config.filters) == 2:
            x = kl.MaxPooling2D(name=f"pool{i}", **common)(x)
    x = kl.Flatten(name="flatten", **common)(x)
    x = kl.Dropout(config.dropout, seed=config.seed, name="dropout1", **common)(x)
    x = kl.Dense(config.dense_units, name="dense", **weights)(x)
    if config.batch_norm:
        x = kl.BatchNormalization(name="norm_dense", **common)(x)
    x = kl.ReLU(name="features", **common)(x)
    x = kl.Dropout(config.dropout, seed=config.seed + 1, name="dropout2", **common)(x)
    logits = kl.Dense(config.n_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="digits_cnn")


class FusedBatchNormalization(kl.BatchNormalization):
    """Batch normalisation of images that TensorFlow computes in one operation, and not in ten.

    Keras' own takes two thirds of a training step in bfloat16; this one takes less than half as long.
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable and len(inputs.shape) == 4):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * tf.stop_gradient(found))
        return normalized


def fused(network: keras.Model) -> keras.Model:
    """Return a copy of one of this room's networks that trains faster where Keras runs on TensorFlow.

    Its batch normalisation is `FusedBatchNormalization`; its weights fit the network that it copies.
    """
    if keras.backend.backend() != "tensorflow":
        return network

    def copied(layer):
        is_plain = type(layer) is kl.BatchNormalization
        kind = FusedBatchNormalization if is_plain else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    return copy


def augmented(network: keras.Model, layers: Sequence[keras.layers.Layer]) -> keras.Model:
    """Return `network` behind layers that change its images: this is trained, `network` is saved."""
    return keras.Sequential([keras.Input(INPUT_SHAPE), *layers, network])


def load_network(folder: str | os.PathLike) -> keras.Model:
    """Return the network in ``model.keras`` of a run's folder.

    Raises
    ------
    InputError
        If the file does not exist, or Keras cannot read it without running code of its own.
    """
    path = Path(folder) / "model.keras"
    if not path.exists():
        raise InputError(f"{folder} holds no model.keras; notebook 03 or `digits train` makes one")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError) as error:  # not an archive, or an unknown layer
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} cannot be read ({reason}); give the folder of a finished run"
        ) from None


def as_input(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, 28, 28) as the network's input, float32 (n, 28, 28, 1), 0 to 1."""
    return images[..., None].astype(np.float32) / np.float32(255)
