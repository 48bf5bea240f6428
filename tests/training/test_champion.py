"""The model that ships: what its card says is recomputed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from digits import data
from digits.config import CHAMPION
from digits.pictures import to_mnist_form
from digits.recognizer import Recognizer

needs_mnist = pytest.mark.skipif(
    not os.environ.get("DIGITS_MNIST"), reason="DIGITS_MNIST is not set"
)


@pytest.fixture(scope="module")
def champion():
    return Recognizer.load()


@pytest.fixture(scope="module")
def mnist():
    return data.load("mnist")


def n_wrong(champion, x, y) -> int:
    return int((champion.predict(x)["digit"].to_numpy() != y).sum())


def test_it_is_small_and_complete():
    files = {path.name: path.stat().st_size for path in CHAMPION.iterdir()}
    model = {"MODEL_CARD.md", "card.json", "model.keras", "model.onnx"}
    assert set(files) == model | {"DETECTOR_CARD.md", "detector.json", "detector.onnx"}
    assert files["detector.onnx"] < 1_500_000
    assert json.loads((CHAMPION / "detector.json").read_text())["n_parameters"] < 300_000
    assert sum(files.values()) < 8_000_000
    assert json.loads((CHAMPION / "card.json").read_text())["n_parameters"] < 1_000_000


def test_it_reads_the_embedded_digits_that_it_has_not_seen(champion, embedded):
    assert n_wrong(champion, embedded.x_test, embedded.y_test) <= 5  # of 359


@pytest.mark.slow
def test_plain_keras_reads_with_it_where_digits_is_not_installed(tmp_path, champion, embedded):
    pytest.importorskip("keras")
    code = (
        "import sys; sys.modules['digits'] = None  # importing it fails\n"
        "import keras, numpy as np\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "np.save('logits.npy', model.predict(np.load('images.npy')[..., None] / 255, verbose=0))\n"
    )
    images = embedded.x_test[:100]
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-I", "-c", code, str(CHAMPION / "model.keras")]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert np.allclose(np.load(tmp_path / "logits.npy"), champion.logits(images), atol=1e-3)


@pytest.mark.slow
@needs_mnist
def test_the_card_counts_the_test_errors_to_the_image(champion, mnist):
    card = champion.card["metrics"]["test"]
    assert card["n_scored"] == len(mnist.y_test) == 10_000
    assert card["n_wrong"] == n_wrong(champion, mnist.x_test, mnist.y_test)
    assert champion.card["data_digest"] == mnist.digest


@pytest.mark.slow
@needs_mnist
def test_mnist_passes_the_normaliser_almost_unchanged(champion, mnist):
    again = np.stack([to_mnist_form(image) for image in mnist.x_test])
    assert np.abs(again.astype(int) - mnist.x_test).mean() < 6
    wrong = [n_wrong(champion, x, mnist.y_test) for x in (mnist.x_test, again)]
    assert wrong[1] <= wrong[0] + 5
