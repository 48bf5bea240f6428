"""The runner of reports, on small notebooks made here."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from unittest.mock import Mock

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from strategies import LONG, MORE, answered, json_values

from digits import InputError, report
from digits.config import NOTEBOOKS, ROOT
from digits.data import Dataset
from digits.evaluation.predictions import Score
from digits.recognizer import Reading
from digits.report import build, executed, pages
from digits.report.metrics import README_END, README_START, readme_with

PARAMETERS = 'DATA: str = "auto"  # data\nSEED: int = 0  # seed\nRUN_DIR: str = ""  # run folder'


def notebook(*cells):
    """Build a notebook: texts are Markdown, ("source", tag...) tuples are code."""
    made = []
    for number, cell in enumerate(cells):
        if isinstance(cell, str):
            new = nbformat.v4.new_markdown_cell(cell)
        else:
            new = nbformat.v4.new_code_cell(cell[0], metadata={"tags": list(cell[1:])})
        new["id"] = f"cell-{number}"
        made.append(new)
    kernel = {"name": "python3", "display_name": "python3", "language": "python"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})


FIGURE = """import matplotlib.pyplot as plt
from digits import plots
figure, ax = plt.subplots(figsize=(1, 1))
ax.plot([0, SEED])
ax.set_title(f"It rises\\nby {SEED}")
plt.show()"""
RECORD = """from digits.report import record
from pathlib import Path
run = Path.cwd().parent / RUN_DIR
run.mkdir(parents=True, exist_ok=True)
score = {"n_scored": 1000, "n_wrong": SEED, "value": 1 - SEED / 1000, "low": 0.9, "high": 1.0}
confusion = [[100 if row == column else 0 for column in range(10)] for row in range(10)]
record(run, "evaluation", {"accuracy": score, "confusion": confusion});"""


def patch(tmp_path, monkeypatch):
    """Let reports be made below `tmp_path`, of data that cost nothing."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    nothing = [np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64)] * 3
    dataset = Dataset("embedded", *nothing, digest="ab" * 32, note="not <MNIST>")
    monkeypatch.setattr("digits.data.load", lambda source: dataset)
    monkeypatch.setattr("digits.config.RUNS", tmp_path / "runs")
    monkeypatch.setattr("digits.report.build.REPORTS", tmp_path / "reports")
    monkeypatch.setattr("digits.report.pages.own_pictures", lambda: [])


def project_in(tmp_path, monkeypatch):
    """Make a project of two notebooks."""
    patch(tmp_path, monkeypatch)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "README.md").touch()
    first = notebook(
        "# 1. What <is> there?",
        (PARAMETERS, "parameters"),
        "A line:",
        (FIGURE,),
        "The line **rises** with the `seed`.\n\nMore.",
        "[Next](04_score.ipynb), [help](../README.md#help), [web](https://example.org)",
    )
    second = notebook("# 4. How good?", (PARAMETERS, "parameters"), (RECORD,), ("DATA, RUN_DIR",))
    nbformat.write(first, tmp_path / "notebooks" / "01_look.ipynb")
    nbformat.write(second, tmp_path / "notebooks" / "04_score.ipynb")
    return tmp_path


@pytest.fixture
def project(tmp_path, monkeypatch):
    return project_in(tmp_path, monkeypatch)


def make(project, **options):
    return report.make(notebooks=project / "notebooks", **options)


def visible(folder):
    """The names of what a folder holds, without locks and other hidden files."""
    return sorted(path.name for path in folder.glob("[!.]*"))


