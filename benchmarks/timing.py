"""Times commands and functions side by side, and the arithmetic of comparing them.

Speed belongs to a machine and a moment, so nothing here is a bound: what is compared is run in
rounds, one after the other in each, and stated as ratios with their spread over the rounds.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psutil
from PIL import Image

from digits import InputError
from digits.pictures import decode, find_digits, find_ink, to_mnist_form

if TYPE_CHECKING:
    from digits.recognizer import Recognizer

# Seconds between two looks at the memory of a command: at first, and at most. A long run is looked at
# more seldom, so that looking costs it little.
MEMORY_INTERVALS = 0.02, 0.3
# Processes that do nothing, and that load the least that a prediction needs.
PYTHON = [sys.executable, "-c", "pass"]
IMPORTS = [sys.executable, "-c", "import onnxruntime, numpy, PIL.Image"]
CLOCKS = ("seconds", "cpu_seconds")
# Processes at work for each processor, on average over a minute, of a machine that is quiet, and the
# seconds for which that is waited for.
MOST_LOAD = 0.5
QUIET_SECONDS = 240
# The columns that `benchmarks.race` prints of each epoch.
RACE_COLUMNS = ("contestant", "seed", "epoch", *CLOCKS, "test_accuracy")
OURS, EXAMPLE = "quick, shortened", "Keras' example"
MEASURED = (*CLOCKS, "peak_megabytes")  # of `digits predict` on a folder
# Of reading a picture: one pass of each, and what `Recognizer.read` takes beyond that.
STAGES = ("open", "ink", "find digits", "MNIST form", "network", "beyond one pass")
# Opens every picture of a folder, and does nothing else with it.
OPEN_ALL = """
import os, sys
from PIL import Image
for name in os.listdir(sys.argv[1]):
    with Image.open(os.path.join(sys.argv[1], name)) as image:
        image.convert("L")
"""


# --- How much is measured ------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """How much a benchmark measures."""

    pictures: int  # labelled pictures that are read, at most
    passes: int  # how often every tool reads them
    starts: int  # rounds of cold starts
    stage_rounds: int  # how often the stages of a picture are timed
    sizes: tuple[int, ...]  # pictures of the folders whose cost is measured
    size_rounds: int  # how often they are read
    seeds: int  # trainings of each contestant; 0 for none


BUDGETS = {
    # Within a report: less than a minute.
    "small": Budget(12, 1, 3, 1, (1, 10, 500, 3500), 2, 0),
    # Half an hour, for figures that are published.
    "full": Budget(100_000, 3, 7, 5, (1, 10, 100, 1000, 10_000, 30_000), 3, 5),
}


def budget(size: str) -> Budget:
    """Return the budget of that name, "small" or "full".

    Raises
    ------
    InputError
        If there is no such budget; or for "full", whose figures are published, if other programs are
        at work, even after the minutes in which the load of what has just ended dies away.
    """
    if size not in BUDGETS:
        raise InputError(f"SIZE={size!r} is not valid: expected {' or '.join(BUDGETS)}")
    most = MOST_LOAD * psutil.cpu_count()
    for seconds_left in range(QUIET_SECONDS, -1, -10):
        load = psutil.getloadavg()[0]
        if size != "full" or load <= most:
            return BUDGETS[size]
        time.sleep(min(10, seconds_left))
    raise InputError(
        f"the load is {load:.1f}, and figures of SIZE=full need one below {most:.1f}: other programs "
        "are at work; end them, or measure with SIZE=small"
    )


def evenly_spaced(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return at most `n` rows of a table, evenly spaced, in order, with a fresh index."""
    chosen = np.unique(np.linspace(0, len(table) - 1, min(n, len(table))).round().astype(int))
    return table.iloc[chosen].reset_index(drop=True)


