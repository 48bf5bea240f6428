import numpy as np
import pytest

keras = pytest.importorskip("keras")

from digits.config import PROFILES, Config  # noqa: E402
from digits.training import augmentation  # noqa: E402
from digits.training.model import build_cnn  # noqa: E402


@pytest.fixture(scope="module")
def digit():
    """Return 64 copies of a plus sign in MNIST form, float32 (64, 28, 28, 1)."""
    image = np.zeros((28, 28, 1), np.float32)
    image[6:23, 13:16] = image[13:16, 6:23] = 1.0
    return np.repeat(image[None], 64, axis=0)


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_builds_and_returns_logits(name, digit):
    config = PROFILES[name]
    model = build_cnn(config)
    logits = model(digit[:2])
    assert logits.shape == (2, config.n_classes) and str(logits.dtype).endswith("float32'>")
    assert model.count_params() < 1_000_000


def test_the_network_has_the_layers_that_it_is_described_with():
    kinds = {type(layer).__name__ for layer in build_cnn(Config()).layers}
    assert {"Conv2D", "MaxPooling2D", "Dropout", "Dense"} <= kinds


def test_the_seed_decides_the_weights():
    first, same, other = (build_cnn(Config(seed=seed)).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_prediction_is_not_augmented(digit):
    model = build_cnn(PROFILES["best"])
    first = np.asarray(model(digit, training=False))
    assert np.array_equal(first, np.asarray(model(digit, training=False)))
    # The 64 inputs are equal, so are the outputs.
    assert np.allclose(first, first[:1], atol=1e-5)


KINDS = [type(layer) for layer in augmentation.layers(1.0, 0)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_augmentation_changes_images_in_training_only(kind, digit):
    layer = kind(strength=1.0, seed=5)
    changed = np.asarray(layer(digit, training=True))
    assert changed.shape == digit.shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= 1
    assert np.ptp(changed, axis=0).max() > 0.05, "each image must be changed by its own numbers"
    assert np.array_equal(np.asarray(layer(digit, training=False)), digit)
    assert np.array_equal(np.asarray(kind(strength=0.0)(digit, training=True)), digit)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_augmentation_survives_saving_and_repeats_with_its_seed(kind, digit):
    layer = kind(strength=0.7, share=0.5, seed=9, name="a")
    copy = kind.from_config(layer.get_config())
    assert np.array_equal(
        np.asarray(layer(digit, training=True)), np.asarray(copy(digit, training=True))
    )


def test_share_leaves_the_other_images_alone(digit):
    layer = augmentation.RandomBlur(share=0.25, seed=1)
    changed = np.asarray(layer(np.repeat(digit, 8, axis=0), training=True))
    touched = np.abs(changed - digit[:1]).max(axis=(1, 2, 3)) > 1e-6
    assert 0.15 < touched.mean() < 0.35


def test_the_warp_keeps_the_digit_in_the_frame(digit):
    warped = np.asarray(augmentation.RandomWarp(strength=1.0, seed=2)(digit, training=True))
    assert np.all(warped.sum(axis=(1, 2, 3)) > 0.6 * digit[0].sum())
