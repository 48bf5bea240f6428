"""Training: fit on the training images, choose on validation, export, and write the model's card."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from digits import InputError, data, evaluation
from digits.config import Config, git_commit, package_versions
from digits.data import Dataset, degradation, synthesis
from digits.recognizer import Recognizer
from digits.storage import replaced_folder, write_json
from digits.training import card as model_card
from digits.training.backend import keras
from digits.training.model import build_cnn

HISTORY_COLUMNS = (
    "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds",
)  # fmt: skip
PARITY = 1e-4  # largest probability difference allowed between Keras and an exported model
POOL_SHARE = 1 / 3  # of the synthetic images that one epoch sees: variety, without longer epochs
# A small set (the embedded one has 1,233 training images) would otherwise be learned in too few
# steps: four epochs of five steps are no training.
FEWEST_STEPS = 40
SMALLEST_BATCH = 16
N_CORRUPTED = 2000  # validation images that are read under each corruption, for the card
VALIDATION_SEED = 1_000_003  # of the synthetic images for validation: no training seed
FORMATS = ("onnx", "litert", "keras")


@dataclass(frozen=True)
class TrainingImages:
    """What one run trains on: the data set's training images and the images made by rule.

    Attributes
    ----------
    x, y : numpy.ndarray
        uint8 (n, 28, 28) and int64 (n,): seen in every epoch.
    pools : tuple of (kind, x, y)
        Synthetic images, of which each epoch draws `POOL_SHARE` without replacement. The kind is a
        key of the card's ``n_synthetic``.
    """

    x: np.ndarray
    y: np.ndarray
    pools: tuple[tuple[str, np.ndarray, np.ndarray], ...] = ()

    @classmethod
    def collect(cls, dataset: Dataset, config: Config) -> TrainingImages:
        """Gather the training images that `config` asks for."""
        x, y = dataset.x_train, dataset.y_train
        pools = []
        if config.extra:
            if dataset.name != "embedded":
                # The UCI digits' training part: other writers, among them flagged 1s. Twice,
                # because they are few.
                embedded = data.load("embedded")
                x = np.concatenate([x, embedded.x_train, embedded.x_train])
                y = np.concatenate([y, embedded.y_train, embedded.y_train])
            n, given = len(dataset.y_train), (dataset.x_train, dataset.y_train, config.seed)
            pools.append(("digits", *synthesis.digits(n // 4, config.seed)))
            pools.append(("digits", *synthesis.rerender(n // 3, *given)))
            pools.append(("spoiled digits", *degradation.degrade(n // 3, *given)))
        if config.reject:
            n = len(dataset.y_train) // 2
            others = synthesis.non_digits(n, dataset.x_train, dataset.y_train, config.seed)
            pools.append(("not digits", others, np.full(n, synthesis.NOT_A_DIGIT)))
        return cls(x, y, tuple(pools))

    @property
    def n_epoch(self) -> int:
        """Images that one epoch sees."""
        return len(self.y) + sum(int(POOL_SHARE * len(y)) for _, _, y in self.pools)

    def epoch(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images (float32, 0..1) and labels of one epoch, shuffled.

        They depend on the seed and the epoch's number alone, so a resumed run sees the same.
        """
        rng = np.random.default_rng([seed, epoch])
        xs, ys = [self.x], [self.y]
        for _, x, y in self.pools:
            chosen = rng.choice(len(y), int(POOL_SHARE * len(y)), replace=False)
            xs.append(x[chosen])
            ys.append(y[chosen])
        x, y = np.concatenate(xs), np.concatenate(ys)
        order = rng.permutation(len(y))
        return as_input(x[order]), y[order]


def as_input(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, 28, 28) as the network's input, float32 (n, 28, 28, 1), 0 to 1."""
    return images[..., None].astype(np.float32) / np.float32(255)


def learning_rate_schedule(config: Config, steps_per_epoch: int):
    """Return the one-cycle schedule: up to the peak in the first fifth, then a cosine down to 0."""
    steps = config.epochs * steps_per_epoch
    rise = max(1, steps // 5)
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 25, max(1, steps - rise), warmup_target=config.learning_rate,
        warmup_steps=rise,
    )  # fmt: skip


