"""Processes that share the work: order, bounds, and what happens to those that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from digits import InputError
from digits.recognizer import Reading, parallel
from digits.recognizer.parallel import LOST, map_ordered, read_all, read_each

# What runs in other processes is found by them in this file.


def doubling():
    def work(piece, left_out, mark):
        if piece == [3]:
            time.sleep(0.3)  # the others are done before
        return os.getpid(), [2 * item for item in piece]

    return work


def dying(folder):
    """Return work that is killed by one item, each time, and by another once."""

    def work(piece, left_out, mark):
        out = []
        for place, item in enumerate(piece):
            mark(place)
            if place in left_out:
                out.append("lost")
            elif item == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                out.append(item)
        return out

    return work


def refusing():
    raise InputError("no such model")


def never_starting():
    os._exit(3)


def test_results_come_in_order_from_several_processes():
    results = list(map_ordered([[n] for n in range(12)], doubling, 2))
    assert [result for _, result in results] == [[2 * n] for n in range(12)]
    assert len({process for process, _ in results}) == 2
    assert os.getpid() not in {process for process, _ in results}


def test_no_more_work_is_taken_while_the_first_is_slow():
    taken = []

    def pieces():
        for n in range(3, 100):
            taken.append(n)
            yield [n]

    results = map_ordered(pieces(), doubling, 2)
    assert next(results)[1] == [6]
    assert len(taken) <= 2 * parallel.AHEAD + 1
    results.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_what_kills_its_process_is_left_out_and_nothing_else():
    pieces = [["a", "kill", "b", "kill"], ["c"], ["kill"], ["d", "e"]]
    assert list(map_ordered(pieces, partial(dying, None), 2)) == [
        ["a", "lost", "b", "lost"],
        ["c"],
        ["lost"],
        ["d", "e"],
    ]


def test_processes_that_cannot_start_end_the_run_in_one_line():
    with pytest.raises(InputError, match=r"keep ending \(exit status 3\)"):
        list(map_ordered([["a"]], never_starting, 1))
    with pytest.raises(InputError, match="no such model"):
        list(map_ordered([["a"]], refusing, 2))


ORPHANS = """
import sys, time
sys.path.insert(0, {tests!r})
from digits.recognizer.parallel import map_ordered
from test_parallel import doubling
if __name__ == "__main__":
    for process, _ in map_ordered(([n] for n in range(10**6)), doubling, 2):
        print(process, flush=True)
        time.sleep(0.05)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_no_process_survives_the_first(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(ORPHANS.format(tests=os.path.dirname(__file__)))
    run = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    others = {int(run.stdout.readline()) for _ in range(3)}
    run.kill()
    run.wait()
    run.stdout.close()
    deadline = time.monotonic() + 10
    while others and time.monotonic() < deadline:
        others = {process for process in others if is_alive(process)}
        time.sleep(0.05)
    assert not others


def is_alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"  # nobody collects orphans here
    except FileNotFoundError:
        return False


# --- Pictures --------------------------------------------------------------------------------------


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

    marked = []
    pictures = ["a", "fault", "gone", "killer", "b"]
    readings = read_each(Reader(), pictures, True, frozenset({3}), marked.append, fetch)
    assert [reading.file for reading in readings] == ["a", "fault", "", "", "b"]
    assert [reading.status for reading in readings] == ["ok", "error", "error", "error", "ok"]
    assert [reading.message for reading in readings[1:4]] == [
        "reading it failed (ZeroDivisionError: of its own)",
        "it is gone",
        LOST,
    ]
    assert readings[0].text == "True"
    assert set(marked) == set(range(5))


def test_few_pictures_are_read_without_other_processes(monkeypatch):
    monkeypatch.setattr(parallel, "Recognizer", Reader)
    monkeypatch.setattr(parallel, "map_ordered", None)
    pictures = [str(n) for n in range(100)]
    assert [r.file for r in read_all(pictures, processes=2)] == pictures
    assert list(read_all([])) == []


@pytest.mark.parametrize("slow", [1, 5, 50])
def test_many_pictures_are_shared_and_stay_in_order(monkeypatch, slow):
    shared = []

    class Slow(Reader):
        def read_many(self, pictures, *, single=False):
            for picture in pictures:
                clock[0] += 1.0 if picture == str(slow) else 0.01
                yield from super().read_many([picture])

    def spread_here(pieces, start, processes):
        assert processes == 2
        work = start()
        for piece in pieces:
            shared.extend(piece)
            yield work(piece, frozenset(), lambda place: None)

    clock = [0.0]
    monkeypatch.setattr(parallel.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(parallel, "Recognizer", Slow)
    monkeypatch.setattr(parallel, "map_ordered", spread_here)
    pictures = [str(n) for n in range(1000)]
    assert [r.file for r in read_all(pictures, processes=2)] == pictures
    assert 800 < len(shared) < 1000
    assert shared == pictures[-len(shared) :]


def test_one_process_is_enough_where_one_is_asked_for(monkeypatch):
    monkeypatch.setattr(parallel, "Recognizer", Reader)
    monkeypatch.setattr(parallel, "PATIENCE", -1)
    monkeypatch.setattr(parallel, "WORTHWHILE", -1)
    monkeypatch.setattr(parallel, "map_ordered", None)
    assert len(list(read_all([str(n) for n in range(50)], processes=1))) == 50


def test_several_processes_read_what_one_reads():
    from digits.recognizer import Recognizer

    images = [np.full((30, 30), grey, np.uint8) for grey in range(0, 250, 25)] + [b"no picture"]
    expected = [reading.to_dict() for reading in Recognizer.load().read_many(images)]
    (readings,) = map_ordered([images], partial(parallel.reader, None, False), 1)
    assert [reading.to_dict() for reading in readings] == expected
