"""Large collections: parts, continuing, refusing, and every picture exactly once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from digits import InputError, cli
from digits.collection import parts
from digits.collection.parts import read_collection
from digits.config import CHAMPION
from digits.recognizer import Recognizer
from digits.storage import locked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eleven pictures, one of them damaged; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for n in range(11):
        Image.fromarray(np.full((12, 12), 20 * n, np.uint8)).save(f"in/{n:02}.png")
    Path("in/04.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture
def here(monkeypatch):
    """Read in this process; note the parts."""
    parts = []

    def spread(pieces, start, processes):
        work = start()
        for piece in pieces:
            parts.append([entry.file for entry in piece])
            yield work(piece, frozenset(), lambda place: None)

    monkeypatch.setattr("digits.collection.parts.map_ordered", spread)
    return parts


def rows(output):
    """Return all rows, as whatever reads a folder of Parquet files finds them."""
    return pq.read_table(output).to_pylist()


def test_a_collection_becomes_rows_in_parts(folder, here):
    counts = read_collection(["in"], "out", part=4)
    assert counts == {"no-digit": 10, "error": 1}
    assert sorted(os.listdir("out")) == [
        "_plan",
        "part-000000.parquet",
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    found = rows("out")
    assert [row["file"] for row in found] == [f"in/{n:02}.png" for n in range(11)]
    assert found[4]["status"] == "error" and "not an image that can be opened" in found[4]["message"]


def test_a_row_is_what_json_prints(folder, here):
    shutil.copy(CHAMPION.parent.parent / "test_images" / "dense_page.png", "page.png")
    read_collection(["page.png"], "out")
    (row,) = rows("out")
    expected = Recognizer.load().read("page.png").to_dict()
    assert len(expected["digits"]) > 10
    for digit in (*expected["digits"], *row["digits"]):
        digit["confidence"] = pytest.approx(digit["confidence"], abs=1e-6)
    expected["confidence"] = pytest.approx(expected["confidence"], abs=1e-6)
    assert row == expected


def test_several_sources_follow_one_another(folder, here):
    Path("list.txt").write_text("in/01.png\nin/missing.png\n")
    assert read_collection(["list.txt", "in/0[23].png"], "out") == {"no-digit": 3, "error": 1}
    assert [row["file"] for row in rows("out")] == [
        "in/01.png", "in/missing.png", "in/02.png", "in/03.png",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_names_that_are_no_text(folder, here):
    os.rename(b"in/05.png", b"in/\xff.png")
    os.rename(b"in/04.png", b"in/\xfe.png")
    assert read_collection(["in"], "out") == {"no-digit": 10, "error": 1}
    assert {r"in/\udcff.png", r"in/\udcfe.png"} < {row["file"] for row in rows("out")}


def test_a_stopped_run_continues_with_what_is_missing(folder, here):
    def stop(n_read, n_pictures):
        if n_read == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_collection(["in"], "out", part=4, progress=stop)
    first = here.copy()
    here.clear()
    # Whatever happened to the folder meanwhile.
    Path("in/00.png").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save("in/000.png")
    heard, said = [], []
    counts = read_collection(
        ["in"], "out", part=4, say=said.append, progress=lambda *done: heard.append(done)
    )
    assert counts == {"no-digit": 10, "error": 1}
    assert len(first) == 2 and here == [[f"in/{n:02}.png" for n in (8, 9, 10)]]
    assert said == ["8 of 11 pictures are read already"]
    assert heard == [(8, 11), (11, 11)]
    assert [row["file"] for row in rows("out")] == [f"in/{n:02}.png" for n in range(11)]
    here.clear()
    assert read_collection(["in"], "out", part=4) == counts
    assert here == []


def test_a_part_that_was_not_finished_is_not_there(folder, here, monkeypatch):
    def killed(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", killed)
        broken.setattr(parts, "write_json", lambda path, values: path.write_text(
            json.dumps(values)
        ))  # fmt: skip
        with pytest.raises(OSError, match="No space"):
            read_collection(["in"], "out", part=4)
    assert rows("out") == []
    assert sum(read_collection(["in"], "out", part=4).values()) == 11
    assert len(rows("out")) == 11


def test_lists_that_were_not_finished_are_made_anew(folder, here, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(parts, "write_json", lambda path, values: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            read_collection(["in"], "out", part=4)
    Path("in/10.png").unlink()
    assert sum(read_collection(["in"], "out", part=4).values()) == 10


@pytest.mark.parametrize(
    ("differing", "name"),
    [
        ({"part": 5}, "--part-size: 4"),
        ({"single": True}, "single"),
        ({"sources": ["in", "in"]}, "sources"),
        ({"model": "other"}, "model"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(folder, here, differing, name):
    read_collection(["in"], "out", part=4)
    shutil.copytree(CHAMPION, "other")
    card = json.loads(Path("other/card.json").read_text())
    Path("other/card.json").write_text(json.dumps({**card, "threshold": 0.1}))
    options = {"sources": ["in"], "output": "out", "part": 4} | differing
    with pytest.raises(
        InputError, match=rf"out was begun with other settings \({name}.*give the same"
    ):
        read_collection(**options)


def test_a_copy_of_the_model_is_the_same_model(folder, here):
    read_collection(["in"], "out")
    shutil.copytree(CHAMPION, "copy")
    assert read_collection([str(folder / "in")], "out", "copy/model.onnx")


def test_other_folders_are_left_alone(folder, here):
    with pytest.raises(InputError, match="in exists, and is no run"):
        read_collection(["in"], "in")
    assert len(list(Path("in").iterdir())) == 11
    Path("out/_plan").mkdir(parents=True)
    Path("out/_plan/plan.json").write_text("{")
    with pytest.raises(InputError, match=r"plan\.json is damaged"):
        read_collection(["in"], "out")


def test_nothing_is_left_where_there_are_no_pictures(folder, here):
    Path("empty").mkdir()
    with pytest.raises(InputError, match="no pictures in empty"):
        read_collection(["empty"], "out")
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_collection(["nowhere"], "out")
    with pytest.raises(InputError, match=r"nothing\.onnx"):
        read_collection(["in"], "out", "nothing.onnx")
    assert not Path("out").exists()


def test_a_second_run_at_once_is_refused(folder, here):
    with locked("out"), pytest.raises(InputError, match="being written by another run"):
        read_collection(["in"], "out")


def test_long_plans_are_several_files(folder, here, monkeypatch):
    monkeypatch.setattr(parts, "PARTS_LISTED", 2)
    read_collection(["in"], "out", part=3)
    assert sorted(os.listdir("out/_plan")) == ["000000.parquet", "000001.parquet", "plan.json"]
    assert [len(part) for part in here] == [3, 3, 3, 2]
    assert [row["file"] for row in rows("out")] == [f"in/{n:02}.png" for n in range(11)]


# --- The command -----------------------------------------------------------------------------------


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_the_command_counts_and_says_that_a_picture_failed(folder, here, capfd):
    assert run("predict", "--output", "out", "in", "--part-size", 4) == 1
    captured = capfd.readouterr()
    assert captured.out == "out: 11 pictures read (1 error, 10 no-digit)\n"
    assert captured.err == ""
    assert run("predict", "--output", "ok", "in/00.png") == 0


def test_options_that_do_not_go_together(folder, capfd):
    for others in (["--json"], ["--csv", "x.csv"], ["--annotate", "x"]):
        assert run("predict", "--output", "out", "in", *others) == 2
    assert run("predict", "in", "--scheduler", "tcp://localhost:1") == 2
    assert "--scheduler needs --output" in capfd.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_continues_and_reads_each_picture_once(folder):
    for n in range(400):
        shutil.copy(f"in/{n % 3:02}.png", f"in/more-{n:03}.png")
    command = [
        sys.executable,
        "-m",
        "digits",
        "predict",
        "--output",
        "out",
        "--part-size",
        "20",
        "in",
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not Path("out/part-000001.parquet").exists() and time.monotonic() < deadline:
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


# --- Clusters --------------------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(n_workers, **options):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=None, **options
    ) as cluster:
        yield cluster


def test_no_scheduler_is_said_in_one_line(folder, monkeypatch):
    monkeypatch.setattr("digits.collection.cluster.ANSWER", 0.2)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127"):
        read_collection(["in"], "out", scheduler="tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_lost_worker_loses_nothing(folder, monkeypatch):
    expected = read_collection(["in"], "alone", part=2, workers=1)
    with cluster(2) as two:
        lost = two.workers[0].pid

        def kill(n_read, n_pictures):
            if n_read == 2:
                os.kill(lost, signal.SIGKILL)

        counts = read_collection(
            ["in"], "out", part=2, scheduler=two.scheduler_address, progress=kill
        )
    assert counts == expected
    assert rows("out") == rows("alone")


def test_a_stopped_run_may_continue_on_a_cluster(folder, here):
    def stop(n_read, n_pictures):
        if n_read:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_collection(["in"], "out", part=4, progress=stop)
    with cluster(1, processes=False) as one:
        said = []
        read_collection(["in"], "out", part=4, scheduler=one.scheduler_address, say=said.append)
    assert said[0] == "4 of 11 pictures are read already" and "dashboard" in said[1]
    assert [row["file"] for row in rows("out")] == [f"in/{n:02}.png" for n in range(11)]
