"""Fine-tuning to one hand: what is gained, what is kept, and what is written."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras")

from digits import InputError, cli, data, training
from digits.config import CHAMPION
from digits.data.examples import Examples
from digits.data.writers import Writer
from digits.evaluation import Score
from digits.recognizer import Recognizer
from digits.training import experiments, finetuning
from digits.training.finetuning import Adapter, find_problem, finetune, split_folds

pytestmark = pytest.mark.slow

N_TAUGHT, N_HELD_OUT = 20, 200


@pytest.fixture(scope="module")
def hand():
    """Return 20 examples, and 200 other pictures, of that of a few hands which is read worst."""
    model = Recognizer.load()

    def n_wrong(seed: int) -> int:
        x, y = Writer.invent(seed).sample(50, 9)
        return (model.predict(x)["digit"].to_numpy() != y).sum()

    chosen = Writer.invent(max(range(6), key=n_wrong))
    return chosen.sample(N_TAUGHT, 1), chosen.sample(N_HELD_OUT, 2)


@pytest.fixture(scope="module")
def adapter(embedded):
    return Adapter(CHAMPION, embedded, n_replay=600, n_synthetic=100)


@pytest.fixture(scope="module")
def taught(adapter, hand):
    (x, y), _ = hand
    return adapter.augment_features(x, 0, copies=16), y


# --- What is gained and kept ---------------------------------------------------------------------


def test_twenty_pictures_halve_the_error_of_an_odd_hand(adapter, taught, hand):
    _, (x, y) = hand
    features = adapter.features(x)
    adapter.reset()
    before = adapter.error(features, y)
    assert before >= 0.1, "the hand is not odd enough to measure anything"
    adapter.fit(*taught)
    assert adapter.error(features, y) <= before / 2


@pytest.mark.skipif("DIGITS_MNIST" not in os.environ, reason="DIGITS_MNIST is not set")
def test_mnist_is_not_forgotten(hand):
    mnist = data.load("mnist")
    adapter = Adapter(CHAMPION, mnist, n_replay=1500, n_synthetic=100)
    test = adapter.features(mnist.x_test), mnist.y_test
    before = adapter.error(*test)
    (x, y), _ = hand
    adapter.fit(adapter.augment_features(x, 0, copies=16), y)
    assert adapter.error(*test) - before <= finetuning.LARGEST_FALL + 1e-9


def test_without_replay_more_is_forgotten(adapter, taught, embedded):
    test = adapter.features(embedded.x_test), embedded.y_test
    adapter.fit(*taught)
    kept = adapter.error(*test)
    adapter.fit(*taught, replay=False)
    assert adapter.error(*test) > kept


def test_what_is_no_digit_stays_none(adapter, taught, embedded):
    others = adapter.features(
        finetuning.synthesis.non_digits(150, embedded.x_val, embedded.y_val, 5)
    )

    def share_rejected() -> float:
        return float((adapter.logits(others).argmax(axis=1) == 10).mean())

    adapter.reset()
    before = share_rejected()
    adapter.fit(*taught)
    assert before > 0.9 and share_rejected() > before - 0.05


def test_the_network_taken_apart_is_the_same_network(adapter, embedded):
    adapter.reset()
    x = embedded.x_test[:50]
    whole = Recognizer.load().logits(x)
    assert np.allclose(adapter.logits(adapter.features(x)), whole, atol=1e-3)


def test_the_convolutions_and_the_statistics_stand_still(adapter, taught, monkeypatch):
    monkeypatch.setattr(finetuning, "STEPS", 5)
    adapter.reset()

    def weights() -> dict:
        return {layer.name: layer.get_weights() for layer in adapter.network.layers}

    before = weights()
    adapter.fit(*taught)
    changed = {
        name
        for name, arrays in weights().items()
        if any(not np.array_equal(a, b) for a, b in zip(arrays, before[name], strict=True))
    }
    assert changed == {"dense", "logits"}
    adapter.reset()
    again = weights()
    assert all(
        np.array_equal(a, b) for n in again for a, b in zip(again[n], before[n], strict=True)
    )


def test_teaching_again_begins_anew(adapter, taught, monkeypatch):
    monkeypatch.setattr(finetuning, "STEPS", 20)
    adapter.fit(*taught, seed=3)
    first = [w.copy() for w in adapter.network.get_weights()]
    adapter.fit(*taught, seed=4)
    adapter.fit(*taught, seed=3)
    again = adapter.network.get_weights()
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(first, again, strict=True))


def test_variations_differ_and_are_decided_by_the_seed(adapter, hand):
    (x, _), _ = hand
    first, again, other = (adapter.augment_features(x[:2], seed, copies=3) for seed in (1, 1, 2))
    assert first.shape[:2] == (2, 3)
    assert np.allclose(first, again) and not np.allclose(first, other)
    assert not np.allclose(first[0, 0], first[0, 1])


# --- Folds and orders ----------------------------------------------------------------------------


def test_equal_labels_are_spread_over_the_folds():
    labels = np.repeat(np.arange(10), 2)
    folds = split_folds(labels, 0)
    assert np.bincount(folds).tolist() == [4] * 5
    assert all(len(set(folds[labels == digit])) == 2 for digit in range(10))
    assert not np.array_equal(folds, split_folds(labels, 1))


def test_no_picture_is_read_by_a_network_that_was_taught_it(adapter, monkeypatch):
    labels = np.arange(20) % 10
    features = np.arange(20, dtype=np.float32)[:, None]
    now_taught = set()

    def fit(variations, labels, seed, weight):
        now_taught.clear()
        now_taught.update(variations.ravel().tolist())

    def predict(features):
        assert not now_taught & set(features.ravel().tolist())
        return features[:, 0].astype(int)

    monkeypatch.setattr(adapter, "fit", fit)
    monkeypatch.setattr(adapter, "predict", predict)
    found = adapter.cross_val_predict(features[:, None, :], features, labels)
    assert found.tolist() == list(range(20)), "each is read, and put in its place"


def test_more_is_replayed_where_validation_asks_for_it(adapter, monkeypatch):
    errors = iter([0.01, 0.03, 0.012, 0.01])  # before, then with each weight, of 1,000 images
    tried = []
    monkeypatch.setattr(adapter, "fit", lambda *args, weight: tried.append(weight))
    monkeypatch.setattr(adapter, "error", lambda *args: next(errors))
    assert adapter.choose_weight(None, None, (None, np.zeros(1000))) == 100
    assert tried == [10, 30, 100], "12 of 1,000 instead of 10 is too many, 11 would be none"


def test_digits_take_turns():
    labels = np.array([3] * 8 + [5, 5, 7])
    order = experiments.balanced_order(labels, 0)
    assert sorted(order) == list(range(11))
    assert sorted(labels[order[:3]]) == [3, 5, 7] and sorted(labels[order[3:5]]) == [3, 5]


def test_curve_and_gains_begin_with_the_network_as_it_came(adapter, taught, hand, monkeypatch):
    monkeypatch.setattr(finetuning, "STEPS", 3)
    held_out = adapter.features(hand[1][0][:50]), hand[1][1][:50]
    kept = experiments.invented(adapter, 1, odd=0)
    adapter.reset()
    before = adapter.error(*held_out), adapter.error(*kept)
    curve = experiments.learning_curve(adapter, taught, held_out, kept, [5, 10], n_draws=1)
    assert curve["n"].tolist() == [0, 0, 5, 5, 10, 10]
    assert curve["replay"].tolist() == [True, False] * 3
    assert (curve[["hand_error", "test_error"]][:2].to_numpy() == before).all()
    gains = experiments.gains(adapter, taught, {"hand": held_out, "others": kept})
    assert tuple(gains["before"]) == before and gains["after"].between(0, 1).all()


# --- Worse models --------------------------------------------------------------------------------


def test_what_counts_as_worse():
    for hand_wrong, test_wrong, n_test, words in (
        ((5, 2), (30, 40), 10_000, ""),
        ((5, 2), (30, 41), 10_000, "11 more of 10,000 test images"),
        ((5, 2), (1, 2), 359, ""),
        ((5, 2), (1, 3), 359, "2 more of 359"),
        ((5, 5), (30, 30), 10_000, ""),
        ((5, 6), (30, 20), 10_000, "misreads 6 of the pictures instead of 5"),
    ):
        hands = [Score.of(20, n) for n in hand_wrong]
        tests = [Score.of(n_test, n) for n in test_wrong]
        problem = find_problem(*hands, *tests)
        assert words in problem and bool(problem) == bool(words), (hand_wrong, test_wrong)


# --- What is written -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples(hand):
    (x, y), _ = hand
    return Examples(x, y, tuple(f"{digit}_{i}.png" for i, digit in enumerate(y)))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, examples, embedded):
    """Return the folder and the outcome of a short fine-tuning."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetuning, "STEPS", 40)
        patch.setattr(finetuning, "FOLDS", 2)
        patch.setattr(finetuning, "COPIES", (4, 8))
        patch.setattr(Adapter.__init__, "__kwdefaults__", {"n_replay": 300, "n_synthetic": 50})
        folder = tmp_path_factory.mktemp("runs") / "hand"
        lines = []
        outcome = finetune(examples, embedded, folder, force=True, progress=lines.append)
    assert len(lines) == 5
    return folder, outcome