# --- Running commands ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes
    ----------
    seconds : float
        From the start of the process to its end.
    first : float
        From the start of the process to its first line on standard output; `seconds` if none came.
    cpu_seconds : float
        Processor time of the process and those that it started and waited for.
    peak_megabytes : float
        Largest memory of the command and all that it started together, in millions of bytes; NaN
        if `measure` was not asked for it, or the command ended before the first look.
    output : str
        What it wrote to standard output.
    """

    seconds: float
    first: float
    cpu_seconds: float
    peak_megabytes: float
    output: str


def measure(command: Sequence[str | os.PathLike], *, memory: bool = False) -> Run:
    """Run a command and measure it.

    Parameters
    ----------
    command : sequence of str or path
    memory : bool
        Watch the memory of the command and the processes that it starts. The peak that Linux itself
        records cannot be used: it is at least that of the process that started the command.

    Raises
    ------
    RuntimeError
        If the command ends with another status than 0; with the end of its standard error.
    """
    # Python keeps what it has compiled, as users' does; else each start compiles every module anew.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=environment,
        )  # fmt: skip
        ended, megabytes = threading.Event(), []
        watch = threading.Thread(target=_watch_memory, args=(process.pid, ended, megabytes))
        if memory:
            watch.start()
        first, lines = None, []
        for line in process.stdout:
            first = first or time.perf_counter() - start
            lines.append(line)
        process.stdout.close()
        # Unlike Popen.wait, wait4 returns what the process has used.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if memory:
            ended.set()
            watch.join()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(
                f"{' '.join(process.args)[:200]} ended with status {process.returncode}: "
                f"{errors.read()[-500:].strip()}"
            )
    cpu_seconds = usage.ru_utime + usage.ru_stime
    peak = max(megabytes, default=math.nan)
    return Run(seconds, first or seconds, cpu_seconds, peak, "".join(lines))


def _watch_memory(pid: int, ended: threading.Event, megabytes: list[float]) -> None:
    """Note the memory of a process and its descendants together, again and again until `ended`."""
    interval, longest = MEMORY_INTERVALS
    while not ended.wait(interval):
        interval = min(1.2 * interval, longest)
        with suppress(psutil.Error):  # a process has ended meanwhile
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            held = [member.memory_full_info() for member in family]
            # On Linux, memory that processes share is divided among them (PSS).
            megabytes.append(sum(getattr(one, "pss", one.rss) for one in held) / 1e6)


# --- Comparing -----------------------------------------------------------------------------------


def measure_rounds(commands: dict[str, Sequence], n: int) -> dict[str, pd.DataFrame]:
    """Run each command once per round, one after the other, so that a busy moment meets them all.

    Returns
    -------
    dict of str to pandas.DataFrame
        Tables of "seconds" and "cpu_seconds": one row a round, one column a command.
    """
    runs = [{name: measure(command) for name, command in commands.items()} for _ in range(n)]
    return {
        clock: pd.DataFrame([{k: getattr(run, clock) for k, run in row.items()} for row in runs])
        for clock in CLOCKS
    }


def compare(costs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Summarise rounds: the median of each task, and its ratio to the reference with its spread.

    Parameters
    ----------
    costs : pandas.DataFrame
        One row a round, one column a task; NaN where a task had no part in a round.
    reference : str
        The column that the others are divided by, round by round.

    Returns
    -------
    pandas.DataFrame
        Index: task. Columns n (rounds), median, low, high (the extremes), ratio (median over the
        rounds that both have), ratio_low, ratio_high (its extremes).
    """
    ratios = costs.div(costs[reference], axis=0)
    return pd.DataFrame(
        {
            "n": costs.count(),
            "median": costs.median(),
            "low": costs.min(),
            "high": costs.max(),
            "ratio": ratios.median(),
            "ratio_low": ratios.min(),
            "ratio_high": ratios.max(),
        }
    ).rename_axis("task")


def significant(value: float) -> str:
    """Return a number with three significant digits and without an exponent; "" for NaN."""
    return f"{float(f'{value:.3g}'):,.15g}" if math.isfinite(value) else ""


