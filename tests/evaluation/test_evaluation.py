import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from digits import InputError, evaluation


@pytest.fixture(scope="module")
def random_run():
    """Return probabilities (500, 10) that favour the label in most rows, and the labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    logits = rng.normal(0, 1.5, (500, 10))
    logits[np.arange(500), labels] += 3
    return evaluation.softmax(logits), labels


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


def test_softmax_survives_large_logits_and_is_flattened_by_temperature():
    p = evaluation.softmax(np.array([[1000.0, 999.0], [-1000.0, -1000.0]]))
    assert p == pytest.approx(np.array([[0.7310586, 0.2689414], [0.5, 0.5]]))
    assert evaluation.softmax(np.array([[2.0, 0.0]]), 2.0) == pytest.approx(
        evaluation.softmax(np.array([[1.0, 0.0]]))
    )


def test_a_table_carries_one_run():
    p = np.full((2, 10), 0.02)
    p[0, 3], p[1, 7], p[1, 2] = 0.82, 0.5, 0.34
    table = evaluation.prediction_table(p, np.array([3, 2]), 0.6)
    assert list(table.columns) == [
        "index", "true", "predicted", "confidence", "p_true", "accepted",
    ]  # fmt: skip
    assert table["predicted"].tolist() == [3, 7]
    assert table["confidence"].tolist() == [0.82, 0.5]
    assert table["p_true"].tolist() == [0.82, 0.34]
    assert table["accepted"].tolist() == [True, False]


def test_not_a_digit_is_never_predicted():
    p = np.full((1, 11), 0.01)
    p[0, 10], p[0, 4] = 0.8, 0.11
    row = evaluation.prediction_table(p, np.array([4]), 0.5).iloc[0]
    assert row["predicted"] == 4
    assert row["confidence"] == pytest.approx(0.11)
    assert not row["accepted"]


@pytest.mark.parametrize(
    ("shape", "labels", "words"),
    [
        ((3, 9), [0, 1, 2], "expected"),
        ((30,), [0] * 30, "expected"),
        ((3, 10), [0, 1], "one label a row"),
        ((3, 10), [[0, 1, 2]], "one label a row"),
        ((3, 10), [0, 1, 10], "expected 0 to 9"),
        ((3, 10), [0, -1, 2], "expected 0 to 9"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(shape, labels, words):
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


def test_no_mistakes_leave_an_interval():
    score = evaluation.Score.of(50, 0)
    assert score.value == 1.0
    assert 0.9 < score.low < 1.0
    assert score.high == pytest.approx(1.0)


@pytest.mark.parametrize(("n_scored", "n_wrong"), [(0, 0), (3, 4), (3, -1)])
def test_impossible_counts_are_refused(n_scored, n_wrong):
    with pytest.raises(InputError):
        evaluation.Score.of(n_scored, n_wrong)


def test_confusion_and_classes_agree_with_scikit_learn(table):
    expected = metrics.confusion_matrix(table["true"], table["predicted"], labels=range(10))
    assert np.array_equal(evaluation.confusion(table), expected)
    assert expected.trace() + evaluation.accuracy(table).n_wrong == len(table)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        table["true"], table["predicted"], labels=range(10)
    )
    classes = evaluation.per_class(table)
    assert classes["precision"].to_numpy() == pytest.approx(precision)
    assert classes["recall"].to_numpy() == pytest.approx(recall)
    assert classes["f1"].to_numpy() == pytest.approx(f1)
    assert classes["n_true"].tolist() == support.tolist()


def test_a_digit_that_never_occurs_scores_zero_not_nan():
    classes = evaluation.per_class(made([0, 1], [0, 1]))
    assert classes.loc[9, ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert classes.loc[0, ["precision", "recall", "f1"]].tolist() == [1, 1, 1]


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


def test_compare_refuses_other_images():
    with pytest.raises(InputError, match="same images"):
        evaluation.compare(made([0, 1], [0, 1]), made([0, 2], [0, 1]))


def test_summary_repeats_the_single_figures(table):
    found = evaluation.summary(table)
    score = evaluation.accuracy(table)
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


def test_certainty_falls_into_the_last_bin():
    bins = evaluation.calibration_curve(made([1, 1], [1, 1], [1.0, 0.99]))
    assert bins["n"].tolist() == [2]
    assert bins["high"].tolist() == [1.0]


def test_coverage_takes_equal_confidences_together():
    table = made([1, 1, 1, 1], [1, 2, 1, 2], [0.9, 0.6, 0.6, 0.3])
    curve = evaluation.risk_coverage_curve(table)
    assert curve["threshold"].tolist() == [0.9, 0.6, 0.3]
    assert curve["n_accepted"].tolist() == [1, 3, 4]
    assert curve["n_wrong"].tolist() == [0, 1, 2]
    assert curve["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert curve["error"].iloc[-1] == 0.5


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_the_logits_is_found(truth):
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 10))
    p = evaluation.softmax(honest)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert evaluation.fit_temperature(honest * truth, labels) == pytest.approx(truth, rel=0.03)


def test_temperature_mends_calibration(random_run):
    probabilities, labels = random_run
    boasting = 4 * np.log(probabilities)
    temperature = evaluation.fit_temperature(boasting, labels)
    before, after = (
        evaluation.expected_calibration_error(
            evaluation.prediction_table(evaluation.softmax(boasting, t), labels)
        )
        for t in (1.0, temperature)
    )
    assert temperature > 1.5
    assert after < before


def test_no_mistakes_do_not_call_for_temperature_zero():
    logits = 8 * np.eye(10)[np.arange(100) % 10]
    assert 0.2 < evaluation.fit_temperature(logits, np.arange(100) % 10) < 1.0


def test_threshold_without_others_accepts_what_was_asked():
    confidence = np.linspace(0.01, 1, 100)
    threshold = evaluation.choose_threshold(confidence, accept=0.9)
    assert (confidence >= threshold).sum() == 90
    assert threshold == pytest.approx(0.11)


def test_auroc_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    known, other = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    expected = metrics.roc_auc_score([1] * 300 + [0] * 200, np.concatenate([known, other]))
    assert evaluation.auroc(known, other) == pytest.approx(expected)


def test_occlusion_finds_the_pixel_that_decides():
    image = np.zeros((28, 28), np.uint8)
    image[6, 20] = 255

    def probabilities(images):
        p = np.zeros((len(images), 10))
        p[:, 3] = images[:, 6, 20] / 255
        return p

    found = evaluation.occlusion_map(probabilities, image, 3, side=5)
    assert found.shape == (28, 28)
    assert np.unravel_index(found.argmax(), found.shape) == (6, 20)
    assert found.max() == pytest.approx(1.0), "every square over that pixel takes all of it"
    assert found[20, 5] == 0
    assert image[6, 20] == 255, "the image itself is left alone"


def test_occlusion_maps_are_of_the_digit_read_and_of_the_true_one():
    images = np.zeros((3, 28, 28), np.uint8)
    images[2, 6, 20] = 255

    def probabilities(images):
        p = np.zeros((len(images), 10))
        p[:, 3] = images[:, 6, 20] / 255
        p[:, 8] = 1 - p[:, 3]
        return p

    table = evaluation.prediction_table(probabilities(images), np.array([8, 8, 8]))
    maps = evaluation.occlusion_maps(probabilities, images, evaluation.errors(table))
    assert maps.shape == (1, 2, 28, 28)
    assert maps[0, 0, 6, 20] > 0 > maps[0, 1, 6, 20], "what speaks for the 3 speaks against the 8"


# --- Disputed labels and corruptions ---------------------------------------------------------------


def test_fifteen_disputed_labels():
    disputed = evaluation.DISPUTED_TEST_LABELS
    assert len(set(disputed)) == 15
    assert all(0 <= index < 10_000 for index in disputed)


def test_there_are_corruptions_enough():
    assert len(evaluation.CORRUPTIONS) >= 12


@pytest.mark.parametrize("name", evaluation.CORRUPTIONS)
def test_a_corruption_changes_images_reproducibly(name, images):
    before = images.copy()
    once = evaluation.corrupt(images, name, 1.0, seed=3)
    assert once.dtype == np.uint8
    assert once.shape == images.shape
    assert np.array_equal(images, before), "the input is left alone"
    assert np.array_equal(once, evaluation.corrupt(images, name, 1.0, seed=3))
    assert np.array_equal(images, evaluation.corrupt(images, name, 0.0))
    change = np.abs(once.astype(int) - images).mean(axis=(1, 2))
    assert (change > 1).all(), "every image is changed visibly"


@pytest.mark.parametrize("name", evaluation.CORRUPTIONS)
def test_more_severity_is_more_change(name, images):
    changes = [
        np.abs(evaluation.corrupt(images, name, severity).astype(int) - images).mean()
        for severity in (0.5, 1.0, 2.0)
    ]
    assert changes == sorted(changes)


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
