"""Measuring a classifier: one table of predictions, and every figure computed from it.

Nothing here knows how the probabilities came about: no TensorFlow, no ONNX Runtime.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage, optimize, stats

from digits import InputError

N_DIGITS = 10
SIDE = 28

# Equal-width bins, as many as Guo et al. (2017), "On Calibration of Modern Neural Networks".
CALIBRATION_BINS = 15

# MNIST test images whose given label a majority of five annotators did not confirm. Counted from
# mturk/mnist_mturk.json of github.com/cleanlab/label-errors (Northcutt, Athalye and Mueller, 2021).
DISPUTED_TEST_LABELS = (
    947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729,
)  # fmt: skip

# --- Predictions -------------------------------------------------------------------------------


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities from logits.

    Parameters
    ----------
    logits : numpy.ndarray
        Float (n, k).
    temperature : float
        Above 0. Larger values make every probability less extreme and change no order.

    Returns
    -------
    numpy.ndarray
        float64 (n, k); each row sums to 1.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def prediction_table(
    probabilities: np.ndarray, labels: np.ndarray, threshold: float = 0.0
) -> pd.DataFrame:
    """Put one prediction run into one table, a row an image, which every other function takes.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Float (n, 10), 0 to 1, column d for digit d. Rows of a network that has a class "not a digit"
        sum to less than 1; an 11th column is ignored.
    labels : numpy.ndarray
        Integers (n,), 0 to 9.
    threshold : float
        Smallest confidence that is accepted.

    Returns
    -------
    pandas.DataFrame
        ``index`` (position in the arrays given), ``true``, ``predicted`` (the likeliest digit),
        ``confidence`` (its probability), ``p_true`` (the label's probability), ``accepted``.

    Raises
    ------
    InputError
        If the two arrays do not belong together, or a label is no digit.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] < N_DIGITS:
        raise InputError(
            f"probabilities have shape {probabilities.shape}; expected (n, {N_DIGITS})"
        )
    if labels.shape != probabilities.shape[:1]:
        raise InputError(
            f"{len(probabilities)} rows of probabilities but labels of shape {labels.shape}; "
            "expected one label a row"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < N_DIGITS):
        raise InputError(f"labels run from {labels.min()} to {labels.max()}; expected 0 to 9")
    of_digits = probabilities[:, :N_DIGITS].astype(np.float64)
    rows = np.arange(len(labels))
    predicted = of_digits.argmax(axis=1)
    confidence = of_digits[rows, predicted]
    return pd.DataFrame(
        {
            "index": rows,
            "true": labels.astype(np.int64),
            "predicted": predicted,
            "confidence": confidence,
            "p_true": of_digits[rows, labels],
            "accepted": confidence >= threshold,
        }
    )


def is_wrong(table: pd.DataFrame) -> pd.Series:
    """Return which rows of a prediction table are mistakes, bool (n,)."""
    return table["predicted"] != table["true"]


