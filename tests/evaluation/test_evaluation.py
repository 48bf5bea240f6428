"""Tables, metrics, calibration and corruptions."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.special import softmax

from digits import InputError, evaluation


@pytest.fixture(scope="module")
def images(embedded):
    return embedded.x_test[:12]


def made(true, predicted, confidence=0.9):
    """Return a table made by hand."""
    columns = {"index": range(len(true)), "true": true, "predicted": predicted}
    return pd.DataFrame({**columns, "confidence": confidence})


def test_a_table_carries_one_run():
    p = np.full((4, 11), 0.02)
    p[0, 3], p[1, 7], p[1, 2] = 0.82, 0.6, 0.34
    p[2, 10], p[2, 4] = 0.8, 0.11  # "not a digit" is never predicted
    p[3, 5] = 0.55
    table = evaluation.prediction_table(p, np.array([3, 2, 4, 5]), 0.6)
    assert list(table) == ["index", "true", "predicted", "confidence", "p_true", "accepted"]
    assert list(table.itertuples(index=False, name=None)) == [
        (0, 3, 3, 0.82, 0.82, True),
        (1, 2, 7, 0.6, 0.34, True),
        (2, 4, 4, 0.11, 0.11, False),
        (3, 5, 5, 0.55, 0.55, False),
    ]
    assert evaluation.summary(table) == {
        "n_scored": 4, "n_wrong": 1, "accuracy": 0.75, "coverage": 0.5, "n_accepted_wrong": 1,
        "expected_calibration_error": pytest.approx((0.18 + 0.6 + 0.89 + 0.45) / 4),
    }  # fmt: skip


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


def test_a_score_has_wilsons_interval():
    # 98 % of 100: Wilson's interval worked out by hand from its formula with z = 1.959964.
    score = evaluation.Score.of(100, 2)
    assert (score.n_scored, score.n_wrong, score.value) == (100, 2, 0.98)
    assert (score.low, score.high) == pytest.approx((0.929988, 0.994498), abs=1e-5)
    assert "2 of 100 wrong" in str(score)
    perfect = evaluation.Score.of(50, 0)
    assert 0.9 < perfect.low < perfect.value == 1.0 == pytest.approx(perfect.high)
    for counts in ((0, 0), (3, 4), (3, -1)):
        with pytest.raises(InputError):
            evaluation.Score.of(*counts)


def test_mistakes_come_surest_first():
    table = made([1] * 6, [1, 2, 3, 1, 4, 5], [0.9, 0.5, 0.7, 0.3, 0.7, 0.8])
    assert evaluation.errors(table)["index"].tolist() == [5, 2, 4, 1]
    assert evaluation.errors(table, 2)["index"].tolist() == [5, 2]


def test_compare_counts_what_tells_two_models_apart():
    first, second = made([0] * 12, [1] * 8 + [0] * 4), made([0] * 12, [1] + [0] * 11)
    assert evaluation.compare(first, second) == {
        "only_first_wrong": 7, "only_second_wrong": 0, "both_wrong": 1,
        "p_value": pytest.approx(2 / 2**7),
    }  # fmt: skip
    assert evaluation.compare(first, first)["p_value"] == 1.0
    with pytest.raises(InputError, match="same images"):
        evaluation.compare(made([0, 1], [0, 1]), made([0, 2], [0, 1]))


def test_calibration_error_by_hand():
    # Bins of width 1/15: 0.5 right, three of four right at 0.9, and the last one, which holds 1.0.
    table = made([1] * 7, [1, 1, 1, 2, 1, 1, 1], [0.9, 0.9, 0.9, 0.9, 0.5, 1.0, 0.99])
    expected = (4 * abs(0.75 - 0.9) + 1 * abs(1 - 0.5) + 2 * abs(1 - 0.995)) / 7
    assert evaluation.expected_calibration_error(table) == pytest.approx(expected)


def test_coverage_takes_equal_confidences_together():
    table = made([1, 1, 1, 1], [1, 2, 1, 2], [0.9, 0.6, 0.6, 0.3])
    curve = evaluation.risk_coverage_curve(table)
    assert curve["threshold"].tolist() == [0.9, 0.6, 0.3]
    assert curve["n_accepted"].tolist() == [1, 3, 4]
    assert curve["n_wrong"].tolist() == [0, 1, 2]
    assert curve["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert curve["error"].tolist() == [0, 1 / 3, 0.5]


def test_the_temperature_that_spoiled_the_logits_is_found():
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, 10))
    p = softmax(honest, axis=1)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    for truth in (0.5, 1.0, 2.5):
        assert evaluation.fit_temperature(honest * truth, labels) == pytest.approx(truth, rel=0.03)
    # What the class for other things has of every digit counts: the mean confidence is to be true.
    others = np.column_stack([honest, rng.normal(1, 1, len(honest))])
    p = softmax(others / evaluation.fit_temperature(others, labels), axis=1)[:, :10]
    assert p.max(axis=1).mean() == pytest.approx((p.argmax(axis=1) == labels).mean(), abs=1e-4)
    # No mistakes do not call for a temperature of zero; what no temperature reaches has the nearer end.
    logits = 8 * np.eye(10)[np.arange(100) % 10]
    assert 0.9 < evaluation.fit_temperature(logits, np.arange(100) % 10) < 1.2
    assert evaluation.fit_temperature(logits, np.arange(1, 101) % 10) == pytest.approx(20)
    assert evaluation.fit_temperature(0.001 * logits, np.arange(100) % 10) == pytest.approx(0.05)


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
    images = np.zeros((3, 28, 28), np.uint8)
    images[2, 6, 20] = 255
    found = evaluation.occlusion_map(one_pixel, images[2])
    assert found.shape == (10, 28, 28)
    assert np.unravel_index(found[3].argmax(), (28, 28)) == (6, 20)
    assert found[3].max() == pytest.approx(1.0), "every square over that pixel takes all of it"
    assert found[3, 20, 5] == 0 > found[8, 6, 20], "what speaks for the 3 speaks against the 8"
    assert images[2, 6, 20] == 255, "the image itself is left alone"


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
        changes = [
            np.abs(changed.astype(int) - images).mean(axis=(1, 2))
            for changed in (weak, once, strong)
        ]
        assert (changes[1] > 1).all(), name
        assert (np.diff(np.mean(changes, axis=1)) >= 0).all(), name


def test_corruptions_do_what_their_names_say(images):
    ink = images.sum(dtype=int)
    assert evaluation.corrupt(images, "thin stroke").sum(dtype=int) < 0.8 * ink
    assert evaluation.corrupt(images, "thick stroke").sum(dtype=int) > 1.2 * ink
    assert evaluation.corrupt(images, "bright background").min() >= int(0.4 * 255)
    assert evaluation.corrupt(images, "low contrast").max() <= 255 * 0.35 + 1
    assert len(np.unique(evaluation.corrupt(images[:1], "pixelation", 4))) < 20
    for pair in zip(images, evaluation.corrupt(images, "shift"), strict=True):
        assert np.hypot(*np.subtract(*map(ndimage.center_of_mass, pair))) == pytest.approx(
            3, abs=0.3
        )


def test_bad_corruptions_are_refused(images):
    for name, severity, words in (("earthquake", 1, "rotation"), ("blur", -1, "severity")):
        with pytest.raises(InputError, match=words):
            evaluation.corrupt(images, name, severity)
    assert evaluation.corrupt(images[:0], "jpeg").shape == (0, 28, 28)


def test_corruption_errors_counts_mistakes(images):
    def brightness(pictures):
        """Read a dark picture as 0 and a bright one as 1."""
        return np.eye(10)[(pictures.mean(axis=(1, 2)) > 100).astype(int)]

    names = ["bright background", "thin stroke"]
    found = evaluation.corruption_errors(brightness, images, np.zeros(12, int), names, (0, 1))
    assert found["corruption"].tolist() == np.repeat(names, 2).tolist()
    assert found["n_wrong"].tolist() == [0, 12, 0, 0]
    assert found["error"].tolist() == [0, 1, 0, 0]
    assert found["amount"].tolist() == pytest.approx([0, 0.4, 0, 0.5])
    assert (found["low"] <= found["error"]).all() and (found["error"] <= found["high"]).all()
