"""The figures of the notebooks, one function each.

Every function takes tables or arrays, returns Axes or a Figure, shows and saves nothing, and gives a
title that states the finding. Digits are drawn as dark ink on light paper; colours are Okabe and
Ito's, which the colour-blind can tell apart, and nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from digits.draw.strokes import Part
    from digits.pictures import Glyph, Ink, Picture
    from digits.recognizer import Reading

WIDTH = 7.0  # inches, of every figure

# Okabe and Ito (2008), "Color Universal Design".
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
RIGHT, WRONG = BLUE, VERMILION
# Ten classes need two more than the palette has.
CLASSES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#B8A800", BLACK, "#882255", "#999999")


@contextmanager
def style() -> Iterator[None]:
    """Apply the look of all figures; as a decorator, to one function."""
    settings = {
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "image.cmap": "gray_r",
        "image.interpolation": "nearest",
        "legend.frameon": False,
    }
    with plt.rc_context(settings):
        yield
        interactive = plt.isinteractive()
    # A notebook's first figure turns interactive mode on, which leaving rc_context has undone.
    plt.interactive(interactive)


def draw_digit(ax: Axes, image: np.ndarray, caption: str = "") -> None:
    """Draw one image (28, 28), uint8 or float 0..1, on `ax`, without ticks."""
    ax.imshow(image, vmin=0, vmax=255 if image.dtype == np.uint8 else 1)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(caption, fontsize=10)


# --- Training (notebook 03) ----------------------------------------------------------------------


@style()
def plot_history(history: pd.DataFrame, chosen: int | None = None) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs.

    Parameters
    ----------
    history : pandas.DataFrame
        Columns ``epoch``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``.
    chosen : int, optional
        The epoch whose weights were kept; it is marked.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3))
    for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
        ax.plot(history["epoch"], history[column], "o--", color=ORANGE, label="training")
        ax.plot(history["epoch"], history["val_" + column], "s-", color=BLUE, label="validation")
        ax.set(xlabel="epoch", ylabel=column)
        ax.xaxis.get_major_locator().set_params(integer=True)
        if chosen is not None:
            value = history.set_index("epoch").loc[chosen, "val_" + column]
            ax.plot(chosen, value, "*", color=BLACK, markersize=14, label=f"chosen: epoch {chosen}")
    axes[0].legend()
    last = history.iloc[-1]
    if chosen is None:
        figure.suptitle(
            f"Epoch {last['epoch']:.0f}: validation accuracy {last['val_accuracy']:.2%}"
        )
    else:
        best = history.set_index("epoch").loc[chosen, "val_accuracy"]
        figure.suptitle(f"Validation is best in epoch {chosen}, at {best:.2%}")
    return figure


def live_history() -> Callable[[dict], None]:
    """Return a callback for `training.train` that redraws `plot_history` after each epoch.

    A stored notebook keeps the last drawing only.
    """
    from IPython.display import display

    rows: list[dict] = []
    place = display("waiting for the first epoch", display_id=True)

    def show(row: dict) -> None:
        rows.append(row)
        figure = plot_history(pd.DataFrame(rows))
        plt.close(figure)  # or the notebook would draw it a second time below the cell
        if place is not None:  # there is no place to draw outside a notebook
            place.update(figure)

    return show


@style()
def plot_learning_rate(rates: np.ndarray, epochs: int) -> Axes:
    """Draw the learning rate of every step.

    Parameters
    ----------
    rates : numpy.ndarray
        Float (steps,), over the whole training.
    epochs : int
        How many epochs these steps make.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 2.6))
    progress = np.linspace(0, epochs, len(rates))
    ax.plot(progress, rates, color=BLUE)
    peak = int(np.argmax(rates))
    ax.plot(progress[peak], rates[peak], "o", color=BLACK)
    ax.set(
        xlabel="epoch", ylabel="learning rate", ylim=(0, None),
        title=f"The rate rises to {rates[peak]:.2g} in the first {progress[peak] / epochs:.0%}, "
        "then falls to zero",
    )  # fmt: skip
    return ax