# --- Accuracy ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """An accuracy with the counts that it comes from and its 95 % interval.

    Attributes
    ----------
    n_scored, n_wrong : int
    value, low, high : float
        Accuracy and the bounds of its interval, 0 to 1.
    """

    n_scored: int
    n_wrong: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, n_scored: int, n_wrong: int) -> Score:
        """Return the score of `n_wrong` mistakes among `n_scored` images.

        The interval is Wilson's (1927), which stays inside 0..1 and is not empty at no mistakes.
        """
        if not 0 <= n_wrong <= n_scored or n_scored == 0:
            raise InputError(f"{n_wrong} mistakes among {n_scored} images: no score can be given")
        interval = stats.binomtest(n_scored - n_wrong, n_scored).proportion_ci(0.95, "wilson")
        return cls(
            int(n_scored), int(n_wrong), 1 - n_wrong / n_scored,
            float(interval.low), float(interval.high),
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.value:.2%} ({self.n_wrong:,} of {self.n_scored:,} wrong; "
            f"95 % interval {self.low:.2%} to {self.high:.2%})"
        )


def accuracy(table: pd.DataFrame) -> Score:
    """Return the share of right predictions, accepted or not, with its 95 % interval."""
    return Score.of(len(table), int(is_wrong(table).sum()))


def confusion(table: pd.DataFrame) -> np.ndarray:
    """Return how often each digit was taken for each: int64 (10, 10), row true, column predicted."""
    counts = np.zeros((N_DIGITS, N_DIGITS), np.int64)
    np.add.at(counts, (table["true"], table["predicted"]), 1)
    return counts


def per_class(table: pd.DataFrame) -> pd.DataFrame:
    """Return precision, recall and F1 of each digit.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``digit``, 0 to 9: ``n_true``, ``n_predicted``, ``precision``, ``recall``, ``f1``
        (0 to 1; 0 where the denominator is 0).
    """
    counts = confusion(table)
    right, n_true, n_predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return pd.DataFrame(
        {
            "n_true": n_true,
            "n_predicted": n_predicted,
            "precision": right / np.maximum(n_predicted, 1),
            "recall": right / np.maximum(n_true, 1),
            "f1": 2 * right / np.maximum(n_true + n_predicted, 1),
        },
        index=pd.RangeIndex(N_DIGITS, name="digit"),
    )


def errors(table: pd.DataFrame, n: int | None = None) -> pd.DataFrame:
    """Return the `n` wrong rows of the table (all by default), the most confident first."""
    wrong = table[is_wrong(table)]
    return wrong.sort_values("confidence", ascending=False, kind="stable").head(n or len(wrong))


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Return the figures by which two models are set side by side.

    Returns
    -------
    dict
        ``n_scored``, ``n_wrong``, ``accuracy``, ``expected_calibration_error``, ``coverage`` (share
        accepted) and ``n_accepted_wrong``.
    """
    score = accuracy(table)
    return {
        "n_scored": score.n_scored,
        "n_wrong": score.n_wrong,
        "accuracy": score.value,
        "expected_calibration_error": expected_calibration_error(table),
        "coverage": float(table["accepted"].mean()),
        "n_accepted_wrong": int((table["accepted"] & is_wrong(table)).sum()),
    }


