"""The figures of images of digits: what they hold, never how their pixels look."""

import numpy as np
import pytest

from digits import evaluation, plots


@pytest.fixture
def labels():
    return np.arange(60) % 10


def names(figure):
    return [ax.get_ylabel() for ax in figure.axes]


def test_counts_are_labelled_and_the_title_states_the_imbalance(texts):
    ax = plots.plot_counts(np.repeat(np.arange(10), [10, 25, *[20] * 8]))
    assert [bar.get_height() for bar in ax.patches] == [10, 25, *[20] * 8]
    assert texts(ax) == ["10", "25", *["20"] * 8]
    assert ax.get_title() == "There are 2.50 times as many 1s as 0s"
    assert plots.plot_counts(np.array([3, 3, 3])).get_title() == "There is no 0"


def test_rows_hold_the_images_and_are_named(images):
    figure = plots.plot_rows({"first": images[:3], "second": images[3:4] / 255.0}, "Two rows")
    first, second = (ax.images[0].get_array() for ax in figure.axes)
    assert first.shape == second.shape == (28, 3 * 30 - 2)
    assert np.array_equal(first[:, 30:58], images[1])
    assert np.allclose(second[:, :28], images[3] / 255.0)
    assert np.ma.getmaskarray(np.ma.masked_invalid(second))[:, 30:].all()
    assert [ax.images[0].get_clim() for ax in figure.axes] == [(0, 255), (0, 1)]
    assert names(figure) == ["first", "second"]
    assert figure.get_suptitle() == "Two rows"
    assert names(plots.plot_rows({"a": images, "b": images, "c": images}, "", 2))[:3] == list("abc")


def test_means_share_fixed_limits(images):
    figure = plots.plot_means(images[:10] / 255, images[10:20] / 510)
    limits = [ax.images[0].get_clim() for ax in figure.axes if ax.images]
    assert limits == [(0, 1), (0, 0.5)]


def test_seen_images_are_drawn_in_order(images):
    figure = plots.plot_seen(images[:3], ["first", "second", "third"], "three", n_columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["first", "second", "third", ""]
    assert np.array_equal(figure.axes[1].images[0].get_array(), images[1])
    assert [ax.axison for ax in figure.axes] == [True] * 3 + [False]
    assert plots.plot_seen(images[:0], [], "none").get_suptitle() == "none"


def test_predictions_show_the_image_of_each_row(images, labels):
    probabilities = np.random.default_rng(0).random((60, 10))
    rows = evaluation.errors(evaluation.prediction_table(probabilities, labels), 5)
    figure = plots.plot_predictions(images, rows, "worst")
    for ax, row in zip(figure.axes, rows.itertuples(), strict=False):
        assert np.array_equal(ax.images[0].get_array(), images[row.index])
        assert f"#{row.index} ✗" in ax.get_title()
        assert f"true {row.true}" in ax.get_title()
        assert f"read {row.predicted}" in ax.get_title()
    assert plots.plot_predictions(images, rows.head(0), "nothing").get_suptitle() == "nothing"


def test_pairs_show_both_images_and_their_difference(images):
    figure = plots.plot_pairs(images[:2], images[2:4], ["a", "b"], "Pairs", names=("up", "down"))
    axes = np.reshape(figure.axes, (3, 2))
    assert np.array_equal(axes[1, 0].images[0].get_array(), images[2])
    expected = images[1].astype(int) - images[3]
    assert np.array_equal(axes[2, 1].images[0].get_array(), expected)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["up", "down", "difference"]
    assert [ax.get_title() for ax in axes[0]] == ["a", "b"]


def test_map_draws_each_point_as_its_digit(labels, texts):
    points = np.random.default_rng(0).normal(size=(60, 2))
    ax = plots.plot_map(points, labels, "A map")
    assert np.array_equal(ax.collections[3].get_offsets(), points[labels == 3])
    shapes = {len(collection.get_paths()[0].vertices) for collection in ax.collections}
    assert len(shapes) > 1, "every digit has the same marker"
    assert texts(ax) == [str(digit) for digit in range(10)]


def test_embedding_marks_the_mistakes(labels):
    points = np.random.default_rng(3).normal(size=(60, 2))
    right = evaluation.prediction_table(np.eye(10)[labels], labels)
    table = right.assign(predicted=np.where(right["index"] < 7, 0, right["true"]))
    ax = plots.plot_embedding(points, table)
    (marked,) = [drawn for drawn in ax.collections if drawn.get_label() == "mistake"]
    assert np.array_equal(marked.get_offsets(), points[1:7])
    assert "6 mistakes" in ax.get_title()
    assert "0 mistakes" in plots.plot_embedding(points, right).get_title()