TOLD = {
    "created": "today", "profile": "default", "seed": 0, "commit": "",
    "data": {"name": "mnist", "digest": "0" * 64, "note": ""}, "versions": {"python": "3"},
    "notebooks": {"01_a": {"title": "A", "seconds": 1.5, "created": "2026", "parameters": {}}},
}  # fmt: skip
METRICS = {
    "report": TOLD,
    "evaluation": {
        "accuracy": {"n_scored": 10000, "n_wrong": 45, "value": 0.9955, "low": 0.994, "high": 0.9966},
        "expected_calibration_error": 0.002, "coverage": 0.9, "n_parameters": 123456,
        "train_seconds": 400.4, "confusion": [[5, 1], [0, 7]],
    },
    "shipped": {
        "n_scored": 10000, "n_wrong": 30, "value": 0.997, "low": 0.996, "high": 0.998,
        "mean": 0.9965, "n_seeds": 3,
    },
    "pictures": {"n_pictures": 30, "n_right": 29, "n_unsure": 1, "n_wrong": 0},
    "benchmark": {"ratios": [{"label": "a", "value": 2.0, "low": 1.0, "high": 3.0, "n": 2}]},
}  # fmt: skip


# --- record ----------------------------------------------------------------------------------------


def test_record_merges_sections_and_makes_values_plain(tmp_path):
    report.record(tmp_path, "evaluation", {"old": 1})
    report.record(tmp_path, "pictures", {"n_right": np.int64(3)})
    values = {
        "matrix": np.eye(2, dtype=int), "share": np.float32(0.5), "rows": pd.DataFrame({"a": [1]}),
        "errors": pd.Series({"blur": 0.25}), "score": Score(2, 0, 1.0, 0.25, 1.0),
    }  # fmt: skip
    path = report.record(tmp_path, "evaluation", values)
    score = {"n_scored": 2, "n_wrong": 0, "value": 1.0, "low": 0.25, "high": 1.0}
    plain = {"matrix": [[1, 0], [0, 1]], "share": 0.5, "rows": [{"a": 1}]}
    plain |= {"errors": {"blur": 0.25}, "score": score}
    assert json.loads(path.read_text()) == {"evaluation": plain, "pictures": {"n_right": 3}}
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_record_refuses_what_json_cannot_hold_and_keeps_the_file(tmp_path):
    path = report.record(tmp_path, "evaluation", {"good": 1})
    for value, words in ((float("nan"), "bad is nan"), ([object()], "bad[0] is a object")):
        with pytest.raises(InputError, match=re.escape(f"evaluation.{words}")):
            report.record(tmp_path, "evaluation", {"bad": value})
    assert json.loads(path.read_text()) == {"evaluation": {"good": 1}}


def test_record_names_a_run_that_does_not_exist_and_metrics_that_are_damaged(tmp_path):
    with pytest.raises(InputError, match="03_train"):
        report.record(tmp_path / "none", "evaluation", {})
    for text, words in (("{", r"metrics\.json cannot be read"), ("[]", "no JSON object")):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(InputError, match=words):
            report.record(tmp_path, "evaluation", {})


# --- parameters ------------------------------------------------------------------------------------


@pytest.fixture
def three(project):
    """Add a notebook with parameters of its own."""
    other = ("FLAG: bool = False  # one\nN: int = 1  # two", "parameters")
    nbformat.write(notebook(other), project / "notebooks" / "02_other.ipynb")
    return project


def test_plan_gives_each_notebook_what_it_declares(three):
    found = report.find_notebooks(three / "notebooks")
    steps = report.plan(found, {"DATA": "x", "SEED": 1}, ["FLAG=true", "N=3"])
    shared = {"DATA": "x", "SEED": 1}
    assert [step.parameters for step in steps] == [shared, {"FLAG": True, "N": 3}, shared]


def test_mistyped_parameters_notebooks_and_profiles_are_refused(three):
    names = "no notebook has a parameter 'TYPO'; the parameters are FLAG, N, RUN_DIR"
    for options, words in (
        ({"assignments": ["TYPO=1"]}, names),
        ({"assignments": ["SEED=1"]}, "use --seed"),
        ({"assignments": ["RUN_DIR"]}, "expected NAME=VALUE"),
        ({"assignments": ["N=many"]}, "N='many' is not valid: expected int"),
        ({"only": ["9"]}, "no notebook '09'; the notebooks are 01, 02, 04"),
        ({"profile": "fast"}, "unknown profile"),
    ):
        with pytest.raises(InputError, match=re.escape(words)):
            make(three, **options)
    with pytest.raises(InputError, match="a report needs a checkout"):
        report.find_notebooks(three)


