"""Commands killed at random moments: what was there stays whole, and a new try ends well."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from digits import data
from digits.config import TEST_IMAGES
from digits.recognizer import Recognizer
from faults import server
from faults.process import DIGITS, run
from faults.table import Row

SEED = 7
WITHOUT_MNIST = {"DIGITS_MNIST": ""}
LIMIT = 600.0  # seconds for an unbroken run


@dataclass(frozen=True)
class Victim:
    """A command that is killed.

    Attributes
    ----------
    name : str
    command : callable
        Takes the folder that it writes, and the number of the try; returns program and arguments.
    fingerprint : callable
        Takes that folder; returns what must be the same after two runs, and raises if it is damaged.
    continues : bool
        Whether the command goes on where it was stopped, and does nothing where it has finished.
    """

    name: str
    command: Callable[[Path, int], Sequence]
    fingerprint: Callable[[Path], object]
    continues: bool = False


def kill(victim: Victim, folder: Path, times: int) -> Row:
    """Kill a command `times` times; after every tenth, let it run to its end.

    Every second kill meets the command alone, and not the processes that it has started: these
    must end by themselves.
    """
    rng = random.Random(SEED)
    lost, slowest, largest = [], 0.0, 0.0
    folder = folder / "written"
    folder.mkdir()
    target = folder / "target"

    def finish(number: int) -> float:
        nonlocal slowest, largest
        ended = run(victim.command(target, number), timeout=LIMIT, environment=WITHOUT_MNIST)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status != 0:
            lost.append(f"unbroken run {number}: status {ended.status}, {ended.err[-200:]}")
        return ended.seconds

    seconds = finish(0)
    if lost:
        return Row(f"kills: {victim.name}", 0, len(lost), slowest, largest, lost[0])
    whole = victim.fingerprint(target)
    others = _names(folder)
    killed = number = completed = 0
    while killed < times and number < 2 * times:
        number += 1
        # Half of them late, where results are put in their place.
        start = rng.choice([0.0, 0.75])
        if victim.continues and not _damage(victim, target, whole):
            shutil.rmtree(target)
        moment = seconds * rng.uniform(start, 1.05)
        ended = run(
            victim.command(target, number), timeout=LIMIT, environment=WITHOUT_MNIST,
            signal_after=(moment, signal.SIGKILL), signal_group=number % 2 == 0,
        )  # fmt: skip
        if ended.orphans:
            lost.append(f"kill {number} after {moment:.1f} s: processes were left running")
        if ended.status == -signal.SIGKILL:
            killed += 1
        elif not ended.status:  # sooner done than the first time
            seconds = min(seconds, ended.seconds)
        problem = _damage(victim, target, whole, partly=victim.continues)
        if problem:
            lost.append(f"kill {number} after {moment:.1f} s: {problem}")
        if number % 10 == 0 or killed == times or problem:
            finish(number)
            completed += 1
            if problem := _damage(victim, target, whole):
                lost.append(f"run after kill {number}: {problem}")
            if problem or _names(folder) - others:
                lost.append(f"left after kill {number}: {sorted(_names(folder) - others)}")
                shutil.rmtree(folder)
                folder.mkdir()
                finish(0)
    remarks = "; ".join(lost)[:1000] or (
        f"{number} tries, {number - killed} of which ended sooner; {completed} unbroken runs after them"
    )
    return Row(f"kills: {victim.name}", killed, len(lost), slowest, largest, remarks)


def _damage(victim: Victim, target: Path, whole: object, partly: bool = False) -> str:
    if partly and not target.exists():
        return ""
    try:
        found = victim.fingerprint(target)
    except Exception as error:  # whatever is the matter, the result is not whole
        return f"{type(error).__name__}: {error}"
    if partly:
        once = len({row["file"] for row in found}) == len(found)
        known = all(row in whole for row in found)
        return "" if once and known else "rows twice, or that the unbroken run has not"
    return "" if found == whole else f"another result: {difference(whole, found)}"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- What is killed --------------------------------------------------------------------------------

# A small network for three epochs: what lies between its checkpoints is the same code.
SMALL = ("--set", "epochs=3", "--set", "filters=4,4", "--set", "kernels=3,3",
         "--set", "dense_units=8")  # fmt: skip


def victims() -> list[Victim]:
    """Return the commands that are killed."""
    return [
        Victim("download", _download, _cached),
        Victim("predict --output", _predict, rows, continues=True),
        Victim("train", _train, run_fingerprint),
        Victim("finetune", _finetune, model_fingerprint),
        Victim("report", _report, report_fingerprint),
    ]


def _train(target: Path, number: int) -> list:
    resume = ["--resume"] if number % 2 else []
    return [*DIGITS, "train", "--data", "embedded", "--profile", "quick", *SMALL,
            "--run", target, *resume]  # fmt: skip


def _report(target: Path, number: int) -> list:
    # Of all notebooks this one takes the least time: the report's own steps are what is killed.
    return [*DIGITS, "report", "--data", "embedded", "--profile", "quick", "--only", "07",
            "--output", target]  # fmt: skip


def _finetune(target: Path, number: int) -> list:
    return [*DIGITS, "finetune", examples(target.parent.parent / "hand"), "--data", "embedded",
            "--force", "--output", target]  # fmt: skip


def examples(folder: Path) -> Path:
    """Write twenty labelled pictures, two of each embedded digit, if they are not there."""
    if not folder.exists():
        from PIL import Image
        from sklearn.datasets import load_digits

        folder.mkdir(parents=True)
        raw = load_digits()
        for digit in range(10):
            for copy, index in enumerate([i for i, y in enumerate(raw.target) if y == digit][:2]):
                image = Image.fromarray((255 - raw.images[index] * 15).astype("uint8"))
                image.resize((96, 96), Image.Resampling.BICUBIC).save(
                    folder / f"{digit}_{copy}.png"
                )
    return folder


def _predict(target: Path, number: int) -> list:
    return [
        *DIGITS,
        "predict",
        "--output",
        target,
        "--part-size",
        "4",
        "--workers",
        str(1 + number // 2 % 2),
        TEST_IMAGES,
    ]


DOWNLOAD = """
import os, sys
os.environ["DIGITS_CACHE"], url, digest = sys.argv[1:]
from digits import InputError
from digits.data import datasets
datasets.MNIST_URL, datasets.MNIST_SHA256 = url, digest
try:
    print(datasets._download_mnist(5.0))
