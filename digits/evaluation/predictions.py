"""One table of predictions for each run of a classifier, and how often it is right.

Nothing here knows how the probabilities came about: no TensorFlow, no ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from digits import InputError

N_DIGITS = 10

# Turns images, uint8 (n, 28, 28), into probabilities (n, 10), as `Recognizer.probabilities` does.
Reader = Callable[[np.ndarray], np.ndarray]

# MNIST test images whose given label a majority of five annotators did not confirm. Counted from
# mturk/mnist_mturk.json of github.com/cleanlab/label-errors (Northcutt, Athalye and Mueller, 2021).
DISPUTED_TEST_LABELS = (
    947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729,
)  # fmt: skip


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
        If the two arrays do not belong together, or a label is not a digit.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] < N_DIGITS:
        raise InputError(f"probabilities have shape {probabilities.shape}; expected (n, 10)")
    if labels.shape != (n := len(probabilities),):
        raise InputError(f"{n} rows but labels of shape {labels.shape}; expected one label a row")
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


@dataclass(frozen=True)
class Score:
    """An accuracy (`value`) with its counts and the bounds of its 95 % interval, 0 to 1."""

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
        low, high = float(interval.low), float(interval.high)
        return cls(int(n_scored), int(n_wrong), 1 - n_wrong / n_scored, low, high)

    def __str__(self) -> str:
        return (
            f"{self.value:.2%} ({self.n_wrong:,} of {self.n_scored:,} wrong; "
            f"95 % interval {self.low:.2%} to {self.high:.2%})"
        )


def accuracy(table: pd.DataFrame) -> Score:
    """Return the share of right predictions, accepted or not, with its 95 % interval."""
    return Score.of(len(table), int(is_wrong(table).sum()))


def errors(table: pd.DataFrame, n: int | None = None) -> pd.DataFrame:
    """Return the `n` wrong rows of the table (all by default), the most confident first."""
    wrong = table[is_wrong(table)]
    return wrong.sort_values("confidence", ascending=False, kind="stable").head(n or len(wrong))


def compare(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """Compare two models on the same images, by McNemar's exact test (1947).

    Only the images on which one is right and the other wrong count in the test.

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
