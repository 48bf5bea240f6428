"""The command line: what it prints where, and its exit status."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import types
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from digits import InputError, cli
from digits.data import datasets
from digits.pictures import files
from digits.recognizer import DigitReading, Reading


def digit(value=7, confidence=0.99, accepted=True, box=(2, 3, 10, 20), row=0):
    image = np.zeros((28, 28), np.uint8)
    return DigitReading(value, confidence, box, row, accepted, False, image)


class Reader:
    """Stands in for the recogniser: answers by the picture's name, without a network."""

    loaded = None

    @classmethod
    def load(cls, path=None, *, threads=None):
        if path and not Path(path).exists():
            raise InputError(f"no model in {path}")
        cls.loaded = path
        return cls()

    def read_many(self, pictures, *, single=False):
        return (self.read(picture, single) for picture in pictures)

    def read(self, picture, single):
        name = "stdin" if isinstance(picture, bytes) else Path(picture).stem
        if name.startswith("page"):
            found = [digit(row=0), digit(4, 0.5, False, (20, 3, 8, 20), 1)]
            return Reading(name, "74", ["7", "4"], 0.5, "unsure", "below the threshold", found)
        if name.startswith("blank"):
            return Reading(name, "", [], 0.0, "no-digit", "nothing written", [])
        if name.startswith("missing"):
            return Reading(name, "", [], 0.0, "error", "no such picture: check the name", [])
        return Reading(name, "7", ["7"], 0.99, "ok", "single" if single else "", [digit()])