def train(
    dataset: Dataset,
    config: Config,
    run_dir: str | os.PathLike,
    *,
    start: str | os.PathLike | None = None,
    resume: bool = False,
    progress: Callable[[dict], None] | None = None,
) -> Path:
    """Train a network and write its run folder.

    The folder appears under its name only when it is complete: ``config.json``, ``history.csv``,
    ``test_by_epoch.csv``, ``model.keras``, ``model.onnx``, ``card.json`` and ``MODEL_CARD.md``. Until
    then everything lies in ``<run_dir>.partial``, with a checkpoint after each epoch.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    run_dir : path
        An earlier run there is replaced when, and only when, the new one is complete.
    start : path, optional
        The folder of an earlier run of the same network, whose weights this one starts from.
    resume : bool
        Continue an interrupted run from its last epoch; the result is the unbroken run's.
    progress : callable, optional
        Called after each epoch with its row of the history (keys `HISTORY_COLUMNS`).

    Returns
    -------
    pathlib.Path
        The run folder.

    Raises
    ------
    InputError
        If the loss stops being a number, the folder cannot be written, or is being written by
        another run, `start` is no run of the same network, or `resume` finds a run with other
        settings or other data.
    """
    with replaced_folder(run_dir, keep=True) as partial:
        _train(dataset, config, partial, start, resume, progress)
    return Path(run_dir)


