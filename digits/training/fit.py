"""Training: fit on the training images, choose the epoch on validation, and write the run folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from digits import InputError, data
from digits.config import Config, git_commit
from digits.data import Dataset, degradation, synthesis
from digits.storage import replaced_folder, write_json, write_text
from digits.training import augmentation, card
from digits.training.backend import has_bfloat16, keras
from digits.training.model import INPUT_SHAPE, as_input, augmented, build_cnn, fused

CHECKPOINT = "checkpoint.weights.h5"  # of network and optimiser
POOL_SHARE = 1 / 4  # of the synthetic images that one epoch sees: variety, without longer epochs
# A small set (the embedded one has 1,233 training images) would otherwise be learned in too few
# steps: four epochs of five steps teach nothing.
FEWEST_STEPS = 40
SMALLEST_BATCH = 16
N_STATISTICS = 20  # batches on which the statistics of averaged weights are measured


@dataclass(frozen=True)
class TrainingImages:
    """The images that one run trains on: the data set's training images and the images made by rule.

    Attributes
    ----------
    x, y : numpy.ndarray
        uint8 (n, 28, 28) and int64 (n,): seen in every epoch.
    pools : tuple of (kind, x, y)
        Synthetic images; each epoch draws `POOL_SHARE` of them without replacement. The kind is a
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
                # Other writers, among them flagged 1s. Twice, because they are few.
                embedded = data.load("embedded")
                x = np.concatenate([x, embedded.x_train, embedded.x_train])
                y = np.concatenate([y, embedded.y_train, embedded.y_train])
            n, given = len(dataset.y_train), (dataset.x_train, dataset.y_train, config.seed)
            pools.append(("digits", *synthesis.digits(n // 3, config.seed)))
            pools.append(("digits", *synthesis.rerender(n // 2, *given)))
            pools.append(("spoiled digits", *degradation.degrade(n // 2, *given)))
        if config.reject:
            n = 3 * len(dataset.y_train) // 4
            others = synthesis.non_digits(n, dataset.x_train, dataset.y_train, config.seed)
            pools.append(("not digits", others, np.full(n, synthesis.NOT_A_DIGIT)))
        return cls(x, y, tuple(pools))

    @property
    def n_epoch(self) -> int:
        """Images that one epoch sees."""
        return len(self.y) + sum(int(POOL_SHARE * len(y)) for _, _, y in self.pools)

    @property
    def n_synthetic(self) -> dict[str, int]:
        """Synthetic images of each kind, for the card."""
        counts = {"digits": 0, "spoiled digits": 0, "not digits": 0}
        for kind, _, y in self.pools:
            counts[kind] += len(y)
        return counts

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


def learning_rate_schedule(config: Config, steps_per_epoch: int):
    """Return the one-cycle schedule: up to the peak in the first fifth, then a cosine down."""
    steps, peak = config.epochs * steps_per_epoch, config.learning_rate
    rise = max(1, steps // 5)
    fall, end = max(1, steps - rise), config.learning_rate_end
    return keras.optimizers.schedules.CosineDecay(
        peak / 25, fall, end, warmup_target=peak, warmup_steps=rise
    )


def train(
    dataset: Dataset,
    config: Config,
    run_dir: str | os.PathLike,
    *,
    build: Callable[[Config], keras.Model] = build_cnn,
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
    build : callable
        Makes the network; its input and output must be as those of `build_cnn`.
    resume : bool
        Continue an interrupted run from its last epoch; the result is the unbroken run's.
    progress : callable, optional
        Called after each epoch with its row of ``history.csv``.

    Returns
    -------
    pathlib.Path
        The run folder.

    Raises
    ------
    InputError
        If the network takes or gives something else, the loss stops being a number, the folder
        cannot be written, or is being written by another run, or `resume` finds a run with other
        settings or other data.
    """
    plan = {"config": config.to_dict(), "data": dataset.name, "data_digest": dataset.digest}
    commit = git_commit()  # before hours in which the checkout may change
    with replaced_folder(run_dir, keep=True) as partial:
        history = open_run(partial, plan, resume)
        images = TrainingImages.collect(dataset, config)
        precision = usable_precision(config.precision)
        network = build(config.replace(precision=precision))
        _require_fit(network, config)
        # A network of one's own may hold layers that cannot be copied.
        trained = fused(network) if build is build_cnn else network
        history = _fit(network, trained, images, dataset, config, partial, history, progress)
        chosen = choose_epoch(history)
        network = build(config.replace(precision="float32"))  # whatever it was trained in
        network.load_weights(_epoch_file(partial, chosen["epoch"]))
        facts = {
            "n_train": len(images.y),
            "n_synthetic": images.n_synthetic,
            "synthetic_share": POOL_SHARE,
            "config": config.to_dict(),
            "precision": precision,
            "n_parameters": int(network.count_params()),
            "epoch": chosen["epoch"],
            "training_seconds": round(sum(row["seconds"] for row in history), 1),
            "commit": commit,
        }
        # The card of a model that may be shipped must stand alone, without notebook 04.
        card.write(partial, network, dataset, facts, in_full=config.reject)
        _audit_epochs(partial, dataset, network, history)
        for leftover in (*partial.glob("epoch_*.weights.h5"), partial / CHECKPOINT):
            leftover.unlink()
    return Path(run_dir)


def augmentation_strength(config: Config, epoch: int) -> float:
    """Return the strength of the augmentation in an epoch, 1 to `config.epochs`: it falls evenly."""
    done = (epoch - 1) / max(1, config.epochs - 1)
    return config.augmentation * (1 - done * (1 - config.augmentation_end))


def choose_epoch(history: list[dict]) -> dict:
    """Return the row of the epoch with the best validation accuracy, ties broken by its loss."""
    return max(history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))


def format_epoch(row: dict) -> str:
    """Return one line about an epoch for a terminal or a notebook."""
    names = {
        "loss": "loss", "accuracy": "accuracy",
        "val_loss": "validation loss", "val_accuracy": "accuracy",
    }  # fmt: skip
    figures = [f"{name} {row[key]:.4f}" for key, name in names.items() if key in row]
    return "  ".join([f"epoch {row['epoch']:3}", *figures, f"{row['seconds']:.0f} s"])


# --- One run ---------------------------------------------------------------------------------


def open_run(partial: Path, plan: dict, resume: bool) -> list[dict]:
    """Empty the folder, or with `resume` return the history of the epochs that are done."""
    if resume and (partial / CHECKPOINT).exists():
        if json.loads((partial / "config.json").read_text()) != plan:
            raise InputError(
                f"{partial} was begun with other settings or data; repeat them, or start again "
                "without --resume"
            )
        return read_history(partial)
    shutil.rmtree(partial)
    partial.mkdir()
    write_json(partial / "config.json", plan)
    return []


def read_history(folder: Path) -> list[dict]:
    """Return the epochs in ``history.csv`` of a run's folder."""
    # As strings first: pandas' own reading of floats may round the last bit.
    history = pd.read_csv(folder / "history.csv", dtype=object).astype(float)
    return history.astype({"epoch": int}).to_dict("records")


def _require_fit(network: keras.Model, config: Config) -> None:
    """Refuse a network that does not take images and give a logit for each class."""
    expected = (None, *INPUT_SHAPE), (None, config.n_classes)
    if (network.input_shape, network.output_shape) != expected:
        raise InputError(
            f"the network takes {network.input_shape} and gives {network.output_shape}; "
            f"expected {expected[0]} and {expected[1]}"
        )


def usable_precision(wanted: str) -> str:
    """Return the precision to train in: float32 where the processor has no other."""
    if wanted == "float32" or has_bfloat16():
        return wanted
    print(f"this processor has no bfloat16: training in float32, not {wanted}", file=sys.stderr)
    return "float32"


def choose_batch_size(config: Config, n_images: int) -> int:
    """Return the batch size: the configured one, or less where an epoch would have few steps."""
    return min(config.batch_size, max(SMALLEST_BATCH, n_images // FEWEST_STEPS))


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, and of the models that are layers of it."""
    return [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]


def reseed(model, seed: int, epoch: int) -> None:
    """Give augmentation and dropout the random numbers of this epoch.

    They depend on the seed and the epoch's number alone, so that a resumed run draws what the
    unbroken one would have drawn.
    """
    layers = [x for x in _layers(model) if not isinstance(x, keras.layers.InputLayer)]
    for i, layer in enumerate(layers, 1):
        if hasattr(layer, "seed_generator"):
            state = np.random.SeedSequence([seed, epoch, i]).generate_state(2)
            layer.seed_generator.state.assign(state)


def _fit(
    network, trained, images, dataset, config, partial: Path, history: list, progress
) -> list[dict]:
    """Train for the epochs that `history` lacks; return the history of all.

    What is kept of each epoch is a file of `network`'s weights, which are those of `trained`.
    """
    batch_size = choose_batch_size(config, images.n_epoch)
    steps = max(1, images.n_epoch // batch_size)
    model = augmented(trained, augmentation.layers(config.augmentation, config.seed))
    averages = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    schedule = learning_rate_schedule(config, steps)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, **averages),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA makes this network four times slower on a CPU
    )
    if history:
        model.optimizer.build(model.trainable_variables)
        model.load_weights(partial / CHECKPOINT)
        # A kill between the two files of a checkpoint leaves a row too many.
        history = history[: int(model.optimizer.iterations) // steps]
    validation = as_input(dataset.x_val), dataset.y_val
    for epoch in range(len(history) + 1, config.epochs + 1):
        reseed(model, config.seed, epoch)
        augmentation.set_strength(model, augmentation_strength(config, epoch))
        x, y = images.epoch(config.seed, epoch)
        row = _fit_epoch(model, x, y, epoch, batch_size)
        with _averaged(model, x[: N_STATISTICS * batch_size], batch_size):
            loss, accuracy = model.evaluate(*validation, batch_size=1000, verbose=0)
            network.set_weights(trained.get_weights())
            network.save_weights(_epoch_file(partial, epoch))
        row |= {"val_loss": loss, "val_accuracy": accuracy, "seconds": row.pop("seconds")}
        history.append(row)
        write_text(partial / "history.csv", pd.DataFrame(history).to_csv(index=False))
        model.save_weights(partial / "next.weights.h5")  # of the optimiser, too
        os.replace(partial / "next.weights.h5", partial / CHECKPOINT)
        if progress:
            progress(row)
    return history


@contextmanager
def _averaged(model: keras.Model, images: np.ndarray, batch_size: int) -> Iterator[None]:
    """Give a model the moving averages of its weights, where its optimiser keeps them, for a while.

    Batch normalisation holds the statistics of other weights then. They are measured anew on `images`,
    and stay: training does not use them.
    """
    variables = model.trainable_variables if model.optimizer.use_ema else []
    weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
    if variables:
        model.optimizer.finalize_variable_values(variables)
        norms = [x for x in _layers(model) if isinstance(x, keras.layers.BatchNormalization)]
        momenta = [norm.momentum for norm in norms]
        for i, batch in enumerate(np.array_split(images, max(1, len(images) // batch_size))):
            for norm in norms:
                norm.momentum = i / (i + 1)  # the moving average is the mean of all batches
            model(batch, training=True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    try:
        yield
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)


def _fit_epoch(model, x, y, epoch: int, batch_size: int) -> dict:
    """Train for one epoch and return its row of the history, but for validation.

    Batch by batch, because the end of `fit` can wait for a timer of TensorFlow's input pipeline that
    goes off about 1.3, 2.6, 5, 10, 20, 41, 82 s after its start: epochs took up to twice their time.
    A last batch of another size is left out, or the step would be compiled a second time; the images
    that this leaves out are others in each epoch.
    """
    start = time.perf_counter()
    losses, accuracies = [], []
    for first in range(0, max(len(y) - batch_size, 0) + 1, batch_size):
        batch = slice(first, first + batch_size)
        logs = model.train_on_batch(x[batch], y[batch], return_dict=True)
        if not np.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is not a number in epoch {epoch}; lower learning_rate and start again"
            )
        losses.append(logs["loss"])
        accuracies.append(logs["accuracy"])
    return {
        "epoch": epoch,
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        "loss": float(np.mean(losses)),
        "accuracy": float(np.mean(accuracies)),
        "seconds": round(time.perf_counter() - start, 2),
    }


def _epoch_file(partial: Path, epoch: int) -> Path:
    return partial / f"epoch_{epoch:03}.weights.h5"


def _audit_epochs(partial: Path, dataset: Dataset, model: keras.Model, history: list[dict]) -> None:
    """Count the test errors of every epoch, after all choices are made and written.

    Nothing reads these counts but the notebook that shows how much "the best epoch on the test set"
    would have flattered.
    """
    rows = []
    for row in history:
        model.load_weights(_epoch_file(partial, row["epoch"]))
        logits = model.predict(as_input(dataset.x_test), batch_size=1000, verbose=0)
        wrong = int((logits[:, :10].argmax(1) != dataset.y_test).sum())
        rows.append({"epoch": row["epoch"], "n_wrong": wrong})
    pd.DataFrame(rows).to_csv(partial / "test_by_epoch.csv", index=False)
