"""From a picture to a reading."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from digits import InputError
from digits.config import ROOT, TEST_IMAGES
from digits.data import embedded_split, enlarge
from digits.pictures import decode, to_mnist_form
from digits.recognizer import Reading, Recognizer


class FixedSession:
    """A model that gives every image the same logits."""

    def __init__(self, logits):
        self.row = np.asarray(logits, np.float32)

    def get_inputs(self):
        return [type("Input", (), {"name": "image", "shape": [None, 28, 28, 1]})]

    def get_outputs(self):
        return [type("Output", (), {"name": "logits", "shape": [None, len(self.row)]})]

    def run(self, names, feeds):
        assert names == ["logits"]
        images = feeds["image"]
        assert images.dtype == np.float32 and images.shape[1:] == (28, 28, 1)
        assert images.min() >= 0 and images.max() <= 1
        return [np.tile(self.row, (len(images), 1))]


def always(logits, temperature=1.0, threshold=0.7):
    card = {"temperature": temperature, "threshold": threshold}
    return Recognizer(FixedSession(logits), card)


def logits_for(index, n=11, height=9.0):
    return [height if i == index else 0.0 for i in range(n)]


def ring(paper=255, ink=0, size=(80, 80)):
    y, x = np.mgrid[: size[1], : size[0]]
    radius = np.hypot(x - 40, y - 40)
    return np.where(abs(radius - 20) < 3, ink, paper).astype(np.uint8)


# --- The model ---------------------------------------------------------------------------------


def test_probabilities_are_calibrated_and_leave_room_for_no_digit():
    logits = np.arange(11.0)
    table = always(logits, temperature=2.0).probabilities(np.zeros((3, 28, 28), np.uint8))
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    assert table.shape == (3, 10)
    np.testing.assert_allclose(table[0], expected[:10], rtol=1e-5)
    without = always(np.arange(10.0)).probabilities(np.zeros((2, 28, 28), np.uint8))
    np.testing.assert_allclose(without.sum(1), 1, rtol=1e-5)


def test_predict_returns_one_row_an_image():
    table = always(logits_for(3)).predict(np.zeros((600, 28, 28), np.uint8))
    assert list(table.columns) == ["digit", "confidence", "accepted"]
    assert len(table) == 600 and (table.digit == 3).all() and table.accepted.all()
    assert always(logits_for(3)).predict(np.zeros((0, 28, 28), np.uint8)).empty


def test_a_model_without_features_says_so():
    with pytest.raises(InputError, match="digits export"):
        always(logits_for(3)).features(np.zeros((2, 28, 28), np.uint8))


def test_images_may_have_a_channel_as_keras_has_them_but_no_other_shape():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    model = always(logits_for(3))
    assert (model.probabilities(images) == model.probabilities(images[..., 0])).all()
    for shape in ((2, 28, 28, 3), (28, 28)):
        with pytest.raises(InputError, match=r"\(n, 28, 28\)"):
            model.logits(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("card", [None, "no JSON", "{}", '{"temperature": 1, "threshold": "x"}'])
def test_a_model_needs_its_card(tmp_path, card):
    (tmp_path / "model.onnx").write_bytes(b"anything")
    if card is not None:
        (tmp_path / "card.json").write_text(card)
    with pytest.raises(InputError, match=r"card\.json"):
        Recognizer.load(tmp_path)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Recognizer.load(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"anything")
    (tmp_path / "card.json").write_text('{"temperature": 1, "threshold": 0.5}')
    with pytest.raises(InputError, match="not an ONNX model"):
        Recognizer.load(tmp_path / "model.onnx")


def test_a_keras_model_names_the_command_that_makes_onnx(tmp_path):
    for name in ("model.keras", "old.h5"):
        (tmp_path / name).touch()
    command = rf"digits export --format onnx --run {tmp_path} {tmp_path / 'model.onnx'}"
    for path in (tmp_path / "model.keras", tmp_path / "old.h5", tmp_path):
        with pytest.raises(InputError, match=command):
            Recognizer.load(path)


# --- What is said of a picture -------------------------------------------------------------------


def test_a_digit_is_ok_with_its_box_and_image():
    reading = always(logits_for(0)).read(ring())
    assert (reading.text, reading.status, reading.message) == ("0", "ok", "")
    (digit,) = reading.digits
    assert digit.box == pytest.approx((17, 17, 46, 46), abs=2)
    assert digit.image.shape == (28, 28) and digit.accepted and not digit.cut


def test_a_doubtful_digit_is_guessed_and_what_is_not_a_digit_is_not_read():
    doubtful = always([2.0, 1.5, *[0.0] * 9]).read(ring())
    assert (doubtful.text, doubtful.status) == ("0", "unsure")
    assert "not sure" in doubtful.message and doubtful.confidence < 0.7
    refused = always(logits_for(10)).read(ring())
    assert (refused.text, refused.status, refused.digits) == ("", "no-digit", ())
    assert refused.message == "what is written is not a digit"
    for pixels in (np.zeros((1, 1), np.uint8), np.full((200, 200), 240, np.uint8)):
        for single in (False, True):
            blank = always(logits_for(0)).read(pixels, single=single)
            assert blank.status == "no-digit" and "nothing is written" in blank.message


def test_an_error_is_a_reading_and_stops_no_other(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    readings = list(
        always(logits_for(0)).read_many([bad, tmp_path / "missing.png", None, [], ring()])
    )
    assert [reading.status for reading in readings] == [*["error"] * 4, "ok"]
    assert "expected a path" in readings[2].message
    assert readings[0].file == str(bad) and "bad.png" in readings[0].message


def test_that_there_are_more_pages_is_said_after_all_else():
    def pages(pixels):
        stream, image = io.BytesIO(), Image.fromarray(pixels)
        image.save(stream, "TIFF", save_all=True, append_images=[image])
        return stream.getvalue()

    note = "only the first of 2 pages was read"
    model = always(logits_for(0))
    for pixels in (ring(), mnist_zero()):
        reading = model.read(pages(pixels))
        assert (reading.status, reading.message) == ("ok", note)
    message = model.read(pages(np.full((9, 9), 255, np.uint8))).message
    assert message.endswith(f"; {note}")


def mnist_zero():
    """Return an image in MNIST form, whatever the model says of it."""
    return to_mnist_form((255.0 - ring())[20:61, 20:61])


def test_images_in_mnist_form_go_to_the_model_as_they_are(monkeypatch):
    model = always(logits_for(0))
    usual = model.read(255 - mnist_zero())  # turned over, it takes the long way
    monkeypatch.setattr("digits.recognizer.looks.find_ink", None)
    (digit,) = model.read(mnist_zero()).digits
    assert (digit.image == mnist_zero()).all()
    assert digit.accepted and digit.confidence == pytest.approx(usual.confidence)
    assert np.abs(np.subtract(digit.box, usual.digits[0].box)).max() <= 1


def test_an_image_in_mnist_form_that_is_not_sure_is_read_like_any_other():
    model = always(logits_for(0, height=4.0), threshold=0.7)
    usual = model.read(255 - mnist_zero())
    assert 0.7 < usual.confidence < 0.95
    np.testing.assert_array_less(
        np.abs(model.read(mnist_zero()).digits[0].image - usual.digits[0].image.astype(int)), 9
    )
    assert not (model.read(mnist_zero()).digits[0].image == mnist_zero()).all()


def test_the_order_is_kept_where_some_images_wait_for_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr("digits.recognizer.reader.BATCH", 2)
    zero, blank, missing = mnist_zero(), np.zeros((9, 9), np.uint8), tmp_path / "missing.png"
    pictures = [zero, zero, zero, missing, blank, zero, ring(), zero]
    readings = list(always(logits_for(0)).read_many(pictures))
    assert [r.status for r in readings] == [
        "ok", "ok", "ok", "error", "no-digit", "ok", "ok", "ok",
    ]  # fmt: skip
    assert [r.digits[0].image.shape for r in readings if r.status == "ok"] == [(28, 28)] * 6


def test_a_reading_becomes_json():
    answer = always(logits_for(0)).read(ring()).to_dict()
    assert json.loads(json.dumps(answer)) == answer
    assert answer["rows"] == ["0"] and answer["digits"][0]["row"] == 0
    assert {"file", "text", "rows", "confidence", "status", "message", "digits"} == set(answer)
    assert Reading("x", status="error", message="m").to_dict()["digits"] == []


def test_rows_are_read_from_the_top_and_single_takes_all_as_one():
    pair = np.concatenate([ring(), ring()], axis=1)
    reading = always(logits_for(0)).read(np.concatenate([pair, pair]))
    assert reading.rows == ("00", "00") and [d.row for d in reading.digits] == [0, 0, 1, 1]
    assert len(always(logits_for(0)).read(pair, single=True).digits) == 1


def test_nothing_that_takes_long_to_import_is_imported_to_read():
    code = (
        "import sys; from digits.recognizer import Recognizer; "
        "Recognizer.load().read('test_images/form_date.jpg'); "
        "print([m for m in ('tensorflow', 'keras', 'pandas', 'scipy', 'sklearn', 'matplotlib', "
        "'numpy.ma') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


# --- Clear digits, whatever is done to the picture -----------------------------------------------


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


@pytest.fixture(scope="module")
def clear(recognizer):
    """Return one clear digit of each kind, float ink 0 to 1 with paper around it, by its label."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    found = {}
    for index in embedded_split()[2]:
        label = int(raw.target[index])
        if label in found:
            continue
        ink = np.pad(enlarge(raw.images[index], 8), 16)
        reading = recognizer.read(255 * (1 - ink))
        if reading.text == str(label) and reading.confidence > 0.98:
            found[label] = ink
    assert set(found) == set(range(10))
    return found