@style()
def plot_runs(histories: dict[str, pd.DataFrame]) -> Axes:
    """Draw the validation error of several runs over the epochs.

    Parameters
    ----------
    histories : dict
        A run's name to its history, as `plot_history` takes it.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    ends = []
    for (name, history), color, line in zip(
        histories.items(), CLASSES, ("o-", "s--", "^:", "D-.") * 3, strict=False
    ):
        error = 100 * (1 - history["val_accuracy"])
        ends.append(error.min())
        ax.plot(history["epoch"], error, line, color=color, label=name)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(
        xlabel="epoch", ylabel="validation error (%)", ylim=(0, None),
        title=f"The seed alone moves the lowest validation error by {np.ptp(ends):.2f} points"
        if len(ends) > 1 else f"The lowest validation error is {min(ends):.2f} %",
    )  # fmt: skip
    ax.legend()
    return ax


# --- Evaluation (notebook 04) --------------------------------------------------------------------


@style()
def plot_confusion(counts: np.ndarray) -> Figure:
    """Draw the confusion matrix twice: all counts, and the mistakes alone.

    Parameters
    ----------
    counts : numpy.ndarray
        Integers (10, 10); row true, column predicted.
    """
    mistakes = counts - np.diag(counts.diagonal())
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for ax, shown, title in zip(axes, (counts, mistakes), ("all", "mistakes only"), strict=True):
        top = max(shown.max(), 1)
        ax.imshow(np.ma.masked_equal(shown, 0), cmap="cividis_r", vmin=0, vmax=top)
        for (row, column), count in np.ndenumerate(shown):
            color = "white" if count > top / 2 else ("black" if count else "#bbbbbb")
            ax.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=7)
        ax.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true", title=title)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    figure.suptitle(_most_frequent_mistake(mistakes))
    return figure


def _most_frequent_mistake(mistakes: np.ndarray) -> str:
    if not mistakes.any():
        return "No digit was taken for another"
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    n = mistakes[true, predicted]
    return f"{mistakes.sum()} mistakes; {n} times a {true} was taken for a {predicted}"


@style()
def plot_per_class(scores: pd.DataFrame) -> Axes:
    """Draw precision and recall of each digit.

    Parameters
    ----------
    scores : pandas.DataFrame
        From `evaluation.per_class`.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    ax.vlines(scores.index, scores[["precision", "recall"]].min(axis=1) * 100,
              scores[["precision", "recall"]].max(axis=1) * 100, color="#bbbbbb")  # fmt: skip
    ax.plot(scores.index, 100 * scores["precision"], "o", color=BLUE, label="precision")
    ax.plot(scores.index, 100 * scores["recall"], "D", color=ORANGE, label="recall")
    worst = scores["f1"].idxmin()
    title = f"The {worst} is the hardest digit, with F1 {scores.loc[worst, 'f1']:.2%}"
    if scores["f1"].min() == 1:
        title = "Every digit is read without a mistake"
    ax.set(xticks=range(10), xlabel="digit", ylabel="%", title=title)
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, -0.02))
    return ax


