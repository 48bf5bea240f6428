"""Reads many pictures on all of a machine's cores, in order.

A picture that takes its process down, by a fault in a library or because memory is out, is named, and
the rest is read without it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from multiprocessing import resource_tracker

from digits import InputError
from digits.recognizer import Reading, Recognizer
from digits.recognizer.reader import path_of

PREFETCH = 8  # chunks for each process that may be done, or in work, before the first is asked for
PATIENCE = 0.15  # seconds that this process reads before others are started
WORTHWHILE = 1.5  # seconds that must be left to read for them to be started
CHUNK_SECONDS = 0.2  # that reading one chunk should take
MAX_CHUNK = 512  # pictures
LOST = "reading it ended the process, possibly out of memory; reduce it, or save it as PNG"

ReadChunk = Callable[[list], list[Reading]]  # picklable


def read_all(
    pictures: list,
    model: str | os.PathLike | None = None,
    *,
    single: bool = False,
    processes: int | None = None,
) -> Iterator[Reading]:
    """Read pictures in order, on all cores where there are enough to pay for it.

    Parameters
    ----------
    pictures : list
        Of what `Recognizer.read` takes, paths preferably: they are sent to other processes.
    model : path or None
        As for `Recognizer.load`.
    single : bool
        Take each picture as one digit.
    processes : int or None
        How many; by default one for each core.

    Raises
    ------
    InputError
        If there is no such model: at once, not when the first reading is asked for.
    """
    recognizer = Recognizer.load(model, threads=1)
    return _read_all(pictures, recognizer, model, single, processes or n_cores())


def _read_all(pictures, recognizer, model, single, processes) -> Iterator[Reading]:
    n_read, begin = 0, time.perf_counter()
    while n_read < len(pictures):
        yield from read_each(recognizer, pictures[n_read : 2 * n_read + 4], single)
        n_read = min(2 * n_read + 4, len(pictures))
        spent = time.perf_counter() - begin
        left = (len(pictures) - n_read) * spent / n_read
        if processes > 1 and spent > PATIENCE and left > WORTHWHILE:
            break
    else:
        return
    # A chunk is large enough for its way to another process, and small enough to share evenly.
    size = min(max(round(CHUNK_SECONDS * n_read / spent), 1), MAX_CHUNK)
    chunks = (pictures[start : start + size] for start in range(n_read, len(pictures), size))
    for readings in map_ordered(chunks, partial(_read_chunk, model, single), processes):
        yield from readings


def n_cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # as containers and `taskset` restrict it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ordered(chunks: Iterable[list], read: ReadChunk, processes: int) -> Iterator[list[Reading]]:
    """Read chunks of pictures in several processes, and yield their readings in order.

    At most `PREFETCH` chunks for each process are in memory. Raises what `read` raises, and
    InputError if processes cannot start.
    """
    chunks = iter(chunks)
    waiting: deque[list] = deque()
    futures: deque = deque()  # of the first of `waiting`
    pool = _pool(processes)
    is_done = False
    try:
        while True:
            waiting.extend(islice(chunks, PREFETCH * processes - len(waiting)))
            if not waiting:
                is_done = True
                return
            try:
                with interrupts_held():
                    for chunk in islice(waiting, len(futures), None):
                        futures.append(pool.submit(read, chunk))
                readings = futures[0].result()
                futures.popleft()
            except BrokenProcessPool:  # by this chunk, or by one that breaks the next pool in turn
                readings = read_alone(waiting[0], read)
                pool, futures = _pool(processes), deque()
            waiting.popleft()
            yield readings
    finally:
        # A pool that closes while Python ends, too, may write a traceback; a stopped one cannot wait.
        pool.shutdown(wait=is_done, cancel_futures=True)


def read_alone(pictures: list, read: ReadChunk) -> list[Reading]:
    """Read pictures one by one in a process of their own, and name those that take it down.

    Raises InputError if that process ends whatever is read.
    """
    readings: list[Reading] = []
    while len(readings) < len(pictures):
        with _pool(1) as pool:
            try:
                with interrupts_held():
                    started = pool.submit(read, [])
                started.result()
            except BrokenProcessPool:
                raise InputError(
                    "the processes that read keep ending; close other programs for memory, or read "
                    "fewer at a time with --workers 1"
                ) from None
            try:
                for picture in pictures[len(readings) :]:
                    readings += pool.submit(read, [picture]).result()
            except BrokenProcessPool:
                readings.append(Reading(path_of(picture), status="error", message=LOST))
    return readings


def _pool(processes: int) -> ProcessPoolExecutor:
    # Forks would inherit locks of libraries' threads; a spawned process starts clean.
    context = multiprocessing.get_context("spawn")
    with interrupts_held():
        return ProcessPoolExecutor(processes, context, initializer=_start)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, which reaches all: the first process decides."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # This helper, started later, would let the signal through again. When the command is stopped, it
    # removes what is left, and would warn of it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    """Let a new process end with the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _read_chunk(model: str | os.PathLike | None, single: bool, pictures: list) -> list[Reading]:
    return read_each(_recognizer(model), pictures, single)


@lru_cache(1)
def _recognizer(model: str | os.PathLike | None) -> Recognizer:
    return Recognizer.load(model, threads=1)


def read_each(
    recognizer: Recognizer,
    pictures: list,
    single: bool,
    fetch: Callable = lambda picture: picture,
) -> list[Reading]:
    """Read pictures, each of which gets a reading whatever happens.

    `fetch` makes of a member of `pictures` what `Recognizer.read` takes, or raises InputError.
    """

    def fetched() -> Iterator:
        for picture in pictures:
            try:
                yield fetch(picture)
            except InputError as error:
                yield error

    try:
        return list(recognizer.read_many(fetched(), single=single))
    except Exception as error:
        if len(pictures) > 1:  # one by one says which it was
            return [read_each(recognizer, [picture], single, fetch)[0] for picture in pictures]
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"reading it failed ({reason})"
        return [Reading(path_of(pictures[0]), status="error", message=message)]
