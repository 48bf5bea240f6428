"""Tables, metrics, calibration and corruptions."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from digits import InputError, evaluation


@pytest.fixture(scope="module")
def random_run():
    """Return probabilities (500, 10) that favour the label in most rows, and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    logits = rng.normal(0, 1.5, (500, 10))
    logits[np.arange(500), labels] += 3
    return softmax(logits, axis=1), labels


@pytest.fixture(scope="module")
def table(random_run):
    return evaluation.prediction_table(*random_run, threshold=0.6)


@pytest.fixture(scope="module")
def images(embedded):
    return embedded.x_test[:12]


def made(true, predicted, confidence=None):
    """Return a table made by hand."""
    confidence = np.full(len(true), 0.9) if confidence is None else np.asarray(confidence)
    return pd.DataFrame(
        {
            "index": range(len(true)), "true": true, "predicted": predicted,
            "confidence": confidence, "p_true": 0.0, "accepted": confidence >= 0.5,
        }
    )  # fmt: skip


# --- Predictions -----------------------------------------------------------------------------------


def test_a_table_carries_one_run():
    p = np.full((2, 10), 0.02)
    p[0, 3], p[1, 7], p[1, 2] = 0.82, 0.5, 0.34
    table = evaluation.prediction_table(p, np.array([3, 2]), 0.6)
    assert list(table) == ["index", "true", "predicted", "confidence", "p_true", "accepted"]
    assert list(table.itertuples(index=False, name=None)) == [
        (0, 3, 3, 0.82, 0.82, True),
        (1, 2, 7, 0.5, 0.34, False),
    ]


def test_not_a_digit_is_never_predicted():
    p = np.full((1, 11), 0.01)
    p[0, 10], p[0, 4] = 0.8, 0.11
    row = evaluation.prediction_table(p, np.array([4]), 0.5).iloc[0]
    assert (row["predicted"], row["confidence"], row["accepted"]) == (4, 0.11, False)


def test_arrays_that_do_not_belong_together_are_refused():
    for shape, labels, words in (
        ((3, 9), [0, 1, 2], "expected"),
        ((30,), [0] * 30, "expected"),
        ((3, 10), [0, 1], "one label a row"),
        ((3, 10), [[0, 1, 2]], "one label a row"),
        ((3, 10), [0, 1, 10], "expected 0 to 9"),
        ((3, 10), [0, -1, 2], "expected 0 to 9"),
    ):
        with pytest.raises(InputError, match=words):
            evaluation.prediction_table(np.zeros(shape), np.array(labels))


# --- Accuracy --------------------------------------------------------------------------------------


def test_a_score_has_wilsons_interval():
    # 98 % of 100: Wilson's interval worked out by hand from its formula with z = 1.959964.
    score = evaluation.Score.of(100, 2)
    assert (score.n_scored, score.n_wrong, score.value) == (100, 2, 0.98)
    assert score.low == pytest.approx(0.929988, abs=1e-5)
    assert score.high == pytest.approx(0.994498, abs=1e-5)
    assert "2 of 100 wrong" in str(score)
    perfect = evaluation.Score.of(50, 0)
    assert 0.9 < perfect.low < perfect.value == 1.0
    assert perfect.high == pytest.approx(1.0)
    for counts in ((0, 0), (3, 4), (3, -1)):
        with pytest.raises(InputError):
            evaluation.Score.of(*counts)


def test_mistakes_come_surest_first(table):
    worst = evaluation.errors(table, 5)
    assert len(worst) == 5
    assert worst["confidence"].is_monotonic_decreasing
    assert (worst["true"] != worst["predicted"]).all()
    everything = evaluation.errors(table)
    assert len(everything) == evaluation.accuracy(table).n_wrong
    assert everything["confidence"].max() == worst["confidence"].iloc[0]


def test_compare_counts_what_tells_two_models_apart():
    true = [0] * 12
    first = made(true, [1] * 8 + [0] * 4)
    second = made(true, [1] + [0] * 11)
    found = evaluation.compare(first, second)
    assert (found["only_first_wrong"], found["only_second_wrong"], found["both_wrong"]) == (7, 0, 1)
    assert found["p_value"] == pytest.approx(2 / 2**7)
    assert evaluation.compare(first, first)["p_value"] == 1.0
    with pytest.raises(InputError, match="same images"):
        evaluation.compare(made([0, 1], [0, 1]), made([0, 2], [0, 1]))


def test_summary_repeats_the_single_figures(table):
    found, score = evaluation.summary(table), evaluation.accuracy(table)
    assert (found["n_scored"], found["n_wrong"]) == (score.n_scored, score.n_wrong)
    assert found["coverage"] == (table["confidence"] >= 0.6).mean()
    assert found["n_accepted_wrong"] < found["n_wrong"]


# --- Confidence ------------------------------------------------------------------------------------


def test_calibration_error_by_hand():
    # Bins of width 1/15: 0.9 with three of four right, and 0.5 with one of one right.
    table = made([1, 1, 1, 1, 1], [1, 1, 1, 2, 1], [0.9, 0.9, 0.9, 0.9, 0.5])
    bins = evaluation.calibration_curve(table)
    assert bins["n"].tolist() == [1, 4]
    assert bins["accuracy"].tolist() == [1.0, 0.75]
    assert bins["low"].tolist() == pytest.approx([7 / 15, 13 / 15])
    expected = (4 * abs(0.75 - 0.9) + 1 * abs(1 - 0.5)) / 5
    assert evaluation.expected_calibration_error(table) == pytest.approx(expected)
    certain = evaluation.calibration_curve(made([1, 1], [1, 1], [1.0, 0.99]))
    assert certain[["n", "high"]].to_numpy().tolist() == [[2, 1.0]]