@pytest.fixture
def run(monkeypatch, capfd):
    """Run a command line as a shell would; return exit status, standard output and error."""
    monkeypatch.setattr("digits.recognizer.Recognizer", Reader)
    monkeypatch.setattr("digits.recognizer.parallel.Recognizer", Reader)

    def command(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit_:
            cli.main([os.fspath(argument) for argument in arguments])
        captured = capfd.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return command


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of them in a subfolder, and what is no picture."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("one.png", "page.JPG", "deep/blank.png"):
        Image.new("L", (40, 30), 255).save(tmp_path / "in" / name)
    (tmp_path / "in" / ".cache").mkdir()
    for name in ("notes.txt", ".hidden.png", ".cache/thumbnail.png"):
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


# --- predict ---------------------------------------------------------------------------------------


def test_json_has_one_object_per_picture_and_line_in_order_of_path(run, folder):
    status, out, err = run("predict", "--json", folder)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [Path(answer["file"]).name for answer in answers] == ["blank.png", "one.png", "page.JPG"]
    seven = {"digit": 7, "confidence": 0.99, "box": [2, 3, 10, 20], "row": 0, "accepted": True}
    four = {"digit": 4, "confidence": 0.5, "box": [20, 3, 8, 20], "row": 1, "accepted": False}
    assert answers[2] == {
        "file": str(folder / "page.JPG"), "text": "74", "rows": ["7", "4"], "confidence": 0.5,
        "status": "unsure", "message": "below the threshold",
        "digits": [seven | {"cut": False}, four | {"cut": False}],
        "unread": [],
    }  # fmt: skip
    assert (status, err) == (0, "digits: 1 file was not looked at: .txt 1\n")


def test_what_a_folder_holds_that_is_no_picture_is_counted(run, folder, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    for name in ("scan.PDF", "README", "IMG_1.HEIC", "deep/img_2.heic", "../scans/x.pdf"):
        (folder / name).touch()
    monkeypatch.setattr(files, "EXTENSIONS", files.EXTENSIONS - files.HEIC)
    others = ".pdf 1, .txt 1, no ending 1"
    hint = "(pip install 'digits[heic]' to read HEIC)"
    line = f"digits: 5 files were not looked at: .heic 2, {others} {hint}\n"
    assert run("predict", folder)[2] == line
    status, _, err = run("predict", tmp_path / "scans")
    line = f"digits: no pictures in {tmp_path / 'scans'}; 1 file was not looked at: .pdf 1\n"
    assert (status, err) == (1, line)
    monkeypatch.setattr(files, "EXTENSIONS", files.EXTENSIONS | files.HEIC)
    assert run("predict", folder)[2] == f"digits: 3 files were not looked at: {others}\n"


def test_table_shows_every_row_of_a_page(run, folder):
    status, out, _ = run("predict", folder)
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert [lines[0], lines[4]] == [["file", "digits", "confidence", "status"], ["4"]]
    assert lines[1][1:] == ["-", "-", "no-digit:", "nothing", "written"]
    assert (lines[2][1:], lines[3][1:4]) == (["7", "99%", "ok"], ["7", "50%", "unsure:"])


def test_without_a_command_the_help_is_shown_as_it_is_written(run):
    status, out, err = run()
    assert (status, err) == (0, "") and "\nCommands:\n" in out


def test_csv_goes_to_standard_output_where_a_dash_is_given(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run("predict", folder, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert (status, [row["text"] for row in rows]) == (0, ["", "7", "7\n4"])
    assert "pictures in" not in err and not (tmp_path / "-").exists()


def test_csv_holds_a_line_per_picture_and_says_so(run, folder, tmp_path):
    status, out, err = run("predict", folder, "--csv", tmp_path / "answers.csv")
    assert (status, out) == (0, "")
    assert "3 pictures in" in err and "(1 no-digit, 1 ok, 1 unsure)" in err
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["", "7", "7\n4"]
    assert rows[2]["status"] == "unsure"


def test_one_bad_picture_or_empty_folder_does_not_stop_the_others(run, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    paths = ("missing.png", tmp_path / "empty", folder / "one.png")
    status, out, err = run("predict", "--json", *paths)
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["error", "ok"]
    assert (status, err) == (1, f"digits: no pictures in {tmp_path / 'empty'}\n")
    assert run("predict", *paths[:1])[0] == run("predict", *paths[1:])[0] == 1


def test_a_folder_that_cannot_be_read_is_named(run, folder, monkeypatch):
    refused = PermissionError(13, "Permission denied", str(folder))
    monkeypatch.setattr(files.os, "scandir", Mock(side_effect=refused))
    line = f"digits: cannot look into {folder} (Permission denied)\n"
    assert run("predict", folder)[2].startswith(line)


def test_pictures_come_from_standard_input_and_else_from_the_project(run, folder, monkeypatch):
    status, out, _ = run("predict", "--json", "-", stdin=b"picture")
    assert (status, json.loads(out)["file"]) == (0, "-")
    monkeypatch.setattr(cli, "TEST_IMAGES", folder)
    assert len(run("predict", "--json")[1].splitlines()) == 3


def test_single_and_model_are_passed_on(run, folder):
    _, out, _ = run("predict", "--json", "--single", "--model", folder, folder / "one.png")
    assert json.loads(out)["message"] == "single"
    assert Reader.loaded == folder


def test_names_that_are_no_utf8_or_would_move_the_cursor_are_shown_as_escapes(run, tmp_path):
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\x1b[2J.png")
    Image.new("L", (9, 9)).save(strange)
    status, out, _ = run("predict", strange)
    assert (status, r"caf\xe9\x1b[2J.png" in out, "\x1b" in out) == (0, True, False)
    assert json.loads(run("predict", "--json", strange)[1])["file"] == strange
    run("predict", strange, "--csv", tmp_path / "answers.csv")
    assert r"caf\udce9" in (tmp_path / "answers.csv").read_text(encoding="utf-8")


WRONG = [
    ("predict --json --csv x.csv x.png", 2, "not both"),
    ("predict --output out --csv x.csv x.png", 2, "without --json, --csv and --annotate"),
    ("predict --part-size 10 x.png", 2, "--part-size and --scheduler need --output"),
    ("predict --model nowhere x.png", 2, "no model in nowhere"),
    ("predict --jsn x.png", 2, "No such option"),
    ("predict", 2, "give the path of a picture"),
    ("predict x.png --csv x.png", 2, "is one of the pictures"),
    ("predict ''", 2, "a path is empty"),
    ("predict .", 1, "no pictures in ."),
    ("predict --csv no/x.csv x.png", 1, "no/x.csv: No such file or directory; name a place"),
    ("train --set epoch=3", 2, "unknown setting 'epoch'; the settings are profile"),
    ("train --set epochs=many", 2, "expected int"),
    ("train --profile fast", 2, "'quick', 'default', 'best'"),
    ("train --seed -1", 2, "x>=0"),
    ("train --data mnits", 2, "'mnits' does not exist; give auto, mnist, embedded, or"),
    ("report --data gone.npz", 2, "'gone.npz' does not exist"),
    ("export --format onyx x", 2, "'onnx', 'litert', 'keras'"),
    ("report --prepare-only", 2, "needs --output"),
    ("report --only 99", 2, "no notebook '99'"),
    ("preddict", 2, "No such command"),
]


@pytest.mark.parametrize(("line", "status", "words"), WRONG)
def test_wrong_usage_is_one_line_with_its_status(run, tmp_path, monkeypatch, line, status, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "TEST_IMAGES", tmp_path / "none")
    found, out, err = run(*shlex.split(line))
    assert (found, out, err[:8], err.count("\n")) == (status, "", "digits: ", 1)
    assert words in err


def test_a_package_that_is_not_installed_is_named_with_what_installs_it(run, monkeypatch):
    monkeypatch.setattr("digits.config.find_spec", lambda name: None)
    words = "train needs filelock, which is not installed: pip install 'digits[train]'"
    assert run("train") == (1, "", f"digits: {words}\n")


def test_errors_while_reading_are_one_line_and_debug_shows_where(run, folder, monkeypatch):
    for error, status, words in (
        (EOFError(), 1, "digits: unexpected RuntimeError: a file ended too early"),
        (KeyboardInterrupt(), 130, "digits: stopped"),
        (RuntimeError("the bug"), 1, "digits: unexpected RuntimeError: the bug; `digits --debug`"),
    ):
        monkeypatch.setattr(Reader, "read", Mock(side_effect=error))
        found, _, err = run("predict", folder / "one.png")
        assert (found, err.strip().count("\n")) == (status, 0)
        assert err.strip().startswith(words)
    assert "Traceback" in run("--debug", "predict", folder)[2]


def test_a_bar_is_shown_on_a_terminal_only_and_from_twenty_pictures_on(run, tmp_path, monkeypatch):
    for number in range(20):
        Image.new("L", (9, 9)).save(tmp_path / f"{number:02}.png")
    assert run("predict", "--json", tmp_path)[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    _, out, err = run("predict", "--json", tmp_path)
    assert ("20/20" in err, len(out.splitlines())) == (True, 20)
    assert run("predict", "--json", tmp_path / "00.png")[2] == ""


def test_help_has_examples(run):
    assert run("--version")[1].startswith("digits, version ")
    answers = {name: run(*name.split(), "--help") for name in ("", *cli.cli.commands)}
    assert [n for n, (status, out, _) in answers.items() if status or "Example" not in out] == []


# --- annotate --------------------------------------------------------------------------------------


def test_annotated_copies_replace_no_picture_and_no_other_copy(run, folder):
    for name in ("deep/one.png", "one_read.png"):
        Image.new("L", (40, 30)).save(folder / name)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    run("predict", folder, "--annotate", folder)
    assert {path: path.read_bytes() for path in before} == before
    made = {path.name for path in folder.rglob("*.*") if path.is_file() and path not in before}
    assert made == {
        "blank_read.png", "one_read-2.png", "one_read-3.png", "one_read_read.png", "page_read.png",
    }  # fmt: skip
    mine = folder / "page_read.png"  # now a file of the user's own: read, and not replaced
    Image.new("L", (40, 30)).save(mine)
    kept = mine.read_bytes()
    run("predict", folder / "page.JPG", "--annotate", folder)
    assert mine.read_bytes() == kept and (folder / "page_read-2.png").exists()
    os.mkfifo(folder / ".." / "pipe_read.png")
    assert not files.is_copy(folder / ".." / "pipe_read.png"), "and does not wait for a writer"
    _, again, err = run("predict", "--json", folder)
    assert len(again.splitlines()) == 6, "copies are not read as pictures"
    assert "annotated copies 5" in err


def test_a_copy_that_cannot_be_written_is_named_and_counts(run, folder, tmp_path):
    (tmp_path / "out" / "one_read.png").mkdir(parents=True)
    status, out, err = run("predict", "--json", folder / "one.png", "--annotate", tmp_path / "out")
    assert (status, json.loads(out)["text"]) == (1, "7")
    assert err.startswith("digits: cannot write")


# --- train, export, doctor -------------------------------------------------------------------------


@pytest.fixture
def training(monkeypatch):
    """Stand in for the room that imports TensorFlow."""
    module = Mock()
    monkeypatch.setitem(sys.modules, "digits.training", module)
    monkeypatch.setattr("digits.training", module, raising=False)
    return module


def test_train_passes_settings_on_and_names_the_run(run, monkeypatch, tmp_path, training):
    monkeypatch.setattr("digits.data.load", lambda source: types.SimpleNamespace(name="embedded"))
    training.train.side_effect = lambda *_, progress, **__: progress({"epoch": 1})
    training.format_epoch = lambda row: f"epoch {row['epoch']}"
    options = ["--set", "epochs=3", "--seed", "5", "--resume", "--run", tmp_path / "r"]
    status, out, err = run("train", *options)
    (dataset, config, run_dir), passed = training.train.call_args
    found = (dataset.name, config.epochs, config.seed, run_dir, passed["resume"])
    assert found == ("embedded", 3, 5, tmp_path / "r", True)
    assert (status, "epoch 1" in err, str(tmp_path / "r") in out) == (0, True, True)
    run("train", "--profile", "quick")
    assert training.train.call_args.args[2].name == "embedded-quick-0"
    run("train", "--detector", "--seed", "2", "--resume")
    (dataset, run_dir), passed = training.train_detector.call_args
    assert run_dir.name == "embedded-detector-2" and (passed["seed"], passed["resume"]) == (2, True)
    assert run("train", "--detector", "--set", "epochs=3")[0] == 2


def test_export_passes_format_and_run_on(run, tmp_path, training):
    assert run("export", "--format", "keras", tmp_path / "m.keras")[0] == 0
    training.export_model.assert_called_once_with(cli.CHAMPION, "keras", tmp_path / "m.keras")


def test_doctor_reports_what_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setattr("digits.doctor.CHAMPION", tmp_path)
    arrays = {key: np.zeros(3, np.uint8) for key in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "mnist.npz", **arrays)
    for mnist, words in (
        ("gone.npz", "gone.npz does not exist"),
        ("", "train-images-idx3-ubyte.gz cannot be read (No such file"),
        ("mnist.npz", "mnist.npz is not MNIST"),
    ):
        monkeypatch.setenv("DIGITS_MNIST", str(tmp_path / mnist))
        status, out, _ = run("doctor")
        assert (status, words in out, "lacks model.onnx" in out) == (1, True, True)
    for name in ("model.onnx", "card.json", "detector.onnx", "detector.json"):
        (tmp_path / name).write_bytes(b"model")
    digests = {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in arrays.items()}
    monkeypatch.setattr(datasets, "MNIST_DIGESTS", digests)
    status, out, _ = run("doctor")
    assert (status, "SHA-256 9372c470eeadd5ec" in out) == (0, True)


# --- start-up --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import digits.cli", ["numpy", "pandas", "PIL", "onnxruntime", "papermill", "tensorflow"]),
        ("from digits.report import record", ["papermill", "nbconvert", "jinja2", "tensorflow"]),
        ("import digits.recognizer", ["pandas", "tensorflow", "keras", "sklearn", "matplotlib"]),
    ],
)
def test_starting_loads_nothing_heavy(statement, heavy):
    code = f"{statement}; import sys; print(*(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