colours = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.slow
@given(
    label=st.integers(0, 9),
    paper=colours,
    ink=colours,
    pads=st.tuples(*[st.integers(0, 150)] * 4),
    factor=st.floats(0.4, 6),
    encoding=st.sampled_from(["array", "PNG", "JPEG", "transparent"]),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_answer_stays_the_same(recognizer, clear, label, paper, ink, pads, factor, encoding):
    paper, ink = np.array(paper, float), np.array(ink, float)
    # Ink that people can tell from the paper, by its lightness.
    lightness = np.array([0.3, 0.59, 0.11])
    if abs((paper - ink) @ lightness) < 80:
        ink = np.zeros(3) if paper @ lightness > 127 else np.full(3, 255.0)
    strength = clear[label]
    top, bottom, left, right = pads
    strength = np.pad(strength, ((top, bottom), (left, right)))
    size = [max(8, round(side * factor)) for side in strength.shape[::-1]]
    strength = np.asarray(
        Image.fromarray(strength.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    ).clip(0, 1)
    pixels = (paper + strength[..., None] * (ink - paper)).round().astype(np.uint8)
    picture = pixels
    if encoding == "transparent":
        alpha = (255 * strength).astype(np.uint8)[..., None]
        flat = np.broadcast_to(ink.round().astype(np.uint8), pixels.shape)
        picture = Image.fromarray(np.concatenate([flat, alpha], axis=2))
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
    rows = [[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]]
    page = np.concatenate([np.concatenate([clear[d] for d in row], axis=1) for row in rows])
    reading = recognizer.read(255 * (1 - page))
    assert reading.rows == ("31415", "92653") and reading.status == "ok"


def page_with_stroke(clear, top, bottom):
    """Return a row 3, a stroke, 5, 2, where the digits' ink reaches from 0 to 1."""
    three, five, two = clear[3], clear[5], clear[2]
    rows = np.flatnonzero(three.max(1) > 0.5)
    height = rows[-1] - rows[0]
    stroke = np.zeros((three.shape[0], 20), np.float32)
    stroke[rows[0] + round(top * height) : rows[0] + round(bottom * height), 8:12] = 1
    return 255 * (1 - np.concatenate([three, stroke, five, two], axis=1))


def test_a_stroke_is_a_one_where_it_crosses_the_middle_of_the_row(recognizer, clear):
    for top, bottom in ((0.8, 1.15), (0.7, 1.2), (-0.1, 0.25), (-0.1, 0.35)):
        assert recognizer.read(page_with_stroke(clear, top, bottom)).text == "352", (top, bottom)
    for top, bottom in ((0, 1), (0.3, 1), (0.2, 0.75)):
        assert recognizer.read(page_with_stroke(clear, top, bottom)).text == "3152", (top, bottom)


def test_a_small_one_among_small_digits_is_a_one(recognizer, clear):
    large = np.kron(clear[8], np.ones((4, 4)))
    small = np.concatenate([clear[5], clear[1], clear[2]], axis=1)
    small = np.pad(small, ((0, large.shape[0] - small.shape[0]), (0, 0)))
    reading = recognizer.read(255 * (1 - np.concatenate([large, small], axis=1)))
    assert sorted(reading.text) == ["1", "2", "5", "8"]


def test_digits_that_touch_are_cut_and_said_to_be(recognizer, clear):
    def written(digits, overlap):
        page = np.zeros((clear[0].shape[0], 400), np.float32)
        left = 20
        for digit in digits:
            columns = np.flatnonzero(clear[digit].max(0) > 0.5)
            ink = clear[digit][:, columns[0] : columns[-1] + 1]
            window = page[:, left : left + ink.shape[1]]
            np.maximum(window, ink, out=window)
            left += ink.shape[1] - overlap
        return 255 * (1 - page)

    pair = recognizer.read(written([0, 0], overlap=0))
    assert pair.text == "00" and all(digit["cut"] for digit in pair.to_dict()["digits"])
    three = recognizer.read(written([5, 3, 0], overlap=3))
    assert three.text == "530" and any(digit.cut for digit in three.digits)


# --- Further looks -----------------------------------------------------------------------------


def number_on(size, at, height=48):
    """Return white paper with digits of the test pictures on it, and the box of each."""
    row = Image.open(TEST_IMAGES / "paint_1985.png").convert("L")
    row = row.resize((round(row.width * height / row.height), height))
    page = Image.new("L", size, 255)
    page.paste(row, at)
    return page, (*at, row.width, row.height)


def inside(reading, box):
    left, top, width, height = box
    return all(
        left <= x and top <= y and x + w <= left + width + 2 and y + h <= top + height + 2
        for x, y, w, h in (digit.box for digit in reading.digits)
    )


def test_small_writing_is_read_at_its_own_resolution_and_found_where_it_is(recognizer):
    page, box = number_on((4000, 3000), (2500, 1700), 70)
    reading = recognizer.read(page)
    assert (reading.text, reading.status) == ("1985", "ok") and inside(reading, box)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_page_on_its_side_is_read_said_and_framed(recognizer, turn):
    upright = np.rot90(decode(TEST_IMAGES / "turned_sheet_3472.jpg").pixels, 3)
    straight, lying = recognizer.read(upright), recognizer.read(np.rot90(upright, turn))
    assert straight.text == lying.text == "3472" and straight.message == ""
    assert "quarter turn to the " + ("right" if turn == 1 else "left") in lying.message
    height, width = upright.shape[:2]
    for one, other in zip(straight.digits, lying.digits, strict=True):
        x, y, across, down = one.box
        turned = (y, width - x - across) if turn == 1 else (height - y - down, x)
        assert np.allclose(other.box, (*turned, down, across), atol=4)


def test_a_sheet_on_a_desk_is_framed_where_it_lies(recognizer):
    page, (left, top, width, height) = number_on((420, 260), (60, 40), 120)
    desk = Image.new("L", (1000, 800), 50)
    desk.paste(page, (300, 200))
    reading = recognizer.read(desk)
    assert (reading.text, reading.status) == ("1985", "ok")
    assert inside(reading, (left + 300, top + 200, width, height))


def test_a_picture_that_is_gone_before_the_second_look_is_answered_from_the_first(
    recognizer, tmp_path, monkeypatch
):
    page, _ = number_on((4000, 3000), (2500, 1700), 70)
    page.save(tmp_path / "page.png")

    def once(source, **window):
        (tmp_path / "page.png").unlink(missing_ok=True)
        return decode(page) if not window else decode(source, **window)

    monkeypatch.setattr("digits.recognizer.reader.decode", once)
    assert recognizer.read(tmp_path / "page.png").status != "error"


def test_something_as_large_as_the_digits_that_is_not_read_makes_the_answer_unsure(recognizer):
    page, _ = number_on((700, 260), (60, 40), 120)
    zigzag = [(520, 60), (545, 150), (570, 80), (595, 150), (620, 60)]
    ImageDraw.Draw(page).line(zigzag, fill=0, width=9, joint="curve")
    reading = recognizer.read(page)
    assert reading.status == "unsure" and "as large as digits" in reading.message


@pytest.mark.parametrize("around", ["circle", "line"])
def test_a_circle_or_a_line_takes_no_digit_away(recognizer, around):
    page, (left, top, width, height) = number_on((700, 400), (150, 120), 120)
    pen = ImageDraw.Draw(page)
    if around == "circle":
        pen.ellipse((left - 60, top - 60, left + width + 60, top + height + 60), outline=0, width=5)
    else:
        pen.line((left, top + height + 15, left + width, top + height + 15), fill=0, width=5)
    reading = recognizer.read(page)
    assert reading.status == "unsure" or reading.text == "1985"
    assert "0" not in reading.text
