"""How far a confidence can be believed, and what is gained by withholding unsure answers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import optimize
from scipy.special import softmax

from digits.evaluation.predictions import N_DIGITS, accuracy, is_wrong

# Equal-width bins, as many as Guo et al. (2017), "On Calibration of Modern Neural Networks".
CALIBRATION_BINS = 15


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Return the mean distance between confidence and accuracy over `CALIBRATION_BINS`, 0 to 1.

    The bins are of equal width, and weigh as many images as they hold (Naeini et al., 2015).
    """
    bins = (table["confidence"] * CALIBRATION_BINS).astype(int).clip(0, CALIBRATION_BINS - 1)
    too_sure = table["confidence"] - ~is_wrong(table)
    return float(too_sure.groupby(bins).sum().abs().sum() / len(table))


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Return the figures by which two models are set side by side; coverage is the share accepted."""
    score = accuracy(table)
    return {
        "n_scored": score.n_scored,
        "n_wrong": score.n_wrong,
        "accuracy": score.value,
        "expected_calibration_error": expected_calibration_error(table),
        "coverage": float(table["accepted"].mean()),
        "n_accepted_wrong": int((table["accepted"] & is_wrong(table)).sum()),
    }


def risk_coverage_curve(table: pd.DataFrame) -> pd.DataFrame:
    """Return how much every possible threshold would accept, and how much of that is wrong.

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
    """Return the temperature, 0.05 to 20, at which the mean confidence is the share that is right.

    This is the expectation consistency of Clarté et al. (2023). The commoner way, to minimise the
    log-likelihood (Guo et al., 2017), hangs on the few worst images where nearly all are right, and
    takes what the class of things that are no digit has of every digit for a doubt between digits: it
    leaves a good network too unsure. Half a mistake in one image more is counted, since a validation
    set without mistakes would call for a temperature of 0. It is above 1 where the network was too
    sure.

    Parameters
    ----------
    logits : numpy.ndarray
        Float (n, k) of validation images, never of test images; the first ten are those of the digits.
    labels : numpy.ndarray
        Integers (n,), 0 to 9.
    """
    logits = np.asarray(logits, np.float64)
    n_right = (logits[:, :N_DIGITS].argmax(axis=1) == labels).sum()
    share = (n_right + 0.5) / (len(logits) + 1)

    def excess(log_temperature: float) -> float:
        probabilities = softmax(logits * math.exp(-log_temperature), axis=1)
        return probabilities[:, :N_DIGITS].max(axis=1).mean() - share

    low, high = math.log(0.05), math.log(20)
    if excess(low) <= 0 or excess(high) >= 0:  # out of reach: the nearer end
        return math.exp(min(low, high, key=lambda end: abs(excess(end))))
    return math.exp(optimize.brentq(excess, low, high))


def choose_threshold(confidence: np.ndarray, *, accept: float = 0.99) -> float:
    """Return the highest threshold that a share `accept` of validation digits still passes.

    Each refusal of a clean digit costs a user a look; the threshold spends that price where it buys
    most, on whatever the model is unsure of: mistakes, bad pictures, things that are not digits.
    `confidence` is float (n,), 0 to 1; the threshold is rounded down to four decimals.
    """
    digits = np.sort(np.asarray(confidence, np.float64))
    # At most this many digits may fall below; the epsilon undoes 1 - 0.99 = 0.01000000000000000888.
    n_refused = math.floor((1 - accept) * len(digits) + 1e-9)
    return math.floor(digits[min(n_refused, len(digits) - 1)] * 1e4) / 1e4