def compare(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """Compare two models on the same images, by McNemar's exact test (1947).

    Only the images on which one is right and the other wrong tell the two apart.

    Returns
    -------
    dict
        ``only_first_wrong``, ``only_second_wrong``, ``both_wrong`` (int), and ``p_value``: how often
        two equally good models would differ by at least this much.
    """
    if not np.array_equal(first[["index", "true"]], second[["index", "true"]]):
        raise InputError("the two tables are not about the same images")
    a, b = is_wrong(first).to_numpy(), is_wrong(second).to_numpy()
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    differing = only_first + only_second
    return {
        "only_first_wrong": only_first,
        "only_second_wrong": only_second,
        "both_wrong": int((a & b).sum()),
        "p_value": float(stats.binomtest(only_first, differing).pvalue) if differing else 1.0,
    }


# --- Confidence --------------------------------------------------------------------------------


def calibration_curve(table: pd.DataFrame, n_bins: int = CALIBRATION_BINS) -> pd.DataFrame:
    """Compare confidence and accuracy in bins of equal width.

    Returns
    -------
    pandas.DataFrame
        A row for each bin that holds an image: ``low``, ``high`` (bounds of the bin), ``n``,
        ``confidence`` (mean), ``accuracy``, and ``accuracy_low``, ``accuracy_high`` (95 %).
    """
    confidence = table["confidence"].to_numpy()
    right = ~is_wrong(table).to_numpy()
    bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    rows = []
    for b in np.unique(bins):
        inside = bins == b
        score = Score.of(int(inside.sum()), int((~right[inside]).sum()))
        rows.append(
            (b / n_bins, (b + 1) / n_bins, score.n_scored, confidence[inside].mean(),
             score.value, score.low, score.high)
        )  # fmt: skip
    columns = ["low", "high", "n", "confidence", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=columns)


def expected_calibration_error(table: pd.DataFrame, n_bins: int = CALIBRATION_BINS) -> float:
    """Return the mean distance between confidence and accuracy over the bins of `calibration_curve`.

    Bins weigh as many images as they hold. The expected calibration error of Naeini et al. (2015)
    with the 15 equal-width bins of Guo et al. (2017); 0 to 1.
    """
    bins = calibration_curve(table, n_bins)
    return float(np.average((bins["accuracy"] - bins["confidence"]).abs(), weights=bins["n"]))


def risk_coverage_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Return what every possible threshold would accept, and how much of that is wrong.

    Returns
    -------
    pandas.DataFrame
        A row for each distinct confidence, falling: ``threshold``, ``n_accepted``, ``n_wrong`` among
        them, ``coverage`` (share of the images accepted) and ``error`` (share of those wrong).
    """
    ordered = table.sort_values("confidence", ascending=False)
    curve = pd.DataFrame(
        {
            "threshold": ordered["confidence"],
            "n_accepted": np.arange(1, len(ordered) + 1),
            "n_wrong": is_wrong(ordered).cumsum(),
        }
    ).drop_duplicates("threshold", keep="last")  # equal confidences are accepted together
    curve["coverage"] = curve["n_accepted"] / len(ordered)
    curve["error"] = curve["n_wrong"] / curve["n_accepted"]
    return curve.reset_index(drop=True)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that makes the probabilities of held-out images most believable.

    Minimises the negative log-likelihood (Guo et al., 2017) plus a weak Gaussian prior on the
    temperature's logarithm (mean 0, deviation 1), which counts about as much as one image: without
    it, a validation set without mistakes would call for a temperature of 0.

    Parameters
    ----------
    logits : numpy.ndarray
        Float (n, k) of validation images, never of test images.
    labels : numpy.ndarray
        Integers (n,), 0 to k - 1.

    Returns
    -------
    float
        0.05 to 20; above 1 where the network was too sure.
    """
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(logits))

    def objective(log_temperature: float) -> float:
        scaled = logits * math.exp(-log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((log_sum - scaled[rows, labels]).sum() + log_temperature**2 / 2)

    bounds = (math.log(0.05), math.log(20))
    return math.exp(optimize.minimize_scalar(objective, bounds=bounds, method="bounded").x)


def choose_threshold(confidence: np.ndarray, *, accept: float = 0.99) -> float:
    """Return the highest confidence to ask for at which still `accept` of the digits pass.

    Each refusal of a clean digit costs a user a look; the threshold spends that price where it buys
    most, on whatever the model is unsure of: mistakes, bad pictures, things that are no digit.

    Parameters
    ----------
    confidence : numpy.ndarray
        Float (n,), 0 to 1, of validation digits.
    accept : float
        Share of them that must pass, 0 to 1.

    Returns
    -------
    float
        Rounded down to four decimals, which keeps the promise.
    """
    digits = np.sort(np.asarray(confidence, np.float64))
    # At most this many digits may fall below; the epsilon undoes 1 - 0.99 = 0.01000000000000000888.
    n_refused = math.floor((1 - accept) * len(digits) + 1e-9)
    return math.floor(digits[min(n_refused, len(digits) - 1)] * 1e4) / 1e4


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    """Return how often a digit is more confident than something else (ties count half).

    The area under the receiver operating characteristic, as the Mann-Whitney statistic.

    Parameters
    ----------
    known, other : numpy.ndarray
        Confidences (n,) of digits and (m,) of images that are none.

    Returns
    -------
    float
        0.5 tells nothing apart, 1 everything.
    """
    known, other = np.asarray(known, np.float64), np.asarray(other, np.float64)
    ranks = stats.rankdata(np.concatenate([known, other]))[: len(known)]
    return float((ranks.sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(other)))


def occlusion_map(
    probabilities: Callable[[np.ndarray], np.ndarray], image: np.ndarray, digit: int, side: int = 5
) -> np.ndarray:
    """Return how much each place of an image speaks for `digit`.

    A square of paper covers the image at every position in turn; the map is the mean loss of the
    digit's probability over the squares that cover a pixel (after Zeiler and Fergus, 2014).

    Parameters
    ----------
    probabilities : callable
        uint8 (n, 28, 28) to float (n, 10), such as `Recognizer.probabilities`.
    image : numpy.ndarray
        uint8 (28, 28).
    side : int
        Side of the square in pixels.

    Returns
    -------
    numpy.ndarray
        float64 (28, 28), -1 to 1: positive where the ink speaks for the digit, negative where the
        digit would be likelier without it.
    """
    corners = [(y, x) for y in range(1 - side, SIDE) for x in range(1 - side, SIDE)]
    # Squares may hang over the frame, so that each pixel is covered equally often.
    windows = [(slice(max(y, 0), y + side), slice(max(x, 0), x + side)) for y, x in corners]
    covered = np.repeat(image[None], len(windows) + 1, axis=0)
    for copy, window in zip(covered[1:], windows, strict=True):
        copy[window] = 0
    p = np.asarray(probabilities(covered), np.float64)[:, digit]
    total = np.zeros((SIDE, SIDE))
    for loss, window in zip(p[0] - p[1:], windows, strict=True):
        total[window] += loss
    return total / side**2


def occlusion_maps(
    probabilities: Callable[[np.ndarray], np.ndarray], images: np.ndarray, rows: pd.DataFrame
) -> np.ndarray:
    """Map what spoke for the digit that was read, and what for the true one.

    Parameters
    ----------
    probabilities : callable
        As for `occlusion_map`.
    images : numpy.ndarray
        uint8 (n, 28, 28), which ``index`` of the rows counts in.
    rows : pandas.DataFrame
        Some rows of a prediction table.

    Returns
    -------
    numpy.ndarray
        float64 (len(rows), 2, 28, 28): `occlusion_map` of the predicted digit, then of the true one.
    """
    return np.array(
        [
            [occlusion_map(probabilities, images[row.place], d) for d in (row.predicted, row.true)]
            for row in rows.rename(columns={"index": "place"}).itertuples(index=False)
        ]
    )


# --- Corruptions -------------------------------------------------------------------------------
#
# For measuring only. They differ in kind or in form from what `augmentation` trains on: fixed
# amounts at moderate strength, other resampling, other shapes. `images` is float (n, 28, 28).


def _each(change: Callable[..., np.ndarray], images: np.ndarray, *arguments) -> np.ndarray:
    """Apply `change` to every image with its own element of each of the `arguments`."""
    return np.stack([change(*one) for one in zip(images, *arguments, strict=True)])


def _signs(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1.0, 1.0], n)


