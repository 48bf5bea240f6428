"""Bad pictures, data and models through the command line, as a user would meet them."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
from corpus import files, pictures

from digits.config import TEST_IMAGES
from digits.pictures.files import is_picture
from faults import kills
from faults.process import DIGITS, Ended, run
from faults.table import Row

SECONDS = 5.0
MEGABYTES = 1024.0
PATIENCE = 60.0  # seconds after which a command counts as one that hangs


def bad_pictures(folder: Path, share: float) -> Row:
    """Read each bad picture by itself, then all of them in one run, as JSON and as a table."""
    inside = folder / "pictures"
    inside.mkdir()
    # In a process of its own: what making them takes would count as memory of each command.
    run([sys.executable, "-m", "faults.pictures", inside], timeout=600)
    every = pictures.bad_pictures()
    chosen = every[:: max(1, round(1 / share))]
    before = _names(inside)
    lost, slowest, largest = [], 0.0, 0.0
    for bad in chosen:
        path = os.path.join(os.fsencode(inside), bad.name)
        for _attempt in range(2):  # other programs may have held the processors up
            ended = run([*DIGITS, "predict", "--json", "--", path], timeout=PATIENCE)
            if ended.seconds <= SECONDS:
                break
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if problem := _problem(ended, bad.expected == pictures.ERROR):
            lost.append(f"{bad.kind}: {problem}")
    paths = [os.path.join(os.fsencode(inside), bad.name) for bad in chosen]
    files_ = [path for path in paths if not os.path.isdir(path)]
    together = run([*DIGITS, "predict", "--json", "--", *files_], timeout=600)
    answers = [json.loads(line) for line in together.out.splitlines()]
    if [answer["file"] for answer in answers] != [os.fsdecode(path) for path in files_]:
        lost.append("not one JSON line for each in one run")
    if together.status != 1 or together.err:
        lost.append(f"status {together.status} of all: {together.err[:80]}")
    shown = run([*DIGITS, "predict", "--", *files_], timeout=600).out.split("\n")[1:-1]
    # Rows of a page stand below its first, without a name.
    if sum(not line.startswith(" ") for line in shown) > len(files_) or not all(
        line.isprintable() for line in shown
    ):
        lost.append("the table shows more lines than pictures, or obeys a name")
    if _names(inside) != before:
        lost.append("something was written beside the pictures")
    if files.TRACE.exists():
        lost.append("code of a picture was run")
    remarks = "; ".join(lost) or f"{len(every)} kinds; each alone, then all in one run"
    return Row("bad pictures", len(chosen), len(lost), slowest, largest, remarks)


def _names(folder: Path) -> list[bytes]:
    return sorted(os.listdir(os.fsencode(folder)))


def _problem(ended: Ended, must_fail: bool) -> str:
    """Return what was wrong with the answer to one bad picture, or nothing."""
    lines = ended.out.splitlines() + ended.err.splitlines()
    if ended.timed_out or ended.status not in (0, 1):
        return f"status {ended.status} after {ended.seconds:.0f} s"
    if len(lines) != 1:
        return f"{len(lines)} lines: {' / '.join(lines)[:100]}"
    if ended.traceback:
        return "a traceback"
    if must_fail and ended.status != 1:
        return "read"
    if ended.seconds > SECONDS:
        return f"{ended.seconds:.1f} s"
    if ended.megabytes > MEGABYTES:
        return f"{ended.megabytes:.0f} MB"
    return ""


def changing_pictures(folder: Path, share: float) -> Row:
    """Read folders whose files are cut, lengthened, replaced and removed while they are read."""
    lost, slowest, largest, tried = [], 0.0, 0.0, 0
    contents = [
        path.read_bytes() for path in sorted(TEST_IMAGES.glob("*.*")) if is_picture(path.name)
    ]
    for number in range(max(2, round(20 * share))):
        inside = folder / str(number)
        inside.mkdir()
        paths = [inside / f"{i}.png" for i in range(200)]
        for i, path in enumerate(paths):
            path.write_bytes(contents[i % len(contents)])
        # Half of the runs find their files in the folder and answer in a Parquet data set.
        parts = folder / f"parts-{number}"
        command = (
            ["--output", parts, "--part-size", "10", inside] if number % 2 else ["--json", *paths]
        )
        rng, stop = random.Random(number), threading.Event()
        meddler = threading.Thread(target=_meddle, args=(paths, contents, rng, stop))
        meddler.start()
        try:
            ended = run([*DIGITS, "predict", *command], timeout=PATIENCE)
        finally:
            stop.set()
            meddler.join()
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.traceback or ended.timed_out or ended.status not in (0, 1):
            lost.append(f"run {number}: status {ended.status}, {ended.err[-200:]}")
            continue
        if number % 2:  # those that were there when the folder was looked through
            planned = pq.read_table(parts / "_plan" / "000000.parquet")["file"].to_pylist()
            found = [row["file"] for row in kills.rows(parts)]
        else:
            planned = list(map(str, paths))
            found = [json.loads(line)["file"] for line in ended.out.splitlines()]
        tried += len(planned)
        if sorted(found) != sorted(planned):
            lost.append(f"run {number}: {len(found)} answers for {len(planned)} pictures")
    remarks = "; ".join(lost)[:1000] or "200 a run; slowest: a whole run"
    return Row("pictures that change", tried, len(lost), slowest, largest, remarks)


def _meddle(
    paths: list[Path], contents: list[bytes], rng: random.Random, stop: threading.Event
) -> None:
    """Change the files at random, until told to stop."""
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


def bad_data(folder: Path, share: float) -> Row:
    """Give bad data to `digits train`, which must refuse them before anything is written."""
    kinds = dict(list(files.bad_data().items())[:: max(1, round(1 / share))])
    lost, slowest, largest = [], 0.0, 0.0
    for number, (kind, content) in enumerate(kinds.items()):
        path = folder / f"{number}.npz"
        path.write_bytes(content())
        command = [*DIGITS, "train", "--data", path, "--run", folder / "run"]
        ended = run(command, timeout=PATIENCE)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status not in (1, 2) or len(ended.err.splitlines()) != 1 or ended.out:
            lost.append(f"{kind}: status {ended.status}, {ended.err[-80:]}")
        path.unlink()
    if files.TRACE.exists() or (folder / "run").exists() or (folder / "run.partial").exists():
        lost.append("something was run, or written")
    return Row("bad data", len(kinds), len(lost), slowest, largest, "; ".join(lost))


def bad_models(folder: Path, share: float) -> Row:
    """Give bad models to `digits predict`."""
    kinds = dict(list(files.bad_models().items())[:: max(1, round(1 / share))])
    lost, slowest, largest = [], 0.0, 0.0
    for number, (kind, spoil) in enumerate(kinds.items()):
        model = files.write_bad_model(spoil, folder / str(number))
        ended = run([*DIGITS, "predict", "--model", model], timeout=PATIENCE)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status != 2 or len(ended.err.splitlines()) != 1 or ended.out:
            lost.append(f"{kind}: status {ended.status}, {ended.err[-80:]}")
    if files.TRACE.exists():
        lost.append("code of a model was run")
    return Row("bad models and cards", len(kinds), len(lost), slowest, largest, "; ".join(lost))


KERAS_WITH_CODE = """
import sys
from digits.training.backend import keras
x = inputs = keras.Input((28, 28, 1))
x = keras.layers.Lambda(lambda x: x * 2)(x)
keras.Model(inputs, x).save(sys.argv[1])
"""


def keras_files(folder: Path, share: float) -> Row:
    """Give Keras files that carry code, or are cut, to the commands that open such files."""
    whole = (Path(files.CHAMPION) / "model.keras").read_bytes()
    contents = {
        f"cut at {tenth} tenths": whole[: len(whole) * tenth // 10] for tenth in (0, 3, 6, 9)
    }
    contents["a pickle"] = files.pickle.dumps(files.Careless())
    path = folder / "lambda.keras"
    run([sys.executable, "-c", KERAS_WITH_CODE, path], timeout=PATIENCE * 2)
    contents["a Lambda layer"] = path.read_bytes()
    lost, slowest, largest = [], 0.0, 0.0
    for number, (kind, content) in enumerate(contents.items()):
        model = files.write_bad_model(lambda folder: None, folder / str(number))
        (model / "model.keras").write_bytes(content)
        output = folder / "out.keras"
        command = [*DIGITS, "export", "--format", "keras", "--run", model, output]
        ended = run(command, timeout=PATIENCE * 2)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status != 1 or len(ended.err.splitlines()) != 1 or ended.out or output.exists():
            lost.append(f"{kind}: status {ended.status}, {ended.err[-120:]}")
    return Row("Keras files that carry code", len(contents), len(lost), slowest, largest,
               "; ".join(lost))  # fmt: skip
