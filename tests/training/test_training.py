"""Training: runs, resuming, export."""

import dataclasses
import json
import shutil
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

keras = pytest.importorskip("keras")

from digits import InputError, data, evaluation, training  # noqa: E402
from digits.config import Config  # noqa: E402
from digits.recognizer import Recognizer  # noqa: E402
from digits.training import build_cnn, card, champion, export, fit  # noqa: E402
from digits.training.model import as_input  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = Config(
    filters=(8, 16), kernels=(5, 3), dense_units=32, epochs=2, batch_size=32, augmentation=0.3,
    augmentation_end=0.5, batch_norm=True, extra=True, reject=True, seed=11, learning_rate=0.01,
    ema=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(embedded):
    """Return a small data set of real digits under a name of its own, so that `extra` adds to it."""
    return first(300, dataclasses.replace(embedded, name="small", digest="small"))


def first(n, dataset):
    """Return a data set with no more than `n` training images."""
    return dataclasses.replace(dataset, x_train=dataset.x_train[:n], y_train=dataset.y_train[:n])


@pytest.fixture(scope="module", autouse=True)
def collect(embedded):
    """Make the training images once for all trainings of this file; yield what makes them anew."""
    made, collect = {}, fit.TrainingImages.collect

    def collected(dataset, config):
        what = (dataset.digest, config.extra, config.reject, config.seed)
        if what not in made:
            made[what] = collect(dataset, config)
        return made[what]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit.TrainingImages, "collect", collected)
        patch.setattr(card, "N_CORRUPTED", 50)
        patch.setattr(data, "load", lambda source: first(600, embedded))
        yield collect


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    """Return the folder of an unbroken run and the rows that it reported."""
    rows, target = [], tmp_path_factory.mktemp("runs") / "whole"
    return training.train(dataset, SMALL, target, progress=rows.append), rows


def weights(folder):
    return keras.models.load_model(folder / "model.keras", compile=False).get_weights()


def told(folder):
    return json.loads((folder / "card.json").read_text())


def n_wrong(folder, dataset):
    """Return how many test images the exported model misreads."""
    read = Recognizer.load(folder).predict(dataset.x_test)["digit"].to_numpy()
    return (read != dataset.y_test).sum()


def test_the_exported_features_are_what_the_logits_are_made_of(run, dataset):
    folder, _ = run
    recognizer, images = Recognizer.load(folder), dataset.x_val[:300]  # more than one batch
    features = recognizer.features(images)
    network = keras.models.load_model(folder / "model.keras", compile=False)
    matrix, offset = network.get_layer("logits").get_weights()
    assert features.shape == (len(images), SMALL.dense_units) and features.min() >= 0
    assert np.allclose(features @ matrix + offset, recognizer.logits(images), atol=1e-4)


def test_a_run_folder_is_complete(run, dataset):
    folder, rows = run
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "history.csv", "test_by_epoch.csv", "model.keras", "model.onnx", "card.json",
        "MODEL_CARD.md",
    }  # fmt: skip
    assert [row["epoch"] for row in rows] == [1, 2]
    assert training.format_epoch(rows[1]).startswith("epoch   2  loss 0.")
    assert list(rows[0]) == pd.read_csv(folder / "history.csv").columns.to_list()
    assert not folder.with_name("whole.partial").exists()
    card, test = told(folder), told(folder)["metrics"]["test"]
    assert card["data_digest"] == dataset.digest and card["config"] == SMALL.to_dict()
    assert test["n_scored"] == len(dataset.y_test)
    assert test["value"] > 0.5, "two epochs learn something"
    audit = pd.read_csv(folder / "test_by_epoch.csv").set_index("epoch")["n_wrong"]
    assert n_wrong(folder, dataset) == test["n_wrong"] == audit[card["epoch"]]


def lean(config):
    """Return a network without the layers of `build_cnn`."""
    layers = keras.layers
    found = [layers.Conv2D(8, 5, strides=3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((28, 28, 1)), *found, layers.Dense(config.n_classes)])