def _affine(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    centre = np.full(2, (SIDE - 1) / 2)
    return ndimage.affine_transform(image, matrix, centre - matrix @ centre, order=3)


def _rotate(images, degrees, rng):
    angles = np.radians(degrees) * _signs(len(images), rng)
    cos, sin = np.cos(angles), np.sin(angles)
    return _each(_affine, images, np.array([[cos, sin], [-sin, cos]]).transpose(2, 0, 1))


def _shift(images, pixels, rng):
    angles = rng.uniform(0, 2 * np.pi, len(images))
    offsets = pixels * np.column_stack([np.sin(angles), np.cos(angles)])
    return _each(lambda image, offset: ndimage.shift(image, offset, order=1), images, offsets)


def _scale(images, percent, rng):
    factors = (1 + percent / 100) ** _signs(len(images), rng)
    return _each(_affine, images, factors[:, None, None] * np.eye(2))


def _shear(images, slope, rng):
    matrices = np.tile(np.eye(2), (len(images), 1, 1))
    matrices[:, 1, 0] = slope * _signs(len(images), rng)
    return _each(_affine, images, matrices)


def _restroke(images, pixels, morphology):
    """Move every edge by `pixels`, on a grid four times as fine."""
    radius = max(1, round(4 * pixels))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = x**2 + y**2 <= radius**2

    def change(image):
        fine = morphology(
            ndimage.zoom(image, 4, order=1, grid_mode=True, mode="nearest"), footprint=disk
        )
        return fine.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))

    return _each(change, images)


def _thin(images, pixels, rng):
    return _restroke(images, pixels, ndimage.grey_erosion)


def _thicken(images, pixels, rng):
    return _restroke(images, pixels, ndimage.grey_dilation)


def _gaussian_noise(images, deviation, rng):
    return images + rng.normal(0, deviation, images.shape)


