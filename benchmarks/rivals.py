"""Other readers of digits on the same labelled pictures: right answers, time, start.

A tool that is not installed is reported as missing, with the reason; its figures stay empty.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from benchmarks import rapidocr_reader, timing, usual_predict
from digits.config import CHAMPION
from digits.data.labels import SINGLE
from digits.evaluation import Score, scoring
from digits.pictures import decode
from digits.recognizer import Reading, Recognizer

OURS, USUAL, RAPIDOCR = "digits", "usual predict.py", "RapidOCR"
AS_IT_IS = f"{USUAL}, as it is"  # the same without a look at the polarity
# Names a Python that has RapidOCR, whose OpenCV and NumPy need not be this project's.
RAPIDOCR_PYTHON = "DIGITS_RAPIDOCR"
SMALLEST_SIDE = 100  # pixels to which smaller pictures are enlarged for the rivals
MARGIN = 0.2  # of the larger side, added around them: readers of print expect a margin


@dataclass(frozen=True)
class Task:
    """A picture to be read.

    Attributes
    ----------
    file : pathlib.Path
        The picture as it is.
    upright : pathlib.Path
        A copy as this project decodes it: upright, opaque, 8 bits a colour.
    print_like : pathlib.Path
        Such a copy in grey, made like print: dark on light, not too small, with a margin.
    single : bool
        Whether it shows one digit, which the rivals are told.
    """

    file: Path
    upright: Path
    print_like: Path
    single: bool


@dataclass(frozen=True)
class Answer:
    """A tool's answer to a picture.

    Attributes
    ----------
    tool : str
    file : str
        The picture's file name.
    text : str
        The digits that it read.
    seconds : float
        Time of this picture: of the process that read it, where each picture takes one.
    start_seconds : float
        From the start of the tool's process to this answer, if it was the first; otherwise NaN.
    """

    tool: str
    file: str
    text: str
    seconds: float
    start_seconds: float = math.nan


@dataclass(frozen=True)
class Tool:
    """Something that reads pictures.

    Attributes
    ----------
    name : str
    how : str
        How it is used, for readers.
    missing : str
        Why it cannot take part; empty if it can.
    read : callable
        Reads a sequence of `Task` and yields an `Answer` to each.
    """

    name: str
    how: str
    missing: str
    read: Callable[[Sequence[Task]], Iterator[Answer]]


def prepare(folder: Path, labels: pd.DataFrame, target: Path) -> list[Task]:
    """Make copies of each picture that are as easy as possible for the rivals.

    They are decoded as this project does it: upright, transparency laid on a paper that shows the
    ink. Readers of print also get them grey, turned to dark on light by the brightness of their
    border, enlarged to `SMALLEST_SIDE` pixels, and with a margin. The time for that is not counted.

    Parameters
    ----------
    folder : path
    labels : pandas.DataFrame
        From `scoring.load_labels`.
    target : path
        The folder for the copies.
    """
    tasks = []
    for index, row in enumerate(labels.itertuples()):
        upright, print_like = target / f"{index:04}.png", target / f"{index:04}.pgm"
        image = Image.fromarray(decode(folder / row.file).pixels)
        image.save(upright)
        _like_print(image.convert("L")).save(print_like)
        tasks.append(Task(folder / row.file, upright, print_like, row.group == SINGLE))
    return tasks


def _like_print(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    paper = int(np.median(np.concatenate(border)))
    if paper < 128:
        image, paper = ImageOps.invert(image), 255 - paper
    factor = SMALLEST_SIDE / min(image.size)
    if factor > 1:
        size = [round(factor * side) for side in image.size]
        image = image.resize(size, Image.Resampling.BICUBIC)
    return ImageOps.expand(image, round(MARGIN * max(image.size)), paper)


def tools(recognizer: Recognizer) -> list[Tool]:
    """Return this project's reader and its rivals, whether they are installed or not."""
    return [_ours(recognizer), _usual(), _rapidocr(), *map(_program, PROGRAMS)]


def describe(chosen: Sequence[Tool]) -> pd.DataFrame:
    """Return a table of tools: index tool; columns how and missing."""
    table = pd.DataFrame({"tool": t.name, "how": t.how, "missing": t.missing} for t in chosen)
    return table.set_index("tool")


def read_folder(
    chosen: Sequence[Tool], folder: Path, labels: pd.DataFrame, n_passes: int
) -> list[pd.DataFrame]:
    """Let each tool that is not missing read a labelled folder again and again.

    Returns
    -------
    list of pandas.DataFrame
        A table for each pass: one row an answer; columns as the attributes of `Answer`.
    """
    columns = [field.name for field in fields(Answer)]
    present = [tool for tool in chosen if not tool.missing]
    with tempfile.TemporaryDirectory() as temporary:
        tasks = prepare(folder, labels, Path(temporary))
        passes = [
            [answer for tool in present for answer in tool.read(tasks)] for _ in range(n_passes)
        ]
    return [pd.DataFrame(answers, columns=columns) for answers in passes]