@style()
def plot_predictions(
    images: np.ndarray, rows: pd.DataFrame, title: str, n_columns: int = 6
) -> Figure:
    """Draw images with their captions: index, true and predicted digit, both probabilities.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28), the images that the table's ``index`` counts.
    rows : pandas.DataFrame
        Rows of a prediction table, as from `evaluation.mistakes`. Where there is none, the figure
        is its title alone.
    """
    n_rows = -(-len(rows) // n_columns)
    if n_rows == 0:
        return _title_alone(title)
    figure = plt.figure(figsize=(WIDTH, 1.75 * n_rows + 0.4))
    figure.suptitle(title)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, row in zip(axes.flat, rows.itertuples(), strict=False):
        mark = "✓" if row.true == row.predicted else "✗"
        draw_digit(ax, images[row.index])
        ax.set_title(
            f"#{row.index} {mark}\ntrue {row.true}: {row.p_true:.1%}\n"
            f"read {row.predicted}: {row.confidence:.1%}",
            fontsize=8,
        )
    return figure


def _title_alone(title: str) -> Figure:
    figure, ax = plt.subplots(figsize=(WIDTH, 0.5))
    ax.axis("off")
    figure.suptitle(title)
    return figure


@style()
def plot_reliability(calibrations: dict[str, pd.DataFrame], errors: dict[str, float]) -> Figure:
    """Draw accuracy against confidence, a panel for each of several calibrations.

    Parameters
    ----------
    calibrations : dict
        A name to its bins, from `evaluation.calibration`.
    errors : dict
        The same names to their expected calibration errors, 0 to 1.
    """
    figure, axes = plt.subplots(
        1, len(calibrations), figsize=(WIDTH, 3.7), sharey=True, squeeze=False
    )
    for ax, (name, bins) in zip(axes.flat, calibrations.items(), strict=True):
        ax.plot([0, 1], [0, 1], ":", color=BLACK, label="confidence = accuracy")
        spread = np.abs(bins[["accuracy_low", "accuracy_high"]].T - bins["accuracy"])
        ax.errorbar(
            bins["confidence"], bins["accuracy"], spread, fmt="o", color=BLUE, capsize=2,
            label="bin, with 95 % interval",
        )  # fmt: skip
        for row in bins.itertuples():
            ax.annotate(f"{row.n:,}", (row.confidence, 0.015), fontsize=7, ha="center", rotation=90)
        ax.set(
            xlim=(0, 1.03), ylim=(0, 1.05), xlabel="mean confidence",
            title=f"{name}: error {errors[name]:.2%}",
        )  # fmt: skip
    axes[0, 0].set_ylabel("accuracy")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    better = min(errors, key=errors.get)
    figure.suptitle(f"Confidence is closest to accuracy {better}")
    return figure


@style()
def plot_coverage(curve: pd.DataFrame, threshold: float) -> Axes:
    """Draw the error among the accepted answers against the share that is accepted.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `evaluation.coverage_curve`.
    threshold : float
        The model's own threshold; its place is marked.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    ax.step(100 * curve["coverage"], 100 * curve["error"], where="post", color=BLUE)
    title = "The threshold accepts nothing"
    accepted = curve[curve["threshold"] >= threshold]
    if len(accepted):
        own = accepted.iloc[-1]
        ax.plot(100 * own["coverage"], 100 * own["error"], "*", color=BLACK, markersize=14)
        title = (
            f"Withholding the least sure {1 - own['coverage']:.1%} leaves "
            f"{own['error']:.2%} wrong instead of {curve['error'].iloc[-1]:.2%}"
        )
    ax.set(xlabel="answers given (%)", ylabel="wrong among them (%)", ylim=(0, None), title=title)
    ax.set_xlim(100 * min(0.8, curve["coverage"].iloc[-1]), 100.4)
    return ax


@style()
def plot_occlusion(images: np.ndarray, maps: np.ndarray, rows: pd.DataFrame) -> Figure:
    """Draw images and, below each, what speaks for the digit that was read, and for the true one.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28), the images that the table's ``index`` counts.
    maps : numpy.ndarray
        Float (k, 2, 28, 28), from `evaluation.occlusion_map`: for the predicted and the true digit.
    rows : pandas.DataFrame
        The k rows of the prediction table. Where there is none, the figure is a title alone.
    """
    if len(rows) == 0:
        return _title_alone("There is no mistake to explain")
    figure, axes = plt.subplots(3, len(rows), figsize=(WIDTH, 4.4), squeeze=False)
    limit = max(np.abs(maps).max(), 1e-6)
    for column, row in enumerate(rows.itertuples()):
        draw_digit(axes[0, column], images[row.index], f"#{row.index}")
        digits = ((f"for {row.predicted} (read)", maps[column, 0]),
                  (f"for {row.true} (true)", maps[column, 1]))  # fmt: skip
        for ax, (caption, shown) in zip(axes[1:, column], digits, strict=True):
            drawn = ax.imshow(shown, cmap="PuOr_r", vmin=-limit, vmax=limit)
            ax.contour(images[row.index] > 127, levels=[0.5], colors="black", linewidths=0.7)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(caption, fontsize=9)
    bar = figure.colorbar(drawn, ax=axes[1:], shrink=0.8)
    bar.set_label("probability lost when covered")
    figure.suptitle("Where the ink spoke for the digit read, and for the true one")
    return figure


@style()
def plot_corruptions(images: dict[str, np.ndarray]) -> Figure:
    """Draw the same few digits under each corruption.

    Parameters
    ----------
    images : dict
        A corruption's name to uint8 images (k, 28, 28).
    """
    n = len(next(iter(images.values())))
    n_rows = -(-len(images) // 2)
    figure = plt.figure(figsize=(WIDTH, 0.5 * n_rows + 0.4))
    grid = figure.subplots(n_rows, 2 * n + 2, width_ratios=([2.2] + [1] * n) * 2, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    for place, (name, shown) in enumerate(images.items()):
        cells = grid[place % n_rows][(place // n_rows) * (n + 1) :]
        cells[0].text(1, 0.5, name, ha="right", va="center", fontsize=9)
        for ax, image in zip(cells[1:], shown, strict=False):
            draw_digit(ax, image)
    figure.suptitle(f"{len(images)} ways to spoil a digit, at moderate strength")
    return figure


@style()
def plot_corruption_errors(errors: pd.DataFrame, clean: float) -> Axes:
    """Draw the error under each corruption as bars, the worst on top.

    Parameters
    ----------
    errors : pandas.DataFrame
        From `evaluation.errors_under`, at one severity.
    clean : float
        Error on the same images as they are.
    """
    ordered = errors.set_index("corruption").sort_values("error")
    _, ax = plt.subplots(figsize=(WIDTH, 0.24 * len(ordered) + 1.1))
    spread = 100 * np.abs(ordered[["low", "high"]].T - ordered["error"])
    ax.barh(ordered.index, 100 * ordered["error"], xerr=spread, color=SKY, ecolor="#555555")
    ax.axvline(100 * clean, color=BLACK, linestyle="--", label=f"clean: {clean:.2%}")
    ax.set(
        xlabel="wrong (%)", xlim=(0, None),
        title=f"{ordered.index[-1].capitalize()} hurts most; the mean error is "
        f"{ordered['error'].mean():.1%}",
    )  # fmt: skip
    ax.legend(loc="lower right")
    return ax


@style()
def plot_severity(errors: pd.DataFrame) -> Figure:
    """Draw how the error grows with the amount of a corruption, a panel for each.

    Parameters
    ----------
    errors : pandas.DataFrame
        From `evaluation.errors_under`, at several severities.
    """
    names = list(dict.fromkeys(errors["corruption"]))
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.9), sharey=True, squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        rows = errors[errors["corruption"] == name]
        ax.fill_between(rows["amount"], 100 * rows["low"], 100 * rows["high"], color=SKY, alpha=0.4)
        ax.plot(rows["amount"], 100 * rows["error"], "o-", color=BLUE)
        ax.set_title(name, fontsize=10)
        ax.set_xlabel(rows["unit"].iloc[0].split(",")[0], fontsize=9)
    axes[0, 0].set(ylabel="wrong (%)", ylim=(0, None))
    worst = errors.loc[errors["error"].idxmax()]
    figure.suptitle(
        f"{worst['corruption'].capitalize()} hurts most: {worst['error']:.0%} wrong at "
        f"{worst['severity']:g} times the moderate strength"
    )
    return figure


@style()
def plot_embedding(points: np.ndarray, table: pd.DataFrame) -> Axes:
    """Draw a plane of images: each digit in its colour and as its number, mistakes marked.

    Parameters
    ----------
    points : numpy.ndarray
        Float (n, 2), in the order of the table's rows.
    table : pandas.DataFrame
        A prediction table of n rows.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 5.2))
    wrong = (table["predicted"] != table["true"]).to_numpy()
    for digit in range(10):
        of_digit = points[(table["true"] == digit).to_numpy()]
        ax.scatter(*of_digit.T, s=8, color=CLASSES[digit], alpha=0.5, linewidths=0)
        if len(of_digit):
            ax.text(
                *np.median(of_digit, axis=0), f"{digit}", fontsize=16, weight="bold", ha="center",
                va="center", bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1},
            )  # fmt: skip
    ax.scatter(*points[wrong].T, s=45, marker="X", color="white", edgecolors=BLACK, label="mistake")
    ax.set(xticks=[], yticks=[], title=f"Where the {wrong.sum()} mistakes lie among the digits")
    ax.legend(loc="upper right")
    return ax


