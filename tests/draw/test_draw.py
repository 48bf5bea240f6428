"""The drawing pad without a browser: strokes to pictures, answers, what mattered, files."""

import base64
import io
import itertools
import json
import os
from datetime import datetime
from pathlib import Path
from unittest.mock import Mock

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from strategies import LONG, MORE, answered, json_values

from digits import InputError, draw
from digits.draw import strokes
from digits.draw.strokes import RECORDED, SIZE, checked, read, render, save, what_mattered
from digits.recognizer import Reading, Recognizer
from digits.recognizer.reading import DigitReading
from digits.report import pages

DRAWN = {name: checked(drawing) for name, drawing in RECORDED.items()}
THREE, SEVENTEEN, STAR = DRAWN["three"], DRAWN["seventeen"], DRAWN["star"]


@pytest.fixture(scope="module")
def model():
    return Recognizer.load()


@pytest.fixture(scope="module")
def three(model):
    return read(THREE, model)


@pytest.fixture(scope="module")
def seventeen(model):
    return read(SEVENTEEN, model)


@pytest.fixture
def pad(model, tmp_path):
    return draw.DrawingPad(model, folder=tmp_path / "my_digits")


def test_points_get_a_width_and_are_brought_near_and_nothing_else_is_changed():
    for sent, expected in [
        # What the page sent must not come back changed, or it would overwrite the next stroke.
        ([[[10, 20.5, 14], [30, 40, 6.3]]], [[[10, 20.5, 14], [30, 40, 6.3]]]),
        ([[(1, 2)], []], [[(1, 2, strokes.BRUSH)]]),
        ([[(1e9, -1e9, 1e9)]], [[(2 * max(SIZE), -max(SIZE), strokes.WIDTHS[1])]]),
    ]:
        assert json.dumps(checked(sent)) == json.dumps(expected)
    assert render(checked([[(1e9, 1e9, 1e9), (-1e9, -1e9, 0)]])).size < 3e6


def test_anything_but_strokes_that_a_hand_draws_is_refused():
    points = [(1,), (1, 2, 3, 4), (1, "2"), (1, float("nan"), 3), (LONG, 1), 7, "ab"]
    for bad in (*([[point]] for point in points), [7], 7):
        with pytest.raises(InputError, match=r"\(x, y, width\)"):
            checked(bad)
    with pytest.raises(InputError, match="50,001 points"):
        checked([[(0, 0)] * 50_001])


numbers = st.floats() | st.integers() | st.just(LONG) | st.none() | st.text(max_size=2)
any_points = st.lists(numbers, max_size=4) | st.tuples(st.floats(-100, 600), st.floats(-100, 400))


@pytest.mark.slow
@given(st.lists(st.lists(any_points, max_size=4), max_size=3) | json_values)
@MORE
def test_whatever_arrives_as_strokes_is_drawn_or_refused_in_one_line(given_strokes):
    with answered():
        image = render(checked(given_strokes))
        assert image.dtype == np.uint8 and image.ndim == 2 and image.size


def test_a_drawing_is_dark_ink_on_a_white_sheet_with_a_margin():
    sheet = render([[(100, 100, 10), (100, 160, 10)]])
    assert sheet.shape == (60 + 10 + 2 * strokes.MARGIN, 10 + 2 * strokes.MARGIN)
    ink = 255 - sheet.astype(float)
    frame = strokes.MARGIN - 1
    assert not ink[:frame].any() and not ink[:, :frame].any()
    # A line 60 long and 10 wide, and half a disc at each end.
    assert ink.sum() / 255 == pytest.approx(600 + np.pi * 25, rel=0.1)
    # A dot, and an empty pad.
    assert (render([[(5, 5, 8)]]) < 128).sum() == pytest.approx(np.pi * 16, rel=0.25)
    assert (render([]) == 255).all()


def test_drawings_are_read_whatever_their_place_size_and_pen(model):
    for name, text in [("three", "3"), ("seventeen", "17"), ("four", "4"), ("letter K", "")]:
        reading = read(DRAWN[name], model)
        assert (reading.text, reading.status) == (text, "ok" if text else "no-digit"), name
    for x, y, scale in [(0, 0, 1), (200, 20, 1), (100, 100, 0.3), (-20, 5, 1.1)]:
        points = np.array(THREE[0]) * scale + (x, y, 0)
        reading = read([points.tolist()], model)
        assert reading.text == "3" and reading.status == "ok"
        left, top, width, height = reading.digits[0].box
        pen = points[:, 2].max()
        low, high = points[:, :2].min(0) - pen / 2, points[:, :2].max(0) + pen / 2
        np.testing.assert_allclose((left, top), low, atol=4)
        np.testing.assert_allclose((left + width, top + height), high, atol=4)
    for width in (1, 4, 40):
        drawing = [[(x, y, width) for x, y, _ in stroke] for stroke in DRAWN["seven"]]
        assert read(drawing, model).text == "7"