def test_the_folder_is_a_model_and_its_cards_say_what_was_done(tuned, embedded):
    folder, outcome = tuned
    assert outcome.folder == folder
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.keras", "model.onnx", "card.json", "MODEL_CARD.md"}
    assert {path.name for path in folder.parent.iterdir()} <= {folder.name, ".hand.lock"}
    card = json.loads((folder / "card.json").read_text())
    assert card["name"] == "hand" and card["data_digest"] == embedded.digest
    assert card["n_train"] == N_TAUGHT and card["finetuning"]["n_by_digit"] == [2] * 10
    assert card["started_from"]["created"] == Recognizer.load().card["created"]
    assert card["finetuning"]["hand_after"]["n_wrong"] == outcome.hand_after.n_wrong
    assert len(outcome.still_wrong) == outcome.hand_after.n_wrong
    model = Recognizer.load(folder)
    assert card["threshold"] == model.threshold > 0
    read = model.predict(embedded.x_test)["digit"].to_numpy()
    n_wrong = (read != embedded.y_test).sum()
    assert n_wrong == outcome.test_after.n_wrong == card["metrics"]["test"]["n_wrong"]
    text = (folder / "MODEL_CARD.md").read_text()
    for words in (
        "20 pictures of one hand (2, 2, 2",
        "digits finetune FOLDER --data embedded --seed 0",
        "steps of fine-tuning | 40 |",
        "57,466 images of handwriting: the training images of mnist",  # of what it started from
    ):
        assert words in text
    for words in ("the hand before: ", "the hand after:  ", "test before:     ", "of 359 wrong"):
        assert words in str(outcome)


