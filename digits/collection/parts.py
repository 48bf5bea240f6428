"""Reads a large collection into a Parquet data set, part by part; a stopped run continues.

The data set is a folder::

    part-000000.parquet     readings of the first pictures, one row each, in the collection's order
    part-000001.parquet
    _plan/plan.json         sources and settings of the run; written when the list is whole
    _plan/pictures.parquet  the pictures, listed once, so that a changed folder shifts no part

Readers of Parquet pass over names that begin with an underscore. A part appears whole or not at all,
so that those which are there are done, and a run that was stopped, in whatever way, goes on with the
others. Dask spreads the parts over processes here, or over the workers of a cluster.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed

from digits import InputError
from digits.collection.sources import Entry, entries, fetch, is_url
from digits.config import CHAMPION
from digits.pictures.files import not_looked_at
from digits.recognizer import Recognizer
from digits.recognizer.parallel import LOST, n_cores, read_each
from digits.storage import locked, write_json

PART = 1000  # pictures in a part
PREFETCH = 4  # parts for each thread of the workers that are sent at a time
PATIENCE = 20  # seconds in which a scheduler must answer
LOSSES = (
    1  # processes of this machine that a part may take down before its pictures are read one by one
)
PLAN, PLAN_FILE, LIST_FILE = "_plan", "plan.json", "pictures.parquet"
FORMAT = 2  # of the plan and the parts; other numbers are refused

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

    def parts(self, numbers: Iterable[int]) -> Iterator[list[Entry]]:
        """Yield the pictures of some parts."""
        with pq.ParquetFile(self.folder / PLAN / LIST_FILE) as listed:
            for number in numbers:
                rows = listed.read_row_group(number).to_pylist()
                yield [Entry(r["file"], os.fsdecode(r["place"]), r["member"]) for r in rows]

    def size(self, number: int) -> int:
        """Return how many pictures a part has."""
        return min(self.part, self.n_pictures - number * self.part)

    def write(self, number: int, readings: pa.Table) -> None:
        """Add the readings of a part to the data set."""
        path = self.path(number)
        temporary = path.with_name(f".{path.name}")
        with temporary.open("wb") as file:
            pq.write_table(readings, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def count(self) -> dict[str, int]:
        """Return how many pictures have which status, over all parts."""
        counts: Counter[str] = Counter()
        for number in range(self.n_parts):
            counts.update(pq.read_table(self.path(number), columns=["status"])[0].to_pylist())
        return dict(counts)


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
        n_read = plan.n_pictures - sum(map(plan.size, missing))
        if n_read:
            say(f"{n_read:,} of {plan.n_pictures:,} pictures are read already")
        progress(n_read, plan.n_pictures)
        workers = min(workers or n_cores(), len(missing))
        how = (model, settings["model"], single)
        parts = _read_parts(plan.parts(missing), how, workers, scheduler, say) if missing else ()
        for index, readings in parts:
            plan.write(missing[index], readings)
            n_read += plan.size(missing[index])
            progress(n_read, plan.n_pictures)
        return plan.count()


def digest(model: str | os.PathLike | None) -> str:
    """Return the SHA-256 of a model's files and this project's version, equal for equal models."""
    path = Path(model) if model is not None else CHAMPION
    path = path / "model.onnx" if path.is_dir() else path
    parts = hashlib.sha256(version("digits").encode())
    for file in (path, path.with_name("card.json")):
        try:
            parts.update(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); give a model") from None
    return parts.hexdigest()


def _read_parts(
    parts: Iterable[list[Entry]], how: tuple, workers: int, scheduler: str | None, say: Callable
) -> Iterator[tuple[int, pa.Table]]:
    """Read parts on Dask's workers; yield their numbers and readings as they are done."""
    numbered, numbers, lost = enumerate(parts), {}, []
    with _client(workers, scheduler, say) as client:
        running = as_completed(with_results=True, raise_errors=False)

        def send() -> None:
            most = PREFETCH * max(sum(client.nthreads().values()), 1)
            for number, part in islice(numbered, max(most - running.count(), 0)):
                future = client.submit(_read_part, part, *how, pure=False)
                numbers[future] = number, part
                running.add(future)

        send()
        for future, readings in running:
            number, part = numbers.pop(future)
            if future.status != "error":
                yield number, readings
            elif isinstance(future.exception(), KilledWorker):
                lost.append((number, part))  # or another part that the same worker had
            else:
                raise future.exception()
            del future, readings  # or the scheduler would keep them
            send()
        for number, part in lost:
            yield number, pa.concat_tables(_read_alone(client, entry, how) for entry in part)


def _read_alone(client: Client, entry: Entry, how: tuple) -> pa.Table:
    """Read one picture while nothing else is read; if that takes workers down, it is the cause."""
    future: Future = client.submit(_read_part, [entry], *how, pure=False)
    try:
        return future.result()
    except KilledWorker:
        empty = {"text": "", "rows": [], "confidence": 0.0, "digits": []}
        row = {"file": entry.file, "status": "error", "message": LOST, **empty}
        return pa.Table.from_pylist([row], READINGS)


@contextmanager
def _client(workers: int, scheduler: str | None, say: Callable[[str], None]) -> Iterator[Client]:
    """Connect to a scheduler, or start one with processes of this machine."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it tells of every connection
    with ExitStack() as stack:
        if not scheduler:
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": LOSSES}))
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
            yield stack.enter_context(Client(stack.enter_context(cluster)))
            return
        try:
            client = stack.enter_context(Client(scheduler, timeout=PATIENCE))
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise InputError(
                f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
            ) from None
        say(f"the dashboard of the cluster is at {client.dashboard_link}")
        if not client.nthreads():
            say(f"no worker is there yet; start some with `dask worker {scheduler}`")
        yield client


def _read_part(
    part: list[Entry], model: str | os.PathLike | None, expected: str, single: bool
) -> pa.Table:
    """Read a part, in a worker."""
    readings = read_each(_recognizer(model, expected), part, single, fetch)
    rows = [
        {**reading.to_dict(), "file": entry.file, "message": _text(reading.message)}
        for reading, entry in zip(readings, part, strict=True)
    ]
    return pa.Table.from_pylist(rows, READINGS)


@lru_cache(1)
def _recognizer(model: str | os.PathLike | None, expected: str) -> Recognizer:
    if digest(model) != expected:
        raise InputError(
            "the model, or the version of digits, is not that of the machine that started the run; "
            "install the same on all"
        )
    return Recognizer.load(model, threads=1)


def _text(name: str) -> str:
    """Return `name` with bytes that are not text, which names of files may hold, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


# --- Plans -----------------------------------------------------------------------------------------


def _plan(output: Path, sources: Iterable[str], settings: dict, say) -> Plan:
    """Return the plan of a begun run with these settings, or make one."""
    path = output / PLAN / PLAN_FILE
    if path.exists():
        return _begun(path, settings)
    if output.exists() and any(entry.name != PLAN for entry in output.iterdir()):
        raise InputError(
            f"{output} exists, and is not a run of digits predict; choose another --output"
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
    with pq.ParquetWriter(folder / LIST_FILE, ENTRIES) as writer:
        while rows := list(islice(found, part)):
            columns = [
                [_text(entry.file) for entry in rows],
                [os.fsencode(entry.place) for entry in rows],
                [entry.member for entry in rows],
            ]
            writer.write_table(pa.table(columns, ENTRIES))
            n_pictures += len(rows)
            n_parts += 1
    return n_pictures, n_parts
