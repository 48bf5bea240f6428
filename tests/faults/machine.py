"""Full disks, little memory, clocks that jump, bad networks, Ctrl-C, two runs at once."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import onnxruntime
from PIL import Image

from digits.config import ROOT, TEST_IMAGES
from faults import kills, server
from faults.process import DIGITS, Ended, run
from faults.table import Row

STOPPED_WITHIN = 2.0  # seconds after Ctrl-C
LIMIT = 300.0
REFUSED = re.compile("another run")  # what the second of two writers is told


def downloads(folder: Path, share: float) -> Row:
    """Download from a server that stops, lies, or serves something else."""
    lost, slowest, largest = [], 0.0, 0.0
    for way in server.WAYS:
        cache = folder / way
        ended = run(kills.download(cache, way), timeout=LIMIT)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        held = [path for path in cache.glob("[!.]*") if path.is_file()]  # the lock's file stays
        if way in server.GOOD:
            if ended.status or [path.name for path in held] != ["mnist.npz"]:
                lost.append(f"{way}: status {ended.status}, {ended.err[-100:]}")
        elif ended.status != 1 or len(ended.err.splitlines()) != 1 or held:
            lost.append(f"{way}: status {ended.status}, left {held}, {ended.err[-100:]}")
    return Row(
        "downloads that go wrong", len(server.WAYS), len(lost), slowest, largest, "; ".join(lost)
    )


def full_disk(folder: Path, share: float) -> Row:
    """Write where there is no room; what was there before must stay."""
    lost, slowest, largest, tried, fitted = [], 0.0, 0.0, 0, 0
    small = folder / "small"
    small.mkdir()
    for megabytes in (0.05, 0.2, 0.6):
        with _tmpfs(small, megabytes) as there:
            if not there:
                return Row("full disk", 0, 0, 0, 0, "not tried: a tmpfs may not be mounted here")
            for name, (command, read_back) in _writers(small / "target").items():
                tried += 1
                target = small / "target"
                target.mkdir()
                (target / "metrics.json").write_text("{}")  # an earlier result
                (target / "card.json").write_text("{}")
                ended = run(command, timeout=LIMIT, environment=kills.WITHOUT_MNIST)
                slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
                if problem := _refusal(ended):
                    lost.append(f"{name} in {megabytes} MB: {problem}")
                if ended.status == 0:  # there was room for this one: then it is all there
                    fitted += 1
                    try:
                        read_back(target)
                    except Exception as error:  # whatever is the matter, the result is not whole
                        lost.append(f"{name} in {megabytes} MB: done, but {error!r}")
                elif not _whole(target):
                    lost.append(f"{name} in {megabytes} MB: the earlier result is gone")
                _clear(small)
    remarks = (
        "; ".join(lost)[:1000] or f"{tried - fitted} refused; {fitted} had room, and are whole"
    )
    return Row("full disk", tried, len(lost), slowest, largest, remarks)


def read_only(folder: Path, share: float) -> Row:
    """Write where nobody may; root may everywhere, so a read-only tmpfs stands in."""
    lost, slowest, largest, tried = [], 0.0, 0.0, 0
    closed = folder / "closed"
    closed.mkdir()
    with _tmpfs(closed, 1, "ro") as there:
        if not there:
            return Row("read-only folders", 0, 0, 0, 0, "not tried: no tmpfs may be mounted here")
        for name, (command, _) in _writers(closed / "target").items():
            tried += 1
            ended = run(command, timeout=LIMIT, environment=kills.WITHOUT_MNIST)
            slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
            if problem := _refusal(ended) or (not ended.status and "status 0"):
                lost.append(f"{name}: {problem}")
    return Row("read-only folders", tried, len(lost), slowest, largest, "; ".join(lost))


def _writers(target: Path) -> dict[str, tuple[list, Callable[[Path], object]]]:
    """Return by name the commands that write, and what reads the result back, or raises."""
    hand = kills.examples(target.parent.parent / "hand")
    parts = target.with_name("parts")
    return {
        "train": ([*DIGITS, "train", "--data", "embedded", "--profile", "quick", *kills.SMALL,
                   "--run", target], kills.run_fingerprint),
        "report": ([*DIGITS, "report", "--data", "embedded", "--profile", "quick", "--only", "07",
                    "--output", target], kills.report_fingerprint),
        "export": ([*DIGITS, "export", "--format", "onnx", target / "model.onnx"], _exported),
        "predict --csv": ([*DIGITS, "predict", "--csv", target / "answers.csv", TEST_IMAGES],
                          _answered),
        "predict --annotate": ([*DIGITS, "predict", "--annotate", target / "copies", TEST_IMAGES],
                               _annotated),
        "predict --output": ([*DIGITS, "predict", "--output", parts, TEST_IMAGES],
                             lambda _: _every(row["file"] for row in kills.rows(parts))),
        "finetune": ([*DIGITS, "finetune", hand, "--data", "embedded", "--output", target],
                     kills.model_fingerprint),
    }  # fmt: skip


def _exported(target: Path) -> None:
    model = (target / "model.onnx").read_bytes()
    onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def _answered(target: Path) -> None:
    with (target / "answers.csv").open(newline="", encoding="utf-8") as file:
        _every(row["file"] for row in csv.DictReader(file))


def _annotated(target: Path) -> None:
    copies = list((target / "copies").iterdir())
    for path in copies:
        with Image.open(path) as image:
            image.load()
    _every(path.name for path in copies)


def _every(names: Iterable[str]) -> None:
    """Raise unless there are as many names as there are pictures of the project's own."""
    with (TEST_IMAGES / "labels.csv").open(newline="", encoding="utf-8") as file:
        expected = len(list(csv.DictReader(file)))
    if (found := len(set(names))) != expected:
        raise ValueError(f"{found} of {expected} are there")