@style()
def plot_epoch_choice(test_errors: pd.DataFrame, chosen: int, n_test: int) -> Axes:
    """Draw the test error of every epoch, the validation's choice and the cheat's choice.

    Parameters
    ----------
    test_errors : pandas.DataFrame
        Columns ``epoch`` and ``n_wrong``.
    chosen : int
        The epoch that validation chose.
    n_test : int
        Number of test images.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    by_epoch = 100 * test_errors.set_index("epoch")["n_wrong"] / n_test
    best = by_epoch.idxmin()
    ax.plot(by_epoch, "o-", color="#999999", label="test error")
    ax.plot(chosen, by_epoch[chosen], "*", color=BLUE, markersize=16, label="validation's choice")
    ax.plot(best, by_epoch[best], "v", color=VERMILION, markersize=10, label="best on test (cheat)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(
        xlabel="epoch", ylabel="wrong (%)", ylim=(0, None),
        title="Choosing the epoch on the test set would flatter by "
        f"{by_epoch[chosen] - by_epoch[best]:.2f} points",
    )  # fmt: skip
    ax.legend()
    return ax


# --- Exploring the data (notebook 01) ------------------------------------------------------------


def _mosaic(tiles: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay tiles (n, h, w) out in rows of `columns`; gaps and missing tiles are nan."""
    n, height, width = tiles.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


@style()
def plot_counts(labels: np.ndarray, title: str = "") -> Axes:
    """Draw how often each digit occurs, and the count that equal shares would give.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (n,), 0 to 9.
    title : str
        By default the ratio of the commonest to the rarest digit.
    """
    counts = np.bincount(labels, minlength=10)
    _, ax = plt.subplots(figsize=(WIDTH, 2.8))
    bars = ax.bar(range(10), counts, color=SKY)
    ax.bar_label(bars, [f"{count:,}" if count else "" for count in counts], label_type="center")
    ax.axhline(len(labels) / 10, color=BLACK, linestyle="--", linewidth=1, label="equal shares")
    ax.set(xticks=range(10), xlabel="digit", ylabel="images", ylim=(0, 1.25 * counts.max()))
    ax.legend(loc="upper right", ncols=2)
    common, rare = counts.argmax(), counts.argmin()
    finding = f"There is no {rare}"
    if counts[rare]:
        finding = (
            f"There are {counts[common] / counts[rare]:.2f} times as many {common}s as {rare}s"
        )
    ax.set_title(title or finding)
    return ax


@style()
def plot_rows(rows: dict[str, np.ndarray], title: str) -> Axes:
    """Draw rows of digits, each with its name at the left.

    Parameters
    ----------
    rows : dict
        A row's name to its images: uint8 (k, 28, 28), or float 0..1.
    title : str
    """
    scaled = [r / 255.0 if r.dtype == np.uint8 else np.asarray(r, float) for r in rows.values()]
    columns = max(map(len, scaled))
    side = scaled[0].shape[1]
    blank = np.full((side, side), np.nan)
    tiles = np.stack([t for row in scaled for t in (*row, *[blank] * (columns - len(row)))])
    sheet = _mosaic(tiles, columns)
    _, ax = plt.subplots(figsize=(WIDTH, 0.4 + WIDTH * 0.9 * len(sheet) / sheet.shape[1]))
    ax.imshow(sheet, vmin=0, vmax=1)
    _bare(ax)
    ax.set_yticks((side + 2) * np.arange(len(rows)) + side / 2, rows.keys(), fontsize=11)
    ax.tick_params(length=0)
    ax.set_title(title)
    return ax


@style()
def plot_means(mean: np.ndarray, spread: np.ndarray) -> Figure:
    """Draw the mean image of each digit and, below, how much each pixel varies.

    Parameters
    ----------
    mean, spread : numpy.ndarray
        Float (10, 28, 28), from `exploration.mean_digits`.
    """
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 2.4))
    panels = ((mean, "gray_r", 1.0, "mean"), (spread, "cividis", 0.5, "deviation"))
    for ax, (tiles, colours, most, name) in zip(axes, panels, strict=True):
        drawn = ax.imshow(_mosaic(tiles, 10), cmap=colours, vmin=0, vmax=most, aspect="auto")
        _bare(ax)
        figure.colorbar(drawn, ax=ax, label=name, ticks=[0, most], pad=0.01)
    widest = spread.mean(axis=(1, 2)).argmax()
    figure.suptitle(f"What ten digits have in common; the {widest} varies most")
    return figure


@style()
def plot_quantities(table: pd.DataFrame, units: dict[str, str]) -> Figure:
    """Draw the spread of quantities by digit: median, middle half, and 5th to 95th percentile.

    Parameters
    ----------
    table : pandas.DataFrame
        Column ``digit`` and one column a quantity.
    units : dict
        A quantity's column to the label of its axis.
    """
    figure, axes = plt.subplots(1, len(units), figsize=(WIDTH, 3.4), sharey=True, squeeze=False)
    said = []
    for ax, (column, label) in zip(axes[0], units.items(), strict=True):
        groups = [group[column].dropna() for _, group in table.groupby("digit")]
        digits = sorted(table["digit"].unique())
        ax.boxplot(
            groups, positions=digits, orientation="horizontal", whis=(5, 95), showfliers=False,
            widths=0.6, patch_artist=True, boxprops={"facecolor": SKY},
            medianprops={"color": BLACK, "linewidth": 2},
        )  # fmt: skip
        medians = [group.median() for group in groups]
        most, least = digits[int(np.argmax(medians))], digits[int(np.argmin(medians))]
        said.append(f"{column}: least in {least}, most in {most}")
        ax.set_xlabel(label)
    axes[0, 0].set_ylabel("digit")
    axes[0, 0].invert_yaxis()
    figure.suptitle("; ".join(said))
    return figure