def test_a_drawing_lies_between_two_at_the_share_that_was_asked_for():
    first, second = DRAWN["one"], DRAWN["seven"]
    for share in (0, 0.5, 1):
        for stroke, *ends in zip(strokes.between(first, second, share), first, second, strict=True):
            np.testing.assert_allclose(stroke, np.average(ends, axis=0, weights=(1 - share, share)))


def length(points) -> float:
    return float(np.hypot(*np.diff(np.array(points)[:, :2], axis=0).T).sum())


def test_a_stroke_is_cut_into_pieces_of_equal_length():
    stroke = THREE[0]
    pieces = strokes.cut(stroke, 60)
    assert len(pieces) == round(length(stroke) / 60) > 3
    np.testing.assert_allclose([length(piece) for piece in pieces], length(stroke) / len(pieces))
    assert pieces[0][0] == stroke[0] and pieces[-1][-1] == stroke[-1]
    for piece, following in itertools.pairwise(pieces):
        assert piece[-1] == following[0]
    for short in ([(1, 2, 3)], [(1, 2, 3), (4, 2, 3)]):
        assert strokes.cut(short, 10) == [short]


def test_each_part_belongs_to_a_digit_and_a_seven_needs_its_long_stroke(model, seventeen):
    parts = what_mattered(SEVENTEEN, seventeen, model)
    assert [part.stroke for part in parts] == sorted(part.stroke for part in parts)
    assert {(part.stroke, part.place) for part in parts} == {(0, 0), (1, 1), (2, 1)}
    stem, bar = what_mattered(SEVENTEEN, seventeen, model, whole=True)
    assert (stem.stroke, bar.stroke) == (1, 2)
    assert stem.evidence > 5 and stem.confidence < 0.5
    assert abs(bar.evidence) < stem.evidence and bar.read == 7


def test_evidence_is_how_far_the_odds_fall(model, three):
    drawing = DRAWN["four"]
    part = what_mattered(drawing, read(drawing, model), model, whole=True)[1]

    def odds(rest):
        image = strokes.to_mnist_form(255.0 - render(rest, margin=1))
        p = float(np.clip(model.probabilities(image[None])[0, 4], 1e-6, 1 - 1e-6))
        return np.log(p / (1 - p))

    assert part.evidence == pytest.approx(odds(drawing) - odds(drawing[:1]), abs=1e-3)
    # Nothing can be left out of one piece, or of no digit.
    assert what_mattered(THREE, three, model, whole=True) == []
    assert what_mattered(STAR, Reading(""), model) == []


def test_each_digit_of_a_label_gets_a_file_and_one_digit_the_whole_drawing(
    model, seventeen, tmp_path
):
    paths = save(SEVENTEEN, "17", seventeen, tmp_path / "new" / "folder")
    assert [path.name[0] for path in paths] == ["1", "7"]
    assert [model.read(path).text for path in paths] == ["1", "7"]
    (path,) = save(STAR, "5", read(STAR, model), tmp_path)
    np.testing.assert_array_equal(Image.open(path), render(STAR))


def test_no_file_is_ever_replaced(three, tmp_path, monkeypatch):
    monkeypatch.setattr(strokes, "datetime", Mock(now=lambda: datetime(2026, 1, 2, 3, 4, 5)))
    names = [save(THREE, "3", three, tmp_path)[0].name for _ in range(2)]
    assert names == ["3_20260102-030405-1.png", "3_20260102-030405-2.png"]