@dataclass(frozen=True)
class Ratio:
    """How many times one cost is another: the median over rounds, and the extremes."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Return it for readers, as in "12.3 times (11.0 to 13.1 in 5 rounds)"."""
        if not self.n:
            return "no round has both"
        low, high = significant(self.low), significant(self.high)
        spread = f"{low} to {high} in {self.n} rounds" if self.n > 1 else "one round"
        return f"{significant(self.value)} times ({spread})"


def ratio_of(costs: pd.DataFrame, task: str, reference: str) -> Ratio:
    """Return how many times one column of costs goes into another, row by row.

    Rows that lack either (NaN) are left out; where none is left, or a column is missing because the
    tool is not installed, the ratio is NaN, of no rounds.
    """
    columns = costs.reindex(columns=[task, reference]).dropna()
    each = columns[task] / columns[reference]
    return Ratio(float(each.median()), float(each.min()), float(each.max()), len(each))


def records(table: pd.DataFrame) -> list[dict]:
    """Return a table with its index in JSON's form: a dictionary a row, None for NaN."""
    table = table.reset_index().astype(object)
    return table.where(table.notna(), None).to_dict("records")


# --- Cost against size ---------------------------------------------------------------------------


def link_pictures(images: np.ndarray, n: int, folder: Path) -> None:
    """Fill an empty folder with `n` PNG files: images, uint8 (m, 28, 28), again and again.

    The first m are files, those after them symbolic links to these under other names.
    """
    names = [folder / f"{index:07}.png" for index in range(n)]
    for index, name in enumerate(names):
        if index < len(images):
            Image.fromarray(images[index]).save(name)
        else:
            name.symlink_to(names[index % len(images)].name)


def cost_by_size(images: np.ndarray, sizes: Sequence[int], n_rounds: int) -> pd.DataFrame:
    """Run `digits predict` over folders of growing size, and a process that only opens the same.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (m, 28, 28), from `link_pictures` repeated under other names.
    sizes : sequence of int
        Pictures of each folder.
    n_rounds : int
        How often all sizes are run.

    Returns
    -------
    pandas.DataFrame
        One row a run: n, round, open_seconds and open_cpu_seconds, and `MEASURED`.

    Raises
    ------
    RuntimeError
        If a run fails, or gives not one answer a picture.
    """
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for n in sizes:
            (work / str(n)).mkdir()
            link_pictures(images, n, work / str(n))
        for number in range(n_rounds):
            for n in sizes:
                folder, answers = work / str(n), work / "answers.csv"
                run = measure(digits_command(folder, "--csv", answers), memory=True)
                n_answers = len(pd.read_csv(answers, usecols=["file"]))
                if n_answers != n:
                    raise RuntimeError(f"{n_answers} answers to {n} pictures")
                opened = measure([sys.executable, "-c", OPEN_ALL, folder])
                rows.append(
                    {"n": n, "round": number, "open_seconds": opened.seconds}
                    | {"open_cpu_seconds": opened.cpu_seconds}
                    | {name: getattr(run, name) for name in MEASURED}
                )
    return pd.DataFrame(rows)


def one_more(costs: pd.DataFrame) -> pd.DataFrame:
    """Return what one more picture costs between the two largest folders, without the start.

    Parameters
    ----------
    costs : pandas.DataFrame
        From `cost_by_size`.

    Returns
    -------
    pandas.DataFrame
        One row a round; columns "read" and "open": processor seconds a picture.
    """
    before, last = sorted(costs["n"].unique())[-2:]
    names = {"cpu_seconds": "read", "open_cpu_seconds": "open"}
    by_size = costs.set_index(["n", "round"])[list(names)].rename(columns=names)
    return (by_size.loc[last] - by_size.loc[before]) / (last - before)


def digits_command(*arguments: str | os.PathLike) -> list[str | os.PathLike]:
    """Return the command `digits predict` with arguments, run by this Python."""
    return [sys.executable, "-m", "digits", "predict", *arguments]


# --- The parts of a prediction -------------------------------------------------------------------