def _train(dataset, config, partial, start, resume, progress) -> None:
    plan = {
        "config": config.to_dict(),
        "data": dataset.name,
        "data_digest": dataset.digest,
        "start": str(start or ""),
    }
    history = _begin(partial, plan, resume)
    images = TrainingImages.collect(dataset, config)
    batch_size = _batch_size(config, images.n_epoch)
    steps = max(1, images.n_epoch // batch_size)
    model = build_cnn(config)
    origin = _start_from(model, Path(start)) if start else None
    model.compile(
        keras.optimizers.AdamW(
            learning_rate_schedule(config, steps), weight_decay=config.weight_decay
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA makes this network four times slower on a CPU
    )
    if history:
        model = keras.models.load_model(partial / "checkpoint.keras", safe_mode=True)
        history = history[: int(model.optimizer.iterations) // steps]
    validation = (as_input(dataset.x_val), dataset.y_val)
    for epoch in range(len(history) + 1, config.epochs + 1):
        reseed(model, config.seed, epoch)
        row = _fit_epoch(model, images.epoch(config.seed, epoch), validation, epoch, batch_size)
        history.append(row)
        model.save_weights(_epoch_file(partial, epoch))
        _checkpoint(model, history, partial)
        if progress:
            progress(row)

    chosen = choose_epoch(history)
    model = _final_model(config, partial, chosen["epoch"])
    model.save(partial / "model.keras")
    export_onnx(model, partial / "model.onnx", dataset.x_val[:256])
    _write_card(partial, dataset, config, images, history, chosen, model, origin)
    _audit_epochs(partial, dataset, model, history)
    for leftover in (*partial.glob("epoch_*.weights.h5"), partial / "checkpoint.keras"):
        leftover.unlink()


def average(
    runs: Sequence[str | os.PathLike], dataset: Dataset, run_dir: str | os.PathLike
) -> Path:
    """Average the weights of runs that started one from another, and write a run folder.

    Such runs end in networks that differ in what each learned last; between them there often lies a
    better one (Izmailov et al., 2018; Wortsman et al., 2022). It costs no training, and reading with
    it costs no more than with one of them. Validation says whether it is better.

    Parameters
    ----------
    runs : sequence of path
        Two or more folders of finished runs of the same network, the latest last: what that card
        says of data and settings, the new card repeats.
    dataset : Dataset
        The one that they were trained on.
    run_dir : path
        As in `train`; the new run has no history.

    Raises
    ------
    InputError
        If a folder is no such run, the data are others, or the folder cannot be written.
    """
    runs, run_dir = [Path(run) for run in runs], Path(run_dir)
    if len(runs) < 2:
        raise InputError("an average needs two or more runs; one arrived")
    cards, weights = zip(*[_finished(run) for run in runs], strict=True)
    if any(card["data_digest"] != dataset.digest for card in cards):
        raise InputError(f"a run was trained on other data than {dataset.name}")
    config = Config.from_dict(cards[-1]["config"])
    model = build_cnn(config.replace(precision="float32"))
    try:
        model.set_weights([np.mean(same, axis=0) for same in zip(*weights, strict=True)])
    except ValueError:
        raise InputError("these are runs of different networks; no average makes sense") from None
    with replaced_folder(run_dir) as partial:
        plan = {
            "config": config.to_dict(),
            "data": dataset.name,
            "data_digest": dataset.digest,
            "average": [str(run) for run in runs],
        }
        write_json(partial / "config.json", plan)
        model.save(partial / "model.keras")
        export_onnx(model, partial / "model.onnx", dataset.x_val[:256])
        card = {key: value for key, value in cards[-1].items() if key != "metrics"}
        card |= {"name": run_dir.name, "averaged": [_told(card) for card in cards], **_made()}
        write_json(partial / "card.json", card)
        calibrate(partial, dataset)
        _add_corruptions(partial, dataset)
        add_readings(partial, dataset)
    return run_dir


def choose_epoch(history: list[dict]) -> dict:
    """Return the row of the epoch with the best validation accuracy, ties broken by its loss."""
    return max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))


def format_epoch(row: dict) -> str:
    """Return one line about an epoch for a terminal or a notebook."""
    return (
        f"epoch {row['epoch']:3}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"validation loss {row['val_loss']:.4f}  accuracy {row['val_accuracy']:.4f}  "
        f"{row['seconds']:.0f} s"
    )


def _start_from(model: keras.Model, run_dir: Path) -> dict:
    """Give `model` the weights of an earlier run; return what the card says about that run."""
    card, weights = _finished(run_dir)
    try:
        model.set_weights(weights)
    except ValueError as error:
        raise _no_run(run_dir, str(error)) from None
    return _told(card)


def _finished(run_dir: Path) -> tuple[dict, list[np.ndarray]]:
    """Return the card and the weights of a finished run."""
    try:
        card = json.loads((run_dir / "card.json").read_text())
        problem = model_card.problem(card)
        network = keras.models.load_model(run_dir / "model.keras", compile=False, safe_mode=True)
    except FileNotFoundError as error:
        raise _no_run(run_dir, f"{Path(error.filename).name} is not there") from None
    except (OSError, ValueError, TypeError) as error:
        raise _no_run(run_dir, getattr(error, "strerror", None) or str(error)) from None
    if problem:
        raise _no_run(run_dir, problem)
    return card, network.get_weights()


def _no_run(run_dir: Path, reason: str) -> InputError:
    return InputError(
        f"{run_dir} is no run to start from ({reason.splitlines()[0]}); expected the folder "
        "of a finished run of the same network"
    )


def _told(card: dict) -> dict:
    """Return what a card says about an earlier run that it came from."""
    told = ("config", "epoch", "training_seconds", "commit", "created", "started_from", "averaged")
    return {key: card[key] for key in told if key in card}


# --- One run ---------------------------------------------------------------------------------


def _begin(partial: Path, plan: dict, resume: bool) -> list[dict]:
    """Prepare the partial folder; return the history of the epochs that are done."""
    if resume and (partial / "checkpoint.keras").exists():
        earlier = json.loads((partial / "config.json").read_text())
        if earlier != plan:
            raise InputError(
                f"{partial} was begun with other settings or data; repeat them, or start again "
                "without --resume"
            )
        return _read_history(partial)
    shutil.rmtree(partial)
    partial.mkdir()
    write_json(partial / "config.json", plan)
    return []


def _read_history(folder: Path) -> list[dict]:
    with open(folder / "history.csv", newline="") as file:
        return [
            {k: int(v) if k == "epoch" else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def _batch_size(config: Config, n_images: int) -> int:
    """Return the batch size: the configured one, or less where an epoch would have few steps."""
    return min(config.batch_size, max(SMALLEST_BATCH, n_images // FEWEST_STEPS))


def reseed(model, seed: int, epoch: int) -> None:
    """Give augmentation and dropout the random numbers of this epoch.

    They depend on the seed and the epoch's number alone, so that a resumed run draws what the
    unbroken one would have drawn.
    """
    for i, layer in enumerate(model.layers):
        if hasattr(layer, "seed_generator"):
            state = np.random.SeedSequence([seed, epoch, i]).generate_state(2)
            layer.seed_generator.state.assign(state)


def _fit_epoch(model, training, validation, epoch: int, batch_size: int) -> dict:
    """Train for one epoch and return its row of the history.

    Batch by batch, because the end of `fit` can wait for a timer of TensorFlow's input pipeline that
    goes off about 1.3, 2.6, 5, 10, 20, 41, 82 s after its start: epochs took up to twice their time.
    A last batch of another size is left out, or the step would be compiled a second time; the images
    that this leaves out are others in each epoch.
    """
    start = time.perf_counter()
    x, y = training
    losses, accuracies = [], []
    for first in range(0, max(len(y) - batch_size, 0) + 1, batch_size):
        batch = slice(first, first + batch_size)
        logs = model.train_on_batch(x[batch], y[batch], return_dict=True)
        if not np.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is no number any more in epoch {epoch}; lower learning_rate and start again"
            )
        losses.append(logs["loss"])
        accuracies.append(logs["accuracy"])
    seconds = time.perf_counter() - start
    val_loss, val_accuracy = model.evaluate(*validation, batch_size=1000, verbose=0)
    values = (
        epoch, float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        float(np.mean(losses)), float(np.mean(accuracies)), val_loss, val_accuracy, round(seconds, 2),
    )  # fmt: skip
    return dict(zip(HISTORY_COLUMNS, values, strict=True))


def _checkpoint(model, history: list[dict], partial: Path) -> None:
    """Save model, optimiser and history so that a kill at any moment leaves a whole checkpoint."""
    model.save(partial / "next.keras")
    _write_rows(partial / "next.csv", HISTORY_COLUMNS, history)
    # The history first: a kill between the two leaves one row too many, which a resume cuts off.
    os.replace(partial / "next.csv", partial / "history.csv")
    os.replace(partial / "next.keras", partial / "checkpoint.keras")


def _write_rows(path: Path, columns, rows: list[dict]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _final_model(config: Config, partial: Path, epoch: int) -> keras.Model:
    """Return the network of one epoch in single precision, whatever it was trained in."""
    model = build_cnn(config.replace(precision="float32"))
    model.load_weights(_epoch_file(partial, epoch))
    return model


def _epoch_file(partial: Path, epoch: int) -> Path:
    return partial / f"epoch_{epoch:03}.weights.h5"


def _audit_epochs(partial: Path, dataset: Dataset, model: keras.Model, history: list[dict]) -> None:
    """Count the test errors of every epoch, after all choices are made and written.

    Nothing reads these counts but the notebook that shows how much "the best epoch on the test set"
    would have flattered.
    """
    x = as_input(dataset.x_test)
    rows = []
    for row in history:
        model.load_weights(_epoch_file(partial, row["epoch"]))
        logits = model.predict(x, batch_size=1000, verbose=0)
        wrong = int((logits[:, :10].argmax(1) != dataset.y_test).sum())
        rows.append({"epoch": row["epoch"], "n_wrong": wrong})
    _write_rows(partial / "test_by_epoch.csv", ("epoch", "n_wrong"), rows)


# --- Export ------------------------------------------------------------------------------------


def export_onnx(model: keras.Model, path: Path, images: np.ndarray) -> float:
    """Write `model` as ONNX and compare the two.

    Input "image", outputs "logits" and "penultimate": the features that the logits are made of.

    Parameters
    ----------
    model : keras.Model
        One that `build_cnn` made.
    images : numpy.ndarray
        uint8 (n, 28, 28) on which the probabilities are compared.

    Returns
    -------
    float
        Largest difference of a probability.

    Raises
    ------
    RuntimeError
        If it is not below `PARITY`.
    """
    import onnxruntime

    x = as_input(images)
    # The exporter puts outputs in the order of their names.
    both = keras.Model(
        model.input, {"logits": model.output, "penultimate": model.get_layer("features").output}
    )
    expected = keras.ops.convert_to_numpy(both(x)["logits"])
    with warnings.catch_warnings():
        # Keras' exporter asks NumPy for a name that is going away: nothing a user can mend.
        warnings.filterwarnings("ignore", category=FutureWarning, module="keras")
        both.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found, _ = session.run(None, {session.get_inputs()[0].name: x})
    return _check_parity("ONNX", expected, found)


def export_model(run_dir: Path, kind: str, output: Path) -> float:
    """Write a trained model in one of `FORMATS`, checked against the run's Keras model.

    Parameters
    ----------
    run_dir : path
        A run folder, or the champion's.
    kind : str
        "onnx" (ONNX Runtime), "litert" (phones), or "keras" (more training).
    output : path
        Written under a temporary name and renamed when the check has passed.

    Returns
    -------
    float
        Largest difference of a probability on 256 validation images of the embedded set.

    Raises
    ------
    InputError
        If the format is unknown, there is no model, or the output cannot be written.
    """
    run_dir, output = Path(run_dir), Path(output)
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}; the formats are {', '.join(FORMATS)}")
    if kind == "litert" and output.suffix != ".tflite":
        raise InputError(f"{output} is no name for a LiteRT model; let it end in .tflite")
    if not (run_dir / "model.keras").exists():
        raise InputError(f"{run_dir} holds no model.keras; notebook 03 or `digits train` makes one")
    try:
        model = keras.models.load_model(run_dir / "model.keras", compile=False, safe_mode=True)
    except (OSError, ValueError) as error:  # ValueError: no archive, or what Keras does not know
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{run_dir / 'model.keras'} cannot be read ({reason}); give the folder of a finished run"
        ) from None
    images = data.load("embedded").x_val
    temporary = output.with_name(f".{output.stem}.{os.getpid()}{output.suffix}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        difference = _EXPORTERS[kind](model, temporary, images)
        os.replace(temporary, output)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _export_litert(model: keras.Model, path: Path, images: np.ndarray) -> float:
    import tensorflow as tf

    x = as_input(images)
    expected = keras.ops.convert_to_numpy(model(x))
    # A fixed batch of one image is what a phone reads.
    single = keras.Model(*_with_batch_of_one(model))
    single.export(path, format="litert", verbose=False)
    with warnings.catch_warnings():
        # TensorFlow's own interpreter is to move into a package of its own: not a user's concern.
        warnings.filterwarnings("ignore", category=UserWarning, module="tensorflow")
        interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for image in x:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0])
    return _check_parity("LiteRT", expected, np.stack(found))


def _with_batch_of_one(model: keras.Model):
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="image")
    return image, model(image, training=False)


def _export_keras(model: keras.Model, path: Path, images: np.ndarray) -> float:
    x = as_input(images)
    model.save(path)
    again = keras.models.load_model(path, compile=False, safe_mode=True)
    return _check_parity(
        "Keras", keras.ops.convert_to_numpy(model(x)), keras.ops.convert_to_numpy(again(x))
    )


_EXPORTERS = {"onnx": export_onnx, "litert": _export_litert, "keras": _export_keras}


def _check_parity(name: str, expected: np.ndarray, found: np.ndarray) -> float:
    difference = np.abs(softmax(np.float64(expected), 1) - softmax(np.float64(found), 1)).max()
    if not difference < PARITY:
        raise RuntimeError(
            f"the {name} export differs from Keras by {difference:.2g} in probability"
        )
    return float(difference)


# --- The card ----------------------------------------------------------------------------------


def _write_card(partial, dataset, config, images, history, chosen, model, origin) -> None:
    card = {
        "name": partial.name.removesuffix(".partial"),
        "data": dataset.name,
        "data_digest": dataset.digest,
        "n_train": len(images.y),
        "n_synthetic": {
            kind: sum(len(y) for pool, _, y in images.pools if pool == kind)
            for kind in ("digits", "spoiled digits", "not digits")
        },
        "config": config.to_dict(),
        "n_parameters": int(model.count_params()),
        "started_from": origin,
        "epoch": chosen["epoch"],
        "training_seconds": round(sum(row["seconds"] for row in history), 1),
        "temperature": 1.0,
        "threshold": 0.0,
        **_made(),
    }
    write_json(partial / "card.json", card)
    calibrate(partial, dataset)
    if config.reject:  # a model to be shipped: its card must stand alone, without notebook 04
        _add_corruptions(partial, dataset)
        add_readings(partial, dataset)


def _made() -> dict:
    """Say when, where and with which versions something was made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "commit": git_commit(),
    }


def calibrate(run_dir: Path, dataset: Dataset) -> dict:
    """Fit temperature and threshold on validation, read the test set once, renew the cards.

    All of it through the exported model, as a user reads.

    Parameters
    ----------
    run_dir : path
        A folder with ``model.onnx`` and ``card.json``.
    dataset : Dataset
        The one that the model was trained on.

    Returns
    -------
    dict
        The card as it is written.
    """
    run_dir = Path(run_dir)
    recognizer = Recognizer.load(run_dir)
    card = recognizer.card
    if card["data_digest"] != dataset.digest:
        raise InputError(f"{run_dir} was trained on other data than {dataset.name}")
    logits = recognizer.logits(dataset.x_val)
    card["temperature"] = evaluation.fit_temperature(logits, dataset.y_val)
    confidence = softmax(np.float64(logits) / card["temperature"], axis=1)[:, :10].max(1)
    card["threshold"] = evaluation.choose_threshold(confidence)
    write_json(run_dir / "card.json", card)

    recognizer = Recognizer.load(run_dir)
    card["metrics"] = {
        part: _metrics(recognizer, getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}"))
        for part in ("val", "test")
    }
    others = synthesis.non_digits(2000, dataset.x_val, dataset.y_val, VALIDATION_SEED)
    confidence = recognizer.probabilities(others).max(1)
    accepted = evaluation.Score.of(len(others), int((confidence < recognizer.threshold).sum()))
    known = recognizer.probabilities(dataset.x_val).max(1)
    card["metrics"]["val"]["synthetic_non_digits"] = {
        "n_scored": len(others),
        "accepted": accepted.value,
        "low": accepted.low,
        "high": accepted.high,
        "auroc": float(roc_auc_score([1] * len(known) + [0] * len(others), [*known, *confidence])),
    }
    write_json(run_dir / "card.json", card)
    model_card.write(run_dir)
    return card


def _add_corruptions(run_dir: Path, dataset: Dataset) -> None:
    """Read spoiled validation images, and renew the cards with what came out."""
    recognizer = Recognizer.load(run_dir)
    x, y = dataset.x_val[:N_CORRUPTED], dataset.y_val[:N_CORRUPTED]
    spoiled = evaluation.corruption_errors(recognizer.probabilities, x, y)
    error = {row.corruption: [row.error, row.low, row.high] for row in spoiled.itertuples()}
    mean = float(spoiled["error"].mean())
    card = recognizer.card | {"corruptions": {"n_scored": len(y), "mean": mean, "error": error}}
    write_json(run_dir / "card.json", card)
    model_card.write(run_dir)


def add_readings(run_dir: Path, dataset: Dataset) -> dict:
    """Read the test images as `digits predict` reads pictures, and renew the cards.

    The reader looks for ink and for digits where the network is handed one digit; it must not lose
    by that what the network knows, nor its doubts.

    Parameters
    ----------
    run_dir : path
        A folder with ``model.onnx`` and ``card.json``.
    dataset : Dataset

    Returns
    -------
    dict
        What the card holds now as ``readings``: n_scored, right, unsure and wrong (confident, and
        not the label), and the commit of the reader.
    """
    run_dir = Path(run_dir)
    recognizer = Recognizer.load(run_dir)
    counts = dict.fromkeys(("right", "unsure", "wrong"), 0)
    for label, reading in zip(dataset.y_test, recognizer.read_many(dataset.x_test), strict=True):
        is_right = reading.text == str(label)
        counts["unsure" if reading.status != "ok" else "right" if is_right else "wrong"] += 1
    readings = {"n_scored": len(dataset.y_test), **counts, "commit": git_commit()}
    write_json(run_dir / "card.json", recognizer.card | {"readings": readings})
    model_card.write(run_dir)
    return readings


def _metrics(recognizer: Recognizer, x: np.ndarray, y: np.ndarray) -> dict:
    table = evaluation.prediction_table(recognizer.probabilities(x), y, recognizer.threshold)
    return {
        **asdict(evaluation.accuracy(table)),
        "expected_calibration_error": evaluation.expected_calibration_error(table),
        "accepted": float(table["accepted"].mean()),
        "accepted_wrong": int((table["accepted"] & (table["true"] != table["predicted"])).sum()),
    }