def test_coverage_takes_equal_confidences_together():
    table = made([1, 1, 1, 1], [1, 2, 1, 2], [0.9, 0.6, 0.6, 0.3])
    curve = evaluation.risk_coverage_curve(table)
    assert curve["threshold"].tolist() == [0.9, 0.6, 0.3]
    assert curve["n_accepted"].tolist() == [1, 3, 4]
    assert curve["n_wrong"].tolist() == [0, 1, 2]
    assert curve["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert curve["error"].iloc[-1] == 0.5


def test_the_temperature_that_spoiled_the_logits_is_found():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 10))
    p = softmax(honest, axis=1)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    for truth in (0.5, 1.0, 2.5):
        assert evaluation.fit_temperature(honest * truth, labels) == pytest.approx(truth, rel=0.03)
    # No mistakes do not call for a temperature of zero.
    logits = 8 * np.eye(10)[np.arange(100) % 10]
    assert 0.2 < evaluation.fit_temperature(logits, np.arange(100) % 10) < 1.0


def test_threshold_without_others_accepts_what_was_asked():
    confidence = np.linspace(0.01, 1, 100)
    threshold = evaluation.choose_threshold(confidence, accept=0.9)
    assert (confidence >= threshold).sum() == 90
    assert threshold == pytest.approx(0.11)


def one_pixel(images):
    """Read an image as 3 if the pixel (6, 20) is inked, else as 8."""
    p = np.zeros((len(images), 10))
    p[:, 3] = images[:, 6, 20] / 255
    p[:, 8] = 1 - p[:, 3]
    return p


def test_occlusion_finds_the_pixel_that_decides():
    image = np.zeros((28, 28), np.uint8)
    image[6, 20] = 255
    found = evaluation.occlusion_map(one_pixel, image)
    assert found.shape == (10, 28, 28)
    assert np.unravel_index(found[3].argmax(), (28, 28)) == (6, 20)
    assert found[3].max() == pytest.approx(1.0), "every square over that pixel takes all of it"
    assert found[3, 20, 5] == 0
    assert image[6, 20] == 255, "the image itself is left alone"


def test_occlusion_maps_are_of_the_digit_read_and_of_the_true_one():
    images = np.zeros((3, 28, 28), np.uint8)
    images[2, 6, 20] = 255
    table = evaluation.prediction_table(one_pixel(images), np.array([8, 8, 8]))
    maps = evaluation.occlusion_maps(one_pixel, images, evaluation.errors(table))
    assert maps.shape == (1, 2, 28, 28)
    assert maps[0, 0, 6, 20] > 0 > maps[0, 1, 6, 20], "what speaks for the 3 speaks against the 8"


# --- Corruptions -----------------------------------------------------------------------------------


def change(images, changed):
    return np.abs(changed.astype(int) - images).mean(axis=(1, 2))


def test_corruptions_change_every_image_visibly_reproducibly_and_by_their_severity(images):
    before = images.copy()
    for name in evaluation.CORRUPTIONS:
        none, weak, once, again, strong = (
            evaluation.corrupt(images, name, severity, seed=3) for severity in (0, 0.5, 1, 1, 2)
        )
        assert (once.dtype, once.shape) == (np.uint8, images.shape), name
        assert np.array_equal(images, before), f"{name} changes its input"
        assert np.array_equal(once, again), name
        assert np.array_equal(none, images), name
        assert (change(images, once) > 1).all(), name
        changes = [change(images, changed).mean() for changed in (weak, once, strong)]
        assert changes == sorted(changes), name


def test_corruptions_do_what_their_names_say(images):
    ink = images.sum(dtype=int)
    assert evaluation.corrupt(images, "thin stroke").sum(dtype=int) < 0.8 * ink
    assert evaluation.corrupt(images, "thick stroke").sum(dtype=int) > 1.2 * ink
    assert evaluation.corrupt(images, "bright background").min() >= int(0.4 * 255)
    assert evaluation.corrupt(images, "low contrast").max() <= 255 * 0.35 + 1
    assert len(np.unique(evaluation.corrupt(images[:1], "pixelation", 4))) < 20
    shifted = evaluation.corrupt(images, "shift")
    for image, moved in zip(images, shifted, strict=True):
        assert np.hypot(*(centre(moved) - centre(image))) == pytest.approx(3, abs=0.3)


def centre(image):
    weights = image / image.sum()
    return np.array([(weights.sum(axis=1 - axis) * np.arange(28)).sum() for axis in (0, 1)])


def test_bad_corruptions_are_refused(images):
    with pytest.raises(InputError, match="rotation"):
        evaluation.corrupt(images, "earthquake")
    with pytest.raises(InputError, match="severity"):
        evaluation.corrupt(images, "blur", -1)
    assert evaluation.corrupt(images[:0], "jpeg").shape == (0, 28, 28)


def test_corruption_errors_counts_mistakes(images):
    labels = np.zeros(len(images), int)

    def brightness(pictures):
        """Read a dark picture as 0 and a bright one as 1."""
        bright = pictures.mean(axis=(1, 2)) > 100
        return np.eye(10)[bright.astype(int)]

    found = evaluation.corruption_errors(
        brightness, images, labels, ["bright background", "thin stroke"], (0, 1)
    )
    assert found["corruption"].tolist() == ["bright background"] * 2 + ["thin stroke"] * 2
    assert found["n_wrong"].tolist() == [0, len(images), 0, 0]
    assert found["error"].tolist() == [0, 1, 0, 0]
    assert found["amount"].tolist() == pytest.approx([0, 0.4, 0, 0.5])
    assert (found["low"] <= found["error"]).all()
    assert (found["error"] <= found["high"]).all()
