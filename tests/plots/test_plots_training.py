"""The figures of the network and its training: what they hold, never how their pixels look."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from digits import plots


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


def test_style_leaves_the_settings_as_they_were_but_the_interactive_mode():
    before = dict(plt.rcParams)
    with plots.style():
        assert plt.rcParams["image.cmap"] == "gray_r"
    assert dict(plt.rcParams) == before
    plt.ioff()
    with plots.style():
        plt.ion()  # as a notebook's first figure does
    assert plt.isinteractive()
    plt.ioff()


def test_channels_are_laid_out_in_order():
    maps = np.arange(5 * 5 * 6, dtype=float).reshape(5, 5, 6)
    for weights in (False, True):
        ax = plots.plot_maps(maps, "Maps", columns=4, weights=weights)
        sheet = np.asarray(ax.images[0].get_array())
        assert np.array_equal(sheet[:5, 6:11], maps[..., 1])
        assert np.array_equal(sheet[6:11, :5], maps[..., 4])
    ax = plots.plot_maps(np.full((3, 3, 2), -0.5), "Kernels", weights=True)
    assert ax.images[0].get_clim() == (-0.5, 0.5)


def test_patch_states_the_sum(texts):
    patch, kernel = np.full((3, 3), 0.5), np.arange(9.0).reshape(3, 3)
    figure = plots.plot_patch(patch, kernel)
    assert figure.get_suptitle() == "The 9 products add up to 18.000"
    assert texts(figure.axes[2])[8] == "4.00"


def test_history_draws_both_sets_and_marks_the_epoch(history, line):
    figure = plots.plot_history(history, chosen=2)
    loss, accuracy = figure.axes
    assert list(line(loss, "training").get_ydata()) == [0.9, 0.4, 0.2]
    assert list(line(accuracy, "validation").get_ydata()) == [0.8, 0.92, 0.91]
    star = line(accuracy, "chosen: epoch 2")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([2], [0.92])
    assert "epoch 2, at 92.00%" in figure.get_suptitle()
    assert plots.plot_history(history).get_suptitle() == "Epoch 3: validation accuracy 91.00%"


def test_live_history_works_outside_a_notebook_too(history):
    show = plots.live_history()
    for row in history.to_dict("records"):
        show(row)
    assert plt.get_fignums() == [], "each drawing is closed, or a notebook shows it again"


def test_learning_curve_draws_every_network_and_their_mean():
    curve = pd.DataFrame(
        [(5, True, 0.2, 0.01), (5, True, 0.4, 0.03), (9, True, 0.1, 0.02), (5, False, 0.5, 0.1)],
        columns=["n", "replay", "hand_error", "test_error"],
    )
    figure = plots.plot_learning_curve(curve, "Curve")
    drawn = [list(line.get_ydata()) for line in figure.axes[0].lines]
    assert drawn[:2] == [pytest.approx([20, 40, 10]), pytest.approx([30, 10])]
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["5", "9"]


def test_gains_state_both_errors(texts, line):
    gains = pd.DataFrame({"before": [0.2, 0.1], "after": [0.05, 0.1]}, index=["digits", "pages"])
    ax = plots.plot_gains(gains, "Gains")
    assert texts(ax) == ["20.0 to 5.0", "10.0 to 10.0"]
    assert list(line(ax, "after").get_xdata()) == pytest.approx([5, 10])
    assert ax.get_xlim()[1] > 20, "the text beside the larger error has room"
