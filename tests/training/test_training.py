import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

keras = pytest.importorskip("keras")

from digits import (  # noqa: E402
    InputError,
    data,
    evaluation,
    training,
)
from digits.config import Config  # noqa: E402
from digits.recognizer import Recognizer  # noqa: E402
from digits.training import card, export, fit  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = Config(
    filters=(8, 16), kernels=(5, 3), dense_units=32, epochs=2, batch_size=32, augmentation=0.3,
    batch_norm=True, extra=True, reject=True, seed=11, learning_rate=0.01,
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
    """Train on fewer images than usual, made once for all trainings of this file.

    Yields what makes them, each time anew.
    """
    with pytest.MonkeyPatch.context() as patch:
        made, collect = {}, fit.TrainingImages.collect

        def collected(dataset, config):
            what = (dataset.digest, config.extra, config.reject, config.seed)
            if what not in made:
                made[what] = collect(dataset, config)
            return made[what]

        patch.setattr(fit.TrainingImages, "collect", collected)
        patch.setattr(card, "N_CORRUPTED", 50)
        patch.setattr(data, "load", lambda source: first(600, embedded))
        yield collect


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    """Return the folder of an unbroken run and the rows that it reported."""
    rows = []
    folder = training.train(
        dataset, SMALL, tmp_path_factory.mktemp("runs") / "whole", progress=rows.append
    )
    return folder, rows


def weights(folder):
    return keras.models.load_model(folder / "model.keras", compile=False).get_weights()


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
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json", "history.csv", "test_by_epoch.csv", "model.keras", "model.onnx", "card.json",
        "MODEL_CARD.md",
    }  # fmt: skip
    assert [row["epoch"] for row in rows] == [1, 2]
    assert list(rows[0]) == pd.read_csv(folder / "history.csv").columns.to_list()
    assert not folder.with_name("whole.partial").exists()
    told = json.loads((folder / "card.json").read_text())
    assert told["data_digest"] == dataset.digest and told["config"] == SMALL.to_dict()
    assert told["metrics"]["test"]["n_scored"] == len(dataset.y_test)
    assert told["metrics"]["test"]["value"] > 0.5, "two epochs learn something"
    read = Recognizer.load(folder).predict(dataset.x_test)["digit"].to_numpy()
    assert (read != dataset.y_test).sum() == told["metrics"]["test"]["n_wrong"]


def test_the_epoch_is_chosen_on_validation():
    rows = [
        {"epoch": 1, "val_accuracy": 0.98, "val_loss": 0.1},
        {"epoch": 2, "val_accuracy": 0.99, "val_loss": 0.3},
        {"epoch": 3, "val_accuracy": 0.99, "val_loss": 0.2},
        {"epoch": 4, "val_accuracy": 0.97, "val_loss": 0.0},
    ]
    assert fit.choose_epoch(rows)["epoch"] == 3


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, dataset, run):
    class Kill(BaseException):
        pass

    def kill(row):
        raise Kill

    with pytest.raises(Kill):
        training.train(dataset, SMALL, tmp_path / "broken", progress=kill)
    assert not (tmp_path / "broken").exists()
    rows = []
    folder = training.train(dataset, SMALL, tmp_path / "broken", resume=True, progress=rows.append)
    assert [row["epoch"] for row in rows] == [2], "done epochs are kept"
    for ours, theirs in zip(weights(folder), weights(run[0]), strict=True):
        assert np.array_equal(ours, theirs)
    ours, theirs = (
        pd.read_csv(f / "history.csv").drop(columns="seconds") for f in (folder, run[0])
    )
    assert ours.equals(theirs)