@style()
def plot_closeness(pairs: pd.DataFrame) -> Axes:
    """Draw the distance of the two most similar images of each two classes.

    Parameters
    ----------
    pairs : pandas.DataFrame
        From `exploration.look_alikes`.
    """
    distances = np.full((10, 10), np.nan)
    distances[pairs["digit_b"], pairs["digit_a"]] = pairs["distance"]
    _, ax = plt.subplots(figsize=(WIDTH * 0.75, 4.4))
    drawn = ax.imshow(distances[1:, :9], cmap="cividis")
    middle = np.nanmean([np.nanmin(distances), np.nanmax(distances)])
    for row in pairs.itertuples():
        ax.text(
            row.digit_a, row.digit_b - 1, f"{row.distance:.1f}", ha="center", va="center",
            fontsize=9, color="white" if row.distance < middle else "black",
        )  # fmt: skip
    ax.set(xticks=range(9), yticks=range(9), yticklabels=range(1, 10))
    ax.set(xlabel="one digit", ylabel="the other digit")
    ax.figure.colorbar(drawn, label="smallest distance")
    first = pairs.loc[pairs["distance"].idxmin()]
    ax.set_title(f"The closest two classes: {first['digit_a']:.0f} and {first['digit_b']:.0f}")
    return ax


@style()
def plot_pairs(
    first: np.ndarray,
    second: np.ndarray,
    captions: list[str],
    title: str,
    names: tuple[str, str] = ("one", "the other"),
) -> Figure:
    """Draw pairs of images, one above the other, and what distinguishes them below.

    Parameters
    ----------
    first, second : numpy.ndarray
        uint8 (k, 28, 28), k from 1.
    captions : list of str
        One a pair.
    title : str
    names : pair of str
        What the upper and the lower images are.
    """
    k = len(first)
    figure, axes = plt.subplots(3, k, figsize=(WIDTH, 3.3), squeeze=False)
    for column in range(k):
        a, b = first[column].astype(int), second[column].astype(int)
        draw_digit(axes[0, column], first[column], captions[column])
        draw_digit(axes[1, column], second[column])
        axes[2, column].imshow(a - b, cmap="PuOr_r", vmin=-255, vmax=255)
        _bare(axes[2, column])
    for ax, name in zip(axes[:, 0], (*names, "difference"), strict=True):
        ax.set_ylabel(name)
    figure.suptitle(title)
    return figure


@style()
def plot_map(points: np.ndarray, labels: np.ndarray, title: str) -> Axes:
    """Draw images as points of the plane; each point is the digit itself, so colour only helps.

    Parameters
    ----------
    points : numpy.ndarray
        Float (n, 2).
    labels : numpy.ndarray
        Integer (n,), 0 to 9.
    title : str
    """
    _, ax = plt.subplots(figsize=(WIDTH, 5.2))
    for digit in range(10):
        of_digit = points[labels == digit]
        ax.scatter(
            *of_digit.T, s=26, marker=f"${digit}$", color=CLASSES[digit], alpha=0.8, linewidths=0
        )
    for digit in np.unique(labels):
        ax.text(
            *np.median(points[labels == digit], axis=0), f"{digit}", fontsize=16, weight="bold",
            color=CLASSES[digit], ha="center", va="center",
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )  # fmt: skip
    _bare(ax)
    ax.set_title(title)
    return ax