def test_a_fine_tuned_model_can_be_exported_and_tuned_further(tuned, embedded):
    folder, _ = tuned
    training.export_model(folder, "keras", folder.parent / "again.keras")
    (folder.parent / "again.keras").unlink()
    assert Adapter(folder, embedded, n_replay=20, n_synthetic=5).n_replayed["not digits"] == 5


# --- An earlier model is safe --------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path):
    """Return the folder of an earlier model, which must stay as it is."""
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "card.json").write_text("earlier")
    return folder


def pretend(problem="", then=None):
    """Return a stand-in for the work itself, which writes a card and then raises, or not."""
    score = Score.of(20, 1)

    def work(examples, dataset, partial, *rest):
        (partial / "card.json").write_text("new")
        if then:
            raise then
        return finetuning.Outcome(None, score, score, (), score, score, problem)

    return work


def only(folder: Path) -> bool:
    """Whether nothing but the model's folder, with a card, is there."""
    inside = [path.name for path in folder.iterdir()]
    beside = [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"]
    return beside == ["hand"] and inside == ["card.json"]


def test_a_better_model_replaces_an_earlier_one_and_a_worse_one_by_force_alone(
    monkeypatch, earlier, examples, embedded
):
    monkeypatch.setattr(finetuning, "_finetune", pretend("it is worse"))
    outcome = finetune(examples, embedded, earlier)
    assert outcome.folder is None and outcome.problem == "it is worse"
    assert only(earlier) and (earlier / "card.json").read_text() == "earlier"
    for problem, force in (("it is worse", True), ("", False)):
        (earlier / "card.json").write_text("earlier")
        monkeypatch.setattr(finetuning, "_finetune", pretend(problem))
        assert finetune(examples, embedded, earlier, force=force).folder == earlier
        assert only(earlier) and (earlier / "card.json").read_text() == "new"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("broken"), OSError(28, "full")]
)
def test_an_interruption_leaves_an_earlier_model(monkeypatch, earlier, examples, embedded, error):
    monkeypatch.setattr(finetuning, "_finetune", pretend(then=error))
    with pytest.raises((type(error), InputError)):
        finetune(examples, embedded, earlier)
    assert only(earlier) and (earlier / "card.json").read_text() == "earlier"


