"""Bad or hostile pictures, data and models are answered in one line, and run no code."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from corpus import files, fuzz, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from digits import InputError, cli
from digits.config import ROOT
from digits.data import load
from digits.pictures.decoding import decode
from digits.pictures.ink import find_ink
from digits.pictures.mnist_form import to_mnist_form
from digits.recognizer import Recognizer
from digits.report.metrics import read_metrics
from faults.conftest import Row, not_whole
from faults.process import DIGITS, run

SMALL = [bad for bad in pictures.bad_pictures() if not bad.large]
BOMBS = ("a bomb of 4 GB",)  # take seconds to write: left to the campaign


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


@pytest.fixture
def untouched():
    """Check that no hostile file's code was run."""
    if files.TRACE.exists():
        files.TRACE.rmdir()
    yield
    assert not files.TRACE.exists(), "code of a file was run"


# --- Pictures --------------------------------------------------------------------------------------


def test_each_bad_picture_is_answered_in_one_line_and_no_time(tmp_path, recognizer, untouched):
    wrong = []
    for number, bad in enumerate(SMALL):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = os.fsdecode(os.path.join(os.fsencode(folder), bad.name))
        bad.make(os.fsencode(path))
        made = list(folder.iterdir())
        started = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                reading = recognizer.read(path)
        except Exception as error:  # a crash is a finding, and the next picture is tried
            wrong.append(f"{bad.kind}: {error!r}")
            continue
        seconds = time.process_time() - started
        status = json.loads(json.dumps(reading.to_dict()))["status"]
        line = cli.printable(reading.message)
        problems = {
            f"{seconds:.1f} s": seconds > 3,
            f"status {status}": status not in ("ok", "unsure", "no-digit", "error"),
            "read": bad.expected == pictures.ERROR and status != "error",
            f"message {line!r}": not line.isprintable() or (status == "ok") != (line == ""),
            "something was written": list(folder.iterdir()) != made,
        }
        wrong += [f"{bad.kind}: {problem}" for problem, holds in problems.items() if holds]
    assert wrong == []


def test_predict_reads_all_bad_pictures_in_one_run(tmp_path, capfd):
    kinds = ("name with", "a pipe", "png cut at 3", "endless zeros", "nothing in it")
    paths = []
    for bad in SMALL:
        if bad.kind.startswith(kinds):
            paths.append(os.path.join(os.fsencode(tmp_path), bad.name))
            bad.make(paths[-1])
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "--json", "--", *map(os.fsdecode, paths)])
    assert ended.value.code == 1
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.split("\n")[:-1]] == [*map(os.fsdecode, paths)]
    assert err == ""
    with pytest.raises(SystemExit):
        cli.main(["predict", "--", *map(os.fsdecode, paths)])
    out, _ = capfd.readouterr()
    assert len(out.split("\n")) == len(paths) + 2  # a head, and the end of the last line
    assert all(line.isprintable() for line in out.split("\n"))


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(data):
    fuzz.read_all(data)
    fuzz.read_all(fuzz.RAW + data)


def test_pictures_of_every_format_and_mode_are_read():
    for name, content in fuzz.seeds().items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fuzz.read_all(content), name


EXTREME = (0, 1, 255, -1, 1e-45, 1e38, -1e38, 1e308, np.inf, -np.inf, np.nan)


