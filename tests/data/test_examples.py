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


def write_table(folder, labels: dict) -> None:
    rows = "".join(f"{name}, {label}\n" for name, label in labels.items())
    (folder / "labels.csv").write_text(f"file,label\n{rows}")


def labels_of(examples: Examples) -> dict[str, int]:
    return dict(zip(examples.names, examples.labels.tolist(), strict=True))


def test_labels_stand_in_names_and_subfolders_or_in_a_table(tmp_path, write, recognizer):
    names = ["1-2.png", "3.png", "4/first.png", "5/3_is_not_its_label.png", "7_a.png"]
    expected = {name: int(name[0]) for name in names}
    for name, digit in expected.items():
        write(name, digit)
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".7_hidden.png").touch()
    examples, remarks = load_examples(tmp_path, recognizer)
    assert not remarks and labels_of(examples) == expected
    assert examples.images.shape == (5, 28, 28) and examples.images.dtype == np.uint8
    assert (recognizer.predict(examples.images)["digit"] == examples.labels).all()
    by_table = {name: 9 - digit for name, digit in expected.items()}
    write_table(tmp_path, by_table)
    examples, remarks = load_examples(tmp_path, recognizer)
    assert not remarks and labels_of(examples) == by_table, "a table rules over names"
    with pytest.raises(InputError, match="is not a folder"):
        load_examples(tmp_path / "nowhere", recognizer)


def test_a_picture_that_cannot_be_used_or_looks_like_no_digit_is_named(tmp_path, write, recognizer):
    expected = {
        "11/a.png": "is left out: its label '11' is not a digit",
        "12_a.png": "is left out: its label '12' is not a digit from 0 to 9",
        # How somebody writes is what there is to learn: a slashed 0 may look like a letter.
        "4_K.png": "does not look like a digit; it is used",
        "5_blank.jpg": "is left out: nothing is written on it",
        "6_sums.jpg": "digits are on it; cut it",
        "7_empty.png": "is left out: nothing is written",
        "7th.png": "is left out: neither name nor folder says",
        "8_broken.png": "PNG or JPEG",
        "IMG_1234.png": "name it 7_IMG_1234.png if it is a 7",
        "letters/a.png": "name it 7_a.png",
    }
    for name in ("7_good.png", *expected):
        write(name, 7)
    for name, source in [
        ("4_K.png", "nothing_letter_K.png"),
        ("6_sums.jpg", "sums_on_squares.jpg"),
    ]:
        shutil.copy(TEST_IMAGES / source, tmp_path / name)
    shutil.copy(TEST_IMAGES / "nothing_blank_sheet.jpg", tmp_path / "5_blank.jpg")
    Image.new("L", (50, 50), 255).save(tmp_path / "7_empty.png")
    (tmp_path / "8_broken.png").write_text("no picture")
    examples, remarks = load_examples(tmp_path, recognizer)
    assert examples.names == ("4_K.png", "7_good.png")
    for (name, words), remark in zip(expected.items(), remarks, strict=True):
        assert remark.startswith(f"{name} ") and words in remark and "\n" not in remark
        assert (" is left out: " in remark) == (name not in examples.names)


def test_a_picture_without_a_usable_label_in_the_table_is_named(tmp_path, write, recognizer):
    labels = {"a.png": "7", "b.png": "", "c.png": "-1", "d.png": "42", "e.png": "7.5"}
    for name in (*labels, "8_f.png"):
        write(name, 7)
    write_table(tmp_path, labels)
    examples, remarks = load_examples(tmp_path, recognizer)
    assert examples.names == ("a.png",)
    named = [remark.split()[0] for remark in remarks]
    assert named == ["8_f.png", "b.png", "c.png", "d.png", "e.png"]
    assert "add a row like 8_f.png,7" in remarks[0]


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


def test_too_few_pictures_and_one_digit_alone_are_refused_and_missing_digits_named():
    def examples_of(labels) -> Examples:
        names = tuple(map(str, range(len(labels))))
        return Examples(np.zeros((len(labels), 28, 28), np.uint8), np.array(labels), names)

    examples_of([0, 1] * 5).require_enough()
    with pytest.raises(InputError, match="9 usable pictures; expected at least 10"):
        examples_of([0, 1, 2] * 3).require_enough()
    with pytest.raises(InputError, match=r"all pictures are labelled 7.*nothing was changed"):
        examples_of([7] * 12).require_enough()
    text = str(examples_of([0, 1, 2, 3, 4, 5, 6, 7]))
    assert text == "8 pictures of 8 digits, none of 8, 9: read as before"
