"""Reads a large collection into a Parquet data set, part by part; a stopped run continues.

The data set is a folder::

    part-000000.parquet     readings of the first pictures, one row each, in the collection's order
    part-000001.parquet
    _plan/plan.json         what the run reads, and with what; written when the lists are whole
    _plan/000000.parquet    the pictures, listed once, so that a changed folder shifts no part

What reads Parquet passes over names that begin with an underscore. A part appears whole or not at
all, so that those which are there are done, and a run that was stopped, in whatever way, goes on with
the others.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from digits import InputError
from digits.collection.sources import Entry, entries, fetch, is_url
from digits.config import CHAMPION
from digits.pictures.files import not_looked_at
from digits.recognizer import Recognizer
from digits.recognizer.parallel import Work, map_ordered, n_cores, read_each
from digits.storage import locked, write_json

PART = 1000  # pictures in a part
PARTS_LISTED = 1000  # parts in one file of the plan
PLAN, PLAN_FILE = "_plan", "plan.json"
FORMAT = 1  # of the plan and the parts; other numbers are refused

DIGIT = pa.struct(
    [
        ("digit", pa.int8()),
        ("confidence", pa.float32()),
        ("box", pa.list_(pa.int32())),
        ("row", pa.int32()),
        ("accepted", pa.bool_()),
        ("cut", pa.bool_()),
    ]
)
READINGS = pa.schema(
    [
        ("file", pa.string()),
        ("text", pa.string()),
        ("rows", pa.list_(pa.string())),
        ("confidence", pa.float32()),
        ("status", pa.string()),
        ("message", pa.string()),
        ("digits", pa.list_(DIGIT)),
    ]
)
# Paths are bytes to the file system, and need not be text.
ENTRIES = pa.schema([("file", pa.string()), ("place", pa.binary()), ("member", pa.string())])


@dataclass(frozen=True)
class Plan:
    """The pictures of a run, in parts.

    Attributes
    ----------
    folder : Path
        The data set.
    n_pictures, n_parts : int
    part : int
        Pictures in a part; the last one holds the rest.
    """

    folder: Path
    n_pictures: int
    n_parts: int
    part: int

    def path(self, number: int) -> Path:
        """Return where the readings of a part are, or will be."""
        return self.folder / f"part-{number:06}.parquet"

    def missing(self) -> list[int]:
        """Return the numbers of the parts that are still to be read."""
        there = {entry.name for entry in os.scandir(self.folder)}
        return [n for n in range(self.n_parts) if self.path(n).name not in there]

    def entries(self, number: int) -> list[Entry]:
        """Return the pictures of a part."""
        file, group = divmod(number, PARTS_LISTED)
        with pq.ParquetFile(_list_path(self.folder / PLAN, file)) as listed:
            rows = listed.read_row_group(group).to_pylist()
        return [Entry(row["file"], os.fsdecode(row["place"]), row["member"]) for row in rows]

    def write(self, number: int, part: bytes) -> None:
        """Add the readings of a part to the data set."""
        path = self.path(number)
        temporary = path.with_name(f".{path.name}")
        with temporary.open("wb") as file:
            file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def count(self) -> dict[str, int]:
        """Return how many pictures have which status, over all parts."""
        counts: dict[str, int] = {}
        for number in range(self.n_parts):
            statuses = pq.read_table(self.path(number), columns=["status"]).column(0)
            for status in statuses.value_counts().to_pylist():
                counts[status["values"]] = counts.get(status["values"], 0) + status["counts"]
        return counts


def read_collection(
    sources: Iterable[str],
    output: str | os.PathLike,
    model: str | os.PathLike | None = None,
    *,
    single: bool = False,
    part: int = PART,
    workers: int | None = None,
    scheduler: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda n_read, n_pictures: None,
) -> dict[str, int]:
    """Read all pictures of some sources into a Parquet data set.

    Where `output` holds the begun run of the same sources and settings, what is missing is read.

    Parameters
    ----------
    sources : iterable of str
        See `digits.collection.sources.entries`.
    output : path
        The folder of the data set.
    model : path or None
        As for `Recognizer.load`.
    single : bool
        Take each picture as one digit.
    part : int
        Pictures in a part, at least 1.
    workers : int or None
        Processes on this machine; by default one for each core.
    scheduler : str or None
        The address of a Dask scheduler, whose workers read instead; they must see the sources and
        the model at the same paths or URLs.
    say : callable
        Called with lines for people.
    progress : callable
        Called after each part, and once before the first, with the number of pictures that are
        read, by an earlier run or this one, and of all.

    Returns
    -------
    dict
        How many pictures have which status.

    Raises
    ------
    InputError
        If there is no picture, or no such model; if `output` holds something else, or is being
        written by another run.
    """
    settings = {
        "format": FORMAT,
        "sources": [source if is_url(source) else os.path.abspath(source) for source in sources],
        "model": digest(model),
        "single": single,
        "part": part,
    }
    output = Path(output)
    with locked(output):
        plan = _plan(output, sources, settings, say)
        missing = plan.missing()
        n_read = plan.n_pictures - sum(_size(plan, number) for number in missing)
        if n_read:
            say(f"{n_read:,} of {plan.n_pictures:,} pictures are read already")
        progress(n_read, plan.n_pictures)
        start = partial(part_reader, model, settings["model"], single)
        parts = (plan.entries(number) for number in missing)
        if scheduler:
            from digits.collection.cluster import spread_on_cluster

            results = spread_on_cluster(parts, start, scheduler, say)
        else:
            processes = min(workers or n_cores(), max(len(missing), 1))
            results = enumerate(map_ordered(parts, start, processes))
        for index, content in results:
            plan.write(missing[index], content)
            n_read += _size(plan, missing[index])
            progress(n_read, plan.n_pictures)
        return plan.count()


def digest(model: str | os.PathLike | None) -> str:
    """Return what tells models apart: the SHA-256 of a model's files and this project's version."""
    path = Path(model) if model is not None else CHAMPION
    path = path / "model.onnx" if path.is_dir() else path
    parts = hashlib.sha256(version("digits").encode())
    for file in (path, path.with_name("card.json")):
        try:
            parts.update(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); give a model") from None
    return parts.hexdigest()


def part_reader(model: str | os.PathLike | None, expected: str, single: bool) -> Work:
    """Return what reads a part into the bytes of a Parquet file."""

    def work(pictures: list[Entry], left_out: frozenset, mark: Callable[[int], None]) -> bytes:
        recognizer = _recognizer(model, expected)
        readings = read_each(recognizer, pictures, single, left_out, mark, fetch)
        rows = [
            {**reading.to_dict(), "file": entry.file, "message": _text(reading.message)}
            for reading, entry in zip(readings, pictures, strict=True)
        ]
        content = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, READINGS), content, compression="zstd")
        return content.getvalue()

    return work


@lru_cache(1)
def _recognizer(model: str | os.PathLike | None, expected: str) -> Recognizer:
    if digest(model) != expected:
        raise InputError(
            "the model, or the version of digits, is not that of the machine that started the run; "
            "install the same on all"
        )
    return Recognizer.load(model, threads=1)


def _text(name: str) -> str:
    """Return `name` with bytes that are no text, as names of files may hold, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _size(plan: Plan, number: int) -> int:
    return min(plan.part, plan.n_pictures - number * plan.part)


