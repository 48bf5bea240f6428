"""Scores readings of labelled pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from digits.data.labels import NOTHING, PAGE, SINGLE

if TYPE_CHECKING:
    from digits.recognizer import Reading


def score_readings(labels: pd.DataFrame, readings: Iterable[Reading]) -> pd.DataFrame:
    """Compare readings with labels.

    `labels` come from `load_labels`; there is one reading for each row, in order.

    Returns
    -------
    pandas.DataFrame
        The labels with the columns text, status, confidence, n_errors (digits to be inserted,
        deleted or replaced), exact (no errors), and outcome: "unsure" where the answer was
        withheld, else "right" or "wrong".
    """
    readings = list(readings)
    table = labels.assign(
        text=[reading.text for reading in readings],
        status=[reading.status for reading in readings],
        confidence=[reading.confidence for reading in readings],
    )
    table["n_errors"] = [
        (bag_distance if row.scattered else edit_distance)(row.text, row.label)
        for row in table.itertuples()
    ]
    table["exact"] = table["n_errors"] == 0
    table["outcome"] = table["exact"].map({True: "right", False: "wrong"})
    table.loc[table["status"] == "unsure", "outcome"] = "unsure"
    return table


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Count over a table from `score_readings`.

    Returns
    -------
    pandas.DataFrame
        A row a group, with integers: n_pictures, n_exact (read right, sure or not), n_digits,
        n_digit_errors, n_accepted (status "ok"), n_accepted_wrong.
    """
    accepted = scores["status"] == "ok"
    counts = pd.DataFrame(
        {
            "n_pictures": 1,
            "n_exact": scores["exact"],
            "n_digits": scores["label"].str.len(),
            "n_digit_errors": scores["n_errors"],
            "n_accepted": accepted,
            "n_accepted_wrong": accepted & ~scores["exact"],
        }
    )
    return counts.groupby(scores["group"]).sum().reindex([SINGLE, PAGE, NOTHING], fill_value=0)


def edit_distance(a: str, b: str) -> int:
    """Return how many characters must be inserted, deleted or replaced to turn `a` into `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def bag_distance(a: str, b: str) -> int:
    """Return the edit distance of two texts whose order does not matter."""
    a, b = Counter(a), Counter(b)
    return max((a - b).total(), (b - a).total())
