import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from digits import evaluation, plots


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def history():
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "loss": [0.9, 0.4, 0.2],
            "accuracy": [0.6, 0.9, 0.95],
            "val_loss": [0.5, 0.3, 0.35],
            "val_accuracy": [0.8, 0.92, 0.91],
        }
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 28, 28)).astype(np.uint8)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 10
    logits = rng.normal(0, 1, (60, 10)) + 3 * np.eye(10)[labels]
    return evaluation.prediction_table(evaluation.softmax(logits), labels, 0.6)


@pytest.fixture
def perfect():
    labels = np.arange(20) % 10
    return evaluation.prediction_table(0.9 * np.eye(10)[labels] + 0.01, labels, 0.5)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def line(ax, label):
    (found,) = [drawn for drawn in ax.lines if drawn.get_label() == label]
    return found


def test_style_leaves_the_settings_as_they_were():
    before = dict(matplotlib.rcParams)
    with plots.style():
        assert plt.rcParams["image.cmap"] == "gray_r"
    assert dict(matplotlib.rcParams) == before


def test_style_keeps_the_interactive_mode_that_a_first_figure_turns_on():
    plt.ioff()
    with plots.style():
        plt.ion()
    assert plt.isinteractive()
    plt.ioff()


def test_history_draws_both_sets_and_marks_the_epoch(history):
    figure = plots.plot_history(history, chosen=2)
    loss, accuracy = figure.axes
    assert list(line(loss, "training").get_ydata()) == [0.9, 0.4, 0.2]
    assert list(line(accuracy, "validation").get_ydata()) == [0.8, 0.92, 0.91]
    star = line(accuracy, "chosen: epoch 2")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([2], [0.92])
    assert "epoch 2, at 92.00%" in figure.get_suptitle()


def test_history_without_a_choice_speaks_of_the_last_epoch(history):
    assert plots.plot_history(history).get_suptitle().startswith("Epoch 3: ")


def test_live_history_works_outside_a_notebook_too(history):
    show = plots.live_history()
    for row in history.to_dict("records"):
        show(row)
    assert plt.get_fignums() == [], "each drawing is closed, or a notebook shows it again"


def test_learning_rate_marks_the_peak():
    ax = plots.plot_learning_rate(np.array([0.0, 2.0, 1.5, 1.0, 0.5]), epochs=4)
    assert list(ax.lines[1].get_xdata()) == [1.0]
    assert "rises to 2 in the first 25%" in ax.get_title()


def test_runs_are_drawn_as_errors(history):
    other = history.assign(val_accuracy=[0.7, 0.8, 0.9])
    ax = plots.plot_runs({"seed 0": history, "seed 1": other})
    assert line(ax, "seed 0").get_ydata() == pytest.approx([20, 8, 9])
    assert "by 2.00 points" in ax.get_title()
    assert "8.00 %" in plots.plot_runs({"seed 0": history}).get_title()


def test_confusion_writes_every_count(table):
    counts = evaluation.confusion(table)
    figure = plots.plot_confusion(counts)
    everything, mistakes = figure.axes
    assert [int(text) for text in texts(everything)] == counts.ravel().tolist()
    assert len(everything.texts) == len(mistakes.texts) == 100
    assert sum(int(text) for text in texts(mistakes)) == evaluation.accuracy(table).n_wrong
    assert everything.get_ylabel() == "true"
    assert everything.get_xlabel() == "predicted"


def test_confusion_names_the_commonest_mistake():
    counts = 5 * np.eye(10, dtype=int)
    assert "No digit" in plots.plot_confusion(counts).get_suptitle()
    counts[4, 9] = 3
    assert "3 times a 4 was taken for a 9" in plots.plot_confusion(counts).get_suptitle()


def test_per_class_draws_percent(table, perfect):
    classes = evaluation.per_class(table)
    ax = plots.plot_per_class(classes)
    assert line(ax, "recall").get_ydata() == pytest.approx(100 * classes["recall"])
    assert f"The {classes['f1'].idxmin()} is the hardest" in ax.get_title()
    assert "without a mistake" in plots.plot_per_class(evaluation.per_class(perfect)).get_title()


