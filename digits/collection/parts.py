"""Reads a large collection into a Parquet data set, part by part; a stopped run continues.

The data set is a folder::

    part-000000.parquet     readings of the first pictures, one row each, in the collection's order
    part-000001.parquet
    _plan/plan.json         sources and settings of the run; written when the list is whole
    _plan/pictures.parquet  the pictures, listed once, so that a changed folder shifts no part

Readers of Parquet pass over names that begin with an underscore. A part appears whole or not at all,
so a run that was stopped, in whatever way, goes on with those that are missing. Dask spreads the
parts over processes here, or over the workers of a cluster.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, KilledWorker, LocalCluster, as_completed

from digits import InputError
from digits.collection.sources import Entry, entries, fetch, is_url
from digits.config import CHAMPION
from digits.pictures.files import not_looked_at
from digits.recognizer import Reading, Recognizer
from digits.recognizer.parallel import LOST, n_cores, read_each
from digits.storage import locked, write_json

PART = 1000  # pictures in a part
PREFETCH = 4  # parts for each thread of the workers that are sent at a time
PATIENCE = 20  # seconds in which a scheduler must answer
LOSSES = 1  # processes that a part may take down here before its pictures are read one by one
PLAN, PLAN_FILE, LIST_FILE = "_plan", "plan.json", "pictures.parquet"
FORMAT = 2  # of the plan and the parts; other numbers are refused

DIGIT = {
    "digit": pa.int8(),
    "confidence": pa.float32(),
    "box": pa.list_(pa.int32()),
    "row": pa.int32(),
    "accepted": pa.bool_(),
    "cut": pa.bool_(),
}
READINGS = {
    "file": pa.string(),
    "text": pa.string(),
    "rows": pa.list_(pa.string()),
    "confidence": pa.float32(),
    "status": pa.string(),
    "message": pa.string(),
    "digits": pa.list_(pa.struct(DIGIT)),
}
# Paths are bytes to the file system, and need not be text.
ENTRIES = pa.schema({"file": pa.string(), "place": pa.binary(), "member": pa.string()})


def read_collection(
    sources: Sequence[str],
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
    sources : sequence of str
        See `digits.collection.sources.entries`.
    output : path
        The folder of the data set.
    model, single
        As for `digits.recognizer.parallel.read_all`.
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
        Called before the first part and after each, with the number of pictures that are read, by
        an earlier run or this one, and of all.

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
    how = (model, settings["model"], single)
    output = Path(output)
    with locked(output):
        _plan(output, sources, settings, say)
        with pq.ParquetFile(output / PLAN / LIST_FILE) as listed:
            n_pictures = listed.metadata.num_rows
            counts, missing = Counter(), []
            for number in range(listed.num_row_groups):
                if _path(output, number).exists():
                    read = pq.read_table(_path(output, number), columns=["status"])
                    counts.update(read["status"].to_pylist())
                else:
                    missing.append(number)
            if counts:
                say(f"{counts.total():,} of {n_pictures:,} pictures are read already")
            progress(counts.total(), n_pictures)
            if missing:
                with _client(min(workers or n_cores(), len(missing)), scheduler, say) as client:
                    parts = ((number, _entries(listed, number)) for number in missing)
                    for number, readings in _read_parts(client, parts, how):
                        _write(readings, _path(output, number))
                        counts.update(readings["status"].to_pylist())
                        progress(counts.total(), n_pictures)
    return dict(counts)


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
    client: Client, parts: Iterator[tuple[int, list[Entry]]], how: tuple
) -> Iterator[tuple[int, pa.Table]]:
    """Read numbered parts on Dask's workers; yield their readings as they are done."""
    sent, lost = {}, []
    running = as_completed(with_results=True, raise_errors=False)

    def send() -> None:
        most = PREFETCH * max(sum(client.nthreads().values()), 1)
        for number, part in islice(parts, max(most - len(sent), 0)):
            future = client.submit(_read_part, part, *how, pure=False)
            sent[future] = number, part
            running.add(future)

    send()
    for future, readings in running:
        number, part = sent.pop(future)
        if future.status == "finished":
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
    try:
        return client.submit(_read_part, [entry], *how, pure=False).result()
    except KilledWorker:
        return _table([entry], [Reading(entry.file, status="error", message=LOST)])


