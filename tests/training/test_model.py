"""The network: its layers, shapes and augmentation."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from digits.config import PROFILES, Config  # noqa: E402
from digits.training import augmentation  # noqa: E402
from digits.training.model import augmented, build_cnn, fused  # noqa: E402


@pytest.fixture(scope="module")
def digit():
    """Return 64 copies of a plus sign in MNIST form, float32 (64, 28, 28, 1)."""
    image = np.zeros((28, 28, 1), np.float32)
    image[6:23, 13:16] = image[13:16, 6:23] = 1.0
    return np.repeat(image[None], 64, axis=0)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_a_small_network_of_keras_own_layers(name, digit):
    config = PROFILES[name]
    model = build_cnn(config)
    logits = model(digit[:2])
    assert logits.shape == (2, config.n_classes) and str(logits.dtype).endswith("float32'>")
    assert model.count_params() < 1_000_000
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert {"Conv2D", "MaxPooling2D", "Dropout", "Dense"} <= {
        type(x).__name__ for x in model.layers
    }


def test_the_seed_decides_the_weights():
    first, same, other = (build_cnn(Config(seed=seed)).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_augmentation_acts_in_training_only(digit):
    network = build_cnn(Config(dropout=0.0, batch_norm=False))
    model = augmented(network, augmentation.layers(1.0, 0))
    alone = np.asarray(network(digit))
    assert np.array_equal(np.asarray(model(digit, training=False)), alone)
    assert not np.allclose(np.asarray(model(digit, training=True)), alone, atol=1e-3)


KINDS = [type(layer) for layer in augmentation.layers(1.0, 0)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_augmentation_changes_each_image_by_its_own_numbers(kind, digit):
    first, again = (np.asarray(kind(seed=5)(digit, training=True)) for _ in range(2))
    assert np.array_equal(first, again), "the seed decides"
    assert first.shape == digit.shape and first.dtype == np.float32
    assert np.isfinite(first).all() and first.min() >= 0 and first.max() <= 1
    assert np.ptp(first, axis=0).max() > 0.05
    assert np.array_equal(np.asarray(kind()(digit, training=False)), digit)
    assert np.array_equal(np.asarray(kind(strength=0.0)(digit, training=True)), digit)


def test_share_leaves_the_other_images_alone(digit):
    layer = augmentation.Blur(share=0.25, seed=1)
    changed = np.asarray(layer(np.repeat(digit, 8, axis=0), training=True))
    touched = np.abs(changed - digit[:1]).max(axis=(1, 2, 3)) > 1e-6
    assert 0.15 < touched.mean() < 0.35


def test_the_warp_keeps_the_digit_in_the_frame(digit):
    warped = np.asarray(augmentation.Warp(seed=2)(digit, training=True))
    assert np.all(warped.sum(axis=(1, 2, 3)) > 0.6 * digit[0].sum())


def test_a_strength_that_is_lowered_changes_less_and_fewer(digit):
    model = augmented(build_cnn(Config.from_profile("quick")), augmentation.layers(1.0, 0))

    def changed():
        images = digit
        for layer in model.layers[:-1]:
            images = layer(images, training=True)
        return np.abs(np.asarray(images) - digit).mean()

    whole = changed()
    augmentation.set_strength(model, 0.3)
    assert 0 < changed() < 0.6 * whole
    augmentation.set_strength(model, 0.0)
    assert changed() == 0


def test_fused_normalisation_gives_what_keras_gives(digit):
    images = digit + np.random.default_rng(0).normal(0, 0.2, digit.shape).astype(np.float32)
    plain = build_cnn(Config(dropout=0.0))
    copy = fused(plain)
    assert type(copy.get_layer("norm1")) is not type(plain.get_layer("norm1"))
    for training in (True, False):
        expected, found = (np.asarray(model(images, training=training)) for model in (plain, copy))
        assert np.abs(found - expected).max() < 1e-4, training
    for name in ("norm1", "norm4", "norm_dense"):
        for expected, found in zip(
            plain.get_layer(name).get_weights(), copy.get_layer(name).get_weights(), strict=True
        ):
            # TensorFlow divides the variance by n - 1.
            assert np.allclose(found, expected, rtol=1e-3, atol=1e-5), name
    frozen = copy.get_layer("norm1")
    frozen.trainable = False
    before = frozen.get_weights()
    copy(images, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, frozen.get_weights(), strict=True))
