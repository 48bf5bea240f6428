"""Reads a large collection into a Parquet data set, part by part; a stopped run continues.

The data set is a folder::

    part-000000.parquet     readings of the first pictures, one row each, in the collection's order
    part-000001.parquet
    _plan/pictures.parquet  the pictures, listed once, so that a changed folder shifts no part: a row
                            group for each part; its metadata say what the run reads, and with what

What reads Parquet passes over names that begin with an underscore. A part appears whole or not at
all: a run that was stopped, in whatever way, goes on with those that are missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, KilledWorker, as_completed

from digits import InputError
from digits.collection.sources import Entry, entries, fetch, is_url
from digits.config import CHAMPION
from digits.pictures.files import not_looked_at
from digits.recognizer import Reading, Recognizer
from digits.recognizer.parallel import interrupts_held, n_cores, read_alone, read_each
from digits.storage import locked

PART = 1000  # pictures in a part
PLAN = Path("_plan", "pictures.parquet")
FORMAT = 2  # of the plan and the parts; other numbers are refused
PREFETCH = 2  # parts for each thread of the cluster that are sent at a time
TIMEOUT = 20  # seconds in which a scheduler must answer
SETTINGS = b"digits"  # key of the plan's metadata

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
        ("unread", pa.list_(pa.list_(pa.int32(), 4))),
    ]
)
# Paths are bytes to the file system, and need not be text.
ENTRIES = pa.schema([("file", pa.string()), ("place", pa.binary()), ("member", pa.binary())])


def read_collection(
    sources: Iterable[str],
    output: str | os.PathLike,
    model: str | os.PathLike | None = None,
    *,
    single: bool = False,
    part: int | None = None,
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
        Pictures in a part, at least 1; by default `PART`.
    workers : int or None
        Processes on this machine; by default one for each core.
    scheduler : str or None
        The address of a Dask scheduler, as ``tcp://host:8786``, whose workers read instead; they
        must see the sources and the model at the same paths or URLs.
    say : callable
        Called with lines for people.
    progress : callable
        Called before the first part and after each with how many pictures are read, and of all.

    Returns
    -------
    dict
        How many pictures have which status.

    Raises
    ------
    InputError
        If there is no picture or no such model, or no scheduler answers; if `output` holds something
        else, or is being written by another run.
    """
    settings = {
        "format": FORMAT,
        "sources": [source if is_url(source) else os.path.abspath(source) for source in sources],
        "model": _digest(model),
        "single": single,
        "part": part or PART,
    }
    output = Path(output)
    with locked(output):
        plan = _plan(output, sources, settings, say)
        paths = [output / f"part-{number:06}.parquet" for number in range(plan.num_row_groups)]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        sizes = [plan.metadata.row_group(number).num_rows for number in range(len(paths))]
        n_read, n_pictures = sum(sizes) - sum(sizes[number] for number in missing), sum(sizes)
        if n_read:
            say(f"{n_read:,} of {n_pictures:,} pictures are read already")
        progress(n_read, n_pictures)
        if missing:
            read = partial(_read, model, settings["model"], single)
            processes = min(workers or n_cores(), len(missing))
            cluster = _connected(scheduler, say) if scheduler else _local_cluster(processes)
            with cluster as client:
                for number, content in _read_parts(client, plan, missing, read):
                    temporary = paths[number].with_name(f".{paths[number].name}")
                    temporary.write_bytes(content)
                    temporary.replace(paths[number])
                    n_read += sizes[number]
                    progress(n_read, n_pictures)
        statuses = (pq.read_table(path, columns=["status"])["status"] for path in paths)
        return dict(Counter(status for part in statuses for status in part.to_pylist()))


# --- On Dask ---------------------------------------------------------------------------------------


@contextmanager
def _local_cluster(workers: int) -> Iterator[Client]:
    """Yield a client of a cluster of this machine's own."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # Dask's malloc settings for its workers make reading 2.6 times slower (18 s to 7 s of processor
    # time for test_images/); its limit on memory would end one at a large picture.
    settings = dask.config.set({"distributed.nanny.pre-spawn-environ": {}})
    with settings, interrupts_held():
        client = Client(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    try:
        yield client
    except Exception:  # but not Ctrl-C: workers end with this process; closing them takes seconds
        client.close()
        raise
    client.close()


def _connected(scheduler: str, say: Callable[[str], None]) -> Client:
    try:
        client = Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from None
    say(f"the dashboard of the cluster is at {client.dashboard_link}")
    if not client.nthreads():
        say(f"no worker is there yet; start some with `dask worker {scheduler}`")
    return client


def _read_parts(
    client: Client, plan: pq.ParquetFile, numbers: list[int], read: Callable
) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and contents of parts as they are done; few are in memory at a time."""
    left = iter(numbers)
    running = as_completed(with_results=True, raise_errors=False)
    sent: dict = {}

    def send() -> None:
        most = PREFETCH * max(sum(client.nthreads().values()), 1)
        for number in islice(left, max(most - len(sent), 0)):
            future = client.submit(_read_part, _entries(plan, number), read, pure=False)
            sent[future] = number
            running.add(future)

    send()
    for future, content in running:
        number = sent.pop(future)
        if future.status != "finished":  # of a part that Dask gave up, too, the pictures are read
            if future.status == "error" and not isinstance(content[1], KilledWorker):
                raise content[1]
            # A picture of this part, or of another one on the same worker, ended it each time.
            content = _read_part(_entries(plan, number), partial(read_alone, read=read))
        yield number, content
        del future, content  # or the cluster keeps it
        send()