def test_a_label_that_does_not_fit_saves_nothing(model, seventeen, tmp_path):
    for drawing, label, words in [
        *((THREE, label, "not a number") for label in ("", "x", "²", "../3")),
        (THREE, "33", "2 digits, but 1 were read"),
        (STAR, "12", "but none were read"),
        ([], "3", "nothing is drawn"),
    ]:
        with pytest.raises(InputError, match=words):
            save(drawing, label, read(drawing, model), tmp_path)
    with pytest.raises(InputError, match="one stroke runs through two digits"):
        save(SEVENTEEN[:1], "17", seventeen, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_file_is_named_and_no_part_is_left(three, tmp_path, monkeypatch):
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"cannot save in .*taken"):
        save(THREE, "3", three, tmp_path / "taken")

    class Full(io.FileIO):
        def write(self, content):
            super().write(content[:10])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(strokes.Path, "open", lambda path, mode: Full(path, mode))
    with pytest.raises(InputError, match=r"cannot save in .*No space left"):
        save(THREE, "3", three, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_each_change_of_the_strokes_is_answered(pad):
    assert pad.answer["status"] == "empty" and pad.answer["digits"] == []
    pad.strokes = THREE
    assert pad.reading.text == pad.answer["text"] == "3"
    assert pad.answer["status"] == "ok" and not pad.answer["message"]
    assert {part["whole"] for part in pad.parts} == {False}
    pad.strokes = SEVENTEEN
    assert repr(pad) == "DrawingPad(3 strokes, reads '17')"  # the same at every run
    assert {part["whole"] for part in pad.parts} == {False, True}
    for shown, digit in zip(pad.answer["digits"], pad.reading.digits, strict=True):
        assert len(shown["probabilities"]) == 10
        assert np.argmax(shown["probabilities"]) == digit.digit
        assert max(shown["probabilities"]) == pytest.approx(digit.confidence, rel=1e-5)
        image = np.frombuffer(base64.b64decode(shown["image"]), np.uint8).reshape(28, 28)
        np.testing.assert_array_equal(image, digit.image)
    json.dumps([pad.answer, pad.parts], allow_nan=False)
    with pytest.raises(InputError, match="expected"):
        pad.strokes = [[(1, 2, "thick")]]
    assert pad.answer["text"] == "17" and pad.strokes == SEVENTEEN
    assert pad.read(RECORDED["three"]).text == "3"
    assert pad.strokes == SEVENTEEN, "reading leaves the pad alone"
    pad.strokes = []
    assert pad.answer["status"] == "empty" and pad.parts == []


def test_a_report_shows_a_picture_of_the_drawing_and_jupyter_the_pad(pad):
    pad.strokes = SEVENTEEN
    data, metadata = pad._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == pad.model_id
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    below = strokes.MARGIN  # the answer stands in the margin above the drawing
    np.testing.assert_array_equal(picture[1:-1, 1:-1][below:], render(SEVENTEEN)[below:])
    assert (picture[1:-1, 1:-1][:below] < 128).any(), "the answer"
    cell = nbformat.v4.new_code_cell(
        "pad", outputs=[nbformat.v4.new_output("execute_result", data, metadata=metadata)]
    )
    page, _ = pages._exporter().from_notebook_node(
        nbformat.v4.new_notebook(cells=[cell]), {"page_title": "", "name": "07", "titles": {}}
    )
    assert data["image/png"] in page


def test_the_ten_probabilities_of_a_digit_agree_with_its_confidence():
    image = np.zeros((28, 28), np.uint8)
    table = np.array([[0.0, 0, 0, 0, 0.6, 0, 0, 0, 0, 0.4]], np.float32)
    model = Mock(probabilities=lambda images: table.repeat(len(images), 0))
    confidences = 0.99, 0.45  # the detector is surer than the classifier; the two do not agree
    digits = [DigitReading(9, p, (0, 0, 9, 9), 0, False, True, image) for p in confidences]
    rows = draw.probabilities(digits, model)
    assert rows.argmax(1)[0] == 9 and rows[:, 9] == pytest.approx(confidences)
    assert (rows.max(1) == rows[:, 9]).all() and (rows.sum(1) < 1.001).all()


def test_what_is_no_digit_is_shown_as_the_network_saw_it(pad):
    pad.strokes = DRAWN["letter K"]
    assert pad.answer["status"] == "no-digit" and "not a digit" in pad.answer["message"]
    (shown,) = pad.answer["digits"]
    assert not shown["accepted"] and sum(shown["probabilities"]) < 0.5
    assert pad.parts == []


def test_saving_is_told_and_so_is_what_hinders_it(pad):
    send = pad._handle_custom_msg
    send({"do": "save", "label": "3"}, None)
    assert pad.said == "Not saved: nothing is drawn; draw a digit first"
    pad.strokes = THREE
    send({"do": "save", "label": "3"}, None)
    (path,) = pad.folder.iterdir()
    assert pad.said == f"Saved in my_digits/: {path.name}"
    send({"do": "something else"}, None)
    send({"do": "save"}, None)
    assert pad.said.startswith("Not saved: the label ''")
    assert list(pad.folder.iterdir()) == [path]


def test_the_page_of_its_own_is_served_to_this_machine_alone(monkeypatch):
    started = []

    def start(arguments, env):
        started.append((arguments, env["JUPYTER_PATH"].split(os.pathsep)))
        return Mock(**{"wait.return_value": len(started) - 1})

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setenv("JUPYTER_PATH", "earlier")
    draw.serve(9000, browser=False)
    with pytest.raises(InputError, match="status 1; try another --port"):
        draw.serve()
    (first, folders), (second, _) = started
    assert {"--Voila.ip=127.0.0.1", "--port=9000", "--template=draw"} < set(first)
    assert "--no-browser" in first and "--no-browser" not in second
    assert Path(first[3]).suffix == ".ipynb" and Path(first[3]).is_file()
    assert folders[1:] == ["earlier"]
    assert Path(folders[0], "voila", "templates", "draw", "index.html.j2").is_file()