def right_answers(answers: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Tell which pictures each tool read right: all their digits, and nothing else.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `read_folder`, one pass. A picture without an answer counts as read as empty.
    labels : pandas.DataFrame
        From `scoring.load_labels`.

    Returns
    -------
    pandas.DataFrame
        One row a picture, in the order of `labels`; one column a tool, bool.
    """
    right = {}
    for tool, given in answers.groupby("tool", sort=False):
        texts = given.set_index("file")["text"].reindex(labels["file"], fill_value="")
        readings = [Reading(file, text) for file, text in texts.items()]
        right[tool] = scoring.score_readings(labels, readings)["exact"]
    return pd.DataFrame(right)


def score(right: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Count the right answers of each tool.

    Parameters
    ----------
    right : pandas.DataFrame
        From `right_answers`.
    groups : pandas.Series
        Each picture's group.

    Returns
    -------
    pandas.DataFrame
        One row a tool and group ("all" for all pictures): tool, group, n_scored, n_wrong, value, low,
        high (share of right answers and its 95 % interval).
    """
    rows = []
    for tool in right:
        for group, part in [("all", right[tool]), *right[tool].groupby(groups, sort=False)]:
            counted = Score.of(len(part), int((~part).sum()))
            rows.append({"tool": tool, "group": group, **vars(counted)})
    return pd.DataFrame(rows)


def per_round(passes: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """Return a column's median over the pictures: one row a pass, one column a tool."""
    medians = [answers.groupby("tool", sort=False)[column].median() for answers in passes]
    return pd.DataFrame(medians).reset_index(drop=True)


# --- The tools -----------------------------------------------------------------------------------


def _ours(recognizer: Recognizer) -> Tool:
    def read(tasks: Sequence[Task]) -> Iterator[Answer]:
        # Its start is that of a process of its own, of which even the end is counted.
        start = timing.measure(timing.digits_command("--json", tasks[0].file)).seconds
        for task in tasks:
            begun = time.perf_counter()
            text = recognizer.read(task.file).text
            yield Answer(OURS, task.file.name, text, time.perf_counter() - begun, start)
            start = math.nan

    how = "starts as `digits predict`, then `Recognizer.read` picture by picture"
    return Tool(OURS, how, "", read)


def _usual() -> Tool:
    script, model = Path(usual_predict.__file__), CHAMPION / "model.keras"

    def read(tasks: Sequence[Task]) -> Iterator[Answer]:
        files = [task.file for task in tasks]
        for answer in _answers(USUAL, [sys.executable, "-P", script, model, *files]):
            inverted = answer.pop("way") == usual_predict.INVERTED
            yield Answer(**{**answer, "tool": USUAL if inverted else AS_IT_IS})

    how = "TensorFlow; the picture grey, 28 x 28, to the shipped model's Keras weights"
    missing = "" if importlib.util.find_spec("tensorflow") else "TensorFlow is not installed"
    return Tool(USUAL, how, missing, read)


def _rapidocr() -> Tool:
    python = os.environ.get(RAPIDOCR_PYTHON, sys.executable)
    script = Path(rapidocr_reader.__file__)

    def read(tasks: Sequence[Task]) -> Iterator[Answer]:
        names = [f"{'1:' if task.single else ''}{task.upright}" for task in tasks]
        answers = _answers(RAPIDOCR, [python, "-P", script, *names])
        for task, answer in zip(tasks, answers, strict=True):
            yield Answer(**{**answer, "file": task.file.name})

    find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('rapidocr') is None)"
    try:
        found = subprocess.run([python, "-c", find], capture_output=True, check=False)
        missing = "rapidocr is not installed" if found.returncode else ""
    except OSError:
        missing = f"{RAPIDOCR_PYTHON}={python} cannot be run"
    if missing:
        missing += f": install the extra `bench`, or name a Python that has it in {RAPIDOCR_PYTHON}"
    how = "single digits by its recogniser alone, other pictures by its detector and recogniser"
    return Tool(RAPIDOCR, how, missing, read)


def _tesseract(task: Task) -> list:
    mode = "10" if task.single else "6"
    digits_only = "tessedit_char_whitelist=0123456789"
    return ["tesseract", task.print_like, "stdout", "--psm", mode, "-c", digits_only]


# How each program is used, and its command.
PROGRAMS = {
    "tesseract": ("digits only; page segmentation 10 for single digits, else 6", _tesseract),
    "ocrad": ("its filter numbers_only", lambda t: ["ocrad", "-e", "numbers_only", t.print_like]),
    "gocr": ("characters 0-9", lambda t: ["gocr", "-C", "0-9", t.print_like]),
}


def _program(name: str) -> Tool:
    """Return a tool that is a program, started anew for each picture."""
    how, command = PROGRAMS[name]

    def read(tasks: Sequence[Task]) -> Iterator[Answer]:
        for index, task in enumerate(tasks):
            run = timing.measure(command(task))
            start = run.seconds if index == 0 else math.nan
            yield Answer(name, task.file.name, _digits(run.output), run.seconds, start)

    missing = "" if shutil.which(name) else f"the program {name} is not installed (Debian has it)"
    return Tool(name, how, missing, read)


def _answers(tool: str, command: list) -> Iterator[dict]:
    """Run a script that reads many pictures and prints a JSON object for each answer."""
    run = timing.measure(command)
    for index, line in enumerate(run.output.splitlines()):
        answer = json.loads(line)
        answer["tool"], answer["text"] = tool, _digits(answer["text"])
        answer["file"] = Path(answer["file"]).name
        yield {**answer, "start_seconds": run.first if index == 0 else math.nan}


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)
