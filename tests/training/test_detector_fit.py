"""The network that finds digits, and its training."""

import json
import shutil

import numpy as np
import pytest

from digits import InputError
from digits.config import CHAMPION
from digits.data import load
from digits.data.pages import CUT, PATCH, Patches
from digits.recognizer.detector import (
    CLASSES,
    HEAT,
    N_CHANNELS,
    OWNED,
    SIDE,
    SIZES,
    VOTES,
    Detector,
)
from digits.training import detector_fit
from digits.training.backend import keras
from digits.training.detector import DILATIONS, build_detector, loss, targets


def patch():
    """Return a patch with a digit of 20 by 32 pixels in its middle, and some ink that is nobody's."""
    ink, owner = (
        np.zeros((1, *PATCH), np.uint8),
        np.zeros((1, PATCH[0] // 2, PATCH[1] // 2), np.uint8),
    )
    ink[0, 16:48, 70:90], owner[0, 8:24, 35:45] = 255, 1
    ink[0, 16:48, 120:130] = 255
    ink[0, 16:48, 0:8], owner[0, 8:24, 0:4] = 255, CUT
    return Patches(ink, owner, np.array([[[7, 80, 32, 20, 32], [-1] * 5]], np.float32))


def computed(network, ink):
    return keras.ops.convert_to_numpy(network(ink))


def perfect(truth):
    """Return what a network that knows the truth says."""
    cells = np.zeros((*truth.shape[:3], N_CHANNELS), np.float32)
    cells[..., HEAT] = np.where(truth[..., HEAT] == 1, 20, -20)
    label = truth[..., CLASSES.start].astype(int)
    cells[..., CLASSES] = 40 * np.eye(10)[label]
    cells[..., SIZES], cells[..., VOTES] = truth[..., SIZES], truth[..., VOTES]
    cells[..., OWNED] = 40 * truth[..., OWNED] - 20
    return cells


def test_targets_point_from_the_ink_to_the_middle_of_its_digit():
    (truth,) = targets(*patch())
    row, column = np.unravel_index(truth[..., HEAT].argmax(), truth.shape[:2])
    assert (row, column) in ((7, 19), (7, 20), (8, 19), (8, 20)) and truth[row, column, HEAT] == 1
    assert truth[row, column, CLASSES.start] == 7
    assert truth[row, column, SIZES] == pytest.approx(np.log([20 / SIDE, 1]))
    # The cell of rows 16 to 20 and columns 72 to 76, whose first quarter has its middle at (73, 17).
    assert truth[4, 18, VOTES][:2] * SIDE == pytest.approx([80 - 73, 32 - 17])
    assert truth[4, 18, OWNED].all() and truth[4, 18, N_CHANNELS + 1 :].all()
    assert not truth[4, 31, OWNED].any() and truth[4, 31, N_CHANNELS + 1 :].all(), "nobody's"
    assert not truth[4, 0, N_CHANNELS + 1 :].any(), "not known"


def test_the_loss_is_least_for_the_truth_and_ignores_what_is_not_known():
    truth = targets(*patch())
    cells = perfect(truth)
    least = float(loss(truth, cells)[0])
    assert least < 1e-3
    for channels in (HEAT, CLASSES, SIZES, VOTES, OWNED):
        changed = cells.copy()
        changed[..., channels] = -changed[..., channels] + (channels in (SIZES, VOTES))
        assert float(loss(truth, changed)[0]) > least + 0.1, channels
    unknown = cells.copy()
    unknown[0, :, :2, OWNED] = 20
    assert float(loss(truth, unknown)[0]) == pytest.approx(least)


def test_a_run_is_repeatable_can_be_resumed_and_tells_what_it_reaches(tmp_path, monkeypatch):
    for name, value in {"N_VALIDATION": 8, "N_PAGES": 12, "N_ROWS": 2, "BATCH": 8}.items():
        monkeypatch.setattr(detector_fit, name, value)
    monkeypatch.setattr(detector_fit.fit_weights, "__defaults__", (12,))
    monkeypatch.setattr(detector_fit.read_rows, "__defaults__", (2,))
    dataset, settings = load("embedded"), {"epochs": 2, "n_patches": 8}
    whole = detector_fit.train_detector(dataset, tmp_path / "whole", **settings)
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "config.json", "history.csv", "detector.keras", "detector.onnx", "detector.json",
        "DETECTOR_CARD.md",
    }  # fmt: skip

    class Stop(Exception):
        pass

    def stop(row):
        raise Stop

    with pytest.raises(Stop):
        detector_fit.train_detector(dataset, tmp_path / "resumed", progress=stop, **settings)
    resumed = detector_fit.train_detector(dataset, tmp_path / "resumed", resume=True, **settings)
    page = np.random.default_rng(0).random((64, 96), np.float32)
    first, second = (Detector.load(run / "detector.onnx") for run in (whole, resumed))
    assert np.abs(first.cells(page) - second.cells(page)).max() < 1e-4
    network = keras.models.load_model(whole / "detector.keras", compile=False, safe_mode=True)
    assert np.abs(computed(network, page[None, ..., None])[0] - first.cells(page)).max() < 1e-4
    card = json.loads((whole / "detector.json").read_text())
    assert card["n_parameters"] == network.count_params() <= 300_000
    assert (whole / "detector.onnx").stat().st_size < 1_500_000
    text = (whole / "DETECTOR_CARD.md").read_text()
    assert "| -0.05 (overlapping) | 2 | " in text and "digits train --detector" in text
    made = "32 pieces of made pages (24 in the first epoch, then 8 new ones an epoch), each seen"
    assert made in text
    dilated = sum(set(layer.get("dilation_rate", [1])) != {1} for layer in (
        layer.get_config() for layer in network.layers))  # fmt: skip
    assert f"{len(DILATIONS)} residual ones, {dilated} of them dilated" in text
    for counts in card["test_rows"].values():
        assert counts["n"] == counts["right"] + counts["unsure"] + counts["wrong"] == 2
    assert first.weights is not None
    odd = {"classes": [1.0, 0.0], "digit": [0.0] * len(card["weights"]["digit"])}
    (whole / "detector.json").write_text(json.dumps({**card, "weights": odd, "test_rows": {}}))
    for name in ("model.onnx", "card.json"):
        shutil.copyfile(CHAMPION / name, whole / name)
    detector_fit.weigh_detector(dataset, whole)
    assert json.loads((whole / "detector.json").read_text()) == card
    assert (whole / "DETECTOR_CARD.md").read_text() == text
    other = tmp_path / "other.partial"
    other.mkdir()
    (other / "config.json").write_text("{}")
    (other / detector_fit.CHECKPOINT).touch()
    with pytest.raises(InputError, match="other settings"):
        detector_fit.train_detector(dataset, tmp_path / "other", resume=True, **settings)


def test_a_network_that_learned_nothing_sees_hardly_any_digit():
    cells = computed(build_detector(0), np.zeros((1, 32, 32, 1), np.float32))
    assert cells.shape == (1, 8, 8, N_CHANNELS) and cells[..., HEAT].max() < -2
