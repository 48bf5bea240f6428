"""A person's labelled pictures as examples to learn from: which can be used, and why others cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from digits import InputError
from digits.data.labels import load_labels
from digits.pictures.decoding import EXTENSIONS
from digits.pictures.filters import gaussian_filter

if TYPE_CHECKING:
    from digits.recognizer import Reading, Recognizer

MIN_EXAMPLES = 10  # pictures from which fine-tuning is worth a try
LABELS = "labels.csv"
NAMED = re.compile(r"(\d+)(?=$|[ _.-])")  # "7", "7_first", "7-2", but not "7th" or "IMG_1234"
# Probability of "not a digit" from which a picture is taken for no digit, unless another with the same
# label looks like it: a slip is not repeated, a habit is. Of digits in invented hands (`hands`) 1 % are
# above it, of letters 85 %.
NON_DIGIT = 0.9
# Correlation of two blurred images from which they look alike. Three quarters of the pairs of a digit
# in one invented hand reach it, and one in twenty letters beside two random digits.
ALIKE = 0.73


class _Candidate(NamedTuple):
    """A digit that was found on a picture."""

    name: str
    label: int
    image: np.ndarray
    is_non_digit: bool


@dataclass(frozen=True)
class Examples:
    """Digits of one hand and what they are.

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
        """Refuse examples from which nothing sensible can be learned.

        Raises
        ------
        InputError
            If there are fewer than `MIN_EXAMPLES`, or they all show the same digit.
        """
        if len(self) < MIN_EXAMPLES:
            raise InputError(
                f"{len(self)} usable pictures; expected at least {MIN_EXAMPLES}, better two of each digit: "
                "add more, nothing was changed"
            )
        if len(set(self.labels.tolist())) == 1:
            raise InputError(
                f"all pictures are labelled {self.labels[0]}, from which a network learns to answer "
                f"{self.labels[0]} always: add other digits, nothing was changed"
            )


def load_examples(folder: str | Path, recognizer: Recognizer) -> tuple[Examples, list[str]]:
    """Load the labelled pictures of a folder.

    A label comes from ``labels.csv`` where there is one, else from the subfolder (``7/first.png``),
    else from the beginning of the name (``7_first.png``).

    Parameters
    ----------
    folder : path
        Is searched with its subfolders for pictures, each of one digit.
    recognizer : Recognizer
        Finds the digit on each picture, as it would to read it.

    Returns
    -------
    examples : Examples
        Those that can be used, sorted by path.
    remarks : list of str
        A line for each picture that was left out, or that a person should look at: which, why, and
        what to do.

    Raises
    ------
    InputError
        If there is no such folder, or its ``labels.csv`` cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one that holds pictures of digits")
    listed = _listed_labels(folder) if (folder / LABELS).exists() else None
    found, remarks = [], []
    for path in _pictures(folder):
        name = path.relative_to(folder).as_posix()
        label = _label_in_path(path, folder) if listed is None else listed.get(name, "")
        problem = _label_problem(label, name, listed is not None)
        if not problem:
            whole, single = recognizer.read(path), recognizer.read(path, single=True)
            problem = _picture_problem(whole, single)
        if problem:
            remarks.append(f"{name} is left out: {problem}")
            continue
        image = single.digits[0].image
        non_digit = 1.0 - float(recognizer.probabilities(image[None]).sum())
        is_non_digit = whole.status == "no-digit" or non_digit > NON_DIGIT
        found.append(_Candidate(name, int(label), image, is_non_digit))
    found = _without_strangers(_drop_duplicates(found, remarks), remarks)
    examples = Examples(
        np.array([one.image for one in found], np.uint8).reshape(-1, 28, 28),
        np.array([one.label for one in found], np.int64),
        tuple(one.name for one in found),
    )
    return examples, remarks


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _listed_labels(folder: Path) -> dict[str, str]:
    table = load_labels(folder)
    return dict(
        zip((Path(file).as_posix() for file in table["file"]), table["written"], strict=True)
    )


def _label_in_path(path: Path, folder: Path) -> str:
    """Return the label that a path gives: its subfolder's name, else how its own begins."""
    parts = path.relative_to(folder).parts
    if len(parts) > 1 and parts[0].isdecimal():
        return parts[0]
    found = NAMED.match(path.name)
    return found[1] if found else ""


def _label_problem(label: str, name: str, is_listed: bool) -> str:
    if not label:
        where = f"{LABELS} does not say" if is_listed else "neither name nor folder says"
        what = f"add a row with {name},7" if is_listed else f"name it 7_{Path(name).name}"
        return f"{where} which digit it shows; {what} if it is a 7"
    if len(label) != 1 or label not in "0123456789":
        return f"its label {label!r} is no digit from 0 to 9; mend it, or cut out single digits"
    return ""


def _picture_problem(whole: Reading, single: Reading) -> str:
    """Say why a picture, read as it is and as one digit, cannot be used; "" if it can."""
    if not single.digits:
        return single.message
    # A label may belong to one digit only. Pieces of one odd digit are hardly ever all sure.
    sure = [digit for digit in whole.digits if digit.accepted]
    tallest = max((digit.box[3] for digit in sure), default=0)
    n_digits = sum(digit.box[3] >= 0.5 * tallest for digit in sure)
    if n_digits > 1:
        return f"{n_digits} digits are on it; cut it into pictures of one digit each"
    return ""


def _drop_duplicates(found: list[_Candidate], remarks: list[str]) -> list[_Candidate]:
    """Keep one of pictures that are the same; none of those that bear several labels."""
    same: dict[bytes, list[_Candidate]] = {}
    for one in found:
        same.setdefault(one.image.tobytes(), []).append(one)
    kept = []
    for first, *copies in same.values():
        if any(copy.label != first.label for copy in copies):
            names = ", ".join(one.name for one in (first, *copies))
            remarks.append(
                f"{names} are one picture with several labels: left out; keep the right one"
            )
            continue
        kept.append(first)
        remarks += [
            f"{copy.name} is left out: it is the same picture as {first.name}; one is enough"
            for copy in copies
        ]
    return kept


def _without_strangers(found: list[_Candidate], remarks: list[str]) -> list[_Candidate]:
    """Drop what the model takes for no digit, unless the hand writes that digit so."""
    kept = []
    for one in found:
        if one.is_non_digit:
            twins = [
                other.name
                for other in found
                if other is not one and other.label == one.label and _alike(other.image, one.image)
            ]
            if not twins:
                remarks.append(
                    f"{one.name} is left out: it looks like no digit; if you write {one.label} so, add "
                    "another like it, else cut the picture to the digit"
                )
                continue
            remarks.append(
                f"{one.name} looks like no digit, but like {twins[0]}, so it is used; look whether it "
                f"shows a {one.label}"
            )
        kept.append(one)
    return kept


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    first, second = (
        gaussian_filter(image.astype(np.float32), 1.0).ravel() for image in (one, other)
    )
    return np.corrcoef(first, second)[0, 1] >= ALIKE