@given(st.lists(st.sampled_from(EXTREME), min_size=1, max_size=60), st.sampled_from(["f4", "f8"]))
@settings(max_examples=60, deadline=None)
def test_any_numbers_are_read(values, dtype):
    with np.errstate(over="ignore"):
        array = np.resize(np.array(values).astype(dtype), (24, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = decode(array)
        ink = find_ink(picture)
    assert picture.pixels.shape == (24, 30)
    assert np.isfinite(ink.strength).all()


@given(st.integers(1, 60), st.integers(1, 60), st.lists(st.floats(width=32), min_size=1))
@settings(max_examples=60, deadline=None)
def test_mnist_form_is_made_or_refused(height, width, values):
    ink = np.resize(np.array(values, np.float32), (height, width))
    try:
        image = to_mnist_form(ink)
    except InputError:
        assert not np.isfinite(ink).all()
        return
    assert image.shape == (28, 28) and image.dtype == np.uint8


def test_rings_within_rings_take_no_minutes(recognizer):
    across, down = np.meshgrid(np.arange(900) - 450, np.arange(900) - 450)
    rings = np.where(np.hypot(across, down) % 38 > 12, 255, 0).astype(np.uint8)
    started = time.process_time()
    recognizer.read(rings)
    assert time.process_time() - started < 10  # 4 s; more than a minute without a bound


# --- Data, models, metrics -------------------------------------------------------------------------


def not_refused(kinds: dict, attempt: Callable) -> list[str]:
    """Return which kinds do not end in an `InputError` of one line without a warning, and why."""
    wrong = []
    for kind, thing in kinds.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                attempt(thing)
            wrong.append(f"{kind}: taken")
        except InputError as error:
            wrong += [f"{kind}: {error}"] if "\n" in str(error) else []
        except Exception as error:  # a crash is a finding, and the next kind is tried
            wrong.append(f"{kind}: {error!r}")
    return wrong


def test_bad_data_are_refused_in_one_line(tmp_path, untouched):
    path = tmp_path / "my.npz"

    def attempt(content):
        path.write_bytes(content())
        load(path)

    kinds = {kind: content for kind, content in files.bad_data().items() if kind not in BOMBS}
    assert not_refused(kinds, attempt) == []
    assert [found.name for found in tmp_path.iterdir()] == ["my.npz"]


def test_archives_that_unpack_without_bound_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("digits.data.datasets.MAX_BYTES", 1000)
    path = tmp_path / "my.npz"
    np.savez_compressed(path, x=np.zeros((100, 28, 28), np.uint8), y=np.arange(100) % 10)
    with pytest.raises(InputError, match="unpacks to"):
        load(path)


def test_files_of_mnist_that_lie_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DIGITS_MNIST", str(files.write_idx_folder(tmp_path / "mnist")))
    with pytest.raises(InputError, match="damaged"):
        load("mnist")


def test_bad_models_are_refused_in_one_line(tmp_path, untouched):
    def attempt(spoil):
        Recognizer.load(files.write_bad_model(spoil, tmp_path / "model"))

    assert not_refused(files.bad_models(), attempt) == []


def test_damaged_metrics_are_refused_in_one_line(tmp_path):
    def attempt(content):
        (tmp_path / "metrics.json").write_bytes(content)
        read_metrics(tmp_path / "metrics.json")

    assert not_refused(files.bad_metrics(), attempt) == []


# --- Nothing that is opened runs code --------------------------------------------------------------


def test_arrays_and_keras_files_are_opened_without_their_code():
    """Ruff's rules S102 to S605 look for the other ways to turn a file or a text into code."""
    needed = {"np.load": "allow_pickle=False", "load_model": "safe_mode=True"}
    found, careless = set(), []
    for path in (ROOT / "digits").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = ast.unparse(node) if isinstance(node, ast.Call) else ""
            for name, option in needed.items():
                if call and ast.unparse(node.func).endswith(name):
                    found.add(name)
                    careless += [] if option in call else [f"{path.name}: {call}"]
    assert careless == []
    assert found == set(needed)


def test_a_picture_with_a_hostile_name_has_an_annotated_copy_in_the_folder_alone(tmp_path):
    name = "<script>..;rm -rf $HOME`id`.png"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(pictures.saved(pictures.seven(), "png"))
    with pytest.raises(SystemExit):
        cli.main(["predict", str(tmp_path / "in"), "--annotate", str(tmp_path / "out")])
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]
    assert len(list((tmp_path / "out").iterdir())) == 1


# --- Ctrl-C ----------------------------------------------------------------------------------------

# Shells let what they start in the background ignore Ctrl-C, the tests' own process among it.
SLOW_START = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            print("ready", flush=True)
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                raise ImportError("initialization failed")
sys.meta_path.insert(0, Slow())
sys.argv = ["digits", "doctor"]
from digits.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["digits.cli", "digits.config", "numpy"])
def test_ctrl_c_during_an_import_that_turns_it_into_an_error_of_its_own(module):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_START.format(module=module)], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "digits: stopped\n")


AT_THE_END = """
import atexit, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["digits", "--version"]
from digits.__main__ import main
main()
"""


def test_ctrl_c_when_all_is_done_changes_nothing():
    ended = run([sys.executable, "-c", AT_THE_END])
    assert (ended.status, ended.err) == (0, "") and ended.out


@pytest.mark.slow
def test_ctrl_c_while_the_drawing_pad_starts_shows_no_traceback_of_voila():
    ended = run([*DIGITS, "draw", "--no-browser"], signal_after=(1.5, signal.SIGINT))
    assert (ended.status, ended.traceback, ended.orphans) == (130, False, False)
    assert ended.err.endswith("digits: stopped\n")


def test_a_file_that_ends_early_is_not_taken_for_ctrl_c(monkeypatch, capfd):
    monkeypatch.setattr("digits.data.find_mnist", lambda: (_ for _ in ()).throw(EOFError()))
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor"])
    assert ended.value.code == 1
    assert "ended too early" in capfd.readouterr().err


# --- The campaign's table --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "share", "ended", "reason"),
    [
        (set(), 1.0, "abc", ""),
        ({"kill[train]", "full_disk"}, 1.0, "abc", r"not tried: full_disk, kill\[train\]"),
        (set(), 0.5, "abc", "50% of the tries"),
        (set(), 1.0, "abd", "the code changed while it ran: abc, then abd"),
        (set(), 1.0, "abc+changes", "the code changed.*; the code is not committed"),
    ],
)
def test_a_table_is_of_one_whole_run_at_one_commit(missing, share, ended, reason):
    assert re.fullmatch(reason, not_whole(missing, share, "abc", ended))


def test_a_row_counts_what_was_lost_and_says_it_in_one_line():
    row = Row(share=1.0, tried=1200, slowest=2.34, largest=512.3, remarks="each alone")
    assert row.line("bad_data") == "| bad_data | 1,200 | 0 | 2.3 | 512 | each alone |\n"
    row.lose("a | pipe\nand a line")
    row.lose("another")
    assert (
        row.line("bad_data")
        == "| bad_data | 1,200 | 2 | 2.3 | 512 | a / pipe and a line; another |\n"
    )
    assert "not tried: no root" in Row(1.0).line("full_disk", "not tried: no root")
