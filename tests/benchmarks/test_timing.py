"""The benchmark runs, and its arithmetic is right. Nothing here is timed against a bound."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import installed, rivals, timing
from digits import InputError, report
from digits.config import CHAMPION, TEST_IMAGES, Config
from digits.data.labels import load_labels
from digits.recognizer import Recognizer

# --- How much is measured --------------------------------------------------------------------------


def test_an_unknown_size_is_refused():
    with pytest.raises(InputError, match=r"SIZE='huge'.*small or full"):
        timing.effort("huge")


@pytest.mark.parametrize("size", timing.EFFORTS)
def test_every_size_allows_the_fit_and_the_growth(size):
    effort = timing.effort(size)
    assert len(effort.sizes) >= 3
    assert any(100 * n <= max(effort.sizes) for n in effort.sizes)


def test_evenly_spaced_rows():
    table = pd.DataFrame({"x": range(10)}, index=range(10, 20))
    assert timing.evenly(table, 4)["x"].tolist() == [0, 3, 6, 9]
    assert list(timing.evenly(table, 4).index) == [0, 1, 2, 3]
    assert len(timing.evenly(table, 99)) == 10


# --- Running commands ------------------------------------------------------------------------------


def test_measure_returns_the_output_and_when_its_first_line_came():
    code = "import time; print('one', flush=True); time.sleep(0.2); print('two')"
    run = timing.measure(timing.python_command(code))
    assert run.output == "one\ntwo\n"
    assert 0 < run.first <= run.seconds - 0.2
    assert math.isnan(run.peak_megabytes)


def test_measure_counts_the_processor_and_not_waiting():
    waiting = timing.measure(timing.python_command("import time; time.sleep(0.3)"))
    assert waiting.seconds >= 0.3
    assert waiting.cpu_seconds < 0.3
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    assert timing.measure(timing.python_command(busy)).cpu_seconds >= 0.4


@pytest.mark.slow
def test_measure_adds_the_memory_of_children_and_leaves_out_its_own():
    ours = np.ones(40_000_000)  # 320 MB here must not appear there
    hold = "b = b'x' * 60_000_000; import time; time.sleep(0.5)"
    both = "import subprocess, sys; b = b'x' * 60_000_000; "
    both += f"subprocess.run([sys.executable, '-c', {hold!r}])"
    one = timing.measure(timing.python_command(hold), memory=True).peak_megabytes
    two = timing.measure(timing.python_command(both), memory=True).peak_megabytes
    assert 60 < one < 110
    assert 120 < two < 200
    assert ours.all()


def test_measure_tells_why_a_command_failed():
    code = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
    with pytest.raises(RuntimeError, match=r"(?s)status 3: no such thing"):
        timing.measure(timing.python_command(code))


# --- Comparing -------------------------------------------------------------------------------------


def test_rounds_run_the_tasks_in_turns():
    order = []
    tasks = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    table = timing.rounds(tasks, 3)
    assert order == ["a", "b"] * 3
    assert table.to_dict("list") == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_commands_are_measured_in_turns():
    commands = {name: timing.python_command(f"print({name!r})") for name in "ab"}
    tables = timing.measure_rounds(commands, 2)
    assert list(tables) == ["seconds", "cpu_seconds"]
    for table in tables.values():
        assert list(table.columns) == ["a", "b"]
        assert len(table) == 2
    assert (tables["seconds"] > 0).all(axis=None)


def test_ratios_stand_among_the_headline_figures():
    ratios = [{"label": "Start", "value": 12.34, "low": 11.0, "high": 14.0, "n": 3}]
    (figure,) = report.headline({"benchmark": {"ratios": ratios}})
    assert figure == ("Start", "12.3 times", "11 to 14 in 3 rounds")


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


@pytest.mark.parametrize("task", ["a", "not installed"])
def test_ratio_of_what_was_not_measured(task):
    found = timing.ratio_of(pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 1.0]}), task, "b")
    assert found.n == 0
    assert math.isnan(found.value)
    assert str(found) == "no round has both"


def test_three_significant_digits():
    assert [timing.significant(x) for x in (1284.4, 0.0012345, 12.0, math.nan)] == [
        "1,280", "0.00123", "12", "",
    ]  # fmt: skip


def test_records_hold_the_index_and_no_nan():
    table = pd.DataFrame({"x": [1.5, np.nan]}, pd.Index(["a", "b"], name="tool"))
    found = timing.records(table)
    assert found == [{"tool": "a", "x": 1.5}, {"tool": "b", "x": None}]
    json.dumps(found, allow_nan=False)


# --- Cost against size -----------------------------------------------------------------------------

SIZES = np.array([1, 10, 100, 1000, 10_000])


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.3])
def test_fit_finds_start_and_slope(slope):
    cost = timing.fit_cost(SIZES, 0.4 + 0.002 * SIZES**slope)
    assert cost.start == pytest.approx(0.4, rel=1e-3)
    assert cost.each == pytest.approx(0.002, rel=1e-3)
    assert cost.slope == pytest.approx(slope, abs=1e-3)


def test_fitted_interval_holds_the_slope_as_often_as_it_says():
    rng = np.random.default_rng(0)
    n = np.repeat(SIZES, 3)
    held = 0
    for _ in range(100):
        cost = timing.fit_cost(n, (0.4 + 0.002 * n) * np.exp(0.05 * rng.normal(size=len(n))))
        held += cost.low <= 1 <= cost.high
    assert 88 <= held <= 100


def test_fit_needs_enough_sizes():
    with pytest.raises(ValueError, match="4 runs of 2 sizes"):
        timing.fit_cost([1, 1, 10, 10], [1, 1, 2, 2])


def test_growth_is_against_the_size_that_is_so_many_times_smaller():
    memory = pd.Series({1: 50.0, 10: 60.0, 1000: 75.0, 100_000: 80.0})
    assert timing.growth(memory, 100) == 5
    assert timing.growth(memory, 1000) == 20


def test_repeated_pictures_are_all_there(tmp_path, embedded):
    images = embedded.x_test[:3]
    files = timing.save_images(images, tmp_path)
    folder = timing.repeat(files, 7, tmp_path / "many")
    found = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    assert len(found) == 7
    for index, pixels in enumerate(found):
        np.testing.assert_array_equal(pixels, images[index % 3])


def test_cost_by_size_runs_every_size_in_every_round(embedded):
    table = timing.cost_by_size(embedded.x_test[:2], (1, 3), 1)
    assert table["n"].tolist() == [1, 3]
    assert (table[["seconds", "cpu_seconds", "peak_megabytes", "open_seconds"]] > 0).all(axis=None)


# --- The parts of a prediction ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def recognizer():
    if not (CHAMPION / "card.json").exists():
        pytest.skip("no shipped model")
    return Recognizer.load()


def test_stages_of_a_picture(recognizer):
    files = [TEST_IMAGES / "grey28_2.png", TEST_IMAGES / "mouse_7.png"]
    table = timing.stages(recognizer, files, 1)
    assert set(table.columns) == {*timing.STAGES, "whole", "Pillow alone", "pixels"}
    assert table["pixels"].tolist() == [28 * 28, 280 * 280]
    assert (table[list(timing.STAGES)] >= 0).all(axis=None)
    assert (table[list(timing.STAGES)].sum(axis=1) >= table["whole"] - 1e-6).all()


def test_multiplications_by_hand():
    # 24 x 24 places of 5 x 5; pooled to 12; 10 x 10 places of 3 x 3 over 2; pooled to 5; 25 x 3 inputs.
    by_hand = 24 * 24 * 2 * 25 + 10 * 10 * 3 * 9 * 2 + 75 * 7 + 7 * 10
    assert timing.multiplications((2, 3), (5, 3), 7, 10) == by_hand


@pytest.mark.parametrize("profile", ["quick", "default", "best"])
def test_multiplications_are_the_networks(profile):
    from digits.training.model import build_cnn

    config = Config.from_profile(profile)
    total = 0
    for layer in build_cnn(config).layers:
        if layer.name.startswith("conv"):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif layer.name in ("dense", "logits"):
            total += math.prod(layer.kernel.shape)
    counted = timing.multiplications(
        config.filters, config.kernels, config.dense_units, config.n_classes
    )
    assert counted == total


def test_network_cost_relates_to_the_best(recognizer):
    table = timing.network_cost(recognizer, 1_000_000, 1)
    assert table["ratio"].iloc[0] == 1
    assert (table["median"] > 0).all()


# --- Training --------------------------------------------------------------------------------------


def epochs(contestant: str, accuracies: list[float], seed: int = 0) -> list[tuple]:
    return [
        (contestant, seed, epoch, 10.0 * epoch, 20.0 * epoch, accuracy)
        for epoch, accuracy in enumerate(accuracies, 1)
    ]


def test_seconds_to_an_accuracy():
    ours, example = timing.OURS, timing.EXAMPLE
    rows = epochs(ours, [0.98, 0.991, 0.992]) + epochs(example, [0.97, 0.99, 0.991])
    rows += epochs(ours, [0.995, 0.985], 1) + epochs(example, [0.9, 0.98], 1)
    table = pd.DataFrame(rows, columns=list(timing.RACE_COLUMNS))
    found = timing.seconds_to(table, 0.99)
    # Ours is charged with all its epochs, and counts only if it ends above the target.
    assert found.loc[0].to_dict() == {ours: 30, example: 20}
    assert found.loc[1].isna().all()
    assert timing.seconds_to(table, 0.99, "cpu_seconds").loc[0, ours] == 60


@pytest.mark.slow
def test_race_trains_both(monkeypatch, embedded):
    from benchmarks import race

    parts = {f"{k}_{part}": getattr(embedded, f"{k}_{part}")[:200] for k in "xy"
             for part in ("train", "val", "test")}  # fmt: skip
    small = dataclasses.replace(embedded, **parts)
    monkeypatch.setattr(race, "EXAMPLE_EPOCHS", 2)
    rows = pd.DataFrame(race.race(small, 1, 1.1, ["epochs=1"]))
    assert sorted(rows.columns) == sorted(timing.RACE_COLUMNS)
    assert rows.groupby("contestant")["epoch"].max().to_dict() == {
        timing.EXAMPLE: 2, timing.OURS: 1,
    }  # fmt: skip
    assert rows["test_accuracy"].between(0, 1).all()
    assert (rows["seconds"] > 0).all()
    stopped = list(race.run_example(small, 0, 0.0))
    assert len(stopped) == 1, "it stops at the first epoch that reaches the target"


def test_the_example_is_the_known_network():
    from benchmarks import race

    assert race.build_example().count_params() == 34_826


# --- What people would use instead -----------------------------------------------------------------


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


def script(tmp_path, lines: list[dict]) -> list:
    path = tmp_path / "reader.py"
    path.write_text("".join(f"print({json.dumps(line)!r}, flush=True)\n" for line in lines))
    return [sys.executable, path]


def test_answers_of_a_script(tmp_path):
    lines = [
        {"file": "/x/a.png", "text": "6 9l", "seconds": 0.5},
        {"file": "b.png", "text": "", "seconds": 1},
    ]
    first, second = rivals._answers("reader", script(tmp_path, lines))
    assert (first["file"], first["text"]) == ("a.png", "69")
    assert first["start_seconds"] > 0
    assert math.isnan(second["start_seconds"])


def test_a_missing_program_is_reported_and_not_run(labels):
    tool = rivals._program("no-such-reader", "", lambda task: ["no-such-reader"])
    assert "no-such-reader" in tool.missing
    table = rivals.describe([tool])
    assert table.loc["no-such-reader", "megabytes"] is None
    assert rivals.read_all([tool], []).empty


def test_a_python_without_rapidocr_is_reported(monkeypatch):
    monkeypatch.setenv(rivals.RAPIDOCR_PYTHON, "no-such-python")
    assert rivals.RAPIDOCR_PYTHON in rivals._rapidocr().missing


@pytest.mark.parametrize("name", ["tesseract", "ocrad", "gocr"])
def test_programs_read_print(name, tmp_path, recognizer):
    tool = next(tool for tool in rivals.tools(recognizer) if tool.name == name)
    if tool.missing:
        pytest.skip(tool.missing)
    from PIL import ImageDraw, ImageFont

    image = Image.new("L", (300, 120), 255)
    ImageDraw.Draw(image).text((40, 20), "2714", 0, ImageFont.load_default(72))
    image.save(tmp_path / "print.pgm")
    task = rivals.Task(tmp_path / "a.png", tmp_path / "print.pgm", tmp_path / "print.pgm", False)
    (answer,) = tool.read([task])
    assert answer.text == "2714"
    assert answer.seconds == answer.start_seconds > 0
    assert tool.megabytes() > 0.1


def test_right_answers_are_counted_with_an_interval(labels):
    rows = [
        ("a", "grey28_2.png", "2"),
        ("a", "touching_5407.png", "547"),
        ("b", "grey28_2.png", "7"),
    ]
    answers = pd.DataFrame(rows, columns=["tool", "file", "text"])
    table = rivals.score(answers, labels).set_index(["tool", "group"])
    assert table.loc[("a", "all"), ["n_scored", "n_wrong"]].tolist() == [3, 1]
    assert table.loc[("b", "all"), ["n_scored", "n_wrong"]].tolist() == [3, 2]
    row = table.loc[("a", "all")]
    # Wilson's interval of 2 of 3.
    assert (row["low"], row["high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4)


def test_tools_side_by_side():
    passes = [
        pd.DataFrame({"tool": ["digits", "digits", "x"], "seconds": [0.1, 0.3, 0.8],
                      "start_seconds": [0.5, np.nan, 5.0]}),
        pd.DataFrame({"tool": ["digits", "digits", "x"], "seconds": [0.2, 0.2, 0.4],
                      "start_seconds": [0.5, np.nan, 10.0]}),
    ]  # fmt: skip
    scores = pd.DataFrame({"tool": ["digits", "x"], "group": "all", "value": [1.0, 0.5]})
    table = rivals.summarise(scores, passes)
    assert table.loc["x", "ms"] == pytest.approx(600)
    assert table.loc["x", ["ms ratio_low", "ms ratio_high"]].tolist() == pytest.approx([2, 4])
    assert table.loc["x", "start ratio"] == pytest.approx(15)


# --- What is installed -----------------------------------------------------------------------------


def test_packages_count_what_they_require():
    numpy, pandas = installed.packages_megabytes("numpy"), installed.packages_megabytes("pandas")
    assert 10 < numpy < pandas
    assert installed.packages_megabytes("pandas", "numpy") == pandas, "each counts once"
    assert installed.packages_megabytes("no-such-package") is None


def test_a_program_counts_its_data(tmp_path):
    (tmp_path / "model").write_bytes(b"0" * 3_000_000)
    alone, with_data = (
        installed.program_megabytes("sh"),
        installed.program_megabytes("sh", tmp_path),
    )
    if alone is None:
        pytest.skip("there is no ldd here")
    assert with_data - alone == pytest.approx(3)
    assert installed.program_megabytes("no-such-program") is None


def test_commands_keep_what_python_compiled(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    told = timing.measure([sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"])
    assert told.output == "False\n"