KILLED = """
import sys, time
import numpy as np
from digits.training import finetuning
from digits.data.examples import Examples

def work(examples, dataset, partial, *rest):
    (partial / "card.json").write_text("part")
    print("begun", flush=True)
    time.sleep(60)

finetuning._finetune = work
examples = Examples(np.zeros((10, 28, 28), np.uint8), np.arange(10), tuple("0123456789"))
finetuning.finetune(examples, None, sys.argv[1])
"""


def test_a_kill_in_the_middle_leaves_an_earlier_model(monkeypatch, earlier, examples, embedded):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(earlier)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
    assert (earlier / "card.json").read_text() == "earlier"
    monkeypatch.setattr(finetuning, "_finetune", pretend())
    finetune(examples, embedded, earlier)
    assert only(earlier) and (earlier / "card.json").read_text() == "new", "what it left is gone"


def test_what_is_not_a_model_is_neither_replaced_nor_started_from(tmp_path, examples, embedded):
    pictures, base = tmp_path / "pictures", tmp_path / "base"
    pictures.mkdir()
    (pictures / "7_a.png").touch()
    with pytest.raises(InputError, match="holds something other than a model"):
        finetune(examples, embedded, pictures)
    assert [path.name for path in pictures.iterdir()] == ["7_a.png"]
    with pytest.raises(InputError, match=r"holds no model\.keras"):
        Adapter(tmp_path, embedded)
    shutil.copytree(CHAMPION, base)
    (base / "card.json").write_text('{"temperature": 1.0, "threshold": 0.5}')
    with pytest.raises(InputError, match="'config'"):
        finetune(examples, embedded, tmp_path / "hand", base=base)
    assert not (tmp_path / "hand").exists()


# --- The command ---------------------------------------------------------------------------------


@pytest.fixture
def run(capsys):
    """Run a command line; return exit status, standard output and error."""

    def command(*arguments):
        with pytest.raises(SystemExit) as exit_:
            cli.main([os.fspath(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return command


@pytest.fixture
def folder(tmp_path):
    """Return a folder of ten pictures and one without a label."""
    own, rng = Writer.invent(0, odd=0), np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for digit in range(10):
        Image.fromarray(255 - own.write(digit, rng)).save(tmp_path / "mine" / f"{digit}.png")
    Image.fromarray(255 - own.write(7, rng)).save(tmp_path / "mine" / "what.png")
    return tmp_path / "mine"


def test_the_command_tells_what_it_used_and_what_came_out(monkeypatch, run, folder, tmp_path):
    given = {}

    def work(examples, dataset, output, **options):
        given.update(options, n=len(examples), data=dataset.name)
        hand = Score.of(10, 4), Score.of(10, 1)
        tests = Score.of(359, 1), Score.of(359, 1)
        return finetuning.Outcome(output, *hand, (("7.png", 7, 1),), *tests, "")

    monkeypatch.setattr(finetuning, "finetune", work)
    target = tmp_path / "model"
    status, out, err = run(
        "finetune", folder, "--output", target, "--data", "embedded", "--seed", "5"
    )
    assert status == 0
    assert (given["n"], given["data"], given["seed"], given["force"]) == (10, "embedded", 5, False)
    assert "what.png is left out" in err and err.count("\n") == 1
    assert "10 pictures of 10 digits" in out and "7.png (7) as 1" in out
    assert f"digits predict --model {target}" in out


def test_the_command_says_why_a_worse_model_is_not_saved(monkeypatch, run, folder, tmp_path):
    score = Score.of(10, 1)
    outcome = finetuning.Outcome(None, score, score, (), score, score, "it is worse")
    monkeypatch.setattr(finetuning, "finetune", lambda *args, **options: outcome)
    status, out, err = run("finetune", folder, "--output", tmp_path / "model", "--data", "embedded")
    assert status == 1
    assert "not saved: it is worse; --force saves it all the same" in err
    assert "The model is in" not in out


def test_too_few_pictures_change_nothing_and_wait_for_nothing(monkeypatch, run, folder, tmp_path):
    (folder / "9.png").unlink()
    monkeypatch.setattr(data, "load", lambda *args: pytest.fail("loads data that nobody needs"))
    status, _, err = run("finetune", folder, "--output", tmp_path / "model")
    assert status == 1 and "9 usable pictures; expected at least 10" in err
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_none_is_wrong_usage(run, tmp_path):
    status, _, err = run("finetune", tmp_path / "nowhere")
    assert status == 2 and "is not a folder" in err
