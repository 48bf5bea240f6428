"""Times commands and functions side by side, and the arithmetic of comparing them.

Speed belongs to a machine and a moment, so nothing here is a bound: what is compared is run in
rounds, one after the other in each, and stated as ratios with their spread over the rounds.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from scipy import optimize, stats

from digits import InputError
from digits.pictures import decode, find_digits, find_ink, to_mnist_form

if TYPE_CHECKING:
    from digits.recognizer import Recognizer

# Seconds between two looks at the memory of a command: at first, and at most. A long run is looked at
# more seldom, so that looking costs it little.
MEMORY_INTERVALS = 0.02, 0.3
IMPORTS = "import onnxruntime, numpy, PIL.Image"  # the least that a prediction must load
# What `benchmarks.race` tells of each epoch.
RACE_COLUMNS = ("contestant", "seed", "epoch", "seconds", "cpu_seconds", "test_accuracy")
OURS, EXAMPLE = "quick, shortened", "Keras' example"
STAGES = ("open", "ink", "find digits", "MNIST form", "network", "the rest")
# What opening every picture of a folder costs, when nothing else is done with them.
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
    """How much a benchmark measures.

    Attributes
    ----------
    pictures : int
        Labelled pictures that are read, at most.
    passes : int
        How often every tool reads them.
    starts : int
        Rounds of cold starts.
    stage_rounds : int
        How often the stages of a picture are timed, and the network, and a matrix product.
    sizes : tuple of int
        Pictures of the folders whose cost is measured.
    size_rounds : int
        How often they are read.
    seeds : int
        Trainings of each contestant; 0 for none.
    """

    pictures: int
    passes: int
    starts: int
    stage_rounds: int
    sizes: tuple[int, ...]
    size_rounds: int
    seeds: int


BUDGETS = {
    # Half a minute, within a report.
    "small": Budget(12, 1, 3, 1, (1, 10, 100, 500), 2, 0),
    # Half an hour, for figures that are published.
    "full": Budget(100_000, 3, 7, 5, (1, 10, 100, 1000, 10_000, 100_000), 3, 5),
}


def budget(size: str) -> Budget:
    """Return the budget of that name; an unknown one is an `InputError`."""
    if size not in BUDGETS:
        raise InputError(f"SIZE={size!r} is not valid: expected {' or '.join(BUDGETS)}")
    return BUDGETS[size]


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
        if `measure` was not asked for it.
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
        Watch the memory of the command and the processes that it starts. What Linux itself notes
        as a process' peak cannot be used: it is at least what the process that started it had.

    Raises
    ------
    RuntimeError
        If the command ends with another status than 0; with the end of its standard error.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=_environment(),
        )  # fmt: skip
        watch = _MemoryWatch(process.pid) if memory else None
        first, lines = None, []
        for line in process.stdout:
            first = first or time.perf_counter() - start
            lines.append(line)
        process.stdout.close()
        # Unlike Popen.wait, wait4 also tells what the process has used.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = watch.stop() if watch else np.nan
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(
                f"{' '.join(process.args)[:200]} ended with status {process.returncode}: "
                f"{errors.read()[-500:].strip()}"
            )
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Run(seconds, first or seconds, cpu_seconds, peak, "".join(lines))


def _environment() -> dict[str, str]:
    """Return the environment of commands: Python keeps what it has compiled, as users' does."""
    without = ("PYTHONDONTWRITEBYTECODE",)  # else each start compiles every module anew
    return {name: value for name, value in os.environ.items() if name not in without}


class _MemoryWatch:
    """Looks at the memory of a process and its descendants until it is stopped."""

    def __init__(self, pid: int):
        self._pid, self._peak, self._end = pid, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the largest sum that was seen, in millions of bytes."""
        self._end.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        import psutil

        interval, longest = MEMORY_INTERVALS
        while not self._end.wait(interval):
            interval = min(1.2 * interval, longest)
            try:
                process = psutil.Process(self._pid)
                family = [process, *process.children(recursive=True)]
            except psutil.Error:
                return
            total = sum(_own_bytes(member, psutil) for member in family)
            self._peak = max(self._peak, total / 1e6)


def _own_bytes(process, psutil) -> int:
    """Return a process' memory; on Linux what it shares is divided among those who share it."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has ended meanwhile
        return 0
    return getattr(memory, "pss", memory.rss)