@contextmanager
def _client(workers: int, scheduler: str | None, say: Callable[[str], None]) -> Iterator[Client]:
    """Connect to a scheduler, or start one with processes of this machine."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it tells of every connection
    if not scheduler:
        options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
        # Memory is not shared out: a large picture may need more than one worker's share.
        options |= {"threads_per_worker": 1, "memory_limit": None}
        with dask.config.set({"distributed.scheduler.allowed-failures": LOSSES}), _deaf():
            cluster = LocalCluster(n_workers=0, **options)
        with cluster, Client(cluster) as client:
            cluster.scale(workers)
            client.wait_for_workers(workers)
            yield client
        return
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from None
    with client:
        say(f"the dashboard of the cluster is at {client.dashboard_link}")
        if not client.nthreads():
            say(f"no worker is there yet; start some with `dask worker {scheduler}`")
        yield client


@contextmanager
def _deaf() -> Iterator[None]:
    """Start threads whose processes Ctrl-C does not reach: this one decides what follows."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock it when the first process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_part(
    part: list[Entry], model: str | os.PathLike | None, expected: str, single: bool
) -> pa.Table:
    """Read a part, in a worker."""
    return _table(part, read_each(_recognizer(model, expected), part, single, fetch))


@lru_cache(1)
def _recognizer(model: str | os.PathLike | None, expected: str) -> Recognizer:
    if digest(model) != expected:
        raise InputError(
            "the model, or the version of digits, is not that of the machine that started the run; "
            "install the same on all"
        )
    return Recognizer.load(model, threads=1)


def _table(part: list[Entry], readings: list[Reading]) -> pa.Table:
    """Return the rows of a data set."""
    rows = [
        {**reading.to_dict(), "file": entry.file, "message": _text(reading.message)}
        for reading, entry in zip(readings, part, strict=True)
    ]
    return pa.Table.from_pylist(rows, pa.schema(READINGS))


def _text(name: str) -> str:
    """Return `name` with bytes that are not text, which names of files may hold, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


# --- Files of the data set -------------------------------------------------------------------------


def _path(output: Path, number: int) -> Path:
    """Return where the readings of a part are, or will be."""
    return output / f"part-{number:06}.parquet"


def _write(readings: pa.Table, path: Path) -> None:
    """Write a part so that no crash leaves half of it."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        pq.write_table(readings, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _entries(listed: pq.ParquetFile, number: int) -> list[Entry]:
    """Return the pictures of a part."""
    rows = listed.read_row_group(number).to_pylist()
    return [Entry(row["file"], os.fsdecode(row["place"]), row["member"]) for row in rows]


def _plan(output: Path, sources: Sequence[str], settings: dict, say: Callable) -> None:
    """List the pictures, unless a run with these settings has begun."""
    folder = output / PLAN
    if (folder / PLAN_FILE).exists():
        _refuse_other(folder / PLAN_FILE, settings)
        return
    if output.exists() and any(entry.name != PLAN for entry in output.iterdir()):
        raise InputError(
            f"{output} exists, and is not a run of digits predict; choose another --output"
        )
    # A plan without its plan.json was not finished.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def unreadable(error: OSError) -> None:
        say(f"cannot look into {error.filename} ({error.strerror})")

    others: Counter[str] = Counter()
    found = (entry for source in sources for entry in entries(source, unreadable, others))
    try:
        n_pictures = _list(found, folder / LIST_FILE, settings["part"])
        if others:
            say(not_looked_at(others))
        if not n_pictures:
            raise InputError(f"no pictures in {', '.join(sources)}")
    except InputError:
        shutil.rmtree(output)
        raise
    write_json(folder / PLAN_FILE, settings)


def _refuse_other(path: Path, settings: dict) -> None:
    """Raise InputError if the settings of a begun run are not these."""
    try:
        plan = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path} is damaged; remove its folder to begin anew") from None
    name = next((name for name in settings if plan.get(name) != settings[name]), None)
    if name:
        what, value = ("--part-size", plan.get(name)) if name == "part" else (name, "another one")
        raise InputError(
            f"{path.parent.parent} was begun with other settings ({what}: {value}); "
            "give the same, or choose another --output"
        )


def _list(found: Iterator[Entry], path: Path, part: int) -> int:
    """Write the pictures to the plan, a row group for each part; return how many there are."""
    n_pictures = 0
    with pq.ParquetWriter(path, ENTRIES) as writer:
        while rows := list(islice(found, part)):
            columns = [
                [_text(entry.file) for entry in rows],
                [os.fsencode(entry.place) for entry in rows],
                [entry.member for entry in rows],
            ]
            writer.write_table(pa.table(columns, ENTRIES))
            n_pictures += len(rows)
    return n_pictures