@style()
def plot_nearest(distances: dict[str, np.ndarray], title: str) -> Axes:
    """Draw how far images are from their nearest neighbours, as cumulative shares.

    Parameters
    ----------
    distances : dict
        A name to distances (n,).
    title : str
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3))
    looks = ((BLUE, "-"), (ORANGE, "--"), (BLACK, ":"))
    for (name, values), (colour, line) in zip(distances.items(), looks, strict=False):
        ax.ecdf(values, color=colour, linestyle=line, linewidth=2, label=name)
    ax.set(xlabel="distance to the nearest training image", ylabel="share of the images")
    ax.set_xlim(left=0)
    ax.legend(loc="upper left")
    ax.set_title(title)
    return ax


# --- Inside the network (notebook 02) ------------------------------------------------------------


@style()
def plot_maps(maps: np.ndarray, title: str, columns: int = 8) -> Axes:
    """Draw what each filter of a layer answers to one image.

    Parameters
    ----------
    maps : numpy.ndarray
        Float (h, w, k).
    title : str
    columns : int
        Maps in a row.
    """
    sheet = _mosaic(np.moveaxis(maps, -1, 0), columns, gap=max(1, maps.shape[0] // 12))
    _, ax = plt.subplots(figsize=(WIDTH, 0.4 + WIDTH * 0.85 * len(sheet) / sheet.shape[1]))
    drawn = ax.imshow(sheet, cmap="viridis")
    ax.figure.colorbar(drawn, label="activation", pad=0.01)
    _bare(ax)
    ax.set_title(title)
    return ax


@style()
def plot_kernels(kernels: np.ndarray, title: str, columns: int = 8) -> Axes:
    """Draw the weights of a layer's filters.

    Parameters
    ----------
    kernels : numpy.ndarray
        Float (h, w, k).
    title : str
    columns : int
        Filters in a row.
    """
    sheet = _mosaic(np.moveaxis(kernels, -1, 0), columns, gap=1)
    limit = np.nanmax(np.abs(sheet))
    _, ax = plt.subplots(figsize=(WIDTH, 0.4 + WIDTH * 0.85 * len(sheet) / sheet.shape[1]))
    drawn = ax.imshow(sheet, cmap="PuOr_r", vmin=-limit, vmax=limit)
    ax.figure.colorbar(drawn, label="weight", pad=0.01)
    _bare(ax)
    ax.set_title(title)
    return ax


@style()
def plot_patch(patch: np.ndarray, kernel: np.ndarray) -> Figure:
    """Draw how a convolution computes one number: patch times kernel, summed.

    Parameters
    ----------
    patch, kernel : numpy.ndarray
        Float (k, k).
    """
    products = patch * kernel
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.7))
    panels = (("patch of the digit", patch, "gray_r", 0, 1),
              ("× kernel", kernel, "PuOr_r", -1, 1),
              ("= products", products, "PuOr_r", -1, 1))  # fmt: skip
    limit = np.abs(kernel).max()
    for ax, (name, values, colours, low, high) in zip(axes, panels, strict=True):
        scale = 1 if low == 0 else limit
        ax.imshow(values, cmap=colours, vmin=low * scale, vmax=high * scale)
        for (y, x), value in np.ndenumerate(values):
            dark = value > 0.6 if low == 0 else abs(value) > 0.6 * limit
            ax.text(
                x, y, f"{value:.2f}", ha="center", va="center", fontsize=8,
                color="white" if dark else "black",
            )  # fmt: skip
        _bare(ax)
        ax.set_title(name)
    figure.suptitle(f"The {products.size} products add up to {products.sum():.3f}")
    return figure


@style()
def plot_lines(table: pd.DataFrame, x: str, y: str, title: str) -> Axes:
    """Draw shares (0 to 1) over a quantity, one line a column, each with its name at its end.

    Parameters
    ----------
    table : pandas.DataFrame
        Index: the quantity. One column a line.
    x, y : str
        Labels of the axes.
    title : str
    """
    _, ax = plt.subplots(figsize=(WIDTH, 3.2))
    looks = ((BLUE, "o-"), (VERMILION, "s--"), (BLACK, "^:"))
    for name, (colour, look) in zip(table.columns, looks, strict=False):
        ax.plot(table.index, table[name], look, color=colour, label=name, markersize=5)
    ax.set(xlabel=x, ylabel=y, ylim=(0, 1.05), title=title)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.legend()
    return ax


# --- Pictures (notebook 05) ----------------------------------------------------------------------


def _draw_picture(ax: Axes, pixels: np.ndarray, size: tuple[int, int]) -> None:
    """Draw a picture so that the axes count the pixels of the upright original."""
    width, height = size
    # Downsampling without smoothing would lose lines of one pixel.
    how = "nearest" if max(pixels.shape) <= 56 else "antialiased"
    ax.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation=how
    )
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    _frame(ax)


def _frame(ax: Axes) -> None:
    """Show where a picture ends, as the edge of white paper would not be seen."""
    ax.spines[:].set(visible=True, color="0.8", linewidth=0.6)


def _draw_box(ax: Axes, box: tuple[int, int, int, int], sure: bool = True, text: str = "") -> None:
    """Frame a box: a whole line if sure, a broken one in another colour if not."""
    x, y, width, height = box
    color, line = (BLUE, "-") if sure else (VERMILION, "--")
    frame = plt.Rectangle(
        (x, y), width, height, fill=False, edgecolor=color, linestyle=line, lw=1.3
    )
    ax.add_patch(frame)
    if text:
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        ax.text(x, y, text, color=color, fontsize=8, va="bottom", bbox=paper, clip_on=True)


@style()
def plot_stages(picture: Picture, ink: Ink, glyphs: Sequence[Glyph], image: np.ndarray) -> Figure:
    """Draw the way of a picture from the file to what the network sees, in six panels.

    Parameters
    ----------
    picture : Picture
        From `pictures.decode`.
    ink : Ink
        From `pictures.find_ink`.
    glyphs : sequence of Glyph
        From `pictures.find_digits`.
    image : numpy.ndarray
        uint8 (28, 28): the largest of them in MNIST form.
    """
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 5.2))
    (decoded, paper, strength), (boxes, fitted, seen) = axes
    _draw_picture(decoded, picture.pixels, picture.size)
    decoded.set_title(f"1 decoded: {picture.size[0]} x {picture.size[1]}")
    paper.imshow(ink.paper, cmap="gray", vmin=0, vmax=255)
    paper.set_title(f"2 paper; {ink.polarity}")
    strength.imshow(ink.strength, vmin=0, vmax=1, interpolation="antialiased")
    strength.set_title(f"3 ink: {ink.mask.mean():.1%} of the area")
    _draw_picture(boxes, picture.pixels, picture.size)
    for glyph in glyphs:
        _draw_box(boxes, glyph.box)
    boxes.set_title(f"4 found: {len(glyphs)}")
    draw_digit(fitted, image)
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    if len(rows):
        left, top = columns[0] - 0.5, rows[0] - 0.5
        extent = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        _draw_box(fitted, (left, top, *extent))
        total = image.sum(dtype=float)
        middle = (image.sum(0) @ np.arange(28) / total, image.sum(1) @ np.arange(28) / total)
        fitted.plot(*middle, "+", color=VERMILION, markersize=16, markeredgewidth=2)
        fitted.set_title(f"5 fitted: {extent[0]} x {extent[1]}, mass at +", fontsize=10)
    seen.imshow(image, cmap="gray", vmin=0, vmax=255)
    seen.set_title("6 what the network sees")
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        _frame(ax)
    figure.suptitle(f"{ink.polarity}: {len(glyphs)} found, the largest brought to 28 x 28")
    return figure


@style()
def plot_readings(
    pictures: Sequence[Picture],
    readings: Sequence[Reading],
    captions: Sequence[str],
    title: str,
    n_columns: int = 5,
) -> Figure:
    """Draw pictures with what was read on them.

    Parameters
    ----------
    pictures : sequence of Picture
    readings : sequence of Reading
        One for each picture; unsure digits have a broken frame.
    captions : sequence of str
    title : str
        The finding.
    n_columns : int
    """
    if not pictures:
        return _title_alone(title)
    n_rows = -(-len(pictures) // n_columns)
    # As high as the highest picture, but no long strip of a screen for it.
    side = WIDTH / n_columns * min(1.2, max(p.size[1] / p.size[0] for p in pictures))
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(WIDTH, (side + 0.42) * n_rows + 0.5), squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, reading, caption in zip(axes.flat, pictures, readings, captions, strict=False):
        ax.axis("on")
        _draw_picture(ax, picture.pixels, picture.size)
        for digit in reading.digits:
            _draw_box(ax, digit.box, digit.accepted, str(digit.digit) if n_columns < 3 else "")
        ax.set_title(caption, fontsize=8 if n_columns > 3 else 10)
    figure.suptitle(title)
    return figure


@style()
def plot_seen(
    images: np.ndarray, captions: Sequence[str], title: str, n_columns: int = 8
) -> Figure:
    """Draw images in MNIST form, one beside the other.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28).
    captions : sequence of str
    title : str
    n_columns : int
    """
    if not len(images):
        return _title_alone(title)
    n_rows = -(-len(images) // n_columns)
    height = (WIDTH / n_columns + 0.35) * n_rows + 0.4
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(WIDTH, height), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.axis("on")
        draw_digit(ax, image)
        ax.set_title(caption, fontsize=8)
        _frame(ax)
    figure.suptitle(title)
    return figure


@style()
def plot_steps(steps: pd.DataFrame) -> Axes:
    """Draw how many single digits are read right after each step.

    Parameters
    ----------
    steps : pandas.DataFrame
        From `ablation.score_steps`.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 0.4 * len(steps) + 1))
    n = int(steps["n_singles"].iloc[0])
    right, wrong = steps["singles_right"], steps["singles_accepted_wrong"]
    bars = ax.barh(steps.index, right, color=SKY, edgecolor=BLUE, label="right")
    ax.bar_label(bars, label_type="center")
    hatch = {"color": "none", "edgecolor": VERMILION, "hatch": "///", "label": "sure and wrong"}
    bars = ax.barh(steps.index, wrong, left=right, zorder=0, **hatch)
    ax.bar_label(bars, [f"{count}" if count else "" for count in wrong], padding=2)
    ax.invert_yaxis()
    ax.set(xlabel="single digits", xlim=(0, 1.12 * max(n, 1)))
    ax.legend(loc="upper right")
    first, last = steps["singles_right"].iloc[[0, -1]]
    ax.set_title(f"From {first} to {last} of {n} single digits read right")
    return ax


