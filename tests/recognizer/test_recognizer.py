"""From a picture to a reading."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from strategies import LONG

from digits import InputError
from digits.config import ROOT, TEST_IMAGES
from digits.data import embedded_split, enlarge
from digits.pictures import decode, to_mnist_form
from digits.recognizer import Reading, Recognizer
from digits.recognizer.detector import Detector


class FixedSession:
    """A model that gives every image the same logits."""

    def __init__(self, logits):
        self.row = np.asarray(logits, np.float32)

    def get_inputs(self):
        return [SimpleNamespace(name="image")]

    def get_outputs(self):
        return [SimpleNamespace(name="logits", shape=[None, len(self.row)])]

    def run(self, names, feeds):
        assert names == ["logits"]
        images = feeds["image"]
        assert images.dtype == np.float32 and images.shape[1:] == (28, 28, 1)
        assert images.min() >= 0 and images.max() <= 1
        return [np.tile(self.row, (len(images), 1))]


def always(logits, temperature=1.0):
    return Recognizer(FixedSession(logits), {"temperature": temperature, "threshold": 0.7})


def logits_for(index, height=9.0):
    return height * np.eye(11)[index]


def ring():
    y, x = np.mgrid[:80, :80] - 40
    return np.where(abs(np.hypot(x, y) - 20) < 3, 0, 255).astype(np.uint8)


ZERO = always(logits_for(0))
MNIST_ZERO = to_mnist_form((255.0 - ring())[20:61, 20:61])


def test_probabilities_are_calibrated_and_leave_room_for_no_digit():
    logits, images = np.arange(11.0), np.zeros((3, 28, 28), np.uint8)
    table = always(logits, temperature=2.0).probabilities(images)
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    assert table.shape == (3, 10)
    np.testing.assert_allclose(table[0], expected[:10], rtol=1e-5)
    without = always(np.arange(10.0)).probabilities(images)
    np.testing.assert_allclose(without.sum(1), 1, rtol=1e-5)
    as_keras = always(np.arange(10.0)).probabilities(images[..., None])
    assert (as_keras == without).all()


def test_a_model_predicts_a_row_an_image_and_may_lack_features():
    table = always(logits_for(3)).predict(np.zeros((600, 28, 28), np.uint8))
    assert list(table.columns) == ["digit", "confidence", "accepted"]
    assert len(table) == 600 and (table.digit == 3).all() and table.accepted.all()
    assert ZERO.predict(np.zeros((0, 28, 28), np.uint8)).empty
    with pytest.raises(InputError, match="digits export"):  # without that output
        ZERO.features(np.zeros((2, 28, 28), np.uint8))


def test_what_is_no_model_with_its_card_is_refused(tmp_path):
    def refused(path, words):
        with pytest.raises(InputError, match=words):
            Recognizer.load(path)

    model, card = tmp_path / "model.onnx", tmp_path / "card.json"
    refused(tmp_path, "does not exist")
    model.write_bytes(b"anything")
    refused(tmp_path, r"card\.json is missing")
    beyond_floats = json.dumps({"temperature": LONG, "threshold": 0.5})
    for text in ("no JSON", "{}", '{"temperature": 1, "threshold": "x"}', beyond_floats):
        card.write_text(text)
        refused(tmp_path, r"card\.json is not a model card")
    card.write_text('{"temperature": 1, "threshold": 0.5}')
    refused(model, "not an ONNX model")
    model.unlink()
    for keras in (tmp_path / "model.keras", tmp_path / "old.h5"):
        keras.touch()
        for path in (keras, tmp_path):
            refused(path, rf"digits export --format onnx --run {tmp_path} {model}")


def test_a_digit_is_ok_with_its_box_and_image_and_becomes_json():
    reading = ZERO.read(ring())
    assert (reading.text, reading.status, reading.message) == ("0", "ok", "")
    (digit,) = reading.digits
    assert digit.box == pytest.approx((17, 17, 46, 46), abs=2)
    assert digit.image.shape == (28, 28) and digit.accepted and not digit.cut
    answer = reading.to_dict()
    assert json.loads(json.dumps(answer)) == answer
    assert answer["rows"] == ["0"] and answer["digits"][0]["row"] == 0
    names = {"file", "text", "rows", "confidence", "status", "message", "digits", "unread"}
    assert names == set(answer)


def test_a_doubtful_digit_is_guessed_and_what_is_not_a_digit_is_not_read():
    doubtful = always([2.0, 1.5, *[0.0] * 9]).read(ring())
    assert (doubtful.text, doubtful.status) == ("0", "unsure")
    assert "not sure" in doubtful.message and doubtful.confidence < 0.7
    plus = np.full((80, 80), 255, np.uint8)
    plus[38:43, 20:61] = plus[20:61, 38:43] = 0
    refused = always(logits_for(10)).read(plus)
    assert (refused.text, refused.status, refused.digits) == ("", "no-digit", ())
    assert refused.message == "what is written is not a digit"
    for pixels in (np.zeros((1, 1), np.uint8), np.full((200, 200), 240, np.uint8)):
        for single in (False, True):
            blank = ZERO.read(pixels, single=single)
            assert blank.status == "no-digit" and "nothing is written" in blank.message


def test_that_there_are_more_pages_is_said_after_all_else():
    def pages(pixels):
        stream, image = io.BytesIO(), Image.fromarray(pixels)
        image.save(stream, "TIFF", save_all=True, append_images=[image])
        return ZERO.read(stream.getvalue())

    note = "only the first of 2 pages was read"
    for reading in (pages(ring()), pages(MNIST_ZERO)):
        assert (reading.status, reading.message) == ("ok", note)
    assert pages(np.full((9, 9), 255, np.uint8)).message.endswith(f"; {note}")


def test_images_in_mnist_form_go_to_the_model_as_they_are_and_are_read_if_not_sure(monkeypatch):
    unsure = always(logits_for(0, height=4.0))
    usual, reading = unsure.read(255 - MNIST_ZERO), unsure.read(MNIST_ZERO)
    assert 0.7 < unsure.probabilities(MNIST_ZERO[None]).max() < 0.95
    image, expected = reading.digits[0].image, usual.digits[0].image
    assert np.abs(image - expected.astype(int)).max() < 9 and (image != MNIST_ZERO).any()
    usual = ZERO._read_picture("", decode(MNIST_ZERO), MNIST_ZERO, False)  # the long way
    monkeypatch.setattr("digits.recognizer.looks.find_ink", None)
    (digit,) = ZERO.read(MNIST_ZERO).digits
    assert (digit.image == MNIST_ZERO).all()
    assert digit.accepted and digit.confidence == pytest.approx(usual.confidence, abs=0.01)
    assert np.abs(np.subtract(digit.box, usual.digits[0].box)).max() <= 1


def test_a_small_picture_that_was_not_in_mnist_form_must_be_surer(monkeypatch):
    monkeypatch.setattr("digits.recognizer.looks.find_ink", None)  # nothing takes the long way
    larger = np.pad(np.asarray(Image.fromarray(MNIST_ZERO).resize((40, 40))), 4)
    assert [reading.text for reading in ZERO.read_many([larger, 255 - larger])] == ["0", "0"]
    less_sure = always(logits_for(0, height=5.8))
    assert 0.95 < less_sure.probabilities(MNIST_ZERO[None]).max() < 0.99
    assert less_sure.read(255 - MNIST_ZERO).text == "0"
    with pytest.raises(TypeError):
        less_sure.read(larger)


def test_the_detector_uses_as_many_cores_as_the_classifier(monkeypatch):
    given = []
    monkeypatch.setattr(Detector, "load", lambda *, threads: given.append(threads))
    for threads in (1, None):
        assert Recognizer.load(threads=threads).detector is None
    assert given == [1, None]


def test_one_picture_is_not_taken_for_several():
    for picture in ("photo.png", TEST_IMAGES / "photo.png", b"bytes"):
        with pytest.raises(InputError, match="give it to read, or a list"):
            next(ZERO.read_many(picture))


def test_the_order_is_kept_where_some_images_wait_for_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr("digits.recognizer.reader.BATCH", 2)
    blank, missing = np.zeros((9, 9), np.uint8), tmp_path / "missing.png"
    pictures = [*[MNIST_ZERO] * 3, missing, blank, MNIST_ZERO, ring(), MNIST_ZERO]
    readings = list(ZERO.read_many(pictures))
    assert [r.status for r in readings] == [*["ok"] * 3, "error", "no-digit", *["ok"] * 3]
    assert [r.digits[0].image.shape for r in readings if r.status == "ok"] == [(28, 28)] * 6
    assert readings[3].file == str(missing) and "missing.png" in readings[3].message


def test_rows_are_read_from_the_top_and_single_takes_all_as_one():
    pair = np.concatenate([ring(), ring()], axis=1)
    reading = ZERO.read(np.concatenate([pair, pair]))
    assert reading.rows == ("00", "00") and [d.row for d in reading.digits] == [0, 0, 1, 1]
    assert len(ZERO.read(pair, single=True).digits) == 1


def test_nothing_that_takes_long_to_import_is_imported_to_read():
    heavy = {"tensorflow", "keras", "pandas", "scipy", "sklearn", "matplotlib", "numpy.ma"}
    heavy |= {"importlib.metadata", "email", "PIL.ImageFont", "PIL.EpsImagePlugin"}
    command = ["predict", "test_images/form_date.jpg", "--json"]
    code = (
        "import sys; from digits.cli import cli\n"
        f"cli.main({command}, standalone_mode=False); print(*{heavy} & {{*sys.modules}})"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert run.stdout.splitlines()[1:] == [b""]


def test_a_table_without_pandas_says_what_installs_it(recognizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"pip install 'digits\[train\]'"):
        recognizer.predict(np.zeros((1, 28, 28), np.uint8))


@pytest.fixture(scope="module")
def clear(recognizer):
    """Return one clear digit of each kind, float ink 0 to 1 with paper around it, by its label."""
    from sklearn.datasets import load_digits

    raw, found = load_digits(), {}
    for index in embedded_split()[2]:
        label, ink = int(raw.target[index]), np.pad(enlarge(raw.images[index], 8), 16)
        if label not in found:
            reading = recognizer.read(255 * (1 - ink))
            if reading.text == str(label) and reading.confidence > 0.98:
                found[label] = ink
    return found


colours = st.tuples(*[st.integers(0, 255)] * 3).map(np.array)
margins = st.tuples(*[st.integers(0, 150)] * 2)
encodings = st.sampled_from(["array", "PNG", "JPEG", "transparent"])


@pytest.mark.slow
@given(
    st.integers(0, 9), colours, colours, st.tuples(margins, margins), st.floats(0.4, 6), encodings
)
@settings(max_examples=25, deadline=None)
def test_the_answer_stays_the_same(recognizer, clear, label, paper, ink, pads, factor, encoding):
    # Ink that people can tell from the paper, by its lightness.
    lightness = np.array([0.3, 0.59, 0.11])
    if abs((paper - ink) @ lightness) < 80:
        ink = np.full(3, 0 if paper @ lightness > 127 else 255)
    strength = Image.fromarray(np.pad(clear[label], pads).astype(np.float32))
    size = [max(8, round(side * factor)) for side in strength.size]
    strength = np.asarray(strength.resize(size, Image.Resampling.BILINEAR)).clip(0, 1)[..., None]
    pixels = (paper + strength * (ink - paper)).round().astype(np.uint8)
    picture = pixels
    if encoding == "transparent":
        drawn = np.concatenate([np.broadcast_to(ink, pixels.shape), 255 * strength], axis=2)
        picture = Image.fromarray(drawn.astype(np.uint8))
    elif encoding != "array":
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, encoding)
        picture = stream.getvalue()
    assert recognizer.read(picture).text == str(label)


def test_a_page_that_is_taken_for_one_digit_is_unsure(recognizer):
    reading = recognizer.read(TEST_IMAGES / "transparent_42.png", single=True)
    assert (reading.status, len(reading.text)) == ("unsure", 1)
    assert "another digit is on it" in reading.message
    assert not reading.digits[0].accepted
    one = recognizer.read(TEST_IMAGES / "chalk_8.jpg", single=True)
    assert (one.status, one.text, one.message) == ("ok", "8", "")


def test_a_page_of_clear_digits(recognizer, clear):
    page = np.vstack([np.hstack([clear[int(d)] for d in row]) for row in ("31415", "92653")])
    reading = recognizer.read(255 * (1 - page))
    assert reading.rows == ("31415", "92653") and reading.status == "ok"


def test_a_stroke_is_a_one_where_it_crosses_the_middle_of_the_row(recognizer, clear):
    marks = (0.8, 1.15), (0.7, 1.2), (-0.1, 0.25), (-0.1, 0.35)
    ones = (0, 1), (0.3, 1), (0.2, 0.75)
    first, *_, last = np.flatnonzero(clear[3].max(1) > 0.5)
    for place in marks + ones:
        top, bottom = (first + round(share * (last - first)) for share in place)
        stroke = np.zeros((len(clear[3]), 20), np.float32)
        stroke[top:bottom, 8:12] = 1
        page = np.hstack([clear[3], stroke, clear[5], clear[2]])
        text = "3152" if place in ones else "352"
        assert recognizer.read(255 * (1 - page)).text == text, place


def test_a_small_one_among_small_digits_is_a_one(recognizer, clear):
    large, small = np.kron(clear[8], np.ones((4, 4))), np.hstack([clear[5], clear[1], clear[2]])
    small = np.pad(small, ((0, len(large) - len(small)), (0, 0)))
    reading = recognizer.read(255 * (1 - np.hstack([large, small])))
    assert sorted(reading.text) == ["1", "2", "5", "8"]


def test_digits_that_touch_are_cut_and_said_to_be(recognizer, clear):
    def read(digits, overlap):
        page, left = np.zeros((len(clear[0]), 400), np.float32), 20
        for digit in digits:
            columns = np.flatnonzero(clear[digit].max(0) > 0.5)
            ink = clear[digit][:, columns[0] : columns[-1] + 1]
            window = page[:, left : left + ink.shape[1]]
            np.maximum(window, ink, out=window)
            left += ink.shape[1] - overlap
        return recognizer.read(255 * (1 - page))

    pair, three = read([0, 0], overlap=0), read([5, 3, 0], overlap=3)
    assert (pair.text, three.text) == ("00", "530")
    assert all(digit["cut"] for digit in pair.to_dict()["digits"])
    assert any(digit.cut for digit in three.digits)


def number_on(size, at, height):
    """Return white paper with digits of the test pictures on it, and the box of each."""
    row = Image.open(TEST_IMAGES / "paint_1985.png").convert("L")
    row = row.resize((round(row.width * height / row.height), height))
    page = Image.new("L", size, 255)
    page.paste(row, at)
    return page, (*at, row.width, row.height)


def test_small_writing_and_a_sheet_on_a_desk_are_read_and_framed_where_they_lie(recognizer):
    small, place = number_on((4000, 3000), (2500, 1700), 70)
    sheet, (left, top, *size) = number_on((420, 260), (60, 40), 120)
    desk = Image.new("L", (1000, 800), 50)
    desk.paste(sheet, (300, 200))
    for picture, (x, y, width, height) in ((small, place), (desk, (left + 300, top + 200, *size))):
        reading = recognizer.read(picture)
        assert (reading.text, reading.status) == ("1985", "ok")
        boxes = np.array([digit.box for digit in reading.digits])
        ends = boxes[:, :2] + boxes[:, 2:]
        assert (boxes[:, :2] >= (x, y)).all() and (ends <= (x + width + 2, y + height + 2)).all()


@pytest.mark.parametrize(
    ("turn", "words", "text"),
    [
        (1, "turn to the right", "3472"),
        (2, "upside down", "52036"),
        (3, "turn to the left", "3472"),
    ],
)
def test_a_page_on_its_side_or_its_head_is_read_said_and_framed(recognizer, turn, words, text):
    name, lies = {"3472": ("turned_sheet_3472", 1), "52036": ("form_row_52036", 0)}[text]
    upright = np.rot90(decode(TEST_IMAGES / f"{name}.jpg").pixels, -lies)
    straight, lying = recognizer.read(upright), recognizer.read(np.rot90(upright, turn))
    assert straight.text == lying.text == text and straight.message == ""
    assert words in lying.message
    height, width = upright.shape[:2]
    for one, other in zip(straight.digits, lying.digits, strict=True):
        x, y, across, down = one.box
        right, bottom = width - x - across, height - y - down
        place = [(y, right), (right, bottom), (bottom, x)][turn - 1]
        size = (down, across) if turn % 2 else (across, down)
        assert np.allclose(other.box, (*place, *size), atol=4)


def test_a_picture_gone_before_the_second_look_is_answered(recognizer, tmp_path, monkeypatch):
    page, _ = number_on((4000, 3000), (2500, 1700), 70)
    page.save(tmp_path / "page.png")

    def once(source, **window):
        (tmp_path / "page.png").unlink(missing_ok=True)
        return decode(page) if not window else decode(source, **window)

    monkeypatch.setattr("digits.recognizer.reader.decode", once)
    assert recognizer.read(tmp_path / "page.png").status != "error"


def test_something_as_large_as_digits_that_is_not_read_makes_the_answer_unsure(recognizer):
    page, _ = number_on((700, 260), (60, 40), 120)
    digits = recognizer.read(page).digits
    for there, n, text, words in (
        (digits, 1, "1985", "1 more thing as large as digits is not read"),
        ([], 2, "", "2 things as large as digits are not read"),
    ):
        reading = Reading.of("page.png", there, unread=[(0, 0, 9, 9)] * n)
        assert (reading.status, reading.text, len(reading.rows)) == ("unsure", text, bool(text))
        assert reading.message.startswith(words)
    upright = Image.open(TEST_IMAGES / "scattered.jpg")
    ((x, y, width, height),) = recognizer.read(upright).unread
    place = y, upright.width - x - width, height, width
    turned = recognizer.read(upright.rotate(90, expand=True))
    assert turned.unread == (pytest.approx(place, abs=2),)
    # What is for certain something else is left out.
    zigzag = [(520, 60), (545, 150), (570, 80), (595, 150), (620, 60)]
    ImageDraw.Draw(page).line(zigzag, fill=0, width=9, joint="curve")
    assert recognizer.read(page).text == "1985"


def test_a_circle_or_a_line_takes_no_digit_away(recognizer):
    circled, (left, top, width, height) = number_on((700, 400), (150, 120), 120)
    underlined, right, bottom = circled.copy(), left + width, top + height
    place = (left - 60, top - 60, right + 60, bottom + 60)
    ImageDraw.Draw(circled).ellipse(place, outline=0, width=5)
    ImageDraw.Draw(underlined).line((left, bottom + 15, right, bottom + 15), fill=0, width=5)
    for page in (circled, underlined):
        reading = recognizer.read(page)
        assert reading.status == "unsure" or reading.text == "1985"
        assert "0" not in reading.text
