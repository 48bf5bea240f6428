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
        If there is no such file, it is not UTF-8 text, or a row, column or picture is missing.
    """
    import pandas as pd  # which reading pictures does not need

    folder = Path(folder)
    path = folder / "labels.csv"
    try:
        # Spreadsheets put a mark at the beginning, and leave out empty cells at the end of a row.
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = pd.DataFrame(csv.DictReader(file, restval=""))
        files, written = table["file"], table["label"].str.strip()
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):  # csv.Error: a cell of 128 KiB
        raise InputError(
            f"{path} cannot be read; expected UTF-8 text with the columns file and label, "
            "at least a row"
        ) from None
    missing = [name for name in files if not os.path.isfile(folder / name)]
    if missing:
        name = missing[0] if missing[0].isprintable() else repr(missing[0])
        raise InputError(f"{path} names {name}, which does not exist; correct the name")
    label = written.str.replace("[^0-9]", "", regex=True)
    return pd.DataFrame(
        {
            "file": files,
            "label": label,
            "written": written,
            "kind": table.get("kind", ""),
            "scattered": table.get("scattered", "") == "1",
            "group": label.str.len().clip(upper=2).map({0: NOTHING, 1: SINGLE, 2: PAGE}),
        }
    )