def _timed(function: Callable, *arguments) -> tuple:
    """Return what a function returns, and the milliseconds that it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, 1000 * (time.perf_counter() - start)


def _open_alone(file: Path) -> None:
    with Image.open(file) as image:
        image.convert("L")


def _stage_times(recognizer: Recognizer, file: Path) -> dict[str, float]:
    """Time each stage of reading a picture once, with the columns of `stages`."""
    times = {}
    picture, times["open"] = _timed(decode, file)
    ink, times["ink"] = _timed(find_ink, picture)
    glyphs, times["find digits"] = _timed(find_digits, ink)
    forms, times["MNIST form"] = _timed(lambda: [to_mnist_form(glyph.ink) for glyph in glyphs])
    images = np.array(forms, np.uint8)
    times["network"] = _timed(recognizer.logits, images)[1] if forms else 0.0
    _, whole = _timed(recognizer.read, file)
    # On a picture that takes the short way, or is given up, the whole is shorter than all stages.
    times["beyond one pass"] = max(0.0, whole - sum(times.values()))
    _, alone = _timed(_open_alone, file)
    return times | {"whole": whole, "Pillow alone": alone, "pixels": float(np.prod(picture.size))}


def stages(recognizer: Recognizer, files: Sequence[Path], n_rounds: int) -> pd.DataFrame:
    """Time the stages of reading each picture in rounds.

    Returns
    -------
    pandas.DataFrame
        Index: round, and the picture's place. In milliseconds, columns: `STAGES` ("beyond one pass":
        the detector, what it makes in the network, second looks at doubtful pictures, Python
        between); "whole"; "Pillow alone", opening the picture with Pillow as grey pixels; and
        "pixels", their number.
    """
    _stage_times(recognizer, files[0])  # the first time also loads what is loaded lazily
    rounds = [
        pd.DataFrame([_stage_times(recognizer, file) for file in files]) for _ in range(n_rounds)
    ]
    return pd.concat(dict(enumerate(rounds)), names=["round", "picture"])


def whole_ratio(rounds: pd.DataFrame, chosen: Sequence[bool]) -> Ratio:
    """Return how many times as long reading some pictures takes as opening them with Pillow.

    Parameters
    ----------
    rounds : pandas.DataFrame
        From `stages`.
    chosen : sequence of bool
        For each picture, whether it counts.
    """
    total = rounds.loc[np.s_[:, np.flatnonzero(chosen)], :].groupby("round").sum()
    return ratio_of(total, "whole", "Pillow alone")


# --- Training ------------------------------------------------------------------------------------


def race(source: str, seeds: int, target: float) -> pd.DataFrame:
    """Run `benchmarks.race`, which imports TensorFlow, as a process of its own; return its rows."""
    command = [sys.executable, "-m", "benchmarks.race", "--data", source, "--seeds", str(seeds),
               "--target", str(target)]  # fmt: skip
    lines = measure(command).output.splitlines()
    return pd.DataFrame([json.loads(line) for line in lines], columns=list(RACE_COLUMNS))


def seconds_to(epochs: pd.DataFrame, target: float, time: str = "seconds") -> pd.DataFrame:
    """Return what each training took to reach an accuracy.

    Parameters
    ----------
    epochs : pandas.DataFrame
        From `race`.
    target : float
        Test accuracy, 0 to 1.
    time : str
        "seconds" or "cpu_seconds".

    Returns
    -------
    pandas.DataFrame
        Index: seed. A column for each contestant: for Keras' example the time of its first epoch that
        reaches the target, for ours the time of the last epoch, if that one reaches it; NaN where the
        training did not get there.
    """
    reached = epochs[epochs["test_accuracy"] >= target]
    last = epochs.groupby(["contestant", "seed"])["epoch"].transform("max").loc[reached.index]
    reached = reached[(reached["contestant"] != OURS) | (reached["epoch"] == last)]
    table = reached.pivot_table(time, "seed", "contestant", aggfunc="min")
    return table.reindex(index=sorted(epochs["seed"].unique()), columns=[OURS, EXAMPLE])