except InputError as error:
    sys.exit(str(error))
"""


def download(cache: Path, how: str) -> list:
    """Return the command that downloads a stand-in for MNIST from a local server."""
    address, digest = server.serving()
    return [sys.executable, "-c", DOWNLOAD, cache, f"{address}/{how}", digest]


def _download(target: Path, number: int) -> list:
    # A cache that is whole is not downloaded anew: each try begins with one that is damaged.
    if target.exists():
        (target / "mnist.npz").write_bytes(b"damaged")
    return download(target, "slow")


# --- What must be the same -------------------------------------------------------------------------


def run_fingerprint(folder: Path) -> dict:
    """Return what two runs with one seed have in common: all but dates and seconds."""
    card = json.loads((folder / "card.json").read_text())
    with (folder / "history.csv").open(newline="") as file:
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    for name in ("config.json", "model.keras", "model.onnx", "MODEL_CARD.md", "test_by_epoch.csv"):
        if not (folder / name).stat().st_size:
            raise ValueError(f"{name} is empty")
    told = ("data_digest", "epoch", "temperature", "threshold", "metrics")
    return {"history": history, **{key: card[key] for key in told}}


def model_fingerprint(folder: Path) -> dict:
    """Return what a fine-tuned model answers; raises if it is damaged."""
    card = json.loads((folder / "card.json").read_text())
    if not (folder / "model.keras").stat().st_size:
        raise ValueError("model.keras is empty")
    # What it answers, not its bytes: the exporter numbers its names anew each time.
    logits = Recognizer.load(folder).logits(data.load("embedded").x_val[:64])
    digest = hashlib.sha256(logits.tobytes()).hexdigest()
    return {"logits": digest, "temperature": card["temperature"], "threshold": card["threshold"]}


def report_fingerprint(folder: Path) -> dict:
    """Return a report's pages and metrics without dates, seconds, commits and pictures' bytes."""
    metrics = json.loads((folder / "metrics.json").read_text())
    told = metrics.pop("report")
    for page in folder.glob("*.html"):
        if not page.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise ValueError(f"{page.name} is cut")
    cells = {}
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        cells[path.name] = len(notebook.cells)
    return {"metrics": without_seconds(metrics), "data": told["data"], "cells": cells,
            "files": sorted(path.name for path in folder.iterdir())}  # fmt: skip


def without_seconds(value):
    """Return nested values without what a clock measured."""
    if isinstance(value, dict):
        return {
            k: without_seconds(v) for k, v in value.items() if "second" not in k and "ms" not in k
        }
    if isinstance(value, list):
        return [without_seconds(item) for item in value]
    return value


def _cached(folder: Path) -> str:
    """Return what the cache holds; what every try begins with counts as nothing lost."""
    content = (folder / "mnist.npz").read_bytes()
    if content == b"damaged":
        content = server.content()
    # One download that was cut may be left; the next one removes it.
    left = {path.name for path in folder.rglob("*")} - {"mnist.npz", ".mnist.npz.lock"}
    if len(left - {"mnist.partial"}) > 1:
        raise ValueError(f"downloads that were cut pile up: {left}")
    return hashlib.sha256(content).hexdigest()


def rows(folder: Path) -> list:
    """Return the readings in a Parquet data set; raises if a part is cut."""
    import pyarrow.dataset

    paths = [str(path) for path in sorted(folder.glob("part-*.parquet"))]
    if not paths:
        return []
    table = pyarrow.dataset.dataset(paths, format="parquet").to_table()
    found = table.select(["file", "text", "status"]).to_pylist()
    return sorted(found, key=lambda row: row["file"])


def difference(one, other, path: str = "") -> str:
    """Return where two nested values differ, for people."""
    if isinstance(one, dict) and isinstance(other, dict):
        parts = (difference(one.get(k), other.get(k), f"{path}.{k}") for k in one | other)
        return "; ".join(part for part in parts if part)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        parts = (
            difference(a, b, f"{path}[{i}]")
            for i, (a, b) in enumerate(zip(one, other, strict=True))
        )
        return "; ".join(part for part in parts if part)
    return "" if one == other else f"{path}: {one} and {other}"
