"""Campaign: bad pictures, data and models through the command line, as a user would meet them."""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpus import files, pictures

from digits.config import CHAMPION, TEST_IMAGES
from faults import commands
from faults.commands import digits
from faults.process import Ended, run

pytestmark = pytest.mark.campaign

SECONDS = 3.0
MEGABYTES = 800.0
PATIENCE = 60.0  # seconds after which a command counts as one that hangs


def test_bad_pictures(row, tmp_path):
    """Read each bad picture by itself, then all of them in one run."""
    # Made by another process: the memory that this takes would count as each command's.
    run([sys.executable, "-m", "corpus.pictures", tmp_path], timeout=600)
    before = _names(tmp_path)
    chosen = row.some(pictures.bad_pictures())
    paths = [os.path.join(os.fsencode(tmp_path), bad.name) for bad in chosen]
    for bad, path in zip(chosen, paths, strict=True):
        for _attempt in range(2):  # other programs may have held the processors up
            ended = run([*digits("predict", "--json", "--"), path], timeout=PATIENCE)
            if ended.seconds <= SECONDS:
                break
        row.note(ended)
        row.tried += 1
        if problem := _problem(ended, bad.expected == pictures.ERROR):
            row.lose(f"{bad.kind}: {problem}")
    paths = [path for path in paths if not os.path.isdir(path)]
    together = run([*digits("predict", "--json", "--"), *paths], timeout=600)
    answers = [json.loads(line) for line in together.out.splitlines()]
    if [answer["file"] for answer in answers] != [os.fsdecode(path) for path in paths]:
        row.lose("not one JSON line for each in one run")
    if together.status != 1 or together.err:
        row.lose(f"status {together.status} of all: {together.err[:80]}")
    if _names(tmp_path) != before:
        row.lose("something was written beside the pictures")
    if files.TRACE.exists():
        row.lose("code of a picture was run")
    row.remarks = "each alone, then all in one run"
    assert row.lost == []


def _names(folder: Path) -> list[bytes]:
    return sorted(os.listdir(os.fsencode(folder)))


def _problem(ended: Ended, must_fail: bool) -> str:
    """Return what was wrong with the answer to one bad picture, or nothing."""
    lines = ended.out.splitlines() + ended.err.splitlines()
    problems = {
        f"status {ended.status} after {ended.seconds:.0f} s": ended.timed_out
        or ended.status not in (0, 1),
        f"{len(lines)} lines: {' / '.join(lines)[:100]}": len(lines) != 1,
        "read": must_fail and ended.status != 1,
        f"{ended.seconds:.1f} s": ended.seconds > SECONDS,
        f"{ended.megabytes:.0f} MB": ended.megabytes > MEGABYTES,
    }
    return next((problem for problem, holds in problems.items() if holds), "")


def test_changing_pictures(row, tmp_path):
    """Read folders whose files are cut, lengthened, replaced and removed while they are read."""
    contents = [path.read_bytes() for path in sorted(TEST_IMAGES.glob("*.png"))]
    for number in row.times(20):
        inside = tmp_path / str(number)
        inside.mkdir()
        paths = [inside / f"{i}.png" for i in range(200)]
        for i, path in enumerate(paths):
            path.write_bytes(contents[i % len(contents)])
        # Half of the runs find their files in the folder and answer in a Parquet data set.
        target = tmp_path / f"target-{number}"
        options = ["--output", target / "parts", "--part-size", "10", inside]
        stop = threading.Event()
        meddler = threading.Thread(
            target=_meddle, args=(paths, contents, random.Random(number), stop)
        )
        meddler.start()
        try:
            command = digits("predict", *(options if number % 2 else ["--json", *paths]))
            ended = row.note(run(command, timeout=PATIENCE))
        finally:
            stop.set()
            meddler.join()
        if ended.traceback or ended.status not in (0, 1):
            row.lose(f"run {number}: status {ended.status}, {ended.err[-200:]}")
            continue
        if number % 2:  # those that were there when the folder was listed
            planned = pq.read_table(target / "parts" / "_plan" / "000000.parquet")[
                "file"
            ].to_pylist()
            found = [answer["file"] for answer in commands.read_parts(target)]
        else:
            planned = list(map(str, paths))
            found = [json.loads(line)["file"] for line in ended.out.splitlines()]
        row.tried += len(planned)
        if sorted(found) != sorted(planned):
            row.lose(f"run {number}: {len(found)} answers for {len(planned)} pictures")
    row.remarks = "200 pictures a run; slowest: a whole run"
    assert row.lost == []