# --- an executed notebook, as it is kept -----------------------------------------------------------


def finished(*cells, outputs):
    """Return the cells of a notebook as a report keeps it; each code cell has these outputs."""
    made = notebook(*cells)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs = outputs
    ran = {"created": "today", "seconds": 1.5, "parameters": {"SEED": 7}}
    return executed.finish(made, TOLD, ran).cells


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode()}
    return nbformat.v4.new_output("display_data", data=data)


def test_paths_of_this_machine_are_taken_out():
    printed = nbformat.v4.new_output("stream", text=f"{ROOT}/runs/x {Path.home() / 'y'}")
    assert finished(("run()",), outputs=[printed])[0].outputs[0].text == "runs/x ~/y"


@pytest.mark.parametrize(
    ("words", "alternative"),
    [("It rises\nby 3", "It rises by 3"), ("<Figure size 1x1>", "Figure"), (None, "Figure")],
)
def test_the_alternative_text_is_the_title(words, alternative):
    figure = png(np.zeros((2, 2), np.uint8))
    if words:
        figure.data["text/plain"] = words
    [cell, _] = finished(("plot()",), outputs=[figure])
    assert cell.outputs[0].metadata["image/png"]["alt"] == alternative


def test_a_widget_with_a_picture_is_that_picture():
    figure, view = png(np.zeros((2, 2), np.uint8)), "application/vnd.jupyter.widget-view+json"
    figure.data[view] = {"model_id": "7"}
    assert list(finished(("slide()",), outputs=[figure])[0].outputs[0].data) == ["image/png"]


def test_large_figures_are_stored_with_few_colours_and_photos_as_jpeg():
    rng = np.random.default_rng(0)
    light = np.linspace(0, 200, 300)[:, None, None]  # a shadow on paper that is not quite even
    photo = png((light + rng.integers(0, 20, (300, 300, 3))).astype(np.uint8))
    drawing = png(255 * rng.integers(0, 2, (300, 300, 3)).astype(np.uint8))
    photo, drawing = finished(("plot()",), ("plot()",), outputs=[photo, drawing])[0].outputs
    assert [list(figure.data) for figure in (photo, drawing)] == [["image/jpeg"], ["image/png"]]
    assert photo.metadata["image/jpeg"]["alt"] == "Figure"
    with Image.open(io.BytesIO(base64.b64decode(drawing.data["image/png"]))) as image:
        assert image.mode == "P" and image.size == (300, 300)


# --- a report --------------------------------------------------------------------------------------