def test_a_checkpoint_without_its_row_is_repeated_not_lost(tmp_path, dataset, run, monkeypatch):
    """A kill between writing the history and the checkpoint leaves one row too many."""
    replace = fit.os.replace

    def stop(source, target):
        if str(target).endswith(fit.CHECKPOINT) and target.exists():
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(fit.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train(dataset, SMALL, tmp_path / "broken")
    monkeypatch.setattr(fit.os, "replace", replace)
    rows = []
    folder = training.train(dataset, SMALL, tmp_path / "broken", resume=True, progress=rows.append)
    assert [row["epoch"] for row in rows] == [2]
    assert all(np.array_equal(a, b) for a, b in zip(weights(folder), weights(run[0]), strict=True))


def test_resuming_with_other_settings_is_refused(tmp_path, dataset):
    partial = tmp_path / "a.partial"
    partial.mkdir()
    (partial / fit.CHECKPOINT).touch()
    (partial / "config.json").write_text(json.dumps({"config": SMALL.to_dict()}))
    with pytest.raises(InputError, match="other settings or data"):
        training.train(dataset, SMALL.replace(seed=12), tmp_path / "a", resume=True)


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
    """A resumed run makes them anew, and must go on with the same."""
    few = first(60, dataset)
    one, again, other = (collect(few, SMALL.replace(seed=seed)) for seed in (11, 11, 12))
    assert np.array_equal(one.x, again.x) and np.array_equal(one.y, again.y)
    assert [kind for kind, _, _ in one.pools] == [kind for kind, _, _ in again.pools]
    for (_, x, y), (_, x_again, y_again), (_, x_other, _) in zip(
        one.pools, again.pools, other.pools, strict=True
    ):
        assert np.array_equal(x, x_again) and np.array_equal(y, y_again)
        assert not np.array_equal(x, x_other)


def test_an_epoch_depends_on_seed_and_number_alone(dataset):
    images = fit.TrainingImages.collect(dataset, SMALL)
    first, again, other = images.epoch(11, 1), images.epoch(11, 1), images.epoch(11, 2)
    assert np.array_equal(first[0], again[0]) and not np.array_equal(first[1], other[1])
    assert len(first[1]) == images.n_epoch
    assert set(first[1]) == set(range(11)), "ten digits and the class that rejects"


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


def test_export_without_a_model_says_what_makes_one(tmp_path):
    with pytest.raises(InputError, match="notebook 03"):
        training.export_model(tmp_path, "onnx", tmp_path / "model.onnx")
    with pytest.raises(InputError, match="LiteRT model"):
        training.export_model(tmp_path, "litert", tmp_path / "model.lite")
    with pytest.raises(InputError, match="onnx, litert, keras"):
        training.export_model(tmp_path, "pmml", tmp_path / "model.pmml")


def test_a_small_set_is_trained_in_enough_steps():
    assert fit.choose_batch_size(SMALL.replace(batch_size=256), 55_000) == 256
    assert fit.choose_batch_size(SMALL.replace(batch_size=256), 1_233) == 30
    assert fit.choose_batch_size(SMALL.replace(batch_size=8), 1_233) == 8


def test_a_run_starts_from_another_and_says_so(tmp_path, run, dataset, monkeypatch, capsys):
    monkeypatch.setattr(fit, "has_bfloat16", lambda: False)
    seen = []
    plain = SMALL.replace(epochs=1, learning_rate=1e-5, precision="mixed_bfloat16")
    folder = training.train(
        dataset, plain, tmp_path / "finished", start=run[0], progress=seen.append
    )
    assert seen[0]["val_accuracy"] >= run[1][-1]["val_accuracy"] - 0.1, "it starts from nothing"
    told = json.loads((folder / "card.json").read_text())
    assert told["started_from"]["config"] == SMALL.to_dict()
    assert told["precision"] == "float32" and "has no bfloat16" in capsys.readouterr().err
    with pytest.raises(InputError, match="not a run to start from"):
        training.train(dataset, plain.replace(filters=(4, 4)), tmp_path / "other", start=run[0])
    with pytest.raises(InputError, match="not a run to start from"):
        training.train(dataset, plain, tmp_path / "other", start=tmp_path / "nowhere")


def test_an_average_lies_between_its_runs_and_names_them(tmp_path, run, dataset):
    plain = SMALL.replace(epochs=1, learning_rate=1e-3)
    second = training.train(dataset, plain, tmp_path / "second", start=run[0])
    folder = training.average([run[0], second], dataset, tmp_path / "both")
    for one, other, between in zip(*map(weights, (run[0], second, folder)), strict=True):
        assert np.allclose((one + other) / 2, between, atol=1e-6)
    told = json.loads((folder / "card.json").read_text())
    read = Recognizer.load(folder).predict(dataset.x_test)["digit"].to_numpy()
    assert (read != dataset.y_test).sum() == told["metrics"]["test"]["n_wrong"]
    assert [part["config"]["epochs"] for part in told["averaged"]] == [SMALL.epochs, 1]
    assert set(told["corruptions"]["error"]) == set(evaluation.CORRUPTIONS)
    readings = told["readings"]
    n = len(dataset.y_test)
    assert readings["n_scored"] == n == sum(readings[k] for k in ("right", "unsure", "wrong"))
    assert "digits average RUN RUN" in (folder / "MODEL_CARD.md").read_text()


def test_what_cannot_be_averaged_is_named(tmp_path, run, dataset):
    with pytest.raises(InputError, match="two or more"):
        training.average([run[0]], dataset, tmp_path / "a")
    (tmp_path / "odd").mkdir()
    for content, reason in (("[]", "not whole"), ("{}", "'config'"), ("{", "Expecting")):
        (tmp_path / "odd" / "card.json").write_text(content)
        (tmp_path / "odd" / "model.keras").write_bytes((run[0] / "model.keras").read_bytes())
        with pytest.raises(InputError, match=reason):
            training.average([run[0], tmp_path / "odd"], dataset, tmp_path / "a")
    (tmp_path / "file").write_text("")
    for path, reason in (("nowhere", "No such file"), ("file", "Not a directory")):
        with pytest.raises(InputError, match=reason):
            training.average([run[0], tmp_path / path], dataset, tmp_path / "a")
    (tmp_path / "odd" / "model.keras").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"model\.keras cannot be read"):
        training.export_model(tmp_path / "odd", "onnx", tmp_path / "out.onnx")
    with pytest.raises(InputError, match="other data"):
        training.average([run[0]] * 2, dataclasses.replace(dataset, digest="00"), tmp_path / "a")
    assert not (tmp_path / "a").exists()
