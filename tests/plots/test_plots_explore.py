"""The figures of notebooks 01 and 02: what they hold, never how their pixels look."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from digits import plots
from digits.evaluation import exploration

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plots.plt.close("all")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)


@pytest.fixture
def labels():
    return np.arange(20) % 10


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_counts_are_labelled_and_the_title_states_the_imbalance():
    ax = plots.plot_counts(np.repeat(np.arange(10), [10, 25, *[20] * 8]))
    assert [bar.get_height() for bar in ax.patches] == [10, 25, *[20] * 8]
    assert texts(ax) == ["10", "25", *["20"] * 8]
    assert ax.get_title() == "There are 2.50 times as many 1s as 0s"


def test_counts_with_a_digit_that_never_occurs():
    ax = plots.plot_counts(np.array([3, 3, 3]))
    assert ax.get_title() == "There is no 0"


def test_rows_hold_the_images_and_are_named(images):
    ax = plots.plot_rows({"first": images[:3], "second": images[3:4] / 255.0}, "Two rows")
    sheet = ax.images[0].get_array()
    assert sheet.shape == (2 * 30 - 2, 3 * 30 - 2)
    assert np.allclose(sheet[:28, 30:58], images[1] / 255.0)
    assert np.allclose(sheet[30:58, :28], images[3] / 255.0)
    assert np.ma.getmaskarray(np.ma.masked_invalid(sheet))[30:58, 30:].all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]


def test_means_share_fixed_limits(images, labels):
    figure = plots.plot_means(*exploration.mean_digits(images, labels))
    limits = [ax.images[0].get_clim() for ax in figure.axes if ax.images]
    assert limits == [(0, 1), (0, 0.5)]


def test_quantities_name_the_extremes():
    table = pd.DataFrame({"digit": np.repeat(range(10), 5), "ink": np.repeat(np.arange(10.0), 5)})
    figure = plots.plot_quantities(table, {"ink": "share"})
    assert figure.axes[0].get_xlabel() == "share"
    assert figure._suptitle.get_text() == "ink: least in 0, most in 9"


def test_closeness_shows_every_pair_once(images, labels):
    pairs = exploration.look_alikes(images, labels)
    ax = plots.plot_closeness(pairs)
    assert sorted(texts(ax)) == sorted(f"{distance:.1f}" for distance in pairs["distance"])
    row = pairs.iloc[20]
    shown = ax.images[0].get_array()[int(row["digit_b"]) - 1, int(row["digit_a"])]
    assert shown == pytest.approx(row["distance"])
    first = pairs.iloc[0]
    assert ax.get_title().endswith(f"{first['digit_a']:.0f} and {first['digit_b']:.0f}")


def test_pairs_show_both_images_and_their_difference(images):
    figure = plots.plot_pairs(images[:2], images[2:4], ["a", "b"], "Pairs", names=("up", "down"))
    axes = np.reshape(figure.axes, (3, 2))
    assert np.array_equal(axes[1, 0].images[0].get_array(), images[2])
    expected = images[1].astype(int) - images[3]
    assert np.array_equal(axes[2, 1].images[0].get_array(), expected)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["up", "down", "difference"]
    assert [ax.get_title() for ax in axes[0]] == ["a", "b"]


def test_map_draws_each_point_as_its_digit(labels):
    points = np.random.default_rng(0).normal(size=(20, 2))
    ax = plots.plot_map(points, labels, "A map")
    assert len(ax.collections) == 10
    assert np.array_equal(ax.collections[3].get_offsets(), points[labels == 3])
    shapes = {len(collection.get_paths()[0].vertices) for collection in ax.collections}
    assert len(shapes) > 1, "every digit has the same marker"
    assert sorted(texts(ax)) == [str(digit) for digit in range(10)]


def test_nearest_draws_one_line_a_set():
    ax = plots.plot_nearest({"test": np.arange(1, 5.0), "held out": np.arange(2, 9.0)}, "Near")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["test", "held out"]
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    assert ax.lines[0].get_xdata().max() == 4


@pytest.mark.parametrize("plot", [plots.plot_maps, plots.plot_kernels])
def test_channels_are_laid_out_in_order(plot):
    maps = np.arange(5 * 5 * 6, dtype=float).reshape(5, 5, 6)
    sheet = np.asarray(plot(maps, "Maps", columns=4).images[0].get_array())
    assert np.array_equal(sheet[:5, 6:11], maps[..., 1])
    assert np.array_equal(sheet[6:11, :5], maps[..., 4])


def test_kernels_are_drawn_around_zero():
    low, high = plots.plot_kernels(np.full((3, 3, 2), -0.5), "Kernels").images[0].get_clim()
    assert (low, high) == (-0.5, 0.5)


def test_patch_states_the_sum():
    patch, kernel = np.full((3, 3), 0.5), np.arange(9.0).reshape(3, 3)
    figure = plots.plot_patch(patch, kernel)
    assert figure._suptitle.get_text() == "The 9 products add up to 18.000"
    assert texts(figure.axes[2])[8] == "4.00"


def test_lines_are_told_apart_without_colour():
    table = pd.DataFrame({"one": [0.1, 0.2], "two": [0.3, 0.4]}, index=[1, 2])
    ax = plots.plot_lines(table, "epoch", "share", "Lines")
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.1, 0.2], [0.3, 0.4]]
    assert len({line.get_marker() for line in ax.lines}) == 2
