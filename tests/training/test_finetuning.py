"""Fine-tuning to one hand: what is gained, what is kept, and what is written."""

import json
import os
import shutil
from unittest.mock import Mock, patch

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

pytest.importorskip("keras")

from digits import InputError, cli, data, training
from digits.config import CHAMPION
from digits.data import synthesis
from digits.data.examples import Examples
from digits.data.writers import Writer
from digits.evaluation import Score
from digits.recognizer import Recognizer
from digits.training import finetuning, keras
from digits.training.finetuning import Adapter, Outcome, finetune, split_folds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def small():
    """Replay fewer images than usual, and vary the new ones less."""
    few = {"N_REPLAY": 600, "N_SYNTHETIC": 100, "FOLDS": 2, "COPIES": (4, 8)}
    with patch.multiple(finetuning, **few):
        yield


def misread(model, x, y) -> int:
    """Return how many images a model reads otherwise than they are labelled."""
    return int((model.predict(x)["digit"].to_numpy() != y).sum())


@pytest.fixture(scope="module")
def hand():
    """Return 20 examples, and 200 other pictures, of that of a few hands which is read worst."""
    model, writers = Recognizer.load(), map(Writer.invent, range(6))
    chosen = max(writers, key=lambda writer: misread(model, *writer.sample(50, 9)))
    return chosen.sample(20, 1), chosen.sample(200, 2)


@pytest.fixture(scope="module")
def adapter(embedded):
    return Adapter(CHAMPION, embedded)


@pytest.fixture(scope="module")
def taught(adapter, hand):
    x, y = hand[0]
    return adapter.augment_features(x, 0, copies=16), y


def test_twenty_pictures_halve_the_error_and_little_is_forgotten(adapter, taught, hand, embedded):
    _, (x, y) = hand
    held_out, test = (adapter.features(x), y), (adapter.features(embedded.x_test), embedded.y_test)
    others = adapter.features(synthesis.non_digits(150, embedded.x_val, embedded.y_val, 5))

    def rejected() -> float:
        return float((adapter.logits(others).argmax(axis=1) == 10).mean())

    adapter.reset()
    before, rejected_before = adapter.error(*held_out), rejected()
    assert before >= 0.1, "the hand is not odd enough to measure anything"
    assert rejected_before > 0.9
    adapter.fit(*taught)
    assert adapter.error(*held_out) <= before / 2
    assert rejected() > rejected_before - 0.05
    kept = adapter.error(*test)
    adapter.fit(*taught, replay=False)
    assert adapter.error(*test) > kept, "without replay more is forgotten"