# --- Comparing -----------------------------------------------------------------------------------


def rounds(tasks: dict[str, Callable[[], float]], n: int) -> pd.DataFrame:
    """Run each task once per round, one after the other, so that a busy moment meets them all.

    Parameters
    ----------
    tasks : dict of str to callable
        Each returns what it cost, by its own clock.
    n : int
        Rounds.

    Returns
    -------
    pandas.DataFrame
        One row a round, one column a task.
    """
    return pd.DataFrame([{name: task() for name, task in tasks.items()} for _ in range(n)])


def measure_rounds(commands: dict[str, Sequence], n: int) -> dict[str, pd.DataFrame]:
    """Run each command once per round, as `rounds`; return tables of "seconds" and "cpu_seconds"."""
    runs = [{name: measure(command) for name, command in commands.items()} for _ in range(n)]
    return {
        clock: pd.DataFrame([{k: getattr(run, clock) for k, run in row.items()} for row in runs])
        for clock in ("seconds", "cpu_seconds")
    }


def compare(costs: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Summarise rounds: the median of each task, and its ratio to the reference with its spread.

    Parameters
    ----------
    costs : pandas.DataFrame
        As from `rounds`; NaN where a task had no part in a round.
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

    Rows that lack either (NaN) are left out; where none is left, or a column is missing because what
    it stands for is not installed, the ratio is NaN, of no rounds.
    """
    columns = costs.reindex(columns=[task, reference]).dropna()
    each = columns[task] / columns[reference]
    return Ratio(float(each.median()), float(each.min()), float(each.max()), len(each))


def records(table: pd.DataFrame) -> list[dict]:
    """Return a table, its index included, as JSON knows it: a dictionary a row, None for NaN."""
    table = table.reset_index().astype(object)
    return table.where(table.notna(), None).to_dict("records")


# --- Cost against size ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """A cost of ``start + each * n ** slope`` seconds for n pictures.

    Attributes
    ----------
    start : float
        Seconds before the first picture.
    each : float
        Seconds of one more picture, where the slope is 1.
    slope, low, high : float
        1 where twice as many take twice as long; its 95 % interval.
    """

    start: float
    each: float
    slope: float
    low: float
    high: float

    def at(self, n: np.ndarray) -> np.ndarray:
        """Return the seconds for `n` pictures."""
        return self.start + self.each * np.asarray(n, float) ** self.slope


def fit_cost(n: Sequence[float], seconds: Sequence[float]) -> Cost:
    """Fit `Cost` to measured times, of the clock or the processor, by least squares of logarithms.

    Errors of a time are about proportional to it, so a logarithm weighs one and a hundred thousand
    pictures alike. A straight line through the logarithms would take the start for a small slope.

    Parameters
    ----------
    n, seconds : sequence of float
        One entry a run; at least three different sizes and four runs.

    Raises
    ------
    ValueError
        If there are fewer: three unknowns cannot be had from them.
    """
    n, seconds = np.asarray(n, float), np.asarray(seconds, float)
    if len(np.unique(n)) < 3 or len(n) < 4:
        raise ValueError(
            f"{len(n)} runs of {len(np.unique(n))} sizes; at least 4 of 3 sizes are needed"
        )
    largest = n.max()
    start = np.median(seconds[n == n.min()])
    each = max(np.median(seconds[n == largest]) - start, 0.05 * start) / largest

    def logarithm(n, log_start, log_each, slope):
        return np.logaddexp(log_start, log_each + slope * np.log(n))

    (log_start, log_each, slope), covariance = optimize.curve_fit(
        logarithm, n, np.log(seconds), p0=(np.log(start), np.log(each), 1.0), maxfev=10_000
    )
    margin = stats.t.ppf(0.975, len(n) - 3) * np.sqrt(covariance[2, 2])
    return Cost(
        float(np.exp(log_start)),
        float(np.exp(log_each)),
        float(slope),
        float(slope - margin),
        float(slope + margin),
    )


def save_images(images: np.ndarray, folder: Path) -> list[Path]:
    """Write images, uint8 (n, 28, 28) with ink 255 on 0, as PNG files; return their paths."""
    paths = [folder / f"{index:05}.png" for index in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    return paths


def repeat(files: Sequence[Path], n: int, folder: Path) -> Path:
    """Fill a new folder with `n` pictures: `files` again and again, under other names.

    They are symbolic links, or copies where the system allows no links.
    """
    folder.mkdir()
    for index in range(n):
        file = Path(files[index % len(files)]).resolve()
        name = folder / f"{index:07}{file.suffix}"
        try:
            name.symlink_to(file)
        except OSError:
            shutil.copyfile(file, name)
    return folder


def growth(values: pd.Series, factor: float) -> float:
    """Return how much more the largest size has than the largest that is `factor` times smaller.

    Parameters
    ----------
    values : pandas.Series
        Indexed by size.
    factor : float
        At least 1.
    """
    largest = values.index.max()
    return float(values[largest] - values[values.index[factor * values.index <= largest].max()])


def cost_by_size(images: np.ndarray, sizes: Sequence[int], n_rounds: int) -> pd.DataFrame:
    """Run `digits predict` over folders of growing size, and a process that only opens the same.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, 28, 28), which are repeated under other names.
    sizes : sequence of int
        Pictures of each folder.
    n_rounds : int
        How often all sizes are run.

    Returns
    -------
    pandas.DataFrame
        One row a run: n, round, seconds, cpu_seconds, peak_megabytes (of `digits predict`), and
        open_seconds.

    Raises
    ------
    RuntimeError
        If a run fails, or gives not one answer a picture.
    """
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        files = save_images(images, work)
        folders = {n: repeat(files, n, work / str(n)) for n in sizes}
        for number in range(n_rounds):
            for n, folder in folders.items():
                answers = work / "answers.csv"
                run = measure(digits_command(folder, "--csv", answers), memory=True)
                n_answers = len(pd.read_csv(answers, usecols=["file"]))
                if n_answers != n:
                    raise RuntimeError(f"{n_answers} answers to {n} pictures")
                opened = measure([sys.executable, "-c", OPEN_ALL, folder])
                rows.append(
                    {
                        "n": n,
                        "round": number,
                        "seconds": run.seconds,
                        "cpu_seconds": run.cpu_seconds,
                        "peak_megabytes": run.peak_megabytes,
                        "open_seconds": opened.seconds,
                    }
                )
    return pd.DataFrame(rows)


def digits_command(*arguments: str | os.PathLike) -> list[str | os.PathLike]:
    """Return the command `digits predict` with arguments, run by this Python."""
    return [sys.executable, "-m", "digits", "predict", *arguments]


def python_command(code: str) -> list[str]:
    """Return the command that runs a line of code by this Python."""
    return [sys.executable, "-c", code]


# --- The parts of a prediction -------------------------------------------------------------------


def stage_seconds(recognizer: Recognizer, file: Path) -> dict[str, float]:
    """Time each stage of reading a picture once, and the whole.

    Returns
    -------
    dict
        Seconds by `STAGES`; "the rest" is what reading takes beyond one pass of each stage: other
        joins and cuts that are tried, second looks at doubtful pictures, and Python between. Also
        "whole"; "Pillow alone": opening the picture with Pillow as grey pixels; and "pixels": how
        many it has.
    """
    clock = time.perf_counter
    marks = [clock()]
    picture = decode(file)
    marks.append(clock())
    ink = find_ink(picture)
    marks.append(clock())
    glyphs = find_digits(ink)
    marks.append(clock())
    images = np.array([to_mnist_form(glyph.ink) for glyph in glyphs], np.uint8)
    marks.append(clock())
    if len(images):
        recognizer.logits(images)
    marks.append(clock())
    recognizer.read(file)
    marks.append(clock())
    with Image.open(file) as image:
        image.convert("L")
    alone = clock() - marks[-1]
    *once, whole = np.diff(marks)
    # On a picture that is given up at once, the whole can be shorter than all stages.
    rest = max(0.0, whole - sum(once))
    seconds = dict(zip(STAGES, [*once, rest], strict=True))
    return {name: float(value) for name, value in seconds.items()} | {
        "whole": float(whole),
        "Pillow alone": alone,
        "pixels": float(np.prod(picture.size)),
    }


def stages(recognizer: Recognizer, files: Sequence[Path], n_rounds: int) -> pd.DataFrame:
    """Time the stages of reading each picture, as the median over rounds.

    Returns
    -------
    pandas.DataFrame
        One row a picture, in order; columns as the keys of `stage_seconds`, times in milliseconds.
    """
    rows = []
    stage_seconds(recognizer, files[0])  # the first time also loads what is loaded lazily
    for file in files:
        repeats = pd.DataFrame([stage_seconds(recognizer, file) for _ in range(n_rounds)])
        row = repeats.median()
        rows.append(row.where(row.index == "pixels", 1000 * row))
    return pd.DataFrame(rows)


def multiplications(filters: Sequence[int], kernels: Sequence[int], dense_units: int,
                    n_classes: int) -> int:  # fmt: skip
    """Count the multiplications of one image's way through the network of `model.build_cnn`.

    Each filter multiplies every pixel under its kernel, at each place where the kernel fits; a
    fully connected layer multiplies every input for every unit.
    """
    side, channels, total = 28, 1, 0
    for index, (n_filters, kernel) in enumerate(zip(filters, kernels, strict=True), 1):
        side -= kernel - 1
        total += side * side * n_filters * kernel * kernel * channels
        channels = n_filters
        if index % 2 == 0 or len(filters) == 2:
            side //= 2
    inputs = side * side * channels
    return total + inputs * dense_units + dense_units * n_classes


def multiplications_per_second(n_rounds: int = 100, side: int = 512) -> float:
    """Measure how many float32 multiplications this machine does at its best: a matrix product's.

    The fastest of `n_rounds` products of two square matrices is taken: what a limit is compared
    with should not be slowed by what else runs.
    """
    rng = np.random.default_rng(0)
    a, b = rng.random((2, side, side), np.float32)
    best = math.inf
    for _ in range(n_rounds):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return side**3 / best


def network_seconds(recognizer: Recognizer, n: int) -> float:
    """Time the network on `n` images at once; return seconds an image."""
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28)).astype(np.uint8)
    start = time.perf_counter()
    recognizer.logits(images)
    return (time.perf_counter() - start) / n


def network_cost(recognizer: Recognizer, n_products: int, n_rounds: int) -> pd.DataFrame:
    """Compare the network's time with that of its multiplications at the machine's best.

    Parameters
    ----------
    recognizer : Recognizer
    n_products : int
        Multiplications an image, from `multiplications`.
    n_rounds : int

    Returns
    -------
    pandas.DataFrame
        From `compare`, in microseconds an image.
    """
    best = n_products / multiplications_per_second()
    clocks = {
        "at the machine's best": lambda: best,
        "512 images at once": lambda: network_seconds(recognizer, 512),
        "one image": lambda: network_seconds(recognizer, 1),
    }
    rounds(clocks, 1)  # the first ones also load what is loaded lazily
    return compare(1e6 * rounds(clocks, n_rounds), "at the machine's best")


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
        Columns `RACE_COLUMNS`: what `benchmarks.race` printed.
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