def _salt_and_pepper(images, percent, rng):
    draw = rng.uniform(0, 100, images.shape)
    return np.where(draw < percent / 2, 0.0, np.where(draw < percent, 1.0, images))


def _blur(images, deviation, rng):
    return ndimage.gaussian_filter(images, (0, deviation, deviation))


def _motion_blur(images, pixels, rng):
    def change(image, angle):
        steps = np.linspace(-pixels / 2, pixels / 2, 9)
        return np.mean(
            [ndimage.shift(image, (t * np.sin(angle), t * np.cos(angle)), order=1) for t in steps],
            0,
        )

    return _each(change, images, rng.uniform(0, np.pi, len(images)))


def _low_contrast(images, percent, rng):
    return images * (1 - min(percent, 95) / 100)


def _bright_background(images, level, rng):
    level = min(level, 0.95)
    return level + (1 - level) * images


def _fog(images, level, rng):
    """Lay clouds over the image: smooth noise of three sizes."""
    clouds = sum(
        ndimage.gaussian_filter(rng.normal(size=images.shape), (0, width, width), mode="wrap")
        * width**2
        for width in (2, 4, 8)
    )
    low = clouds.min(axis=(1, 2), keepdims=True)
    high = clouds.max(axis=(1, 2), keepdims=True)
    haze = level * (clouds - low) / (high - low)
    return images * (1 - haze) + haze


def _waves(n: int, rng: np.random.Generator, period: tuple[float, float]) -> np.ndarray:
    """Return distances (n, 28, 28) along a random direction, in periods."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = rng.uniform(0, np.pi, (n, 1, 1))
    along = x * np.cos(angle) + y * np.sin(angle)
    return along / rng.uniform(*period, (n, 1, 1)) + rng.uniform(0, 1, (n, 1, 1))


def _stripes(images, level, rng):
    stripes = 0.5 + 0.5 * np.cos(2 * np.pi * _waves(len(images), rng, (4, 8)))
    return np.maximum(images, level * stripes)


def _dotted_line(images, level, rng):
    """Draw a line of dots, 1.6 pixels wide and 3.5 apart, through the middle third."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    angle = rng.uniform(0, np.pi, (len(images), 1, 1))
    across = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-5, 5, (len(images), 1, 1))
    along = y * np.cos(angle) - x * np.sin(angle)
    to_dot = (along + rng.uniform(0, 3.5, (len(images), 1, 1))) % 3.5 - 1.75
    dots = np.clip(1.3 - np.hypot(across, to_dot), 0, 1)
    return np.maximum(images, min(level, 1) * dots)


def _occlude(images, pixels, rng):
    """Cover a band of the given width, horizontal or vertical, with paper."""
    place = np.arange(SIDE) - rng.uniform(8, SIDE - 8 - pixels, (len(images), 1))
    band = np.clip(np.minimum(place + 1, pixels - place), 0, 1)
    horizontal = rng.random((len(images), 1, 1)) < 0.5
    return images * (1 - np.where(horizontal, band[:, :, None], band[:, None, :]))


def _pixelate(images, pixels, rng):
    """Average over square cells of the given side, aligned anywhere."""
    pixels = max(pixels, 1.0)
    places = np.arange(SIDE) + rng.uniform(0, pixels, (2, len(images), 1))
    rows, columns = (places // pixels).astype(int)  # 0 to 28

    def change(image, row, column):
        cells = (row[:, None] * (SIDE + 1) + column[None]).ravel()
        sums = np.bincount(cells, image.ravel())
        return (sums[cells] / np.bincount(cells)[cells]).reshape(SIDE, SIDE)

    return _each(change, images, rows, columns)


def _jpeg(images, strength, rng):
    """Compress by the real codec at quality 100 - `strength`."""
    from PIL import Image

    quality = max(1, round(100 - strength))

    def change(image):
        buffer = io.BytesIO()
        Image.fromarray(np.uint8(image * 255 + 0.5)).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer), np.float64) / 255

    return _each(change, images)


