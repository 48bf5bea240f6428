"""Training seconds to an accuracy: this project's quick network against Keras' own MNIST example.

``python -m digits.race --data mnist --seeds 5`` prints a JSON object for each epoch, with the keys
`benchmark.RACE_COLUMNS`. It is a command, because TensorFlow is imported to train; notebook 08
runs it and reads its lines.

The test accuracy of every epoch is read, for this comparison alone. Keras' example is stopped as soon
as it is there, the moment that flatters it most, while the quick network is charged with its whole
training.
"""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from benchmarks.timing import EXAMPLE, OURS
from digits import data
from digits.config import Config
from digits.data import Dataset
from digits.training import as_input, train
from digits.training.backend import keras

EXAMPLE_EPOCHS = 15
# The quick profile, shortened to what 99 % needs. Chosen by validation accuracy: among a few settings
# of two to four epochs, the one with the fewest that passed 99.0 % with both of two seeds. The test
# errors of those runs were seen as well, so as an accuracy its figure would flatter; it is a time.
SHORTENED = ("epochs=2", "batch_size=128", "dropout=0.2", "learning_rate=0.008")


def race(dataset: Dataset, seeds: int, target: float, overrides: list[str]) -> Iterator[dict]:
    """Train both with each seed, one after the other, and yield each epoch's row."""
    for seed in range(seeds):
        yield from run_example(dataset, seed, target)
        yield from run_ours(dataset, seed, overrides)


def run_example(dataset: Dataset, seed: int, target: float) -> Iterator[dict]:
    """Train the network of Keras' MNIST example as the example does, until `target` is reached.

    Two convolutions with pooling, dropout and a softmax; Adam, batches of 128, a tenth of the
    training images for validation, at most 15 epochs
    (https://keras.io/examples/vision/mnist_convnet/). What it does not train on here, the project's
    own validation images, is given back to it: it has 60,000 images on MNIST, as in the original.
    It calls `fit`, as the example does, and bears the waits that `train` avoids (see
    `training._fit_epoch`): processor seconds are without them.
    """
    keras.utils.set_random_seed(seed)
    clock = _Clock()
    x = as_input(np.concatenate([dataset.x_train, dataset.x_val]))
    y = np.concatenate([dataset.y_train, dataset.y_val])
    model = build_example()
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,  # XLA makes it slower on a processor, as it does ours
    )
    stop = _StopAtTarget(dataset, target, clock)
    model.fit(
        x, y, batch_size=128, epochs=EXAMPLE_EPOCHS, validation_split=0.1, verbose=0,
        callbacks=[stop],
    )  # fmt: skip
    for epoch, row in enumerate(stop.rows, 1):
        yield {"contestant": EXAMPLE, "seed": seed, "epoch": epoch, **row}


def build_example() -> keras.Model:
    """Build the network of Keras' example: 34,826 parameters."""
    kl = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            kl.Conv2D(32, 3, activation="relu"),
            kl.MaxPooling2D(),
            kl.Conv2D(64, 3, activation="relu"),
            kl.MaxPooling2D(),
            kl.Flatten(),
            kl.Dropout(0.5),
            kl.Dense(10, activation="softmax"),
        ]
    )


def run_ours(dataset: Dataset, seed: int, overrides: list[str]) -> Iterator[dict]:
    """Train by the quick profile, with single settings replaced.

    What the run writes, a checkpoint an epoch, belongs to its time; its export and its card, after
    the last epoch, do not.
    """
    config = Config.from_profile("quick", seed=seed).with_overrides(overrides)
    clock, times = _Clock(), []
    with tempfile.TemporaryDirectory() as folder:
        run = train(dataset, config, Path(folder) / "run", progress=lambda _: times.append(clock()))
        with (run / "test_by_epoch.csv").open(newline="") as file:
            n_wrong = [int(row["n_wrong"]) for row in csv.DictReader(file)]
    for epoch, (row, wrong) in enumerate(zip(times, n_wrong, strict=True), 1):
        accuracy = 1 - wrong / len(dataset.y_test)
        yield {
            "contestant": OURS, "seed": seed, "epoch": epoch, **row, "test_accuracy": accuracy,
        }  # fmt: skip


class _Clock:
    """Seconds and processor seconds since it was made, less what was left out."""

    def __init__(self):
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __call__(self) -> dict[str, float]:
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._cpu,
        }

    def leave_out(self, since: dict[str, float]) -> None:
        """Forget the time that has passed since the clock showed `since`."""
        now = self()
        self._wall += now["seconds"] - since["seconds"]
        self._cpu += now["cpu_seconds"] - since["cpu_seconds"]


class _StopAtTarget(keras.callbacks.Callback):
    """Notes time and test accuracy after each epoch, and ends the training at the target."""

    def __init__(self, dataset: Dataset, target: float, clock: _Clock):
        super().__init__()
        self.x, self.y = as_input(dataset.x_test), dataset.y_test
        self.target, self.clock, self.rows = target, clock, []

    def on_epoch_end(self, epoch, logs=None):
        now = self.clock()
        scores = self.model.predict(self.x, batch_size=1000, verbose=0)
        accuracy = float((scores.argmax(1) == self.y).mean())
        self.rows.append({**now, "test_accuracy": accuracy})
        self.model.stop_training = accuracy >= self.target
        self.clock.leave_out(now)


@click.command()
@click.option("--data", "source", default="mnist", show_default=True, help="As for `digits train`.")
@click.option("--seeds", default=5, show_default=True, help="Trainings of each.")
@click.option("--target", default=0.99, show_default=True, help="Test accuracy, 0 to 1.")
@click.option(
    "--set", "overrides", multiple=True, default=SHORTENED, show_default=True, metavar="NAME=VALUE",
    help="Replace a setting of the profile quick.",
)  # fmt: skip
def main(source: str, seeds: int, target: float, overrides: tuple[str, ...]) -> None:
    """Race the quick network against Keras' MNIST example."""
    for row in race(data.load(source), seeds, target, list(overrides)):
        click.echo(json.dumps(row))


if __name__ == "__main__":
    main()
