"""Scores readings of labelled pictures, and what each step from a picture to a digit is worth.

The first of those steps is what most projects do with their users' pictures; each further one adds a
stage of `digits.pictures`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from digits.data.labels import NOTHING, PAGE, SINGLE
from digits.pictures import decode, find_ink, to_mnist_form
from digits.pictures.ink import DARK, to_grey
from digits.pictures.mnist_form import SIZE, fit_and_centre

if TYPE_CHECKING:
    from digits.recognizer import Reading, Recognizer

ONE_DIGIT_STEPS = (
    "plain resize",
    "+ decode",
    "+ polarity",
    "+ ink",
    "+ fit and centre",
    "+ stroke width",
)
SEGMENTATION = "+ segmentation"


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


def reading_steps(path: str | Path) -> dict[str, np.ndarray]:
    """Return what the network is shown after each of `ONE_DIGIT_STEPS`, the picture taken as one digit.

    Parameters
    ----------
    path : path
        A picture that `decode` can open.

    Returns
    -------
    dict of str to numpy.ndarray
        uint8 (28, 28) for each step:

        plain resize
            Pillow's grey, squeezed to 28 by 28, as most projects do.
        + decode
            Upright, transparency on the background that shows the ink, deep greys kept.
        + polarity
            Ink light on dark, whichever way it was.
        + ink
            Paper, shadow, rules and noise taken away.
        + fit and centre
            Cut to the ink, scaled into 20 by 20 with its aspect, centre of mass in the middle.
        + stroke width
            Strokes thickened or thinned to MNIST's width before that.
    """
    with Image.open(path) as image:
        plain = _squeezed(np.asarray(image.convert("L")))
    picture = decode(path)
    ink = find_ink(picture)
    grey = to_grey(picture.pixels)
    light = 255 - grey if ink.polarity == DARK else grey
    rows, columns = np.flatnonzero(ink.mask.any(1)), np.flatnonzero(ink.mask.any(0))
    if len(rows):
        cropped = ink.strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        fitted = fit_and_centre(cropped)
    else:
        cropped = ink.strength
        fitted = np.zeros((SIZE, SIZE), np.uint8)
    images = (
        plain,
        _squeezed(grey),
        _squeezed(light),
        _squeezed(255 * ink.strength),
        fitted,
        to_mnist_form(cropped),
    )
    return dict(zip(ONE_DIGIT_STEPS, images, strict=True))


def _squeezed(grey: np.ndarray) -> np.ndarray:
    """Resize to 28 by 28 without regard to the aspect."""
    image = Image.fromarray(np.uint8(np.clip(np.rint(grey), 0, 255)))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def score_steps(model: Recognizer, folder: str | Path, scores: pd.DataFrame) -> pd.DataFrame:
    """Score every step on a folder of labelled pictures.

    Parameters
    ----------
    model : Recognizer
    folder : path
    scores : pandas.DataFrame
        From `scoring.score_readings` on that folder: the last step, everything together.

    Returns
    -------
    pandas.DataFrame
        Indexed by step, with integers: n_singles, singles_right (sure or not), singles_accepted,
        singles_accepted_wrong, n_pages, pages_exact, page_digit_errors. Pictures without a digit are
        left out.
    """
    written = scores[scores["group"].isin([SINGLE, PAGE])]
    shown = [reading_steps(Path(folder) / file) for file in written["file"]]
    rows = {}
    for step in ONE_DIGIT_STEPS:
        table = written[["group", "label"]].copy()
        if len(table):
            answers = model.predict(np.stack([images[step] for images in shown]))
            table["n_errors"] = [
                edit_distance(str(digit), label)
                for digit, label in zip(answers["digit"], table["label"], strict=True)
            ]
            table["accepted"] = answers["accepted"].to_numpy()
            rows[step] = _counts(table)
    rows[SEGMENTATION] = _counts(written.assign(accepted=written["status"] == "ok"))
    return pd.DataFrame(rows).T.rename_axis("step")


def _counts(table: pd.DataFrame) -> dict[str, int]:
    singles, pages = (table[table["group"] == group] for group in (SINGLE, PAGE))
    return {
        "n_singles": len(singles),
        "singles_right": int((singles["n_errors"] == 0).sum()),
        "singles_accepted": int(singles["accepted"].sum()),
        "singles_accepted_wrong": int((singles["accepted"] & (singles["n_errors"] > 0)).sum()),
        "n_pages": len(pages),
        "pages_exact": int((pages["n_errors"] == 0).sum()),
        "page_digit_errors": int(pages["n_errors"].sum()),
    }


def degradations(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return a digit in MNIST form as it would arrive if one step had been left out.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (28, 28), with ink.

    Returns
    -------
    dict of str to numpy.ndarray
        uint8 (28, 28) for each thing that can be wrong, "as it is" first.
    """
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    cropped = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    small = np.asarray(cropped.resize([max(1, side // 2) for side in cropped.size]))
    top, left = ((SIZE - side) // 2 for side in small.shape)
    shrunk = np.zeros_like(image)
    shrunk[top : top + small.shape[0], left : left + small.shape[1]] = small
    return {
        "as it is": image,
        "inverted": 255 - image,
        "in the corner": np.roll(image, (-rows[0], -columns[0]), (0, 1)),
        "no margin, stretched": np.asarray(cropped.resize((SIZE, SIZE))),
        "half the size": shrunk,
        "thin strokes": ndimage.grey_erosion(image, 2),
        "thick strokes": ndimage.grey_dilation(image, 3),
    }
