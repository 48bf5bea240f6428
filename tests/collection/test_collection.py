"""Large collections: parts, continuing, refusing, and every picture exactly once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import dask
import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from PIL import Image

from digits import InputError, cli
from digits.collection import parts
from digits.collection.parts import read_collection
from digits.config import CHAMPION
from digits.recognizer import Recognizer
from digits.storage import locked

PREDICT = [sys.executable, "-m", "digits", "predict", "--output", "out"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eleven pictures, one of them damaged; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for n in range(11):
        Image.fromarray(np.full((12, 12), 20 * n, np.uint8)).save(f"in/{n:02}.png")
    Path("in/04.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture(scope="module")
def cluster():
    """One worker, in this process: it starts at once."""
    options = {"threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(n_workers=1, processes=False, **options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def read(cluster):
    return partial(read_collection, scheduler=cluster)


def rows(output):
    """Return all rows, as whatever reads a folder of Parquet files finds them."""
    return pq.read_table(output).to_pylist()


def test_a_collection_becomes_rows_in_parts(folder, read):
    counts = read(["in"], "out", part=4)
    assert counts == {"no-digit": 10, "error": 1}
    assert sorted(os.listdir("out")) == ["_plan", *(f"part-00000{n}.parquet" for n in range(3))]
    found = rows("out")
    assert [row["file"] for row in found] == [f"in/{n:02}.png" for n in range(11)]
    assert (
        found[4]["status"] == "error" and "not an image that can be opened" in found[4]["message"]
    )


def test_files_that_are_not_pictures_are_counted(folder, read):
    Path("in/scan.pdf").touch()
    said = []
    read(["in"], "out", say=said.append)
    assert [line for line in said if "looked at" in line] == ["1 file was not looked at: .pdf 1"]


def test_a_row_is_what_json_prints(folder, read):
    shutil.copy(CHAMPION.parent.parent / "test_images" / "dense_page.png", "page.png")
    read(["page.png"], "out")
    (row,) = rows("out")
    expected = Recognizer.load().read("page.png").to_dict()
    assert len(expected["digits"]) > 10
    for digit in (*expected["digits"], *row["digits"]):
        digit["confidence"] = pytest.approx(digit["confidence"], abs=1e-6)
    expected["confidence"] = pytest.approx(expected["confidence"], abs=1e-6)
    assert row == expected


def test_several_sources_follow_one_another(folder, read):
    Path("list.txt").write_text("in/01.png\nin/missing.png\n")
    assert read(["list.txt", "in/0[23].png"], "out") == {"no-digit": 3, "error": 1}
    assert [row["file"] for row in rows("out")] == [
        "in/01.png", "in/missing.png", "in/02.png", "in/03.png",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_names_that_are_no_text(folder, read):
    os.rename(b"in/05.png", b"in/\xff.png")
    os.rename(b"in/04.png", b"in/\xfe.png")
    assert read(["in"], "out") == {"no-digit": 10, "error": 1}
    assert {r"in/\udcff.png", r"in/\udcfe.png"} < {row["file"] for row in rows("out")}


def test_a_stopped_run_continues_with_what_is_missing(folder, read):
    def stop(n_read, n_pictures):
        if n_read >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(["in"], "out", part=4, progress=stop)
    (first,) = Path("out").glob("part-*")
    written = first.stat().st_mtime_ns
    # Whatever happened to the folder meanwhile.
    Path("in/00.png").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save("in/000.png")
    heard, said = [], []
    read(["in"], "out", part=4, say=said.append, progress=lambda *done: heard.append(done))
    size = len(pq.read_table(first))
    assert said[0] == f"{size} of 11 pictures are read already"
    assert heard[0] == (size, 11) and heard[-1] == (11, 11)
    assert first.stat().st_mtime_ns == written
    assert [row["file"] for row in rows("out")] == [f"in/{n:02}.png" for n in range(11)]
    said.clear()
    assert sum(read(["in"], "out", part=4, say=said.append).values()) == 11
    assert said == ["11 of 11 pictures are read already"]


def test_a_part_that_was_not_finished_is_not_there(folder, read, monkeypatch):
    def killed(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(parts.os, "fsync", killed)
        with pytest.raises(OSError, match="No space"):
            read(["in"], "out", part=4)
    assert rows("out") == []
    assert sum(read(["in"], "out", part=4).values()) == 11
    assert len(rows("out")) == 11


def test_lists_that_were_not_finished_are_made_anew(folder, read, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(parts, "write_json", lambda path, values: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            read(["in"], "out", part=4)
    Path("in/10.png").unlink()
    assert sum(read(["in"], "out", part=4).values()) == 10


def test_another_run_in_the_same_folder_is_refused(folder, read):
    run = {"sources": ["in"], "output": "out", "part": 4}
    read(**run)
    shutil.copytree(CHAMPION, "copy")
    assert read(**run | {"sources": [str(folder / "in")], "model": "copy/model.onnx"})
    card = json.loads(Path("copy/card.json").read_text())
    Path("copy/card.json").write_text(json.dumps({**card, "threshold": 0.1}))
    for differing, name in (
        ({"part": 5}, "--part-size: 4"),
        ({"single": True}, "single"),
        ({"sources": ["in", "in"]}, "sources"),
        ({"model": "copy"}, "model"),
    ):
        words = rf"out was begun with other settings \({name}.*give the same"
        with pytest.raises(InputError, match=words):
            read(**run | differing)


def test_other_folders_are_left_alone(folder, read):
    with pytest.raises(InputError, match="in exists, and is not a run"):
        read(["in"], "in")
    assert len(list(Path("in").iterdir())) == 11
    Path("out/_plan").mkdir(parents=True)
    Path("out/_plan/plan.json").write_text("{")
    with pytest.raises(InputError, match=r"plan\.json is damaged"):
        read(["in"], "out")


def test_nothing_is_left_where_there_are_no_pictures(folder, read):
    Path("empty").mkdir()
    with pytest.raises(InputError, match="no pictures in empty"):
        read(["empty"], "out")
    with pytest.raises(InputError, match="nowhere does not exist"):
        read(["nowhere"], "out")
    with pytest.raises(InputError, match=r"nothing\.onnx"):
        read(["in"], "out", "nothing.onnx")
    assert not Path("out").exists()


def test_a_second_run_at_once_is_refused(folder, read):
    with locked("out"), pytest.raises(InputError, match="being written by another run"):
        read(["in"], "out")


# --- The command -----------------------------------------------------------------------------------


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_the_command_counts_and_says_that_a_picture_failed(folder, cluster, capfd):
    there = ("--scheduler", cluster)
    assert run("predict", "--output", "out", "in", "--part-size", 4, *there) == 1
    captured = capfd.readouterr()
    assert captured.out == "out: 11 pictures read (1 error, 10 no-digit)\n"
    assert run("predict", "--output", "ok", "in/00.png", *there) == 0


def test_options_that_do_not_go_together(folder, capfd):
    for others in (["--json"], ["--csv", "x.csv"], ["--annotate", "x"]):
        assert run("predict", "--output", "out", "in", *others) == 2
    assert run("predict", "in", "--scheduler", "tcp://localhost:1") == 2
    assert "--part-size and --scheduler need --output" in capfd.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_continues_and_reads_each_picture_once(folder):
    for n in range(400):
        shutil.copy(f"in/{n % 3:02}.png", f"in/more-{n:03}.png")
    command = [*PREDICT, "--part-size", "20", "in"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(Path("out").glob("part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    first.kill()
    first.communicate()
    there = {path: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert 2 <= len(there) < 21
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 1
    assert second.stdout == "out: 411 pictures read (1 error, 410 no-digit)\n"
    assert "pictures are read already" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert [row["file"] for row in rows("out")] == sorted(f"in/{name}" for name in os.listdir("in"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_ctrl_c_is_one_line_also_while_the_workers_start(folder):
    command = [*PREDICT, "in/00.png"]
    group = {"stderr": subprocess.PIPE, "start_new_session": True, "text": True}
    with subprocess.Popen(command, **group) as running:
        while not Path("out/_plan/plan.json").exists() and running.poll() is None:
            time.sleep(0.005)
        time.sleep(0.7)  # time for the first worker to be there
        os.killpg(running.pid, signal.SIGINT)
        assert running.communicate()[1] == "digits: stopped\n"
    assert running.returncode == 130


# --- Workers ---------------------------------------------------------------------------------------


def test_no_scheduler_is_said_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE", 0.2)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127"):
        read_collection(["in"], "out", scheduler="tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_lost_worker_loses_nothing(folder, read):
    expected = read(["in"], "alone", part=2)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as two:
        lost = two.workers[0].pid

        def kill(n_read, n_pictures):
            if n_read == 2:
                os.kill(lost, signal.SIGKILL)

        counts = read_collection(
            ["in"], "out", part=2, scheduler=two.scheduler_address, progress=kill
        )
    assert counts == expected
    assert rows("out") == rows("alone")


KILLER = """
import os, signal
from digits.recognizer import Recognizer
def deadly(self, pictures, read_many=Recognizer.read_many, **options):
    def alive():
        for picture in pictures:
            if str(picture).endswith("07.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            yield picture
    return read_many(self, alive(), **options)
Recognizer.read_many = deadly
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_picture_that_takes_its_process_down_is_named(folder):
    Path("killer.py").write_text(KILLER)
    with dask.config.set({"distributed.worker.preload": [str(folder / "killer.py")]}):
        counts = read_collection(["in"], "out", part=3, workers=2)
    assert counts == {"no-digit": 9, "error": 2}
    found = rows("out")
    assert [row["file"] for row in found] == [f"in/{n:02}.png" for n in range(11)]
    assert "ended the process" in found[7]["message"]
