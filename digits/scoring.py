"""Scores readings of labelled pictures: a folder with labels.csv, as `test_images/` is."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from digits.errors import InputError

if TYPE_CHECKING:
    from digits.recognizer import Reading

SINGLE, PAGE, NOTHING = "single digit", "page", "no digit"


def load_labels(folder: str | Path) -> pd.DataFrame:
    """Load what is written on the pictures of a folder.

    Parameters
    ----------
    folder : path
        Holds pictures and labels.csv with the columns ``file`` and ``label``: the digits, rows of
        a page divided by ``|``, empty where there is no digit. ``kind`` is optional, and so is
        ``scattered``: 1 where the order on the page carries nothing.

    Returns
    -------
    pandas.DataFrame
        One row a picture: file, label (digits only, rows joined), written (the label as it stands in
        the file), kind, scattered (bool), group (`SINGLE`, `PAGE` or `NOTHING`).

    Raises
    ------
    InputError
        If there is no such file, it is no UTF-8 text, or a column or a picture is missing.
    """
    folder = Path(folder)
    path = folder / "labels.csv"
    try:
        # Spreadsheets put a mark at the beginning, and leave out empty cells at the end of a row.
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error):  # csv.Error: a cell of 128 KiB and more
        raise InputError(
            f"{path} cannot be read; expected UTF-8 text with the columns file and label, "
            "a row a picture"
        ) from None
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise InputError(f"{path} has no rows, or lacks the columns file and label")
    missing = [row["file"] for row in rows if not os.path.isfile(folder / row["file"])]
    if missing:
        name = missing[0] if missing[0].isprintable() else repr(missing[0])
        raise InputError(f"{path} names {name}, which is not there; mend the name")
    labels = ["".join(c for c in row["label"] if c in "0123456789") for row in rows]
    return pd.DataFrame(
        {
            "file": [row["file"] for row in rows],
            "label": labels,
            "written": [row["label"].strip() for row in rows],
            "kind": [row.get("kind", "") for row in rows],
            "scattered": [row.get("scattered") == "1" for row in rows],
            "group": [NOTHING if not s else SINGLE if len(s) == 1 else PAGE for s in labels],
        }
    )


def score_readings(labels: pd.DataFrame, readings: Iterable[Reading]) -> pd.DataFrame:
    """Compare readings with labels.

    Parameters
    ----------
    labels : pandas.DataFrame
        From `load_labels`.
    readings : iterable of Reading
        One for each row, in order.

    Returns
    -------
    pandas.DataFrame
        The labels with the columns text, status, confidence, n_errors (digits to be inserted,
        deleted or replaced), exact (no errors), and outcome: "unsure" where the answer was
        withheld, else "right" or "wrong".
    """
    table = labels.copy()
    readings = list(readings)
    table["text"] = [reading.text for reading in readings]
    table["status"] = [reading.status for reading in readings]
    table["confidence"] = [reading.confidence for reading in readings]
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
    return (
        scores.assign(
            n_digits=scores["label"].str.len(),
            accepted=accepted,
            accepted_wrong=accepted & ~scores["exact"],
        )
        .groupby("group")
        .agg(
            n_pictures=("file", "size"),
            n_exact=("exact", "sum"),
            n_digits=("n_digits", "sum"),
            n_digit_errors=("n_errors", "sum"),
            n_accepted=("accepted", "sum"),
            n_accepted_wrong=("accepted_wrong", "sum"),
        )
        .reindex([SINGLE, PAGE, NOTHING], fill_value=0)
    )


def edit_distance(a: str, b: str) -> int:
    """Return how many characters must be inserted, deleted or replaced to turn `a` into `b`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def bag_distance(a: str, b: str) -> int:
    """Return the edit distance where order counts for nothing."""
    a, b = Counter(a), Counter(b)
    return max((a - b).total(), (b - a).total())
