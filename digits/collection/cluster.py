"""The parts of a collection on the workers of a Dask cluster.

Each worker loads the model once. The parts of a worker that is lost are done again by the others,
which is Dask's doing, as are the dashboard and the balance between the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from distributed import Client, KilledWorker, as_completed

from digits import InputError
from digits.recognizer.parallel import Work

AHEAD = 4  # parts for each thread of the cluster that are sent at a time
ANSWER = 20  # seconds in which a scheduler must answer


def spread_on_cluster(
    parts: Iterable[list],
    start: Callable[[], Work],
    scheduler: str,
    say: Callable[[str], None],
) -> Iterator[tuple[int, bytes]]:
    """Read parts on a cluster; yield their numbers and contents as they are done.

    Parameters
    ----------
    parts : iterable of list
        Consumed as results are.
    start : callable
        Called in a worker for each part; returns what reads it. Picklable; what takes long, as
        loading the model, is for it to keep.
    scheduler : str
        Address, as ``tcp://host:8786``.
    say : callable
        Called with lines for people.

    Raises
    ------
    InputError
        If no scheduler answers, or a part has ended several workers.
    """
    try:
        client = Client(scheduler, timeout=ANSWER)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from None
    with client:
        say(f"the dashboard of the cluster is at {client.dashboard_link}")
        if not client.nthreads():
            say(f"no worker is there yet; start some with `dask worker {scheduler}`")
        numbered = enumerate(parts)
        running = as_completed(with_results=True, raise_errors=False)
        numbers: dict = {}

        def send() -> None:
            most = AHEAD * max(sum(client.nthreads().values()), 1)
            while running.count() < most and (part := next(numbered, None)) is not None:
                future = client.submit(_read, part[1], start, pure=False)
                numbers[future] = part[0]
                running.add(future)

        send()
        for future, content in running:
            number = numbers.pop(future)
            if future.status == "error":
                _refuse(content)
            yield number, content
            del future, content
            send()


def _refuse(error) -> None:
    error = error[1] if isinstance(error, tuple) else error
    if isinstance(error, KilledWorker):
        raise InputError(
            "a part has ended several workers, perhaps for want of memory; give them more, or find "
            "the picture by running without --scheduler"
        )
    raise error


def _read(part: list, start: Callable[[], Work]) -> bytes:
    return start()(part, frozenset(), lambda place: None)