# --- Plans -----------------------------------------------------------------------------------------


def _list_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.parquet"


def _plan(output: Path, sources: Iterable[str], settings: dict, say) -> Plan:
    """Return the plan of a begun run with these settings, or make one."""
    path = output / PLAN / PLAN_FILE
    if path.exists():
        return _begun(path, settings)
    if output.exists() and any(entry.name != PLAN for entry in output.iterdir()):
        raise InputError(
            f"{output} exists, and is no run of digits predict; choose another --output"
        )
    # A plan without its plan.json was not finished.
    shutil.rmtree(output / PLAN, ignore_errors=True)
    (output / PLAN).mkdir(parents=True)

    def unreadable(error: OSError) -> None:
        say(f"cannot look into {error.filename} ({error.strerror})")

    others: Counter[str] = Counter()
    found = (entry for source in sources for entry in entries(source, unreadable, others))
    try:
        n_pictures, n_parts = _list(found, output / PLAN, settings["part"])
        if others:
            say(not_looked_at(others))
        if not n_pictures:
            raise InputError(f"no pictures in {', '.join(sources)}")
    except InputError:
        shutil.rmtree(output)
        raise
    write_json(path, {**settings, "n_pictures": n_pictures, "n_parts": n_parts})
    return Plan(output, n_pictures, n_parts, settings["part"])


def _begun(path: Path, settings: dict) -> Plan:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        counts = plan.pop("n_pictures"), plan.pop("n_parts")
    except (OSError, ValueError, KeyError, AttributeError):
        raise InputError(f"{path} is damaged; remove its folder to begin anew") from None
    differing = [name for name in settings if plan.get(name) != settings[name]]
    if differing:
        name = differing[0]
        what, value = ("--part-size", plan.get(name)) if name == "part" else (name, "another one")
        raise InputError(
            f"{path.parent.parent} was begun with other settings ({what}: {value}); "
            "give the same, or choose another --output"
        )
    return Plan(path.parent.parent, *counts, settings["part"])


def _list(found: Iterator[Entry], folder: Path, part: int) -> tuple[int, int]:
    """Write the pictures to the plan, a row group for each part; return how many there are."""
    n_pictures = n_parts = 0
    writer = None
    try:
        while rows := list(islice(found, part)):
            if n_parts % PARTS_LISTED == 0:
                if writer:
                    writer.close()
                writer = pq.ParquetWriter(_list_path(folder, n_parts // PARTS_LISTED), ENTRIES)
            columns = [
                [_text(entry.file) for entry in rows],
                [os.fsencode(entry.place) for entry in rows],
                [entry.member for entry in rows],
            ]
            writer.write_table(pa.table(columns, ENTRIES))
            n_pictures += len(rows)
            n_parts += 1
    finally:
        if writer:
            writer.close()
    return n_pictures, n_parts
