"""Large collections: parts, continuing, refusing, and every picture exactly once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from PIL import Image

from digits import InputError, cli
from digits.collection import parts
from digits.collection.parts import read_collection
from digits.collection.sources import fetch
from digits.config import CHAMPION
from digits.recognizer import Recognizer
from digits.recognizer.parallel import LOST, read_each
from digits.storage import locked

ELEVEN = [f"in/{n:02}.png" for n in range(11)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Eleven pictures, one of them damaged; the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for n, name in enumerate(ELEVEN):
        Image.fromarray(np.full((12, 12), 20 * n, np.uint8)).save(name)
    Path("in/04.png").write_bytes(b"no picture")
    return tmp_path


@pytest.fixture(scope="module")
def here():
    """Return the address of a Dask scheduler whose worker is a thread of this process."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def read(folder, here):
    """Read in this process."""
    return partial(read_collection, scheduler=here)


def rows(output):
    """Return all rows, as whatever reads a folder of Parquet files finds them."""
    return pq.read_table(output).to_pylist()


def files(output):
    return [row["file"] for row in rows(output)]


def written():
    """Return the finished parts, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}


def test_a_row_is_what_json_prints(read):
    shutil.copy(CHAMPION.parent.parent / "test_images" / "scattered.jpg", "page.jpg")
    read(["page.jpg"], "out")
    (row,) = rows("out")
    expected = Recognizer.load().read("page.jpg").to_dict()
    assert len(expected["digits"]) > 5 and expected["unread"]
    for digit in (*expected["digits"], *row["digits"]):
        digit["confidence"] = pytest.approx(digit["confidence"], abs=1e-6)
    expected["confidence"] = pytest.approx(expected["confidence"], abs=1e-6)
    assert row == expected


def test_several_sources_follow_one_another(read):
    Path("list.txt").write_text("in/01.png\nin/missing.png\n")
    with zipfile.ZipFile("packed.zip", "w") as archive:
        archive.write("in/05.png")
    sources = ["list.txt", "in/0[23].png", "packed.zip"]
    assert read(sources, "out") == {"no-digit": 4, "error": 1}
    assert files("out") == [
        "in/01.png", "in/missing.png", "in/02.png", "in/03.png", "packed.zip/in/05.png",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_names_that_are_not_text(read):
    os.rename(b"in/05.png", b"in/\xff.png")
    os.rename(b"in/04.png", b"in/\xfe.png")
    with tarfile.open("packed.tar", "w") as archive:
        archive.add(os.fsdecode(b"in/\xff.png"))
    assert read(["in", "packed.tar"], "out") == {"no-digit": 11, "error": 1}
    assert {r"in/\udcff.png", r"in/\udcfe.png", r"packed.tar/in/\udcff.png"} < set(files("out"))


def test_a_stopped_run_continues_with_what_is_missing(read):
    def stop(n_read, n_pictures):
        if n_read == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(["in"], "out", part=4, progress=stop)
    first = written()
    # Whatever happened to the folder meanwhile.
    Path("in/00.png").unlink()
    Image.fromarray(np.zeros((5, 5), np.uint8)).save("in/000.png")
    heard, said = [], []
    again = partial(read, ["in"], "out", part=4)
    counts = again(say=said.append, progress=lambda *done: heard.append(done))
    assert counts == {"no-digit": 10, "error": 1}
    assert len(first) == 2 and first.items() < written().items()
    assert said[0] == "8 of 11 pictures are read already" and "dashboard" in said[1]
    assert heard == [(8, 11), (11, 11)]
    assert files("out") == ELEVEN
    shutil.rmtree("in")
    assert again(scheduler="tcp://nobody.invalid:1") == counts  # nothing is left to read


@pytest.mark.parametrize("target", ["part-000000.parquet", "pictures.parquet"])
def test_what_was_not_finished_is_not_there(read, monkeypatch, target):
    def full(self, path, replace=Path.replace):
        if path.name == target:
            raise OSError(28, "No space left on device")
        return replace(self, path)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            read(["in"], "out", part=11)
    assert rows("out") == []
    assert read(["in"], "out", part=11) == {"no-digit": 10, "error": 1}
    assert files("out") == ELEVEN


def test_another_run_in_the_same_folder_is_refused(read):
    read(["in"], "out", part=4)
    shutil.copytree(CHAMPION, "other")
    card = json.loads(Path("other/card.json").read_text())
    Path("other/card.json").write_text(json.dumps({**card, "threshold": 0.1}))
    shutil.copytree(CHAMPION, "copy")
    assert read([os.path.abspath("in")], "out", "copy/model.onnx", part=4)  # the same
    for differing, said in (
        ({"part": 5}, "--part-size: 4"),
        ({"single": True}, "another single"),
        ({"sources": ["in", "in"]}, "another sources"),
        ({"model": "other"}, "another model"),
    ):
        options = {"sources": ["in"], "output": "out", "part": 4} | differing
        with pytest.raises(InputError, match=rf"begun with other settings \({said}\); give the"):
            read(**options)


def test_workers_with_another_model_or_version_are_refused(read):
    shutil.copytree(CHAMPION, "copy")

    def change(n_read, n_pictures):
        Path("copy/card.json").write_text("{}")

    with pytest.raises(InputError, match="is not that of the machine that started the run"):
        read(["in"], "out", "copy", progress=change)


def test_what_cannot_be_read_or_written_leaves_all_as_it_was(read):
    Path("empty").mkdir()
    for sources, output, model, said in (
        (["in"], "in", None, "in exists, and is not a run"),
        (["empty"], "out", None, "no pictures in empty"),
        (["nowhere"], "out", None, "nowhere does not exist; give a folder, a pattern"),
        (["in"], "out", "nothing.onnx", r"nothing\.onnx"),
    ):
        with pytest.raises(InputError, match=said):
            read(sources, output, model)
        assert len(os.listdir("in")) == 11 and not Path("out").exists()
    Path("out/_plan").mkdir(parents=True)
    Path("out/_plan/pictures.parquet").write_text("{")
    with pytest.raises(InputError, match=r"pictures\.parquet is damaged; remove out"):
        read(["in"], "out")


def test_a_second_run_at_once_is_refused(read):
    with locked("out"), pytest.raises(InputError, match="being written by another run"):
        read(["in"], "out")


def test_no_scheduler_is_said_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(parts, "TIMEOUT", 0.2)
    with pytest.raises(InputError, match="no Dask scheduler answers at tcp://127"):
        read_collection(["in"], "out", scheduler="tcp://127.0.0.1:9")


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code or 0


def test_a_collection_becomes_rows_in_parts_and_the_command_counts_them(folder, here, capfd):
    command = ["predict", "--scheduler", here, "--output"]
    assert run(*command, "out", "in", "--part-size", 4) == 1
    captured = capfd.readouterr()
    assert captured.out == "out: 11 pictures read (1 error, 10 no-digit)\n"
    assert captured.err.startswith("digits: the dashboard of the cluster is at")
    assert sorted(os.listdir("out")) == ["_plan", *(f"part-{n:06}.parquet" for n in range(3))]
    assert files("out") == ELEVEN
    broken = rows("out")[4]
    assert broken["status"] == "error" and "can be opened" in broken["message"]
    assert run(*command, "ok", "in/00.png") == 0


def test_options_that_do_not_go_together(folder, capfd):
    for others in (["--json"], ["--csv", "x.csv"], ["--annotate", "x"]):
        assert run("predict", "--output", "out", "in", *others) == 2
    assert run("predict", "in", "--scheduler", "tcp://localhost:1") == 2
    assert "--scheduler need --output" in capfd.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_continues_and_reads_each_picture_once(folder):
    for n in range(400):
        shutil.copy(f"in/{n % 3:02}.png", f"in/more-{n:03}.png")
    command = [sys.executable, "-m", "digits", "predict", "in", "--output", "out"]
    command += ["--part-size", "20"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(Path("out").glob("part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    first.kill()
    assert first.communicate() == (b"", b"")
    there = written()
    assert 2 <= len(there) < 21
    second = subprocess.run(command, capture_output=True, text=True)
    expected = "out: 411 pictures read (1 error, 410 no-digit)\n"
    assert (second.returncode, second.stdout) == (1, expected)
    (line,) = second.stderr.splitlines()
    assert line.endswith("of 411 pictures are read already")
    assert there.items() < written().items()
    assert files("out") == sorted(f"in/{name}" for name in os.listdir("in"))


def deadly(model, digest, single, pictures):
    """Read, and be killed by one picture."""
    if any(entry.file == "in/05.png" for entry in pictures):
        os.kill(os.getpid(), signal.SIGKILL)
    return read_each(Recognizer.load(model), pictures, single, fetch)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_picture_that_kills_its_worker_is_named_and_the_rest_is_read(folder, monkeypatch):
    monkeypatch.setattr(parts, "_read", deadly)
    assert read_collection(["in"], "out", part=3, workers=2) == {"no-digit": 9, "error": 2}
    found = rows("out")
    assert files("out") == ELEVEN
    assert [n for n, row in enumerate(found) if row["status"] == "error"] == [4, 5]
    assert found[5]["message"] == LOST
