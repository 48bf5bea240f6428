"""The steps from a picture to a digit, one after the other, and how much each of them contributes.

The first is what most projects do with their users' pictures; each further one adds a stage of
`digits.pictures`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from digits.data.labels import PAGE, SINGLE
from digits.evaluation.scoring import edit_distance
from digits.pictures import decode, find_ink, to_mnist_form
from digits.pictures.ink import DARK, to_grey
from digits.pictures.mnist_form import SIDE, fit_and_centre, ink_box

if TYPE_CHECKING:
    from digits.recognizer import Recognizer

ONE_DIGIT_STEPS = (
    "plain resize",  # Pillow's grey, squeezed to 28 by 28, as most projects do
    "+ decode",  # upright, transparency on the background that shows the ink, deep greys kept
    "+ polarity",  # ink light on dark, whichever way it was
    "+ ink",  # paper, shadow, ruled lines and noise taken away
    "+ fit and centre",  # cut to the ink, scaled into 20 by 20, centre of mass in the middle
    "+ stroke width",  # strokes thickened or thinned to MNIST's width before that
)
SEGMENTATION = "+ segmentation"


def reading_steps(path: str | Path) -> dict[str, np.ndarray]:
    """Return the input of the network, uint8 (28, 28), after each step, for a picture of one digit."""
    with Image.open(path) as image:
        plain = np.asarray(image.convert("L"))
    picture = decode(path)
    ink = find_ink(picture)
    grey = to_grey(picture.pixels)
    light = 255 - grey if ink.polarity == DARK else grey
    squeezed = [_squeezed(grey) for grey in (plain, grey, light, 255 * ink.strength)]
    if ink.mask.any():
        left, top, width, height = ink_box(ink.mask)
        cropped = ink.strength[top : top + height, left : left + width]
        fitted = [fit_and_centre(cropped), to_mnist_form(cropped)]
    else:
        fitted = [np.zeros((SIDE, SIDE), np.uint8)] * 2
    return dict(zip(ONE_DIGIT_STEPS, squeezed + fitted, strict=True))


def _squeezed(grey: np.ndarray) -> np.ndarray:
    """Resize to 28 by 28 without regard to the aspect."""
    image = Image.fromarray(np.uint8(np.clip(np.rint(grey), 0, 255)))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def score_steps(model: Recognizer, folder: str | Path, scores: pd.DataFrame) -> pd.DataFrame:
    """Score every step on a folder of labelled pictures.

    `scores` come from `scoring.score_readings` on that folder: the last step, everything together.

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
    for step in ONE_DIGIT_STEPS if shown else ():
        answers = model.predict(np.stack([images[step] for images in shown]))
        pairs = zip(answers["digit"].astype(str), written["label"], strict=True)
        n_errors = [edit_distance(*pair) for pair in pairs]
        accepted = answers["accepted"].to_numpy()
        rows[step] = _counts(written.assign(n_errors=n_errors, accepted=accepted))
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


def broken_habits(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return a digit in MNIST form, and as it would arrive if one step had been left out.

    All images are uint8 (28, 28); the one given has ink.
    """
    left, top, width, height = ink_box(image)
    cropped = Image.fromarray(image[top : top + height, left : left + width])
    small = cropped.resize([max(1, side // 2) for side in cropped.size])
    shrunk = Image.new("L", (SIDE, SIDE))
    shrunk.paste(small, tuple((SIDE - side) // 2 for side in small.size))
    return {
        "as it is": image,
        "inverted": 255 - image,
        "in the corner": np.roll(image, (-top, -left), (0, 1)),
        "no margin, stretched": np.asarray(cropped.resize((SIDE, SIDE))),
        "half the size": np.asarray(shrunk),
        "thin strokes": ndimage.grey_erosion(image, 2),
        "thick strokes": ndimage.grey_dilation(image, 3),
    }
