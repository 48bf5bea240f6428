"""The figures: what they hold, never how their pixels look. Drawn without a screen, and closed."""

import base64

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from digits import evaluation, plots
from digits.pictures import decode, find_digits, find_ink, to_mnist_form
from digits.recognizer import DigitReading, Reading

plt.switch_backend("Agg")
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28)).astype(np.uint8)
LABELS = np.arange(60) % 10


@pytest.fixture(autouse=True)
def _look():
    with plt.rc_context(plots.STYLE):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    logits = np.random.default_rng(1).normal(0, 1, (60, 10)) + 3 * np.eye(10)[LABELS]
    return evaluation.prediction_table(softmax(logits, axis=1), LABELS, 0.6)


def texts(place) -> list[str]:
    return [text.get_text() for text in place.texts]


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def drawn(panel):
    return panel.images[0].get_array()


def line(ax, label) -> np.ndarray:
    """Return the points of the one line that the legend gives that name."""
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found.get_xydata()


def test_rows_hold_the_images_and_are_named():
    rows = {"first": IMAGES[:3], "second": IMAGES[3:4] / 255.0, "third": IMAGES[:1]}
    figure = plots.plot_rows(rows, "Rows", 2)
    first, second = map(drawn, figure.axes[:2])
    assert first.shape == second.shape == (28, 3 * 30 - 2)
    assert np.array_equal(first[:, 30:58], IMAGES[1])
    assert np.allclose(second[:, :28], IMAGES[3] / 255.0)
    assert np.ma.getmaskarray(np.ma.masked_invalid(second))[:, 30:].all()
    assert [ax.images[0].get_clim() for ax in figure.axes[:2]] == [(0, 255), (0, 1)]
    assert [ax.get_ylabel() for ax in figure.axes] == [*rows, ""]
    assert figure.get_suptitle() == "Rows"


def test_seen_images_are_drawn_in_order():
    figure = plots.plot_seen(IMAGES[:3], ["first", "second", "third"], "three", n_columns=2)
    assert titles(figure) == ["first", "second", "third", ""]
    assert [ax.axison for ax in figure.axes] == [True] * 3 + [False]


def test_predictions_show_the_image_of_each_row():
    probabilities = np.random.default_rng(0).random((60, 10))
    rows = evaluation.errors(evaluation.prediction_table(probabilities, LABELS), 5)
    figure = plots.plot_predictions(IMAGES, rows, "worst")
    for ax, row in zip(figure.axes, rows.itertuples(), strict=False):
        assert np.array_equal(drawn(ax), IMAGES[row.index])
        for text in (f"#{row.index} ✗", f"true {row.true}", f"read {row.predicted}"):
            assert text in ax.get_title()
    assert plots.plot_predictions(IMAGES, rows.head(0), "nothing").get_suptitle() == "nothing"


def test_pairs_show_both_images_and_their_difference():
    figure = plots.plot_pairs(IMAGES[:2], IMAGES[2:4], ["a", "b"], "Pairs", names=("up", "down"))
    axes = np.reshape(figure.axes, (3, 2))
    assert np.array_equal(drawn(axes[1, 0]), IMAGES[2])
    assert np.array_equal(drawn(axes[2, 1]), IMAGES[1].astype(int) - IMAGES[3])
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["up", "down", "difference"]
    assert titles(figure)[:2] == ["a", "b"]


def test_a_map_draws_each_point_as_its_digit():
    points = np.random.default_rng(3).normal(size=(60, 2))
    ax = plots.plot_map(points, LABELS, "A map")
    assert np.array_equal(ax.collections[3].get_offsets(), points[LABELS == 3])
    shapes = {len(collection.get_paths()[0].vertices) for collection in ax.collections}
    assert len(shapes) > 1, "every digit has the same marker"
    assert texts(ax) == [str(digit) for digit in range(10)]


@pytest.fixture
def picture():
    page = np.full((60, 80), 255, np.uint8)
    page[10:50, 20:26] = 0
    page[10:50, 50:56] = 0
    return decode(page)


def test_stages_are_drawn_with_a_box_for_each_glyph(picture):
    ink = find_ink(picture)
    glyphs = find_digits(ink)
    figure = plots.plot_stages(picture, ink, glyphs, to_mnist_form(glyphs[0].ink))
    assert len(figure.axes) == 6
    assert len(figure.axes[3].patches) == len(glyphs) == 2
    assert "2 found" in figure.get_suptitle()


def test_unsure_digits_have_a_broken_frame(picture):
    def reading(accepted: bool) -> Reading:
        digit = DigitReading(1, 0.9, (20, 10, 6, 40), 0, accepted, False, IMAGES[0])
        return Reading("a.png", "1", ("1",), 0.9, "ok", "", (digit,))

    given = [picture, picture], [reading(True), reading(False)], ["a", "b"]
    figure = plots.plot_readings(*given, "two", 2)
    assert [ax.patches[0].get_linestyle() for ax in figure.axes] == ["-", "--"]
    assert figure.axes[0].patches[0].get_bbox().bounds == (20, 10, 6, 40)
    assert plots.plot_readings([], [], [], "0 pictures").get_suptitle() == "0 pictures"


def test_channels_are_laid_out_in_order():
    maps = np.arange(5 * 5 * 6, dtype=float).reshape(5, 5, 6)
    for signed in (False, True):
        sheet = np.asarray(drawn(plots.plot_maps(maps, "Maps", columns=4, signed=signed)))
        scale = 1 if signed else maps.max(axis=(0, 1))  # each map on its own
        assert np.array_equal(sheet[:5, 6:11], (maps / scale)[..., 1])
        assert np.array_equal(sheet[6:11, :5], (maps / scale)[..., 4])
    ax = plots.plot_maps(np.full((3, 3, 2), -0.5), "Kernels", signed=True)
    assert ax.images[0].get_clim() == (-0.5, 0.5)


def test_history_draws_both_sets_and_marks_the_epoch_alive_too():
    rows = [(1, 0.9, 0.6, 0.5, 0.8), (2, 0.4, 0.9, 0.3, 0.92), (3, 0.2, 0.95, 0.35, 0.91)]
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    history = pd.DataFrame(rows, columns=columns)
    figure = plots.plot_history(history)
    loss, error = figure.axes
    assert line(loss, "training")[:, 1].tolist() == [0.9, 0.4, 0.2]
    assert line(error, "validation")[:, 1] == pytest.approx([0.2, 0.08, 0.09])
    assert figure.get_suptitle() == "Epoch 3: validation accuracy 91.00%"
    plt.close("all")
    show = plots.live_history()
    for row in history.to_dict("records"):
        show(row)
    assert plt.get_fignums() == [], "each drawing is closed, or a notebook shows it again"


@pytest.mark.parametrize("step", [1, 0.5])
def test_a_slider_is_a_picture_too_and_a_move_draws_again(step, monkeypatch):
    drawn, made, shown = [], [], []

    def draw(n=3):
        drawn.append(n)
        plt.subplots()[1].set_title(f"It rises by {n}")

    box = ipywidgets.VBox
    monkeypatch.setattr("ipywidgets.VBox", lambda parts: made.extend(parts) or box(parts))
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    plots.slider(draw, 0, 5, step)
    [data], [control, image] = shown, made
    assert data["text/plain"] == "It rises by 3"
    assert base64.b64decode(data["image/png"]) == image.value != b""
    assert "application/vnd.jupyter.widget-view+json" in data
    assert (control.description, control.min, control.max, control.step) == ("n", 0, 5, step)
    before, control.value = image.value, 5
    assert drawn == [3, 5] and image.value != before
    assert plt.get_fignums() == []