def attributes(path: Path, tag: str, name: str) -> list[str]:
    return re.findall(rf'<{tag}\b[^>]*\s{name}=["\']([^"\']*)', path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One report that several tests look at; notebooks take seconds to start."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        project = project_in(tmp_path_factory.mktemp("made"), monkeypatch)
        folder = make(project, seed=7, profile="quick")
    return project, folder


def test_report_holds_notebooks_pages_and_metrics(made):
    project, folder = made
    assert folder == project / "reports" / "embedded"
    names = ["01_look.html", "01_look.ipynb", "04_score.html", "04_score.ipynb"]
    assert sorted(path.name for path in folder.iterdir()) == [*names, "index.html", "metrics.json"]
    assert visible(folder.parent) == ["embedded"]
    about = report.read_metrics(folder / "metrics.json")["report"]
    assert about["data"]["digest"] == "ab" * 32
    assert (about["profile"], about["seed"]) == ("quick", 7)
    assert about["versions"]["python"]
    titles = {name: ran["title"] for name, ran in about["notebooks"].items()}
    assert titles == {"01_look": "1. What <is> there?", "04_score": "4. How good?"}


def test_executed_notebook_ends_with_its_provenance_and_holds_no_local_paths(made):
    text = (made[1] / "04_score.ipynb").read_text()
    last = json.loads(text)["cells"][-1]
    assert last["metadata"]["tags"] == ["provenance"]
    said = "".join(last["source"])
    assert "digest abababababab" in said and "SEED=7" in said
    assert "papermill" not in text and str(Path.home()) not in text


def test_pages_need_no_network_and_every_link_resolves(made):
    _, folder = made
    for path in folder.glob("*.html"):
        sources = attributes(path, r"\w+", "src") + attributes(path, "link", "href")
        assert [source for source in sources if not source.startswith("data:")] == []
        for link in attributes(path, "a", "href"):
            target, _, anchor = link.partition("#")
            if target == "https://example.org":
                continue
            assert (folder / target).is_file(), f"{path.name} links to {link}"
            if target.endswith(".html") and anchor:
                assert f'id="{anchor}"' in (folder / target).read_text()
    links = attributes(folder / "01_look.html", "a", "href")
    assert links[-3:] == ["04_score.html", "../../README.md#help", "https://example.org"]
    assert "(04_score.ipynb)" in (folder / "01_look.ipynb").read_text()


def test_pages_escape_texts_fold_code_and_show_headline_figures_and_confusion(made):
    _, folder = made
    index = (folder / "index.html").read_text()
    for words in ("What &lt;is&gt; there?", "not &lt;MNIST&gt;", "99.30%", "7 of 1,000 wrong"):
        assert words in index
    assert "<is>" not in index
    assert index.count('class="right"') == 10
    assert (folder / "01_look.html").read_text().count('<details class="code"') == 3
    for name in ("01_look.html", "index.html"):
        assert attributes(folder / name, "img", "alt") == ["It rises by 7"]


def test_a_part_keeps_the_rest_of_an_earlier_report(made, monkeypatch):
    project, folder = made
    patch(project, monkeypatch)
    before = (folder / "01_look.ipynb").read_bytes()
    earlier = report.read_metrics(folder / "metrics.json") | {"pictures": {"kept": 1}}
    (folder / "metrics.json").write_text(json.dumps(earlier))
    # A relative run folder is below the project, for notebooks and for their report.
    make(project, seed=9, profile="quick", only=["4"], assignments=["RUN_DIR=runs/own"])
    assert (project / "runs" / "own" / "metrics.json").exists()
    assert "9 of 1,000 wrong" in (folder / "index.html").read_text()
    assert (folder / "01_look.ipynb").read_bytes() == before
    metrics = report.read_metrics(folder / "metrics.json")
    assert metrics["pictures"] == {"kept": 1}
    assert list(metrics["report"]["notebooks"]) == ["01_look", "04_score"]


def test_figures_of_tagged_cells_are_preferred_for_the_index_and_solutions_are_folded(
    made, tmp_path, monkeypatch
):
    _, folder = made
    assert "01_look.html#cell-id=cell-3" in attributes(folder / "index.html", "a", "href")
    monkeypatch.setattr(pages, "own_pictures", lambda: [])
    plain = notebook(("a",), ("b", "index"), ("c", "solution"))
    for cell in plain.cells:
        cell.outputs = [png(np.zeros((2, 2), np.uint8))]
    nbformat.write(plain, tmp_path / "01_a.ipynb")
    pages.write(tmp_path, report.read_metrics(folder / "metrics.json"))
    links = attributes(tmp_path / "index.html", "a", "href")
    assert [link for link in links if "#" in link] == ["01_a.html#cell-id=cell-1"]
    assert (tmp_path / "01_a.html").read_text().count('<details class="solution">') == 1


# --- failures --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failing_notebook_is_kept_and_the_earlier_report_stays(project):
    folder = project / "reports" / "embedded"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"evaluation": {"old": 1}}')
    broken = notebook("# 2. Broken", ("print('before')",), ("1 / 0",))
    nbformat.write(broken, project / "notebooks" / "02_break.ipynb")
    with pytest.raises(InputError, match=r"02_break\.ipynb failed: cell 2 raised ZeroDivisionErr"):
        make(project)
    assert [file.name for file in folder.iterdir()] == ["metrics.json"]
    failed = project / "reports" / "embedded.failed"
    assert "before" in (failed / "02_break.ipynb").read_text()
    assert not (failed / "04_score.ipynb").exists()
    assert visible(folder.parent) == ["embedded", "embedded.failed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "profile", "words"),
    [
        ("import time; time.sleep(30)", "quick", "a cell took longer than 1 s"),
        ("import os; os._exit(9)", "default", "its kernel died"),
    ],
)
def test_why_a_notebook_did_not_end_is_named(project, monkeypatch, code, profile, words):
    monkeypatch.setitem(build.CELL_SECONDS, "quick", 1)
    nbformat.write(notebook("# 1. Ends", (code,)), project / "notebooks" / "01_look.ipynb")
    with pytest.raises(InputError, match=rf"01_look\.ipynb failed: {words}"):
        make(project, profile=profile)


