"""The benchmark runs, and its arithmetic is right. Nothing here is timed against a bound."""

import dataclasses
import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks import rivals, timing
from digits import InputError, report
from digits.config import TEST_IMAGES
from digits.data.labels import load_labels
from digits.recognizer import Recognizer


def measured(code: str, **options) -> timing.Run:
    return timing.measure([sys.executable, "-c", code], **options)


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


def test_an_unknown_size_is_refused_and_rows_are_evenly_spaced():
    with pytest.raises(InputError, match=r"SIZE='huge'.*small or full"):
        timing.budget("huge")
    table = pd.DataFrame({"x": range(10)}, index=range(10, 20))
    assert timing.evenly_spaced(table, 4)["x"].to_dict() == {0: 0, 1: 3, 2: 6, 3: 9}
    assert len(timing.evenly_spaced(table, 99)) == 10


def test_figures_to_publish_need_a_quiet_machine(monkeypatch):
    loads, waited = [9.0, 9.0, 0.1], []
    monkeypatch.setattr(timing.psutil, "getloadavg", lambda: (loads.pop(0), 0, 0))
    monkeypatch.setattr(timing.psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(timing.time, "sleep", waited.append)
    assert timing.budget("full").seeds == 5 and waited == [10, 10]
    loads[:], waited[:] = [9.0], []
    assert timing.budget("small").seeds == 0 and not waited
    loads[:] = [9.0] * 99
    with pytest.raises(InputError, match=r"the load is 9.0.*SIZE=small"):
        timing.budget("full")
    assert sum(waited) == timing.QUIET_SECONDS


def test_measure_returns_the_output_and_when_its_first_line_came(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # without it, or each start compiles anew
    code = "import sys, time; print(sys.dont_write_bytecode, flush=True); time.sleep(0.2)"
    run = measured(code + "; print('two')")
    assert run.output == "False\ntwo\n"
    assert 0 < run.first <= run.seconds - 0.2
    assert math.isnan(run.peak_megabytes)
    with pytest.raises(RuntimeError, match=r"(?s)status 3: no such thing"):
        measured("import sys; print('no such thing', file=sys.stderr); sys.exit(3)")


def test_measure_counts_the_processor_and_not_waiting():
    waiting = measured("import time; time.sleep(0.3)")
    assert waiting.seconds >= 0.3
    assert waiting.cpu_seconds < 0.3
    assert measured("import time\nwhile time.process_time() < 0.4: pass").cpu_seconds >= 0.4


@pytest.mark.slow
def test_measure_adds_the_memory_of_children_and_leaves_out_its_own():
    ours = np.ones(40_000_000)  # 320 MB here must not appear there
    hold = "b = b'x' * 60_000_000; import time; time.sleep(0.5)"
    both = "import subprocess, sys; b = b'x' * 60_000_000; "
    both += f"subprocess.run([sys.executable, '-c', {hold!r}])"
    assert 60 < measured(hold, memory=True).peak_megabytes < 110
    assert 120 < measured(both, memory=True).peak_megabytes < 200
    assert ours.all()


def test_commands_are_measured_in_turns(tmp_path):
    log = tmp_path / "log"
    code = f"import sys; open({str(log)!r}, 'a').write(sys.argv[1])"
    tables = timing.measure_rounds({name: [sys.executable, "-c", code, name] for name in "ab"}, 2)
    assert log.read_text() == "abab"
    assert list(tables) == ["seconds", "cpu_seconds"]
    for table in tables.values():
        assert (list(table.columns), len(table)) == (["a", "b"], 2)
        assert (table > 0).all(axis=None)


def test_compare_divides_round_by_round():
    # A machine that gets slower fourfold doubles nothing: b is 2 to 3 times a in every round.
    costs = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [2.0, 6.0, 8.0], "c": [5.0, np.nan, np.nan]})
    table = timing.compare(costs, "a")
    assert table.loc["b"].to_dict() == {
        "n": 3, "median": 6, "low": 2, "high": 8, "ratio": 2, "ratio_low": 2, "ratio_high": 3,
    }  # fmt: skip
    assert table.loc["c", ["n", "median", "ratio"]].tolist() == [1, 5, 5]


def test_ratio_leaves_out_rounds_that_lack_either():
    costs = pd.DataFrame({"a": [4.0, 9.0, np.nan, 5.0], "b": [2.0, 3.0, 1.0, np.nan]})
    found = timing.ratio_of(costs, "a", "b")
    assert found == timing.Ratio(2.5, 2.0, 3.0, 2)
    assert str(found) == "2.5 times (2 to 3 in 2 rounds)"
    assert str(timing.Ratio(1500.0, 1500.0, 1500.0, 1)) == "1,500 times (one round)"
    for lacking in (costs[2:], costs[["b"]]):
        found = timing.ratio_of(lacking, "a", "b")
        assert found.n == 0 and math.isnan(found.value)
        assert str(found) == "no round has both"