def _read_part(pictures: list[Entry], read: Callable[[list], list[Reading]]) -> bytes:
    """Read a part into the bytes of a Parquet file."""
    rows = [
        {**reading.to_dict(), "file": entry.file, "message": _text(reading.message)}
        for reading, entry in zip(read(pictures), pictures, strict=True)
    ]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, READINGS), content, compression="zstd")
    return content.getvalue()


def _read(model, digest: str, single: bool, pictures: list[Entry]) -> list[Reading]:
    return read_each(_recognizer(model, digest), pictures, single, fetch)


@lru_cache(1)
def _recognizer(model: str | os.PathLike | None, digest: str) -> Recognizer:
    if _digest(model) != digest:
        raise InputError(
            "the model, or the version of digits, is not that of the machine that started the run; "
            "install the same on all"
        )
    return Recognizer.load(model, threads=1)


def _digest(model: str | os.PathLike | None) -> str:
    """Return the SHA-256 of a model's and the detector's files, and this project's version."""
    path = Path(model) if model is not None else CHAMPION
    path = path / "model.onnx" if path.is_dir() else path
    parts = hashlib.sha256(version("digits").encode())
    detector = CHAMPION / "detector.onnx"
    for file in (path, path.with_name("card.json"), detector, detector.with_suffix(".json")):
        try:
            parts.update(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); give a model") from None
    return parts.hexdigest()


def _text(name: str) -> str:
    """Return `name` with bytes that are not text, as names of files may hold, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


# --- Plans -----------------------------------------------------------------------------------------


def _plan(output: Path, sources: Iterable[str], settings: dict, say) -> pq.ParquetFile:
    """Return the plan of a begun run with these settings, or make one."""
    path = output / PLAN
    if path.exists():
        _check_settings(path, settings)
        return pq.ParquetFile(path)
    if output.exists() and any(entry != path.parent for entry in output.iterdir()):
        raise InputError(
            f"{output} exists, and is not a run of digits predict; choose another --output"
        )

    def on_error(error: OSError) -> None:
        say(f"cannot look into {error.filename} ({error.strerror})")

    others: Counter[str] = Counter()
    found = (entry for source in sources for entry in entries(source, on_error, others))
    unfinished = path.with_suffix(".unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _list(found, unfinished, settings)
        if others:
            say(not_looked_at(others))
        if not pq.read_metadata(unfinished).num_rows:
            raise InputError(f"no pictures in {', '.join(sources)}")
    except InputError:
        shutil.rmtree(output)
        raise
    unfinished.replace(path)
    return pq.ParquetFile(path)


def _check_settings(path: Path, settings: dict) -> None:
    """Refuse a plan that is damaged, or was made for other settings."""
    output = path.parent.parent
    try:
        begun = json.loads(pq.read_schema(path).metadata[SETTINGS])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path} is damaged; remove {output} to begin anew") from None
    for name in settings:
        if begun.get(name) != settings[name]:
            given = f"--part-size: {begun.get(name)}" if name == "part" else f"another {name}"
            raise InputError(
                f"{output} was begun with other settings ({given}); "
                "give the same, or choose another --output"
            )


def _list(found: Iterator[Entry], path: Path, settings: dict) -> None:
    """Write the pictures to a plan, a row group for each part."""
    schema = ENTRIES.with_metadata({SETTINGS: json.dumps(settings)})
    with pq.ParquetWriter(path, schema, write_statistics=False) as writer:
        while rows := list(islice(found, settings["part"])):
            columns = [
                [_text(entry.file) for entry in rows],
                [os.fsencode(entry.place) for entry in rows],
                [os.fsencode(entry.member) for entry in rows],
            ]
            writer.write_table(pa.table(columns, schema), row_group_size=len(rows))


def _entries(plan: pq.ParquetFile, number: int) -> list[Entry]:
    """Return the pictures of a part."""
    rows = plan.read_row_group(number).to_pylist()
    return [Entry(r["file"], os.fsdecode(r["place"]), os.fsdecode(r["member"])) for r in rows]