@style()
def plot_outcomes(counts: pd.DataFrame) -> Axes:
    """Draw what became of the pictures of each kind, as shares of its bar.

    Parameters
    ----------
    counts : pandas.DataFrame
        A row a kind; the columns n, and right, unsure right, unsure wrong, refused and confident
        wrong, which add up to n.
    """
    _, ax = plt.subplots(figsize=(WIDTH, 0.22 * len(counts) + 1.2))
    looks = {
        "right": {"color": SKY},
        "unsure right": {"color": "#CCCCCC", "hatch": ".."},
        "unsure wrong": {"color": "#CCCCCC"},
        "refused": {"color": "white", "edgecolor": "#999999"},
        "confident wrong": {"color": VERMILION, "hatch": "///"},
    }
    start = np.zeros(len(counts))
    for name, look in looks.items():
        share = 100 * (counts[name] / counts["n"]).to_numpy()
        ax.barh(counts.index, share, left=start, label=name, **{"edgecolor": "white"} | look)
        start += share
    ax.set(xlabel="pictures of the kind (%)", xlim=(0, 100), ylim=(len(counts) - 0.4, -0.6))
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=5, fontsize=8)
    n, right, wrong = (int(counts[name].sum()) for name in ("n", "right", "confident wrong"))
    ax.set_title(f"{right} of {n} read right, {wrong} wrong and sure")
    return ax


# --- Drawing (notebook 07) -----------------------------------------------------------------------