def test_predictions_show_the_image_of_each_row(images, table):
    rows = evaluation.errors(table, 5)
    assert len(rows) > 2
    figure = plots.plot_predictions(images, rows, "worst", n_columns=2)
    assert len(figure.axes) == 2 * -(-len(rows) // 2)
    for ax, row in zip(figure.axes, rows.itertuples(), strict=False):
        assert np.array_equal(ax.images[0].get_array(), images[row.index])
        assert f"#{row.index} ✗" in ax.get_title()
        assert f"true {row.true}" in ax.get_title()
        assert f"read {row.predicted}" in ax.get_title()


def test_figures_of_mistakes_survive_a_perfect_model(images, perfect):
    none = evaluation.errors(perfect)
    assert plots.plot_predictions(images, none, "nothing").get_suptitle() == "nothing"
    assert (
        "no mistake" in plots.plot_occlusion(images, np.zeros((0, 2, 28, 28)), none).get_suptitle()
    )
    plots.plot_coverage(evaluation.risk_coverage_curve(perfect), 0.5)
    ax = plots.plot_embedding(np.zeros((20, 2)), perfect)
    assert "0 mistakes" in ax.get_title()


def test_reliability_has_a_panel_for_each_calibration(table):
    bins = evaluation.calibration_curve(table)
    figure = plots.plot_reliability({"a": bins, "b": bins}, {"a": 0.05, "b": 0.02})
    assert [ax.get_title() for ax in figure.axes] == ["a: error 5.00%", "b: error 2.00%"]
    assert figure.get_suptitle().endswith("accuracy b")
    assert [int(text) for text in texts(figure.axes[0])] == bins["n"].tolist()


def test_coverage_marks_the_threshold(table):
    curve = evaluation.risk_coverage_curve(table)
    ax = plots.plot_coverage(curve, 0.6)
    accepted = table[table["accepted"]]
    (x,), (y,) = ax.lines[1].get_data()
    assert x == pytest.approx(100 * len(accepted) / len(table))
    assert y == pytest.approx(100 * evaluation.is_wrong(accepted).mean())
    assert "accepts nothing" in plots.plot_coverage(curve, 1.1).get_title()


def test_occlusion_draws_image_and_two_maps(images, table):
    rows = evaluation.errors(table, 2)
    maps = np.random.default_rng(2).normal(size=(2, 2, 28, 28))
    figure = plots.plot_occlusion(images, maps, rows)
    grid = np.array(figure.axes[:6]).reshape(3, 2)
    assert np.array_equal(grid[0, 1].images[0].get_array(), images[rows["index"].iloc[1]])
    assert np.array_equal(grid[2, 0].images[0].get_array(), maps[0, 1])
    assert grid[1, 0].get_title() == f"for {rows['predicted'].iloc[0]} (read)"


def test_corruptions_are_drawn_beside_their_names(images):
    figure = plots.plot_corruptions({"fog": images[:3], "blur": images[3:6], "jpeg": images[6:9]})
    named = sorted(text for ax in figure.axes for text in texts(ax))
    assert named == ["blur", "fog", "jpeg"]
    assert sum(len(ax.images) for ax in figure.axes) == 9


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


def test_corruption_errors_put_the_worst_on_top(errors):
    moderate = errors[errors["severity"] == 1]
    ax = plots.plot_corruption_errors(moderate, 0.01)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fog", "blur"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([20, 30])
    assert ax.get_title() == "Blur hurts most; the mean error is 25.0%"


def test_severity_has_a_panel_for_each_corruption(errors):
    figure = plots.plot_severity(errors)
    assert [ax.get_title() for ax in figure.axes] == ["blur", "fog"]
    assert figure.axes[0].get_xlabel() == "pixels"
    assert figure.axes[1].lines[0].get_xydata() == pytest.approx(np.array([[1.5, 10], [3, 20]]))
    assert "30% wrong at 1 times" in figure.get_suptitle()


def test_embedding_marks_the_mistakes(table):
    points = np.random.default_rng(3).normal(size=(60, 2))
    ax = plots.plot_embedding(points, table)
    (marked,) = [drawn for drawn in ax.collections if drawn.get_label() == "mistake"]
    assert np.array_equal(marked.get_offsets(), points[evaluation.is_wrong(table)])
    assert texts(ax) == [str(digit) for digit in range(10)]


def test_epoch_choice_counts_the_flattery():
    audit = pd.DataFrame({"epoch": [1, 2, 3], "n_wrong": [50, 20, 30]})
    ax = plots.plot_epoch_choice(audit, chosen=3, n_test=1000)
    assert "flatter by 1.00 points" in ax.get_title()
    assert line(ax, "best on test (cheat)").get_xydata() == pytest.approx(np.array([[2, 2.0]]))
