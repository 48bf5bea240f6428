"""The figures of a model's quality: what they hold, never how their pixels look."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from digits import evaluation, plots


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 10
    logits = rng.normal(0, 1, (60, 10)) + 3 * np.eye(10)[labels]
    return evaluation.prediction_table(softmax(logits, axis=1), labels, 0.6)


@pytest.fixture
def perfect():
    labels = np.arange(20) % 10
    return evaluation.prediction_table(0.9 * np.eye(10)[labels] + 0.01, labels, 0.5)


def test_there_may_be_no_mistake_to_explain(images, perfect):
    figure = plots.plot_occlusion(images, np.zeros((0, 2, 28, 28)), evaluation.errors(perfect))
    assert "no mistake" in figure.get_suptitle()


def test_reliability_has_a_panel_for_each_calibration(table, texts):
    bins = evaluation.calibration_curve(table)
    figure = plots.plot_reliability({"a": bins, "b": bins}, {"a": 0.05, "b": 0.02})
    assert [ax.get_title() for ax in figure.axes] == ["a: error 5.00%", "b: error 2.00%"]
    assert figure.get_suptitle().endswith("accuracy b")
    assert [int(text) for text in texts(figure.axes[0])] == bins["n"].tolist()


def test_occlusion_draws_image_and_two_maps(images, table):
    rows = evaluation.errors(table, 2)
    maps = np.random.default_rng(2).normal(size=(2, 2, 28, 28))
    figure = plots.plot_occlusion(images, maps, rows)
    grid = np.array(figure.axes[:6]).reshape(3, 2)
    assert np.array_equal(grid[0, 1].images[0].get_array(), images[rows["index"].iloc[1]])
    assert np.array_equal(grid[2, 0].images[0].get_array(), maps[0, 1])
    assert grid[1, 0].get_title() == f"for {rows['predicted'].iloc[0]} (read)"


@pytest.fixture
def errors():
    rows = [("blur", 0.5, 0.02), ("blur", 1.0, 0.3), ("fog", 0.5, 0.1), ("fog", 1.0, 0.2)]
    found = pd.DataFrame(rows, columns=["corruption", "severity", "error"])
    return found.assign(
        amount=found["severity"] * 3,
        unit="pixels, any",
        low=found["error"] / 2,
        high=found["error"] * 2,
    )


def test_severity_has_a_panel_for_each_corruption(errors):
    figure = plots.plot_severity(errors)
    assert [ax.get_title() for ax in figure.axes] == ["blur", "fog"]
    assert figure.axes[0].get_xlabel() == "pixels"
    assert figure.axes[1].lines[0].get_xydata() == pytest.approx(np.array([[1.5, 10], [3, 20]]))
    assert "30% wrong at 1 times" in figure.get_suptitle()


def test_epoch_choice_counts_the_flattery(line):
    audit = pd.DataFrame({"epoch": [1, 2, 3], "n_wrong": [50, 20, 30]})
    ax = plots.plot_epoch_choice(audit, chosen=3, n_test=1000)
    assert "flatter by 1.00 points" in ax.get_title()
    assert line(ax, "best on test (cheat)").get_xydata() == pytest.approx(np.array([[2, 2.0]]))