def test_a_network_of_ones_own_is_trained_or_refused(tmp_path, dataset):
    config = SMALL.replace(extra=False, reject=False, epochs=1)
    folder = training.train(dataset, config, tmp_path / "own", build=lean)
    model = Recognizer.load(folder)
    assert model.features(dataset.x_val[:3]).shape == (3, 8)
    assert model.card["n_parameters"] == lean(config).count_params() == 298
    with pytest.raises(InputError, match=r"gives \(None, 11\); expected .*\(None, 10\)"):
        training.train(dataset, config, folder, build=lambda _: lean(config.replace(reject=True)))


def test_the_epoch_is_chosen_on_validation():
    columns = "epoch", "val_accuracy", "val_loss"
    rows = (1, 0.98, 0.1), (2, 0.99, 0.3), (3, 0.99, 0.2), (4, 0.97, 0)
    assert fit.choose_epoch([dict(zip(columns, row, strict=True)) for row in rows])["epoch"] == 3


@pytest.mark.parametrize("moment", ["after an epoch", "between history and checkpoint"])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, dataset, run, monkeypatch, moment):
    replace, target = fit.os.replace, tmp_path / "broken"

    def stop(source, target):
        if str(target).endswith(fit.CHECKPOINT) and target.exists():
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        if moment == "after an epoch":
            kill = Mock(side_effect=KeyboardInterrupt)
        else:
            kill = patch.setattr(fit.os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(dataset, SMALL, target, progress=kill)
    assert not target.exists()
    with pytest.raises(InputError, match="other settings or data"):
        training.train(dataset, SMALL.replace(seed=12), target, resume=True)
    rows = []
    folder = training.train(dataset, SMALL, target, resume=True, progress=rows.append)
    assert [row["epoch"] for row in rows] == [2], "done epochs are kept"
    assert all(np.array_equal(a, b) for a, b in zip(weights(folder), weights(run[0]), strict=True))
    ours, theirs = (pd.read_csv(path / "history.csv") for path in (folder, run[0]))
    assert ours.drop(columns="seconds").equals(theirs.drop(columns="seconds"))


def test_a_loss_that_is_no_number_keeps_the_earlier_run(tmp_path, dataset, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "card.json").write_text("{}")
    plain = SMALL.replace(batch_norm=False, augmentation=0, extra=False, reject=False)
    original = training.as_input
    monkeypatch.setattr(fit, "as_input", lambda images: original(images) * np.float32(1e38))
    with pytest.raises(InputError, match="lower learning_rate"):
        training.train(dataset, plain, tmp_path / "a")
    assert (tmp_path / "a" / "card.json").read_text() == "{}"


def test_the_training_images_depend_on_data_and_seed_alone(collect, dataset):
    few = first(60, dataset)
    one, again, other = (collect(few, SMALL.replace(seed=seed)) for seed in (11, 11, 12))
    assert np.array_equal(one.x, again.x) and np.array_equal(one.y, again.y)
    pools = zip(one.pools, again.pools, other.pools, strict=True)
    for (kind, x, y), (same_kind, same_x, same_y), (_, other_x, _) in pools:
        assert kind == same_kind and np.array_equal(x, same_x) and np.array_equal(y, same_y)
        assert not np.array_equal(x, other_x)


def test_an_epoch_depends_on_seed_and_number_alone(dataset):
    images = fit.TrainingImages.collect(dataset, SMALL)
    (x, y), (x_again, _), (_, y_other) = (images.epoch(11, epoch) for epoch in (1, 1, 2))
    assert np.array_equal(x, x_again) and not np.array_equal(y, y_other)
    assert len(y) == images.n_epoch
    assert set(y) == set(range(11)), "ten digits and the class that rejects"


@pytest.mark.parametrize("kind", export.FORMATS)
def test_every_export_agrees_with_the_trained_model(tmp_path, run, kind):
    target = tmp_path / f"model.{'tflite' if kind == 'litert' else kind}"
    assert training.export_model(run[0], kind, target) < training.PARITY
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_failed_parity_check_leaves_no_file(tmp_path, run, monkeypatch):
    monkeypatch.setattr(export, "PARITY", 0.0)
    with pytest.raises(RuntimeError, match="differs from Keras"):
        training.export_model(run[0], "onnx", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_export_that_cannot_be_made_says_why(tmp_path, run):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model.keras").write_bytes(b"no archive")
    for folder, kind, name, reason in (
        (tmp_path, "onnx", "model.onnx", "notebook 03"),
        (tmp_path, "litert", "model.lite", "LiteRT model"),
        (tmp_path, "pmml", "model.pmml", "onnx, litert, keras"),
        (tmp_path / "odd", "onnx", "model.onnx", r"model\.keras cannot be read"),
        (run[0], "onnx", "odd/model.keras/model.onnx", "cannot write"),
    ):
        with pytest.raises(InputError, match=reason):
            training.export_model(folder, kind, tmp_path / name)


def test_a_small_set_is_trained_in_enough_steps():
    for batch_size, n_images, expected in ((256, 55_000, 256), (256, 1_233, 30), (8, 1_233, 8)):
        config = SMALL.replace(batch_size=batch_size)
        assert fit.choose_batch_size(config, n_images) == expected


def test_a_processor_without_bfloat16_trains_in_float32_and_says_so(
    tmp_path, dataset, monkeypatch, capsys
):
    monkeypatch.setattr(fit, "has_bfloat16", lambda: False)
    wanted = SMALL.replace(epochs=1, extra=False, reject=False, precision="mixed_bfloat16")
    folder = training.train(dataset, wanted, tmp_path / "run")
    assert "has no bfloat16" in capsys.readouterr().err
    assert told(folder)["precision"] == "float32"
    assert told(folder)["config"]["precision"] == "mixed_bfloat16"


@pytest.mark.parametrize("end", [0.0, 0.25])
def test_the_learning_rate_rises_for_a_fifth_and_falls_to_its_end(end):
    schedule = fit.learning_rate_schedule(SMALL.replace(epochs=5, learning_rate_end=end), 10)
    found = [float(schedule(step)) / SMALL.learning_rate for step in (0, 10, 30, 50)]
    assert np.allclose(found, [1 / 25, 1, (1 + end) / 2, end])


def test_a_card_names_the_commit_that_its_run_began_with(tmp_path, dataset, monkeypatch):
    commit = Mock(return_value="before")
    for module in (fit, card):
        monkeypatch.setattr(module, "git_commit", commit)

    def change(_):
        commit.return_value = "after"

    config = SMALL.replace(epochs=1, extra=False, reject=False)
    folder = training.train(dataset, config, tmp_path / "run", progress=change)
    assert told(folder)["commit"] == "before"


def test_the_augmentation_falls_evenly_from_the_first_epoch_to_the_last():
    config = SMALL.replace(epochs=5, augmentation=0.8, augmentation_end=0.25)
    found = [fit.augmentation_strength(config, epoch) for epoch in range(1, 6)]
    assert np.allclose(found, [0.8, 0.65, 0.5, 0.35, 0.2])
    assert fit.augmentation_strength(config.replace(epochs=1), 1) == 0.8


def test_what_is_kept_of_an_epoch_are_averages_of_the_weights(tmp_path, dataset, monkeypatch):
    """A momentum near 1 keeps those of the first step; training goes on from the others.

    What normalises them was measured with them, not with the others.
    """
    kept, strengths = {}, []
    monkeypatch.setattr(
        fit.augmentation, "set_strength", lambda _, strength: strengths.append(strength)
    )
    for ema in (0.0, 0.9999):
        config = SMALL.replace(epochs=2, extra=False, reject=False, ema=ema)
        rows = []
        folder = training.train(dataset, config, tmp_path / str(ema), progress=rows.append)
        kept[ema] = weights(folder)[0], [row["loss"] for row in rows]
    first = build_cnn(config).get_weights()[0]
    moved = {ema: np.abs(found - first).mean() for ema, (found, _) in kept.items()}
    assert 0 < moved[0.9999] < 0.1 * moved[0.0]
    assert kept[0.0][1] == kept[0.9999][1], "they learn the same"
    network = keras.models.load_model(folder / "model.keras", compile=False)
    normalized = keras.Model(network.inputs, network.get_layer("norm2").output)
    found = normalized.predict(as_input(dataset.x_train), verbose=0)
    assert np.allclose(found.std((0, 1, 2)), 1, atol=0.2)
    assert np.allclose(strengths, [0.3, 0.15, 0.3, 0.15]), "the augmentation falls"


def test_the_card_of_a_model_that_rejects_is_measured_in_full(run):
    card = told(run[0])
    assert set(card["corruptions"]["error"]) == set(evaluation.CORRUPTIONS)
    counts = [card["readings"][key] for key in ("n_scored", "right", "unsure", "wrong")]
    assert counts[0] == card["metrics"]["test"]["n_scored"] == sum(counts[1:])


def test_of_several_runs_the_best_on_validation_is_shipped_and_its_card_tells_of_all(
    tmp_path, run, dataset, monkeypatch
):
    """The other run has the better test figure, and the better accuracy with what it rejects."""
    monkeypatch.setattr(champion, "weigh_detector", lambda _, place: Recognizer.load(place))
    better, worse, folder = tmp_path / "better", tmp_path / "worse", tmp_path / "shipped"
    for place, seed, loss, n_val, n_test in ((better, 11, 0.1, 8, 9), (worse, 12, 0.2, 8, 3)):
        shutil.copytree(run[0], place)
        history = pd.read_csv(place / "history.csv")
        history["val_loss"], history["val_accuracy"] = loss, loss
        history.to_csv(place / "history.csv", index=False)
        facts = told(place)
        facts["config"]["seed"] = seed
        facts["metrics"]["val"]["n_wrong"], facts["metrics"]["test"]["n_wrong"] = n_val, n_test
        facts["metrics"]["val"]["synthetic_non_digits"] |= {"n_scored": 2, "accepted": 0.0}
        (place / "card.json").write_text(json.dumps(facts))
    folder.mkdir()
    (folder / "detector.onnx").write_bytes(b"stays")
    assert training.ship([worse, better], dataset, folder) == better
    assert told(folder)["name"] == "shipped" and (folder / "detector.onnx").read_bytes() == b"stays"
    assert told(folder)["readings"]["n_scored"] == len(dataset.y_test)
    assert [(one["seed"], one["test"]) for one in told(folder)["seeds"]] == [(12, 3), (11, 9)]
    text = (folder / "MODEL_CARD.md").read_text()
    assert "| 11 (shipped) |" in text and "| 12 |" in text and "standard deviation" in text
    assert Recognizer.load(folder).card["metrics"] == told(run[0])["metrics"], "measured anew"
    assert told(folder)["created"] == told(better)["created"], "when it was trained"
    facts["metrics"]["val"]["n_wrong"] = 7
    (worse / "card.json").write_text(json.dumps(facts))
    assert training.ship([worse, better], dataset, folder) == worse
    facts["metrics"]["val"]["synthetic_non_digits"]["accepted"] = 1.0
    (worse / "card.json").write_text(json.dumps(facts))
    assert training.ship([worse, better], dataset, folder) == better, "two more accepted"
    facts["config"]["epochs"] += 1
    (worse / "card.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="more than their seeds"):
        training.ship([worse, better], dataset, folder)
    facts["config"]["reject"] = False
    (worse / "card.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="not taught to reject"):
        training.ship([worse], dataset, folder)
    with pytest.raises(InputError, match="is not a finished run"):
        training.ship([tmp_path], dataset, folder)