def test_what_the_network_is_least_sure_of_is_replayed_among_the_rest(adapter, embedded):
    features = adapter.features(embedded.x_train)
    chosen = adapter._choose_replayed(features)
    assert len(set(chosen)) == finetuning.N_REPLAY < len(features)
    confidence = softmax(adapter.logits(features).astype(float), axis=1).max(axis=1)
    unsure = np.sort(confidence)[: finetuning.N_REPLAY // 8]
    assert np.isin(unsure, confidence[chosen]).all()
    assert np.median(confidence[chosen]) > unsure.max(), "the rest is drawn at random"


@pytest.mark.skipif("DIGITS_MNIST" not in os.environ, reason="DIGITS_MNIST is not set")
def test_mnist_is_not_forgotten(hand, monkeypatch):
    monkeypatch.setattr(finetuning, "N_REPLAY", 1500)
    mnist = data.load("mnist")
    adapter = Adapter(CHAMPION, mnist)
    validation = adapter.features(mnist.x_val), mnist.y_val
    test = adapter.features(mnist.x_test), mnist.y_test
    before = adapter.error(*test)
    x, y = hand[0]
    variations = adapter.augment_features(x, 0, copies=16)
    weight = adapter.choose_weight(variations, y, validation)
    adapter.fit(variations, y, weight=weight)
    assert adapter.error(*test) - before <= finetuning.LARGEST_FALL + 1e-9


def test_a_fit_changes_the_last_layers_alone_and_begins_anew(
    adapter, taught, embedded, monkeypatch
):
    def weights() -> dict:
        layers = adapter.network.layers
        return {(x.name, i): w.copy() for x in layers for i, w in enumerate(x.get_weights())}

    def changed(one: dict, other: dict) -> set:
        return {key[0] for key in one if not np.allclose(one[key], other[key], rtol=0, atol=1e-6)}

    monkeypatch.setattr(finetuning, "STEPS", 20)
    adapter.reset()
    x = embedded.x_test[:50]
    whole = Recognizer.load().logits(x)
    assert np.allclose(adapter.logits(adapter.features(x)), whole, atol=1e-3)
    found = [weights()]
    for seed in (3, 4, 3):
        adapter.fit(*taught, seed=seed)
        found.append(weights())
    start, first, other, again = found
    assert changed(start, first) == changed(first, other) == {"dense", "logits"}
    assert not changed(first, again)
    adapter.reset()
    assert not changed(start, weights())


def test_variations_differ_and_are_decided_by_the_seed(adapter, hand):
    x = hand[0][0][:2]
    first, again, other = (adapter.augment_features(x, seed) for seed in (1, 1, 2))
    assert first.shape[:2] == (2, 8), "as many copies as the bounds allow"
    assert np.allclose(first, again) and not np.allclose(first, other)
    assert not np.allclose(first[0, 0], first[0, 1])


def test_equal_labels_are_spread_over_the_folds():
    labels = np.repeat(np.arange(10), 2)
    folds = split_folds(labels, 0)
    assert np.bincount(folds).tolist() == [10, 10]
    assert all(set(folds[labels == digit]) == {0, 1} for digit in range(10))
    assert not np.array_equal(folds, split_folds(labels, 1))


def test_no_picture_is_read_by_a_network_that_was_taught_it(adapter, monkeypatch):
    features = np.arange(20, dtype=np.float32)[:, None]
    taught = set()

    def fit(variations, labels, seed, weight):
        taught.clear()
        taught.update(variations.ravel().tolist())

    def predict(features):
        assert not taught & set(features.ravel().tolist())
        return features[:, 0].astype(int)

    monkeypatch.setattr(adapter, "fit", fit)
    monkeypatch.setattr(adapter, "predict", predict)
    found = adapter.cross_val_predict(features[:, None, :], features, np.arange(20) % 10)
    assert found.tolist() == list(range(20)), "each is read, and put in its place"


def test_more_is_replayed_where_validation_asks_for_it(adapter, monkeypatch):
    errors = iter([0.01, 0.03, 0.012, 0.01])  # before, then with each weight, of 1,000 images
    tried = []
    monkeypatch.setattr(adapter, "fit", lambda *args, weight: tried.append(weight))
    monkeypatch.setattr(adapter, "error", lambda *args: next(errors))
    assert adapter.choose_weight(None, None, (None, np.zeros(1000))) == 100
    assert tried == [10, 30, 100], "12 of 1,000 instead of 10 is too many, 11 would be none"


def outcome(hand_wrong, val_wrong, n_val=10_000) -> Outcome:
    """Return the outcome with these mistakes before and after."""
    hands = [Score.of(20, n) for n in hand_wrong]
    return Outcome(*hands, (("7.png", 7, 1),), *(Score.of(n_val, n) for n in val_wrong))


def test_what_counts_as_worse():
    for counts, words in (
        (((5, 2), (30, 40)), ""),
        (((5, 2), (30, 41)), "11 more of 10,000 validation images"),
        (((5, 2), (1, 2), 359), ""),
        (((5, 2), (1, 3), 359), "2 more of 359"),
        (((5, 5), (30, 30)), ""),
        (((5, 6), (30, 20)), "misreads 6 of the pictures instead of 5"),
    ):
        problem = outcome(*counts).problem
        assert words in problem and bool(problem) == bool(words), counts


@pytest.fixture(scope="module")
def examples(hand):
    x, y = hand[0]
    return Examples(x, y, tuple(f"{digit}_{i}.png" for i, digit in enumerate(y)))


@pytest.fixture
def earlier(tmp_path):
    """Return the folder of an earlier model."""
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "card.json").write_text("earlier")
    return tmp_path / "hand"


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_by_force_a_worse_model_replaces_an_earlier_one(earlier, examples, embedded, monkeypatch):
    read = Adapter.cross_val_predict
    monkeypatch.setattr(Adapter, "cross_val_predict", lambda *args: (read(*args) + 1) % 10)
    monkeypatch.setattr(finetuning, "STEPS", 40)
    lines = []
    outcome = finetune(examples, embedded, earlier, force=True, progress=lines.append)
    assert len(lines) == 5 and "misreads" in outcome.problem
    assert names(earlier) == {"model.keras", "model.onnx", "card.json", "MODEL_CARD.md"}
    assert names(earlier.parent) == {"hand"}
    card, model = json.loads((earlier / "card.json").read_text()), Recognizer.load(earlier)
    assert card["name"] == "hand" and card["data_digest"] == embedded.digest
    assert card["n_train"] == 20 and card["finetuning"]["n_by_digit"] == [2] * 10
    assert card["started_from"]["created"] == Recognizer.load().card["created"]
    assert card["finetuning"]["hand_after"]["n_wrong"] == outcome.hand_after.n_wrong >= 10
    assert len(outcome.still_wrong) == outcome.hand_after.n_wrong
    assert card["threshold"] == model.threshold > 0
    n_wrong = misread(model, embedded.x_val, embedded.y_val)
    assert n_wrong == outcome.val_after.n_wrong == card["metrics"]["val"]["n_wrong"]
    text = (earlier / "MODEL_CARD.md").read_text()
    for words in (
        "20 pictures of one hand (2, 2, 2",
        "digits finetune FOLDER --data embedded --seed 0",
        "steps of fine-tuning | 40 |",
        "57,466 images of handwriting: the training images of mnist",  # of what it started from
    ):
        assert words in text
    for words in ("the hand before: ", "the hand after:  ", "others before:   ", "of 205 wrong"):
        assert words in str(outcome)
    training.export_model(earlier, "keras", earlier.parent / "again.keras")
    assert Adapter(earlier, embedded).n_replayed["not digits"] == 100


