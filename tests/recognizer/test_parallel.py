"""Many pictures on several processes: order, bounds, and what happens to processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from digits import InputError
from digits.recognizer import Reading, Recognizer, parallel
from digits.recognizer.parallel import LOST, map_ordered, read_all, read_each

IMAGES = [np.full((30, 30), grey, np.uint8) for grey in range(0, 250, 25)] + [b"not a picture"]


class Killer(str):
    """A path that ends the process to which it is sent."""

    def __reduce__(self):
        return die, ()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_readings_are_those_of_one_process_in_order():
    expected = [reading.to_dict() for reading in Recognizer.load().read_many(IMAGES)]
    chunks = map_ordered(([image] for image in IMAGES), None, False, 2)
    assert [reading.to_dict() for (reading,) in chunks] == expected


def test_no_more_is_taken_than_is_worked_on():
    taken = []

    def chunks():
        for n in range(100):
            taken.append(n)
            yield IMAGES[:1]

    readings = map_ordered(chunks(), None, False, 2)
    next(readings)
    assert len(taken) <= 2 * parallel.PREFETCH + 1
    readings.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs SIGKILL and /proc")
def test_what_kills_its_process_is_named_and_nothing_else(monkeypatch):
    monkeypatch.setattr(parallel, "MAX_LOSSES", 3)
    chunks = [[IMAGES[0], Killer("a.png"), IMAGES[1], Killer("b.png")], [IMAGES[2]], [Killer("c")]]
    found = [r for readings in map_ordered(chunks, None, False, 2) for r in readings]
    assert [r.message == LOST for r in found] == [False, True, False, True, False, True]
    assert found[1].file == "a.png"
    with pytest.raises(InputError, match="keep ending"):
        list(map_ordered([[Killer("a")] * 3], None, False, 1))


ORPHANS = """
import sys
import numpy as np
from digits.recognizer.parallel import map_ordered
if __name__ == "__main__":
    import multiprocessing
    for _ in map_ordered(([np.zeros((9, 9), np.uint8)] for n in range(10**6)), None, False, 2):
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs SIGKILL and /proc")
def test_no_process_survives_the_first(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(ORPHANS)
    run = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    others = set(map(int, run.stdout.readline().split()))
    assert others
    run.kill()
    run.communicate()
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

    readings = read_each(Reader(), ["a", "fault", "gone", "b"], True, fetch)
    assert [reading.file for reading in readings] == ["a", "fault", "", "b"]
    assert [reading.status for reading in readings] == ["ok", "error", "error", "ok"]
    assert [reading.message for reading in readings[1:3]] == [
        "reading it failed (ZeroDivisionError: of its own)",
        "it is gone",
    ]
    assert readings[0].text == "True"


@pytest.mark.parametrize(
    ("processes", "patience", "worthwhile"), [(2, -1, 1.5), (2, 1, -1), (1, -1, -1)]
)
def test_few_pictures_or_one_process_need_no_other(monkeypatch, processes, patience, worthwhile):
    monkeypatch.setattr(parallel, "Recognizer", Reader)
    monkeypatch.setattr(parallel, "map_ordered", None)
    monkeypatch.setattr(parallel, "PATIENCE", patience)
    monkeypatch.setattr(parallel, "WORTHWHILE", worthwhile)
    pictures = [str(n) for n in range(100)]
    assert [r.file for r in read_all(pictures, processes=processes)] == pictures
    assert list(read_all([])) == []


@pytest.mark.parametrize("slow", [1, 5, 50])
def test_many_pictures_are_shared_and_stay_in_order(monkeypatch, slow):
    shared = []

    class Slow(Reader):
        def read_many(self, pictures, *, single=False):
            for picture in pictures:
                clock[0] += 1.0 if picture == str(slow) else 0.01
                yield from super().read_many([picture])

    def read_here(chunks, model, single, processes):
        assert processes == 2
        for chunk in chunks:
            shared.extend(chunk)
            yield read_each(Slow(), chunk, single)

    clock = [0.0]
    monkeypatch.setattr(parallel.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(parallel, "Recognizer", Slow)
    monkeypatch.setattr(parallel, "map_ordered", read_here)
    pictures = [str(n) for n in range(1000)]
    assert [r.file for r in read_all(pictures, processes=2)] == pictures
    assert 800 < len(shared) < 1000
    assert shared == pictures[-len(shared) :]