def _refusal(ended: Ended) -> str:
    """Return what was wrong with how a command gave up, or nothing; small results may fit."""
    if ended.timed_out:
        return "no end"
    if ended.traceback:
        return f"a traceback: {ended.err[-150:]}"
    if ended.status not in (0, 1, 2):
        return f"status {ended.status}"
    if ended.status and not ended.err.strip():
        return "no message"
    return ""


def _whole(target: Path) -> bool:
    try:
        return all(isinstance(json.loads((target / name).read_text()), dict)
                   for name in ("metrics.json", "card.json") if (target / name).exists()) and any(
                       target.iterdir())  # fmt: skip
    except (OSError, ValueError):
        return False


def _clear(folder: Path) -> None:
    subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)


@contextmanager
def _tmpfs(folder: Path, megabytes: float, *options: str) -> Iterator[bool]:
    size = ",".join([f"size={int(megabytes * 1024)}k", *options])
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]
    there = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", "--lazy", folder], check=True)


def little_memory(folder: Path, share: float) -> Row:
    """Read pictures under `ulimit -v`: an answer, or one line, or the system's own refusal."""
    limits = range(100, 2101, round(100 / share))
    lost, slowest, largest, killed = [], 0.0, 0.0, 0
    for limit in limits:
        ended = run([*DIGITS, "predict", "--json", TEST_IMAGES / "sums_on_squares.jpg"],
                    timeout=LIMIT, memory=limit, environment={"OMP_NUM_THREADS": "1"})  # fmt: skip
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        killed += ended.status < 0 or ended.status > 2
        if ended.timed_out:
            lost.append(f"{limit} MB: no end")
        elif ended.status == 0 and json.loads(ended.out)["status"] == "error":
            lost.append(f"{limit} MB: an error with status 0")
        elif ended.status in (1, 2) and ended.traceback:
            lost.append(f"{limit} MB: a traceback: {ended.err[-120:]}")
    remarks = "; ".join(lost) or (
        f"{limits[0]} to {limits[-1]} MB of address space; in {killed} the system or a library ended "
        "the process"
    )
    return Row("little memory", len(limits), len(lost), slowest, largest, remarks)


JUMPS = """
import time
_true, _n = time.time, 0
def _jumping():
    global _n
    _n += 1
    return _true() + (-1) ** _n * 86400 * (_n % 400)
time.time = _jumping
"""


def clock_jumps(folder: Path, share: float) -> Row:
    """Train and report while the clock jumps by days with every look at it."""
    (folder / "sitecustomize.py").write_text(JUMPS)
    path = os.pathsep.join([str(folder), str(ROOT)])
    lost, slowest, largest = [], 0.0, 0.0
    results = []
    for name, environment in (("still", {}), ("jumping", {"PYTHONPATH": path})):
        target = folder / name
        command = [*DIGITS, "train", "--data", "embedded", "--profile", "quick", *kills.SMALL,
                   "--run", target]  # fmt: skip
        ended = run(command, timeout=LIMIT, environment=environment)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status:
            lost.append(f"{name}: {ended.err[-150:]}")
        else:
            results.append(kills.run_fingerprint(target))
    if results[1:] != results[:-1]:
        lost.append("another result")
    return Row("clock jumps", 2, len(lost), slowest, largest, "; ".join(lost))