def test_an_earlier_model_goes_only_for_a_whole_better_one(
    earlier, examples, embedded, monkeypatch
):
    monkeypatch.setattr(finetuning, "STEPS", 1)
    for error in (KeyboardInterrupt(), RuntimeError("broken"), OSError(28, "full")):
        with monkeypatch.context() as patch:
            patch.setattr(finetuning, "Adapter", Mock(side_effect=error))
            with pytest.raises((type(error), InputError)):
                finetune(examples, embedded, earlier)
        assert names(earlier.parent) == {"hand"} and names(earlier) == {"card.json"}
    for shift in (1, 0):
        read = (examples.labels + shift) % 10
        monkeypatch.setattr(Adapter, "cross_val_predict", lambda *args, read=read: read)
        assert bool(finetune(examples, embedded, earlier).problem) == bool(shift)
        assert names(earlier.parent) == {"hand"} and ("model.onnx" in names(earlier)) == (not shift)


def test_what_is_not_a_model_is_neither_replaced_nor_started_from(tmp_path, examples, embedded):
    pictures, base = tmp_path / "pictures", tmp_path / "base"
    pictures.mkdir()
    (pictures / "7_a.png").touch()
    for output in (pictures, pictures / "7_a.png"):
        with pytest.raises(InputError, match="holds something other than a model"):
            finetune(examples, embedded, output)
    assert names(pictures) == {"7_a.png"}
    with pytest.raises(InputError, match=r"holds no model\.keras"):
        Adapter(tmp_path, embedded)
    keras.Sequential([keras.Input((28, 28, 1)), keras.layers.GlobalAveragePooling2D()]).save(
        tmp_path / "model.keras"
    )
    with pytest.raises(InputError, match="without a layer named flatten"):
        Adapter(tmp_path, embedded)
    shutil.copytree(CHAMPION, base)
    (base / "card.json").write_text('{"temperature": 1.0, "threshold": 0.5}')
    with pytest.raises(InputError, match="'config'"):
        finetune(examples, embedded, tmp_path / "hand", base=base)
    assert not (tmp_path / "hand").exists()


@pytest.fixture
def run(capsys, tmp_path):
    """Run the command on ten pictures and one without a label; return status, output and error."""
    own, rng = Writer.invent(0, odd=0), np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for name in (*"0123456789", "what"):
        digit = own.write(7 if name == "what" else int(name), rng)
        Image.fromarray(255 - digit).save(tmp_path / "mine" / f"{name}.png")

    def command(*options, folder="mine"):
        arguments = ["finetune", tmp_path / folder, "--output", tmp_path / "model", *options]
        with pytest.raises(SystemExit) as exit_:
            cli.main([os.fspath(argument) for argument in arguments])
        return exit_.value.code or 0, *capsys.readouterr()

    return command


def test_the_command_tells_what_it_used_and_what_came_out(monkeypatch, run, tmp_path):
    given = {}

    def work(examples, dataset, output, **options):
        given.update(options, n=len(examples), data=dataset.name)
        return outcome((4, 6 if given["seed"] == 6 else 1), (1, 1), 359)

    monkeypatch.setattr(finetuning, "finetune", work)
    status, out, err = run("--data", "embedded", "--seed", "5")
    assert [given[key] for key in ("n", "data", "seed", "force")] == [10, "embedded", 5, False]
    assert status == 0 and "what.png is left out" in err and err.count("\n") == 1
    assert "10 pictures of 10 digits" in out and "7.png (7) as 1" in out
    assert f"digits predict --model {tmp_path / 'model'}" in out
    for force, expected, words in (
        ([], 1, ("not saved: it misreads 6", "; --force saves it all the same")),
        (["--force"], 0, ("saved as --force asks, although it misreads 6",)),
    ):
        status, out, err = run("--data", "embedded", "--seed", "6", *force)
        assert status == expected and all(some in err for some in words)
        assert ("The model is in" in out) == bool(force) == given["force"]


def test_too_few_pictures_change_nothing_and_wait_for_nothing(monkeypatch, run, tmp_path):
    (tmp_path / "mine" / "9.png").unlink()
    monkeypatch.setattr(data, "load", lambda *args: pytest.fail("loads data that nobody needs"))
    status, _, err = run()
    assert status == 1 and "9 usable pictures; expected at least 10" in err
    assert not (tmp_path / "model").exists()
    status, _, err = run(folder="nowhere")
    assert status == 2 and "is not a folder" in err
