"""A person's labelled pictures as examples to learn from: which can be used, why others cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits import InputError
from digits.data.labels import load_labels
from digits.pictures.decoding import EXTENSIONS

if TYPE_CHECKING:
    from digits.recognizer import Reading, Recognizer

MIN_EXAMPLES = 10  # pictures from which fine-tuning is worth a try
LABELS = "labels.csv"
NAMED = re.compile(r"(\d+)(?=$|[ _.-])")  # "7", "7_first", "7-2", but not "7th" or "IMG_1234"


@dataclass(frozen=True)
class Examples:
    """Labelled digits of one writer.

    Attributes
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28) in MNIST form.
    labels : numpy.ndarray
        int64 (n,), 0 to 9.
    names : tuple of str
        The picture that each comes from, relative to the folder.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __str__(self) -> str:
        counts = np.bincount(self.labels, minlength=10)
        missing = ", ".join(str(digit) for digit in np.flatnonzero(counts == 0))
        remark = f", none of {missing}: read as before" if missing else ""
        return f"{len(self)} pictures of {np.count_nonzero(counts)} digits{remark}"

    def require_enough(self) -> None:
        """Raise InputError if there are fewer than `MIN_EXAMPLES`, or they all show the same digit."""
        if len(self) < MIN_EXAMPLES:
            raise InputError(
                f"{len(self)} usable pictures; expected at least {MIN_EXAMPLES}, better two of each "
                "digit: add more, nothing was changed"
            )
        if len(set(self.labels.tolist())) == 1:
            raise InputError(
                f"all pictures are labelled {self.labels[0]}, from which a network learns to answer "
                f"{self.labels[0]} always: add other digits, nothing was changed"
            )


def load_examples(folder: str | Path, recognizer: Recognizer) -> tuple[Examples, list[str]]:
    """Load the labelled pictures, each of one digit, of a folder and its subfolders.

    A label comes from ``labels.csv`` where there is one, else from the subfolder (``7/first.png``),
    else from the beginning of the name (``7_first.png``). Returns the examples that can be used,
    sorted by path, and a line for each picture that was left out or should be checked: which, why,
    and what to do.

    Raises
    ------
    InputError
        If there is no such folder, or its ``labels.csv`` cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one that holds pictures of digits")
    listed = None
    if (folder / LABELS).exists():
        table = load_labels(folder)
        files = (Path(file).as_posix() for file in table["file"])
        listed = dict(zip(files, table["written"], strict=True))
    found: dict[bytes, dict[str, int]] = {}  # the label of each picture that gives an image
    remarks = []
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        name = place.as_posix()
        if path.suffix.lower() not in EXTENSIONS or any(p.startswith(".") for p in place.parts):
            continue
        label = _label_in_path(place) if listed is None else listed.get(name, "")
        problem = _label_problem(label, place, listed is not None)
        if not problem:
            whole, single = recognizer.read(path), recognizer.read(path, single=True)
            problem = _picture_problem(whole, single)
        if problem:
            remarks.append(f"{name} is left out: {problem}")
            continue
        found.setdefault(single.digits[0].image.tobytes(), {})[name] = int(label)
        if whole.status == "no-digit":
            remarks.append(
                f"{name} does not look like a digit; it is used, so check that it shows a {label}"
            )
    kept: dict[bytes, tuple[str, int]] = {}
    for image, copies in found.items():
        names = ", ".join(copies)
        if len(set(copies.values())) > 1:
            remarks.append(
                f"{names} are one picture with several labels: left out; keep the right one"
            )
            continue
        kept[image] = next(iter(copies.items()))
        if len(copies) > 1:
            remarks.append(f"{names} are the same picture: the first one is used")
    images = np.frombuffer(bytearray().join(kept), np.uint8).reshape(-1, 28, 28)
    labels = np.array([label for _, label in kept.values()], np.int64)
    return Examples(images, labels, tuple(name for name, _ in kept.values())), remarks


def _label_in_path(place: Path) -> str:
    """Return the label that a path gives: its subfolder's name, else how its own begins."""
    if len(place.parts) > 1 and place.parts[0].isdecimal():
        return place.parts[0]
    found = NAMED.match(place.name)
    return found[1] if found else ""


def _label_problem(label: str, place: Path, is_listed: bool) -> str:
    if len(label) == 1 and label in "0123456789":
        return ""
    if label:
        return (
            f"its label {label!r} is not a digit from 0 to 9; correct it, or cut out single digits"
        )
    if is_listed:
        return f"{LABELS} does not say which digit it shows; add a row like {place.as_posix()},7"
    return f"neither name nor folder says which digit it shows; name it 7_{place.name} if it is a 7"


def _picture_problem(whole: Reading, single: Reading) -> str:
    """Say why a picture, read as it is and as one digit, cannot be used; "" if it can."""
    if not single.digits:
        return single.message
    # A label may belong to one digit only. Pieces of one unusual digit are hardly ever all sure.
    heights = [digit.box[3] for digit in whole.digits if digit.accepted]
    n_digits = sum(height >= 0.5 * max(heights) for height in heights)
    if n_digits > 1:
        return f"{n_digits} digits are on it; cut it into pictures of one digit each"
    return ""