def two_at_once(folder: Path, share: float) -> Row:
    """Start each writing command twice: both end, one may be refused, and the result is whole."""
    lost, slowest, largest, tried = [], 0.0, 0.0, 0
    for victim in kills.victims():
        target = folder / victim.name.replace(" ", "") / "target"
        target.parent.mkdir()
        for _ in range(max(1, round(4 * share))):
            tried += 1
            with ThreadPoolExecutor(2) as pool:
                start = partial(run, timeout=LIMIT, environment=kills.WITHOUT_MNIST)
                ends = list(pool.map(start, [victim.command(target, 0)] * 2))
            slowest = max(slowest, *(ended.seconds for ended in ends))
            largest = max(largest, *(ended.megabytes for ended in ends))
            refused = [ended.err for ended in ends if ended.status]
            if len(refused) > 1 or any(not REFUSED.search(err) for err in refused):
                lost.append(f"{victim.name}: {refused}")
            try:
                victim.fingerprint(target)
            except Exception as error:  # whatever is the matter, the result is not whole
                lost.append(f"{victim.name}: {type(error).__name__}: {error}")
    remarks = "; ".join(lost)[:1000] or "each of the commands that are killed, started twice"
    return Row("two at once", tried, len(lost), slowest, largest, remarks)


def interrupts(folder: Path, share: float) -> Row:
    """Press Ctrl-C at random moments of each command."""
    rng = random.Random(kills.SEED)
    lost, slowest, largest, tried = [], 0.0, 0.0, 0
    names = _writers(folder / "names" / "target")
    commands = {
        # A folder for each: what one leaves is nothing that another replaces.
        **{name: _writers(folder / str(n) / "target")[name][0] for n, name in enumerate(names)},
        "predict": [*DIGITS, "predict"],
        "doctor": [*DIGITS, "doctor"],
        "draw": [*DIGITS, "draw", "--no-browser"],
    }
    for name, command in commands.items():
        for _ in range(max(2, round(6 * share))):
            moment = rng.uniform(0.5, 1.5 if name in ("predict", "doctor") else 14)
            ended = run(command, timeout=LIMIT, environment=kills.WITHOUT_MNIST,
                        signal_after=(moment, signal.SIGINT))  # fmt: skip
            if ended.seconds < moment:
                continue  # it had ended before
            tried += 1
            slowest = max(slowest, ended.seconds - moment)
            largest = max(largest, ended.megabytes)
            last = (ended.err.splitlines() or [""])[-1]
            if ended.status == 0 and ended.seconds - moment < STOPPED_WITHIN:
                continue  # it was about to end
            if ended.status != 130 or last != "digits: stopped" or ended.traceback:
                lost.append(f"{name} at {moment:.1f} s: {ended.status}, {ended.err[-150:]}")
            elif ended.orphans:
                lost.append(f"{name} at {moment:.1f} s: processes were left running")
            elif ended.seconds - moment > STOPPED_WITHIN:
                lost.append(f"{name} at {moment:.1f} s: {ended.seconds - moment:.1f} s later")
    return Row("Ctrl-C", tried, len(lost), slowest, largest, "; ".join(lost)[:1000])


def same_again(folder: Path, share: float) -> Row:
    """Make the report twice: numbers, mistakes and splits must be the same."""
    found, lost, slowest, largest = [], [], 0.0, 0.0
    for name in ("first", "second"):
        command = [*DIGITS, "report", "--data", "embedded", "--profile", "quick",
                   "--only", "01,02,03,04,05", "-p", f"RUN_DIR={folder / name / 'run'}",
                   "--output", folder / name / "report"]  # fmt: skip
        ended = run(command, timeout=900, environment=kills.WITHOUT_MNIST)
        slowest, largest = max(slowest, ended.seconds), max(largest, ended.megabytes)
        if ended.status:
            return Row("the same report again", 1, 1, slowest, largest, ended.err[-300:])
        found.append((kills.report_fingerprint(folder / name / "report"),
                      kills.run_fingerprint(folder / name / "run")))  # fmt: skip
    if found[0] != found[1]:
        lost.append(f"differs: {kills.difference(found[0], found[1])}")
    remarks = "; ".join(lost) or "notebooks 01 to 05, embedded digits, quick"
    return Row("the same report again", 2, len(lost), slowest, largest, remarks)
