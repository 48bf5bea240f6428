"""The commands that write something, and how to read back whole what they wrote."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
import onnxruntime
import pyarrow.dataset
from PIL import Image
from sklearn.datasets import load_digits

from digits import data
from digits.config import TEST_IMAGES
from digits.recognizer import Recognizer
from faults import process, server

LIMIT = 600.0  # seconds for an unbroken run
# A small network for three epochs: what lies between its checkpoints is the same code.
SMALL = ("--set", "epochs=3", "--set", "filters=4,4", "--set", "kernels=3,3",
         "--set", "dense_units=8")  # fmt: skip
EMBEDDED = ("--data", "embedded", "--profile", "quick")
DOWNLOAD = """
import os, sys
os.environ["DIGITS_CACHE"], url, digest = sys.argv[1:]
from digits import InputError
from digits.data import datasets
datasets.MNIST_URL, datasets.MNIST_SHA256, datasets.DOWNLOAD_TIMEOUT = url, digest, 5.0
datasets.read_mnist = lambda path: sys.exit()  # what came is a stand-in, which is not MNIST
try:
    datasets.load("mnist")
except InputError as error:
    sys.exit(str(error))
"""
run = partial(process.run, timeout=LIMIT, environment={"DIGITS_MNIST": ""})


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes
    ----------
    name : str
    arguments : callable
        Takes the folder that it writes, and the number of the try; returns the command.
    read_back : callable
        Takes that folder; returns what must be the same after two runs, and raises if it is damaged.
    continues : bool
        Whether it goes on where it was stopped, and does nothing where it has finished.
    """

    name: str
    arguments: Callable[[Path, int], list]
    read_back: Callable[[Path], object]
    continues: bool = False


def digits(*arguments) -> list:
    """Return a command of the project's own."""
    return [*process.DIGITS, *arguments]


def download(cache: Path, way: str) -> list:
    """Return the command that downloads a stand-in for MNIST from the local server."""
    address, digest = server.serving()
    return [sys.executable, "-c", DOWNLOAD, cache, f"{address}/{way}", digest]


def _download(cache: Path, number: int) -> list:
    # A cache that is whole is not downloaded anew: each try begins with one that is damaged.
    if cache.exists():
        (cache / "mnist.npz").write_bytes(b"damaged")
    return download(cache, "slow")


def _train(target: Path, number: int) -> list:
    resume = ["--resume"] if number % 2 else []
    return digits("train", *EMBEDDED, *SMALL, "--run", target, *resume)


def _report(target: Path, number: int) -> list:
    # Of all notebooks this one takes the least time: the report's own steps are what is tried.
    return digits("report", *EMBEDDED, "--only", "07", "--output", target)


def _finetune(target: Path, number: int) -> list:
    """Write twenty labelled pictures, two of each embedded digit, and fine-tune on them."""
    hand = target.parent.parent / "hand"
    if not hand.exists():
        hand.mkdir(parents=True)
        raw = load_digits()
        for digit in range(10):
            for copy, index in enumerate((raw.target == digit).nonzero()[0][:2]):
                image = Image.fromarray((255 - raw.images[index] * 15).astype("uint8"))
                image = image.resize((96, 96), Image.Resampling.BICUBIC)
                image.save(hand / f"{digit}_{copy}.png")
    return digits("finetune", hand, "--data", "embedded", "--force", "--output", target)


def _predict_parts(target: Path, number: int) -> list:
    workers = str(1 + number // 2 % 2)
    return digits("predict", "--output", target / "parts", "--part-size", "4", "--workers", workers,
                  TEST_IMAGES)  # fmt: skip


# --- What must be the same -------------------------------------------------------------------------


def read_run(folder: Path) -> dict:
    """Return what two runs with one seed have in common: all but dates and seconds."""
    card = json.loads((folder / "card.json").read_text())
    with (folder / "history.csv").open(newline="") as file:
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    _not_empty(folder, "config.json", "model.keras", "model.onnx", "MODEL_CARD.md")
    same = ("data_digest", "epoch", "temperature", "threshold", "metrics")
    return {"history": history, **{key: card[key] for key in same}}


def _read_model(folder: Path) -> dict:
    card = json.loads((folder / "card.json").read_text())
    _not_empty(folder, "model.keras")
    # What it answers, not its bytes: the exporter numbers its names anew each time.
    logits = Recognizer.load(folder).logits(data.load("embedded").x_val[:64])
    digest = hashlib.sha256(logits.tobytes()).hexdigest()
    return {"logits": digest, "temperature": card["temperature"], "threshold": card["threshold"]}


def _not_empty(folder: Path, *names: str) -> None:
    empty = [name for name in names if not (folder / name).stat().st_size]
    if empty:
        raise ValueError(f"{empty} are empty")


def read_report(folder: Path) -> dict:
    """Return a report's metrics and the names of its files, without what a clock measured."""
    metrics = json.loads((folder / "metrics.json").read_text())
    about = metrics.pop("report")
    for page in folder.glob("*.html"):
        if not page.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise ValueError(f"{page.name} is cut")
    cells = {path.name: len(nbformat.read(path, as_version=4).cells)
             for path in sorted(folder.glob("*.ipynb"))}  # fmt: skip
    return {"metrics": _without_seconds(metrics), "data": about["data"], "cells": cells,
            "files": sorted(path.name for path in folder.iterdir())}  # fmt: skip


def _without_seconds(value):
    if isinstance(value, dict):
        return {
            k: _without_seconds(v) for k, v in value.items() if "second" not in k and "ms" not in k
        }
    return [_without_seconds(item) for item in value] if isinstance(value, list) else value


def _read_cache(folder: Path) -> str:
    content = (folder / "mnist.npz").read_bytes()
    if content == b"damaged":  # as every try begins
        content = server.content()
    # One download that was cut may be left; the next one removes it.
    left = {path.name for path in folder.rglob("*")} - {"mnist.npz", ".mnist.npz.lock"}
    if len(left - {"mnist.partial"}) > 1:
        raise ValueError(f"downloads that were cut pile up: {left}")
    return hashlib.sha256(content).hexdigest()


def read_parts(target: Path) -> list[dict]:
    """Return the readings in a Parquet data set; raises if a part is cut."""
    paths = [str(path) for path in sorted((target / "parts").glob("part-*.parquet"))]
    if not paths:
        return []
    table = pyarrow.dataset.dataset(paths, format="parquet").to_table()
    found = table.select(["file", "text", "status"]).to_pylist()
    return sorted(found, key=lambda row: row["file"])


def _read_copies(target: Path) -> list[str]:
    for path in (target / "copies").iterdir():
        with Image.open(path) as image:
            image.load()
    return sorted(path.name for path in (target / "copies").iterdir())


KILLED = [
    Command("download", _download, _read_cache),
    Command("predict --output", _predict_parts, read_parts, continues=True),
    Command("train", _train, read_run),
    Command("finetune", _finetune, _read_model),
    Command("report", _report, read_report),
]
WRITERS = [
    *KILLED[1:],
    Command("export", lambda target, _: digits("export", "--format", "onnx", target / "model.onnx"),
            lambda target: onnxruntime.InferenceSession(target / "model.onnx").get_inputs()[0].name),
    Command("predict --csv",
            lambda target, _: digits("predict", "--csv", target / "answers.csv", TEST_IMAGES),
            lambda target: (target / "answers.csv").read_text()),
    Command("predict --annotate",
            lambda target, _: digits("predict", "--annotate", target / "copies", TEST_IMAGES),
            _read_copies),
]  # fmt: skip
