"""Processes that share the work: order, bounds, and what happens to those that die."""

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from digits import InputError
from digits.recognizer import Reading, Recognizer, parallel
from digits.recognizer.parallel import LOST, map_ordered, read_all, read_each

needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")

# What runs in other processes is found by them in this file.


def doubled(chunk):
    if chunk == [3]:
        time.sleep(0.3)  # the others are done before
    return [(os.getpid(), 2 * item) for item in chunk]


def killed(chunk):
    """Read nothing, and be killed by each "kill"."""
    for item in chunk:
        if item == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    return [Reading(item) for item in chunk]


def refused(chunk):
    raise InputError("no such model")


def ended(chunk):
    os._exit(3)


def test_results_come_in_order_from_several_processes():
    results = list(chain.from_iterable(map_ordered([[n] for n in range(12)], doubled, 2)))
    assert [result for _, result in results] == [2 * n for n in range(12)]
    processes = {process for process, _ in results}
    assert len(processes) == 2 and os.getpid() not in processes
    kinds = [type(thread).__name__ for thread in threading.enumerate()]
    assert "_ExecutorManagerThread" not in kinds, "the pool closes while Python ends"


def test_no_more_work_is_taken_while_the_first_is_slow():
    rest = iter(range(4, 100))
    results = map_ordered(chain([[3]], ([n] for n in rest)), doubled, 2)
    assert next(results)[0][1] == 6
    assert next(rest) <= 3 + 2 * parallel.PREFETCH
    results.close()


@needs_sigkill
def test_pictures_that_kill_their_process_are_named_and_the_rest_is_read():
    chunks = [["a", "kill", "b", "kill"], ["c"], ["kill"], ["d", "e"]] + [
        [str(n)] for n in range(30)
    ]
    results = map_ordered(chunks, killed, 2)
    first = next(results)
    time.sleep(1)  # what comes next breaks the pool while nothing is asked of it
    readings = [*first, *chain.from_iterable(results)]
    assert [reading.file for reading in readings] == [*chain.from_iterable(chunks)]
    for reading in readings:
        what = ("error", LOST) if reading.file == "kill" else ("ok", "")
        assert (reading.status, reading.message) == what


def test_processes_that_cannot_start_end_the_run_in_one_line():
    with pytest.raises(InputError, match="processes that read keep ending"):
        list(map_ordered([["a"]], ended, 1))
    with pytest.raises(InputError, match="no such model"):
        list(map_ordered([["a"]], refused, 2))


ORPHANS = """
import sys, time
sys.path.insert(0, {tests!r})
from digits.recognizer.parallel import map_ordered
from test_parallel import doubled
if __name__ == "__main__":
    for [(process, _)] in map_ordered(([n] for n in range(10**6)), doubled, 2):
        print(process, flush=True)
        time.sleep(0.05)
"""


@needs_sigkill
def test_no_process_survives_the_first(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(ORPHANS.format(tests=os.path.dirname(__file__)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    run = subprocess.Popen([sys.executable, script], **pipes)
    others = {int(run.stdout.readline()) for _ in range(3)}
    run.kill()
    assert run.communicate()[1] == ""
    deadline = time.monotonic() + 10
    while others := set(filter(is_alive, others)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # nobody collects orphans here


class Reader:
    """Stands in for the recogniser: answers with the picture, and fails at some."""

    @classmethod
    def load(cls, path=None, *, threads=None):
        assert threads == 1
        return cls()

    def read_many(self, pictures, *, single=False):
        for picture in pictures:
            if isinstance(picture, InputError):
                yield Reading("", status="error", message=str(picture))
            elif picture == "fault":
                raise ZeroDivisionError("of its own")
            else:
                yield Reading(str(picture), text=str(single))


def test_each_picture_gets_a_reading_whatever_happens():
    def fetch(picture):
        if picture == "gone":
            raise InputError("it is gone")
        return picture

    failed = "reading it failed (ZeroDivisionError: of its own)"
    assert read_each(Reader(), ["a", "fault", "gone", "b"], True, fetch) == [
        Reading("a", text="True"),
        Reading("fault", status="error", message=failed),
        Reading("", status="error", message="it is gone"),
        Reading("b", text="True"),
    ]


@pytest.mark.parametrize("slow", [1, 5, 50, None])
def test_many_pictures_are_shared_and_stay_in_order(monkeypatch, slow):
    """Where all are fast, or one process is asked for, this one reads them all."""
    shared, clock = [], [0.0]

    class Slow(Reader):
        def read_many(self, pictures, *, single=False):
            for picture in pictures:
                clock[0] += 1.0 if picture == str(slow) else 0.01 if slow else 1e-4
                yield from super().read_many([picture])

    def in_this_process(chunks, read, processes):
        assert processes == 2
        for chunk in chunks:
            shared.extend(chunk)
            yield read(chunk)

    monkeypatch.setattr(parallel.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(parallel, "Recognizer", Slow)
    monkeypatch.setattr(parallel, "map_ordered", in_this_process)
    pictures = [str(n) for n in range(1000)]
    assert [r.file for r in read_all(pictures, f"no model {slow}", processes=2)] == pictures
    assert 800 < len(shared) < 1000 if slow else not shared
    assert shared == pictures[len(pictures) - len(shared) :]
    shared.clear()
    assert [r.file for r in read_all(pictures, processes=1)] == pictures
    assert not shared and list(read_all([])) == []


def test_several_processes_read_what_one_reads(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", -1)
    monkeypatch.setattr(parallel, "WORTHWHILE", -1)
    images = [np.full((30, 30), grey, np.uint8) for grey in range(0, 250, 25)] + [b"not an image"]
    expected = [reading.to_dict() for reading in Recognizer.load().read_many(images)]
    assert [reading.to_dict() for reading in read_all(images, processes=2)] == expected
