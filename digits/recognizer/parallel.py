"""Processes that share the pictures of one run, so that all of a machine's cores work.

Results come in the order of the work. A picture that takes its process down with it, by a fault in a
library or for want of memory, is named, and the rest goes on without it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

from digits import InputError
from digits.recognizer import Reading, Recognizer

AHEAD = 8  # pieces for each process that may be done, or in work, before the first is asked for
PATIENCE = 0.15  # seconds that one process reads before others are thought of
WORTHWHILE = 1.5  # seconds that must be left to read for them to be started
PIECE = 0.2  # seconds that one piece of work should take
MOST_TOGETHER = 512  # pictures in one piece
MOST_LOSSES = 10  # processes that one piece of work may take down
LOST = "reading it ended the process, perhaps for want of memory; reduce it, or save it as PNG"

# What a process does: it takes a list of pictures, the places in it that must be left out as
# `LOST`, and a function to be called with each place before its picture is read.
Work = Callable[[list, frozenset, Callable[[int], None]], object]


def n_cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # as containers and `taskset` restrict it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_ordered(pieces: Iterable[list], start: Callable[[], Work], processes: int) -> Iterator:
    """Do pieces of work in several processes, and yield their results in order.

    Parameters
    ----------
    pieces : iterable of list
        Consumed as results are: at most `AHEAD` for each process are in memory.
    start : callable
        Called once in each process; returns what does a piece. It, the pieces and the results
        must be picklable.
    processes : int
        At least 1.

    Raises
    ------
    InputError
        What `start` raised, or if processes keep dying.
    """
    pieces = enumerate(pieces)
    team = [_Process(start) for _ in range(processes)]
    done: dict[int, object] = {}
    due = 0
    try:
        while True:
            for process in team:
                taken = sum(other.busy for other in team) + len(done)
                if not process.busy and taken < AHEAD * processes:
                    process.give(next(pieces, None))
            busy = {process.connection: process for process in team if process.busy}
            if not busy:
                return
            for connection in wait(list(busy)):
                process = busy[connection]
                number = process.task.number
                answer = process.answer()
                if answer is not None:
                    done[number] = answer[0]
            while due in done:
                yield done.pop(due)
                due += 1
    finally:
        for process in team:
            process.stop()


@dataclass
class _Task:
    number: int
    piece: list
    left_out: frozenset = frozenset()


class _Process:
    """One process, and its successors if it dies."""

    def __init__(self, start: Callable[[], Work]):
        self.start = start
        self.task: _Task | None = None
        self._begin()

    @property
    def busy(self) -> bool:
        return self.task is not None

    def _begin(self) -> None:
        # Forks would inherit locks of libraries' threads; what is spawned starts clean.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.place = context.RawValue("q", -1)
        self.process = context.Process(
            target=_serve, args=(theirs, self.start, self.place), daemon=True
        )
        with _deaf_children():
            self.process.start()
        theirs.close()

    def give(self, numbered: tuple[int, list] | None) -> None:
        if numbered is not None:
            self.task = _Task(*numbered)
            self._send()

    def _send(self) -> None:
        with suppress(OSError):  # it is dead already, as `answer` will find
            self.connection.send((self.task.piece, self.task.left_out))

    def answer(self) -> tuple | None:
        """Return the result in a tuple; None if the process died, and the piece is begun anew."""
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            self._replace()
            return None
        if isinstance(result, InputError):
            raise result
        self.task = None
        return (result,)

    def _replace(self) -> None:
        self.stop()
        place = self.place.value
        if place < 0 or len(self.task.left_out) == MOST_LOSSES:
            raise InputError(
                f"the processes that read keep ending (exit status {self.process.exitcode}); "
                "close other programs for memory, or read fewer at a time with --workers 1"
            )
        self.task.left_out |= {place}
        self._begin()
        self._send()

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, which they would answer with tracebacks."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Where this helper is started with the first process, it opens the ears again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, start: Callable[[], Work], place) -> None:
    """Work until the other end of the connection is closed, as it is when its process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides

    def mark(index: int) -> None:
        place.value = index

    with suppress(EOFError, OSError):
        try:
            work = start()
        except InputError as error:
            connection.recv()
            connection.send(error)
            return
        while True:
            piece, left_out = connection.recv()
            connection.send(work(piece, left_out, mark))


# --- Pictures --------------------------------------------------------------------------------------


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
        If there is no such model; at once, not when the first reading is asked for.
    """
    recognizer = Recognizer.load(model, threads=1)
    processes = processes or n_cores()
    return _read_all(pictures, recognizer, model, single, processes)


def _read_all(pictures, recognizer, model, single, processes) -> Iterator[Reading]:
    n_read, begin = 0, time.perf_counter()
    while n_read < len(pictures):
        yield from read_each(recognizer, pictures[n_read : 2 * n_read + 4], single)
        n_read = min(2 * n_read + 4, len(pictures))
        spent = time.perf_counter() - begin
        left = (len(pictures) - n_read) * spent / n_read
        if processes > 1 and spent > PATIENCE and left > WORTHWHILE:
            break
    # A piece is large enough for its way to another process, and small enough to share evenly.
    together = round(PIECE * n_read / max(time.perf_counter() - begin, 1e-6))
    together = min(max(together, 1), MOST_TOGETHER)
    rest = iter(pictures[n_read:])
    if n_read < len(pictures):
        pieces = iter(lambda: list(islice(rest, together)), [])
        for readings in map_ordered(pieces, partial(reader, model, single), processes):
            yield from readings


def reader(model: str | os.PathLike | None, single: bool) -> Work:
    """Return what reads a piece of work, with a model of its own."""
    recognizer = Recognizer.load(model, threads=1)

    def work(pictures: list, left_out: frozenset, mark: Callable[[int], None]) -> list[Reading]:
        return read_each(recognizer, pictures, single, left_out, mark)

    return work


def read_each(
    recognizer: Recognizer,
    pictures: list,
    single: bool,
    left_out: frozenset = frozenset(),
    mark: Callable[[int], None] = lambda place: None,
    fetch: Callable = lambda picture: picture,
) -> list[Reading]:
    """Read pictures, each of which gets a reading whatever happens.

    Parameters
    ----------
    recognizer : Recognizer
    pictures : list
    single : bool
    left_out : frozenset of int
        The places of pictures that are not tried, as each has ended a process.
    mark : callable
        Called with each place before its picture is read.
    fetch : callable
        Makes what `Recognizer.read` takes of a member of `pictures`; may raise InputError.
    """

    def fetched() -> Iterator:
        for place, picture in enumerate(pictures):
            mark(place)
            if place in left_out:
                yield InputError(LOST)
                continue
            try:
                yield fetch(picture)
            except InputError as error:
                yield error

    try:
        return list(recognizer.read_many(fetched(), single=single))
    except Exception as error:
        if len(pictures) == 1:
            name = str(pictures[0]) if isinstance(pictures[0], str | Path) else ""
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return [Reading(name, status="error", message=f"reading it failed ({what})")]

    # Which one it was is found by reading them one by one.
    def mark_at(place: int) -> Callable[[int], None]:
        return lambda _: mark(place)

    return [
        read_each(
            recognizer,
            [picture],
            single,
            frozenset({0}) if place in left_out else frozenset(),
            mark_at(place),
            fetch,
        )[0]
        for place, picture in enumerate(pictures)
    ]