def test_ratios_stand_among_the_headline_figures():
    ratios = [{"label": "Start", "value": 12.34, "low": 11.0, "high": 14.0, "n": 3}]
    (figure,) = report.headline({"benchmark": {"ratios": ratios}})
    assert figure == ("Start", "12.3 times", "11 to 14 in 3 rounds")


def test_numbers_have_three_significant_digits_and_records_no_nan():
    texts = {1284.4: "1,280", 0.0012345: "0.00123", 12.0: "12", math.nan: ""}
    assert [*map(timing.significant, texts)] == [*texts.values()]
    table = pd.DataFrame({"x": [1.5, np.nan]}, pd.Index(["a", "b"], name="tool"))
    assert timing.records(table) == [{"tool": "a", "x": 1.5}, {"tool": "b", "x": None}]


def test_linked_pictures_are_all_there(tmp_path, embedded):
    images = embedded.x_test[:3]
    timing.link_pictures(images, 7, tmp_path)
    found = [np.asarray(Image.open(path)) for path in sorted(tmp_path.iterdir())]
    np.testing.assert_array_equal(found, images[np.arange(7) % 3])


def test_cost_by_size_runs_every_size_in_every_round(embedded):
    table = timing.cost_by_size(embedded.x_test[:2], (1, 3), 1)
    assert table["n"].tolist() == [1, 3]
    assert (table[[*timing.MEASURED, "open_seconds", "open_cpu_seconds"]] > 0).all(axis=None)


def test_one_more_picture_costs_the_difference_of_two_folders():
    costs = pd.DataFrame(
        {
            "n": [1, 10, 30] * 2,
            "round": [0, 0, 0, 1, 1, 1],
            "cpu_seconds": [1, 2, 6, 1, 3, 5],
            "open_cpu_seconds": [1, 1, 2, 1, 1, 3],
        }
    )
    found = timing.one_more(costs)
    assert found["read"].tolist() == pytest.approx([0.2, 0.1])
    assert found["open"].tolist() == pytest.approx([0.05, 0.1])


def test_stages_of_a_picture(recognizer):
    files = [TEST_IMAGES / "grey28_2.png", TEST_IMAGES / "mouse_7.png"]
    table = timing.stages(recognizer, files, 2)
    assert table.index.tolist() == [(0, 0), (0, 1), (1, 0), (1, 1)]
    last = timing.whole_ratio(table, [False, True])
    each = (table["whole"] / table["Pillow alone"])[:, 1]
    assert (last.n, last.low, last.high) == (2, each.min(), each.max())
    table = table.loc[1]
    assert set(table.columns) == {*timing.STAGES, "whole", "Pillow alone", "pixels"}
    assert table["pixels"].tolist() == [28 * 28, 280 * 280]
    parts = table[list(timing.STAGES)]
    assert (parts >= 0).all(axis=None)
    assert (parts.sum(axis=1) >= table["whole"] - 1e-6).all()


def test_seconds_to_an_accuracy():
    ours, example = timing.OURS, timing.EXAMPLE
    rows = [
        (contestant, seed, epoch, 10.0 * epoch, 20.0 * epoch, accuracy)
        for contestant, seed, accuracies in [
            (ours, 0, [0.98, 0.991, 0.992]),
            (example, 0, [0.97, 0.99, 0.991]),
            (ours, 1, [0.995, 0.985]),
            (example, 1, [0.9, 0.98]),
        ]
        for epoch, accuracy in enumerate(accuracies, 1)
    ]
    table = pd.DataFrame(rows, columns=list(timing.RACE_COLUMNS))
    found = timing.seconds_to(table, 0.99)
    # Ours is charged with all its epochs, and counts only if it ends above the target.
    assert found.loc[0].to_dict() == {ours: 30, example: 20}
    assert found.loc[1].isna().all()
    assert timing.seconds_to(table, 0.99, "cpu_seconds").loc[0, ours] == 60


@pytest.mark.slow
def test_race_trains_both_and_the_example_is_the_known_network(monkeypatch, embedded):
    from benchmarks import race

    assert race.build_example().count_params() == 34_826
    names = [f"{key}_{part}" for key in "xy" for part in ("train", "val", "test")]
    small = dataclasses.replace(embedded, **{name: getattr(embedded, name)[:200] for name in names})
    monkeypatch.setattr(race, "EXAMPLE_EPOCHS", 2)
    monkeypatch.setattr(race, "SHORTENED", ("epochs=1",))
    rows = pd.DataFrame(race.race(small, 1, 1.1))
    assert sorted(rows.columns) == sorted(timing.RACE_COLUMNS)
    epochs = rows.groupby("contestant")["epoch"].max()
    assert epochs.to_dict() == {timing.EXAMPLE: 2, timing.OURS: 1}
    assert rows["test_accuracy"].between(0, 1).all()
    assert (rows["seconds"] > 0).all()
    stopped = list(race.run_example(small, 0, 0.0))
    assert len(stopped) == 1, "it stops at the first epoch that reaches the target"


