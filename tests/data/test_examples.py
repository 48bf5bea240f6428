"""What `digits finetune` makes of a folder of labelled pictures, good and bad."""

import shutil

import numpy as np
import pytest
from PIL import Image

from digits import InputError
from digits.config import TEST_IMAGES
from digits.data.examples import Examples, load_examples
from digits.data.writers import Writer
from digits.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a digit of an ordinary hand into the folder, never twice alike."""
    hand, rng = Writer.invent(0, odd=0), np.random.default_rng(0)

    def write(name: str, digit: int) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(255 - hand.write(digit, rng)).save(path)

    return write


def labels_of(examples: Examples) -> dict[str, int]:
    return dict(zip(examples.names, examples.labels.tolist(), strict=True))


def test_labels_stand_in_names_and_subfolders_or_in_a_table(tmp_path, write, recognizer):
    expected = {
        "1-2.png": 1,
        "3.png": 3,
        "4/first.png": 4,
        "5/3_is_not_its_label.png": 5,
        "7_a.png": 7,
    }
    for name, digit in expected.items():
        write(name, digit)
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".7_hidden.png").touch()
    examples, remarks = load_examples(tmp_path, recognizer)
    assert not remarks and labels_of(examples) == expected
    assert examples.images.shape == (5, 28, 28) and examples.images.dtype == np.uint8
    assert (recognizer.predict(examples.images)["digit"] == examples.labels).all()
    # A table rules over names.
    rows = "".join(f"{name}, {9 - digit}\n" for name, digit in expected.items())
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
    examples, remarks = load_examples(tmp_path, recognizer)
    assert not remarks and labels_of(examples) == {n: 9 - digit for n, digit in expected.items()}


def test_a_picture_without_a_usable_label_is_named(tmp_path, write, recognizer):
    expected = {
        "IMG_1234.png": "name it 7_IMG_1234.png if it is a 7",
        "7th.png": "neither name nor folder says",
        "12_a.png": "its label '12' is not a digit from 0 to 9",
        "11/a.png": "its label '11' is not a digit",
        "letters/a.png": "name it 7_a.png",
    }
    for name in ("7_good.png", *expected):
        write(name, 7)
    examples, remarks = load_examples(tmp_path, recognizer)
    assert examples.names == ("7_good.png",)
    for name, remark in zip(sorted(expected), remarks, strict=True):
        assert remark.startswith(f"{name} is left out: ") and expected[name] in remark, remark
        assert "\n" not in remark


def test_a_picture_without_a_usable_label_in_the_table_is_named(tmp_path, write, recognizer):
    labels = {"a.png": "7", "b.png": "", "c.png": "-1", "d.png": "42", "e.png": "7.5"}
    for name in (*labels, "8_f.png"):
        write(name, 7)
    rows = "".join(f"{name},{label}\n" for name, label in labels.items())
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}")
    examples, remarks = load_examples(tmp_path, recognizer)
    assert examples.names == ("a.png",)
    named = [remark.split()[0] for remark in remarks]
    assert named == ["8_f.png", "b.png", "c.png", "d.png", "e.png"]
    assert "add a row like 8_f.png,7" in remarks[0]


def test_no_folder_and_a_table_that_names_a_missing_picture_are_refused(tmp_path, recognizer):
    with pytest.raises(InputError, match="is not a folder"):
        load_examples(tmp_path / "nowhere", recognizer)
    (tmp_path / "labels.csv").write_text("file,label\ngone.png,7\n")
    with pytest.raises(InputError, match=r"names gone\.png, which does not exist"):
        load_examples(tmp_path, recognizer)


def test_a_picture_that_shows_no_digit_or_several_or_is_broken_is_named(tmp_path, recognizer):
    shutil.copy(TEST_IMAGES / "nothing_blank_sheet.jpg", tmp_path / "5_blank.jpg")
    shutil.copy(TEST_IMAGES / "sums_on_squares.jpg", tmp_path / "6_sums.jpg")
    Image.new("L", (50, 50), 255).save(tmp_path / "7_empty.png")
    (tmp_path / "8_broken.png").write_text("no picture")
    examples, remarks = load_examples(tmp_path, recognizer)
    assert len(examples) == 0
    expected = {
        "5_blank.jpg": "nothing is written on it",
        "6_sums.jpg": "digits are on it; cut it",
        "7_empty.png": "nothing is written",
        "8_broken.png": "PNG or JPEG",
    }
    for (name, words), remark in zip(expected.items(), remarks, strict=True):
        assert remark.startswith(f"{name} is left out: ") and words in remark, remark


def test_copies_are_used_once_and_not_at_all_with_two_labels(tmp_path, write, recognizer):
    write("7_a.png", 7)
    Image.open(tmp_path / "7_a.png").save(tmp_path / "7_b.bmp")
    examples, (remark,) = load_examples(tmp_path, recognizer)
    assert examples.names == ("7_a.png",)
    assert remark == "7_a.png, 7_b.bmp are the same picture: the first one is used"
    shutil.copy(tmp_path / "7_a.png", tmp_path / "1_a.png")
    examples, (remark,) = load_examples(tmp_path, recognizer)
    assert len(examples) == 0 and examples.images.shape == (0, 28, 28)
    assert "1_a.png, 7_a.png, 7_b.bmp are one picture with several labels" in remark


def test_a_picture_that_does_not_look_like_a_digit_is_used_and_named(tmp_path, recognizer):
    """A slashed 0 may look like a letter: how somebody writes is what there is to learn."""
    shutil.copy(TEST_IMAGES / "nothing_letter_K.png", tmp_path / "4_K.png")
    examples, (remark,) = load_examples(tmp_path, recognizer)
    assert examples.names == ("4_K.png",)
    assert remark.startswith("4_K.png does not look like a digit; it is used")


def examples_of(labels) -> Examples:
    n = len(labels)
    return Examples(np.zeros((n, 28, 28), np.uint8), np.array(labels), tuple(map(str, range(n))))


def test_too_few_pictures_and_one_digit_alone_are_refused_and_missing_digits_named():
    examples_of([0, 1] * 5).require_enough()
    with pytest.raises(InputError, match="9 usable pictures; expected at least 10"):
        examples_of([0, 1, 2] * 3).require_enough()
    with pytest.raises(InputError, match=r"all pictures are labelled 7.*nothing was changed"):
        examples_of([7] * 12).require_enough()
    text = str(examples_of([0, 1, 2, 3, 4, 5, 6, 7]))
    assert text == "8 pictures of 8 digits, none of 8, 9: read as before"