def test_a_stopped_report_leaves_nothing(project, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(project)
    assert visible(project / "reports") == []


def test_a_folder_that_cannot_be_replaced_is_named_and_stays(project):
    precious = project / "precious"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    for output, words in (
        (precious, "holds other things than a report"),
        (precious / "thesis.txt", "is a file; name a folder"),
        (precious / "thesis.txt" / "report", "cannot write the folder"),
    ):
        with pytest.raises(InputError, match=words):
            make(project, output=output)
    assert [file.name for file in precious.iterdir()] == ["thesis.txt"]


# --- nbval ------------------------------------------------------------------------------------------


def nbval(folder: Path) -> subprocess.CompletedProcess:
    """Run nbval on a folder as `make test` does."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-current-env", f"--rootdir={folder}", str(folder)]
    command += [f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_nbval_runs_prepared_copies_and_compares_tagged_cells(tmp_path):
    source = notebook(
        "# 1. Compared?",
        ('DATA: str = "auto"  # data\nSEED: int = 0  # seed', "parameters"),
        ("print(DATA, SEED)",),
        ("print('28 x 28 in 3.4 s')", "keep_output", "nbval-check-output"),
    )
    source.cells[3].outputs = [nbformat.v4.new_output("stream", text="28 x 28 in 1.2 s\n")]
    source.cells[3].execution_count = 3
    (tmp_path / "in").mkdir()
    nbformat.write(source, tmp_path / "in" / "01_compare.ipynb")
    [path] = report.prepare(tmp_path / "out", "embedded", "quick", 4, notebooks=tmp_path / "in")
    assert 'DATA = "embedded"' in path.read_text().replace("\\", "")
    done = nbval(path.parent)
    assert "4 passed" in done.stdout, done.stdout
    path.write_text(path.read_text().replace("28 x 28 in 1.2", "28 x 27 in 1.2"))
    done = nbval(path.parent)
    assert "1 failed, 3 passed" in done.stdout, done.stdout


# --- the index page --------------------------------------------------------------------------------


def test_own_pictures_show_first_what_went_wrong(tmp_path, monkeypatch):
    assert pages.own_pictures(tmp_path, tmp_path) == []  # no labels, no model
    rows = ["right.png,7", "wrong.png,1", "unsure.png,7", "bad.png,7", "page.png,7|7"]
    for row in rows:
        Image.new("L", (60, 40), 255).save(tmp_path / row.partition(",")[0])
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    (tmp_path / "card.json").touch()

    def read_many(pictures):
        for picture in pictures:
            text = "77" if picture.name == "page.png" else "7"
            status = {"unsure.png": "unsure", "bad.png": "error"}.get(picture.name, "ok")
            yield Reading(str(picture), text, (text,), 0.9, status)

    reader = types.SimpleNamespace(read_many=read_many)
    monkeypatch.setattr("digits.recognizer.Recognizer.load", lambda path: reader)
    shown = pages.own_pictures(tmp_path, tmp_path)
    assert [picture.caption for picture in shown] == [
        "wrong.png: reads 7 (wrong, shows 1)",
        "unsure.png: reads 7 (unsure)",
        "page.png: reads 77 (right)",
        "right.png: reads 7 (right)",
    ]
    assert shown[0].source.startswith("data:image/jpeg;base64,")


def test_ci_names_what_a_report_or_a_run_lacks(made, tmp_path):
    project, folder = made

    def check(floor, folder=folder):
        command = [sys.executable, ROOT / ".ci" / "check_reports.py", folder, floor]
        done = subprocess.run(command, capture_output=True, text=True, cwd=project)
        return done.returncode, done.stdout.splitlines()

    missing = ("expected_calibration_error", "temperature", "threshold")
    lines = [f"FAILED: {folder}/metrics.json has evaluation.{key}" for key in missing]
    assert check("0.9") == (1, [*lines, "15 passed, 3 failed"])
    assert any("is at least 0.999" in line for line in check("0.999")[1])
    (tmp_path / "model.onnx").touch()
    shutil.copy(folder / "metrics.json", tmp_path)
    assert check("0.9", tmp_path)[1][-1] == "3 passed, 3 failed"


# --- earlier metrics, which anybody may have changed, are shown or left out ------------------------

PLACES = [
    ("report", "notebooks"), ("report", "notebooks", "01_a"), ("report", "data"),
    ("report", "notebooks", "01_a", "seconds"), ("report", "notebooks", "01_a", "title"),
    ("report", "data", "digest"), ("report", "seed"), ("evaluation", "accuracy"),
    ("evaluation", "accuracy", "value"), ("evaluation", "accuracy", "n_wrong"),
    ("evaluation", "coverage"), ("evaluation", "confusion"), ("evaluation", "confusion", 0),
    ("evaluation", "confusion", 0, 1), ("evaluation", "n_parameters"),
    ("evaluation", "train_seconds"), ("pictures", "n_pictures"), ("pictures", "n_right"),
    ("benchmark", "ratios"), ("benchmark", "ratios", 0), ("benchmark", "ratios", 0, "value"),
    ("benchmark", "ratios", 0, "n"), ("evaluation", "anything"),
]  # fmt: skip


def index_page(earlier):
    """Render the index page of a report that keeps `earlier`'s numbers, but for one."""
    now = METRICS | earlier
    now["report"] = TOLD | {"notebooks": earlier.get("report", TOLD)["notebooks"]}
    names = {name: ran.get("title", name) for name, ran in now["report"]["notebooks"].items()}
    return pages.index(now, names)


@pytest.mark.slow
@given(place=st.sampled_from(PLACES), value=json_values)
@settings(MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_earlier_metrics_are_kept_or_left(place, value, tmp_path):
    metrics = json.loads(json.dumps(METRICS))
    inside = metrics
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with answered():
        index_page(build.earlier_metrics(tmp_path))


@pytest.mark.parametrize("value", ["most", None, [1], {"n": 1}, LONG, math.nan])
def test_what_is_no_number_in_an_earlier_report_makes_it_none(value, tmp_path):
    metrics = METRICS | {"evaluation": {"coverage": value}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert build.earlier_metrics(tmp_path) == {}


def test_whole_earlier_metrics_are_kept(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert build.earlier_metrics(tmp_path) == METRICS
    page = index_page(METRICS)
    assert "99.55%" in page
    cells = re.findall(r'share: ([\d.]+)" class="(\w+)">(\d+)', page)
    right, mistake = ("0.000", "right"), ("1.000", "some")
    assert cells == [(*right, "5"), (*mistake, "1"), ("0.000", "none", "0"), (*right, "7")]


def test_names_are_text_on_the_index_page():
    name = "<script>alert(1)</script>"
    data = {"name": name, "digest": "0" * 64, "note": name}
    told = TOLD | {"data": data, "created": name, "commit": name, "versions": {name: name}}
    shown = pages.Thumbnail("data:image/png;base64,AA", name, name)
    html = pages.index({"report": told}, {name: name}, [shown], [shown])
    assert "&lt;script&gt;" in html
    assert "<script" not in html


# --- README, and reports that are committed --------------------------------------------------------

TABLE = """| what | value |
|---|---|
| The shipped model on MNIST test | 99.70% (30 of 10,000 wrong; 95 % interval 99.60% to \
99.80%; mean of 3 seeds 99.65%) |
| Test accuracy | 99.55% (45 of 10,000 wrong; 95 % interval 99.40% to 99.66%) |
| Expected calibration error | 0.20% |
| Answered (coverage) | 90.00% |
| test_images/ read right by the shipped model | 29 of 30 (1 unsure, 0 wrong) |
| Parameters of the network | 123,456 |
| Training time | 400 s |
| a | 2 times (1 to 3 in 2 rounds) |

Data mnist, profile default, seed 0, made on today from commit unknown."""


def test_readme_holds_the_numbers_and_keeps_its_text_around_them():
    old = f"before\n{README_START}\nold\n{README_END}\nafter\n"
    renewed = f"before\n{README_START}\n{TABLE}\n{README_END}\nafter\n"
    assert readme_with(old, METRICS) == readme_with(renewed, METRICS) == renewed
    assert "`make report`" in readme_with(old, {})
    with pytest.raises(InputError, match="lacks the two markers"):
        readme_with("before", METRICS)


def test_a_report_on_mnist_renews_the_readme_and_its_picture(tmp_path, monkeypatch):
    reader = types.SimpleNamespace(read=lambda picture: Reading(str(picture), status="no-digit"))
    monkeypatch.setattr("digits.recognizer.Recognizer.load", lambda path: reader)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(f"{README_START}\nold\n{README_END}\n")
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    build.update_readme(tmp_path)
    assert "99.55%" in (tmp_path / "README.md").read_text()
    with Image.open(tmp_path / "docs" / "reads.jpg") as picture:
        assert max(picture.size) == pages.README_SIDE


COMMITTED = ROOT / "reports" / "mnist"


def test_readme_shows_the_committed_report():
    metrics = COMMITTED / "metrics.json"
    values = report.read_metrics(metrics) if metrics.exists() else {}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_with(readme, values) == readme, "run `make report` to renew the README"


def stale(committed: Path, sources: Path) -> list[str]:
    """Return the names of executed notebooks whose code is not what their source says today."""

    def code_of(path: Path) -> list[str]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
        own = [c for c in cells if "injected-parameters" not in c["metadata"].get("tags", ())]
        return ["".join(cell["source"]) for cell in own if cell["cell_type"] == "code"]

    paths = sorted(committed.glob("*.ipynb"))
    return [path.name for path in paths if code_of(path) != code_of(sources / path.name)]


def test_committed_notebooks_are_what_their_sources_say():
    if not list(COMMITTED.glob("*.ipynb")):
        pytest.skip("no report is committed yet")
    assert stale(COMMITTED, NOTEBOOKS) == []
    assert sum(path.stat().st_size for path in COMMITTED.glob("*.ipynb")) < 4_000_000


def test_a_changed_source_is_found_stale(made):
    project, folder = made
    assert stale(folder, project / "notebooks") == []
    path = project / "notebooks" / "04_score.ipynb"
    path.write_text(path.read_text().replace("DATA, RUN_DIR", "DATA"))
    assert stale(folder, project / "notebooks") == ["04_score.ipynb"]