@pytest.fixture(scope="module")
def labels():
    table = load_labels(TEST_IMAGES).set_index("file")
    return table.loc[["grey28_2.png", "touching_5407.png", "nothing_blank_sheet.jpg"]].reset_index()


def test_pictures_are_made_easy_for_the_rivals(labels, tmp_path):
    tasks = rivals.prepare(TEST_IMAGES, labels, tmp_path)
    assert [task.single for task in tasks] == [True, False, False]
    assert Image.open(tasks[0].upright).size == (28, 28)
    pixels = np.asarray(Image.open(tasks[0].print_like))
    assert pixels.shape == (140, 140), "enlarged to 100, and a margin of a fifth"
    assert np.median(pixels) > 200, "ink was light, and is made dark"


@pytest.mark.slow
def test_our_reader_reads_and_its_start_is_a_process(recognizer, labels):
    ours = rivals.tools(recognizer)[0]
    (answers,) = rivals.read_folder([ours], TEST_IMAGES, labels, 1)
    expected = [recognizer.read(TEST_IMAGES / file).text for file in labels["file"]]
    assert answers["text"].tolist() == expected
    assert expected[0] == "2"
    assert answers["start_seconds"].notna().tolist() == [True, False, False]
    assert answers["start_seconds"][0] > answers["seconds"].min()


def test_answers_of_another_python(recognizer, labels, tmp_path, monkeypatch):
    stand_in, lines = tmp_path / "python", ["#!/bin/sh"]
    for n, text in enumerate(["2", "5 4o7", ""]):
        answer = {"file": f"/x/{n}.png", "text": text, "seconds": 0.5}
        lines.append(f"echo '{json.dumps(answer)}'")
    stand_in.write_text("\n".join(lines))
    stand_in.chmod(0o755)
    monkeypatch.setenv(rivals.RAPIDOCR_PYTHON, str(stand_in))
    tool = next(tool for tool in rivals.tools(recognizer) if tool.name == rivals.RAPIDOCR)
    (answers,) = rivals.read_folder([tool], TEST_IMAGES, labels, 1)
    assert answers["file"].tolist() == labels["file"].tolist()
    assert answers["text"].tolist() == ["2", "547", ""]
    assert answers["start_seconds"].notna().tolist() == [True, False, False]


def test_missing_tools_are_reported_and_not_run(recognizer, labels, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv(rivals.RAPIDOCR_PYTHON, "no-such-python")
    tools = rivals.tools(recognizer)
    missing = rivals.describe(tools)["missing"]
    assert rivals.RAPIDOCR_PYTHON in missing[rivals.RAPIDOCR]
    assert all(name in missing[name] for name in rivals.PROGRAMS)
    absent = [tool for tool in tools if tool.missing]
    assert rivals.read_folder(absent, TEST_IMAGES, labels, 1)[0].empty


@pytest.mark.parametrize("name", ["tesseract", "ocrad", "gocr"])
def test_programs_read_print(name, tmp_path, recognizer):
    tool = next(tool for tool in rivals.tools(recognizer) if tool.name == name)
    if tool.missing:
        pytest.skip(tool.missing)
    image, path = Image.new("L", (300, 120), 255), tmp_path / "print.pgm"
    ImageDraw.Draw(image).text((40, 20), "2714", 0, ImageFont.load_default(72))
    image.save(path)
    (answer,) = tool.read([rivals.Task(tmp_path / "a.png", path, path, False)])
    assert answer.text == "2714"
    assert answer.seconds == answer.start_seconds > 0


def test_right_answers_are_counted_with_an_interval(labels):
    one, two, _ = labels["file"]
    rows = [("a", one, "2"), ("a", two, "547"), ("b", one, "7")]
    right = rivals.right_answers(pd.DataFrame(rows, columns=["tool", "file", "text"]), labels)
    assert right.to_dict("list") == {"a": [True, False, True], "b": [False, False, True]}
    table = rivals.score(right, labels["group"])
    assert len(table) == 2 * (1 + labels["group"].nunique())
    table = table[table["group"] == "all"].set_index("tool")
    assert table[["n_scored", "n_wrong"]].to_numpy().tolist() == [[3, 1], [3, 2]]
    interval = table.loc["a", "low"], table.loc["a", "high"]
    assert interval == pytest.approx((0.2077, 0.9385), abs=1e-4), "Wilson's of 2 of 3"


def test_times_are_medians_over_the_pictures_pass_by_pass():
    times = [0.1, 0.3, 0.9, 0.6], [0.2, 0.2, 0.7, 0.4]
    tools = ["digits", "digits", "digits", "x"]
    passes = [pd.DataFrame({"tool": tools, "seconds": seconds}) for seconds in times]
    table = rivals.per_round(passes, "seconds")
    assert table.to_dict("list") == {"digits": [0.3, 0.2], "x": [0.6, 0.4]}