@style()
def plot_ten(
    images: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    title: str,
    named: Sequence = (),
) -> Figure:
    """Draw the probabilities of the ten digits as bars, below the image that each belongs to.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28).
    probabilities : numpy.ndarray
        Float (n, 10).
    threshold : float
        From which an answer is sure; drawn as a line. Bars of sure answers are filled.
    title : str
    named : sequence of str
        What stands above each image; "digit 1" and so on by default.
    """
    if not len(images):
        return _title_alone(title)
    n = len(images)
    width = min(WIDTH, 2.4 * n)
    ratios = {"height_ratios": [1, 1.9]}
    figure, axes = plt.subplots(2, n, figsize=(width, 4.0), squeeze=False, gridspec_kw=ratios)
    for column, (image, row) in enumerate(zip(images, probabilities, strict=True)):
        draw_digit(axes[0, column], image, named[column] if named else f"digit {column + 1}")
        _frame(axes[0, column])
        ax, best = axes[1, column], int(row.argmax())
        bars = ax.barh(range(10), row, color="0.75")
        sure = row[best] >= threshold
        bars[best].set(
            color=RIGHT if sure else "white", edgecolor=RIGHT if sure else WRONG, linewidth=1.5
        )
        bars[best].set_hatch("" if sure else "///")
        ax.axvline(threshold, color="0.3", linestyle=":", linewidth=1)
        mark = "" if sure else "?"
        ax.text(0.03, best, f"{best}{mark}  {row[best]:.1%}", va="center",
                color="white" if sure else BLACK, fontsize=9)  # fmt: skip
        ax.set(yticks=range(10), xlim=(0, 1), ylim=(9.6, -0.6), xlabel="probability")
        ax.tick_params(axis="y", length=0)
    figure.suptitle(title)
    return figure


@style()
def plot_parts(parts: Sequence[Part], reading: Reading, title: str) -> Figure:
    """Draw each digit's strokes, coloured by what each piece of them said for the digit.

    Parameters
    ----------
    parts : sequence of Part
        From `strokes.what_mattered`.
    reading : Reading
        That the parts belong to.
    title : str
    """
    if not parts:
        return _title_alone(title)
    n = len(reading.digits)
    figure, axes = plt.subplots(1, n, figsize=(min(WIDTH, 2.6 * n + 1), 2.9), squeeze=False)
    limit = max(1.0, *(abs(part.evidence) for part in parts))
    colors = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), "PuOr_r")
    for part in parts:
        x, y, _ = np.array(part.points).T
        # Round dots for what spoke against it, so that not colour alone tells.
        look = (0, (0.1, 1.5)) if part.evidence < -0.5 else "-"
        axes[0, part.place].plot(
            x, y, color=colors.to_rgba(part.evidence), linestyle=look, linewidth=8,
            solid_capstyle="round", dash_capstyle="round",
        )  # fmt: skip
    for ax, digit in zip(axes[0], reading.digits, strict=True):
        ax.set_title(f"read as {digit.digit}", fontsize=10)
        ax.set_aspect("equal", adjustable="datalim")
        ax.margins(0.15)
        ax.invert_yaxis()
        ax.set(xticks=[], yticks=[], facecolor="0.85")
        _frame(ax)
    bar = figure.colorbar(colors, ax=axes[0], shrink=0.9)
    bar.set_label("evidence for the digit")
    figure.suptitle(title)
    return figure


# --- Fine-tuning to a hand (notebook 06) ---------------------------------------------------------


@style()
def plot_learning_curve(curve: pd.DataFrame, title: str) -> Figure:
    """Draw the errors of fine-tuned networks against the number of examples.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `adaptation.learning_curve`.
    title : str
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    sizes = sorted(curve["n"].unique())
    looks = ((True, "with replay", "o-", BLUE, -1), (False, "without replay", "^--", VERMILION, 1))
    for ax, column in zip(axes, ("hand_error", "test_error"), strict=True):
        for replay, name, look, color, side in looks:
            rows = curve[curve["replay"] == replay]
            # Beside one another, or the two would hide each other.
            place = rows["n"].map(sizes.index) + 0.07 * side
            ax.plot(place, 100 * rows[column], look[0], color=color, alpha=0.5, markersize=4)
            mean = 100 * rows.groupby("n")[column].mean()
            ax.plot(np.arange(len(mean)) + 0.07 * side, mean, look[1:], color=color)
            ax.plot([], [], look, color=color, label=name)  # line and marks in one key
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(xlabel="examples of the hand", ylabel="misread (%)", ylim=(0, None))
    axes[0].set_title("this hand, held-out pictures")
    axes[1].set_title("test images of other hands")
    axes[0].legend()
    figure.suptitle(title)
    return figure


@style()
def plot_gains(gains: pd.DataFrame, title: str) -> Axes:
    """Draw errors before and after fine-tuning, a line for each kind of reading.

    Parameters
    ----------
    gains : pandas.DataFrame
        Indexed by what is read; columns ``before`` and ``after`` (shares, 0 to 1).
    title : str
    """
    _, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.45 * len(gains)))
    places = np.arange(len(gains))
    before, after = 100 * gains["before"], 100 * gains["after"]
    ax.hlines(places, before, after, color="0.7", linewidth=2)
    ax.plot(before, places, "o", color=ORANGE, markerfacecolor="white", label="before")
    ax.plot(after, places, "D", color=BLUE, label="after")
    for place, *ends in zip(places, before, after, strict=True):
        text = f"{ends[0]:.1f} to {ends[1]:.1f}"
        ax.annotate(text, (max(ends), place), (9, 0), textcoords="offset points", va="center")
    ax.set_yticks(places, gains.index)
    ax.invert_yaxis()
    ax.set(xlabel="misread (%)", xlim=(-1, 1.25 * max(before.max(), after.max(), 1)), title=title)
    ax.legend(loc="lower right")
    return ax