def _meddle(
    paths: list[Path], contents: list[bytes], rng: random.Random, stop: threading.Event
) -> None:
    """Change the files at random, until `stop`."""
    while not stop.wait(0.0005):
        path = rng.choice(paths)
        with suppress(FileNotFoundError):
            match rng.randrange(4):
                case 0:
                    os.truncate(path, rng.randrange(path.stat().st_size + 1))
                case 1:
                    with path.open("ab") as file:
                        file.write(rng.randbytes(10_000))
                case 2:
                    path.write_bytes(rng.choice(contents))
                case 3:
                    path.unlink()


def test_bad_data(row, tmp_path):
    """Give bad data to `digits train`, which must refuse them before anything is written."""
    path = tmp_path / "bad.npz"
    for kind, content in row.some(files.bad_data().items()):
        row.tried += 1
        path.write_bytes(content())
        command = digits("train", "--data", path, "--run", tmp_path / "run")
        ended = row.note(run(command, timeout=PATIENCE))
        if not ended.refused(1, 2):
            row.lose(f"{kind}: status {ended.status}, {ended.err[-80:]}")
    if files.TRACE.exists() or (tmp_path / "run").exists() or (tmp_path / "run.partial").exists():
        row.lose("something was run, or written")
    assert row.lost == []


def test_bad_models(row, tmp_path):
    """Give bad models and cards to `digits predict`."""
    picture = TEST_IMAGES / "mouse_7.png"
    for kind, spoil in row.some(files.bad_models().items()):
        row.tried += 1
        model = files.write_bad_model(spoil, tmp_path / str(row.tried))
        ended = row.note(run(digits("predict", "--model", model, picture), timeout=PATIENCE))
        if not ended.refused(2):
            row.lose(f"{kind}: status {ended.status}, {ended.err[-80:]}")
    if files.TRACE.exists():
        row.lose("code of a model was run")
    assert row.lost == []


KERAS_WITH_CODE = """
import sys
from digits.training.backend import keras
x = inputs = keras.Input((28, 28, 1))
x = keras.layers.Lambda(lambda x: x * 2)(x)
keras.Model(inputs, x).save(sys.argv[1])
"""


def test_keras_files(row, tmp_path):
    """Give Keras files that carry code, or are cut, to a command that opens such files."""
    whole = (CHAMPION / "model.keras").read_bytes()
    contents = {f"cut at {n} tenths": whole[: len(whole) * n // 10] for n in (0, 3, 6, 9)}
    contents["a pickle"] = pickle.dumps(files.Careless())
    run([sys.executable, "-c", KERAS_WITH_CODE, tmp_path / "lambda.keras"])
    contents["a Lambda layer"] = (tmp_path / "lambda.keras").read_bytes()
    output = tmp_path / "out.keras"
    for kind, content in contents.items():
        row.tried += 1
        model = files.write_bad_model(lambda folder: None, tmp_path / str(row.tried))
        (model / "model.keras").write_bytes(content)
        ended = row.note(run(digits("export", "--format", "keras", "--run", model, output)))
        if not ended.refused(1) or output.exists():
            row.lose(f"{kind}: status {ended.status}, {ended.err[-120:]}")
    assert row.lost == []