@dataclass(frozen=True)
class Corruption:
    """One way to spoil an image.

    Attributes
    ----------
    amount : float
        How much at severity 1: moderate, that is, judged by eye to leave a digit easy to read.
    unit : str
        What `amount` counts.
    change : callable
        Float images (n, 28, 28), the amount, and a random generator, to images of the same shape.
    """

    amount: float
    unit: str
    change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


CORRUPTIONS: dict[str, Corruption] = {
    "rotation": Corruption(20, "degrees, either way", _rotate),
    "shift": Corruption(3, "pixels, any direction", _shift),
    "scale": Corruption(30, "% larger or smaller", _scale),
    "shear": Corruption(0.4, "pixels a row, either way", _shear),
    "thin stroke": Corruption(0.5, "pixels off each edge", _thin),
    "thick stroke": Corruption(0.75, "pixels onto each edge", _thicken),
    "gaussian noise": Corruption(0.2, "standard deviation", _gaussian_noise),
    "salt and pepper": Corruption(8, "% of the pixels", _salt_and_pepper),
    "blur": Corruption(1.2, "pixels, deviation", _blur),
    "motion blur": Corruption(5, "pixels", _motion_blur),
    "low contrast": Corruption(65, "% of the ink's strength lost", _low_contrast),
    "bright background": Corruption(0.4, "of the ink's strength", _bright_background),
    "fog": Corruption(0.6, "of the ink's strength, at most", _fog),
    "stripes": Corruption(0.4, "of the ink's strength", _stripes),
    "dotted line": Corruption(0.9, "of the ink's strength", _dotted_line),
    "occlusion": Corruption(3, "pixels, width of a band", _occlude),
    "pixelation": Corruption(2.5, "pixels, side of a cell", _pixelate),
    "jpeg": Corruption(85, "taken from quality 100", _jpeg),
}


def corrupt(images: np.ndarray, name: str, severity: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return corrupted copies of images, the same ones for the same seed.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28).
    name : str
        A key of `CORRUPTIONS`.
    severity : float
        0 changes nothing, 1 is moderate; the amount is proportional.

    Returns
    -------
    numpy.ndarray
        uint8 (n, 28, 28).

    Raises
    ------
    InputError
        If there is no such corruption, or the severity is negative.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"unknown corruption {name!r}; there are {', '.join(CORRUPTIONS)}")
    if not severity >= 0:
        raise InputError(f"severity={severity} is not valid: expected 0 or more")
    if severity == 0 or len(images) == 0:
        return images.copy()
    corruption = CORRUPTIONS[name]
    # Each kind has its own stream, so that adding a kind leaves the others as they are.
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    changed = corruption.change(images / 255, corruption.amount * severity, rng)
    return np.uint8(np.clip(changed, 0, 1) * 255 + 0.5)


def corruption_errors(
    probabilities: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    names: Iterable[str] = tuple(CORRUPTIONS),
    severities: Iterable[float] = (1.0,),
    seed: int = 0,
) -> pd.DataFrame:
    """Count the mistakes on the same images under each corruption at each severity.

    Parameters
    ----------
    probabilities : callable
        uint8 (n, 28, 28) to float (n, 10), such as `Recognizer.probabilities`.
    images, labels : numpy.ndarray
        uint8 (n, 28, 28) and integers (n,).
    names : iterable of str
        Keys of `CORRUPTIONS`.
    severities : iterable of float
        As for `corrupt`.

    Returns
    -------
    pandas.DataFrame
        ``corruption``, ``severity``, ``amount``, ``unit``, ``n_wrong``, ``error``, and its 95 %
        interval ``low``, ``high`` (0 to 1); names outside, severities inside.
    """
    severities = tuple(severities)
    rows = []
    for name in names:
        for severity in severities:
            spoiled = probabilities(corrupt(images, name, severity, seed))
            score = accuracy(prediction_table(spoiled, labels))
            kind = CORRUPTIONS[name]
            rows.append(
                {
                    "corruption": name,
                    "severity": severity,
                    "amount": kind.amount * severity,
                    "unit": kind.unit,
                    "n_wrong": score.n_wrong,
                    "error": 1 - score.value,
                    "low": 1 - score.high,
                    "high": 1 - score.low,
                }
            )
    return pd.DataFrame(rows)
