"""The labels of a folder's pictures: its labels.csv, as `test_images/` has one."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

from digits import InputError

if TYPE_CHECKING:
    import pandas as pd

SINGLE, PAGE, NOTHING = "single digit", "page", "no digit"


def load_labels(folder: str | Path) -> pd.DataFrame:
    """Load the labels of a folder's pictures.

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
        If there is no such file, it is not UTF-8 text, or a column or a picture is missing.
    """
    import pandas as pd  # which reading pictures does not need

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
        raise InputError(f"{path} names {name}, which does not exist; correct the name")
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
